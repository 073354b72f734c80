//! A primary and a standby that has everything the primary acknowledged.

use std::path::Path;
use std::time::Duration;

use super::{OWNER, PASSWORD, Postgres, USER, command, data, kind};
use crate::server::Server;
use crate::{process, wait};

const SYNCHRONOUS_MAX: Duration = Duration::from_secs(60);

/// A primary whose commits wait for a synchronous standby, which can be read from and promoted.
#[derive(Debug)]
pub struct Pair {
    primary: Postgres,
    standby: Postgres,
}

impl Pair {
    /// Starts both, and returns when the standby is synchronous.
    #[must_use]
    pub fn start() -> Self {
        // Keep enough old segments for a standby that is paused during a whole test.
        let settings = [("synchronous_standby_names", "standby"), ("wal_keep_size", "512MB")];
        let primary = Server::prepare(&kind(), |folder, port| command(folder, port, &settings));
        let source = format!("host=127.0.0.1 port={} user={USER} application_name=standby", primary.port());
        // The data directory is copied before the first start, so the standby needs no base backup.
        let standby = Server::prepare(&kind(), |folder, port| {
            become_copy(&data(folder), &data(primary.folder()));
            command(folder, port, &[("primary_conninfo", &source)])
        });
        for server in [&primary, &standby] {
            if let Err(log) = server.try_start() {
                panic!("PostgreSQL did not start; the end of its log:\n{log}");
            }
        }
        let pair = Self { primary: Postgres::of(primary), standby: Postgres::of(standby) };
        pair.wait_until_synchronous();
        pair
    }

    /// Waits until the standby confirms the primary's commits, for example after `standby().start_again()`.
    pub fn wait_until_synchronous(&self) {
        let count = "SELECT count(*) FROM pg_stat_replication WHERE sync_state = 'sync'";
        let synchronous = wait::until(SYNCHRONOUS_MAX, || self.primary.execute("postgres", count) == "1");
        assert!(synchronous, "the standby does not follow:\n{}", self.standby.server.log_tail());
    }

    /// The server that takes writes until it is killed.
    #[must_use]
    pub fn primary(&self) -> &Postgres {
        &self.primary
    }

    /// The server that follows; only reads succeed there until it is promoted.
    #[must_use]
    pub fn standby(&self) -> &Postgres {
        &self.standby
    }

    /// Creates an empty database and returns its URL, with both hosts in it.
    #[must_use]
    pub fn fresh_database(&self) -> String {
        self.multi_host_url(&self.primary.create_database())
    }

    /// The URL of a database with both hosts in it, the first primary first.
    #[must_use]
    pub fn multi_host_url(&self, database: &str) -> String {
        let (first, second) = (self.primary.port(), self.standby.port());
        format!("postgres://{USER}:{PASSWORD}@127.0.0.1:{first},127.0.0.1:{second}/{database}")
    }

    /// Kills the primary, as a crash of its machine.
    pub fn kill_primary(&self) {
        self.primary.kill();
    }

    /// Promotes the standby, and returns when it takes writes. Its commits wait for no standby.
    ///
    /// Kill the old primary first, and do not start it again: it would take writes too.
    pub fn promote_standby(&self) {
        let promoted = self.standby.execute("postgres", "SELECT pg_promote(true, 60)");
        assert_eq!(promoted, "t", "the standby was not promoted:\n{}", self.standby.server.log_tail());
    }
}

/// Replaces a data directory by a copy of another one, which follows the other's server.
fn become_copy(copy: &Path, original: &Path) {
    std::fs::remove_dir_all(copy).unwrap_or_else(|error| panic!("cannot remove {copy:?}: {error}"));
    OWNER.create_dir(copy);
    process::copy(original, copy);
    let mark = copy.join("standby.signal");
    std::fs::write(&mark, "").unwrap_or_else(|error| panic!("cannot write {mark:?}: {error}"));
    OWNER.give(&mark);
}
