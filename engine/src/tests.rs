//! Proof of the engine, from the inside out: trace tests (one rule each), shard tests (what *durable* means), and every
//! short history of one transaction under faults.

mod client_errors;
mod conflict;
mod empty_ops;
mod exhaust;
mod finish_order;
mod histories;
mod legality;
mod message;
mod model;
mod open_saga;
mod operator;
mod requests;
mod retry;
mod retry_limit;
mod saga;
mod shard;
mod spec_rules;
mod tcc;
mod trace;
mod two_phase;
mod waiting;
mod workflow;
