//! Installs and compiles the clients of dtm that the tests run against Trine, so that no test needs a network.

use std::fs;
use std::path::Path;
use std::process::Command;

use crate::run::{self, command};

const PYTHON: &str = "examples/interop/python/requirements.txt";
const GO: &str = "examples/interop/go";

/// Installs the Python client and compiles the Go client. Prints nothing if both are there.
pub(crate) fn setup(root: &Path) -> Result<(), String> {
    let tools = run::target_directory(root)?.join("tools");
    python(root, &tools.join("interop-python"))?;
    go(root, &tools.join("interop-go"))
}

/// Makes the environment again if the requirements have changed. A copy of the requirements is kept in it; the tests read it,
/// too.
fn python(root: &Path, venv: &Path) -> Result<(), String> {
    let wanted = read(&root.join(PYTHON))?;
    let kept = venv.join("requirements.txt");
    if fs::read_to_string(&kept).is_ok_and(|kept| kept == wanted) {
        return Ok(());
    }
    println!("installing dtm's Python client into {}", venv.display());
    run::run(command(root, "python3", ["-m", "venv", "--clear"]).arg(venv))?;
    let pip = ["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--requirement", PYTHON];
    run::run(&mut command(root, &venv.join("bin/python").to_string_lossy(), pip))?;
    fs::write(&kept, wanted).map_err(|error| format!("cannot write {}: {error}", kept.display()))
}

/// Compiles the Go client, which fetches missing modules. The tests compile it again from Go's caches.
fn go(root: &Path, program: &Path) -> Result<(), String> {
    let said = run::output(&mut command(root, "go", ["version"]))?;
    new_enough(&said, &read(&root.join(GO).join("go.mod"))?)?;
    let mut build = Command::new("go");
    build.current_dir(root.join(GO)).args(["build", "-buildvcs=false", "-o"]).arg(program).arg(".");
    run::run(build.env("CGO_ENABLED", "0").env("GOTOOLCHAIN", "local"))
}

/// Whether an installed Go with this version text can compile the module.
fn new_enough(said: &str, module: &str) -> Result<(), String> {
    let wanted = module.lines().find_map(|line| line.strip_prefix("go ")).unwrap_or_default().trim();
    let found =
        said.split_whitespace().find_map(|word| word.strip_prefix("go1.").map(|rest| format!("1.{rest}")));
    let found = found.ok_or_else(|| format!("`go version` says nothing of a version: {}", said.trim()))?;
    match (numbers(&found), numbers(wanted)) {
        (Some(have), Some(need)) if have >= need => Ok(()),
        _ => Err(format!(
            "Go {found} is too old for {GO}, which needs {wanted}; install a newer one and put it first in PATH"
        )),
    }
}

/// The major and minor number of a version.
fn numbers(version: &str) -> Option<(u32, u32)> {
    let mut parts = version.split(|c: char| !c.is_ascii_digit());
    Some((parts.next()?.parse().ok()?, parts.next()?.parse().ok()?))
}

fn read(path: &Path) -> Result<String, String> {
    fs::read_to_string(path).map_err(|error| format!("cannot read {}: {error}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_go_that_is_too_old_is_named_with_what_is_needed() {
        let module = "module x\n\ngo 1.19\n";
        for said in
            ["go version go1.19 linux/amd64", "go version go1.26.8 linux/amd64", "go version go1.20rc1 x/y"]
        {
            assert_eq!(new_enough(said, module), Ok(()), "{said}");
        }
        let error = new_enough("go version go1.15.15 linux/amd64", module).unwrap_err();
        assert!(
            error.starts_with("Go 1.15.15 is too old for examples/interop/go, which needs 1.19"),
            "{error}"
        );
    }

    #[test]
    fn a_go_without_a_version_is_not_trusted() {
        assert!(new_enough("go version devel", "go 1.19").unwrap_err().contains("says nothing"));
    }
}
