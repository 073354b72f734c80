//! Reads, on connections that cannot write.

use std::collections::BTreeMap;

use sqlx::sqlite::SqliteRow;
use sqlx::{Row, SqlitePool};
use trine_engine::Record;
use trine_protocol::v1::{Coordinator, Page, Participant, ParticipantInstance, TransactionSummary};
use trine_protocol::{Gid, Pattern, Status, Timestamp};

use super::append::millis;
use crate::clock;
use crate::store::{Census, Cursor, Filter, Journals, Loaded, Registrations, StoreError, group};

/// Columns and conditions of a list. `?1` to `?3`: where it starts and ends, in the order of the index it walks.
macro_rules! list {
    ($from:literal, $place:literal, $more:literal) => {
        concat!(
            "SELECT t.gid, t.pattern, t.status, t.parked, t.created_at, ",
            // The row is written when it changes; the last event is the journal's to tell: one look-up by its key.
            "coalesce((SELECT j.at FROM journal AS j WHERE j.gid = t.gid ORDER BY j.seq DESC LIMIT 1), t.updated_at), ",
            "t.settled_at FROM ",
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

/// Walks all transactions.
pub(super) const LIST_ALL: &str = list!("transactions AS t", "t", "");
/// Walks what is not settled: nearly always a small part.
pub(super) const LIST_UNSETTLED: &str = list!("transactions AS t", "t", " AND t.settled_at IS NULL");
/// Walks what has a label.
pub(super) const LIST_LABELLED: &str = list!(
    "transaction_labels AS l CROSS JOIN transactions AS t ON t.gid = l.gid",
    "l",
    " AND l.key = ?9 AND l.value = ?10"
);

pub(super) const UNFINISHED: &str = "SELECT gid FROM transactions WHERE settled_at IS NULL AND owner = ?1 AND gid > ?2 \
     AND (due_at IS NULL OR due_at <= ?3) ORDER BY gid LIMIT ?4";

pub(super) const DUE: &str = "SELECT gid FROM transactions WHERE settled_at IS NULL AND due_at IS NOT NULL AND owner = ?1 \
     AND due_at <= ?2 ORDER BY due_at, gid LIMIT ?3";

pub(super) const CENSUS: &str = "SELECT pattern, status, count(*), count(parked), min(created_at) FROM transactions \
     INDEXED BY transactions_unsettled WHERE settled_at IS NULL GROUP BY pattern, status";

pub(super) const LOAD: &str = "SELECT journal.gid, journal.seq, journal.at, journal.event, coalesce(t.owner = ?3, 0) \
     FROM json_each(?1) AS asked CROSS JOIN journal ON journal.gid = asked.value \
     LEFT JOIN transactions AS t ON t.gid = asked.value WHERE journal.seq > ?2 ORDER BY asked.key, journal.seq";

const RECORDS_PAGE: &str =
    "SELECT gid, seq, at, event FROM journal WHERE gid = ?1 AND seq > ?2 ORDER BY seq LIMIT ?3";

/// Gids as a JSON array: one bound parameter, however many they are. Their grammar leaves nothing to escape.
pub(super) fn json<'a>(gids: impl Iterator<Item = &'a Gid>) -> String {
    let mut text = String::from("[");
    for gid in gids {
        text.push_str(if text.len() == 1 { "\"" } else { ",\"" });
        text.push_str(gid.as_str());
        text.push('"');
    }
    text.push(']');
    text
}

/// See [`crate::store::Journal::load`].
pub(super) async fn load(readers: &SqlitePool, owner: &str, gids: Vec<Gid>) -> Result<Journals, sqlx::Error> {
    let query = sqlx::query(LOAD).bind(json(gids.iter())).bind(0_i64).bind(owner);
    let rows = query.fetch_all(readers).await?;
    let mut journals: Journals = Vec::new();
    for row in &rows {
        let gid: &str = row.try_get(0)?;
        if journals.last().is_none_or(|last| last.gid.as_str() != gid) {
            journals.push(Loaded { gid: gid_of(gid)?, owned: row.try_get(4)?, records: Ok(Vec::new()) });
        }
        let Some(journal) = journals.last_mut() else { continue };
        if let Ok(records) = &mut journal.records {
            match record(&journal.gid, row)? {
                Ok(record) => records.push(record),
                Err(corrupt) => journal.records = Err(corrupt),
            }
        }
    }
    Ok(journals)
}

/// See [`crate::store::Queries::records`].
pub(super) async fn records(
    readers: &SqlitePool,
    gid: Gid,
    after_seq: u64,
) -> Result<Vec<Record>, StoreError> {
    let unavailable = |error: sqlx::Error| StoreError::Unavailable(error.to_string());
    let after_seq = i64::try_from(after_seq).unwrap_or(i64::MAX);
    let query = sqlx::query(LOAD).bind(json(std::iter::once(&gid))).bind(after_seq).bind("");
    let rows = query.fetch_all(readers).await.map_err(unavailable)?;
    rows.iter().map(|row| record(&gid, row).map_err(unavailable)?).collect()
}

/// See [`crate::store::Queries::records_page`].
pub(super) async fn records_page(
    readers: &SqlitePool,
    gid: Gid,
    after_seq: u64,
    limit: usize,
) -> Result<Vec<Record>, StoreError> {
    let unavailable = |error: sqlx::Error| StoreError::Unavailable(error.to_string());
    let number = |value: u64| i64::try_from(value).unwrap_or(i64::MAX);
    let query = sqlx::query(RECORDS_PAGE).bind(gid.as_str().to_owned()).bind(number(after_seq));
    let rows = query.bind(number(limit as u64)).fetch_all(readers).await.map_err(unavailable)?;
    rows.iter().map(|row| record(&gid, row).map_err(unavailable)?).collect()
}

fn record(gid: &Gid, row: &SqliteRow) -> Result<Result<Record, StoreError>, sqlx::Error> {
    let seq: i64 = row.try_get(1)?;
    let text: &str = row.try_get(3)?;
    Ok(group::record(gid, seq.cast_unsigned(), timestamp(row, 2)?, text))
}

/// See [`crate::store::Journal::unfinished`].
pub(super) async fn unfinished(
    readers: &SqlitePool,
    owner: &str,
    after: Option<Gid>,
    due_by: Timestamp,
    limit: usize,
) -> Result<Vec<Gid>, sqlx::Error> {
    let rows = sqlx::query(UNFINISHED)
        .bind(owner)
        .bind(after.as_ref().map_or("", Gid::as_str))
        .bind(millis(due_by))
        .bind(i64::try_from(limit).unwrap_or(i64::MAX))
        .fetch_all(readers)
        .await?;
    rows.iter().map(|row| gid_of(row.try_get(0)?)).collect()
}

/// See [`crate::store::Journal::due`].
pub(super) async fn due(
    readers: &SqlitePool,
    owner: &str,
    due_by: Timestamp,
    limit: usize,
) -> Result<Vec<Gid>, sqlx::Error> {
    let query = sqlx::query(DUE).bind(owner).bind(millis(due_by));
    let rows = query.bind(i64::try_from(limit).unwrap_or(i64::MAX)).fetch_all(readers).await?;
    rows.iter().map(|row| gid_of(row.try_get(0)?)).collect()
}

/// See [`crate::store::Queries::list`].
pub(super) async fn list(
    readers: &SqlitePool,
    filter: Filter,
    cursor: Option<Cursor>,
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
        (Some(_), _) => LIST_LABELLED,
        (None, true) => LIST_UNSETTLED,
        (None, false) => LIST_ALL,
    };
    // No gid is empty, so (time, "") is before every row of that time: "created before" is a cursor, too.
    let cursor =
        cursor.as_ref().map_or((i64::MAX, ""), |cursor| (millis(cursor.created_at), cursor.gid.as_str()));
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
    let transactions: Vec<_> = rows.iter().take(limit).map(summary).collect::<Result<_, _>>()?;
    let next = transactions.last().filter(|_| rows.len() > limit);
    let next_cursor = next.map(|row| Cursor { created_at: row.created_at, gid: row.gid.clone() }.encode());
    Ok(Page { transactions, next_cursor })
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

/// See [`crate::store::Queries::census`].
pub(super) async fn census(readers: &SqlitePool) -> Result<Census, sqlx::Error> {
    let mut census = Census::default();
    for row in sqlx::query(CENSUS).fetch_all(readers).await? {
        let pattern = word(row.try_get(0)?, Pattern::parse)?;
        let status = word(row.try_get(1)?, Status::parse)?;
        let (count, parked): (i64, i64) = (row.try_get(2)?, row.try_get(3)?);
        census.unfinished.push((pattern, status, count.cast_unsigned()));
        census.parked += parked.cast_unsigned();
        let oldest = timestamp(&row, 4)?;
        census.oldest_unfinished = Some(census.oldest_unfinished.map_or(oldest, |other| other.min(oldest)));
    }
    census.unfinished.sort_unstable();
    Ok(census)
}

/// See [`crate::store::Registry::participants`].
pub(super) async fn participants(readers: &SqlitePool) -> Result<Registrations, sqlx::Error> {
    let now = clock::now();
    let rows = sqlx::query(
        "SELECT name, base_url, registered_at, expires_at FROM participants ORDER BY name, base_url",
    )
    .fetch_all(readers)
    .await?;
    let mut names: BTreeMap<String, Vec<ParticipantInstance>> = BTreeMap::new();
    for row in &rows {
        let expires_at = timestamp(row, 3)?;
        names.entry(row.try_get(0)?).or_default().push(ParticipantInstance {
            base_url: row.try_get(1)?,
            registered_at: timestamp(row, 2)?,
            expires_at,
            alive: expires_at > now,
        });
    }
    let participants = names.into_iter().map(|(name, instances)| Participant { name, instances }).collect();
    Ok(Registrations { at: now, participants })
}

/// See [`crate::store::Membership::coordinators`].
pub(super) async fn coordinators(readers: &SqlitePool, owner: &str) -> Result<Vec<Coordinator>, sqlx::Error> {
    let rows = sqlx::query(
        "SELECT id, started_at, heartbeat_at, (SELECT count(*) FROM transactions AS t \
         WHERE t.settled_at IS NULL AND t.owner = c.id) FROM coordinators AS c ORDER BY id",
    )
    .fetch_all(readers)
    .await?;
    let coordinator = |row: &SqliteRow| {
        let (name, unfinished): (String, i64) = (row.try_get(0)?, row.try_get(3)?);
        Ok(Coordinator {
            // Whoever has the file is alive, and nobody else is.
            alive: name == owner,
            name,
            started_at: timestamp(row, 1)?,
            heartbeat_at: timestamp(row, 2)?,
            unfinished: unfinished.cast_unsigned(),
            store_node: None,
        })
    };
    rows.iter().map(coordinator).collect()
}

pub(super) fn gid_of(text: &str) -> Result<Gid, sqlx::Error> {
    Gid::parse(text).map_err(|error| sqlx::Error::Decode(Box::new(error)))
}

fn word<T>(text: &str, parse: impl Fn(&str) -> Option<T>) -> Result<T, sqlx::Error> {
    parse(text)
        .ok_or_else(|| sqlx::Error::Decode(format!("{text:?} is not a word this version knows").into()))
}

pub(super) fn timestamp(row: &SqliteRow, column: usize) -> Result<Timestamp, sqlx::Error> {
    let millis: i64 = row.try_get(column)?;
    Ok(Timestamp::from_millis(millis.cast_unsigned()))
}
