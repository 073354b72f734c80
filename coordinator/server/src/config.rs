//! Configuration: defaults, then a TOML file, then `TRINE_*` variables, then flags, each overriding the one before.
//!
//! [`Config::load`] is a pure function of its [`Sources`]; only [`Sources::read`] reads the file system and
//! the environment. Every key is a row of one table (`keys`). Modules never read the configuration: they define small option
//! structs without defaults, which are built here and passed to them by the server.

mod error;
#[cfg(test)]
mod for_tests;
mod keys;
mod kind;
mod layers;
mod origin;
mod secret;
mod show;

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use trine_engine::ShardOptions;
use trine_protocol::duration::HumanDuration;

use crate::telemetry::{LogFormat, LogOptions};
use crate::{http, jobs, runtime};
use trine_dispatch as dispatch;
use trine_store as store;

pub use error::{ConfigError, Problem};
pub use keys::{Dispatch, Grpc, Http, Jobs, Log, Retention, Runtime, Store};
pub use kind::Keep;
pub use layers::{FileText, Flag, Sources};
pub use origin::Origin;
pub use secret::SecretText;
pub use show::reference_markdown;

/// Least number of heartbeats that must be missing before a coordinator counts as gone.
const HEARTBEATS_MIN: u64 = 3;

/// The effective configuration.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// This coordinator's name among those that share a store; empty: made up at start.
    pub name: String,
    /// Listening and bounds of the API.
    pub http: Http,
    /// Listening for gRPC.
    pub grpc: Grpc,
    /// Where the journal is.
    pub store: Store,
    /// Calls to participants.
    pub dispatch: Dispatch,
    /// Lanes.
    pub runtime: Runtime,
    /// Schedules of housekeeping.
    pub jobs: Jobs,
    /// How long things are kept.
    pub retention: Retention,
    /// Log lines.
    pub log: Log,
    /// Where each key's value came from.
    #[serde(skip)]
    origins: BTreeMap<&'static str, Origin>,
}

impl Http {
    /// Where to listen for health alone, if anywhere.
    pub fn health_listens(&self) -> Option<&str> {
        (!kind::is_off(&self.health_addr)).then_some(self.health_addr.as_str())
    }
}

impl Grpc {
    /// Where to listen, if anywhere.
    pub fn listens(&self) -> Option<&str> {
        (!kind::is_off(&self.addr)).then_some(self.addr.as_str())
    }
}

impl Config {
    /// Applies the sources to the defaults, and checks the result. Every problem is reported, not only the first.
    pub fn load(sources: &Sources) -> Result<Self, ConfigError> {
        let layered = layers::lay(sources)?;
        let mut document = toml::Table::new();
        let mut origins = BTreeMap::new();
        for (key, (value, origin)) in layered {
            match key.split_once('.') {
                None => drop(document.insert(key.to_owned(), value)),
                Some((section, name)) => {
                    let section = document.entry(section).or_insert_with(|| toml::Table::new().into());
                    if let Some(section) = section.as_table_mut() {
                        section.insert(name.to_owned(), value);
                    }
                }
            }
            origins.insert(key, origin);
        }
        // Each value was checked against its row, so an error here means that a row does not fit its field.
        let config: Self = document.try_into().map_err(|error: toml::de::Error| {
            ConfigError::from(Problem::Defect { detail: error.message().to_owned() })
        })?;
        let config = Self { origins, ..config };
        ConfigError::check(
            config.too_few_heartbeats().into_iter().chain(config.too_little_room()).collect(),
        )?;
        Ok(config)
    }

    /// A `lapse_after` that is too short: one late or lost heartbeat must not make a coordinator count as gone.
    fn too_few_heartbeats(&self) -> Option<Problem> {
        let Store { heartbeat_every, lapse_after, .. } = &self.store;
        let least = HumanDuration::from_millis(heartbeat_every.millis().saturating_mul(HEARTBEATS_MIN));
        if lapse_after.millis() >= least.millis() {
            return None;
        }
        // Report the problem at the key that was set, not at a default.
        let set = |key: &&&str| self.origin(key).is_some_and(|origin| *origin != Origin::Default);
        let key = ["store.lapse_after", "store.heartbeat_every"].iter().find(set)?;
        let detail = if *key == "store.lapse_after" {
            format!(
                "is {lapse_after}; it must be at least three times `store.heartbeat_every`, which is {heartbeat_every}: {least} or more"
            )
        } else {
            format!(
                "is {heartbeat_every}; it must be at most a third of `store.lapse_after`, which is {lapse_after}"
            )
        };
        Some(Problem::Value { at: self.origin(key)?.clone(), key: (*key).to_owned(), detail })
    }

    /// A budget that is too small: the largest body must find room, even if answers that nobody fetches hold their half.
    fn too_little_room(&self) -> Option<Problem> {
        let Http { body_bytes_max, bodies_bytes_max, .. } = self.http;
        if bodies_bytes_max / 2 >= body_bytes_max {
            return None;
        }
        let key = "http.bodies_bytes_max";
        let detail = format!(
            "is {bodies_bytes_max}; it must be at least twice `http.body_bytes_max`, which is {body_bytes_max}"
        );
        Some(Problem::Value { at: self.origin(key)?.clone(), key: key.to_owned(), detail })
    }

    /// The coordinator's name, or a new one from host, process id and a random part.
    fn coordinator_name(&self) -> String {
        if !self.name.is_empty() {
            return self.name.clone();
        }
        let host = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
        let host: String =
            host.trim().chars().filter(|c| c.is_ascii_alphanumeric() || *c == '-').take(40).collect();
        let host = if host.is_empty() { "trine" } else { &host };
        format!("{host}-{}-{:04x}", std::process::id(), fastrand::u16(..))
    }

    /// The options of the store. Without a name, each call makes up a new one: call this once per start.
    pub fn store_options(&self) -> store::Options {
        store::Options {
            url: self.store.url.expose().to_owned(),
            owner: self.coordinator_name(),
            lanes: self.store.lanes,
            lapse_after_ms: self.store.lapse_after.millis(),
            // A living process shows itself within one heartbeat; half a heartbeat is added as a margin.
            name_wait_ms: self.store.heartbeat_every.millis() * 3 / 2,
            timeout_ms: self.store.timeout.millis(),
            // `load` has checked the value.
            allow: kind::risks(&self.store.allow).unwrap_or_default(),
            password_file: Some(&self.store.password_file).filter(|file| !file.is_empty()).map(Into::into),
        }
    }

    /// The options of the dispatcher.
    pub fn dispatch_options(&self) -> dispatch::Options {
        let section = &self.dispatch;
        dispatch::Options {
            per_host_max: section.per_host_max,
            per_service_max: section.per_service_max,
            queue_len_max: section.queue_len_max,
            queue_wait_ms: section.queue_wait.millis(),
            calls_max: section.calls_max,
            connect_timeout_ms: section.connect_timeout.millis(),
            name_timeout_ms: section.name_timeout.millis(),
            // `load` has checked the value.
            name_servers: kind::name_servers(&section.name_servers).unwrap_or_default(),
            idle_timeout_ms: section.idle_timeout.millis(),
            idle_per_host_max: section.idle_per_host_max,
            // The bounds that depend on file descriptors are set at start.
            ..dispatch::Options::DEFAULT
        }
    }

    /// The options of the lanes.
    pub fn runtime_options(&self) -> runtime::Options {
        let section = &self.runtime;
        runtime::Options {
            inbox_len_max: section.inbox_len_max,
            residents_max: section.residents_max,
            resident_bytes_max: section.resident_bytes_max,
            shard: ShardOptions {
                lazy_after_ms: section.lazy_after.millis(),
                evict_after_ms: section.evict_after.millis(),
                batch_records_max: section.batch_records_max,
                reload_delay_ms: section.reload_delay.millis(),
                refresh_after_ms: Some(section.refresh_after.millis()),
            },
            busy_retry_after_ms: section.busy_retry_after.millis(),
            proof_holds_ms: runtime::PROOF_HOLDS_MS,
            calls_drain: time(self.http.drain_timeout),
        }
    }

    /// The bounds of a listener for HTTP/1.1, as far as there are file descriptors.
    pub(crate) fn http_options(&self) -> http::Options {
        let section = &self.http;
        http::Options {
            wire: http::Wire::Http1,
            header_timeout: time(section.header_timeout),
            body_timeout: time(section.body_timeout),
            body_bytes_max: section.body_bytes_max,
            write_timeout: time(section.write_timeout),
            connections_max: section.connections_max,
            reserved_max: http::RESERVED_MAX,
            drain: time(section.drain_timeout),
        }
    }

    pub fn heartbeat_every(&self) -> Duration {
        time(self.store.heartbeat_every)
    }

    /// When housekeeping runs.
    pub fn schedules(&self) -> jobs::Schedules {
        let Jobs { sweep, reconcile, retention, census } = self.jobs.clone();
        jobs::Schedules { sweep, reconcile, retention, census }
    }

    /// How long settled transactions are kept; none: for ever.
    pub fn retention_ms(&self) -> Option<u64> {
        self.retention.settled_after.millis()
    }

    /// What is logged, and how.
    pub fn log_options(&self) -> LogOptions {
        LogOptions {
            format: LogFormat::parse(&self.log.format).unwrap_or_default(),
            filter: self.log.filter.clone(),
        }
    }

    /// Where a key's value came from.
    pub fn origin(&self, key: &str) -> Option<&Origin> {
        self.origins.get(key)
    }
}

fn time(duration: HumanDuration) -> Duration {
    Duration::from_millis(duration.millis())
}
