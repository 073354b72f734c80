//! The suite over real PostgreSQL and MariaDB servers, and what only a database server can do to us.

mod contention;
mod faults;
mod key_values;
mod pooler;
mod proof;
mod schema;
mod servers;
mod sharing;

use std::sync::Arc;

use trine_protocol::Gid;
use trine_testkit::mariadb::{self, MariaDb};
use trine_testkit::postgres::{self, Postgres};

use super::texts::Text;
use crate::memory::Damage;
use crate::suite::{self, Rewrite, Subject, conformance, shared_conformance};
use crate::{AppendError, Appended, HeartbeatAnswer, Options, Store, StoreError, open};

/// A server that can be asked behind the coordinator's back.
#[derive(Debug, Clone, Copy)]
enum Server {
    Postgres(&'static Postgres),
    MariaDb(&'static MariaDb),
}

/// A fresh database in a server that all tests share.
#[derive(Debug)]
struct Database {
    server: Server,
    url: String,
}

fn in_postgres() -> Database {
    let server = postgres::shared();
    Database { server: Server::Postgres(server), url: server.fresh_database() }
}

fn in_mariadb() -> Database {
    let server = mariadb::shared();
    Database { server: Server::MariaDb(server), url: server.fresh_database() }
}

/// Every kind of server.
const KINDS: [fn() -> Database; 2] = [in_postgres, in_mariadb];

impl Database {
    fn name(&self) -> &str {
        self.url.rsplit('/').next().unwrap_or_default()
    }

    /// Runs SQL on a connection of its own; what it answers, a line a row.
    fn execute(&self, sql: &str) -> String {
        match self.server {
            Server::Postgres(server) => server.execute(self.name(), sql),
            Server::MariaDb(server) => server.execute(self.name(), sql),
        }
    }

    /// Begins a transaction over a connection that prepares every statement: MySQL prepares no `BEGIN`.
    fn begin(&self) -> Text {
        Text::verbatim(match self.server {
            Server::Postgres(_) => "BEGIN",
            Server::MariaDb(_) => "SET autocommit = 0",
        })
    }

    /// Waits until at least so many sessions wait for a lock.
    async fn until_locked_out(&self, sessions: usize) {
        let sql = match self.server {
            Server::Postgres(_) => {
                "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"
            }
            Server::MariaDb(_) => {
                "SELECT count(*) FROM information_schema.innodb_trx AS t JOIN information_schema.processlist AS p \
                 ON p.id = t.trx_mysql_thread_id WHERE t.trx_state = 'LOCK WAIT' AND p.db = DATABASE()"
            }
        };
        while self.execute(sql).trim().parse::<usize>().unwrap() < sessions {
            // tidy-allow: sleep, MariaDB renews what it shows of lock waits only when nobody has asked for 100 ms, and two ask
            tokio::time::sleep(std::time::Duration::from_millis(150)).await;
        }
    }

    fn options(&self, owner: &str) -> Options {
        // More than the default: lanes race for gids here.
        Options { lanes: 4, ..Options::new(&self.url, owner) }
    }

    async fn open(&self, owner: &str) -> Arc<dyn Store> {
        open(&self.options(owner)).await.unwrap()
    }
}

fn is_doubtful(result: &Result<Appended, AppendError>) -> bool {
    matches!(result, Err(AppendError::Doubtful(_)))
}

/// Sends a heartbeat, and returns the answer without the time.
async fn heartbeat(store: &dyn Store) -> Result<HeartbeatAnswer, StoreError> {
    store.heartbeat().await.map(|beat| beat.answer)
}

impl Subject for Database {
    async fn open(&self, owner: &str) -> Arc<dyn Store> {
        Database::open(self, owner).await
    }

    async fn damage(&self, gid: &Gid, seq: u64, damage: Damage) {
        self.execute(&suite::sql(gid, seq, &damage));
    }

    async fn rewrite(&self, what: Rewrite<'_>) {
        for statement in what.sql() {
            self.execute(&statement);
        }
    }

    async fn lapse(&self, owner: &str) {
        self.execute(&format!(
            "UPDATE coordinators SET previous_at = heartbeat_at, heartbeat_at = 2 WHERE id = '{owner}'"
        ));
    }
}

mod postgres_conforms {
    use super::*;
    conformance!(super::in_postgres);
    shared_conformance!(super::in_postgres);
}

mod mariadb_conforms {
    use super::*;
    conformance!(super::in_mariadb);
    shared_conformance!(super::in_mariadb);
}
