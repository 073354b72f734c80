//! The dependencies of a lane.

use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use tokio_util::sync::CancellationToken;
use trine_clock::Clock;
use trine_dispatch::Caller;
use trine_store::Store;
use trine_store::vitals::Vitals;

use super::Options;
use super::damaged::Damaged;
use super::watch::Hub;
use crate::metrics::Metrics;
use crate::skew::StoreClock;

/// Everything a lane is given when it starts.
#[derive(Debug)]
pub(super) struct Parts {
    pub(super) index: usize,
    pub(super) options: Options,
    pub(super) store: Arc<dyn Store>,
    pub(super) caller: Arc<dyn Caller>,
    pub(super) metrics: Metrics,
    pub(super) clock: Clock,
    pub(super) hub: Hub,
    pub(super) damaged: Damaged,
    pub(super) residents: Arc<AtomicU64>,
    pub(super) stop: CancellationToken,
    pub(super) hurry: CancellationToken,
    pub(super) store_clock: Arc<StoreClock>,
    pub(super) vitals: Arc<Vitals>,
}
