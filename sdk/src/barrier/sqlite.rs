//! The barrier's statements on SQLite. SQLite has one writer, so a second call waits at `BEGIN IMMEDIATE`.

use sqlx::{Sqlite, SqliteConnection};

use super::clock::uses_of;
use super::database::{BarrierDatabase, Key, NewRow, Recorded, StoredRow};
use super::statements::{inserts_no_row, shared_statements};
use crate::Origin;

const TOUCH: &str = "INSERT INTO trine_barrier_branches (gid, branch, fence) VALUES (?, ?, ?) \
                     ON CONFLICT (gid, branch) DO UPDATE SET fence = MAX(fence, excluded.fence), \
                     used_at = excluded.used_at RETURNING fence";

impl BarrierDatabase for Sqlite {
    const SCHEMA: &'static str = concat!(
        include_str!("../../../migrations/barrier/sqlite/0001_barrier.sql"),
        include_str!("../../../migrations/barrier/sqlite/0002_branches.sql"),
        include_str!("../../../migrations/barrier/sqlite/0003_origins.sql"),
    );
    const BEGIN: &'static str = "BEGIN IMMEDIATE";
    const USES: &'static str = uses_of!("trine_barrier_branches", "?", "?", "?");

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

    shared_statements! {
        when_taken: inserts_no_row,
        insert: "INSERT INTO trine_barrier (gid, branch, op, outcome, output, fence) VALUES (?, ?, ?, ?, ?, ?) \
                 ON CONFLICT (gid, branch, op) DO NOTHING",
        complete: "UPDATE trine_barrier SET outcome = ?, output = ? WHERE gid = ? AND branch = ? AND op = ?",
        rows: "SELECT op, outcome, output FROM trine_barrier WHERE gid = ? AND branch = ?",
        insert_origin: "INSERT INTO trine_barrier_origins (gid, branch, journal, payload_digest) VALUES (?, ?, ?, ?) \
                        ON CONFLICT (gid, branch) DO NOTHING",
        origin: "SELECT journal, payload_digest FROM trine_barrier_origins WHERE gid = ? AND branch = ?",
        complete_origin: "UPDATE trine_barrier_origins SET journal = COALESCE(journal, ?), \
                          payload_digest = COALESCE(payload_digest, ?) WHERE gid = ? AND branch = ?",
        unused: "SELECT gid, branch FROM trine_barrier_branches AS b \
                 WHERE used_at < ? AND (NOT EXISTS (SELECT 1 FROM trine_barrier AS f \
                 WHERE f.gid = b.gid AND f.branch = b.branch AND f.op IN ('try', 'prepare') AND f.outcome = 'done') \
                 OR EXISTS (SELECT 1 FROM trine_barrier AS e WHERE e.gid = b.gid AND e.branch = b.branch \
                 AND e.op IN ('confirm', 'cancel', 'commit', 'rollback'))) ORDER BY used_at LIMIT ?",
        forget: [
            "DELETE FROM trine_barrier WHERE gid = ? AND branch = ?",
            "DELETE FROM trine_barrier_origins WHERE gid = ? AND branch = ?",
            "DELETE FROM trine_barrier_branches WHERE gid = ? AND branch = ?"
        ],
    }
}
