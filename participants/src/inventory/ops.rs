//! The ops of the inventory: each moves units of one SKU from one pile to another, behind the barrier.

use axum::Router;
use serde::{Deserialize, Serialize};
use sqlx::SqliteConnection;
use trine_sdk::{BranchContext, Op, Outcome, Participant};

use crate::database::Database;
use crate::error::Failure;

/// What an op is about.
#[derive(Debug, Clone, Deserialize)]
pub(super) struct Item {
    sku: String,
    #[serde(default = "one")]
    quantity: u32,
}

fn one() -> u32 {
    1
}

/// What a forward op leaves on the shelf.
#[derive(Debug, Serialize)]
struct Taken {
    sku: String,
    quantity: u32,
    available: i64,
}

const FREEZE: &str = "UPDATE stock SET available = available - ?1, frozen = frozen + ?1 \
                      WHERE sku = ?2 AND available >= ?1 RETURNING available";
const SELL: &str = "UPDATE stock SET available = available - ?1, sold = sold + ?1 \
                    WHERE sku = ?2 AND available >= ?1 RETURNING available";
const DEDUCT: &str = "UPDATE stock SET frozen = frozen - ?1, sold = sold + ?1 WHERE sku = ?2";
const UNFREEZE: &str = "UPDATE stock SET frozen = frozen - ?1, available = available + ?1 WHERE sku = ?2";
const RELEASE: &str = "UPDATE stock SET sold = sold - ?1, available = available + ?1 WHERE sku = ?2";
const RECEIVE: &str = "INSERT INTO stock (sku, available, stocked) VALUES (?2, ?1, ?1) ON CONFLICT (sku) \
                       DO UPDATE SET available = available + ?1, stocked = stocked + ?1";

type Answer = Result<Outcome, Failure>;

pub(super) fn router(database: Database) -> Router {
    Participant::new(database)
        .action("/stock/reserve", |db: Database, call, item| take(db, call, item, SELL))
        .compensate("/stock/release", |db: Database, call, item| shift(db, call, item, RELEASE))
        .try_("/stock/try", |db: Database, call, item| take(db, call, item, FREEZE))
        .confirm("/stock/confirm", |db: Database, call, item| shift(db, call, item, DEDUCT))
        .cancel("/stock/cancel", |db: Database, call, item| shift(db, call, item, UNFREEZE))
        .prepare("/stock/prepare", |db: Database, call, item| take(db, call, item, FREEZE))
        .commit("/stock/commit", |db: Database, call, item| shift(db, call, item, DEDUCT))
        .rollback("/stock/rollback", |db: Database, call, item| shift(db, call, item, UNFREEZE))
        .deliver("/stock/receive", |db: Database, call, item| shift(db, call, item, RECEIVE))
        .action("/stock/branch", |db: Database, call, item| take(db, call, item, SELL))
        .compensate("/stock/branch", |db: Database, call, item| shift(db, call, item, RELEASE))
        .try_("/stock/branch", |db: Database, call, item| take(db, call, item, FREEZE))
        .confirm("/stock/branch", |db: Database, call, item| shift(db, call, item, DEDUCT))
        .cancel("/stock/branch", |db: Database, call, item| shift(db, call, item, UNFREEZE))
        .prepare("/stock/branch", |db: Database, call, item| take(db, call, item, FREEZE))
        .commit("/stock/branch", |db: Database, call, item| shift(db, call, item, DEDUCT))
        .rollback("/stock/branch", |db: Database, call, item| shift(db, call, item, UNFREEZE))
        .deliver("/stock/branch", |db: Database, call, item| shift(db, call, item, RECEIVE))
        .into_router()
}

/// Takes units off the shelf, or refuses when there are not enough.
async fn take(database: Database, call: BranchContext, item: Item, sql: &'static str) -> Answer {
    let op = call.op;
    let body = async move |connection: &mut SqliteConnection| {
        if item.quantity == 0 && op == Op::Prepare {
            return Ok(Outcome::DoneReadOnly);
        }
        let left: Option<i64> = sqlx::query_scalar(sql)
            .bind(item.quantity)
            .bind(&item.sku)
            .fetch_optional(&mut *connection)
            .await?;
        match left {
            Some(available) => {
                Ok(Outcome::done(&Taken { sku: item.sku, quantity: item.quantity, available })?)
            }
            None => Ok(Outcome::Refused(shortage(connection, &item).await?)),
        }
    };
    database.barrier.execute(&call, body).await
}

/// Moves units that an earlier op of the branch took; there is nothing that could be short.
async fn shift(database: Database, call: BranchContext, item: Item, sql: &'static str) -> Answer {
    let body = async move |connection: &mut SqliteConnection| {
        let moved = sqlx::query(sql).bind(item.quantity).bind(&item.sku).execute(connection).await?;
        match moved.rows_affected() {
            1 => Ok(Outcome::empty()),
            _ => Err(Failure::Inconsistent(format!("there is no stock of {} to move", item.sku))),
        }
    };
    database.barrier.execute(&call, body).await
}

async fn shortage(connection: &mut SqliteConnection, item: &Item) -> Result<String, sqlx::Error> {
    let available: Option<i64> = sqlx::query_scalar("SELECT available FROM stock WHERE sku = ?")
        .bind(&item.sku)
        .fetch_optional(connection)
        .await?;
    Ok(match available {
        Some(available) => format!("{} of {} wanted, {available} available", item.quantity, item.sku),
        None => format!("{} is not in stock", item.sku),
    })
}
