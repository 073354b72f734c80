//! `cargo xtask canaries`: breaks the laws of the engine on purpose, one at a time, and checks that the tests notice.
//!
//! Each canary of the table replaces an exact piece of text in a copy of the engine under `target/canaries`. Then the engine's
//! tests must fail there. If they pass, no test proves the law. A canary that does not build, or whose text is not found,
//! proves nothing. In all these cases the run goes on with the next canary, and the report at the end names them. `verify` checks
//! on every change that all canaries build.

mod builds;
mod place;
mod table;

use std::path::Path;
use std::time::{Duration, Instant};

use place::{Place, Tests, run_tests};
use table::{Canary, canaries};

/// Tests named in the report of one canary; the rest is counted.
const NAMED_MAX: usize = 4;

/// The tests that enumerate histories: thorough, and slow.
const HISTORIES: &str = "every_history";

/// Longest time for one canary's tests. The histories of an unbroken engine take 20 s on a busy machine.
const TESTS_TAKE_MAX: Duration = Duration::from_secs(600);

/// The command's options.
#[derive(clap::Args)]
pub(crate) struct Options {
    /// Only canaries whose law or description contains this
    only: Option<String>,
    /// Let only the exhaustive histories judge; otherwise they are asked when the other tests noticed nothing
    #[arg(long, conflicts_with = "build")]
    histories: bool,
    /// Only see that each canary builds (seconds, and part of verify); run no tests
    #[arg(long)]
    build: bool,
}

/// Runs the canaries, one at a time.
pub(crate) fn run(root: &Path, options: &Options) -> Result<(), String> {
    let only = options.only.as_deref();
    let chosen =
        |canary: &&Canary| only.is_none_or(|text| canary.law.contains(text) || canary.breaks.contains(text));
    let chosen: Vec<&Canary> = canaries().filter(chosen).collect();
    if options.build {
        return builds::check(root, &chosen);
    }
    let place = Place::prepare(root, "tests")?;
    match place.with(&[], |place| judge(place, options.histories))? {
        Verdict::Survived => {}
        without => return Err(format!("without any canary: {}", without.in_words())),
    }
    run_table(&chosen, |canary| place.with(&[canary], |place| judge(place, options.histories)))
}

/// Whether all canaries build.
pub(crate) fn all_build(root: &Path) -> Result<(), String> {
    builds::check(root, &canaries().collect::<Vec<_>>())
}

/// The verdict of the tests on a broken engine.
#[derive(Debug)]
enum Verdict {
    Noticed(String),
    Survived,
    /// The canary is stale or does not build.
    NoCanary(String),
    /// The tests did not end.
    Hung,
}

impl Verdict {
    fn in_words(&self) -> String {
        match self {
            Self::Noticed(by) => format!("noticed by {by}"),
            Self::Survived => "SURVIVED: no test fails".to_owned(),
            Self::NoCanary(why) => format!("NO CANARY: {why}"),
            Self::Hung => format!("NO VERDICT: the tests had not ended after {} s", TESTS_TAKE_MAX.as_secs()),
        }
    }
}

/// Runs all canaries, whatever the result of each, and reports at the end.
fn run_table(
    chosen: &[&Canary],
    mut attempt: impl FnMut(&Canary) -> Result<Verdict, String>,
) -> Result<(), String> {
    let started = Instant::now();
    let mut bad = Vec::new();
    for canary in chosen {
        let began = Instant::now();
        let verdict = attempt(canary).unwrap_or_else(Verdict::NoCanary);
        let (line, seconds) = (verdict.in_words(), began.elapsed().as_secs_f64());
        println!("{:5} {:70} {seconds:6.1} s  {line}", canary.law, canary.breaks);
        if !matches!(verdict, Verdict::Noticed(_)) {
            bad.push(format!("{}: {line}", canary.breaks));
        }
    }
    let noticed = chosen.len() - bad.len();
    let summary = format!(
        "{noticed} of {} canaries were noticed, in {:.0} s",
        chosen.len(),
        started.elapsed().as_secs_f64()
    );
    println!("canaries: {summary}");
    if bad.is_empty() { Ok(()) } else { Err(format!("{summary}; these were not:\n{}", bad.join("\n"))) }
}

/// Builds the tests and runs them: the quick ones first, then, if they noticed nothing, the exhaustive histories.
fn judge(place: &Place, histories_alone: bool) -> Result<Verdict, String> {
    let program = match place.build()? {
        Ok(program) => program,
        Err(said) => return Ok(Verdict::NoCanary(format!("it does not build:\n{said}"))),
    };
    let filters: &[&[&str]] =
        if histories_alone { &[&[HISTORIES]] } else { &[&["--skip", HISTORIES], &[HISTORIES]] };
    for filter in filters {
        match run_tests(&program, filter, TESTS_TAKE_MAX)? {
            Tests::Passed => {}
            Tests::Failed(tests) => return Ok(Verdict::Noticed(shorten(&tests))),
            Tests::Died(how) => return Ok(Verdict::Noticed(format!("all tests, which ended with {how}"))),
            Tests::Hung => return Ok(Verdict::Hung),
        }
    }
    Ok(Verdict::Survived)
}

fn shorten(tests: &[String]) -> String {
    let named = tests.iter().take(NAMED_MAX).map(String::as_str).collect::<Vec<_>>().join(", ");
    match tests.len().saturating_sub(NAMED_MAX) {
        0 => named,
        more => format!("{named} and {more} more"),
    }
}

#[cfg(test)]
mod tests {
    use super::place::position;
    use super::*;
    use crate::run;

    #[test]
    fn no_canary_is_stale() {
        let root = run::root().unwrap();
        for canary in canaries() {
            let text = place::read(&root.join(canary.file)).unwrap();
            assert!(position(&text, canary).is_ok(), "{}: {}", canary.file, canary.breaks);
            assert_ne!(canary.replace, canary.with, "{}", canary.breaks);
        }
    }

    #[test]
    fn the_table_goes_on_after_a_failure_and_names_each_at_the_end() {
        let table = ["fine", "survives", "rotten", "hangs", "cannot be tried", "fine, too"]
            .map(|breaks| Canary { law: "L1", breaks, file: "", replace: "", with: "" });
        let mut tried = 0;
        let result = run_table(&table.each_ref(), |canary| {
            tried += 1;
            match canary.breaks {
                "survives" => Ok(Verdict::Survived),
                "rotten" => Ok(Verdict::NoCanary("it does not build".to_owned())),
                "hangs" => Ok(Verdict::Hung),
                "cannot be tried" => Err("the disk is full".to_owned()),
                _ => Ok(Verdict::Noticed("a test".to_owned())),
            }
        });
        let error = result.unwrap_err();
        assert_eq!(tried, table.len());
        assert!(error.starts_with("2 of 6 canaries were noticed"), "{error}");
        for named in ["survives: SURVIVED", "rotten: NO CANARY", "hangs: NO VERDICT", "the disk is full"] {
            assert!(error.contains(named), "{error}");
        }
        assert!(!error.contains("fine"), "{error}");
    }

    #[test]
    fn a_table_that_is_noticed_as_a_whole_is_no_error() {
        let canary = Canary { law: "L1", breaks: "fine", file: "", replace: "", with: "" };
        assert_eq!(run_table(&[&canary], |_| Ok(Verdict::Noticed("a test".to_owned()))), Ok(()));
    }
}
