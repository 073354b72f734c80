//! Child processes that never outlive the run, and their figures from `/proc`.

use std::collections::VecDeque;
use std::ffi::OsString;
use std::fs;
use std::io::{BufRead, BufReader, Read};
use std::net::TcpStream;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use crate::run;
use crate::wait::wait_for;

const READY_WITHIN: Duration = Duration::from_secs(30);
const TAIL_LINES_MAX: usize = 30;

/// Unit of processor time in `/proc`, independent of the kernel's tick.
const TICKS_PER_SECOND: f64 = 100.0;

/// A running program. Dropping it kills it.
pub(crate) struct Process {
    name: &'static str,
    child: Child,
    tail: Arc<Mutex<VecDeque<String>>>,
}

/// Memory of a process, in bytes.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Memory {
    /// Resident now.
    pub(crate) resident: u64,
    /// The most that was ever resident.
    pub(crate) peak: u64,
}

impl Process {
    /// Starts a server, and waits until it prints its address.
    pub(crate) fn serve(
        name: &'static str,
        program: &Path,
        args: &[OsString],
        directory: &Path,
    ) -> Result<(Self, String), String> {
        Self::serve_with(name, program, args, &[], directory)
    }

    /// As `serve`, with more variables in the environment.
    pub(crate) fn serve_with(
        name: &'static str,
        program: &Path,
        args: &[OsString],
        environment: &[(&str, &str)],
        directory: &Path,
    ) -> Result<(Self, String), String> {
        let mut command = bound_to_us(program);
        command.args(args).envs(environment.iter().copied()).current_dir(directory).stdin(Stdio::null());
        let mut child = command.spawn_piped(name)?;
        let (found, address) = channel();
        let tail = follow_both(&mut child, found);
        let process = Self { name, child, tail };
        let address = process.wait_for(&address)?;
        Ok((process, address))
    }

    /// Starts a server that is told its address and does not print it, and waits until it accepts connections.
    pub(crate) fn serve_at(
        name: &'static str,
        program: &Path,
        address: &str,
        environment: &[(&str, &str)],
        directory: &Path,
    ) -> Result<Self, String> {
        let mut command = bound_to_us(program);
        command.envs(environment.iter().copied()).current_dir(directory).stdin(Stdio::null());
        let mut child = command.spawn_piped(name)?;
        let (found, _) = channel();
        let tail = follow_both(&mut child, found);
        let mut process = Self { name, child, tail };
        let connected = wait_for(READY_WITHIN, || {
            process.ensure_running()?;
            Ok(TcpStream::connect(address).map_err(|error| error.to_string()))
        });
        match connected {
            Ok(_) => Ok(process),
            Err(error) => Err(format!("{name}: {error}; its last words:\n{}", process.last_words())),
        }
    }

    fn wait_for(&self, address: &Receiver<String>) -> Result<String, String> {
        address.recv_timeout(READY_WITHIN).map_err(|error| {
            let what = match error {
                RecvTimeoutError::Timeout => "did not say where it listens within 30 s",
                RecvTimeoutError::Disconnected => "ended before it said where it listens",
            };
            format!("{} {what}; its last words:\n{}", self.name, self.last_words())
        })
    }

    /// Starts a program whose whole output is its result.
    pub(crate) fn start(name: &'static str, program: &Path, args: &[OsString]) -> Result<Self, String> {
        let mut command = bound_to_us(program);
        let child = command.args(args).stdin(Stdio::null()).spawn_piped(name)?;
        Ok(Self { name, child, tail: Arc::default() })
    }

    /// Waits for the program to end; returns what it printed and the processor seconds it used.
    pub(crate) fn finish(mut self) -> Result<(String, f64), String> {
        let (mut printed, mut complained) = (String::new(), String::new());
        // These programs print one line at their end, so neither pipe can fill up while the other is read.
        if let Some(mut stdout) = self.child.stdout.take() {
            stdout.read_to_string(&mut printed).map_err(|error| format!("{}: {error}", self.name))?;
        }
        if let Some(mut stderr) = self.child.stderr.take() {
            stderr.read_to_string(&mut complained).map_err(|error| format!("{}: {error}", self.name))?;
        }
        // A process that has ended keeps its figures until it is waited for.
        let seconds = self.cpu_seconds()?;
        let status = self.child.wait().map_err(|error| format!("{}: {error}", self.name))?;
        if status.success() {
            Ok((printed, seconds))
        } else {
            Err(format!("{} failed ({status}): {complained}", self.name))
        }
    }

    /// Fails with the last lines of its output if the process has ended.
    pub(crate) fn ensure_running(&mut self) -> Result<(), String> {
        match self.child.try_wait() {
            Ok(None) => Ok(()),
            Ok(Some(status)) => {
                Err(format!("{} has ended ({status}); its last words:\n{}", self.name, self.last_words()))
            }
            Err(error) => Err(format!("{}: {error}", self.name)),
        }
    }

    /// Processor time used so far, in user and kernel.
    pub(crate) fn cpu_seconds(&self) -> Result<f64, String> {
        let stat = self.proc("stat")?;
        cpu_seconds(&stat).ok_or_else(|| format!("{}: cannot read its /proc stat: {stat}", self.name))
    }

    /// Processor time used so far by the process and all its descendants, those that have ended included.
    pub(crate) fn family_cpu_seconds(&self) -> Result<f64, String> {
        let own = self.proc("stat")?;
        let entries = fs::read_dir("/proc").map_err(|error| format!("/proc: {error}"))?;
        // A process that ends meanwhile has no file any more. Its parent has its time then.
        let stats = entries.flatten().filter_map(|entry| fs::read_to_string(entry.path().join("stat")).ok());
        let stats: Vec<String> = stats.collect();
        let seconds = family_cpu_seconds(self.child.id(), &stats);
        seconds.ok_or_else(|| format!("{}: cannot read its /proc stat: {own}", self.name))
    }

    /// Resident memory, now and at its highest.
    pub(crate) fn memory(&self) -> Result<Memory, String> {
        let status = self.proc("status")?;
        memory(&status).ok_or_else(|| format!("{}: no memory figures in its /proc status", self.name))
    }

    /// Lets the peak of the memory begin anew. Where the kernel refuses this, the peak is that since the start.
    pub(crate) fn forget_peak(&self) {
        let _ = fs::write(format!("/proc/{}/clear_refs", self.child.id()), "5");
    }

    fn proc(&self, file: &str) -> Result<String, String> {
        let path = format!("/proc/{}/{file}", self.child.id());
        fs::read_to_string(&path).map_err(|error| {
            format!("{} is gone ({path}: {error}); its last words:\n{}", self.name, self.last_words())
        })
    }

    fn last_words(&self) -> String {
        let tail = self.tail.lock().unwrap_or_else(PoisonError::into_inner);
        if tail.is_empty() {
            return "  (none)".to_owned();
        }
        tail.iter().map(|line| format!("  {line}\n")).collect()
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // Both fail only if the process is gone already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// `Command::spawn` with both outputs piped and an error that names the program.
trait SpawnPiped {
    fn spawn_piped(&mut self, name: &str) -> Result<Child, String>;
}

impl SpawnPiped for Command {
    fn spawn_piped(&mut self, name: &str) -> Result<Child, String> {
        self.stdout(Stdio::piped()).stderr(Stdio::piped());
        self.spawn().map_err(|error| format!("cannot start {name} (`{}`): {error}", run::show(self)))
    }
}

/// A command for `program` that the kernel kills when this process dies in any way. Without `setpriv`, only `Drop` and
/// the terminal's signals end it.
fn bound_to_us(program: &Path) -> Command {
    if run::succeeds(Command::new("setpriv").args(["--pdeathsig", "KILL", "true"])) {
        let mut command = Command::new("setpriv");
        command.args(["--pdeathsig", "KILL"]).arg(program);
        return command;
    }
    Command::new(program)
}

/// Follows both outputs of a program; returns where their last lines are kept.
fn follow_both(child: &mut Child, found: Sender<String>) -> Arc<Mutex<VecDeque<String>>> {
    let tail = Arc::default();
    if let Some(stdout) = child.stdout.take() {
        follow(stdout, Arc::clone(&tail), found.clone());
    }
    if let Some(stderr) = child.stderr.take() {
        follow(stderr, Arc::clone(&tail), found);
    }
    tail
}

/// Reads a pipe to its end, keeps its last lines, and reports the address it finds.
fn follow(pipe: impl Read + Send + 'static, tail: Arc<Mutex<VecDeque<String>>>, found: Sender<String>) {
    thread::spawn(move || {
        // The sender is dropped after its use, so that the receiver notices if no address can come any more.
        let mut found = Some(found);
        for line in BufReader::new(pipe).lines().map_while(Result::ok) {
            if let Some(address) = listening_address(&line)
                && let Some(found) = found.take()
            {
                // The receiver is gone if the other pipe was faster.
                let _ = found.send(address);
            }
            let mut tail = tail.lock().unwrap_or_else(PoisonError::into_inner);
            if tail.len() == TAIL_LINES_MAX {
                tail.pop_front();
            }
            tail.push_back(line);
        }
    });
}

/// `http://127.0.0.1:PORT` in a line that says `listening on`.
fn listening_address(line: &str) -> Option<String> {
    let (_, after) = line.split_once("listening on")?;
    let (_, address) = after.split_once("http://127.0.0.1:")?;
    let port: String = address.chars().take_while(char::is_ascii_digit).collect();
    (!port.is_empty()).then(|| format!("http://127.0.0.1:{port}"))
}

/// Time of a process and its descendants, from the `stat` of all processes.
fn family_cpu_seconds(ancestor: u32, stats: &[String]) -> Option<f64> {
    let mut members = vec![ancestor];
    let mut next = 0;
    while let Some(&parent) = members.get(next) {
        members.extend(stats.iter().filter_map(|stat| child_of(stat, parent)));
        next += 1;
    }
    let ticks = stats.iter().filter_map(|stat| {
        let pid = stat.split_whitespace().next()?.parse().ok()?;
        members.contains(&pid).then(|| times(stat))
    });
    let ticks: Option<Vec<[f64; 4]>> = ticks.collect();
    let ticks = ticks.filter(|ticks| !ticks.is_empty())?;
    Some(ticks.iter().flatten().sum::<f64>() / TICKS_PER_SECOND)
}

/// The process's number, if `parent` is its parent.
fn child_of(stat: &str, parent: u32) -> Option<u32> {
    let (_, fields) = stat.rsplit_once(')')?;
    let found: u32 = fields.split_whitespace().nth(1)?.parse().ok()?;
    if found == parent { stat.split_whitespace().next()?.parse().ok() } else { None }
}

/// Ticks of a process: user, kernel, and the same of the children that have ended.
fn times(stat: &str) -> Option<[f64; 4]> {
    let (_, fields) = stat.rsplit_once(')')?;
    let mut ticks = fields.split_whitespace().skip(11).map_while(|field| field.parse().ok());
    Some([ticks.next()?, ticks.next()?, ticks.next()?, ticks.next()?])
}

/// User and kernel time from `/proc/PID/stat`. The program's name, in parentheses, may contain any characters.
fn cpu_seconds(stat: &str) -> Option<f64> {
    let [user, kernel, ..] = times(stat)?;
    Some((user + kernel) / TICKS_PER_SECOND)
}

fn memory(status: &str) -> Option<Memory> {
    let bytes = |key: &str| -> Option<u64> {
        let line = status.lines().find_map(|line| line.strip_prefix(key))?;
        let kib: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
        Some(kib * 1024)
    };
    Some(Memory { resident: bytes("VmRSS:")?, peak: bytes("VmHWM:")? })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_address_is_found_in_plain_and_structured_lines() {
        for line in [
            "listening on http://127.0.0.1:36789",
            r#"{"level":"INFO","message":"listening on http://127.0.0.1:36789","store":"sqlite"}"#,
            "2026 \u{1b}[32mINFO\u{1b}[0m listening on \u{1b}[1mhttp://127.0.0.1:36789/\u{1b}[0m",
        ] {
            assert_eq!(listening_address(line).as_deref(), Some("http://127.0.0.1:36789"), "{line}");
        }
        for line in
            ["calling http://127.0.0.1:1", "listening on http://127.0.0.1:", "listening on 10.0.0.1:80"]
        {
            assert_eq!(listening_address(line), None, "{line}");
        }
    }

    #[test]
    fn processor_time_is_read_past_any_program_name() {
        let stat = "12 (a) b) c) S 1 2 3 4 5 6 7 8 9 10 150 50 0 0 20";
        assert_eq!(cpu_seconds(stat), Some(2.0));
        assert_eq!(cpu_seconds("nonsense"), None);
    }

    #[test]
    fn the_time_of_a_family_includes_its_dead() {
        let stat = |pid, parent, ticks: [u32; 4]| {
            let [user, kernel, dead_user, dead_kernel] = ticks;
            format!("{pid} (x) S {parent} 2 3 4 5 6 7 8 9 10 {user} {kernel} {dead_user} {dead_kernel} 20")
        };
        let stats = [
            stat(12, 11, [100, 0, 0, 0]),
            stat(10, 1, [50, 50, 0, 0]),
            stat(11, 10, [0, 0, 100, 100]),
            stat(13, 1, [900, 0, 0, 0]),
        ];
        assert_eq!(family_cpu_seconds(10, &stats), Some(4.0));
        assert_eq!(family_cpu_seconds(99, &stats), None);
    }

    #[test]
    fn memory_is_read_in_bytes() {
        let status = "Name:\tx\nVmHWM:\t    2048 kB\nVmRSS:\t    1024 kB\n";
        assert_eq!(memory(status), Some(Memory { resident: 1 << 20, peak: 2 << 20 }));
        assert_eq!(memory("Name:\tx\n"), None);
    }

    #[test]
    fn a_program_that_ends_early_is_reported_with_its_last_words() {
        let args = ["-c".into(), "echo no such store >&2; exit 3".into()];
        let error = Process::serve("the server", Path::new("sh"), &args, Path::new(".")).err().unwrap();
        assert!(error.starts_with("the server ended before it said where it listens"), "{error}");
        assert!(error.contains("no such store"), "{error}");
    }

    #[test]
    fn a_server_that_ended_is_not_running() {
        let args = ["-c".into(), "echo listening on http://127.0.0.1:1; read line".into()];
        let (mut process, _) = Process::serve("the server", Path::new("sh"), &args, Path::new(".")).unwrap();
        process.child.wait().unwrap();
        assert!(process.ensure_running().unwrap_err().starts_with("the server has ended"));
    }

    #[test]
    fn a_dropped_process_is_dead() {
        let args =
            ["-c".into(), "echo listening on http://127.0.0.1:1; exec cat /dev/zero >/dev/null".into()];
        let (process, address) =
            Process::serve("the server", Path::new("sh"), &args, Path::new(".")).unwrap();
        assert_eq!(address, "http://127.0.0.1:1");
        assert!(process.memory().unwrap().resident > 0);
        let proc = format!("/proc/{}", process.child.id());
        assert!(Path::new(&proc).exists());
        drop(process);
        assert!(!Path::new(&proc).exists());
    }
}
