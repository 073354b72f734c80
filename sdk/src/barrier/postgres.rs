//! The barrier's statements on PostgreSQL.
//!
//! A failed statement ends a transaction here, so a key that is taken is no error but `ON CONFLICT`, which also waits for
//! whoever has inserted the same key and not committed. Every statement sees what others committed before it began
//! (READ COMMITTED). In a caller's transaction at a stricter level [`TOUCH`] fails with 40001 where it would have to
//! see more than the snapshot: nothing has happened then, and the call is repeated.

use sqlx::{PgConnection, Postgres};

use super::database::{BarrierDatabase, Key, NewRow, Recorded, StoredRow};
use crate::Origin;

const TOUCH: &str = "INSERT INTO trine_barrier_branches AS b (gid, branch, fence) VALUES ($1, $2, $3) \
                     ON CONFLICT (gid, branch) DO UPDATE SET fence = GREATEST(b.fence, excluded.fence), \
                     used_at = excluded.used_at RETURNING fence";
const INSERT: &str = "INSERT INTO trine_barrier (gid, branch, op, outcome, output, fence) \
                      VALUES ($1, $2, $3, $4, $5, $6) ON CONFLICT (gid, branch, op) DO NOTHING";
const COMPLETE: &str =
    "UPDATE trine_barrier SET outcome = $1, output = $2 WHERE gid = $3 AND branch = $4 AND op = $5";
const ROWS: &str = "SELECT op, outcome, output FROM trine_barrier WHERE gid = $1 AND branch = $2";
const NOW: &str = "SELECT (extract(epoch FROM clock_timestamp()) * 1000)::BIGINT";
const USES: &str = "SELECT \
    (SELECT MIN(used_at) FROM trine_barrier_branches WHERE used_at >= $1 AND used_at < $2), \
    (SELECT MAX(used_at) FROM trine_barrier_branches WHERE used_at < $1)";
const UNUSED: &str = "SELECT gid, branch FROM trine_barrier_branches AS b \
    WHERE used_at < $1 AND (NOT EXISTS (SELECT 1 \
    FROM trine_barrier AS f WHERE f.gid = b.gid AND f.branch = b.branch AND f.op IN ('try', 'prepare') \
    AND f.outcome = 'done') OR EXISTS (SELECT 1 FROM trine_barrier AS e WHERE e.gid = b.gid AND e.branch = b.branch \
    AND e.op IN ('confirm', 'cancel', 'commit', 'rollback'))) ORDER BY used_at LIMIT $2 FOR UPDATE OF b SKIP LOCKED";
const INSERT_ORIGIN: &str = "INSERT INTO trine_barrier_origins (gid, branch, journal, payload_digest) VALUES ($1, $2, $3, $4) \
    ON CONFLICT (gid, branch) DO NOTHING";
const ORIGIN: &str =
    "SELECT journal, payload_digest FROM trine_barrier_origins WHERE gid = $1 AND branch = $2";
const COMPLETE_ORIGIN: &str = "UPDATE trine_barrier_origins SET journal = COALESCE(journal, $1), \
    payload_digest = COALESCE(payload_digest, $2) WHERE gid = $3 AND branch = $4";
const FORGET_ORIGIN: &str = "DELETE FROM trine_barrier_origins WHERE gid = $1 AND branch = $2";
const FORGET_OPS: &str = "DELETE FROM trine_barrier WHERE gid = $1 AND branch = $2";
const FORGET_BRANCH: &str = "DELETE FROM trine_barrier_branches WHERE gid = $1 AND branch = $2";
/// Two instances that create the same table at once get into each other's way, `IF NOT EXISTS` or not.
const INSTALL: [(&str, &str); 2] = [
    (
        "SELECT to_regclass('trine_barrier_branches_unused') IS NOT NULL",
        concat!(
            "SELECT pg_advisory_xact_lock(6073291846201);",
            include_str!("../../../migrations/barrier/postgres/0001_barrier.sql"),
        ),
    ),
    (
        "SELECT to_regclass('trine_barrier_origins') IS NOT NULL",
        concat!(
            "SELECT pg_advisory_xact_lock(6073291846201);",
            include_str!("../../../migrations/barrier/postgres/0002_origins.sql"),
        ),
    ),
];

impl BarrierDatabase for Postgres {
    const SCHEMA: &'static str = concat!(
        include_str!("../../../migrations/barrier/postgres/0001_barrier.sql"),
        include_str!("../../../migrations/barrier/postgres/0002_origins.sql"),
    );
    const BEGIN: &'static str = "BEGIN ISOLATION LEVEL READ COMMITTED";

    async fn install(connection: &mut PgConnection) -> sqlx::Result<()> {
        // Asking again for an index that is there would wait for every op under way.
        for (installed, install) in INSTALL {
            if !sqlx::query_scalar(installed).fetch_one(&mut *connection).await? {
                sqlx::raw_sql(install).execute(&mut *connection).await?;
            }
        }
        Ok(())
    }

    async fn touch(connection: &mut PgConnection, gid: &str, branch: &str, fence: i64) -> sqlx::Result<i64> {
        sqlx::query_scalar(TOUCH).bind(gid).bind(branch).bind(fence).fetch_one(connection).await
    }

    async fn insert_origin(
        connection: &mut PgConnection,
        gid: &str,
        branch: &str,
        origin: &Origin,
    ) -> sqlx::Result<bool> {
        let done = sqlx::query(INSERT_ORIGIN)
            .bind(gid)
            .bind(branch)
            .bind(&origin.journal)
            .bind(&origin.payload_digest)
            .execute(connection)
            .await?;
        Ok(done.rows_affected() == 1)
    }

    async fn origin(connection: &mut PgConnection, gid: &str, branch: &str) -> sqlx::Result<Option<Origin>> {
        let row: Option<(Option<String>, Option<String>)> =
            sqlx::query_as(ORIGIN).bind(gid).bind(branch).fetch_optional(connection).await?;
        Ok(row.map(|(journal, payload_digest)| Origin { journal, payload_digest }))
    }

    async fn complete_origin(
        connection: &mut PgConnection,
        gid: &str,
        branch: &str,
        origin: &Origin,
    ) -> sqlx::Result<()> {
        let complete = sqlx::query(COMPLETE_ORIGIN).bind(&origin.journal).bind(&origin.payload_digest);
        complete.bind(gid).bind(branch).execute(connection).await?;
        Ok(())
    }

    async fn insert(connection: &mut PgConnection, row: &NewRow<'_>) -> sqlx::Result<bool> {
        let done = sqlx::query(INSERT)
            .bind(row.key.gid)
            .bind(row.key.branch)
            .bind(row.key.op)
            .bind(row.outcome.as_str())
            .bind(row.output)
            .bind(row.fence)
            .execute(connection)
            .await?;
        Ok(done.rows_affected() == 1)
    }

    async fn complete(
        connection: &mut PgConnection,
        key: &Key<'_>,
        outcome: Recorded,
        output: Option<&str>,
    ) -> sqlx::Result<bool> {
        let done = sqlx::query(COMPLETE)
            .bind(outcome.as_str())
            .bind(output)
            .bind(key.gid)
            .bind(key.branch)
            .bind(key.op)
            .execute(connection)
            .await?;
        Ok(done.rows_affected() == 1)
    }

    async fn rows(connection: &mut PgConnection, gid: &str, branch: &str) -> sqlx::Result<Vec<StoredRow>> {
        let rows: Vec<(String, String, Option<String>)> =
            sqlx::query_as(ROWS).bind(gid).bind(branch).fetch_all(connection).await?;
        Ok(rows.into_iter().map(|(op, outcome, output)| StoredRow { op, outcome, output }).collect())
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

    async fn unused(
        connection: &mut PgConnection,
        before: i64,
        limit: i64,
    ) -> sqlx::Result<Vec<(String, String)>> {
        sqlx::query_as(UNUSED).bind(before).bind(limit).fetch_all(connection).await
    }

    async fn forget(connection: &mut PgConnection, gid: &str, branch: &str) -> sqlx::Result<()> {
        sqlx::query(FORGET_OPS).bind(gid).bind(branch).execute(&mut *connection).await?;
        sqlx::query(FORGET_ORIGIN).bind(gid).bind(branch).execute(&mut *connection).await?;
        sqlx::query(FORGET_BRANCH).bind(gid).bind(branch).execute(connection).await?;
        Ok(())
    }
}
