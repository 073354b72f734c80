//! The statements of the order service on each database. A statement takes the same parameters, in the same order, on every
//! database. Only its text differs.

use std::future::Future;

use sqlx::{MySql, Postgres, Sqlite};
use trine_sdk::barrier::BarrierDatabase;

/// id, gid, branch, sku, quantity, state, created_at, updated_at.
pub(super) type Row = (String, String, String, String, i64, String, i64, i64);
/// state, sku, orders, units.
pub(super) type SumRow = (String, String, i64, i64);

/// An order to be written.
#[derive(Debug, Clone)]
pub(super) struct NewOrder {
    pub(super) id: String,
    pub(super) gid: String,
    pub(super) branch: String,
    pub(super) sku: String,
    pub(super) quantity: i64,
    pub(super) state: &'static str,
}

/// A database that keeps orders.
pub(super) trait Orders: BarrierDatabase {
    /// Writes an order unless its id is taken. Returns whether it wrote the order.
    fn place(
        connection: &mut Self::Connection,
        order: &NewOrder,
    ) -> impl Future<Output = sqlx::Result<bool>> + Send;
    /// Moves the order of a branch to another state. Returns whether the branch has an order in the state `from`.
    fn shift(
        connection: &mut Self::Connection,
        gid: &str,
        branch: &str,
        from: &str,
        to: &str,
    ) -> impl Future<Output = sqlx::Result<bool>> + Send;
    fn one(
        connection: &mut Self::Connection,
        id: &str,
    ) -> impl Future<Output = sqlx::Result<Option<Row>>> + Send;
    /// Orders, the newest first; only those of this gid and in this state, where given.
    fn list(
        connection: &mut Self::Connection,
        gid: Option<&str>,
        state: Option<&str>,
        limit: i64,
    ) -> impl Future<Output = sqlx::Result<Vec<Row>>> + Send;
    fn sums(connection: &mut Self::Connection) -> impl Future<Output = sqlx::Result<Vec<SumRow>>> + Send;
}

macro_rules! orders {
    ($database:ty, place: $place:literal, shift: $shift:literal, one: $one:literal, list: $list:literal, sums: $sums:literal) => {
        impl Orders for $database {
            async fn place(connection: &mut Self::Connection, order: &NewOrder) -> sqlx::Result<bool> {
                let placed = sqlx::query($place)
                    .bind(&order.id)
                    .bind(&order.gid)
                    .bind(&order.branch)
                    .bind(&order.sku)
                    .bind(order.quantity)
                    .bind(order.state)
                    .execute(connection)
                    .await;
                match placed {
                    Ok(placed) => Ok(placed.rows_affected() == 1),
                    Err(sqlx::Error::Database(error)) if error.is_unique_violation() => Ok(false),
                    Err(error) => Err(error),
                }
            }
            async fn shift(
                connection: &mut Self::Connection,
                gid: &str,
                branch: &str,
                from: &str,
                to: &str,
            ) -> sqlx::Result<bool> {
                let shift = sqlx::query($shift).bind(to).bind(gid).bind(branch).bind(from);
                Ok(shift.execute(connection).await?.rows_affected() == 1)
            }
            async fn one(connection: &mut Self::Connection, id: &str) -> sqlx::Result<Option<Row>> {
                sqlx::query_as($one).bind(id).fetch_optional(connection).await
            }
            async fn list(
                connection: &mut Self::Connection,
                gid: Option<&str>,
                state: Option<&str>,
                limit: i64,
            ) -> sqlx::Result<Vec<Row>> {
                let list = sqlx::query_as($list).bind(gid).bind(gid).bind(state).bind(state).bind(limit);
                list.fetch_all(connection).await
            }
            async fn sums(connection: &mut Self::Connection) -> sqlx::Result<Vec<SumRow>> {
                sqlx::query_as($sums).fetch_all(connection).await
            }
        }
    };
}

orders! { Sqlite,
    place: "INSERT INTO orders (id, gid, branch, sku, quantity, state) VALUES (?, ?, ?, ?, ?, ?) \
            ON CONFLICT (id) DO NOTHING",
    shift: "UPDATE orders SET state = ?, updated_at = CAST(unixepoch('subsec') * 1000 AS INTEGER) \
            WHERE gid = ? AND branch = ? AND state = ?",
    one: "SELECT id, gid, branch, sku, quantity, state, created_at, updated_at FROM orders WHERE id = ?",
    list: "SELECT id, gid, branch, sku, quantity, state, created_at, updated_at FROM orders \
           WHERE (? IS NULL OR gid = ?) AND (? IS NULL OR state = ?) ORDER BY created_at DESC, id DESC LIMIT ?",
    sums: "SELECT state, sku, COUNT(*), SUM(quantity) FROM orders GROUP BY state, sku"
}

orders! { Postgres,
    place: "INSERT INTO orders (id, gid, branch, sku, quantity, state, created_at, updated_at) \
            SELECT $1, $2, $3, $4, $5, $6, ms, ms FROM (SELECT (extract(epoch FROM clock_timestamp()) * 1000)::BIGINT AS ms) \
            AS now ON CONFLICT (id) DO NOTHING",
    shift: "UPDATE orders SET state = $1, updated_at = (extract(epoch FROM clock_timestamp()) * 1000)::BIGINT \
            WHERE gid = $2 AND branch = $3 AND state = $4",
    one: "SELECT id, gid, branch, sku, quantity, state, created_at, updated_at FROM orders WHERE id = $1",
    list: "SELECT id, gid, branch, sku, quantity, state, created_at, updated_at FROM orders \
           WHERE ($1::TEXT IS NULL OR gid = $2) AND ($3::TEXT IS NULL OR state = $4) \
           ORDER BY created_at DESC, id DESC LIMIT $5",
    sums: "SELECT state, sku, COUNT(*), SUM(quantity)::BIGINT FROM orders GROUP BY state, sku"
}

orders! { MySql,
    place: "INSERT INTO orders (id, gid, branch, sku, quantity, state, created_at, updated_at) \
            SELECT ?, ?, ?, ?, ?, ?, ms, ms FROM (SELECT CAST(UNIX_TIMESTAMP(NOW(3)) * 1000 AS SIGNED) AS ms) AS now",
    shift: "UPDATE orders SET state = ?, updated_at = CAST(UNIX_TIMESTAMP(NOW(3)) * 1000 AS SIGNED) \
            WHERE gid = ? AND branch = ? AND state = ?",
    one: "SELECT id, gid, branch, sku, quantity, state, created_at, updated_at FROM orders WHERE id = ?",
    list: "SELECT id, gid, branch, sku, quantity, state, created_at, updated_at FROM orders \
           WHERE (? IS NULL OR gid = ?) AND (? IS NULL OR state = ?) ORDER BY created_at DESC, id DESC LIMIT ?",
    sums: "SELECT state, sku, COUNT(*), CAST(SUM(quantity) AS SIGNED) FROM orders GROUP BY state, sku"
}
