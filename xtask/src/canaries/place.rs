//! The copy of the crates in which canaries are tried, under `target/canaries`. Its target directory is kept between runs.

use std::fs;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use serde_json::Value;

use super::table::Canary;
use crate::run;

/// The crates that the engine's tests need.
pub(super) const CRATES: [&str; 2] = ["protocol", "engine"];

/// Further files that the build depends on.
pub(super) const FILES: [&str; 3] = ["Cargo.toml", "Cargo.lock", "rust-toolchain.toml"];

/// How often a test program that is still running is asked whether it has ended.
const ASK_EVERY: Duration = Duration::from_millis(20);

/// A copy of the crates.
pub(super) struct Place {
    copy: PathBuf,
}

/// The result of one run of tests.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Tests {
    Passed,
    /// These failed.
    Failed(Vec<String>),
    /// The program ended in another way, for example by a stack overflow.
    Died(String),
    /// The program did not end in time.
    Hung,
}

impl Place {
    /// Makes a fresh copy. Each use has its own name, so that two uses do not write into the same files.
    pub(super) fn prepare(root: &Path, name: &str) -> Result<Self, String> {
        let copy = run::target_directory(root)?.join("canaries").join(name);
        for name in CRATES {
            let to = copy.join(name);
            if to.exists() {
                fs::remove_dir_all(&to).map_err(|error| format!("cannot empty {}: {error}", to.display()))?;
            }
            copy_directory(&root.join(name), &to)?;
        }
        for name in FILES {
            let text = read(&root.join(name))?;
            write(&copy.join(name), &if name == "Cargo.toml" { trimmed(&text) } else { text })?;
        }
        Ok(Self { copy })
    }

    /// Runs `work` in the copy while these canaries are in it. They must not overlap. Fails if one is stale.
    ///
    /// Only the copy is read, so the work tree may change meanwhile.
    pub(super) fn with<T>(
        &self,
        canaries: &[&Canary],
        act: impl FnOnce(&Self) -> Result<T, String>,
    ) -> Result<T, String> {
        let mut originals: Vec<(&str, String)> = Vec::new();
        for canary in canaries {
            if !originals.iter().any(|(file, _)| *file == canary.file) {
                originals.push((canary.file, read(&self.copy.join(canary.file))?));
            }
        }
        for (file, original) in &originals {
            let here: Vec<&Canary> = canaries.iter().copied().filter(|canary| canary.file == *file).collect();
            write(&self.copy.join(file), &broken(original, &here)?)?;
        }
        let result = act(self);
        for (file, original) in &originals {
            write(&self.copy.join(file), original)?;
        }
        result
    }

    /// The compiler's errors about the copy and its tests; none if it builds.
    pub(super) fn check(&self) -> Result<Option<String>, String> {
        let mut command = self.cargo(&["check", "--quiet", "--profile", "test"]);
        let output = command.output().map_err(|error| format!("cannot run cargo: {error}"))?;
        let said = String::from_utf8_lossy(&output.stderr);
        Ok((!output.status.success()).then(|| errors_of(&said)))
    }

    /// Builds the tests. The inner error is the compiler's output.
    pub(super) fn build(&self) -> Result<Result<PathBuf, String>, String> {
        let mut command = self.cargo(&["test", "--no-run", "--message-format", "json-render-diagnostics"]);
        let output = command.output().map_err(|error| format!("cannot run cargo: {error}"))?;
        if !output.status.success() {
            return Ok(Err(errors_of(&String::from_utf8_lossy(&output.stderr))));
        }
        let printed = String::from_utf8_lossy(&output.stdout);
        let messages = printed.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
        let mut built = messages.filter_map(|message| Some(PathBuf::from(message["executable"].as_str()?)));
        built.next_back().map(Ok).ok_or_else(|| "cargo built no test program".to_owned())
    }

    fn cargo(&self, args: &[&str]) -> Command {
        let fixed = ["-p", "trine-engine", "--lib", "--offline"];
        let mut command = run::cargo(&self.copy, args.iter().chain(&fixed));
        command.env("CARGO_TARGET_DIR", self.copy.join("target"));
        command
    }
}

/// Runs a test program, for `limit` at most.
pub(super) fn run_tests(program: &Path, filter: &[&str], limit: Duration) -> Result<Tests, String> {
    let cannot = |error: std::io::Error| format!("cannot run {}: {error}", program.display());
    let mut command = Command::new(program);
    command.args(filter).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null());
    let mut child = command.spawn().map_err(cannot)?;
    let mut pipe = child.stdout.take().ok_or("the tests have no output")?;
    // A thread reads the output during the wait, so that the pipe never fills.
    let reader = thread::spawn(move || {
        let mut printed = Vec::new();
        pipe.read_to_end(&mut printed).map(|_| String::from_utf8_lossy(&printed).into_owned())
    });
    let status = wait(&mut child, limit).map_err(cannot)?;
    let printed = reader.join().map_err(|_| "the reader of the tests' output panicked")?.map_err(cannot)?;
    let failed =
        |line: &str| Some(line.strip_prefix("test tests::")?.strip_suffix(" ... FAILED")?.to_owned());
    let failed: Vec<String> = printed.lines().filter_map(failed).collect();
    Ok(match status {
        None => Tests::Hung,
        Some(status) if status.success() => Tests::Passed,
        Some(status) if failed.is_empty() => Tests::Died(status.to_string()),
        Some(_) => Tests::Failed(failed),
    })
}

/// Waits for a program; kills it when it takes longer than `limit`, and then returns nothing.
fn wait(child: &mut Child, limit: Duration) -> std::io::Result<Option<std::process::ExitStatus>> {
    let started = Instant::now();
    loop {
        if let Some(status) = child.try_wait()? {
            return Ok(Some(status));
        }
        if started.elapsed() > limit {
            child.kill()?;
            child.wait()?;
            return Ok(None);
        }
        // The standard library cannot wait for a child with a time limit.
        thread::sleep(ASK_EVERY);
    }
}

/// Where a canary's text stands in its file.
pub(super) fn position(original: &str, canary: &Canary) -> Result<usize, String> {
    let mut found = original.match_indices(canary.replace).map(|(at, _)| at);
    match (found.next(), found.next()) {
        (Some(at), None) => Ok(at),
        (None, _) => Err(format!("stale: {} does not hold its text any more", canary.file)),
        (Some(_), Some(_)) => Err(format!("stale: {} holds its text more than once", canary.file)),
    }
}

/// The file with these canaries in it.
fn broken(original: &str, canaries: &[&Canary]) -> Result<String, String> {
    let mut places = Vec::new();
    for canary in canaries {
        places.push((position(original, canary)?, *canary));
    }
    places.sort_by_key(|(at, _)| *at);
    let mut text = original.to_owned();
    for (at, canary) in places.into_iter().rev() {
        text.replace_range(at..at + canary.replace.len(), canary.with);
    }
    Ok(text)
}

/// The errors, without the warnings before them.
fn errors_of(said: &str) -> String {
    said.find("error").map_or(said, |at| &said[at..]).trim_end().to_owned()
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

pub(super) fn read(path: &Path) -> Result<String, String> {
    fs::read_to_string(path).map_err(|error| format!("cannot read {}: {error}", path.display()))
}

pub(super) fn write(path: &Path, text: &str) -> Result<(), String> {
    fs::write(path, text).map_err(|error| format!("cannot write {}: {error}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    const TWO: [Canary; 2] = [
        Canary { law: "", breaks: "the second", file: "", replace: "two", with: "2" },
        Canary { law: "", breaks: "the first", file: "", replace: "one", with: "eins" },
    ];

    #[test]
    fn canaries_of_one_file_are_put_in_together() {
        assert_eq!(broken("one, two, three", &[&TWO[0], &TWO[1]]).unwrap(), "eins, 2, three");
    }

    #[test]
    fn a_text_that_is_gone_or_stands_there_twice_is_stale() {
        assert!(position("one", &TWO[0]).unwrap_err().contains("any more"));
        assert!(position("two two", &TWO[0]).unwrap_err().contains("more than once"));
        assert_eq!(position("one two", &TWO[0]), Ok(4));
    }

    #[test]
    fn a_test_program_is_judged_by_how_it_ends() {
        let judge = |script: &str, limit| run_tests(Path::new("sh"), &["-c", script], limit).unwrap();
        let long = Duration::from_secs(60);
        assert_eq!(judge("exit 0", long), Tests::Passed);
        let failed = "echo 'test tests::a::b ... FAILED'; echo 'test tests::c ... ok'; exit 101";
        assert_eq!(judge(failed, long), Tests::Failed(vec!["a::b".to_owned()]));
        assert!(matches!(judge("kill -ABRT $$", long), Tests::Died(how) if how.contains("signal: 6")));
        assert_eq!(judge("exec cat /dev/zero >/dev/null", Duration::from_millis(50)), Tests::Hung);
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
