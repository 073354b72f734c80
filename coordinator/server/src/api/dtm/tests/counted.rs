//! Refused requests are counted on each wire.

use prost::Message as _;

use super::*;
use crate::api::Observed;
use crate::metrics::Metrics;

struct Counted {
    http: Router,
    grpc: Router,
    memory: Memory,
    metrics: Metrics,
    _lanes: Lanes,
}

impl Counted {
    fn start() -> Self {
        let memory = Memory::new("a");
        let store: Arc<dyn Store> = Arc::new(memory.clone());
        let caller: Arc<dyn Caller> = Arc::new(Silent);
        let metrics = Metrics::new();
        let lanes =
            Lanes::start(&store, &caller, &metrics, &trine_clock::Clock::system(), Options::default());
        let rendered = Arc::new(String::new);
        let front =
            Front::new(lanes.handle().clone(), store, Duration::from_secs(10), BODY_BYTES_MAX, rendered);
        let observed = Observed { metrics: metrics.clone(), counts_refusals: true, journal: None };
        let http = observed.clone().around(router(front.clone()));
        let grpc = observed.around(grpc_router(front));
        Self { http, grpc, memory, metrics, _lanes: lanes }
    }

    async fn submit_over_grpc(&self, request: &[u8]) -> Answered {
        let length = u32::try_from(request.len()).unwrap();
        let frame = [&[0][..], &length.to_be_bytes(), request].concat();
        let request = Request::post("/dtmgimp.Dtm/Submit").header("content-type", "application/grpc");
        answered(self.grpc.clone().oneshot(request.body(Body::from(frame)).unwrap()).await.unwrap()).await
    }

    #[track_caller]
    fn counts(&self, reason: &str, count: u64) {
        let text = self.metrics.render();
        let line = format!("trine_admission_rejections_total{{reason=\"{reason}\"}} {count}\n");
        assert!(text.contains(&line), "no {line}in {text}");
    }
}

#[derive(prost::Message)]
struct Submitted {
    #[prost(string, tag = "1")]
    gid: String,
    #[prost(string, tag = "2")]
    trans_type: String,
}

const RPC: &str = r#"{"jsonrpc":"2.0","id":"1","method":"submit","params":{"gid":"g","trans_type":"saga"}}"#;

#[tokio::test]
async fn a_store_that_is_gone_counts_once_a_request() {
    let counted = Counted::start();
    counted.memory.faults().set_writes_down(true);
    counted.memory.faults().set_reads_down(true);
    let body = r#"{"gid":"g","trans_type":"saga"}"#;
    send(&counted.http, Method::POST, "/api/dtmsvr/submit", body).await;
    counted.counts("store_unavailable", 1);
    send(&counted.http, Method::POST, "/api/json-rpc", RPC).await;
    counted.counts("store_unavailable", 2);
    send(&counted.http, Method::GET, "/api/dtmsvr/all", "").await;
    counted.counts("store_unavailable", 3);
    let submitted = Submitted { gid: "g".into(), trans_type: "saga".into() };
    let answered = counted.submit_over_grpc(&submitted.encode_to_vec()).await;
    assert_eq!(answered.header("grpc-status"), "14");
    counted.counts("store_unavailable", 4);
}

#[tokio::test]
async fn requests_to_a_stopping_coordinator_are_counted_as_shutting_down() {
    let Counted { http, metrics, _lanes: lanes, .. } = Counted::start();
    lanes.stop().await;
    send(&http, Method::POST, "/api/dtmsvr/submit", r#"{"gid":"g","trans_type":"saga"}"#).await;
    assert!(metrics.render().contains("trine_admission_rejections_total{reason=\"shutting_down\"} 1\n"));
}

#[tokio::test]
async fn bodies_that_are_too_large_count() {
    let counted = Counted::start();
    let large = " ".repeat(BODY_BYTES_MAX + 1);
    let answered = send(&counted.http, Method::POST, "/api/dtmsvr/submit", &large).await;
    assert_eq!(answered.status, StatusCode::PAYLOAD_TOO_LARGE);
    counted.counts("body_too_large", 1);
    let answered = counted.submit_over_grpc(large.as_bytes()).await;
    assert_eq!(answered.header("grpc-status"), "8");
    counted.counts("body_too_large", 2);
}

#[tokio::test]
async fn errors_of_the_request_are_not_counted() {
    let counted = Counted::start();
    send(&counted.http, Method::POST, "/api/dtmsvr/submit", "{").await;
    send(&counted.http, Method::POST, "/api/dtmsvr/abort", r#"{"gid":"nobody"}"#).await;
    counted.submit_over_grpc(&[]).await;
    for reason in ["busy", "store_unavailable", "shutting_down", "body_too_large"] {
        counted.counts(reason, 0);
    }
}
