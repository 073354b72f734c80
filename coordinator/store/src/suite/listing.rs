//! Cases: lists and counts.

use std::collections::BTreeSet;
use std::sync::Arc;

use trine_engine::{Batch, BatchId};
use trine_protocol::{Pattern, Status};

use super::Subject;
use super::fixture::{Tx, append, at, create, find, names};
use crate::{Census, Cursor, Filter};

pub(crate) async fn each_filter_finds_its_rows_and_no_others<S: Subject>(subject: &S) {
    let store = subject.open("a").await;
    let txs = [
        Tx::new("old").created_at(1).status(Status::Committed, 50).label("city", "Kiel"),
        Tx::new("tcc").created_at(2).pattern(Pattern::Tcc).status(Status::Committing, 60),
        Tx::new("stuck").created_at(3).parked().status(Status::RollingBack, 70).label("city", "Kiel"),
        Tx::new("young").created_at(4).label("city", "kiel").label("tier", "gold"),
    ];
    create(&*store, &txs.iter().collect::<Vec<_>>()).await;
    let all = Filter::default;
    let label = |key: &str, value: &str| Filter { label: Some((key.into(), value.into())), ..all() };
    let statuses = |statuses: &[Status]| Filter { statuses: statuses.to_vec(), ..all() };
    let parked = |parked| Filter { parked: Some(parked), ..all() };
    let created = |from: Option<u64>, to: Option<u64>| Filter {
        created_from: from.map(at),
        created_to: to.map(at),
        ..all()
    };
    for (filter, expected) in [
        (all(), "young stuck tcc old"),
        (statuses(&[Status::Committed]), "old"),
        (statuses(&[Status::Committed, Status::RollingBack]), "stuck old"),
        (statuses(&[Status::Committing, Status::Running]), "young tcc"),
        (statuses(&[Status::Open]), ""),
        (Filter { pattern: Some(Pattern::Tcc), ..all() }, "tcc"),
        (Filter { pattern: Some(Pattern::Saga), ..all() }, "young stuck old"),
        (parked(true), "stuck"),
        (parked(false), "young tcc old"),
        (label("city", "Kiel"), "stuck old"),
        (label("city", "kiel"), "young"),
        (label("tier", "gold"), "young"),
        (label("city", "Ki"), ""),
        (label("City", "Kiel"), ""),
        (created(Some(2), None), "young stuck tcc"),
        (created(None, Some(2)), "old"),
        (created(Some(2), Some(4)), "stuck tcc"),
        (created(Some(4), Some(2)), ""),
        (Filter { statuses: vec![Status::Committed], ..label("city", "Kiel") }, "old"),
        (Filter { statuses: vec![Status::Running], ..parked(true) }, ""),
        (Filter { created_from: Some(at(2)), ..label("city", "Kiel") }, "stuck"),
    ] {
        assert_eq!(find(&*store, filter.clone()).await.join(" "), expected, "{filter:?}");
    }
    let page = store.list(statuses(&[Status::Committed]), None, 9).await.unwrap();
    let row = &page.transactions[0];
    assert_eq!((row.pattern, row.status, row.parked.as_deref()), (Pattern::Saga, Status::Committed, None));
    assert_eq!(row.created_at, at(1));
    assert!(row.settled_at.is_some_and(|settled_at| settled_at >= at(50)), "{:?}", row.settled_at);
    let page = store.list(parked(true), None, 9).await.unwrap();
    assert_eq!(page.transactions[0].parked.as_deref(), Some("exhausted"));
    assert_eq!(page.transactions[0].settled_at, None);
}

pub(crate) async fn a_list_says_when_the_last_event_was_recorded<S: Subject>(subject: &S) {
    let store = subject.open("a").await;
    let (quiet, busy) = (Tx::new("quiet").created_at(1), Tx::new("busy").created_at(2));
    create(&*store, &[&quiet, &busy]).await;
    // Most events change nothing of the row, so it is not written with them.
    let records = Batch { id: BatchId(2), records: busy.records(2..=7), rows: Vec::new() };
    append(&*store, Arc::new(records)).await;
    let updated = async |filter: Filter| {
        let page = store.list(filter, None, 9).await.unwrap();
        page.transactions.iter().map(|row| (row.gid.to_string(), row.updated_at)).collect::<Vec<_>>()
    };
    let expected = [("busy".to_owned(), at(7)), ("quiet".to_owned(), at(1))];
    assert_eq!(updated(Filter::default()).await, expected);
    assert_eq!(updated(Filter { statuses: vec![Status::Running], ..Filter::default() }).await, expected);
}

pub(crate) async fn a_host_is_matched_whole<S: Subject>(subject: &S) {
    let store = subject.open("a").await;
    let txs = [
        Tx::new("a").hosts(&["10.0.0.1:80"]),
        Tx::new("b").hosts(&["10.0.0.1:8080", "inventory"]),
        Tx::new("c").hosts(&["inventory-2", "orders"]),
        Tx::new("d").hosts(&[]),
        Tx::new("e").hosts(&["x_y", "zz"]),
    ];
    create(&*store, &txs.iter().collect::<Vec<_>>()).await;
    for (host, expected) in [
        ("10.0.0.1:80", "a"),
        ("10.0.0.1:8080", "b"),
        ("inventory", "b"),
        ("inventory-2", "c"),
        ("orders", "c"),
        ("order", ""),
        ("rders", ""),
        ("", ""),
        ("%", ""),
        ("xxy", ""),
        ("X_Y", ""),
        ("10.0.0.1:8080\ninventory", ""),
    ] {
        let filter = Filter { host: Some(host.to_owned()), ..Filter::default() };
        assert_eq!(find(&*store, filter).await.join(" "), expected, "{host:?}");
    }
    append(&*store, Tx::new("d").hosts(&["late"]).batch([2])).await;
    assert_eq!(find(&*store, Filter { host: Some("late".into()), ..Filter::default() }).await, ["d"]);
}

pub(crate) async fn labels_are_those_of_the_first_record<S: Subject>(subject: &S) {
    let store = subject.open("a").await;
    create(&*store, &[&Tx::new("a").label("k", "v")]).await;
    append(&*store, Tx::new("a").label("k", "other").label("more", "x").batch([2])).await;
    let label =
        |key: &str, value: &str| Filter { label: Some((key.into(), value.into())), ..Filter::default() };
    assert_eq!(find(&*store, label("k", "v")).await, ["a"]);
    assert!(find(&*store, label("k", "other")).await.is_empty());
    assert!(find(&*store, label("more", "x")).await.is_empty());
}

pub(crate) async fn pages_lose_and_repeat_nothing_while_rows_are_inserted<S: Subject>(subject: &S) {
    let store = subject.open("a").await;
    let txs: Vec<Tx> =
        (0..40).map(|i| Tx::new(&format!("tx-{i:02}")).created_at(i / 3).label("k", "v")).collect();
    create(&*store, &txs.iter().collect::<Vec<_>>()).await;
    let label = Some(("k".to_owned(), "v".to_owned()));
    for (round, filter) in [
        Filter::default(),
        Filter { label, ..Filter::default() },
        Filter { statuses: vec![Status::Running], ..Filter::default() },
        Filter { created_to: Some(at(1_000)), ..Filter::default() },
    ]
    .into_iter()
    .enumerate()
    {
        let (mut cursor, mut seen) = (None, Vec::new());
        for page_number in 0.. {
            let page = store.list(filter.clone(), cursor, 7).await.unwrap();
            assert!(page.transactions.len() <= 7);
            seen.extend(names(&page).into_iter().map(str::to_owned));
            let Some(next) = page.next_cursor else { break };
            cursor = Some(Cursor::decode(&next).expect("a cursor reads back"));
            let newer = Tx::new(&format!("new-{round}-{page_number}")).created_at(500).label("k", "v");
            create(&*store, &[&newer]).await;
        }
        seen.retain(|gid| gid.starts_with("tx-"));
        let distinct: BTreeSet<&String> = seen.iter().collect();
        assert_eq!((distinct.len(), seen.len()), (40, 40), "{filter:?}");
        assert!(seen.is_sorted_by(|a, b| a > b), "not newest first: {seen:?}");
    }
}

pub(crate) async fn rows_of_one_instant_are_paged_by_gid<S: Subject>(subject: &S) {
    let store = subject.open("a").await;
    create(&*store, &[&Tx::new("B"), &Tx::new("a"), &Tx::new("C")]).await;
    let page = store.list(Filter::default(), None, 2).await.unwrap();
    assert_eq!(names(&page), ["a", "C"]);
    let cursor = page.next_cursor.as_deref().and_then(Cursor::decode);
    let page = store.list(Filter::default(), cursor, 1).await.unwrap();
    assert_eq!((names(&page), &page.next_cursor), (vec!["B"], &None));
}

pub(crate) async fn the_census_counts_what_is_not_settled<S: Subject>(subject: &S) {
    let store = subject.open("a").await;
    assert_eq!(store.census().await, Ok(Census::default()));
    let txs = [
        Tx::new("a").created_at(1).status(Status::Committed, 50),
        Tx::new("b").created_at(2).parked(),
        Tx::new("c").created_at(3),
        Tx::new("d").created_at(4).pattern(Pattern::Tcc).status(Status::Open, 4),
    ];
    create(&*store, &txs.iter().collect::<Vec<_>>()).await;
    let expected = Census {
        unfinished: vec![(Pattern::Saga, Status::Running, 2), (Pattern::Tcc, Status::Open, 1)],
        parked: 1,
        oldest_unfinished: Some(at(2)),
    };
    assert_eq!(store.census().await, Ok(expected));
}
