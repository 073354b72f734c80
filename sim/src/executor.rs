//! Executors of workflows. An executor does a step, records it, and may die at any moment. The next one is called back and goes
//! on after the recorded steps.

use std::sync::Arc;

use fastrand::Rng;
use trine_engine::{Command, Payload, Progress, Transaction};
use trine_protocol::{BranchId, Status, Timestamp};

use crate::ask::Ask;

/// The stage of an execution.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    /// No executor is alive.
    Dead,
    /// An executor was called back and does not know the recorded steps yet.
    Resuming,
    /// The executor knows of so many recorded steps.
    At(usize),
}

/// The executor of one workflow.
#[derive(Debug)]
pub(crate) struct Executor {
    steps: Vec<Arc<Progress>>,
    commits: bool,
    stage: Stage,
    /// Number of steps that were acknowledged as recorded.
    recorded: usize,
    /// It has sent the end.
    finishes: bool,
    /// Set when its last request was acknowledged: no coordinator that knows the journal up to this seq may call back before this
    /// time.
    quiet: Option<(Timestamp, u64)>,
    /// An operator has replayed the workflow, so a callback may come at any time.
    replayed: bool,
}

impl Executor {
    pub(crate) fn new(rng: &mut Rng, commits: bool) -> Self {
        let steps = (0..rng.usize(..=4)).map(|number| step(rng, number)).map(Arc::new).collect();
        Self {
            steps,
            commits,
            stage: Stage::Dead,
            recorded: 0,
            finishes: false,
            quiet: None,
            replayed: false,
        }
    }

    /// Its next request, if it is alive.
    pub(crate) fn acts(&mut self) -> Option<Ask> {
        match self.stage {
            Stage::Dead => None,
            Stage::Resuming => Some(Ask::Resume),
            Stage::At(step) if step < self.steps.len() => Some(Ask::Record { step }),
            Stage::At(_) => {
                self.finishes = true;
                Some(Ask::Finish)
            }
        }
    }

    pub(crate) fn is_alive(&self) -> bool {
        self.stage != Stage::Dead
    }

    pub(crate) fn die(&mut self) {
        self.stage = Stage::Dead;
    }

    /// A callback arrives. If no executor is alive, a new one starts.
    pub(crate) fn is_called_back(&mut self) {
        if self.stage == Stage::Dead {
            self.stage = Stage::Resuming;
        }
    }

    /// It may be called back at any time from now on.
    pub(crate) fn is_replayed(&mut self) {
        self.replayed = true;
    }

    pub(crate) fn record(&self, step: usize) -> Command {
        Command::Record(Arc::clone(&self.steps[step]))
    }

    pub(crate) fn finish(&self) -> Command {
        let reason = self.reason();
        Command::Finish { committed: self.commits, reason, result: self.result() }
    }

    pub(crate) fn end(&self) -> Status {
        if self.commits { Status::Committed } else { Status::RolledBack }
    }

    fn reason(&self) -> Option<String> {
        (!self.commits).then(|| "a step was refused".to_owned())
    }

    fn result(&self) -> Payload {
        Payload::from(format!("{{\"steps\":{}}}", self.steps.len()).as_str())
    }

    /// The answer to a request arrives.
    pub(crate) fn hear(&mut self, ask: Ask, told: &Told, durable: &Transaction) -> Result<(), String> {
        let made = durable.progress_made();
        if let Ask::Record { step } = ask {
            self.recorded = self.recorded.max(step + 1);
        }
        if made.len() < self.recorded || self.steps.get(..made.len()) != Some(made) {
            return Err(format!(
                "of {:?}, {} told to be recorded, there is {made:?}",
                self.steps, self.recorded
            ));
        }
        if told.changed && matches!(ask, Ask::Create | Ask::Resume | Ask::Record { .. }) {
            let until = told.asked_at.plus_millis(durable.spec().check_after_ms);
            self.quiet = self.quiet.max(Some((until, durable.seq())));
        }
        self.stage = match (self.stage, ask) {
            _ if told.settled => Stage::Dead,
            (Stage::Dead, Ask::Create) if told.changed => Stage::At(0),
            (Stage::Resuming, Ask::Resume) => Stage::At(made.len()),
            (Stage::At(at), Ask::Record { step }) if at == step => Stage::At(step + 1),
            (stage, _) => stage,
        };
        Ok(())
    }

    /// Checks that a callback does not come too early. Clocks differ by at most `skew_ms`.
    pub(crate) fn check_callback(&self, now: Timestamp, fence: u64, skew_ms: u64) -> Result<(), String> {
        match self.quiet {
            Some((until, seq)) if !self.replayed && fence >= seq && now.plus_millis(skew_ms) < until => {
                Err(format!(
                    "called back at {now:?}, although its executor was heard and is given until {until:?}"
                ))
            }
            Some(_) | None => Ok(()),
        }
    }

    /// Checks that the workflow ended as the executor said, with all acknowledged steps.
    pub(crate) fn check_end(&self, end: &Transaction) -> Result<(), String> {
        let gid = end.gid();
        if !self.finishes || end.status() != self.end() || end.result() != Some(&self.result()) {
            return Err(format!(
                "{gid} is {} with {:?}, not what its executor said",
                end.status(),
                end.result()
            ));
        }
        if end.progress_made() != self.steps {
            return Err(format!("{gid}: of {:?} {:?} is recorded", self.steps, end.progress_made()));
        }
        Ok(())
    }
}

/// The facts in a reply to an executor.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Told {
    pub(crate) asked_at: Timestamp,
    pub(crate) changed: bool,
    pub(crate) settled: bool,
}

fn step(rng: &mut Rng, number: usize) -> Progress {
    let text = format!("0{}", number / 2 + 1);
    let branch = BranchId::parse(&text).unwrap_or_else(|error| unreachable!("{text}: {error}"));
    let op = if number.is_multiple_of(2) { "action" } else { "commit" }.to_owned();
    Progress { branch, op, done: rng.bool(), data: Payload::from(format!("{number}").as_str()) }
}
