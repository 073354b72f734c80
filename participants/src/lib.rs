//! Two services to see transactions with: [`order`] keeps orders, [`inventory`] keeps stock, each in a database of its own:
//! SQLite, PostgreSQL or MySQL. Together they are the classic case: an order is placed and stock is taken, both or neither.
//!
//! Both speak saga, TCC and two-phase commit, every op behind the SDK's barrier, and both can be told to misbehave
//! ([`faults`]). They run as programs (`order-service`, `inventory-service`), or inside another process through
//! `Service::start`. Not here: authentication, paging beyond a limit, and other things a shop would need.

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
