//! MariaDB servers, alone and in clusters.
//!
//! With `TESTKIT_MYSQL=mysql` in the environment every server here except clusters is MySQL's own server, so that the same tests
//! run on both.

mod galera;
mod mysql;

use std::io::Read;
use std::net::{Ipv4Addr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use crate::owner::Owner;
use crate::process;
use crate::server::{Kind, Server, words};
use crate::template;

pub use galera::Galera;
pub use mysql::is_chosen as is_mysql;

const PACKAGE: &str = "mariadb-server";
const USER: &str = "user";
const PASSWORD: &str = "password";
const OWNER: Owner = Owner("mysql");
/// The user with all rights, made together with the data directory. Otherwise only a login by socket would be possible.
const USERS: &str = "\
CREATE USER 'user'@'%' IDENTIFIED BY 'password';
GRANT ALL PRIVILEGES ON *.* TO 'user'@'%' WITH GRANT OPTION;
";
const GREETING_MAX: Duration = Duration::from_secs(5);

/// A server with full durability and room for 300 connections, and otherwise the defaults of MariaDB (or MySQL).
#[derive(Debug)]
pub struct MariaDb {
    server: Server,
    databases: AtomicU64,
}

/// One server for all tests of this process; it ends with the process.
#[must_use]
pub fn shared() -> &'static MariaDb {
    static SHARED: OnceLock<MariaDb> = OnceLock::new();
    SHARED.get_or_init(MariaDb::start)
}

impl MariaDb {
    /// Starts a server.
    #[must_use]
    pub fn start() -> Self {
        Self::start_with(&[])
    }

    /// Starts a server with more settings, which may contradict those it has otherwise:
    /// `[("innodb_flush_log_at_trx_commit", "0")]`.
    #[must_use]
    pub fn start_with(settings: &[(&str, &str)]) -> Self {
        if is_mysql() {
            return Self::of(Server::launch(&mysql::KIND, |folder, port| {
                [mysql::program(folder, port), options(settings)].concat()
            }));
        }
        Self::of(Server::launch(&kind(greets), |folder, port| command(folder, port, settings)))
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
        format!("mysql://{USER}:{PASSWORD}@127.0.0.1:{}/{database}", self.port())
    }

    /// Creates an empty database and returns its URL.
    #[must_use]
    pub fn fresh_database(&self) -> String {
        self.url(&self.create_database())
    }

    fn create_database(&self) -> String {
        let name = self.next_name();
        self.execute("", &format!("CREATE DATABASE {name}"));
        name
    }

    fn next_name(&self) -> String {
        format!("db_{}", self.databases.fetch_add(1, Ordering::Relaxed))
    }

    /// Runs SQL in a database, or in none if the name is empty. Returns the rows: columns between tabs, rows between
    /// newlines, no heading.
    pub fn execute(&self, database: &str, sql: &str) -> String {
        self.try_execute(database, sql).unwrap_or_else(|error| panic!("MariaDB refused `{sql}`: {error}"))
    }

    /// As `execute`, but an error is returned.
    pub fn try_execute(&self, database: &str, sql: &str) -> Result<String, String> {
        process::run(self.client().arg(database), sql)
    }

    /// Ends every other connection to a database, as an administrator or a failing network does.
    pub fn terminate_connections(&self, database: &str) {
        let ids = self
            .execute("", &format!("SELECT id FROM information_schema.processlist WHERE db = '{database}'"));
        let kills: String = ids.lines().map(|id| format!("KILL CONNECTION {id};\n")).collect();
        // `--force`: a connection that is gone by now is no error.
        let killed = process::run(self.client().arg("--force"), &kills);
        killed.unwrap_or_else(|error| panic!("MariaDB did not end connections: {error}"));
    }

    /// Kills all processes of the server at once, as a crash of its machine.
    pub fn kill(&self) {
        self.server.kill();
    }

    /// Shuts the server down, ending its connections.
    pub fn stop(&self) {
        self.server.stop("TERM");
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

    fn client(&self) -> Command {
        client(self.port())
    }
}

fn client(port: u16) -> Command {
    let mut client = Command::new(process::program("mariadb", "mariadb-client"));
    client.args(["--no-defaults", "--protocol=tcp", "--host=127.0.0.1", "--batch", "--skip-column-names"]);
    client.args(["--raw", "--default-character-set=utf8mb4", "--connect-timeout=30"]);
    client.arg(format!("--port={port}"));
    client.arg(format!("--user={USER}")).arg(format!("--password={PASSWORD}"));
    client
}

fn kind(ready: fn(&Server, u32) -> bool) -> Kind {
    Kind {
        name: "MariaDB",
        owner: OWNER.other(),
        end: None,
        prepare: |folder| {
            let data = data(folder);
            OWNER.create_dir(&data);
            template::fill(&data, &template_name(), OWNER, || initialise(folder, &data));
        },
        ready,
        port_taken: "Can't start server: Bind on TCP/IP port",
    }
}

/// Ready when it sends its greeting to a new connection.
fn greets(server: &Server, _pid: u32) -> bool {
    let Ok(mut connection) = TcpStream::connect((Ipv4Addr::LOCALHOST, server.port())) else { return false };
    let mut greeting = [0; 5];
    let answered = connection.set_read_timeout(Some(GREETING_MAX)).is_ok();
    // Behind the length and number of the packet stands the version of the protocol.
    answered && connection.read_exact(&mut greeting).is_ok() && greeting[4] == 10
}

fn command(folder: &Path, port: u16, settings: &[(&str, &str)]) -> Vec<String> {
    [OWNER.command(), program(folder, port), options(settings)].concat()
}

fn options(settings: &[(&str, &str)]) -> Vec<String> {
    settings.iter().map(|(name, value)| format!("--{name}={value}")).collect()
}

/// The command that starts the server.
fn program(folder: &Path, port: u16) -> Vec<String> {
    let mut program = vec![process::program("mariadbd", PACKAGE).display().to_string()];
    program.extend(common(folder, port));
    program.push(LOG_SIZE.to_owned());
    program
}

/// The options that both products have.
fn common(folder: &Path, port: u16) -> Vec<String> {
    let folder_name = folder.display();
    vec![
        "--no-defaults".to_owned(),
        format!("--datadir={}", data(folder).display()),
        format!("--socket={folder_name}/socket"),
        format!("--pid-file={folder_name}/pid"),
        format!("--tmpdir={folder_name}"),
        format!("--port={port}"),
        "--bind-address=127.0.0.1".to_owned(),
        "--skip-name-resolve".to_owned(),
        "--max-connections=300".to_owned(),
        "--character-set-server=utf8mb4".to_owned(),
        "--innodb-flush-log-at-trx-commit=1".to_owned(),
        "--innodb-doublewrite=1".to_owned(),
        "--sync-binlog=1".to_owned(),
    ]
}

/// A small redo log, because the whole log is written when it is made.
const LOG_SIZE: &str = "--innodb-log-file-size=16M";

fn initialise(folder: &Path, data: &Path) {
    let install = process::program("mariadb-install-db", PACKAGE).display().to_string();
    let data = format!("--datadir={}", data.display());
    let authentication = "--auth-root-authentication-method=normal";
    let options = ["--no-defaults", "--skip-test-db", "--skip-name-resolve", LOG_SIZE, authentication, &data];
    OWNER.run(&[words(&[&install]), words(&options)].concat(), "");
    let bootstrap = [program(folder, 0), words(&["--bootstrap"])].concat();
    // The first FLUSH loads the tables of users, without which GRANT fails.
    OWNER.run(&bootstrap, &format!("FLUSH PRIVILEGES;\n{USERS}FLUSH PRIVILEGES;\n"));
}

fn data(folder: &Path) -> PathBuf {
    folder.join("data")
}

fn template_name() -> String {
    let version = process::run(Command::new(process::program("mariadbd", PACKAGE)).arg("--version"), "");
    let version = version.unwrap_or_else(|error| panic!("MariaDB does not say its version: {error}"));
    let number = version.split("Ver ").nth(1).and_then(|rest| rest.split_whitespace().next());
    format!("mariadb-{}", number.unwrap_or("unknown"))
}
