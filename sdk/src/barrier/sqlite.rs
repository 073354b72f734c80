//! The barrier's statements on SQLite. SQLite has one writer, so a second call waits at `BEGIN IMMEDIATE`.

use sqlx::{Sqlite, SqliteConnection};

use super::database::{BarrierDatabase, Key, NewRow, Recorded, StoredRow};
use crate::Origin;

const TOUCH: &str = "INSERT INTO trine_barrier_branches (gid, branch, fence) VALUES (?, ?, ?) \
                     ON CONFLICT (gid, branch) DO UPDATE SET fence = MAX(fence, excluded.fence), \
                     used_at = excluded.used_at RETURNING fence";
const INSERT: &str = "INSERT INTO trine_barrier (gid, branch, op, outcome, output, fence) VALUES (?, ?, ?, ?, ?, ?) \
                      ON CONFLICT (gid, branch, op) DO NOTHING";
const COMPLETE: &str =
    "UPDATE trine_barrier SET outcome = ?, output = ? WHERE gid = ? AND branch = ? AND op = ?";
const ROWS: &str = "SELECT op, outcome, output FROM trine_barrier WHERE gid = ? AND branch = ?";
const NOW: &str = "SELECT CAST(unixepoch('subsec') * 1000 AS INTEGER)";
const USES: &str = "SELECT \
    (SELECT MIN(used_at) FROM trine_barrier_branches WHERE used_at >= ?1 AND used_at < ?2), \
    (SELECT MAX(used_at) FROM trine_barrier_branches WHERE used_at < ?1)";
const UNUSED: &str = "SELECT gid, branch FROM trine_barrier_branches AS b \
    WHERE used_at < ? AND (NOT EXISTS (SELECT 1 FROM trine_barrier AS f \
    WHERE f.gid = b.gid AND f.branch = b.branch AND f.op IN ('try', 'prepare') AND f.outcome = 'done') \
    OR EXISTS (SELECT 1 FROM trine_barrier AS e WHERE e.gid = b.gid AND e.branch = b.branch \
    AND e.op IN ('confirm', 'cancel', 'commit', 'rollback'))) ORDER BY used_at LIMIT ?";
const INSERT_ORIGIN: &str = "INSERT INTO trine_barrier_origins (gid, branch, journal, payload_digest) VALUES (?, ?, ?, ?) \
    ON CONFLICT (gid, branch) DO NOTHING";
const ORIGIN: &str = "SELECT journal, payload_digest FROM trine_barrier_origins WHERE gid = ? AND branch = ?";
const COMPLETE_ORIGIN: &str = "UPDATE trine_barrier_origins SET journal = COALESCE(journal, ?), \
    payload_digest = COALESCE(payload_digest, ?) WHERE gid = ? AND branch = ?";
const FORGET_ORIGIN: &str = "DELETE FROM trine_barrier_origins WHERE gid = ? AND branch = ?";
const FORGET_OPS: &str = "DELETE FROM trine_barrier WHERE gid = ? AND branch = ?";
const FORGET_BRANCH: &str = "DELETE FROM trine_barrier_branches WHERE gid = ? AND branch = ?";

impl BarrierDatabase for Sqlite {
    const SCHEMA: &'static str = concat!(
        include_str!("../../../migrations/barrier/sqlite/0001_barrier.sql"),
        include_str!("../../../migrations/barrier/sqlite/0002_branches.sql"),
        include_str!("../../../migrations/barrier/sqlite/0003_origins.sql"),
    );
    const BEGIN: &'static str = "BEGIN IMMEDIATE";

    async fn install(connection: &mut SqliteConnection) -> sqlx::Result<()> {
        sqlx::raw_sql(Self::SCHEMA).execute(connection).await?;
        Ok(())
    }

    async fn touch(
        connection: &mut SqliteConnection,
        gid: &str,
        branch: &str,
        fence: i64,
    ) -> sqlx::Result<i64> {
        sqlx::query_scalar(TOUCH).bind(gid).bind(branch).bind(fence).fetch_one(connection).await
    }

    async fn insert_origin(
        connection: &mut SqliteConnection,
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

    async fn origin(
        connection: &mut SqliteConnection,
        gid: &str,
        branch: &str,
    ) -> sqlx::Result<Option<Origin>> {
        let row: Option<(Option<String>, Option<String>)> =
            sqlx::query_as(ORIGIN).bind(gid).bind(branch).fetch_optional(connection).await?;
        Ok(row.map(|(journal, payload_digest)| Origin { journal, payload_digest }))
    }

    async fn complete_origin(
        connection: &mut SqliteConnection,
        gid: &str,
        branch: &str,
        origin: &Origin,
    ) -> sqlx::Result<()> {
        let complete = sqlx::query(COMPLETE_ORIGIN).bind(&origin.journal).bind(&origin.payload_digest);
        complete.bind(gid).bind(branch).execute(connection).await?;
        Ok(())
    }

    async fn insert(connection: &mut SqliteConnection, row: &NewRow<'_>) -> sqlx::Result<bool> {
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
        connection: &mut SqliteConnection,
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

    async fn rows(
        connection: &mut SqliteConnection,
        gid: &str,
        branch: &str,
    ) -> sqlx::Result<Vec<StoredRow>> {
        let rows: Vec<(String, String, Option<String>)> =
            sqlx::query_as(ROWS).bind(gid).bind(branch).fetch_all(connection).await?;
        Ok(rows.into_iter().map(|(op, outcome, output)| StoredRow { op, outcome, output }).collect())
    }

    async fn now(connection: &mut SqliteConnection) -> sqlx::Result<i64> {
        sqlx::query_scalar(NOW).fetch_one(connection).await
    }

    async fn uses(
        connection: &mut SqliteConnection,
        from: i64,
        until: i64,
    ) -> sqlx::Result<(Option<i64>, Option<i64>)> {
        sqlx::query_as(USES).bind(from).bind(until).fetch_one(connection).await
    }

    async fn unused(
        connection: &mut SqliteConnection,
        before: i64,
        limit: i64,
    ) -> sqlx::Result<Vec<(String, String)>> {
        sqlx::query_as(UNUSED).bind(before).bind(limit).fetch_all(connection).await
    }

    async fn forget(connection: &mut SqliteConnection, gid: &str, branch: &str) -> sqlx::Result<()> {
        sqlx::query(FORGET_OPS).bind(gid).bind(branch).execute(&mut *connection).await?;
        sqlx::query(FORGET_ORIGIN).bind(gid).bind(branch).execute(&mut *connection).await?;
        sqlx::query(FORGET_BRANCH).bind(gid).bind(branch).execute(connection).await?;
        Ok(())
    }
}
