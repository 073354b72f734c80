//! The queue of log lines. Logging puts a line into a bounded queue and goes on; a thread writes the lines. If nobody reads them,
//! the queue fills, further lines are dropped and counted, and the coordinator goes on working.

use std::collections::VecDeque;
use std::io::{self, Write};
use std::sync::{Arc, Condvar, LazyLock, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use prometheus_client::metrics::counter::Counter;
use tracing::Level;
use tracing_subscriber::fmt::MakeWriter;

use super::limit::{Limit, Repeated};
use trine_clock::Stopwatch;

/// Most lines that wait to be written.
const LINES_MAX: usize = 8_192;
/// Most bytes that wait to be written.
const BYTES_MAX: usize = 4 << 20;
/// How often lines held back are reported.
const TICK: Duration = Duration::from_secs(1);

/// Dropped lines. A global, because a process has one log.
static DROPPED: LazyLock<Counter> = LazyLock::new(Counter::default);

/// The counter of lines that were dropped.
pub(crate) fn dropped() -> Counter {
    DROPPED.clone()
}

/// Makes a line of the log itself, in the log's format.
pub(super) type Note = fn(level: Level, target: &str, text: &str) -> Vec<u8>;

/// Makes a writer for each line. Cheap to clone.
#[derive(Clone)]
pub(super) struct Queue(Arc<Shared>);

struct Shared {
    state: Mutex<Pending>,
    /// Signalled when a line arrives.
    came: Condvar,
    /// Signalled when everything is written.
    idle: Condvar,
    limit: Arc<Limit>,
    note: Note,
}

#[derive(Default)]
struct Pending {
    lines: VecDeque<Vec<u8>>,
    bytes: usize,
    /// Dropped lines that were not reported yet.
    untold: u64,
    is_writing: bool,
}

impl Pending {
    /// Whether there is room. After lines were dropped, half of the queue must become free first, so that few lines report many
    /// dropped ones.
    fn has_room(&self, bytes: usize) -> bool {
        let share = if self.untold > 0 { 2 } else { 1 };
        self.lines.len() < LINES_MAX / share && self.bytes + bytes <= BYTES_MAX / share
    }

    fn push(&mut self, line: Vec<u8>) {
        self.bytes += line.len();
        self.lines.push_back(line);
    }

    /// The next line to write, or a line with the number of dropped ones.
    fn next(&mut self, note: Note) -> Option<(Vec<u8>, u64)> {
        let next = match self.lines.pop_front() {
            Some(line) => {
                self.bytes -= line.len();
                Some((line, 0))
            }
            None if self.untold > 0 => {
                let lost = std::mem::take(&mut self.untold);
                Some((lost_lines(note, lost), lost))
            }
            None => None,
        };
        self.is_writing = next.is_some();
        next
    }
}

impl Queue {
    /// Starts the thread that writes to `out`.
    pub(super) fn start(out: impl Write + Send + 'static, limit: Arc<Limit>, note: Note) -> io::Result<Self> {
        let (state, came, idle) = (Mutex::default(), Condvar::new(), Condvar::new());
        let queue = Self(Arc::new(Shared { state, came, idle, limit, note }));
        let writing = queue.clone();
        std::thread::Builder::new().name("log".into()).spawn(move || writing.write_to(out))?;
        Ok(queue)
    }

    /// Waits until all lines are written, at most `within`.
    pub(super) fn flush(&self, within: Duration) {
        self.tell_repeated(self.0.limit.take_all());
        let is_busy = |state: &mut Pending| state.is_writing || !state.lines.is_empty() || state.untold > 0;
        let _ = self.0.idle.wait_timeout_while(self.lock(), within, is_busy);
    }

    fn put(&self, line: &[u8]) {
        let mut state = self.lock();
        if !state.has_room(line.len()) {
            state.untold += 1;
            DROPPED.inc();
            return;
        }
        if state.untold > 0 {
            // Report the gap at its place: before this line.
            let lost = std::mem::take(&mut state.untold);
            state.push(lost_lines(self.0.note, lost));
        }
        state.push(line.to_vec());
        drop(state);
        self.0.came.notify_one();
    }

    fn tell_repeated(&self, repeated: Vec<Repeated>) {
        for Repeated { level, target, line, more } in repeated {
            self.put(&(self.0.note)(level, target, &format!("and {more} more: {line}")));
        }
    }

    /// Writes lines until the process ends.
    fn write_to(&self, mut out: impl Write) {
        let mut told = Stopwatch::start();
        loop {
            if told.elapsed() >= TICK {
                told = Stopwatch::start();
                self.tell_repeated(self.0.limit.take_over());
            }
            let Some((line, lost)) = self.take() else { continue };
            if out.write_all(&line).and_then(|()| out.flush()).is_err() {
                self.was_not_written(lost);
            }
        }
    }

    /// Waits for the next line, at most one tick.
    fn take(&self) -> Option<(Vec<u8>, u64)> {
        let mut state = self.lock();
        if let Some(next) = state.next(self.0.note) {
            return Some(next);
        }
        self.0.idle.notify_all();
        let is_empty = |state: &mut Pending| state.lines.is_empty();
        let waited = self.0.came.wait_timeout_while(state, TICK, is_empty);
        drop(waited.unwrap_or_else(PoisonError::into_inner));
        None
    }

    /// The reader has left or refuses. The error cannot be reported anywhere; a later line may find a reader again.
    fn was_not_written(&self, lost: u64) {
        let mut state = self.lock();
        if lost == 0 {
            DROPPED.inc();
        }
        state.untold += lost.max(1);
        if state.lines.is_empty() {
            // Do not try again and again to report this.
            state.is_writing = false;
            self.0.idle.notify_all();
            let is_empty = |state: &mut Pending| state.lines.is_empty();
            drop(self.0.came.wait_timeout_while(state, TICK, is_empty));
        }
    }

    fn lock(&self) -> MutexGuard<'_, Pending> {
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn lost_lines(note: Note, lost: u64) -> Vec<u8> {
    let text = format!("{lost} lines of the log were dropped here: they were not read fast enough");
    note(Level::WARN, module_path!(), &text)
}

/// Takes one line.
pub(super) struct Line(Queue);

impl Write for Line {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        self.0.put(line);
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl<'a> MakeWriter<'a> for Queue {
    type Writer = Line;

    fn make_writer(&'a self) -> Line {
        Line(self.clone())
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    const LONG: Duration = Duration::from_secs(30);

    /// A reader that stands still until it is released.
    #[derive(Clone, Default)]
    pub(in super::super) struct Reader(Arc<(Mutex<(bool, String)>, Condvar)>);

    impl Reader {
        pub(in super::super) fn goes_on(&self) {
            self.0.0.lock().unwrap().0 = true;
            self.0.1.notify_all();
        }

        pub(in super::super) fn read(&self) -> String {
            self.0.0.lock().unwrap().1.clone()
        }
    }

    impl Write for Reader {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            let mut held = self.0.1.wait_while(self.0.0.lock().unwrap(), |(goes_on, _)| !*goes_on).unwrap();
            held.1.push_str(std::str::from_utf8(bytes).unwrap());
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    fn note(_: Level, _: &str, text: &str) -> Vec<u8> {
        format!("{text}\n").into_bytes()
    }

    #[test]
    fn a_reader_that_stands_still_holds_nobody_up_and_is_told_what_it_missed() {
        let reader = Reader::default();
        let queue = Queue::start(reader.clone(), Arc::default(), note).unwrap();
        let lines = LINES_MAX * 2;
        for number in 0..lines {
            queue.make_writer().write_all(format!("line {number}\n").as_bytes()).unwrap();
        }
        let dropped = queue.lock().untold;
        // The writer may hold one line.
        assert!([lines - LINES_MAX, lines - LINES_MAX - 1].contains(&(dropped as usize)), "{dropped}");
        reader.goes_on();
        queue.flush(LONG);
        queue.make_writer().write_all(b"afterwards\n").unwrap();
        queue.flush(LONG);
        let read = reader.read();
        assert!(read.starts_with("line 0\nline 1\n"), "{read:.100}");
        let told = format!("{dropped} lines of the log were dropped here: they were not read fast enough");
        let last: Vec<_> = read.lines().rev().take(2).collect();
        assert_eq!(last, ["afterwards", &told]);
        assert_eq!(read.lines().count(), lines - dropped as usize + 2);
    }

    #[test]
    fn bytes_are_bounded_and_a_flush_ends() {
        let queue = Queue::start(Reader::default(), Arc::default(), note).unwrap();
        let line = vec![b'x'; 1 << 20];
        let before = DROPPED.get();
        for _ in 0..10 {
            queue.make_writer().write_all(&line).unwrap();
        }
        assert!(DROPPED.get() - before >= 5);
        assert!(queue.lock().bytes <= BYTES_MAX);
        queue.flush(Duration::from_millis(1));
    }

    struct Gone;

    impl Write for Gone {
        fn write(&mut self, _: &[u8]) -> io::Result<usize> {
            Err(io::ErrorKind::BrokenPipe.into())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn lines_that_could_not_be_written_are_counted_once() {
        let queue = Queue::start(Gone, Arc::default(), note).unwrap();
        for _ in 0..3 {
            queue.make_writer().write_all(b"line\n").unwrap();
        }
        let is_open = |state: &mut Pending| state.untold < 3 || !state.lines.is_empty();
        let (state, late) = queue.0.idle.wait_timeout_while(queue.lock(), LONG, is_open).unwrap();
        assert!(!late.timed_out());
        assert_eq!(state.untold, 3);
    }
}
