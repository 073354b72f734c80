//! The work that a lane starts and waits for: appends, reads, calls. Each piece of work ends in exactly one [`Completion`], even
//! if it panics. Otherwise a panic would leave the lane waiting for ever.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;

use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use tokio::sync::mpsc::UnboundedSender;
use tokio::sync::oneshot;
use trine_engine::{
    Answer, Batch, BatchId, Call, CallKey, CallReport, Found, LoadFailure, Message, Outcome, Transaction,
};
use trine_protocol::{Gid, Timestamp};

use super::parts::Parts;
use trine_clock::Stopwatch;
use trine_dispatch::{Caller, Returned};
use trine_store::{AppendError, Appended, Loaded, Store};

/// The end of a piece of work. The channel for completions is unbounded, but at most one append, the requested reads and the
/// calls under way can be in it.
#[derive(Debug)]
pub(super) enum Completion {
    Appended {
        generation: u64,
        id: BatchId,
        batch: Arc<Batch>,
        result: Result<Appended, AppendError>,
        took_ms: f64,
    },
    Loaded {
        generation: u64,
        found: Vec<Read>,
        to_signal: Vec<oneshot::Sender<()>>,
    },
    Returned {
        call: Box<CallIdentity>,
        returned: Returned,
    },
}

/// A gid and the result of reading its journal.
pub(super) type Read = (Gid, Result<Option<Found>, LoadFailure>);

/// Identifies a call while it is under way.
#[derive(Debug)]
pub(super) struct CallIdentity {
    pub(super) gid: Gid,
    pub(super) key: CallKey,
}

/// Sends a completion even if the work panics.
struct Guard<F: FnOnce() -> Completion> {
    completions: UnboundedSender<Completion>,
    otherwise: Option<F>,
}

impl<F: FnOnce() -> Completion> Guard<F> {
    fn complete(mut self, completion: Completion) {
        self.otherwise = None;
        // An error means that the lane has ended and nobody waits.
        let _ = self.completions.send(completion);
    }
}

impl<F: FnOnce() -> Completion> Drop for Guard<F> {
    fn drop(&mut self) {
        if let Some(otherwise) = self.otherwise.take() {
            let _ = self.completions.send(otherwise());
        }
    }
}

/// Turns the end of a call into a message for the shard.
pub(super) fn message(call: CallIdentity, returned: Returned, now: Timestamp) -> Message {
    let CallIdentity { gid, key } = call;
    // A held call has no reason for the shard: the shortage is ours, so nothing about it may be recorded or count as a failure.
    let (after_ms, reason) = match returned {
        Returned::Answer(answer) => return Message::Answer { gid, key, answer },
        Returned::NotSent { retry_after_ms, reason } => (retry_after_ms, Some(reason)),
        Returned::Held { retry_after_ms, .. } => (retry_after_ms, None),
    };
    // At least 1 ms later: a call that is due at once and never leaves would make the lane spin.
    Message::NotSent { gid, key, retry_at: now.plus_millis(after_ms.max(1)), reason }
}

/// The append under way. The lane itself drives it: a task of its own would wait for its turn twice, before the write and
/// after.
pub(super) struct Append(BoxFuture<'static, Completion>);

impl std::fmt::Debug for Append {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Append").finish_non_exhaustive()
    }
}

impl Append {
    pub(super) fn start(store: &dyn Store, lane: usize, generation: u64, batch: Batch) -> Self {
        let stopwatch = Stopwatch::start();
        let batch = Arc::new(batch);
        let write = AssertUnwindSafe(store.append(lane, Arc::clone(&batch))).catch_unwind();
        let completion = write.map(move |written| {
            // The panic may have come before or after the commit.
            let panicked = |_| Err(AppendError::Doubtful("the append panicked".into()));
            let result = written.unwrap_or_else(panicked);
            let took_ms = stopwatch.elapsed().as_secs_f64() * 1_000.0;
            Completion::Appended { generation, id: batch.id, batch, result, took_ms }
        });
        Self(completion.fuse().boxed())
    }

    /// The end of the append, if it has ended and nobody was told yet.
    pub(super) fn try_end(append: &mut Option<Self>) -> Option<Completion> {
        append.as_mut()?.0.as_mut().now_or_never()
    }

    /// Waits for the end of the append. Without one, or when it was told already, this waits for ever.
    pub(super) async fn end(append: &mut Option<Self>) -> Completion {
        match append {
            Some(append) => append.0.as_mut().await,
            None => std::future::pending().await,
        }
    }
}

pub(super) fn load(
    parts: &Parts,
    generation: u64,
    gids: Vec<Gid>,
    to_signal: Vec<oneshot::Sender<()>>,
    completions: UnboundedSender<Completion>,
) {
    let (read, damaged) = (parts.store.load(gids.clone()), parts.damaged.clone());
    tokio::spawn(async move {
        let unread: Vec<Read> = gids.iter().map(|gid| (gid.clone(), Err(LoadFailure::Unavailable))).collect();
        // The journals count as unread, and the shard asks again. Dropping `to_signal` wakes the senders of news: they stop waiting.
        let panicked = move || Completion::Loaded { generation, found: unread, to_signal: Vec::new() };
        let guard = Guard { completions, otherwise: Some(panicked) };
        let found = match read.await {
            Ok(journals) => {
                let journals = journals.into_iter().map(|journal| (journal.gid.clone(), journal));
                let mut found: std::collections::BTreeMap<Gid, Loaded> = journals.collect();
                let read = |gid| {
                    let state = found.remove(&gid).map_or(Ok(None), fold);
                    match &state {
                        Ok(_) => damaged.well(&gid),
                        Err(Unread::Damaged(why)) => damaged.met(&gid, why),
                        Err(Unread::Unavailable) => {}
                    }
                    (gid, state.map_err(LoadFailure::from))
                };
                // In the order of the request. A gid without records has no state, which is an answer, too.
                gids.into_iter().map(read).collect()
            }
            Err(error) => {
                // Only debug: lanes repeat reads while the store is away, and failed heartbeats and appends are logged as warnings.
                tracing::debug!(%error, journals = gids.len(), "journals could not be read");
                gids.into_iter().map(|gid| (gid, Err(LoadFailure::Unavailable))).collect()
            }
        };
        guard.complete(Completion::Loaded { generation, found, to_signal });
    });
}

/// Why a journal gave no transaction.
enum Unread {
    Unavailable,
    Damaged(String),
}

impl From<Unread> for LoadFailure {
    fn from(unread: Unread) -> Self {
        match unread {
            Unread::Unavailable => Self::Unavailable,
            Unread::Damaged(_) => Self::Corrupt,
        }
    }
}

fn fold(journal: Loaded) -> Result<Option<Found>, Unread> {
    let Loaded { owned, records, .. } = journal;
    let records = records.map_err(|error| {
        // A read that may succeed later says nothing about the journal. Only a lasting error means damage.
        if error.is_transient() { Unread::Unavailable } else { Unread::Damaged(error.to_string()) }
    })?;
    // A panic in `apply` must cost only this transaction, and not the task that reads the others.
    match std::panic::catch_unwind(|| Transaction::fold(&records)) {
        Ok(Ok(transaction)) => Ok(transaction.map(|transaction| Found { transaction, owned })),
        Ok(Err(corrupt)) => Err(Unread::Damaged(corrupt.to_string())),
        Err(_) => Err(Unread::Damaged("reading it panicked".to_owned())),
    }
}

pub(super) fn call(caller: &dyn Caller, call: Call, completions: UnboundedSender<Completion>) {
    let identity = || Box::new(CallIdentity { gid: call.gid.clone(), key: call.key });
    let (on_panic, on_return) = (identity(), identity());
    let work = caller.call(call);
    tokio::spawn(async move {
        let panicked = move || {
            // The request may have left before the panic, so the op may have run: unknown, and not "not sent".
            let report = CallReport { error: Some("the call panicked".into()), ..CallReport::default() };
            let answer = Answer { outcome: Outcome::Unknown, parks: None, report, random_permille: 0 };
            Completion::Returned { call: on_panic, returned: Returned::Answer(answer) }
        };
        let guard = Guard { completions, otherwise: Some(panicked) };
        let returned = work.await;
        guard.complete(Completion::Returned { call: on_return, returned });
    });
}
