//! A service whose every effect is a row with the gid and the branch, behind the barrier. It also counts the calls that reach it.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};

use sqlx::{SqliteConnection, SqlitePool};
use tokio::net::TcpListener;
use trine_sdk::barrier::SqliteBarrier;
use trine_sdk::{BranchContext, Outcome, Participant};

use super::shop::guarded_database;

type Error = Box<dyn std::error::Error + Send + Sync>;

/// The calls of each action that reached the service, by gid and branch.
type Calls = Arc<Mutex<BTreeMap<(String, String), u32>>>;

#[derive(Clone)]
pub(crate) struct Ledger {
    pool: SqlitePool,
    barrier: SqliteBarrier,
    url: Arc<str>,
    calls: Calls,
    /// Of a thousand calls so many fail, half of them after their effect.
    failing_permille: Arc<AtomicU32>,
    /// Of a thousand actions so many are refused.
    refusing_permille: Arc<AtomicU32>,
}

impl Ledger {
    pub(crate) async fn start(folder: &Path) -> Self {
        let (pool, barrier) = guarded_database(&folder.join("ledger.db")).await;
        sqlx::query("CREATE TABLE entries (gid TEXT, branch TEXT)").execute(&pool).await.expect("a table");
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let url: Arc<str> = format!("http://{}", listener.local_addr().expect("it listens")).into();
        let (failing_permille, refusing_permille) = (Arc::default(), Arc::default());
        let ledger =
            Self { pool, barrier, url, calls: Calls::default(), failing_permille, refusing_permille };
        let participant =
            Participant::new(ledger.clone()).action("/enter", enter).compensate("/remove", remove);
        let router = participant.into_router();
        tokio::spawn(async move { axum::serve(listener, router).await });
        ledger
    }

    pub(crate) fn url(&self) -> &str {
        &self.url
    }

    pub(crate) fn misbehave(&self, failing_permille: u32, refusing_permille: u32) {
        self.failing_permille.store(failing_permille, Ordering::Relaxed);
        self.refusing_permille.store(refusing_permille, Ordering::Relaxed);
    }

    fn fails(&self) -> bool {
        fastrand::u32(..1_000) < self.failing_permille.load(Ordering::Relaxed)
    }

    /// How often each branch's effect stands, by gid.
    pub(crate) async fn entries(&self) -> BTreeMap<String, BTreeMap<String, u32>> {
        let rows: Vec<(String, String)> =
            sqlx::query_as("SELECT gid, branch FROM entries").fetch_all(&self.pool).await.expect("a list");
        let mut entries = BTreeMap::<String, BTreeMap<String, u32>>::new();
        for (gid, branch) in rows {
            *entries.entry(gid).or_default().entry(branch).or_default() += 1;
        }
        entries
    }

    /// How often the action of a branch was called.
    pub(crate) fn calls(&self, gid: &str, branch: &str) -> u32 {
        let calls = self.calls.lock().expect("nobody panics with the lock");
        calls.get(&(gid.to_owned(), branch.to_owned())).copied().unwrap_or_default()
    }
}

async fn enter(ledger: Ledger, call: BranchContext, (): ()) -> Result<Outcome, Error> {
    let (gid, branch) = (call.gid.to_string(), call.branch.to_string());
    *ledger
        .calls
        .lock()
        .expect("nobody panics with the lock")
        .entry((gid.clone(), branch.clone()))
        .or_default() += 1;
    if ledger.fails() {
        return Err("before the effect".into());
    }
    let refuses = fastrand::u32(..1_000) < ledger.refusing_permille.load(Ordering::Relaxed);
    let body = async move |connection: &mut SqliteConnection| {
        if refuses {
            return Ok(Outcome::refused("not this one"));
        }
        sqlx::query("INSERT INTO entries VALUES (?, ?)").bind(gid).bind(branch).execute(connection).await?;
        Ok::<_, Error>(Outcome::empty())
    };
    let outcome = ledger.barrier.execute(&call, body).await?;
    if ledger.fails() { Err("after the effect".into()) } else { Ok(outcome) }
}

async fn remove(ledger: Ledger, call: BranchContext, (): ()) -> Result<Outcome, Error> {
    if ledger.fails() {
        return Err("before the effect".into());
    }
    let (gid, branch) = (call.gid.to_string(), call.branch.to_string());
    let body = async move |connection: &mut SqliteConnection| {
        let delete = sqlx::query("DELETE FROM entries WHERE gid = ? AND branch = ?").bind(gid).bind(branch);
        let removed = delete.execute(connection).await?.rows_affected();
        assert_eq!(removed, 1, "the barrier lets only an effect be undone");
        Ok::<_, Error>(Outcome::empty())
    };
    ledger.barrier.execute(&call, body).await
}
