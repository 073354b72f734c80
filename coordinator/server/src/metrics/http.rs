//! Metrics of answered requests, by route template, method and class of status.

use std::collections::HashSet;
use std::sync::atomic::Ordering;
use std::sync::{PoisonError, RwLock};

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
use prometheus_client::registry::{Registry, Unit};

use super::Metrics;
use super::labels::{method, status_class};

/// Most route templates with series of their own. The router has fewer. The limit is for a caller that passes paths by mistake.
const ROUTES_MAX: usize = 100;
const ROUTE_OTHER: &str = "other";
const ROUTE_NONE: &str = "none";

/// A histogram alone: its count is the number of requests.
pub(super) struct HttpMetrics {
    seconds: Family<HttpLabels, Histogram, fn() -> Histogram>,
    routes: RwLock<HashSet<String>>,
    body_bytes: Gauge,
    bodies_refused: Counter,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct HttpLabels {
    route: String,
    method: &'static str,
    status: &'static str,
}

impl HttpMetrics {
    pub(super) fn new() -> Self {
        Self {
            seconds: Family::new_with_constructor(histogram),
            routes: RwLock::default(),
            body_bytes: Gauge::default(),
            bodies_refused: Counter::default(),
        }
    }

    pub(super) fn register(&self, registry: &mut Registry) {
        registry.register_with_unit(
            "http_request",
            "Time until a request was answered, by route, method and class of status",
            Unit::Seconds,
            self.seconds.clone(),
        );
        registry.register_with_unit(
            "http_bodies",
            "Memory that bodies of requests and answers hold, beyond the first 16 KiB of each connection",
            Unit::Bytes,
            self.body_bytes.clone(),
        );
        registry.register(
            "http_bodies_refused",
            "Bodies that found no room within `http.bodies_bytes_max`",
            self.bodies_refused.clone(),
        );
    }

    pub(super) fn bodies(&self, bytes: usize, refused: u64) {
        self.body_bytes.set(i64::try_from(bytes).unwrap_or(i64::MAX));
        // The budget counts, and its counter only grows.
        self.bodies_refused.inner().store(refused, Ordering::Relaxed);
    }

    pub(super) fn request(&self, route: Option<&str>, verb: &str, status: u16, took_s: f64) {
        let route = route.map_or(ROUTE_NONE, |route| if self.admits(route) { route } else { ROUTE_OTHER });
        let labels =
            HttpLabels { route: route.to_owned(), method: method(verb), status: status_class(status) };
        self.seconds.get_or_create(&labels).observe(took_s);
    }

    fn admits(&self, route: &str) -> bool {
        if self.routes.read().unwrap_or_else(PoisonError::into_inner).contains(route) {
            return true;
        }
        let mut routes = self.routes.write().unwrap_or_else(PoisonError::into_inner);
        if routes.len() >= ROUTES_MAX {
            return routes.contains(route);
        }
        routes.insert(route.to_owned());
        true
    }
}

impl Metrics {
    /// A request was answered. `route` is the template it matched, never its path.
    pub fn http_request(&self, route: Option<&str>, method: &str, status: u16, took_s: f64) {
        self.inner.http.request(route, method, status, took_s);
    }

    /// Memory that bodies hold now, and the number of bodies that found no room.
    pub fn bodies(&self, bytes: usize, refused: u64) {
        self.inner.http.bodies(bytes, refused);
    }
}

/// 0.5 ms to 16 s.
fn histogram() -> Histogram {
    Histogram::new(exponential_buckets(0.000_5, 2.0, 16))
}
