//! Where addresses come from: the hosts file, and name servers. The operating system's configuration is read again when
//! its files change.

use std::fs;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use futures_util::future::{Either, select};
use hickory_resolver::config::{ConnectionConfig, NameServerConfig, ResolverConfig, ResolverOpts};
use hickory_resolver::net::runtime::TokioRuntimeProvider;
use hickory_resolver::net::{DnsError, NetError};
use hickory_resolver::proto::op::{Query, ResponseCode};
use hickory_resolver::proto::rr::{Name, RecordType};
use hickory_resolver::{Hosts, TokioResolver, system_conf};

use super::Unresolved;
use crate::shortage;
use trine_clock::Stopwatch;

const HOSTS: &str = "/etc/hosts";
const RESOLV_CONF: &str = "/etc/resolv.conf";
/// How often it is looked whether the files have changed.
const LOOK_EVERY: Duration = Duration::from_secs(2);
/// When there are addresses of one IP version, how much longer to wait for those of the other.
const OTHER_VERSION_WAIT: Duration = Duration::from_millis(50);

/// Where addresses come from.
#[derive(Debug)]
pub(super) struct Source {
    servers: Vec<SocketAddr>,
    limit: Duration,
    reading: Mutex<Option<Reading>>,
}

/// What the operating system's files say.
#[derive(Debug, Clone)]
struct Reading {
    looked: Stopwatch,
    changed: [Option<SystemTime>; 2],
    hosts: Arc<Hosts>,
    resolver: Result<TokioResolver, Unresolved>,
}

/// The answer to one question.
type Asked = Result<(Vec<IpAddr>, Duration), Unresolved>;

impl Source {
    /// Asks these servers, or those that the operating system's configuration names.
    pub(super) fn new(servers: Vec<SocketAddr>, limit: Duration) -> Self {
        Self { servers, limit, reading: Mutex::default() }
    }

    /// What is known without a name server: the hosts file, and `localhost`.
    pub(super) fn at_hand(&self, name: &str) -> Option<Vec<IpAddr>> {
        let hosts = self.read().hosts;
        let parsed = Name::from_utf8(name).ok()?;
        let of = |kind| hosts.lookup_static_host(&Query::query(parsed.clone(), kind));
        let found = [of(RecordType::A), of(RecordType::AAAA)].into_iter().flatten();
        let found: Vec<IpAddr> = found
            .flat_map(|one| {
                one.answers().iter().filter_map(|record| record.data.ip_addr()).collect::<Vec<_>>()
            })
            .collect();
        if !found.is_empty() {
            return Some(found);
        }
        let bare = name.trim_end_matches('.').to_ascii_lowercase();
        let is_local = bare == "localhost" || bare.ends_with(".localhost");
        is_local.then(|| vec![Ipv4Addr::LOCALHOST.into(), Ipv6Addr::LOCALHOST.into()])
    }

    /// Asks for addresses of both versions side by side. With some of one version, the other's are not waited for long: there
    /// are name servers that never answer questions for version 6.
    pub(super) async fn ask(&self, name: &str) -> Asked {
        let resolver = self.read().resolver?;
        let (v4, v6) =
            (question(&resolver, name, RecordType::A), question(&resolver, name, RecordType::AAAA));
        let (v4, v6) = (std::pin::pin!(v4), std::pin::pin!(v6));
        let (v4, v6) = match select(v4, v6).await {
            Either::Left((Ok(v4), v6)) => (Ok(v4), after(v6).await),
            Either::Right((Ok(v6), v4)) => (after(v4).await, Ok(v6)),
            Either::Left((v4, v6)) => (v4, v6.await),
            Either::Right((v6, v4)) => (v4.await, v6),
        };
        match (v4, v6) {
            (Ok((mut addresses, kept)), Ok((more, kept_too))) => {
                addresses.extend(more);
                Ok((addresses, kept.min(kept_too)))
            }
            (Ok(found), Err(_)) | (Err(_), Ok(found)) => Ok(found),
            // "No such name" and "no addresses" are answers, a failure is none.
            (Err(Unresolved::Missing), Err(other)) | (Err(other), Err(_)) => Err(other),
        }
    }

    fn read(&self) -> Reading {
        let mut reading = self.reading.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(reading) = reading.as_ref().filter(|reading| reading.looked.elapsed() < LOOK_EVERY) {
            return reading.clone();
        }
        let changed =
            [HOSTS, RESOLV_CONF].map(|path| fs::metadata(path).and_then(|about| about.modified()).ok());
        let same = reading.take().filter(|reading| reading.changed == changed && reading.resolver.is_ok());
        let read = match same {
            Some(same) => Reading { looked: Stopwatch::start(), ..same },
            None => Reading {
                looked: Stopwatch::start(),
                changed,
                hosts: Arc::new(hosts()),
                resolver: resolver(&self.servers, self.limit),
            },
        };
        reading.insert(read).clone()
    }
}

/// An answer that may come a little later than another.
async fn after(question: impl Future<Output = Asked>) -> Asked {
    tokio::time::timeout(OTHER_VERSION_WAIT, question).await.unwrap_or(Err(Unresolved::Late))
}

async fn question(resolver: &TokioResolver, name: &str, kind: RecordType) -> Asked {
    let found = resolver.lookup(name, kind).await.map_err(unresolved)?;
    let records = found.answers().iter().filter_map(|record| Some((record.data.ip_addr()?, record.ttl)));
    let (addresses, kept): (Vec<_>, Vec<_>) = records.unzip();
    match kept.into_iter().min() {
        Some(seconds) => Ok((addresses, Duration::from_secs(seconds.into()))),
        None => Err(Unresolved::Missing),
    }
}

fn unresolved(error: NetError) -> Unresolved {
    match &error {
        NetError::Timeout => Unresolved::Late,
        // An answer that there is nothing. SERVFAIL and the like come as another error.
        NetError::Dns(DnsError::NoRecordsFound(none))
            if matches!(none.response_code, ResponseCode::NXDomain | ResponseCode::NoError) =>
        {
            Unresolved::Missing
        }
        NetError::Io(io) => match shortage::of(io) {
            Some(short) if short.is_certain => {
                Unresolved::Held(format!("this coordinator is short of {}", short.what))
            }
            Some(short) => Unresolved::Failed(format!("this coordinator is short of {}", short.what)),
            None => Unresolved::Failed(format!("no name server could be asked: {error}")),
        },
        _ => Unresolved::Failed(error.to_string()),
    }
}

fn hosts() -> Hosts {
    let mut hosts = Hosts::default();
    if let Ok(text) = fs::read(HOSTS)
        && let Err(error) = hosts.read_hosts_conf(text.as_slice())
    {
        tracing::warn!(%error, "{HOSTS} cannot be read to its end");
    }
    hosts
}

fn resolver(servers: &[SocketAddr], limit: Duration) -> Result<TokioResolver, Unresolved> {
    let (config, mut options) = if servers.is_empty() {
        system_conf::read_system_conf().unwrap_or_else(|error| {
            // As the operating system's own resolver has it.
            tracing::debug!(%error, "{RESOLV_CONF} names no name server; asking this machine's own");
            (configured(&[(Ipv4Addr::LOCALHOST, 53).into()]), ResolverOpts::default())
        })
    } else {
        (configured(servers), ResolverOpts::default())
    };
    // Room for a second question within the look-up's limit: datagrams get lost.
    options.timeout = options.timeout.min(limit * 2 / 5);
    options.cache_size = 0;
    let mut builder = TokioResolver::builder_with_config(config, TokioRuntimeProvider::default());
    *builder.options_mut() = options;
    builder.build().map_err(|error| Unresolved::Failed(format!("name servers cannot be asked: {error}")))
}

fn configured(servers: &[SocketAddr]) -> ResolverConfig {
    let on = |port: u16, mut connection: ConnectionConfig| {
        connection.port = port;
        connection
    };
    let servers = servers.iter().map(|server| {
        let mut one = NameServerConfig::udp_and_tcp(server.ip());
        let port = server.port();
        one.connections = vec![on(port, ConnectionConfig::udp()), on(port, ConnectionConfig::tcp())];
        one
    });
    ResolverConfig::from_parts(None, Vec::new(), servers.collect())
}
