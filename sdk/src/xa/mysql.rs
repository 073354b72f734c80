//! XA branches on MySQL and MariaDB: `XA START` to `XA PREPARE`.
//!
//! A session that has prepared a transaction can only end that transaction. On MariaDB no other session can end it until the
//! first session is closed. (MySQL allows it since 8.0.29. Before 5.7.7 it forgot the transaction.) So the session is closed
//! after `XA PREPARE`, and a commit may have to wait until the server notices.
//! On MySQL 8, `XA RECOVER` needs the privilege `XA_RECOVER_ADMIN`.

use sqlx::{MySql, MySqlConnection, Row as _};
use trine_protocol::Xid;

use super::database::{Key, Lock, Record, XaDatabase, XaState, record};
use super::literal::mysql as literal;
use super::statements::shared_statements;
use crate::Origin;
use crate::barrier::BarrierError;
use crate::barrier::clock::uses_of;
use crate::barrier::statements::fails;

const ISOLATE: &str = "SET SESSION TRANSACTION ISOLATION LEVEL READ COMMITTED";
const OLD: &str = "SELECT gid, branch FROM trine_xa WHERE used_at < ? \
                   AND state <> 'open' ORDER BY used_at LIMIT ?";
const FORGET: &str = "DELETE FROM trine_xa WHERE gid = ? AND branch = ? AND state <> 'open'";
const FORGET_ORIGIN: &str = "DELETE FROM trine_xa_origins WHERE gid = ? AND branch = ?";

impl XaDatabase for MySql {
    const SCHEMA: &'static str = concat!(
        include_str!("../../../migrations/xa/mysql/0001_xa.sql"),
        include_str!("../../../migrations/xa/mysql/0002_origins.sql"),
    );
    const BEGIN: &'static str = "SET TRANSACTION ISOLATION LEVEL READ COMMITTED; START TRANSACTION";
    const USES: &'static str = uses_of!("trine_xa", "?", "?", "?");

    async fn install(connection: &mut MySqlConnection) -> Result<(), BarrierError> {
        sqlx::raw_sql(Self::SCHEMA).execute(&mut *connection).await?;
        // Fails if the privilege is missing: now, and not only with the first branch.
        sqlx::raw_sql("XA RECOVER").execute(connection).await?;
        Ok(())
    }

    shared_statements! {
        when_taken: fails,
        is_busy: is_busy,
        xid: to_string,
        find: "SELECT state, reason, fence FROM trine_xa WHERE gid = ? AND branch = ?",
        create: "INSERT INTO trine_xa (gid, branch, xid, state, fence, used_at) \
                 VALUES (?, ?, ?, ?, ?, CAST(UNIX_TIMESTAMP(NOW(3)) * 1000 AS SIGNED))",
        write: "UPDATE trine_xa SET state = ?, reason = ?, fence = GREATEST(fence, ?), \
                used_at = CAST(UNIX_TIMESTAMP(NOW(3)) * 1000 AS SIGNED) WHERE gid = ? AND branch = ?",
        touch: "UPDATE trine_xa SET used_at = CAST(UNIX_TIMESTAMP(NOW(3)) * 1000 AS SIGNED) \
                WHERE gid = ? AND branch = ?",
        insert_origin: "INSERT INTO trine_xa_origins (gid, branch, journal, payload_digest) VALUES (?, ?, ?, ?)",
        origin: "SELECT journal, payload_digest FROM trine_xa_origins WHERE gid = ? AND branch = ?",
        complete_origin: "UPDATE trine_xa_origins SET journal = COALESCE(journal, ?), \
                          payload_digest = COALESCE(payload_digest, ?) WHERE gid = ? AND branch = ? \
                          AND (journal IS NULL OR payload_digest IS NULL)",
    }

    async fn clean(connection: &mut MySqlConnection, before: i64, limit: i64) -> sqlx::Result<u64> {
        // Records are found without locks and deleted one by one: a `DELETE` of a range would wait for records that prepared
        // transactions have locked. Nobody locks a settled record.
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
        // After a deadlock this is an error: only a rollback is possible then.
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

fn is_busy(error: &sqlx::Error) -> bool {
    matches!(number(error), Some(LOCK_WAIT_TIMEOUT | LOCK_NOWAIT))
}

fn number(error: &sqlx::Error) -> Option<u16> {
    let error = error.as_database_error()?.try_downcast_ref::<sqlx::mysql::MySqlDatabaseError>()?;
    Some(error.number())
}
