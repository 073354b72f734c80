//! Notes the time that passes ([`crate::watched`]), and deletes transactions that settled long ago ([`crate::retention`]).

use super::{Indexed, Tables};
use crate::Leap;
use crate::retention::{self, Candidate, Judged, Walk};
use crate::watched::{self, Note, Span, Watcher};

impl Indexed {
    fn candidate(&self) -> Candidate {
        let settled_at = self.settled_at.unwrap_or_default().millis().cast_signed();
        Candidate { settled_at, gid: self.row.gid.as_str().to_owned() }
    }
}

impl Tables {
    pub(in crate::memory) fn watch(&mut self, watcher: &Watcher) -> Option<Leap> {
        let now = self.now().millis().cast_signed();
        let recent = self.index.values().flat_map(|row| [Some(row.row.created_at), row.settled_at]).flatten();
        let newest_record = recent.max().map(|at| at.millis().cast_signed());
        let plan = watcher.plan(now, self.watched.last().copied(), newest_record);
        if let Some(end) = plan.cut_to {
            self.watched.retain(|span| span.from <= end);
            self.watched.iter_mut().for_each(|span| span.until = span.until.min(end));
        }
        match plan.note {
            Note::Begin { from } => self.watched.push(Span { from, until: now }),
            Note::Extend { from } => {
                for span in self.watched.iter_mut().filter(|span| span.from == from) {
                    span.until = span.until.max(now);
                }
            }
        }
        watcher.noted(&plan);
        plan.leap
    }

    pub(in crate::memory) fn retire(&mut self, walk: &Walk, kept_ms: u64, limit: usize) -> u64 {
        let spans = self.watched.iter().rev().copied();
        let Some(before) = watched::settled_before(spans, kept_ms) else { return 0 };
        let is_old = |row: &&Indexed| row.settled_at().is_some_and(|at| at < before);
        let mut old: Vec<Candidate> = self.index.values().filter(is_old).map(Indexed::candidate).collect();
        old.sort();
        loop {
            let after = walk.after();
            let some: Vec<Candidate> = old.iter().filter(|one| **one > after).take(limit).cloned().collect();
            let Some(last) = some.last().cloned() else {
                walk.ended();
                return 0;
            };
            let mut judged = Judged::default();
            judged.add(&some, self.load("", retention::gids(&some)));
            for gid in retention::gids(&judged.settled) {
                self.index.remove(&gid);
                self.journal.remove(&gid);
            }
            for (_, row) in &judged.unfinished {
                if let Some(wrong) = self.index.get_mut(&row.gid) {
                    (wrong.row, wrong.settled_at) = (row.clone(), None);
                }
            }
            judged.put_right(judged.unfinished.len() as u64);
            walk.went_on(last, judged.damaged);
            if !judged.settled.is_empty() {
                return judged.settled.len() as u64;
            }
        }
    }
}
