//! Whose a transaction is: what is driven here, what is only answered for, and how the two change places.
//!
//! A resident that is not owned is *foreign*. It makes no calls, time does not move it, answers to calls of earlier
//! days are dropped; it is here only while somebody waits for its end, and is read again now and then, and for every
//! command: what is told of it is never older than the question. A command that moves it makes it owned, and its row is
//! written with the records, so that the index says so.
//!
//! What is owned may be moved by others all the same (a command that reached them). This shard's own next append finds
//! out; where there is none, what is told of it is read again when it has become old: see `refresh_after_ms`.
//!
//! Nothing here is about safety (law L12): two shards that both believe to own a transaction meet in the journal (L7).

use std::collections::BTreeMap;

use trine_protocol::{Gid, Timestamp};

use super::schedule::believable;
use super::{CallStage, Found, KnownTime, Message, Release, Resident, Shard, ShardOptions, Waiter};
use crate::input::{CallKey, Input};
use crate::transaction::decide;

/// How old what is known of a transaction may be when one of its calls is repeated.
const CALLS_OLD_AFTER_MS: u64 = 1_000;

/// Messages that wait for their gid's journal to be read.
#[derive(Debug, Default)]
pub(super) struct Loading {
    pub(super) messages: Vec<Message>,
    /// The read is under way, and what comes from now on is not to be told what it finds of somebody else's.
    pub(super) is_under_way: bool,
    pub(super) late: Vec<Message>,
    /// Whose commands were accepted before it was read again.
    pub(super) waiters: Vec<Waiter>,
    /// It was resident and must come back even if nobody asks for it.
    pub(super) wanted: bool,
    /// What was durable when it was last here. A journal that is shorter has lost what was acknowledged.
    pub(super) durable_seq: u64,
    /// What is known of its own time.
    pub(super) time: KnownTime,
    /// The read failed; ask again then.
    pub(super) retry_at: Option<Timestamp>,
    /// Others may have taken it over since the read was asked for: that it is owned must be read again.
    pub(super) may_be_lost: bool,
    /// It may have been taken over from others since the read was asked for: that it is not owned must be read again.
    pub(super) may_be_won: bool,
}

impl Loading {
    /// For what must be in memory even if nobody asks for it.
    pub(super) fn wanted() -> Self {
        Self { wanted: true, ..Self::default() }
    }

    /// What was found was read before somebody else, or this coordinator, took the transaction over.
    pub(super) fn outdates(&self, found: &Found) -> bool {
        if found.owned { self.may_be_lost } else { self.may_be_won }
    }
}

impl Resident {
    /// When it is read again for those who wait for its end. What is being written tells by itself.
    pub(super) fn refresh_at(&self, options: &ShardOptions) -> Option<Timestamp> {
        let waited_for = self.owned && !self.waiters.is_empty();
        (waited_for && self.unflushed.is_none()).then(|| self.outdated_at(options))?
    }

    /// Time alone has made calls due, of what others may have moved meanwhile: no append of this shard would find that
    /// out before they are made. A check is never made on old knowledge: whom it asks may be at work elsewhere.
    pub(super) fn calls_on_old_knowledge(
        &self,
        options: &ShardOptions,
        distrusts_time: bool,
        now: Timestamp,
    ) -> bool {
        if options.refresh_after_ms.is_none() || !self.owned || self.unflushed.is_some() {
            return false;
        }
        let age_ms = now.millis_since(self.fresh_at);
        let due = believable(self.transaction.agenda(self.own(now)), distrusts_time).calls;
        let is_old = |key: &CallKey| age_ms > if key.branch.is_none() { 0 } else { CALLS_OLD_AFTER_MS };
        due.iter().any(|key| is_old(key) && !self.under_way.contains_key(key))
    }

    fn outdated_at(&self, options: &ShardOptions) -> Option<Timestamp> {
        options.refresh_after_ms.map(|refresh_after_ms| self.fresh_at.plus_millis(refresh_after_ms))
    }

    /// A command that would be answered from memory alone, and with what may no longer be so. One that is written
    /// finds that out by itself.
    pub(super) fn is_outdated_for(&self, message: &Message, options: &ShardOptions, now: Timestamp) -> bool {
        let Message::Command { command, .. } = message else { return false };
        if self.unflushed.is_some() || self.outdated_at(options).is_none_or(|outdated_at| outdated_at > now) {
            return false;
        }
        let events = decide(Some(&self.transaction), &Input::Command(command.clone()), self.own(now));
        events.map_or(true, |events| events.is_empty())
    }
}

impl Shard {
    /// A transaction belongs in memory: it is read unless it is here or being read. There is one way to read, so a
    /// state that is read can never be older than one this shard has let go of.
    pub fn handle_wanted(&mut self, gid: &Gid) {
        if let Some(loading) = self.loading.get_mut(gid) {
            loading.wanted = true;
            loading.may_be_won = true;
        } else if !self.residents.contains_key(gid) {
            self.load(gid, Loading::wanted());
        } else if !self.drives(gid) {
            self.read_again(gid);
        }
    }

    /// A transaction was taken over from somebody else: it is read even if it is here, for it may have moved there.
    pub fn handle_adopted(&mut self, gid: &Gid) {
        if self.residents.contains_key(gid) {
            self.read_again(gid);
        } else if self.loading.contains_key(gid) {
            self.handle_wanted(gid);
        } else {
            let time = KnownTime { is_adopted: true, ..KnownTime::default() };
            self.load(gid, Loading { time, ..Loading::wanted() });
        }
    }

    /// Others may have taken over what is here: everything is read again, and kept only if it is still owned.
    pub fn handle_lapse(&mut self) {
        self.loading.values_mut().for_each(|loading| loading.may_be_lost = true);
        let gids: Vec<Gid> = self.residents.keys().cloned().collect();
        for gid in gids {
            self.read_again(&gid);
        }
    }

    /// Whether this shard has a transaction in memory and drives it: for tests and checkers.
    pub fn drives(&self, gid: &Gid) -> bool {
        self.residents.get(gid).is_some_and(|resident| resident.owned)
    }

    /// A message for a transaction that somebody else drives, or may have moved.
    pub(super) fn receive_after_reading(&mut self, message: Message) {
        if message.answers().is_some() {
            // Whoever drives it owes the call as well, and hears for itself.
            return;
        }
        let gid = message.gid().clone();
        self.read_again(&gid);
        if let Some(loading) = self.loading.get_mut(&gid) {
            loading.messages.push(message);
        }
    }

    /// Asks for a gid's journal.
    pub(super) fn load(&mut self, gid: &Gid, loading: Loading) {
        let Loading { mut messages, late, waiters, wanted, durable_seq, time, .. } = loading;
        messages.extend(late);
        let loading = Loading { messages, waiters, wanted, durable_seq, time, ..Loading::default() };
        self.loading.insert(gid.clone(), loading);
        self.releases.push_back(Release::Load(gid.clone()));
    }

    /// Reads a transaction again that may have changed behind this shard's back. Whoever waits for its end goes on
    /// waiting. What is being written is left alone until that is durable, or until the append finds out.
    pub(super) fn read_again(&mut self, gid: &Gid) {
        let Some(resident) = self.residents.get_mut(gid) else { return };
        if resident.unflushed.is_some() {
            resident.unsure = true;
            resident.under_way.retain(|_, stage| *stage == CallStage::Released);
            let is_call = |release: &Option<Release>| matches!(release, Some(Release::Call(_)));
            if let Some(sealed) = &mut self.sealed {
                sealed.withheld.retain(|withheld| withheld.gid != *gid || !is_call(&withheld.release));
            }
            return;
        }
        let Some(mut resident) = self.let_go(gid) else { return };
        if let Some(timer) = resident.timer {
            self.timers.remove(&(timer, gid.clone()));
        }
        resident.waiters.sort_by_key(|waiter| waiter.message.order);
        self.orphan(gid, resident.under_way);
        let Resident { waiters, durable_seq, lead_ms, owned, .. } = resident;
        let time = KnownTime { lead_ms: owned.then_some(lead_ms), is_adopted: !owned };
        self.load(gid, Loading { waiters, durable_seq, time, ..Loading::wanted() });
    }

    /// What is sealed from now on is written together with its row, and thereby is this coordinator's.
    pub(super) fn make_sure(&mut self, gid: &Gid) {
        if let Some(resident) = self.residents.get_mut(gid)
            && std::mem::take(&mut resident.unsure)
        {
            resident.indexed = None;
        }
    }

    /// Remembers calls that left, of a transaction that is no longer here.
    pub(super) fn orphan(&mut self, gid: &Gid, under_way: BTreeMap<CallKey, CallStage>) {
        let released = |(key, stage): (CallKey, CallStage)| (stage == CallStage::Released).then_some(key);
        let released: Vec<CallKey> = under_way.into_iter().filter_map(released).collect();
        if !released.is_empty() {
            self.orphans.entry(gid.clone()).or_default().extend(released);
        }
    }

    /// A call left before this memory began, and has not come back.
    pub fn handle_under_way(&mut self, gid: &Gid, key: CallKey) {
        self.orphans.entry(gid.clone()).or_default().insert(key);
    }

    /// A call came back. Its transaction may be here, or gone, or be taken for a new one that is being created.
    pub(super) fn call_ended(&mut self, gid: &Gid, key: CallKey) {
        if let Some(resident) = self.residents.get_mut(gid) {
            resident.under_way.remove(&key);
        }
        if let Some(orphans) = self.orphans.get_mut(gid) {
            orphans.remove(&key);
            if orphans.is_empty() {
                self.orphans.remove(gid);
            }
        }
    }
}
