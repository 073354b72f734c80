//! The barrier on Redis. Redis has no transaction that the barrier could join, so the effect is a Lua script. The barrier and the
//! effect run as one script: no other command runs in between.
//!
//! ```no_run
//! # use trine_sdk::redis_barrier::{Effect, RedisBarrier, RedisBarrierError};
//! # use trine_sdk::{BranchContext, Outcome};
//! async fn reserve(barrier: RedisBarrier, call: BranchContext, quantity: u32) -> Result<Outcome, RedisBarrierError> {
//!     // A service makes its effects once, and keeps them.
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
//! An effect is the body of a Lua function with its own `KEYS` and `ARGV`. It returns one of:
//!
//! | Return values | Outcome |
//! |---|---|
//! | nothing, or `'done'` and the output as JSON text | `Done` |
//! | `'read_only'` | `DoneReadOnly` (prepare) |
//! | `'refused'` and a reason | `Refused` |
//! | `'ongoing'` and milliseconds | `Ongoing` |
//!
//! **Redis does not roll back.** So an effect must first look, then refuse if it has to, and only then write. If an effect fails
//! before it wrote anything, the next call runs the effect again. If an effect fails, refuses or is ongoing after it wrote
//! something, it is half done. The barrier then keeps the branch as *broken*, and answers every call for the branch with
//! [`RedisBarrierError::HalfDone`], so that the first half does not run twice. The coordinator parks the transaction. A person
//! repairs the data and either deletes the field of the op (`HDEL <key> <op>`: the op runs again) or writes `done ` into it.
//! Every command counts as writing, except the well-known commands that read.
//!
//! Duplicates, empty compensation, hanging, refusals, fences and conflicts are handled as in the SQL barriers. The initiator's
//! side of a message (`record_local`, `check`) does not exist on Redis.
//!
//! # Keys, and clusters
//!
//! Each branch has one hash, `trine:{<gid>/<branch>}`. No id contains `/` or braces, so no two branches share a hash. In a cluster
//! the effect's keys must be in the same slot as the hash. Give the keys a common hash tag, and use the same tag for every op of
//! the branch: [`RedisBarrier::tagged`]. The hash is then `trine:{<tag>}:<gid>/<branch>`.
//!
//! # What Redis promises, and what it does not
//!
//! An answer is as durable as Redis is set up to be.
//!
//! - `appendonly yes` with `appendfsync always`: an answer survives a crash.
//! - `appendfsync everysec`: a crash loses the last second. It loses effects *and* records together, because one script wrote both.
//! - Replicas are asynchronous: a failover loses the latest acknowledged writes. A branch that was done may then be undone as if
//!   it had not run. `WAIT` makes this less likely, but not impossible.
//! - `maxmemory-policy` must be `noeviction`. If Redis evicts a branch's hash, a late duplicate takes effect again.
//! - Without [`RedisBarrier::keep`] no hash has a time to live.
//!
//! The client waits 500 ms for a command unless its configuration says otherwise. A script without an answer may have run. That
//! is an error here, and *unknown* to the coordinator. The repeated call finds what is on record.

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

/// Why the barrier did not run an op, or does not know how the op ended. To the coordinator each of them is *unknown*, except
/// that a conflict parks the branch.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RedisBarrierError {
    /// Redis failed, or did not answer in time. The script may have run.
    #[error("the barrier's Redis failed")]
    Redis(#[from] RedisError),
    /// The branch has seen a higher fence. The call has no effect.
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
    /// The effect failed before it wrote anything. The next call runs the effect again.
    #[error("{op}: the effect failed before it wrote anything: {reason}")]
    Failed {
        /// `<gid>/<branch>/<op>`
        op: String,
        /// The error message of Redis.
        reason: String,
    },
    /// The effect failed, refused or was ongoing after it wrote something. It does not run again. A person must repair the data.
    #[error("{op}: the effect is half done, and a person has to put it right: {reason}")]
    HalfDone {
        /// `<gid>/<branch>/<op>`
        op: String,
        /// The error message of Redis.
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
    /// The record of a branch cannot be read.
    #[error("{0}: the record is damaged")]
    Damaged(String),
}

/// An effect, and the barrier's part of the script. Make each effect once: Redis keeps scripts by their text.
#[derive(Debug, Clone)]
pub struct Effect(Script);

impl Effect {
    /// An effect from the body of a Lua function, as the [module](self) describes.
    ///
    /// ```
    /// let pay = trine_sdk::redis_barrier::Effect::new("redis.call('INCRBY', KEYS[1], ARGV[1])");
    /// ```
    pub fn new(lua: &'static str) -> Self {
        let (before, after) =
            (include_str!("redis_barrier/before.lua"), include_str!("redis_barrier/after.lua"));
        Self(Script::new(&format!("{before}{lua}{after}")))
    }

    /// An effect that does nothing, for ops that have nothing to do.
    pub fn none() -> Self {
        Self::new("return 'done'")
    }
}

/// Guards the ops of branches with hashes in Redis. Cheap to clone. The [module](self) has an example.
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
    /// A barrier on a connection. Each call uses a clone of `connection`.
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

    /// Lets Redis forget a branch when `keep` has passed since its last call. All of the branch is forgotten at once. Without this
    /// setting a branch is kept for ever. A try or prepare that is neither confirmed nor undone is kept whatever its age.
    ///
    /// **Choose `keep` longer than the longest time that a call can be late**: the life of your longest transaction, with the time
    /// it may be parked, and on top of that the coordinator's `retention.settled_after`. After that a late duplicate takes effect
    /// again, and a late compensation is taken for an empty one.
    ///
    /// The age counts by Redis's own clock. If the clock leaps ahead by `keep`, Redis forgets every branch at once, and this
    /// barrier cannot prevent that. Keep the clock of the machine right, or do not set `keep`.
    ///
    /// # Errors
    /// [`RedisBarrierError::KeptTooShort`] below [`KEEP_MIN`].
    pub fn keep(self, keep: Duration) -> Result<Self, RedisBarrierError> {
        if keep < KEEP_MIN {
            return Err(RedisBarrierError::KeptTooShort);
        }
        // Redis takes at most 2^63 milliseconds since 1970. A hundred years are enough.
        let years = Duration::from_secs(100 * 365 * 24 * 60 * 60);
        Ok(Self { keep_ms: u64::try_from(keep.min(years).as_millis()).unwrap_or(u64::MAX), ..self })
    }

    /// Runs an op: the barrier and the effect, as one script. `Done` is remembered, and so is `Refused` of an action, try or
    /// prepare. A duplicate gets the same answer without running the effect. If the caller goes away, the script that was sent
    /// runs all the same.
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
