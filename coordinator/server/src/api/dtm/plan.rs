//! Turns a request into a spec for the engine.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use base64::Engine as _;
use serde::Deserialize;
use trine_engine::{
    BranchSpec, CallPolicy, Digest, Draft, FinishOrder, OnExhausted, Payload, RetryPolicy, SharedPolicy,
    Spec, SpecErrorKind,
};
use trine_protocol::dtm::{BranchRequest, CallProtocol, Step, Terms, TransRequest, TransType};
use trine_protocol::limits::{BRANCHES_MAX, DURATION_MS_MAX};
use trine_protocol::{BranchId, Pattern, Target};

use super::branch_headers;
use super::outcome::{DtmError, clip};

/// Seconds between attempts, when a request names none.
const RETRY_INTERVAL_S: i64 = 10;
/// Seconds that an initiator may be silent, when a request names none.
pub(super) const TIMEOUT_TO_FAIL_S: i64 = 35;
/// Seconds one call may take, when a request names none.
const REQUEST_TIMEOUT_S: i64 = 3;
/// Longest pause between two attempts. dtm has no such limit and no jitter.
const RETRY_INTERVAL_MS_MAX: u64 = 300_000;
const JITTER_PERMILLE: u32 = 100;
/// Largest `retry_limit` whose attempts follow each other without a pause.
const ATTEMPTS_AT_ONCE_MAX: u32 = 10;
/// Longest pause between two callbacks to a workflow's executor that does not answer.
const CALLBACK_INTERVAL_MS_MAX: u64 = 60_000;

/// The same digest for every creation: in this dialect only the gid identifies a transaction, so the engine must accept any
/// repetition. `repeated` compares the steps with the record afterwards.
const DIGEST: Digest = Digest([0xd7; 32]);

/// Prefix of a message's action that means the subscribers of a topic.
pub(super) const TOPIC: &str = "topic://";

/// The URLs of a topic's subscribers, by topic.
pub(super) type Topics = BTreeMap<String, Vec<String>>;

/// The topics of a message's `topic://` steps, each once.
pub(super) fn topics_of(request: &TransRequest) -> BTreeSet<&str> {
    let steps = request.steps.iter().take(BRANCHES_MAX);
    steps.filter_map(|step| step.action.strip_prefix(TOPIC)).collect()
}

/// The spec of a transaction: `open` (prepared), or running at once.
pub(super) fn spec(
    request: &TransRequest,
    kind: TransType,
    open: bool,
    topics: &Topics,
) -> Result<Spec, DtmError> {
    if request.steps.len() > BRANCHES_MAX {
        return Err(too_many());
    }
    let terms = terms(request, kind)?;
    let policy = SharedPolicy::from(policy(&terms));
    let pattern = pattern(kind);
    let timeout = if terms.timeout_to_fail > 0 { terms.timeout_to_fail } else { TIMEOUT_TO_FAIL_S };
    let mut draft = Draft { open, check_call: policy.clone(), digest: DIGEST, ..Draft::new(pattern) };
    match kind {
        TransType::Saga => {
            draft.deadline_ms = (terms.timeout_to_fail > 0).then(|| millis(terms.timeout_to_fail));
            draft.branches = saga(request, &terms, &policy)?.into_iter().map(Arc::new).collect();
        }
        TransType::Msg => {
            draft.branches = message(request, &terms, &policy, topics)?.into_iter().map(Arc::new).collect();
            draft.check_after_ms = millis(timeout);
            draft.check = if open { target(&request.query_prepared, terms.protocol)? } else { None };
            draft.start_delay_ms = delay_ms(&request.custom_data)?;
        }
        TransType::Tcc | TransType::Xa => {
            draft.open = true;
            draft.deadline_ms = Some(millis(timeout));
            let tcc = kind == TransType::Tcc;
            draft.finish_order = if tcc { FinishOrder::LastToFirst } else { FinishOrder::FirstToLast };
        }
        TransType::Workflow => {
            draft.open = true;
            draft.check = target(&request.query_prepared, terms.protocol)?;
            draft.check_payload = Payload::from(workflow(&request.custom_data)?.1.as_slice());
            draft.check_after_ms = millis(interval_s(&terms));
            let retry = RetryPolicy {
                initial_ms: policy.ongoing_ms,
                max_interval_ms: policy.ongoing_ms.max(CALLBACK_INTERVAL_MS_MAX),
                ..policy.retry
            };
            draft.check_call = CallPolicy { retry, ..*policy }.into();
        }
    }
    draft.terms = Some(terms.encode().into());
    draft.build().map_err(|error| DtmError::Other(error.to_string()))
}

/// A branch to register. `terms` are those of its transaction.
pub(super) fn branch(
    request: &BranchRequest,
    kind: TransType,
    terms: &Terms,
) -> Result<BranchSpec, DtmError> {
    let url = |key: &str| target(request.data.get(key).map_or("", String::as_str), terms.protocol);
    let (on_commit, on_rollback) = match kind {
        TransType::Xa => (url("url")?, url("url")?),
        TransType::Saga | TransType::Tcc | TransType::Msg | TransType::Workflow => {
            (url("confirm")?, url("cancel")?)
        }
    };
    let branch = row(branch_id(&request.branch_id)?, None, &request.payload, &policy(terms).into());
    Ok(BranchSpec { on_commit, on_rollback, ..branch })
}

/// Trine's pattern for dtm's type.
pub(super) fn pattern(kind: TransType) -> Pattern {
    match kind {
        TransType::Saga => Pattern::Saga,
        TransType::Tcc => Pattern::Tcc,
        TransType::Xa => Pattern::TwoPhase,
        TransType::Msg => Pattern::Message,
        TransType::Workflow => Pattern::Workflow,
    }
}

/// dtm's type for Trine's pattern.
pub(super) fn kind(pattern: Pattern) -> TransType {
    match pattern {
        Pattern::Saga => TransType::Saga,
        Pattern::Tcc => TransType::Tcc,
        Pattern::TwoPhase => TransType::Xa,
        Pattern::Message => TransType::Msg,
        Pattern::Workflow => TransType::Workflow,
    }
}

/// Seconds between attempts of an ongoing op.
pub(super) fn interval_s(terms: &Terms) -> i64 {
    match (terms.retry_interval, terms.timeout_to_fail) {
        (1.., _) => terms.retry_interval,
        (_, timeout) if (1..RETRY_INTERVAL_S).contains(&timeout) => timeout,
        (_, _) => RETRY_INTERVAL_S,
    }
}

/// Parses a branch id.
pub(super) fn branch_id(text: &str) -> Result<BranchId, DtmError> {
    BranchId::parse(text).map_err(|error| DtmError::Other(format!("branch_id {error}")))
}

/// How old a message must be before it is delivered.
pub(super) fn delay_ms(custom_data: &str) -> Result<u64, DtmError> {
    #[derive(Deserialize, Default)]
    struct Custom {
        #[serde(default)]
        delay: Option<i64>,
    }
    Ok(custom::<Custom>(custom_data)?.delay.map_or(0, millis))
}

/// The protocol for calls to participants.
pub(super) fn protocol(request: &TransRequest) -> Result<CallProtocol, DtmError> {
    match request.protocol.as_str() {
        "" | "http" => Ok(CallProtocol::Http),
        "grpc" => Ok(CallProtocol::Grpc),
        "json-rpc" => Ok(CallProtocol::JsonRpc),
        other => Err(DtmError::Other(format!("unknown protocol: {}", clip(other)))),
    }
}

fn terms(request: &TransRequest, kind: TransType) -> Result<Terms, DtmError> {
    let options = &request.options;
    let protocol = protocol(request)?;
    branch_headers::check(&options.branch_headers, protocol)?;
    let workflow = match kind {
        TransType::Workflow => workflow(&request.custom_data)?.0,
        TransType::Saga | TransType::Tcc | TransType::Xa | TransType::Msg => String::new(),
    };
    Ok(Terms {
        gid: request.gid.clone(),
        trans_type: kind,
        protocol,
        branch_headers: options.branch_headers.clone(),
        wait_result: options.wait_result,
        timeout_to_fail: options.timeout_to_fail,
        request_timeout: options.request_timeout,
        retry_interval: options.retry_interval,
        retry_limit: options.retry_limit,
        concurrent: options.concurrent,
        custom_data: request.custom_data.clone(),
        query_prepared: request.query_prepared.clone(),
        workflow,
    })
}

/// The policy of calls: after an unknown answer the pauses are 2, 4, 8 … intervals, after an ongoing one always one interval.
fn policy(terms: &Terms) -> CallPolicy {
    let interval_ms = millis(interval_s(terms));
    let initial_ms = interval_ms.saturating_mul(2);
    let timeout = if terms.request_timeout > 0 { terms.request_timeout } else { REQUEST_TIMEOUT_S };
    CallPolicy {
        timeout_ms: millis(timeout),
        retry: RetryPolicy {
            initial_ms,
            factor_permille: 2_000,
            max_interval_ms: initial_ms.max(RETRY_INTERVAL_MS_MAX),
            jitter_permille: JITTER_PERMILLE,
            max_attempts: None,
            ..RetryPolicy::default()
        },
        on_exhausted: OnExhausted::Park,
        ongoing_ms: interval_ms,
        ongoing_counts: false,
    }
}

/// The policy for a saga's actions with a `retry_limit`: they are repeated at once, or with pauses if the limit is large, and then
/// the saga rolls back.
fn limited(terms: &Terms, policy: &CallPolicy) -> Option<CallPolicy> {
    let limit = u32::try_from(terms.retry_limit).ok().filter(|limit| *limit > 0)?;
    // Many attempts without a pause would flood the participant, and each is a record.
    let (initial_ms, factor_permille) = if limit <= ATTEMPTS_AT_ONCE_MAX { (0, 1_000) } else { (100, 2_000) };
    let retry = RetryPolicy {
        initial_ms,
        factor_permille,
        max_interval_ms: policy.ongoing_ms,
        jitter_permille: 0,
        max_attempts: Some(limit.saturating_add(1)),
        ..RetryPolicy::default()
    };
    Some(CallPolicy { retry, on_exhausted: OnExhausted::RollBack, ongoing_counts: true, ..*policy })
}

fn saga(request: &TransRequest, terms: &Terms, policy: &SharedPolicy) -> Result<Vec<BranchSpec>, DtmError> {
    #[derive(Deserialize, Default)]
    struct Custom {
        #[serde(default)]
        concurrent: Option<bool>,
        #[serde(default)]
        orders: Option<BTreeMap<String, Option<Vec<usize>>>>,
    }
    let custom: Custom = custom(&request.custom_data)?;
    let orders = custom.orders.unwrap_or_default();
    let forward = limited(terms, policy);
    let call =
        forward.map_or_else(|| policy.clone(), |forward| SharedPolicy::with_forward(**policy, forward));
    let mut branches = Vec::with_capacity(request.steps.len());
    for (position, step) in request.steps.iter().enumerate() {
        let mut before: Vec<usize> = orders.get(&position.to_string()).cloned().flatten().unwrap_or_default();
        if custom.concurrent != Some(true) && position > 0 {
            before.push(position - 1);
        }
        before.sort_unstable();
        before.dedup();
        let after = before.into_iter().map(|before| branch_id(&step_id(before))).collect::<Result<_, _>>()?;
        let forward = target(&step.action, terms.protocol)?;
        let branch = row(branch_id(&step_id(position))?, forward, payload(request, position)?, &call);
        let on_rollback = target(&step.compensate, terms.protocol)?;
        branches.push(BranchSpec { after, on_rollback, ..branch });
    }
    Ok(branches)
}

fn message(
    request: &TransRequest,
    terms: &Terms,
    policy: &SharedPolicy,
    topics: &Topics,
) -> Result<Vec<BranchSpec>, DtmError> {
    let mut branches: Vec<BranchSpec> = Vec::with_capacity(request.steps.len());
    for (position, step) in request.steps.iter().enumerate() {
        let payload = payload(request, position)?;
        for (id, url) in deliveries(position, step, topics)? {
            let mut branch = row(branch_id(&id)?, target(url, terms.protocol)?, payload, policy);
            if !terms.concurrent {
                branch.after = branches.last().map(|last| last.id.clone()).into_iter().collect();
            }
            branches.push(branch);
            // Each topic multiplies the branches, so check the limit inside the loop.
            if branches.len() > BRANCHES_MAX {
                return Err(too_many());
            }
        }
    }
    Ok(branches)
}

fn too_many() -> DtmError {
    DtmError::Other(format!("branches: {}", SpecErrorKind::TooManyBranches))
}

/// The deliveries of a message's step: one, or one for each subscriber of a topic.
fn deliveries<'a>(
    position: usize,
    step: &'a Step,
    topics: &'a Topics,
) -> Result<Vec<(String, &'a str)>, DtmError> {
    let id = step_id(position);
    let Some(topic) = step.action.strip_prefix(TOPIC) else { return Ok(vec![(id, &step.action)]) };
    match topics.get(topic).map(Vec::as_slice) {
        None | Some([]) => Err(DtmError::Other("topic not found".into())),
        Some([url]) => Ok(vec![(id, url)]),
        Some(urls) => Ok(urls
            .iter()
            .take(BRANCHES_MAX + 1)
            .zip(1..)
            .map(|(url, n)| (format!("{id}-{n:02}"), url.as_str()))
            .collect()),
    }
}

fn row(id: BranchId, forward: Option<Target>, payload: &[u8], call: &SharedPolicy) -> BranchSpec {
    BranchSpec {
        id,
        forward,
        on_commit: None,
        on_rollback: None,
        payload: Payload::from(payload),
        after: Box::default(),
        call: call.clone(),
        digest: DIGEST,
    }
}

/// The branch id of a step, and the prefix of the ids of its deliveries.
pub(super) fn step_id(position: usize) -> String {
    format!("{:02}", position.saturating_add(1))
}

fn payload(request: &TransRequest, position: usize) -> Result<&[u8], DtmError> {
    let payload = request.payloads.get(position).map(Vec::as_slice);
    payload.ok_or_else(|| DtmError::Other("payloads: there are fewer of them than steps".into()))
}

/// The target of a URL. An empty URL has no target: there is nothing to call.
pub(super) fn target(url: &str, protocol: CallProtocol) -> Result<Option<Target>, DtmError> {
    if url.is_empty() {
        return Ok(None);
    }
    let scheme = url.split_once("://").map_or("", |(scheme, _)| scheme);
    let is_http = ["http", "https"].iter().any(|known| scheme.eq_ignore_ascii_case(known));
    let wrong = |why: String| DtmError::Other(format!("url {}: {why}", clip(url)));
    if !is_http && protocol == CallProtocol::Http {
        return Err(wrong("it must begin with http:// or https://, unless the protocol is grpc".into()));
    }
    let text = if is_http { printable(url) } else { format!("grpc://{url}") };
    Target::parse(&text).map(Some).map_err(|error| wrong(error.to_string()))
}

/// Percent-encodes characters that a URL cannot contain, and removes the fragment, as dtm does.
fn printable(url: &str) -> String {
    let url = url.split('#').next().unwrap_or_default();
    let encoded = |byte: u8| {
        if byte.is_ascii_graphic() && !matches!(byte, b'"' | b'<' | b'>' | b'`' | b'\\') {
            char::from(byte).to_string()
        } else {
            format!("%{byte:02X}")
        }
    };
    url.bytes().map(encoded).collect()
}

/// A workflow's name and its input.
fn workflow(custom_data: &str) -> Result<(String, Vec<u8>), DtmError> {
    #[derive(Deserialize, Default)]
    struct Custom {
        #[serde(default)]
        name: Option<String>,
        #[serde(default)]
        data: Option<String>,
    }
    let Custom { name, data } = custom(custom_data)?;
    let input = base64::engine::general_purpose::STANDARD.decode(data.unwrap_or_default());
    let input = input.map_err(|_| DtmError::Other("custom_data: `data` is not base64".into()))?;
    Ok((name.unwrap_or_default(), input))
}

fn custom<T: Default + serde::de::DeserializeOwned>(custom_data: &str) -> Result<T, DtmError> {
    if custom_data.trim().is_empty() {
        return Ok(T::default());
    }
    let wrong =
        |error: serde_json::Error| DtmError::Other(format!("custom_data: {}", clip(&error.to_string())));
    // As lenient as for the body: keys in any case, the last one counts, null is the default.
    match serde_json::from_str(custom_data).map_err(wrong)? {
        serde_json::Value::Null => Ok(T::default()),
        serde_json::Value::Object(map) => {
            let map = map.into_iter().map(|(key, value)| (key.to_lowercase(), value)).collect();
            serde_json::from_value(serde_json::Value::Object(map)).map_err(wrong)
        }
        _ => Err(DtmError::Other("custom_data: not a JSON object".into())),
    }
}

fn millis(seconds: i64) -> u64 {
    u64::try_from(seconds).unwrap_or_default().saturating_mul(1_000).min(DURATION_MS_MAX)
}
