//! Reads, on connections that cannot write.

use std::collections::BTreeMap;

use sqlx::sqlite::SqliteRow;
use sqlx::{Row, SqlitePool};
use trine_engine::Record;
use trine_protocol::v1::{Coordinator, Participant, ParticipantInstance};
use trine_protocol::{Gid, Pattern, Status, Timestamp};

use super::rows::{gid_of, gids, json, timestamp, word};
use super::words::is_damage;
use crate::columns::millis;
use crate::group::{self, Stored, Unreadable};
use crate::{Census, Journals, Loaded, Readable, ReadablePage, Registrations};
use trine_clock as clock;

pub(super) const UNFINISHED: &str = "SELECT gid FROM transactions WHERE settled_at IS NULL AND owner = ?1 AND gid > ?2 \
     AND (due_at IS NULL OR due_at <= ?3) ORDER BY gid LIMIT ?4";

pub(super) const DUE: &str = "SELECT gid FROM transactions WHERE settled_at IS NULL AND due_at IS NOT NULL AND owner = ?1 \
     AND due_at <= ?2 ORDER BY due_at, gid LIMIT ?3";

pub(super) const CENSUS: &str = "SELECT pattern, status, count(*), count(parked), min(created_at) FROM transactions \
     INDEXED BY transactions_unsettled WHERE settled_at IS NULL GROUP BY pattern, status";

pub(super) const LOAD: &str = "SELECT asked.value, journal.seq, journal.at, journal.event, coalesce(t.owner = ?3, 0), \
     journal.checksum \
     FROM json_each(?1) AS asked CROSS JOIN journal ON journal.gid = asked.value \
     LEFT JOIN transactions AS t ON t.gid = asked.value WHERE journal.seq > ?2 ORDER BY asked.key, journal.seq";

/// Records of one gid, in the columns of [`LOAD`]; a negative limit is none.
pub(super) const RECORDS: &str = "SELECT gid, seq, at, event, 0, checksum FROM journal WHERE gid = ?1 AND seq > ?2 \
     ORDER BY seq LIMIT ?3";

/// The seqs of a gid, from the index of the primary key alone.
pub(super) const SEQS: &str = "SELECT seq FROM journal WHERE gid = ?1 AND seq > ?2 ORDER BY seq LIMIT ?3";

/// One record, in the columns of [`LOAD`].
pub(super) const ONE: &str =
    "SELECT gid, seq, at, event, 0, checksum FROM journal WHERE gid = ?1 AND seq = ?2";

/// See [`crate::Journal::load`]. Damage of a page that several gids share is found out for each alone.
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
            match record(&journal.gid, row) {
                Ok(record) => records.push(record),
                Err(damaged) => journal.records = Err(group::unreadable(&journal.gid, &damaged)),
            }
        }
    }
    Ok(journals)
}

/// See [`crate::Queries::readable`].
pub(super) async fn readable(
    readers: &SqlitePool,
    gid: Gid,
    after_seq: u64,
) -> Result<Readable, sqlx::Error> {
    Ok(Readable::after(after_seq, stored(readers, &gid, after_seq, -1).await?))
}

/// Reads one page of a journal, and tells which records of the page cannot be read.
pub(super) async fn readable_page(
    readers: &SqlitePool,
    gid: Gid,
    after_seq: u64,
    limit: usize,
) -> Result<ReadablePage, sqlx::Error> {
    // One more than is shown says whether there is a next page.
    let rows_max = i64::try_from(limit).unwrap_or(i64::MAX).saturating_add(1);
    Ok(ReadablePage::after(after_seq, stored(readers, &gid, after_seq, rows_max).await?, limit))
}

/// Records of a gid, understood or not. Where a page of the file is damaged, they are read one by one.
async fn stored(
    readers: &SqlitePool,
    gid: &Gid,
    after_seq: u64,
    rows_max: i64,
) -> Result<Vec<Result<Record, Unreadable>>, sqlx::Error> {
    let after = i64::try_from(after_seq).unwrap_or(i64::MAX);
    let query = sqlx::query(RECORDS).bind(gid.as_str().to_owned()).bind(after).bind(rows_max);
    let error = match query.fetch_all(readers).await {
        Ok(rows) => return Ok(rows.iter().map(|row| record(gid, row)).collect()),
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
            Ok(row) => rows.push(record(gid, &row)),
            Err(error) => rows.push(Err(Unreadable { seq: seq.cast_unsigned(), detail: error.to_string() })),
        }
    }
    Ok(rows)
}

/// A row whose values are not even of their kinds is as damaged as one with another checksum.
pub(super) fn record(gid: &Gid, row: &SqliteRow) -> Result<Record, Unreadable> {
    let stored = || {
        let event = row.try_get(3)?;
        Ok(Stored { seq: row.try_get(1)?, at: row.try_get(2)?, event, checksum: row.try_get(5)? })
    };
    let stored = stored().map_err(|error: sqlx::Error| {
        let seq = row.try_get::<i64, _>(1).map_or(0, i64::cast_unsigned);
        Unreadable { seq, detail: error.to_string() }
    })?;
    group::record(gid, stored)
}

/// See [`crate::Journal::unfinished`].
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
    Ok(gids(&rows))
}

/// See [`crate::Journal::due`].
pub(super) async fn due(
    readers: &SqlitePool,
    owner: &str,
    due_by: Timestamp,
    limit: usize,
) -> Result<Vec<Gid>, sqlx::Error> {
    let query = sqlx::query(DUE).bind(owner).bind(millis(due_by));
    let rows = query.bind(i64::try_from(limit).unwrap_or(i64::MAX)).fetch_all(readers).await?;
    Ok(gids(&rows))
}

/// See [`crate::Queries::census`].
pub(super) async fn census(readers: &SqlitePool) -> Result<Census, sqlx::Error> {
    let mut census = Census::default();
    let rows = sqlx::query(CENSUS).fetch_all(readers).await?;
    let counted = |row: &SqliteRow| {
        let pattern = word(row.try_get(0)?, Pattern::parse)?;
        let status = word(row.try_get(1)?, Status::parse)?;
        let (count, parked): (i64, i64) = (row.try_get(2)?, row.try_get(3)?);
        Ok::<_, sqlx::Error>((pattern, status, count, parked, timestamp(row, 4)?))
    };
    for (pattern, status, count, parked, oldest) in group::legible(rows.iter().map(counted)) {
        census.unfinished.push((pattern, status, count.cast_unsigned()));
        census.parked += parked.cast_unsigned();
        census.oldest_unfinished = Some(census.oldest_unfinished.map_or(oldest, |other| other.min(oldest)));
    }
    census.unfinished.sort_unstable();
    Ok(census)
}

/// See [`crate::Registry::is_registered`].
pub(super) async fn is_registered(readers: &SqlitePool, name: String) -> Result<bool, sqlx::Error> {
    let found = sqlx::query("SELECT 1 FROM participants WHERE name = ? LIMIT 1");
    Ok(found.bind(name).fetch_optional(readers).await?.is_some())
}

/// See [`crate::Registry::participants`].
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
            // Whoever has the file is alive, and nobody else is.
            alive: name == owner,
            gave_up: false,
            name,
            started_at: timestamp(row, 1)?,
            heartbeat_at: timestamp(row, 2)?,
            unfinished: unfinished.cast_unsigned(),
            store_node: None,
        })
    };
    rows.iter().map(coordinator).collect()
}
