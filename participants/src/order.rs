//! The order service: orders, each pending, confirmed or cancelled.
//!
//! | Pattern | Ops |
//! |---|---|
//! | saga | `/orders/create` (confirmed at once), `/orders/cancel` |
//! | tcc | `/orders/try` (pending), `/orders/confirm`, `/orders/cancel` |
//! | two_phase | `/orders/prepare`, `/orders/commit`, `/orders/rollback`: as tcc; a quantity of 0 votes read-only |
//! | all | `/orders/branch`: one URL for every op of a branch |
//!
//! The payload of every op is `{"sku": "A-1", "quantity": 2, "id": "4711"}` (quantity 1 when absent; the id, when
//! absent, is `<gid>~<branch>`). An order of 0 or more than 1000 units is refused. For people: `GET /orders`,
//! `GET /orders/{id}`, and `GET /orders/summary`.

mod api;
mod ops;
mod statements;

use std::sync::Arc;

use crate::config::{Config, Location};
use crate::database::{Database, Step};
use crate::error::StartError;
use crate::service::{self, Parts, Running};
use statements::Orders;

const SQLITE: &[Step] =
    &[(1, "orders", include_str!("../../migrations/participants/order/sqlite/0001_orders.sql"))];
const POSTGRES: &[Step] =
    &[(1, "orders", include_str!("../../migrations/participants/order/postgres/0001_orders.sql"))];
const MYSQL: &[Step] =
    &[(1, "orders", include_str!("../../migrations/participants/order/mysql/0001_orders.sql"))];

/// The order service.
#[derive(Debug)]
pub struct Service;

impl Service {
    /// The name it registers.
    pub const NAME: &'static str = "order";

    /// Starts it.
    ///
    /// # Errors
    /// [`StartError`]: the database, the address or a coordinator's URL cannot be used.
    pub async fn start(config: Config) -> Result<Running, StartError> {
        let parts = match &config.db {
            Location::Sqlite(path) => Database::sqlite(path, config.synchronous, SQLITE).await.map(parts),
            Location::Postgres(url) => Database::postgres(url, POSTGRES).await.map(parts),
            Location::MySql(url) => Database::mysql(url, MYSQL).await.map(parts),
        };
        let parts = parts.map_err(|reason| StartError::Database {
            location: config.db.clone(),
            reason: reason.to_string(),
        })?;
        service::start(parts, config).await
    }
}

fn parts<D: Orders>(database: Database<D>) -> Parts {
    Parts {
        name: Service::NAME,
        ops: ops::router(database.clone()),
        api: api::router(database.clone()),
        database: Arc::new(database),
    }
}
