//! Cases: appending, reading back, conflicts.

use std::sync::Arc;

use futures_util::future::join_all;
use trine_engine::{Batch, BatchId};
use trine_protocol::Status;

use super::Subject;
use super::fixture::{Tx, append, batch, create, find, gid, gids, load, seqs};
use crate::{Appended, Filter, Readable, ReadablePage};

pub(crate) async fn what_is_appended_is_read_back_in_order<S: Subject>(subject: &S) {
    let store = subject.open("a").await;
    let (one, two) = (Tx::new("one"), Tx::new("two"));
    append(&*store, batch([(&two, vec![1, 2]), (&one, vec![1])])).await;
    append(&*store, batch([(&one, vec![2, 3])])).await;
    let read = load(&*store, gids(&["two", "absent", "one"])).await;
    let expected = vec![(gid("two"), Ok(two.records(1..=2))), (gid("one"), Ok(one.records(1..=3)))];
    assert_eq!(read, expected);
    assert_eq!(store.records(gid("one"), 0).await, Ok(one.records(1..=3)));
    assert_eq!(store.load(Vec::new()).await, Ok(Vec::new()));
    assert_eq!(store.records(gid("absent"), 0).await, Ok(Vec::new()));
}

pub(crate) async fn records_after_a_seq_are_only_those<S: Subject>(subject: &S) {
    let store = subject.open("a").await;
    let tx = Tx::new("one");
    append(&*store, tx.batch(1..=12)).await;
    assert_eq!(store.records(gid("one"), 9).await, Ok(tx.records(10..=12)));
    assert_eq!(store.records(gid("one"), 12).await, Ok(Vec::new()));
    assert_eq!(store.records(gid("one"), u64::MAX).await, Ok(Vec::new()));
}

pub(crate) async fn records_are_read_page_by_page<S: Subject>(subject: &S) {
    let store = subject.open("a").await;
    let tx = Tx::new("one");
    append(&*store, tx.batch(1..=12)).await;
    let page = |name: &str, after, limit| store.readable_page(gid(name), after, limit);
    let of = |seqs, next_after_seq| {
        let found = Readable { records: tx.records(seqs), ..Readable::default() };
        Ok(ReadablePage { found, next_after_seq })
    };
    assert_eq!(page("one", 0, 5).await, of(1..=5, Some(5)));
    assert_eq!(page("one", 5, 5).await, of(6..=10, Some(10)));
    assert_eq!(page("one", 10, 5).await, of(11..=12, None));
    assert_eq!(page("one", 7, 5).await, of(8..=12, None));
    assert_eq!(page("one", 12, 5).await, Ok(ReadablePage::default()));
    assert_eq!(page("two", 0, 5).await, Ok(ReadablePage::default()));
}

pub(crate) async fn an_empty_batch_is_appended<S: Subject>(subject: &S) {
    let store = subject.open("a").await;
    append(&*store, Arc::new(Batch { id: BatchId(1), records: Vec::new(), rows: Vec::new() })).await;
    assert!(find(&*store, Filter::default()).await.is_empty());
}

pub(crate) async fn a_batch_of_a_thousand_records_is_appended_whole<S: Subject>(subject: &S) {
    let store = subject.open("a").await;
    let txs: Vec<Tx> = (0..333).map(|i| Tx::new(&format!("tx-{i:03}")).label("run", "1")).collect();
    append(&*store, batch(txs.iter().map(|tx| (tx, vec![1, 2, 3])))).await;
    for (gid, records) in load(&*store, txs.iter().map(|tx| tx.row.gid.clone()).collect()).await {
        assert_eq!(records.map(|records| records.len()), Ok(3), "{gid}");
    }
    let label = Some(("run".to_owned(), "1".to_owned()));
    assert_eq!(find(&*store, Filter { label, ..Filter::default() }).await.len(), 333);
}

pub(crate) async fn a_payload_of_one_mebibyte_survives<S: Subject>(subject: &S) {
    let store = subject.open("a").await;
    let text = Tx::new("text").payload("ä\"\\\n".repeat(1024 * 1024 / 5).as_bytes());
    let bytes = Tx::new("bytes").payload(&vec![0xfe; 1024 * 1024]);
    create(&*store, &[&text, &bytes]).await;
    assert_eq!(store.records(gid("text"), 0).await, Ok(text.records([1])));
    assert_eq!(store.records(gid("bytes"), 0).await, Ok(bytes.records([1])));
    // More than a store takes in one statement.
    let many: Vec<Tx> =
        (0..5).map(|i| Tx::new(&format!("many-{i}")).payload(&vec![0xfe; 1024 * 1024])).collect();
    create(&*store, &many.iter().collect::<Vec<_>>()).await;
    assert_eq!(store.records(gid("many-4"), 0).await, Ok(many[4].records([1])));
}

pub(crate) async fn gids_that_resemble_each_other_stay_apart<S: Subject>(subject: &S) {
    let store = subject.open("a").await;
    let names = [
        "order-1",
        "order-10",
        "order-100",
        "Order-1",
        "ORDER-1",
        "order_1",
        "order.1",
        "order:1",
        "order:1:1",
        "order",
        "order-",
        "orderX1",
        "0",
        "00",
        "-",
        "_",
        ".a",
        "a..b",
        "1e3",
        "1000",
        "null",
        "true",
    ];
    let txs: Vec<Tx> = names.iter().map(|name| Tx::new(name).label("k", "v")).collect();
    append(&*store, batch(txs.iter().map(|tx| (tx, vec![1])))).await;
    append(&*store, txs[0].batch([2, 3])).await;
    for (tx, name) in txs.iter().zip(names) {
        let expected = if name == "order-1" { tx.records(1..=3) } else { tx.records([1]) };
        assert_eq!(store.records(gid(name), 0).await, Ok(expected.clone()), "{name}");
        assert_eq!(load(&*store, vec![gid(name)]).await, vec![(gid(name), Ok(expected))], "{name}");
    }
    let all = load(&*store, gids(&names)).await;
    assert_eq!(all.iter().map(|(gid, _)| gid.as_str()).collect::<Vec<_>>(), names);
    let again = store.append(0, txs[1].batch([1])).await.unwrap();
    assert_eq!(again.conflicts, gids(&["order-10"]));
    let longest = "x".repeat(128);
    create(&*store, &[&Tx::new(&longest)]).await;
    assert_eq!(seqs(&*store, &longest).await, [1]);
}

pub(crate) async fn the_same_batch_again_is_a_conflict_and_changes_nothing<S: Subject>(subject: &S) {
    let store = subject.open("a").await;
    let tx = Tx::new("one").label("k", "v");
    let first = tx.batch(1..=2);
    append(&*store, first.clone()).await;
    for _ in 0..3 {
        let again = store.append(0, first.clone()).await;
        assert_eq!(again, Ok(Appended { conflicts: gids(&["one"]) }));
    }
    assert_eq!(store.records(gid("one"), 0).await, Ok(tx.records(1..=2)));
    assert_eq!(find(&*store, Filter::default()).await, ["one"]);
}

pub(crate) async fn a_conflict_leaves_nothing_of_its_gid_and_everything_of_the_others<S: Subject>(
    subject: &S,
) {
    let store = subject.open("a").await;
    let taken = Tx::new("b-taken").label("mine", "no");
    create(&*store, &[&taken]).await;
    let before = Tx::new("a-before").label("mine", "yes");
    let after = Tx::new("c-after").label("mine", "yes");
    let late = Tx::new("b-taken").label("mine", "yes").status(Status::Committed, 9).hosts(&["other"]);
    let mixed = batch([(&before, vec![1, 2]), (&late, vec![1, 2, 3]), (&after, vec![1])]);
    let appended = store.append(0, mixed).await;
    assert_eq!(appended, Ok(Appended { conflicts: gids(&["b-taken"]) }));
    assert_eq!(seqs(&*store, "a-before").await, [1, 2]);
    assert_eq!(seqs(&*store, "c-after").await, [1]);
    assert_eq!(store.records(gid("b-taken"), 0).await, Ok(taken.records([1])));
    let statuses = vec![Status::Running];
    let running = find(&*store, Filter { statuses, ..Filter::default() }).await;
    assert_eq!(running, ["c-after", "b-taken", "a-before"]);
    let mine = |value: &str| Filter { label: Some(("mine".into(), value.into())), ..Filter::default() };
    assert_eq!(find(&*store, mine("yes")).await, ["c-after", "a-before"]);
    assert_eq!(find(&*store, mine("no")).await, ["b-taken"]);
    let host = Some("other".to_owned());
    assert!(find(&*store, Filter { host, ..Filter::default() }).await.is_empty());
}

pub(crate) async fn a_conflict_halfway_through_a_run_leaves_the_whole_run_out<S: Subject>(subject: &S) {
    let store = subject.open("a").await;
    let tx = Tx::new("one");
    append(&*store, tx.batch(1..=3)).await;
    for stale in [2..=4, 3..=4, 1..=4] {
        let appended = store.append(0, tx.batch(stale.clone())).await;
        assert_eq!(appended, Ok(Appended { conflicts: gids(&["one"]) }), "{stale:?}");
    }
    assert_eq!(seqs(&*store, "one").await, [1, 2, 3]);
    append(&*store, tx.batch([4])).await;
}

pub(crate) async fn a_gap_is_a_conflict<S: Subject>(subject: &S) {
    let store = subject.open("a").await;
    let (tx, fresh, other) = (Tx::new("one"), Tx::new("fresh"), Tx::new("other"));
    create(&*store, &[&tx]).await;
    let appended = store.append(0, batch([(&tx, vec![3]), (&fresh, vec![2]), (&other, vec![1])])).await;
    assert_eq!(appended, Ok(Appended { conflicts: gids(&["fresh", "one"]) }));
    assert_eq!(seqs(&*store, "one").await, [1]);
    assert!(seqs(&*store, "fresh").await.is_empty());
    assert_eq!(find(&*store, Filter::default()).await, ["other", "one"]);
}

pub(crate) async fn a_run_with_a_hole_or_a_repetition_is_a_conflict<S: Subject>(subject: &S) {
    let store = subject.open("a").await;
    let (tx, other) = (Tx::new("one"), Tx::new("other"));
    for broken in [vec![1, 3], vec![1, 1], vec![2, 1], vec![1, 2, 2], vec![0, 1]] {
        let appended = store.append(0, tx.batch(broken.clone())).await;
        assert_eq!(appended, Ok(Appended { conflicts: gids(&["one"]) }), "{broken:?}");
    }
    create(&*store, &[&tx, &other]).await;
    assert_eq!(seqs(&*store, "one").await, [1]);
}

pub(crate) async fn lanes_that_append_side_by_side_lose_nothing<S: Subject>(subject: &S) {
    let store = subject.open("a").await;
    let lanes = (0..store.lanes_max().max(4)).map(|lane| {
        let store = store.clone();
        tokio::spawn(async move {
            let tx = Tx::new(&format!("lane-{lane}"));
            for seq in 1..=20 {
                let appended = store.append(lane, tx.batch([seq])).await;
                assert_eq!(appended, Ok(Appended::default()));
            }
        })
    });
    for lane in join_all(lanes).await {
        lane.unwrap();
    }
    for lane in 0..4 {
        assert_eq!(seqs(&*store, &format!("lane-{lane}")).await, (1..=20).collect::<Vec<_>>());
    }
}

pub(crate) async fn lanes_that_race_for_a_gid_have_one_winner<S: Subject>(subject: &S) {
    let store = subject.open("a").await;
    let tx = Tx::new("contended");
    for seq in 1..=10 {
        let racers = (0..4).map(|lane| {
            let own = Tx::new(&format!("own-{lane}"));
            store.append(lane, batch([(&tx, vec![seq]), (&own, vec![seq])]))
        });
        let outcomes = join_all(racers).await;
        let lost =
            outcomes.iter().filter(|outcome| outcome.as_ref().unwrap().conflicts == gids(&["contended"]));
        assert_eq!(lost.count(), 3, "{outcomes:?}");
    }
    assert_eq!(seqs(&*store, "contended").await.len(), 10);
    for lane in 0..4 {
        assert_eq!(seqs(&*store, &format!("own-{lane}")).await.len(), 10);
    }
}
