//! A database that is slow, and initiators that go away: bounded queues, honest answers, nothing lost.

use std::time::Duration;

use futures_util::future::join_all;
use serde_json::json;

use super::load::{Promise, World};
use super::pack::{Kind, Pack, through_proxy};
use crate::support::purchase;

const KINDS: [Kind; 2] = [Kind::Postgres, Kind::MariaDb];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_slow_database_makes_admission_say_busy_and_loses_nothing() {
    for kind in KINDS {
        let world = World::start(400).await;
        let (proxy, store) = through_proxy(&kind.fresh());
        let few = [
            ("TRINE_RUNTIME_INBOX_LEN_MAX", "10"),
            ("TRINE_RUNTIME_BATCH_RECORDS_MAX", "10"),
            ("TRINE_STORE_LANES", "2"),
        ];
        let pack = Pack::start_with(&store, 1, &few).await;
        proxy.delay(Duration::from_millis(100));
        let url = pack.url(0);
        let requests = (0..400).map(|number| {
            let body = purchase(&world.shop, "saga", &format!("slow-{number}"), "A-1", 1);
            let (http, url) = (world.http.clone(), url.clone());
            async move {
                let gid = format!("slow-{number}");
                let (status, answer) = http.create(&url, &body, 0).await.expect("it answers");
                assert!(status == 202 || status == 503, "{status} {answer}");
                Promise { gid, accepted: status == 202, settled: None }
            }
        });
        let promises = join_all(requests).await;
        let accepted = promises.iter().filter(|promise| promise.accepted).count();
        assert!(accepted > 10 && accepted < 390, "{kind:?}: {accepted} of 400 were accepted");
        proxy.delay(Duration::ZERO);
        let (committed, _) = world.assert_whole(&url, &promises).await;
        assert_eq!(committed, accepted, "what was turned away is not there, what was accepted is");
    }
}

/// An initiator that closes its connection may have been accepted or not; one that has its answer has it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn five_hundred_cancelled_requests_lose_no_acknowledged_one() {
    for kind in KINDS {
        let world = World::start(600).await;
        let pack = Pack::start(&kind.fresh(), 2).await;
        let mut promises = Vec::new();
        for number in 0..600 {
            let gid = format!("cancelled-{number}");
            let body = purchase(&world.shop, "tcc", &gid, "A-1", 1);
            let (http, url) = (world.http.clone(), pack.url(number % 2));
            let request = tokio::spawn(async move { http.create(&url, &body, 0).await });
            let kept = number % 6 == 0;
            if !kept {
                for _ in 0..number % 40 {
                    tokio::task::yield_now().await;
                }
                request.abort();
            }
            let accepted = matches!(request.await, Ok(Ok((202, _))));
            assert!(accepted || !kept, "{gid} was waited for and not accepted");
            promises.push(Promise { gid, accepted, settled: None });
        }
        world.assert_whole(&pack.url(0), &promises).await;
        // Neither is the coordinator worse for it.
        let body = json!({"gid": "last", "pattern": "saga", "branches": []});
        let (status, _) = world.http.create(&pack.url(1), &body, 5).await.expect("it answers");
        assert!(status < 500, "{status}");
    }
}
