//! A warehouse that takes messages, and the shop whose local transactions they belong to; both with the barrier, each
//! delivery recorded by its gid so that a second effect of one message is seen.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions, SqliteSynchronous};
use sqlx::{SqliteConnection, SqlitePool};
use tokio::net::TcpListener;
use trine_sdk::barrier::{BarrierError, SqliteBarrier};
use trine_sdk::{BranchContext, CheckAnswer, CheckContext, Gid, Outcome, Participant};

type Error = Box<dyn std::error::Error + Send + Sync>;

/// One database for both sides of a message.
#[derive(Clone)]
pub(crate) struct Post {
    pool: SqlitePool,
    barrier: SqliteBarrier,
    url: Arc<str>,
    /// Of a thousand calls so many fail, half of them after their effect.
    failing_permille: Arc<AtomicU32>,
}

impl Post {
    pub(crate) async fn start(folder: &Path) -> Self {
        let (pool, barrier) = guarded_database(&folder.join("post.db")).await;
        for sql in ["CREATE TABLE sent (gid TEXT)", "CREATE TABLE packed (gid TEXT)"] {
            sqlx::query(sql).execute(&pool).await.expect("a table");
        }
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let url: Arc<str> = format!("http://{}", listener.local_addr().expect("it listens")).into();
        let post = Self { pool, barrier, url, failing_permille: Arc::default() };
        let router =
            Participant::new(post.clone()).check("/check", check).deliver("/pack", pack).into_router();
        tokio::spawn(async move { axum::serve(listener, router).await });
        post
    }

    pub(crate) fn url(&self) -> &str {
        &self.url
    }

    pub(crate) fn fail(&self, permille: u32) {
        self.failing_permille.store(permille, Ordering::Relaxed);
    }

    fn fails(&self) -> bool {
        fastrand::u32(..1_000) < self.failing_permille.load(Ordering::Relaxed)
    }

    /// The shop's local transaction.
    pub(crate) async fn send(&self, gid: &Gid) -> Result<(), BarrierError> {
        let mut transaction = self.pool.begin_with("BEGIN IMMEDIATE").await?;
        self.barrier.record_local(&mut transaction, gid).await?;
        sqlx::query("INSERT INTO sent VALUES (?)").bind(gid.as_str()).execute(&mut *transaction).await?;
        transaction.commit().await?;
        Ok(())
    }

    /// What was sent was packed once, and nothing else was. Returns how many.
    pub(crate) async fn assert_delivered_once(&self) -> usize {
        let all = async |sql: &'static str| -> Vec<String> {
            sqlx::query_scalar(sql).fetch_all(&self.pool).await.expect("a list")
        };
        let sent = all("SELECT gid FROM sent ORDER BY gid").await;
        let packed = all("SELECT gid FROM packed ORDER BY gid").await;
        assert_eq!(sent, packed, "what was sent and what was packed");
        packed.len()
    }
}

/// A new database with the barrier's table. A test needs no fsync: only coordinators are killed.
pub(crate) async fn guarded_database(file: &Path) -> (SqlitePool, SqliteBarrier) {
    let options = SqliteConnectOptions::new()
        .filename(file)
        .create_if_missing(true)
        .journal_mode(SqliteJournalMode::Wal)
        .synchronous(SqliteSynchronous::Off);
    let pool = SqlitePoolOptions::new().max_connections(4).connect_with(options).await.expect("a database");
    let barrier = SqliteBarrier::new(pool.clone());
    barrier.install().await.expect("the barrier's table");
    (pool, barrier)
}

async fn pack(post: Post, call: BranchContext, (): ()) -> Result<Outcome, Error> {
    if post.fails() {
        return Err("before the effect".into());
    }
    let gid = call.gid.to_string();
    let body = async move |connection: &mut SqliteConnection| {
        sqlx::query("INSERT INTO packed VALUES (?)").bind(gid).execute(connection).await?;
        Ok::<_, Error>(Outcome::empty())
    };
    let outcome = post.barrier.execute(&call, body).await?;
    if post.fails() { Err("after the effect".into()) } else { Ok(outcome) }
}

async fn check(post: Post, call: CheckContext) -> Result<CheckAnswer, Error> {
    if post.fails() {
        return Err("no answer to a check".into());
    }
    Ok(post.barrier.check(&call.gid).await?)
}
