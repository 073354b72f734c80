//! What a service needs to know to start.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

/// How much SQLite waits for the disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, clap::ValueEnum)]
pub enum Synchronous {
    /// A committed transaction survives a power failure. The default: this is about stock and orders.
    #[default]
    Full,
    /// A power failure may lose the last transactions; a crash of the service loses none.
    Normal,
    /// A power failure may damage the database. For tests.
    Off,
}

/// How to start a service.
#[derive(Debug, Clone)]
pub struct Config {
    /// Where it listens; port 0 takes a free one.
    pub http: SocketAddr,
    /// The database file; it and its directory are created when missing.
    pub db: PathBuf,
    /// How much commits wait for the disk.
    pub synchronous: Synchronous,
    /// The coordinators to register with, base URLs; none: it does not register.
    pub register: Vec<String>,
    /// The base URL it registers, when coordinators do not reach it under the address it listens on.
    pub advertise: Option<String>,
    /// How long a registration lasts without a heartbeat.
    pub ttl: Duration,
    /// It shares its process with others: a crash fault then breaks the connection instead of ending the process.
    pub embedded: bool,
}

impl Config {
    /// On a free port of 127.0.0.1, not registered, sharing the process.
    pub fn embedded(db: impl Into<PathBuf>) -> Self {
        Self {
            http: SocketAddr::from((Ipv4Addr::LOCALHOST, 0)),
            db: db.into(),
            synchronous: Synchronous::default(),
            register: Vec::new(),
            advertise: None,
            ttl: Duration::from_secs(30),
            embedded: true,
        }
    }
}
