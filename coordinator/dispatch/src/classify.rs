//! From an HTTP answer in the native dialect to an outcome. Pure. The status decides, never words in a body.
//!
//! Not here: answers in the dtm dialect (`dtm`), whether an op may be refused at all (the engine knows), and answers that did
//! not arrive whole (`transport`).

use hyper::header::{HeaderMap, LOCATION, RETRY_AFTER};
use serde::Deserialize;
use trine_engine::{Outcome, Payload};
use trine_protocol::limits::OUTPUT_BYTES_MAX;
use trine_protocol::{Op, Timestamp, headers};

use super::answer::Classified;
use super::decode::Body;
use super::hints;
use super::text::clean;

/// What an answer to a call of this op means.
pub(super) fn classify(op: Op, status: u16, headers: &HeaderMap, body: &Body, now: Timestamp) -> Classified {
    if let Some(words) = conflict(status, headers, body) {
        return Classified::conflict(status, words);
    }
    let (outcome, error) = match status {
        200..=299 => done(op, headers, body),
        409 => (Outcome::Refused { reason: reason(headers, body) }, None),
        425 => hints::ongoing(headers.get(RETRY_AFTER), now),
        429 | 503 if headers.contains_key(RETRY_AFTER) => hints::ongoing(headers.get(RETRY_AFTER), now),
        _ if is_client_error(status) => (Outcome::ClientError, Some(clean(&advice(status, headers, body)))),
        _ => (Outcome::Unknown, Some(clean(&advice(status, headers, body)))),
    };
    Classified { status_code: status, outcome, parks: None, error }
}

/// True if repeating the unchanged request cannot succeed: the path, the method, the credentials or the payload is wrong. Every
/// 4xx is, except 408, 409, 412, 423, 424, 425 and 429, whose causes may pass without a change.
pub(super) fn is_client_error(status: u16) -> bool {
    match status {
        408 | 409 | 412 | 423 | 424 | 425 | 429 => false,
        301 | 308 | 400..=499 | 501 | 505 => true,
        _ => false,
    }
}

/// The conflict that the participant reports, if any, in words for an operator: its record of this gid and branch has another
/// journal or another payload. No retry helps then.
fn conflict(status: u16, headers: &HeaderMap, body: &Body) -> Option<String> {
    let meaning = hints::conflict(headers.get(headers::CONFLICT).filter(|_| status == 412))?;
    Some(clean(&with_words(status, meaning, &said(headers, body).unwrap_or_default())))
}

fn done(op: Op, headers: &HeaderMap, body: &Body) -> (Outcome, Option<String>) {
    let (read_only, vote_error) = hints::read_only(op, headers.get(headers::VOTE));
    let (output, output_error) = output(headers, body);
    (Outcome::Done { output, read_only }, vote_error.or(output_error).map(|error| clean(&error)))
}

/// The branch's output, and the reason if nothing of the body is kept.
pub(super) fn output(headers: &HeaderMap, body: &Body) -> (Payload, Option<String>) {
    let kept = match body {
        Body::Opaque { why, .. } => {
            return (Payload::default(), Some(format!("answer body {why}; not kept as the branch's output")));
        }
        Body::Whole(_) => Some(body.kept(headers)).filter(|kept| kept.len() <= OUTPUT_BYTES_MAX),
        // Keep no output rather than a part of one.
        Body::Cut(_) => None,
    };
    match kept {
        Some(kept) => (Payload::from(&*kept), None),
        None => {
            let error =
                format!("answer body larger than {OUTPUT_BYTES_MAX} bytes, not kept as the branch's output");
            (Payload::default(), Some(error))
        }
    }
}

/// Why a participant refused, in its own words.
fn reason(headers: &HeaderMap, body: &Body) -> String {
    said(headers, body).unwrap_or_else(|| hints::NO_REASON.into())
}

/// What a problem document says, or else the body as it is.
fn said(headers: &HeaderMap, body: &Body) -> Option<String> {
    /// The members of problem+json that say something.
    #[derive(Deserialize)]
    struct Problem {
        detail: Option<String>,
        title: Option<String>,
    }
    let problem = body.text(headers).and_then(|text| serde_json::from_str::<Problem>(&text).ok());
    let words = problem.and_then(|problem| problem.detail.or(problem.title)).map(|words| clean(&words));
    words
        .filter(|words| !words.is_empty())
        .or_else(|| Some(clean(&body.words(headers))))
        .filter(|words| !words.is_empty())
}

/// What the answer means and what to do about it, then its own words.
pub(super) fn advice(status: u16, headers: &HeaderMap, body: &Body) -> String {
    let meaning = match status {
        300..=399 => return redirect(status, headers),
        400 | 422 => {
            "the participant does not accept the request; compare the branch's payload with what it expects"
        }
        401 | 403 => "the participant demands other credentials",
        407 => "a proxy in front of the participant demands credentials",
        421 => "the host does not answer for this name; check the branch's URL",
        404 | 410 => "there is nothing at this path; check the branch's URL",
        405 => "the participant takes no POST at this path; check the branch's URL",
        408 => "the participant gave up waiting for the request",
        413 => "the payload is too large for the participant",
        415 => "the participant takes no JSON at this path; check the branch's URL",
        501 => "the participant does not do this; check the branch's URL",
        429 => "the participant limits the rate and names no Retry-After",
        503 => "the participant is not available and names no Retry-After",
        502 | 504 => "a gateway in front of the participant got no answer from it",
        100..=199 => "an interim answer that nothing followed",
        400..=499 => "the participant rejects the request; only 409 means a business refusal",
        500..=599 => "the participant failed; look at its log",
        _ => "not an HTTP status",
    };
    in_words(status, meaning, headers, body)
}

pub(super) fn in_words(status: u16, meaning: &str, headers: &HeaderMap, body: &Body) -> String {
    with_words(status, meaning, &clean(&body.words(headers)))
}

fn with_words(status: u16, meaning: &str, words: &str) -> String {
    let separator = if words.is_empty() { "" } else { ": " };
    format!("HTTP {status}: {meaning}{separator}{words}")
}

fn redirect(status: u16, headers: &HeaderMap) -> String {
    let to = headers.get(LOCATION).map(|to| String::from_utf8_lossy(to.as_bytes()).into_owned());
    // Only where it leads: a query may carry what nobody should see.
    let to = to.as_deref().and_then(|to| to.split(['?', '#']).next()).map(without_userinfo);
    let to = to.map(|to| format!(" to {to}")).unwrap_or_default();
    format!("HTTP {status}: a redirect{to}, which is not followed; give the branch the final URL")
}

fn without_userinfo(url: &str) -> String {
    let Some((scheme, rest)) = url.split_once("//") else { return url.to_owned() };
    let (authority, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
    let host = authority.rsplit_once('@').map_or(authority, |(_, host)| host);
    format!("{scheme}//{host}{path}")
}

#[cfg(test)]
#[path = "classify_tests.rs"]
mod tests;
