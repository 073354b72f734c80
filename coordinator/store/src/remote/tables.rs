//! Small writes: registrations of participants, and the coordinators that share the database.
//!
//! A coordinator is gone when its row says so. The coordinator writes that itself ([`leave`], [`give_up`]), or another one
//! writes it after it has seen no new heartbeat for long enough (`sightings`). An adopter goes by the row alone. The owner
//! finds the word in its row at its next heartbeat, and then reads its transactions again. The database's clock decides
//! nothing here, because it may leap.

use std::time::Duration;

use trine_protocol::{Gid, JournalId, Timestamp};

use super::client::{Client, ClientError, Param, Row};
use super::sightings::{Heartbeat, Sightings};
use crate::columns::{integer, limited};
use crate::rows::{self, Columns as _};
use crate::{Beat, HeartbeatAnswer, Options, Registration, journal_id};
use trine_clock::Stopwatch;

/// How often a process that starts looks whether its name is still in use.
const LOOK_EVERY_MAX: Duration = Duration::from_millis(200);

/// How often the journal's id is looked for and made, before that is an error.
const JOURNAL_ID_LOOKS_MAX: u32 = 5;

/// In the place of a heartbeat: the coordinator lives and cannot do its work. (0: it has stopped in good order.)
pub(super) const GAVE_UP: i64 = 1;
/// In the place of a heartbeat: another coordinator has seen no new heartbeat for `store.lapse_after`.
pub(super) const TAKEN_FOR_GONE: i64 = 2;
/// A heartbeat that is not greater than this is one of these words and no time: the coordinator is gone.
pub(super) const GONE_MAX: i64 = TAKEN_FOR_GONE;

/// This coordinator.
#[derive(Debug)]
pub(super) struct Identity {
    /// Transactions are owned by name.
    pub(super) name: String,
    /// Random: tells this process from others that have had the name.
    pub(super) incarnation: String,
    /// The node of a cluster that it writes to, where that matters.
    pub(super) node: String,
    /// A coordinator whose heartbeat did not change for so long is taken for gone.
    pub(super) lapse_ms: i64,
    /// The heartbeats that it has seen of the others.
    pub(super) seen: Sightings,
}

impl Identity {
    pub(super) fn new(options: &Options, node: String) -> Self {
        Self {
            name: options.owner.clone(),
            incarnation: format!("{:016x}", fastrand::u64(..)),
            node,
            lapse_ms: integer(options.lapse_after_ms),
            seen: Sightings::default(),
        }
    }

    pub(super) fn is_lapse(&self, silence: Duration) -> bool {
        i64::try_from(silence.as_millis()).unwrap_or(i64::MAX) >= self.lapse_ms
    }
}

/// The row of another coordinator.
#[derive(Debug)]
struct Other {
    name: String,
    heartbeat: Heartbeat,
    owns_some: bool,
}

/// See [`crate::Registry::register`].
pub(super) async fn register<C: Client>(
    client: &mut C,
    registrations: &[Registration],
) -> Result<Timestamp, ClientError> {
    // The database's time: what expires is compared with it by all coordinators, whose own clocks differ.
    let rows = client.query(C::texts().now, &[]).await?;
    let now = rows.first().ok_or_else(|| ClientError::Unreadable("there is no time".into()))?.int(0)?;
    client.register(registrations, now).await?;
    Ok(Timestamp::from_millis(now.unsigned_abs()))
}

/// See [`crate::Registry::deregister`].
pub(super) async fn deregister<C: Client>(
    client: &mut C,
    name: &str,
    base_url: Option<String>,
) -> Result<u64, ClientError> {
    client.execute(C::texts().deregister, &[name.into(), Param::MaybeText(base_url)]).await
}

/// See [`crate::Registry::sweep_participants`].
pub(super) async fn sweep_participants<C: Client>(
    client: &mut C,
    expired_ms: u64,
) -> Result<u64, ClientError> {
    client.execute(C::texts().sweep_participants, &[integer(expired_ms).into()]).await
}

/// Whether another process uses the name. A process that was killed a moment ago looks alive by its row, so this waits for
/// its next heartbeat until `patience` is over, by this process's clock or by the database's.
pub(super) async fn is_taken<C: Client>(
    client: &mut C,
    name: &str,
    patience: Duration,
) -> Result<bool, ClientError> {
    let waiting = Stopwatch::start();
    let mut seen = None;
    while waiting.elapsed() < patience {
        let rows = client.query(C::texts().beaten, &[name.into()]).await?;
        let Some(row) = rows.first() else { return Ok(false) };
        // A negative age is of a clock that was set back. It proves nothing, so the row is watched.
        if u128::try_from(row.int(2)?).is_ok_and(|silent_ms| silent_ms >= patience.as_millis()) {
            return Ok(false);
        }
        let now = (row.text(0)?.to_owned(), row.int(1)?);
        match &seen {
            None => {
                tracing::info!(name, "this name was used until a moment ago; waiting whether it still is");
                seen = Some(now);
            }
            // A new incarnation counts as well: another process has just started under this name.
            Some(seen) if *seen != now => return Ok(true),
            Some(_) => {}
        }
        tokio::time::sleep((patience / 10).min(LOOK_EVERY_MAX)).await;
    }
    Ok(false)
}

/// The id of the journal in this database. It is made if the database is new. When coordinators start at the same time, one
/// of them makes the id and the others read it.
pub(super) async fn journal_id<C: Client>(client: &mut C) -> Result<JournalId, ClientError> {
    for _ in 0..JOURNAL_ID_LOOKS_MAX {
        if let Some(row) = client.query(C::texts().journal_id, &[]).await?.first() {
            let unreadable = |error| ClientError::Unreadable(format!("journal_id.id {error}"));
            return JournalId::parse(row.text(0)?).map_err(unreadable);
        }
        let made = journal_id::new();
        match client.execute(C::texts().make_journal_id, &[made.as_str().into()]).await {
            // Not taken as the id yet: PostgreSQL reports no error where another coordinator was first, so the table is
            // read again.
            Ok(_) => {}
            Err(error) if C::undone(&error).is_some() => {
                tracing::debug!(%error, "another coordinator makes the journal's id");
            }
            Err(error) => return Err(error),
        }
    }
    Err(ClientError::Unreadable("the table journal_id stays empty".into()))
}

/// Takes the name, also from a process that had it before. That process learns it at its next heartbeat.
pub(super) async fn join<C: Client>(client: &mut C, identity: &Identity) -> Result<(), ClientError> {
    let Identity { name, incarnation, node, .. } = identity;
    let values = [name.as_str().into(), incarnation.as_str().into(), node.as_str().into()];
    client.execute(C::texts().join, &values).await.map(drop)
}

/// See [`crate::Membership::heartbeat`].
pub(super) async fn heartbeat<C: Client>(client: &mut C, identity: &Identity) -> Result<Beat, ClientError> {
    let Identity { name, incarnation, .. } = identity;
    // The writer of a cluster moves, so this may be another node than at start.
    let node = client.node().to_owned();
    let mut rows =
        client.beat(&[name.as_str().into(), incarnation.as_str().into(), node.as_str().into()]).await?;
    // PostgreSQL answers no row in two cases: another process has the name, or the row was swept. Reading the row tells
    // the two apart.
    if rows.is_empty() {
        rows = client.query(C::texts().coordinator, &[name.as_str().into()]).await?;
    }
    let Some(row) = rows.first() else {
        // The row was swept, so it had said for long that this coordinator is gone.
        join(client, identity).await?;
        return Ok(Beat { answer: HeartbeatAnswer::Lapsed, at: None });
    };
    // Before the word of a lapse: that word would be about the newer process, and this one must stop for good.
    if row.text(0)? != incarnation {
        return Ok(Beat { answer: HeartbeatAnswer::Superseded, at: None });
    }
    // The age of the last heartbeat by the database's clock does not count: others adopt by the word in the row alone.
    let answer = if row.int(1)? <= GONE_MAX { HeartbeatAnswer::Lapsed } else { HeartbeatAnswer::Alive };
    // The heartbeat that was just written is the store's time now.
    Ok(Beat { answer, at: Some(rows::timestamp(row, 2)?) })
}

/// See [`crate::Membership::leave`].
pub(super) async fn leave<C: Client>(client: &mut C, identity: &Identity) -> Result<(), ClientError> {
    // The incarnation is part of the condition: a process that stops late must not call a newer one of its name gone.
    let values = [identity.name.as_str().into(), identity.incarnation.as_str().into()];
    client.execute(C::texts().leave, &values).await.map(drop)
}

/// See [`crate::Membership::give_up`].
pub(super) async fn give_up<C: Client>(client: &mut C, identity: &Identity) -> Result<(), ClientError> {
    let Identity { name, incarnation, .. } = identity;
    let values = [name.as_str().into(), incarnation.as_str().into(), GAVE_UP.into()];
    client.execute(C::texts().give_up, &values).await.map(drop)
}

/// See [`crate::Membership::adopt`].
pub(super) async fn adopt<C: Client>(
    client: &mut C,
    identity: &Identity,
    limit: usize,
) -> Result<Vec<Gid>, ClientError> {
    // All others are noted at each call, also those that own nothing now: silence is measured from the first time a
    // heartbeat is seen.
    let others = others(client, identity).await?;
    identity.seen.note(others.iter().map(|other| (other.name.as_str(), &other.heartbeat)));
    let mut claimed = Vec::new();
    for other in others.iter().filter(|other| other.owns_some) {
        if !is_gone(client, identity, other).await? {
            continue;
        }
        let rest = limit.saturating_sub(claimed.len());
        if rest == 0 {
            break;
        }
        // The claim checks the row of the other coordinator again: a heartbeat that came since `is_gone` takes the word
        // back.
        let rows = client.claim(&identity.name, &other.name, limited(rest)).await?;
        claimed.extend(rows::gids(&rows));
    }
    Ok(claimed)
}

async fn others<C: Client>(client: &mut C, identity: &Identity) -> Result<Vec<Other>, ClientError> {
    let rows = client.query(C::texts().others, &[identity.name.as_str().into()]).await?;
    let other = |row: &Row| {
        let heartbeat = Heartbeat { incarnation: row.text(1)?.to_owned(), at: row.int(2)? };
        Ok(Other { name: row.text(0)?.to_owned(), heartbeat, owns_some: row.int(3)? == 1 })
    };
    rows.iter().map(other).collect()
}

/// Whether the transactions of another coordinator may be adopted now.
///
/// If that coordinator was silent for too long, this is written into its row first, in the place of the heartbeat that was
/// seen. If a new heartbeat comes before the write, the write changes no row, and nothing is adopted. If the heartbeat comes
/// after the write, the coordinator finds the word and knows that its transactions may have been adopted.
async fn is_gone<C: Client>(client: &mut C, identity: &Identity, other: &Other) -> Result<bool, ClientError> {
    let Other { name, heartbeat, .. } = other;
    if heartbeat.at <= GONE_MAX {
        return Ok(true);
    }
    if !identity.seen.silent_for(name, heartbeat).is_some_and(|silence| identity.is_lapse(silence)) {
        return Ok(false);
    }
    let incarnation = heartbeat.incarnation.as_str();
    // The heartbeat is part of the condition: the write changes the row only if no other heartbeat has come since it was
    // seen.
    let values = [name.as_str().into(), incarnation.into(), heartbeat.at.into(), TAKEN_FOR_GONE.into()];
    let said = client.execute(C::texts().take_for_gone, &values).await? > 0;
    if said {
        tracing::info!(name, "this coordinator was silent for too long; taking over what it owns");
    }
    Ok(said)
}

/// Forgets coordinators that have been silent for `silent_ms` and own nothing. A forgotten coordinator may wake up, append
/// once more and then be gone for good: owners without a row are therefore put back first, so that they are adopted from.
pub(super) async fn sweep_coordinators<C: Client>(
    client: &mut C,
    silent_ms: u64,
) -> Result<u64, ClientError> {
    // Before the sweep, so that an owner without a row is never forgotten for good.
    client.execute(C::texts().recall, &[]).await?;
    client.execute(C::texts().sweep_probes, &[]).await?;
    client.execute(C::texts().sweep_coordinators, &[integer(silent_ms).into()]).await
}
