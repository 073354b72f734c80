//! The Trine coordinator as a library, without the command line, the store and the dispatcher.
//!
//! The main modules, outermost first: [`server`] builds and starts all parts; [`api`] speaks HTTP; [`runtime`] runs the lanes;
//! [`recovery`] reads unfinished transactions after a crash. Writes go through [`runtime::Handle`], reads through
//! `trine_store::Queries`. The crates `trine_store` and `trine_dispatch` do not depend on each other.

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
