//! Appending a batch in one database transaction (law L7).
//!
//! Conflicts are rare, so the whole batch is written first. If the database refuses it because of a conflict, the last seqs
//! of all its gids are read, the gids in conflict are left out, and the rest is written again. If another coordinator
//! appends in between, there is another conflict, which is found in the same way. A gid in conflict stays out, so each round
//! has fewer gids.

use std::collections::BTreeSet;
use std::time::Duration;

use trine_engine::Batch;
use trine_protocol::Gid;

use super::client::{Client, Verdict, WriteFailure};
use super::connections::Connections;
use crate::writing::Writing;
use crate::{AppendError, Appended, group, rows};

/// How often a batch is written before it is given back as failed. Only a write that was surely undone is tried again.
const TRIES_MAX: u32 = 6;
/// The first pause after a deadlock or a serialization failure. The pause doubles, and half of it is random.
const CONTENDED_PAUSE_MS: u64 = 5;

/// See [`crate::Journal::append`].
pub(super) async fn append<C: Client>(
    connections: &Connections<C>,
    owner: &str,
    batch: &Batch,
) -> Result<Appended, AppendError> {
    let runs = group::runs(batch);
    // Records of a gid with a gap or a repetition follow no journal at all.
    let broken = runs.iter().filter(|(_, run)| !run.is_whole());
    let mut conflicts: BTreeSet<Gid> = broken.map(|(gid, _)| (*gid).clone()).collect();
    let mut pause_ms = CONTENDED_PAUSE_MS;
    let mut why = String::new();
    for _ in 0..TRIES_MAX {
        // Built anew in each round: without the gids that are known to be in conflict.
        let writing = Writing::new(batch, owner, &conflicts).after(&runs);
        // Nothing was sent in this round, and the rounds before were surely undone. So nothing of the
        // batch is doubtful.
        let mut lease = connections.lease().await.map_err(|error| AppendError::Failed(error.to_string()))?;
        let failure = match write(connections, &mut lease.client, &writing).await {
            Ok(()) => {
                lease.give_back();
                return Ok(Appended { conflicts: conflicts.into_iter().collect() });
            }
            Err(failure) => failure,
        };
        why = failure.error.to_string();
        match failure.verdict {
            // No other try: if the first one was committed, a second one would meet its own records as a conflict, and the
            // gids would be reported as another coordinator's. The shard reads the journal instead (law L6).
            Verdict::Doubtful => {
                connections.look_elsewhere();
                return Err(AppendError::Doubtful(why));
            }
            Verdict::Failed => return Err(AppendError::Failed(why)),
            Verdict::Contended => {
                // The place is free during the pause, and the next try may get another connection.
                lease.give_back();
                tokio::time::sleep(Duration::from_millis(pause_ms / 2 + fastrand::u64(0..=pause_ms / 2)))
                    .await;
                pause_ms *= 2;
            }
            Verdict::Conflict => {
                // The database says that there is a conflict, and not of which gid. All gids of the batch are looked up. A
                // gid that is out stays out.
                let gids: Vec<&Gid> = runs.keys().copied().collect();
                let ends = connections.in_time(lease.client.ends(&gids)).await;
                let found = ends.and_then(|ends| rows::conflicts(&runs, &ends));
                conflicts.extend(found.map_err(|error| AppendError::Failed(error.to_string()))?);
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
) -> Result<(), WriteFailure> {
    let mut failure = None;
    let written = connections.in_time(async {
        if let Err(failed) = client.write(writing).await {
            failure = Some(failed);
        }
        Ok(())
    });
    // After the deadline nobody knows whether the server still commits. The lease is dropped, which closes the connection.
    written.await.map_err(|error| WriteFailure { verdict: Verdict::Doubtful, error })?;
    failure.map_or(Ok(()), Err)
}
