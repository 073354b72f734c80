//! XA branches on PostgreSQL: `PREPARE TRANSACTION`.

use sqlx::{PgConnection, Postgres};
use trine_protocol::Xid;

use super::database::{Key, Lock, Record, XaDatabase, XaState, record};
use super::literal::postgres as literal;
use super::statements::shared_statements;
use crate::Origin;
use crate::barrier::BarrierError;
use crate::barrier::clock::uses_of;
use crate::barrier::postgres::{Part, install};
use crate::barrier::statements::inserts_no_row;

const LOCK_NOT_AVAILABLE: &str = "55P03";
/// Prepared transactions are switched off, or another session is using this prepared transaction.
const NOT_IN_PREREQUISITE_STATE: &str = "55000";
const NO_SUCH_OBJECT: &str = "42704";

const INSTALL: [Part; 2] = [
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
const CLEAN: &str = "WITH old AS (DELETE FROM trine_xa WHERE (gid, branch) IN (SELECT gid, branch FROM trine_xa \
                     WHERE used_at < $1 AND state <> 'open' \
                     ORDER BY used_at LIMIT $2 FOR UPDATE SKIP LOCKED) RETURNING gid, branch), \
                     origins AS (DELETE FROM trine_xa_origins AS o USING old WHERE (o.gid, o.branch) = (old.gid, old.branch)) \
                     SELECT COUNT(*) FROM old";
const PREPARED: &str =
    "SELECT EXISTS (SELECT 1 FROM pg_prepared_xacts WHERE gid = $1 AND database = current_database())";
const ENABLED: &str = "SELECT current_setting('max_prepared_transactions')::BIGINT > 0";

impl XaDatabase for Postgres {
    const SCHEMA: &'static str = concat!(
        include_str!("../../../migrations/xa/postgres/0001_xa.sql"),
        include_str!("../../../migrations/xa/postgres/0002_origins.sql"),
    );
    const BEGIN: &'static str = "BEGIN ISOLATION LEVEL READ COMMITTED; SET LOCAL lock_timeout = '2s'";
    const USES: &'static str = uses_of!("trine_xa", "$1", "$2", "$3");

    async fn install(connection: &mut PgConnection) -> Result<(), BarrierError> {
        install(&mut *connection, &INSTALL).await?;
        let enabled: bool = sqlx::query_scalar(ENABLED).fetch_one(connection).await?;
        if enabled { Ok(()) } else { Err(BarrierError::PreparedTransactionsOff) }
    }

    shared_statements! {
        when_taken: inserts_no_row,
        is_busy: is_busy,
        xid: to_postgres,
        find: "SELECT state, reason, fence FROM trine_xa WHERE gid = $1 AND branch = $2",
        create: "INSERT INTO trine_xa (gid, branch, xid, state, fence) VALUES ($1, $2, $3, $4, $5) \
                 ON CONFLICT (gid, branch) DO NOTHING",
        write: "UPDATE trine_xa SET state = $1, reason = $2, fence = GREATEST(fence, $3), \
                used_at = (extract(epoch FROM clock_timestamp()) * 1000)::BIGINT WHERE gid = $4 AND branch = $5",
        touch: "UPDATE trine_xa SET used_at = (extract(epoch FROM clock_timestamp()) * 1000)::BIGINT \
                WHERE gid = $1 AND branch = $2",
        insert_origin: "INSERT INTO trine_xa_origins (gid, branch, journal, payload_digest) VALUES ($1, $2, $3, $4) \
                        ON CONFLICT (gid, branch) DO NOTHING",
        origin: "SELECT journal, payload_digest FROM trine_xa_origins WHERE gid = $1 AND branch = $2",
        complete_origin: "UPDATE trine_xa_origins SET journal = COALESCE(journal, $1), \
                          payload_digest = COALESCE(payload_digest, $2) WHERE gid = $3 AND branch = $4 \
                          AND (journal IS NULL OR payload_digest IS NULL)",
    }

    async fn clean(connection: &mut PgConnection, before: i64, limit: i64) -> sqlx::Result<u64> {
        let cleaned: i64 = sqlx::query_scalar(CLEAN).bind(before).bind(limit).fetch_one(connection).await?;
        Ok(cleaned.unsigned_abs())
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

fn is_busy(error: &sqlx::Error) -> bool {
    code(error).as_deref() == Some(LOCK_NOT_AVAILABLE)
}

fn code(error: &sqlx::Error) -> Option<String> {
    Some(error.as_database_error()?.code()?.into_owned())
}
