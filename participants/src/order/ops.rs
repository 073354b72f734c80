//! The ops of the order service: each writes one order or moves it to another state, behind the barrier.

use axum::Router;
use serde::{Deserialize, Serialize};
use sqlx::SqliteConnection;
use trine_sdk::{BranchContext, Op, Outcome, Participant};

use crate::database::Database;
use crate::error::Failure;

/// More units than this are not sold in one order.
const QUANTITY_MAX: u32 = 1_000;

/// What an op is about.
#[derive(Debug, Clone, Deserialize)]
pub(super) struct Item {
    /// Chosen by the initiator, or made of gid and branch.
    id: Option<String>,
    sku: String,
    #[serde(default = "one")]
    quantity: u32,
}

fn one() -> u32 {
    1
}

/// What a forward op answers.
#[derive(Debug, Serialize)]
struct Placed {
    id: String,
    state: &'static str,
}

const PLACE: &str = "INSERT INTO orders (id, gid, branch, sku, quantity, state) VALUES (?, ?, ?, ?, ?, ?) \
                     ON CONFLICT (id) DO NOTHING";
const MOVE: &str = "UPDATE orders SET state = ?, updated_at = CAST(unixepoch('subsec') * 1000 AS INTEGER) \
                    WHERE gid = ? AND branch = ? AND state = ?";

type Answer = Result<Outcome, Failure>;

pub(super) fn router(database: Database) -> Router {
    Participant::new(database)
        .action("/orders/create", |db: Database, call, item| place(db, call, item, "confirmed"))
        .compensate("/orders/cancel", |db: Database, call, item| {
            shift(db, call, item, "confirmed", "cancelled")
        })
        .try_("/orders/try", |db: Database, call, item| place(db, call, item, "pending"))
        .confirm("/orders/confirm", |db: Database, call, item| shift(db, call, item, "pending", "confirmed"))
        .cancel("/orders/cancel", |db: Database, call, item| shift(db, call, item, "pending", "cancelled"))
        .prepare("/orders/prepare", |db: Database, call, item| place(db, call, item, "pending"))
        .commit("/orders/commit", |db: Database, call, item| shift(db, call, item, "pending", "confirmed"))
        .rollback("/orders/rollback", |db: Database, call, item| {
            shift(db, call, item, "pending", "cancelled")
        })
        .action("/orders/branch", |db: Database, call, item| place(db, call, item, "confirmed"))
        .compensate("/orders/branch", |db: Database, call, item| {
            shift(db, call, item, "confirmed", "cancelled")
        })
        .try_("/orders/branch", |db: Database, call, item| place(db, call, item, "pending"))
        .confirm("/orders/branch", |db: Database, call, item| shift(db, call, item, "pending", "confirmed"))
        .cancel("/orders/branch", |db: Database, call, item| shift(db, call, item, "pending", "cancelled"))
        .prepare("/orders/branch", |db: Database, call, item| place(db, call, item, "pending"))
        .commit("/orders/branch", |db: Database, call, item| shift(db, call, item, "pending", "confirmed"))
        .rollback("/orders/branch", |db: Database, call, item| shift(db, call, item, "pending", "cancelled"))
        .into_router()
}

/// Writes a new order, unless it is one that is not accepted.
async fn place(database: Database, call: BranchContext, item: Item, state: &'static str) -> Answer {
    let (gid, branch, op) = (call.gid.to_string(), call.branch.to_string(), call.op);
    let body = async move |connection: &mut SqliteConnection| {
        if item.quantity == 0 && op == Op::Prepare {
            return Ok(Outcome::DoneReadOnly);
        }
        if item.quantity == 0 || item.quantity > QUANTITY_MAX {
            return Ok(Outcome::refused(format!(
                "an order has 1 to {QUANTITY_MAX} units, not {}",
                item.quantity
            )));
        }
        // `~` is in no id's grammar, so no two branches share an order, and it needs no escape in a URL.
        let id = item.id.unwrap_or_else(|| format!("{gid}~{branch}"));
        let placed = sqlx::query(PLACE)
            .bind(&id)
            .bind(gid)
            .bind(branch)
            .bind(item.sku)
            .bind(item.quantity)
            .bind(state)
            .execute(connection)
            .await?;
        match placed.rows_affected() {
            1 => Ok(Outcome::done(&Placed { id, state })?),
            _ => Ok(Outcome::refused(format!("there is an order {id} already"))),
        }
    };
    database.barrier.execute(&call, body).await
}

/// Moves the order of this branch, which an earlier op has written, to another state.
async fn shift(
    database: Database,
    call: BranchContext,
    _: Item,
    from: &'static str,
    to: &'static str,
) -> Answer {
    let (gid, branch) = (call.gid.to_string(), call.branch.to_string());
    let body = async move |connection: &mut SqliteConnection| {
        let moved =
            sqlx::query(MOVE).bind(to).bind(&gid).bind(&branch).bind(from).execute(connection).await?;
        match moved.rows_affected() {
            1 => Ok(Outcome::empty()),
            _ => Err(Failure::Inconsistent(format!("{gid}/{branch} has no {from} order to become {to}"))),
        }
    };
    database.barrier.execute(&call, body).await
}
