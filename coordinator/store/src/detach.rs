//! Runs work in a task of its own, so that a caller may stop waiting at any moment.

use tokio::task::JoinError;

use super::{AppendError, StoreError, StoreFuture};

/// The error when the work ended without a result: it panicked, or the runtime is shutting down.
pub(super) trait Interrupted {
    fn interrupted(cause: &JoinError) -> Self;
}

impl Interrupted for AppendError {
    fn interrupted(cause: &JoinError) -> Self {
        Self::Doubtful(cause.to_string())
    }
}

impl Interrupted for StoreError {
    fn interrupted(cause: &JoinError) -> Self {
        Self::Unavailable(cause.to_string())
    }
}

/// Starts `work` at once and waits for its result. Dropping the returned future does not stop the work, so the work never
/// stops between two statements of one database transaction.
pub(super) fn detached<T, E>(work: impl Future<Output = Result<T, E>> + Send + 'static) -> StoreFuture<T, E>
where
    T: Send + 'static,
    E: Interrupted + Send + 'static,
{
    let task = tokio::spawn(work);
    Box::pin(async move {
        match task.await {
            Ok(result) => result,
            Err(cause) => Err(E::interrupted(&cause)),
        }
    })
}
