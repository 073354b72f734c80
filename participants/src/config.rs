//! The settings with which a service starts.

use std::convert::Infallible;
use std::fmt;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::time::Duration;

/// How far SQLite waits for the disk when it commits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, clap::ValueEnum)]
pub enum Synchronous {
    /// A committed transaction survives a power failure. The default.
    #[default]
    Full,
    /// A power failure may lose the latest transactions. A crash of the service loses none.
    Normal,
    /// A power failure may damage the database. For tests.
    Off,
}

/// Which database a service keeps its tables in.
#[derive(Clone, PartialEq, Eq)]
pub enum Location {
    /// A file. A missing file or directory is created.
    Sqlite(PathBuf),
    /// `postgres://user:password@host/database`
    Postgres(String),
    /// `mysql://user:password@host/database`, also for MariaDB.
    MySql(String),
}

impl FromStr for Location {
    type Err = Infallible;

    /// Reads a URL by its scheme. Any other text is the path of a file.
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
    /// Leaves out user name and password.
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

/// The settings of a service.
#[derive(Debug, Clone)]
pub struct Config {
    /// The address to listen on. Port 0 takes a free port.
    pub http: SocketAddr,
    /// The database with the service's tables.
    pub db: Location,
    /// How far commits wait for the disk, on SQLite.
    pub synchronous: Synchronous,
    /// Base URLs of the coordinators to register with. If there is none, the service does not register.
    pub register: Vec<String>,
    /// The base URL to register, if it is not the address that the service listens on.
    pub advertise: Option<String>,
    /// How long a registration lasts without a heartbeat.
    pub ttl: Duration,
    /// Whether the service shares its process with others. A crash fault then breaks the connection, and the process goes on.
    pub embedded: bool,
}

impl Config {
    /// Settings for a service inside another process: a free port of 127.0.0.1, and no registration.
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
