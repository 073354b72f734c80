//! The inventory for people: bringing units in, looking, and checking that every unit is accounted for.

use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::routing::get;
use axum::{Json, Router};
use serde::{Deserialize, Serialize};

use crate::database::Database;
use crate::error::ApiError;

const QUANTITY_MAX: i64 = 1_000_000_000;
const SKU_CHARS_MAX: usize = 64;

/// One SKU.
#[derive(Debug, Serialize)]
struct Stock {
    sku: String,
    available: i64,
    frozen: i64,
    sold: i64,
    stocked: i64,
}

/// The columns of every statement below, in order.
type Row = (String, i64, i64, i64, i64);

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

/// Whether every unit is accounted for.
#[derive(Debug, Default, Serialize)]
struct Summary {
    available: i64,
    frozen: i64,
    sold: i64,
    /// Units that ever came in.
    stocked: i64,
    /// For every SKU: available + frozen + sold = stocked.
    conserved: bool,
    skus: Vec<Stock>,
}

const PUT: &str = "INSERT INTO stock (sku, available, stocked) VALUES (?1, ?2, ?2) ON CONFLICT (sku) \
                   DO UPDATE SET available = available + ?2, stocked = stocked + ?2 \
                   RETURNING sku, available, frozen, sold, stocked";
const ALL: &str = "SELECT sku, available, frozen, sold, stocked FROM stock ORDER BY sku";
const ONE: &str = "SELECT sku, available, frozen, sold, stocked FROM stock WHERE sku = ?";

pub(super) fn router(database: Database) -> Router {
    Router::new()
        .route("/stock", get(list).post(put))
        .route("/stock/summary", get(summary))
        .route("/stock/{sku}", get(show))
        .with_state(database)
}

/// Adds units of a SKU, new or known.
async fn put(
    State(database): State<Database>,
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
    // In a task of its own: a caller that hangs up must not leave a statement half read.
    let writer = database.writer.clone();
    let written = tokio::spawn(async move {
        sqlx::query_as(PUT).bind(stock.sku).bind(stock.quantity).fetch_one(&writer).await
    });
    let row: Row = written.await.map_err(|_| sqlx::Error::WorkerCrashed)??;
    Ok((StatusCode::CREATED, Json(row.into())))
}

async fn show(State(database): State<Database>, Path(sku): Path<String>) -> Result<Json<Stock>, ApiError> {
    let row: Option<Row> = sqlx::query_as(ONE).bind(&sku).fetch_optional(&database.reader).await?;
    row.map(|row| Json(row.into())).ok_or_else(|| ApiError::NotFound(format!("no stock of {sku}")))
}

async fn list(State(database): State<Database>) -> Result<Json<Vec<Stock>>, ApiError> {
    Ok(Json(all(&database).await?))
}

async fn summary(State(database): State<Database>) -> Result<Json<Summary>, ApiError> {
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

async fn all(database: &Database) -> Result<Vec<Stock>, sqlx::Error> {
    let rows: Vec<Row> = sqlx::query_as(ALL).fetch_all(&database.reader).await?;
    Ok(rows.into_iter().map(Stock::from).collect())
}
