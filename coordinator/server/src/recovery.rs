//! Recovery after a crash or restart: finds the unfinished transactions in the store and gives their gids to the lanes.
//!
//! Nothing is driven here. A lane reads the journals of these gids and derives the owed calls from the state, exactly as for a
//! transaction that it has just created (law L3).

use std::future::Future;
use std::time::Duration;

use trine_protocol::{Gid, Timestamp};

use crate::metrics::Metrics;
use crate::ownership;
use crate::runtime::Handle;
use trine_store::Store;

/// Gids that are read from the index, and given to the lanes, at a time.
const CHUNK_LEN: usize = 500;
/// Pause between chunks, so that new requests are served during recovery.
const CHUNK_PAUSE: Duration = Duration::from_millis(10);
/// Later than the end of every wait that ends by itself.
pub(crate) const ANY_TIME: Timestamp = Timestamp::from_millis(Timestamp::MAX.millis() - 1);
/// First and longest pause after a read that the store did not answer.
const RETRY_PAUSE: (Duration, Duration) = (Duration::from_millis(200), Duration::from_secs(5));

/// Gives every unfinished transaction of this coordinator to the lanes, then adopts those that no living coordinator owns.
/// Repeats each read until the store answers. Returns the number of transactions.
pub async fn recover(store: &dyn Store, handle: &Handle, metrics: &Metrics) -> u64 {
    let mut found = 0;
    // Own transactions first: after a restart they must not wait for the lapse of other coordinators.
    //
    // Rows that are not due for a long time are read as well: if the clock was set back meanwhile, they are due earlier than
    // `due_at` says. A transaction that really waits long leaves memory again at once.
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

/// Reads the gids that are due by `due_by`, page by page, and calls `each` with every page. It is here and not in the store,
/// because the pauses between pages and the repeats are those of recovery.
pub(crate) async fn for_each_unfinished<F, Work>(store: &dyn Store, due_by: Timestamp, mut each: F)
where
    F: FnMut(Vec<Gid>) -> Work,
    Work: Future<Output = ()>,
{
    let mut after = None;
    loop {
        let gids = persist("unfinished", || store.unfinished(after.clone(), due_by, CHUNK_LEN)).await;
        let Some(last) = gids.last().cloned() else { return };
        // Waits until the lanes have taken the page, so that recovery never holds more than one page.
        each(gids).await;
        // A short page is not the last one: rows that cannot be read are left out. Only an empty page ends the loop.
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
