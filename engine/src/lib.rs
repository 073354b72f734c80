//! Trine's pure core: the inner two of three nested machines. The third is the coordinator's lane.
//!
//! - [`Transaction`] knows one global transaction: [`decide`] turns an input into events, [`Transaction::apply`]
//!   turns events into state, [`Transaction::agenda`] derives what is owed from state.
//! - [`Shard`] knows many transactions behind one journal writer, and what *durable* means.
//!
//! There is no clock, no I/O, no async and no randomness here: time and jitter are arguments. Stores, sockets and tasks are
//! the coordinator's.
#![deny(clippy::wildcard_enum_match_arm)]
// Not published: a doc comment stands where a name does not say enough.
#![allow(missing_docs)]

mod event;
mod input;
mod shard;
mod spec;
mod transaction;

pub use event::{CallReport, Event, ForceTo, Outcome, ParkCause, Progress, Record, RollbackCause};
pub use input::{Answer, CallKey, Command, Input, Rejection};
pub use shard::{
    Batch, BatchId, Call, Found, IndexRow, LoadFailure, Message, Release, ReplyOn, Shard, ShardOptions,
    Snapshot, Ticket, Wall,
};
pub use spec::{
    BranchSpec, CallPolicy, Digest, Draft, Exposure, FinishOrder, Labels, OnExhausted, Payload, RetryPolicy,
    SharedPolicy, Spec, SpecError, SpecErrorKind,
};
pub use transaction::{
    Agenda, Branch, Corrupt, OpProgress, OpState, Owed, Transaction, WaitingOn, advance, decide,
};

#[cfg(test)]
mod tests;
