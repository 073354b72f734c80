//! Calls by name, with name servers that are well, slow or silent.

use axum::Router;
use axum::routing::post;
use futures_util::future::join_all;

use super::super::names::test_server::{NameServer, Says};
use super::super::{Caller, Options, Returned};
use super::support::{answer_of, call, caller_with, done, serve};
use crate::grpc_server::{GrpcServer, ok};

fn options(server: &NameServer) -> Options {
    Options { name_servers: vec![server.addr], ..Options::default() }
}

fn port(base: &str) -> &str {
    base.rsplit_once(':').unwrap().1
}

#[tokio::test]
async fn a_call_whose_name_is_not_found_is_not_sent_and_says_why() {
    let server = NameServer::start(|name| match name {
        "no-such-host.a.test" => Says::Missing,
        _ => Says::Nothing,
    })
    .await;
    let caller = caller_with(Options { name_timeout_ms: 100, ..options(&server) });
    for (target, words) in [
        ("http://no-such-host.a.test:81/?token=hunter2", "the name of no-such-host.a.test:81 does not exist"),
        ("https://slow.b.test/", "the name of slow.b.test:443 could not be resolved in time"),
        ("grpc://no-such-host.a.test:81/a.B/C", "the name of no-such-host.a.test:81 does not exist"),
        ("grpcs://slow.b.test:50051/a.B/C", "the name of slow.b.test:50051 could not be resolved in time"),
    ] {
        let returned = caller.call(call(target)).await;
        let Returned::NotSent { retry_after_ms, reason } = returned else { panic!("{target}: {returned:?}") };
        assert!(reason.starts_with(words) && retry_after_ms > 0, "{target}: {reason}");
        assert!(!reason.contains("hunter2"), "{reason}");
    }
}

#[tokio::test]
async fn a_name_server_that_is_silent_does_not_use_up_a_calls_own_time() {
    let server = NameServer::start(|_| Says::Nothing).await;
    let caller = caller_with(Options { name_timeout_ms: 300, ..options(&server) });
    let mut brief = call("http://slow.b.test/");
    brief.timeout_ms = 1;
    assert!(matches!(caller.call(brief).await, Returned::NotSent { .. }));
}

#[tokio::test]
async fn a_zone_that_never_answers_delays_nobody_who_is_called_by_another_name() {
    let server =
        NameServer::start(|name| if name.ends_with("slow.test") { Says::Nothing } else { Says::Here(60) })
            .await;
    let caller = caller_with(Options { name_timeout_ms: 600_000, ..options(&server) });
    let base = serve(Router::new().route("/", post(|| async { "well" }))).await;
    let grpc = GrpcServer::start(async |request| ok(request.into_inner())).await;
    let stuck: Vec<_> =
        (0..600).map(|n| tokio::spawn(caller.call(call(&format!("http://partner{n}.slow.test/"))))).collect();
    let targets = (0..50).map(|n| format!("http://shop{n}.well.test:{}/", port(&base)));
    let answers = join_all(targets.map(|target| answer_of(&caller, call(&target)))).await;
    assert!(answers.iter().all(|answer| answer.outcome == done("well")), "{answers:?}");
    let by_name = grpc.target("Reserve").replace("127.0.0.1", "stock.well.test");
    assert_eq!(answer_of(&caller, call(&by_name)).await.outcome, done(r#"{"sku":"A-1"}"#));
    assert!(stuck.iter().all(|one| !one.is_finished()));
    stuck.into_iter().for_each(|one| one.abort());
}
