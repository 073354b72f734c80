//! PostgreSQL servers, alone and in pairs: the newest that is installed, or the one whose programs are in the folder that
//! `TESTKIT_POSTGRES` names.

mod pair;

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::owner::Owner;
use crate::process;
use crate::server::{Kind, Server, words};
use crate::template;

pub use pair::Pair;

const PACKAGE: &str = "postgresql";
const USER: &str = "user";
const PASSWORD: &str = "password";
const OWNER: Owner = Owner("postgres");

/// A server with full durability and room for 300 connections.
#[derive(Debug)]
pub struct Postgres {
    server: Server,
    databases: AtomicU64,
}

/// One server for all tests of this process; it ends with the process.
#[must_use]
pub fn shared() -> &'static Postgres {
    static SHARED: OnceLock<Postgres> = OnceLock::new();
    SHARED.get_or_init(Postgres::start)
}

impl Postgres {
    /// Starts a server.
    #[must_use]
    pub fn start() -> Self {
        Self::start_with(&[])
    }

    /// Starts a server with more settings, which may contradict those it has otherwise: `[("fsync", "off")]`.
    #[must_use]
    pub fn start_with(settings: &[(&str, &str)]) -> Self {
        Self::of(Server::launch(&kind(), |folder, port| command(folder, port, settings)))
    }

    fn of(server: Server) -> Self {
        Self { server, databases: AtomicU64::new(1) }
    }

    /// The port, on 127.0.0.1.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.server.port()
    }

    /// The server's folder. Its log is `log` in there.
    #[must_use]
    pub fn folder(&self) -> &Path {
        self.server.folder()
    }

    /// The URL of a database. The user may do everything.
    #[must_use]
    pub fn url(&self, database: &str) -> String {
        format!("postgres://{USER}:{PASSWORD}@127.0.0.1:{}/{database}", self.port())
    }

    /// Creates an empty database and returns its URL.
    #[must_use]
    pub fn fresh_database(&self) -> String {
        self.url(&self.create_database())
    }

    fn create_database(&self) -> String {
        let name = format!("db_{}", self.databases.fetch_add(1, Ordering::Relaxed));
        // Nobody can connect to template0, so several databases can be created from it at once.
        self.execute("postgres", &format!("CREATE DATABASE {name} TEMPLATE template0"));
        name
    }

    /// Runs SQL in a database. Returns the rows: columns between tabs, rows between newlines, no heading.
    pub fn execute(&self, database: &str, sql: &str) -> String {
        self.try_execute(database, sql).unwrap_or_else(|error| panic!("PostgreSQL refused `{sql}`: {error}"))
    }

    /// As `execute`, but an error is returned.
    pub fn try_execute(&self, database: &str, sql: &str) -> Result<String, String> {
        let mut psql = Command::new(program("psql"));
        psql.args([
            "-X",
            "-q",
            "-A",
            "-t",
            "-F",
            "\t",
            "-v",
            "ON_ERROR_STOP=1",
            "-h",
            "127.0.0.1",
            "-U",
            USER,
        ]);
        psql.args(["-p", &self.port().to_string(), "-d", database, "-f", "-"]);
        psql.env("PGPASSWORD", PASSWORD).env("PGCONNECT_TIMEOUT", "30").env_remove("PGOPTIONS");
        process::run(&mut psql, sql)
    }

    /// Ends every other connection to a database, as an administrator or a failing network does.
    pub fn terminate_connections(&self, database: &str) {
        self.execute(
            "postgres",
            &format!("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{database}'"),
        );
    }

    /// Kills all processes of the server at once, as a crash of its machine.
    pub fn kill(&self) {
        self.server.kill();
    }

    /// Shuts the server down, ending its connections.
    pub fn stop(&self) {
        self.server.stop("INT");
    }

    /// Starts the server again, on the same port and data.
    pub fn start_again(&self) {
        self.server.start_again();
    }

    /// Stops all processes of the server where they are: connections stay, nothing answers.
    pub fn pause(&self) {
        self.server.signal_all("STOP");
    }

    /// Goes on after `pause`.
    pub fn resume(&self) {
        self.server.signal_all("CONT");
    }
}

fn kind() -> Kind {
    Kind {
        name: "PostgreSQL",
        owner: OWNER.other(),
        end: Some("QUIT"),
        prepare: |folder| {
            let data = data(folder);
            OWNER.create_dir(&data);
            template::fill(&data, &template_name(), OWNER, || initialise(&data));
        },
        ready,
        port_taken: "could not bind IPv4 address",
    }
}

/// Ready when the last line of the server's pid file says so.
fn ready(server: &Server, pid: u32) -> bool {
    let status = std::fs::read_to_string(data(server.folder()).join("postmaster.pid")).unwrap_or_default();
    let lines: Vec<&str> = status.lines().map(str::trim).collect();
    // Compare the pid, because the file of a server that was killed is still there.
    lines.first() == Some(&pid.to_string().as_str()) && lines.get(7) == Some(&"ready")
}

fn command(folder: &Path, port: u16, settings: &[(&str, &str)]) -> Vec<String> {
    let mut command = OWNER.command();
    command.push(program("postgres").display().to_string());
    command.extend(words(&["-D", &data(folder).display().to_string()]));
    let socket = folder.display().to_string();
    let port = port.to_string();
    let ours = [
        ("port", port.as_str()),
        ("listen_addresses", "127.0.0.1"),
        ("unix_socket_directories", &socket),
        ("max_connections", "300"),
        ("fsync", "on"),
        ("full_page_writes", "on"),
        ("synchronous_commit", "on"),
    ];
    for (name, value) in ours.iter().chain(settings) {
        command.extend(["-c".to_owned(), format!("{name}={value}")]);
    }
    command
}

fn initialise(data: &Path) {
    let initdb = program("initdb").display().to_string();
    let data = data.display().to_string();
    // No passwords, because checking one takes time in every connection of every test.
    OWNER.run(&words(&[&initdb, "-U", USER, "-A", "trust", "-E", "UTF8", "--locale=C", "-D", &data]), "");
}

fn data(folder: &Path) -> PathBuf {
    folder.join("data")
}

fn template_name() -> String {
    let version = process::run(Command::new(program("postgres")).arg("--version"), "");
    let version = version.unwrap_or_else(|error| panic!("PostgreSQL does not say its version: {error}"));
    let number = version.split_whitespace().nth(2).unwrap_or("unknown").to_owned();
    format!("postgres-{number}")
}

/// The path of a program of the newest PostgreSQL. Debian keeps one folder for each version, outside of `PATH`. The folder in
/// `TESTKIT_POSTGRES` need not have the client's programs.
fn program(name: &str) -> PathBuf {
    let named = std::env::var_os("TESTKIT_POSTGRES").map(|folder| PathBuf::from(folder).join(name));
    if let Some(file) = named.filter(|file| file.is_file()) {
        return file;
    }
    let mut versions: Vec<(u32, PathBuf)> = std::fs::read_dir("/usr/lib/postgresql")
        .into_iter()
        .flatten()
        .flatten()
        .filter_map(|entry| {
            Some((entry.file_name().to_str()?.parse().ok()?, entry.path().join("bin").join(name)))
        })
        .filter(|(_, file)| file.is_file())
        .collect();
    versions.sort();
    versions.pop().map_or_else(|| process::program(name, PACKAGE), |(_, file)| file)
}
