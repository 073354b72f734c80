//! Processes: finding programs, running them, and signals for those that tests start themselves.

use std::io::Write;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// Kills a process at once, as a crash does.
pub fn kill_9(pid: u32) {
    signal(pid, "KILL");
}

/// Stops a process (SIGSTOP): it answers nothing and loses nothing, like a process that gets no processor time.
pub fn stop(pid: u32) {
    signal(pid, "STOP");
}

/// Lets a stopped process go on.
pub fn cont(pid: u32) {
    signal(pid, "CONT");
}

/// Sends a signal, by name without `SIG`. A process that is gone is no error.
pub fn signal(pid: u32, name: &str) {
    // The shell's builtin, because the program `kill` is in a package that may be missing.
    let sent = Command::new("sh")
        .args(["-c", "kill \"-$1\" \"$2\" 2>/dev/null", "kill", name, &pid.to_string()])
        .status();
    sent.unwrap_or_else(|error| panic!("cannot run sh to send SIG{name}: {error}"));
}

/// Whether a process exists and is not a zombie.
#[must_use]
pub fn is_alive(pid: u32) -> bool {
    stat(pid).is_some()
}

/// Whether a process is alive and a child of `parent`. Then the pid was not reused by another process.
pub(crate) fn is_child(pid: u32, parent: u32) -> bool {
    stat(pid) == Some(parent)
}

/// The children of a process that are alive.
pub(crate) fn children(parent: u32) -> Vec<u32> {
    let entries = std::fs::read_dir("/proc").into_iter().flatten().flatten();
    let pids = entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok());
    pids.filter(|&pid| is_child(pid, parent)).collect()
}

/// The parent of a process that is alive.
fn stat(pid: u32) -> Option<u32> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The name, in parentheses, may contain any characters.
    let mut fields = stat.rsplit_once(") ")?.1.split(' ');
    let state = fields.next()?;
    let parent = fields.next()?.parse().ok()?;
    (state != "Z").then_some(parent)
}

pub(crate) fn is_root() -> bool {
    std::fs::metadata("/proc/self").is_ok_and(|process| process.uid() == 0)
}

/// The number of the user this process runs as.
pub(crate) fn user_id() -> String {
    std::fs::metadata("/proc/self").map_or(0, |process| process.uid()).to_string()
}

/// The path of a program. Servers are in directories that are not in an ordinary user's `PATH`.
pub(crate) fn program(name: &str, package: &str) -> PathBuf {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let system = ["/usr/local/sbin", "/usr/sbin", "/sbin"].map(PathBuf::from);
    let found = std::env::split_paths(&path).chain(system).map(|folder| folder.join(name));
    found.into_iter().find(|file| file.is_file()).unwrap_or_else(|| missing(name, package))
}

pub(crate) fn missing(name: &str, package: &str) -> ! {
    panic!("`{name}` is missing: `cargo xtask setup` installs it (Debian package {package})")
}

/// Runs a client program with `input`. Returns its output without the last newline, or its error output.
pub(crate) fn run(command: &mut Command, input: &str) -> Result<String, String> {
    let failed = |command: &Command, error| format!("cannot run {:?}: {error}", command.get_program());
    let mut child = command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .map_err(|error| failed(command, error))?;
    let mut stdin = child.stdin.take().expect("stdin was asked to be a pipe");
    let input = input.to_owned();
    // A thread writes the input: a program that answers while it reads would otherwise fill its pipe and wait for us. A
    // failed write needs no report, because a program that ends early prints the reason.
    let writer = std::thread::spawn(move || stdin.write_all(input.as_bytes()));
    let output = child.wait_with_output().map_err(|error| failed(command, error))?;
    drop(writer.join());
    if !output.status.success() {
        return Err(String::from_utf8_lossy(&output.stderr).trim_end().to_owned());
    }
    Ok(String::from_utf8_lossy(&output.stdout).trim_end_matches('\n').to_owned())
}

/// Runs a program that has to succeed.
pub(crate) fn must(command: &mut Command) {
    if let Err(error) = run(command, "") {
        panic!("{command:?} failed: {error}");
    }
}

/// Copies what is in one directory into another that exists, owners and modes included.
pub(crate) fn copy(from: &Path, to: &Path) {
    must(Command::new("cp").args(["-a", "--reflink=auto"]).arg(from.join(".")).arg(to));
}
