//! One batch, one database transaction; what conflicts is left out whole (law L7).
//!
//! The plain write comes first, because conflicts are rare. When it meets one, everything is undone, the ends of the
//! journals are looked up, and the rest is written again: whoever appends in between makes the next conflict, which is
//! found the same way. A gid that was seen to conflict stays out, so this ends.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use trine_engine::{Batch, IndexRow, Record};
use trine_protocol::{Gid, Timestamp};

use super::client::{Client, ClientError, Refusal, Row, Verdict};
use super::connections::Connections;
use crate::group::{self, Run};
use crate::{AppendError, Appended};

/// Writes of one batch before it is given back as failed. Only errors that prove the write undone are tried again.
const TRIES_MAX: u32 = 6;
/// First pause after a deadlock or serialization failure; it doubles, and half of it is chance.
const CONTENDED_PAUSE_MS: u64 = 5;

/// What one database transaction is to write.
#[derive(Debug)]
pub(crate) struct Writing<'a> {
    pub(super) owner: &'a str,
    pub(super) records: Vec<&'a Record>,
    /// By gid, so that two writers lock rows in the same order.
    pub(super) rows: Vec<&'a IndexRow>,
    /// Row, key, value.
    pub(super) labels: Vec<(&'a IndexRow, &'a str, &'a str)>,
    /// Records that must be there already: the last one of each gid that has some.
    pub(super) before: Vec<(&'a Gid, i64)>,
}

impl<'a> Writing<'a> {
    fn new(batch: &'a Batch, owner: &'a str, runs: &BTreeMap<&'a Gid, Run>, without: &BTreeSet<Gid>) -> Self {
        let records: Vec<&Record> =
            batch.records.iter().filter(|record| !without.contains(&record.gid)).collect();
        let mut rows: Vec<&IndexRow> = batch.rows.iter().filter(|row| !without.contains(&row.gid)).collect();
        rows.sort_by(|a, b| a.gid.cmp(&b.gid));
        let created: BTreeSet<&Gid> =
            records.iter().filter(|record| record.seq == 1).map(|record| &record.gid).collect();
        let labels = rows
            .iter()
            .filter(|row| created.contains(&row.gid))
            .flat_map(|row| row.spec.labels.iter().map(|(key, value)| (*row, key.as_str(), value.as_str())))
            .collect();
        let continued = runs.iter().filter(|(gid, run)| run.first() > 1 && !without.contains(**gid));
        let before = continued.map(|(gid, run)| (*gid, integer(run.first() - 1))).collect();
        Self { owner, records, rows, labels, before }
    }
}

/// See [`crate::Journal::append`].
pub(super) async fn append<C: Client>(
    connections: &Connections<C>,
    owner: &str,
    batch: &Batch,
) -> Result<Appended, AppendError> {
    let runs = group::runs(batch);
    let broken = runs.iter().filter(|(_, run)| !run.is_whole());
    let mut conflicts: BTreeSet<Gid> = broken.map(|(gid, _)| (*gid).clone()).collect();
    let mut pause_ms = CONTENDED_PAUSE_MS;
    let mut why = String::new();
    for _ in 0..TRIES_MAX {
        let writing = Writing::new(batch, owner, &runs, &conflicts);
        let mut lease = connections.lease().await.map_err(|error| AppendError::Failed(error.to_string()))?;
        let refusal = match write(connections, &mut lease.client, &writing).await {
            Ok(()) => {
                lease.give_back();
                return Ok(Appended { conflicts: conflicts.into_iter().collect() });
            }
            Err(refusal) => refusal,
        };
        why = refusal.error.to_string();
        match refusal.verdict {
            Verdict::Doubtful => {
                connections.look_elsewhere();
                return Err(AppendError::Doubtful(why));
            }
            Verdict::Failed => return Err(AppendError::Failed(why)),
            Verdict::Contended => {
                lease.give_back();
                tokio::time::sleep(Duration::from_millis(pause_ms / 2 + fastrand::u64(0..=pause_ms / 2)))
                    .await;
                pause_ms *= 2;
            }
            Verdict::Conflict => {
                let gids: Vec<&Gid> = runs.keys().copied().collect();
                let ends = connections.in_time(lease.client.ends(&gids)).await;
                let ends = ends.map_err(|error| AppendError::Failed(error.to_string()))?;
                conflicts.extend(conflicting(&runs, &ends).map_err(|e| AppendError::Failed(e.to_string()))?);
                lease.give_back();
            }
        }
    }
    Err(AppendError::Failed(why))
}

async fn write<C: Client>(
    connections: &Connections<C>,
    client: &mut C,
    writing: &Writing<'_>,
) -> Result<(), Refusal> {
    let mut refusal = None;
    let written = connections.in_time(async {
        if let Err(refused) = client.write(writing).await {
            refusal = Some(refused);
        }
        Ok(())
    });
    // Whether a write that was not waited for any longer took place, nobody knows.
    written.await.map_err(|error| Refusal { verdict: Verdict::Doubtful, error })?;
    refusal.map_or(Ok(()), Err)
}

/// Gids whose journal does not end where the batch goes on.
fn conflicting(runs: &BTreeMap<&Gid, Run>, ends: &[Row]) -> Result<Vec<Gid>, ClientError> {
    let mut last: BTreeMap<&str, u64> = BTreeMap::new();
    for row in ends {
        last.insert(row.text(0)?, row.int(1)?.cast_unsigned());
    }
    let conflicts =
        runs.iter().filter(|(gid, run)| !run.continues(last.get(gid.as_str()).copied().unwrap_or(0)));
    Ok(conflicts.map(|(gid, _)| (*gid).clone()).collect())
}

/// The databases' integers are signed. A seq never gets that far, and a time ends in the year 9999.
pub(super) fn integer(value: u64) -> i64 {
    i64::try_from(value).unwrap_or(i64::MAX)
}

/// As it stands in the tables.
pub(super) fn millis(at: Timestamp) -> i64 {
    integer(at.millis())
}
