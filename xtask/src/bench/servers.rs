//! Starts the servers that a scenario needs: participants, the null coordinator, Trine itself, and databases.

use std::ffi::OsString;
use std::fs;
use std::path::PathBuf;
use std::rc::Rc;

use super::Bench;
use super::http;
use super::subject::{Kind, Subject};
use crate::process::Process;
use crate::server::Server;

/// Where a coordinator keeps its journal.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Store {
    Sqlite,
    /// A server that the bench starts, at its durable defaults.
    Started(Product),
    /// An empty database of a server that somebody else runs.
    Url(String),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Product {
    Postgres,
    MariaDb,
    MySql,
}

impl Product {
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Postgres => "PostgreSQL",
            Self::MariaDb => "MariaDB",
            Self::MySql => "MySQL",
        }
    }
}

impl Store {
    /// A product's name, or a URL.
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        match text {
            "sqlite" => Ok(Self::Sqlite),
            "postgres" => Ok(Self::Started(Product::Postgres)),
            "mariadb" => Ok(Self::Started(Product::MariaDb)),
            "mysql" => Ok(Self::Started(Product::MySql)),
            url if url.contains(':') => Ok(Self::Url(url.to_owned())),
            _ => Err("sqlite, postgres, mariadb, mysql, or a URL".to_owned()),
        }
    }

    pub(super) fn name(&self) -> &str {
        match self {
            Self::Sqlite => "SQLite",
            Self::Started(product) => product.name(),
            Self::Url(_) => "the given store",
        }
    }
}

impl Bench {
    /// A participant that answers every call at once, or hangs while it is told to.
    pub(super) fn start_participant(&self) -> Result<Server, String> {
        self.start("the participant", "bench-participant", &[])
    }

    /// A coordinator that calls the participant and remembers nothing.
    pub(super) fn start_null(&self, participant: &Server) -> Result<Subject, String> {
        let server =
            self.start("the null coordinator", "bench-null", &["--participant", &participant.url])?;
        Ok(Subject { kind: Kind::Null, url: server.url.clone(), server: Some(server), database: None })
    }

    /// Trine on the store that was asked for. `scenario` names a new SQLite database.
    pub(super) fn start_trine(&self, scenario: &str) -> Result<Subject, String> {
        self.start_trine_on(&self.store, scenario)
    }

    pub(super) fn start_trine_on(&self, store: &Store, scenario: &str) -> Result<Subject, String> {
        let (url, database) = self.database(store, scenario)?;
        self.start_trine_at(&url, database, None)
    }

    /// Trine on PostgreSQL behind a proxy that holds each request for so long.
    pub(super) fn start_delayed(&self, write_ms: u64) -> Result<Subject, String> {
        let server = self.database_server(Product::Postgres)?;
        http::get(&format!("{}/delay/{write_ms}", server.url))?;
        let url = http::get(&format!("{}/delayed", server.url))?;
        self.start_trine_at(&url, Some(server), None)
    }

    /// Trine on the database with this URL.
    pub(super) fn start_trine_at(
        &self,
        store: &str,
        database: Option<Rc<Server>>,
        name: Option<&str>,
    ) -> Result<Subject, String> {
        let mut args = vec!["serve", "--store", store, "--http", "127.0.0.1:0", "--grpc", "off"];
        args.extend(name.into_iter().flat_map(|name| ["--name", name]));
        let server = Server::start("trine", &self.trine, &args, self.scratch.path())?;
        Ok(Subject { kind: Kind::Trine, url: server.url.clone(), server: Some(server), database })
    }

    /// The URL of a new database, and the program that runs its server. `scenario` names a SQLite file.
    pub(super) fn database(
        &self,
        store: &Store,
        scenario: &str,
    ) -> Result<(String, Option<Rc<Server>>), String> {
        match store {
            Store::Sqlite => Ok((format!("sqlite:{}", self.new_file(scenario)?.display()), None)),
            Store::Url(url) => Ok((url.clone(), None)),
            Store::Started(product) => {
                let server = self.database_server(*product)?;
                let url = http::get(&format!("{}/database", server.url))?;
                Ok((url, Some(server)))
            }
        }
    }

    fn new_file(&self, scenario: &str) -> Result<PathBuf, String> {
        let directory = self.scratch.path().join(scenario.replace(' ', "-"));
        fs::create_dir(&directory).map_err(|error| format!("{}: {error}", directory.display()))?;
        Ok(directory.join("trine.db"))
    }

    /// The one server of this product, started at its first use.
    fn database_server(&self, product: Product) -> Result<Rc<Server>, String> {
        if let Some(server) = self.databases.borrow().get(&product) {
            return Ok(Rc::clone(server));
        }
        eprintln!("starting {}", product.name());
        let program = self.programs.join("bench-store");
        let (kind, environment): (&str, &[(&str, &str)]) = match product {
            Product::Postgres => ("postgres", &[]),
            Product::MariaDb => ("mariadb", &[("TESTKIT_MYSQL", "mariadb")]),
            Product::MySql => ("mariadb", &[("TESTKIT_MYSQL", "mysql")]),
        };
        let (process, url) = Process::serve_with(
            "the database",
            &program,
            &[OsString::from(kind)],
            environment,
            self.scratch.path(),
        )?;
        let server = Rc::new(Server { process, url });
        self.databases.borrow_mut().insert(product, Rc::clone(&server));
        Ok(server)
    }

    fn start(&self, name: &'static str, program: &str, args: &[&str]) -> Result<Server, String> {
        Server::start(name, &self.programs.join(program), args, self.scratch.path())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_store_is_a_product_or_a_url() {
        assert_eq!(Store::parse("mariadb"), Ok(Store::Started(Product::MariaDb)));
        assert_eq!(Store::parse("postgres://u@h/db"), Ok(Store::Url("postgres://u@h/db".to_owned())));
        assert_eq!(Store::parse("sqlite").unwrap().name(), "SQLite");
        assert!(Store::parse("oracle").is_err());
    }
}
