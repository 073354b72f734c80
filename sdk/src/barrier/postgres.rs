//! The barrier's statements on PostgreSQL.
//!
//! On PostgreSQL a failed statement ends the transaction. So a key that is taken is not an error: the statement has
//! `ON CONFLICT`, which also waits for a transaction that has inserted the same key and has not committed. At READ COMMITTED
//! every statement sees what was committed before the statement began. In a caller's transaction at a stricter level,
//! [`TOUCH`] fails with 40001 if it had to wait. Nothing has happened then, and the coordinator repeats the call.

use sqlx::{PgConnection, Postgres};

use super::clock::uses_of;
use super::database::{BarrierDatabase, Key, NewRow, Recorded, StoredRow};
use super::statements::{inserts_no_row, shared_statements};
use crate::Origin;

const TOUCH: &str = "INSERT INTO trine_barrier_branches AS b (gid, branch, fence) VALUES ($1, $2, $3) \
                     ON CONFLICT (gid, branch) DO UPDATE SET fence = GREATEST(b.fence, excluded.fence), \
                     used_at = excluded.used_at RETURNING fence";
/// Part by part. Each part takes a lock first: two instances that create the same table at once fail, even with
/// `IF NOT EXISTS`.
const INSTALL: [Part; 2] = [
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
    const USES: &'static str = uses_of!("trine_barrier_branches", "$1", "$2", "$3");

    async fn install(connection: &mut PgConnection) -> sqlx::Result<()> {
        install(connection, &INSTALL).await
    }

    async fn touch(connection: &mut PgConnection, gid: &str, branch: &str, fence: i64) -> sqlx::Result<i64> {
        sqlx::query_scalar(TOUCH).bind(gid).bind(branch).bind(fence).fetch_one(connection).await
    }

    shared_statements! {
        when_taken: inserts_no_row,
        insert: "INSERT INTO trine_barrier (gid, branch, op, outcome, output, fence) \
                 VALUES ($1, $2, $3, $4, $5, $6) ON CONFLICT (gid, branch, op) DO NOTHING",
        complete: "UPDATE trine_barrier SET outcome = $1, output = $2 WHERE gid = $3 AND branch = $4 AND op = $5",
        rows: "SELECT op, outcome, output FROM trine_barrier WHERE gid = $1 AND branch = $2",
        insert_origin: "INSERT INTO trine_barrier_origins (gid, branch, journal, payload_digest) \
                        VALUES ($1, $2, $3, $4) ON CONFLICT (gid, branch) DO NOTHING",
        origin: "SELECT journal, payload_digest FROM trine_barrier_origins WHERE gid = $1 AND branch = $2",
        complete_origin: "UPDATE trine_barrier_origins SET journal = COALESCE(journal, $1), \
                          payload_digest = COALESCE(payload_digest, $2) WHERE gid = $3 AND branch = $4",
        unused: "SELECT gid, branch FROM trine_barrier_branches AS b \
                 WHERE used_at < $1 AND (NOT EXISTS (SELECT 1 FROM trine_barrier AS f \
                 WHERE f.gid = b.gid AND f.branch = b.branch AND f.op IN ('try', 'prepare') AND f.outcome = 'done') \
                 OR EXISTS (SELECT 1 FROM trine_barrier AS e WHERE e.gid = b.gid AND e.branch = b.branch \
                 AND e.op IN ('confirm', 'cancel', 'commit', 'rollback'))) ORDER BY used_at LIMIT $2 \
                 FOR UPDATE OF b SKIP LOCKED",
        forget: [
            "DELETE FROM trine_barrier WHERE gid = $1 AND branch = $2",
            "DELETE FROM trine_barrier_origins WHERE gid = $1 AND branch = $2",
            "DELETE FROM trine_barrier_branches WHERE gid = $1 AND branch = $2"
        ],
    }
}

/// A part of a schema: the query whether the part is there, and the statements that create the part.
pub(crate) type Part = (&'static str, &'static str);

/// Creates the parts that are missing. (`CREATE INDEX IF NOT EXISTS` locks the table even if the index is there. So it would
/// wait for ops under way, and for prepared branches, which a service that starts again has yet to commit.)
pub(crate) async fn install(connection: &mut PgConnection, parts: &[Part]) -> sqlx::Result<()> {
    for (installed, install) in parts {
        if !sqlx::query_scalar(*installed).fetch_one(&mut *connection).await? {
            sqlx::raw_sql(*install).execute(&mut *connection).await?;
        }
    }
    Ok(())
}
