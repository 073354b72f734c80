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

use crate::config::Config;
use crate::database::Step;
use crate::error::StartError;
use crate::service::{self, Parts, Running};

const MIGRATIONS: &[Step] =
    &[(1, "orders", include_str!("../../migrations/participants/order/sqlite/0001_orders.sql"))];

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
        service::start(
            Parts { name: Self::NAME, migrations: MIGRATIONS, ops: ops::router, api: api::router },
            config,
        )
        .await
    }
}
