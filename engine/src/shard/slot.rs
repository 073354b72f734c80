//! What a shard has of each gid: one state at a time.
//!
//! ```text
//! state           input                     next state             what is released or written
//! absent, Away    create                    Resident, Owned        its first record; a reply when that is durable
//! absent, Away    another command           Reading, Queued        Load
//! absent, Away    wanted, adopted           Reading, Queued        Load
//! absent, Away    answer                    the same               nothing: whoever drives it hears for itself
//! Reading         message                   the same               nothing: it waits for this read, or for a second one
//! Reading         poll of its Load          Reading, Started       the Load itself
//! Reading         found, and not stale      Resident               what waited is decided
//! Reading         found, but stale          Reading, Queued        Load
//! Reading         not found                 absent, Away           creations are appended, the rest is refused
//! Reading         failed, must come back    Reading, Failed        commands are refused; Load when the pause is over
//! Reading         failed, need not          absent, Away           commands are refused
//! Resident        wanted                    Owned: the same        nothing
//! Resident        adopted, lapse; flushed   Reading, Queued        Load
//! Resident        the same; not flushed     RereadAfterFlush       withheld calls are dropped
//! Owned           message                   Owned                  records, replies, calls; an outdated one: Load
//! Foreign         command                   Reading, Queued        Load: an answer is not older than its question
//! Foreign         command, after that read  Foreign or Owned       Owned if it moved: its records, and its row
//! RereadAfterFlush seal                     Owned                  its row is written: the write claims it
//! RereadAfterFlush flush                    Reading, Queued        Load, if it is not settled
//! Resident        lost, or a conflict       Reading, Queued        Load; what led to it is decided again
//! Resident        flushed, idle             absent, Away           nothing
//! ```
//! Resident stands for all three values of [`super::resident::Ownership`]. Away means that calls have left and have not come back.

use std::collections::{BTreeMap, BTreeSet};

use trine_protocol::Gid;

use super::reading::Reading;
use super::resident::Resident;
use crate::input::CallKey;

/// See the module's documentation.
#[derive(Debug)]
pub(super) enum Slot {
    /// Not in memory; these calls left and have not come back.
    Away(BTreeSet<CallKey>),
    /// Its journal is being read.
    Reading(Box<Reading>),
    /// In memory.
    Resident(Box<Resident>),
}

/// All slots of a shard.
#[derive(Debug, Default)]
pub(super) struct Slots {
    slots: BTreeMap<Gid, Slot>,
    /// Slots that are not `Away`.
    in_memory: usize,
    /// The weight of all residents.
    bytes: usize,
}

impl Slots {
    pub(super) fn get_mut(&mut self, gid: &Gid) -> Option<&mut Slot> {
        self.slots.get_mut(gid)
    }

    pub(super) fn resident(&self, gid: &Gid) -> Option<&Resident> {
        match self.slots.get(gid)? {
            Slot::Resident(resident) => Some(resident),
            Slot::Reading(_) | Slot::Away(_) => None,
        }
    }

    pub(super) fn resident_mut(&mut self, gid: &Gid) -> Option<&mut Resident> {
        match self.slots.get_mut(gid)? {
            Slot::Resident(resident) => Some(resident),
            Slot::Reading(_) | Slot::Away(_) => None,
        }
    }

    pub(super) fn reading_mut(&mut self, gid: &Gid) -> Option<&mut Reading> {
        match self.slots.get_mut(gid)? {
            Slot::Reading(reading) => Some(reading),
            Slot::Resident(_) | Slot::Away(_) => None,
        }
    }

    pub(super) fn all_mut(&mut self) -> impl Iterator<Item = &mut Slot> {
        self.slots.values_mut()
    }

    /// The gids of all residents.
    pub(super) fn residents(&self) -> Vec<Gid> {
        let is_resident = |slot: &Slot| matches!(slot, Slot::Resident(_));
        self.slots.iter().filter(|(_, slot)| is_resident(slot)).map(|(gid, _)| gid.clone()).collect()
    }

    /// Whether a gid is in memory or being read.
    pub(super) fn knows(&self, gid: &Gid) -> bool {
        self.slots.get(gid).is_some_and(Slot::is_in_memory)
    }

    pub(super) fn in_memory(&self) -> usize {
        self.in_memory
    }

    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    pub(super) fn put_reading(&mut self, gid: &Gid, mut reading: Reading) {
        reading.left_earlier = self.take_left_earlier(gid);
        self.put(gid, Slot::Reading(Box::new(reading)));
    }

    pub(super) fn put_resident(&mut self, gid: &Gid, mut resident: Resident) {
        resident.left_earlier = self.take_left_earlier(gid);
        self.put(gid, Slot::Resident(Box::new(resident)));
        self.weigh(gid);
    }

    pub(super) fn take_reading(&mut self, gid: &Gid) -> Option<Reading> {
        self.reading_mut(gid)?;
        match self.remove(gid)? {
            Slot::Reading(mut reading) => {
                self.add_left_earlier(gid, std::mem::take(&mut reading.left_earlier));
                Some(*reading)
            }
            Slot::Resident(_) | Slot::Away(_) => None,
        }
    }

    pub(super) fn take_resident(&mut self, gid: &Gid) -> Option<Resident> {
        self.resident(gid)?;
        match self.remove(gid)? {
            Slot::Resident(mut resident) => {
                self.bytes -= resident.weight;
                self.add_left_earlier(gid, std::mem::take(&mut resident.left_earlier));
                Some(*resident)
            }
            Slot::Reading(_) | Slot::Away(_) => None,
        }
    }

    /// Counts what a transaction holds; what grows is counted again when it is sealed.
    pub(super) fn weigh(&mut self, gid: &Gid) {
        let Some(Slot::Resident(resident)) = self.slots.get_mut(gid) else { return };
        let weight = resident.transaction.bytes();
        self.bytes = self.bytes - resident.weight + weight;
        resident.weight = weight;
    }

    /// Remembers calls that left before what is in memory now began.
    pub(super) fn add_left_earlier(&mut self, gid: &Gid, keys: impl IntoIterator<Item = CallKey>) {
        let mut keys = keys.into_iter().peekable();
        if keys.peek().is_some() {
            let slot = self.slots.entry(gid.clone()).or_insert_with(|| Slot::Away(BTreeSet::new()));
            slot.left_earlier_mut().extend(keys);
        }
    }

    pub(super) fn take_left_earlier(&mut self, gid: &Gid) -> BTreeSet<CallKey> {
        if let Some(Slot::Away(_)) = self.slots.get(gid) {
            return self
                .slots
                .remove(gid)
                .map(|mut slot| std::mem::take(slot.left_earlier_mut()))
                .unwrap_or_default();
        }
        self.slots.get_mut(gid).map(|slot| std::mem::take(slot.left_earlier_mut())).unwrap_or_default()
    }

    /// A call came back. Its transaction may be here, or gone, or be taken for a new one that is being created.
    pub(super) fn call_ended(&mut self, gid: &Gid, key: CallKey) {
        let Some(slot) = self.slots.get_mut(gid) else { return };
        slot.left_earlier_mut().remove(&key);
        match slot {
            Slot::Away(left) if left.is_empty() => drop(self.slots.remove(gid)),
            Slot::Resident(resident) => drop(resident.under_way.remove(&key)),
            Slot::Away(_) | Slot::Reading(_) => {}
        }
    }

    fn put(&mut self, gid: &Gid, slot: Slot) {
        self.in_memory += usize::from(slot.is_in_memory());
        let old = self.slots.insert(gid.clone(), slot);
        self.in_memory -= usize::from(old.is_some_and(|old| old.is_in_memory()));
    }

    fn remove(&mut self, gid: &Gid) -> Option<Slot> {
        let slot = self.slots.remove(gid)?;
        self.in_memory -= usize::from(slot.is_in_memory());
        Some(slot)
    }
}

impl Slot {
    fn is_in_memory(&self) -> bool {
        match self {
            Self::Reading(_) | Self::Resident(_) => true,
            Self::Away(_) => false,
        }
    }

    fn left_earlier_mut(&mut self) -> &mut BTreeSet<CallKey> {
        match self {
            Self::Away(left) => left,
            Self::Reading(reading) => &mut reading.left_earlier,
            Self::Resident(resident) => &mut resident.left_earlier,
        }
    }
}
