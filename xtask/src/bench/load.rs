//! Runs `bench-load` and reads its results.

use std::ffi::OsString;

use serde_json::Value;

use super::Bench;
use crate::process::Process;

/// The work of the initiators.
#[derive(Debug, Clone)]
pub(super) struct Load {
    pub(super) url: String,
    /// Taken in turn.
    pub(super) bodies: Vec<Value>,
    pub(super) pace: Pace,
    pub(super) until: Until,
    pub(super) expect: Expect,
    /// Refusals for lack of capacity are counted by themselves, and not as errors.
    pub(super) busy_allowed: bool,
}

/// The pace at which the load starts transactions.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Pace {
    /// So many initiators; each waits for the answer before it starts the next.
    Initiators(usize),
    /// So many each second, whatever became of earlier ones.
    PerSecond(f64),
}

/// When the load ends.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Until {
    Seconds(f64),
    Count(u64),
}

/// The expected answer.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Expect {
    /// Committed, after waiting for the end.
    Committed,
    /// Accepted, without waiting.
    Accepted,
    /// Yes in the dtm dialect.
    Success,
}

/// The result of a load.
#[derive(Debug, Clone, PartialEq, Default)]
pub(super) struct Outcome {
    pub(super) done: f64,
    pub(super) seconds: f64,
    pub(super) per_second: f64,
    pub(super) p50_ms: f64,
    pub(super) p90_ms: f64,
    pub(super) p99_ms: f64,
    pub(super) p999_ms: f64,
    /// Refused for lack of capacity.
    pub(super) busy: f64,
    /// Unexpected answers, each with how often it came.
    pub(super) errors: Vec<String>,
}

impl Load {
    fn args(&self) -> Vec<OsString> {
        let mut args: Vec<String> = vec!["--url".into(), self.url.clone()];
        for body in &self.bodies {
            args.extend(["--body".into(), body.to_string()]);
        }
        args.extend(match self.pace {
            Pace::Initiators(count) => ["--initiators".into(), count.to_string()],
            Pace::PerSecond(rate) => ["--rate".into(), rate.to_string()],
        });
        args.extend(match self.until {
            Until::Seconds(seconds) => ["--seconds".into(), seconds.to_string()],
            Until::Count(count) => ["--count".into(), count.to_string()],
        });
        let expect = match self.expect {
            Expect::Committed => "committed",
            Expect::Accepted => "accepted",
            Expect::Success => "success",
        };
        args.extend(["--expect".into(), expect.into()]);
        if self.busy_allowed {
            args.push("--busy-allowed".into());
        }
        args.into_iter().map(OsString::from).collect()
    }
}

impl Bench {
    /// Starts the load and leaves it running.
    pub(super) fn start_load(&self, load: &Load) -> Result<Process, String> {
        Process::start("bench-load", &self.programs.join("bench-load"), &load.args())
    }

    /// Runs the load to its end. Returns its result and the processor seconds that it used.
    pub(super) fn run_load(&self, load: &Load) -> Result<(Outcome, f64), String> {
        let (printed, seconds) = self.start_load(load)?.finish()?;
        Ok((Outcome::parse(&printed)?, seconds))
    }
}

impl Outcome {
    pub(super) fn parse(printed: &str) -> Result<Self, String> {
        let broken = |what: &str| format!("bench-load printed no {what}: {printed}");
        let value: Value = serde_json::from_str(printed).map_err(|_| broken("JSON"))?;
        let number = |key: &str| value[key].as_f64().ok_or_else(|| broken(key));
        let errors = value["errors"].as_object().ok_or_else(|| broken("errors"))?;
        Ok(Self {
            done: number("done")?,
            seconds: number("seconds")?,
            per_second: number("per_second")?,
            p50_ms: number("p50_ms")?,
            p90_ms: number("p90_ms")?,
            p99_ms: number("p99_ms")?,
            p999_ms: number("p999_ms")?,
            busy: number("busy")?,
            errors: errors.iter().map(|(what, count)| format!("{what} ({count} times)")).collect(),
        })
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const PRINTED: &str = r#"{"done": 1000, "seconds": 2.0, "per_second": 500.0, "p50_ms": 1.5, "p90_ms": 3.0,
        "p99_ms": 9.0, "p999_ms": 20.0, "busy": 2, "errors": {"409 TX0006": 3}}"#;

    #[test]
    fn an_outcome_is_read_with_its_errors() {
        let outcome = Outcome::parse(PRINTED).unwrap();
        assert_eq!((outcome.done, outcome.per_second, outcome.p99_ms), (1000.0, 500.0, 9.0));
        assert_eq!((outcome.busy, outcome.p999_ms), (2.0, 20.0));
        assert_eq!(outcome.errors, ["409 TX0006 (3 times)"]);
    }

    #[test]
    fn an_incomplete_outcome_is_an_error_that_names_what_is_missing() {
        assert!(Outcome::parse("").unwrap_err().contains("no JSON"));
        assert!(Outcome::parse(r#"{"done": 1, "errors": {}}"#).unwrap_err().contains("no seconds"));
    }

    #[test]
    fn a_load_is_written_as_arguments() {
        let load = Load {
            url: "http://c/1,1".to_owned(),
            bodies: vec![json!({"a": 1}), json!({"b": 2})],
            pace: Pace::PerSecond(50.0),
            until: Until::Count(7),
            expect: Expect::Success,
            busy_allowed: true,
        };
        let args =
            load.args().iter().map(|arg| arg.to_string_lossy().into_owned()).collect::<Vec<_>>().join(" ");
        assert_eq!(
            args,
            r#"--url http://c/1,1 --body {"a":1} --body {"b":2} --rate 50 --count 7 --expect success --busy-allowed"#
        );
    }
}
