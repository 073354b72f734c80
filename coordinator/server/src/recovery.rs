//! Brings back what a crash, a restart or a long wait left in the store: load, then agenda.
//!
//! Nothing is driven from here. Gids that belong in memory are handed to the lanes in chunks; a lane reads their
//! journals and derives what is owed, exactly as it does for a transaction it has just created.

use std::future::Future;
use std::time::Duration;

use trine_protocol::{Gid, Timestamp};

use crate::metrics::Metrics;
use crate::ownership;
use crate::runtime::Handle;
use trine_store::Store;

/// Gids asked for, and handed on, at a time.
const CHUNK_LEN: usize = 500;
/// Pause between chunks: recovery leaves room for those who come with new work.
const CHUNK_PAUSE: Duration = Duration::from_millis(10);
/// Every wait that ends by itself ends before.
pub(crate) const ANY_TIME: Timestamp = Timestamp::from_millis(Timestamp::MAX.millis() - 1);
/// First and longest pause after a read the store did not answer.
const RETRY_PAUSE: (Duration, Duration) = (Duration::from_millis(200), Duration::from_secs(5));

/// Brings everything that this coordinator owns and that time can move into the lanes, then takes over what no living
/// coordinator owns. Repeats what the store does not answer until it does. Returns how many transactions were handed on.
pub async fn recover(store: &dyn Store, handle: &Handle, metrics: &Metrics) -> u64 {
    let mut found = 0;
    // Also what is not due for long by its row: when the clock was set back meanwhile, it is due earlier than that says.
    // What does wait long leaves memory at once.
    for_each_unfinished(store, ANY_TIME, |gids| {
        found += gids.len() as u64;
        handle.bring_back(gids)
    })
    .await;
    let adopted = loop {
        match ownership::adopt(store, handle, metrics).await {
            Ok(adopted) => break adopted,
            Err(error) => tracing::warn!(%error, "recovery waits for the store"),
        }
        tokio::time::sleep(RETRY_PAUSE.1).await;
    };
    if found > 0 || adopted > 0 {
        tracing::info!(found, adopted, "recovered unfinished transactions");
    }
    found + adopted
}

/// Pages through the gids that belong in memory by `due_by`, one chunk at a time.
pub(crate) async fn for_each_unfinished<F, Work>(store: &dyn Store, due_by: Timestamp, mut each: F)
where
    F: FnMut(Vec<Gid>) -> Work,
    Work: Future<Output = ()>,
{
    let mut after = None;
    loop {
        let gids = persist("unfinished", || store.unfinished(after.clone(), due_by, CHUNK_LEN)).await;
        let Some(last) = gids.last().cloned() else { return };
        each(gids).await;
        // A short chunk is no end: rows that cannot be read are passed over.
        after = Some(last);
        tokio::time::sleep(CHUNK_PAUSE).await;
    }
}

/// Repeats a read until the store answers.
async fn persist<T>(what: &str, read: impl Fn() -> trine_store::StoreFuture<T>) -> T {
    let mut pause = RETRY_PAUSE.0;
    loop {
        match read().await {
            Ok(found) => return found,
            Err(error) => tracing::warn!(what, %error, "recovery waits for the store"),
        }
        tokio::time::sleep(pause).await;
        pause = (pause * 2).min(RETRY_PAUSE.1);
    }
}
