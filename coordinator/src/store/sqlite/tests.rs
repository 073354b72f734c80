//! The suite over SQLite files, and what only such a file can do.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use sqlx::{Connection, Row};
use tempfile::TempDir;
use trine_engine::{Batch, BatchId, Event, IndexRow, Record, Transaction};
use trine_protocol::{Gid, Status, Timestamp};

use super::{Sqlite, listing, queries, retention, schema};
use crate::check::{self, Kind};
use crate::store::memory::Damage;
use crate::store::retention::{Candidate, Judged};
use crate::store::suite::fixture::{Tx, create, names, settle};
use crate::store::suite::{self, Rewrite, Subject, conformance};
use crate::store::{
    AppendError, Appended, Cursor, Filter, Journal, Maintenance, Membership, OpenError, Options, Queries,
    Standing, Store, StoreError, Why, migrate, open,
};
use crate::vitals::Vitals;

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

    /// Runs SQL beside whoever has the file open.
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
async fn a_file_that_is_open_is_refused_by_name_until_it_is_closed() {
    let folder = fresh();
    let first = folder.sqlite().await;
    for refused in [
        open(&Options::new(&folder.url(), "b")).await.err(),
        migrate(&Options::new(&folder.url(), "m")).await.err(),
    ] {
        let Some(error @ OpenError::InUse { .. }) = refused else { panic!("{refused:?}") };
        let text = error.to_string();
        assert!(
            text.contains(&folder.file().display().to_string()) && text.contains("(a, since 20"),
            "{text}"
        );
    }
    first.close().await.unwrap();
    assert_eq!(first.close().await, Ok(()));
    let second = folder.sqlite().await;
    assert_eq!(second.append(0, batch(1)).await, Ok(Appended::default()));
    assert!(matches!(first.append(0, batch(2)).await, Err(AppendError::Failed(_))));
    assert!(matches!(first.load(vec![gid()]).await, Err(StoreError::Unavailable(_))));
    assert!(matches!(first.ping().await, Err(StoreError::Unavailable(_))));
}

/// SQLite's locks are of a kind that a process loses when it closes the file, whichever of its openings that is.
#[tokio::test]
#[cfg(target_os = "linux")]
async fn who_is_refused_a_file_costs_the_one_that_has_it_no_lock() {
    use std::os::unix::fs::MetadataExt as _;
    let folder = fresh();
    let store = folder.sqlite().await;
    store.append(0, batch(1)).await.unwrap();
    let inode = format!(":{} ", std::fs::metadata(folder.file()).unwrap().ino());
    let locks = || {
        let all = std::fs::read_to_string("/proc/locks").unwrap();
        all.lines().filter(|line| line.contains("POSIX") && line.contains(&inode)).count()
    };
    let before = locks();
    assert!(before > 0, "SQLite has none");
    assert!(matches!(open(&Options::new(&folder.url(), "b")).await.err(), Some(OpenError::InUse { .. })));
    assert_eq!(locks(), before);
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

/// Why a file cannot be opened, in words.
async fn refused(folder: &Folder) -> String {
    let Err(OpenError::Failed { detail, .. }) = open(&Options::new(&folder.url(), "a")).await else {
        panic!("opened")
    };
    detail
}

#[tokio::test]
async fn what_is_no_database_of_ours_is_refused_in_words_and_left_as_it_is() {
    let folder = fresh();
    std::fs::create_dir_all(folder.file()).unwrap();
    assert!(refused(&folder).await.contains("it is a folder"));
    std::fs::remove_dir(folder.file()).unwrap();
    let letter = "this is a letter to my aunt ".repeat(100);
    std::fs::write(folder.file(), &letter).unwrap();
    assert!(refused(&folder).await.contains("no SQLite database"));
    assert_eq!(std::fs::read_to_string(folder.file()).unwrap(), letter);
    std::fs::remove_file(folder.file()).unwrap();
    folder.execute("CREATE TABLE invoices (id INTEGER PRIMARY KEY)").await;
    let why = refused(&folder).await;
    assert!(why.contains("another application") && why.contains("invoices"), "{why}");
    let mut connection = schema::connect(&folder.file()).await.unwrap();
    let tables = sqlx::query("SELECT name FROM sqlite_master").fetch_all(&mut connection).await.unwrap();
    assert_eq!(tables.len(), 1, "no table of ours was put beside it");
}

#[tokio::test]
async fn everything_that_is_damaged_is_found() {
    let folder = fresh();
    let options = Options::new(&folder.url(), "a");
    suite::everything_that_is_damaged_is_found(&options, async |sql| folder.execute(sql).await).await;
}

#[tokio::test]
async fn a_store_of_an_earlier_version_is_not_checked_but_sent_to_migrate() {
    let folder = fresh();
    folder.sqlite().await.close().await.unwrap();
    folder.execute("ALTER TABLE journal DROP COLUMN checksum").await;
    let error = crate::store::inspect(&Options::new(&folder.url(), "a")).await.err().unwrap();
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

/// Their locks were lost, say: the last one to come has the file, and the one before writes nothing any more.
#[tokio::test]
async fn a_process_that_lost_the_file_appends_and_adopts_nothing_and_stops() {
    let folder = fresh();
    let store = folder.sqlite().await;
    let kept = Tx::new("kept");
    create(&store, &[&kept]).await;
    assert_eq!(store.heartbeat().await.unwrap().standing, Standing::Alive);
    folder.execute("UPDATE coordinators SET incarnation = 'another'").await;
    folder.execute("UPDATE transactions SET owner = 'b'").await;
    let Err(AppendError::Failed(why)) = store.append(0, kept.batch([2])).await else { panic!("appended") };
    assert!(why.contains("another process"), "{why}");
    assert_eq!(store.records(kept.row.gid.clone(), 0).await, Ok(kept.records([1])));
    assert_eq!(store.adopt(9).await, Ok(Vec::new()));
    assert_eq!(store.heartbeat().await.unwrap().standing, Standing::Superseded);
    folder.execute("DELETE FROM coordinators").await;
    assert!(store.append(0, kept.batch([2])).await.is_err());
    assert_eq!(store.heartbeat().await.unwrap().standing, Standing::Superseded);
}

/// What is written to a file without a name is gone when the process ends, and was acknowledged.
#[tokio::test]
async fn a_file_that_was_removed_or_replaced_is_not_written_to() {
    let folder = fresh();
    let store = folder.sqlite().await;
    store.append(0, batch(1)).await.unwrap();
    let away = folder.file().with_extension("away");
    std::fs::rename(folder.file(), &away).unwrap();
    for found in ["removed", "replaced"] {
        let Err(AppendError::Failed(why)) = store.append(0, batch(2)).await else { panic!("appended") };
        assert!(why.contains(found), "{why}");
        let Err(StoreError::Unavailable(why)) = store.ping().await else { panic!("ready") };
        assert!(why.contains(found), "{why}");
        std::fs::write(folder.file(), "").unwrap();
    }
    std::fs::rename(&away, folder.file()).unwrap();
    assert_eq!(store.append(0, batch(2)).await, Ok(Appended::default()));
    assert_eq!(store.ping().await, Ok(()));
}

/// What was acknowledged and not copied yet is in the write-ahead log alone.
#[tokio::test]
async fn a_write_ahead_log_that_was_removed_is_saved_and_nothing_more_is_acknowledged() {
    let folder = fresh();
    let store = folder.sqlite().await;
    store.append(0, batch(1)).await.unwrap();
    let log = folder.log();
    std::fs::remove_file(&log).unwrap();
    for _ in 0..2 {
        let Err(AppendError::Failed(why)) = store.append(0, batch(2)).await else { panic!("appended") };
        assert!(why.contains("write-ahead log") && why.contains("copied into the database"), "{why}");
        let Err(StoreError::Unavailable(why)) = store.ping().await else { panic!("ready") };
        assert!(why.contains("write-ahead log"), "{why}");
        // As a reader leaves it that comes later.
        std::fs::write(&log, "").unwrap();
    }
    // As whoever starts after a kill finds it.
    let copy = fresh();
    std::fs::create_dir_all(copy.file().parent().unwrap()).unwrap();
    std::fs::copy(folder.file(), copy.file()).unwrap();
    assert_eq!(length(&copy.sqlite().await).await, 1);
}

#[tokio::test]
async fn a_write_ahead_log_that_was_replaced_is_noticed_until_it_is_back() {
    let folder = fresh();
    let store = folder.sqlite().await;
    store.append(0, batch(1)).await.unwrap();
    // The writing connection may be given up: that alone takes no log away.
    drop(store.0.writer.session().await.unwrap());
    store.append(0, batch(2)).await.unwrap();
    let away = folder.0.path().join("away");
    std::fs::rename(folder.log(), &away).unwrap();
    std::fs::write(folder.log(), "somebody else's").unwrap();
    let Err(AppendError::Failed(why)) = store.append(0, batch(3)).await else { panic!("appended") };
    assert!(why.contains("replaced") && why.contains("SIGTERM"), "{why}");
    assert!(store.ping().await.is_err());
    std::fs::rename(&away, folder.log()).unwrap();
    assert_eq!(store.append(0, batch(3)).await, Ok(Appended::default()));
    assert_eq!(store.ping().await, Ok(()));
}

/// Its database was moved: SQLite would delete it for the new one.
#[tokio::test]
async fn a_write_ahead_log_without_its_database_is_left_alone() {
    let folder = fresh();
    let store = folder.sqlite().await;
    store.append(0, batch(1)).await.unwrap();
    let (before, away) = (std::fs::read(folder.log()).unwrap(), folder.file().with_extension("away"));
    std::fs::rename(folder.file(), &away).unwrap();
    assert!(refused(&folder).await.contains("no database that it belongs to"));
    assert!(!folder.file().exists());
    std::fs::write(folder.file(), "").unwrap();
    assert!(refused(&folder).await.contains("no database that it belongs to"));
    assert_eq!(std::fs::read(folder.log()).unwrap(), before);
    std::fs::rename(&away, folder.file()).unwrap();
    assert_eq!(store.append(0, batch(2)).await, Ok(Appended::default()));
    assert_eq!(length(&store).await, 2);
}

/// Bytes on a disk change as they like: to what is no text, and no number.
#[tokio::test]
async fn values_of_another_kind_are_damage_of_their_gid_alone() {
    let folder = fresh();
    let store = folder.sqlite().await;
    let of = |name: &str| Gid::parse(name).unwrap();
    let record = |name: &str| Record { gid: of(name), ..batch(1).records[0].clone() };
    let names = ["good", "no-text", "no-time", "no-sum"];
    let records = names.iter().map(|name| record(name)).collect();
    store.append(0, Arc::new(Batch { id: BatchId(1), records, rows: Vec::new() })).await.unwrap();
    for sql in [
        "UPDATE journal SET event = CAST(x'7b22ff' AS TEXT) WHERE gid = 'no-text'",
        "UPDATE journal SET at = 'soon' WHERE gid = 'no-time'",
        "UPDATE journal SET checksum = x'00ff' WHERE gid = 'no-sum'",
    ] {
        folder.execute(sql).await;
    }
    let read = store.load(names.iter().map(|name| of(name)).collect()).await.unwrap();
    let unread = |records: &Result<_, _>| matches!(records, Err(StoreError::Corrupt { .. }));
    assert_eq!(
        read.iter().map(|journal| unread(&journal.records)).collect::<Vec<_>>(),
        [false, true, true, true]
    );
    // Nor is it the end of it when there is no checksum to tell.
    folder.execute("UPDATE journal SET checksum = NULL WHERE gid = 'no-text'").await;
    assert!(unread(&store.records(of("no-text"), 0).await));
}

/// Whole pages are damaged: a leaf of records that some gids share, and the root of the index of lists.
#[tokio::test]
async fn a_malformed_page_is_damage_of_what_lies_on_it_and_no_silence() {
    let folder = fresh();
    let store = folder.sqlite().await;
    let payload = vec![b'x'; 3_000];
    let txs: Vec<Tx> = (0..20).map(|i| Tx::new(&format!("tx-{i:02}")).payload(&payload)).collect();
    create(&store, &txs.iter().collect::<Vec<_>>()).await;
    let mut connection = schema::connect(&folder.file()).await.unwrap();
    let root = "SELECT rootpage FROM sqlite_master WHERE name = 'transactions_newest'";
    let root: i64 = sqlx::query_scalar(root).fetch_one(&mut connection).await.unwrap();
    connection.close().await.unwrap();
    store.close().await.unwrap();
    let mut bytes = std::fs::read(folder.file()).unwrap();
    // A leaf of either kind of tree begins with one of these; every way to a record leads through the pages above.
    let is_leaf =
        |page: &&[u8]| [0x0a, 0x0d].contains(&page[0]) && page.windows(7).any(|part| part == b"xxxxxxx");
    let leaf = bytes.chunks(4096).position(|page| is_leaf(&page)).unwrap();
    for page in [leaf, usize::try_from(root).unwrap() - 1] {
        bytes[page * 4096..page * 4096 + 64].fill(0xff);
    }
    std::fs::write(folder.file(), bytes).unwrap();
    let store = folder.sqlite().await;
    let gids: Vec<Gid> = txs.iter().map(|tx| tx.row.gid.clone()).collect();
    let read = store.load(gids.clone()).await.unwrap();
    let damaged =
        read.iter().filter(|journal| matches!(journal.records, Err(StoreError::Corrupt { .. }))).count();
    assert!(damaged > 0 && damaged < 10, "{damaged} of 20");
    let mut unreadable = 0;
    for gid in gids {
        unreadable += usize::from(!store.readable(gid, 0).await.unwrap().damaged.is_empty());
    }
    assert_eq!(unreadable, damaged);
    // This list walks another index, and damage of journals hides no row of it.
    let running = Filter { statuses: vec![Status::Running], ..Filter::default() };
    assert_eq!(store.list(running, None, 30).await.unwrap().transactions.len(), 20);
    let listed = store.list(Filter::default(), None, 9).await;
    assert!(matches!(&listed, Err(StoreError::Unfit(unfit)) if unfit.why == Why::Damaged), "{listed:?}");
}

#[tokio::test]
async fn a_note_of_the_time_that_cannot_be_read_was_not_made() {
    for damage in ["UPDATE watched SET until_at = 'soon'", "UPDATE watched SET until_at = x'00ff'"] {
        let folder = fresh();
        let store = folder.sqlite().await;
        settle(&store, &[&Tx::new("tx").status(Status::Committed, 10)]).await;
        assert_eq!(store.watch().await, Ok(None));
        folder.execute("UPDATE watched SET from_at = 0, until_at = 9000000000000").await;
        folder.execute(damage).await;
        assert_eq!(store.retire(1, 9).await, Ok(0), "{damage}: nothing is known to have been watched");
        assert!(store.watch().await.is_ok(), "{damage}");
        assert_eq!(store.retire(60_000, 9).await, Ok(0), "{damage}: the past does not count");
        store.close().await.unwrap();
        assert!(folder.sqlite().await.watch().await.is_ok(), "{damage}");
    }
}

/// 60 transactions in a file that is closed, its bytes, and the pages of each table and index.
async fn many(folder: &Folder) -> (Vec<u8>, Vec<(String, usize)>) {
    let store = folder.sqlite().await;
    let payload = vec![b'x'; 3_000];
    let txs: Vec<Tx> = (0..60).map(|i| Tx::new(&format!("tx-{i:02}")).payload(&payload)).collect();
    for tx in &txs {
        let records = tx.records([1]);
        let row = IndexRow::of(&Transaction::fold(&records).unwrap().unwrap(), 0);
        store.append(0, Arc::new(Batch { id: BatchId(1), records, rows: vec![row] })).await.unwrap();
    }
    let mut connection = schema::connect(&folder.file()).await.unwrap();
    let roots = sqlx::query_as("SELECT name, rootpage FROM sqlite_master WHERE rootpage > 0")
        .fetch_all(&mut connection)
        .await
        .unwrap();
    connection.close().await.unwrap();
    store.close().await.unwrap();
    let roots = roots.into_iter().map(|(name, page): (String, i64)| (name, usize::try_from(page).unwrap()));
    (std::fs::read(folder.file()).unwrap(), roots.collect())
}

async fn checked(folder: &Folder) -> check::Report {
    let inspector = crate::store::inspect(&Options::new(&folder.url(), "a")).await.unwrap();
    check::check(&*inspector, |_| {}).await.unwrap()
}

#[tokio::test]
async fn damaged_pages_are_findings_and_the_rest_is_checked() {
    let folder = fresh();
    let (sound, roots) = many(&folder).await;
    assert_eq!((checked(&folder).await.findings_total, checked(&folder).await.records), (0, 60));
    for (name, root) in &roots {
        let mut bytes = sound.clone();
        bytes[(root - 1) * 4096..(root - 1) * 4096 + 64].fill(0xff);
        std::fs::write(folder.file(), bytes).unwrap();
        let report = checked(&folder).await;
        assert!(report.findings_total > 0, "{name}: {report:?}");
        let detail = |kind| report.findings.iter().filter(move |found| found.kind == kind).count();
        match name.as_str() {
            // Every record is found by the index of its key, and none can be read.
            "journal" => assert_eq!((report.transactions, detail(Kind::Record)), (60, 60)),
            "transactions" => assert_eq!((report.records, detail(Kind::Index)), (60, 60)),
            "sqlite_schema" => {}
            _ => assert_eq!(report.transactions, 60, "{name}: {report:?}"),
        }
    }
}

#[tokio::test]
async fn a_truncated_file_and_one_without_a_beginning_are_damage() {
    let folder = fresh();
    let (sound, _) = many(&folder).await;
    std::fs::write(folder.file(), &sound[..sound.len() / 4096 * 2 / 3 * 4096]).unwrap();
    let report = checked(&folder).await;
    assert!(report.findings_total > 0 && report.records > 0, "what is left is read: {report:?}");
    for keep in [1, 2] {
        std::fs::write(folder.file(), &sound[..keep * 4096]).unwrap();
        assert!(checked(&folder).await.findings_total > 0);
    }
    let mut bytes = sound;
    bytes[..4096].fill(0xff);
    std::fs::write(folder.file(), bytes).unwrap();
    let report = checked(&folder).await;
    assert!(report.findings.iter().all(|finding| !finding.detail.contains("trine check")), "{report:?}");
    assert!(report.findings_total > 0);
}

#[tokio::test]
async fn an_index_row_that_cannot_be_read_hides_no_other() {
    let folder = fresh();
    let store = folder.sqlite().await;
    let txs = ["a", "b", "c"].map(Tx::new);
    create(&store, &txs.iter().collect::<Vec<_>>()).await;
    folder.execute("UPDATE transactions SET status = 'runming' WHERE gid = 'b'").await;
    let found = store.list(Filter::default(), None, 9).await.unwrap();
    assert_eq!(names(&found), ["c", "a"]);
    // It ends a page and does not end the list.
    let first = store.list(Filter::default(), None, 2).await.unwrap();
    let cursor = Cursor::decode(first.next_cursor.as_deref().unwrap());
    assert_eq!(names(&store.list(Filter::default(), cursor, 2).await.unwrap()), ["a"]);
    assert_eq!(store.census().await.unwrap().unfinished.len(), 1);
    folder.execute("UPDATE transactions SET gid = 'not a gid' WHERE gid = 'b'").await;
    let unfinished = store.unfinished(None, Timestamp::MAX, 9).await.unwrap();
    assert_eq!(unfinished.iter().map(Gid::as_str).collect::<Vec<_>>(), ["a", "c"]);
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
async fn hot_queries_walk_an_index() {
    let store = fresh();
    let store = store.sqlite().await;
    for (text, index) in [
        (queries::UNFINISHED, "transactions_owned"),
        (queries::DUE, "transactions_due"),
        (queries::CENSUS, "transactions_unsettled"),
        (listing::WALKS.all, "transactions_newest"),
        (listing::WALKS.unsettled, "transactions_unsettled"),
        (listing::WALKS.labelled, "transaction_labels_newest"),
        (super::retention::SETTLED, "transactions_settled"),
        (super::tables::ADOPT, "transactions_owned"),
        (super::key_values::ENTRIES, "sqlite_autoindex_key_values_1"),
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

#[tokio::test]
async fn closing_leaves_everything_in_the_one_file() {
    let folder = fresh();
    let store = folder.sqlite().await;
    store.append(0, batch(1)).await.unwrap();
    store.heartbeat().await.unwrap();
    store.close().await.unwrap();
    let copy = fresh();
    std::fs::create_dir_all(copy.file().parent().unwrap()).unwrap();
    std::fs::copy(folder.file(), copy.file()).unwrap();
    assert_eq!(length(&copy.sqlite().await).await, 1);
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
