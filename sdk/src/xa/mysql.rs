//! XA branches on MySQL and MariaDB: `XA START` to `XA PREPARE`.
//!
//! A session that has prepared a transaction can do nothing else with it but end it, and nobody else can until the session
//! is gone (MariaDB; MySQL lets go at once since 8.0.29, and before 5.7.7 forgot the transaction). So the session is
//! closed after `XA PREPARE`, and who commits may have to wait a moment for the server to notice.
//! `XA RECOVER` needs the privilege `XA_RECOVER_ADMIN` on MySQL 8.

use sqlx::{MySql, MySqlConnection, Row as _};
use trine_protocol::Xid;

use super::database::{Key, Lock, Record, Row, State, XaDatabase, record};
use super::literal::mysql as literal;
use crate::Origin;
use crate::barrier::BarrierError;

const ISOLATE: &str = "SET SESSION TRANSACTION ISOLATION LEVEL READ COMMITTED";
const FIND: &str = "SELECT state, reason, fence FROM trine_xa WHERE gid = ? AND branch = ?";
const LOCK: &str = "SELECT state, reason, fence FROM trine_xa WHERE gid = ? AND branch = ? FOR UPDATE NOWAIT";
const CREATE: &str = "INSERT INTO trine_xa (gid, branch, xid, state, fence, used_at) \
                      VALUES (?, ?, ?, ?, ?, CAST(UNIX_TIMESTAMP(NOW(3)) * 1000 AS SIGNED))";
const WRITE: &str = "UPDATE trine_xa SET state = ?, reason = ?, fence = GREATEST(fence, ?), \
                     used_at = CAST(UNIX_TIMESTAMP(NOW(3)) * 1000 AS SIGNED) WHERE gid = ? AND branch = ?";
const TOUCH: &str = "UPDATE trine_xa SET used_at = CAST(UNIX_TIMESTAMP(NOW(3)) * 1000 AS SIGNED) \
                     WHERE gid = ? AND branch = ?";
const NOW: &str = "SELECT CAST(UNIX_TIMESTAMP(NOW(3)) * 1000 AS SIGNED)";
const USES: &str = "SELECT \
    (SELECT MIN(used_at) FROM trine_xa WHERE used_at >= ? AND used_at < ?), \
    (SELECT MAX(used_at) FROM trine_xa WHERE used_at < ?)";
const OLD: &str = "SELECT gid, branch FROM trine_xa WHERE used_at < ? \
                   AND state <> 'open' ORDER BY used_at LIMIT ?";
const FORGET: &str = "DELETE FROM trine_xa WHERE gid = ? AND branch = ? AND state <> 'open'";
const INSERT_ORIGIN: &str =
    "INSERT INTO trine_xa_origins (gid, branch, journal, payload_digest) VALUES (?, ?, ?, ?)";
const COMPLETE_ORIGIN: &str = "UPDATE trine_xa_origins SET journal = COALESCE(journal, ?), \
                               payload_digest = COALESCE(payload_digest, ?) WHERE gid = ? AND branch = ? \
                               AND (journal IS NULL OR payload_digest IS NULL)";
const ORIGIN: &str = "SELECT journal, payload_digest FROM trine_xa_origins WHERE gid = ? AND branch = ?";
const FORGET_ORIGIN: &str = "DELETE FROM trine_xa_origins WHERE gid = ? AND branch = ?";

impl XaDatabase for MySql {
    const SCHEMA: &'static str = concat!(
        include_str!("../../../migrations/xa/mysql/0001_xa.sql"),
        include_str!("../../../migrations/xa/mysql/0002_origins.sql"),
    );
    const BEGIN: &'static str = "SET TRANSACTION ISOLATION LEVEL READ COMMITTED; START TRANSACTION";

    async fn install(connection: &mut MySqlConnection) -> Result<(), BarrierError> {
        sqlx::raw_sql(Self::SCHEMA).execute(&mut *connection).await?;
        // Fails where the privilege is missing, better now than with the first branch.
        sqlx::raw_sql("XA RECOVER").execute(connection).await?;
        Ok(())
    }

    async fn find(connection: &mut MySqlConnection, key: &Key) -> sqlx::Result<Option<Record>> {
        let row: Option<Row> =
            sqlx::query_as(FIND).bind(&key.gid).bind(&key.branch).fetch_optional(connection).await?;
        row.map(record).transpose()
    }

    async fn create(
        connection: &mut MySqlConnection,
        key: &Key,
        state: State,
        fence: i64,
    ) -> sqlx::Result<bool> {
        let created = sqlx::query(CREATE)
            .bind(&key.gid)
            .bind(&key.branch)
            .bind(key.xid.to_string())
            .bind(state.as_str())
            .bind(fence)
            .execute(connection)
            .await;
        match created {
            Ok(_) => Ok(true),
            Err(sqlx::Error::Database(error)) if error.is_unique_violation() => Ok(false),
            Err(error) => Err(error),
        }
    }

    async fn lock(connection: &mut MySqlConnection, key: &Key) -> sqlx::Result<Lock> {
        let row: sqlx::Result<Option<Row>> =
            sqlx::query_as(LOCK).bind(&key.gid).bind(&key.branch).fetch_optional(connection).await;
        match row {
            Ok(Some(row)) => Ok(Lock::Held(record(row)?)),
            Ok(None) => Ok(Lock::Missing),
            Err(error) if matches!(number(&error), Some(LOCK_WAIT_TIMEOUT | LOCK_NOWAIT)) => Ok(Lock::Busy),
            Err(error) => Err(error),
        }
    }

    async fn write(
        connection: &mut MySqlConnection,
        key: &Key,
        state: State,
        reason: Option<&str>,
        fence: i64,
    ) -> sqlx::Result<()> {
        let write = sqlx::query(WRITE).bind(state.as_str()).bind(reason).bind(fence);
        write.bind(&key.gid).bind(&key.branch).execute(connection).await.map(|_| ())
    }

    async fn touch(connection: &mut MySqlConnection, key: &Key) -> sqlx::Result<()> {
        sqlx::query(TOUCH).bind(&key.gid).bind(&key.branch).execute(connection).await.map(|_| ())
    }

    async fn now(connection: &mut MySqlConnection) -> sqlx::Result<i64> {
        sqlx::query_scalar(NOW).fetch_one(connection).await
    }

    async fn uses(
        connection: &mut MySqlConnection,
        from: i64,
        until: i64,
    ) -> sqlx::Result<(Option<i64>, Option<i64>)> {
        sqlx::query_as(USES).bind(from).bind(until).bind(from).fetch_one(connection).await
    }

    async fn clean(connection: &mut MySqlConnection, before: i64, limit: i64) -> sqlx::Result<u64> {
        // Found without locks and deleted one by one: a `DELETE` of a range would wait for records that prepared
        // transactions have locked. What is settled is locked by nobody.
        let old: Vec<(String, String)> =
            sqlx::query_as(OLD).bind(before).bind(limit).fetch_all(&mut *connection).await?;
        for (gid, branch) in &old {
            sqlx::query(FORGET_ORIGIN).bind(gid).bind(branch).execute(&mut *connection).await?;
            sqlx::query(FORGET).bind(gid).bind(branch).execute(&mut *connection).await?;
        }
        Ok(old.len() as u64)
    }

    async fn is_prepared(connection: &mut MySqlConnection, xid: &Xid) -> sqlx::Result<bool> {
        for row in sqlx::raw_sql("XA RECOVER").fetch_all(connection).await? {
            let (format, length): (i64, i64) = (row.try_get_unchecked(0)?, row.try_get_unchecked(1)?);
            let data: Vec<u8> = row.try_get_unchecked(3)?;
            let length = usize::try_from(length).unwrap_or(usize::MAX);
            if Xid::from_mysql(format, length, &data).as_ref() == Some(xid) {
                return Ok(true);
            }
        }
        Ok(false)
    }

    async fn origin(connection: &mut MySqlConnection, key: &Key, origin: &Origin) -> sqlx::Result<Origin> {
        let insert = sqlx::query(INSERT_ORIGIN).bind(&key.gid).bind(&key.branch);
        match insert.bind(&origin.journal).bind(&origin.payload_digest).execute(&mut *connection).await {
            Ok(_) => {}
            Err(sqlx::Error::Database(error)) if error.is_unique_violation() => {}
            Err(error) => return Err(error),
        }
        let (journal, payload_digest) =
            sqlx::query_as(ORIGIN).bind(&key.gid).bind(&key.branch).fetch_one(&mut *connection).await?;
        let recorded = Origin { journal, payload_digest };
        if origin.adds_to(&recorded) && origin.differs_from(&recorded).is_none() {
            let complete = sqlx::query(COMPLETE_ORIGIN).bind(&origin.journal).bind(&origin.payload_digest);
            complete.bind(&key.gid).bind(&key.branch).execute(connection).await?;
        }
        Ok(recorded)
    }

    async fn start(connection: &mut MySqlConnection, xid: &Xid) -> sqlx::Result<bool> {
        sqlx::raw_sql(ISOLATE).execute(&mut *connection).await?;
        match sqlx::raw_sql(literal("XA START", xid, "")).execute(connection).await {
            Ok(_) => Ok(true),
            Err(error) if number(&error) == Some(XID_IN_USE) => Ok(false),
            Err(error) => Err(error),
        }
    }

    async fn prepare(connection: &mut MySqlConnection, xid: &Xid) -> Result<(), BarrierError> {
        sqlx::raw_sql(literal("XA END", xid, "")).execute(&mut *connection).await?;
        sqlx::raw_sql(literal("XA PREPARE", xid, "")).execute(connection).await?;
        Ok(())
    }

    async fn commit_at_once(connection: &mut MySqlConnection, xid: &Xid) -> sqlx::Result<()> {
        sqlx::raw_sql(literal("XA END", xid, "")).execute(&mut *connection).await?;
        sqlx::raw_sql(literal("XA COMMIT", xid, " ONE PHASE")).execute(connection).await.map(|_| ())
    }

    async fn abandon(connection: &mut MySqlConnection, xid: &Xid) -> sqlx::Result<()> {
        // After a deadlock this is an error: there is nothing but rolling back left.
        sqlx::raw_sql(literal("XA END", xid, "")).execute(&mut *connection).await.ok();
        sqlx::raw_sql(literal("XA ROLLBACK", xid, "")).execute(connection).await.map(|_| ())
    }

    async fn commit_prepared(connection: &mut MySqlConnection, xid: &Xid) -> sqlx::Result<bool> {
        end(connection, "XA COMMIT", xid).await
    }

    async fn rollback_prepared(connection: &mut MySqlConnection, xid: &Xid) -> sqlx::Result<bool> {
        end(connection, "XA ROLLBACK", xid).await
    }
}

const LOCK_WAIT_TIMEOUT: u16 = 1205;
const LOCK_NOWAIT: u16 = 3572;
const NO_SUCH_XID: u16 = 1397;
const XID_IN_USE: u16 = 1440;

async fn end(connection: &mut MySqlConnection, verb: &'static str, xid: &Xid) -> sqlx::Result<bool> {
    match sqlx::raw_sql(literal(verb, xid, "")).execute(connection).await {
        Ok(_) => Ok(true),
        Err(error) if number(&error) == Some(NO_SUCH_XID) => Ok(false),
        Err(error) => Err(error),
    }
}

fn number(error: &sqlx::Error) -> Option<u16> {
    let error = error.as_database_error()?.try_downcast_ref::<sqlx::mysql::MySqlDatabaseError>()?;
    Some(error.number())
}
