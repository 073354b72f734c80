//! The inventory service: stock by SKU, of which each unit is available, frozen or sold.
//!
//! | Pattern | Ops |
//! |---|---|
//! | saga | `/stock/reserve` (available to sold), `/stock/release` (back) |
//! | tcc | `/stock/try` (available to frozen), `/stock/confirm` (frozen to sold), `/stock/cancel` (back) |
//! | two_phase | `/stock/prepare`, `/stock/commit`, `/stock/rollback`: as tcc; a quantity of 0 votes read-only |
//! | message | `/stock/receive` (a delivery came in) |
//! | all | `/stock/branch`: one URL for every op of a branch |
//!
//! The payload of every op is `{"sku": "A-1", "quantity": 2}` (quantity 1 when absent). For people: `POST /stock`
//! brings units in, `GET /stock`, `GET /stock/{sku}`, and `GET /stock/summary`, which says whether every unit is
//! accounted for.

mod api;
mod ops;
mod statements;

use std::sync::Arc;

use crate::config::{Config, Location};
use crate::database::{Database, Step};
use crate::error::StartError;
use crate::service::{self, Parts, Running};
use statements::Stock;

const SQLITE: &[Step] =
    &[(1, "stock", include_str!("../../migrations/participants/inventory/sqlite/0001_stock.sql"))];
const POSTGRES: &[Step] =
    &[(1, "stock", include_str!("../../migrations/participants/inventory/postgres/0001_stock.sql"))];
const MYSQL: &[Step] =
    &[(1, "stock", include_str!("../../migrations/participants/inventory/mysql/0001_stock.sql"))];

/// The inventory service.
#[derive(Debug)]
pub struct Service;

impl Service {
    /// The name it registers.
    pub const NAME: &'static str = "inventory";

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

fn parts<D: Stock>(database: Database<D>) -> Parts {
    Parts {
        name: Service::NAME,
        ops: ops::router(database.clone()),
        api: api::router(database.clone()),
        database: Arc::new(database),
    }
}
