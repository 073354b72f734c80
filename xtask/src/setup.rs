//! `cargo xtask setup`: installs the programs that the tests need and the machine lacks.
//!
//! Packages of the operating system, the server of `mysql.rs` and the clients of `clients.rs` are installed at once. Tools of few
//! commands (schemathesis, cargo-deny) are installed at their first use.

use std::path::{Path, PathBuf};

use crate::run::{self, cargo, command};
use crate::{clients, mysql};

const SCHEMATHESIS: &str = "schemathesis==4.32.5";
const CARGO_DENY_VERSION: &str = "0.20.2";

/// A program that the tests need from the operating system.
struct Requirement {
    /// A command that succeeds when it is there.
    probe: &'static [&'static str],
    /// The Debian or Ubuntu package that brings it.
    package: &'static str,
    /// The tests that need it.
    reason: &'static str,
}

/// Add a row here for every program a test starts.
const REQUIREMENTS: &[Requirement] = &[
    Requirement {
        probe: &["python3", "-c", "import ensurepip, venv"],
        package: "python3-venv",
        reason: "the API is fuzzed with schemathesis, and dtm's client is tested: Python programs",
    },
    Requirement {
        probe: &["sh", "-c", "ls /usr/lib/postgresql/*/bin/postgres || command -v postgres"],
        package: "postgresql",
        reason: "stores and barriers are tested on PostgreSQL",
    },
    Requirement {
        probe: &["sh", "-c", "PATH=$PATH:/usr/sbin; command -v mariadbd && command -v mariadb-install-db"],
        package: "mariadb-server",
        reason: "stores and barriers are tested on MariaDB",
    },
    Requirement {
        probe: &[
            "sh",
            "-c",
            "ls /usr/lib/galera/libgalera_smm.so || ls /usr/lib64/galera-4/libgalera_smm.so",
        ],
        package: "galera-4",
        reason: "MariaDB is tested as a cluster too",
    },
    Requirement {
        probe: &["rsync", "--version"],
        package: "rsync",
        reason: "the nodes of a MariaDB cluster copy their data with it",
    },
    Requirement {
        probe: &["sh", "-c", "redis-server --version && redis-cli --version"],
        package: "redis-server",
        reason: "barriers are tested on Redis",
    },
    Requirement {
        probe: &["sh", "-c", "PATH=$PATH:/usr/sbin; command -v nginx"],
        package: "nginx",
        reason: "several coordinators are tested behind a proxy",
    },
    Requirement {
        probe: &["sh", "-c", "curl --help all | grep -e --fail-with-body"],
        package: "curl",
        reason: "the examples of the documents are run",
    },
    Requirement {
        probe: &["sh", "-c", "PATH=$PATH:/usr/sbin; command -v pgbouncer"],
        package: "pgbouncer",
        reason: "a coordinator is tested behind a pooler of connections",
    },
    Requirement {
        probe: &["sh", "-c", "ls /usr/lib/*/faketime/libfaketime.so.1"],
        package: "libfaketime",
        reason: "the clock of a running coordinator is set",
    },
    Requirement { probe: &["go", "version"], package: "golang-go", reason: "dtm's client for Go is tested" },
];

/// Runs apt-get such that packages do not start their services: a database on its usual port is not wanted. A policy that
/// the machine has already is kept.
const QUIETLY: &str = "\
export DEBIAN_FRONTEND=noninteractive
policy=/usr/sbin/policy-rc.d
if [ ! -e $policy ]; then
    trap 'rm -f $policy' EXIT
    trap 'exit 1' HUP INT TERM
    printf '#!/bin/sh\\nexit 101\\n' >$policy && chmod 755 $policy || exit 1
fi
\"$@\"";

/// How packages can be installed here.
#[derive(Debug, PartialEq)]
enum Installer {
    AptGet,
    SudoAptGet,
    None,
}

/// Installs the missing programs. Prints nothing if none is missing.
pub(crate) fn setup(root: &Path) -> Result<(), String> {
    packages(root)?;
    mysql::setup(root)?;
    clients::setup(root)
}

fn packages(root: &Path) -> Result<(), String> {
    let missing: Vec<&Requirement> = REQUIREMENTS
        .iter()
        .filter(|r| !run::succeeds(&mut command(root, r.probe[0], &r.probe[1..])))
        .collect();
    if missing.is_empty() {
        return Ok(());
    }
    for requirement in &missing {
        println!("missing: {} ({})", requirement.package, requirement.reason);
    }
    let packages: Vec<&str> = missing.iter().map(|requirement| requirement.package).collect();
    for line in install_commands(&installer(root), &packages)? {
        println!("running: {}", line.join(" "));
        let line = quietly(&line);
        run::run(&mut command(root, line[0], &line[1..]))?;
    }
    for requirement in missing {
        if !run::succeeds(&mut command(root, requirement.probe[0], &requirement.probe[1..])) {
            let probe = requirement.probe.join(" ");
            return Err(format!("{} is installed, yet `{probe}` still fails", requirement.package));
        }
    }
    Ok(())
}

fn installer(root: &Path) -> Installer {
    if !run::succeeds(&mut command(root, "apt-get", ["--version"])) {
        return Installer::None;
    }
    let is_root = run::output(&mut command(root, "id", ["-u"])).is_ok_and(|id| id.trim() == "0");
    if is_root {
        return Installer::AptGet;
    }
    let may_sudo = run::succeeds(&mut command(root, "sudo", ["-n", "true"]));
    if may_sudo { Installer::SudoAptGet } else { Installer::None }
}

/// The commands that install `packages`, or an error with instructions.
fn install_commands<'a>(installer: &Installer, packages: &[&'a str]) -> Result<Vec<Vec<&'a str>>, String> {
    let update = vec!["apt-get", "update"];
    let install =
        [vec!["apt-get", "install", "--yes", "--no-install-recommends"], packages.to_vec()].concat();
    match installer {
        Installer::AptGet => Ok(vec![update, install]),
        Installer::SudoAptGet => {
            Ok(vec![[vec!["sudo", "-n"], update].concat(), [vec!["sudo", "-n"], install].concat()])
        }
        Installer::None => Err(format!(
            "cannot install packages: this is neither root with apt-get nor a user with sudo; install them by hand: {}",
            packages.join(" ")
        )),
    }
}

/// A command of apt-get, with or without sudo before it, inside `QUIETLY`.
fn quietly<'a>(line: &[&'a str]) -> Vec<&'a str> {
    let sudo = line.iter().position(|&word| word == "apt-get").unwrap_or_default();
    [&line[..sudo], &["sh", "-c", QUIETLY, "sh"], &line[sudo..]].concat()
}

/// The schemathesis program, installed into the target directory when it is not there yet.
pub(crate) fn schemathesis(root: &Path) -> Result<PathBuf, String> {
    packages(root)?;
    let venv = run::target_directory(root)?.join("tools/schemathesis-venv");
    let (python, program) = (venv.join("bin/python"), venv.join("bin/schemathesis"));
    let wanted = format!(
        "import importlib.metadata as m; assert 'schemathesis==' + m.version('schemathesis') == '{SCHEMATHESIS}'"
    );
    if run::succeeds(&mut command(root, &python.to_string_lossy(), ["-c", &wanted])) {
        return Ok(program);
    }
    println!("installing {SCHEMATHESIS} into {}", venv.display());
    run::run(command(root, "python3", ["-m", "venv", "--clear"]).arg(&venv))?;
    let pip = ["-m", "pip", "install", "--quiet", "--disable-pip-version-check", SCHEMATHESIS];
    run::run(&mut command(root, &python.to_string_lossy(), pip))?;
    Ok(program)
}

/// Whether `cargo deny` can be run.
pub(crate) fn has_cargo_deny(root: &Path) -> bool {
    run::succeeds(&mut cargo(root, ["deny", "--version"]))
}

/// Builds and installs cargo-deny when it is not there yet; this takes minutes.
pub(crate) fn install_cargo_deny(root: &Path) -> Result<(), String> {
    if has_cargo_deny(root) {
        return Ok(());
    }
    println!("installing cargo-deny {CARGO_DENY_VERSION}; this takes some minutes");
    run::run(&mut cargo(root, ["install", "--locked", "cargo-deny", "--version", CARGO_DENY_VERSION]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn root_updates_once_and_installs_everything_in_one_go() {
        let commands = install_commands(&Installer::AptGet, &["a", "b"]).unwrap();
        let lines: Vec<String> = commands.iter().map(|line| line.join(" ")).collect();
        assert_eq!(lines, ["apt-get update", "apt-get install --yes --no-install-recommends a b"]);
    }

    #[test]
    fn a_user_with_sudo_goes_through_sudo() {
        let commands = install_commands(&Installer::SudoAptGet, &["a"]).unwrap();
        assert!(commands.iter().all(|line| line[..3] == ["sudo", "-n", "apt-get"]), "{commands:?}");
    }

    #[test]
    fn packages_are_installed_without_starting_their_services() {
        assert_eq!(quietly(&["apt-get", "update"]), ["sh", "-c", QUIETLY, "sh", "apt-get", "update"]);
        let line = quietly(&["sudo", "-n", "apt-get", "install", "a"]);
        assert_eq!(line, ["sudo", "-n", "sh", "-c", QUIETLY, "sh", "apt-get", "install", "a"]);
    }

    #[test]
    fn without_either_the_packages_are_named() {
        let error = install_commands(&Installer::None, &["a", "b"]).unwrap_err();
        assert!(error.ends_with("install them by hand: a b"), "{error}");
    }
}
