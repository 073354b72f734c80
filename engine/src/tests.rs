//! Proof of the engine, from the inside out: trace tests (one rule each), shard tests (what *durable* means), and every
//! short history of one transaction under faults.

mod callbacks;
mod client_errors;
mod conflict;
mod drivers;
mod empty_ops;
mod exhaust;
mod finish_order;
mod histories;
mod legality;
mod message;
mod model;
mod open_saga;
mod operator;
mod readers;
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

/// What the engine may use from outside: clippy.toml says which parts of `std` it may not.
#[test]
fn the_engine_depends_on_the_protocol_and_thiserror_alone() {
    let manifest = include_str!("../Cargo.toml");
    let normal = manifest.split("[dependencies]\n").nth(1).unwrap().split("\n\n").next().unwrap();
    assert_eq!(normal, "thiserror.workspace = true\ntrine-protocol.workspace = true");
    assert_eq!(manifest.matches("dependencies").count(), 2, "normal and development");
}
