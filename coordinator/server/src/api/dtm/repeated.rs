//! Compares a request with the record of its gid.
//!
//! If two transfers use one gid by mistake, the second one never runs, so its initiator must not be told a success. A request
//! without steps (the submit of a prepared transaction) has nothing to compare. Options and the subscribers of topics are not
//! compared, because subscribers come and go.

use std::sync::Arc;

use trine_engine::{BranchSpec, Spec};
use trine_protocol::dtm::{CallProtocol, Step, TransRequest, TransType};

use super::outcome::DtmError;
use super::plan;

/// Fails if the request differs from the record. The error says neither SUCCESS nor FAILURE about the transaction.
pub(super) fn check(request: &TransRequest, kind: TransType, record: &Spec) -> Result<(), DtmError> {
    let what = if record.pattern != plan::pattern(kind) {
        format!("a {}", plan::kind(record.pattern).as_str())
    } else if !same_steps(request, kind, record) {
        "other steps or payloads".to_owned()
    } else {
        return Ok(());
    };
    Err(DtmError::Other(format!(
        "this gid is on record with {what}, which stays as it is; nothing of this request was done: choose another gid"
    )))
}

fn same_steps(request: &TransRequest, kind: TransType, record: &Spec) -> bool {
    // Requests of the other types contain no branches: these are registered one by one.
    if !matches!(kind, TransType::Saga | TransType::Msg) {
        return true;
    }
    let Ok(protocol) = plan::protocol(request) else { return false };
    let mut left = record.branches.as_slice();
    for (position, step) in request.steps.iter().enumerate() {
        let of_step = left.iter().take_while(|branch| is_of_step(branch, position)).count();
        let (branches, rest) = left.split_at(of_step);
        let payload = request.payloads.get(position).map(Vec::as_slice);
        let is_same = |branch: &Arc<BranchSpec>| {
            Some(branch.payload.as_bytes()) == payload && same_targets(step, kind, branch, protocol)
        };
        if branches.is_empty() || !branches.iter().all(is_same) {
            return false;
        }
        left = rest;
    }
    request.steps.is_empty() || left.is_empty()
}

/// Whether a branch belongs to a step. A step of a topic has one branch for each subscriber at that time.
fn is_of_step(branch: &BranchSpec, position: usize) -> bool {
    let rest = branch.id.as_str().strip_prefix(&*plan::step_id(position));
    rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('-'))
}

fn same_targets(step: &Step, kind: TransType, branch: &BranchSpec, protocol: CallProtocol) -> bool {
    if step.action.starts_with(plan::TOPIC) {
        return true;
    }
    let is = |url: &str, on_record: &Option<_>| {
        plan::target(url, protocol).is_ok_and(|target| target == *on_record)
    };
    // Messages have no compensations, so a message's step may state anything there.
    let undone = kind != TransType::Saga || is(&step.compensate, &branch.on_rollback);
    is(&step.action, &branch.forward) && undone
}
