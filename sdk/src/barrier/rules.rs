//! The decisions of the barrier: whether an op runs, and which answer a call gets without running.
//!
//! Every function works inside the caller's database transaction, and only through [`BarrierDatabase`]. The order of the
//! statements matters: first the branch's row is written, then the op's row, and then the function decides. So of two
//! concurrent calls the database lets one wait, and the call that waited sees what the other call did.
//!
//! Origins: a call with another journal than the recorded one, or with another payload, belongs to another transaction. The
//! call has no effect, raises no fence, and is not answered from the record. The origin is kept for the branch, not for the op:
//! otherwise the other transaction's cancel would undo this transaction's try.
//!
//! Fences: a call with a lower fence than the branch has seen comes from a coordinator that no longer owns the transaction, or
//! was overtaken. The call has no effect. If its op is on record, the call is answered from the record all the same: that has
//! no effect either, and the caller gets the answer that it would have got in time.

use serde_json::Value;
use trine_protocol::{Gid, Op};

use super::database::{BarrierDatabase, Key, NewRow, Recorded, StoredRow};
use super::error::BarrierError;
use super::local_message::LocalMessage;
use crate::role::Role;
use crate::{BranchContext, CheckAnswer, Fenced, Origin, Outcome};

/// The word that an initiator's row has in the place of an op.
const LOCAL: &str = "local";

/// A call of an op on a branch, ready to be guarded.
#[derive(Debug, Clone)]
pub(super) struct Guarded {
    gid: String,
    branch: String,
    pub(super) op: Op,
    role: Role,
    fence: i64,
    origin: Origin,
}

/// Whether an op runs.
pub(super) enum Admission {
    /// The op runs. Its row is written in the open transaction, as done and without an output.
    Run,
    /// The op does not run, and this is the answer. The transaction may have written rows, so it must be committed.
    Answered(Outcome),
}

impl Guarded {
    pub(super) fn new(context: &BranchContext) -> Result<Self, BarrierError> {
        let role = Role::of(context.op).ok_or(BarrierError::NotABranchOp(context.op))?;
        Ok(Self {
            gid: context.gid.to_string(),
            branch: context.branch.to_string(),
            op: context.op,
            role,
            fence: i64::try_from(context.fence).unwrap_or(i64::MAX),
            origin: context.origin(),
        })
    }

    fn row<'a>(&'a self, op: Op, outcome: Recorded, output: Option<&'a str>) -> NewRow<'a> {
        let key = Key { gid: &self.gid, branch: &self.branch, op: op.as_str() };
        NewRow { key, outcome, output, fence: self.fence }
    }

    fn key(&self) -> (&str, &str, Op) {
        (&self.gid, &self.branch, self.op)
    }

    fn fenced(&self, highest: i64) -> BarrierError {
        BarrierError::Fenced(Fenced {
            gid: self.gid.clone(),
            branch: self.branch.clone(),
            op: self.op,
            fence: self.fence.unsigned_abs(),
            highest: highest.unsigned_abs(),
        })
    }

    fn damaged(&self, op: Op) -> BarrierError {
        BarrierError::Damaged(format!("{}/{}/{op}", self.gid, self.branch))
    }
}

/// Records the origin of the first call for a branch, and refuses calls with another origin.
async fn belong<D: BarrierDatabase>(
    connection: &mut D::Connection,
    (gid, branch, op): (&str, &str, Op),
    origin: &Origin,
) -> Result<(), BarrierError> {
    if origin.is_unknown() || D::insert_origin(connection, gid, branch, origin).await? {
        return Ok(());
    }
    let Some(recorded) = D::origin(connection, gid, branch).await? else {
        return Err(BarrierError::Damaged(format!("{gid}/{branch}")));
    };
    origin.check(&recorded, gid, branch, op).map_err(BarrierError::Conflict)?;
    if origin.adds_to(&recorded) {
        D::complete_origin(connection, gid, branch, origin).await?;
    }
    Ok(())
}

/// Writes the branch's row and the op's row, and decides whether the op runs.
pub(super) async fn admit<D: BarrierDatabase>(
    connection: &mut D::Connection,
    call: &Guarded,
) -> Result<Admission, BarrierError> {
    let highest = D::touch(connection, &call.gid, &call.branch, call.fence).await?;
    // The branch's row is locked now, so no other call is here. After an error the caller rolls back, the fence as well.
    belong::<D>(connection, call.key(), &call.origin).await?;
    let claimed = D::insert(connection, &call.row(call.op, Recorded::Done, None)).await?;
    if !claimed {
        let rows = D::rows(connection, &call.gid, &call.branch).await?;
        return Ok(Admission::Answered(remembered(call, &rows)?));
    }
    if call.fence < highest {
        // The caller rolls back, and the claim with it.
        return Err(call.fenced(highest));
    }
    match call.role {
        Role::Forward => Ok(Admission::Run),
        Role::Confirm { forward, undo } => {
            let rows = D::rows(connection, &call.gid, &call.branch).await?;
            if recorded(call, &rows, undo)?.is_some() {
                return Err(nothing_to_confirm(call, forward));
            }
            match recorded(call, &rows, forward)? {
                Some(Recorded::Done) => Ok(Admission::Run),
                // The prepare voted read-only and its answer was lost. There is nothing to make permanent.
                Some(Recorded::ReadOnly) => Ok(Admission::Answered(Outcome::empty())),
                Some(Recorded::Refused | Recorded::Blocked) | None => Err(nothing_to_confirm(call, forward)),
            }
        }
        Role::Undo { forward, confirm } => {
            // From here on the forward op is on record, or this row blocks the forward op for ever (hanging).
            if D::insert(connection, &call.row(forward, Recorded::Blocked, None)).await? {
                return Ok(Admission::Answered(Outcome::empty()));
            }
            let rows = D::rows(connection, &call.gid, &call.branch).await?;
            if let Some(confirm) = confirm
                && recorded(call, &rows, confirm)?.is_some()
            {
                return Err(already_permanent(call));
            }
            match recorded(call, &rows, forward)? {
                Some(Recorded::Done) => Ok(Admission::Run),
                // Refused, read-only or blocked: the forward op has no effect, so there is nothing to undo.
                _ => Ok(Admission::Answered(Outcome::empty())),
            }
        }
    }
}

/// Writes the output of an op that ran into the row that [`admit`] inserted.
pub(super) async fn complete<D: BarrierDatabase>(
    connection: &mut D::Connection,
    call: &Guarded,
    outcome: &Outcome,
) -> Result<(), BarrierError> {
    let (recorded, output) = match outcome {
        Outcome::Done(output) => (Recorded::Done, Some(output)),
        Outcome::DoneReadOnly if call.op == Op::Prepare => (Recorded::ReadOnly, None),
        _ => (Recorded::Done, None),
    };
    let output = output.filter(|output| !output.is_null()).map(Value::to_string);
    // Also if there is nothing new to write: this statement shows that the transaction of `admit` is still open.
    let row = call.row(call.op, recorded, None);
    if D::complete(connection, &row.key, recorded, output.as_deref()).await? {
        Ok(())
    } else {
        // The row is gone: the database rolled back, and the body hid the error. (A deadlock on MySQL and some errors on SQLite
        // do that. PostgreSQL refuses the statement above instead.) Do not commit.
        Err(call.damaged(call.op))
    }
}

/// Keeps the fence of a call whose effects are rolled back, unless the branch has another origin.
pub(super) async fn raise_fence<D: BarrierDatabase>(
    connection: &mut D::Connection,
    call: &Guarded,
) -> Result<(), BarrierError> {
    belong::<D>(connection, call.key(), &call.origin).await?;
    D::touch(connection, &call.gid, &call.branch, call.fence).await?;
    Ok(())
}

/// Remembers a refusal whose effects are rolled back, so that duplicates get the same answer. If a concurrent duplicate was
/// faster, returns the answer of that duplicate. A higher fence that came meanwhile does not matter: a remembered refusal
/// changes no data of the service.
pub(super) async fn remember_refusal<D: BarrierDatabase>(
    connection: &mut D::Connection,
    call: &Guarded,
    reason: String,
) -> Result<Outcome, BarrierError> {
    // PostgreSQL cannot store NUL in a text.
    let reason = reason.replace('\0', "\u{fffd}");
    D::touch(connection, &call.gid, &call.branch, call.fence).await?;
    // Between the two transactions, a call with another origin may have come first.
    belong::<D>(connection, call.key(), &call.origin).await?;
    if D::insert(connection, &call.row(call.op, Recorded::Refused, Some(&reason))).await? {
        return Ok(Outcome::Refused(reason));
    }
    let rows = D::rows(connection, &call.gid, &call.branch).await?;
    remembered(call, &rows)
}

/// The answer on record.
fn remembered(call: &Guarded, rows: &[StoredRow]) -> Result<Outcome, BarrierError> {
    let row = rows.iter().find(|row| row.op == call.op.as_str()).ok_or_else(|| call.damaged(call.op))?;
    match Recorded::parse(&row.outcome).ok_or_else(|| call.damaged(call.op))? {
        Recorded::Done => match &row.output {
            None => Ok(Outcome::empty()),
            Some(output) => {
                serde_json::from_str(output).map(Outcome::Done).map_err(|_| call.damaged(call.op))
            }
        },
        Recorded::ReadOnly => Ok(Outcome::DoneReadOnly),
        Recorded::Refused => Ok(Outcome::Refused(row.output.clone().unwrap_or_default())),
        Recorded::Blocked => {
            Ok(Outcome::Refused(format!("this {} came too late: the branch was already undone", call.op)))
        }
    }
}

fn recorded(call: &Guarded, rows: &[StoredRow], op: Op) -> Result<Option<Recorded>, BarrierError> {
    match rows.iter().find(|row| row.op == op.as_str()) {
        None => Ok(None),
        Some(row) => Recorded::parse(&row.outcome).map(Some).ok_or_else(|| call.damaged(op)),
    }
}

fn nothing_to_confirm(call: &Guarded, forward: Op) -> BarrierError {
    BarrierError::NothingToConfirm {
        gid: call.gid.clone(),
        branch: call.branch.clone(),
        op: call.op,
        forward,
    }
}

fn already_permanent(call: &Guarded) -> BarrierError {
    BarrierError::AlreadyPermanent { gid: call.gid.clone(), branch: call.branch.clone(), op: call.op }
}

/// Records that the local transaction of a message is about to commit.
pub(super) async fn record_local<D: BarrierDatabase>(
    connection: &mut D::Connection,
    message: LocalMessage<'_>,
) -> Result<(), BarrierError> {
    let gid = message.gid;
    of_this_journal::<D>(connection, message).await?;
    if D::insert(connection, &local_row(gid, Recorded::Done)).await? {
        return Ok(());
    }
    match local_outcome::<D>(connection, gid).await? {
        CheckAnswer::Committed => Err(BarrierError::AlreadyRecorded(gid.clone())),
        CheckAnswer::NotCommitted => Err(BarrierError::AlreadyAnswered(gid.clone())),
    }
}

/// Answers a check. The first answer that is written, "committed" or "not committed", is final.
pub(super) async fn check<D: BarrierDatabase>(
    connection: &mut D::Connection,
    message: LocalMessage<'_>,
) -> Result<CheckAnswer, BarrierError> {
    let gid = message.gid;
    of_this_journal::<D>(connection, message).await?;
    if D::insert(connection, &local_row(gid, Recorded::Blocked)).await? {
        return Ok(CheckAnswer::NotCommitted);
    }
    local_outcome::<D>(connection, gid).await
}

/// Locks the message's row, and refuses a call about another message with the same gid.
async fn of_this_journal<D: BarrierDatabase>(
    connection: &mut D::Connection,
    LocalMessage { gid, journal }: LocalMessage<'_>,
) -> Result<(), BarrierError> {
    D::touch(connection, gid.as_str(), "", 0).await?;
    let origin = Origin { journal: journal.map(ToString::to_string), payload_digest: None };
    belong::<D>(connection, (gid.as_str(), "", Op::Check), &origin).await
}

fn local_row(gid: &Gid, outcome: Recorded) -> NewRow<'_> {
    NewRow { key: Key { gid: gid.as_str(), branch: "", op: LOCAL }, outcome, output: None, fence: 0 }
}

async fn local_outcome<D: BarrierDatabase>(
    connection: &mut D::Connection,
    gid: &Gid,
) -> Result<CheckAnswer, BarrierError> {
    let rows = D::rows(connection, gid.as_str(), "").await?;
    let row = rows.iter().find(|row| row.op == LOCAL);
    match row.and_then(|row| Recorded::parse(&row.outcome)) {
        Some(Recorded::Done) => Ok(CheckAnswer::Committed),
        Some(Recorded::Blocked) => Ok(CheckAnswer::NotCommitted),
        _ => Err(BarrierError::Damaged(format!("{gid}/{LOCAL}"))),
    }
}
