//! The present faults of a proxy.

use std::fmt;
use std::sync::atomic::{AtomicBool, AtomicU16, AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use super::Trap;

/// Decides whether a chunk springs the trap.
pub(super) type Predicate = Box<dyn FnMut(&[u8]) -> bool + Send>;

/// What a trap waits for.
pub(super) enum Wanted {
    Bytes(Vec<u8>),
    Chunk(Predicate),
}

impl fmt::Debug for Wanted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Bytes(bytes) => write!(f, "Bytes({})", bytes.escape_ascii()),
            Self::Chunk(_) => write!(f, "Chunk"),
        }
    }
}

#[derive(Debug)]
pub(super) struct Faults {
    upstream: AtomicU16,
    closed: AtomicBool,
    refuse: AtomicBool,
    black_hole: AtomicBool,
    delay: Mutex<Duration>,
    traps: Mutex<Vec<(Trap, Wanted)>>,
    hits: AtomicUsize,
}

impl Faults {
    pub(super) fn new(upstream: u16) -> Self {
        Self {
            upstream: AtomicU16::new(upstream),
            closed: AtomicBool::new(false),
            refuse: AtomicBool::new(false),
            black_hole: AtomicBool::new(false),
            delay: Mutex::new(Duration::ZERO),
            traps: Mutex::new(Vec::new()),
            hits: AtomicUsize::new(0),
        }
    }

    pub(super) fn upstream(&self) -> u16 {
        self.upstream.load(Ordering::SeqCst)
    }

    pub(super) fn set_upstream(&self, port: u16) {
        self.upstream.store(port, Ordering::SeqCst);
    }

    pub(super) fn is_closed(&self) -> bool {
        self.closed.load(Ordering::SeqCst)
    }

    pub(super) fn close(&self) {
        self.closed.store(true, Ordering::SeqCst);
    }

    pub(super) fn refuses(&self) -> bool {
        self.refuse.load(Ordering::SeqCst)
    }

    pub(super) fn set_refuse(&self, refuse: bool) {
        self.refuse.store(refuse, Ordering::SeqCst);
    }

    pub(super) fn is_black_hole(&self) -> bool {
        self.black_hole.load(Ordering::SeqCst)
    }

    pub(super) fn set_black_hole(&self, black_hole: bool) {
        self.black_hole.store(black_hole, Ordering::SeqCst);
    }

    pub(super) fn delay(&self) -> Duration {
        *lock(&self.delay)
    }

    pub(super) fn set_delay(&self, delay: Duration) {
        *lock(&self.delay) = delay;
    }

    pub(super) fn add(&self, trap: Trap, wanted: Wanted) {
        lock(&self.traps).push((trap, wanted));
    }

    pub(super) fn clear(&self) {
        lock(&self.traps).clear();
    }

    /// The trap that this chunk springs, if any. The trap is removed. `before` is the end of the earlier chunks on the connection.
    pub(super) fn spring(&self, before: &[u8], chunk: &[u8]) -> Option<Trap> {
        let mut traps = lock(&self.traps);
        let sprung = traps.iter_mut().position(|(_, wanted)| match wanted {
            Wanted::Bytes(pattern) => ends_in(chunk, before, pattern),
            Wanted::Chunk(is_wanted) => is_wanted(chunk),
        });
        sprung.map(|index| traps.remove(index).0)
    }

    pub(super) fn count_hit(&self) {
        self.hits.fetch_add(1, Ordering::SeqCst);
    }

    pub(super) fn hits(&self) -> usize {
        self.hits.load(Ordering::SeqCst)
    }
}

/// Whether `pattern` is in `before` and `chunk` together, and ends in `chunk`. Bytes that have passed cannot spring a trap.
fn ends_in(chunk: &[u8], before: &[u8], pattern: &[u8]) -> bool {
    if pattern.is_empty() {
        return true;
    }
    let tail = &before[before.len().saturating_sub(pattern.len() - 1)..];
    let both = [tail, chunk].concat();
    both.windows(pattern.len()).any(|window| window == pattern)
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // If a predicate of a test panicked, the mutex is poisoned. The faults themselves are intact.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pattern_may_begin_in_one_chunk_and_end_in_the_next() {
        let faults = Faults::new(1);
        faults.add(Trap::CutBefore, Wanted::Bytes(b"COMMIT".to_vec()));
        assert_eq!(faults.spring(b"", b"xxCOM"), None);
        assert_eq!(faults.spring(b"xxCOM", b"MITyy"), Some(Trap::CutBefore));
        assert_eq!(faults.spring(b"", b"COMMIT"), None);
    }

    #[test]
    fn bytes_before_the_trap_was_set_do_not_spring_it() {
        let faults = Faults::new(1);
        faults.add(Trap::EatAnswer, Wanted::Bytes(b"COMMIT".to_vec()));
        assert_eq!(faults.spring(b"..COMMIT", b"SELECT"), None);
    }
}
