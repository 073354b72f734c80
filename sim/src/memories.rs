//! What the memory of a coordinator reaches back to, seen from outside: the measure for laws L4 and L13.

use std::collections::BTreeMap;

use trine_engine::{Batch, Call, Event, Exposure, Found, OpState, Record, Transaction};
use trine_protocol::{Gid, Op, Status};

use crate::initiator::Initiated;

/// One memory of one transaction.
#[derive(Debug, Clone, Copy)]
struct Memory {
    /// The number of records that the journal had when the memory began. 0: it began with the creation.
    began_at: u64,
    /// The newest record that its coordinator knows to be durable.
    durable: u64,
    /// It read that another coordinator owned the transaction, and is reading again. Nobody outside can tell whether it has
    /// forgotten what it knew.
    is_doubtful: bool,
}

/// The memories of one coordinator.
#[derive(Debug, Default)]
pub(crate) struct Memories(BTreeMap<Gid, Memory>);

/// What a batch holds.
#[derive(Debug, Default, Clone, Copy)]
pub(crate) struct Held {
    /// Rollbacks that leave out branches which were never owed.
    pub(crate) narrowed: u64,
    /// Rollbacks of sagas exposed ahead by a memory that does not reach back.
    pub(crate) not_narrowed: u64,
    pub(crate) taken_over: u64,
    /// Answers of steps that are written together with other records.
    pub(crate) rode_along: u64,
}

impl Memories {
    /// The shard hands a batch out. Checks its records, and says what it holds.
    pub(crate) fn sealed(&mut self, batch: &Batch, initiated: &[Initiated]) -> Result<Held, String> {
        let mut held = Held::default();
        for (at, record) in batch.records.iter().enumerate() {
            if record.seq == 1 {
                self.0.insert(record.gid.clone(), Memory { began_at: 0, durable: 0, is_doubtful: false });
            }
            let ahead = is_ahead(initiated, &record.gid);
            self.check_record(record, ahead)?;
            match &record.event {
                Event::RollbackBegun { owed: Some(_), .. } => held.narrowed += 1,
                Event::RollbackBegun { owed: None, .. } if ahead => held.not_narrowed += 1,
                Event::TakenOver => held.taken_over += 1,
                Event::CallAnswered { .. } if ahead => {
                    let next = batch.records.get(at + 1).filter(|next| next.gid == record.gid);
                    let decides = next.is_some_and(|next| !matches!(next.event, Event::CallAnswered { .. }));
                    held.rode_along += u64::from(!decides && batch.records.len() > 1);
                }
                _ => {}
            }
        }
        Ok(held)
    }

    /// Law L13: who reaches back to the creation narrows a rollback, and nobody else does; who does not reach back says so in
    /// its first record.
    fn check_record(&self, record: &Record, ahead: bool) -> Result<(), String> {
        let what = format!("record {} of {}", record.seq, record.gid);
        let memory = self.0.get(&record.gid).ok_or(format!("{what} was decided by nobody"))?;
        if memory.is_doubtful {
            return Ok(());
        }
        let reaches_back = memory.began_at == 0;
        match &record.event {
            Event::RollbackBegun { owed, .. } if owed.is_some() != (ahead && reaches_back) => Err(format!(
                "{what} begins a rollback of {owed:?}, and its memory began at record {}",
                memory.began_at
            )),
            Event::TakenOver if reaches_back || record.seq != memory.began_at + 1 => {
                Err(format!("{what} takes over, and its memory began at record {}", memory.began_at))
            }
            _ => Ok(()),
        }
    }

    /// The shard hears that a batch is durable, except for the gids that conflicted.
    pub(crate) fn acknowledged(&mut self, batch: &Batch, conflicts: &[Gid]) {
        self.forgotten(conflicts);
        for record in &batch.records {
            if let Some(memory) = self.0.get_mut(&record.gid) {
                memory.durable = memory.durable.max(record.seq);
            }
        }
    }

    pub(crate) fn forgotten(&mut self, gids: &[Gid]) {
        self.0.retain(|gid, _| !gids.contains(gid));
    }

    /// The shard has taken in what it read.
    pub(crate) fn read(&mut self, gid: &Gid, found: &Found) {
        let seq = found.transaction.seq();
        let is_unbroken = found.owned && self.0.get(gid).is_some_and(|memory| memory.durable == seq);
        if !is_unbroken {
            self.0.insert(gid.clone(), Memory { began_at: seq, durable: seq, is_doubtful: false });
        }
    }

    /// The shard got a read and reads again.
    pub(crate) fn read_in_vain(&mut self, gid: &Gid, found: &Found) {
        if let Some(memory) = self.0.get_mut(gid).filter(|_| !found.owned) {
            memory.is_doubtful = true;
        }
    }

    /// Transactions leave memory.
    pub(crate) fn keep(&mut self, is_known: impl Fn(&Gid) -> bool) {
        self.0.retain(|gid, _| is_known(gid));
    }

    /// Law L4: a call leaves when the durable state of its fence lets it, and that state is the newest known. Law L13: a memory
    /// that does not reach back has a record in the journal before its first step.
    pub(crate) fn check_call(&self, call: &Call, at_fence: Option<&Transaction>) -> Result<(), String> {
        let what = format!("{} {:?} was called", call.gid, call.key);
        let memory = self.0.get(&call.gid).ok_or(format!("{what} from no memory"))?;
        if call.fence != memory.durable {
            let Memory { durable, .. } = memory;
            return Err(format!("{what} with the fence {} while {durable} is durable", call.fence));
        }
        let state = at_fence.ok_or(format!("{what} with the fence {}, which is not durable", call.fence))?;
        if !lets_leave(state, call) {
            return Err(format!("{what} and relies on nothing: its fence is {}, {state:#?}", call.fence));
        }
        let is_step = call.op() == Op::Action && state.spec().exposure == Exposure::Ahead;
        if is_step && call.fence == memory.began_at {
            return Err(format!(
                "{what} before its memory, which began at record {}, wrote",
                memory.began_at
            ));
        }
        Ok(())
    }

    /// Whether the coordinator knows the whole journal and made this call since its memory began.
    pub(crate) fn is_current(&self, call: &Call, journal_seq: u64) -> bool {
        let memory = self.0.get(&call.gid);
        memory.is_some_and(|memory| memory.durable == journal_seq && memory.began_at <= call.fence)
    }
}

pub(crate) fn is_ahead(initiated: &[Initiated], gid: &Gid) -> bool {
    let found = initiated.iter().find(|initiated| initiated.gid == *gid);
    found.is_some_and(|initiated| initiated.spec.exposure == Exposure::Ahead)
}

/// Whether a call may leave that relies on this durable state.
fn lets_leave(state: &Transaction, call: &Call) -> bool {
    if state.spec().exposure == Exposure::Exact {
        return state.owed().iter().any(|owed| owed.key == call.key);
    }
    // Answers that are not durable may stand between the state and the call: of earlier steps, and of earlier attempts.
    let Some(branch) = call.key.branch.and_then(|branch| state.branches().get(branch as usize)) else {
        return false;
    };
    let (progress, target) = match state.status() {
        Status::Running => (&branch.forward, &branch.spec.forward),
        Status::RollingBack => (branch.finish(), &branch.spec.on_rollback),
        Status::Open | Status::Committing | Status::Committed | Status::RolledBack => return false,
    };
    state.phase_op() == Some(call.op())
        && branch.exposed
        && target.is_some()
        && progress.attempts < call.key.attempt
        && matches!(progress.state, OpState::Pending | OpState::Waiting { .. })
}
