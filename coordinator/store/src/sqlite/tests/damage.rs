//! Damage: what is told of it, and what goes on beside it.

use super::*;

#[tokio::test]
async fn everything_that_is_damaged_is_found() {
    let folder = fresh();
    let options = Options::new(&folder.url(), "a");
    suite::everything_that_is_damaged_is_found(&options, async |sql| folder.execute(sql).await).await;
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
    let inspector = crate::inspect(&Options::new(&folder.url(), "a")).await.unwrap();
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
            "journal" => assert_eq!((report.transactions, detail(FindingKind::Record)), (60, 60)),
            "transactions" => assert_eq!((report.records, detail(FindingKind::Index)), (60, 60)),
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
