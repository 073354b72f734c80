//! The statements of the inventory on each database. A statement takes the same parameters, in the same order, on every database.
//! Only its text differs.

use std::future::Future;

use sqlx::{MySql, Postgres, Sqlite};
use trine_sdk::barrier::BarrierDatabase;

/// sku, available, frozen, sold, stocked.
pub(super) type Row = (String, i64, i64, i64, i64);

/// A move of units from one pile to another.
#[derive(Debug, Clone, Copy)]
pub(super) enum Move {
    /// Available to frozen, if there are enough.
    Freeze,
    /// Available to sold, if there are enough.
    Sell,
    /// Frozen to sold.
    Deduct,
    /// Frozen to available.
    Unfreeze,
    /// Sold to available.
    Release,
}

/// A database that keeps stock.
pub(super) trait Stock: BarrierDatabase {
    /// Moves units. Returns whether there were enough. One statement checks and moves, so that no pile falls below zero, also
    /// if other calls move units at the same time.
    fn shift(
        connection: &mut Self::Connection,
        what: Move,
        sku: &str,
        quantity: i64,
    ) -> impl Future<Output = sqlx::Result<bool>> + Send;
    /// Adds available units.
    fn receive(
        connection: &mut Self::Connection,
        sku: &str,
        quantity: i64,
    ) -> impl Future<Output = sqlx::Result<()>> + Send;
    fn one(
        connection: &mut Self::Connection,
        sku: &str,
    ) -> impl Future<Output = sqlx::Result<Option<Row>>> + Send;
    fn all(connection: &mut Self::Connection) -> impl Future<Output = sqlx::Result<Vec<Row>>> + Send;
}

const ALL: &str = "SELECT sku, available, frozen, sold, stocked FROM stock ORDER BY sku";

macro_rules! stock {
    ($database:ty, one: $one:literal, receive: $receive:literal, $($move:ident: $sql:literal,)*) => {
        impl Stock for $database {
            async fn shift(
                connection: &mut Self::Connection,
                what: Move,
                sku: &str,
                quantity: i64,
            ) -> sqlx::Result<bool> {
                let sql = match what { $(Move::$move => $sql,)* };
                let shift = sqlx::query(sql).bind(quantity).bind(quantity).bind(sku).bind(quantity);
                Ok(shift.execute(connection).await?.rows_affected() == 1)
            }
            async fn receive(connection: &mut Self::Connection, sku: &str, quantity: i64) -> sqlx::Result<()> {
                let receive = sqlx::query($receive).bind(sku).bind(quantity).bind(quantity);
                receive.execute(connection).await.map(|_| ())
            }
            async fn one(connection: &mut Self::Connection, sku: &str) -> sqlx::Result<Option<Row>> {
                sqlx::query_as($one).bind(sku).fetch_optional(connection).await
            }
            async fn all(connection: &mut Self::Connection) -> sqlx::Result<Vec<Row>> {
                sqlx::query_as(ALL).fetch_all(connection).await
            }
        }
    };
}

stock! { Sqlite,
    one: "SELECT sku, available, frozen, sold, stocked FROM stock WHERE sku = ?",
    receive: "INSERT INTO stock (sku, available, stocked) VALUES (?, ?, ?) ON CONFLICT (sku) DO UPDATE SET \
              available = available + excluded.available, stocked = stocked + excluded.stocked",
    Freeze: "UPDATE stock SET available = available - ?, frozen = frozen + ? WHERE sku = ? AND available >= ?",
    Sell: "UPDATE stock SET available = available - ?, sold = sold + ? WHERE sku = ? AND available >= ?",
    Deduct: "UPDATE stock SET frozen = frozen - ?, sold = sold + ? WHERE sku = ? AND frozen >= ?",
    Unfreeze: "UPDATE stock SET frozen = frozen - ?, available = available + ? WHERE sku = ? AND frozen >= ?",
    Release: "UPDATE stock SET sold = sold - ?, available = available + ? WHERE sku = ? AND sold >= ?",
}

stock! { Postgres,
    one: "SELECT sku, available, frozen, sold, stocked FROM stock WHERE sku = $1",
    receive: "INSERT INTO stock (sku, available, stocked) VALUES ($1, $2, $3) ON CONFLICT (sku) DO UPDATE SET \
              available = stock.available + excluded.available, stocked = stock.stocked + excluded.stocked",
    Freeze: "UPDATE stock SET available = available - $1, frozen = frozen + $2 WHERE sku = $3 AND available >= $4",
    Sell: "UPDATE stock SET available = available - $1, sold = sold + $2 WHERE sku = $3 AND available >= $4",
    Deduct: "UPDATE stock SET frozen = frozen - $1, sold = sold + $2 WHERE sku = $3 AND frozen >= $4",
    Unfreeze: "UPDATE stock SET frozen = frozen - $1, available = available + $2 WHERE sku = $3 AND frozen >= $4",
    Release: "UPDATE stock SET sold = sold - $1, available = available + $2 WHERE sku = $3 AND sold >= $4",
}

stock! { MySql,
    one: "SELECT sku, available, frozen, sold, stocked FROM stock WHERE sku = ?",
    receive: "INSERT INTO stock (sku, available, stocked) VALUES (?, ?, ?) ON DUPLICATE KEY UPDATE \
              available = available + VALUES(available), stocked = stocked + VALUES(stocked)",
    Freeze: "UPDATE stock SET available = available - ?, frozen = frozen + ? WHERE sku = ? AND available >= ?",
    Sell: "UPDATE stock SET available = available - ?, sold = sold + ? WHERE sku = ? AND available >= ?",
    Deduct: "UPDATE stock SET frozen = frozen - ?, sold = sold + ? WHERE sku = ? AND frozen >= ?",
    Unfreeze: "UPDATE stock SET frozen = frozen - ?, available = available + ? WHERE sku = ? AND frozen >= ?",
    Release: "UPDATE stock SET sold = sold - ?, available = available + ? WHERE sku = ? AND sold >= ?",
}
