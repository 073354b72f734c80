//! The barrier on Redis. Redis has no transaction that a guard could join, so the effect is a Lua script, and guard and
//! effect run as one: nothing comes between them.
//!
//! ```no_run
//! # use trine_sdk::redis_barrier::{Effect, RedisBarrier, RedisBarrierError};
//! # use trine_sdk::{BranchContext, Outcome};
//! async fn reserve(barrier: RedisBarrier, call: BranchContext, quantity: u32) -> Result<Outcome, RedisBarrierError> {
//!     // Made once, and kept.
//!     let effect = Effect::new(
//!         "local left = tonumber(redis.call('GET', KEYS[1]) or '0') - tonumber(ARGV[1])
//!          if left < 0 then return 'refused', 'not enough in stock' end
//!          redis.call('SET', KEYS[1], left)
//!          return 'done', cjson.encode({left = left})",
//!     );
//!     barrier.execute(&call, &effect, &["stock:A-1"], &[&quantity.to_string()]).await
//! }
//! ```
//!
//! # Effects
//!
//! An effect is the body of a Lua function with its own `KEYS` and `ARGV`. It returns nothing or `'done'` with an output as
//! JSON text; `'read_only'` (a prepare); `'refused'` with a reason; or `'ongoing'` with milliseconds. **Redis does not roll
//! back**: look first, refuse, and only then write. An effect that fails, refuses or is ongoing after it has written
//! is half done. The barrier then keeps the branch as *broken* and answers every call for it with
//! [`RedisBarrierError::HalfDone`], rather than doing its first half again: the coordinator parks the transaction, and
//! a person puts the data right and deletes the field of the op (`HDEL <key> <op>`, which lets it run again) or writes
//! `done ` into it. An effect that fails before it has written runs again. What counts as writing is every command but the
//! well-known reading ones.
//!
//! Duplicates, empty compensation, hanging, refusals, fences and conflicts are as in the SQL barriers. There is no message
//! initiator's side (`record_local`, `check`).
//!
//! # Keys, and clusters
//!
//! Each branch has one hash, `trine:{<gid>/<branch>}`: `/` and braces are in no id's grammar, so no two branches share
//! one. In a cluster the effect's keys must lie in the same slot as that hash: use a tag that they carry, too,
//! [`RedisBarrier::tagged`], the same for every op of a branch. It becomes `trine:{<tag>}:<gid>/<branch>`.
//!
//! # What Redis promises, and what it does not
//!
//! An answer is as durable as Redis is set up to be. `appendonly yes` with `appendfsync always`: it survives a crash. With
//! `appendfsync everysec` the last second is lost, and with it effects *and* records: together, since both are in one
//! script. Replicas are asynchronous: a failover loses what was acknowledged last, and a branch that was done may then be
//! undone as if it never ran; `WAIT` narrows this and does not close it. `maxmemory-policy` must be `noeviction`:
//! evicting a branch's hash lets a late duplicate take effect again. Nothing has a time to live unless you ask for it with
//! [`RedisBarrier::keep`].
//!
//! The client gives a command 500 ms unless its configuration says otherwise. A script without an answer may have run. That
//! is an error here, and *unknown* to the coordinator; its repetition finds what is on record.

#[cfg(test)]
mod tests;

use std::fmt;
use std::time::Duration;

use redis::aio::{ConnectionLike, ConnectionManager};
use redis::{RedisError, Script};
use serde_json::Value;
use trine_protocol::Op;

use crate::role::Role;
use crate::{BranchContext, Conflict, Differs, Fenced, Outcome};

/// The shortest time [`RedisBarrier::keep`] takes: one day.
pub const KEEP_MIN: Duration = Duration::from_secs(24 * 60 * 60);

/// Why the barrier could not let an op happen. To the coordinator every one of them is *unknown*; a conflict parks.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RedisBarrierError {
    /// Redis failed, or did not answer in time: the script may have run.
    #[error("the barrier's Redis failed")]
    Redis(#[from] RedisError),
    /// The call came after one with a higher fence. It has no effect.
    #[error("the call is fenced off")]
    Fenced(#[source] Fenced),
    /// The gid and branch are on record from another journal, or with another payload. The call has no effect, and the
    /// coordinator parks the branch.
    #[error("the call is of another transaction with the same gid")]
    Conflict(#[source] Conflict),
    /// A confirm or commit found no effect of try or prepare to make permanent.
    #[error("{0}: there is nothing on record to make permanent")]
    NothingToConfirm(String),
    /// An undo found the branch already confirmed or committed.
    #[error("{0}: its effect was already made permanent")]
    AlreadyPermanent(String),
    /// The effect failed before it wrote anything. It runs again.
    #[error("{op}: the effect failed before it wrote anything: {reason}")]
    Failed {
        /// `<gid>/<branch>/<op>`
        op: String,
        /// What Redis says.
        reason: String,
    },
    /// The effect failed, or refused, after it had written. It does not run again; a person has to put it right.
    #[error("{op}: the effect is half done, and a person has to put it right: {reason}")]
    HalfDone {
        /// `<gid>/<branch>/<op>`
        op: String,
        /// What Redis says.
        reason: String,
    },
    /// A check is not an op of a branch.
    #[error("{0} is not an op of a branch")]
    NotABranchOp(Op),
    /// A hash tag has 1 to 256 characters, and no braces.
    #[error("a hash tag has 1 to 256 characters, and no braces")]
    BadTag,
    /// Records must be kept for at least [`KEEP_MIN`].
    #[error(
        "records must be kept for at least {KEEP_MIN:?}: a call that comes later than that takes effect again"
    )]
    KeptTooShort,
    /// The record of a branch does not read as one.
    #[error("{0}: the record is damaged")]
    Damaged(String),
}

/// An effect, joined to the guard. Make it once: Redis keeps scripts by their text.
#[derive(Debug, Clone)]
pub struct Effect(Script);

impl Effect {
    /// An effect from the body of a Lua function; see the [module](self).
    pub fn new(lua: &'static str) -> Self {
        let (before, after) =
            (include_str!("redis_barrier/before.lua"), include_str!("redis_barrier/after.lua"));
        Self(Script::new(&format!("{before}{lua}{after}")))
    }

    /// No effect: for ops that have nothing to do.
    pub fn none() -> Self {
        Self::new("return 'done'")
    }
}

/// Guards the ops of branches with hashes in Redis. Cheap to clone.
#[derive(Clone)]
pub struct RedisBarrier<C = ConnectionManager> {
    connection: C,
    tag: Option<String>,
    keep_ms: u64,
}

impl<C> fmt::Debug for RedisBarrier<C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RedisBarrier")
            .field("tag", &self.tag)
            .field("keep_ms", &self.keep_ms)
            .finish_non_exhaustive()
    }
}

impl<C: ConnectionLike + Clone + Send + Sync + 'static> RedisBarrier<C> {
    /// A barrier over a connection that is shared by cloning it.
    pub fn new(connection: C) -> Self {
        Self { connection, tag: None, keep_ms: 0 }
    }

    /// The same barrier for branches whose effects have keys with this hash tag: `tagged("A-1")` for `stock:{A-1}`.
    ///
    /// # Errors
    /// [`RedisBarrierError::BadTag`].
    pub fn tagged(&self, tag: &str) -> Result<Self, RedisBarrierError> {
        if tag.is_empty() || tag.len() > 256 || tag.contains(['{', '}']) {
            return Err(RedisBarrierError::BadTag);
        }
        Ok(Self { tag: Some(tag.to_owned()), ..self.clone() })
    }

    /// Lets Redis forget a branch this long after it was last asked for, all of it at once. Without this, it is kept for
    /// ever. A try or prepare that nobody has confirmed or undone is kept whatever its age. **Choose it longer than
    /// the longest time a call can come late**: the life of your longest transaction, parked or not, and the coordinator's
    /// `retention.settled_after` on top. After that, a late duplicate takes effect again, and a late compensation is
    /// taken for an empty one.
    ///
    /// The age counts by Redis's own clock. A clock that leaps ahead by `keep` makes Redis forget every branch at once,
    /// and nothing on this side can prevent that: keep the clock of the machine in order, or leave `keep` unset.
    ///
    /// # Errors
    /// [`RedisBarrierError::KeptTooShort`] below [`KEEP_MIN`].
    pub fn keep(self, keep: Duration) -> Result<Self, RedisBarrierError> {
        if keep < KEEP_MIN {
            return Err(RedisBarrierError::KeptTooShort);
        }
        // Redis takes no more than 2^63 milliseconds since 1970; a hundred years will do.
        let years = Duration::from_secs(100 * 365 * 24 * 60 * 60);
        Ok(Self { keep_ms: u64::try_from(keep.min(years).as_millis()).unwrap_or(u64::MAX), ..self })
    }

    /// Runs an op: guard and effect, as one script. `Done` and, for action, try and prepare, `Refused` are remembered;
    /// a duplicate gets the same answer without running the effect. A caller that goes away stops
    /// nothing: what was sent runs.
    ///
    /// # Errors
    /// [`RedisBarrierError`].
    pub async fn execute(
        &self,
        context: &BranchContext,
        effect: &Effect,
        keys: &[&str],
        args: &[&str],
    ) -> Result<Outcome, RedisBarrierError> {
        let (role, forward, undo, confirm) = match Role::of(context.op) {
            None => return Err(RedisBarrierError::NotABranchOp(context.op)),
            Some(Role::Forward) => ("forward", "", "", ""),
            Some(Role::Confirm { forward, undo }) => ("confirm", forward.as_str(), undo.as_str(), ""),
            Some(Role::Undo { forward, confirm }) => {
                ("undo", forward.as_str(), "", confirm.map_or("", Op::as_str))
            }
        };
        let mut call = effect.0.key(self.key(context));
        call.key(keys)
            .arg(context.op.as_str())
            .arg(role)
            .arg(context.fence)
            .arg(forward)
            .arg(undo)
            .arg(confirm);
        let origin = context.origin();
        call.arg(self.keep_ms)
            .arg(origin.journal.unwrap_or_default())
            .arg(origin.payload_digest.unwrap_or_default())
            .arg(args);
        let (word, text): (String, String) = call.invoke_async(&mut self.connection.clone()).await?;
        answer(context, &word, text)
    }

    fn key(&self, context: &BranchContext) -> String {
        let BranchContext { gid, branch, .. } = context;
        match &self.tag {
            None => format!("trine:{{{gid}/{branch}}}"),
            Some(tag) => format!("trine:{{{tag}}}:{gid}/{branch}"),
        }
    }
}

fn answer(context: &BranchContext, word: &str, text: String) -> Result<Outcome, RedisBarrierError> {
    let op = context.idempotency_key();
    match word {
        "done" if text.is_empty() => Ok(Outcome::empty()),
        "done" => Ok(Outcome::Done(serde_json::from_str(&text).unwrap_or(Value::String(text)))),
        "read_only" => Ok(Outcome::DoneReadOnly),
        "refused" => Ok(Outcome::Refused(text)),
        "blocked" => {
            Ok(Outcome::Refused(format!("this {} came too late: the branch was already undone", context.op)))
        }
        "ongoing" => Ok(Outcome::Ongoing(text.parse().ok().map(Duration::from_millis))),
        "fenced" => Err(RedisBarrierError::Fenced(Fenced {
            gid: context.gid.to_string(),
            branch: context.branch.to_string(),
            op: context.op,
            fence: context.fence,
            highest: text.parse().unwrap_or_default(),
        })),
        "journal" => Err(conflict(context, Differs::Journal, text)),
        "payload_digest" => Err(conflict(context, Differs::Payload, text)),
        "nothing" => Err(RedisBarrierError::NothingToConfirm(op)),
        "permanent" => Err(RedisBarrierError::AlreadyPermanent(op)),
        "failed" => Err(RedisBarrierError::Failed { op, reason: text }),
        "broken" => Err(RedisBarrierError::HalfDone { op, reason: text }),
        _ => Err(RedisBarrierError::Damaged(op)),
    }
}

fn conflict(context: &BranchContext, differs: Differs, recorded: String) -> RedisBarrierError {
    let origin = context.origin();
    let asked = match differs {
        Differs::Journal => origin.journal,
        Differs::Payload => origin.payload_digest,
    };
    RedisBarrierError::Conflict(Conflict {
        gid: context.gid.to_string(),
        branch: context.branch.to_string(),
        op: context.op,
        differs,
        asked: asked.unwrap_or_default(),
        recorded,
    })
}
