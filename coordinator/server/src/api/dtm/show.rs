//! Turns the state of a transaction into dtm's documents and words.

use std::collections::BTreeMap;

use serde_json::json;
use trine_engine::{Branch as EngineBranch, Event, OpState, Record, RollbackCause, Spec, Transaction};
use trine_protocol::dtm::{CallProtocol, Terms, TransType, op, status};
use trine_protocol::{BranchId, Gid, Op, Pattern, Status, Target, Timestamp};

use super::plan;
use super::view::{Branch, Global};

/// dtm's word for a status.
pub(super) fn status(status: Status) -> &'static str {
    match status {
        Status::Open => status::PREPARED,
        Status::Running | Status::Committing => status::SUBMITTED,
        Status::RollingBack => status::ABORTING,
        Status::Committed => status::SUCCEED,
        Status::RolledBack => status::FAILED,
    }
}

/// The terms of a transaction. For a native transaction: the terms that it would have here.
pub(super) fn terms(transaction: &Transaction) -> Terms {
    terms_of(transaction.spec(), transaction.gid())
}

/// The same, from a spec.
pub(super) fn terms_of(spec: &Spec, gid: &Gid) -> Terms {
    let kept = spec.terms.as_deref().and_then(Terms::decode);
    kept.unwrap_or_else(|| Terms {
        gid: gid.to_string(),
        trans_type: plan::kind(spec.pattern),
        protocol: CallProtocol::Http,
        branch_headers: BTreeMap::new(),
        wait_result: false,
        timeout_to_fail: 0,
        request_timeout: 0,
        retry_interval: 0,
        retry_limit: 0,
        concurrent: false,
        custom_data: String::new(),
        query_prepared: String::new(),
        workflow: String::new(),
    })
}

/// The reason of a rollback; empty if there is none.
pub(super) fn rollback_reason(transaction: &Transaction, terms: &Terms) -> String {
    match transaction.cause() {
        Some(RollbackCause::Refused { branch, reason }) => {
            let known = transaction.branches().iter().find(|known| known.spec.id == *branch);
            let url = known.and_then(|known| known.spec.forward.as_ref()).map(url).unwrap_or_default();
            with_failure(&format!("url:{url} return failed: {reason}"))
        }
        Some(RollbackCause::Deadline { .. }) => {
            let given = terms.timeout_to_fail;
            format!("Timeout after {} seconds", if given > 0 { given } else { plan::TIMEOUT_TO_FAIL_S })
        }
        Some(RollbackCause::Aborted { reason }) => reason.clone().unwrap_or_default(),
        Some(RollbackCause::Exhausted { .. }) => {
            format!("RetryCount is greater than RetryLimit, RetryLimit: {}", terms.retry_limit)
        }
        Some(RollbackCause::CheckRefused { reason }) => reason.clone(),
        None => String::new(),
    }
}

/// Appends the word FAILURE, which clients look for, unless it is there.
pub(super) fn with_failure(text: &str) -> String {
    let text = text.trim_end();
    if text.ends_with(" FAILURE") { text.to_owned() } else { format!("{text} FAILURE") }
}

/// A transaction and the rows of its branches.
pub(super) fn whole(transaction: &Transaction, records: &[Record]) -> (Global, Vec<Branch>) {
    let terms = terms(transaction);
    let times = Times::of(records);
    let mut rows = Vec::new();
    for branch in transaction.branches() {
        for (op, word) in ops(transaction.pattern()) {
            rows.push(row(transaction, branch, op, word, &times));
        }
    }
    for (position, progress) in transaction.progress_made().iter().enumerate() {
        let at = times.progress.get(position).copied().unwrap_or(transaction.created_at()).to_string();
        rows.push(Branch {
            create_time: at.clone(),
            update_time: at.clone(),
            bin_data: progress.data.as_bytes().to_vec(),
            branch_id: progress.branch.to_string(),
            op: progress.op.clone(),
            status: if progress.done { status::SUCCEED } else { status::FAILED }.into(),
            finish_time: progress.done.then(|| at.clone()),
            rollback_time: (!progress.done).then_some(at),
            ..Branch::default()
        });
    }
    for (row, id) in rows.iter_mut().zip(1..) {
        row.id = id;
        row.gid.clone_from(&terms.gid);
    }
    (global(transaction, &terms), rows)
}

/// A transaction without its branches.
pub(super) fn global(transaction: &Transaction, terms: &Terms) -> Global {
    let settled_at = |status: Status| {
        transaction.settled_at().filter(|_| transaction.status() == status).map(|at| at.to_string())
    };
    let wake_at = transaction.agenda(transaction.updated_at()).wake_at;
    let result = transaction.result().map(|result| String::from_utf8_lossy(result.as_bytes()).into_owned());
    Global {
        id: 0,
        create_time: transaction.created_at().to_string(),
        update_time: transaction.updated_at().to_string(),
        gid: terms.gid.clone(),
        trans_type: terms.trans_type.as_str().into(),
        status: status(transaction.status()).into(),
        query_prepared: terms.query_prepared.clone(),
        protocol: terms.protocol.as_str().into(),
        finish_time: settled_at(Status::Committed),
        rollback_time: settled_at(Status::RolledBack),
        result: result.unwrap_or_default(),
        rollback_reason: rollback_reason(transaction, terms),
        options: options(terms),
        custom_data: terms.custom_data.clone(),
        next_cron_interval: Some(plan::interval_s(terms)),
        next_cron_time: wake_at.filter(|at| *at < Timestamp::MAX).map(|at| at.to_string()),
        owner: String::new(),
        concurrent: terms.concurrent,
    }
}

fn options(terms: &Terms) -> String {
    let mut options = serde_json::Map::new();
    let numbers = [
        ("timeout_to_fail", terms.timeout_to_fail),
        ("request_timeout", terms.request_timeout),
        ("retry_interval", terms.retry_interval),
        ("retry_limit", terms.retry_limit),
    ];
    options.extend(
        numbers.into_iter().filter(|(_, value)| *value != 0).map(|(key, value)| (key.into(), json!(value))),
    );
    if terms.wait_result {
        options.insert("wait_result".into(), json!(true));
    }
    if !terms.branch_headers.is_empty() {
        options.insert("branch_headers".into(), json!(terms.branch_headers));
    }
    options.insert("concurrent".into(), json!(terms.concurrent));
    serde_json::Value::Object(options).to_string()
}

/// The rows of a branch. Clients rely on their order.
fn ops(pattern: Pattern) -> Vec<(Op, &'static str)> {
    match plan::kind(pattern) {
        TransType::Saga => vec![(Op::Compensate, op::COMPENSATE), (Op::Action, op::ACTION)],
        TransType::Tcc => vec![(Op::Cancel, op::CANCEL), (Op::Confirm, op::CONFIRM)],
        TransType::Xa => vec![(Op::Rollback, op::ROLLBACK), (Op::Commit, op::COMMIT)],
        TransType::Msg => vec![(Op::Deliver, op::ACTION)],
        TransType::Workflow => Vec::new(),
    }
}

fn row(transaction: &Transaction, branch: &EngineBranch, op: Op, word: &str, times: &Times) -> Branch {
    let spec = &branch.spec;
    let state = row_status(transaction, branch, op);
    let created = times.registered.get(&spec.id).copied().unwrap_or(transaction.created_at());
    let updated = times.answered.get(&(spec.id.clone(), op)).copied().unwrap_or(created);
    Branch {
        id: 0,
        create_time: created.to_string(),
        update_time: updated.to_string(),
        gid: String::new(),
        url: spec.target(transaction.pattern(), op).map(url).unwrap_or_default(),
        bin_data: spec.payload.as_bytes().to_vec(),
        branch_id: spec.id.to_string(),
        op: word.into(),
        status: state.into(),
        finish_time: (state == status::SUCCEED).then(|| updated.to_string()),
        rollback_time: (state == status::FAILED).then(|| updated.to_string()),
    }
}

fn row_status(transaction: &Transaction, branch: &EngineBranch, op: Op) -> &'static str {
    let pattern = transaction.pattern();
    if op == Op::forward(pattern) {
        // An op without a target counts as done from the start.
        return match branch.forward.state {
            OpState::Done { .. } if branch.exposed => status::SUCCEED,
            OpState::Refused { .. } => status::FAILED,
            OpState::Done { .. } | OpState::Pending | OpState::Waiting { .. } | OpState::Parked { .. } => {
                status::PREPARED
            }
        };
    }
    let decided = match transaction.status() {
        Status::Committing | Status::Committed => Op::on_commit(pattern),
        Status::RollingBack | Status::RolledBack => Op::on_rollback(pattern),
        Status::Open | Status::Running => None,
    };
    let nothing_to_do = branch.exposed
        && spec_has_no_target(branch, pattern, op)
        && transaction.status().is_settled()
        && transaction.forced().is_none();
    let succeed = decided == Some(op) && (branch.finish().is_done() || nothing_to_do);
    if succeed { status::SUCCEED } else { status::PREPARED }
}

fn spec_has_no_target(branch: &EngineBranch, pattern: Pattern, op: Op) -> bool {
    branch.spec.target(pattern, op).is_none()
}

/// A target as the client wrote it.
fn url(target: &Target) -> String {
    let text = target.as_str();
    text.strip_prefix("grpc://").unwrap_or(text).to_owned()
}

/// The times of a transaction's events.
#[derive(Default)]
struct Times {
    registered: BTreeMap<BranchId, Timestamp>,
    answered: BTreeMap<(BranchId, Op), Timestamp>,
    progress: Vec<Timestamp>,
}

impl Times {
    fn of(records: &[Record]) -> Self {
        let mut times = Self::default();
        for record in records {
            match &record.event {
                Event::BranchRegistered { branch } => {
                    times.registered.insert(branch.id.clone(), record.at);
                }
                Event::CallAnswered { branch: Some(branch), op, .. } => {
                    times.answered.insert((branch.clone(), *op), record.at);
                }
                Event::Progressed { .. } => times.progress.push(record.at),
                _ => {}
            }
        }
        times
    }
}
