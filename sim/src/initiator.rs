//! Initiators: their requests, and the answers they got. The oracle: an answer is a promise that must stay true.

use std::sync::Arc;

use fastrand::Rng;
use trine_engine::{
    Branch, Call, Command, ForceTo, Outcome, Payload, Rejection, Snapshot, Spec, Transaction,
};
use trine_protocol::{Gid, Op, Pattern, Status};

use crate::ask::{Ask, Question};
use crate::executor::{Executor, Told};
use crate::participants::{Happened, Participants};
use crate::store::Store;
use crate::workload;

/// A transaction of the workload and its initiator.
#[derive(Debug)]
pub(crate) struct Initiated {
    pub(crate) gid: Gid,
    pub(crate) spec: Arc<Spec>,
    /// The initiator's decision, if it is alive to state it or is checked.
    pub(crate) says_yes: bool,
    /// Least age at which the transaction may begin, if the initiator states one.
    commit_age_ms: Option<u64>,
    /// The executor, for a workflow.
    pub(crate) executor: Option<Executor>,
    /// The creation was acknowledged. Without an answer there is no promise.
    accepted: bool,
    end: Option<Status>,
}

impl Initiated {
    pub(crate) fn new(rng: &mut Rng, number: usize) -> Self {
        let spec = Arc::new(workload::spec(rng));
        let says_yes = rng.u8(..) < 192;
        let executor = (spec.pattern == Pattern::Workflow).then(|| Executor::new(rng, says_yes));
        let delayed = spec.terms.is_some() && rng.bool();
        let commit_age_ms = delayed.then(|| rng.u64(0..25_000));
        let gid = workload::gid(number);
        Self { gid, spec, says_yes, commit_age_ms, executor, accepted: false, end: None }
    }

    /// The initiator's next request, if any.
    pub(crate) fn acts(&mut self, rng: &mut Rng) -> Option<Ask> {
        let message = self.spec.pattern == Pattern::Message;
        match (rng.u8(..4), &mut self.executor) {
            (0, _) => Some(Ask::Create),
            (1, _) => Some(if rng.bool() { Ask::Wait } else { Ask::WaitForQuiet }),
            (_, Some(executor)) => executor.acts(),
            (2, None) if self.spec.open && self.says_yes => Some(Ask::Commit),
            // An initiator whose local transaction has committed does not abort its message.
            (3, None) if !(message && self.says_yes) && rng.bool() => Some(Ask::Abort),
            _ => None,
        }
    }

    /// An operator settles what calls participants, if it may. The dialect's operators may give up what was decided and told.
    pub(crate) fn is_forced(&self, rng: &mut Rng) -> Option<Ask> {
        let by_calls = matches!(self.spec.pattern, Pattern::Saga | Pattern::Tcc | Pattern::TwoPhase);
        let to = if rng.bool() { ForceTo::Committed } else { ForceTo::RolledBack };
        (by_calls && self.spec.terms.is_none()).then_some(Ask::Force { to })
    }

    pub(crate) fn command(&self, ask: Ask) -> Command {
        match ask {
            Ask::Create | Ask::Wait | Ask::WaitForQuiet => Command::Create(Arc::clone(&self.spec)),
            Ask::Commit => self.commit_age_ms.map_or(Command::Commit, |age_ms| Command::CommitAt { age_ms }),
            Ask::Abort => Command::Abort { reason: None },
            Ask::Replay => Command::Replay { branch: None },
            Ask::Force { to } => Command::Force { to, reason: "by hand".into(), by: None },
            Ask::Resume => Command::Resume,
            Ask::Record { step } => self.executes().record(step),
            Ask::Finish => self.executes().finish(),
        }
    }

    fn executes(&self) -> &Executor {
        self.executor.as_ref().unwrap_or_else(|| unreachable!("only executors of workflows ask for this"))
    }

    /// An answer arrives at the executor.
    pub(crate) fn hear_as_executor(
        &mut self,
        question: &Question,
        result: &Result<Snapshot, Rejection>,
        store: &Store,
    ) -> Result<(), String> {
        let (Some(executor), Ok(snapshot)) = (&mut self.executor, result) else { return Ok(()) };
        let settled = snapshot.status.is_settled();
        let told = Told { asked_at: question.at, changed: snapshot.changed, settled };
        let durable = store.state(&self.gid).ok_or(format!("{} is acknowledged and not there", self.gid))?;
        executor.hear(question.ask, &told, durable).map_err(|error| format!("{}: {error}", self.gid))
    }

    /// Checks an end that is told. True if it is told before the record of it is durable: then it must be certain. `teller` is
    /// the memory that tells it.
    pub(crate) fn is_told_early(
        &self,
        result: &Result<Snapshot, Rejection>,
        durable: Option<Status>,
        teller: Option<&Transaction>,
    ) -> Result<bool, String> {
        let Some(end) = result.as_ref().ok().map(|snapshot| snapshot.status) else { return Ok(false) };
        if !end.is_settled() || durable == Some(end) {
            return Ok(false);
        }
        let decided = match durable {
            Some(Status::Committing) => Some(Status::Committed),
            Some(Status::RollingBack) => Some(Status::RolledBack),
            _ => None,
        };
        let has_phase_two = matches!(self.spec.pattern, Pattern::Saga | Pattern::Tcc | Pattern::TwoPhase);
        let is_done = teller.is_some_and(|memory| {
            memory.status() == end && memory.forced().is_none() && all_finished(memory)
        });
        if decided == Some(end) && has_phase_two && self.spec.terms.is_none() && is_done {
            return Ok(true);
        }
        Err(format!("{}: {end} was told, {durable:?} is durable, {teller:#?} was remembered", self.gid))
    }

    /// An answer arrives at the initiator. `may_be_absent` says that "no such transaction" would be true.
    pub(crate) fn hear(
        &mut self,
        ask: Ask,
        result: &Result<Snapshot, Rejection>,
        durable: Option<Status>,
        may_be_absent: bool,
    ) -> Result<(), String> {
        let (gid, message) = (&self.gid, self.spec.pattern == Pattern::Message);
        let end = match (ask, result) {
            (_, Ok(snapshot)) => {
                self.accepted = true;
                match ask {
                    Ask::Create
                    | Ask::Wait
                    | Ask::WaitForQuiet
                    | Ask::Replay
                    | Ask::Force { .. }
                    | Ask::Resume
                    | Ask::Record { .. } => snapshot.status.is_settled().then_some(snapshot.status),
                    Ask::Finish => Some(self.executes().end()),
                    // A saga that is submitted may still be refused.
                    Ask::Commit if self.spec.pattern == Pattern::Saga => {
                        snapshot.status.is_settled().then_some(snapshot.status)
                    }
                    Ask::Commit => Some(Status::Committed),
                    Ask::Abort => Some(Status::RolledBack),
                }
            }
            (Ask::Commit, Err(Rejection::IllegalState { status, .. })) => match status {
                Status::RollingBack | Status::RolledBack => Some(Status::RolledBack),
                // The transaction was created with all branches, so it cannot be committed.
                Status::Open | Status::Running | Status::Committing | Status::Committed => None,
            },
            (Ask::Abort, Err(Rejection::IllegalState { status, .. })) => {
                (message || *status != Status::Running).then_some(Status::Committed)
            }
            // The transaction may have settled before the replay arrived.
            (Ask::Replay, Err(Rejection::IllegalState { status, .. })) if status.is_settled() => {
                Some(*status)
            }
            // The opposite was decided, or is the end.
            (Ask::Force { to }, Err(Rejection::IllegalState { .. })) => Some(match to {
                ForceTo::Committed => Status::RolledBack,
                ForceTo::RolledBack => Status::Committed,
            }),
            (Ask::Commit | Ask::Abort | Ask::Force { .. }, Err(Rejection::NotFound)) if may_be_absent => None,
            (_, Err(Rejection::Unavailable)) => None,
            (_, Err(rejection)) => return Err(format!("{gid}: {ask:?} was answered with: {rejection}")),
        };
        if durable.is_none() && result.is_ok() {
            return Err(format!("{gid}: {ask:?} was acknowledged and nothing is durable"));
        }
        match (self.end, end) {
            (Some(before), Some(now)) if before != now => {
                Err(format!("{gid}: {before} was told, then {now}"))
            }
            (before, now) => {
                self.end = before.or(now);
                Ok(())
            }
        }
    }

    /// Checks the end: it agrees with the promises, and every effect is there or undone.
    pub(crate) fn check_end(&self, store: &Store, participants: &Participants) -> Result<Status, String> {
        let gid = &self.gid;
        let Some(end) = store.load(gid) else {
            return Err(format!(
                "{gid} was {} and is gone",
                if self.accepted { "accepted" } else { "asked for" }
            ));
        };
        // Whoever settles by hand answers for what the participants have.
        end.forced().map_or_else(|| participants.check(&end), |_| Ok(()))?;
        self.executor.as_ref().map_or(Ok(()), |executor| executor.check_end(&end))?;
        if self.end.is_some_and(|told| told != end.status()) {
            return Err(format!("{gid}: {:?} was told, {} it is", self.end, end.status()));
        }
        match end.status() {
            settled @ (Status::Committed | Status::RolledBack) => Ok(settled),
            other @ (Status::Open | Status::Running | Status::Committing | Status::RollingBack) => {
                Err(format!("{gid} is {other} in the end"))
            }
        }
    }
}

/// Every branch that phase two asks has answered.
fn all_finished(settled: &Transaction) -> bool {
    let asked = |branch: &&Branch| {
        let spec = &branch.spec;
        let committed = settled.status() == Status::Committed;
        let target = if committed { &spec.on_commit } else { &spec.on_rollback };
        branch.exposed && !branch.read_only && target.is_some()
    };
    settled.branches().iter().filter(asked).all(|branch| branch.finish().is_done())
}

/// A call arrives: at a participant, or, if it is a check, at the initiator.
pub(crate) fn arrive(
    call: &Call,
    initiated: &mut [Initiated],
    participants: &mut Participants,
) -> (Outcome, Option<Happened>) {
    let done = |read_only| Outcome::Done { output: Payload::default(), read_only };
    let Some(branch) = call.key.branch else {
        let asked = initiated.iter_mut().find(|initiated| initiated.gid == call.gid);
        let yes = asked.is_some_and(|initiated| {
            initiated.executor.as_mut().map(Executor::is_called_back);
            initiated.says_yes
        });
        let no = Outcome::Refused { reason: "it did not commit".into() };
        return (if yes { done(false) } else { no }, None);
    };
    let happened = participants.execute(&call.gid, call.pattern, branch, call.op(), call.fence);
    let outcome = match happened {
        Happened::Hanging => Outcome::Refused { reason: "it was undone".into() },
        Happened::Fenced => Outcome::Unknown,
        // Every third branch only reads.
        Happened::Effect | Happened::Duplicate | Happened::Empty => {
            done(call.op() == Op::Prepare && branch % 3 == 2)
        }
    };
    (outcome, Some(happened))
}
