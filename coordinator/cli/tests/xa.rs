//! `trine xa` against real databases: what is listed, what is left alone, what is ended.

use std::path::Path;
use std::process::Output;

use serde_json::Value;
use trine_participants::faults::Faults;
use trine_sdk::barrier::BarrierError;
use trine_sdk::xa::{MySqlXa, PgXa};
use trine_sdk::{BranchContext, BranchId, Gid, Op, Outcome};
use trine_testkit::mariadb::{self, MariaDb};
use trine_testkit::postgres::Postgres;

use crate::support::{Coordinator, Http, Shop, program, purchase};

enum Server {
    Postgres(Postgres),
    MariaDb(&'static MariaDb),
}

/// A participant's database with a table, in which branches are prepared.
struct Ledger {
    server: Server,
    url: String,
}

impl Ledger {
    fn all() -> [Self; 2] {
        let postgres = Postgres::start_with(&[("max_prepared_transactions", "10")]);
        let url = postgres.fresh_database();
        let mariadb = mariadb::shared();
        let ledgers = [
            Self { server: Server::Postgres(postgres), url },
            Self { server: Server::MariaDb(mariadb), url: mariadb.fresh_database() },
        ];
        ledgers.iter().for_each(|ledger| drop(ledger.execute("CREATE TABLE ledger (gid VARCHAR(200))")));
        ledgers
    }

    fn execute(&self, sql: &str) -> String {
        let name = self.url.rsplit('/').next().expect("a database");
        match &self.server {
            Server::Postgres(server) => server.execute(name, sql),
            Server::MariaDb(server) => server.execute(name, sql),
        }
    }

    fn rows(&self) -> String {
        self.execute("SELECT gid FROM ledger ORDER BY gid").trim().replace('\n', " ")
    }

    /// Prepares a branch of a transaction, as its participant does when it is called.
    async fn prepare(&self, gid: &str) {
        let gid = Gid::parse(gid).expect("a gid");
        let context = BranchContext::new(gid.clone(), BranchId::parse("ledger").expect("an id"), Op::Prepare);
        let entry = gid.to_string();
        match &self.server {
            Server::Postgres(_) => {
                let xa = PgXa::new(sqlx::PgPool::connect(&self.url).await.expect("a pool"));
                xa.install().await.expect("a table");
                let body = async move |connection: &mut sqlx::PgConnection| {
                    sqlx::query("INSERT INTO ledger VALUES ($1)").bind(entry).execute(connection).await?;
                    Ok::<_, BarrierError>(Outcome::empty())
                };
                xa.prepare(&context, body).await.expect("it is prepared");
            }
            Server::MariaDb(_) => {
                let xa = MySqlXa::new(sqlx::MySqlPool::connect(&self.url).await.expect("a pool"));
                xa.install().await.expect("a table");
                let body = async move |connection: &mut sqlx::MySqlConnection| {
                    sqlx::query("INSERT INTO ledger VALUES (?)").bind(entry).execute(connection).await?;
                    Ok::<_, BarrierError>(Outcome::empty())
                };
                xa.prepare(&context, body).await.expect("it is prepared");
            }
        }
    }

    async fn trine(&self, folder: &Path, coordinator: &Coordinator, arguments: &[&str]) -> Output {
        let mut command = program();
        command.arg("xa").args(arguments).args(["--db", &self.url, "--url", coordinator.url()]);
        command.current_dir(folder).output().await.expect("trine is built with the tests")
    }
}

fn resolutions(output: &Output) -> Vec<(String, String)> {
    let text = String::from_utf8_lossy(&output.stdout);
    let listed: Value = serde_json::from_str(&text).unwrap_or_else(|_| panic!("{text} {output:?}"));
    let rows = listed["prepared"].as_array().expect("a list").iter();
    let mut rows: Vec<(String, String)> = rows
        .map(|row| {
            let word = |key: &str| row[key].as_str().unwrap_or_default().to_owned();
            (word("gid"), word("resolution"))
        })
        .collect();
    rows.sort();
    rows
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn orphans_are_ended_as_their_transaction_was_and_others_are_left_alone() {
    let (http, folder) = (Http::new(), tempfile::tempdir().expect("a temporary folder"));
    let shop = Shop::start(folder.path()).await;
    shop.stock(&http, "A-1", 9).await;
    let coordinator = Coordinator::start(&folder.path().join("trine.db")).await;
    let settled = async |pattern: &str, gid: &str, quantity: u32| {
        let body = purchase(&shop, pattern, gid, "A-1", quantity);
        http.create(coordinator.url(), &body, 20).await.expect("it answers")
    };
    assert_eq!(settled("saga", "done", 1).await.1["status"], "committed");
    assert_eq!(settled("saga", "undone", 99).await.1["status"], "rolled_back");
    shop.inventory.faults().set(Faults { hang: true, ..Faults::default() });
    let running = purchase(&shop, "saga", "running", "A-1", 1);
    http.create(coordinator.url(), &running, 0).await.expect("it answers");
    // An id of this length is a digest in the database.
    let unknown = format!("unknown-{}", "x".repeat(100));
    for ledger in Ledger::all() {
        for gid in ["done", "undone", "running", &unknown] {
            ledger.prepare(gid).await;
        }
        let list = ledger.trine(folder.path(), &coordinator, &["list", "--json"]).await;
        let expected =
            [("done", "commit"), ("running", "leave"), ("undone", "rollback"), (&*unknown, "rollback")];
        let expected = expected.map(|(gid, what)| (gid.to_owned(), what.to_owned())).to_vec();
        assert_eq!(resolutions(&list), expected);
        let young = ledger.trine(folder.path(), &coordinator, &["resolve", "--json", "--apply"]).await;
        assert!(resolutions(&young).iter().all(|(_, what)| what == "leave"), "{young:?}");
        let old = ["resolve", "--older-than", "0s"];
        let dry = ledger.trine(folder.path(), &coordinator, &old).await;
        assert!(String::from_utf8_lossy(&dry.stdout).contains("nothing was changed"), "{dry:?}");
        assert_eq!(ledger.rows(), "");
        let done = ledger.trine(folder.path(), &coordinator, &[&old[..], &["--apply"]].concat()).await;
        assert!(done.status.success(), "{done:?}");
        assert_eq!(ledger.rows(), "done");
        let left = ledger.trine(folder.path(), &coordinator, &["list", "--json"]).await;
        assert_eq!(resolutions(&left), [("running".to_owned(), "leave".to_owned())]);
        let states = ledger.execute("SELECT state FROM trine_xa WHERE state = 'rolled_back'");
        assert_eq!(states.lines().count(), 2, "a late prepare finds that it must not take effect");
    }
}
