//! A gid whose journal is being read, and what waits for the result.

use trine_protocol::{Gid, Timestamp};

use super::outbox::Outbox;
use super::slot::{ReadStage, Reading, Resident, Slot};
use super::{Context, Found, LoadFailure, Message};
use crate::input::Rejection;

impl Reading {
    pub(super) fn that_must_come_back() -> Self {
        Self { must_come_back: true, ..Self::default() }
    }

    /// Asks for the journal. An earlier read does not count any more, and neither do the marks that call it stale.
    pub(super) fn ask(mut self: Box<Self>, gid: &Gid, outbox: &mut Outbox) -> Slot {
        let (mut messages, late) = self.take_messages();
        // For the new read they are not late: it starts after they came.
        messages.extend(late);
        self.messages = messages;
        (self.owned_may_be_stale, self.foreign_may_be_stale) = (false, false);
        outbox.load(gid);
        Slot::Reading(self)
    }

    pub(super) fn start(&mut self) {
        match self.stage {
            ReadStage::Queued | ReadStage::Failed { .. } => {
                self.stage = ReadStage::Started { late: Vec::new() };
            }
            // An earlier Load of the same gid is under way. A message that came after its start stays late.
            ReadStage::Started { .. } => {}
        }
    }

    pub(super) fn push(&mut self, message: Message) {
        match &mut self.stage {
            ReadStage::Queued | ReadStage::Failed { .. } => self.messages.push(message),
            ReadStage::Started { late } => late.push(message),
        }
    }

    /// The messages that are decided on the result, and those that came after the read had started.
    fn take_messages(&mut self) -> (Vec<Message>, Vec<Message>) {
        let late = match std::mem::take(&mut self.stage) {
            ReadStage::Queued | ReadStage::Failed { .. } => Vec::new(),
            ReadStage::Started { late } => late,
        };
        (std::mem::take(&mut self.messages), late)
    }

    pub(super) fn found(mut self: Box<Self>, found: Found, cx: &mut Context<'_>) -> Slot {
        // The result was read before another coordinator, or this one, took the transaction over.
        let is_stale = if found.owned { self.owned_may_be_stale } else { self.foreign_may_be_stale };
        if is_stale {
            // Two coordinators would drive the transaction, or none.
            return self.ask(cx.gid, cx.outbox);
        }
        assert_eq!(found.transaction.gid(), cx.gid, "a journal was read for another gid");
        let (messages, late) = self.take_messages();
        // Answers that wait count as under way until they are handled: their calls are not made again.
        self.left_earlier.extend(messages.iter().chain(&late).filter_map(Message::answers));
        let mut resident = Resident::read(found, *self, cx);
        for message in messages {
            if let Some(key) = message.answers() {
                resident.call_ended(key);
            }
            resident.decide(message, cx);
        }
        // Not decided at once: for a foreign transaction, a late command has to wait for a second read.
        let slot = Slot::Resident(resident);
        match late.into_iter().fold(slot, |slot, message| slot.handle(message, cx)) {
            Slot::Resident(mut resident) => {
                // If no message was decided, nobody has looked yet whether those who wait for quiet can be told.
                resident.answer_if_quiet(cx);
                resident.leave_if_idle(cx)
            }
            other @ (Slot::Reading(_) | Slot::Away(_)) => other,
        }
    }

    pub(super) fn not_found(mut self, cx: &mut Context<'_>) -> Slot {
        // The transaction of the waiters was durable. It has settled since, and retention has deleted it.
        for waiter in self.waiters.drain(..) {
            cx.outbox.reply(waiter.ticket, Err(Rejection::NotFound));
        }
        let (messages, late) = self.take_messages();
        let mut created: Option<Box<Resident>> = None;
        for message in messages {
            match &mut created {
                Some(resident) => resident.decide(message, cx),
                None => created = Resident::create(message, cx),
            }
        }
        let slot = Slot::created(created, self.left_earlier);
        late.into_iter().fold(slot, |slot, message| slot.handle(message, cx))
    }

    pub(super) fn failed(mut self: Box<Self>, failure: LoadFailure, cx: &mut Context<'_>) -> Slot {
        let rejection = match failure {
            LoadFailure::Unavailable => Rejection::Unavailable,
            LoadFailure::Corrupt => {
                // Another read does not help. The lane says so in its log, and a person has to mend the journal.
                self.must_come_back = false;
                Rejection::Corrupt
            }
        };
        let retry_at = cx.now.plus_millis(cx.options.reload_delay_ms);
        self.pause(&rejection, retry_at, cx)
    }

    /// Refuses the commands that wait for the read, because nobody knows how long it takes. Keeps the rest until the read
    /// is tried again.
    pub(super) fn pause(
        mut self: Box<Self>,
        rejection: &Rejection,
        retry_at: Timestamp,
        cx: &mut Context<'_>,
    ) -> Slot {
        let (messages, late) = self.take_messages();
        for message in messages.into_iter().chain(late) {
            match message {
                Message::Command { ticket, .. } => cx.outbox.reply(ticket, Err(rejection.clone())),
                // Kept: the only other way to learn an answer again is to repeat the call.
                Message::Answer { .. } | Message::NotSent { .. } | Message::Quarantine { .. } => {
                    self.messages.push(message);
                }
            }
        }
        for waiter in self.waiters.drain(..) {
            cx.outbox.reply(waiter.ticket, Err(rejection.clone()));
        }
        if !self.must_come_back {
            return Slot::Away(self.left_earlier);
        }
        // Nobody keeps this timer, so nobody can take it back. `wake` leaves alone what no longer waits for it.
        cx.outbox.set_timer(cx.gid, &mut None, Some(retry_at));
        self.stage = ReadStage::Failed { retry_at };
        // The next read begins after everything that made this one stale.
        (self.owned_may_be_stale, self.foreign_may_be_stale) = (false, false);
        Slot::Reading(self)
    }

    pub(super) fn wake(mut self: Box<Self>, cx: &mut Context<'_>) -> Slot {
        match self.stage {
            ReadStage::Failed { retry_at } if retry_at <= cx.now => {
                self.stage = ReadStage::Queued;
                cx.outbox.load(cx.gid);
            }
            // The timer is an older one.
            ReadStage::Failed { .. } | ReadStage::Queued | ReadStage::Started { .. } => {}
        }
        Slot::Reading(self)
    }
}
