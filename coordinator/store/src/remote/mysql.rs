//! MySQL and MariaDB, Galera clusters included.
//!
//! A batch takes a few statements, which are sent together (in `write`), but not to a Galera cluster. A coordinator that is
//! paused between two statements holds locks. So the server is told to end sessions that have been silent for a short time
//! (`wait_timeout`), which rolls back what they had begun.

mod statements;
mod texts;
mod write;

use std::collections::BTreeMap;
use std::str::FromStr;
use std::time::Duration;

use sqlx::migrate::{Migrate, MigrateError, Migrator};
use sqlx::mysql::{MySqlArguments, MySqlConnectOptions, MySqlConnection, MySqlDatabaseError, MySqlRow};
use sqlx::query::Query;
use sqlx::{ConnectOptions, Connection, Row as _, TypeInfo, ValueRef};
use trine_protocol::Gid;

use super::client::{Cell, Client, ClientError, Param, Row, Verdict, WriteFailure, driver_words};
use super::safety::{Inspection, Risk};
use super::tables::GONE_MAX;
use super::texts::{Text, Texts};
use crate::Registration;
use crate::migrations::{self, Migrations};
use crate::retention::{self, Candidate};
use crate::rows::{self, Columns as _};
use crate::writing::Writing;
use statements::{Gids, REGISTRATIONS};

/// Prepared statements that a connection keeps. There must be fewer texts than that: closing a statement costs 40 ms over
/// TCP.
const STATEMENTS_MAX: usize = 512;
/// Seconds after which the server ends a silent session. Longer than a connection stays idle in `connections`.
const SILENCE_SECONDS: u32 = 20;
/// The smallest `max_allowed_packet` that is enough for every batch.
const PACKET_BYTES_MIN: u64 = 16 * 1024 * 1024;

/// How often migrating is tried if there was no lock.
const MIGRATE_TRIES_MAX: u32 = 10;

/// Every migration, oldest first: number, name, text.
const MIGRATIONS: Migrations = &[
    (1, "journal", include_str!("../../../../migrations/coordinator/mysql/0001_journal.sql")),
    (2, "key_values", include_str!("../../../../migrations/coordinator/mysql/0002_key_values.sql")),
    (3, "checksums", include_str!("../../../../migrations/coordinator/mysql/0003_checksums.sql")),
    (4, "journal_id", include_str!("../../../../migrations/coordinator/mysql/0004_journal_id.sql")),
    (5, "watched", include_str!("../../../../migrations/coordinator/mysql/0005_watched.sql")),
    (6, "guarded", include_str!("../../../../migrations/coordinator/mysql/0006_guarded.sql")),
];

/// A connection, and the node of the Galera cluster that it is to (empty elsewhere).
#[derive(Debug)]
pub(crate) struct MySql(MySqlConnection, String);

impl Client for MySql {
    type Address = MySqlConnectOptions;
    // Galera's reads wait for what others have acknowledged. Other replication promises nothing that could be waited for.
    const READS_NEED_SETTLING: bool = false;
    const PARAMETERS: &'static [&'static str] = &["ssl-mode", "ssl-ca", "ssl-cert", "ssl-key", "socket"];

    fn texts() -> &'static Texts {
        &texts::TEXTS
    }

    fn address(url: &str) -> Result<MySqlConnectOptions, String> {
        let rest = url.split_once("://").map_or(url, |(_, rest)| rest);
        let options = MySqlConnectOptions::from_str(&format!("mysql://{rest}"))
            .map_err(|error| driver_words(&error))?;
        Ok(options.charset("utf8mb4").statement_cache_capacity(STATEMENTS_MAX).disable_statement_logging())
    }

    fn with_password(address: &MySqlConnectOptions, password: &str) -> MySqlConnectOptions {
        address.clone().password(password)
    }

    async fn connect(address: &MySqlConnectOptions) -> Result<Self, sqlx::Error> {
        let mut connection = address.connect().await?;
        // A server may have autocommit off, and single statements would never be committed. Under REPEATABLE READ, the
        // server's usual level, InnoDB locks gaps between keys as well, and writers of different gids would wait for
        // each other.
        let settings = format!(
            "SET SESSION wait_timeout = {SILENCE_SECONDS}, innodb_lock_wait_timeout = 10, autocommit = 1; \
             SET SESSION TRANSACTION ISOLATION LEVEL READ COMMITTED"
        );
        sqlx::raw_sql(statements::vouched(settings)).execute(&mut connection).await?;
        Ok(Self(connection, String::new()))
    }

    async fn inspect(&mut self) -> Result<Inspection, ClientError> {
        let mut settings: BTreeMap<String, String> = BTreeMap::new();
        for row in
            self.query(texts::SETTINGS, &[]).await?.iter().chain(&self.query(texts::CLUSTER, &[]).await?)
        {
            settings.insert(row.text(0)?.to_owned(), row.text(1)?.to_owned());
        }
        let found = read_settings(&settings);
        self.1 = found.node.clone().unwrap_or_default();
        if found.node.is_some() {
            // Before each statement the node waits until it has applied what other nodes have acknowledged.
            sqlx::raw_sql("SET SESSION wsrep_sync_wait = 7").execute(&mut self.0).await?;
        }
        Ok(found)
    }

    fn node(&self) -> &str {
        &self.1
    }

    async fn beat(&mut self, values: &[Param]) -> Result<Vec<Row>, ClientError> {
        // MySQL answers no rows to an UPDATE. If another process takes the name in between, the row shows its
        // incarnation.
        self.execute(Self::texts().beat, values).await?;
        self.query(Self::texts().coordinator, &values[..1]).await
    }

    async fn query(&mut self, text: Text, values: &[Param]) -> Result<Vec<Row>, ClientError> {
        let rows = bind(text, values).fetch_all(&mut self.0).await?;
        rows.iter().map(row).collect()
    }

    async fn execute(&mut self, text: Text, values: &[Param]) -> Result<u64, ClientError> {
        Ok(bind(text, values).execute(&mut self.0).await?.rows_affected())
    }

    async fn load(&mut self, owner: &str, gids: &[Gid]) -> Result<Vec<Row>, ClientError> {
        let mut found = Vec::new();
        let gids: Vec<&Gid> = gids.iter().collect();
        for part in Gids::parts(&gids) {
            let query = part.bind(sqlx::query(part.text(texts::LOAD)).bind(owner.to_owned()));
            let rows = query.fetch_all(&mut self.0).await?;
            found.extend(rows.iter().map(row).collect::<Result<Vec<_>, _>>()?);
        }
        Ok(found)
    }

    async fn ends(&mut self, gids: &[&Gid]) -> Result<Vec<Row>, ClientError> {
        let mut found = Vec::new();
        for part in Gids::parts(gids) {
            let rows = part.bind(sqlx::query(part.text(texts::ENDS))).fetch_all(&mut self.0).await?;
            found.extend(rows.iter().map(row).collect::<Result<Vec<_>, _>>()?);
        }
        Ok(found)
    }

    async fn write(&mut self, writing: &Writing<'_>) -> Result<(), WriteFailure> {
        // Galera may undo a database transaction between two of its statements, and reports this at the next one. So each is
        // sent by itself there, and no statement can be executed as one of its own.
        let together = self.1.is_empty();
        write::write(&mut self.0, together, writing).await
    }

    async fn claim(&mut self, owner: &str, from: &str, limit: i64) -> Result<Vec<Row>, ClientError> {
        // One database transaction: the rows that the select has locked are those that the update changes.
        write::begin(&mut self.0).await?;
        let values = [from.into(), from.into(), GONE_MAX.into(), limit.into()];
        let rows = self.query(texts::CLAIMABLE, &values).await?;
        let gids = rows::gids(&rows);
        let gids: Vec<&Gid> = gids.iter().collect();
        for part in Gids::parts(&gids) {
            let query = sqlx::query(part.text(texts::CLAIM)).bind(owner.to_owned());
            part.bind(query).execute(&mut self.0).await?;
        }
        write::commit(&mut self.0).await?;
        Ok(rows)
    }

    async fn retire(&mut self, settled: &[Candidate]) -> Result<u64, ClientError> {
        let gids = retention::gids(settled);
        let gids: Vec<&Gid> = gids.iter().collect();
        let mut same = Vec::new();
        write::begin(&mut self.0).await?;
        for part in Gids::parts(&gids) {
            let rows = part.bind(sqlx::query(part.text(texts::RETIRABLE))).fetch_all(&mut self.0).await?;
            let rows = rows.iter().map(row).collect::<Result<Vec<_>, _>>()?;
            same.extend(rows::candidates(&rows));
        }
        // The rows are locked now. A row that was written again since it was judged has another time, and stays.
        same.retain(|one| settled.contains(one));
        let gids = retention::gids(&same);
        let gids: Vec<&Gid> = gids.iter().collect();
        for text in texts::RETIRE {
            for part in Gids::parts(&gids) {
                part.bind(sqlx::query(part.text(text))).execute(&mut self.0).await?;
            }
        }
        write::commit(&mut self.0).await?;
        Ok(same.len() as u64)
    }

    async fn register(&mut self, registrations: &[Registration], now: i64) -> Result<(), ClientError> {
        let rows = registrations.iter().map(|one| {
            let (expires_at, guarded_until) = one.until(now);
            let (name, base_url) = (one.name.as_str().into(), one.base_url.as_str().into());
            [name, base_url, now.into(), expires_at.into(), guarded_until.into()]
        });
        // No database transaction: each registration stands alone, and renewing one twice is harmless.
        for statement in REGISTRATIONS.of(rows).bound() {
            statement.execute(&mut self.0).await?;
        }
        Ok(())
    }

    async fn migrate(&mut self) -> Result<u64, MigrateError> {
        // The migrator wants to create its table even if all is applied. A user that may not create tables must be enough.
        if self.query(texts::APPLIED, &[]).await.is_ok_and(|rows| migrations::are_applied(MIGRATIONS, &rows))
        {
            return Ok(0);
        }
        // The driver's own lock asks for a wait without end, which MariaDB refuses.
        let locked: Option<i64> = sqlx::query_scalar(texts::LOCK).fetch_one(&mut self.0).await?;
        if locked != Some(1) {
            tracing::debug!("no lock for migrating; whoever migrates at the same time is met again");
        }
        let mut tries = 0;
        let applied = loop {
            tries += 1;
            match apply(&mut self.0).await {
                // Without a lock, another process may migrate at the same time. A later try finds everything applied.
                Err(_) if locked != Some(1) && tries < MIGRATE_TRIES_MAX => {
                    tokio::time::sleep(Duration::from_millis(fastrand::u64(50..500))).await;
                }
                applied => break applied,
            }
        };
        // Not left to the end of the session: this connection is used further, and another process may wait for the
        // lock.
        sqlx::query(texts::UNLOCK).execute(&mut self.0).await?;
        applied
    }

    fn undone(error: &ClientError) -> Option<Verdict> {
        let ClientError::Sql(error) = error else { return None };
        Some(verdict(number(error))).filter(|v| matches!(v, Verdict::Conflict | Verdict::Contended))
    }

    fn survives(error: &ClientError) -> bool {
        match error {
            // The rows had arrived in full, and only their values make no sense.
            ClientError::Unreadable(_) => true,
            // The error may have come inside a database transaction, which the next work must not continue.
            ClientError::Sql(_)
            | ClientError::Slow(_)
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

/// What an error before COMMIT means, by the server's number. Nothing can have been committed, so nothing is doubtful.
fn verdict(number: Option<u16>) -> Verdict {
    match number {
        // A key exists; or a number is out of range because a record before is missing (see `statements::BEFORE`).
        Some(1062 | 1690) => Verdict::Conflict,
        // Deadlock (Galera reports a write set that lost as one); lock timeout.
        Some(1213 | 1205) => Verdict::Contended,
        Some(_) | None => Verdict::Failed,
    }
}

fn number(error: &sqlx::Error) -> Option<u16> {
    let error = error.as_database_error()?.try_downcast_ref::<MySqlDatabaseError>()?;
    Some(error.number())
}

/// Judges the variables of a server. A server that does not know a variable does not have its risk.
fn read_settings(settings: &BTreeMap<String, String>) -> Inspection {
    let get = |name: &str| settings.get(name).map(|value| value.to_ascii_uppercase());
    let is_on = |name: &str| get(name).is_some_and(|value| value == "ON" || value == "1");
    let mut found = Inspection::default();
    if is_on("read_only") || is_on("super_read_only") || is_on("innodb_read_only") {
        found.read_only = Some("the server is read-only; a replica must not be written to".into());
    }
    if is_on("wsrep_on") {
        if !is_on("wsrep_ready") {
            found.read_only = Some("the Galera node is not ready (wsrep_ready)".into());
        }
        found.node = settings.get("wsrep_gcomm_uuid").cloned();
    }
    let packet: u64 = get("max_allowed_packet").and_then(|value| value.parse().ok()).unwrap_or(u64::MAX);
    if packet < PACKET_BYTES_MIN {
        found.unfit = Some(format!("max_allowed_packet is {packet}; set it to at least {PACKET_BYTES_MIN}"));
    }
    let mut risk = |risk: Risk, bad: bool| {
        let value = get(risk.as_str()).unwrap_or_default();
        if bad {
            found.risks.push((risk, format!("the server has {risk} = {value}")));
        }
    };
    risk(Risk::FlushLog, get("innodb_flush_log_at_trx_commit").is_some_and(|value| value != "1"));
    let half = ["OFF", "0", "DETECT_ONLY"];
    risk(Risk::Doublewrite, get("innodb_doublewrite").is_some_and(|value| half.contains(&&*value)));
    // Replicas and restores are made from the binary log. If it lags behind the tables, they miss transactions after a
    // crash.
    risk(Risk::SyncBinlog, is_on("log_bin") && get("sync_binlog").is_some_and(|value| value != "1"));
    found
}

async fn apply(connection: &mut MySqlConnection) -> Result<u64, MigrateError> {
    let migrator = migrator();
    connection.ensure_migrations_table(&migrator.table_name).await?;
    // A process that was cut off in the middle of a migration has left it half applied. Running it again is harmless.
    sqlx::query(texts::MEND).execute(&mut *connection).await?;
    let before = connection.list_applied_migrations(&migrator.table_name).await?.len();
    migrator.run_direct(None, connection, false).await?;
    let after = connection.list_applied_migrations(&migrator.table_name).await?.len();
    Ok(after.saturating_sub(before) as u64)
}

fn migrator() -> Migrator {
    let mut migrator = migrations::migrator(MIGRATIONS);
    migrator.dangerous_set_table_name(super::MIGRATIONS_TABLE);
    // `migrate` takes a lock of its own.
    migrator.set_locking(false);
    migrator
}

type Bound = Query<'static, sqlx::MySql, MySqlArguments>;

fn bind(text: Text, values: &[Param]) -> Bound {
    let values: Vec<&Param> = match text.order {
        None => values.iter().collect(),
        Some(order) => order.iter().map(|place| &values[*place]).collect(),
    };
    values.into_iter().fold(sqlx::query(text.sql), |query, value| match value {
        Param::Int(number) => query.bind(*number),
        Param::MaybeInt(number) => query.bind(*number),
        Param::MaybeBool(flag) => query.bind(flag.map(i64::from)),
        Param::Text(text) => query.bind(text.clone()),
        Param::MaybeText(text) => query.bind(text.clone()),
    })
}

fn row(row: &MySqlRow) -> Result<Row, ClientError> {
    let cell = |column: usize| {
        let raw = row.try_get_raw(column)?;
        let kind = raw.type_info().name().to_owned();
        Ok(match kind.as_str() {
            _ if raw.is_null() => Cell::Null,
            "BIGINT" | "INT" => Cell::Int(row.try_get(column)?),
            "BIGINT UNSIGNED" => Cell::Int(row.try_get::<u64, _>(column)?.cast_signed()),
            _ => row.try_get(column).map_or_else(|error| Cell::Unreadable(error.to_string()), Cell::Text),
        })
    };
    (0..row.len()).map(cell).collect::<Result<_, sqlx::Error>>().map(Row).map_err(ClientError::from)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn inspect(settings: &[(&str, &str)]) -> Inspection {
        let settings: Vec<_> =
            settings.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        read_settings(&settings.into_iter().collect())
    }

    #[test]
    fn each_unsafe_setting_is_named() {
        for (settings, expected) in [
            (vec![("innodb_flush_log_at_trx_commit", "2")], vec![Risk::FlushLog]),
            (vec![("innodb_flush_log_at_trx_commit", "1")], vec![]),
            (vec![("innodb_doublewrite", "OFF")], vec![Risk::Doublewrite]),
            (vec![("innodb_doublewrite", "DETECT_ONLY")], vec![Risk::Doublewrite]),
            (vec![("innodb_doublewrite", "DETECT_AND_RECOVER")], vec![]),
            (vec![("log_bin", "ON"), ("sync_binlog", "0")], vec![Risk::SyncBinlog]),
            (vec![("log_bin", "OFF"), ("sync_binlog", "0")], vec![]),
            (vec![], vec![]),
        ] {
            let found: Vec<Risk> = inspect(&settings).risks.into_iter().map(|(risk, _)| risk).collect();
            assert_eq!(found, expected, "{settings:?}");
        }
    }

    #[test]
    fn a_replica_and_a_node_that_is_not_ready_are_not_written_to() {
        for settings in [
            vec![("read_only", "ON")],
            vec![("super_read_only", "1")],
            vec![("innodb_read_only", "ON")],
            vec![("wsrep_on", "ON"), ("wsrep_ready", "OFF")],
        ] {
            assert!(inspect(&settings).read_only.is_some(), "{settings:?}");
        }
        let good =
            [("wsrep_on", "ON"), ("wsrep_ready", "ON"), ("wsrep_gcomm_uuid", "x"), ("read_only", "OFF")];
        let found = inspect(&good);
        assert_eq!((found.read_only, found.node.as_deref()), (None, Some("x")));
        assert!(inspect(&[("max_allowed_packet", "1048576")]).unfit.is_some());
    }
}
