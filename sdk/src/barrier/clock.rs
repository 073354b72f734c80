//! How old rows are by the database's clock: the questions that the cleaners of the barrier and of `xa` ask.

use std::future::Future;
use std::ops::ControlFlow;

use super::age::Lookback;

/// A database that tells the time, and when rows were used last. This module is private, so no other crate can implement
/// the trait, nor a trait that needs it.
pub trait DatabaseClock: sqlx::Database {
    /// The time by the database's clock, in milliseconds since 1970.
    fn now(connection: &mut Self::Connection) -> impl Future<Output = sqlx::Result<i64>> + Send;

    /// Runs a statement of [`uses_of`]. It takes the times at which rows were used last, and finds the first one from `from`
    /// on and before `until`, and the last one before `from`.
    fn uses(
        connection: &mut Self::Connection,
        uses: &'static str,
        from: i64,
        until: i64,
    ) -> impl Future<Output = sqlx::Result<(Option<i64>, Option<i64>)>> + Send;
}

macro_rules! database_clock {
    ($database:ty, $now:literal) => {
        impl DatabaseClock for $database {
            async fn now(connection: &mut Self::Connection) -> sqlx::Result<i64> {
                sqlx::query_scalar($now).fetch_one(connection).await
            }

            async fn uses(
                connection: &mut Self::Connection,
                uses: &'static str,
                from: i64,
                until: i64,
            ) -> sqlx::Result<(Option<i64>, Option<i64>)> {
                sqlx::query_as(uses).bind(from).bind(until).bind(from).fetch_one(connection).await
            }
        }
    };
}

#[cfg(feature = "sqlite")]
database_clock!(sqlx::Sqlite, "SELECT CAST(unixepoch('subsec') * 1000 AS INTEGER)");
#[cfg(feature = "postgres")]
database_clock!(sqlx::Postgres, "SELECT (extract(epoch FROM clock_timestamp()) * 1000)::BIGINT");
#[cfg(feature = "mysql")]
database_clock!(sqlx::MySql, "SELECT CAST(UNIX_TIMESTAMP(NOW(3)) * 1000 AS SIGNED)");

/// The statement for [`DatabaseClock::uses`] on a table, with the parameters as the database writes them.
macro_rules! uses_of {
    ($table:literal, $from:literal, $until:literal, $from_again:literal) => {
        concat!(
            "SELECT (SELECT MIN(used_at) FROM ",
            $table,
            " WHERE used_at >= ",
            $from,
            " AND used_at < ",
            $until,
            "), (SELECT MAX(used_at) FROM ",
            $table,
            " WHERE used_at < ",
            $from_again,
            ")"
        )
    };
}
pub(crate) use uses_of;

/// The time before which rows have been unused for `keep_ms`, if there are such rows.
pub(crate) async fn unused_before<D: DatabaseClock>(
    connection: &mut D::Connection,
    uses: &'static str,
    keep_ms: i64,
) -> sqlx::Result<Option<i64>> {
    let mut lookback = Lookback::new(D::now(connection).await?, keep_ms);
    loop {
        let (from, until) = lookback.span();
        if let ControlFlow::Break(before) = lookback.hear(D::uses(connection, uses, from, until).await?) {
            return Ok(before);
        }
    }
}
