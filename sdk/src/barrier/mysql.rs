//! The barrier's statements on MySQL and MariaDB.
//!
//! - Under REPEATABLE READ a plain read would show a snapshot older than the row that was waited for. The barrier's own
//!   transactions are READ COMMITTED, and its reads are locking reads, which show what is committed at any level: a
//!   caller's transaction may have either.
//! - `INSERT IGNORE` would swallow other errors, and rows affected count rows that were matched. So a key that is taken
//!   is the error 1062 of a plain `INSERT`, which InnoDB undoes alone: the transaction goes on.
//! - A deadlock (1213) rolls the whole transaction back, savepoints included, and a lock wait that takes too long (1205)
//!   its statement. Both come out as errors. A body that swallows one is found out by [`COMPLETE`], which then finds
//!   no row.
//! - Few fixed texts: over TCP every statement that is closed costs 40 ms with this driver.

use sqlx::{MySql, MySqlConnection};

use super::database::{BarrierDatabase, Key, NewRow, Recorded, StoredRow};
use crate::Origin;

const TOUCH: &str = "INSERT INTO trine_barrier_branches (gid, branch, fence, used_at) \
                     VALUES (?, ?, ?, CAST(UNIX_TIMESTAMP(NOW(3)) * 1000 AS SIGNED)) ON DUPLICATE KEY UPDATE \
                     fence = GREATEST(fence, VALUES(fence)), used_at = VALUES(used_at)";
const FENCE: &str = "SELECT fence FROM trine_barrier_branches WHERE gid = ? AND branch = ? FOR UPDATE";
const INSERT: &str = "INSERT INTO trine_barrier (gid, branch, op, outcome, output, fence, created_at) \
                      VALUES (?, ?, ?, ?, ?, ?, CAST(UNIX_TIMESTAMP(NOW(3)) * 1000 AS SIGNED))";
const COMPLETE: &str =
    "UPDATE trine_barrier SET outcome = ?, output = ? WHERE gid = ? AND branch = ? AND op = ?";
const ROWS: &str = "SELECT op, outcome, output FROM trine_barrier WHERE gid = ? AND branch = ? FOR UPDATE";
const NOW: &str = "SELECT CAST(UNIX_TIMESTAMP(NOW(3)) * 1000 AS SIGNED)";
const USES: &str = "SELECT \
    (SELECT MIN(used_at) FROM trine_barrier_branches WHERE used_at >= ? AND used_at < ?), \
    (SELECT MAX(used_at) FROM trine_barrier_branches WHERE used_at < ?)";
const UNUSED: &str = "SELECT gid, branch FROM trine_barrier_branches AS b \
    WHERE used_at < ? AND (NOT EXISTS (SELECT 1 FROM trine_barrier AS f \
    WHERE f.gid = b.gid AND f.branch = b.branch AND f.op IN ('try', 'prepare') AND f.outcome = 'done') \
    OR EXISTS (SELECT 1 FROM trine_barrier AS e WHERE e.gid = b.gid AND e.branch = b.branch \
    AND e.op IN ('confirm', 'cancel', 'commit', 'rollback'))) ORDER BY used_at LIMIT ? FOR UPDATE SKIP LOCKED";
const INSERT_ORIGIN: &str =
    "INSERT INTO trine_barrier_origins (gid, branch, journal, payload_digest) VALUES (?, ?, ?, ?)";
const ORIGIN: &str =
    "SELECT journal, payload_digest FROM trine_barrier_origins WHERE gid = ? AND branch = ? FOR UPDATE";
const COMPLETE_ORIGIN: &str = "UPDATE trine_barrier_origins SET journal = COALESCE(journal, ?), \
    payload_digest = COALESCE(payload_digest, ?) WHERE gid = ? AND branch = ?";
const FORGET_ORIGIN: &str = "DELETE FROM trine_barrier_origins WHERE gid = ? AND branch = ?";
const FORGET_OPS: &str = "DELETE FROM trine_barrier WHERE gid = ? AND branch = ?";
const FORGET_BRANCH: &str = "DELETE FROM trine_barrier_branches WHERE gid = ? AND branch = ?";

impl BarrierDatabase for MySql {
    const SCHEMA: &'static str = concat!(
        include_str!("../../../migrations/barrier/mysql/0001_barrier.sql"),
        include_str!("../../../migrations/barrier/mysql/0002_origins.sql"),
    );
    const BEGIN: &'static str = "SET TRANSACTION ISOLATION LEVEL READ COMMITTED; START TRANSACTION";

    async fn install(connection: &mut MySqlConnection) -> sqlx::Result<()> {
        sqlx::raw_sql(Self::SCHEMA).execute(connection).await?;
        Ok(())
    }

    async fn touch(
        connection: &mut MySqlConnection,
        gid: &str,
        branch: &str,
        fence: i64,
    ) -> sqlx::Result<i64> {
        sqlx::query(TOUCH).bind(gid).bind(branch).bind(fence).execute(&mut *connection).await?;
        sqlx::query_scalar(FENCE).bind(gid).bind(branch).fetch_one(connection).await
    }

    async fn insert_origin(
        connection: &mut MySqlConnection,
        gid: &str,
        branch: &str,
        origin: &Origin,
    ) -> sqlx::Result<bool> {
        let inserted = sqlx::query(INSERT_ORIGIN)
            .bind(gid)
            .bind(branch)
            .bind(&origin.journal)
            .bind(&origin.payload_digest)
            .execute(connection)
            .await;
        match inserted {
            Ok(_) => Ok(true),
            Err(sqlx::Error::Database(error)) if error.is_unique_violation() => Ok(false),
            Err(error) => Err(error),
        }
    }

    async fn origin(
        connection: &mut MySqlConnection,
        gid: &str,
        branch: &str,
    ) -> sqlx::Result<Option<Origin>> {
        let row: Option<(Option<String>, Option<String>)> =
            sqlx::query_as(ORIGIN).bind(gid).bind(branch).fetch_optional(connection).await?;
        Ok(row.map(|(journal, payload_digest)| Origin { journal, payload_digest }))
    }

    async fn complete_origin(
        connection: &mut MySqlConnection,
        gid: &str,
        branch: &str,
        origin: &Origin,
    ) -> sqlx::Result<()> {
        let complete = sqlx::query(COMPLETE_ORIGIN).bind(&origin.journal).bind(&origin.payload_digest);
        complete.bind(gid).bind(branch).execute(connection).await?;
        Ok(())
    }

    async fn insert(connection: &mut MySqlConnection, row: &NewRow<'_>) -> sqlx::Result<bool> {
        let inserted = sqlx::query(INSERT)
            .bind(row.key.gid)
            .bind(row.key.branch)
            .bind(row.key.op)
            .bind(row.outcome.as_str())
            .bind(row.output)
            .bind(row.fence)
            .execute(connection)
            .await;
        match inserted {
            Ok(_) => Ok(true),
            Err(sqlx::Error::Database(error)) if error.is_unique_violation() => Ok(false),
            Err(error) => Err(error),
        }
    }

    async fn complete(
        connection: &mut MySqlConnection,
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

    async fn rows(connection: &mut MySqlConnection, gid: &str, branch: &str) -> sqlx::Result<Vec<StoredRow>> {
        let rows: Vec<(String, String, Option<String>)> =
            sqlx::query_as(ROWS).bind(gid).bind(branch).fetch_all(connection).await?;
        Ok(rows.into_iter().map(|(op, outcome, output)| StoredRow { op, outcome, output }).collect())
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

    async fn unused(
        connection: &mut MySqlConnection,
        before: i64,
        limit: i64,
    ) -> sqlx::Result<Vec<(String, String)>> {
        sqlx::query_as(UNUSED).bind(before).bind(limit).fetch_all(connection).await
    }

    async fn forget(connection: &mut MySqlConnection, gid: &str, branch: &str) -> sqlx::Result<()> {
        sqlx::query(FORGET_OPS).bind(gid).bind(branch).execute(&mut *connection).await?;
        sqlx::query(FORGET_ORIGIN).bind(gid).bind(branch).execute(&mut *connection).await?;
        sqlx::query(FORGET_BRANCH).bind(gid).bind(branch).execute(connection).await?;
        Ok(())
    }
}
