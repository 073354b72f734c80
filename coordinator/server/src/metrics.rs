//! The metrics of the coordinator, and their rendering for Prometheus.
//!
//! Each [`Metrics`] has its own registry, because tests run several coordinators in one process. Every label value comes
//! from an enum or a table in the code, so clients cannot create series. The callers decide when something is counted; rows are
//! counted in the store (census).

mod calls;
mod fitness;
mod http;
mod labels;

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use prometheus_client::encoding::text::encode;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
use prometheus_client::registry::{Registry, Unit};
use trine_engine::ParkCause;
use trine_protocol::{Op, Pattern, Status, Timestamp};

use fitness::FitnessMetrics;
use http::HttpMetrics;
use labels::{CALL_RESULTS, REACHED_CREATED, UNSETTLED};
use trine_store::Census;

pub use labels::AdmissionReason;

/// The content type of [`Metrics::render`].
pub const CONTENT_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

type Labels<const N: usize> = [(&'static str, &'static str); N];
type Seconds<const N: usize> = Family<Labels<N>, Histogram, fn() -> Histogram>;
type FloatGauge = Gauge<f64, AtomicU64>;

/// Uses of the store whose failures are counted.
const STORE_USES: [&str; 8] =
    ["adopt", "append", "census", "heartbeat", "proof", "retention", "sweep", "watch"];

/// The coordinator's metrics. Cheap to clone; clones count together.
#[derive(Clone)]
pub struct Metrics {
    inner: Arc<Inner>,
}

struct Inner {
    registry: Registry,
    transactions: Family<Labels<2>, Counter>,
    settle_seconds: Seconds<2>,
    batch_records: Histogram,
    commit_seconds: Histogram,
    calls: Family<Labels<2>, Counter>,
    call_seconds: Seconds<1>,
    unfinished: Family<Labels<2>, Gauge>,
    parked: Gauge,
    ops_parked: Family<Labels<2>, Counter>,
    damaged: Gauge,
    oldest_unfinished_seconds: FloatGauge,
    residents: Gauge,
    inbox_len: Gauge,
    http: HttpMetrics,
    admission_rejections: Family<Labels<1>, Counter>,
    store_errors: Family<Labels<1>, Counter>,
    lane_panics: Counter,
    adopted: Counter,
    fitness: FitnessMetrics,
}

impl fmt::Debug for Metrics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Metrics").finish_non_exhaustive()
    }
}

impl Default for Metrics {
    fn default() -> Self {
        Self::new()
    }
}

impl Metrics {
    /// New metrics. Every series whose labels are known is there from the start, at zero, so that a rate over the series is right
    /// from the first event.
    pub fn new() -> Self {
        let mut inner = Inner::unregistered();
        let mut registry = Registry::with_prefix("trine");
        inner.register_transactions(&mut registry);
        inner.register_calls(&mut registry);
        inner.register_runtime(&mut registry);
        inner.http.register(&mut registry);
        inner.registry = registry;
        inner.touch();
        Self { inner: Arc::new(inner) }
    }

    /// A transaction was created, and this is durable.
    pub fn transaction_created(&self, pattern: Pattern) {
        self.inner.reached(pattern, REACHED_CREATED).inc();
    }

    /// A transaction was settled, and this is durable. `took_s` counts from its creation.
    pub fn transaction_settled(&self, pattern: Pattern, status: Status, took_s: f64) {
        self.inner.reached(pattern, status.as_str()).inc();
        self.inner.settle_seconds(pattern, status).observe(took_s);
    }

    /// An append ended, with success or not.
    pub fn batch_appended(&self, records: usize, took_s: f64) {
        self.inner.batch_records.observe(u32::try_from(records).map_or(f64::INFINITY, f64::from));
        self.inner.commit_seconds.observe(took_s);
    }

    /// An op was parked, and this is durable.
    pub fn op_parked(&self, op: Op, cause: ParkCause) {
        self.inner.parked_ops(op, cause).inc();
    }

    /// Sets the gauges from a count over the index.
    pub fn census(&self, census: &Census, now: Timestamp) {
        for (pattern, status) in unfinished_labels() {
            let rows = census.unfinished.iter().filter(|row| (row.0, row.1) == (pattern, status));
            self.inner.unfinished(pattern, status).set(signed(rows.map(|row| row.2).sum()));
        }
        self.inner.parked.set(signed(census.parked));
        let oldest_ms = census.oldest_unfinished.map_or(0, |created_at| now.millis_since(created_at));
        self.inner.oldest_unfinished_seconds.set(std::time::Duration::from_millis(oldest_ms).as_secs_f64());
    }

    /// Number of transactions whose journal cannot be read.
    pub fn damaged(&self, transactions: u64) {
        self.inner.damaged.set(signed(transactions));
    }

    /// Number of transactions in memory.
    pub fn residents(&self, residents: u64) {
        self.inner.residents.set(signed(residents));
    }

    /// Number of commands that wait in front of the lanes.
    pub fn inbox_len(&self, len: usize) {
        self.inner.inbox_len.set(i64::try_from(len).unwrap_or(i64::MAX));
    }

    /// A request was refused for lack of capacity.
    pub fn admission_rejected(&self, reason: AdmissionReason) {
        self.inner.admission_rejections.get_or_create(&[("reason", reason.as_str())]).inc();
    }

    /// The store failed. `kind` is one of the uses in `STORE_USES`.
    pub fn store_error(&self, kind: &'static str) {
        self.inner.store_errors.get_or_create(&[("kind", kind)]).inc();
    }

    /// Transactions were adopted from coordinators that are gone.
    pub fn adopted(&self, transactions: u64) {
        self.inner.adopted.inc_by(transactions);
    }

    /// This coordinator's heartbeat was late.
    pub fn lapsed(&self) {
        self.inner.fitness.lapses.inc();
    }

    /// This coordinator let the others take over.
    pub fn gave_up(&self) {
        self.inner.fitness.gave_up.inc();
    }

    /// The difference between this machine's clock and the store's; positive: ahead.
    pub fn clock_skew(&self, skew_ms: i64) {
        self.inner.fitness.clock_skew(skew_ms);
    }

    /// The store's clock leapt.
    pub fn clock_leapt(&self) {
        self.inner.fitness.clock_leaps.inc();
    }

    /// The wall clock was set by this much, compared with steady time.
    pub fn clock_set(&self, by_ms: i64) {
        self.inner.fitness.clock_set(by_ms);
    }

    /// A lane lost its memory.
    pub fn lane_panicked(&self) {
        self.inner.lane_panics.inc();
    }

    /// Renders all metrics as OpenMetrics text; see [`CONTENT_TYPE`].
    pub fn render(&self) -> String {
        let mut text = String::new();
        if let Err(error) = encode(&mut text, &self.inner.registry) {
            tracing::error!(%error, "the metrics cannot be written");
        }
        text
    }
}

impl Inner {
    fn unregistered() -> Self {
        Self {
            registry: Registry::default(),
            transactions: Family::default(),
            settle_seconds: Family::new_with_constructor(settle_histogram),
            // 1 to 4096 records.
            batch_records: Histogram::new(exponential_buckets(1.0, 2.0, 13)),
            // 0.1 ms to 3.3 s.
            commit_seconds: Histogram::new(exponential_buckets(0.000_1, 2.0, 16)),
            calls: Family::default(),
            call_seconds: Family::new_with_constructor(call_histogram),
            unfinished: Family::default(),
            parked: Gauge::default(),
            ops_parked: Family::default(),
            damaged: Gauge::default(),
            oldest_unfinished_seconds: FloatGauge::default(),
            residents: Gauge::default(),
            inbox_len: Gauge::default(),
            http: HttpMetrics::new(),
            admission_rejections: Family::default(),
            store_errors: Family::default(),
            lane_panics: Counter::default(),
            adopted: Counter::default(),
            fitness: FitnessMetrics::default(),
        }
    }

    fn register_transactions(&self, registry: &mut Registry) {
        registry.register(
            "transactions",
            "Transactions by pattern and status reached: created, committed, rolled_back",
            self.transactions.clone(),
        );
        registry.register_with_unit(
            "settle",
            "Time from the creation of a transaction until it was durably settled",
            Unit::Seconds,
            self.settle_seconds.clone(),
        );
        registry.register(
            "unfinished",
            "Transactions not settled, by pattern and status, as of the last census",
            self.unfinished.clone(),
        );
        let help = "Transactions that need a person, as of the last census";
        registry.register("parked", help, self.parked.clone());
        registry.register(
            "ops_parked",
            "Ops that were parked, by op and cause: exhausted, client_error, conflict, not_sent",
            self.ops_parked.clone(),
        );
        registry.register(
            "damaged_transactions",
            "Transactions whose journal cannot be read (TX0021), as met by this coordinator since it started",
            self.damaged.clone(),
        );
        registry.register_with_unit(
            "oldest_unfinished_age",
            "Age of the oldest transaction not settled, as of the last census",
            Unit::Seconds,
            self.oldest_unfinished_seconds.clone(),
        );
    }

    fn register_calls(&self, registry: &mut Registry) {
        registry.register(
            "calls",
            "Calls to participants by op and outcome; not_sent: nobody to call; held: no place, look-up or descriptor of this coordinator's for it; both are offered again later",
            self.calls.clone(),
        );
        registry.register_with_unit(
            "call",
            "Time a call to a participant took, without the wait for a place at its host",
            Unit::Seconds,
            self.call_seconds.clone(),
        );
    }

    fn register_runtime(&self, registry: &mut Registry) {
        registry.register_with_unit(
            "batch",
            "Records of one durable write",
            Unit::Other("records".into()),
            self.batch_records.clone(),
        );
        registry.register_with_unit(
            "commit",
            "Time one durable write took",
            Unit::Seconds,
            self.commit_seconds.clone(),
        );
        registry.register("residents", "Transactions in memory", self.residents.clone());
        registry.register("inbox_commands", "Commands waiting in front of the lanes", self.inbox_len.clone());
        registry.register(
            "admission_rejections",
            "Commands turned away before they were decided, by reason",
            self.admission_rejections.clone(),
        );
        registry.register(
            "store_errors",
            "Failed uses of the store, by what was tried",
            self.store_errors.clone(),
        );
        registry.register(
            "adopted",
            "Transactions taken over from coordinators that are gone",
            self.adopted.clone(),
        );
        self.fitness.register(registry);
        registry.register("lane_panics", "Times a lane lost its memory to a panic", self.lane_panics.clone());
    }

    /// Creates every series whose labels are known.
    fn touch(&self) {
        for pattern in Pattern::ALL {
            for status in [Status::Committed, Status::RolledBack] {
                drop(self.reached(pattern, status.as_str()));
                drop(self.settle_seconds(pattern, status));
            }
            drop(self.reached(pattern, REACHED_CREATED));
        }
        for op in Op::ALL {
            drop(self.call_seconds(op));
            for result in CALL_RESULTS {
                drop(self.called(op, result));
            }
            for cause in ParkCause::ALL {
                drop(self.parked_ops(op, cause));
            }
        }
        for (pattern, status) in unfinished_labels() {
            drop(self.unfinished(pattern, status));
        }
        for kind in STORE_USES {
            drop(self.store_errors.get_or_create_owned(&[("kind", kind)]));
        }
        for reason in AdmissionReason::ALL {
            drop(self.admission_rejections.get_or_create_owned(&[("reason", reason.as_str())]));
        }
    }

    fn reached(&self, pattern: Pattern, status: &'static str) -> Counter {
        self.transactions.get_or_create_owned(&[("pattern", pattern.as_str()), ("status", status)])
    }

    fn settle_seconds(&self, pattern: Pattern, status: Status) -> Histogram {
        let labels = [("pattern", pattern.as_str()), ("outcome", status.as_str())];
        self.settle_seconds.get_or_create_owned(&labels)
    }

    fn call_seconds(&self, op: Op) -> Histogram {
        self.call_seconds.get_or_create_owned(&[("op", op.as_str())])
    }

    fn called(&self, op: Op, outcome: &'static str) -> Counter {
        self.calls.get_or_create_owned(&[("op", op.as_str()), ("outcome", outcome)])
    }

    fn parked_ops(&self, op: Op, cause: ParkCause) -> Counter {
        self.ops_parked.get_or_create_owned(&[("op", op.as_str()), ("cause", cause.as_str())])
    }

    fn unfinished(&self, pattern: Pattern, status: Status) -> Gauge {
        let labels = [("pattern", pattern.as_str()), ("status", status.as_str())];
        self.unfinished.get_or_create_owned(&labels)
    }
}

fn unfinished_labels() -> impl Iterator<Item = (Pattern, Status)> {
    Pattern::ALL.into_iter().flat_map(|pattern| UNSETTLED.map(|status| (pattern, status)))
}

/// 1 ms to 4.5 hours, because transactions may wait for people.
fn settle_histogram() -> Histogram {
    Histogram::new(exponential_buckets(0.001, 4.0, 13))
}

/// 1 ms to 33 s.
fn call_histogram() -> Histogram {
    Histogram::new(exponential_buckets(0.001, 2.0, 16))
}

fn signed(count: u64) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests;
