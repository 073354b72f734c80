//! What is measured: a coordinator of some kind with the servers behind it, and a round of work on it.

use std::fmt;
use std::rc::Rc;
use std::time::{Duration, Instant};

use serde_json::Value;

use super::Bench;
use super::http::{self, Counters};
use super::load::{Expect, Load, Outcome, Pace, Until};
use super::shape::{self, Exposure, Shape};
use crate::server::Server;
use crate::wait::wait_for;

const SETTLE_WITHIN: Duration = Duration::from_secs(600);

/// Which API the initiators use.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Dialect {
    Native,
    Dtm,
}

/// What the initiators ask for.
#[derive(Debug, Clone)]
pub(super) struct Work {
    pub(super) shape: Shape,
    pub(super) dialect: Dialect,
    pub(super) exposure: Option<Exposure>,
    pub(super) pace: Pace,
    /// The answer is the end. Otherwise it is "accepted", and a round lasts until everything is settled.
    pub(super) waited: bool,
    pub(super) busy_allowed: bool,
}

/// The kind of a coordinator.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// Makes the calls, decides and stores nothing.
    Null,
    Trine,
    /// Another server that speaks the dtm dialect.
    Peer,
}

/// A coordinator under test.
pub(super) struct Subject {
    pub(super) kind: Kind,
    pub(super) url: String,
    /// Missing if somebody else started the coordinator.
    pub(super) server: Option<Server>,
    /// The program that started the database, if the bench did.
    pub(super) database: Option<Rc<Server>>,
}

/// One measured round.
#[derive(Debug, Clone, Default)]
pub(super) struct Round {
    pub(super) outcome: Outcome,
    /// Processor seconds by process.
    pub(super) cpu: Vec<(&'static str, f64)>,
    /// What the coordinator wrote. Only Trine tells.
    pub(super) written: Option<Counters>,
    /// Syncs that the database server counted. SQLite syncs its log once per batch.
    pub(super) syncs: Option<f64>,
    /// The most memory that the coordinator used.
    pub(super) peak_bytes: f64,
}

impl Work {
    /// Waited for, over the native API.
    pub(super) fn closed(shape: Shape, initiators: usize) -> Self {
        let (dialect, pace) = (Dialect::Native, Pace::Initiators(initiators));
        Self { shape, dialect, exposure: None, pace, waited: true, busy_allowed: false }
    }

    pub(super) fn with(&self, exposure: Option<Exposure>) -> Self {
        Self { exposure: exposure.filter(|_| self.shape.is_saga()), ..self.clone() }
    }

    pub(super) fn body(&self, participant: &str) -> Result<Value, String> {
        match self.dialect {
            Dialect::Native => Ok(self.shape.native(participant, self.exposure, &shape::payload())),
            Dialect::Dtm => self
                .shape
                .dtm(participant, &shape::payload(), self.waited)
                .ok_or_else(|| format!("a {} is not one request in the dtm dialect", self.shape)),
        }
    }

    fn expect(&self) -> Expect {
        match self.dialect {
            Dialect::Dtm => Expect::Success,
            Dialect::Native if self.waited => Expect::Committed,
            Dialect::Native => Expect::Accepted,
        }
    }
}

impl fmt::Display for Work {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.shape)?;
        if self.dialect == Dialect::Dtm {
            f.write_str(", dtm dialect")?;
        }
        f.write_str(if self.waited { ", waited for" } else { ", not waited for" })?;
        match self.pace {
            Pace::Initiators(1) => f.write_str(", 1 initiator"),
            Pace::Initiators(count) => write!(f, ", {count} initiators"),
            Pace::PerSecond(rate) => write!(f, ", {rate} started each second"),
        }
    }
}

impl Subject {
    /// The load of this work on this coordinator, spread over the participants.
    pub(super) fn load(&self, work: &Work, participants: &[&Server], until: Until) -> Result<Load, String> {
        let (path, expect) = match self.kind {
            Kind::Null => (work.shape.null_path(), Expect::Committed),
            Kind::Trine | Kind::Peer => {
                let path = match work.dialect {
                    Dialect::Native => "/v1/transactions",
                    Dialect::Dtm => "/api/dtmsvr/submit",
                };
                (path.to_owned(), work.expect())
            }
        };
        Ok(Load {
            url: format!("{}{path}", self.url),
            bodies: participants.iter().map(|one| work.body(&one.url)).collect::<Result<_, _>>()?,
            pace: work.pace,
            until,
            expect,
            busy_allowed: work.busy_allowed,
        })
    }

    pub(super) fn counters(&self) -> Result<Option<Counters>, String> {
        if self.kind == Kind::Trine { Counters::of(&self.url).map(Some) } else { Ok(None) }
    }

    fn syncs(&self) -> Result<Option<f64>, String> {
        let Some(database) = &self.database else { return Ok(None) };
        Ok(http::get(&format!("{}/syncs", database.url))?.trim().parse().ok())
    }

    /// Waits until everything that was created is settled.
    pub(super) fn wait_until_settled(&self) -> Result<(), String> {
        wait_for(SETTLE_WITHIN, || {
            // Other coordinators than Trine have no counters.
            let left = self.counters()?.map_or(0.0, |counters| counters.created - counters.settled);
            Ok((left <= 0.0).then_some(()).ok_or_else(|| format!("{left} transactions are not settled")))
        })
    }

    /// Processor seconds so far of everything that works for this coordinator.
    fn cpu(&self, participants: &[&Server]) -> Result<Vec<(&'static str, f64)>, String> {
        let mut cpu = Vec::new();
        if let Some(server) = &self.server {
            cpu.push(("coordinator", server.process.cpu_seconds()?));
        }
        if let Some(database) = &self.database {
            cpu.push(("database", database.process.family_cpu_seconds()?));
        }
        let seconds = participants.iter().map(|one| one.process.cpu_seconds());
        cpu.push(("participant", seconds.sum::<Result<f64, String>>()?));
        Ok(cpu)
    }
}

impl Bench {
    /// Runs the load on the coordinator, and charges each process with the processor time that it used meanwhile.
    pub(super) fn round(
        &self,
        subject: &Subject,
        work: &Work,
        participants: &[&Server],
        until: Until,
    ) -> Result<Round, String> {
        let load = subject.load(work, participants, until)?;
        let (cpu, counters, syncs) = (subject.cpu(participants)?, subject.counters()?, subject.syncs()?);
        if let Some(server) = &subject.server {
            server.process.forget_peak();
        }
        let begun = Instant::now();
        let (mut outcome, load_seconds) = self.run_load(&load)?;
        if !work.waited && subject.kind == Kind::Trine {
            subject.wait_until_settled()?;
            outcome.seconds = begun.elapsed().as_secs_f64();
            outcome.per_second = outcome.done / outcome.seconds;
        }
        let used = subject.cpu(participants)?.into_iter().zip(&cpu);
        let mut cpu: Vec<_> = used.map(|((name, after), (_, before))| (name, after - before)).collect();
        cpu.push(("load", load_seconds));
        let peak = subject.server.as_ref().map(|server| server.process.memory()).transpose()?;
        Ok(Round {
            outcome,
            cpu,
            written: subject.counters()?.zip(counters).map(|(after, before)| after.since(before)),
            syncs: subject.syncs()?.zip(syncs).map(|(after, before)| after - before),
            peak_bytes: peak.map_or(0.0, |memory| memory.peak as f64),
        })
    }
}

impl Round {
    pub(super) fn per_transaction(&self, figure: f64) -> f64 {
        figure / self.outcome.done.max(1.0)
    }

    /// Processor microseconds of each process per transaction.
    pub(super) fn cpu_us(&self, name: &str) -> Option<f64> {
        let (_, seconds) = self.cpu.iter().find(|(one, _)| *one == name)?;
        Some(self.per_transaction(seconds * 1e6))
    }

    /// Syncs of the log: counted by a database server, and one per batch on SQLite.
    pub(super) fn syncs_per_transaction(&self) -> Option<f64> {
        let syncs = self.syncs.or(self.written.map(|written| written.batches))?;
        Some(self.per_transaction(syncs))
    }

    /// How many processors were busy on average with the processes of this round.
    pub(super) fn processors_busy(&self) -> f64 {
        self.cpu.iter().map(|(_, seconds)| seconds).sum::<f64>() / self.outcome.seconds.max(0.001)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn subject(kind: Kind) -> Subject {
        Subject { kind, url: "http://c".to_owned(), server: None, database: None }
    }

    #[test]
    fn the_same_work_is_asked_of_each_kind_in_its_own_words() {
        let mut work = Work::closed(Shape::Saga(2), 8);
        let load = |kind, work: &Work| subject(kind).load(work, &[], Until::Count(1)).unwrap();
        assert_eq!(load(Kind::Null, &work).url, "http://c/1,1");
        assert_eq!(load(Kind::Trine, &work).url, "http://c/v1/transactions");
        work.dialect = Dialect::Dtm;
        let asked = load(Kind::Peer, &work);
        assert_eq!((asked.url.as_str(), asked.expect), ("http://c/api/dtmsvr/submit", Expect::Success));
        assert_eq!(load(Kind::Null, &work).expect, Expect::Committed);
    }

    #[test]
    fn a_shape_that_the_dialect_cannot_ask_for_is_an_error() {
        let work = Work { dialect: Dialect::Dtm, ..Work::closed(Shape::Tcc(2), 1) };
        assert!(work.body("http://p").unwrap_err().contains("tcc of 2"));
    }

    #[test]
    fn figures_are_shared_out_per_transaction() {
        let round = Round {
            outcome: Outcome { done: 1000.0, seconds: 2.0, ..Outcome::default() },
            cpu: vec![("load", 0.5), ("coordinator", 3.0)],
            written: Some(Counters { batches: 50.0, ..Counters::default() }),
            ..Round::default()
        };
        assert_eq!((round.cpu_us("coordinator"), round.cpu_us("database")), (Some(3000.0), None));
        assert_eq!((round.processors_busy(), round.syncs_per_transaction()), (1.75, Some(0.05)));
        assert_eq!(Round { syncs: Some(100.0), ..round }.syncs_per_transaction(), Some(0.1));
    }
}
