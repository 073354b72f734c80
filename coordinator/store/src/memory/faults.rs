//! The faults of a store in memory, which tests switch on and off.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::watch;
use trine_protocol::{Gid, Timestamp};

use crate::StoreError;

/// The fault that one append meets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// Nothing is appended, and the error says so.
    Failed,
    /// Everything is appended, and the error is doubtful.
    DoubtfulApplied,
    /// Nothing is appended, and the error is doubtful.
    DoubtfulNotApplied,
}

/// How a record that was written is damaged.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Damage {
    /// Its event is replaced.
    Event(Vec<u8>),
    /// Its time is replaced.
    At(Timestamp),
    /// It becomes a record of this gid with this seq.
    Moved(Gid, u64),
    /// It is deleted.
    Lost,
    /// No damage: its checksum is removed, as if a version without checksums had written it.
    NoChecksum,
}

/// The switches for the faults of a store in memory.
#[derive(Debug, Default)]
pub struct Faults {
    appends: Mutex<VecDeque<Option<Fault>>>,
    gate: Mutex<Option<Gate>>,
    reads_down: AtomicBool,
    reads: AtomicU64,
    writes_down: AtomicBool,
    appends_down: AtomicBool,
}

impl Faults {
    /// The next append that has no fault yet meets this one. `None` lets that append pass.
    pub fn push(&self, fault: impl Into<Option<Fault>>) {
        self.appends().push_back(fault.into());
    }

    /// From now on appends wait before they have any effect, until the returned gate is opened. An earlier gate is opened
    /// now.
    pub fn hold_appends(&self) -> Gate {
        let gate = Gate(Arc::new(watch::Sender::new(Hold::default())));
        let earlier = self.gate.lock().unwrap_or_else(PoisonError::into_inner).replace(gate.clone());
        if let Some(earlier) = earlier {
            earlier.open();
        }
        gate
    }

    /// Makes all reads, loads included, fail as unavailable.
    pub fn set_reads_down(&self, down: bool) {
        self.reads_down.store(down, Ordering::SeqCst);
    }

    /// Makes appends fail, and all other writes fail as unavailable.
    pub fn set_writes_down(&self, down: bool) {
        self.writes_down.store(down, Ordering::SeqCst);
    }

    /// How many reads there have been.
    pub fn reads(&self) -> u64 {
        self.reads.load(Ordering::SeqCst)
    }

    /// Makes appends fail and nothing else.
    pub fn set_appends_down(&self, down: bool) {
        self.appends_down.store(down, Ordering::SeqCst);
    }

    pub(super) fn before_read(&self) -> Result<(), StoreError> {
        self.reads.fetch_add(1, Ordering::SeqCst);
        unavailable_if(self.reads_down.load(Ordering::SeqCst))
    }

    pub(super) fn before_write(&self) -> Result<(), StoreError> {
        unavailable_if(self.writes_down.load(Ordering::SeqCst))
    }

    /// Waits at the gate, if there is one. Returns the fault of the append.
    pub(super) async fn before_append(&self) -> Option<Fault> {
        let fault = self.appends().pop_front().flatten();
        let gate = self.gate.lock().unwrap_or_else(PoisonError::into_inner).clone();
        if let Some(gate) = gate {
            gate.pass().await;
        }
        let down = self.writes_down.load(Ordering::SeqCst) || self.appends_down.load(Ordering::SeqCst);
        if down { Some(Fault::Failed) } else { fault }
    }

    fn appends(&self) -> std::sync::MutexGuard<'_, VecDeque<Option<Fault>>> {
        self.appends.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn unavailable_if(down: bool) -> Result<(), StoreError> {
    if down { Err(StoreError::Unavailable("a fault was asked for".to_owned())) } else { Ok(()) }
}

/// Holds appends back until a test opens the gate.
#[derive(Debug, Clone)]
pub struct Gate(Arc<watch::Sender<Hold>>);

#[derive(Debug, Default, Clone, Copy)]
struct Hold {
    open: bool,
    arrived: usize,
}

impl Gate {
    /// Lets all appends pass from now on.
    pub fn open(&self) {
        self.0.send_modify(|hold| hold.open = true);
    }

    /// Returns when this many appends have come to the gate.
    pub async fn arrived(&self, appends: usize) {
        self.wait(|hold| hold.arrived >= appends).await;
    }

    async fn pass(&self) {
        self.0.send_modify(|hold| hold.arrived += 1);
        self.wait(|hold| hold.open).await;
    }

    async fn wait(&self, until: impl FnMut(&Hold) -> bool) {
        // The sender is in `self`, so it cannot be gone; if it were, there would be nothing left to wait for.
        self.0.subscribe().wait_for(until).await.ok();
    }
}
