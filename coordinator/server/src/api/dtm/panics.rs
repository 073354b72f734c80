//! Catches panics of requests that no layer of the router catches.

use std::panic::AssertUnwindSafe;

use futures_util::FutureExt as _;

use crate::api::problem::logged_panic;

/// The result of the work, or the text for the client after a panic.
///
/// Unwinding is safe: the work owns its request and talks to lanes and store by messages, so no shared state is left half
/// changed.
pub(super) async fn caught<T>(work: impl Future<Output = T>) -> Result<T, String> {
    AssertUnwindSafe(work).catch_unwind().await.map_err(|panic| logged_panic(&*panic))
}
