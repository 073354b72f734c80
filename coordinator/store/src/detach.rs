//! Work that a caller may stop waiting for at any moment.

use std::fmt::Display;
use std::panic::AssertUnwindSafe;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;

use super::{AppendError, StoreError, StoreFuture};

/// The error when the work ended without a result: it panicked, or the runtime is shutting down.
pub(super) trait Interrupted {
    fn interrupted(cause: &dyn Display) -> Self;
}

impl Interrupted for AppendError {
    fn interrupted(cause: &dyn Display) -> Self {
        Self::Doubtful(cause.to_string())
    }
}

impl Interrupted for StoreError {
    fn interrupted(cause: &dyn Display) -> Self {
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

/// The same without a task: the caller runs `work` by polling. A task gets the rest if the caller stops waiting.
///
/// For work that the caller polls at once and has hardly to wait for: a task of its own would queue behind the other tasks of
/// a busy runtime, once to begin and once to tell its end.
pub(super) fn kept<T, E>(work: impl Future<Output = Result<T, E>> + Send + 'static) -> StoreFuture<T, E>
where
    T: Send + 'static,
    E: Interrupted + Send + 'static,
{
    let work = AssertUnwindSafe(work).catch_unwind();
    let work = work.map(|ended| ended.unwrap_or_else(|_| Err(E::interrupted(&"it panicked"))));
    Box::pin(Kept(Some(work.boxed())))
}

/// None when the work has ended.
struct Kept<T: Send + 'static>(Option<BoxFuture<'static, T>>);

impl<T: Send + 'static> Future for Kept<T> {
    type Output = T;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<T> {
        let Some(work) = &mut self.0 else { return Poll::Pending };
        let result = ready!(work.as_mut().poll(cx));
        self.0 = None;
        Poll::Ready(result)
    }
}

impl<T: Send + 'static> Drop for Kept<T> {
    fn drop(&mut self) {
        // Without a runtime the process is ending, and the database rolls back what is not committed.
        if let (Some(work), Ok(runtime)) = (self.0.take(), tokio::runtime::Handle::try_current()) {
            runtime.spawn(work);
        }
    }
}

#[cfg(test)]
mod tests {
    use tokio::sync::oneshot;

    use super::*;

    #[tokio::test]
    async fn kept_work_goes_on_when_its_caller_stops_waiting() {
        let (begin, begun) = oneshot::channel::<()>();
        let (end, ended) = oneshot::channel();
        let mut work = kept::<(), StoreError>(async move {
            begun.await.unwrap();
            end.send(()).unwrap();
            Ok(())
        });
        assert_eq!((&mut work).now_or_never(), None);
        drop(work);
        begin.send(()).unwrap();
        ended.await.unwrap();
    }

    #[tokio::test]
    async fn kept_work_that_panics_is_doubtful() {
        let work = kept::<(), AppendError>(async { panic!("on purpose") });
        assert_eq!(work.await, Err(AppendError::Doubtful("it panicked".to_owned())));
    }
}
