//! A lane with a damaged journal: no calls and no appends for it, and the others go on.

use super::*;
use trine_store::Queries as _;
use trine_store::memory::Damage;

/// A store with the transactions `bad` and `good`, in which the record of `bad` is damaged.
async fn damaged() -> Memory {
    let store = Memory::new("one");
    let (lanes, mut calls) = start(store.clone(), Options::default());
    for name in ["bad", "good"] {
        lanes.handle().submit(gid(name), create(), ReplyOn::Durable).await.unwrap();
        drop(calls.recv().await);
    }
    lanes.stop().await;
    let text = trine_store::codec::encode(&store.records(gid("bad"), 0).await.unwrap()[0].event);
    let text = text.replace("http://service/op", "http://servile/op");
    assert!(store.damage(&gid("bad"), 1, &Damage::Event(text.into_bytes())));
    store
}

#[tokio::test]
async fn a_damaged_transaction_is_left_alone_and_the_others_go_on() {
    let (lanes, mut calls) = start(damaged().await, Options::default());
    let handle = lanes.handle();
    handle.bring_back(vec![gid("bad"), gid("good")]).await;
    let made = calls.recv().await.unwrap();
    assert_eq!(made.call.gid, gid("good"));
    made.done();
    let settled = handle.submit(gid("good"), create(), later(handle)).await.unwrap();
    assert_eq!(settled.status, Status::Committed);
    for command in [create(), Command::Abort { reason: None }, Command::Replay { branch: None }] {
        let refused = handle.submit(gid("bad"), command, ReplyOn::Durable).await;
        assert_eq!(refused, Err(SubmitError::Rejected(Rejection::Corrupt)));
    }
    assert_eq!(handle.damaged().len(), 1);
    assert!(calls.try_recv().is_err(), "the damaged one was called");
    lanes.stop().await;
}

#[tokio::test]
async fn a_damaged_journal_that_is_due_is_not_read_with_every_sweep() {
    let store = damaged().await;
    let (lanes, _calls) = start(store.clone(), Options::default());
    lanes.handle().bring_back(vec![gid("bad")]).await;
    let read = store.faults().reads();
    for _ in 0..10 {
        lanes.handle().bring_back(vec![gid("bad")]).await;
    }
    assert_eq!(store.faults().reads(), read);
    // A command makes the lane read the journal again, which is mended now.
    let mended = store.records(gid("good"), 0).await.unwrap().remove(0);
    let text = trine_store::codec::encode(&mended.event);
    assert!(store.damage(&gid("bad"), 1, &Damage::Event(text.into_bytes())));
    assert!(store.damage(&gid("bad"), 1, &Damage::NoChecksum));
    lanes.handle().submit(gid("bad"), create(), ReplyOn::Durable).await.unwrap();
    assert!(lanes.handle().damaged().is_empty());
    lanes.stop().await;
}
