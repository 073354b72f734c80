//! Cases: records that are not what was written.

use trine_protocol::Gid;

use super::Subject;
use super::fixture::{Tx, append, at, batch, gid, gids, load};
use crate::memory::Damage;
use crate::{Store, StoreError};

/// What is said of a gid that cannot be read.
async fn detail(store: &dyn Store, text: &str) -> String {
    let read = load(store, gids(&[text])).await;
    let Some((found, Err(error @ StoreError::Corrupt { .. }))) = read.first() else { panic!("{read:?}") };
    assert!(!error.is_transient());
    assert_eq!(found.as_str(), text);
    assert_eq!(store.records(gid(text), 0).await.as_ref(), Err(error));
    error.to_string()
}

pub(crate) async fn a_damaged_record_is_reported_for_its_gid_alone<S: Subject>(subject: &S) {
    let store = subject.open("a").await;
    let (good, bad) = (Tx::new("good"), Tx::new("bad"));
    append(&*store, batch([(&good, vec![1, 2]), (&bad, vec![1, 2, 3])])).await;
    // Another action, and still an event as good as any.
    let changed = crate::codec::encode(&bad.record(1).event).replace("/reserve", "/release");
    subject.damage(&gid("bad"), 1, Damage::Event(changed.into_bytes())).await;
    let text = detail(&*store, "bad").await;
    assert!(text.contains("bad") && text.contains("seq 1") && text.contains("checksum"), "{text}");
    assert_eq!(load(&*store, gids(&["bad", "good"])).await[1], (gid("good"), Ok(good.records(1..=2))));
    assert_eq!(store.records(gid("bad"), 1).await, Ok(bad.records(2..=3)));
    assert_eq!(store.unfinished(None, at(0), 10).await, Ok(gids(&["bad", "good"])));
}

pub(crate) async fn a_record_of_a_newer_version_is_reported_for_its_gid_alone<S: Subject>(subject: &S) {
    let store = subject.open("a").await;
    let (good, newer) = (Tx::new("good"), Tx::new("newer"));
    append(&*store, batch([(&good, vec![1, 2]), (&newer, vec![1, 2, 3])])).await;
    let text = r#"{"v":7,"event":"sung"}"#.to_owned();
    subject.damage(&gid("newer"), 2, Damage::Event(text.into_bytes())).await;
    subject.damage(&gid("newer"), 2, Damage::NoChecksum).await;
    let text = detail(&*store, "newer").await;
    assert!(text.contains("seq 2") && text.contains("newer version"), "{text}");
    assert_eq!(load(&*store, gids(&["good"])).await, [(gid("good"), Ok(good.records(1..=2)))]);
    assert_eq!(store.records(gid("newer"), 2).await, Ok(newer.records([3])));
}

pub(crate) async fn a_record_that_was_moved_or_dated_anew_is_damaged<S: Subject>(subject: &S) {
    let store = subject.open("a").await;
    let (from, to, dated) = (Tx::new("from"), Tx::new("to"), Tx::new("dated"));
    append(&*store, batch([(&from, vec![1, 2, 3]), (&to, vec![1]), (&dated, vec![1, 2])])).await;
    subject.damage(&gid("from"), 3, Damage::Moved(gid("to"), 2)).await;
    subject.damage(&gid("dated"), 2, Damage::At(at(77))).await;
    assert!(detail(&*store, "to").await.contains("seq 2"));
    assert!(detail(&*store, "dated").await.contains("seq 2"));
    // Within one journal, too: two records that changed places.
    subject.damage(&gid("from"), 1, Damage::Moved(gid("from"), 9)).await;
    subject.damage(&gid("from"), 2, Damage::Moved(gid("from"), 1)).await;
    assert!(detail(&*store, "from").await.contains("seq 1"));
}

pub(crate) async fn records_without_a_checksum_are_believed<S: Subject>(subject: &S) {
    let store = subject.open("a").await;
    let tx = Tx::new("old");
    append(&*store, tx.batch(1..=2)).await;
    for seq in 1..=2 {
        subject.damage(&gid("old"), seq, Damage::NoChecksum).await;
    }
    append(&*store, tx.batch([3])).await;
    assert_eq!(load(&*store, gids(&["old"])).await, [(gid("old"), Ok(tx.records(1..=3)))]);
}

/// The damage as SQL that every database understands.
pub(crate) fn sql(gid: &Gid, seq: u64, damage: &Damage) -> String {
    let place = format!("WHERE gid = '{gid}' AND seq = {seq}");
    let set = match damage {
        Damage::Event(bytes) => format!("event = '{}'", std::str::from_utf8(bytes).unwrap()),
        Damage::At(at) => format!("at = {}", at.millis()),
        Damage::Moved(to, seq) => format!("gid = '{to}', seq = {seq}"),
        Damage::NoChecksum => "checksum = NULL".to_owned(),
        Damage::Lost => return format!("DELETE FROM journal {place}"),
    };
    format!("UPDATE journal SET {set} {place}")
}
