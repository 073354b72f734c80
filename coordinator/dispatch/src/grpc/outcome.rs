//! From a gRPC status to an outcome. Pure: natively the status decides, never words in a message.
//!
//! Not here: whether an op may be refused at all (the engine knows), and replies without a status (`failure`).

use tonic::Code;
use trine_engine::{Outcome, Payload};
use trine_protocol::limits::OUTPUT_BYTES_MAX;
use trine_protocol::{Op, Timestamp, headers, status_code};

use crate::answer::Classified;
use crate::grpc_wire::{Message, Reply};
use crate::hints;
use crate::text::clean;

/// When to ask again, in seconds or as an HTTP date.
const RETRY_AFTER: &str = "retry-after";

/// What a reply to a call of this op means.
pub(crate) fn classify(op: Op, reply: &Reply, now: Timestamp) -> Classified {
    let stated = reply.metadata(headers::CONFLICT).filter(|_| reply.status == Code::AlreadyExists);
    if let Some(meaning) = hints::conflict(stated) {
        return Classified::conflict(reply.status_code(), clean(&in_words(reply, meaning)));
    }
    let retry_after = reply.metadata(RETRY_AFTER);
    let (outcome, error) = match reply.status {
        Code::Ok => done(op, reply),
        Code::Aborted => (Outcome::Refused { reason: reason(&reply.words) }, None),
        Code::FailedPrecondition => hints::ongoing(retry_after, now),
        Code::ResourceExhausted | Code::Unavailable if retry_after.is_some() => {
            hints::ongoing(retry_after, now)
        }
        status if is_client_error(status) => (Outcome::ClientError, Some(clean(&advice(reply)))),
        _ => (Outcome::Unknown, Some(clean(&advice(reply)))),
    };
    Classified { status_code: reply.status_code(), outcome, parks: None, error }
}

/// True if repeating the unchanged request cannot succeed: the request, the target or the credentials must change.
fn is_client_error(status: Code) -> bool {
    matches!(
        status,
        Code::InvalidArgument
            | Code::NotFound
            | Code::PermissionDenied
            | Code::OutOfRange
            | Code::Unimplemented
            | Code::Unauthenticated
    )
}

fn done(op: Op, reply: &Reply) -> (Outcome, Option<String>) {
    let (read_only, vote_error) = hints::read_only(op, reply.metadata(headers::VOTE));
    let (output, output_error) = output(reply);
    (Outcome::Done { output, read_only }, vote_error.or(output_error).map(|error| clean(&error)))
}

/// The branch's output, and the reason if nothing of the reply is kept.
pub(crate) fn output(reply: &Reply) -> (Payload, Option<String>) {
    match &reply.message {
        Message::Whole(bytes) => (Payload::from(bytes.as_slice()), None),
        // Keep no output rather than a part of one.
        Message::TooLarge => {
            let error =
                format!("reply larger than {OUTPUT_BYTES_MAX} bytes, not kept as the branch's output");
            (Payload::default(), Some(error))
        }
        Message::BrokenOff => (Payload::default(), Some("the reply's message broke off; not kept".into())),
        Message::Several => {
            (Payload::default(), Some("more than one message in the reply; none kept".into()))
        }
        Message::Compressed => {
            let error = "the reply's message is compressed, which was not asked for; not kept";
            (Payload::default(), Some(error.into()))
        }
    }
}

/// Why a participant refused, in its own words.
fn reason(words: &str) -> String {
    let words = clean(words);
    if words.is_empty() { hints::NO_REASON.into() } else { words }
}

/// What the status means and what to do about it, then its own words.
pub(crate) fn advice(reply: &Reply) -> String {
    let meaning = match reply.status {
        Code::Cancelled => "the participant, or something on the way to it, cancelled the call",
        Code::InvalidArgument | Code::OutOfRange => {
            "the participant does not accept the request; compare the branch's payload with what it expects"
        }
        Code::DeadlineExceeded => "the participant ran out of time",
        Code::PermissionDenied | Code::Unauthenticated => "the participant demands other credentials",
        Code::ResourceExhausted => "the participant is at a limit and names no retry-after",
        Code::Unimplemented => {
            "there is no such method; check the service and the method in the branch's target"
        }
        Code::Unavailable => "the participant is not available and names no retry-after",
        Code::Unknown | Code::Internal | Code::DataLoss => "the participant failed; look at its log",
        _ => "the participant rejects the request; only ABORTED means a business refusal",
    };
    in_words(reply, meaning)
}

/// What a status means, then the participant's own words.
pub(crate) fn in_words(reply: &Reply, meaning: &str) -> String {
    let words = clean(&reply.words);
    let separator = if words.is_empty() { "" } else { ": " };
    format!("{}: {meaning}{separator}{words}", status_code::in_words(reply.status_code()))
}

#[cfg(test)]
mod tests;
