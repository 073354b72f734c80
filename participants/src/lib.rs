//! Two services that take part in transactions: [`order`] keeps orders, [`inventory`] keeps stock. Each has a database of its own
//! (SQLite, PostgreSQL or MySQL). Together they are the classic case: an order is placed and stock is taken, both or neither.
//!
//! Both services have the ops of saga, TCC and two-phase commit, each op behind the SDK's barrier. Both can misbehave on demand
//! ([`faults`]). They run as programs (`order-service`, `inventory-service`), or inside another process through
//! `Service::start`. They have no authentication, no paging beyond a limit, and nothing else that only a real shop needs.

pub mod cli;
mod config;
mod database;
mod error;
pub mod faults;
pub mod inventory;
pub mod order;
mod service;

pub use config::{Config, Location, Synchronous};
pub use error::StartError;
pub use service::Running;
