//! Limits repeated lines: a number of lines of each kind in a second, then one line with the number of further ones. A kind is a
//! place in the code.

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tracing::callsite::Identifier;
use tracing::field::{Field, Visit};
use tracing::{Event, Level, Subscriber};
use tracing_subscriber::layer::Context;

use trine_clock::Stopwatch;

/// Most lines of one kind in a second.
pub(super) const LINES_MAX: u32 = 20;
const SECOND_MS: u64 = 1_000;

/// Counts lines by kind. The number of places in the code is fixed, so the map is bounded.
#[derive(Default)]
pub(super) struct Limit {
    kinds: Mutex<HashMap<Identifier, Kind>>,
}

/// Lines that were held back.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Repeated {
    pub(super) level: Level,
    pub(super) target: &'static str,
    /// The message of one of them.
    pub(super) line: String,
    pub(super) more: u64,
}

struct Kind {
    since: Stopwatch,
    logged: u32,
    held: Option<Repeated>,
}

impl Limit {
    /// Whether one more line of this kind is logged. The levels debug and trace, which must be asked for, are not limited.
    fn admits(&self, event: &Event<'_>) -> bool {
        let metadata = event.metadata();
        if *metadata.level() > Level::INFO {
            return true;
        }
        let mut kinds = self.lock();
        let kind = kinds.entry(metadata.callsite()).or_insert_with(Kind::new);
        // The number of lines held back must be logged before the next second begins.
        if kind.held.is_none() && kind.since.elapsed_ms() >= SECOND_MS {
            *kind = Kind::new();
        }
        if kind.logged < LINES_MAX {
            kind.logged += 1;
            return true;
        }
        let held = kind.held.get_or_insert_with(|| {
            let mut line = String::new();
            event.record(&mut Message(&mut line));
            Repeated { level: *metadata.level(), target: metadata.target(), line, more: 0 }
        });
        held.more += 1;
        false
    }

    /// Takes the counts of lines held back in seconds that are over.
    pub(super) fn take_over(&self) -> Vec<Repeated> {
        self.take(|kind| kind.since.elapsed_ms() >= SECOND_MS)
    }

    /// Takes the counts of all lines held back.
    pub(super) fn take_all(&self) -> Vec<Repeated> {
        self.take(|_| true)
    }

    fn take(&self, is_due: impl Fn(&Kind) -> bool) -> Vec<Repeated> {
        let mut kinds = self.lock();
        let due = kinds.values_mut().filter(|kind| kind.held.is_some() && is_due(kind));
        due.filter_map(|kind| std::mem::replace(kind, Kind::new()).held).collect()
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<Identifier, Kind>> {
        self.kinds.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Kind {
    fn new() -> Self {
        Self { since: Stopwatch::start(), logged: 0, held: None }
    }
}

/// Copies an event's message.
struct Message<'a>(&'a mut String);

impl Visit for Message<'_> {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        if field.name() == "message" {
            *self.0 = format!("{value:?}");
        }
    }
}

/// Leaves lines out that the limit does not admit.
pub(super) struct Limited(pub(super) Arc<Limit>);

impl<S: Subscriber> tracing_subscriber::Layer<S> for Limited {
    fn event_enabled(&self, event: &Event<'_>, _: Context<'_, S>) -> bool {
        self.0.admits(event)
    }
}
