//! Reads. Each is one statement, so what it answers was true at one moment.

use std::collections::BTreeMap;

use trine_engine::Record;
use trine_protocol::v1::{Coordinator, Page, Participant, ParticipantInstance, TransactionSummary};
use trine_protocol::{Gid, Pattern, Status, Timestamp};

use super::client::{Client, ClientError, Param, Row};
use super::rows::{count, gid_of, gids, timestamp, word};
use super::sightings::Heartbeat;
use super::tables::{GAVE_UP, GONE_MAX, Identity, TAKEN_FOR_GONE};
use crate::columns::{integer, millis};
use crate::group::{self, Stored, Unreadable};
use crate::{Census, Cursor, Filter, Journals, Loaded, Readable, ReadablePage, Registrations};

/// See [`crate::Journal::load`].
pub(super) async fn load<C: Client>(
    client: &mut C,
    owner: &str,
    gids: &[Gid],
) -> Result<Journals, ClientError> {
    let rows = client.load(owner, gids).await?;
    let mut found: BTreeMap<&str, Loaded> = BTreeMap::new();
    for row in &rows {
        let name = row.text(0)?;
        let gid = gid_of(name)?;
        let loaded =
            found.entry(name).or_insert_with(|| Loaded { gid, owned: false, records: Ok(Vec::new()) });
        loaded.owned = row.int(4)? == 1;
        if let Ok(records) = &mut loaded.records {
            match record(&loaded.gid, row) {
                Ok(record) => records.push(record),
                Err(damaged) => loaded.records = Err(group::unreadable(&loaded.gid, &damaged)),
            }
        }
    }
    Ok(gids.iter().filter_map(|gid| found.remove(gid.as_str())).collect())
}

/// See [`crate::Queries::readable`].
pub(super) async fn readable<C: Client>(
    client: &mut C,
    gid: &Gid,
    after_seq: u64,
) -> Result<Readable, ClientError> {
    let rows = client.query(C::TEXTS.records, &[gid.into(), integer(after_seq).into()]).await?;
    Ok(Readable::after(after_seq, rows.iter().map(|row| record(gid, row))))
}

/// Reads one page of a journal, and tells which records of the page cannot be read.
pub(super) async fn readable_page<C: Client>(
    client: &mut C,
    gid: &Gid,
    after_seq: u64,
    limit: usize,
) -> Result<ReadablePage, ClientError> {
    // One more than is shown says whether there is a next page.
    let values = [gid.into(), integer(after_seq).into(), count(limit.saturating_add(1))];
    let rows = client.query(C::TEXTS.records_page, &values).await?;
    Ok(ReadablePage::after(after_seq, rows.iter().map(|row| record(gid, row)), limit))
}

/// A row whose values are not even of their kinds is as damaged as one with another checksum.
pub(super) fn record(gid: &Gid, row: &Row) -> Result<Record, Unreadable> {
    let stored = || {
        let event = row.text(3)?.as_bytes();
        Ok(Stored { seq: row.int(1)?, at: row.int(2)?, event, checksum: row.maybe_int(5)? })
    };
    let stored = stored().map_err(|error: ClientError| Unreadable {
        seq: row.int(1).map_or(0, i64::cast_unsigned),
        detail: error.to_string(),
    })?;
    group::record(gid, stored)
}

/// See [`crate::Journal::unfinished`].
pub(super) async fn unfinished<C: Client>(
    client: &mut C,
    owner: &str,
    after: Option<&Gid>,
    due_by: Timestamp,
    limit: usize,
) -> Result<Vec<Gid>, ClientError> {
    let after = after.map_or("", Gid::as_str);
    let values = [owner.into(), after.into(), millis(due_by).into(), count(limit)];
    gids(&client.query(C::TEXTS.unfinished, &values).await?)
}

/// See [`crate::Journal::due`].
pub(super) async fn due<C: Client>(
    client: &mut C,
    owner: &str,
    due_by: Timestamp,
    limit: usize,
) -> Result<Vec<Gid>, ClientError> {
    let values = [owner.into(), millis(due_by).into(), count(limit)];
    gids(&client.query(C::TEXTS.due, &values).await?)
}

/// See [`crate::Queries::list`].
pub(super) async fn list<C: Client>(
    client: &mut C,
    filter: &Filter,
    cursor: Option<&Cursor>,
    limit: usize,
) -> Result<Page, ClientError> {
    let Filter { statuses, pattern, parked, label, host, created_from, created_to } = filter;
    if host.as_ref().is_some_and(|host| host.is_empty() || host.contains('\n')) {
        // No host is like that; between the lines of the column it would be found all the same.
        return Ok(Page { transactions: Vec::new(), next_cursor: None });
    }
    let wanted = |status: &Status| statuses.is_empty() || statuses.contains(status);
    let unsettled = *parked == Some(true) || !Status::ALL.iter().any(|s| s.is_settled() && wanted(s));
    let text = match (label, unsettled) {
        (Some(_), _) => C::TEXTS.list_labelled,
        (None, true) => C::TEXTS.list_unsettled,
        (None, false) => C::TEXTS.list_all,
    };
    // No gid is empty, so (time, "") is before every row of that time: "created before" is a cursor, too.
    let cursor = cursor.map_or((i64::MAX, ""), |cursor| (millis(cursor.created_at), cursor.gid.as_str()));
    let end = created_to.map_or(cursor, |to| cursor.min((millis(to), "")));
    let words: String = statuses.iter().map(|status| format!("{status},")).collect();
    let mut values = vec![
        Param::Int(created_from.map_or(0, millis)),
        Param::Int(end.0),
        end.1.into(),
        Param::MaybeText((!statuses.is_empty()).then(|| format!(",{words}"))),
        Param::MaybeText(pattern.map(|pattern| pattern.as_str().to_owned())),
        Param::MaybeBool(*parked),
        Param::MaybeText(host.clone()),
        count(limit.saturating_add(1)),
    ];
    if let Some((key, value)) = label {
        values.extend([key.as_str().into(), value.as_str().into()]);
    }
    let rows = client.query(text, &values).await?;
    let transactions = group::legible(rows.iter().take(limit).map(summary));
    // A row that is passed over may be the last one of its page.
    let last = rows.iter().take(limit).filter_map(|row| cursor_at(row).ok()).next_back();
    let next_cursor = last.filter(|_| rows.len() > limit).map(|cursor| cursor.encode());
    Ok(Page { transactions, next_cursor })
}

fn cursor_at(row: &Row) -> Result<Cursor, ClientError> {
    Ok(Cursor { created_at: timestamp(row, 4)?, gid: gid_of(row.text(0)?)? })
}

fn summary(row: &Row) -> Result<TransactionSummary, ClientError> {
    Ok(TransactionSummary {
        gid: gid_of(row.text(0)?)?,
        pattern: word(row.text(1)?, Pattern::parse)?,
        status: word(row.text(2)?, Status::parse)?,
        parked: row.maybe_text(3)?.map(str::to_owned),
        created_at: timestamp(row, 4)?,
        updated_at: timestamp(row, 5)?,
        settled_at: row.maybe_int(6)?.map(|at| Timestamp::from_millis(at.cast_unsigned())),
    })
}

/// See [`crate::Queries::census`].
pub(super) async fn census<C: Client>(client: &mut C) -> Result<Census, ClientError> {
    let mut census = Census::default();
    let rows = client.query(C::TEXTS.census, &[]).await?;
    let counted = |row: &Row| {
        let pattern = word(row.text(0)?, Pattern::parse)?;
        let status = word(row.text(1)?, Status::parse)?;
        Ok::<_, ClientError>((pattern, status, row.int(2)?, row.int(3)?, timestamp(row, 4)?))
    };
    for (pattern, status, count, parked, oldest) in group::legible(rows.iter().map(counted)) {
        census.unfinished.push((pattern, status, count.cast_unsigned()));
        census.parked += parked.cast_unsigned();
        census.oldest_unfinished = Some(census.oldest_unfinished.map_or(oldest, |other| other.min(oldest)));
    }
    census.unfinished.sort_unstable();
    Ok(census)
}

/// See [`crate::Registry::participants`].
pub(super) async fn participants<C: Client>(client: &mut C) -> Result<Registrations, ClientError> {
    let mut names: BTreeMap<String, Vec<ParticipantInstance>> = BTreeMap::new();
    let rows = client.query(C::TEXTS.participants, &[]).await?;
    // Where there is nobody it does not matter when.
    let now = rows.first().map_or(Ok(Timestamp::default()), |row| timestamp(row, 4))?;
    for row in &rows {
        let expires_at = timestamp(row, 3)?;
        names.entry(row.text(0)?.to_owned()).or_default().push(ParticipantInstance {
            base_url: row.text(1)?.to_owned(),
            registered_at: timestamp(row, 2)?,
            expires_at,
            alive: expires_at > now,
        });
    }
    let participants = names.into_iter().map(|(name, instances)| Participant { name, instances }).collect();
    Ok(Registrations { at: now, participants })
}

/// See [`crate::Membership::coordinators`].
pub(super) async fn coordinators<C: Client>(
    client: &mut C,
    me: &Identity,
) -> Result<Vec<Coordinator>, ClientError> {
    let rows = client.query(C::TEXTS.coordinators, &[]).await?;
    let coordinator = |row: &Row| {
        let (name, silent_ms) = (row.text(0)?, row.int(4)?);
        let heartbeat = Heartbeat { incarnation: row.text(6)?.to_owned(), at: row.int(3)? };
        // Of itself, and before its first look at the others, it has only the database's clock to go by.
        let seen = me.seen.silent_for(name, &heartbeat);
        let is_silent = seen.map_or(silent_ms > me.lapse_ms, |silence| me.is_lapse(silence));
        let beat_last = match heartbeat.at {
            GAVE_UP | TAKEN_FOR_GONE => 7,
            _ => 3,
        };
        Ok(Coordinator {
            name: name.to_owned(),
            alive: heartbeat.at > GONE_MAX && !is_silent,
            gave_up: heartbeat.at == GAVE_UP,
            started_at: timestamp(row, 2)?,
            heartbeat_at: timestamp(row, beat_last)?,
            unfinished: row.int(5)?.cast_unsigned(),
            store_node: Some(row.text(1)?.to_owned()).filter(|node| !node.is_empty()),
        })
    };
    rows.iter().map(coordinator).collect()
}
