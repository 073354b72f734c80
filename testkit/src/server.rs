//! The parts that all servers share: a keeper, a port, a command; start, crash, pause and stop.

use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crate::keeper::Keeper;
use crate::ports::Reserved;
use crate::{process, wait};

const START_MAX: Duration = Duration::from_secs(90);
const STOP_MAX: Duration = Duration::from_secs(60);
/// How often another port is tried when the first one is taken.
const PORTS_MAX: u32 = 5;
const LOG_LINES_MAX: usize = 40;

/// The properties of one kind of server.
pub(crate) struct Kind {
    /// The name in error messages.
    pub(crate) name: &'static str,
    /// The owner of its folder, if that is not the present user.
    pub(crate) owner: Option<&'static str>,
    /// The signal at which it ends at once together with its children; `None` if it has no children.
    pub(crate) end: Option<&'static str>,
    /// Makes the data directory in the folder.
    pub(crate) prepare: fn(&Path),
    /// Whether the process with this id is ready. Called repeatedly.
    pub(crate) ready: fn(&Server, u32) -> bool,
    /// The text in the log when the port was taken.
    pub(crate) port_taken: &'static str,
}

/// One server in a folder of its own.
#[derive(Debug)]
pub(crate) struct Server {
    name: &'static str,
    ready: fn(&Self, u32) -> bool,
    port: Reserved,
    folder: PathBuf,
    command: Vec<String>,
    running: Mutex<Running>,
}

#[derive(Debug)]
struct Running {
    keeper: Keeper,
    pid: Option<u32>,
}

impl Server {
    /// Makes a server and starts it. `command` gives the program and its arguments, from the folder and the port.
    pub(crate) fn launch(kind: &Kind, command: impl Fn(&Path, u16) -> Vec<String>) -> Self {
        let mut last = String::new();
        for _ in 0..PORTS_MAX {
            let server = Self::prepare(kind, &command);
            match server.try_start() {
                Ok(()) => return server,
                Err(log) if log.contains(kind.port_taken) => last = log,
                Err(log) => panic!("{} did not start; the end of its log:\n{log}", kind.name),
            }
        }
        panic!("{} found no free port; the end of its log:\n{last}", kind.name);
    }

    /// Makes a server without starting it.
    pub(crate) fn prepare(kind: &Kind, command: impl Fn(&Path, u16) -> Vec<String>) -> Self {
        let port = Reserved::pick();
        let keeper = Keeper::new(kind.owner, kind.end);
        let folder = keeper.folder().to_owned();
        (kind.prepare)(&folder);
        let command = command(&folder, port.port());
        let running = Mutex::new(Running { keeper, pid: None });
        Self { name: kind.name, ready: kind.ready, port, folder, command, running }
    }

    pub(crate) fn port(&self) -> u16 {
        self.port.port()
    }

    pub(crate) fn folder(&self) -> &Path {
        &self.folder
    }

    /// Starts the server and returns when it answers, or with the end of its log when it ended instead.
    pub(crate) fn try_start(&self) -> Result<(), String> {
        let pid = self.spawn(&[]);
        self.wait_until_ready(pid)
    }

    /// Starts the process, with more arguments than its command has, and does not wait.
    pub(crate) fn spawn(&self, more: &[String]) -> u32 {
        let mut running = self.running();
        let command = [self.command.as_slice(), more].concat();
        let pid = running.keeper.start(&command);
        running.pid = Some(pid);
        pid
    }

    /// Returns when the server answers, or with the end of its log when it ended instead.
    pub(crate) fn wait_until_ready(&self, pid: u32) -> Result<(), String> {
        let mut ready = false;
        let settled = wait::until(START_MAX, || {
            ready = (self.ready)(self, pid);
            ready || !self.is_running()
        });
        if settled && ready { Ok(()) } else { Err(self.log_tail()) }
    }

    /// Starts the server again after it was killed or stopped.
    pub(crate) fn start_again(&self) {
        assert!(!self.is_running(), "{} is running already", self.name);
        if let Err(log) = self.try_start() {
            panic!("{} did not start again; the end of its log:\n{log}", self.name);
        }
    }

    /// Kills all its processes at once.
    pub(crate) fn kill(&self) {
        let mut running = self.running();
        running.keeper.crash();
        running.pid = None;
    }

    /// Stops the server with the given signal, and returns when it has ended.
    pub(crate) fn stop(&self, signal: &str) {
        let Some(pid) = self.pid() else { return };
        process::signal(pid, signal);
        assert!(
            wait::until(STOP_MAX, || !self.is_running()),
            "{} does not stop:\n{}",
            self.name,
            self.log_tail()
        );
        let mut running = self.running();
        running.keeper.wait();
        running.pid = None;
    }

    /// Sends a signal to the server's first process.
    pub(crate) fn signal(&self, signal: &str) {
        process::signal(self.pid().unwrap_or_else(|| panic!("{} is not running", self.name)), signal);
    }

    /// The server's first process, unless it was ended.
    pub(crate) fn pid(&self) -> Option<u32> {
        self.running().pid
    }

    /// Sends a signal to all processes of the server.
    pub(crate) fn signal_all(&self, signal: &str) {
        self.running().keeper.signal_all(signal);
    }

    pub(crate) fn is_running(&self) -> bool {
        let running = self.running();
        running.pid.is_some_and(|pid| process::is_child(pid, running.keeper.pid()))
    }

    pub(crate) fn log_tail(&self) -> String {
        let log = self.running().keeper.log();
        let lines: Vec<&str> = log.lines().collect();
        lines[lines.len().saturating_sub(LOG_LINES_MAX)..].join("\n")
    }

    fn running(&self) -> MutexGuard<'_, Running> {
        // A failed test may have poisoned the mutex. The state is intact.
        self.running.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Owned words for a command.
pub(crate) fn words(words: &[&str]) -> Vec<String> {
    words.iter().map(|&word| word.to_owned()).collect()
}
