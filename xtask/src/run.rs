//! Runs other programs from the repository root, and reads cargo's metadata of the workspace.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde_json::Value;

/// The repository root: the parent of this package, or the nearest directory above the current one that holds
/// xtask. The second way serves a binary that was copied elsewhere.
pub(crate) fn root() -> Result<PathBuf, String> {
    let built_in = Path::new(env!("CARGO_MANIFEST_DIR")).parent().map(Path::to_path_buf);
    let is_root = |path: &Path| path.join("xtask/Cargo.toml").is_file();
    if let Some(path) = built_in.filter(|path| is_root(path)) {
        return Ok(path);
    }
    let here = std::env::current_dir().map_err(|error| format!("no current directory: {error}"))?;
    let found = here.ancestors().find(|path| is_root(path)).map(Path::to_path_buf);
    found.ok_or_else(|| format!("{} is not inside the Trine repository", here.display()))
}

/// A program with its arguments, to be run from `root`.
pub(crate) fn command<S: AsRef<OsStr>>(
    root: &Path,
    program: &str,
    args: impl IntoIterator<Item = S>,
) -> Command {
    let mut command = Command::new(program);
    command.args(args).current_dir(root);
    command
}

/// The cargo that runs this program, so that a toolchain override is kept.
pub(crate) fn cargo<S: AsRef<OsStr>>(root: &Path, args: impl IntoIterator<Item = S>) -> Command {
    let cargo = std::env::var("CARGO").unwrap_or_else(|_| "cargo".to_owned());
    command(root, &cargo, args)
}

/// Runs to the end; an exit code other than 0 is an error that shows how to repeat it.
pub(crate) fn run(command: &mut Command) -> Result<(), String> {
    let shown = show(command);
    let status = command.status().map_err(|error| format!("cannot run `{shown}`: {error}"))?;
    if status.success() { Ok(()) } else { Err(format!("`{shown}` failed ({status})")) }
}

/// Whether the program exists and succeeds. Its output is discarded.
pub(crate) fn succeeds(command: &mut Command) -> bool {
    let quiet = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    quiet.status().is_ok_and(|status| status.success())
}

/// The program's standard output.
pub(crate) fn output(command: &mut Command) -> Result<String, String> {
    let shown = show(command);
    let output = command
        .stderr(Stdio::inherit())
        .output()
        .map_err(|error| format!("cannot run `{shown}`: {error}"))?;
    if !output.status.success() {
        return Err(format!("`{shown}` failed ({})", output.status));
    }
    String::from_utf8(output.stdout).map_err(|_| format!("`{shown}` printed something other than UTF-8"))
}

/// `cargo metadata` of the workspace members alone.
pub(crate) fn metadata(root: &Path) -> Result<Value, String> {
    let text = output(&mut cargo(root, ["metadata", "--no-deps", "--format-version", "1", "--locked"]))?;
    serde_json::from_str(&text).map_err(|error| format!("cargo metadata is not JSON: {error}"))
}

/// Cargo's target directory.
pub(crate) fn target_directory(root: &Path) -> Result<PathBuf, String> {
    let metadata = metadata(root)?;
    let path = metadata["target_directory"].as_str().ok_or("cargo metadata names no target directory")?;
    Ok(PathBuf::from(path))
}

/// The command as a person would type it, environment included.
pub(crate) fn show(command: &Command) -> String {
    let name = Path::new(command.get_program()).file_name().unwrap_or(command.get_program());
    let mut words: Vec<String> = command
        .get_envs()
        .filter_map(|(key, value)| {
            Some(format!("{}={}", key.to_string_lossy(), quote(&value?.to_string_lossy())))
        })
        .collect();
    words.push(name.to_string_lossy().into_owned());
    words.extend(command.get_args().map(|arg| quote(&arg.to_string_lossy())));
    words.join(" ")
}

fn quote(word: &str) -> String {
    let plain = |c: char| c.is_alphanumeric() || "-_./=:,+@%".contains(c);
    if !word.is_empty() && word.chars().all(plain) {
        word.to_owned()
    } else {
        format!("'{}'", word.replace('\'', "'\\''"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_is_shown_as_it_would_be_typed() {
        let mut command = command(Path::new("."), "/somewhere/bin/cargo", ["doc", "--x", "it's"]);
        command.env("RUSTDOCFLAGS", "-D warnings");
        assert_eq!(show(&command), r"RUSTDOCFLAGS='-D warnings' cargo doc --x 'it'\''s'");
    }

    #[test]
    fn a_failing_command_is_named_in_the_error() {
        let error = run(&mut command(Path::new("."), "false", ["now"])).unwrap_err();
        assert!(error.starts_with("`false now` failed"), "{error}");
        let error = run(&mut command(Path::new("."), "no-such-program", [""; 0])).unwrap_err();
        assert!(error.starts_with("cannot run `no-such-program`"), "{error}");
    }
}
