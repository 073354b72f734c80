//! MySQL's own server for the tests. Debian's stable suite does not have it. So its packages and those of its libraries are
//! taken from the unstable suite and unpacked under `target/tools/mysql`; nothing is installed into the system.
//!
//! Packages are fetched and verified by apt, with a package list of its own. Where that cannot work (no apt, not Debian, not
//! x86-64, no network) the tests on MySQL are skipped, and setup and verify say so.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::run::{self, command};

const PACKAGE: &str = "mysql-server-core";
/// Apt's own folders. They start empty, so apt ignores the machine's packages and fetches all libraries.
const FOLDERS: [&str; 3] = ["lists/partial", "archives/partial", "root"];

/// Where the server is unpacked: its root in `root`, its version in `version`.
fn folder(root: &Path) -> Result<PathBuf, String> {
    Ok(run::target_directory(root)?.join("tools/mysql"))
}

/// Whether the tests can be run on MySQL's own server.
pub(crate) fn is_there(root: &Path) -> bool {
    folder(root).is_ok_and(|folder| folder.join("version").is_file())
}

/// Unpacks the server unless it is there. If it cannot be had, a message says so, and this is no error.
pub(crate) fn setup(root: &Path) -> Result<(), String> {
    let folder = folder(root)?;
    if is_there(root) {
        return Ok(());
    }
    println!("unpacking MySQL's own server into {}", folder.display());
    if let Err(why) = unpack(root, &folder) {
        println!("SKIPPED: no tests on MySQL's own server: {why}");
    }
    Ok(())
}

fn unpack(root: &Path, folder: &Path) -> Result<(), String> {
    if !cfg!(all(target_os = "linux", target_arch = "x86_64")) {
        return Err("it is fetched for Linux on x86-64 only".to_owned());
    }
    let mirror = mirror(root)?;
    for name in FOLDERS {
        let path = folder.join(name);
        fs::create_dir_all(&path).map_err(|error| format!("cannot create {}: {error}", path.display()))?;
    }
    write(&folder.join("status"), "")?;
    write(&folder.join("sources.list"), &format!("deb {mirror} unstable main\n"))?;
    write(&folder.join("apt.conf"), &configuration(folder))?;
    quietly(apt(root, folder).arg("update"))?;
    quietly(apt(root, folder).args(["--yes", "--download-only", "install", PACKAGE]))?;
    for package in packages(&folder.join("archives"))? {
        quietly(command(root, "dpkg-deb", ["--extract"]).arg(&package).arg(folder.join("root")))?;
    }
    let version = run::output(&mut mysqld(root, folder, ["--version"]))?;
    let number = version.split("Ver ").nth(1).and_then(|rest| rest.split_whitespace().next());
    let number = number.ok_or_else(|| format!("it does not say its version: {}", version.trim()))?;
    // The version is written last: if it is there, the server is complete.
    write(&folder.join("version"), &format!("{number}\n"))
}

/// The mirror that this machine takes Debian's packages from.
fn mirror(root: &Path) -> Result<String, String> {
    let format =
        ["indextargets", "--format", "$(REPO_URI) $(SUITE)", "Created-By: Packages", "Origin: Debian"];
    let output = command(root, "apt-get", format).output();
    let output = output.map_err(|_| "there is no apt-get here".to_owned())?;
    main_mirror(&String::from_utf8_lossy(&output.stdout))
        .ok_or_else(|| "apt-get knows no mirror of Debian here".to_owned())
}

/// From lines with an address and a suite: the first address with a whole release, and not with its updates.
fn main_mirror(targets: &str) -> Option<String> {
    let mut pairs = targets.lines().filter_map(|line| line.split_once(' '));
    pairs.find(|(_, suite)| !suite.contains('-')).map(|(address, _)| address.to_owned())
}

fn configuration(folder: &Path) -> String {
    let at = |name: &str| folder.join(name).display().to_string();
    let settings = [
        ("Dir::Etc::sourcelist", at("sources.list")),
        ("Dir::Etc::sourceparts", "-".to_owned()),
        ("Dir::Etc::preferencesparts", "-".to_owned()),
        ("Dir::State", at("")),
        ("Dir::State::status", at("status")),
        ("Dir::Cache", at("")),
        ("APT::Architecture", "amd64".to_owned()),
        ("APT::Install-Recommends", "false".to_owned()),
        // Skip the descriptions of graphical programs.
        ("Acquire::IndexTargets::deb::DEP-11::DefaultEnabled", "false".to_owned()),
        ("Acquire::Languages", "none".to_owned()),
        // As root, apt would change to a user that may not write here.
        ("APT::Sandbox::User", "root".to_owned()),
    ];
    settings.iter().map(|(name, value)| format!("{name} \"{value}\";\n")).collect()
}

fn apt(root: &Path, folder: &Path) -> Command {
    let mut apt = command(root, "apt-get", ["--quiet=2"]);
    apt.env("APT_CONFIG", folder.join("apt.conf"));
    apt
}

/// The command that starts the server with its own loader and libraries.
fn mysqld(root: &Path, folder: &Path, args: [&str; 1]) -> Command {
    let libraries = folder.join("root/usr/lib/x86_64-linux-gnu");
    let loader = libraries.join("ld-linux-x86-64.so.2").display().to_string();
    let mut server = command(root, &loader, ["--library-path"]);
    server.arg(&libraries).arg(folder.join("root/usr/sbin/mysqld")).args(args);
    server
}

fn packages(archives: &Path) -> Result<Vec<PathBuf>, String> {
    let cannot = |error: std::io::Error| format!("cannot read {}: {error}", archives.display());
    let mut packages = Vec::new();
    for entry in fs::read_dir(archives).map_err(cannot)? {
        let path = entry.map_err(cannot)?.path();
        if path.extension().is_some_and(|extension| extension == "deb") {
            packages.push(path);
        }
    }
    Ok(packages)
}

/// Runs a command, and shows its output only if it fails.
fn quietly(command: &mut Command) -> Result<(), String> {
    let shown = run::show(command);
    let output = command.output().map_err(|error| format!("cannot run `{shown}`: {error}"))?;
    if output.status.success() {
        return Ok(());
    }
    let said = String::from_utf8_lossy(&output.stderr);
    Err(format!("`{shown}` failed: {}", said.lines().next_back().unwrap_or_default()))
}

fn write(path: &Path, text: &str) -> Result<(), String> {
    fs::write(path, text).map_err(|error| format!("cannot write {}: {error}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_mirror_is_one_with_whole_releases() {
        let targets = "http://a.example/security/ stable-security\nhttp://b.example/debian/ stable\n";
        assert_eq!(main_mirror(targets).as_deref(), Some("http://b.example/debian/"));
        assert_eq!(main_mirror(""), None);
    }

    #[test]
    fn apt_works_in_the_folder_alone() {
        let text = configuration(Path::new("/f"));
        assert!(
            text.contains("Dir::State \"/f/\";\n") && text.contains("Dir::Etc::sourceparts \"-\";\n"),
            "{text}"
        );
    }
}
