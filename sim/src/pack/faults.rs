//! The faults.

use std::collections::BTreeMap;

use trine_engine::{LoadFailure, Message, Outcome, ParkCause, Wall};
use trine_protocol::Op;

use super::member::{Append, Member, new_shard};
use super::{ANY_TIME, Pack};
use crate::ask::Ask;
use crate::initiator::Initiated;
use crate::memories::Memories;

const TRANSACTIONS: usize = 12;
const SHARE_OF_CRASHES: usize = 100;
const SHARE_OF_PANICS: usize = 150;
const SHARE_OF_PAUSES: usize = 50;
const SHARE_OF_SLOW_HEARTBEATS: usize = 60;
const SHARE_OF_CLOCKS_SET: usize = 100;
const PAUSE_STEPS: usize = 60;
const SHARE_OF_DEAD_EXECUTORS: usize = 4;
const SHARE_OF_FORCED: usize = 60;
const CLAIM_MAX: usize = 4;

impl Pack {
    pub(super) fn faulty_step(&mut self) -> Result<(), String> {
        self.pass_steps()?;
        let any = self.rng.usize(..self.members.len());
        if self.one_in(SHARE_OF_CRASHES) {
            return self.crash(any);
        }
        if self.one_in(SHARE_OF_PANICS) && self.members[any].is_running() {
            return self.panic(any);
        }
        if self.one_in(SHARE_OF_PAUSES) && self.members[any].is_running() {
            self.verdict.pauses += 1;
            self.members[any].paused = self.rng.usize(1..PAUSE_STEPS);
            return Ok(());
        }
        if self.sets_clocks && self.one_in(SHARE_OF_CLOCKS_SET) && self.members[any].is_running() {
            self.set_clock(any);
        }
        if self.one_in(SHARE_OF_SLOW_HEARTBEATS) {
            self.members[any].is_lapsed = true;
        }
        // The store works even while members are paused.
        match self.rng.u8(..16) {
            0 => return self.land(any),
            1 => self.read(any),
            2 => return self.arrive_late(),
            _ => {}
        }
        let Some(m) = self.running() else { return Ok(()) };
        match self.rng.u8(..24) {
            0 | 1 if self.initiated.len() < TRANSACTIONS => self.initiate(m),
            0..=3 => self.initiator_acts(m),
            4 if self.one_in(SHARE_OF_DEAD_EXECUTORS) => self.kill_executor(),
            4..=7 => self.faulty_acknowledge(m)?,
            8..=10 => self.faulty_read(m),
            11 | 12 => self.pass_time(m),
            13 => self.adopt(m),
            14 | 15 => self.hear_claim(m),
            16 if self.one_in(2) => self.beat(m),
            16 => self.hear_lapse(m),
            17 if self.one_in(8) => {
                self.verdict.lapses_for_nothing += u64::from(!self.members[m].is_lapsed);
                self.members[m].shard.handle_lapse();
            }
            17 if self.one_in(4) => self.reconcile(m),
            // Calls take long, so that transactions change their owner during a call.
            18..=20 => self.faulty_answer(m)?,
            _ => {}
        }
        Ok(())
    }

    /// Counts pauses down. A member that was down starts again and reads its transactions.
    fn pass_steps(&mut self) -> Result<(), String> {
        for m in 0..self.members.len() {
            let member = &mut self.members[m];
            member.paused = member.paused.saturating_sub(1);
            // The others notice a long silence at a random time.
            let silent = !member.is_running();
            let restarts = member.down == 1;
            member.down = member.down.saturating_sub(1);
            if silent && self.one_in(20) {
                self.members[m].is_lapsed = true;
            }
            if restarts {
                self.start(m);
            }
        }
        Ok(())
    }

    pub(super) fn start(&mut self, m: usize) {
        // A new process has nothing in memory that others could have adopted, so it is not lapsed.
        self.members[m].is_lapsed = false;
        // Its clock may have been set back. Then `due_at` in the rows is too late, so all rows are read.
        self.bring_back(m, ANY_TIME);
    }

    /// Sets a wall clock. `due_at` in the rows of long waits was computed with the old clock.
    fn set_clock(&mut self, m: usize) {
        self.verdict.clocks_set += 1;
        let member = &mut self.members[m];
        member.clock.set(&mut self.rng, self.now);
        member.shard.handle_clock(member.clock.wall.clone());
        self.bring_back(m, ANY_TIME);
    }

    /// The process dies. Its memory and connections are gone, and its messages under way may or may not arrive.
    fn crash(&mut self, m: usize) -> Result<(), String> {
        if self.members[m].down > 0 {
            return Ok(());
        }
        self.verdict.crashes += 1;
        let down = if self.rng.bool() { 1 } else { self.rng.usize(1..3 * PAUSE_STEPS) };
        let clock = self.members[m].clock.restarted();
        let fresh = Member { down, is_lapsed: self.members[m].is_lapsed, ..Member::new(clock) };
        let dead = std::mem::replace(&mut self.members[m], fresh);
        if let Some(Append::Sent(batch)) = dead.append {
            match self.rng.u8(..3) {
                0 => drop(self.append(m, &batch)?),
                1 => self.late_appends.push((m, batch)),
                _ => {}
            }
        }
        for call in dead.calls {
            match self.rng.u8(..3) {
                0 => drop(self.execute(&call)),
                1 => self.late_calls.push(call),
                _ => {}
            }
        }
        Ok(())
    }

    /// The shard of a member panics: its memory is lost. The process, its calls and its append go on.
    fn panic(&mut self, m: usize) -> Result<(), String> {
        self.verdict.panics += 1;
        let member = &mut self.members[m];
        member.shard = new_shard();
        member.shard.handle_clock(Wall::new(member.clock.wall.lead_ms()));
        for call in &member.calls {
            member.shard.handle_under_way(&call.gid, call.key);
        }
        (member.asked, member.memories) = (BTreeMap::new(), Memories::default());
        (member.reads, member.read) = (Vec::new(), Vec::new());
        if let Some(Append::Sent(batch)) = member.append.take() {
            if self.rng.bool() {
                self.late_appends.push((m, batch));
            } else {
                self.append(m, &batch)?;
            }
        }
        self.bring_back(m, ANY_TIME);
        Ok(())
    }

    fn initiate(&mut self, m: usize) {
        let last = self.initiated.len();
        self.initiated.push(Initiated::new(&mut self.rng, last));
        self.ask(m, last, Ask::Create);
    }

    fn initiator_acts(&mut self, m: usize) {
        if self.initiated.is_empty() {
            return;
        }
        let index = self.rng.usize(..self.initiated.len());
        // An operator may ask any member, not only the owner.
        let by_hand = if self.one_in(SHARE_OF_FORCED) && self.exists(index) {
            self.initiated[index].is_forced(&mut self.rng)
        } else if self.one_in(8) && self.exists(index) {
            Some(Ask::Replay)
        } else {
            None
        };
        if let Some(ask) = by_hand.or_else(|| self.initiated[index].acts(&mut self.rng)) {
            self.ask(m, index, ask);
        }
    }

    fn exists(&self, index: usize) -> bool {
        self.shared.store.state(&self.initiated[index].gid).is_some()
    }

    fn faulty_acknowledge(&mut self, m: usize) -> Result<(), String> {
        let fault = self.rng.u8(..16);
        if fault >= 4 {
            return self.acknowledge(m);
        }
        let id = match self.members[m].append.take() {
            None => return Ok(()),
            Some(Append::Landed(batch, _)) => batch.id,
            Some(Append::Sent(batch)) => {
                let id = batch.id;
                match fault {
                    0 => drop(self.append(m, &batch)?),
                    1 | 2 => self.late_appends.push((m, batch)),
                    _ => {}
                }
                id
            }
        };
        self.verdict.doubtful += 1;
        let member = &mut self.members[m];
        let forgotten = member.shard.on_commit_failed(id, member.now(self.now));
        member.memories.forgotten(&forgotten);
        Ok(())
    }

    fn faulty_read(&mut self, m: usize) {
        if self.rng.bool() {
            self.read(m);
        }
        if self.one_in(10) {
            let member = &mut self.members[m];
            if let Some(gid) = member.reads.pop() {
                member.shard.on_loaded(&gid, Err(LoadFailure::Unavailable), member.now(self.now));
            }
        } else {
            self.hear_read(m);
        }
    }

    /// A call or append that its coordinator no longer waits for arrives after all.
    pub(super) fn arrive_late(&mut self) -> Result<(), String> {
        if !self.late_appends.is_empty() {
            let (m, batch) = self.late_appends.swap_remove(self.rng.usize(..self.late_appends.len()));
            let conflicts = self.append(m, &batch)?;
            let mut gids: Vec<_> = batch.records.iter().map(|record| &record.gid).collect();
            gids.dedup();
            self.verdict.written_late += (gids.len() - conflicts.len()) as u64;
        } else if !self.late_calls.is_empty() {
            let call = self.late_calls.swap_remove(self.rng.usize(..self.late_calls.len()));
            self.execute(&call);
        }
        Ok(())
    }

    fn pass_time(&mut self, m: usize) {
        let now = self.members[m].now(self.now);
        let next = self.members[m].shard.poll_timeout().map_or(0, |at| at.millis_since(now));
        self.now = self.now.plus_millis(self.rng.u64(0..=next.clamp(1, 5_000)));
        let member = &mut self.members[m];
        member.shard.handle_timeout(member.now(self.now));
    }

    /// Adopts from members that seem to be gone. A member that is lapsed itself and does not know it adopts, too.
    fn adopt(&mut self, m: usize) {
        let limit = self.rng.usize(1..=CLAIM_MAX);
        let members = &self.members;
        let claimed = self.shared.adopt(m, |owner| members[owner].is_lapsed, limit);
        for (gid, former) in claimed {
            let living = self.members[former].down == 0;
            self.verdict.adopted += u64::from(!living);
            self.verdict.adopted_from_living += u64::from(living);
            self.verdict.overlaps += u64::from(self.members[former].shard.drives(&gid));
            self.members[m].claimed.push_back(gid);
        }
    }

    fn faulty_answer(&mut self, m: usize) -> Result<(), String> {
        let count = self.members[m].calls.len();
        if count == 0 {
            return Ok(());
        }
        let call = self.members[m].calls.swap_remove(self.rng.usize(..count));
        let forward = call.op() == Op::forward(call.pattern) && call.op().may_be_refused();
        let outcome = match self.rng.u8(..17) {
            0 if forward => {
                self.verdict.refusals += 1;
                self.late_calls.push(call.clone());
                Outcome::Refused { reason: "no".into() }
            }
            0 => {
                self.verdict.conflicts_answered += 1;
                self.answer_with(m, call, Outcome::Unknown, Some(ParkCause::Conflict));
                return Ok(());
            }
            1 => {
                self.execute_of(m, &call)?;
                Outcome::Unknown
            }
            2 => {
                self.late_calls.push(call.clone());
                Outcome::Unknown
            }
            3 => {
                self.participants.put_off(&call);
                Outcome::Ongoing { retry_after_ms: Some(100) }
            }
            5 => {
                self.participants.put_off(&call);
                Outcome::ClientError
            }
            6 => {
                self.verdict.delivered_twice += 1;
                self.late_calls.push(call.clone());
                self.execute_of(m, &call)?
            }
            4 => {
                let member = &mut self.members[m];
                let now = member.now(self.now);
                let retry_at = now.plus_millis(50);
                let reason = self.rng.bool().then(|| "nobody there".to_owned());
                let message = Message::NotSent { gid: call.gid, key: call.key, retry_at, reason };
                member.shard.handle(message, now);
                return Ok(());
            }
            _ => self.execute_of(m, &call)?,
        };
        self.answer(m, call, outcome);
        Ok(())
    }
}
