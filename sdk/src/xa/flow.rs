//! The steps of prepare, commit and rollback. The process may die after every step, and another call may come between any two
//! steps. So each step relies only on what is committed or locked in the database.

use std::time::Duration;

use sqlx::pool::PoolConnection;
use sqlx::{Connection as _, Pool};
use trine_protocol::{Op, Xid};

use super::database::{Key, Lock, Record, XaDatabase, XaState};
use crate::barrier::{BarrierError, Body};
use crate::{BranchContext, Fenced, Origin, Outcome};

/// How often a call looks again whether a session has let go of a prepared transaction, and how long it waits in between.
const LOOKS_MAX: u32 = 100;
const LOOK_PAUSE: Duration = Duration::from_millis(10);

/// A call of an op on an XA branch.
pub(super) struct Call {
    key: Key,
    op: Op,
    fence: i64,
    origin: Origin,
}

/// Whether a prepare runs.
enum Admission {
    Run,
    Answered(Outcome),
    /// Another call has locked the record.
    Busy,
}

impl Call {
    pub(super) fn new(context: &BranchContext, expected: Op) -> Result<Self, BarrierError> {
        if context.op != expected {
            return Err(BarrierError::NotABranchOp(context.op));
        }
        let xid = Xid::new(&context.gid, &context.branch);
        let key = Key { gid: context.gid.to_string(), branch: context.branch.to_string(), xid };
        let fence = i64::try_from(context.fence).unwrap_or(i64::MAX);
        Ok(Self { key, op: context.op, fence, origin: context.origin() })
    }

    /// Refuses a call with another journal, or another payload, than the branch's first call: it belongs to another transaction.
    /// Runs first, and without an open transaction, so that the next call sees at once what this one recorded.
    async fn belong<D: XaDatabase>(&self, connection: &mut D::Connection) -> Result<(), BarrierError> {
        if self.origin.is_unknown() {
            return Ok(());
        }
        let recorded = D::origin(connection, &self.key, &self.origin).await?;
        let check = self.origin.check(&recorded, &self.key.gid, &self.key.branch, self.op);
        check.map_err(BarrierError::Conflict)
    }

    /// Refuses a call with a lower fence than the branch has seen.
    fn check_fence(&self, record: &Record) -> Result<(), BarrierError> {
        if self.fence >= record.fence {
            return Ok(());
        }
        Err(BarrierError::Fenced(Fenced {
            gid: self.key.gid.clone(),
            branch: self.key.branch.clone(),
            op: self.op,
            fence: self.fence.unsigned_abs(),
            highest: record.fence.unsigned_abs(),
        }))
    }

    /// The answer to a prepare of a branch that is no longer open.
    fn answer(&self, record: Record) -> Admission {
        Admission::Answered(match record.state {
            XaState::Open => return Admission::Run,
            XaState::Committed => Outcome::empty(),
            XaState::ReadOnly => Outcome::DoneReadOnly,
            XaState::Refused => Outcome::Refused(record.reason.unwrap_or_default()),
            XaState::RolledBack => {
                Outcome::refused("this prepare came too late: the branch was already rolled back")
            }
        })
    }

    fn nothing_to_commit(&self) -> BarrierError {
        let (gid, branch) = (self.key.gid.clone(), self.key.branch.clone());
        BarrierError::NothingToConfirm { gid, branch, op: self.op, forward: Op::Prepare }
    }

    fn already_permanent(&self) -> BarrierError {
        let (gid, branch) = (self.key.gid.clone(), self.key.branch.clone());
        BarrierError::AlreadyPermanent { gid, branch, op: self.op }
    }
}

pub(super) async fn prepare<D, F, E>(pool: &Pool<D>, call: &Call, body: F) -> Result<Outcome, E>
where
    D: XaDatabase,
    F: for<'c> Body<'c, D::Connection, E>,
    E: From<BarrierError>,
{
    match admit(pool, call).await? {
        Admission::Answered(outcome) => return Ok(outcome),
        Admission::Busy => return Ok(prepared_or_ongoing(pool, call).await?),
        Admission::Run => {}
    }
    let mut connection = pool.acquire().await.map_err(BarrierError::from)?;
    // From here on nobody else may use this session: a transaction that stays open in it must end with it.
    connection.close_on_drop();
    match claim::<D>(&mut connection, call).await? {
        Admission::Answered(outcome) => return Ok(outcome),
        Admission::Busy => return Ok(prepared_or_ongoing(pool, call).await?),
        Admission::Run => {}
    }
    match body(&mut connection).await {
        Ok(Outcome::Done(output)) => {
            finish(connection, call).await?;
            Ok(Outcome::Done(output))
        }
        Ok(Outcome::DoneReadOnly) => {
            vote_read_only(connection, call).await?;
            Ok(Outcome::DoneReadOnly)
        }
        Ok(Outcome::Refused(reason)) => {
            abandon(connection, call).await?;
            Ok(refuse(pool, call, reason).await?)
        }
        Ok(Outcome::Ongoing(after)) => {
            abandon(connection, call).await?;
            Ok(Outcome::Ongoing(after))
        }
        Err(error) => {
            // If the rollback fails as well, the error of the body tells more. The session is closed in either case.
            abandon(connection, call).await.ok();
            Err(error)
        }
    }
}

/// Creates the record if it is missing, and raises its fence. Runs before the transaction to be prepared begins, because nobody
/// sees what that transaction writes until it is committed.
async fn admit<D: XaDatabase>(pool: &Pool<D>, call: &Call) -> Result<Admission, BarrierError> {
    let mut connection = pool.acquire().await?;
    call.belong::<D>(&mut connection).await?;
    loop {
        match D::find(&mut connection, &call.key).await? {
            Some(record) if record.state != XaState::Open => return Ok(call.answer(record)),
            Some(_) => {}
            None => {
                let mut transaction = connection.begin_with(D::BEGIN).await?;
                D::create(&mut transaction, &call.key, XaState::Open, call.fence).await?;
                transaction.commit().await?;
            }
        }
        let mut transaction = connection.begin_with(D::BEGIN).await?;
        let admission = match D::lock(&mut transaction, &call.key).await? {
            Lock::Busy => Admission::Busy,
            Lock::Missing => continue,
            Lock::Held(record) if record.state == XaState::Open => {
                call.check_fence(&record)?;
                D::write(&mut transaction, &call.key, XaState::Open, None, call.fence).await?;
                Admission::Run
            }
            Lock::Held(record) => call.answer(record),
        };
        transaction.commit().await?;
        return Ok(admission);
    }
}

/// Begins the transaction to be prepared, and locks and writes the record in it.
async fn claim<D: XaDatabase>(
    connection: &mut D::Connection,
    call: &Call,
) -> Result<Admission, BarrierError> {
    if !D::start(connection, &call.key.xid).await? {
        return Ok(Admission::Busy);
    }
    let admission = match D::lock(connection, &call.key).await {
        Ok(Lock::Held(record)) if record.state == XaState::Open => {
            call.check_fence(&record).map(|()| Admission::Run)
        }
        Ok(Lock::Held(record)) => Ok(call.answer(record)),
        Ok(Lock::Busy | Lock::Missing) => Ok(Admission::Busy),
        Err(error) => Err(error.into()),
    };
    if matches!(admission, Ok(Admission::Run)) {
        D::write(connection, &call.key, XaState::Committed, None, call.fence).await?;
    } else {
        D::abandon(connection, &call.key.xid).await?;
    }
    admission
}

async fn prepared_or_ongoing<D: XaDatabase>(pool: &Pool<D>, call: &Call) -> Result<Outcome, BarrierError> {
    let prepared = D::is_prepared(&mut *pool.acquire().await?, &call.key.xid).await?;
    Ok(if prepared { Outcome::empty() } else { Outcome::Ongoing(None) })
}

/// Prepares the transaction if it is still the one that wrote the record. (The database may have rolled it back while the body
/// ran, and the body may have hidden that error.)
async fn finish<D: XaDatabase>(mut connection: PoolConnection<D>, call: &Call) -> Result<(), BarrierError> {
    still_ours::<D>(&mut connection, call).await?;
    D::prepare(&mut connection, &call.key.xid).await?;
    // The transaction is prepared, whether the session closes without an error or not.
    connection.close().await.ok();
    Ok(())
}

async fn vote_read_only<D: XaDatabase>(
    mut connection: PoolConnection<D>,
    call: &Call,
) -> Result<(), BarrierError> {
    still_ours::<D>(&mut connection, call).await?;
    D::write(&mut connection, &call.key, XaState::ReadOnly, None, call.fence).await?;
    D::commit_at_once(&mut connection, &call.key.xid).await?;
    connection.close().await.ok();
    Ok(())
}

async fn still_ours<D: XaDatabase>(connection: &mut D::Connection, call: &Call) -> Result<(), BarrierError> {
    match D::find(connection, &call.key).await? {
        Some(record) if record.state == XaState::Committed => Ok(()),
        _ => Err(BarrierError::Damaged(call.key.xid.to_string())),
    }
}

async fn abandon<D: XaDatabase>(mut connection: PoolConnection<D>, call: &Call) -> Result<(), BarrierError> {
    D::abandon(&mut connection, &call.key.xid).await?;
    connection.close().await.ok();
    Ok(())
}

/// Remembers a refusal, unless another call has changed the state of the branch meanwhile. The answer is right in either case:
/// a coordinator that gets a refusal rolls the branch back.
async fn refuse<D: XaDatabase>(pool: &Pool<D>, call: &Call, reason: String) -> Result<Outcome, BarrierError> {
    let reason = reason.replace('\0', "\u{fffd}");
    let mut connection = pool.acquire().await?;
    let mut transaction = connection.begin_with(D::BEGIN).await?;
    if let Lock::Held(Record { state: XaState::Open, .. }) = D::lock(&mut transaction, &call.key).await? {
        D::write(&mut transaction, &call.key, XaState::Refused, Some(&reason), call.fence).await?;
    }
    transaction.commit().await?;
    Ok(Outcome::Refused(reason))
}

pub(super) async fn commit<D: XaDatabase>(pool: &Pool<D>, call: &Call) -> Result<Outcome, BarrierError> {
    let mut connection = pool.acquire().await?;
    call.belong::<D>(&mut connection).await?;
    for _ in 0..LOOKS_MAX {
        let record = D::find(&mut connection, &call.key).await?.ok_or_else(|| call.nothing_to_commit())?;
        match record.state {
            XaState::Committed | XaState::ReadOnly => return Ok(Outcome::empty()),
            XaState::RolledBack | XaState::Refused => return Err(call.nothing_to_commit()),
            XaState::Open => call.check_fence(&record)?,
        }
        if D::commit_prepared(&mut connection, &call.key.xid).await? {
            // The age counts from now on. If this fails, the record only seems older than it is.
            D::touch(&mut connection, &call.key).await.ok();
            return Ok(Outcome::empty());
        }
        let prepared = D::is_prepared(&mut connection, &call.key.xid).await?;
        let committed =
            D::find(&mut connection, &call.key).await?.is_some_and(|r| r.state == XaState::Committed);
        if !prepared && !committed {
            return Err(call.nothing_to_commit());
        }
        if prepared {
            // The session that prepared the transaction still holds it.
            tokio::time::sleep(LOOK_PAUSE).await;
        }
    }
    Ok(Outcome::Ongoing(None))
}

pub(super) async fn rollback<D: XaDatabase>(pool: &Pool<D>, call: &Call) -> Result<Outcome, BarrierError> {
    let mut connection = pool.acquire().await?;
    call.belong::<D>(&mut connection).await?;
    for _ in 0..LOOKS_MAX {
        match D::find(&mut connection, &call.key).await? {
            None => {
                let mut transaction = connection.begin_with(D::BEGIN).await?;
                let first = D::create(&mut transaction, &call.key, XaState::RolledBack, call.fence).await?;
                transaction.commit().await?;
                if first {
                    return Ok(Outcome::empty());
                }
                continue;
            }
            Some(record) if record.state == XaState::Open => call.check_fence(&record)?,
            Some(record) if record.state == XaState::Committed => return Err(call.already_permanent()),
            Some(_) => return Ok(Outcome::empty()),
        }
        D::rollback_prepared(&mut connection, &call.key.xid).await?;
        let mut transaction = connection.begin_with(D::BEGIN).await?;
        let lock = D::lock(&mut transaction, &call.key).await?;
        if let Lock::Held(Record { state: XaState::Open, .. }) = &lock {
            D::write(&mut transaction, &call.key, XaState::RolledBack, None, call.fence).await?;
        }
        transaction.commit().await?;
        match lock {
            Lock::Held(Record { state: XaState::Open, .. }) => return Ok(Outcome::empty()),
            // A prepare is running, or its session still holds the transaction.
            Lock::Busy => tokio::time::sleep(LOOK_PAUSE).await,
            Lock::Held(_) | Lock::Missing => {}
        }
    }
    Ok(Outcome::Ongoing(None))
}
