//! One transaction in the hands of several coordinators.

use serde_json::{Value, json};
use trine_participants::faults::Faults;

use super::load::{World, eventually};
use super::pack::{Kind, Pack};
use crate::support::{Http, purchase, trine};

const KINDS: [Kind; 2] = [Kind::Postgres, Kind::MariaDb];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_transaction_is_opened_here_extended_there_and_committed_elsewhere() {
    for kind in KINDS {
        let world = World::start(10).await;
        let pack = Pack::start(&kind.fresh(), 3).await;
        let (http, shop) = (&world.http, &world.shop);
        let payload = json!({"sku": "A-1", "quantity": 2});
        let branches = [
            format!("{}/stock/branch", shop.inventory.base_url()),
            format!("{}/orders/branch", shop.order.base_url()),
        ];
        let created = http
            .create(
                &pack.url(0),
                &json!({"gid": "shared", "pattern": "tcc", "open": true, "branches": []}),
                0,
            )
            .await
            .unwrap();
        assert_eq!(created.1["status"], "open", "{created:?}");
        for (place, url) in branches.iter().enumerate() {
            let branch = json!({"id": format!("b{place}"), "url": url, "payload": payload});
            let at = format!("{}/v1/transactions/shared/branches", pack.url(1 + place));
            let (status, answer) = http.post(&at, &branch).await;
            assert!(status < 300, "{status} {answer}");
            try_branch(url, &format!("b{place}"), &payload).await;
        }
        let (status, answer) =
            http.post(&format!("{}/v1/transactions/shared/commit", pack.url(0)), &json!({})).await;
        assert!(status < 300, "{answer}");
        settles(&world, &pack, "shared", "committed").await;
        assert_eq!(shop.assert_conserved(http).await, 2);
    }
}

/// What an initiator does that drives its branches itself.
async fn try_branch(url: &str, branch: &str, payload: &Value) {
    let request = reqwest::Client::new().post(url).json(payload);
    let request = request
        .header("Trine-Gid", "shared")
        .header("Trine-Branch", branch)
        .header("Trine-Op", "try")
        .header("Trine-Pattern", "tcc")
        .header("Trine-Attempt", "1")
        .header("Trine-Fence", "1");
    let response = request.send().await.expect("the service answers");
    assert_eq!(response.status(), 200);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_abort_at_one_coordinator_takes_over_what_another_drives() {
    for kind in KINDS {
        let world = World::start(10).await;
        let pack = Pack::start(&kind.fresh(), 2).await;
        let http = &world.http;
        let silent = Faults { hang: true, remaining: Some(1_000), ..Faults::default() };
        world.shop.order.faults().set(silent.clone());
        let mut body = purchase(&world.shop, "saga", "taken", "A-1", 1);
        body["options"]["call_timeout"] = json!("500ms");
        http.create(&pack.url(0), &body, 0).await.unwrap();
        // An abort before this call would roll back without the order service, and nothing would stay unfinished.
        eventually("the order service has been called", async || world.shop.order.faults().get() != silent)
            .await;
        assert_eq!(pack.seen(http, 1, 0).await["unfinished"], 1);
        let abort = format!("{}/v1/transactions/taken/abort", pack.url(1));
        let (status, answer) = http.post(&abort, &json!({"reason": "too slow"})).await;
        assert!(status < 300, "{status} {answer}");
        eventually("the second owns it", async || {
            pack.seen(http, 0, 1).await["unfinished"] == 1 && pack.seen(http, 0, 0).await["unfinished"] == 0
        })
        .await;
        // The first has let go once what it had under way has come back.
        eventually("the first lets go", async || pack.metric(http, 0, "trine_residents").await == 0).await;
        world.be_good();
        settles(&world, &pack, "taken", "rolled_back").await;
        assert_eq!(world.shop.assert_conserved(http).await, 0);
    }
}

/// Whoever asks elsewhere than where it is driven waits as well.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_end_can_be_waited_for_at_any_coordinator() {
    for kind in KINDS {
        let world = World::start(10).await;
        let pack = Pack::start(&kind.fresh(), 2).await;
        world.shop.order.faults().set(Faults { delay_ms: 700, ..Faults::default() });
        let body = purchase(&world.shop, "saga", "waited", "A-1", 1);
        world.http.create(&pack.url(0), &body, 0).await.unwrap();
        let (status, answer) = world.http.create(&pack.url(1), &body, 30).await.unwrap();
        assert_eq!((status, &answer["status"]), (200, &json!("committed")), "{answer}");
        assert_eq!(pack.seen(&world.http, 1, 1).await["unfinished"], 0);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_second_process_of_the_same_name_is_turned_away_and_the_first_goes_on() {
    let store = Kind::Postgres.fresh();
    let pack = Pack::start(&store, 1).await;
    let (code, words) = trine(&["serve", "--store", &store, "--name", "c0", "--http", "127.0.0.1:0"]).await;
    assert_eq!(code, Some(6), "{words}");
    assert!(words.contains("another process runs under the name \"c0\""), "{words}");
    assert_eq!(pack.seen(&Http::new(), 0, 0).await["alive"], true);
}

async fn settles(world: &World, pack: &Pack, gid: &str, expected: &str) {
    eventually("it settles", async || {
        let (_, view) = world.http.get(&format!("{}/v1/transactions/{gid}", pack.url(1))).await;
        view["settled"] == true && view["status"] == *expected
    })
    .await;
}
