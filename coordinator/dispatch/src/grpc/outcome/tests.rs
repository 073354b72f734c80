//! Every status, with and without what may go with it.

use hyper::header::HeaderMap;
use trine_engine::ParkCause;
use trine_protocol::OutcomeKind;
use trine_protocol::limits::TEXT_BYTES_MAX;

use super::*;
use crate::grpc_wire::{Collector, frame};

const NOW: Timestamp = Timestamp::from_millis(784_111_777_000);

fn reply(status: u16, words: &str, message: &[u8], metadata: &[(&'static str, &str)]) -> Reply {
    let mut trailers: HeaderMap =
        metadata.iter().map(|(name, value)| (name.parse().unwrap(), value.parse().unwrap())).collect();
    trailers.insert("grpc-status", status.into());
    trailers.insert("grpc-message", words.parse().unwrap());
    let mut collector = Collector::default();
    assert!(collector.push(&frame(message)));
    Reply::new(HeaderMap::new(), Some(trailers), collector).unwrap()
}

fn done(output: &[u8], read_only: bool) -> Outcome {
    Outcome::Done { output: Payload::from(output), read_only }
}

#[test]
fn every_status_has_its_outcome_and_every_unknown_one_says_what_to_do() {
    for (status, name, words) in [
        (1, "CANCELLED", "cancelled the call"),
        (2, "UNKNOWN", "look at its log"),
        (3, "INVALID_ARGUMENT", "payload"),
        (4, "DEADLINE_EXCEEDED", "ran out of time"),
        (5, "NOT_FOUND", "only ABORTED means a business refusal"),
        (6, "ALREADY_EXISTS", "only ABORTED means a business refusal"),
        (7, "PERMISSION_DENIED", "credentials"),
        (8, "RESOURCE_EXHAUSTED", "names no retry-after"),
        (11, "OUT_OF_RANGE", "payload"),
        (12, "UNIMPLEMENTED", "no such method"),
        (13, "INTERNAL", "look at its log"),
        (14, "UNAVAILABLE", "names no retry-after"),
        (15, "DATA_LOSS", "look at its log"),
        (16, "UNAUTHENTICATED", "credentials"),
    ] {
        for op in Op::ALL {
            let classified = classify(op, &reply(status, "ABORTED", b"OK", &[]), NOW);
            let mistake = [3, 5, 7, 11, 12, 16].contains(&status);
            let expected = if mistake { Outcome::ClientError } else { Outcome::Unknown };
            assert_eq!((classified.status_code, classified.outcome), (status, expected), "{op} {name}");
            let error = classified.error.unwrap();
            assert!(error.starts_with(&format!("grpc status {status} {name}: ")), "{error}");
            assert!(error.contains(words) && error.ends_with(": ABORTED"), "{error}");
        }
    }
    for op in Op::ALL {
        let of = |status| classify(op, &reply(status, "ONGOING", b"FAILURE", &[]), NOW);
        let classified = |status_code, outcome| Classified { status_code, outcome, parks: None, error: None };
        assert_eq!(of(0), classified(0, done(b"FAILURE", false)), "{op}");
        assert_eq!(of(9), classified(9, Outcome::Ongoing { retry_after_ms: None }), "{op}");
        assert_eq!(of(10), classified(10, Outcome::Refused { reason: "ONGOING".into() }), "{op}");
    }
}

#[test]
fn a_stated_delay_makes_a_shortage_ongoing_and_nothing_else() {
    let after = |status, value: &str| {
        let classified = classify(Op::Confirm, &reply(status, "", b"", &[("retry-after", value)]), NOW);
        (classified.outcome, classified.error)
    };
    let ongoing = |retry_after_ms| Outcome::Ongoing { retry_after_ms };
    for status in [8, 9, 14] {
        assert_eq!(after(status, "3"), (ongoing(Some(3_000)), None), "{status}");
        let (outcome, error) = after(status, "soon");
        assert_eq!(outcome, ongoing(None), "{status}");
        assert!(error.unwrap().contains("`soon` cannot be read"), "{status}");
    }
    for status in [1, 2, 3, 4, 5, 6, 7, 11, 12, 13, 15, 16] {
        assert_eq!(after(status, "3").0.kind(), OutcomeKind::Unknown, "{status}");
    }
    assert_eq!(after(10, "3").0, Outcome::Refused { reason: "refused without a reason".into() });
}

#[test]
fn a_read_only_vote_counts_on_ok_to_prepare_alone() {
    let vote = |op, vote: &str| classify(op, &reply(0, "", b"", &[("trine-vote", vote)]), NOW);
    for op in Op::ALL {
        assert_eq!(vote(op, "Read-Only").outcome, done(b"", op == Op::Prepare), "{op}");
    }
    let classified = vote(Op::Prepare, "no");
    assert_eq!(classified.outcome, done(b"", false));
    assert!(classified.error.unwrap().contains("trine-vote: no is not a vote"));
}

#[test]
fn a_reason_is_bounded_and_fit_for_a_terminal() {
    let words = format!("%1B[2J{}", "x".repeat(2 * TEXT_BYTES_MAX));
    let classified = classify(Op::Try, &reply(10, &words, b"", &[]), NOW);
    let Outcome::Refused { reason } = classified.outcome else { panic!("not refused") };
    assert!(reason.len() <= TEXT_BYTES_MAX && !reason.contains(char::is_control), "{reason}");
}

#[test]
fn a_message_that_cannot_be_kept_leaves_done_done() {
    let classified = classify(Op::Try, &reply(0, "", &[7; OUTPUT_BYTES_MAX + 1], &[]), NOW);
    assert_eq!(classified.outcome, done(b"", false));
    assert!(classified.error.unwrap().starts_with("reply larger than 16384 bytes, not kept"));
}

#[test]
fn what_exists_already_for_somebody_else_parks() {
    let of =
        |status, metadata: &[_]| classify(Op::Try, &reply(status, "it is of journal 7", b"", metadata), NOW);
    let classified = of(6, &[("trine-conflict", "journal")]);
    assert_eq!((classified.outcome, classified.parks), (Outcome::Unknown, Some(ParkCause::Conflict)));
    let words = classified.error.unwrap();
    assert!(words.contains("from another journal") && words.ends_with(": it is of journal 7"), "{words}");
    assert_eq!(of(6, &[]).parks, None);
    assert_eq!(of(10, &[("trine-conflict", "journal")]).parks, None);
    assert_eq!(of(9, &[("trine-conflict", "journal")]).parks, None);
}
