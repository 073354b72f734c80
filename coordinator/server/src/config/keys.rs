//! The table of configuration keys: the only place that knows them all.

use super::kind::Kind;

/// One key.
#[derive(Debug, Clone, Copy)]
pub(super) struct Key {
    /// `section.name`, or a name alone.
    pub(super) name: &'static str,
    /// What its value may be.
    pub(super) kind: Kind,
    /// As it would be written in a variable.
    pub(super) default: &'static str,
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

/// What every variable's name starts with.
pub(super) const VARIABLE_PREFIX: &str = "TRINE_";

/// Variables with the prefix that are not keys: where the file is, and where the command line finds its coordinator.
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
        "Name of this coordinator among those that share a store, unique. A process that starts takes over at once what the one before it with the same name left, and the one before stops. Empty: made up at start from host, process and chance"),

    key("http.addr", Kind::Addr, "127.0.0.1:36789",
        "`host:port` the API listens on. The default is reachable from this machine alone"),
    key("http.body_bytes_max", Kind::Count { min: 1_024, max: 64 * 1_024 * 1_024 }, "1048576",
        "Largest request body; a larger one is answered 413"),
    key("http.header_timeout", duration(100, 10 * MINUTE_MS), "75s",
        "Longest time for the headers of a request to arrive; also how long an idle connection is kept"),
    key("http.body_timeout", duration(100, 10 * MINUTE_MS), "30s",
        "Longest time for the body of a request to arrive; then it is answered 408"),
    key("http.write_timeout", duration(100, 10 * MINUTE_MS), "30s",
        "How long a client may take nothing of what is sent to it; a large answer has so long for each MiB. Then its connection is cut"),
    key("http.bodies_bytes_max", Kind::Count { min: 1_024 * 1_024, max: 1_024 * 1_024 * 1_024 * 1_024 }, "134217728",
        "Most bytes of bodies in memory, of all requests that arrive and all answers that are fetched, over HTTP/1.1 and HTTP/2; answers take half of it at most. What finds no room within a second is answered 503 with `Retry-After`. The first 16 KiB of each connection, and health, are always served. At least twice `http.body_bytes_max`"),
    key("http.connections_max", count(1_000_000), "4096",
        "Most open connections, on each listener. Fewer where the limit of file descriptors is lower, which is said at start. A connection above it may ask about health, and is answered 503 with `Retry-After` otherwise; gRPC connections above it wait"),
    key("http.health_addr", Kind::AddrOrOff, "off",
        "`host:port` of a listener for `/healthz`, `/readyz` and `/metrics` alone, or `off`. They are served on `http.addr` as well"),
    key("http.drain_timeout", duration(0, HOUR_MS), "10s",
        "How long a shutdown waits for requests and calls under way"),

    key("grpc.addr", Kind::AddrOrOff, "127.0.0.1:36790",
        "`host:port` that gRPC clients are answered on, or `off`. Bounds are those of `http`. The default is reachable from this machine alone"),

    key("store.url", Kind::StoreUrl, "sqlite:./trine-data/trine.db",
        "Where the journal is: `sqlite:PATH`, `postgres://user:password@host:5432/database`, `mysql://user:password@host:3306/database` (MariaDB, too), or `memory:` (nothing survives a restart). A PostgreSQL or MySQL URL may name several hosts, `@one:5432,two:5432/`: the one that may be written to is used"),
    key("store.password_file", Kind::Path, "",
        "File with the password of a PostgreSQL or MySQL database, instead of one in `store.url`. Read for every connection that is made, so a password may be changed under a running coordinator: first in the database, then here"),
    key("store.lanes", count(64), "4",
        "How many batches are written side by side to PostgreSQL or MySQL, each on a connection of its own. SQLite has one"),
    key("store.timeout", duration(SECOND_MS, 10 * MINUTE_MS), "30s",
        "Longest time one piece of work may take in PostgreSQL or MySQL; then nobody knows whether it was done, and the journal is read"),
    key("store.allow", Kind::Risks, "",
        "Unsafe settings of the database server that are accepted, by name, separated by commas; see docs/operating.md"),
    key("store.heartbeat_every", duration(100, HOUR_MS / 3), "2s",
        "How often this coordinator says that it is alive, looks for others that are gone, and reads which participants are alive"),
    key("store.lapse_after", duration(3 * SECOND_MS, HOUR_MS), "10s",
        "A coordinator of which the others have seen no new heartbeat for so long is taken for gone: the others take over what it owns. The same for all coordinators of a store; at least three times `store.heartbeat_every`"),

    key("dispatch.per_host_max", count(100_000), "512",
        "Most calls under way at one host (scheme, name and port), all services behind it together. The last quarter is for services that have less than 1/32 of them under way. A place that becomes free goes to the service in line that has the fewest"),
    key("dispatch.per_service_max", count(100_000), "128",
        "Most calls under way at one service: a registered participant at one of its hosts, or what begins with the same first segment of the path at one host. More than one service may stand behind a gateway; one that hangs then leaves the others their places"),
    key("dispatch.queue_len_max", count_or_none(1_000_000), "1000",
        "Most calls waiting for a place at one service; more are offered again later"),
    key("dispatch.queue_wait", duration(0, 10 * MINUTE_MS), "5s",
        "Longest wait for a place; then the call is held back and offered again later. That counts towards nothing"),
    key("dispatch.calls_max", count(10_000_000), "20000",
        "Most calls under way or waiting, all hosts together"),
    key("dispatch.connect_timeout", duration(1, 10 * MINUTE_MS), "3s",
        "Longest time to connect to a participant, its name's look-up apart; a call's own timeout may be shorter"),
    key("dispatch.name_timeout", duration(10, MINUTE_MS), "3s",
        "Longest time for the look-up of a participant's name. A call whose name is not found is not sent, and no attempt is counted"),
    key("dispatch.name_servers", Kind::NameServers, "",
        "Name servers that are asked for participants' addresses, by address and port, separated by commas: `10.0.0.2:53,[fd00::2]:53`. Empty: those of /etc/resolv.conf. /etc/hosts is asked first, always"),
    key("dispatch.idle_timeout", duration(0, HOUR_MS), "4s",
        "How long an unused connection is kept. Shorter than participants keep theirs, or calls meet connections that are just being closed"),
    key("dispatch.idle_per_host_max", count_or_none(100_000), "128",
        "Most unused connections kept per host"),
    key("dispatch.instances_max", count(1_000_000), "10000",
        "Most instances of participants that are registered, those that have lapsed within a day included; another one is refused with 429"),

    key("runtime.inbox_len_max", count(10_000_000), "10000",
        "Most commands waiting in front of a lane; more are answered 503 with `Retry-After`"),
    key("runtime.residents_max", count(100_000_000), "200000",
        "Most transactions in memory per lane; beyond it new ones are answered 503 with `Retry-After`"),
    key("runtime.resident_bytes_max", Kind::Count { min: 1_024 * 1_024, max: 1_024 * 1_024 * 1_024 * 1_024 }, "1073741824",
        "Most bytes of payloads and outputs in memory per lane; beyond it new transactions are answered 503 with `Retry-After`"),
    key("runtime.evict_after", duration(SECOND_MS, 30 * DAY_MS), "5m",
        "A transaction that has nothing to do for longer than this leaves memory until it is due"),
    key("runtime.batch_records_max", count(100_000), "2000",
        "With this many records waiting for one durable write no more commands are taken in until it is done"),
    key("runtime.reload_delay", duration(1, HOUR_MS), "500ms",
        "How long after a failed read of a journal the next one is tried"),
    key("runtime.refresh_after", duration(100, HOUR_MS), "5s",
        "In a store that several coordinators share: how old may be what this one tells of a transaction that it drives, and that another may have moved. Beyond it the journal is read before a command that changes nothing is answered, and for those who wait"),
    key("runtime.busy_retry_after", duration(1, HOUR_MS), "1s",
        "The `Retry-After` of an answer 503"),

    key("jobs.sweep", Kind::Cron, "* * * * * *",
        "When transactions whose long wait is over are brought back to memory"),
    key("jobs.reconcile", Kind::Cron, "30 * * * * *",
        "When it is made sure that everything unfinished is in memory or waits for its time"),
    key("jobs.retention", Kind::Cron, "15 */5 * * * *",
        "When transactions past their retention are deleted"),
    key("jobs.census", Kind::Cron, "*/10 * * * * *",
        "When unfinished and parked transactions are counted for the metrics"),

    key("retention.settled_after", Kind::Keep, "30d",
        "How long settled transactions and their history are kept, or `never` to keep them for ever. Do not use a gid again afterwards: participants remember it longer, and take the new transaction for a repetition of the old"),

    key("log.format", Kind::LogFormat, "auto",
        "`pretty`, `json`, or `auto`: pretty on a terminal, JSON otherwise"),
    key("log.filter", Kind::LogFilter, "info,tokio_cron_scheduler=warn",
        "Which lines: a level, or `target=level`, separated by commas"),
];

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
