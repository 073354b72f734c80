//! A service with XA branches in a real database.

use std::future::Future;
use std::sync::LazyLock;
use std::sync::atomic::{AtomicU32, Ordering};

use sqlx::pool::PoolOptions;
use sqlx::{MySql, Pool, Postgres};
use tokio::sync::oneshot;
use trine_protocol::Op;
use trine_testkit::mariadb::MariaDb;
use trine_testkit::postgres::Postgres as PostgresServer;

use crate::barrier::BarrierError;
use crate::barrier::clock::DatabaseClock;
use crate::xa::{Xa, XaDatabase};
use crate::{BranchContext, Outcome};

pub(super) type Error = Box<dyn std::error::Error + Send + Sync>;

/// What the tests need of a database, and of its server.
pub(super) trait TestDatabase: XaDatabase {
    type Server: Send + Sync + 'static;
    fn shared() -> &'static Self::Server;
    fn fresh_database(server: &Self::Server) -> String;
    fn effect(connection: &mut Self::Connection) -> impl Future<Output = sqlx::Result<()>> + Send;
    fn fail(connection: &mut Self::Connection) -> impl Future<Output = sqlx::Result<()>> + Send;
    fn make_table(pool: &Pool<Self>) -> impl Future<Output = sqlx::Result<()>> + Send;
    fn effects(pool: &Pool<Self>) -> impl Future<Output = sqlx::Result<i64>> + Send;
    /// Makes everything two days older.
    fn age(pool: &Pool<Self>) -> impl Future<Output = sqlx::Result<()>> + Send;
    /// Somebody else's branches, which were called every two hours of the last two days, and are open.
    fn others(pool: &Pool<Self>) -> impl Future<Output = sqlx::Result<()>> + Send;
    fn records(pool: &Pool<Self>) -> impl Future<Output = sqlx::Result<i64>> + Send;
    fn terminate(server: &Self::Server, database: &str);
}

pub(super) static POSTGRES: LazyLock<PostgresServer> =
    LazyLock::new(|| PostgresServer::start_with(&[("max_prepared_transactions", "200")]));

macro_rules! test_database {
    ($database:ty, $connection:ty, $server:ty, $shared:expr) => {
        impl TestDatabase for $database {
            type Server = $server;
            fn shared() -> &'static $server {
                $shared
            }
            fn fresh_database(server: &$server) -> String {
                server.fresh_database()
            }
            async fn effect(connection: &mut $connection) -> sqlx::Result<()> {
                sqlx::query("INSERT INTO effects VALUES (1)").execute(connection).await.map(|_| ())
            }
            async fn fail(connection: &mut $connection) -> sqlx::Result<()> {
                sqlx::query("INSERT INTO no_such_table VALUES (1)").execute(connection).await.map(|_| ())
            }
            async fn make_table(pool: &Pool<Self>) -> sqlx::Result<()> {
                sqlx::query("CREATE TABLE effects (number BIGINT)").execute(pool).await.map(|_| ())
            }
            async fn effects(pool: &Pool<Self>) -> sqlx::Result<i64> {
                sqlx::query_scalar("SELECT COUNT(*) FROM effects").fetch_one(pool).await
            }
            async fn age(pool: &Pool<Self>) -> sqlx::Result<()> {
                let update = "UPDATE trine_xa SET used_at = used_at - 172800000";
                sqlx::query(update).execute(pool).await.map(|_| ())
            }
            async fn others(pool: &Pool<Self>) -> sqlx::Result<()> {
                let now = <Self as DatabaseClock>::now(&mut *pool.acquire().await?).await?;
                for call in 1..=24 {
                    let used_at = now - call * 2 * 60 * 60 * 1_000;
                    let insert = format!(
                        "INSERT INTO trine_xa (gid, branch, xid, state, fence, used_at) \
                         VALUES ('others', 'b{call}', 'others-{call}', 'open', 0, {used_at})"
                    );
                    sqlx::raw_sql(sqlx::AssertSqlSafe(insert)).execute(pool).await?;
                }
                Ok(())
            }
            async fn records(pool: &Pool<Self>) -> sqlx::Result<i64> {
                sqlx::query_scalar("SELECT COUNT(*) FROM trine_xa").fetch_one(pool).await
            }
            fn terminate(server: &$server, database: &str) {
                server.terminate_connections(database);
            }
        }
    };
}

test_database!(Postgres, sqlx::PgConnection, PostgresServer, &POSTGRES);

test_database!(MySql, sqlx::MySqlConnection, MariaDb, trine_testkit::mariadb::shared());

pub(super) struct Service<D: XaDatabase> {
    pub(super) pool: Pool<D>,
    pub(super) xa: Xa<D>,
    url: String,
    pub(super) gid: String,
    ran: AtomicU32,
}

impl<D: TestDatabase> Service<D> {
    pub(super) async fn new() -> Self {
        Self::on(D::shared()).await
    }

    pub(super) async fn on(server: &'static D::Server) -> Self {
        let url = tokio::task::spawn_blocking(|| D::fresh_database(server)).await.unwrap();
        let pool = PoolOptions::new().max_connections(6).connect(&url).await.unwrap();
        let xa = Xa::new(pool.clone());
        xa.install().await.unwrap();
        D::make_table(&pool).await.unwrap();
        // A server's XA names are common to its databases.
        let gid = format!("order-{}", url.rsplit('/').next().unwrap());
        Self { pool, xa, url, gid, ran: AtomicU32::new(0) }
    }

    pub(super) fn database(&self) -> String {
        self.url.rsplit('/').next().unwrap().to_owned()
    }

    /// The same service after it died: nothing is left but the database.
    pub(super) async fn reborn(self) -> Self {
        self.pool.close().await;
        let pool = PoolOptions::new().max_connections(6).connect(&self.url).await.unwrap();
        let xa = Xa::new(pool.clone());
        xa.install().await.unwrap();
        Self { xa, pool, ..self }
    }

    pub(super) fn context(&self, op: Op, fence: u64) -> BranchContext {
        let mut context = BranchContext::new(self.gid.parse().unwrap(), "ledger".parse().unwrap(), op);
        context.fence = fence;
        context
    }

    pub(super) async fn prepare_as(
        &self,
        context: &BranchContext,
        outcome: Outcome,
    ) -> Result<Outcome, Error> {
        let (ran, has_run) = oneshot::channel();
        let body = async move |connection: &mut D::Connection| {
            D::effect(connection).await?;
            ran.send(()).unwrap();
            Ok::<_, Error>(outcome)
        };
        let answer = self.xa.prepare(context, body).await;
        if has_run.await.is_ok() {
            self.ran.fetch_add(1, Ordering::Relaxed);
        }
        answer
    }

    pub(super) async fn prepare(&self, outcome: Outcome) -> Result<Outcome, Error> {
        self.prepare_as(&self.context(Op::Prepare, 0), outcome).await
    }

    pub(super) async fn commit(&self) -> Result<Outcome, BarrierError> {
        self.xa.commit(&self.context(Op::Commit, 0)).await
    }

    pub(super) async fn rollback(&self) -> Result<Outcome, BarrierError> {
        self.xa.rollback(&self.context(Op::Rollback, 0)).await
    }

    /// Effects that show, and how often a body ran.
    pub(super) async fn seen(&self) -> (i64, u32) {
        (D::effects(&self.pool).await.unwrap(), self.ran.load(Ordering::Relaxed))
    }
}

pub(super) fn is_refused(outcome: &Outcome) -> bool {
    matches!(outcome, Outcome::Refused(_))
}

/// Starts a prepare that waits, inside its transaction, for the returned sender.
pub(super) async fn start_waiting<D: TestDatabase>(
    service: &Service<D>,
) -> (tokio::task::JoinHandle<Result<Outcome, Error>>, oneshot::Sender<()>) {
    let (started, has_started) = oneshot::channel();
    let (go_on, may_go_on) = oneshot::channel::<()>();
    let (xa, context) = (service.xa.clone(), service.context(Op::Prepare, 0));
    let call = tokio::spawn(async move {
        let body = async move |connection: &mut D::Connection| {
            D::effect(connection).await?;
            started.send(()).unwrap();
            may_go_on.await?;
            D::effect(connection).await?;
            Ok::<_, Error>(Outcome::empty())
        };
        xa.prepare(&context, body).await
    });
    has_started.await.unwrap();
    (call, go_on)
}
