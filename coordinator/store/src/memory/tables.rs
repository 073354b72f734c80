//! The tables of a store in memory, and what each call does to them. Faults and waiting are in `faults`.

mod retention;

use std::collections::{BTreeMap, BTreeSet};

use trine_engine::{Batch, IndexRow, Labels, Record};
use trine_protocol::v1::{Coordinator, Page, Participant, ParticipantInstance, TransactionSummary};
use trine_protocol::{Gid, Pattern, Status, Timestamp};

use super::Damage;
use super::key_values::Entries;
use crate::group::{self, Stored, Unreadable, Written};
use crate::watched::Span;
use crate::{
    Appended, Beat, Census, Cursor, Filter, HeartbeatAnswer, Journals, Loaded, Registration, Registrations,
};
use trine_clock as clock;

#[derive(Debug)]
struct JournalRow {
    seq: u64,
    at: Timestamp,
    event: Vec<u8>,
    checksum: Option<i64>,
}

#[derive(Debug, Default)]
pub(super) struct Tables {
    journal: BTreeMap<Gid, Vec<JournalRow>>,
    index: BTreeMap<Gid, Indexed>,
    /// By name, then by base URL.
    participants: BTreeMap<String, BTreeMap<String, Instance>>,
    /// Coordinators that are not gone.
    alive: BTreeSet<String>,
    /// Coordinators that are gone and have sent no heartbeat since.
    lapsed: BTreeSet<String>,
    /// Coordinators that have ever sent a heartbeat.
    known: BTreeSet<String>,
    /// Oldest first.
    watched: Vec<Span>,
    /// How far the store's clock is ahead of this process's.
    pub(super) ahead_ms: i64,
    pub(super) entries: Entries,
}

#[derive(Debug)]
struct Indexed {
    owner: String,
    row: IndexRow,
    settled_at: Option<Timestamp>,
    labels: Labels,
}

#[derive(Debug, Clone, Copy)]
struct Instance {
    registered_at: Timestamp,
    expires_at: Timestamp,
    guarded_until: Option<Timestamp>,
}

impl Indexed {
    fn settled_at(&self) -> Option<Timestamp> {
        self.settled_at
    }

    fn matches(&self, filter: &Filter) -> bool {
        let row = &self.row;
        let Filter { statuses, pattern, parked, label, host, created_from, created_to } = filter;
        (statuses.is_empty() || statuses.contains(&row.status))
            && pattern.is_none_or(|pattern| pattern == row.pattern)
            && parked.is_none_or(|parked| parked == row.parked.is_some())
            && label.as_ref().is_none_or(|(key, value)| self.labels.get(key) == Some(value.as_str()))
            && host.as_ref().is_none_or(|host| row.hosts.contains(host))
            && created_from.is_none_or(|from| row.created_at >= from)
            && created_to.is_none_or(|to| row.created_at < to)
    }
}

impl Tables {
    pub(super) fn append(&mut self, batch: &Batch, owner: &str) -> Appended {
        let last =
            |gid: &Gid| self.journal.get(gid).and_then(|lines| lines.last()).map_or(0, |line| line.seq);
        let conflicts = group::conflicts(&group::runs(batch), last);
        for record in batch.records.iter().filter(|record| !conflicts.contains(&record.gid)) {
            let Written { event, checksum } = group::written(record);
            let (seq, at, event) = (record.seq, record.at, event.into_bytes());
            let line = JournalRow { seq, at, event, checksum: Some(checksum) };
            self.journal.entry(record.gid.clone()).or_default().push(line);
        }
        let now = self.now();
        for row in batch.rows.iter().filter(|row| !conflicts.contains(&row.gid)) {
            let labels = match self.index.remove(&row.gid) {
                Some(earlier) => earlier.labels,
                None => row.spec.labels.clone(),
            };
            let settled = row.status.is_settled().then_some(row.updated_at);
            // A transaction that has just settled is not old, whatever time it or its coordinator keeps.
            let settled_at = settled.map(|at| at.max(now));
            let row = Indexed { owner: owner.to_owned(), row: row.clone(), settled_at, labels };
            self.index.insert(row.row.gid.clone(), row);
        }
        Appended { conflicts: conflicts.into_iter().collect() }
    }

    fn now(&self) -> Timestamp {
        Timestamp::from_millis(clock::now().millis().saturating_add_signed(self.ahead_ms))
    }

    pub(super) fn damage(&mut self, gid: &Gid, seq: u64, damage: &Damage) -> bool {
        let Some(lines) = self.journal.get_mut(gid) else { return false };
        let Some(position) = lines.iter().position(|line| line.seq == seq) else { return false };
        match damage {
            Damage::Event(bytes) => lines[position].event.clone_from(bytes),
            Damage::At(at) => lines[position].at = *at,
            Damage::NoChecksum => lines[position].checksum = None,
            Damage::Lost => drop(lines.remove(position)),
            Damage::Moved(to, seq) => {
                let line = JournalRow { seq: *seq, ..lines.remove(position) };
                let lines = self.journal.entry(to.clone()).or_default();
                lines.push(line);
                lines.sort_by_key(|line| line.seq);
            }
        }
        true
    }

    pub(super) fn remove_probe(&mut self, gid: &Gid) {
        if !self.index.contains_key(gid) {
            self.journal.remove(gid);
        }
    }

    pub(super) fn load(&self, owner: &str, gids: Vec<Gid>) -> Journals {
        let found = gids.into_iter().filter(|gid| self.journal.contains_key(gid));
        found
            .map(|gid| {
                let owned = self.index.get(&gid).is_some_and(|row| row.owner == owner);
                let rows: Result<_, Unreadable> = self.rows(&gid, 0).collect();
                Loaded { records: rows.map_err(|damaged| group::unreadable(&gid, &damaged)), gid, owned }
            })
            .collect()
    }

    pub(super) fn rows(&self, gid: &Gid, after_seq: u64) -> impl Iterator<Item = Result<Record, Unreadable>> {
        let lines = self.journal.get(gid).into_iter().flatten().filter(move |line| line.seq > after_seq);
        lines.map(move |line| {
            let (seq, at) = (line.seq.cast_signed(), line.at.millis().cast_signed());
            group::record(gid, Stored { seq, at, event: &line.event, checksum: line.checksum })
        })
    }

    pub(super) fn unfinished(
        &self,
        owner: &str,
        after: Option<&Gid>,
        due_by: Timestamp,
        limit: usize,
    ) -> Vec<Gid> {
        let wanted = |row: &&Indexed| {
            row.owner == owner
                && row.settled_at().is_none()
                && row.row.due_at.is_none_or(|due_at| due_at <= due_by)
                && after.is_none_or(|after| row.row.gid > *after)
        };
        self.index.values().filter(wanted).take(limit).map(|row| row.row.gid.clone()).collect()
    }

    pub(super) fn due(&self, owner: &str, due_by: Timestamp, limit: usize) -> Vec<Gid> {
        let owned = self.index.values().filter(|row| row.owner == owner && row.settled_at().is_none());
        let mut due: Vec<(Timestamp, Gid)> =
            owned.filter_map(|row| Some((row.row.due_at?, row.row.gid.clone()))).collect();
        due.retain(|(due_at, _)| *due_at <= due_by);
        due.sort();
        due.into_iter().take(limit).map(|(_, gid)| gid).collect()
    }

    pub(super) fn list(&self, filter: &Filter, cursor: Option<&Cursor>, limit: usize) -> Page {
        let place = |row: &Indexed| (row.row.created_at, row.row.gid.clone());
        let mut rows: Vec<&Indexed> = self.index.values().filter(|row| row.matches(filter)).collect();
        rows.retain(|row| cursor.is_none_or(|cursor| place(row) < (cursor.created_at, cursor.gid.clone())));
        rows.sort_by_cached_key(|row| std::cmp::Reverse(place(row)));
        let more = rows.len() > limit;
        rows.truncate(limit);
        let next = rows.last().filter(|_| more);
        let next_cursor =
            next.map(|row| Cursor { created_at: row.row.created_at, gid: row.row.gid.clone() }.encode());
        Page { transactions: rows.into_iter().map(|row| self.summary(row)).collect(), next_cursor }
    }

    pub(super) fn census(&self) -> Census {
        let unsettled = || self.index.values().filter(|row| row.settled_at().is_none());
        let mut counts: BTreeMap<(Pattern, Status), u64> = BTreeMap::new();
        for row in unsettled() {
            *counts.entry((row.row.pattern, row.row.status)).or_default() += 1;
        }
        Census {
            unfinished: counts
                .into_iter()
                .map(|((pattern, status), count)| (pattern, status, count))
                .collect(),
            parked: unsettled().filter(|row| row.row.parked.is_some()).count() as u64,
            oldest_unfinished: unsettled().map(|row| row.row.created_at).min(),
        }
    }

    pub(super) fn register(&mut self, registrations: Vec<Registration>) -> Timestamp {
        let now = self.now();
        for Registration { name, base_url, ttl_ms, guarded } in registrations {
            let expires_at = now.plus_millis(ttl_ms);
            let guarded_until = guarded.then_some(expires_at);
            let instances = self.participants.entry(name).or_default();
            let registered_at = instances.get(&base_url).map_or(now, |known| known.registered_at);
            instances.insert(base_url, Instance { registered_at, expires_at, guarded_until });
        }
        now
    }

    pub(super) fn is_registered(&self, name: &str) -> bool {
        self.participants.contains_key(name)
    }

    pub(super) fn deregister(&mut self, name: &str, base_url: Option<&str>) -> u64 {
        let Some(instances) = self.participants.get_mut(name) else { return 0 };
        let before = instances.len();
        instances.retain(|url, _| base_url.is_some_and(|base_url| url != base_url));
        let left = instances.len();
        if left == 0 {
            self.participants.remove(name);
        }
        (before - left) as u64
    }

    pub(super) fn participants(&self) -> Registrations {
        let now = self.now();
        let instance = |(base_url, lease): (&String, &Instance)| ParticipantInstance {
            base_url: base_url.clone(),
            registered_at: lease.registered_at,
            expires_at: lease.expires_at,
            alive: lease.expires_at > now,
            guarded: lease.guarded_until == Some(lease.expires_at),
        };
        let participant = |(name, instances): (&String, &BTreeMap<String, Instance>)| Participant {
            name: name.clone(),
            instances: instances.iter().map(instance).collect(),
        };
        Registrations { at: now, participants: self.participants.iter().map(participant).collect() }
    }

    pub(super) fn sweep_participants(&mut self, expired_ms: u64) -> u64 {
        let now = self.now();
        let mut swept = 0;
        for instances in self.participants.values_mut() {
            let count = instances.len();
            let last = instances.iter().max_by_key(|(url, lease)| (lease.expires_at, (*url).clone()));
            let Some(last) = last.map(|(url, _)| url.clone()) else { continue };
            instances.retain(|url, lease| lease.expires_at.plus_millis(expired_ms) >= now || *url == last);
            swept += count - instances.len();
        }
        swept as u64
    }

    pub(super) fn beat(&mut self, owner: &str) -> Beat {
        self.alive.insert(owner.to_owned());
        let known = !self.known.insert(owner.to_owned());
        let lapsed = self.lapsed.remove(owner) && known;
        let answer = if lapsed { HeartbeatAnswer::Lapsed } else { HeartbeatAnswer::Alive };
        Beat { answer, at: Some(self.now()) }
    }

    pub(super) fn lapse(&mut self, owner: &str) {
        self.alive.remove(owner);
        self.lapsed.insert(owner.to_owned());
    }

    pub(super) fn coordinators(&self) -> Vec<Coordinator> {
        let coordinator = |name: &String| Coordinator {
            name: name.clone(),
            alive: self.alive.contains(name),
            gave_up: false,
            started_at: Timestamp::from_millis(0),
            heartbeat_at: Timestamp::from_millis(0),
            unfinished: self
                .index
                .values()
                .filter(|row| row.owner == *name && row.settled_at().is_none())
                .count() as u64,
            store_node: None,
        };
        self.known.iter().map(coordinator).collect()
    }

    pub(super) fn sweep_coordinators(&mut self) -> u64 {
        let before = self.known.len();
        let owners: BTreeSet<&String> =
            self.index.values().filter(|row| row.settled_at().is_none()).map(|row| &row.owner).collect();
        self.known.retain(|name| self.alive.contains(name) || owners.contains(name));
        (before - self.known.len()) as u64
    }

    pub(super) fn adopt(&mut self, owner: &str, limit: usize) -> Vec<Gid> {
        let alive = &self.alive;
        let abandoned = self
            .index
            .values_mut()
            .filter(|row| row.owner != owner && row.settled_at().is_none() && !alive.contains(&row.owner));
        let mut claimed = Vec::new();
        for row in abandoned.take(limit) {
            owner.clone_into(&mut row.owner);
            claimed.push(row.row.gid.clone());
        }
        claimed
    }

    #[cfg(test)]
    pub(super) fn rewrite(&mut self, what: &crate::suite::Rewrite<'_>) {
        use crate::suite::Rewrite;
        match *what {
            Rewrite::Settled { gid, at } => {
                let gid = Gid::parse(gid).unwrap();
                self.index.get_mut(&gid).unwrap().settled_at =
                    Some(Timestamp::from_millis(at.cast_unsigned()));
            }
            Rewrite::Watched { from, until } => self.watched = vec![Span { from, until }],
            Rewrite::Expires { name, base_url, at } => {
                let lease = self.participants.get_mut(name).unwrap().get_mut(base_url).unwrap();
                lease.expires_at = Timestamp::from_millis(at.cast_unsigned());
            }
        }
    }
}

impl Tables {
    fn summary(&self, row: &Indexed) -> TransactionSummary {
        let last = self.journal.get(&row.row.gid).and_then(|lines| lines.last());
        TransactionSummary {
            gid: row.row.gid.clone(),
            pattern: row.row.pattern,
            status: row.row.status,
            parked: row.row.parked.map(str::to_owned),
            created_at: row.row.created_at,
            updated_at: last.map_or(row.row.updated_at, |line| line.at),
            settled_at: row.settled_at(),
        }
    }
}
