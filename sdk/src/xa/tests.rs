//! XA branches on PostgreSQL and MariaDB, with real sessions, and servers that are killed.

use std::future::Future;
use std::sync::LazyLock;
use std::sync::atomic::{AtomicU32, Ordering};

use serde_json::json;
use sqlx::pool::PoolOptions;
use sqlx::{MySql, Pool, Postgres};
use tokio::sync::oneshot;
use trine_protocol::Op;
use trine_testkit::mariadb::MariaDb;
use trine_testkit::postgres::Postgres as PostgresServer;
use trine_testkit::proxy::Proxy;

use super::{Xa, XaDatabase};
use crate::barrier::clock::DatabaseClock;
use crate::barrier::{BarrierError, Clean as _, KEEP_MIN};
use crate::{BranchContext, Outcome};

type Error = Box<dyn std::error::Error + Send + Sync>;

/// What the tests need of a database, and of its server.
trait TestDatabase: XaDatabase {
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

static POSTGRES: LazyLock<PostgresServer> =
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

struct Service<D: XaDatabase> {
    pool: Pool<D>,
    xa: Xa<D>,
    url: String,
    gid: String,
    ran: AtomicU32,
}

impl<D: TestDatabase> Service<D> {
    async fn new() -> Self {
        Self::on(D::shared()).await
    }

    async fn on(server: &'static D::Server) -> Self {
        let url = tokio::task::spawn_blocking(|| D::fresh_database(server)).await.unwrap();
        let pool = PoolOptions::new().max_connections(6).connect(&url).await.unwrap();
        let xa = Xa::new(pool.clone());
        xa.install().await.unwrap();
        D::make_table(&pool).await.unwrap();
        // A server's XA names are common to its databases.
        let gid = format!("order-{}", url.rsplit('/').next().unwrap());
        Self { pool, xa, url, gid, ran: AtomicU32::new(0) }
    }

    fn database(&self) -> String {
        self.url.rsplit('/').next().unwrap().to_owned()
    }

    /// The same service after it died: nothing is left but the database.
    async fn reborn(self) -> Self {
        self.pool.close().await;
        let pool = PoolOptions::new().max_connections(6).connect(&self.url).await.unwrap();
        let xa = Xa::new(pool.clone());
        xa.install().await.unwrap();
        Self { xa, pool, ..self }
    }

    fn context(&self, op: Op, fence: u64) -> BranchContext {
        let mut context = BranchContext::new(self.gid.parse().unwrap(), "ledger".parse().unwrap(), op);
        context.fence = fence;
        context
    }

    async fn prepare_as(&self, context: &BranchContext, outcome: Outcome) -> Result<Outcome, Error> {
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

    async fn prepare(&self, outcome: Outcome) -> Result<Outcome, Error> {
        self.prepare_as(&self.context(Op::Prepare, 0), outcome).await
    }

    async fn commit(&self) -> Result<Outcome, BarrierError> {
        self.xa.commit(&self.context(Op::Commit, 0)).await
    }

    async fn rollback(&self) -> Result<Outcome, BarrierError> {
        self.xa.rollback(&self.context(Op::Rollback, 0)).await
    }

    /// Effects that show, and how often a body ran.
    async fn seen(&self) -> (i64, u32) {
        (D::effects(&self.pool).await.unwrap(), self.ran.load(Ordering::Relaxed))
    }
}

fn is_refused(outcome: &Outcome) -> bool {
    matches!(outcome, Outcome::Refused(_))
}

async fn prepared_work_shows_once_it_is_committed<D: TestDatabase>() {
    let service = Service::<D>::new().await;
    assert_eq!(service.prepare(Outcome::Done(json!(7))).await.unwrap(), Outcome::Done(json!(7)));
    assert_eq!(service.seen().await, (0, 1));
    // The answer was lost.
    assert_eq!(service.prepare(Outcome::empty()).await.unwrap(), Outcome::empty());
    assert_eq!(service.seen().await, (0, 1));
    for _ in 0..3 {
        assert_eq!(service.commit().await.unwrap(), Outcome::empty());
        assert_eq!(service.prepare(Outcome::empty()).await.unwrap(), Outcome::empty());
        assert_eq!(service.seen().await, (1, 1));
    }
    assert!(matches!(service.rollback().await, Err(BarrierError::AlreadyPermanent { .. })));
}

async fn what_is_rolled_back_never_shows<D: TestDatabase>() {
    let service = Service::<D>::new().await;
    service.prepare(Outcome::empty()).await.unwrap();
    for _ in 0..2 {
        assert_eq!(service.rollback().await.unwrap(), Outcome::empty());
        assert!(is_refused(&service.prepare(Outcome::empty()).await.unwrap()));
        assert!(matches!(service.commit().await, Err(BarrierError::NothingToConfirm { .. })));
    }
    assert_eq!(service.seen().await, (0, 1));
}

async fn a_rollback_that_comes_first_blocks_the_late_prepare<D: TestDatabase>() {
    let service = Service::<D>::new().await;
    assert_eq!(service.rollback().await.unwrap(), Outcome::empty());
    assert!(is_refused(&service.prepare(Outcome::empty()).await.unwrap()));
    assert_eq!(service.seen().await, (0, 0));
}

async fn a_call_of_somebody_else_has_no_effect<D: TestDatabase>() {
    let service = Service::<D>::new().await;
    let from = |journal: &str, payload: &str, op| {
        let mut context = service.context(op, 0);
        context.journal = Some(journal.parse().unwrap());
        context.payload_digest = Some(crate::PayloadDigest::of(payload.as_bytes()));
        context
    };
    let is_conflict = |answer: Result<Outcome, Error>| match answer {
        Err(error) => matches!(error.downcast_ref(), Some(BarrierError::Conflict(_))),
        Ok(_) => false,
    };
    // A call that does not say is taken; the first that does is kept.
    service.prepare(Outcome::empty()).await.unwrap();
    service.prepare_as(&from("one", "1", Op::Prepare), Outcome::empty()).await.unwrap();
    for (journal, payload) in [("two", "1"), ("one", "2")] {
        let prepare = from(journal, payload, Op::Prepare);
        assert!(is_conflict(service.prepare_as(&prepare, Outcome::empty()).await));
        assert!(is_conflict(
            service.xa.commit(&from(journal, payload, Op::Commit)).await.map_err(Error::from)
        ));
        let rollback = service.xa.rollback(&from(journal, payload, Op::Rollback)).await;
        assert!(is_conflict(rollback.map_err(Error::from)));
    }
    assert_eq!(service.seen().await, (0, 1));
    service.xa.commit(&from("one", "1", Op::Commit)).await.unwrap();
    assert_eq!(service.seen().await, (1, 1));
}

async fn a_commit_of_nothing_is_an_error<D: TestDatabase>() {
    let service = Service::<D>::new().await;
    assert!(matches!(service.commit().await, Err(BarrierError::NothingToConfirm { .. })));
    service.prepare(Outcome::Ongoing(None)).await.unwrap();
    assert!(matches!(service.commit().await, Err(BarrierError::NothingToConfirm { .. })));
}

async fn votes_are_remembered<D: TestDatabase>() {
    let service = Service::<D>::new().await;
    for answer in [Outcome::refused("short"), Outcome::DoneReadOnly] {
        let mut context = service.context(Op::Prepare, 0);
        context.branch = if is_refused(&answer) { "a" } else { "b" }.parse().unwrap();
        assert_eq!(service.prepare_as(&context, answer.clone()).await.unwrap(), answer);
        assert_eq!(service.prepare_as(&context, Outcome::empty()).await.unwrap(), answer);
        context.op = Op::Rollback;
        assert_eq!(service.xa.rollback(&context).await.unwrap(), Outcome::empty());
        context.op = Op::Commit;
        assert_eq!(service.xa.commit(&context).await.is_err(), is_refused(&answer));
    }
    assert_eq!(service.seen().await.1, 2);
}

async fn an_error_and_ongoing_leave_nothing_and_run_again<D: TestDatabase>() {
    let service = Service::<D>::new().await;
    let failing = async |connection: &mut D::Connection| {
        D::effect(connection).await?;
        Err::<Outcome, Error>("disk full".into())
    };
    let error = service.xa.prepare(&service.context(Op::Prepare, 0), failing).await.unwrap_err();
    assert_eq!(error.to_string(), "disk full");
    service.prepare(Outcome::Ongoing(None)).await.unwrap();
    let panicking = async |connection: &mut D::Connection| -> Result<Outcome, Error> {
        D::effect(connection).await?;
        std::panic::resume_unwind(Box::new("on purpose"));
    };
    service.xa.prepare(&service.context(Op::Prepare, 0), panicking).await.unwrap_err();
    // The session of the one that panicked may still be on its way out.
    while service.prepare(Outcome::empty()).await.unwrap() != Outcome::empty() {}
    service.commit().await.unwrap();
    assert_eq!(service.seen().await.0, 1);
}

async fn a_swallowed_error_is_not_taken_for_prepared_unless_it_is<D: TestDatabase>() {
    let service = Service::<D>::new().await;
    let swallowing = async |connection: &mut D::Connection| {
        D::effect(connection).await?;
        let _ = D::fail(connection).await;
        Ok::<_, Error>(Outcome::empty())
    };
    let prepared = service.xa.prepare(&service.context(Op::Prepare, 0), swallowing).await.is_ok();
    assert_eq!(service.commit().await.is_ok(), prepared);
    assert_eq!(service.seen().await.0, i64::from(prepared));
}

async fn a_service_that_dies_after_preparing_finds_it_prepared<D: TestDatabase>() {
    let service = Service::<D>::new().await;
    service.prepare(Outcome::empty()).await.unwrap();
    let service = service.reborn().await;
    assert_eq!(service.prepare(Outcome::empty()).await.unwrap(), Outcome::empty());
    assert_eq!(service.seen().await, (0, 1));
    let service = service.reborn().await;
    service.commit().await.unwrap();
    assert_eq!(service.seen().await, (1, 1));
}

/// Starts a prepare that waits, inside its transaction, for the returned sender.
async fn start_waiting<D: TestDatabase>(
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

async fn a_prepare_during_a_prepare_is_ongoing<D: TestDatabase>() {
    let service = Service::<D>::new().await;
    let (call, go_on) = start_waiting(&service).await;
    assert_eq!(service.prepare(Outcome::empty()).await.unwrap(), Outcome::Ongoing(None));
    go_on.send(()).unwrap();
    assert_eq!(call.await.unwrap().unwrap(), Outcome::empty());
    assert_eq!(service.prepare(Outcome::empty()).await.unwrap(), Outcome::empty());
    service.commit().await.unwrap();
    assert_eq!(service.seen().await, (2, 0));
}

async fn a_rollback_during_a_prepare_waits_and_rolls_it_back<D: TestDatabase>() {
    let service = Service::<D>::new().await;
    let (call, go_on) = start_waiting(&service).await;
    let release = async { go_on.send(()).unwrap() };
    let (rolled_back, ()) = tokio::join!(service.rollback(), release);
    assert_eq!(rolled_back.unwrap(), Outcome::empty());
    call.await.unwrap().unwrap();
    assert!(matches!(service.commit().await, Err(BarrierError::NothingToConfirm { .. })));
    assert!(is_refused(&service.prepare(Outcome::empty()).await.unwrap()));
    assert_eq!(service.seen().await, (0, 0));
}

async fn a_session_that_breaks_under_the_body_leaves_nothing<D: TestDatabase>() {
    let service = Service::<D>::new().await;
    let (call, go_on) = start_waiting(&service).await;
    let database = service.database();
    tokio::task::spawn_blocking(move || D::terminate(D::shared(), &database)).await.unwrap();
    go_on.send(()).unwrap();
    call.await.unwrap().unwrap_err();
    let service = service.reborn().await;
    while service.prepare(Outcome::empty()).await.unwrap() != Outcome::empty() {}
    service.commit().await.unwrap();
    assert_eq!(service.seen().await.0, 1);
}

async fn racing_commits_and_prepares_have_one_effect<D: TestDatabase>() {
    let service = Service::<D>::new().await;
    while service.prepare(Outcome::empty()).await.unwrap() != Outcome::empty() {}
    let mut racing = tokio::task::JoinSet::new();
    for _ in 0..4 {
        let (xa, context) = (service.xa.clone(), service.context(Op::Commit, 0));
        racing.spawn(async move { while xa.commit(&context).await.unwrap() != Outcome::empty() {} });
    }
    while let Some(ended) = racing.join_next().await {
        ended.unwrap();
    }
    assert_eq!(service.seen().await, (1, 1));
}

async fn a_call_with_a_lower_fence_prepares_nothing<D: TestDatabase>() {
    let service = Service::<D>::new().await;
    let prepare =
        async |fence| service.prepare_as(&service.context(Op::Prepare, fence), Outcome::Ongoing(None)).await;
    prepare(9).await.unwrap();
    let late = prepare(7).await.unwrap_err();
    assert!(matches!(late.downcast_ref(), Some(BarrierError::Fenced(_))), "{late}");
    let late = service.xa.rollback(&service.context(Op::Rollback, 8)).await;
    assert!(matches!(late, Err(BarrierError::Fenced(_))), "{late:?}");
    // The session before may still be giving up what it began; then the body does not run.
    while service.seen().await.1 < 2 {
        prepare(9).await.unwrap();
    }
    assert_eq!(service.seen().await, (0, 2));
}

async fn the_longest_ids_are_taken<D: TestDatabase>() {
    let service = Service::<D>::new().await;
    let gid = format!("{}{}", service.gid, "x".repeat(128 - service.gid.len()));
    for branch in ["y".repeat(128), "y".repeat(127)] {
        let mut context = BranchContext::new(gid.parse().unwrap(), branch.parse().unwrap(), Op::Prepare);
        service.prepare_as(&context, Outcome::empty()).await.unwrap();
        context.op = Op::Commit;
        service.xa.commit(&context).await.unwrap();
    }
    assert_eq!(service.seen().await, (2, 2));
}

async fn settled_records_are_cleaned_and_open_ones_kept<D: TestDatabase>() {
    let service = Service::<D>::new().await;
    let other = |op, branch: &str| {
        let mut other = service.context(op, 0);
        other.branch = branch.parse().unwrap();
        other
    };
    service.prepare_as(&other(Op::Prepare, "open"), Outcome::Ongoing(None)).await.unwrap();
    service.xa.rollback(&other(Op::Rollback, "settled")).await.unwrap();
    D::age(&service.pool).await.unwrap();
    assert!(matches!(service.xa.clean(KEEP_MIN / 2).await, Err(BarrierError::KeptTooShort { .. })));
    // What is prepared keeps its record locked; the cleaner does not wait for it.
    service.prepare(Outcome::empty()).await.unwrap();
    assert_eq!(service.xa.clean(KEEP_MIN).await.unwrap(), 0, "the clock may have leapt ahead");
    D::others(&service.pool).await.unwrap();
    assert_eq!(service.xa.clean(KEEP_MIN).await.unwrap(), 1);
    assert_eq!(D::records(&service.pool).await.unwrap(), 26);
    service.commit().await.unwrap();
    // Its age counts from the commit.
    assert_eq!(service.xa.clean(KEEP_MIN).await.unwrap(), 0);
}

macro_rules! cases {
    ($($case:ident,)*) => {
        mod postgres { $(
            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $case() { super::$case::<sqlx::Postgres>().await; }
        )* }
        mod mysql { $(
            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $case() { super::$case::<sqlx::MySql>().await; }
        )* }
    };
}

cases! {
    prepared_work_shows_once_it_is_committed,
    what_is_rolled_back_never_shows,
    a_rollback_that_comes_first_blocks_the_late_prepare,
    a_call_of_somebody_else_has_no_effect,
    a_commit_of_nothing_is_an_error,
    votes_are_remembered,
    an_error_and_ongoing_leave_nothing_and_run_again,
    a_swallowed_error_is_not_taken_for_prepared_unless_it_is,
    a_service_that_dies_after_preparing_finds_it_prepared,
    a_prepare_during_a_prepare_is_ongoing,
    a_rollback_during_a_prepare_waits_and_rolls_it_back,
    a_session_that_breaks_under_the_body_leaves_nothing,
    racing_commits_and_prepares_have_one_effect,
    a_call_with_a_lower_fence_prepares_nothing,
    the_longest_ids_are_taken,
    settled_records_are_cleaned_and_open_ones_kept,
}

/// Loses the acknowledgement of each step in turn; the repetition finds out what happened.
async fn lost_acknowledgements<D: TestDatabase>(
    mut service: Service<D>,
    proxy: Proxy,
    proxied: Pool<D>,
    [prepare, commit]: [&'static [u8]; 2],
) {
    service.xa = Xa::new(proxied);
    proxy.eat_answer_to(prepare);
    service.prepare(Outcome::empty()).await.unwrap_err();
    while service.prepare(Outcome::empty()).await.unwrap() != Outcome::empty() {}
    assert_eq!(service.seen().await, (0, 1));
    proxy.eat_answer_to(commit);
    service.commit().await.unwrap_err();
    assert_eq!(service.commit().await.unwrap(), Outcome::empty());
    assert_eq!(service.seen().await, (1, 1));
    assert_eq!(proxy.hits(), 2);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn on_postgres_lost_acknowledgements_are_found_out() {
    let service = Service::<Postgres>::new().await;
    let proxy = Proxy::start(POSTGRES.port());
    let options = (*service.pool.connect_options()).clone().port(proxy.port());
    let pool = PoolOptions::new().connect_with(options).await.unwrap();
    lost_acknowledgements(service, proxy, pool, [b"PREPARE TRANSACTION", b"COMMIT PREPARED"]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn on_mariadb_lost_acknowledgements_are_found_out() {
    let service = Service::<MySql>::new().await;
    let proxy = Proxy::start(trine_testkit::mariadb::shared().port());
    let options = (*service.pool.connect_options()).clone().port(proxy.port());
    // MySQL offers TLS by itself, and the proxy must read what is said.
    let options = options.ssl_mode(sqlx::mysql::MySqlSslMode::Disabled);
    let pool = PoolOptions::new().connect_with(options).await.unwrap();
    lost_acknowledgements(service, proxy, pool, [b"XA PREPARE", b"XA COMMIT"]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_mariadb_that_is_killed_keeps_what_is_prepared() {
    static SERVER: LazyLock<MariaDb> = LazyLock::new(MariaDb::start);
    let service = Service::<MySql>::on(&SERVER).await;
    service.prepare(Outcome::empty()).await.unwrap();
    tokio::task::spawn_blocking(|| (SERVER.kill(), SERVER.start_again())).await.unwrap();
    let service = service.reborn().await;
    assert_eq!(service.prepare(Outcome::empty()).await.unwrap(), Outcome::empty());
    service.commit().await.unwrap();
    assert_eq!(service.seen().await, (1, 1));
    SERVER.kill();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_postgres_that_is_killed_keeps_what_is_prepared() {
    static SERVER: LazyLock<PostgresServer> =
        LazyLock::new(|| PostgresServer::start_with(&[("max_prepared_transactions", "2")]));
    let service = Service::<Postgres>::on(&SERVER).await;
    service.prepare(Outcome::empty()).await.unwrap();
    tokio::task::spawn_blocking(|| (SERVER.kill(), SERVER.start_again())).await.unwrap();
    let service = service.reborn().await;
    assert_eq!(service.prepare(Outcome::empty()).await.unwrap(), Outcome::empty());
    service.commit().await.unwrap();
    assert_eq!(service.seen().await, (1, 1));
    SERVER.kill();
}

#[tokio::test]
async fn a_postgres_that_prepares_nothing_says_so() {
    let url =
        tokio::task::spawn_blocking(|| trine_testkit::postgres::shared().fresh_database()).await.unwrap();
    let xa = super::PgXa::new(PoolOptions::new().connect(&url).await.unwrap());
    assert!(matches!(xa.install().await, Err(BarrierError::PreparedTransactionsOff)));
    let context = BranchContext::new("g".parse().unwrap(), "b".parse().unwrap(), Op::Prepare);
    let body = async |_: &mut sqlx::PgConnection| Ok::<_, BarrierError>(Outcome::empty());
    let error = xa.prepare(&context, body).await.unwrap_err();
    assert!(error.to_string().contains("max_prepared_transactions"), "{error}");
    // Nothing is prepared, and the coordinator may roll the branch back.
    let context = BranchContext::new("g".parse().unwrap(), "b".parse().unwrap(), Op::Rollback);
    assert_eq!(xa.rollback(&context).await.unwrap(), Outcome::empty());
}
