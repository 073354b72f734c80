//! The clients of dtm that the tests run against Trine: installed and compiled ahead, so that no test needs a network.

use std::fs;
use std::path::Path;
use std::process::Command;

use crate::run::{self, command};

const PYTHON: &str = "examples/interop/python/requirements.txt";
const GO: &str = "examples/interop/go";

/// Installs the Python client and compiles the Go one. Says nothing when both are there.
pub(crate) fn setup(root: &Path) -> Result<(), String> {
    let tools = run::target_directory(root)?.join("tools");
    python(root, &tools.join("interop-python"))?;
    go(root, &tools.join("interop-go"))
}

/// The environment is made anew when the requirements have changed; a copy of those it was made from is kept in it,
/// for the tests too.
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

/// Compiling fetches what is missing, and only that. The tests compile again, from what is in Go's caches then.
fn go(root: &Path, program: &Path) -> Result<(), String> {
    let said = run::output(&mut command(root, "go", ["version"]))?;
    new_enough(&said, &read(&root.join(GO).join("go.mod"))?)?;
    let mut build = Command::new("go");
    build.current_dir(root.join(GO)).args(["build", "-buildvcs=false", "-o"]).arg(program).arg(".");
    run::run(build.env("CGO_ENABLED", "0").env("GOTOOLCHAIN", "local"))
}

/// Whether the Go that says so can compile the module that wants this.
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

/// Major and minor number; what follows is no matter to a module.
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
