//! The ops of the inventory. Each moves units of one SKU from one pile to another, behind the barrier.

use axum::Router;
use serde::{Deserialize, Serialize};
use trine_sdk::{BranchContext, Op, Outcome, Participant};

use super::statements::{Move, Stock};
use crate::database::Database;
use crate::error::Failure;

/// The payload of every op.
#[derive(Debug, Clone, Deserialize)]
pub(super) struct Item {
    sku: String,
    #[serde(default = "one")]
    quantity: u32,
}

fn one() -> u32 {
    1
}

/// The output of a forward op: the units it took, and the units still available.
#[derive(Debug, Serialize)]
struct Taken {
    sku: String,
    quantity: u32,
    available: i64,
}

/// Where each op is mounted: action, compensate, try, confirm, cancel, prepare, commit, rollback and deliver.
type Paths = [&'static str; 9];

const PATHS: Paths = [
    "/stock/reserve",
    "/stock/release",
    "/stock/try",
    "/stock/confirm",
    "/stock/cancel",
    "/stock/prepare",
    "/stock/commit",
    "/stock/rollback",
    "/stock/receive",
];
/// One URL for every op of a branch.
const ONE_PATH: Paths = ["/stock/branch"; 9];

pub(super) fn router<D: Stock>(database: Database<D>) -> Router {
    mount(mount(Participant::new(database), PATHS), ONE_PATH).into_router()
}

fn mount<D: Stock>(participant: Participant<Database<D>>, paths: Paths) -> Participant<Database<D>> {
    let [action, compensate, try_, confirm, cancel, prepare, commit, rollback, deliver] = paths;
    participant
        .action(action, |db, call, item| take(db, call, item, Move::Sell))
        .compensate(compensate, |db, call, item| shift(db, call, item, Move::Release))
        .try_(try_, |db, call, item| take(db, call, item, Move::Freeze))
        .confirm(confirm, |db, call, item| shift(db, call, item, Move::Deduct))
        .cancel(cancel, |db, call, item| shift(db, call, item, Move::Unfreeze))
        .prepare(prepare, |db, call, item| take(db, call, item, Move::Freeze))
        .commit(commit, |db, call, item| shift(db, call, item, Move::Deduct))
        .rollback(rollback, |db, call, item| shift(db, call, item, Move::Unfreeze))
        .deliver(deliver, receive)
}

/// Takes available units, or refuses if there are not enough.
async fn take<D: Stock>(
    database: Database<D>,
    call: BranchContext,
    item: Item,
    what: Move,
) -> Result<Outcome, Failure> {
    let op = call.op;
    let body = async move |connection: &mut D::Connection| {
        if item.quantity == 0 && op == Op::Prepare {
            return Ok(Outcome::DoneReadOnly);
        }
        let taken = D::shift(connection, what, &item.sku, item.quantity.into()).await?;
        let left = D::one(connection, &item.sku).await?;
        match left {
            Some((sku, available, ..)) if taken => {
                Ok(Outcome::done(&Taken { sku, quantity: item.quantity, available })?)
            }
            Some((sku, available, ..)) => {
                Ok(Outcome::refused(format!("{} of {sku} wanted, {available} available", item.quantity)))
            }
            None => Ok(Outcome::refused(format!("{} is not in stock", item.sku))),
        }
    };
    database.barrier.execute(&call, body).await
}

/// Moves units that an earlier op of the branch took. So there are always enough.
async fn shift<D: Stock>(
    database: Database<D>,
    call: BranchContext,
    item: Item,
    what: Move,
) -> Result<Outcome, Failure> {
    let body = async move |connection: &mut D::Connection| {
        if D::shift(connection, what, &item.sku, item.quantity.into()).await? {
            Ok(Outcome::empty())
        } else {
            Err(Failure::Inconsistent(format!("there is no stock of {} to move", item.sku)))
        }
    };
    database.barrier.execute(&call, body).await
}

/// Adds the units of a message's delivery.
async fn receive<D: Stock>(
    database: Database<D>,
    call: BranchContext,
    item: Item,
) -> Result<Outcome, Failure> {
    let body = async move |connection: &mut D::Connection| {
        D::receive(connection, &item.sku, item.quantity.into()).await?;
        Ok(Outcome::empty())
    };
    database.barrier.execute(&call, body).await
}
