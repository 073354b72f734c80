//! The inventory service keeps stock by SKU. Each unit is available, frozen or sold.
//!
//! | Pattern | Ops |
//! |---|---|
//! | saga | `/stock/reserve` (available to sold), `/stock/release` (back) |
//! | tcc | `/stock/try` (available to frozen), `/stock/confirm` (frozen to sold), `/stock/cancel` (back) |
//! | two_phase | `/stock/prepare`, `/stock/commit`, `/stock/rollback`: as for tcc; a quantity of 0 votes read-only |
//! | message | `/stock/receive` (a delivery came in) |
//! | all | `/stock/branch`: one URL for every op of a branch |
//!
//! The payload of every op is `{"sku": "A-1", "quantity": 2}`; a missing quantity is 1. People use `POST /stock` to bring units
//! in, `GET /stock`, `GET /stock/{sku}`, and `GET /stock/summary`, which says whether every unit is accounted for.

mod api;
mod ops;
mod statements;

crate::service::service! {
    /// The inventory service.
    name: "inventory",
    migration: "stock",
    tables: statements::Stock,
}
