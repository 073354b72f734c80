//! Whether a request that meets a gid on record asks for the same as the record says.
//!
//! A gid that two transfers share by mistake is met here: the second one never runs, so its initiator must not hear a yes. A
//! request without steps, such as the submit of what was prepared, says nothing that could differ. Not compared are options,
//! and whom a topic leads to: subscribers come and go.

use trine_engine::{BranchSpec, Spec};
use trine_protocol::dtm::{CallProtocol, Step, TransRequest, TransType};

use super::outcome::DtmError;
use super::plan;

/// An error that says neither yes nor no about the transaction when a request asks for something else than the record.
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
    // The other types are given their branches one by one.
    if !matches!(kind, TransType::Saga | TransType::Msg) {
        return true;
    }
    let Ok(protocol) = plan::protocol(request) else { return false };
    let mut left = record.branches.as_slice();
    for (position, step) in request.steps.iter().enumerate() {
        let of_step = left.iter().take_while(|branch| is_of_step(branch, position)).count();
        let (branches, rest) = left.split_at(of_step);
        let payload = request.payloads.get(position).map(Vec::as_slice);
        let is_same = |branch: &BranchSpec| {
            Some(branch.payload.as_bytes()) == payload && same_targets(step, kind, branch, protocol)
        };
        if branches.is_empty() || !branches.iter().all(is_same) {
            return false;
        }
        left = rest;
    }
    request.steps.is_empty() || left.is_empty()
}

/// A step of a topic has a branch for each subscriber there was.
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
    // A message undoes nothing, whatever its steps say of that.
    let undone = kind != TransType::Saga || is(&step.compensate, &branch.on_rollback);
    is(&step.action, &branch.forward) && undone
}
