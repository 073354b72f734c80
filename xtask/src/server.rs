//! A server under test, the release or debug build of `trine`, and the directory it writes to.

use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};

use crate::process::Process;
use crate::run::{self, cargo};

/// A server and its address.
pub(crate) struct Server {
    pub(crate) process: Process,
    pub(crate) url: String,
}

/// A directory that goes away with its value. It is under the target directory, on the same disk as a real store: a
/// temporary directory kept in memory would make durable writes free.
pub(crate) struct Scratch(PathBuf);

/// Which build of `trine`.
#[derive(Clone, Copy, PartialEq)]
pub(crate) enum Build {
    Debug,
    Release,
}

impl Server {
    /// Starts `program`, and waits until it prints its address.
    pub(crate) fn start(
        name: &'static str,
        program: &Path,
        args: &[&str],
        directory: &Path,
    ) -> Result<Self, String> {
        let args: Vec<OsString> = args.iter().map(OsString::from).collect();
        let (process, url) = Process::serve(name, program, &args, directory)?;
        Ok(Self { process, url })
    }

    /// Starts Trine on a new SQLite database in `directory`, and otherwise with its defaults.
    pub(crate) fn start_trine(program: &Path, directory: &Path) -> Result<Self, String> {
        fs::create_dir_all(directory).map_err(|error| format!("{}: {error}", directory.display()))?;
        let store = format!("sqlite:{}", directory.join("trine.db").display());
        Self::start(
            "trine",
            program,
            &["serve", "--store", &store, "--http", "127.0.0.1:0", "--grpc", "off"],
            directory,
        )
    }
}

impl Scratch {
    pub(crate) fn new(target: &Path, purpose: &str) -> Result<Self, String> {
        let path = target.join(format!("{purpose}-{}", std::process::id()));
        fs::create_dir_all(&path).map_err(|error| format!("{}: {error}", path.display()))?;
        Ok(Self(path))
    }

    pub(crate) fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        // A failure cannot be handled here, and `cargo clean` removes leftovers.
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// The `trine` binary: the given one, or a fresh build.
pub(crate) fn trine(
    root: &Path,
    target: &Path,
    given: Option<&Path>,
    build: Build,
) -> Result<PathBuf, String> {
    if let Some(path) = given {
        return path.canonicalize().map_err(|error| format!("{}: {error}", path.display()));
    }
    let mut command = cargo(root, ["build", "--locked", "-p", "trine-cli", "--bin", "trine"]);
    let profile = match build {
        Build::Debug => "debug",
        Build::Release => {
            command.arg("--release");
            "release"
        }
    };
    run::run(&mut command)?;
    Ok(target.join(profile).join("trine"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_scratch_directory_goes_away_with_everything_in_it() {
        let scratch = Scratch::new(&std::env::temp_dir(), "xtask-scratch-test").unwrap();
        let path = scratch.path().to_path_buf();
        fs::write(path.join("file"), "x").unwrap();
        drop(scratch);
        assert!(!path.exists());
    }

    #[test]
    fn a_given_binary_must_exist() {
        let error = trine(Path::new("."), Path::new("."), Some(Path::new("/no/such/trine")), Build::Debug)
            .unwrap_err();
        assert!(error.starts_with("/no/such/trine: "), "{error}");
    }
}
