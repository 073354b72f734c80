//! The folder of a server, and the small shell process that keeps both folder and server from outliving this process.
//!
//! Destructors do not run in a process that is killed, and a parent death signal needs `unsafe`, which is forbidden here. So
//! every server is a child of a shell that reads from a pipe. Only this process writes to the pipe (std opens it
//! close-on-exec). When this process ends, in whatever way, the pipe closes, and the shell kills the server and removes the
//! folder.

use std::io::{BufRead, BufReader, Write};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

const SCRIPT: &str = include_str!("keeper.sh");

/// A folder with at most one server in it. Dropping it kills the server and removes the folder.
#[derive(Debug)]
pub(crate) struct Keeper {
    shell: Child,
    /// `None` once closed. The closed pipe tells the shell to finish.
    commands: Option<ChildStdin>,
    answers: BufReader<ChildStdout>,
    folder: PathBuf,
}

impl Keeper {
    /// Makes a new folder. With an `owner`, the folder is given to that user. `end` names the signal at which the server
    /// ends at once together with its children, unless it has none.
    pub(crate) fn new(owner: Option<&str>, end: Option<&str>) -> Self {
        let mut shell = Command::new("sh")
            .args(["-c", SCRIPT, "keeper"])
            .arg(parent(owner.is_some()))
            .args([owner.unwrap_or_default(), end.unwrap_or_default()])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .process_group(0)
            .spawn()
            .unwrap_or_else(|error| panic!("cannot start sh, which keeps the servers of tests: {error}"));
        let commands = shell.stdin.take();
        let answers = BufReader::new(shell.stdout.take().expect("stdout was asked to be a pipe"));
        let mut keeper = Self { shell, commands, answers, folder: PathBuf::new() };
        keeper.folder = PathBuf::from(keeper.answer());
        keeper
    }

    /// The folder, which is the working directory of the server.
    pub(crate) fn folder(&self) -> &Path {
        &self.folder
    }

    /// The shell, which is the ancestor of all processes of the server.
    pub(crate) fn pid(&self) -> u32 {
        self.shell.id()
    }

    /// Starts a program; its output goes to `log` in the folder. Returns its process id.
    pub(crate) fn start(&mut self, command: &[String]) -> u32 {
        let quoted: Vec<String> = command.iter().map(|word| quote(word)).collect();
        let answer = self.ask(&format!("start {}", quoted.join(" ")));
        answer.parse().unwrap_or_else(|_| panic!("the keeper answered `{answer}` instead of a process id"))
    }

    /// Sends a signal to every process of the server.
    pub(crate) fn signal_all(&mut self, signal: &str) {
        self.ask(&format!("signal {signal}; echo done"));
    }

    /// Kills every process of the server at once and returns when all are dead.
    pub(crate) fn crash(&mut self) {
        self.ask("crash; echo done");
    }

    /// Waits until the server has ended and released its resources.
    pub(crate) fn wait(&mut self) {
        self.ask("wait; echo done");
    }

    /// The end of the server's log, for error messages.
    pub(crate) fn log(&self) -> String {
        let bytes = std::fs::read(self.folder.join("log")).unwrap_or_default();
        String::from_utf8_lossy(&bytes).into_owned()
    }

    fn ask(&mut self, line: &str) -> String {
        let commands = self.commands.as_mut().expect("commands are closed only on drop");
        writeln!(commands, "{line}")
            .unwrap_or_else(|error| panic!("the keeper of a server is gone: {error}"));
        self.answer()
    }

    fn answer(&mut self) -> String {
        let mut line = String::new();
        match self.answers.read_line(&mut line) {
            Ok(count) if count > 0 => line.trim_end().to_owned(),
            other => {
                panic!("the keeper of a server gave no answer ({other:?}); is {:?} writable?", parent(false))
            }
        }
    }
}

impl Drop for Keeper {
    fn drop(&mut self) {
        drop(self.commands.take());
        // An error here cannot be handled.
        let _ = self.shell.wait();
    }
}

/// The parent of the folders. A server that runs as another user must be able to enter it, and the path of a socket must fit into
/// 107 bytes. If the directory for temporary files does not meet both, /tmp is used.
fn parent(other_user: bool) -> PathBuf {
    let temporary = std::env::temp_dir();
    let long = temporary.as_os_str().len() > 60;
    if long || (other_user && !is_open_to_all(&temporary)) { PathBuf::from("/tmp") } else { temporary }
}

fn is_open_to_all(directory: &Path) -> bool {
    use std::os::unix::fs::PermissionsExt;
    let open =
        |path: &Path| std::fs::metadata(path).is_ok_and(|found| found.permissions().mode() & 0o001 != 0);
    directory.ancestors().all(open)
}

/// One word for the shell. The keeper reads line by line, so a word cannot span lines.
fn quote(word: &str) -> String {
    assert!(!word.contains('\n'), "an argument of a server has one line: {word:?}");
    format!("'{}'", word.replace('\'', r"'\''"))
}
