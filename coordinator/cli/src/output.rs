//! Standard output and questions on the terminal. When the reader of a pipe has left (`| head`), the command ends silently.

use std::io::{self, BufRead, IsTerminal, Write};
use std::process::ExitCode;
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use super::failure::Failure;

/// How long writing an error may hold up the exit.
const SAID_WITHIN: Duration = Duration::from_secs(1);

/// Prints text as it is and flushes it, so that a reader at the other end of a pipe sees it now.
pub(crate) fn print(text: &str) -> Result<(), Failure> {
    let mut stdout = io::stdout().lock();
    let written = stdout.write_all(text.as_bytes()).and_then(|()| stdout.flush());
    written.map_err(|error| match error.kind() {
        io::ErrorKind::BrokenPipe => Failure::reader_gone(),
        _ => Failure::bad(format!("cannot write the output: {error}")),
    })
}

/// Prints one line.
pub(crate) fn line(text: &str) -> Result<(), Failure> {
    print(&format!("{text}\n"))
}

/// Says on standard error how the program failed, and returns its exit code.
pub fn report(failure: &Failure) -> ExitCode {
    if !failure.is_silent() {
        complain(failure.to_string());
    }
    ExitCode::from(failure.exit() as u8)
}

/// Says on standard error how a command failed. Does not wait for ever for a reader that takes nothing.
fn complain(text: String) {
    let (said, hears) = mpsc::channel();
    let say = move || {
        let _ = io::stderr().write_all(text.as_bytes());
        let _ = said.send(());
    };
    if thread::Builder::new().spawn(say).is_ok() {
        let _ = hears.recv_timeout(SAID_WITHIN);
    }
}

/// Whether somebody is there to answer a question.
pub(crate) fn can_ask() -> bool {
    io::stdin().is_terminal() && io::stderr().is_terminal()
}

/// Asks on the terminal; only the word `yes` counts as one. Blocks the thread: there is nothing else to do meanwhile.
pub(crate) fn confirmed(question: &str) -> Result<bool, Failure> {
    eprint!("{question} Type yes to go on: ");
    let mut answer = String::new();
    let read = io::stdin().lock().read_line(&mut answer);
    read.map_err(|error| Failure::usage(format!("no answer could be read: {error}")).hint("add --yes"))?;
    Ok(answer.trim().eq_ignore_ascii_case("yes"))
}
