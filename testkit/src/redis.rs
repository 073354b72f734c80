//! Redis servers.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, TcpStream};
use std::path::Path;
use std::process::Command;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use crate::process;
use crate::server::{Kind, Server, words};

const PACKAGE: &str = "redis-server";
const ANSWER_MAX: Duration = Duration::from_secs(5);
const DATABASES: u64 = 4096;

/// A server that syncs every write to disk before it answers.
#[derive(Debug)]
pub struct Redis {
    server: Server,
    next: AtomicU64,
}

/// One server for all tests of this process; it ends with the process.
#[must_use]
pub fn shared() -> &'static Redis {
    static SHARED: OnceLock<Redis> = OnceLock::new();
    SHARED.get_or_init(Redis::start)
}

impl Redis {
    /// Starts a server.
    #[must_use]
    pub fn start() -> Self {
        Self::start_with(&[])
    }

    /// Starts a server with more settings, which may contradict those it has otherwise: `[("appendonly", "no")]`.
    #[must_use]
    pub fn start_with(settings: &[(&str, &str)]) -> Self {
        let server = Server::launch(&kind(), |folder, port| command(folder, port, settings));
        Self { server, next: AtomicU64::new(1) }
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

    /// The URL of database 0, which all tests share: see `fresh_prefix`.
    #[must_use]
    pub fn url(&self) -> String {
        format!("redis://127.0.0.1:{}/0", self.port())
    }

    /// The URL of a database that nobody uses. There are 4095; after that, share database 0.
    #[must_use]
    pub fn fresh_database(&self) -> String {
        let number = self.number();
        assert!(number < DATABASES, "all {DATABASES} databases of this Redis were given away");
        format!("redis://127.0.0.1:{}/{number}", self.port())
    }

    /// A prefix of keys that nobody uses: `t7:`.
    #[must_use]
    pub fn fresh_prefix(&self) -> String {
        format!("t{}:", self.number())
    }

    fn number(&self) -> u64 {
        self.next.fetch_add(1, Ordering::Relaxed)
    }

    /// Runs one command in a database and returns its answer, the lines of an array one below the other.
    pub fn execute(&self, database: u64, command: &[&str]) -> String {
        let mut client = Command::new(process::program("redis-cli", "redis-tools"));
        client.args(["-h", "127.0.0.1", "-p", &self.port().to_string(), "-n", &database.to_string()]);
        client.args(["-e", "--raw"]).args(command);
        process::run(&mut client, "").unwrap_or_else(|error| panic!("Redis refused {command:?}: {error}"))
    }

    /// Kills the server, as a crash of its machine.
    pub fn kill(&self) {
        self.server.kill();
    }

    /// Shuts the server down.
    pub fn stop(&self) {
        self.server.stop("TERM");
    }

    /// Starts the server again, on the same port and data.
    pub fn start_again(&self) {
        self.server.start_again();
    }

    /// Stops the server where it is: connections stay, nothing answers.
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
        name: "Redis",
        owner: None,
        end: None,
        prepare: |_| {},
        ready,
        port_taken: "Could not create server TCP listening socket",
    }
}

/// Ready when it answers a ping. While it loads its data, it answers with an error.
fn ready(server: &Server, _pid: u32) -> bool {
    let Ok(mut connection) = TcpStream::connect((Ipv4Addr::LOCALHOST, server.port())) else { return false };
    let mut answer = [0; 5];
    let asked =
        connection.set_read_timeout(Some(ANSWER_MAX)).is_ok() && connection.write_all(b"PING\r\n").is_ok();
    asked && connection.read_exact(&mut answer).is_ok() && &answer == b"+PONG"
}

fn command(folder: &Path, port: u16, settings: &[(&str, &str)]) -> Vec<String> {
    let mut command = vec![process::program("redis-server", PACKAGE).display().to_string()];
    let (folder, port, databases) = (folder.display().to_string(), port.to_string(), DATABASES.to_string());
    let ours = [
        ("port", port.as_str()),
        ("bind", "127.0.0.1"),
        ("dir", &folder),
        ("databases", &databases),
        ("save", ""),
        ("appendonly", "yes"),
        ("appendfsync", "always"),
    ];
    for (name, value) in ours.iter().chain(settings) {
        command.extend(words(&[&format!("--{name}"), value]));
    }
    command
}
