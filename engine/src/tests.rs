//! Proof of the engine, from the inside out: trace tests (one rule each), shard tests (what *durable* means), and every
//! short history of one transaction under faults.

mod exhaust;
mod histories;
mod legality;
mod message;
mod model;
mod operator;
mod requests;
mod retry;
mod saga;
mod shard;
mod spec_rules;
mod tcc;
mod trace;
mod two_phase;
