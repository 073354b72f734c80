//! Whether a proof notices what keeps lanes from working, while heartbeats go through; and passwords that change.

use std::sync::{Arc, Once};
use std::time::Duration;

use trine_protocol::v1::Page;

use super::{Database, KINDS, Server, heartbeat};
use crate::remote::Postgres;
use crate::remote::client::Client as _;
use crate::suite::fixture::{Tx, append, gid};
use crate::vitals::Vitals;
use crate::{Census, Filter, HeartbeatAnswer, Options, Store, migrate, open};

impl Database {
    /// A user of this database's own, with a password of its own: its name.
    async fn user(&self) -> String {
        let (name, user) = (self.name(), format!("worker_{}", self.name()));
        match self.server {
            Server::Postgres(_) => {
                self.ask_for_passwords();
                let created = self.execute(&format!(
                    "CREATE ROLE {user} LOGIN PASSWORD 'old'; GRANT with_passwords TO {user}; \
                     GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA public TO {user};"
                ));
                let wrong = self.url.replace("user:password@", &format!("{user}:wrong@"));
                // The server reads its rules in its own time.
                while Postgres::connect(&Postgres::address(&wrong).unwrap()).await.is_ok() {}
                created
            }
            Server::MariaDb(_) => self.execute(&format!(
                "CREATE USER {user}@'%' IDENTIFIED BY 'old'; \
                 GRANT SELECT, INSERT, UPDATE, DELETE ON {name}.* TO {user}@'%';"
            )),
        };
        user
    }

    /// A store of that user.
    async fn for_worker(&self) -> (Options, String) {
        migrate(&self.options("m")).await.unwrap();
        let user = self.user().await;
        let url = self.url.replace("user:password@", &format!("{user}:old@"));
        assert_ne!(url, self.url);
        (Options { lanes: 2, ..Options::new(&url, "a") }, user)
    }

    /// The servers of tests trust everybody; of these they ask a password.
    fn ask_for_passwords(&self) {
        static ASKED: Once = Once::new();
        ASKED.call_once(|| {
            self.execute("CREATE ROLE with_passwords");
            let file = self.execute("SHOW hba_file");
            self.execute(&format!(
                "COPY (VALUES ('local all all trust'), ('host all +with_passwords all scram-sha-256'), \
                 ('host all all all trust'), ('host replication all all trust')) TO '{}'",
                file.trim()
            ));
            self.execute("SELECT pg_reload_conf()");
        });
    }

    fn set_password(&self, user: &str, password: &str) {
        self.execute(&match self.server {
            Server::Postgres(_) => format!("ALTER ROLE {user} PASSWORD '{password}'"),
            Server::MariaDb(_) => format!("ALTER USER {user}@'%' IDENTIFIED BY '{password}'"),
        });
    }

    fn terminate_connections(&self) {
        match self.server {
            Server::Postgres(server) => server.terminate_connections(self.name()),
            Server::MariaDb(server) => server.terminate_connections(self.name()),
        }
    }

    fn journals(&self) -> String {
        self.execute("SELECT count(*) FROM journal").trim().to_owned()
    }
}

fn vitals() -> Arc<Vitals> {
    Arc::new(Vitals::new(2, Duration::ZERO))
}

/// Nothing but the journal is taken away: heartbeats go through.
#[tokio::test]
async fn a_journal_that_takes_no_records_is_noticed_and_leaves_no_probe_behind() {
    for kind in KINDS {
        let database = kind();
        let (options, user) = database.for_worker().await;
        let (store, vitals) = (open(&options).await.unwrap(), vitals());
        for _ in 0..4 {
            assert_eq!(vitals.prove(&store).await, Ok(()));
        }
        assert_eq!(database.journals(), "0");
        let journal = match database.server {
            Server::Postgres(_) => "journal".to_owned(),
            Server::MariaDb(_) => format!("{}.journal", database.name()),
        };
        let to = match database.server {
            Server::Postgres(_) => user.clone(),
            Server::MariaDb(_) => format!("{user}@'%'"),
        };
        if let Server::MariaDb(_) = database.server {
            // What is granted for all of a database cannot be taken away for a table.
            database.execute(&format!("REVOKE INSERT ON {}.* FROM {to}", database.name()));
            for table in ["transactions", "transaction_labels", "coordinators"] {
                database.execute(&format!("GRANT INSERT ON {}.{table} TO {to}", database.name()));
            }
        } else {
            database.execute(&format!("REVOKE INSERT ON {journal} FROM {to}"));
        }
        database.terminate_connections();
        assert!(vitals.prove(&store).await.is_err(), "{:?}", database.server);
        assert!(vitals.failing_for().is_some());
        assert_eq!(heartbeat(&*store).await, Ok(HeartbeatAnswer::Alive));
        database.execute(&format!("GRANT INSERT ON {journal} TO {to}"));
        database.terminate_connections();
        while vitals.prove(&store).await.is_err() {}
        assert_eq!(vitals.failing_for(), None);
        database.execute("ALTER TABLE journal RENAME TO elsewhere");
        assert!(vitals.prove(&store).await.is_err(), "{:?}", database.server);
        database.execute("ALTER TABLE elsewhere RENAME TO journal");
        while vitals.prove(&store).await.is_err() {}
        assert_eq!(database.journals(), "0");
    }
}

#[tokio::test]
async fn a_probe_that_was_left_behind_is_swept_and_no_transaction_is() {
    for kind in KINDS {
        let database = kind();
        let store = database.open("a").await;
        append(&*store, Tx::new("trine-probe:mine").batch([1])).await;
        database.execute(
            "INSERT INTO journal (gid, seq, at, event) SELECT 'trine-probe:0', seq, 0, event FROM journal",
        );
        database.execute("UPDATE journal SET at = 0");
        assert_eq!(database.journals(), "2");
        store.sweep_coordinators().await.unwrap();
        assert_eq!(store.load(vec![gid("trine-probe:0")]).await, Ok(Vec::new()));
        assert_eq!(database.journals(), "1");
    }
}

#[tokio::test]
async fn a_password_that_changes_is_read_again_from_its_file() {
    for kind in KINDS {
        let database = kind();
        let (options, user) = database.for_worker().await;
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), "old\n").unwrap();
        let url = options.url.replace(":old@", ":neither@");
        let options = Options { url, password_file: Some(file.path().to_owned()), ..options };
        let (store, vitals) = (open(&options).await.unwrap(), vitals());
        assert_eq!(vitals.prove(&store).await, Ok(()));
        database.set_password(&user, "new");
        database.terminate_connections();
        assert!(vitals.prove(&store).await.is_err(), "{:?}: the file has the old one", database.server);
        assert!(store.heartbeat().await.is_err());
        std::fs::write(file.path(), "new\n").unwrap();
        while vitals.prove(&store).await.is_err() {}
        assert!(store.heartbeat().await.is_ok());
        std::fs::remove_file(file.path()).unwrap();
        database.terminate_connections();
        // What is told first is that the connection has ended.
        while !vitals.prove(&store).await.unwrap_err().to_string().contains("password") {}
    }
}

/// The password is changed, and this coordinator still has the old one. Connections that are open stay open.
#[tokio::test]
async fn lanes_that_are_kept_warm_go_on_when_no_connection_is_to_be_had() {
    for kind in KINDS {
        let database = kind();
        let (options, user) = database.for_worker().await;
        let store: Arc<dyn Store> = open(&options).await.unwrap();
        store.warm().await.unwrap();
        database.set_password(&user, "new");
        let vitals = vitals();
        let nothing = Page { transactions: Vec::new(), next_cursor: None };
        for _ in 0..4 {
            assert_eq!(vitals.prove(&store).await, Ok(()), "{:?}", database.server);
            assert_eq!(store.list(Filter::default(), None, 9).await, Ok(nothing.clone()));
            assert_eq!(store.census().await, Ok(Census::default()));
            assert_eq!(store.is_registered("inventory".into()).await, Ok(false));
            store.warm().await.unwrap();
        }
        assert!(store.ping().await.is_err(), "{:?}: others get none", database.server);
    }
}
