//! The order service keeps orders. Each order is pending, confirmed or cancelled.
//!
//! | Pattern | Ops |
//! |---|---|
//! | saga | `/orders/create` (confirmed at once), `/orders/cancel` |
//! | tcc | `/orders/try` (pending), `/orders/confirm`, `/orders/cancel` |
//! | two_phase | `/orders/prepare`, `/orders/commit`, `/orders/rollback`: as for tcc; a quantity of 0 votes read-only |
//! | all | `/orders/branch`: one URL for every op of a branch |
//!
//! The payload of every op is `{"sku": "A-1", "quantity": 2, "id": "4711"}`. A missing quantity is 1, a missing id is
//! `<gid>~<branch>`. An order of 0 or more than 1000 units is refused. People use `GET /orders`, `GET /orders/{id}` and
//! `GET /orders/summary`.

mod api;
mod ops;
mod statements;

crate::service::service! {
    /// The order service.
    name: "order",
    migration: "orders",
    tables: statements::Orders,
}
