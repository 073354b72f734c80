//! Notes the time that passes ([`crate::watched`]), and deletes transactions that settled long ago ([`crate::retention`]).

use sqlx::{SqliteConnection, SqliteExecutor, SqlitePool};

use super::queries;
use super::writer::Writer;
use crate::columns::{limited, millis};
use crate::retention::{self, Candidate, Judged, Walk};
use crate::watched::{self, Note, Plan, SPANS_MAX, Span, Watcher};
use crate::{Leap, rows, sql};
use trine_clock as clock;

pub(super) const SETTLED: &str = "SELECT settled_at, gid FROM transactions WHERE settled_at IS NOT NULL \
     AND settled_at < ?1 AND (settled_at, gid) > (?2, ?3) ORDER BY settled_at, gid LIMIT ?4";

/// Deletes the candidates in an array of (settled_at, gid) whose index rows still say the same. The index rows are deleted
/// last, because the other rows are found by them.
const DELETE: [&str; 3] = [
    "DELETE FROM journal WHERE gid IN (SELECT t.gid FROM json_each(?) AS c CROSS JOIN transactions AS t \
     ON t.gid = c.value ->> 1 AND t.settled_at = c.value ->> 0)",
    "DELETE FROM transaction_labels WHERE gid IN (SELECT t.gid FROM json_each(?) AS c CROSS JOIN transactions AS t \
     ON t.gid = c.value ->> 1 AND t.settled_at = c.value ->> 0)",
    "DELETE FROM transactions WHERE gid IN (SELECT t.gid FROM json_each(?) AS c CROSS JOIN transactions AS t \
     ON t.gid = c.value ->> 1 AND t.settled_at = c.value ->> 0)",
];

/// See [`crate::Maintenance::watch`].
pub(super) async fn watch(writer: &Writer, watcher: &Watcher) -> Result<Option<Leap>, sqlx::Error> {
    let mut session = writer.session().await?;
    // An error drops the session, which closes the connection, which rolls back.
    let plan = note(&mut session.connection, watcher).await?;
    // After the COMMIT: after an error nothing is remembered, and the next note is compared with the one before.
    watcher.noted(&plan);
    session.end(Ok(plan.leap))
}

async fn note(connection: &mut SqliteConnection, watcher: &Watcher) -> Result<Plan, sqlx::Error> {
    // The lock is taken at once: with a plain BEGIN the first write could find that another connection has written
    // since the reads.
    sqlx::query("BEGIN IMMEDIATE").execute(&mut *connection).await?;
    let spans = spans(&mut *connection).await?;
    // If there are notes and none of them can be read, the store has been watched before. Then its past must not count as
    // if the store had never been watched.
    let was_watched: i64 =
        sqlx::query_scalar("SELECT count(*) FROM watched").fetch_one(&mut *connection).await?;
    let newest_record: Option<i64> = match was_watched {
        0 => sqlx::query_scalar(sql::NEWEST_RECORD).fetch_one(&mut *connection).await?,
        _ => None,
    };
    let now = millis(clock::now());
    let plan = watcher.plan(now, spans.first().copied(), newest_record);
    // Before the note: time that the clock went back over must not count twice.
    if let Some(end) = plan.cut_to {
        sqlx::query(sql::DROP_SPANS_AFTER).bind(end).execute(&mut *connection).await?;
        sqlx::query(sql::CUT_SPANS).bind(end).execute(&mut *connection).await?;
    }
    let note = match plan.note {
        Note::Begin { from } => {
            // REPLACE: a row that cannot be read may have this key.
            sqlx::query("INSERT OR REPLACE INTO watched (from_at, until_at) VALUES (?, ?)")
                .bind(from)
                .bind(now)
        }
        Note::Extend { from } => sqlx::query(sql::EXTEND_SPAN).bind(from).bind(now),
    };
    note.execute(&mut *connection).await?;
    if let Some(oldest) = spans.get(SPANS_MAX) {
        sqlx::query(sql::DROP_SPANS_UNTIL).bind(oldest.from).execute(&mut *connection).await?;
    }
    sqlx::query("COMMIT").execute(connection).await?;
    Ok(plan)
}

async fn spans(reader: impl SqliteExecutor<'_>) -> Result<Vec<Span>, sqlx::Error> {
    Ok(rows::spans(&sqlx::query(sql::SPANS).fetch_all(reader).await?))
}

/// See [`crate::Maintenance::retire`]. Journals are read on connections for reading, so that lanes can write meanwhile.
pub(super) async fn retire(
    writer: &Writer,
    readers: &SqlitePool,
    walk: &Walk,
    kept_ms: u64,
    limit: usize,
) -> Result<u64, sqlx::Error> {
    let Some(before) = watched::settled_before(spans(readers).await?, kept_ms) else { return Ok(0) };
    loop {
        let candidates = settled(readers, millis(before), &walk.after(), limit).await?;
        let Some(last) = candidates.last().cloned() else {
            walk.ended();
            return Ok(0);
        };
        let mut judged = Judged::default();
        for some in candidates.chunks(retention::READ_AT_ONCE) {
            // The owner is not compared: the journal alone says whether the transaction is settled.
            judged.add(some, queries::load(readers, "", retention::gids(some)).await?);
        }
        let deleted = delete(writer, &judged).await?;
        // Past the damaged ones as well. Otherwise they would fill each chunk, and nothing behind them would be
        // deleted.
        walk.went_on(last, judged.damaged);
        if deleted > 0 {
            return Ok(deleted);
        }
    }
}

async fn settled(
    readers: &SqlitePool,
    before: i64,
    after: &Candidate,
    limit: usize,
) -> Result<Vec<Candidate>, sqlx::Error> {
    let rows = sqlx::query(SETTLED)
        .bind(before)
        .bind(after.settled_at)
        .bind(after.gid.clone())
        .bind(limited(limit))
        .fetch_all(readers)
        .await?;
    Ok(rows::candidates(&rows))
}

/// Deletes what is settled and puts right the rows of what is not; returns how many transactions were deleted.
pub(super) async fn delete(writer: &Writer, judged: &Judged) -> Result<u64, sqlx::Error> {
    if judged.settled.is_empty() && judged.unfinished.is_empty() {
        return Ok(0);
    }
    let named = judged.settled.iter().map(|one| serde_json::json!([one.settled_at, one.gid]));
    let named = serde_json::Value::Array(named.collect()).to_string();
    let mut session = writer.session().await?;
    // An error drops the session, which closes the connection, which rolls back.
    sqlx::query("BEGIN IMMEDIATE").execute(&mut session.connection).await?;
    let mut deleted = 0;
    // A row that was written again since its journal was judged has another time, or none, and stays.
    for text in DELETE {
        deleted =
            sqlx::query(text).bind(named.as_str()).execute(&mut session.connection).await?.rows_affected();
    }
    let mut put_right = 0;
    for (candidate, row) in &judged.unfinished {
        let reopen = sqlx::query(sql::REOPEN).bind(candidate.gid.as_str()).bind(candidate.settled_at);
        let reopen = reopen.bind(row.status.as_str()).bind(row.parked).bind(row.due_at.map(millis));
        let done = reopen.bind(millis(row.updated_at)).execute(&mut session.connection).await?;
        put_right += done.rows_affected();
    }
    sqlx::query("COMMIT").execute(&mut session.connection).await?;
    session.end(Ok(()))?;
    // After the COMMIT: the log must not tell of rows that a rollback has undone.
    judged.put_right(put_right);
    Ok(deleted)
}
