//! The Trine coordinator as a library: everything but the command line's entry point.
//!
//! The rooms, outermost first: [`server`] composes; [`api`] and [`admin`] speak HTTP; [`runtime`] drives lanes;
//! [`dispatch`] calls participants; [`store`] keeps the journal; [`recovery`] brings back what a crash left.
//! Writes go through [`runtime::Handle`], reads through [`store::Queries`]; `store` and `dispatch` never see each
//! other.

pub mod admin;
pub mod api;
pub mod check;
pub mod cli;
pub mod clock;
pub mod config;
mod descriptors;
pub mod dispatch;
pub mod http;
pub mod jobs;
pub mod metrics;
pub mod ownership;
pub mod recovery;
pub mod registrar;
pub mod runtime;
pub mod server;
pub mod skew;
pub mod store;
pub mod telemetry;
pub mod vitals;
pub mod xa;
