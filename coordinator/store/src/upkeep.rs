//! The seam beside the journal: registered participants, the coordinators that share a store, housekeeping. All times are
//! the store's: what is decided here is decided for others, too.

use trine_protocol::v1::{Coordinator, Participant};
use trine_protocol::{Gid, Timestamp};

use super::{Leap, StoreFuture};

/// Participants, as read.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Registrations {
    /// When that was, by the store's clock.
    pub at: Timestamp,
    /// By name.
    pub participants: Vec<Participant>,
}

/// An instance of a participant that is to be registered, or whose life is to be extended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Registration {
    /// The participant.
    pub name: String,
    /// The instance.
    pub base_url: String,
    /// It lives for so long from now.
    pub ttl_ms: u64,
}

/// Participants that registered themselves.
pub trait Registry: Send + Sync + std::fmt::Debug + 'static {
    /// Inserts instances, or extends their lives, in one write or a few; no instance may be there twice. Returns the store's
    /// time, from which on they live.
    fn register(&self, registrations: Vec<Registration>) -> StoreFuture<Timestamp>;

    /// Whether a name was ever registered.
    fn is_registered(&self, name: String) -> StoreFuture<bool>;

    /// Removes one instance, or all of a name; returns how many.
    fn deregister(&self, name: String, base_url: Option<String>) -> StoreFuture<u64>;

    /// Every participant with its instances (`alive` judged by the store's clock), by name and then base URL.
    fn participants(&self) -> StoreFuture<Registrations>;

    /// Removes instances that expired more than `expired_ms` ago by the store's clock, except the last instance of a name
    /// (a name once known stays known); returns how many.
    fn sweep_participants(&self, expired_ms: u64) -> StoreFuture<u64>;
}

/// Whether a coordinator still is who it was.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Liveness {
    /// Its heartbeats have been on time.
    Alive,
    /// Its row said that it is gone, by its own word or another's: others may have adopted what it owned.
    Lapsed,
    /// Another process has taken its name: it must stop.
    Superseded,
}

/// What a heartbeat was answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Beat {
    /// How the coordinator stands.
    pub standing: Liveness,
    /// The store's time while it answered; none where the store has no other clock than the coordinator's own.
    pub at: Option<Timestamp>,
}

/// Coordinators that share this store.
pub trait Membership: Send + Sync + std::fmt::Debug + 'static {
    /// Says that this coordinator is alive, and learns how it stands. All times are the database's; none of them says who
    /// is gone.
    fn heartbeat(&self) -> StoreFuture<Beat>;

    /// Takes over at most `limit` unsettled transactions whose owner is not this coordinator and, in a store that
    /// several coordinators may share, whose owner is gone: it said so, it has no row, or this coordinator has seen in
    /// earlier calls, by its own steady time, that the owner's heartbeat did not change for `lapse_after_ms`. An owner that
    /// beats meanwhile keeps what it has. Returns which.
    fn adopt(&self, limit: usize) -> StoreFuture<Vec<Gid>>;

    /// Lets the others adopt at once what this coordinator owns: it stops.
    fn leave(&self) -> StoreFuture<()>;

    /// Lets the others adopt at once what this coordinator owns: it lives, and cannot do its work.
    fn give_up(&self) -> StoreFuture<()> {
        self.leave()
    }

    /// Every coordinator known, by name, with what it owns.
    fn coordinators(&self) -> StoreFuture<Vec<Coordinator>>;

    /// Forgets coordinators that have been silent for long and own nothing, and probes that were left behind; returns how
    /// many coordinators.
    fn sweep_coordinators(&self) -> StoreFuture<u64>;
}

/// Housekeeping.
pub trait Maintenance: Send + Sync + std::fmt::Debug + 'static {
    /// Whether the server is one to write to: its settings, not whether the work can be done.
    fn ping(&self) -> StoreFuture<()>;

    /// Notes the store's time, so that what passes until the next note counts as watched, and tells of a leap. To be
    /// called every [`WATCH_EVERY`](super::WATCH_EVERY).
    fn watch(&self) -> StoreFuture<Option<Leap>>;

    /// Deletes journal, labels and index rows of at most `limit` transactions that have been settled for `kept_ms` of watched
    /// time by the store's clock, if their journals say so, too; returns how many. Each call goes on after the one before; none
    /// deleted: this was the end, and the next one begins with the oldest again.
    fn retire(&self, kept_ms: u64, limit: usize) -> StoreFuture<u64>;

    /// Finishes what is in flight and closes every connection.
    fn close(&self) -> StoreFuture<()>;
}
