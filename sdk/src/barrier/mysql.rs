//! The barrier's statements on MySQL and MariaDB.
//!
//! - Under REPEATABLE READ a plain read shows a snapshot that may be older than the row it waited for. So the barrier's own
//!   transactions are READ COMMITTED, and its reads are locking reads. A locking read shows what is committed at every
//!   level, so a caller's transaction may have either level.
//! - `INSERT IGNORE` would also hide other errors, and the count of affected rows includes rows that were only matched. So a
//!   key that is taken is error 1062 of a plain `INSERT`. InnoDB undoes that statement alone: the transaction goes on.
//! - A deadlock (1213) rolls back the whole transaction, savepoints included. A lock wait that takes too long (1205) rolls
//!   back its statement. Both are errors. If a body hides a deadlock, `complete` finds no row, and nothing is committed.
//! - The statements are a few fixed texts: over TCP, closing a prepared statement costs 40 ms with this driver.

use sqlx::{MySql, MySqlConnection};

use super::clock::uses_of;
use super::database::{BarrierDatabase, Key, NewRow, Recorded, StoredRow};
use super::statements::{fails, shared_statements};
use crate::Origin;

const TOUCH: &str = "INSERT INTO trine_barrier_branches (gid, branch, fence, used_at) \
                     VALUES (?, ?, ?, CAST(UNIX_TIMESTAMP(NOW(3)) * 1000 AS SIGNED)) ON DUPLICATE KEY UPDATE \
                     fence = GREATEST(fence, VALUES(fence)), used_at = VALUES(used_at)";
const FENCE: &str = "SELECT fence FROM trine_barrier_branches WHERE gid = ? AND branch = ? FOR UPDATE";

impl BarrierDatabase for MySql {
    const SCHEMA: &'static str = concat!(
        include_str!("../../../migrations/barrier/mysql/0001_barrier.sql"),
        include_str!("../../../migrations/barrier/mysql/0002_origins.sql"),
    );
    const BEGIN: &'static str = "SET TRANSACTION ISOLATION LEVEL READ COMMITTED; START TRANSACTION";
    const USES: &'static str = uses_of!("trine_barrier_branches", "?", "?", "?");

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

    shared_statements! {
        when_taken: fails,
        insert: "INSERT INTO trine_barrier (gid, branch, op, outcome, output, fence, created_at) \
                 VALUES (?, ?, ?, ?, ?, ?, CAST(UNIX_TIMESTAMP(NOW(3)) * 1000 AS SIGNED))",
        complete: "UPDATE trine_barrier SET outcome = ?, output = ? WHERE gid = ? AND branch = ? AND op = ?",
        rows: "SELECT op, outcome, output FROM trine_barrier WHERE gid = ? AND branch = ? FOR UPDATE",
        insert_origin: "INSERT INTO trine_barrier_origins (gid, branch, journal, payload_digest) VALUES (?, ?, ?, ?)",
        origin: "SELECT journal, payload_digest FROM trine_barrier_origins WHERE gid = ? AND branch = ? FOR UPDATE",
        complete_origin: "UPDATE trine_barrier_origins SET journal = COALESCE(journal, ?), \
                          payload_digest = COALESCE(payload_digest, ?) WHERE gid = ? AND branch = ?",
        unused: "SELECT gid, branch FROM trine_barrier_branches AS b \
                 WHERE used_at < ? AND (NOT EXISTS (SELECT 1 FROM trine_barrier AS f \
                 WHERE f.gid = b.gid AND f.branch = b.branch AND f.op IN ('try', 'prepare') AND f.outcome = 'done') \
                 OR EXISTS (SELECT 1 FROM trine_barrier AS e WHERE e.gid = b.gid AND e.branch = b.branch \
                 AND e.op IN ('confirm', 'cancel', 'commit', 'rollback'))) ORDER BY used_at LIMIT ? FOR UPDATE SKIP LOCKED",
        forget: [
            "DELETE FROM trine_barrier WHERE gid = ? AND branch = ?",
            "DELETE FROM trine_barrier_origins WHERE gid = ? AND branch = ?",
            "DELETE FROM trine_barrier_branches WHERE gid = ? AND branch = ?"
        ],
    }
}
