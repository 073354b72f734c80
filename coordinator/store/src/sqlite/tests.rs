//! The suite over SQLite files, and what only such a file can do.

mod damage;
mod file;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use sqlx::{Connection, Row};
use tempfile::TempDir;
use trine_engine::{Batch, BatchId, Event, IndexRow, Record, Transaction};
use trine_protocol::{Gid, Status, Timestamp};

use super::{Sqlite, listing, queries, retention, schema};
use crate::check::{self, FindingKind};
use crate::memory::Damage;
use crate::retention::{Candidate, Judged};
use crate::suite::fixture::{Tx, create, names, settle};
use crate::suite::{self, Rewrite, Subject, conformance};
use crate::vitals::Vitals;
use crate::{
    AppendError, Appended, Cursor, Filter, HeartbeatAnswer, Journal, Maintenance, Membership, OpenError,
    Options, Queries, Store, StoreError, Why, migrate, open, sql,
};

struct Folder(TempDir);

fn fresh() -> Folder {
    Folder(TempDir::new().unwrap())
}

impl Folder {
    fn file(&self) -> PathBuf {
        self.0.path().join("deep/trine.db")
    }

    fn log(&self) -> PathBuf {
        self.file().with_extension("db-wal")
    }

    fn url(&self) -> String {
        format!("sqlite:{}", self.file().display())
    }

    async fn sqlite(&self) -> Sqlite {
        Sqlite::open(&self.file(), "a".to_owned()).await.unwrap()
    }

    /// Runs SQL on a connection of its own, also while a store has the file.
    async fn execute(&self, sql: &'static str) {
        let mut connection = schema::connect(&self.file()).await.unwrap();
        sqlx::query(sql).execute(&mut connection).await.unwrap();
        connection.close().await.unwrap();
    }
}

impl Subject for Folder {
    async fn open(&self, owner: &str) -> Arc<dyn Store> {
        open(&Options::new(&self.url(), owner)).await.unwrap()
    }

    async fn damage(&self, gid: &Gid, seq: u64, damage: Damage) {
        let mut connection = schema::connect(&self.file()).await.unwrap();
        let sql = sqlx::AssertSqlSafe(suite::sql(gid, seq, &damage));
        assert_eq!(sqlx::query(sql).execute(&mut connection).await.unwrap().rows_affected(), 1);
        connection.close().await.unwrap();
    }

    async fn rewrite(&self, what: Rewrite<'_>) {
        let mut connection = schema::connect(&self.file()).await.unwrap();
        for statement in what.sql() {
            sqlx::query(sqlx::AssertSqlSafe(statement)).execute(&mut connection).await.unwrap();
        }
        connection.close().await.unwrap();
    }
}

mod conforms {
    use super::*;
    conformance!(super::fresh);
}

fn gid() -> Gid {
    Gid::parse("tx").unwrap()
}

fn batch(seq: u64) -> Arc<Batch> {
    let record = Record { gid: gid(), seq, at: Timestamp::from_millis(seq), event: Event::Started };
    Arc::new(Batch { id: BatchId(seq), records: vec![record], rows: Vec::new() })
}

async fn length(store: &Sqlite) -> usize {
    store.records(gid(), 0).await.unwrap().len()
}

#[tokio::test]
async fn urls_name_a_file_or_are_refused_with_the_forms_that_work() {
    let folder = fresh();
    let path = folder.file().display().to_string();
    for url in [format!("sqlite:{path}"), format!("sqlite://{path}")] {
        let store = open(&Options::new(&url, "a")).await.unwrap();
        store.close().await.unwrap();
        assert!(folder.file().exists());
    }
    for url in
        ["", "trine.db", "sqlite:", "sqlite://", "sqlite::memory:", "sqlite:a.db?mode=ro", "sqlite:./folder/"]
    {
        let error = open(&Options::new(url, "a")).await.err().unwrap();
        assert!(matches!(error, OpenError::Url { .. }), "{url:?}: {error}");
        assert!(error.to_string().contains("sqlite:./folder/file.db"), "{error}");
    }
    let error = open(&Options::new("redis://trine:secret@host/db", "a")).await.err().unwrap();
    assert!(error.to_string().contains("redis:") && !error.to_string().contains("secret"), "{error}");
    assert!(open(&Options::new("memory:", "a")).await.is_ok());
}

#[tokio::test]
async fn migrating_is_done_once_and_a_newer_file_is_refused() {
    let folder = fresh();
    assert!(migrate(&Options::new(&folder.url(), "m")).await.unwrap() >= 3);
    assert_eq!(migrate(&Options::new(&folder.url(), "m")).await.unwrap(), 0);
    folder.sqlite().await.close().await.unwrap();
    folder
        .execute(
            "INSERT INTO _sqlx_migrations (version, description, success, checksum, execution_time) \
             VALUES (9999, 'later', true, x'00', 0)",
        )
        .await;
    let error = open(&Options::new(&folder.url(), "a")).await.err().unwrap();
    assert!(matches!(error, OpenError::Newer { migration: 9999, .. }), "{error}");
}

#[tokio::test]
async fn a_store_of_an_earlier_version_is_not_checked_but_sent_to_migrate() {
    let folder = fresh();
    folder.sqlite().await.close().await.unwrap();
    folder.execute("ALTER TABLE journal DROP COLUMN checksum").await;
    let error = crate::inspect(&Options::new(&folder.url(), "a")).await.err().unwrap();
    assert!(error.to_string().contains("trine migrate"), "{error}");
}

/// Between judging and deleting its gid may have been used again.
#[tokio::test]
async fn a_row_that_changed_since_it_was_judged_is_not_deleted() {
    let folder = fresh();
    let store = folder.sqlite().await;
    let tx = Tx::new("tx").status(Status::Committed, 10);
    settle(&store, &[&tx]).await;
    let row: i64 =
        sqlx::query_scalar("SELECT settled_at FROM transactions").fetch_one(&store.0.readers).await.unwrap();
    let judged = |settled_at| Judged {
        settled: vec![Candidate { settled_at, gid: "tx".to_owned() }],
        unfinished: vec![(Candidate { settled_at, gid: "tx".to_owned() }, Tx::new("tx").row)],
        damaged: 0,
    };
    assert_eq!(retention::delete(&store.0.writer, &judged(row - 1)).await.unwrap(), 0);
    assert_eq!(store.records(gid(), 0).await, Ok(tx.records([1, 2])));
    assert_eq!(
        store.list(Filter::default(), None, 9).await.unwrap().transactions[0].status,
        Status::Committed
    );
    assert_eq!(retention::delete(&store.0.writer, &judged(row)).await.unwrap(), 1);
}

#[tokio::test]
async fn commits_are_synced_and_readers_cannot_write() {
    let store = fresh();
    let store = store.sqlite().await;
    let mut session = store.0.writer.session().await.unwrap();
    // 2 is FULL: every commit waits until the disk has it.
    for (pragma, expected) in [("PRAGMA synchronous", "2"), ("PRAGMA journal_mode", "wal")] {
        let row = sqlx::query(pragma).fetch_one(&mut session.connection).await.unwrap();
        let value = row.try_get::<String, _>(0).or_else(|_| row.try_get::<i64, _>(0).map(|n| n.to_string()));
        assert_eq!(value.unwrap(), expected, "{pragma}");
    }
    session.end(Ok(())).unwrap();
    let refused = sqlx::query("DELETE FROM journal").execute(&store.0.readers).await;
    assert!(refused.unwrap_err().to_string().contains("readonly"));
}

#[tokio::test]
async fn connections_that_read_keep_half_a_megabyte_of_pages() {
    let store = fresh();
    let store = store.sqlite().await;
    for readers in [&store.0.readers, &store.0.listers] {
        let kept: i64 = sqlx::query_scalar("PRAGMA cache_size").fetch_one(readers).await.unwrap();
        assert_eq!(kept, -512, "a negative number means KiB");
    }
}

#[tokio::test]
async fn hot_queries_walk_an_index() {
    let store = fresh();
    let store = store.sqlite().await;
    for (text, index) in [
        (sql::UNFINISHED, "transactions_owned"),
        (sql::DUE, "transactions_due"),
        (queries::CENSUS, "transactions_unsettled"),
        (listing::WALKS.all, "transactions_newest"),
        (listing::WALKS.unsettled, "transactions_unsettled"),
        (listing::WALKS.labelled, "transaction_labels_newest"),
        (super::retention::SETTLED, "transactions_settled"),
        (super::tables::ADOPT, "transactions_owned"),
        (sql::ENTRIES, "sqlite_autoindex_key_values_1"),
    ] {
        let explain = sqlx::AssertSqlSafe(format!("EXPLAIN QUERY PLAN {text}"));
        let rows = sqlx::query(explain).fetch_all(&store.0.readers).await.unwrap();
        let plan: Vec<String> = rows.iter().map(|row| row.get("detail")).collect();
        let plan = plan.join("; ");
        assert!(plan.contains(index), "{plan} does not use {index}");
        // Counting groups; everything else comes in order, so that a page costs what it shows.
        assert!(!plan.contains("TEMP B-TREE") || text == queries::CENSUS, "{plan} sorts");
    }
}

/// Pages of the file, those included that are not in use.
async fn pages(store: &Sqlite) -> i64 {
    let mut session = store.0.writer.session().await.unwrap();
    let pages = sqlx::query_scalar("PRAGMA page_count").fetch_one(&mut session.connection).await.unwrap();
    session.end(Ok(pages)).unwrap()
}

#[tokio::test]
async fn a_full_disk_fails_appends_until_there_is_room() {
    let folder = fresh();
    let store = folder.sqlite().await;
    store.append(0, batch(1)).await.unwrap();
    let limit = async |sql: &str| {
        let mut session = store.0.writer.session().await.unwrap();
        sqlx::query(sqlx::AssertSqlSafe(sql.to_owned())).execute(&mut session.connection).await.unwrap();
        session.end(Ok(())).unwrap();
    };
    limit("PRAGMA max_page_count = 1").await;
    let event = Event::Quarantined { detail: "x".repeat(100_000) };
    let record = Record { gid: gid(), seq: 2, at: Timestamp::from_millis(2), event };
    let large = Arc::new(Batch { id: BatchId(2), records: vec![record], rows: Vec::new() });
    for _ in 0..3 {
        let Err(AppendError::Failed(text)) = store.append(0, large.clone()).await else { panic!("appended") };
        assert!(text.contains("full"), "{text}");
        assert_eq!(length(&store).await, 1);
    }
    let (shared, vitals): (Arc<dyn Store>, _) =
        (Arc::new(store.clone()), Arc::new(Vitals::new(1, Duration::ZERO)));
    // Room for a small write alone.
    limit(&format!("PRAGMA max_page_count = {}", pages(&store).await + 10)).await;
    assert_eq!(vitals.prove(&shared).await, Ok(()));
    vitals.write_failed(0, crate::vitals::weight(&large));
    assert!(vitals.prove(&shared).await.is_err(), "a large write does not go through");
    limit("PRAGMA max_page_count = 1000000").await;
    assert_eq!(vitals.prove(&shared).await, Ok(()));
    assert_eq!(length(&store).await, 1);
    assert_eq!(store.append(0, large).await, Ok(Appended::default()));
    assert_eq!(store.ping().await, Ok(()));
}

/// A deferred constraint is one that fails when committing.
#[tokio::test]
async fn a_commit_that_fails_is_rolled_back_whole_and_the_next_append_goes_on() {
    let folder = fresh();
    let store = folder.sqlite().await;
    store.append(0, batch(1)).await.unwrap();
    let mut session = store.0.writer.session().await.unwrap();
    for sql in [
        "PRAGMA foreign_keys = ON",
        "CREATE TABLE parent (id INTEGER PRIMARY KEY)",
        "CREATE TABLE child (id REFERENCES parent DEFERRABLE INITIALLY DEFERRED)",
        "CREATE TRIGGER orphan AFTER INSERT ON journal BEGIN INSERT INTO child VALUES (NEW.seq); END",
    ] {
        sqlx::query(sql).execute(&mut session.connection).await.unwrap();
    }
    session.end(Ok(())).unwrap();
    assert!(matches!(store.append(0, batch(2)).await, Err(AppendError::Failed(_))));
    assert_eq!(length(&store).await, 1);
    let mut session = store.0.writer.session().await.unwrap();
    sqlx::query("PRAGMA foreign_keys = OFF").execute(&mut session.connection).await.unwrap();
    session.end(Ok(())).unwrap();
    assert_eq!(store.append(0, batch(2)).await, Ok(Appended::default()));
    assert_eq!(length(&store).await, 2);
}

#[tokio::test]
async fn a_session_that_is_lost_rolls_back_what_it_had_begun() {
    let folder = fresh();
    let store = folder.sqlite().await;
    let mut session = store.0.writer.session().await.unwrap();
    for sql in ["BEGIN IMMEDIATE", "INSERT INTO journal (gid, seq, at, event) VALUES ('tx', 1, 1, '')"] {
        sqlx::query(sql).execute(&mut session.connection).await.unwrap();
    }
    drop(session);
    assert_eq!(store.append(0, batch(1)).await, Ok(Appended::default()));
    assert_eq!(length(&store).await, 1);
}

/// An operator's backup or shell may hold the lock for a while.
#[tokio::test]
async fn somebody_elses_lock_is_waited_for() {
    let folder = fresh();
    let store = folder.sqlite().await;
    let mut other = schema::connect(&folder.file()).await.unwrap();
    sqlx::query("BEGIN IMMEDIATE").execute(&mut other).await.unwrap();
    let append = store.append(0, batch(1));
    sqlx::query("ROLLBACK").execute(&mut other).await.unwrap();
    assert_eq!(append.await, Ok(Appended::default()));
}

/// However that came about: it must not stay so.
#[tokio::test]
async fn a_connection_that_was_left_inside_a_transaction_is_replaced() {
    let folder = fresh();
    let store = folder.sqlite().await;
    let mut session = store.0.writer.session().await.unwrap();
    sqlx::query("BEGIN IMMEDIATE").execute(&mut session.connection).await.unwrap();
    session.end(Ok(())).unwrap();
    assert!(matches!(store.append(0, batch(1)).await, Err(AppendError::Failed(_))));
    assert_eq!(store.append(0, batch(1)).await, Ok(Appended::default()));
    assert_eq!(length(&store).await, 1);
}

#[tokio::test]
async fn a_copy_is_the_same_journal_and_a_new_file_is_another() {
    let (one, copy, other) = (fresh(), fresh(), fresh());
    let store = one.sqlite().await;
    let id = store.journal_id();
    store.close().await.unwrap();
    std::fs::create_dir_all(copy.file().parent().unwrap()).unwrap();
    std::fs::copy(one.file(), copy.file()).unwrap();
    assert_eq!(copy.sqlite().await.journal_id(), id);
    assert_ne!(other.sqlite().await.journal_id(), id);
}

#[tokio::test]
async fn a_journal_that_is_older_than_ids_gets_one_and_keeps_it() {
    let folder = fresh();
    folder.sqlite().await.close().await.unwrap();
    folder.execute("DROP TABLE journal_id").await;
    folder.execute("DELETE FROM _sqlx_migrations WHERE version = 5").await;
    let store = folder.sqlite().await;
    let id = store.journal_id();
    store.close().await.unwrap();
    drop(store);
    assert_eq!(folder.sqlite().await.journal_id(), id);
}
