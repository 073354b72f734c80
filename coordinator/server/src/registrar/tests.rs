//! Tests over a store that counts its calls and can be held up.

use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::sync::Semaphore;

use super::*;
use trine_store::memory::Memory;
use trine_store::{Registrations, StoreFuture};

#[derive(Debug)]
struct Counting {
    memory: Memory,
    writes: AtomicUsize,
    reads: AtomicUsize,
    /// Permits for writes.
    allowed: Arc<Semaphore>,
}

impl Registry for Counting {
    fn register(&self, registrations: Vec<Registration>) -> StoreFuture<Timestamp> {
        self.writes.fetch_add(1, Ordering::SeqCst);
        let (written, allowed) = (self.memory.register(registrations), Arc::clone(&self.allowed));
        Box::pin(async move {
            allowed.acquire().await.unwrap().forget();
            written.await
        })
    }

    fn is_registered(&self, name: String) -> StoreFuture<bool> {
        self.memory.is_registered(name)
    }

    fn deregister(&self, name: String, base_url: Option<String>) -> StoreFuture<u64> {
        self.memory.deregister(name, base_url)
    }

    fn participants(&self) -> StoreFuture<Registrations> {
        self.reads.fetch_add(1, Ordering::SeqCst);
        self.memory.participants()
    }

    fn sweep_participants(&self, expired_ms: u64) -> StoreFuture<u64> {
        self.memory.sweep_participants(expired_ms)
    }
}

struct Stage {
    store: Arc<Counting>,
    directory: Arc<Directory>,
    registrar: Registrar,
}

fn stage(writes_allowed: usize, instances_max: usize) -> Stage {
    let store = Arc::new(Counting {
        memory: Memory::new("a"),
        writes: AtomicUsize::new(0),
        reads: AtomicUsize::new(0),
        allowed: Arc::new(Semaphore::new(writes_allowed)),
    });
    let directory = Arc::new(Directory::new());
    let registrar =
        Registrar::start(Arc::clone(&store) as Arc<dyn Registry>, Arc::clone(&directory), instances_max);
    Stage { store, directory, registrar }
}

fn instance(number: usize) -> Registration {
    Registration { name: format!("n{number}"), base_url: "http://a".into(), ttl_ms: 60_000, guarded: false }
}

#[tokio::test]
async fn registrations_that_come_in_together_are_one_write_and_read_nothing() {
    let stage = stage(0, 1_000);
    let register = |number| stage.registrar.register(instance(number));
    // After one poll, each registration is in the queue.
    let mut waiting: Vec<_> = (0..200).map(|number| Box::pin(register(number))).collect();
    for one in &mut waiting {
        assert!(futures_util::poll!(one.as_mut()).is_pending());
    }
    let mut again: Vec<_> = (0..200).map(|number| Box::pin(register(number))).collect();
    for one in &mut again {
        assert!(futures_util::poll!(one.as_mut()).is_pending());
    }
    stage.store.allowed.add_permits(10);
    for one in waiting.into_iter().chain(again) {
        one.await.unwrap();
    }
    assert!(stage.store.writes.load(Ordering::SeqCst) <= 2, "{:?}", stage.store.writes);
    assert_eq!(stage.store.reads.load(Ordering::SeqCst), 0);
    assert_eq!(stage.directory.instances(), 200);
    assert_eq!(stage.store.memory.participants().await.unwrap().participants.len(), 200);
}

#[tokio::test]
async fn of_registrations_that_come_in_together_the_newest_says_whether_the_instance_is_guarded() {
    let stage = stage(10, 1_000);
    for guarded in [true, false, true] {
        let register = |guarded| stage.registrar.register(Registration { guarded, ..instance(1) });
        let (before, newest) = tokio::join!(register(!guarded), register(guarded));
        assert!(before.is_ok() && newest.is_ok());
        assert_eq!(stage.directory.is_guarded("n1"), guarded);
        let kept = stage.store.memory.participants().await.unwrap().participants.remove(0);
        assert_eq!(kept.instances[0].guarded, guarded);
    }
}

#[tokio::test]
async fn an_instance_that_left_is_not_brought_back_by_a_heartbeat_that_it_sent_before() {
    let stage = stage(10, 1_000);
    let mut heartbeat = Box::pin(stage.registrar.register(instance(1)));
    assert!(futures_util::poll!(heartbeat.as_mut()).is_pending());
    // The client goes away, but its heartbeat stays in the queue.
    drop(heartbeat);
    assert_eq!(stage.registrar.deregister("n1".into(), None).await, Ok(1));
    assert_eq!(stage.store.memory.participants().await.unwrap().participants, []);
    assert!(!stage.directory.knows("n1"));
}

#[tokio::test]
async fn the_bound_of_instances_refuses_new_ones_and_no_heartbeats() {
    let stage = stage(10, 2);
    let register = |number| stage.registrar.register(instance(number));
    let (one, two, three) = tokio::join!(register(1), register(2), register(3));
    assert!(one.is_ok() && two.is_ok());
    assert_eq!(three, Err(RegisterError::TooMany { max: 2 }));
    assert!(register(1).await.is_ok());
    assert_eq!(stage.registrar.deregister("n2".into(), None).await, Ok(1));
    assert!(register(3).await.is_ok());
}
