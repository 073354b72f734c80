//! A damaged journal on the wire: TX0021 at once for its transaction, and no effect on the others.

use expect_test::expect;
use trine_protocol::Gid;

use super::Api;
use trine_store::memory::Damage;

const OPEN: &str = r#"{"pattern":"tcc","open":true,"gid":"GID"}"#;

async fn api_with_a_damaged_record() -> Api {
    let api = Api::start();
    for gid in ["bad", "good"] {
        assert!(api.post("/v1/transactions", &OPEN.replace("GID", gid)).await.starts_with("202"));
        let branch = r#"{"id":"b","confirm":"http://p/yes","cancel":"http://p/no"}"#;
        assert!(api.post(&format!("/v1/transactions/{gid}/branches"), branch).await.starts_with("200"));
    }
    let event = br#"{"v":1,"event":"started"}"#.to_vec();
    assert!(api.memory.damage(&Gid::parse("bad").unwrap(), 2, &Damage::Event(event)));
    api
}

#[tokio::test]
async fn every_request_that_reads_a_damaged_journal_says_that_repeating_does_not_help() {
    let api = api_with_a_damaged_record().await;
    let shown = api.get("/v1/transactions/bad").await;
    for answer in [&shown, &api.get("/v1/transactions/bad/events").await] {
        assert!(answer.starts_with("500") && answer.contains("TX0021"), "{answer}");
        assert!(answer.contains("does not mend it") && answer.contains(r#""gid":"bad""#), "{answer}");
        assert!(!answer.contains("retry-after"), "{answer}");
    }
    assert!(api.get("/v1/transactions/good").await.starts_with("200"));
}

#[tokio::test]
async fn the_history_shows_what_can_be_read_and_what_cannot() {
    let api = api_with_a_damaged_record().await;
    let history = api.get("/v1/transactions/bad/history").await;
    expect![[r#"
        200 OK
        content-type: application/json
        {"gid":"bad","events":[{"seq":1,"at":"<time>","event":"created"}],"unreadable":[{"seq":2,"detail":"not what was written: its checksum is another one"}]}
    "#]]
    .assert_eq(&history);
    let page = api.get("/v1/transactions/bad/history?limit=1").await;
    assert!(page.ends_with("\"event\":\"created\"}],\"next_after_seq\":1}\n"), "{page}");
    let page = api.get("/v1/transactions/bad/history?limit=1&after_seq=1").await;
    assert!(page.contains(r#""events":[],"unreadable":[{"seq":2,"#), "{page}");
    assert!(!api.get("/v1/transactions/good/history").await.contains("unreadable"));
}

#[tokio::test]
async fn damage_that_was_met_is_told_by_readyz_which_stays_ready() {
    let api = api_with_a_damaged_record().await;
    assert!(api.get("/readyz").await.contains(r#"{"status":"ready"}"#));
    api.get("/v1/transactions/bad").await;
    let ready = api.get("/readyz").await;
    assert!(ready.starts_with("200") && ready.contains(r#""damaged_transactions":1"#), "{ready}");
    assert!(api.get("/metrics").await.contains("trine_damaged_transactions 1"));
}
