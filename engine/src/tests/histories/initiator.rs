//! The initiator of a history, and its memory of what it asked and heard.

use trine_protocol::Status;

use crate::shard::Ticket;

/// What the initiator asked for and has not been told yet; tickets are never used twice.
#[derive(Debug, Default)]
pub(super) struct Initiator {
    pub(super) created: Option<Ticket>,
    pub(super) waiting: Option<Ticket>,
    pub(super) aborted: Option<Ticket>,
    pub(super) submitted: Option<Ticket>,
    pub(super) create_acknowledged: bool,
    pub(super) end_acknowledged: bool,
    pub(super) submit_acknowledged: bool,
    pub(super) abort_accepted: bool,
    pub(super) abort_rejected: bool,
    /// The end it was told.
    pub(super) told: Option<Status>,
    tickets: u64,
}

impl Initiator {
    pub(super) fn next_ticket(&mut self) -> Ticket {
        self.tickets += 1;
        Ticket(self.tickets)
    }

    pub(super) fn forget(&mut self, ticket: Option<Ticket>) {
        for slot in [&mut self.created, &mut self.waiting, &mut self.aborted, &mut self.submitted] {
            if *slot == ticket {
                *slot = None;
            }
        }
    }
}

/// How the initiator of a message behaves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Local {
    /// Its local transaction commits and it says so.
    Submits,
    /// Its local transaction commits and it falls silent.
    Silent,
    /// Its local transaction does not commit and it falls silent.
    Fails,
}
