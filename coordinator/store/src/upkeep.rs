//! What a store keeps beside the journal: registered participants, and the coordinators that share the store. And its
//! housekeeping.
//!
//! All times are by the store's clock, because coordinators whose clocks differ go by them.

use trine_protocol::v1::{Coordinator, Participant};
use trine_protocol::{Gid, Timestamp};

use super::{Leap, StoreFuture};
use crate::columns::integer;

/// All participants that have registered.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Registrations {
    /// The store's time of this answer.
    pub at: Timestamp,
    /// In the order of their names.
    pub participants: Vec<Participant>,
}

/// An instance of a participant that registers, or renews its registration.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Registration {
    /// Of the participant.
    pub name: String,
    /// Of the instance.
    pub base_url: String,
    /// The registration expires so long from now.
    pub ttl_ms: u64,
    /// All ops of the instance run behind a barrier.
    pub guarded: bool,
}

impl Registration {
    /// `expires_at` and `guarded_until` of its row, if it registers at `now`.
    pub(crate) fn until(&self, now: i64) -> (i64, i64) {
        let expires_at = now.saturating_add(integer(self.ttl_ms));
        (expires_at, if self.guarded { expires_at } else { 0 })
    }
}

/// The registrations of participants.
pub trait Registry: Send + Sync + std::fmt::Debug + 'static {
    /// Inserts or renews registrations, in one write or a few. No instance may be in the list twice. Returns the store's
    /// time, from which each `ttl_ms` counts.
    fn register(&self, registrations: Vec<Registration>) -> StoreFuture<Timestamp>;

    /// Whether a participant of this name has ever registered.
    fn is_registered(&self, name: String) -> StoreFuture<bool>;

    /// Removes one instance, or all of a name. Returns how many.
    fn deregister(&self, name: String, base_url: Option<String>) -> StoreFuture<u64>;

    /// Every participant with its instances, by name and then by base URL. `alive` is by the store's clock.
    fn participants(&self) -> StoreFuture<Registrations>;

    /// Removes instances that expired more than `expired_ms` ago by the store's clock, but never the last one of a name: a
    /// name stays known. Returns how many.
    fn sweep_participants(&self, expired_ms: u64) -> StoreFuture<u64>;
}

/// What the store answers to a heartbeat.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HeartbeatAnswer {
    /// Nobody has adopted its transactions.
    Alive,
    /// The coordinator itself, or another one, had written into its row that it is gone. Others may have adopted its
    /// transactions. From this heartbeat on the row says that it lives.
    Lapsed,
    /// Another process has taken the name. This process must stop.
    Superseded,
}

/// The answer to a heartbeat, and when the store gave it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Beat {
    pub answer: HeartbeatAnswer,
    /// The store's time. None for a store that has no clock but the coordinator's own.
    pub at: Option<Timestamp>,
}

/// The coordinators that share this store. Law L12: who is alive decides who should act, and never who may write.
pub trait Membership: Send + Sync + std::fmt::Debug + 'static {
    /// Says that this coordinator is alive.
    fn heartbeat(&self) -> StoreFuture<Beat>;

    /// Adopts at most `limit` transactions that are not settled and whose owner is gone. Returns which.
    ///
    /// In a store that only one process can have open, every other owner is gone. In a shared store, an owner is gone when
    /// it has said so, when it has no row, or when this coordinator has seen that its heartbeat did not change for
    /// `lapse_after_ms`. That is measured between calls of this method, by this coordinator's own steady time: the
    /// database's clock may leap. An owner that sends a heartbeat meanwhile keeps its transactions.
    fn adopt(&self, limit: usize) -> StoreFuture<Vec<Gid>>;

    /// This coordinator stops: the others may adopt its transactions at once.
    fn leave(&self) -> StoreFuture<()>;

    /// This coordinator lives and cannot do its work: the others may adopt its transactions at once.
    fn give_up(&self) -> StoreFuture<()> {
        self.leave()
    }

    /// Every coordinator that the store knows, in the order of their names.
    fn coordinators(&self) -> StoreFuture<Vec<Coordinator>>;

    /// Forgets coordinators that have been silent for an hour and own nothing; returns how many. Removes probes that were
    /// left behind.
    fn sweep_coordinators(&self) -> StoreFuture<u64>;
}

/// What is done now and then, for the store's own sake.
pub trait Maintenance: Send + Sync + std::fmt::Debug + 'static {
    /// Whether the store may be written to, by its settings. Whether the work of lanes succeeds is for [`crate::vitals`].
    fn ping(&self) -> StoreFuture<()>;

    /// Notes the store's time, so that the time until the next note counts for retention. Answers with a leap of the clock,
    /// if there was one. To be called every [`WATCH_EVERY`](super::WATCH_EVERY).
    fn watch(&self) -> StoreFuture<Option<Leap>>;

    /// Deletes journals, labels and index rows of at most `limit` transactions that have been settled for `kept_ms` of
    /// watched time, if their journals say that they are settled. Returns how many.
    ///
    /// Each call goes on after the one before. When a call deletes nothing, the walk has come to its end, and the next call
    /// begins with the oldest transaction again.
    fn retire(&self, kept_ms: u64, limit: usize) -> StoreFuture<u64>;

    /// Waits for what is in flight and closes every connection.
    fn close(&self) -> StoreFuture<()>;
}
