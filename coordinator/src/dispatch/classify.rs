//! From an HTTP answer to an outcome. Pure: natively the status decides, never words in a body. A [`Dialect`] has its own
//! requests, and its own reading of their answers.
//!
//! Not here: whether an op may be refused at all (the engine knows), and answers that did not arrive whole
//! (`transport`).

mod dtm;

use hyper::header::{CONTENT_ENCODING, HeaderMap, LOCATION, RETRY_AFTER};
use serde::Deserialize;
use trine_engine::{Outcome, Payload};
use trine_protocol::limits::OUTPUT_BYTES_MAX;
use trine_protocol::{Op, Timestamp, headers};

use super::hints;
use super::text::clean;

pub(super) use dtm::Dialect;

/// As much of an answer's body as was read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Body {
    /// All of it.
    Whole(Vec<u8>),
    /// Its first bytes: it is longer than what is read, and reading stopped.
    Cut(Vec<u8>),
}

impl Body {
    fn bytes(&self) -> &[u8] {
        match self {
            Self::Whole(bytes) | Self::Cut(bytes) => bytes,
        }
    }
}

/// The outcome, and what an operator should know about it.
pub(super) fn classify(
    op: Op,
    status: u16,
    headers: &HeaderMap,
    body: &Body,
    now: Timestamp,
) -> (Outcome, Option<String>) {
    match status {
        200..=299 => done(op, headers, body),
        409 => (Outcome::Refused { reason: reason(body) }, None),
        425 => hints::ongoing(headers.get(RETRY_AFTER), now),
        429 | 503 if headers.contains_key(RETRY_AFTER) => hints::ongoing(headers.get(RETRY_AFTER), now),
        _ if is_client_error(status) => (Outcome::ClientError, Some(clean(&advice(status, headers, body)))),
        _ => (Outcome::Unknown, Some(clean(&advice(status, headers, body)))),
    }
}

/// Whether the request is wrong for whoever is there, as it is: the path, the method, the credentials, the payload. What
/// may mend itself is none of these: rate limits, locks, timeouts, a redirect that is not for good.
pub(super) fn is_client_error(status: u16) -> bool {
    matches!(status, 301 | 308 | 400 | 401 | 403..=406 | 410 | 411 | 413..=415 | 422 | 426 | 431 | 501 | 505)
}

fn done(op: Op, headers: &HeaderMap, body: &Body) -> (Outcome, Option<String>) {
    let (read_only, vote_error) = hints::read_only(op, headers.get(headers::VOTE));
    let (output, output_error) = output(headers, body);
    (Outcome::Done { output, read_only }, vote_error.or(output_error).map(|error| clean(&error)))
}

/// What of a body is kept as the branch's output, and why nothing is.
fn output(headers: &HeaderMap, body: &Body) -> (Payload, Option<String>) {
    match (encoding(headers), body) {
        // A cut document would be a lie; none is a fact.
        (_, body) if matches!(body, Body::Cut(_)) || body.bytes().len() > OUTPUT_BYTES_MAX => (
            Payload::default(),
            Some(format!(
                "answer body larger than {OUTPUT_BYTES_MAX} bytes, not kept as the branch's output"
            )),
        ),
        (Some(encoding), body) if !body.bytes().is_empty() => (
            Payload::default(),
            Some(format!("answer body is encoded as {encoding}, which was not asked for; not kept")),
        ),
        (_, body) => (Payload::from(body.bytes()), None),
    }
}

/// The content encoding, if there is one that hides the content.
fn encoding(headers: &HeaderMap) -> Option<String> {
    let value = String::from_utf8_lossy(headers.get(CONTENT_ENCODING)?.as_bytes()).trim().to_owned();
    (!value.is_empty() && !value.eq_ignore_ascii_case("identity")).then_some(value)
}

/// Why a participant refused, in its own words.
fn reason(body: &Body) -> String {
    /// The members of problem+json that say something.
    #[derive(Deserialize)]
    struct Problem {
        detail: Option<String>,
        title: Option<String>,
    }
    let problem: Option<Problem> = serde_json::from_slice(body.bytes()).ok();
    let words = problem.and_then(|problem| problem.detail.or(problem.title)).map(|words| clean(&words));
    words
        .filter(|words| !words.is_empty())
        .or_else(|| Some(clean(&String::from_utf8_lossy(body.bytes()))))
        .filter(|words| !words.is_empty())
        .unwrap_or_else(|| hints::NO_REASON.into())
}

/// What the answer means and what to do about it, then its own words.
fn advice(status: u16, headers: &HeaderMap, body: &Body) -> String {
    let meaning = match status {
        300..=399 => return redirect(status, headers),
        400 | 422 => {
            "the participant does not accept the request; compare the branch's payload with what it expects"
        }
        401 | 403 => "the participant demands other credentials",
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
    in_words(status, meaning, body)
}

fn in_words(status: u16, meaning: &str, body: &Body) -> String {
    let words = clean(&String::from_utf8_lossy(body.bytes()));
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
