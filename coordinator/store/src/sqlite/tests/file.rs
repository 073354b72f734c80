//! Tests of which process has the file: names, locks, owners, and files that are moved away.

use super::*;

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

/// Their locks were lost, say: the last one to come has the file, and the one before writes nothing any more.
#[tokio::test]
async fn a_process_that_lost_the_file_appends_and_adopts_nothing_and_stops() {
    let folder = fresh();
    let store = folder.sqlite().await;
    let kept = Tx::new("kept");
    create(&store, &[&kept]).await;
    assert_eq!(store.heartbeat().await.unwrap().answer, HeartbeatAnswer::Alive);
    folder.execute("UPDATE coordinators SET incarnation = 'another'").await;
    folder.execute("UPDATE transactions SET owner = 'b'").await;
    let Err(AppendError::Failed(why)) = store.append(0, kept.batch([2])).await else { panic!("appended") };
    assert!(why.contains("another process"), "{why}");
    assert_eq!(store.records(kept.row.gid.clone(), 0).await, Ok(kept.records([1])));
    assert_eq!(store.adopt(9).await, Ok(Vec::new()));
    assert_eq!(store.heartbeat().await.unwrap().answer, HeartbeatAnswer::Superseded);
    folder.execute("DELETE FROM coordinators").await;
    assert!(store.append(0, kept.batch([2])).await.is_err());
    assert_eq!(store.heartbeat().await.unwrap().answer, HeartbeatAnswer::Superseded);
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
    // As the next process finds the file after a kill.
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
