//! The endpoints for people: bringing units in, looking at the stock, and checking that every unit is accounted for.

use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::routing::get;
use axum::{Json, Router};
use serde::{Deserialize, Serialize};

use super::statements::{Row, Stock as Store};
use crate::database::Database;
use crate::error::ApiError;

const QUANTITY_MAX: i64 = 1_000_000_000;
const SKU_CHARS_MAX: usize = 64;

/// The stock of one SKU.
#[derive(Debug, Serialize)]
struct Stock {
    sku: String,
    available: i64,
    frozen: i64,
    sold: i64,
    stocked: i64,
}

impl From<Row> for Stock {
    fn from((sku, available, frozen, sold, stocked): Row) -> Self {
        Self { sku, available, frozen, sold, stocked }
    }
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct NewStock {
    sku: String,
    quantity: i64,
}

/// The stock of all SKUs, and whether every unit is accounted for.
#[derive(Debug, Default, Serialize)]
struct Summary {
    available: i64,
    frozen: i64,
    sold: i64,
    /// All units that came in.
    stocked: i64,
    /// For every SKU: available + frozen + sold = stocked.
    conserved: bool,
    skus: Vec<Stock>,
}

pub(super) fn router<D: Store>(database: Database<D>) -> Router {
    Router::new()
        .route("/stock", get(list::<D>).post(put::<D>))
        .route("/stock/summary", get(summary::<D>))
        .route("/stock/{sku}", get(show::<D>))
        .with_state(database)
}

/// Adds units of a SKU, new or known.
async fn put<D: Store>(
    State(database): State<Database<D>>,
    Json(stock): Json<NewStock>,
) -> Result<(StatusCode, Json<Stock>), ApiError> {
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-');
    let named = !stock.sku.is_empty() && stock.sku.len() <= SKU_CHARS_MAX && stock.sku.chars().all(plain);
    if !named || stock.sku == "summary" {
        return Err(ApiError::Invalid("sku must be 1 to 64 of A-Z a-z 0-9 . _ -, and not `summary`".into()));
    }
    if !(0..=QUANTITY_MAX).contains(&stock.quantity) {
        return Err(ApiError::Invalid(format!("quantity must be between 0 and {QUANTITY_MAX}")));
    }
    // In a task of its own: if the caller closes the connection, the statement must still run to its end.
    let writer = database.writer.clone();
    let written = tokio::spawn(async move {
        let mut connection = writer.acquire().await?;
        D::receive(&mut connection, &stock.sku, stock.quantity).await?;
        D::one(&mut connection, &stock.sku).await
    });
    let row = written.await.map_err(|_| sqlx::Error::WorkerCrashed)??.ok_or(sqlx::Error::RowNotFound)?;
    Ok((StatusCode::CREATED, Json(row.into())))
}

async fn show<D: Store>(
    State(database): State<Database<D>>,
    Path(sku): Path<String>,
) -> Result<Json<Stock>, ApiError> {
    let row = D::one(&mut *database.reader.acquire().await?, &sku).await?;
    row.map(|row| Json(row.into())).ok_or_else(|| ApiError::NotFound(format!("no stock of {sku}")))
}

async fn list<D: Store>(State(database): State<Database<D>>) -> Result<Json<Vec<Stock>>, ApiError> {
    Ok(Json(all(&database).await?))
}

async fn summary<D: Store>(State(database): State<Database<D>>) -> Result<Json<Summary>, ApiError> {
    let skus = all(&database).await?;
    let mut summary = Summary { conserved: true, ..Summary::default() };
    for stock in &skus {
        summary.available += stock.available;
        summary.frozen += stock.frozen;
        summary.sold += stock.sold;
        summary.stocked += stock.stocked;
        summary.conserved &= stock.available + stock.frozen + stock.sold == stock.stocked;
    }
    summary.skus = skus;
    Ok(Json(summary))
}

async fn all<D: Store>(database: &Database<D>) -> Result<Vec<Stock>, sqlx::Error> {
    let rows = D::all(&mut *database.reader.acquire().await?).await?;
    Ok(rows.into_iter().map(Stock::from).collect())
}
