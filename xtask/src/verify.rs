//! `cargo xtask verify`: every check that a change must pass, quick checks first. It writes nothing that
//! git tracks; `cargo xtask fix` does.

use std::io::IsTerminal;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use crate::run::{self, cargo};
use crate::{canaries, mysql, setup, tidy};

/// The result of a stage.
#[derive(Debug, PartialEq)]
enum Verdict {
    Passed,
    /// Not run, with the reason.
    Skipped(String),
}

/// A check, and the command that repeats it alone.
struct Stage<'a> {
    name: &'static str,
    repeat: String,
    check: Box<dyn FnOnce() -> Result<Verdict, String> + 'a>,
}

/// Runs all stages and stops at the first that fails.
pub(crate) fn verify(root: &Path) -> Result<(), String> {
    let mut stages = vec![
        Stage::new("setup", "cargo xtask setup".to_owned(), || setup::setup(root)),
        Stage::cargo("fmt", cargo(root, ["fmt", "--all", "--check"])),
        Stage::new("tidy", "cargo xtask tidy".to_owned(), || tidy::run(root)),
        Stage::cargo("clippy", clippy(root)),
        Stage::new("canaries", "cargo xtask canaries --build".to_owned(), || canaries::all_build(root)),
        Stage::cargo("test", cargo(root, ["test", "--quiet", "--workspace", "--locked"])),
        on_mysql(root),
        Stage::cargo("doc", doc(root)),
    ];
    stages.extend(deny_stages(root));
    run_stages(stages)
}

/// Formats, and lets clippy repair what it can.
pub(crate) fn fix(root: &Path) -> Result<(), String> {
    let clippy = ["clippy", "--fix", "--allow-dirty", "--allow-staged", "--workspace", "--all-targets"];
    run::run(cargo(root, clippy).args(["--all-features", "--locked"]))?;
    // Last, because clippy's repairs are not formatted.
    run::run(&mut cargo(root, ["fmt", "--all"]))
}

/// Plain `cargo test`, after setup.
pub(crate) fn test(root: &Path, args: &[String]) -> Result<(), String> {
    setup::setup(root)?;
    let mut command = cargo(root, ["test", "--workspace", "--locked"]);
    run::run(command.args(args))
}

/// All checks of cargo-deny, which is installed first if it is missing.
pub(crate) fn deny(root: &Path) -> Result<(), String> {
    setup::install_cargo_deny(root)?;
    run::run(&mut cargo(root, ["deny", "--locked", "check"]))
}

fn clippy(root: &Path) -> Command {
    let mut command = cargo(root, ["clippy", "--workspace", "--all-targets", "--all-features", "--locked"]);
    command.args(quiet()).args(["--", "-D", "warnings"]);
    command
}

/// The tests of MariaDB on MySQL's own server. Names of tests that use such a server contain one of these words.
fn on_mysql(root: &Path) -> Stage<'_> {
    let crates = ["trine-cli", "trine-store", "trine-participants", "trine-sdk", "trine-testkit"];
    let mut command = cargo(root, ["test", "--quiet", "--locked", "--all-targets"]);
    command.args(crates.iter().flat_map(|name| ["--package", name]));
    command.args(["--", "mysql", "mariadb", "store::remote", "--skip", "postgres", "--skip", "galera"]);
    command.env("TESTKIT_MYSQL", "mysql");
    let repeat = run::show(&command);
    let check = Box::new(move || {
        if !mysql::is_there(root) {
            return Ok(Verdict::Skipped(
                "MySQL's own server is not there; `cargo xtask setup` says why".to_owned(),
            ));
        }
        run::run(&mut command).map(|()| Verdict::Passed)
    });
    Stage { name: "mysql", repeat, check }
}

fn doc(root: &Path) -> Command {
    let mut command = cargo(root, ["doc", "--workspace", "--no-deps", "--locked"]);
    command.args(quiet()).env("RUSTDOCFLAGS", "-D warnings");
    command
}

/// Hides the progress of the build, unless the output is a terminal.
fn quiet() -> Option<&'static str> {
    (!std::io::stderr().is_terminal()).then_some("--quiet")
}

/// Licences, bans and sources need no network. Advisories need it, so they are skipped, with a message, where there is none.
fn deny_stages(root: &Path) -> Vec<Stage<'_>> {
    let installed = setup::has_cargo_deny(root);
    let with = move |names: &'static [&'static str]| {
        let mut command = cargo(root, ["deny", "--locked", "check"]);
        command.args(names);
        command
    };
    let missing =
        || Ok(Verdict::Skipped("cargo-deny is not installed; `cargo xtask deny` installs it".to_owned()));
    let (rules, advisories) = (with(&["bans", "licenses", "sources"]), with(&["advisories"]));
    vec![
        Stage {
            name: "deny",
            repeat: run::show(&rules),
            check: Box::new(move || if installed { quietly(rules) } else { missing() }),
        },
        Stage {
            name: "advisories",
            repeat: run::show(&advisories),
            check: Box::new(move || if installed { quietly(advisories) } else { missing() }),
        },
    ]
}

/// Runs cargo-deny, and shows its output only if it fails.
fn quietly(mut command: Command) -> Result<Verdict, String> {
    let shown = run::show(&command);
    let output = command.stdout(Stdio::piped()).stderr(Stdio::piped()).output();
    let output = output.map_err(|error| format!("cannot run `{shown}`: {error}"))?;
    let said = String::from_utf8_lossy(&output.stderr);
    if !output.status.success() && !is_offline(&said) {
        print!("{}{said}", String::from_utf8_lossy(&output.stdout));
    }
    judge(output.status.success(), &said).ok_or_else(|| format!("`{shown}` failed ({})", output.status))
}

fn judge(success: bool, said: &str) -> Option<Verdict> {
    match success {
        true => Some(Verdict::Passed),
        false if is_offline(said) => {
            Some(Verdict::Skipped("the advisory database cannot be fetched".to_owned()))
        }
        false => None,
    }
}

fn is_offline(said: &str) -> bool {
    said.contains("failed to fetch advisory database")
}

impl<'a> Stage<'a> {
    fn new(name: &'static str, repeat: String, check: impl FnOnce() -> Result<(), String> + 'a) -> Self {
        Self { name, repeat, check: Box::new(|| check().map(|()| Verdict::Passed)) }
    }

    fn cargo(name: &'static str, mut command: Command) -> Self {
        let repeat = run::show(&command);
        Self::new(name, repeat, move || run::run(&mut command))
    }
}

fn run_stages(stages: Vec<Stage<'_>>) -> Result<(), String> {
    let started = Instant::now();
    let (count, mut skipped) = (stages.len(), Vec::new());
    for stage in stages {
        let stage_started = Instant::now();
        match (stage.check)() {
            Ok(Verdict::Passed) => report(stage.name, "ok", stage_started.elapsed()),
            Ok(Verdict::Skipped(reason)) => {
                report(stage.name, &format!("SKIPPED: {reason}"), stage_started.elapsed());
                skipped.push(stage.name);
            }
            Err(error) => {
                report(stage.name, "FAILED", stage_started.elapsed());
                return Err(format!("{}: {error}\nto repeat it: {}", stage.name, stage.repeat));
            }
        }
    }
    let passed = count - skipped.len();
    let rest = if skipped.is_empty() { String::new() } else { format!(", skipped: {}", skipped.join(", ")) };
    println!("verify: {passed} of {count} stages passed{rest} ({:.1} s)", started.elapsed().as_secs_f64());
    Ok(())
}

fn report(stage: &str, verdict: &str, took: Duration) {
    println!("verify: {stage:<10} {:>7.1} s  {verdict}", took.as_secs_f64());
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::cell::Cell;

    #[test]
    fn the_first_failure_stops_the_run_and_says_how_to_repeat_it() {
        let reached = Cell::new(0);
        let step = |result: Result<(), String>| {
            let reached = &reached;
            move || {
                reached.set(reached.get() + 1);
                result
            }
        };
        let stages = vec![
            Stage::new("one", "do one".to_owned(), step(Ok(()))),
            Stage::new("two", "do two".to_owned(), step(Err("it broke".to_owned()))),
            Stage::new("three", "do three".to_owned(), step(Ok(()))),
        ];
        assert_eq!(run_stages(stages).unwrap_err(), "two: it broke\nto repeat it: do two");
        assert_eq!(reached.get(), 2);
    }

    #[test]
    fn a_skipped_stage_is_no_failure() {
        let check = Box::new(|| Ok(Verdict::Skipped("why".to_owned())));
        assert!(run_stages(vec![Stage { name: "one", repeat: String::new(), check }]).is_ok());
    }

    #[test]
    fn an_unreachable_advisory_database_skips_and_an_advisory_fails() {
        assert_eq!(judge(true, ""), Some(Verdict::Passed));
        assert!(matches!(judge(false, "failed to fetch advisory database x"), Some(Verdict::Skipped(_))));
        assert_eq!(judge(false, "error[vulnerability]: RUSTSEC-2023-0071"), None);
    }
}
