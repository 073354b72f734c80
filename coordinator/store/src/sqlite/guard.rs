//! Who has a file: one process at a time, whatever the file is called and whatever lies beside it.
//!
//! The lock is on the file itself (`flock`), so that every name of it, symbolic links and bind mounts included, leads to the
//! same lock, and none can be removed with a file that only looks like a leftover. SQLite's own locks are of another kind
//! (`fcntl`), and the two know nothing of each other on Linux; elsewhere they do, and there a file beside it is locked. The
//! system lets go of the lock when the process ends, however it ends.
//!
//! Whoever closes a file loses all `fcntl` locks that its process has on it: SQLite's. So the file is opened once, before
//! SQLite does, and closed after it; and a file that this process has already is not opened again, but known by its number.
//!
//! The write-ahead log beside the database holds what was acknowledged and is not in the database yet. It stays the same file
//! for as long as somebody has the database open, so it is watched as the database is.
//!
//! What no lock sees (a network that forgets locks) is found by the owner's row: see `owner`.

use std::collections::BTreeSet;
use std::fs::{File, TryLockError};
use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, OnceLock, PoisonError};

/// Files that this process has.
static HELD: Mutex<BTreeSet<Number>> = Mutex::new(BTreeSet::new());

/// Device and inode: which file it is, by whatever name.
type Number = (u64, u64);

/// Whether a file beside the database is locked instead of the database.
const BESIDE: bool = !cfg!(target_os = "linux");

/// Why a file cannot be had.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum TakeError {
    /// Another store has it, here or in another process.
    Held,
    /// The end of a sentence: what is wrong, and what to do.
    Unusable(String),
}

/// This process has a file.
#[derive(Debug)]
pub(super) struct Guard {
    path: PathBuf,
    number: Number,
    locked: Mutex<Option<File>>,
    /// The write-ahead log: where it lies, which file it is once it is there, and whether what it held is in the database.
    log: PathBuf,
    log_number: OnceLock<Number>,
    log_is_saved: AtomicBool,
}

impl Guard {
    /// Takes a file, which is created with its folder if it is missing.
    pub(super) fn take(path: &Path) -> Result<Self, TakeError> {
        let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
        if let Some(folder) = folder {
            std::fs::create_dir_all(folder).map_err(|error| unusable("its folder cannot be made", &error))?;
        }
        let found = std::fs::metadata(path);
        check_log(path, found.as_ref().is_ok_and(|found| found.len() > 0))?;
        if let Ok(found) = found {
            check(&found)?;
            if is_held(number(&found)) {
                return Err(TakeError::Held);
            }
        }
        let file = open(path).map_err(|error| unusable("the file cannot be opened for writing", &error))?;
        let found = file.metadata().map_err(|error| unusable("the file cannot be looked at", &error))?;
        // Another name may have been given to it, or it may have been taken here, since it was looked at.
        check(&found)?;
        if is_held(number(&found)) {
            // Closing it would cost the other store its locks.
            std::mem::forget(file);
            return Err(TakeError::Held);
        }
        let before = of_an_earlier_version(path)?;
        let locked = if BESIDE { lock(open_beside(path)?)? } else { lock(file)? };
        if std::fs::metadata(path).map(|found| number(&found)).ok() != Some(number(&found)) {
            return Err(TakeError::Unusable(
                "the file was replaced while it was being opened; try again".into(),
            ));
        }
        if let Some(beside) = before.filter(|_| !BESIDE) {
            std::fs::remove_file(beside).ok();
        }
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

    /// Something was written, so the write-ahead log is there: from now on it is watched.
    pub(super) fn watch_log(&self) -> io::Result<()> {
        let found = std::fs::metadata(&self.log)?;
        self.log_number.get_or_init(|| number(&found));
        Ok(())
    }

    /// Whether the name still leads to the file that is held: what is written to one without a name is lost, and what is
    /// under the name now is somebody else's.
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

    /// Whether the database is there and its write-ahead log is not, so that what the log held can be saved by whoever has it
    /// open. Where a file with something in it has taken its place, somebody else may have written by it: nothing is mixed.
    pub(super) fn may_save_log(&self) -> bool {
        let is_there = std::fs::metadata(&self.path).is_ok_and(|found| number(&found) == self.number);
        let replaced = std::fs::metadata(&self.log).is_ok_and(|found| found.len() > 0);
        is_there && !replaced && self.check_log().is_err() && !self.log_is_saved.load(Ordering::SeqCst)
    }

    /// What the write-ahead log held is in the database.
    pub(super) fn log_was_saved(&self) {
        self.log_is_saved.store(true, Ordering::SeqCst);
    }

    /// Lets another process have the file. Call it when SQLite has closed it.
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
        // SQLite keeps the write-ahead log beside the name: two names, two logs, and one of them is lost.
        return Err(TakeError::Unusable(format!(
            "the file has {links} names (hard links); remove all but one"
        )));
    }
    Ok(())
}

/// SQLite deletes a write-ahead log that lies beside an empty database, or where there is none; and that log may be the one of
/// a coordinator whose database was moved.
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

/// Where SQLite keeps the write-ahead log: beside the file itself, whatever name leads there.
fn log(path: &Path) -> PathBuf {
    let mut log = path.canonicalize().unwrap_or_else(|_| path.to_owned()).into_os_string();
    log.push("-wal");
    PathBuf::from(log)
}

fn open(path: &Path) -> io::Result<File> {
    File::options().create(true).truncate(false).read(true).write(true).open(path)
}

fn lock(file: File) -> Result<File, TakeError> {
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(TakeError::Held),
        Err(TryLockError::Error(error)) => Err(unusable("the file cannot be locked", &error)),
    }
}

fn beside(path: &Path) -> Result<PathBuf, TakeError> {
    let path = path.canonicalize().map_err(|error| unusable("its path cannot be followed", &error))?;
    let mut beside = path.into_os_string();
    beside.push(".lock");
    Ok(PathBuf::from(beside))
}

fn open_beside(path: &Path) -> Result<File, TakeError> {
    open(&beside(path)?).map_err(|error| unusable("the file beside it cannot be opened", &error))
}

/// Versions before this one locked a file beside the database. One that runs has it locked still; one that starts later
/// finds tables that are newer than it knows, and ends. Returns the file, which nobody needs any more.
fn of_an_earlier_version(path: &Path) -> Result<Option<PathBuf>, TakeError> {
    let beside = beside(path)?;
    match File::options().write(true).open(&beside) {
        Ok(file) if BESIDE => drop(file),
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
