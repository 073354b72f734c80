//! XA branches on PostgreSQL: `PREPARE TRANSACTION`.

use sqlx::{PgConnection, Postgres};
use trine_protocol::Xid;

use super::database::{Key, Lock, Record, Row, State, XaDatabase, code, record};
use super::literal::postgres as literal;
use crate::barrier::BarrierError;

const LOCK_NOT_AVAILABLE: &str = "55P03";
/// Prepared transactions are switched off, or another session is at this one.
const NOT_IN_PREREQUISITE_STATE: &str = "55000";
const NO_SUCH_OBJECT: &str = "42704";

const INSTALL: &str = concat!(
    "SELECT pg_advisory_xact_lock(6073291846202);",
    include_str!("../../../migrations/xa/postgres/0001_xa.sql"),
);
const INSTALLED: &str = "SELECT to_regclass('trine_xa_unused') IS NOT NULL";
const FIND: &str = "SELECT state, reason, fence FROM trine_xa WHERE gid = $1 AND branch = $2";
const LOCK: &str =
    "SELECT state, reason, fence FROM trine_xa WHERE gid = $1 AND branch = $2 FOR UPDATE NOWAIT";
const CREATE: &str = "INSERT INTO trine_xa (gid, branch, xid, state, fence) VALUES ($1, $2, $3, $4, $5) \
                      ON CONFLICT (gid, branch) DO NOTHING";
const WRITE: &str = "UPDATE trine_xa SET state = $1, reason = $2, fence = GREATEST(fence, $3), \
                     used_at = (extract(epoch FROM clock_timestamp()) * 1000)::BIGINT WHERE gid = $4 AND branch = $5";
const TOUCH: &str = "UPDATE trine_xa SET used_at = (extract(epoch FROM clock_timestamp()) * 1000)::BIGINT \
                     WHERE gid = $1 AND branch = $2";
const CLEAN: &str = "DELETE FROM trine_xa WHERE (gid, branch) IN (SELECT gid, branch FROM trine_xa \
                     WHERE used_at < (extract(epoch FROM clock_timestamp()) * 1000)::BIGINT - $1 AND state <> 'open' \
                     ORDER BY used_at LIMIT $2 FOR UPDATE SKIP LOCKED)";
const PREPARED: &str =
    "SELECT EXISTS (SELECT 1 FROM pg_prepared_xacts WHERE gid = $1 AND database = current_database())";
const ENABLED: &str = "SELECT current_setting('max_prepared_transactions')::BIGINT > 0";

impl XaDatabase for Postgres {
    const SCHEMA: &'static str = include_str!("../../../migrations/xa/postgres/0001_xa.sql");
    const BEGIN: &'static str = "BEGIN ISOLATION LEVEL READ COMMITTED; SET LOCAL lock_timeout = '2s'";

    async fn install(connection: &mut PgConnection) -> Result<(), BarrierError> {
        // Even an index that is there is asked for by locking its table, and a prepared branch holds on to that: a service
        // that starts again must not wait for the branch it is to commit.
        if !sqlx::query_scalar(INSTALLED).fetch_one(&mut *connection).await? {
            sqlx::raw_sql(INSTALL).execute(&mut *connection).await?;
        }
        let enabled: bool = sqlx::query_scalar(ENABLED).fetch_one(connection).await?;
        if enabled { Ok(()) } else { Err(BarrierError::PreparedTransactionsOff) }
    }

    async fn find(connection: &mut PgConnection, key: &Key) -> sqlx::Result<Option<Record>> {
        let row: Option<Row> =
            sqlx::query_as(FIND).bind(&key.gid).bind(&key.branch).fetch_optional(connection).await?;
        row.map(record).transpose()
    }

    async fn create(
        connection: &mut PgConnection,
        key: &Key,
        state: State,
        fence: i64,
    ) -> sqlx::Result<bool> {
        let created = sqlx::query(CREATE)
            .bind(&key.gid)
            .bind(&key.branch)
            .bind(key.xid.to_postgres())
            .bind(state.as_str())
            .bind(fence)
            .execute(connection)
            .await?;
        Ok(created.rows_affected() == 1)
    }

    async fn lock(connection: &mut PgConnection, key: &Key) -> sqlx::Result<Lock> {
        let row: sqlx::Result<Option<Row>> =
            sqlx::query_as(LOCK).bind(&key.gid).bind(&key.branch).fetch_optional(connection).await;
        match row {
            Ok(Some(row)) => Ok(Lock::Held(record(row)?)),
            Ok(None) => Ok(Lock::Missing),
            Err(error) if code(&error).as_deref() == Some(LOCK_NOT_AVAILABLE) => Ok(Lock::Busy),
            Err(error) => Err(error),
        }
    }

    async fn write(
        connection: &mut PgConnection,
        key: &Key,
        state: State,
        reason: Option<&str>,
        fence: i64,
    ) -> sqlx::Result<()> {
        let write = sqlx::query(WRITE).bind(state.as_str()).bind(reason).bind(fence);
        write.bind(&key.gid).bind(&key.branch).execute(connection).await.map(|_| ())
    }

    async fn touch(connection: &mut PgConnection, key: &Key) -> sqlx::Result<()> {
        sqlx::query(TOUCH).bind(&key.gid).bind(&key.branch).execute(connection).await.map(|_| ())
    }

    async fn clean(connection: &mut PgConnection, age_ms: i64, limit: i64) -> sqlx::Result<u64> {
        Ok(sqlx::query(CLEAN).bind(age_ms).bind(limit).execute(connection).await?.rows_affected())
    }

    async fn is_prepared(connection: &mut PgConnection, xid: &Xid) -> sqlx::Result<bool> {
        sqlx::query_scalar(PREPARED).bind(xid.to_postgres()).fetch_one(connection).await
    }

    async fn start(connection: &mut PgConnection, _: &Xid) -> sqlx::Result<bool> {
        sqlx::raw_sql("BEGIN ISOLATION LEVEL READ COMMITTED").execute(connection).await?;
        Ok(true)
    }

    async fn prepare(connection: &mut PgConnection, xid: &Xid) -> Result<(), BarrierError> {
        match sqlx::raw_sql(literal("PREPARE TRANSACTION", xid)).execute(connection).await {
            Ok(_) => Ok(()),
            Err(error) if code(&error).as_deref() == Some(NOT_IN_PREREQUISITE_STATE) => {
                Err(BarrierError::PreparedTransactionsOff)
            }
            Err(error) => Err(error.into()),
        }
    }

    async fn commit_at_once(connection: &mut PgConnection, _: &Xid) -> sqlx::Result<()> {
        sqlx::raw_sql("COMMIT").execute(connection).await.map(|_| ())
    }

    async fn abandon(connection: &mut PgConnection, _: &Xid) -> sqlx::Result<()> {
        sqlx::raw_sql("ROLLBACK").execute(connection).await.map(|_| ())
    }

    async fn commit_prepared(connection: &mut PgConnection, xid: &Xid) -> sqlx::Result<bool> {
        end(connection, "COMMIT PREPARED", xid).await
    }

    async fn rollback_prepared(connection: &mut PgConnection, xid: &Xid) -> sqlx::Result<bool> {
        end(connection, "ROLLBACK PREPARED", xid).await
    }
}

async fn end(connection: &mut PgConnection, verb: &'static str, xid: &Xid) -> sqlx::Result<bool> {
    match sqlx::raw_sql(literal(verb, xid)).execute(connection).await {
        Ok(_) => Ok(true),
        Err(error) => match code(&error).as_deref() {
            Some(NO_SUCH_OBJECT | NOT_IN_PREREQUISITE_STATE) => Ok(false),
            _ => Err(error),
        },
    }
}
