//! The table of configuration keys: the only place that knows them all.

use super::kind::Kind;

/// One key.
#[derive(Debug, Clone, Copy)]
pub(super) struct Key {
    /// `section.name`, or a name alone.
    pub(super) name: &'static str,
    /// The kind of its value.
    pub(super) kind: Kind,
    /// The default, as in a variable.
    pub(super) default: &'static str,
    /// The meaning, for the reference.
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

/// Prefix of all variables.
pub(super) const VARIABLE_PREFIX: &str = "TRINE_";

/// Variables with the prefix that are not keys: the path of the file, and settings of the command line.
pub(super) const OTHER_VARIABLES: [&str; 3] = ["TRINE_CONFIG", "TRINE_URL", "TRINE_XA_DB"];

const SECOND_MS: u64 = 1_000;
const MINUTE_MS: u64 = 60 * SECOND_MS;
const HOUR_MS: u64 = 60 * MINUTE_MS;
const DAY_MS: u64 = 24 * HOUR_MS;

const fn key(name: &'static str, kind: Kind, default: &'static str, meaning: &'static str) -> Key {
    Key { name, kind, default, meaning }
}

const fn count(max: i64) -> Kind {
    Kind::Count { min: 1, max }
}

const fn count_or_none(max: i64) -> Kind {
    Kind::Count { min: 0, max }
}

const fn duration(min_ms: u64, max_ms: u64) -> Kind {
    Kind::Duration { min_ms, max_ms }
}

/// Every key, by section.
#[rustfmt::skip]
pub(super) const KEYS: &[Key] = &[
    key("name", Kind::Name, "",
        "Name of this coordinator, unique among those that share a store. A process that starts under the name of an earlier one resumes its transactions, at once after a stop and within seconds after a crash. If the earlier one still runs, the new one does not start. Empty: made up at start"),

    key("http.addr", Kind::Addr, "127.0.0.1:36789",
        "`host:port` of the listener for HTTP. The default is reachable only from this machine"),
    key("http.body_bytes_max", Kind::Count { min: 1_024, max: 64 * 1_024 * 1_024 }, "1048576",
        "Largest request body; a larger one is answered 413"),
    key("http.header_timeout", duration(100, 10 * MINUTE_MS), "75s",
        "Longest time for the headers of a request to arrive; also how long an idle connection is kept"),
    key("http.body_timeout", duration(100, 10 * MINUTE_MS), "30s",
        "Longest time for the body of a request to arrive; then it is answered 408"),
    key("http.write_timeout", duration(100, 10 * MINUTE_MS), "30s",
        "How long a client may read nothing of its answer; a large answer has this time for each MiB. Then its connection is cut"),
    key("http.bodies_bytes_max", Kind::Count { min: 1_024 * 1_024, max: 1_024 * 1_024 * 1_024 * 1_024 }, "134217728",
        "Most bytes of bodies in memory, of all arriving requests and all answers that clients fetch, over HTTP/1.1 and HTTP/2; answers get at most half. A body that finds no room within a second is answered 503 with `Retry-After`. The first 16 KiB of each connection, and health, are always served. At least twice `http.body_bytes_max`"),
    key("http.connections_max", count(1_000_000), "4096",
        "Most open connections, on each listener. Fewer if the limit of file descriptors is lower; a line at start says so. A connection above the limit may ask about health, and is answered 503 with `Retry-After` otherwise; gRPC connections above it wait"),
    key("http.health_addr", Kind::AddrOrOff, "off",
        "`host:port` of a listener for `/healthz`, `/readyz` and `/metrics` alone, or `off`. They are served on `http.addr` as well"),
    key("http.drain_timeout", duration(0, HOUR_MS), "10s",
        "How long a shutdown waits for requests and calls under way"),

    key("grpc.addr", Kind::AddrOrOff, "127.0.0.1:36790",
        "`host:port` of the listener for gRPC clients, or `off`. Its bounds are those of `http`. The default is reachable only from this machine"),

    key("store.url", Kind::StoreUrl, "sqlite:./trine-data/trine.db",
        "Where the journal is: `sqlite:PATH`, `postgres://user:password@host:5432/database`, `mysql://user:password@host:3306/database` (MariaDB, too), or `memory:` (nothing survives a restart). A PostgreSQL or MySQL URL may name several hosts, `@one:5432,two:5432/`: the one that is writable is used"),
    key("store.password_file", Kind::Path, "",
        "File with the password of a PostgreSQL or MySQL database, instead of one in `store.url`. Read for every new connection, so the password may be changed under a running coordinator: first in the database, then in the file"),
    key("store.lanes", count(64), "4",
        "How many batches are written side by side to PostgreSQL or MySQL, each on a connection of its own. SQLite has one"),
    key("store.timeout", duration(SECOND_MS, 10 * MINUTE_MS), "30s",
        "Longest time for one database transaction in PostgreSQL or MySQL. After that its result is unknown, and the journal is read"),
    key("store.allow", Kind::Risks, "",
        "Unsafe settings of the database server that are accepted, by name, separated by commas; see docs/operating.md"),
    key("store.heartbeat_every", duration(100, HOUR_MS / 3), "2s",
        "How often this coordinator sends a heartbeat, looks for coordinators that are gone, and reads the live participants"),
    key("store.lapse_after", duration(3 * SECOND_MS, HOUR_MS), "10s",
        "If the others have seen no new heartbeat of a coordinator for this long, they take over its transactions. Set the same value at all coordinators of a store; at least three times `store.heartbeat_every`"),

    key("dispatch.per_host_max", count(100_000), "512",
        "Most calls under way at one host (scheme, name and port), for all services behind it together. The last quarter is for services that have less than 1/32 of these calls under way. A free place goes to the waiting service that has the fewest"),
    key("dispatch.per_service_max", count(100_000), "128",
        "Most calls under way at one service: a registered participant at one of its hosts, or all targets with the same first segment of the path at one host. With this bound, a service behind a gateway that hangs leaves the others their places"),
    key("dispatch.queue_len_max", count_or_none(1_000_000), "1000",
        "Most calls waiting for a place at one service; further ones are held back and tried again later"),
    key("dispatch.queue_wait", duration(0, 10 * MINUTE_MS), "5s",
        "Longest wait for a place; then the call is held back and tried again later. This is never counted as an attempt"),
    key("dispatch.calls_max", count(10_000_000), "20000",
        "Most calls under way or waiting, for all hosts together"),
    key("dispatch.connect_timeout", duration(1, 10 * MINUTE_MS), "3s",
        "Longest time to connect to a participant, without the look-up of its name; a call's own timeout may be shorter"),
    key("dispatch.name_timeout", duration(10, MINUTE_MS), "3s",
        "Longest time for the look-up of a participant's name. A call whose name is not found is not sent, and no attempt is counted"),
    key("dispatch.name_servers", Kind::NameServers, "",
        "Name servers for participants' addresses, by address and port, separated by commas: `10.0.0.2:53,[fd00::2]:53`. Empty: those of /etc/resolv.conf. /etc/hosts is always read first"),
    key("dispatch.idle_timeout", duration(0, HOUR_MS), "4s",
        "How long an unused connection is kept. Set it shorter than the keep-alive time of participants; otherwise calls meet connections that are just being closed"),
    key("dispatch.idle_per_host_max", count_or_none(100_000), "128",
        "Most unused connections kept per host"),
    key("dispatch.instances_max", count(1_000_000), "10000",
        "Most registered instances of participants, including those that lapsed within a day; a further one is refused with 429"),

    key("runtime.inbox_len_max", count(10_000_000), "10000",
        "Most commands waiting in front of a lane; more are answered 503 with `Retry-After`"),
    key("runtime.residents_max", count(100_000_000), "200000",
        "Most transactions in memory per lane; beyond it new ones are answered 503 with `Retry-After`"),
    key("runtime.resident_bytes_max", Kind::Count { min: 1_024 * 1_024, max: 1_024 * 1_024 * 1_024 * 1_024 }, "1073741824",
        "Most bytes of payloads and outputs in memory per lane; beyond it new transactions are answered 503 with `Retry-After`"),
    key("runtime.evict_after", duration(SECOND_MS, 30 * DAY_MS), "5m",
        "A transaction that has nothing to do for longer than this leaves memory until it is due"),
    key("runtime.batch_records_max", count(100_000), "2000",
        "When this many records wait for one durable write, no more commands are accepted until it is done"),
    key("runtime.reload_delay", duration(1, HOUR_MS), "500ms",
        "Pause after a failed read of a journal"),
    key("runtime.refresh_after", duration(100, HOUR_MS), "5s",
        "In a store that several coordinators share: the greatest age of this coordinator's memory of a transaction, which another one may have changed. If the memory is older, the journal is read before a command that changes nothing is answered, and for clients that wait"),
    key("runtime.busy_retry_after", duration(1, HOUR_MS), "1s",
        "The `Retry-After` of an answer 503"),

    key("jobs.sweep", Kind::Cron, "* * * * * *",
        "When transactions whose long wait is over are read back into memory"),
    key("jobs.reconcile", Kind::Cron, "30 * * * * *",
        "When due transactions that are missing in memory are searched and read back"),
    key("jobs.retention", Kind::Cron, "15 */5 * * * *",
        "When transactions past their retention are deleted"),
    key("jobs.census", Kind::Cron, "*/10 * * * * *",
        "When unfinished and parked transactions are counted for the metrics"),

    key("retention.settled_after", Kind::Keep, "30d",
        "How long settled transactions and their history are kept, or `never` to keep them for ever. Do not use a gid again afterwards: participants remember it longer, and would take the new transaction for a repetition of the old one"),

    key("log.format", Kind::LogFormat, "auto",
        "`pretty`, `json`, or `auto`: pretty on a terminal, JSON otherwise"),
    key("log.filter", Kind::LogFilter, "info,tokio_cron_scheduler=warn",
        "Which lines: a level, or `target=level`, separated by commas"),
];

/// The key with this name.
pub(super) fn find(name: &str) -> Option<&'static Key> {
    KEYS.iter().find(|key| key.name == name)
}

/// Whether there are keys in a section of this name.
pub(super) fn is_section(name: &str) -> bool {
    KEYS.iter().any(|key| key.name.split_once('.').is_some_and(|(section, _)| section == name))
}

/// The candidate that is most similar to a word.
pub(super) fn nearest(word: &str, candidates: impl Iterator<Item = String>) -> String {
    let word = word.to_ascii_lowercase();
    let likeness = |candidate: &str| strsim::jaro_winkler(&word, &candidate.to_ascii_lowercase());
    candidates.max_by(|a, b| likeness(a).total_cmp(&likeness(b))).unwrap_or_default()
}
