//! query and all: the documents of transactions and branches, and pages of them.

use axum::http::Method;
use expect_test::expect;

use super::stage::Stage;

#[tokio::test]
async fn a_transaction_is_shown_with_its_rows_in_their_order() {
    let mut stage = Stage::start();
    stage.post("submit", r#"{"gid":"g","trans_type":"saga","wait_result":true,"timeout_to_fail":60,"request_timeout":5,"retry_interval":4,"retry_limit":2,"branch_headers":{"x":"y"},"custom_data":"{\"concurrent\":false}","steps":[{"action":"http://p/a","compensate":"http://p/c"},{"action":"http://p/no"}],"payloads":["{\"n\":1}",""]}"#).await;
    stage.get("query?gid=g").await;
    stage.is(&expect![[r#"
        POST submit {"gid":"g","trans_type":"saga","wait_result":true,"timeout_to_fail":60,"request_timeout":5,"retry_interval":4,"retry_limit":2,"branch_headers":{"x":"y"},"custom_data":"{\"concurrent\":false}","steps":[{"action":"http://p/a","compensate":"http://p/c"},{"action":"http://p/no"}],"payloads":["{\"n\":1}",""]}
            409 {"dtm_result":"FAILURE","message":"url:http://p/no return failed: out of stock FAILURE"}
        GET query?gid=g
            200 {"branches":[{"bin_data":"eyJuIjoxfQ==","branch_id":"01","create_time":"<time>","finish_time":"<time>","gid":"g","id":1,"op":"compensate","status":"succeed","update_time":"<time>","url":"http://p/c"},{"bin_data":"eyJuIjoxfQ==","branch_id":"01","create_time":"<time>","finish_time":"<time>","gid":"g","id":2,"op":"action","status":"succeed","update_time":"<time>","url":"http://p/a"},{"branch_id":"02","create_time":"<time>","finish_time":"<time>","gid":"g","id":3,"op":"compensate","status":"succeed","update_time":"<time>"},{"branch_id":"02","create_time":"<time>","gid":"g","id":4,"op":"action","rollback_time":"<time>","status":"failed","update_time":"<time>","url":"http://p/no"}],"transaction":{"concurrent":false,"create_time":"<time>","custom_data":"{\"concurrent\":false}","gid":"g","id":0,"next_cron_interval":4,"options":"{\"branch_headers\":{\"x\":\"y\"},\"concurrent\":false,\"request_timeout\":5,\"retry_interval\":4,\"retry_limit\":2,\"timeout_to_fail\":60,\"wait_result\":true}","protocol":"http","rollback_reason":"url:http://p/no return failed: out of stock \u0046AILURE","rollback_time":"<time>","status":"failed","trans_type":"saga","update_time":"<time>"}}
    "#]]);
}

#[tokio::test]
async fn a_waiting_transaction_shows_its_next_time() {
    let mut stage = Stage::start();
    stage.post("prepare", r#"{"gid":"msg","trans_type":"msg","query_prepared":"http://p/asked","concurrent":true,"protocol":"json-rpc"}"#).await;
    stage.get("query?gid=msg").await;
    stage.post("prepare", r#"{"gid":"tcc","trans_type":"tcc","timeout_to_fail":5}"#).await;
    stage.get("query?gid=tcc").await;
    stage.is(&expect![[r#"
        POST prepare {"gid":"msg","trans_type":"msg","query_prepared":"http://p/asked","concurrent":true,"protocol":"json-rpc"}
        GET query?gid=msg
            200 {"branches":[],"transaction":{"concurrent":true,"create_time":"<time>","gid":"msg","id":0,"next_cron_interval":10,"next_cron_time":"<time>","options":"{\"concurrent\":true}","protocol":"json-rpc","query_prepared":"http://p/asked","status":"prepared","trans_type":"msg","update_time":"<time>"}}
        POST prepare {"gid":"tcc","trans_type":"tcc","timeout_to_fail":5}
        GET query?gid=tcc
            200 {"branches":[],"transaction":{"concurrent":false,"create_time":"<time>","gid":"tcc","id":0,"next_cron_interval":5,"next_cron_time":"<time>","options":"{\"concurrent\":false,\"timeout_to_fail\":5}","protocol":"http","status":"prepared","trans_type":"tcc","update_time":"<time>"}}
    "#]]);
}

#[tokio::test]
async fn a_query_needs_a_gid_and_may_find_nothing() {
    let mut stage = Stage::start();
    stage.get("query").await;
    stage.get("query?gid=").await;
    stage.get("query?gid=nobody").await;
    stage.get("all?gid=nobody").await;
    stage.get("all").await;
    stage.get("all?limit=x").await;
    stage.get("all?position=x").await;
    stage.get("all?status=other").await;
    stage.get("all?transType=other").await;
    stage.is(&expect![[r#"
        GET query
            500 {"message":"no gid specified"}
        GET query?gid=
            500 {"message":"no gid specified"}
        GET query?gid=nobody
            200 {"branches":[],"transaction":null}
        GET all?gid=nobody
            200 {"next_position":"","transactions":null}
        GET all
            200 {"next_position":"","transactions":[]}
        GET all?limit=x
            500 {"message":"convert to int error: x"}
        GET all?position=x
            500 {"message":"position: not one of ours"}
        GET all?status=other
            200 {"next_position":"","transactions":[]}
        GET all?transType=other
            200 {"next_position":"","transactions":[]}
    "#]]);
}

#[tokio::test]
async fn a_damaged_journal_is_said_to_be_one_and_not_a_store_that_is_silent() {
    let mut stage = Stage::start();
    stage.post("prepare", r#"{"gid":"g","trans_type":"tcc","timeout_to_fail":60}"#).await;
    stage.damage("g");
    let shown = stage.ask(Method::GET, "/api/dtmsvr/query?gid=g", "").await.json();
    let words = shown["message"].as_str().unwrap();
    assert!(words.contains("cannot be read") && words.contains("does not mend it"), "{words}");
}

/// The gids of a page, and where the next one begins.
async fn page(stage: &Stage, query: &str) -> (Vec<String>, String) {
    let page = stage.ask(Method::GET, &format!("/api/dtmsvr/all?{query}"), "").await.json();
    let gids = page["transactions"].as_array().unwrap().iter();
    let gids = gids.map(|global| global["gid"].as_str().unwrap().to_owned()).collect();
    (gids, page["next_position"].as_str().unwrap().to_owned())
}

#[tokio::test]
async fn pages_follow_each_other_and_are_filtered() {
    let mut stage = Stage::start();
    for gid in ["a", "b", "c"] {
        stage.post("submit", &format!(r#"{{"gid":"{gid}","trans_type":"saga"}}"#)).await;
        stage.settled(gid).await;
    }
    stage.post("prepare", r#"{"gid":"d","trans_type":"tcc"}"#).await;
    let (mut gids, next) = page(&stage, "limit=3").await;
    let (rest, end) = page(&stage, &format!("limit=3&position={next}")).await;
    gids.extend(rest);
    gids.sort();
    assert_eq!((gids.concat(), end.as_str()), ("abcd".to_owned(), ""));
    for (query, expected) in [
        ("status=prepared", "d"),
        ("transType=tcc", "d"),
        ("transType=xa", ""),
        ("status=succeed&transType=tcc", ""),
        ("createTimeStart=4102444800000", ""),
        ("createTimeEnd=1000", ""),
        ("status=prepared&createTimeStart=1000&createTimeEnd=4102444800000", "d"),
    ] {
        assert_eq!(
            page(&stage, query).await,
            (expected.chars().map(String::from).collect(), String::new()),
            "{query}"
        );
    }
    let (mut succeeded, _) = page(&stage, "status=succeed").await;
    succeeded.sort();
    assert_eq!(succeeded.concat(), "abc");
}
