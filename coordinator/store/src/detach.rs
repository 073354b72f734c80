//! Work that its caller may stop waiting for.

use tokio::task::JoinError;

use super::{AppendError, StoreError, StoreFuture};

/// What a caller is told when the work ended without a result.
pub(super) trait Interrupted {
    /// The work panicked, or the runtime is going down.
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

/// Starts `work` in a task of its own, at once, and waits for it. Dropping the returned future does not stop the work,
/// so it can never stop between two statements of one database transaction.
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
