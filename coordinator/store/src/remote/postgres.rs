//! PostgreSQL, and servers that speak its protocol.
//!
//! A batch is one statement (in `write`). A coordinator that is paused therefore holds no locks between two statements.

mod texts;
mod write;

use std::str::FromStr;

use sqlx::migrate::{Migrate, MigrateError, Migrator};
use sqlx::postgres::{PgArguments, PgConnectOptions, PgConnection, PgRow};
use sqlx::query::Query;
use sqlx::{ConnectOptions, Connection, Row as _, TypeInfo, ValueRef};
use trine_protocol::Gid;

use super::client::{Cell, Client, ClientError, Param, Row, Verdict, WriteFailure, driver_words};
use super::safety::{Inspection, Risk};
use super::tables::GONE_MAX;
use super::texts::{Text, Texts};
use crate::Registration;
use crate::migrations::{self, Migrations};
use crate::retention::Candidate;
use crate::rows::Columns as _;
use crate::writing::Writing;

/// Prepared statements that a connection keeps. There are fewer texts than that.
const STATEMENTS_MAX: usize = 256;

/// The settings of every session.
///
/// Every text has an index to walk. In the first minutes of a new database the planner has no statistics, would choose to
/// read whole tables, and would keep that plan of a prepared statement while the tables grow. So such plans are switched
/// off.
const SESSION: &str = "SET default_transaction_isolation = 'read committed'; SET lock_timeout = '10s'; \
     SET enable_seqscan = off; SET enable_hashjoin = off; SET enable_mergejoin = off";

/// Every migration, oldest first: number, name, text.
const MIGRATIONS: Migrations = &[
    (1, "journal", include_str!("../../../../migrations/coordinator/postgres/0001_journal.sql")),
    (2, "key_values", include_str!("../../../../migrations/coordinator/postgres/0002_key_values.sql")),
    (3, "checksums", include_str!("../../../../migrations/coordinator/postgres/0003_checksums.sql")),
    (4, "journal_id", include_str!("../../../../migrations/coordinator/postgres/0004_journal_id.sql")),
    (5, "watched", include_str!("../../../../migrations/coordinator/postgres/0005_watched.sql")),
    (6, "guarded", include_str!("../../../../migrations/coordinator/postgres/0006_guarded.sql")),
];

/// A connection to PostgreSQL.
#[derive(Debug)]
pub(crate) struct Postgres(PgConnection);

impl Client for Postgres {
    type Address = PgConnectOptions;
    // Others see a commit that a synchronous standby has not got, once the session that waited for the standby is gone.
    const READS_NEED_SETTLING: bool = true;
    const PARAMETERS: &'static [&'static str] =
        &["sslmode", "sslrootcert", "sslcert", "sslkey", "host", "options", "application_name"];

    fn texts() -> &'static Texts {
        &texts::TEXTS
    }

    fn address(url: &str) -> Result<PgConnectOptions, String> {
        let options = PgConnectOptions::from_str(url).map_err(|error| driver_words(&error))?;
        Ok(options
            .application_name("trine")
            // pgbouncer refuses this setting of a new session, and no column here is a fraction.
            .extra_float_digits(None)
            .statement_cache_capacity(STATEMENTS_MAX)
            .disable_statement_logging())
    }

    fn with_password(address: &PgConnectOptions, password: &str) -> PgConnectOptions {
        address.clone().password(password)
    }

    async fn connect(address: &PgConnectOptions) -> Result<Self, sqlx::Error> {
        let mut connection = address.connect().await?;
        sqlx::raw_sql(SESSION).execute(&mut connection).await?;
        Ok(Self(connection))
    }

    async fn inspect(&mut self) -> Result<Inspection, ClientError> {
        let rows = self.query(texts::INSPECT, &[]).await?;
        let row = rows.first().ok_or_else(|| ClientError::Unreadable("no settings".into()))?;
        let mut found = Inspection::default();
        if row.maybe_text(0)? == Some("true") {
            found.read_only = Some("the server is a standby; it must not be written to".into());
        } else if row.maybe_text(1)? == Some("on") {
            found.read_only = Some("the server is read-only (default_transaction_read_only)".into());
        }
        let risks = [(2, Risk::Fsync), (3, Risk::FullPageWrites), (4, Risk::SynchronousCommit)];
        for (column, risk) in risks {
            // A server that does not know the setting does not have the risk.
            if row.maybe_text(column)? == Some("off") {
                found.risks.push((risk, format!("the server has {risk} = off")));
            }
        }
        // With `local` and `remote_write` a commit is acknowledged before the standby has it on its disk. If the
        // standby is promoted after a crash, the commit may be gone.
        let waits_for_standby = row.maybe_text(5)?.is_some_and(|names| !names.is_empty());
        if let Some(less @ ("local" | "remote_write")) = row.maybe_text(4)?
            && waits_for_standby
        {
            let risk = Risk::SynchronousCommit;
            found.risks.push((risk, format!("the server has a synchronous standby and {risk} = {less}")));
        }
        Ok(found)
    }

    fn node(&self) -> &str {
        ""
    }

    async fn beat(&mut self, values: &[Param]) -> Result<Vec<Row>, ClientError> {
        self.query(Self::texts().beat, values).await
    }

    async fn query(&mut self, text: Text, values: &[Param]) -> Result<Vec<Row>, ClientError> {
        let rows = bind(text, values).fetch_all(&mut self.0).await?;
        rows.iter().map(row).collect()
    }

    async fn execute(&mut self, text: Text, values: &[Param]) -> Result<u64, ClientError> {
        Ok(bind(text, values).execute(&mut self.0).await?.rows_affected())
    }

    async fn load(&mut self, owner: &str, gids: &[Gid]) -> Result<Vec<Row>, ClientError> {
        let gids: Vec<&str> = gids.iter().map(Gid::as_str).collect();
        let rows = sqlx::query(texts::LOAD).bind(gids).bind(owner).fetch_all(&mut self.0).await?;
        rows.iter().map(row).collect()
    }

    async fn ends(&mut self, gids: &[&Gid]) -> Result<Vec<Row>, ClientError> {
        let gids: Vec<&str> = gids.iter().map(|gid| gid.as_str()).collect();
        // Under READ COMMITTED a statement sees all that was committed before it began, so also the records that
        // refused the batch.
        let rows = sqlx::query(texts::ENDS).bind(gids).fetch_all(&mut self.0).await?;
        rows.iter().map(row).collect()
    }

    async fn write(&mut self, writing: &Writing<'_>) -> Result<(), WriteFailure> {
        write::bound(writing).execute(&mut self.0).await.map(drop).map_err(|error| {
            let code = error.as_database_error().and_then(sqlx::error::DatabaseError::code);
            WriteFailure { verdict: verdict(code.as_deref()), error: error.into() }
        })
    }

    async fn claim(&mut self, owner: &str, from: &str, limit: i64) -> Result<Vec<Row>, ClientError> {
        self.query(texts::CLAIM, &[owner.into(), from.into(), limit.into(), GONE_MAX.into()]).await
    }

    async fn retire(&mut self, settled: &[Candidate]) -> Result<u64, ClientError> {
        let gids: Vec<&str> = settled.iter().map(|one| one.gid.as_str()).collect();
        let times: Vec<i64> = settled.iter().map(|one| one.settled_at).collect();
        let deleted: i64 =
            sqlx::query_scalar(texts::RETIRE).bind(gids).bind(times).fetch_one(&mut self.0).await?;
        Ok(deleted.cast_unsigned())
    }

    async fn register(&mut self, registrations: &[Registration], now: i64) -> Result<(), ClientError> {
        let names: Vec<&str> = registrations.iter().map(|one| one.name.as_str()).collect();
        let urls: Vec<&str> = registrations.iter().map(|one| one.base_url.as_str()).collect();
        let (expire, guarded): (Vec<i64>, Vec<i64>) = registrations.iter().map(|one| one.until(now)).unzip();
        sqlx::query(texts::REGISTER)
            .bind(names)
            .bind(urls)
            .bind(now)
            .bind(expire)
            .bind(guarded)
            .execute(&mut self.0)
            .await?;
        Ok(())
    }

    async fn migrate(&mut self) -> Result<u64, MigrateError> {
        let migrator = migrator();
        // The migrator wants to create its table even if all is applied. A role that may not create tables must be enough.
        if self.query(texts::APPLIED, &[]).await.is_ok_and(|rows| migrations::are_applied(MIGRATIONS, &rows))
        {
            return Ok(0);
        }
        let before = applied(&mut self.0, &migrator).await?;
        migrator.run_direct(None, &mut self.0, false).await?;
        Ok(applied(&mut self.0, &migrator).await?.saturating_sub(before))
    }

    fn undone(error: &ClientError) -> Option<Verdict> {
        let ClientError::Sql(error) = error else { return None };
        let code = error.as_database_error().and_then(sqlx::error::DatabaseError::code);
        Some(verdict(code.as_deref())).filter(|v| matches!(v, Verdict::Conflict | Verdict::Contended))
    }

    fn survives(error: &ClientError) -> bool {
        match error {
            // All work here is single statements: an error that undid its statement has left no database transaction
            // open.
            ClientError::Sql(_) => Self::undone(error).is_some(),
            ClientError::Unreadable(_) => true,
            ClientError::Slow(_)
            | ClientError::Unfit(_)
            | ClientError::Crowded
            | ClientError::Password(_)
            | ClientError::Closed => false,
        }
    }

    async fn close(self) {
        // If this fails, the connection is gone, and the server notices that.
        self.0.close().await.ok();
    }
}

/// What an error means for the one statement that writes a batch, by its SQLSTATE. Without an SQLSTATE the connection broke.
///
/// Errors of the classes that are named as failed undo the statement. Errors that end a session (class 57), errors of the
/// system (class 58) and errors of unknown classes may come after the commit, so they are doubtful. After either the shard
/// forgets what it built on the batch and reads the journal again.
fn verdict(code: Option<&str>) -> Verdict {
    match code {
        // A key exists; or the statement divided by zero because a record before is missing (see `write`).
        Some("23505" | "22012") => Verdict::Conflict,
        // Serialization failure; deadlock; lock timeout.
        Some("40001" | "40P01" | "55P03") => Verdict::Contended,
        // "Statement completion unknown".
        // Before the classes: all other errors of class 40 undo the statement.
        Some("40003") => Verdict::Doubtful,
        Some(code)
            if ["0A", "22", "23", "25", "28", "3D", "3F", "40", "42", "53", "54"]
                .iter()
                .any(|class| code.starts_with(class)) =>
        {
            Verdict::Failed
        }
        Some(_) | None => Verdict::Doubtful,
    }
}

fn migrator() -> Migrator {
    let mut migrator = migrations::migrator(MIGRATIONS);
    migrator.dangerous_set_table_name(super::MIGRATIONS_TABLE);
    migrator
}

async fn applied(connection: &mut PgConnection, migrator: &Migrator) -> Result<u64, MigrateError> {
    // Of two coordinators that start at once, the second must not find the half-made table of the first.
    connection.lock().await?;
    let table = connection.ensure_migrations_table(&migrator.table_name).await;
    connection.unlock().await?;
    table?;
    Ok(connection.list_applied_migrations(&migrator.table_name).await?.len() as u64)
}

fn bind(text: Text, values: &[Param]) -> Query<'static, sqlx::Postgres, PgArguments> {
    values.iter().fold(sqlx::query(text.sql), |query, value| match value {
        Param::Int(number) => query.bind(*number),
        Param::MaybeInt(number) => query.bind(*number),
        Param::MaybeBool(flag) => query.bind(*flag),
        Param::Text(text) => query.bind(text.clone()),
        Param::MaybeText(text) => query.bind(text.clone()),
    })
}

fn row(row: &PgRow) -> Result<Row, ClientError> {
    let cell = |column: usize| {
        let raw = row.try_get_raw(column)?;
        Ok(match raw.type_info().name() {
            _ if raw.is_null() => Cell::Null,
            "INT8" => Cell::Int(row.try_get(column)?),
            "INT4" => Cell::Int(row.try_get::<i32, _>(column)?.into()),
            _ => row.try_get(column).map_or_else(|error| Cell::Unreadable(error.to_string()), Cell::Text),
        })
    };
    (0..row.len()).map(cell).collect::<Result<_, sqlx::Error>>().map(Row).map_err(ClientError::from)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_an_error_that_undoes_the_statement_is_no_doubt() {
        for (code, expected) in [
            (Some("23505"), Verdict::Conflict),
            (Some("22012"), Verdict::Conflict),
            (Some("40001"), Verdict::Contended),
            (Some("40P01"), Verdict::Contended),
            (Some("25006"), Verdict::Failed),
            (Some("53100"), Verdict::Failed),
            (Some("57P01"), Verdict::Doubtful),
            (Some("57014"), Verdict::Doubtful),
            (Some("58030"), Verdict::Doubtful),
            (Some("40003"), Verdict::Doubtful),
            (Some("XX000"), Verdict::Doubtful),
            (None, Verdict::Doubtful),
        ] {
            assert_eq!(verdict(code), expected, "{code:?}");
        }
    }
}
