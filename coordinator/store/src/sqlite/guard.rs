//! Makes sure that one process at a time uses a database file.
//!
//! **The lock** (`flock`) is on the database file itself. Every name of the file, symbolic links and bind mounts included,
//! leads to the same lock, and nobody can remove the lock by deleting a file that looks like a leftover. The system
//! releases the lock when the process ends, however it ends. SQLite uses locks of another kind (`fcntl`). On Linux the two
//! kinds do not affect each other. Elsewhere they may, so there a file beside the database is locked instead.
//!
//! **Closing** a file releases all `fcntl` locks that the process has on it, SQLite's included. So the file is opened here
//! before SQLite opens it, and closed after SQLite has closed it. A file that this process has already must not be opened a
//! second time: such a file is recognised by its device and inode.
//!
//! **The write-ahead log** beside the database holds what was acknowledged and is not in the database yet. While a
//! connection is open, the log must stay the same file, so it is watched like the database.
//!
//! A lock that a network file system forgets is not noticed here, but by the owner's row: see `owner`.

use std::collections::BTreeSet;
use std::fs::{File, TryLockError};
use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, OnceLock, PoisonError};

/// The files that this process has.
static HELD: Mutex<BTreeSet<Number>> = Mutex::new(BTreeSet::new());

/// Device and inode: identifies a file, whatever its name.
type Number = (u64, u64);

/// Whether a file beside the database is locked instead of the database.
const BESIDE: bool = !cfg!(target_os = "linux");

/// Why a file was not taken.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum TakeError {
    /// Another store has the file, in this process or in another one.
    Held,
    /// What is wrong and what to do, as the end of a sentence.
    Unusable(String),
}

/// This process has the file, until this is released or dropped.
#[derive(Debug)]
pub(super) struct Guard {
    path: PathBuf,
    number: Number,
    locked: Mutex<Option<File>>,
    /// The path of the write-ahead log.
    log: PathBuf,
    /// Set when the log is there.
    log_number: OnceLock<Number>,
    /// The log was lost, and what it held has been copied into the database.
    log_is_saved: AtomicBool,
}

impl Guard {
    /// Takes a file. A missing file is created, with its folder.
    pub(super) fn take(path: &Path) -> Result<Self, TakeError> {
        let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
        if let Some(folder) = folder {
            std::fs::create_dir_all(folder).map_err(|error| unusable("its folder cannot be made", &error))?;
        }
        let found = std::fs::metadata(path);
        // Before `open`, which makes a missing file: an empty database beside a log of another one would cost that log.
        check_log(path, found.as_ref().is_ok_and(|found| found.len() > 0))?;
        if let Ok(found) = found {
            check(&found)?;
            // Before the file is opened, because closing it again would release the locks of the store that has it.
            if is_held(number(&found)) {
                return Err(TakeError::Held);
            }
        }
        let file = open(path).map_err(|error| unusable("the file cannot be opened for writing", &error))?;
        let found = file.metadata().map_err(|error| unusable("the file cannot be looked at", &error))?;
        // Since the first look the file may have got a second name, or this process may have taken it.
        check(&found)?;
        if is_held(number(&found)) {
            // Not closed: closing would release the locks of the other store.
            std::mem::forget(file);
            return Err(TakeError::Held);
        }
        let before = of_an_earlier_version(path)?;
        let locked = if BESIDE { lock(open_beside(path)?)? } else { lock(file)? };
        // The lock is on a file, and the name may have been given to another file before the lock was taken.
        if std::fs::metadata(path).map(|found| number(&found)).ok() != Some(number(&found)) {
            return Err(TakeError::Unusable(
                "the file was replaced while it was being opened; try again".into(),
            ));
        }
        // If it cannot be removed, nothing is wrong: the next start looks at it again.
        if let Some(beside) = before.filter(|_| !BESIDE) {
            std::fs::remove_file(beside).ok();
        }
        // After the last step that can fail: nobody would take an entry out again that has no guard.
        held().insert(number(&found));
        Ok(Self {
            path: path.to_owned(),
            number: number(&found),
            locked: Mutex::new(Some(locked)),
            log: log(path),
            log_number: OnceLock::new(),
            log_is_saved: AtomicBool::new(false),
        })
    }

    /// Watches the write-ahead log from now on. Call this when something was written, so that the log is there.
    pub(super) fn watch_log(&self) -> io::Result<()> {
        let found = std::fs::metadata(&self.log)?;
        // The first number stays. Otherwise a log that was put in its place later would become the expected one.
        self.log_number.get_or_init(|| number(&found));
        Ok(())
    }

    /// Fails if the path no longer leads to the file that this process has. What is written to a file without a name is
    /// lost, and the file that has the name now is another one.
    pub(super) fn check(&self) -> io::Result<()> {
        match std::fs::metadata(&self.path) {
            Ok(found) if number(&found) == self.number => self.check_log(),
            Ok(_) => Err(io::Error::other(format!(
                "{} was replaced by another file while it was in use; nothing is written until the first one is back",
                self.path.display()
            ))),
            Err(error) => Err(io::Error::new(
                error.kind(),
                format!(
                    "{} was removed or renamed while it was in use ({error}); nothing is written until it is back",
                    self.path.display()
                ),
            )),
        }
    }

    fn check_log(&self) -> io::Result<()> {
        let Some(expected) = self.log_number.get() else { return Ok(()) };
        let happened = match std::fs::metadata(&self.log) {
            Ok(found) if number(&found) == *expected => return Ok(()),
            Ok(_) => "replaced by another file".to_owned(),
            Err(error) => format!("removed or renamed ({error})"),
        };
        let remedy = if self.log_is_saved.load(Ordering::SeqCst) {
            "everything that was acknowledged has been copied into the database: stop this coordinator and start it again"
        } else {
            "put the same file back; or stop this coordinator with SIGTERM, which copies what was acknowledged into the \
             database, keep the file that lies there now away from it, and compare with a backup before you start it again"
        };
        Err(io::Error::other(format!(
            "{}, the write-ahead log, was {happened} while it was in use; nothing is written any more; {remedy}",
            self.log.display()
        )))
    }

    /// Whether the database is there and its write-ahead log is not. A connection that still has the log open can then copy
    /// what it holds into the database. If there is another log that is not empty, another process may have written by it,
    /// and the two must not be mixed.
    pub(super) fn may_save_log(&self) -> bool {
        // Only into the database that the log belongs to.
        let is_there = std::fs::metadata(&self.path).is_ok_and(|found| number(&found) == self.number);
        // An empty file holds no writes, so nothing is mixed.
        let replaced = std::fs::metadata(&self.log).is_ok_and(|found| found.len() > 0);
        is_there && !replaced && self.check_log().is_err() && !self.log_is_saved.load(Ordering::SeqCst)
    }

    /// What the lost write-ahead log held is in the database now.
    pub(super) fn log_was_saved(&self) {
        self.log_is_saved.store(true, Ordering::SeqCst);
    }

    /// Releases the file. Call this only when SQLite has closed it.
    pub(super) fn release(&self) {
        if self.locked.lock().unwrap_or_else(PoisonError::into_inner).take().is_some() {
            held().remove(&self.number);
        }
    }
}

impl Drop for Guard {
    fn drop(&mut self) {
        self.release();
    }
}

fn held() -> std::sync::MutexGuard<'static, BTreeSet<Number>> {
    HELD.lock().unwrap_or_else(PoisonError::into_inner)
}

fn is_held(number: Number) -> bool {
    held().contains(&number)
}

fn number(found: &std::fs::Metadata) -> Number {
    (found.dev(), found.ino())
}

fn check(found: &std::fs::Metadata) -> Result<(), TakeError> {
    if found.is_dir() {
        return Err(TakeError::Unusable("it is a folder; name a file in it, such as trine.db".into()));
    }
    if !found.is_file() {
        return Err(TakeError::Unusable("it is no ordinary file; name one on a disk".into()));
    }
    let links = found.nlink();
    if links > 1 {
        // SQLite derives the path of the write-ahead log from the name: with two names there are two logs, and one is lost.
        return Err(TakeError::Unusable(format!(
            "the file has {links} names (hard links); remove all but one"
        )));
    }
    Ok(())
}

/// Refuses a write-ahead log without a database. SQLite would delete such a log, and it may belong to a coordinator whose
/// database was moved.
fn check_log(path: &Path, has_database: bool) -> Result<(), TakeError> {
    let log = log(path);
    if has_database || !log.exists() {
        return Ok(());
    }
    Err(TakeError::Unusable(format!(
        "there is a write-ahead log, {}, and no database that it belongs to: it may hold records that were acknowledged, and \
         a coordinator may be using it still. Put the database back in its place; a new one is made only where that log is not",
        log.display()
    )))
}

/// The path of the write-ahead log: beside the file itself, also if `path` is a symbolic link.
fn log(path: &Path) -> PathBuf {
    let mut log = path.canonicalize().unwrap_or_else(|_| path.to_owned()).into_os_string();
    log.push("-wal");
    PathBuf::from(log)
}

fn open(path: &Path) -> io::Result<File> {
    // Not truncated: the file is opened before it is locked, and may be the database of another process.
    File::options().create(true).truncate(false).read(true).write(true).open(path)
}

fn lock(file: File) -> Result<File, TakeError> {
    // Without waiting: the process that has the file may keep it for months, and the operator must learn of that now.
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(TakeError::Held),
        Err(TryLockError::Error(error)) => Err(unusable("the file cannot be locked", &error)),
    }
}

fn beside(path: &Path) -> Result<PathBuf, TakeError> {
    // Symbolic links are followed, so that all names of a database lead to the same lock.
    let path = path.canonicalize().map_err(|error| unusable("its path cannot be followed", &error))?;
    let mut beside = path.into_os_string();
    beside.push(".lock");
    Ok(PathBuf::from(beside))
}

fn open_beside(path: &Path) -> Result<File, TakeError> {
    open(&beside(path)?).map_err(|error| unusable("the file beside it cannot be opened", &error))
}

/// Earlier versions locked a file beside the database. An earlier version that is running still holds that lock, so it is
/// checked; one that starts later finds tables that it does not know, and ends. Returns the file, which is not needed any
/// more.
fn of_an_earlier_version(path: &Path) -> Result<Option<PathBuf>, TakeError> {
    let beside = beside(path)?;
    match File::options().write(true).open(&beside) {
        // Where the file beside the database is the lock, the caller locks it for good.
        Ok(file) if BESIDE => drop(file),
        // Locked to see whether an earlier version runs. This version's own lock is on the database.
        Ok(file) => drop(lock(file)?),
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => {
            return Err(unusable("the lock of an earlier version beside it cannot be opened", &error));
        }
    }
    Ok(Some(beside))
}

fn unusable(what: &str, error: &io::Error) -> TakeError {
    let remedy = match error.kind() {
        io::ErrorKind::PermissionDenied => {
            "; let the user that runs Trine read and write the file, and make files in its folder"
        }
        io::ErrorKind::ReadOnlyFilesystem => "; keep it on a disk that can be written to",
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => "; make room",
        _ => "",
    };
    TakeError::Unusable(format!("{what}: {error}{remedy}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn unusable_because(taken: Result<Guard, TakeError>) -> String {
        match taken {
            Err(TakeError::Unusable(why)) => why,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_file_is_held_whatever_name_it_is_called_by() {
        let folder = tempfile::tempdir().unwrap();
        let name = |name: &str| folder.path().join(name);
        let (file, symbolic, hard) = (name("a.db"), name("b.db"), name("c.db"));
        let guard = Guard::take(&file).unwrap();
        std::os::unix::fs::symlink(&file, &symbolic).unwrap();
        assert_eq!(Guard::take(&file).err(), Some(TakeError::Held));
        assert_eq!(Guard::take(&symbolic).err(), Some(TakeError::Held));
        guard.release();
        drop(Guard::take(&symbolic).unwrap());
        std::fs::hard_link(&file, &hard).unwrap();
        for name in [&file, &hard] {
            assert!(unusable_because(Guard::take(name)).contains("hard links"));
        }
    }

    /// As another process has it: by a lock of the system alone.
    #[test]
    #[cfg(target_os = "linux")]
    fn the_lock_is_on_the_file_and_not_on_a_name_beside_it() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("a.db");
        let other = open(&file).unwrap();
        other.lock().unwrap();
        assert_eq!(Guard::take(&file).err(), Some(TakeError::Held));
        drop(other);
        let guard = Guard::take(&file).unwrap();
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1, "nothing lies beside it");
        assert!(matches!(open(&file).unwrap().try_lock(), Err(TryLockError::WouldBlock)));
        guard.release();
        open(&file).unwrap().try_lock().unwrap();
    }

    #[test]
    #[cfg(target_os = "linux")]
    fn a_coordinator_of_an_earlier_version_that_runs_is_met() {
        let folder = tempfile::tempdir().unwrap();
        let (file, beside) = (folder.path().join("a.db"), folder.path().join("a.db.lock"));
        let earlier = open(&beside).unwrap();
        earlier.lock().unwrap();
        assert_eq!(Guard::take(&file).err(), Some(TakeError::Held));
        drop(earlier);
        drop(Guard::take(&file).unwrap());
        assert!(!beside.exists());
    }

    #[test]
    fn a_file_that_lost_its_name_is_noticed() {
        let folder = tempfile::tempdir().unwrap();
        let (file, away) = (folder.path().join("a.db"), folder.path().join("away.db"));
        let guard = Guard::take(&file).unwrap();
        guard.check().unwrap();
        std::fs::rename(&file, &away).unwrap();
        assert!(guard.check().unwrap_err().to_string().contains("removed or renamed"));
        std::fs::write(&file, "").unwrap();
        assert!(guard.check().unwrap_err().to_string().contains("replaced"));
        std::fs::rename(&away, &file).unwrap();
        guard.check().unwrap();
    }

    #[test]
    fn what_is_no_file_is_refused_in_words() {
        let folder = tempfile::tempdir().unwrap();
        assert!(unusable_because(Guard::take(folder.path())).contains("it is a folder"));
        assert!(unusable_because(Guard::take(Path::new("/dev/null"))).contains("no ordinary file"));
        let below = folder.path().join("a.txt/t.db");
        std::fs::write(folder.path().join("a.txt"), "").unwrap();
        assert!(unusable_because(Guard::take(&below)).contains("folder cannot be made"));
        let denied = io::Error::from(io::ErrorKind::PermissionDenied);
        assert!(unusable_because(Err(unusable("x", &denied))).contains("let the user that runs Trine"));
    }
}
