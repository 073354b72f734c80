//! Calls to participants: the seam the lanes use, and the HTTP implementation.
//!
//! A caller makes one attempt and says what came back as an outcome; it never repeats a call by itself, follows no
//! redirect and knows no rule of any pattern. Whether and when there is another attempt is the engine's business.

use futures_util::future::BoxFuture;
use trine_engine::{Answer, Call};

/// How one released call ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Returned {
    /// It was made.
    Answer(Answer),
    /// It was not: its host has no room. Offer it again after this long.
    NotSent {
        /// From now.
        retry_after_ms: u64,
    },
}

/// Makes calls. Every call ends exactly once, within its timeout plus a bounded wait for a place.
pub trait Caller: Send + Sync + std::fmt::Debug + 'static {
    /// Makes one call.
    fn call(&self, call: Call) -> BoxFuture<'static, Returned>;
}
