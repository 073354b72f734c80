//! Cases: futures that are dropped, stores that are opened again.

use futures_util::FutureExt;
use trine_protocol::Timestamp;

use super::Subject;
use super::fixture::{Tx, append, batch, create, find, gid, gids, seqs};
use crate::{Appended, Filter, Registration};

/// Some futures are never polled, some once, some by a task that is aborted; in between, writes that are waited for.
pub(crate) async fn dropped_appends_lose_no_acknowledged_write<S: Subject>(subject: &S) {
    const DROPPED: usize = 500;
    let store = subject.open("a").await;
    let mut acknowledged = Vec::new();
    for i in 0..DROPPED {
        let dropped = Tx::new(&format!("dropped-{i}"));
        let future = store.append(0, dropped.batch(1..=3));
        match i % 3 {
            0 => drop(future),
            1 => {
                let kept = future.now_or_never() == Some(Ok(Appended::default()));
                acknowledged.extend(kept.then_some((dropped, 3)));
            }
            _ => {
                let task = tokio::spawn(future);
                tokio::task::yield_now().await;
                task.abort();
                let kept = matches!(task.await, Ok(Ok(appended)) if appended == Appended::default());
                acknowledged.extend(kept.then_some((dropped, 3)));
            }
        }
        if i % 10 == 0 {
            let waited = Tx::new(&format!("waited-{i}"));
            create(&*store, &[&waited]).await;
            acknowledged.push((waited, 1));
        }
    }
    // Nothing is left open: this write comes after all of them and is durable.
    let last = Tx::new("last");
    append(&*store, last.batch([1, 2])).await;
    acknowledged.push((last, 2));
    store.close().await.unwrap();
    drop(store);
    let store = subject.open("a").await;
    for (tx, count) in acknowledged {
        assert_eq!(store.records(tx.row.gid.clone(), 0).await, Ok(tx.records(1..=count)), "{}", tx.row.gid);
    }
    for i in 0..DROPPED {
        // Not waited for: there, or not there, but never in part.
        let found = seqs(&*store, &format!("dropped-{i}")).await;
        assert!(found.is_empty() || found == [1, 2, 3], "{found:?}");
    }
}

pub(crate) async fn what_was_appended_is_there_after_reopening<S: Subject>(subject: &S) {
    let store = subject.open("a").await;
    let (one, two) = (Tx::new("one").label("k", "v"), Tx::new("two"));
    append(&*store, batch([(&one, vec![1, 2]), (&two, vec![1])])).await;
    let now = Timestamp::from_millis(1);
    let instance =
        Registration { name: "inventory".into(), base_url: "http://a".into(), ttl_ms: 60_000, guarded: true };
    store.register(vec![instance]).await.unwrap();
    store.close().await.unwrap();
    drop(store);
    let store = subject.open("a").await;
    assert_eq!(store.records(gid("one"), 0).await, Ok(one.records(1..=2)));
    assert_eq!(store.unfinished(None, now, 9).await, Ok(gids(&["one", "two"])));
    let label = Some(("k".to_owned(), "v".to_owned()));
    assert_eq!(find(&*store, Filter { label, ..Filter::default() }).await, ["one"]);
    assert_eq!(store.participants().await.unwrap().participants.len(), 1);
    append(&*store, one.batch([3])).await;
}
