//! Reads, on connections that cannot write. If a page of the file is damaged, what is not on that page is still read.

use sqlx::sqlite::SqliteRow;
use sqlx::{Row as _, SqlitePool};
use trine_engine::Record;
use trine_protocol::v1::Coordinator;
use trine_protocol::{Gid, Timestamp};

use super::rows::json;
use super::words::is_damage;
use crate::columns::{integer, limited, millis};
use crate::group::{self, Unreadable};
use crate::{Census, Journals, Loaded, Readable, ReadablePage, Registrations, rows, sql};
use trine_clock as clock;

pub(super) const CENSUS: &str = "SELECT pattern, status, count(*), count(parked), min(created_at) FROM transactions \
     INDEXED BY transactions_unsettled WHERE settled_at IS NULL GROUP BY pattern, status";

/// The columns of [`sql::RECORDS`], of the gids in the array `$1`; `$2`: the owner.
const LOAD: &str = "SELECT asked.value, journal.seq, journal.at, journal.event, coalesce(t.owner = $2, 0), journal.checksum \
     FROM json_each($1) AS asked CROSS JOIN journal ON journal.gid = asked.value \
     LEFT JOIN transactions AS t ON t.gid = asked.value ORDER BY asked.key, journal.seq";

/// The seqs of a gid, from the index of the primary key alone.
pub(super) const SEQS: &str = "SELECT seq FROM journal WHERE gid = ?1 AND seq > ?2 ORDER BY seq LIMIT ?3";

/// One record, in the columns of [`sql::RECORDS`].
pub(super) const ONE: &str =
    "SELECT gid, seq, at, event, 0, checksum FROM journal WHERE gid = ?1 AND seq = ?2";

/// See [`crate::Journal::load`]. If a page is damaged, each gid is read alone, so that only the gids on that page are in
/// error.
pub(super) async fn load(readers: &SqlitePool, owner: &str, gids: Vec<Gid>) -> Result<Journals, sqlx::Error> {
    match read_all(readers, owner, &gids).await {
        Err(error) if is_damage(&error) => {}
        read => return read,
    }
    let mut journals: Journals = Vec::new();
    for gid in gids {
        match read_all(readers, owner, std::slice::from_ref(&gid)).await {
            Ok(one) => journals.extend(one),
            Err(error) if is_damage(&error) => {
                let damaged = Unreadable { seq: 0, detail: error.to_string() };
                let records = Err(group::unreadable(&gid, &damaged));
                journals.push(Loaded { gid, owned: false, records });
            }
            Err(error) => return Err(error),
        }
    }
    Ok(journals)
}

async fn read_all(readers: &SqlitePool, owner: &str, gids: &[Gid]) -> Result<Journals, sqlx::Error> {
    let found = sqlx::query(LOAD).bind(json(gids.iter())).bind(owner).fetch_all(readers).await?;
    rows::journals(gids, &found)
}

/// See [`crate::Queries::readable`].
pub(super) async fn readable(
    readers: &SqlitePool,
    gid: Gid,
    after_seq: u64,
) -> Result<Readable, sqlx::Error> {
    Ok(Readable::after(after_seq, stored(readers, &gid, after_seq, i64::MAX).await?))
}

/// Reads one page of a journal, and tells which records of the page cannot be read.
pub(super) async fn readable_page(
    readers: &SqlitePool,
    gid: Gid,
    after_seq: u64,
    limit: usize,
) -> Result<ReadablePage, sqlx::Error> {
    // One more than is shown says whether there is a next page.
    let rows_max = limited(limit.saturating_add(1));
    Ok(ReadablePage::after(after_seq, stored(readers, &gid, after_seq, rows_max).await?, limit))
}

/// The records of a gid. If a page is damaged, they are read one by one.
async fn stored(
    readers: &SqlitePool,
    gid: &Gid,
    after_seq: u64,
    rows_max: i64,
) -> Result<Vec<Result<Record, Unreadable>>, sqlx::Error> {
    let after = integer(after_seq);
    let query = sqlx::query(sql::RECORDS).bind(gid.as_str().to_owned()).bind(after).bind(rows_max);
    let error = match query.fetch_all(readers).await {
        Ok(rows) => return Ok(rows.iter().map(|row| rows::record(gid, row)).collect()),
        Err(error) => error,
    };
    if !is_damage(&error) {
        return Err(error);
    }
    let query = sqlx::query(SEQS).bind(gid.as_str().to_owned()).bind(after).bind(rows_max);
    let seqs = match query.fetch_all(readers).await {
        Ok(seqs) => seqs,
        Err(found) if is_damage(&found) => {
            let damaged = Unreadable { seq: after_seq.saturating_add(1), detail: error.to_string() };
            return Ok(vec![Err(damaged)]);
        }
        Err(found) => return Err(found),
    };
    let mut rows = Vec::with_capacity(seqs.len());
    for seq in &seqs {
        let seq: i64 = seq.try_get(0)?;
        match sqlx::query(ONE).bind(gid.as_str().to_owned()).bind(seq).fetch_one(readers).await {
            Ok(row) => rows.push(rows::record(gid, &row)),
            Err(error) => rows.push(Err(Unreadable { seq: seq.cast_unsigned(), detail: error.to_string() })),
        }
    }
    Ok(rows)
}

/// See [`crate::Journal::unfinished`].
pub(super) async fn unfinished(
    readers: &SqlitePool,
    owner: &str,
    after: Option<Gid>,
    due_by: Timestamp,
    limit: usize,
) -> Result<Vec<Gid>, sqlx::Error> {
    let rows = sqlx::query(sql::UNFINISHED)
        .bind(owner)
        .bind(after.as_ref().map_or("", Gid::as_str))
        .bind(millis(due_by))
        .bind(limited(limit))
        .fetch_all(readers)
        .await?;
    Ok(rows::gids(&rows))
}

/// See [`crate::Journal::due`].
pub(super) async fn due(
    readers: &SqlitePool,
    owner: &str,
    due_by: Timestamp,
    limit: usize,
) -> Result<Vec<Gid>, sqlx::Error> {
    let query = sqlx::query(sql::DUE).bind(owner).bind(millis(due_by));
    let rows = query.bind(limited(limit)).fetch_all(readers).await?;
    Ok(rows::gids(&rows))
}

/// See [`crate::Queries::census`].
pub(super) async fn census(readers: &SqlitePool) -> Result<Census, sqlx::Error> {
    Ok(rows::census(&sqlx::query(CENSUS).fetch_all(readers).await?))
}

/// See [`crate::Registry::is_registered`].
pub(super) async fn is_registered(readers: &SqlitePool, name: String) -> Result<bool, sqlx::Error> {
    let found = sqlx::query(sql::IS_REGISTERED);
    Ok(found.bind(name).fetch_optional(readers).await?.is_some())
}

/// See [`crate::Registry::participants`].
pub(super) async fn participants(readers: &SqlitePool) -> Result<Registrations, sqlx::Error> {
    let now = clock::now();
    let rows = sqlx::query(
        "SELECT name, base_url, registered_at, expires_at, guarded_until FROM participants ORDER BY name, base_url",
    )
    .fetch_all(readers)
    .await?;
    rows::registrations(now, &rows)
}

/// See [`crate::Membership::coordinators`].
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
            // The process that has the file is alive, and no other is.
            alive: name == owner,
            gave_up: false,
            name,
            started_at: rows::timestamp(row, 1)?,
            heartbeat_at: rows::timestamp(row, 2)?,
            unfinished: unfinished.cast_unsigned(),
            store_node: None,
        })
    };
    rows.iter().map(coordinator).collect()
}
