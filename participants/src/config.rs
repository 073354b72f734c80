//! What a service needs to know to start.

use std::convert::Infallible;
use std::fmt;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::str::FromStr;
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

/// Which database a service keeps its tables in.
#[derive(Clone, PartialEq, Eq)]
pub enum Location {
    /// A file; it and its directory are created when missing.
    Sqlite(PathBuf),
    /// `postgres://user:password@host/database`
    Postgres(String),
    /// `mysql://user:password@host/database`, MariaDB too.
    MySql(String),
}

impl FromStr for Location {
    type Err = Infallible;

    /// A URL by its scheme; anything else is the path of a file.
    fn from_str(text: &str) -> Result<Self, Infallible> {
        Ok(match text.split_once(':') {
            Some(("postgres" | "postgresql", _)) => Self::Postgres(text.to_owned()),
            Some(("mysql" | "mariadb", _)) => Self::MySql(text.to_owned()),
            Some(("sqlite", path)) => Self::Sqlite(path.strip_prefix("//").unwrap_or(path).into()),
            _ => Self::Sqlite(text.into()),
        })
    }
}

impl From<PathBuf> for Location {
    fn from(path: PathBuf) -> Self {
        Self::Sqlite(path)
    }
}

impl From<&Path> for Location {
    fn from(path: &Path) -> Self {
        Self::Sqlite(path.to_owned())
    }
}

impl fmt::Display for Location {
    /// Without user name and password.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Sqlite(path) => path.display().fmt(f),
            Self::Postgres(url) | Self::MySql(url) => {
                let (scheme, rest) = url.split_once("://").unwrap_or(("", url));
                let rest = rest.split('?').next().unwrap_or(rest);
                write!(f, "{scheme}://{}", rest.rsplit_once('@').map_or(rest, |(_, host)| host))
            }
        }
    }
}

impl fmt::Debug for Location {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// How to start a service.
#[derive(Debug, Clone)]
pub struct Config {
    /// Where it listens; port 0 takes a free one.
    pub http: SocketAddr,
    /// Where its tables are.
    pub db: Location,
    /// How much commits wait for the disk; SQLite only.
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
    pub fn embedded(db: impl Into<Location>) -> Self {
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_database_is_known_by_its_scheme() {
        let rows: [(&str, Location, &str); 6] = [
            ("data/a.db", Location::Sqlite("data/a.db".into()), "data/a.db"),
            ("/data/a.db", Location::Sqlite("/data/a.db".into()), "/data/a.db"),
            ("sqlite:a.db", Location::Sqlite("a.db".into()), "a.db"),
            ("sqlite:///a.db", Location::Sqlite("/a.db".into()), "/a.db"),
            (
                "postgres://u:p@h:1/d?x=y",
                Location::Postgres("postgres://u:p@h:1/d?x=y".into()),
                "postgres://h:1/d",
            ),
            ("mysql://u:p@h/d", Location::MySql("mysql://u:p@h/d".into()), "mysql://h/d"),
        ];
        for (text, location, shown) in rows {
            let parsed: Location = text.parse().unwrap();
            assert_eq!((&parsed, parsed.to_string().as_str()), (&location, shown));
        }
    }
}
