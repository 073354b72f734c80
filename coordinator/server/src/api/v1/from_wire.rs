//! Turns documents of the native API into types of the engine. A document with a wrong field is refused here. The engine checks
//! the rules that span branches.
//!
//! Nothing is looked up here: callers check that the names from [`participants_of`] are registered, and know which participants
//! are guarded.

pub(super) mod workflow;

use std::borrow::Cow;
use std::fmt;
use std::net::Ipv4Addr;
use std::sync::Arc;

use serde_json::value::RawValue;
use trine_engine::{BranchSpec, Draft, Exposure, Payload, SharedPolicy, Spec, SpecErrorKind};
use trine_protocol::errors::Code;
use trine_protocol::limits::{
    BRANCHES_MAX, CHECK_AFTER_MS_DEFAULT, LABEL_KEY_BYTES_MAX, LABEL_VALUE_BYTES_MAX, LABELS_MAX,
    OPEN_DEADLINE_MS_DEFAULT, TEXT_BYTES_MAX,
};
use trine_protocol::v1::{self, Branch, CreateTransaction, Options, Order};
use trine_protocol::{Op, Pattern, Target};
use url::Url;

use super::super::problem::{Refusal, echo};
use super::digest;
use super::options::{branch_policy, duration, transaction_policy};
use trine_protocol::json;

/// Turns a creation into a spec. `is_guarded`: whether all live instances of a participant run their ops behind a barrier.
pub(super) fn spec(
    mut request: CreateTransaction,
    is_guarded: impl Fn(&str) -> bool,
) -> Result<Spec, Refusal> {
    if request.branches.len() > BRANCHES_MAX {
        let kind = SpecErrorKind::TooManyBranches;
        return Err(Refusal::new(kind.code(), kind.to_string()).with_field("branches"));
    }
    if request.pattern == Pattern::Workflow {
        let detail = "a workflow is started by the program that executes it: POST /v1/workflows/{gid}, or the SDK's `workflow` module";
        return Err(Refusal::field("pattern", detail));
    }
    check_labels(&request)?;
    if let Some(check) = &request.check {
        check_target(&"check", check)?;
    }
    let policy = SharedPolicy::from(transaction_policy(&request.options)?);
    let exposure = exposure(&request, is_guarded)?;
    let mut branches = Vec::with_capacity(request.branches.len());
    for (position, branch) in request.branches.iter_mut().enumerate() {
        let at = format_args!("branches[{position}].");
        branches.push(branch_spec(at, request.pattern, request.open, branch, &policy)?);
    }
    arrange(&request, &mut branches)?;
    let times = Times::of(&request)?;
    let draft = Draft {
        open: request.open,
        deadline_ms: times.deadline_ms,
        start_delay_ms: times.start_delay_ms,
        check_after_ms: times.check_after_ms,
        // Branches that are registered later inherit this policy, too.
        check_call: policy,
        digest: digest::of_creation(&mut request, &branches),
        branches: branches.into_iter().map(Arc::new).collect(),
        exposure,
        labels: request.labels.into(),
        check: request.check,
        ..Draft::new(request.pattern)
    };
    draft.build().map_err(|error| {
        let field = spelt_as_given(&request.options, &error.field);
        Refusal::from(error).with_field(field)
    })
}

/// Turns a registration into a branch of an open transaction. `policy` holds for its calls where the branch states nothing else.
pub(super) fn registration(
    mut branch: Branch,
    pattern: Pattern,
    policy: &SharedPolicy,
) -> Result<BranchSpec, Refusal> {
    branch_spec(format_args!(""), pattern, true, &mut branch, policy)
}

/// The field name as the request spelt it. The engine names `deadline` even if the request had `deadline_ms`.
fn spelt_as_given(options: &Options, field: &str) -> String {
    let in_ms = match field {
        "options.deadline" => options.deadline_ms.is_some(),
        "options.start_delay" => options.start_delay_ms.is_some(),
        _ => false,
    };
    if in_ms { format!("{field}_ms") } else { field.to_owned() }
}

struct Times {
    deadline_ms: Option<u64>,
    start_delay_ms: u64,
    check_after_ms: u64,
}

impl Times {
    fn of(request: &CreateTransaction) -> Result<Self, Refusal> {
        let options = &request.options;
        let at = format_args!("options.");
        let deadline_ms = duration(at, "deadline", options.deadline, options.deadline_ms, 1)?;
        let start_delay_ms = duration(at, "start_delay", options.start_delay, options.start_delay_ms, 0)?;
        let check_after_ms = duration(at, "check_after", options.check_after, options.check_after_ms, 1)?;
        if check_after_ms.is_some() && !(request.open && request.pattern == Pattern::Message) {
            let name = if options.check_after.is_some() { "check_after" } else { "check_after_ms" };
            return Err(Refusal::field(format!("{at}{name}"), "only an open message is checked"));
        }
        let waits_for_initiator = request.open && matches!(request.pattern, Pattern::Tcc | Pattern::TwoPhase);
        Ok(Self {
            deadline_ms: deadline_ms.or(waits_for_initiator.then_some(OPEN_DEADLINE_MS_DEFAULT)),
            start_delay_ms: start_delay_ms.unwrap_or(0),
            check_after_ms: check_after_ms.unwrap_or(CHECK_AFTER_MS_DEFAULT),
        })
    }
}

fn check_labels(request: &CreateTransaction) -> Result<(), Refusal> {
    if request.labels.len() > LABELS_MAX {
        return Err(Refusal::field("labels", format!("has more than {LABELS_MAX} entries")));
    }
    for (key, value) in &request.labels {
        let field = || format!("labels.{}", echo(key));
        if !is_label_key(key) {
            let detail = format!("a label's key has 1 to {LABEL_KEY_BYTES_MAX} of A-Z a-z 0-9 . _ / -");
            return Err(Refusal::field(field(), detail));
        }
        if value.len() > LABEL_VALUE_BYTES_MAX || value.chars().any(char::is_control) {
            let detail = format!(
                "a label's value has at most {LABEL_VALUE_BYTES_MAX} bytes, none of them a control character"
            );
            return Err(Refusal::field(field(), detail));
        }
    }
    Ok(())
}

/// Keys contain neither `=` nor `:`, so that `key=value` and `key:value` can be parsed.
pub(crate) fn is_label_key(key: &str) -> bool {
    let good = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'/' | b'-');
    (1..=LABEL_KEY_BYTES_MAX).contains(&key.len()) && key.bytes().all(good)
}

/// A text for people that goes into the journal.
pub(crate) fn check_text(field: &str, text: &str) -> Result<(), Refusal> {
    if text.len() > TEXT_BYTES_MAX {
        return Err(Refusal::field(field, format!("has more than {TEXT_BYTES_MAX} bytes")));
    }
    if text.chars().any(char::is_control) {
        return Err(Refusal::field(field, "contains a control character"));
    }
    Ok(())
}

/// `at` is the path of the branch, with the dot at its end. Paths of fields are written only into errors.
fn branch_spec(
    at: fmt::Arguments<'_>,
    pattern: Pattern,
    open: bool,
    branch: &mut Branch,
    base: &SharedPolicy,
) -> Result<BranchSpec, Refusal> {
    let digest = digest::of_branch(branch);
    let branch = &*branch;
    for (op, target) in stated_ops(branch) {
        let field = || format!("{at}{op}");
        if op != Op::forward(pattern)
            && Some(op) != Op::on_commit(pattern)
            && Some(op) != Op::on_rollback(pattern)
        {
            return Err(Refusal::field(field(), format!("a {pattern} branch has no op `{op}`")));
        }
        if branch.url.is_some() {
            return Err(Refusal::field(field(), "give `url` or a target per op, not both"));
        }
        check_target(&format_args!("{at}{op}"), target)?;
    }
    if let Some(url) = &branch.url {
        check_target(&format_args!("{at}url"), url)?;
    }
    if branch.after.is_some() && matches!(pattern, Pattern::Tcc | Pattern::TwoPhase) {
        return Err(Refusal::field(format!("{at}after"), SpecErrorKind::OrderedPattern(pattern).to_string()));
    }
    // The initiator of an open tcc or two_phase drives the forward op itself.
    let driven_by_initiator = open && matches!(pattern, Pattern::Tcc | Pattern::TwoPhase);
    let target_of = |op: Op| stated_ops(branch).find(|(stated, _)| *stated == op).map(|(_, target)| target);
    let for_all = |op: Option<Op>| op.and(branch.url.as_ref());
    let (on_commit, on_rollback) = (Op::on_commit(pattern), Op::on_rollback(pattern));
    Ok(BranchSpec {
        id: branch.id.clone(),
        forward: target_of(Op::forward(pattern))
            .or(branch.url.as_ref().filter(|_| !driven_by_initiator))
            .cloned(),
        on_commit: on_commit.and_then(target_of).or(for_all(on_commit)).cloned(),
        on_rollback: on_rollback.and_then(target_of).or(for_all(on_rollback)).cloned(),
        payload: payload_of(at, branch)?,
        after: branch.after.clone().unwrap_or_default().into(),
        call: base.for_branch(branch_policy(format_args!("{at}options."), **base, &branch.options)?),
        digest,
    })
}

/// An absent payload becomes no bytes. The transport decides how this looks on the wire.
fn payload_of(at: fmt::Arguments<'_>, branch: &Branch) -> Result<Payload, Refusal> {
    match (branch.payload.as_deref().map(RawValue::get), &branch.payload_base64) {
        (None, None) => Ok(Payload::default()),
        (Some(json), None) if json::is_too_deep(json) => {
            let detail = format!("nests deeper than {} levels", json::DEPTH_MAX);
            Err(Refusal::field(format!("{at}payload"), detail))
        }
        (Some(json), None) => Ok(Payload::from(json)),
        (None, Some(bytes)) => Ok(Payload::raw(bytes.as_bytes())),
        (Some(_), Some(_)) => {
            let detail = "give `payload` or `payload_base64`, not both";
            Err(Refusal::field(format!("{at}payload_base64"), detail))
        }
    }
}

/// The ops that a branch states, with their targets.
fn stated_ops(branch: &Branch) -> impl Iterator<Item = (Op, &Target)> {
    let ops = [
        (Op::Action, &branch.action),
        (Op::Compensate, &branch.compensate),
        (Op::Try, &branch.try_),
        (Op::Confirm, &branch.confirm),
        (Op::Cancel, &branch.cancel),
        (Op::Prepare, &branch.prepare),
        (Op::Commit, &branch.commit),
        (Op::Rollback, &branch.rollback),
        (Op::Deliver, &branch.deliver),
    ];
    ops.into_iter().filter_map(|(op, target)| Some((op, target.as_ref()?)))
}

/// Gives the branches their order. If any branch states `after`, only the stated order holds.
fn arrange(request: &CreateTransaction, branches: &mut [BranchSpec]) -> Result<(), Refusal> {
    let field = "options.order";
    if let (Some(_), Pattern::Tcc | Pattern::TwoPhase) = (request.options.order, request.pattern) {
        let detail = format!("{} branches always run in parallel", request.pattern);
        return Err(Refusal::field(field, detail));
    }
    if request.branches.iter().any(|branch| branch.after.is_some()) {
        return match request.options.order {
            Some(_) => Err(Refusal::field(
                field,
                "a branch states `after`, so only the stated order holds; leave one of the two out",
            )),
            None => Ok(()),
        };
    }
    let in_sequence = match (request.options.order, request.pattern) {
        (Some(order), _) => order == Order::Sequence,
        (None, pattern) => pattern == Pattern::Saga,
    };
    if in_sequence {
        for position in 1..branches.len() {
            branches[position].after = [branches[position - 1].id.clone()].into();
        }
    }
    Ok(())
}

/// The stated exposure, or the one that `auto` resolves to. Both are the same request, so the digest is of the stated word.
fn exposure(request: &CreateTransaction, is_guarded: impl Fn(&str) -> bool) -> Result<Exposure, Refusal> {
    let guarded = |target: &Target| target.participant().is_some_and(|(name, _)| is_guarded(name));
    match request.options.exposure.unwrap_or(v1::Exposure::Auto) {
        v1::Exposure::Auto if request.pattern != Pattern::Saga => Ok(Exposure::Exact),
        v1::Exposure::Auto if request.branches.iter().flat_map(targets).all(guarded) => Ok(Exposure::Ahead),
        v1::Exposure::Auto => Ok(Exposure::Exact),
        stated if request.pattern != Pattern::Saga => {
            let detail = format!("only a saga is `ahead` or `exact`; leave it out for a {}", request.pattern);
            Err(Refusal::field("options.exposure", format!("`{}`: {detail}", stated.as_str())))
        }
        v1::Exposure::Ahead => Ok(Exposure::Ahead),
        v1::Exposure::Exact => Ok(Exposure::Exact),
    }
}

/// The targets of a branch.
fn targets(branch: &Branch) -> impl Iterator<Item = &Target> {
    branch.url.iter().chain(stated_ops(branch).map(|(_, target)| target))
}

/// Refuses a target that cannot be sent byte for byte. The parser of targets is more lenient, because it must also read the
/// journals of earlier versions.
fn check_target(field: &dyn fmt::Display, target: &Target) -> Result<(), Refusal> {
    target.check().map_err(|error| Refusal::field(field.to_string(), error.to_string()))?;
    let (authority, text): (_, Cow<'_, str>) = match (target.participant(), target.grpc()) {
        // Only the path is checked, so any host will do.
        (Some((_, path)), _) => ("participant.invalid", format!("http://participant.invalid{path}").into()),
        // gRPC is spoken over http, so the rules for hosts are the same.
        (None, Some(method)) => {
            (method.authority, format!("http://{}{}", method.authority, method.path).into())
        }
        (None, None) => (target.host(), target.as_str().into()),
    };
    let usable = if is_plain_host(authority) {
        true
    } else {
        let url = Url::parse(&text)
            .map_err(|error| Refusal::field(field.to_string(), format!("is no usable URL: {error}")))?;
        matches!(url.scheme(), "http" | "https") && url.host_str().is_some_and(|host| !host.is_empty())
    };
    let callable = usable && text.parse::<axum::http::Uri>().is_ok();
    if callable { Ok(()) } else { Err(Refusal::field(field.to_string(), "is no URL that can be called")) }
}

/// Whether the host is an IPv4 address, or a name that no rule of URLs concerns. Only other hosts (IPv6, punycode, numbers) need
/// the parser of URLs, which takes a large part of the time of a creation.
fn is_plain_host(authority: &str) -> bool {
    let host = authority.rsplit_once(':').map_or(authority, |(host, _)| host);
    let is_plain_label = |label: &str| {
        label.starts_with(|first: char| first.is_ascii_alphanumeric())
            && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_'))
            && !label.get(..4).is_some_and(|start| start.eq_ignore_ascii_case("xn--"))
    };
    // If the last label begins with a digit, the host may be a number.
    let last_is_word = host
        .rsplit('.')
        .next()
        .is_some_and(|last| last.starts_with(|first: char| first.is_ascii_alphabetic()));
    (last_is_word && host.split('.').all(is_plain_label)) || host.parse::<Ipv4Addr>().is_ok()
}

/// The participants that a creation names, each with its field.
pub(super) fn participants_of(request: &CreateTransaction) -> Vec<(String, String)> {
    let mut named: Vec<_> = request.check.iter().filter_map(|check| named_by(&"check", check)).collect();
    for (position, branch) in request.branches.iter().enumerate() {
        named.extend(participants_of_branch(format_args!("branches[{position}]."), branch));
    }
    named
}

/// The participants that one branch names, each with its field.
pub(super) fn participants_of_branch(at: fmt::Arguments<'_>, branch: &Branch) -> Vec<(String, String)> {
    let url = branch.url.iter().filter_map(|url| named_by(&format_args!("{at}url"), url));
    let ops = stated_ops(branch).filter_map(|(op, target)| named_by(&format_args!("{at}{op}"), target));
    url.chain(ops).collect()
}

fn named_by(field: &dyn fmt::Display, target: &Target) -> Option<(String, String)> {
    target.participant().map(|(name, _)| (field.to_string(), name.to_owned()))
}

/// The refusal for a participant that was never registered.
pub(super) fn unknown_participant(field: String, name: &str) -> Refusal {
    let hint = if matches!(name, "http" | "https" | "grpc" | "grpcs") {
        "; a URL begins with http://, https://, grpc:// or grpcs://"
    } else {
        ""
    };
    let detail =
        format!("participant `{}` was never registered; POST /v1/participants does that{hint}", echo(name));
    Refusal::new(Code::UnknownParticipant, detail).with_field(field)
}

#[cfg(test)]
mod tests;
