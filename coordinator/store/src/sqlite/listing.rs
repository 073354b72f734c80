//! Lists of transactions. What they walk is the index; when the last event was recorded is the journal's to tell.

use sqlx::sqlite::SqliteRow;
use sqlx::{Row, SqlitePool};
use trine_protocol::v1::{Page, TransactionSummary};
use trine_protocol::{Pattern, Status, Timestamp};

use super::rows::{gid_of, timestamp, word};
use super::words::is_damage;
use crate::columns::millis;
use crate::{Cursor, Filter, group};

/// Columns and conditions of a list. `?1` to `?3`: where it starts and ends, in the order of the index it walks.
macro_rules! list {
    ($updated:literal, $from:literal, $place:literal, $more:literal) => {
        concat!(
            "SELECT t.gid, t.pattern, t.status, t.parked, t.created_at, ",
            $updated,
            ", t.settled_at FROM ",
            $from,
            " WHERE ",
            $place,
            ".created_at >= ?1 AND (",
            $place,
            ".created_at, ",
            $place,
            ".gid) < (?2, ?3)",
            " AND (?4 IS NULL OR instr(?4, ',' || t.status || ',') > 0)",
            " AND (?5 IS NULL OR t.pattern = ?5)",
            " AND (?6 IS NULL OR (t.parked IS NOT NULL) = ?6)",
            " AND (?7 IS NULL OR instr(char(10) || t.hosts || char(10), char(10) || ?7 || char(10)) > 0)",
            $more,
            " ORDER BY ",
            $place,
            ".created_at DESC, ",
            $place,
            ".gid DESC LIMIT ?8"
        )
    };
}

/// What is walked, and in which order.
macro_rules! walks {
    ($updated:literal) => {
        Walks {
            all: list!($updated, "transactions AS t", "t", ""),
            unsettled: list!($updated, "transactions AS t", "t", " AND t.settled_at IS NULL"),
            labelled: list!(
                $updated,
                "transaction_labels AS l CROSS JOIN transactions AS t ON t.gid = l.gid",
                "l",
                " AND l.key = ?9 AND l.value = ?10"
            ),
        }
    };
}

pub(super) struct Walks {
    /// All transactions.
    pub(super) all: &'static str,
    /// What is not settled: nearly always a small part.
    pub(super) unsettled: &'static str,
    /// What has a label.
    pub(super) labelled: &'static str,
}

/// A row is not written with every event, so the journal is asked for the last: one look-up by its key.
pub(super) const WALKS: Walks = walks!(
    "coalesce((SELECT j.at FROM journal AS j WHERE j.gid = t.gid ORDER BY j.seq DESC LIMIT 1), t.updated_at)"
);

/// The same without the journal.
pub(super) const BY_ROWS: Walks = walks!("t.updated_at");

/// See [`crate::Queries::list`]. Where a page of the journal is damaged, the rows say when they were written.
pub(super) async fn list(
    readers: &SqlitePool,
    filter: Filter,
    cursor: Option<Cursor>,
    limit: usize,
) -> Result<Page, sqlx::Error> {
    match walk(readers, &WALKS, filter.clone(), cursor.as_ref(), limit).await {
        Err(error) if is_damage(&error) => walk(readers, &BY_ROWS, filter, cursor.as_ref(), limit).await,
        listed => listed,
    }
}

async fn walk(
    readers: &SqlitePool,
    walks: &Walks,
    filter: Filter,
    cursor: Option<&Cursor>,
    limit: usize,
) -> Result<Page, sqlx::Error> {
    let Filter { statuses, pattern, parked, label, host, created_from, created_to } = filter;
    if host.as_ref().is_some_and(|host| host.is_empty() || host.contains('\n')) {
        // No host is like that; between the lines of the column it would be found all the same.
        return Ok(Page { transactions: Vec::new(), next_cursor: None });
    }
    let wanted = |status: &Status| statuses.is_empty() || statuses.contains(status);
    let unsettled = parked == Some(true) || !Status::ALL.iter().any(|s| s.is_settled() && wanted(s));
    let text = match (&label, unsettled) {
        (Some(_), _) => walks.labelled,
        (None, true) => walks.unsettled,
        (None, false) => walks.all,
    };
    // No gid is empty, so (time, "") is before every row of that time: "created before" is a cursor, too.
    let cursor = cursor.map_or((i64::MAX, ""), |cursor| (millis(cursor.created_at), cursor.gid.as_str()));
    let end = created_to.map_or(cursor, |to| cursor.min((millis(to), "")));
    let words: String = statuses.iter().map(|status| format!("{status},")).collect();
    let mut query = sqlx::query(text)
        .bind(created_from.map_or(0, millis))
        .bind(end.0)
        .bind(end.1)
        .bind((!statuses.is_empty()).then(|| format!(",{words}")))
        .bind(pattern.map(Pattern::as_str))
        .bind(parked)
        .bind(host)
        .bind(i64::try_from(limit).unwrap_or(i64::MAX).saturating_add(1));
    if let Some((key, value)) = label {
        query = query.bind(key).bind(value);
    }
    let rows = query.fetch_all(readers).await?;
    let transactions = group::legible(rows.iter().take(limit).map(summary));
    // A row that is passed over may be the last one of its page.
    let last = rows.iter().take(limit).filter_map(|row| cursor_at(row).ok()).next_back();
    let next_cursor = last.filter(|_| rows.len() > limit).map(|cursor| cursor.encode());
    Ok(Page { transactions, next_cursor })
}

fn cursor_at(row: &SqliteRow) -> Result<Cursor, sqlx::Error> {
    Ok(Cursor { created_at: timestamp(row, 4)?, gid: gid_of(row.try_get(0)?)? })
}

fn summary(row: &SqliteRow) -> Result<TransactionSummary, sqlx::Error> {
    let settled_at: Option<i64> = row.try_get(6)?;
    Ok(TransactionSummary {
        gid: gid_of(row.try_get(0)?)?,
        pattern: word(row.try_get(1)?, Pattern::parse)?,
        status: word(row.try_get(2)?, Status::parse)?,
        parked: row.try_get(3)?,
        created_at: timestamp(row, 4)?,
        updated_at: timestamp(row, 5)?,
        settled_at: settled_at.map(|at| Timestamp::from_millis(at.cast_unsigned())),
    })
}
