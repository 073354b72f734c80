//! The Trine coordinator as a library: everything between the program and the two ends it works with.
//!
//! The rooms, outermost first: [`server`] composes; [`api`] speaks HTTP; [`runtime`] drives lanes;
//! [`recovery`] brings back what a crash left. Writes go through [`runtime::Handle`], reads through
//! `trine_store::Queries`. The crates `trine_store` and `trine_dispatch` do not see each other.

pub mod api;
mod callers;
pub mod config;
mod descriptors;
pub mod http;
pub mod jobs;
pub mod metrics;
pub mod ownership;
pub mod recovery;
pub mod registrar;
pub mod runtime;
pub mod server;
pub mod skew;
pub mod telemetry;
