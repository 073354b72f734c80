//! Answers to calls: usable ones, lost ones, late ones, repeated ones.

use trine_engine::{Answer, Call, CallReport, Message, Outcome, ParkCause, Transaction};
use trine_protocol::Op;

use super::Walk;
use crate::initiator::arrive;
use crate::participants::Happened;

impl Walk {
    pub(super) fn faulty_answer(&mut self) -> Result<(), String> {
        if self.calls.is_empty() {
            return Ok(());
        }
        let call = self.calls.swap_remove(self.rng.usize(..self.calls.len()));
        let forward = call.op() == Op::forward(call.pattern) && call.op().may_be_refused();
        let outcome = match self.rng.u8(..17) {
            0 if forward => {
                self.verdict.refusals += 1;
                self.late_calls.push(call.clone());
                Outcome::Refused { reason: "no".into() }
            }
            0 => Outcome::Unknown,
            1 => {
                self.verdict.conflicts_answered += 1;
                self.answer_with(call, Outcome::Unknown, Some(ParkCause::Conflict));
                return Ok(());
            }
            2 => {
                self.verdict.answers_lost += 1;
                self.execute_current(&call)?;
                Outcome::Unknown
            }
            3 => {
                self.late_calls.push(call.clone());
                Outcome::Unknown
            }
            4 => {
                self.participants.put_off(&call);
                Outcome::Ongoing { retry_after_ms: Some(100) }
            }
            6 => {
                self.participants.put_off(&call);
                Outcome::ClientError
            }
            7 => {
                self.verdict.delivered_twice += 1;
                self.late_calls.push(call.clone());
                self.execute_current(&call)?
            }
            5 => {
                let now = self.steady();
                let retry_at = now.plus_millis(50);
                let reason = self.rng.bool().then(|| "nobody there".to_owned());
                let message = Message::NotSent { gid: call.gid, key: call.key, retry_at, reason };
                self.shard.handle(message, now);
                return Ok(());
            }
            _ => self.execute_current(&call)?,
        };
        self.answer(call, outcome);
        Ok(())
    }

    pub(super) fn answer(&mut self, call: Call, outcome: Outcome) {
        self.answer_with(call, outcome, None);
    }

    pub(super) fn answer_with(&mut self, call: Call, outcome: Outcome, parks: Option<ParkCause>) {
        self.steps.answer(&call, &outcome);
        let random_permille = self.rng.u32(0..=1_000);
        let answer = Answer { outcome, parks, report: CallReport::default(), random_permille };
        let now = self.steady();
        self.shard.handle(Message::Answer { gid: call.gid, key: call.key, answer }, now);
    }

    /// A call arrives for which the coordinator waits. A barrier never refuses the coordinator that drives the transaction.
    pub(super) fn execute_current(&mut self, call: &Call) -> Result<Outcome, String> {
        let fenced = self.verdict.fenced;
        let outcome = self.execute(call);
        let journal_seq = self.store.state(&call.gid).map_or(0, Transaction::seq);
        if self.verdict.fenced > fenced && self.memories.is_current(call, journal_seq) {
            return Err(format!("{} {:?} was refused for its fence {}", call.gid, call.key, call.fence));
        }
        Ok(outcome)
    }

    pub(super) fn execute(&mut self, call: &Call) -> Outcome {
        let (outcome, happened) = arrive(call, &mut self.initiated, &mut self.participants);
        match happened {
            Some(Happened::Hanging) => self.verdict.hanging += 1,
            Some(Happened::Empty) => self.verdict.empty += 1,
            Some(Happened::Duplicate) => self.verdict.duplicates += 1,
            Some(Happened::Fenced) => self.verdict.fenced += 1,
            Some(Happened::Effect) | None => {}
        }
        outcome
    }
}
