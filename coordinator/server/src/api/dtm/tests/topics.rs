//! Topics and key-value entries over HTTP.

use expect_test::expect;

use super::stage::Stage;

#[tokio::test]
async fn subscribers_come_and_go_and_are_counted_by_version() {
    let mut stage = Stage::start();
    stage.get("subscribe?topic=t&url=http://p/a&remark=first").await;
    stage.get("subscribe?topic=t&url=http://p/b").await;
    stage.get("queryKV?cat=topics&key=t").await;
    stage.get("unsubscribe?topic=t&url=http://p/a").await;
    stage.get("scanKV?cat=topics").await;
    stage.delete("topic/t").await;
    stage.get("queryKV?cat=topics&key=t").await;
    stage.get("scanKV?cat=topics&position=&limit=5").await;
    stage.is(&expect![[r#"
        GET subscribe?topic=t&url=http://p/a&remark=first
        GET subscribe?topic=t&url=http://p/b
        GET queryKV?cat=topics&key=t
            200 {"kv":[{"cat":"topics","create_time":"<time>","id":0,"k":"t","update_time":"<time>","v":"[{\"url\":\"http://p/a\",\"remark\":\"first\"},{\"url\":\"http://p/b\",\"remark\":\"\"}]","version":2}]}
        GET unsubscribe?topic=t&url=http://p/a
        GET scanKV?cat=topics
            200 {"kv":[{"cat":"topics","create_time":"<time>","id":0,"k":"t","update_time":"<time>","v":"[{\"url\":\"http://p/b\",\"remark\":\"\"}]","version":3}],"next_position":""}
        DELETE topic/t
        GET queryKV?cat=topics&key=t
            200 {"kv":[]}
        GET scanKV?cat=topics&position=&limit=5
            200 {"kv":[],"next_position":""}
    "#]]);
}

#[tokio::test]
async fn wrong_requests_about_topics_are_errors_with_a_message() {
    let mut stage = Stage::start();
    stage.get("subscribe?url=http://p/a").await;
    stage.get("subscribe?topic=t").await;
    stage.get("unsubscribe?topic=t").await;
    stage.get("unsubscribe?url=http://p/a").await;
    stage.get("unsubscribe?topic=t&url=http://p/a").await;
    stage.get("subscribe?topic=t&url=http://p/a").await;
    stage.get("subscribe?topic=t&url=http://p/a").await;
    stage.get("unsubscribe?topic=t&url=http://p/b").await;
    stage.get("unsubscribe?topic=t&url=http://p/a").await;
    stage.get("unsubscribe?topic=t&url=http://p/a").await;
    stage.delete("topic/nothing").await;
    stage.is(&expect![[r#"
        GET subscribe?url=http://p/a
            500 {"message":"empty topic"}
        GET subscribe?topic=t
            500 {"message":"empty url"}
        GET unsubscribe?topic=t
            500 {"message":"empty url"}
        GET unsubscribe?url=http://p/a
            500 {"message":"empty topic"}
        GET unsubscribe?topic=t&url=http://p/a
            500 {"message":"no such a topic"}
        GET subscribe?topic=t&url=http://p/a
        GET subscribe?topic=t&url=http://p/a
            500 {"message":"this url exists"}
        GET unsubscribe?topic=t&url=http://p/b
            500 {"message":"no such an url "}
        GET unsubscribe?topic=t&url=http://p/a
        GET unsubscribe?topic=t&url=http://p/a
            500 {"message":"this topic is empty"}
        DELETE topic/nothing
            500 {"message":"storage: NotFound"}
    "#]]);
}

#[tokio::test]
async fn a_message_goes_to_those_who_subscribed_before_it_was_made() {
    let mut stage = Stage::start();
    stage.get("subscribe?topic=one&url=http://p/only").await;
    stage.get("subscribe?topic=two&url=http://p/first").await;
    stage.get("subscribe?topic=two&url=http://p/second").await;
    stage.post("prepare", r#"{"gid":"g","trans_type":"msg","steps":[{"action":"topic://one"},{"action":"http://p/plain"},{"action":"topic://two"}],"payloads":["1","2","3"]}"#).await;
    stage.get("subscribe?topic=one&url=http://p/late").await;
    stage.delete("topic/two").await;
    stage.post("submit", r#"{"gid":"g","trans_type":"msg","steps":[{"action":"topic://one"},{"action":"http://p/plain"},{"action":"topic://two"}],"payloads":["1","2","3"]}"#).await;
    stage.ends("g").await;
    stage.is(&expect![[r#"
        GET subscribe?topic=one&url=http://p/only
        GET subscribe?topic=two&url=http://p/first
        GET subscribe?topic=two&url=http://p/second
        POST prepare {"gid":"g","trans_type":"msg","steps":[{"action":"topic://one"},{"action":"http://p/plain"},{"action":"topic://two"}],"payloads":["1","2","3"]}
        GET subscribe?topic=one&url=http://p/late
        DELETE topic/two
        POST submit {"gid":"g","trans_type":"msg","steps":[{"action":"topic://one"},{"action":"http://p/plain"},{"action":"topic://two"}],"payloads":["1","2","3"]}
          > POST http://p/only?branch_id=01&gid=g&op=action&trans_type=msg 1 -> 200
          > POST http://p/plain?branch_id=02&gid=g&op=action&trans_type=msg 2 -> 200
          > POST http://p/first?branch_id=03-01&gid=g&op=action&trans_type=msg 3 -> 200
          > POST http://p/second?branch_id=03-02&gid=g&op=action&trans_type=msg 3 -> 200
          = g is succeed, with a finish_time
            01 action succeed
            02 action succeed
            03-01 action succeed
            03-02 action succeed
    "#]]);
}
