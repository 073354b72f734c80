//! The users of servers when tests run as root, as in many containers.
//!
//! PostgreSQL refuses to run as root. MariaDB does not refuse, but then the rsync that copies data between the nodes of a cluster
//! runs as `nobody` and fails. Debian's packages create a user for each.

use std::path::Path;
use std::process::Command;

use crate::process;
use crate::server::words;

/// A user of Debian's packages. If the present user is not root, it stands for the present user.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Owner(pub(crate) &'static str);

impl Owner {
    /// The name, if it is another user than the present one.
    pub(crate) fn other(self) -> Option<&'static str> {
        process::is_root().then_some(self.0)
    }

    /// The beginning of a command that runs as this user.
    pub(crate) fn command(self) -> Vec<String> {
        self.other().map_or_else(Vec::new, |name| {
            words(&["setpriv", "--reuid", name, "--regid", name, "--clear-groups"])
        })
    }

    /// Gives a file or directory to this user.
    pub(crate) fn give(self, path: &Path) {
        if let Some(name) = self.other() {
            process::must(Command::new("chown").arg(format!("{name}:{name}")).arg(path));
        }
    }

    /// Creates a directory for this user.
    pub(crate) fn create_dir(self, path: &Path) {
        std::fs::create_dir(path).unwrap_or_else(|error| panic!("cannot create {path:?}: {error}"));
        self.give(path);
    }

    /// Runs a command as this user, with `input`; it has to succeed.
    pub(crate) fn run(self, command: &[String], input: &str) {
        let command = [self.command().as_slice(), command].concat();
        // Run in a directory that every user can enter.
        let result = process::run(Command::new(&command[0]).args(&command[1..]).current_dir("/"), input);
        result.unwrap_or_else(|error| panic!("{} failed: {error}", command.join(" ")));
    }
}
