//! gRPC against tonic's server, and against servers that keep to HTTP/2 and to nothing else.

mod broken;
mod connections;
mod tls;

use std::sync::Arc;

use bytes::Bytes;
use tokio::sync::mpsc;
use tonic::{Code, Response, Status};
use trine_engine::{Answer, Call, CallKey, Outcome, Payload};
use trine_protocol::limits::OUTPUT_BYTES_MAX;
use trine_protocol::{BranchId, Gid, Op, OutcomeKind, Pattern, Target, status_code};

use crate::grpc_server::{GrpcServer, metadata, ok};
use crate::on_paper::journal;
use crate::{Caller, Directory, Dispatcher, Options, Returned};

/// A message of protobuf: field 1 is text; and a byte that is no text.
const MESSAGE: &[u8] = b"\x0a\x03A-1\x10\xff\x01";

fn caller() -> Dispatcher {
    caller_with(Options::default())
}

fn caller_with(options: Options) -> Dispatcher {
    Dispatcher::new(options, Arc::new(Directory::new()), journal())
}

fn call(target: &str) -> Call {
    Call {
        gid: Gid::parse("order-42").unwrap(),
        pattern: Pattern::Saga,
        key: CallKey { branch: Some(0), op: Op::Action, attempt: 3 },
        branch: Some(BranchId::parse("stock").unwrap()),
        target: Target::parse(target).unwrap(),
        payload: Payload::raw(MESSAGE),
        timeout_ms: 30_000,
        fence: 17,
        terms: None,
    }
}

async fn answer_of(caller: &Dispatcher, call: Call) -> Answer {
    match caller.call(call).await {
        Returned::Answer(answer) => answer,
        Returned::NotSent { .. } | Returned::Held { .. } => panic!("not sent"),
    }
}

fn error_of(answer: &Answer) -> &str {
    answer.report.error.as_deref().unwrap_or_default()
}

fn done(output: &[u8]) -> Outcome {
    Outcome::Done { output: Payload::from(output), read_only: false }
}

#[tokio::test]
async fn messages_pass_both_ways_as_they_are() {
    let server = GrpcServer::start(async |request| ok(request.into_inner())).await;
    let large = vec![0xa5; 700_000];
    for (payload, output) in [
        (Payload::raw(MESSAGE), MESSAGE),
        (Payload::raw(b""), b""),
        (Payload::default(), b""),
        (Payload::from("{ \"n\" : 1.0 }"), b"{ \"n\" : 1.0 }"),
        (Payload::raw(&large), b""),
    ] {
        let answer = answer_of(&caller(), Call { payload, ..call(&server.target("Reserve")) }).await;
        assert_eq!((answer.outcome, answer.report.status_code), (done(output), Some(0)));
    }
}

#[tokio::test]
async fn a_call_carries_its_identity_and_its_deadline() {
    let (tell, mut told) = mpsc::unbounded_channel();
    let server = GrpcServer::start(move |request| {
        let names = [
            "trine-gid",
            "trine-branch",
            "trine-op",
            "trine-pattern",
            "trine-attempt",
            "trine-fence",
            "idempotency-key",
            "traceparent",
            "accept",
            "grpc-encoding",
        ];
        let seen = names.map(|name| metadata(&request, name)).join(" ");
        tell.send((seen, metadata(&request, "grpc-timeout"))).unwrap();
        async { ok("") }
    })
    .await;
    let caller = caller();
    answer_of(&caller, call(&server.target("Reserve"))).await;
    let (seen, timeout) = told.recv().await.unwrap();
    let trace = "00-3bf8b157c4238eefe5ae4a66eca81c6b-62aab193cc7ed756-01";
    assert_eq!(seen, format!("order-42 stock action saga 3 17 order-42/stock/action {trace}  "));
    let left_ms: u64 = timeout.strip_suffix('m').unwrap().parse().unwrap();
    assert!((1..=30_000).contains(&left_ms), "{timeout}");

    let check = Call {
        key: CallKey { branch: None, op: Op::Check, attempt: 1 },
        branch: None,
        payload: Payload::default(),
        ..call(&server.target("Check"))
    };
    assert_eq!(answer_of(&caller, check).await.outcome, done(b""));
    assert!(told.recv().await.unwrap().0.starts_with("order-42  check saga 1 17 order-42//check "));
}

#[tokio::test]
async fn every_status_arrives_with_its_words() {
    let server = GrpcServer::start(async |request: tonic::Request<Bytes>| {
        let code = Code::from_i32(i32::from(request.into_inner()[0]));
        if code == Code::Ok { ok(MESSAGE) } else { Err(Status::new(code, "nur noch 7 übrig\n")) }
    })
    .await;
    let caller = caller();
    for code in 0..=16u8 {
        let payload = Payload::raw(&[code]);
        let answer = answer_of(&caller, Call { payload, ..call(&server.target("Reserve")) }).await;
        assert_eq!(answer.report.status_code, Some(code.into()));
        let expected = match code {
            0 => done(MESSAGE),
            9 => Outcome::Ongoing { retry_after_ms: None },
            10 => Outcome::Refused { reason: "nur noch 7 übrig".into() },
            3 | 5 | 7 | 11 | 12 | 16 => Outcome::ClientError,
            _ => Outcome::Unknown,
        };
        assert_eq!(answer.outcome, expected, "{code}");
        let error = error_of(&answer);
        if expected.kind() == OutcomeKind::Unknown {
            assert!(error.starts_with(&status_code::in_words(code.into())), "{error}");
            assert!(error.ends_with(": nur noch 7 übrig"), "{error}");
        } else {
            assert_eq!(error, "");
        }
    }
    // Whoever came after the last: one connection served them all.
    assert_eq!(server.accepted(), 1);
}

#[tokio::test]
async fn hints_are_heard_in_the_head_and_in_the_trailers() {
    let server = GrpcServer::start(async |request| {
        if metadata(&request, "trine-op") == "prepare" {
            let mut response = Response::new(Bytes::new());
            response.metadata_mut().insert("trine-vote", "read-only".parse().unwrap());
            return Ok(response);
        }
        let mut status = Status::unavailable("starting");
        status.metadata_mut().insert("retry-after", "3".parse().unwrap());
        Err(status)
    })
    .await;
    let mut prepare = call(&server.target("Prepare"));
    (prepare.key.op, prepare.pattern) = (Op::Prepare, Pattern::TwoPhase);
    let outcome = answer_of(&caller(), prepare).await.outcome;
    assert_eq!(outcome, Outcome::Done { output: Payload::default(), read_only: true });
    let outcome = answer_of(&caller(), call(&server.target("Commit"))).await.outcome;
    assert_eq!(outcome, Outcome::Ongoing { retry_after_ms: Some(3_000) });
}

#[tokio::test]
async fn a_reply_too_large_to_keep_is_done_and_one_too_large_to_read_is_unknown() {
    let server = GrpcServer::start(async |request: tonic::Request<Bytes>| {
        let len = String::from_utf8(request.into_inner().to_vec()).unwrap().parse().unwrap();
        ok(vec![7; len])
    })
    .await;
    let caller = caller();
    let reply = async |len: usize| {
        let payload = Payload::from(len.to_string().as_str());
        answer_of(&caller, Call { payload, ..call(&server.target("Reserve")) }).await
    };
    assert_eq!(reply(OUTPUT_BYTES_MAX).await.outcome, done(&[7; OUTPUT_BYTES_MAX]));
    for len in [OUTPUT_BYTES_MAX + 1, 3 << 20] {
        let answer = reply(len).await;
        assert_eq!((&answer.outcome, answer.report.status_code), (&done(b""), Some(0)), "{len}");
        assert!(error_of(&answer).starts_with("reply larger than 16384 bytes"), "{answer:?}");
    }
    let answer = reply(5 << 20).await;
    assert_eq!((&answer.outcome, answer.report.status_code), (&Outcome::Unknown, None));
    assert!(error_of(&answer).contains("answered with more than 4194304 bytes"), "{answer:?}");
}

#[tokio::test]
async fn a_method_nobody_serves_is_unimplemented() {
    let server = GrpcServer::start(async |_| ok("")).await;
    let answer = answer_of(&caller(), call(&format!("grpc://{}/shop.v2.Stock/Reserve", server.host))).await;
    assert_eq!((&answer.outcome, answer.report.status_code), (&Outcome::ClientError, Some(12)));
    assert!(error_of(&answer).contains("no such method"), "{answer:?}");
}
