//! XA branches on PostgreSQL: `PREPARE TRANSACTION`.

use sqlx::{PgConnection, Postgres};
use trine_protocol::Xid;

use super::database::{Key, Lock, Record, Row, State, XaDatabase, code, record};
use super::literal::postgres as literal;
use crate::Origin;
use crate::barrier::BarrierError;

const LOCK_NOT_AVAILABLE: &str = "55P03";
/// Prepared transactions are switched off, or another session is at this one.
const NOT_IN_PREREQUISITE_STATE: &str = "55000";
const NO_SUCH_OBJECT: &str = "42704";

/// Whether a part of the schema is there, and that part.
const INSTALL: [(&str, &str); 2] = [
    (
        "SELECT to_regclass('trine_xa_unused') IS NOT NULL",
        concat!(
            "SELECT pg_advisory_xact_lock(6073291846202);",
            include_str!("../../../migrations/xa/postgres/0001_xa.sql"),
        ),
    ),
    (
        "SELECT to_regclass('trine_xa_origins') IS NOT NULL",
        concat!(
            "SELECT pg_advisory_xact_lock(6073291846202);",
            include_str!("../../../migrations/xa/postgres/0002_origins.sql"),
        ),
    ),
];
const FIND: &str = "SELECT state, reason, fence FROM trine_xa WHERE gid = $1 AND branch = $2";
const LOCK: &str =
    "SELECT state, reason, fence FROM trine_xa WHERE gid = $1 AND branch = $2 FOR UPDATE NOWAIT";
const CREATE: &str = "INSERT INTO trine_xa (gid, branch, xid, state, fence) VALUES ($1, $2, $3, $4, $5) \
                      ON CONFLICT (gid, branch) DO NOTHING";
const WRITE: &str = "UPDATE trine_xa SET state = $1, reason = $2, fence = GREATEST(fence, $3), \
                     used_at = (extract(epoch FROM clock_timestamp()) * 1000)::BIGINT WHERE gid = $4 AND branch = $5";
const TOUCH: &str = "UPDATE trine_xa SET used_at = (extract(epoch FROM clock_timestamp()) * 1000)::BIGINT \
                     WHERE gid = $1 AND branch = $2";
const NOW: &str = "SELECT (extract(epoch FROM clock_timestamp()) * 1000)::BIGINT";
const USES: &str = "SELECT \
    (SELECT MIN(used_at) FROM trine_xa WHERE used_at >= $1 AND used_at < $2), \
    (SELECT MAX(used_at) FROM trine_xa WHERE used_at < $1)";
const CLEAN: &str = "WITH old AS (DELETE FROM trine_xa WHERE (gid, branch) IN (SELECT gid, branch FROM trine_xa \
                     WHERE used_at < $1 AND state <> 'open' \
                     ORDER BY used_at LIMIT $2 FOR UPDATE SKIP LOCKED) RETURNING gid, branch), \
                     origins AS (DELETE FROM trine_xa_origins AS o USING old WHERE (o.gid, o.branch) = (old.gid, old.branch)) \
                     SELECT COUNT(*) FROM old";
const PREPARED: &str =
    "SELECT EXISTS (SELECT 1 FROM pg_prepared_xacts WHERE gid = $1 AND database = current_database())";
const ENABLED: &str = "SELECT current_setting('max_prepared_transactions')::BIGINT > 0";
const INSERT_ORIGIN: &str = "INSERT INTO trine_xa_origins (gid, branch, journal, payload_digest) VALUES ($1, $2, $3, $4) \
                             ON CONFLICT (gid, branch) DO NOTHING";
const COMPLETE_ORIGIN: &str = "UPDATE trine_xa_origins SET journal = COALESCE(journal, $1), \
                               payload_digest = COALESCE(payload_digest, $2) WHERE gid = $3 AND branch = $4 \
                               AND (journal IS NULL OR payload_digest IS NULL)";
const ORIGIN: &str = "SELECT journal, payload_digest FROM trine_xa_origins WHERE gid = $1 AND branch = $2";

impl XaDatabase for Postgres {
    const SCHEMA: &'static str = concat!(
        include_str!("../../../migrations/xa/postgres/0001_xa.sql"),
        include_str!("../../../migrations/xa/postgres/0002_origins.sql"),
    );
    const BEGIN: &'static str = "BEGIN ISOLATION LEVEL READ COMMITTED; SET LOCAL lock_timeout = '2s'";

    async fn install(connection: &mut PgConnection) -> Result<(), BarrierError> {
        // Even an index that is there is asked for by locking its table, and a prepared branch holds on to that: a service
        // that starts again must not wait for the branch it is to commit.
        for (installed, install) in INSTALL {
            if !sqlx::query_scalar(installed).fetch_one(&mut *connection).await? {
                sqlx::raw_sql(install).execute(&mut *connection).await?;
            }
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

    async fn now(connection: &mut PgConnection) -> sqlx::Result<i64> {
        sqlx::query_scalar(NOW).fetch_one(connection).await
    }

    async fn uses(
        connection: &mut PgConnection,
        from: i64,
        until: i64,
    ) -> sqlx::Result<(Option<i64>, Option<i64>)> {
        sqlx::query_as(USES).bind(from).bind(until).fetch_one(connection).await
    }

    async fn clean(connection: &mut PgConnection, before: i64, limit: i64) -> sqlx::Result<u64> {
        let cleaned: i64 = sqlx::query_scalar(CLEAN).bind(before).bind(limit).fetch_one(connection).await?;
        Ok(cleaned.unsigned_abs())
    }

    async fn is_prepared(connection: &mut PgConnection, xid: &Xid) -> sqlx::Result<bool> {
        sqlx::query_scalar(PREPARED).bind(xid.to_postgres()).fetch_one(connection).await
    }

    async fn origin(connection: &mut PgConnection, key: &Key, origin: &Origin) -> sqlx::Result<Origin> {
        let insert = sqlx::query(INSERT_ORIGIN).bind(&key.gid).bind(&key.branch);
        insert.bind(&origin.journal).bind(&origin.payload_digest).execute(&mut *connection).await?;
        let (journal, payload_digest) =
            sqlx::query_as(ORIGIN).bind(&key.gid).bind(&key.branch).fetch_one(&mut *connection).await?;
        let recorded = Origin { journal, payload_digest };
        if origin.adds_to(&recorded) && origin.differs_from(&recorded).is_none() {
            let complete = sqlx::query(COMPLETE_ORIGIN).bind(&origin.journal).bind(&origin.payload_digest);
            complete.bind(&key.gid).bind(&key.branch).execute(connection).await?;
        }
        Ok(recorded)
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
