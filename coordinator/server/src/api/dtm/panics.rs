//! What a panic in a request comes to where no layer of the router catches it.

use std::panic::AssertUnwindSafe;

use futures_util::FutureExt as _;

use crate::api::problem::logged_panic;

/// The work's result, or what its caller may be told of its panic.
///
/// Nothing that outlives the work is left half done by unwinding it: it owns its request and hands the rest to lanes and
/// store as messages.
pub(super) async fn caught<T>(work: impl Future<Output = T>) -> Result<T, String> {
    AssertUnwindSafe(work).catch_unwind().await.map_err(|panic| logged_panic(&*panic))
}
