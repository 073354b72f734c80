//! The endpoints for people: lists of orders, one order, and the sums over all orders.

use std::collections::BTreeMap;

use axum::extract::{Path, Query, State};
use axum::routing::get;
use axum::{Json, Router};
use serde::{Deserialize, Serialize};

use super::statements::{Orders, Row};
use crate::database::Database;
use crate::error::ApiError;

const LIMIT_DEFAULT: u32 = 100;
const LIMIT_MAX: u32 = 1_000;

/// One order. Times are milliseconds since 1970, UTC.
#[derive(Debug, Serialize)]
struct Order {
    id: String,
    gid: String,
    branch: String,
    sku: String,
    quantity: i64,
    state: String,
    created_at_ms: i64,
    updated_at_ms: i64,
}

impl From<Row> for Order {
    fn from((id, gid, branch, sku, quantity, state, created_at_ms, updated_at_ms): Row) -> Self {
        Self { id, gid, branch, sku, quantity, state, created_at_ms, updated_at_ms }
    }
}

/// Which orders to list. The newest come first.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Filter {
    gid: Option<String>,
    state: Option<String>,
    limit: Option<u32>,
}

/// A number of orders, and of the units in them.
#[derive(Debug, Default, Serialize)]
struct Sum {
    orders: i64,
    quantity: i64,
}

#[derive(Debug, Default, Serialize)]
struct Summary {
    pending: Sum,
    confirmed: Sum,
    cancelled: Sum,
    /// Units in confirmed orders, by SKU. They should be equal to the units that the inventory has sold.
    confirmed_by_sku: BTreeMap<String, i64>,
}

pub(super) fn router<D: Orders>(database: Database<D>) -> Router {
    Router::new()
        .route("/orders", get(list::<D>))
        .route("/orders/summary", get(summary::<D>))
        .route("/orders/{id}", get(show::<D>))
        .with_state(database)
}

async fn list<D: Orders>(
    State(database): State<Database<D>>,
    Query(filter): Query<Filter>,
) -> Result<Json<Vec<Order>>, ApiError> {
    let limit = filter.limit.unwrap_or(LIMIT_DEFAULT);
    if limit > LIMIT_MAX {
        return Err(ApiError::Invalid(format!("limit must be at most {LIMIT_MAX}")));
    }
    let mut reader = database.reader.acquire().await?;
    let rows = D::list(&mut reader, filter.gid.as_deref(), filter.state.as_deref(), limit.into()).await?;
    Ok(Json(rows.into_iter().map(Order::from).collect()))
}

async fn show<D: Orders>(
    State(database): State<Database<D>>,
    Path(id): Path<String>,
) -> Result<Json<Order>, ApiError> {
    let row = D::one(&mut *database.reader.acquire().await?, &id).await?;
    row.map(|row| Json(row.into())).ok_or_else(|| ApiError::NotFound(format!("no order {id}")))
}

async fn summary<D: Orders>(State(database): State<Database<D>>) -> Result<Json<Summary>, ApiError> {
    let rows = D::sums(&mut *database.reader.acquire().await?).await?;
    let mut summary = Summary::default();
    for (state, sku, orders, quantity) in rows {
        let sum = match state.as_str() {
            "pending" => &mut summary.pending,
            "confirmed" => {
                summary.confirmed_by_sku.insert(sku, quantity);
                &mut summary.confirmed
            }
            _ => &mut summary.cancelled,
        };
        sum.orders += orders;
        sum.quantity += quantity;
    }
    Ok(Json(summary))
}
