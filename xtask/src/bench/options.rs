//! The command line of the bench.

use std::path::PathBuf;
use std::str::FromStr;

use clap::ValueEnum;

use super::Bench;
use super::load::{Pace, Until};
use super::servers::Store;
use super::shape::{Exposure, Shape};
use super::subject::{Dialect, Work};

/// What to measure, and how thoroughly.
#[derive(clap::Args)]
pub(crate) struct Options {
    /// What to measure
    #[arg(value_enum, default_value_t = Scenario::All)]
    scenario: Scenario,
    /// Short rounds and small numbers: everything in under five minutes
    #[arg(long)]
    pub(super) quick: bool,
    /// Print the result as JSON
    #[arg(long)]
    pub(super) json: bool,
    /// Fail when the first ratio is lower
    #[arg(long, value_name = "RATIO")]
    pub(super) min_ratio: Option<f64>,
    /// Concurrent initiators, where the scenario does not vary them
    #[arg(long, default_value_t = 64)]
    initiators: usize,
    /// For `throughput`: saga:N, graph, tcc:N, two_phase:N or message:N
    #[arg(long, default_value = "saga:2", value_parser = Shape::from_str)]
    shape: Shape,
    /// For `throughput`: the API of the initiators
    #[arg(long, value_enum, default_value_t = DialectName::Native)]
    dialect: DialectName,
    /// For `throughput`: start so many transactions each second, and count latency from the intended start
    #[arg(long, value_name = "PER_SECOND")]
    rate: Option<f64>,
    /// For `throughput`: do not wait for the end; a round lasts until everything is settled
    #[arg(long)]
    no_wait: bool,
    /// What sagas say in `options.exposure`; by default both modes are measured, if the server knows the field
    #[arg(long, value_enum)]
    exposure: Option<ExposureName>,
    /// Keep the journal there: sqlite, postgres, mariadb, mysql (the bench starts the server), or the URL of an empty database
    #[arg(long, default_value = "sqlite", value_name = "STORE", value_parser = Store::parse)]
    pub(super) store: Store,
    /// Measure this `trine` binary instead of building one
    #[arg(long, value_name = "PATH")]
    pub(super) server: Option<PathBuf>,
    /// For `stores`: measure another server over the dtm dialect, too: NAME=URL, or `dtmrs`, which is installed
    #[arg(long = "peer", value_name = "NAME=URL", value_parser = Peer::from_str)]
    pub(super) peers: Vec<Peer>,
    /// For `settled`: so many settled transactions in the store, one after the other [default: 1000000, or 50000 if quick]
    #[arg(long, value_name = "COUNT,COUNT", value_delimiter = ',')]
    pub(super) settled: Vec<u64>,
    /// Where the JSON file and the curves go [default: bench in the target directory]
    #[arg(long, value_name = "DIRECTORY")]
    pub(super) out: Option<PathBuf>,
}

#[derive(Debug, Clone, Copy, PartialEq, ValueEnum)]
pub(super) enum Scenario {
    /// One kind of work, against a null coordinator
    Throughput,
    /// Every shape, waited for or not, native and dtm, closed and open loop
    Shapes,
    /// Sagas of 2 with 1 to 256 initiators, sagas of 5 with one
    Initiators,
    /// Sagas of 1 to 10 branches
    Branches,
    /// SQLite, PostgreSQL and MariaDB, and every `--peer` on each
    Stores,
    /// PostgreSQL whose durable write takes 2 and 5 ms longer
    Delayed,
    /// One of ten participants hangs
    Isolation,
    /// Twice the rate that the server can sustain
    Overload,
    /// Unfinished transactions after kill -9
    Adoption,
    /// Idle, and with many waiting transactions
    Memory,
    /// Throughput beside many waiting transactions
    InFlight,
    /// Throughput on a store full of settled transactions
    Settled,
    /// What the table of targets needs
    Targets,
    /// Everything but `throughput`, which `initiators` contains
    All,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum DialectName {
    Native,
    Dtm,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum ExposureName {
    Auto,
    Ahead,
    Exact,
}

/// Another server that speaks the dtm dialect.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Peer {
    /// dtmrs from crates.io, on the same kinds of stores as Trine.
    Dtmrs,
    /// A server that somebody else runs.
    At { name: String, url: String },
}

impl FromStr for Peer {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text.split_once('=') {
            None if text == "dtmrs" => Ok(Self::Dtmrs),
            Some((name, url)) if !name.is_empty() && url.starts_with("http://") => {
                Ok(Self::At { name: name.to_owned(), url: url.trim_end_matches('/').to_owned() })
            }
            _ => Err("NAME=http://HOST:PORT, or dtmrs".to_owned()),
        }
    }
}

impl Options {
    pub(super) fn wants(&self, scenario: Scenario) -> bool {
        match self.scenario {
            Scenario::All => scenario != Scenario::Throughput,
            Scenario::Targets => !matches!(
                scenario,
                Scenario::Throughput
                    | Scenario::Shapes
                    | Scenario::Branches
                    | Scenario::Overload
                    | Scenario::InFlight
            ),
            wanted => wanted == scenario,
        }
    }

    /// Whether the table of targets is printed.
    pub(super) fn has_targets(&self) -> bool {
        matches!(self.scenario, Scenario::All | Scenario::Targets)
    }

    pub(super) fn work(&self) -> Work {
        let dialect = match self.dialect {
            DialectName::Native => Dialect::Native,
            DialectName::Dtm => Dialect::Dtm,
        };
        let pace = self.rate.map_or(Pace::Initiators(self.initiators), Pace::PerSecond);
        Work { dialect, pace, waited: !self.no_wait, ..Work::closed(self.shape, self.initiators) }
    }

    /// The modes to measure: the asked one, or both if the server knows the field.
    pub(super) fn modes(&self, bench: &Bench) -> Result<Vec<(&'static str, Option<Exposure>)>, String> {
        let asked = self.exposure.map(|name| match name {
            ExposureName::Auto => Exposure::Auto,
            ExposureName::Ahead => Exposure::Ahead,
            ExposureName::Exact => Exposure::Exact,
        });
        if let Some(exposure) = asked {
            return Ok(vec![(exposure.as_str(), asked)]);
        }
        let participant = bench.start_participant()?;
        let trine = bench.start_trine_on(&Store::Sqlite, "which modes")?;
        let work = Work::closed(Shape::Saga(1), 1).with(Some(Exposure::Ahead));
        let load = trine.load(&work, &[&participant], Until::Count(1))?;
        let (outcome, _) = bench.run_load(&load)?;
        match outcome.errors.first() {
            None => Ok(vec![("ahead", Some(Exposure::Ahead)), ("exact", Some(Exposure::Exact))]),
            Some(error) => {
                eprintln!("this server does not take options.exposure ({error}), so sagas have one mode");
                Ok(vec![("trine", None)])
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Parser)]
    struct Cli {
        #[command(flatten)]
        options: Options,
    }

    fn options(line: &str) -> Options {
        Cli::try_parse_from(line.split(' ')).unwrap_or_else(|error| panic!("{error}")).options
    }

    #[test]
    fn a_peer_has_a_name_and_an_address() {
        assert_eq!("dtmrs".parse(), Ok(Peer::Dtmrs));
        let peer = Peer::At { name: "dtm".to_owned(), url: "http://h:1".to_owned() };
        assert_eq!("dtm=http://h:1/".parse(), Ok(peer));
        for text in ["dtm", "=http://h:1", "dtm=h:1"] {
            assert!(text.parse::<Peer>().is_err(), "{text}");
        }
    }

    #[test]
    fn the_targets_need_some_scenarios_and_all_is_every_other() {
        let (all, targets, one) = (options("x"), options("x targets"), options("x memory"));
        assert!(all.wants(Scenario::Shapes) && !all.wants(Scenario::Throughput) && all.has_targets());
        assert!(targets.wants(Scenario::Stores) && !targets.wants(Scenario::Shapes));
        assert!(one.wants(Scenario::Memory) && !one.wants(Scenario::Stores) && !one.has_targets());
    }

    #[test]
    fn the_work_is_read_from_the_command_line() {
        let work = options("x throughput --shape tcc:2 --rate 100 --no-wait").work();
        assert_eq!((work.shape, work.pace, work.waited), (Shape::Tcc(2), Pace::PerSecond(100.0), false));
    }
}
