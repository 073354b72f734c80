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

use crate::config::Config;
use crate::database::Step;
use crate::error::StartError;
use crate::service::{self, Parts, Running};

const MIGRATIONS: &[Step] =
    &[(1, "stock", include_str!("../../migrations/participants/inventory/sqlite/0001_stock.sql"))];

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
        service::start(
            Parts { name: Self::NAME, migrations: MIGRATIONS, ops: ops::router, api: api::router },
            config,
        )
        .await
    }
}
