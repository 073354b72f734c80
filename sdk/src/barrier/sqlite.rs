//! The barrier's statements on SQLite. SQLite has one writer, so a second call waits at `BEGIN IMMEDIATE`.

use sqlx::{Sqlite, SqliteConnection};

use super::database::{BarrierDatabase, Key, NewRow, Recorded, StoredRow};

const INSERT: &str = "INSERT INTO trine_barrier (gid, branch, op, outcome, output, fence) VALUES (?, ?, ?, ?, ?, ?) \
                      ON CONFLICT (gid, branch, op) DO NOTHING";
const COMPLETE: &str =
    "UPDATE trine_barrier SET outcome = ?, output = ? WHERE gid = ? AND branch = ? AND op = ?";
const ROWS: &str = "SELECT op, outcome, output FROM trine_barrier WHERE gid = ? AND branch = ?";

impl BarrierDatabase for Sqlite {
    const SCHEMA: &'static str = include_str!("../../../migrations/barrier/sqlite/0001_barrier.sql");
    const BEGIN: &'static str = "BEGIN IMMEDIATE";

    async fn install(connection: &mut SqliteConnection) -> sqlx::Result<()> {
        sqlx::raw_sql(Self::SCHEMA).execute(connection).await?;
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
}
