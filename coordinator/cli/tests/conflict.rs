//! A gid that two journals use: a store that was made anew while the participants kept theirs, and two installations that
//! share a participant.

use serde_json::{Value, json};
use trine_sdk::{Client, Status, Tcc, TccBranch};

use crate::support::{Coordinator, Http, Shop, purchase};

/// Waits until nothing more happens to a transaction by itself, and returns it in full.
async fn standing(http: &Http, coordinator: &Coordinator, body: &Value) -> Value {
    let gid = body["gid"].as_str().expect("it has a gid");
    let view = format!("{}/v1/transactions/{gid}", coordinator.url());
    loop {
        http.create(coordinator.url(), body, 1).await.expect("an answer");
        let (_, view) = http.get(&view).await;
        if view["settled"] == true || view["parked"].is_string() {
            return view;
        }
    }
}

async fn words_of(http: &Http, coordinator: &Coordinator, gid: &str) -> Vec<String> {
    let (_, history) = http.get(&format!("{}/v1/transactions/{gid}/history", coordinator.url())).await;
    let events = history["events"].as_array().expect("a list");
    events.iter().filter_map(|event| event["error"].as_str().map(str::to_owned)).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_store_made_anew_that_uses_a_gid_again_is_told_and_does_not_say_committed() {
    let http = Http::new();
    let folder = tempfile::tempdir().expect("a temporary folder");
    let shop = Shop::start(folder.path()).await;
    shop.stock(&http, "A-1", 100).await;
    let lost = Coordinator::start(&folder.path().join("lost.db")).await;
    for pattern in ["saga", "tcc", "two_phase"] {
        let (_, answer) = http
            .create(lost.url(), &purchase(&shop, pattern, pattern, "A-1", 2), 30)
            .await
            .expect("an answer");
        assert_eq!(answer["status"], "committed", "{answer}");
    }
    lost.kill().await;
    let anew = Coordinator::start(&folder.path().join("anew.db")).await;
    for pattern in ["saga", "tcc", "two_phase"] {
        // Another amount; and the same one, which is no less another purchase.
        let quantity = if pattern == "tcc" { 2 } else { 5 };
        let view = standing(&http, &anew, &purchase(&shop, pattern, pattern, "A-1", quantity)).await;
        assert_eq!((&view["status"], &view["parked"]), (&json!("running"), &json!("conflict")), "{view}");
        let words = words_of(&http, &anew, pattern).await;
        assert!(words.iter().any(|words| words.contains("from another journal")), "{words:?}");
    }
    let (_, list) = http.get(&format!("{}/v1/transactions?parked=true", anew.url())).await;
    let causes: Vec<&Value> =
        list["transactions"].as_array().expect("a list").iter().map(|row| &row["parked"]).collect();
    assert_eq!(causes, ["conflict"; 3]);
    let metrics = http.text(&format!("{}/metrics", anew.url())).await;
    for op in ["action", "try", "prepare"] {
        // One branch after the other, or both at once.
        let parked = format!(r#"trine_ops_parked_total{{op="{op}",cause="conflict"}} "#);
        let count = metrics.lines().find_map(|line| line.strip_prefix(&parked));
        assert!(matches!(count, Some("1" | "2")), "{op}: {count:?}");
    }

    // Replayed, it asks again and parks again; another gid goes through.
    http.post(&format!("{}/v1/admin/transactions/saga/replay", anew.url()), &json!({})).await;
    let view = standing(&http, &anew, &purchase(&shop, "saga", "saga", "A-1", 5)).await;
    assert_eq!(view["parked"], "conflict", "{view}");
    let view = standing(&http, &anew, &purchase(&shop, "saga", "saga-2", "A-1", 5)).await;
    assert_eq!(view["status"], "committed", "{view}");
    assert_eq!(shop.assert_conserved(&http).await, 3 * 2 + 5);
}

#[tokio::test(flavor = "multi_thread")]
async fn two_installations_that_share_a_participant_do_not_undo_each_others_work() {
    let http = Http::new();
    let folder = tempfile::tempdir().expect("a temporary folder");
    let shop = Shop::start(folder.path()).await;
    shop.stock(&http, "A-1", 100).await;
    let one = Coordinator::start(&folder.path().join("one.db")).await;
    let two = Coordinator::start(&folder.path().join("two.db")).await;
    for pattern in ["saga", "tcc", "two_phase"] {
        let body = purchase(&shop, pattern, pattern, "A-1", 2);
        let view = standing(&http, &one, &body).await;
        assert_eq!(view["status"], "committed", "{view}");
        let view = standing(&http, &two, &body).await;
        assert_eq!(view["parked"], "conflict", "{view}");
        // What the other one did is not what there is to undo.
        http.post(&format!("{}/v1/transactions/{pattern}/abort", two.url()), &json!({})).await;
        let view = standing(&http, &two, &body).await;
        let expected = (&json!("rolling_back"), &json!("conflict"));
        assert_eq!((&view["status"], &view["parked"]), expected, "{view}");
        // The first one asks again, and is answered as before.
        let (_, answer) = http.create(one.url(), &body, 30).await.expect("an answer");
        assert_eq!(answer["status"], "committed", "{answer}");
    }
    assert_eq!(shop.assert_conserved(&http).await, 3 * 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_an_initiator_tries_itself_is_confirmed_by_the_coordinator() {
    let http = Http::new();
    let folder = tempfile::tempdir().expect("a temporary folder");
    let shop = Shop::start(folder.path()).await;
    shop.stock(&http, "A-1", 100).await;
    let one = Coordinator::start(&folder.path().join("one.db")).await;
    let two = Coordinator::start(&folder.path().join("two.db")).await;
    let stock = || {
        TccBranch::new("stock")
            .url(format!("{}/stock/branch", shop.inventory.base_url()))
            .payload(&json!({"sku": "A-1", "quantity": 2}))
    };
    let order = || {
        TccBranch::new("order")
            .url(format!("{}/orders/branch", shop.order.base_url()))
            .payload(&json!({"sku": "A-1", "quantity": 2}))
    };
    let open = async |coordinator: &Coordinator| {
        let client = Client::new(coordinator.url()).expect("a client");
        client.open(Tcc::new().gid("tried-1")).await.expect("it is open")
    };
    let first = open(&one).await;
    assert!(first.journal().is_some(), "the coordinator says which journal it is");
    for branch in [stock(), order()] {
        assert!(first.try_branch(branch).await.expect("it is registered").is_done());
    }
    // The same gid of the other installation meets what is on record before anything is decided.
    let second = open(&two).await;
    assert_ne!(second.journal(), first.journal());
    assert!(!second.try_branch(stock()).await.expect("it is registered").is_done());
    let answer = first.commit_and_wait(std::time::Duration::from_secs(30)).await.expect("it is decided");
    assert_eq!(answer.status, Status::Committed);
    assert_eq!(shop.assert_conserved(&http).await, 2);
}
