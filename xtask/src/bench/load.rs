//! Runs `bench-load` against a coordinator, and reads the results and the processor time of the servers.

use std::ffi::OsString;

use serde_json::{Value, json};

use super::Bench;
use crate::process::Process;
use crate::server::Server;

/// The work of the initiators.
pub(super) struct Load {
    pub(super) url: String,
    pub(super) body: Value,
    pub(super) initiators: usize,
    pub(super) until: Until,
    pub(super) expect: Expect,
    /// Pause of each initiator between two requests.
    pub(super) pause_ms: u64,
}

/// When the initiators stop.
pub(super) enum Until {
    Seconds(u32),
    Count(u32),
}

/// The expected answer.
pub(super) enum Expect {
    /// Committed, after waiting for the end.
    Committed,
    /// Accepted, without waiting.
    Accepted,
}

/// The result of a load.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Outcome {
    pub(super) done: f64,
    pub(super) seconds: f64,
    pub(super) per_second: f64,
    pub(super) p50_ms: f64,
    pub(super) p99_ms: f64,
    /// Unexpected answers, each with how often it came.
    pub(super) errors: Vec<String>,
}

/// The result of a load, and the processor seconds of each process.
#[derive(Debug, Clone)]
pub(super) struct Round {
    pub(super) outcome: Outcome,
    pub(super) cpu: Vec<(&'static str, f64)>,
}

impl Load {
    fn args(&self) -> Vec<OsString> {
        let until = match self.until {
            Until::Seconds(seconds) => ["--seconds".to_owned(), seconds.to_string()],
            Until::Count(count) => ["--count".to_owned(), count.to_string()],
        };
        let expect = match self.expect {
            Expect::Committed => "committed",
            Expect::Accepted => "accepted",
        };
        let mut args: Vec<OsString> = vec!["--url".into(), (&self.url).into(), "--body".into()];
        args.push(self.body.to_string().into());
        args.extend(until.map(OsString::from));
        args.extend(["--initiators".into(), self.initiators.to_string().into()]);
        args.extend(["--expect".into(), expect.into()]);
        args.extend(["--pause-ms".into(), self.pause_ms.to_string().into()]);
        args
    }
}

impl Bench {
    /// Starts the load and leaves it running.
    pub(super) fn start_load(&self, load: &Load) -> Result<Process, String> {
        Process::start("bench-load", &self.programs.join("bench-load"), &load.args())
    }

    /// Runs the load to its end and charges each named server with the processor time it used meanwhile.
    pub(super) fn run_load(&self, load: &Load, servers: &[(&'static str, &Server)]) -> Result<Round, String> {
        let before: Vec<f64> =
            servers.iter().map(|(_, server)| server.process.cpu_seconds()).collect::<Result<_, _>>()?;
        let (printed, load_seconds) = self.start_load(load)?.finish()?;
        let mut cpu = vec![("load", load_seconds)];
        for ((name, server), before) in servers.iter().zip(before) {
            cpu.push((name, server.process.cpu_seconds()? - before));
        }
        Ok(Round { outcome: Outcome::parse(&printed)?, cpu })
    }

    /// One measured round of committed sagas.
    pub(super) fn saga_round(
        &self,
        coordinator: &Server,
        participant: &Server,
        seconds: u32,
    ) -> Result<Round, String> {
        let load = Load {
            url: format!("{}/v1/transactions", coordinator.url),
            body: saga(&participant.url),
            initiators: self.initiators,
            until: Until::Seconds(seconds),
            expect: Expect::Committed,
            pause_ms: 0,
        };
        self.run_load(&load, &[("coordinator", coordinator), ("participant", participant)])
    }
}

impl Outcome {
    fn parse(printed: &str) -> Result<Self, String> {
        let broken = |what: &str| format!("bench-load printed no {what}: {printed}");
        let value: Value = serde_json::from_str(printed).map_err(|_| broken("JSON"))?;
        let number = |key: &str| value[key].as_f64().ok_or_else(|| broken(key));
        let errors = value["errors"].as_object().ok_or_else(|| broken("errors"))?;
        Ok(Self {
            done: number("done")?,
            seconds: number("seconds")?,
            per_second: number("per_second")?,
            p50_ms: number("p50_ms")?,
            p99_ms: number("p99_ms")?,
            errors: errors.iter().map(|(what, count)| format!("{what} ({count} times)")).collect(),
        })
    }
}

impl Round {
    /// Processor microseconds of each process per transaction.
    pub(super) fn cpu_us_per_transaction(&self) -> impl Iterator<Item = (&'static str, f64)> {
        let done = self.outcome.done.max(1.0);
        self.cpu.iter().map(move |&(name, seconds)| (name, seconds * 1e6 / done))
    }

    /// How many processors were busy on average with the processes of this round.
    pub(super) fn processors_busy(&self) -> f64 {
        self.cpu.iter().map(|(_, seconds)| seconds).sum::<f64>() / self.outcome.seconds.max(0.001)
    }
}

/// The two-branch saga of the README, with both services played by one participant.
fn saga(participant: &str) -> Value {
    json!({
        "pattern": "saga",
        "labels": {"customer": "7"},
        "options": {"deadline": "30s", "retry": {"initial": "200ms", "max_attempts": 20}},
        "branches": [
            {
                "id": "stock",
                "action": format!("{participant}/stock/reserve"),
                "compensate": format!("{participant}/stock/release"),
                "payload": {"sku": "A-1", "quantity": 2},
            },
            {
                "id": "order",
                "action": format!("{participant}/orders/create"),
                "compensate": format!("{participant}/orders/cancel"),
                "after": ["stock"],
                "payload": {"sku": "A-1"},
            },
        ],
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const PRINTED: &str = r#"{"done": 1000, "seconds": 2.0, "per_second": 500.0, "p50_ms": 1.5, "p99_ms": 9.0,
                             "errors": {"503 TX0009": 3}}"#;

    #[test]
    fn an_outcome_is_read_with_its_errors() {
        let outcome = Outcome::parse(PRINTED).unwrap();
        assert_eq!((outcome.done, outcome.per_second, outcome.p99_ms), (1000.0, 500.0, 9.0));
        assert_eq!(outcome.errors, ["503 TX0009 (3 times)"]);
    }

    #[test]
    fn an_incomplete_outcome_is_an_error_that_names_what_is_missing() {
        assert!(Outcome::parse("").unwrap_err().contains("no JSON"));
        assert!(Outcome::parse(r#"{"done": 1, "errors": {}}"#).unwrap_err().contains("no seconds"));
    }

    #[test]
    fn processor_time_is_shared_out_per_transaction() {
        let round = Round {
            outcome: Outcome::parse(PRINTED).unwrap(),
            cpu: vec![("load", 0.5), ("coordinator", 3.0)],
        };
        assert_eq!(
            round.cpu_us_per_transaction().collect::<Vec<_>>(),
            [("load", 500.0), ("coordinator", 3000.0)]
        );
        assert_eq!(round.processors_busy(), 1.75);
    }
}
