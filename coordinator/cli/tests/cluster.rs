//! Several coordinators on one database: killed, paused, cut off; and databases whose primary is lost. Whatever happens,
//! nothing that was acknowledged is missing, everything settles, and no effect is there twice.

mod adoption;
mod ahead;
mod chaos;
mod failover;
mod handover;
mod ledger;
mod load;
pub(crate) mod pack;
mod pause;
mod shop;
mod slow;
