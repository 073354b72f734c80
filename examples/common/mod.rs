//! What every example needs and none is about: finding the coordinator, serving a participant, a database, a verdict.

use sqlx::SqlitePool;
use sqlx::sqlite::{SqliteConnectOptions, SqlitePoolOptions};
use tempfile::TempDir;
use tokio::net::TcpListener;
use trine_sdk::barrier::SqliteBarrier;
use trine_sdk::{Client, Status, v1};

/// Any error, with `?`.
pub(crate) type Error = Box<dyn std::error::Error + Send + Sync>;

/// A client of the coordinator at `TRINE_URL` (default: where `trine dev` and `trine serve` listen).
pub(crate) fn client() -> Result<Client, Error> {
    let url = std::env::var("TRINE_URL").unwrap_or_else(|_| "http://127.0.0.1:36789".into());
    println!("coordinator: {url}");
    Ok(Client::new(url)?)
}

/// Serves a router on a free port of this machine, and returns its base URL.
pub(crate) async fn serve(router: axum::Router) -> Result<String, Error> {
    let (listener, url) = listen().await?;
    tokio::spawn(async move { axum::serve(listener, router).await });
    Ok(url)
}

/// A free port of this machine, and its base URL.
pub(crate) async fn listen() -> Result<(TcpListener, String), Error> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let url = format!("http://{}", listener.local_addr()?);
    Ok((listener, url))
}

/// The database of a service.
#[derive(Clone, Debug)]
pub(crate) struct Database {
    pub(crate) pool: SqlitePool,
    pub(crate) barrier: SqliteBarrier,
    /// Deletes the file when the example ends.
    _directory: std::sync::Arc<TempDir>,
}

impl Database {
    /// A fresh SQLite file with a barrier and the given tables.
    pub(crate) async fn create(schema: &'static str) -> Result<Self, Error> {
        let directory = tempfile::tempdir()?;
        let options =
            SqliteConnectOptions::new().filename(directory.path().join("service.db")).create_if_missing(true);
        let pool = SqlitePoolOptions::new().max_connections(1).connect_with(options).await?;
        sqlx::raw_sql(schema).execute(&pool).await?;
        let barrier = SqliteBarrier::new(pool.clone());
        barrier.install().await?;
        Ok(Self { pool, barrier, _directory: directory.into() })
    }

    /// The one number that a query finds.
    pub(crate) async fn number(&self, query: &'static str) -> Result<i64, Error> {
        Ok(sqlx::query_scalar(query).fetch_one(&self.pool).await?)
    }
}

/// Prints how a transaction stands, and fails if it is not as expected.
pub(crate) fn expect(answer: &v1::Answer, expected: Status) -> Result<(), Error> {
    let reason = answer.cause.as_ref().map(|cause| {
        let words = cause.reason.as_deref().unwrap_or("no reason given");
        format!(" ({}: {words})", cause.kind)
    });
    println!("  {}: {}{}", answer.gid, answer.status, reason.unwrap_or_default());
    if answer.status == expected { Ok(()) } else { Err(format!("expected {expected}").into()) }
}

/// Prints a number, and fails if it is not as expected.
pub(crate) fn expect_number(what: &str, found: i64, expected: i64) -> Result<(), Error> {
    println!("  {what}: {found}");
    if found == expected { Ok(()) } else { Err(format!("{what}: expected {expected}").into()) }
}
