//! The phase without faults: each transaction gets exactly one driver, then everything settles and every memory is empty.

use trine_engine::ShardOptions;

use super::Pack;
use crate::ask::Ask;
use crate::clock::CALM_MS_MAX;
use crate::initiator::Initiated;

const CALM_STEPS_MAX: usize = 20_000;
const LOOKS_MAX: usize = 10;

impl Pack {
    pub(super) fn settle(&mut self) -> Result<(), String> {
        while !(self.late_appends.is_empty() && self.late_calls.is_empty()) {
            self.arrive_late()?;
        }
        self.wake_all();
        // Sometimes all members read everything again. Otherwise a member with old memory finds out when it appends.
        if self.rng.bool() {
            self.look_again()?;
            self.check_drivers()?;
        }
        for index in 0..self.initiated.len() {
            let m = self.rng.usize(..self.members.len());
            self.ask(m, index, Ask::Create);
        }
        // Some workflows stay without an executor, so that only a callback can bring them on.
        if self.rng.bool() {
            self.kill_executor();
        }
        let calm_since = self.now;
        for _ in 0..CALM_STEPS_MAX {
            if self.now.millis_since(calm_since) > CALM_MS_MAX {
                return Err(format!("something waited until {:?}, since {calm_since:?}", self.now));
            }
            self.be_quiet()?;
            let callers: Vec<usize> =
                (0..self.members.len()).filter(|&m| !self.members[m].calls.is_empty()).collect();
            if !callers.is_empty() {
                let m = callers[self.rng.usize(..callers.len())];
                self.answer_one(m)?;
            } else if self.is_over() {
                return Ok(());
            } else if let Some((index, ask)) = self.executor_acts() {
                let m = self.rng.usize(..self.members.len());
                self.ask(m, index, ask);
            } else if self.rng.bool()
                && let Some(index) = self.parked()
            {
                // Not always: sometimes time must pass first, for transactions that wait.
                self.verdict.replays += 1;
                let m = self.rng.usize(..self.members.len());
                self.ask(m, index, Ask::Replay);
            } else {
                (0..self.members.len()).for_each(|m| self.reconcile(m));
                self.be_quiet()?;
                self.pass_to_next();
            }
        }
        let stuck = self.shared.unsettled().next();
        let busy: Vec<_> = self.members.iter().map(|member| &member.shard).collect();
        Err(format!("it does not settle: {stuck:?} {busy:#?}"))
    }

    /// Every member reads its transactions again. Repeated until no member writes, because each write changes an owner.
    fn look_again(&mut self) -> Result<(), String> {
        for _ in 0..LOOKS_MAX {
            let before = self.shared.appends();
            self.members.iter_mut().for_each(|member| member.lapse_due = true);
            // Records that wait for others are written, so that their transactions can be read again.
            self.now = self.now.plus_millis(ShardOptions::DEFAULT.lazy_after_ms);
            self.be_quiet()?;
            (0..self.members.len()).for_each(|m| self.reconcile(m));
            self.be_quiet()?;
            if self.shared.appends() == before {
                return Ok(());
            }
        }
        Err("coordinators go on writing although nothing happens".into())
    }

    /// Ends all pauses, and every member sends a heartbeat.
    fn wake_all(&mut self) {
        for m in 0..self.members.len() {
            self.members[m].paused = 0;
            if std::mem::take(&mut self.members[m].down) > 0 {
                self.start(m);
            }
            self.beat(m);
        }
    }

    /// Runs everything that needs neither a call nor the passing of time.
    fn be_quiet(&mut self) -> Result<(), String> {
        loop {
            self.pump()?;
            let Some(m) = self.members.iter().position(|member| !member.is_quiet()) else { return Ok(()) };
            self.hear_lapse(m);
            self.hear_claim(m);
            self.acknowledge(m)?;
            self.read(m);
            self.hear_read(m);
        }
    }

    fn answer_one(&mut self, m: usize) -> Result<(), String> {
        if let Some(call) = self.members[m].calls.pop() {
            let outcome = self.execute_of(m, &call)?;
            self.answer(m, call, outcome);
        }
        Ok(())
    }

    /// An executor with a request that is not sent yet.
    fn executor_acts(&mut self) -> Option<(usize, Ask)> {
        let members = &self.members;
        let is_asked = |index: usize| {
            let mut asked = members.iter().flat_map(|member| member.asked.values());
            asked.any(|asked| asked.index == index && asked.question.ask.is_by_executor())
        };
        let idle = |(index, initiated): (usize, &mut Initiated)| {
            let executor = initiated.executor.as_mut().filter(|_| !is_asked(index))?;
            executor.acts().map(|ask| (index, ask))
        };
        self.initiated.iter_mut().enumerate().find_map(idle)
    }

    /// A parked transaction, for the operator to replay.
    fn parked(&self) -> Option<usize> {
        let parked = |initiated: &Initiated| {
            self.shared.store.state(&initiated.gid).is_some_and(|state| state.parked().is_some())
        };
        self.initiated.iter().position(parked)
    }

    /// Whether everything is settled, every request is answered, and every memory is empty.
    fn is_over(&self) -> bool {
        let settled = |initiated: &Initiated| {
            self.shared.store.state(&initiated.gid).is_some_and(|state| state.status().is_settled())
        };
        self.initiated.iter().all(settled)
            && self.members.iter().all(|member| member.asked.is_empty() && member.shard.is_empty())
    }

    fn pass_to_next(&mut self) {
        let due = |m: usize| {
            let member = &self.members[m];
            let in_memory = member.shard.poll_timeout().map(|at| member.clock.reached(at));
            let by_row = self.shared.next_due(m, member.wall(self.now));
            let by_row = by_row.map(|at| member.clock.shown(at));
            in_memory.into_iter().chain(by_row).min()
        };
        if let Some(at) = (0..self.members.len()).filter_map(due).min() {
            self.now = self.now.max(at);
            for member in &mut self.members {
                member.shard.handle_timeout(member.now(self.now));
            }
        }
    }
}
