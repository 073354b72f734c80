//! A service with one business table and a barrier, on any of the databases.

use std::future::Future;
use std::marker::PhantomData;

use sqlx::pool::PoolOptions;
use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqliteSynchronous};
use sqlx::{MySql, Pool, Postgres, Sqlite};
use trine_protocol::{BranchId, Gid, Op};
use trine_testkit::{mariadb, postgres};

use crate::barrier::clock::DatabaseClock;
use crate::barrier::{Barrier, BarrierDatabase, BarrierError};
use crate::{BranchContext, Outcome};

pub(super) type Error = Box<dyn std::error::Error + Send + Sync>;

/// What the tests need of a database beyond what the barrier needs.
pub(super) trait TestDatabase: BarrierDatabase {
    /// Notes an effect.
    fn effect(connection: &mut Self::Connection, op: &str) -> impl Future<Output = sqlx::Result<()>> + Send;
    /// Locks the row of an effect that was noted before.
    fn lock(connection: &mut Self::Connection, number: i64) -> impl Future<Output = sqlx::Result<()>> + Send;
    /// A statement that fails.
    fn fail(connection: &mut Self::Connection) -> impl Future<Output = sqlx::Result<()>> + Send;
    /// Rolls the transaction back, as the database does in a deadlock.
    fn give_up(connection: &mut Self::Connection) -> impl Future<Output = sqlx::Result<()>> + Send;
    /// Whether the connection sees any effect.
    fn count(connection: &mut Self::Connection) -> impl Future<Output = sqlx::Result<i64>> + Send;
    fn effects(pool: &Pool<Self>) -> impl Future<Output = sqlx::Result<Vec<String>>> + Send;
    /// Fences of op rows, and when they were written.
    fn op_rows(pool: &Pool<Self>) -> impl Future<Output = sqlx::Result<Vec<(i64, i64)>>> + Send;
    /// Branches that have a row of their own.
    fn branches(pool: &Pool<Self>) -> impl Future<Output = sqlx::Result<Vec<String>>> + Send;
    /// Takes away the table of origins.
    fn forget_origins(pool: &Pool<Self>) -> impl Future<Output = sqlx::Result<()>> + Send;
    /// How many branches have said where their calls come from.
    fn origins(pool: &Pool<Self>) -> impl Future<Output = sqlx::Result<i64>> + Send;
    /// Lets days pass: everything becomes older, and somebody else's branch is called every two hours.
    fn age(pool: &Pool<Self>, by_ms: i64) -> impl Future<Output = sqlx::Result<()>> + Send;
    /// The database's clock leaps ahead: everything is older at once.
    fn leap(pool: &Pool<Self>, by_ms: i64) -> impl Future<Output = sqlx::Result<()>> + Send;
    fn reset(pool: &Pool<Self>) -> impl Future<Output = sqlx::Result<()>> + Send;
    /// Calls that wait for a lock of another.
    fn waiting(pool: &Pool<Self>) -> impl Future<Output = sqlx::Result<i64>> + Send;
}

/// How often somebody else's branch is called while days pass.
const CALLED_EVERY_MS: i64 = 2 * 60 * 60 * 1_000;
/// Enough for every time that tests keep records.
const CALLS_MAX: i64 = 48;

macro_rules! test_database {
    ($database:ty, $connection:ty, $mark:literal, $waiting:literal) => {
        impl TestDatabase for $database {
            async fn effect(connection: &mut $connection, op: &str) -> sqlx::Result<()> {
                let insert = concat!("INSERT INTO effects (op) VALUES (", $mark, ")");
                sqlx::query(insert).bind(op).execute(connection).await.map(|_| ())
            }
            async fn lock(connection: &mut $connection, number: i64) -> sqlx::Result<()> {
                let lock = concat!("UPDATE effects SET op = op WHERE number = ", $mark);
                sqlx::query(lock).bind(number).execute(connection).await.map(|_| ())
            }
            async fn fail(connection: &mut $connection) -> sqlx::Result<()> {
                sqlx::query("INSERT INTO no_such_table VALUES (1)").execute(connection).await.map(|_| ())
            }
            async fn give_up(connection: &mut $connection) -> sqlx::Result<()> {
                sqlx::raw_sql("ROLLBACK").execute(connection).await.map(|_| ())
            }
            async fn count(connection: &mut $connection) -> sqlx::Result<i64> {
                sqlx::query_scalar("SELECT COUNT(*) FROM effects").fetch_one(connection).await
            }
            async fn effects(pool: &Pool<Self>) -> sqlx::Result<Vec<String>> {
                sqlx::query_scalar("SELECT op FROM effects ORDER BY number").fetch_all(pool).await
            }
            async fn op_rows(pool: &Pool<Self>) -> sqlx::Result<Vec<(i64, i64)>> {
                sqlx::query_as("SELECT fence, created_at FROM trine_barrier WHERE gid <> 'others'")
                    .fetch_all(pool)
                    .await
            }
            async fn branches(pool: &Pool<Self>) -> sqlx::Result<Vec<String>> {
                sqlx::query_scalar(
                    "SELECT branch FROM trine_barrier_branches WHERE gid <> 'others' ORDER BY branch",
                )
                .fetch_all(pool)
                .await
            }
            async fn forget_origins(pool: &Pool<Self>) -> sqlx::Result<()> {
                sqlx::query("DROP TABLE trine_barrier_origins").execute(pool).await.map(|_| ())
            }
            async fn origins(pool: &Pool<Self>) -> sqlx::Result<i64> {
                sqlx::query_scalar("SELECT COUNT(*) FROM trine_barrier_origins").fetch_one(pool).await
            }
            async fn age(pool: &Pool<Self>, by_ms: i64) -> sqlx::Result<()> {
                for table in ["trine_barrier", "trine_barrier_branches"] {
                    let delete = format!("DELETE FROM {table} WHERE gid = 'others'");
                    sqlx::raw_sql(sqlx::AssertSqlSafe(delete)).execute(pool).await?;
                }
                Self::leap(pool, by_ms).await?;
                let now = <Self as DatabaseClock>::now(&mut *pool.acquire().await?).await?;
                for call in 1..=(by_ms / CALLED_EVERY_MS).min(CALLS_MAX) {
                    let used_at = now - call * CALLED_EVERY_MS;
                    // A try that nobody has decided: the cleaner leaves it.
                    let insert = format!(
                        "INSERT INTO trine_barrier_branches (gid, branch, fence, used_at) \
                         VALUES ('others', 'b{call}', 0, {used_at}); \
                         INSERT INTO trine_barrier (gid, branch, op, outcome, fence, created_at) \
                         VALUES ('others', 'b{call}', 'try', 'done', 0, {used_at})"
                    );
                    sqlx::raw_sql(sqlx::AssertSqlSafe(insert)).execute(pool).await?;
                }
                Ok(())
            }
            async fn leap(pool: &Pool<Self>, by_ms: i64) -> sqlx::Result<()> {
                let update = concat!("UPDATE trine_barrier_branches SET used_at = used_at - ", $mark);
                sqlx::query(update).bind(by_ms).execute(pool).await.map(|_| ())
            }
            async fn reset(pool: &Pool<Self>) -> sqlx::Result<()> {
                for table in [
                    "DELETE FROM effects",
                    "DELETE FROM trine_barrier",
                    "DELETE FROM trine_barrier_branches",
                    "DELETE FROM trine_barrier_origins",
                ] {
                    sqlx::query(table).execute(pool).await?;
                }
                Ok(())
            }
            async fn waiting(pool: &Pool<Self>) -> sqlx::Result<i64> {
                sqlx::query_scalar($waiting).fetch_one(pool).await
            }
        }
    };
}

// SQLite does not tell who waits.
test_database!(Sqlite, sqlx::SqliteConnection, "?", "SELECT 1");
test_database!(
    Postgres,
    sqlx::PgConnection,
    "$1",
    "SELECT COUNT(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"
);
test_database!(
    MySql,
    sqlx::MySqlConnection,
    "?",
    // Not `innodb_trx`: that shows the same old picture to who asks again within 100 ms.
    "SELECT COUNT(*) FROM information_schema.processlist WHERE db = DATABASE() \
     AND info LIKE 'INSERT INTO trine_barrier_branches%'"
);

/// A database, and how the callers' own transactions are isolated there.
pub(super) trait Flavor: Send + Sync + 'static {
    type Db: TestDatabase;
    /// Begins a transaction of a caller's.
    const BEGIN: &'static str;
    /// A fresh database with the table of effects.
    fn open() -> impl Future<Output = (Pool<Self::Db>, Option<tempfile::TempDir>)> + Send;
}

pub(super) struct OnSqlite;
pub(super) struct OnPostgres;
/// As MySQL comes: callers' transactions are REPEATABLE READ.
pub(super) struct OnMySql;
pub(super) struct OnMySqlReadCommitted;

const CONNECTIONS: u32 = 20;

impl Flavor for OnSqlite {
    type Db = Sqlite;
    const BEGIN: &'static str = "BEGIN IMMEDIATE";

    async fn open() -> (Pool<Sqlite>, Option<tempfile::TempDir>) {
        let directory = tempfile::tempdir().unwrap();
        let options = SqliteConnectOptions::new()
            .filename(directory.path().join("service.db"))
            .create_if_missing(true)
            .journal_mode(SqliteJournalMode::Wal)
            .synchronous(SqliteSynchronous::Off);
        let pool = PoolOptions::new().max_connections(4).connect_with(options).await.unwrap();
        let table = "CREATE TABLE effects (number INTEGER PRIMARY KEY, op TEXT NOT NULL)";
        sqlx::query(table).execute(&pool).await.unwrap();
        (pool, Some(directory))
    }
}

impl Flavor for OnPostgres {
    type Db = Postgres;
    const BEGIN: &'static str = "BEGIN";

    async fn open() -> (Pool<Postgres>, Option<tempfile::TempDir>) {
        let url = tokio::task::spawn_blocking(|| postgres::shared().fresh_database()).await.unwrap();
        let pool = PoolOptions::new().max_connections(CONNECTIONS).connect(&url).await.unwrap();
        let table = "CREATE TABLE effects (number BIGSERIAL PRIMARY KEY, op TEXT NOT NULL)";
        sqlx::query(table).execute(&pool).await.unwrap();
        (pool, None)
    }
}

async fn mysql(isolation: &'static str) -> (Pool<MySql>, Option<tempfile::TempDir>) {
    let url = tokio::task::spawn_blocking(|| mariadb::shared().fresh_database()).await.unwrap();
    let options = PoolOptions::new().max_connections(CONNECTIONS).after_connect(move |connection, _| {
        Box::pin(async move { sqlx::raw_sql(isolation).execute(connection).await.map(|_| ()) })
    });
    let pool = options.connect(&url).await.unwrap();
    let table = "CREATE TABLE effects (number BIGINT AUTO_INCREMENT PRIMARY KEY, op VARCHAR(20) NOT NULL)";
    sqlx::query(table).execute(&pool).await.unwrap();
    (pool, None)
}

impl Flavor for OnMySql {
    type Db = MySql;
    const BEGIN: &'static str = "START TRANSACTION";

    async fn open() -> (Pool<MySql>, Option<tempfile::TempDir>) {
        mysql("SET SESSION TRANSACTION ISOLATION LEVEL REPEATABLE READ").await
    }
}

impl Flavor for OnMySqlReadCommitted {
    type Db = MySql;
    const BEGIN: &'static str = "START TRANSACTION";

    async fn open() -> (Pool<MySql>, Option<tempfile::TempDir>) {
        mysql("SET SESSION TRANSACTION ISOLATION LEVEL READ COMMITTED").await
    }
}

/// A service with one business table, `effects`, and a barrier.
pub(super) struct Service<F: Flavor> {
    pub(super) pool: Pool<F::Db>,
    pub(super) barrier: Barrier<F::Db>,
    flavor: PhantomData<F>,
    _directory: Option<tempfile::TempDir>,
}

impl<F: Flavor> Service<F> {
    pub(super) async fn new() -> Self {
        let (pool, directory) = F::open().await;
        let barrier = Barrier::new(pool.clone());
        barrier.install().await.unwrap();
        Self { pool, barrier, flavor: PhantomData, _directory: directory }
    }

    /// The same service on other connections.
    pub(super) fn through(&self, pool: Pool<F::Db>) -> Self {
        Self { barrier: Barrier::new(pool.clone()), pool, flavor: PhantomData, _directory: None }
    }

    /// As new.
    pub(super) async fn reset(&self) {
        F::Db::reset(&self.pool).await.unwrap();
    }

    /// Runs an op whose body has an effect and ends in `outcome`.
    pub(super) async fn call(&self, op: Op, outcome: Outcome) -> Result<Outcome, Error> {
        self.call_as(&context(op), outcome).await
    }

    pub(super) async fn call_as(&self, context: &BranchContext, outcome: Outcome) -> Result<Outcome, Error> {
        let name = context.op.as_str();
        self.barrier
            .execute(context, async move |connection: &mut <F::Db as sqlx::Database>::Connection| {
                F::Db::effect(connection, name).await?;
                Ok::<_, Error>(outcome)
            })
            .await
    }

    /// Runs an op with a fence.
    pub(super) async fn fenced(&self, op: Op, fence: u64) -> Result<Outcome, Error> {
        let mut context = context(op);
        context.fence = fence;
        self.call_as(&context, Outcome::empty()).await
    }

    pub(super) async fn done(&self, op: Op) -> Outcome {
        self.call(op, Outcome::empty()).await.unwrap()
    }

    pub(super) async fn begin(&self) -> sqlx::Transaction<'static, F::Db> {
        self.pool.begin_with(F::BEGIN).await.unwrap()
    }

    /// The same through the joining form; commits on `Ok`, as its documentation says.
    pub(super) async fn join(&self, op: Op, outcome: Outcome) -> Result<Outcome, Error> {
        let mut transaction = self.begin().await;
        let body = async |connection: &mut <F::Db as sqlx::Database>::Connection| {
            F::Db::effect(connection, op.as_str()).await?;
            Ok::<_, Error>(outcome)
        };
        let answer = self.barrier.run(&mut transaction, &context(op), body).await?;
        transaction.commit().await?;
        Ok(answer)
    }

    /// Notes an effect outside of every op, and returns its number.
    pub(super) async fn noted(&self, op: &str) -> i64 {
        let mut connection = self.pool.acquire().await.unwrap();
        F::Db::effect(&mut connection, op).await.unwrap();
        i64::try_from(self.effects().await.len()).unwrap()
    }

    /// The effects so far, in order.
    pub(super) async fn effects(&self) -> Vec<String> {
        F::Db::effects(&self.pool).await.unwrap()
    }

    /// Waits until a call waits for a lock of another.
    pub(super) async fn until_someone_waits(&self) {
        while F::Db::waiting(&self.pool).await.unwrap() == 0 {
            tokio::task::yield_now().await;
        }
    }

    pub(super) async fn commit_locally(&self) -> Result<(), BarrierError> {
        let mut transaction = self.pool.begin_with(F::BEGIN).await?;
        self.barrier.record_local(&mut transaction, &gid()).await?;
        F::Db::effect(&mut transaction, "local").await?;
        transaction.commit().await?;
        Ok(())
    }
}

pub(super) fn context(op: Op) -> BranchContext {
    BranchContext::new(gid(), BranchId::parse("stock").unwrap(), op)
}

pub(super) fn gid() -> Gid {
    Gid::parse("order-1").unwrap()
}

pub(super) fn is_refused(outcome: &Outcome) -> bool {
    matches!(outcome, Outcome::Refused(_))
}

pub(super) fn is_fenced(result: &Result<Outcome, Error>) -> bool {
    match result {
        Ok(_) => false,
        Err(error) => matches!(error.downcast_ref(), Some(BarrierError::Fenced(_))),
    }
}
