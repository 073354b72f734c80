//! `cargo xtask canaries`: break the engine's laws one at a time, on purpose, and see that its tests notice.
//!
//! Each canary of the table replaces an exact piece of the engine in a copy under `target/canaries`; then
//! `cargo test -p trine-engine` must fail there. A canary that survives means that nothing proves its law, and a piece
//! that is no longer found means that the table is stale: both are errors.

mod table;

use std::fs;
use std::path::{Path, PathBuf};

use crate::run;
use table::{Canary, canaries};

/// What the engine's tests need of the workspace.
const CRATES: [&str; 2] = ["protocol", "engine"];

/// Tests named in the report of one canary; the rest is counted.
const NAMED_MAX: usize = 4;

/// The tests that enumerate histories: thorough, and slow.
const HISTORIES: &str = "every_history";

/// Which canaries, and which tests.
#[derive(clap::Args)]
pub(crate) struct Options {
    /// Only canaries whose law or description contains this
    only: Option<String>,
    /// Let only the exhaustive histories judge; otherwise they are asked when the other tests noticed nothing
    #[arg(long)]
    histories: bool,
}

/// Lets the canaries loose, one at a time.
pub(crate) fn run(root: &Path, options: &Options) -> Result<(), String> {
    let place = Place::prepare(root, options.histories)?;
    let only = options.only.as_deref();
    if let Verdict::Caught(tests) = place.test()? {
        return Err(format!("the tests fail without any canary: {}", tests.join(", ")));
    }
    let chosen =
        |canary: &&Canary| only.is_none_or(|text| canary.law.contains(text) || canary.breaks.contains(text));
    let mut bad = Vec::new();
    for canary in canaries().filter(chosen) {
        let line = match place.try_canary(canary)? {
            Verdict::Caught(tests) => format!("caught by {}", shorten(&tests)),
            Verdict::Survived => {
                bad.push(canary.breaks);
                "SURVIVED: no test fails".to_owned()
            }
        };
        println!("{:4} {:58} {line}", canary.law, canary.breaks);
    }
    if bad.is_empty() { Ok(()) } else { Err(format!("nothing notices: {}", bad.join("; "))) }
}

/// What the tests said to a broken engine.
enum Verdict {
    Caught(Vec<String>),
    Survived,
}

fn shorten(tests: &[String]) -> String {
    let named = tests.iter().take(NAMED_MAX).map(String::as_str).collect::<Vec<_>>().join(", ");
    match tests.len().saturating_sub(NAMED_MAX) {
        0 => named,
        more => format!("{named} and {more} more"),
    }
}

/// A copy of the crates, with a target directory that is kept between canaries.
struct Place {
    root: PathBuf,
    copy: PathBuf,
    histories_alone: bool,
}

impl Place {
    fn prepare(root: &Path, histories_alone: bool) -> Result<Self, String> {
        let copy = run::target_directory(root)?.join("canaries");
        for name in CRATES {
            let to = copy.join(name);
            if to.exists() {
                fs::remove_dir_all(&to).map_err(|error| format!("cannot empty {}: {error}", to.display()))?;
            }
            copy_directory(&root.join(name), &to)?;
        }
        for name in ["Cargo.lock", "rust-toolchain.toml"] {
            write(&copy.join(name), &read(&root.join(name))?)?;
        }
        write(&copy.join("Cargo.toml"), &trimmed(&read(&root.join("Cargo.toml"))?))?;
        Ok(Self { root: root.to_path_buf(), copy, histories_alone })
    }

    fn try_canary(&self, canary: &Canary) -> Result<Verdict, String> {
        let original = read(&self.root.join(canary.file))?;
        if original.matches(canary.replace).count() != 1 {
            let Canary { file, breaks, .. } = canary;
            return Err(format!("canary is stale: {file} does not hold its text exactly once ({breaks})"));
        }
        let path = self.copy.join(canary.file);
        write(&path, &original.replace(canary.replace, canary.with))?;
        let verdict = self.test().map_err(|error| format!("{}: {error}", canary.breaks));
        write(&path, &original)?;
        verdict
    }

    /// The quick tests first: what they notice need not be enumerated.
    fn test(&self) -> Result<Verdict, String> {
        if !self.histories_alone
            && let Verdict::Caught(tests) = self.test_with(&["--skip", HISTORIES])?
        {
            return Ok(Verdict::Caught(tests));
        }
        self.test_with(&[HISTORIES])
    }

    fn test_with(&self, filter: &[&str]) -> Result<Verdict, String> {
        let fixed = ["test", "-p", "trine-engine", "--lib", "--offline", "--"];
        let mut command = run::cargo(&self.copy, fixed.iter().chain(filter));
        command.env("CARGO_TARGET_DIR", self.copy.join("target"));
        let output = command.output().map_err(|error| format!("cannot run cargo: {error}"))?;
        let (out, errors) =
            (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
        if output.status.success() {
            return Ok(Verdict::Survived);
        }
        let failed =
            |line: &str| Some(line.strip_prefix("test tests::")?.strip_suffix(" ... FAILED")?.to_owned());
        let tests: Vec<String> = out.lines().filter_map(failed).collect();
        if tests.is_empty() {
            return Err(format!("the copy does not build, or no test ran:\n{errors}"));
        }
        Ok(Verdict::Caught(tests))
    }
}

/// The root manifest without the members that were not copied.
fn trimmed(manifest: &str) -> String {
    let line = |line: &str| match line.split_once(" = ").map(|(key, _)| key) {
        Some("members") => format!("members = {CRATES:?}\n"),
        Some("default-members") => String::new(),
        _ => format!("{line}\n"),
    };
    manifest.lines().map(line).collect()
}

fn copy_directory(from: &Path, to: &Path) -> Result<(), String> {
    let cannot = |error: std::io::Error| format!("cannot copy {}: {error}", from.display());
    fs::create_dir_all(to).map_err(cannot)?;
    for entry in fs::read_dir(from).map_err(cannot)? {
        let entry = entry.map_err(cannot)?;
        let target = to.join(entry.file_name());
        if entry.file_type().map_err(cannot)?.is_dir() {
            copy_directory(&entry.path(), &target)?;
        } else {
            fs::copy(entry.path(), target).map_err(cannot)?;
        }
    }
    Ok(())
}

fn read(path: &Path) -> Result<String, String> {
    fs::read_to_string(path).map_err(|error| format!("cannot read {}: {error}", path.display()))
}

fn write(path: &Path, text: &str) -> Result<(), String> {
    fs::write(path, text).map_err(|error| format!("cannot write {}: {error}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_canary_is_stale() {
        let root = run::root().unwrap();
        for canary in canaries() {
            let text = read(&root.join(canary.file)).unwrap();
            assert_eq!(text.matches(canary.replace).count(), 1, "{}: {}", canary.file, canary.breaks);
            assert_ne!(canary.replace, canary.with, "{}", canary.breaks);
        }
    }

    #[test]
    fn the_trimmed_manifest_names_only_what_was_copied() {
        let manifest = "[workspace]\nmembers = [\"a\", \"b\"]\ndefault-members = [\"a\"]\nresolver = \"3\"\n";
        assert_eq!(
            trimmed(manifest),
            "[workspace]\nmembers = [\"protocol\", \"engine\"]\nresolver = \"3\"\n"
        );
    }
}
