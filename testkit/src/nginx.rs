//! nginx, with a configuration of the test's own.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use crate::server::{Kind, Server, words};
use crate::{process, wait};

const PACKAGE: &str = "nginx";
const RELOAD_MAX: Duration = Duration::from_secs(30);

/// An nginx. Its folder is its prefix, so relative paths of the configuration are in there.
#[derive(Debug)]
pub struct Nginx {
    server: Server,
}

impl Nginx {
    /// Starts nginx and returns when it listens. The configuration is a whole file, from `events {}` on, with ports that
    /// the test picked (`ports::free_port`). Where it does not say otherwise, there is no access log.
    #[must_use]
    pub fn start(config: &str) -> Self {
        let server = Server::launch(&kind(), |folder, _port| {
            write_config(folder, config);
            command(folder)
        });
        Self { server }
    }

    /// Changes the configuration without closing what is under way. Returns when only the new one takes connections.
    pub fn reload(&self, config: &str) {
        let folder = self.server.folder();
        write_config(folder, config);
        let command = command(folder);
        if let Err(error) = process::run(Command::new(&command[0]).args(&command[1..]).arg("-t"), "") {
            panic!("nginx refuses the configuration: {error}");
        }
        let before = self.workers();
        self.server.signal("HUP");
        let reloaded = wait::until(RELOAD_MAX, || {
            let now = self.workers();
            // An old worker with requests under way has "shutting down" in its name.
            let old = before.iter().filter(|worker| now.contains(worker)).all(|&worker| is_leaving(worker));
            old && now.iter().any(|worker| !before.contains(worker))
        });
        assert!(reloaded, "nginx did not reload:\n{}", self.server.log_tail());
    }

    /// Its folder. Its log is `log` in there.
    #[must_use]
    pub fn folder(&self) -> &Path {
        self.server.folder()
    }

    /// Kills all its processes at once, as a crash of its machine.
    pub fn kill(&self) {
        self.server.kill();
    }

    /// Shuts it down, closing what is under way.
    pub fn stop(&self) {
        self.server.stop("TERM");
    }

    /// Starts it again with the configuration it had.
    pub fn start_again(&self) {
        self.server.start_again();
    }

    fn workers(&self) -> Vec<u32> {
        self.server.pid().map(process::children).unwrap_or_default()
    }
}

fn kind() -> Kind {
    Kind {
        name: "nginx",
        owner: None,
        end: Some("TERM"),
        prepare: |_| {},
        ready,
        port_taken: "Address already in use",
    }
}

/// It writes its process id when it listens.
fn ready(server: &Server, pid: u32) -> bool {
    let written = std::fs::read_to_string(server.folder().join("pid")).unwrap_or_default();
    written.trim() == pid.to_string()
}

fn command(folder: &Path) -> Vec<String> {
    let prefix = folder.display();
    // As root, nginx would run its workers as a user that cannot enter the folder.
    let user = if process::is_root() { "user root;" } else { "" };
    let global = format!("daemon off; pid {prefix}/pid; {user}");
    let program = process::program("nginx", PACKAGE).display().to_string();
    let config = config_file(folder).display().to_string();
    words(&[&program, "-p", &prefix.to_string(), "-c", &config, "-e", "stderr", "-g", &global])
}

fn write_config(folder: &Path, config: &str) {
    let file = config_file(folder);
    let written = std::fs::write(&file, with_own_paths(config));
    written.unwrap_or_else(|error| panic!("cannot write {}: {error}", file.display()));
}

fn config_file(folder: &Path) -> PathBuf {
    folder.join("nginx.conf")
}

/// Keeps nginx out of the directories that were compiled in, which are the system's.
fn with_own_paths(config: &str) -> String {
    let Some((before, after)) = config.split_once("http {") else { return config.to_owned() };
    let kinds = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"];
    let paths: String = kinds.iter().map(|kind| format!("    {kind}_temp_path {kind}_temp;\n")).collect();
    let log = if after.contains("access_log") { "" } else { "    access_log off;\n" };
    format!("{before}http {{\n{paths}{log}{after}")
}

fn is_leaving(worker: u32) -> bool {
    let name = std::fs::read(format!("/proc/{worker}/cmdline")).unwrap_or_default();
    // A process that is gone has an empty name.
    name.is_empty() || String::from_utf8_lossy(&name).contains("shutting down")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_configuration_is_kept_in_the_folder() {
        let config = with_own_paths("events {}\nhttp {\n    server {}\n}\n");
        assert!(
            config.starts_with("events {}\nhttp {\n    client_body_temp_path client_body_temp;\n"),
            "{config}"
        );
        assert!(config.contains("    access_log off;\n"), "{config}");
        assert!(config.ends_with("    server {}\n}\n"), "{config}");
    }
}
