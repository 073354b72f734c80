//! Reads. Each is one statement, so its rows are from one moment.

use trine_protocol::v1::{Coordinator, Page};
use trine_protocol::{Gid, Timestamp};

use super::client::{Client, ClientError, Param, Row};
use super::sightings::Heartbeat;
use super::tables::{GAVE_UP, GONE_MAX, Identity, TAKEN_FOR_GONE};
use crate::columns::{integer, limited, millis};
use crate::listing::{self, ListValues};
use crate::rows::{self, Columns as _};
use crate::{Census, Cursor, Filter, Journals, Readable, ReadablePage, Registrations};

/// See [`crate::Journal::load`].
pub(super) async fn load<C: Client>(
    client: &mut C,
    owner: &str,
    gids: &[Gid],
) -> Result<Journals, ClientError> {
    let found = client.load(owner, gids).await?;
    rows::journals(gids, &found)
}

/// See [`crate::Queries::readable`].
pub(super) async fn readable<C: Client>(
    client: &mut C,
    gid: &Gid,
    after_seq: u64,
) -> Result<Readable, ClientError> {
    let values = [gid.into(), integer(after_seq).into(), i64::MAX.into()];
    let found = client.query(C::texts().records, &values).await?;
    Ok(Readable::after(after_seq, found.iter().map(|row| rows::record(gid, row))))
}

/// Reads one page of a journal, and tells which records of the page cannot be read.
pub(super) async fn readable_page<C: Client>(
    client: &mut C,
    gid: &Gid,
    after_seq: u64,
    limit: usize,
) -> Result<ReadablePage, ClientError> {
    // One more than is shown says whether there is a next page.
    let values = [gid.into(), integer(after_seq).into(), limited(limit.saturating_add(1)).into()];
    let found = client.query(C::texts().records, &values).await?;
    Ok(ReadablePage::after(after_seq, found.iter().map(|row| rows::record(gid, row)), limit))
}

/// See [`crate::Journal::unfinished`].
pub(super) async fn unfinished<C: Client>(
    client: &mut C,
    owner: &str,
    after: Option<&Gid>,
    due_by: Timestamp,
    limit: usize,
) -> Result<Vec<Gid>, ClientError> {
    // No gid is empty.
    let after = after.map_or("", Gid::as_str);
    let values = [owner.into(), after.into(), millis(due_by).into(), limited(limit).into()];
    Ok(rows::gids(&client.query(C::texts().unfinished, &values).await?))
}

/// See [`crate::Journal::due`].
pub(super) async fn due<C: Client>(
    client: &mut C,
    owner: &str,
    due_by: Timestamp,
    limit: usize,
) -> Result<Vec<Gid>, ClientError> {
    let values = [owner.into(), millis(due_by).into(), limited(limit).into()];
    Ok(rows::gids(&client.query(C::texts().due, &values).await?))
}

/// See [`crate::Queries::list`].
pub(super) async fn list<C: Client>(
    client: &mut C,
    filter: &Filter,
    cursor: Option<&Cursor>,
    limit: usize,
) -> Result<Page, ClientError> {
    let Some(list) = ListValues::of(filter, cursor, limit) else { return Ok(listing::empty()) };
    let text = list.text(&C::texts().lists);
    let mut values = vec![
        list.created_from.into(),
        list.before.0.into(),
        list.before.1.into(),
        Param::MaybeText(list.statuses),
        Param::MaybeText(list.pattern.map(str::to_owned)),
        Param::MaybeBool(list.parked),
        Param::MaybeText(list.host.map(str::to_owned)),
        list.rows_max.into(),
    ];
    if let Some((key, value)) = list.label {
        values.extend([key.into(), value.into()]);
    }
    Ok(listing::page(&client.query(text, &values).await?, limit))
}

/// See [`crate::Queries::census`].
pub(super) async fn census<C: Client>(client: &mut C) -> Result<Census, ClientError> {
    Ok(rows::census(&client.query(C::texts().census, &[]).await?))
}

/// See [`crate::Registry::participants`].
pub(super) async fn participants<C: Client>(client: &mut C) -> Result<Registrations, ClientError> {
    let found = client.query(C::texts().participants, &[]).await?;
    // The time is in every row. Without rows there is no participant whose expiry would be compared with it.
    let now = found.first().map_or(Ok(Timestamp::default()), |row| rows::timestamp(row, 5))?;
    rows::registrations(now, &found)
}

/// See [`crate::Membership::coordinators`].
pub(super) async fn coordinators<C: Client>(
    client: &mut C,
    me: &Identity,
) -> Result<Vec<Coordinator>, ClientError> {
    let found = client.query(C::texts().coordinators, &[]).await?;
    let coordinator = |row: &Row| {
        let (name, silent_ms) = (row.text(0)?, row.int(4)?);
        let heartbeat = Heartbeat { incarnation: row.text(6)?.to_owned(), at: row.int(3)? };
        // This coordinator notes no heartbeat of its own, and none of the others before the first `adopt`. Then only the
        // database's clock tells.
        let seen = me.seen.silent_for(name, &heartbeat);
        let is_silent = seen.map_or(silent_ms > me.lapse_ms, |silence| me.is_lapse(silence));
        // The word stands in the place of the time, and the other column has the time. `leave` sets both to 0.
        let beat_last = match heartbeat.at {
            GAVE_UP | TAKEN_FOR_GONE => 7,
            _ => 3,
        };
        Ok(Coordinator {
            name: name.to_owned(),
            alive: heartbeat.at > GONE_MAX && !is_silent,
            gave_up: heartbeat.at == GAVE_UP,
            started_at: rows::timestamp(row, 2)?,
            heartbeat_at: rows::timestamp(row, beat_last)?,
            unfinished: row.int(5)?.cast_unsigned(),
            store_node: Some(row.text(1)?.to_owned()).filter(|node| !node.is_empty()),
        })
    };
    found.iter().map(coordinator).collect()
}
