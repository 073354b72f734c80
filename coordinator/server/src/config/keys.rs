//! The table of configuration keys: one row per key. From its row a key has its field in [`Config`](super::Config), its
//! type, its default, its bounds, its variable, and its line in docs/configuration.md.
//!
//! A default that a library crate needs as well stands in that crate, and the row names it.

use std::fmt;

use serde::{Deserialize, Serialize};
use trine_engine::ShardOptions;
use trine_protocol::duration::HumanDuration;
use trine_protocol::limits::BODY_BYTES_MAX;

use super::kind::{Keep, Kind};
use super::secret::SecretText;
use trine_dispatch as dispatch;
use trine_store as store;

use DefaultValue::{Count, Millis, Text};

/// One key.
#[derive(Debug, Clone, Copy)]
pub(super) struct Key {
    /// `section.name`, or a name alone.
    pub(super) name: &'static str,
    /// What its value may be.
    pub(super) kind: Kind,
    /// Its value where nothing is set.
    pub(super) default: DefaultValue,
    /// What it means, for people.
    pub(super) meaning: &'static str,
}

impl Key {
    /// The variable that sets it.
    pub(super) fn variable(&self) -> String {
        format!("{VARIABLE_PREFIX}{}", self.name.replace('.', "_").to_ascii_uppercase())
    }

    /// Whether its value may contain a password.
    pub(super) fn is_secret(&self) -> bool {
        self.kind == Kind::StoreUrl
    }
}

/// The value of a key where nothing is set. Displayed as it would be written in a variable.
#[derive(Debug, Clone, Copy)]
pub(super) enum DefaultValue {
    Text(&'static str),
    Count(usize),
    Millis(u64),
}

impl fmt::Display for DefaultValue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Text(text) => f.write_str(text),
            Count(count) => write!(f, "{count}"),
            Millis(ms) if ms % MINUTE_MS == 0 => write!(f, "{}m", ms / MINUTE_MS),
            Millis(ms) if ms % SECOND_MS == 0 => write!(f, "{}s", ms / SECOND_MS),
            Millis(ms) => write!(f, "{ms}ms"),
        }
    }
}

/// What every variable's name starts with.
pub(super) const VARIABLE_PREFIX: &str = "TRINE_";

/// Variables with the prefix that are not keys: where the file is, and where the command line finds its coordinator.
pub(super) const OTHER_VARIABLES: [&str; 3] = ["TRINE_CONFIG", "TRINE_URL", "TRINE_XA_DB"];

const SECOND_MS: u64 = 1_000;
const MINUTE_MS: u64 = 60 * SECOND_MS;
const HOUR_MS: u64 = 60 * MINUTE_MS;
const DAY_MS: u64 = 24 * HOUR_MS;

const KIB: usize = 1_024;
const MIB: usize = 1_024 * KIB;
const GIB: usize = 1_024 * MIB;

const CALLS: &dispatch::Options = &dispatch::Options::DEFAULT;
const SHARD: ShardOptions = ShardOptions::DEFAULT;

const fn count(max: i64) -> Kind {
    Kind::Count { min: 1, max }
}

const fn count_or_none(max: i64) -> Kind {
    Kind::Count { min: 0, max }
}

const fn bytes(min: usize, max: usize) -> Kind {
    Kind::Count { min: min as i64, max: max as i64 }
}

const fn duration(min_ms: u64, max_ms: u64) -> Kind {
    Kind::Duration { min_ms, max_ms }
}

/// Makes a struct of each section, and the table [`KEYS`] of all rows. A row is `name: type = default, kind, meaning`.
macro_rules! keys {
    ($($section:ident $Section:ident {
        $($name:ident: $type:ty = $default:expr, $kind:expr, $meaning:literal;)*
    })*) => {
        $(
            #[doc = concat!("Section `", stringify!($section), "`.")]
            #[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
            #[serde(deny_unknown_fields)]
            pub struct $Section {
                $(
                    #[doc = $meaning]
                    pub $name: $type,
                )*
            }
        )*

        /// Every key, by section.
        pub(super) const KEYS: &[Key] = &[
            NAME,
            $($(Key {
                name: concat!(stringify!($section), ".", stringify!($name)),
                kind: $kind,
                default: $default,
                meaning: $meaning,
            },)*)*
        ];
    };
}

/// The one key outside of all sections.
const NAME: Key = Key {
    name: "name",
    kind: Kind::Name,
    default: Text(""),
    meaning: "Name of this coordinator, unique among those that share a store. A process that starts under the name of an earlier one resumes its transactions, at once after a stop and within seconds after a crash. If the earlier one still runs, the new one does not start and exits with code 6. Empty: made up at start",
};

keys! {
    http Http {
        addr: String = Text("127.0.0.1:36789"), Kind::Addr,
            "`host:port` of the listener for HTTP. The default is reachable only from this machine";
        body_bytes_max: usize = Count(BODY_BYTES_MAX), bytes(KIB, 64 * MIB),
            "Largest request body; a larger one is answered 413";
        header_timeout: HumanDuration = Millis(75 * SECOND_MS), duration(100, 10 * MINUTE_MS),
            "Longest time for the headers of a request to arrive; also how long an idle connection is kept";
        body_timeout: HumanDuration = Millis(30 * SECOND_MS), duration(100, 10 * MINUTE_MS),
            "Longest time for the body of a request to arrive; then it is answered 408";
        write_timeout: HumanDuration = Millis(30 * SECOND_MS), duration(100, 10 * MINUTE_MS),
            "How long a client may read nothing of its answer; a large answer has this time for each MiB. Then its connection is cut";
        bodies_bytes_max: usize = Count(128 * MIB), bytes(MIB, 1_024 * GIB),
            "Most bytes of bodies in memory, of all arriving requests and all answers that clients fetch, over HTTP/1.1 and HTTP/2; answers get at most half. A body that finds no room within a second is answered 503 with `Retry-After`. The first 16 KiB of each connection, and health, are always served. At least twice `http.body_bytes_max`";
        connections_max: usize = Count(4_096), count(1_000_000),
            "Most open connections, on each listener. Fewer if the limit of file descriptors is lower; a line at start says so. A connection above the limit may ask about health, and is answered 503 with `Retry-After` otherwise; gRPC connections above it wait";
        health_addr: String = Text("off"), Kind::AddrOrOff,
            "`host:port` of a listener for `/healthz`, `/readyz` and `/metrics` alone, or `off`. They are served on `http.addr` as well";
        drain_timeout: HumanDuration = Millis(10 * SECOND_MS), duration(0, HOUR_MS),
            "How long a shutdown waits for requests and calls under way";
    }
    grpc Grpc {
        addr: String = Text("127.0.0.1:36790"), Kind::AddrOrOff,
            "`host:port` of the listener for gRPC clients, or `off`. Its bounds are those of `http`. The default is reachable only from this machine";
    }
    store Store {
        url: SecretText = Text("sqlite:./trine-data/trine.db"), Kind::StoreUrl,
            "Where the journal is: `sqlite:PATH`, `postgres://user:password@host:5432/database`, `mysql://user:password@host:3306/database` (MariaDB, too), or `memory:` (nothing survives a restart). A PostgreSQL or MySQL URL may name several hosts, `@one:5432,two:5432/`: the one that is writable is used";
        password_file: String = Text(""), Kind::Path,
            "File with the password of a PostgreSQL or MySQL database, instead of one in `store.url`. Read for every new connection, so the password may be changed under a running coordinator: first in the database, then in the file";
        lanes: usize = Count(store::Options::LANES), count(64),
            "How many batches are written side by side to PostgreSQL or MySQL, each on a connection of its own. SQLite has one";
        timeout: HumanDuration = Millis(store::Options::TIMEOUT_MS), duration(SECOND_MS, 10 * MINUTE_MS),
            "Longest time for one database transaction in PostgreSQL or MySQL. After that its result is unknown, and the journal is read";
        allow: String = Text(""), Kind::Risks,
            "Unsafe settings of the database server that are accepted, by name, separated by commas; see docs/operating.md";
        heartbeat_every: HumanDuration = Millis(2 * SECOND_MS), duration(100, HOUR_MS / 3),
            "How often this coordinator sends a heartbeat, looks for coordinators that are gone, and reads the live participants";
        lapse_after: HumanDuration = Millis(store::Options::LAPSE_AFTER_MS), duration(3 * SECOND_MS, HOUR_MS),
            "If the others have seen no new heartbeat of a coordinator for this long, they take over its transactions. Set the same value at all coordinators of a store; at least three times `store.heartbeat_every`";
    }
    dispatch Dispatch {
        per_host_max: usize = Count(CALLS.per_host_max), count(100_000),
            "Most calls under way at one host (scheme, name and port), for all services behind it together. The last quarter is for services that have less than 1/32 of these calls under way. A free place goes to the waiting service that has the fewest";
        per_service_max: usize = Count(CALLS.per_service_max), count(100_000),
            "Most calls under way at one service: a registered participant at one of its hosts, or all targets with the same first segment of the path at one host. With this bound, a service behind a gateway that hangs leaves the others their places";
        queue_len_max: usize = Count(CALLS.queue_len_max), count_or_none(1_000_000),
            "Most calls waiting for a place at one service; further ones are held back and tried again later";
        queue_wait: HumanDuration = Millis(CALLS.queue_wait_ms), duration(0, 10 * MINUTE_MS),
            "Longest wait for a place; then the call is held back and tried again later. This is never counted as an attempt";
        calls_max: usize = Count(CALLS.calls_max), count(10_000_000),
            "Most calls under way or waiting, for all hosts together";
        connect_timeout: HumanDuration = Millis(CALLS.connect_timeout_ms), duration(1, 10 * MINUTE_MS),
            "Longest time to connect to a participant, without the look-up of its name; a call's own timeout may be shorter";
        name_timeout: HumanDuration = Millis(CALLS.name_timeout_ms), duration(10, MINUTE_MS),
            "Longest time for the look-up of a participant's name. A call whose name is not found is not sent, and no attempt is counted";
        name_servers: String = Text(""), Kind::NameServers,
            "Name servers for participants' addresses, by address and port, separated by commas: `10.0.0.2:53,[fd00::2]:53`. Empty: those of /etc/resolv.conf. /etc/hosts is always read first";
        idle_timeout: HumanDuration = Millis(CALLS.idle_timeout_ms), duration(0, HOUR_MS),
            "How long an unused connection is kept. Set it shorter than the keep-alive time of participants; otherwise calls meet connections that are just being closed";
        idle_per_host_max: usize = Count(CALLS.idle_per_host_max), count_or_none(100_000),
            "Most unused connections kept per host";
        instances_max: usize = Count(10_000), count(1_000_000),
            "Most registered instances of participants, including those that lapsed within a day; a further one is refused with 429";
    }
    runtime Runtime {
        inbox_len_max: usize = Count(10_000), count(10_000_000),
            "Most commands waiting in front of a lane; more are answered 503 with `Retry-After`";
        residents_max: usize = Count(200_000), count(100_000_000),
            "Most transactions in memory per lane; beyond it new ones are answered 503 with `Retry-After`";
        resident_bytes_max: usize = Count(GIB), bytes(MIB, 1_024 * GIB),
            "Most bytes of payloads and outputs in memory per lane; beyond it new transactions are answered 503 with `Retry-After`";
        evict_after: HumanDuration = Millis(SHARD.evict_after_ms), duration(SECOND_MS, 30 * DAY_MS),
            "A transaction that has nothing to do for longer than this leaves memory until it is due";
        batch_records_max: usize = Count(SHARD.batch_records_max), count(100_000),
            "When this many records wait for one durable write, no more commands are accepted until it is done";
        lazy_after: HumanDuration = Millis(SHARD.lazy_after_ms), duration(0, SECOND_MS),
            "How long the answer of a step that decides nothing waits for other records to be written with. The next step of a saga that is `ahead` does not wait for that";
        reload_delay: HumanDuration = Millis(SHARD.reload_delay_ms), duration(1, HOUR_MS),
            "Pause after a failed read of a journal";
        refresh_after: HumanDuration = Millis(5 * SECOND_MS), duration(100, HOUR_MS),
            "In a store that several coordinators share: the greatest age of this coordinator's memory of a transaction, which another one may have changed. If the memory is older, the journal is read before a command that changes nothing is answered, and for clients that wait";
        busy_retry_after: HumanDuration = Millis(SECOND_MS), duration(1, HOUR_MS),
            "The `Retry-After` of an answer 503";
    }
    jobs Jobs {
        sweep: String = Text("* * * * * *"), Kind::Cron,
            "When transactions whose long wait is over are read back into memory";
        reconcile: String = Text("30 * * * * *"), Kind::Cron,
            "When due transactions that are missing in memory are searched and read back";
        retention: String = Text("15 */5 * * * *"), Kind::Cron,
            "When transactions past their retention are deleted";
        census: String = Text("*/10 * * * * *"), Kind::Cron,
            "When unfinished and parked transactions are counted for the metrics";
    }
    retention Retention {
        settled_after: Keep = Text("30d"), Kind::Keep,
            "How long settled transactions and their history are kept, or `never` to keep them for ever. Do not use a gid again afterwards: participants remember it longer, and would take the new transaction for a repetition of the old one";
    }
    log Log {
        format: String = Text("auto"), Kind::LogFormat,
            "`pretty`, `json`, or `auto`: pretty on a terminal, JSON otherwise";
        filter: String = Text("info,tokio_cron_scheduler=warn"), Kind::LogFilter,
            "Which lines: a level, or `target=level`, separated by commas";
    }
}

/// The key of a name.
pub(super) fn find(name: &str) -> Option<&'static Key> {
    KEYS.iter().find(|key| key.name == name)
}

/// Whether there are keys in a section of this name.
pub(super) fn is_section(name: &str) -> bool {
    KEYS.iter().any(|key| key.name.split_once('.').is_some_and(|(section, _)| section == name))
}

/// Of all candidates the one most like a word.
pub(super) fn nearest(word: &str, candidates: impl Iterator<Item = String>) -> String {
    let word = word.to_ascii_lowercase();
    let likeness = |candidate: &str| strsim::jaro_winkler(&word, &candidate.to_ascii_lowercase());
    candidates.max_by(|a, b| likeness(a).total_cmp(&likeness(b))).unwrap_or_default()
}
