//! The ops of the order service. Each writes one order, or moves one order to another state, behind the barrier.

use axum::Router;
use serde::{Deserialize, Serialize};
use trine_sdk::{BranchContext, Op, Outcome, Participant};

use super::statements::{NewOrder, Orders};
use crate::database::Database;
use crate::error::Failure;

/// The most units of one order.
const QUANTITY_MAX: u32 = 1_000;
/// The longest id and SKU, in characters. MySQL's columns are this wide.
const ID_CHARS_MAX: usize = 300;
const SKU_CHARS_MAX: usize = 255;

/// The payload of every op.
#[derive(Debug, Clone, Deserialize)]
pub(super) struct Item {
    /// The id of the order. If the initiator gives none, the id is made of gid and branch.
    id: Option<String>,
    sku: String,
    #[serde(default = "one")]
    quantity: u32,
}

fn one() -> u32 {
    1
}

/// The output of a forward op.
#[derive(Debug, Serialize)]
struct Placed {
    id: String,
    state: &'static str,
}

/// Where each op is mounted: action, compensate, try, confirm, cancel, prepare, commit and rollback.
type Paths = [&'static str; 8];

const PATHS: Paths = [
    "/orders/create",
    "/orders/cancel",
    "/orders/try",
    "/orders/confirm",
    "/orders/cancel",
    "/orders/prepare",
    "/orders/commit",
    "/orders/rollback",
];
/// One URL for every op of a branch.
const ONE_PATH: Paths = ["/orders/branch"; 8];

pub(super) fn router<D: Orders>(database: Database<D>) -> Router {
    mount(mount(Participant::new(database), PATHS), ONE_PATH).into_router()
}

fn mount<D: Orders>(participant: Participant<Database<D>>, paths: Paths) -> Participant<Database<D>> {
    let [action, compensate, try_, confirm, cancel, prepare, commit, rollback] = paths;
    participant
        .action(action, |db, call, item| place(db, call, item, "confirmed"))
        .compensate(compensate, |db, call, item| shift(db, call, item, "confirmed", "cancelled"))
        .try_(try_, |db, call, item| place(db, call, item, "pending"))
        .confirm(confirm, |db, call, item| shift(db, call, item, "pending", "confirmed"))
        .cancel(cancel, |db, call, item| shift(db, call, item, "pending", "cancelled"))
        .prepare(prepare, |db, call, item| place(db, call, item, "pending"))
        .commit(commit, |db, call, item| shift(db, call, item, "pending", "confirmed"))
        .rollback(rollback, |db, call, item| shift(db, call, item, "pending", "cancelled"))
}

/// Writes a new order, or refuses one that is not accepted.
async fn place<D: Orders>(
    database: Database<D>,
    call: BranchContext,
    item: Item,
    state: &'static str,
) -> Result<Outcome, Failure> {
    let op = call.op;
    let (gid, branch) = (call.gid.to_string(), call.branch.to_string());
    let body = async move |connection: &mut D::Connection| {
        if item.quantity == 0 && op == Op::Prepare {
            return Ok(Outcome::DoneReadOnly);
        }
        if let Some(reason) = objection(&item) {
            return Ok(Outcome::Refused(reason));
        }
        // `~` is in no id's grammar, so no two branches share an order, and it needs no escape in a URL.
        let id = item.id.unwrap_or_else(|| format!("{gid}~{branch}"));
        let order = NewOrder { id, gid, branch, sku: item.sku, quantity: item.quantity.into(), state };
        if D::place(connection, &order).await? {
            Ok(Outcome::done(&Placed { id: order.id, state })?)
        } else {
            Ok(Outcome::refused(format!("there is an order {} already", order.id)))
        }
    };
    database.barrier.execute(&call, body).await
}

/// The reason why an order is not accepted, if there is one.
fn objection(item: &Item) -> Option<String> {
    if item.quantity == 0 || item.quantity > QUANTITY_MAX {
        return Some(format!("an order has 1 to {QUANTITY_MAX} units, not {}", item.quantity));
    }
    let plain = |text: &str, chars: usize| {
        !text.is_empty()
            && text.trim() == text
            && !text.contains(char::is_control)
            && text.chars().count() <= chars
    };
    if !plain(&item.sku, SKU_CHARS_MAX) || item.id.as_deref().is_some_and(|id| !plain(id, ID_CHARS_MAX)) {
        return Some(format!(
            "an id has 1 to {ID_CHARS_MAX} characters and a SKU 1 to {SKU_CHARS_MAX}, without control characters, and \
             without spaces around them"
        ));
    }
    None
}

/// Moves the order that an earlier op of this branch wrote to another state.
async fn shift<D: Orders>(
    database: Database<D>,
    call: BranchContext,
    _: Item,
    from: &'static str,
    to: &'static str,
) -> Result<Outcome, Failure> {
    let (gid, branch) = (call.gid.to_string(), call.branch.to_string());
    let body = async move |connection: &mut D::Connection| {
        if D::shift(connection, &gid, &branch, from, to).await? {
            Ok(Outcome::empty())
        } else {
            Err(Failure::Inconsistent(format!("{gid}/{branch} has no {from} order to become {to}")))
        }
    };
    database.barrier.execute(&call, body).await
}
