//! Cases: what recovery asks for.

use trine_protocol::{Gid, Status};

use super::Subject;
use super::fixture::{Tx, append, at, create, gid, gids};

pub(crate) async fn unfinished_names_what_belongs_in_memory_and_what_is_due<S: Subject>(subject: &S) {
    let store = subject.open("a").await;
    let txs = [
        Tx::new("active"),
        Tx::new("due").due_at(100),
        Tx::new("later").due_at(101),
        Tx::new("open").status(Status::Open, 0),
        Tx::new("parked").parked(),
        Tx::new("settled").status(Status::Committed, 5),
        Tx::new("undone").status(Status::RolledBack, 5),
    ];
    create(&*store, &txs.iter().collect::<Vec<_>>()).await;
    let all = store.unfinished(None, at(100), 100).await.unwrap();
    assert_eq!(all, gids(&["active", "due", "open", "parked"]));
    let mut paged: Vec<Gid> = Vec::new();
    loop {
        let page = store.unfinished(paged.last().cloned(), at(100), 1).await.unwrap();
        if page.is_empty() {
            break;
        }
        assert_eq!(page.len(), 1);
        paged.extend(page);
    }
    assert_eq!(paged, all);
    append(&*store, Tx::new("active").status(Status::Committed, 9).batch([2])).await;
    append(&*store, Tx::new("later").due_at(50).batch([2])).await;
    append(&*store, Tx::new("due").batch([2])).await;
    let rest = store.unfinished(None, at(99), 100).await.unwrap();
    assert_eq!(rest, gids(&["due", "later", "open", "parked"]));
}

pub(crate) async fn due_names_the_most_overdue_first<S: Subject>(subject: &S) {
    let store = subject.open("a").await;
    assert_eq!(store.due(at(1_000), 10).await, Ok(Vec::new()));
    let txs = [
        Tx::new("a").due_at(30),
        Tx::new("b").due_at(10),
        Tx::new("c").due_at(20),
        Tx::new("d").due_at(41),
        Tx::new("e"),
    ];
    create(&*store, &txs.iter().collect::<Vec<_>>()).await;
    assert_eq!(store.due(at(40), 10).await, Ok(gids(&["b", "c", "a"])));
    assert_eq!(store.due(at(40), 2).await, Ok(gids(&["b", "c"])));
    assert_eq!(store.due(at(10), 10).await, Ok(gids(&["b"])));
    append(&*store, Tx::new("b").batch([2])).await;
    append(&*store, Tx::new("c").status(Status::Committed, 9).batch([2])).await;
    assert_eq!(store.due(at(40), 10).await, Ok(gids(&["a"])));
}

pub(crate) async fn the_unfinished_of_another_owner_are_adopted<S: Subject>(subject: &S) {
    let gone = subject.open("gone").await;
    gone.heartbeat().await.unwrap();
    let txs = [Tx::new("one"), Tx::new("two").due_at(50), Tx::new("settled").status(Status::Committed, 1)];
    create(&*gone, &txs.iter().collect::<Vec<_>>()).await;
    gone.close().await.unwrap();
    drop(gone);
    subject.lapse("gone").await;
    let store = subject.open("here").await;
    store.heartbeat().await.unwrap();
    create(&*store, &[&Tx::new("own")]).await;
    assert_eq!(store.unfinished(None, at(99), 9).await, Ok(gids(&["own"])));
    assert_eq!(store.adopt(1).await.unwrap().len(), 1);
    assert_eq!(store.adopt(9).await.unwrap().len(), 1);
    assert_eq!(store.unfinished(None, at(99), 9).await, Ok(gids(&["one", "own", "two"])));
    assert_eq!(store.due(at(99), 9).await, Ok(gids(&["two"])));
    assert_eq!(store.adopt(9).await, Ok(Vec::new()));
}

pub(crate) async fn a_coordinator_that_lives_keeps_what_it_owns<S: Subject>(subject: &S) {
    let (one, two) = (subject.open("one").await, subject.open("two").await);
    one.heartbeat().await.unwrap();
    two.heartbeat().await.unwrap();
    create(&*one, &[&Tx::new("tx")]).await;
    assert_eq!(two.adopt(9).await, Ok(Vec::new()));
    subject.lapse("one").await;
    assert_eq!(two.adopt(9).await, Ok(vec![gid("tx")]));
    assert_eq!(one.unfinished(None, at(0), 9).await, Ok(Vec::new()));
    one.heartbeat().await.unwrap();
    assert_eq!(one.adopt(9).await, Ok(Vec::new()));
}

pub(crate) async fn appending_makes_the_appender_the_owner<S: Subject>(subject: &S) {
    let tx = Tx::new("tx");
    let first = subject.open("first").await;
    create(&*first, &[&tx]).await;
    first.close().await.unwrap();
    drop(first);
    let second = subject.open("second").await;
    append(&*second, tx.batch([2])).await;
    assert_eq!(second.unfinished(None, at(0), 9).await, Ok(vec![gid("tx")]));
    second.close().await.unwrap();
    drop(second);
    let first = subject.open("first").await;
    assert_eq!(first.unfinished(None, at(0), 9).await, Ok(Vec::new()));
}

pub(crate) async fn a_journal_keeps_its_id<S: Subject>(subject: &S) {
    let first = subject.open("first").await;
    let id = first.journal_id();
    first.close().await.unwrap();
    drop(first);
    subject.lapse("first").await;
    for owner in ["first", "second"] {
        let store = subject.open(owner).await;
        assert_eq!(store.journal_id(), id, "{owner}");
        store.close().await.unwrap();
        drop(store);
        subject.lapse(owner).await;
    }
}
