//! Deleting what settled long ago, and noting the time that passes: only what was watched makes anything old.

use sqlx::{Row, SqliteConnection};

use super::append::millis;
use super::writer::Writer;
use crate::clock;
use crate::store::Leap;
use crate::store::watched::{self, Note, Plan, SPANS_MAX, Span, Watcher};

const SPANS: &str = "SELECT from_at, until_at FROM watched ORDER BY from_at DESC";

const NEWEST_RECORD: &str = "SELECT max(at) FROM (SELECT max(created_at) AS at FROM transactions \
     UNION ALL SELECT max(settled_at) FROM transactions WHERE settled_at IS NOT NULL)";

pub(super) const SETTLED: &str = "SELECT json_group_array(gid), count(*) FROM (SELECT gid FROM transactions \
     WHERE settled_at IS NOT NULL AND settled_at < ? ORDER BY settled_at, gid LIMIT ?)";

/// See [`crate::store::Maintenance::watch`].
pub(super) async fn watch(writer: &Writer, watcher: &Watcher) -> Result<Option<Leap>, sqlx::Error> {
    let mut session = writer.session().await?;
    // An error drops the session, which closes the connection, which rolls back.
    let plan = note(&mut session.connection, watcher).await?;
    watcher.noted(&plan);
    session.end(Ok(plan.leap))
}

async fn note(connection: &mut SqliteConnection, watcher: &Watcher) -> Result<Plan, sqlx::Error> {
    sqlx::query("BEGIN IMMEDIATE").execute(&mut *connection).await?;
    let spans = spans(&mut *connection).await?;
    let newest_record = sqlx::query_scalar(NEWEST_RECORD).fetch_one(&mut *connection).await?;
    let now = millis(clock::now());
    let plan = watcher.plan(now, spans.first().copied(), newest_record);
    if let Some(end) = plan.cut_to {
        sqlx::query("DELETE FROM watched WHERE from_at > ?").bind(end).execute(&mut *connection).await?;
        let cut = sqlx::query("UPDATE watched SET until_at = ?1 WHERE until_at > ?1");
        cut.bind(end).execute(&mut *connection).await?;
    }
    let note = match plan.note {
        Note::Begin { from } => {
            sqlx::query("INSERT INTO watched (from_at, until_at) VALUES (?, ?)").bind(from).bind(now)
        }
        Note::Extend { from } => {
            sqlx::query("UPDATE watched SET until_at = max(until_at, ?2) WHERE from_at = ?1")
                .bind(from)
                .bind(now)
        }
    };
    note.execute(&mut *connection).await?;
    if let Some(oldest) = spans.get(SPANS_MAX) {
        sqlx::query("DELETE FROM watched WHERE from_at <= ?")
            .bind(oldest.from)
            .execute(&mut *connection)
            .await?;
    }
    sqlx::query("COMMIT").execute(connection).await?;
    Ok(plan)
}

async fn spans(connection: &mut SqliteConnection) -> Result<Vec<Span>, sqlx::Error> {
    let rows = sqlx::query(SPANS).fetch_all(connection).await?;
    rows.iter().map(|row| Ok(Span { from: row.try_get(0)?, until: row.try_get(1)? })).collect()
}

/// See [`crate::store::Maintenance::retire`].
pub(super) async fn retire(writer: &Writer, kept_ms: u64, limit: usize) -> Result<u64, sqlx::Error> {
    let mut session = writer.session().await?;
    let retired = delete_settled(&mut session.connection, kept_ms, limit).await?;
    session.end(Ok(retired))
}

async fn delete_settled(
    connection: &mut SqliteConnection,
    kept_ms: u64,
    limit: usize,
) -> Result<u64, sqlx::Error> {
    let Some(before) = watched::settled_before(spans(&mut *connection).await?, kept_ms) else { return Ok(0) };
    sqlx::query("BEGIN IMMEDIATE").execute(&mut *connection).await?;
    let found = sqlx::query(SETTLED)
        .bind(millis(before))
        .bind(i64::try_from(limit).unwrap_or(i64::MAX))
        .fetch_one(&mut *connection)
        .await?;
    let (gids, count): (String, i64) = (found.try_get(0)?, found.try_get(1)?);
    if count > 0 {
        for text in [
            "DELETE FROM journal WHERE gid IN (SELECT value FROM json_each(?))",
            "DELETE FROM transaction_labels WHERE gid IN (SELECT value FROM json_each(?))",
            "DELETE FROM transactions WHERE gid IN (SELECT value FROM json_each(?))",
        ] {
            sqlx::query(text).bind(gids.as_str()).execute(&mut *connection).await?;
        }
    }
    sqlx::query("COMMIT").execute(connection).await?;
    Ok(count.cast_unsigned())
}
