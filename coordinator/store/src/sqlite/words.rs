//! SQLite's errors in words that say what to do.
//!
//! If a file reaches the limit of the process on the size of files (`ulimit -f`), SQLite only says that the disk failed. So
//! that limit is noticed here, by its signal.

use std::io;
use std::sync::atomic::{AtomicBool, Ordering};

use tokio::signal::unix::{SignalKind, signal};

use crate::{StoreError, Unfit, Why};

/// SIGXFSZ: the signal of a write past the limit. It ends a process that does not handle it.
const FILE_SIZE_SIGNAL: i32 = 25;

/// A write past the limit was tried, and no write has succeeded since.
static LIMITED: AtomicBool = AtomicBool::new(false);

/// Makes a write past the limit on file sizes fail, as on a full disk, instead of ending the process. Must be called inside
/// a tokio runtime.
pub fn outlive_file_limit() -> io::Result<()> {
    let mut reached = signal(SignalKind::from_raw(FILE_SIZE_SIGNAL))?;
    tokio::spawn(async move {
        while reached.recv().await.is_some() {
            if !LIMITED.swap(true, Ordering::SeqCst) {
                tracing::error!(
                    "a file has reached the size that this process may write (ulimit -f, LimitFSIZE): nothing is accepted \
                     until that is raised (prlimit --fsize does it without a restart)"
                );
            }
        }
    });
    Ok(())
}

/// A write has succeeded.
pub(super) fn written() {
    if LIMITED.load(Ordering::Relaxed) {
        LIMITED.store(false, Ordering::SeqCst);
    }
}

/// SQLite's message when [`super::owner::CHECK_OWNER`] fails.
pub(super) const NOT_OURS: &str = "integer overflow";

/// Whether SQLite says that the file is malformed (11) or not a database (26).
pub(super) fn is_damage(error: &sqlx::Error) -> bool {
    let code = error.as_database_error().and_then(|error| error.code()?.parse::<i32>().ok());
    code.is_some_and(|code| [11, 26].contains(&(code & 0xff)))
}

/// An error in words for the operator.
pub(super) fn of(error: &sqlx::Error) -> String {
    let code = error.as_database_error().and_then(|error| error.code()?.parse::<i32>().ok());
    let remedy = match code.map(|code| code & 0xff) {
        Some(8) => "it cannot be written to; let the user that runs Trine write the file and its folder",
        Some(10) if LIMITED.load(Ordering::SeqCst) => {
            "a file has reached the size that this process may write (ulimit -f); raise it"
        }
        Some(10) => "the disk failed; look at the system's log",
        Some(11) => "the file is damaged; `trine check` tells how far, docs/errors/TX0021.md what to do",
        Some(13) => "there is no room on the disk; make some",
        Some(26) => "it is no SQLite database; give Trine a file of its own",
        _ if error.to_string().contains(NOT_OURS) => {
            return "another process has taken this file; this one stops".to_owned();
        }
        _ => return error.to_string(),
    };
    format!("{remedy} ({error})")
}

/// The error of a read or a small write. A damaged file is not an unavailable store: asking again does not help.
pub(super) fn store_error(error: &sqlx::Error) -> StoreError {
    let detail = of(error);
    if is_damage(error) {
        StoreError::Unfit(Unfit { why: Why::Damaged, detail })
    } else {
        StoreError::Unavailable(detail)
    }
}
