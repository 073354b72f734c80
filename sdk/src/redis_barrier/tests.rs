//! The barrier on a real Redis: the orders in which ops can reach it, fences, effects that fail, age, and a kill.

use std::time::Duration;

use redis::AsyncCommands as _;
use redis::aio::ConnectionManager;
use serde_json::json;
use trine_protocol::Op;
use trine_testkit::redis::{Redis, shared};

use super::{Effect, KEEP_MIN, RedisBarrier, RedisBarrierError};
use crate::{BranchContext, Differs, Outcome};

/// Notes the op, and ends as its argument says.
const NOTE: &str = "if ARGV[2] == 'refused' then return 'refused', 'short' end
    redis.call('RPUSH', KEYS[1], ARGV[1])
    return ARGV[2], ARGV[3]";

struct Service {
    connection: ConnectionManager,
    barrier: RedisBarrier,
    note: Effect,
}

impl Service {
    async fn new() -> Self {
        Self::at(&tokio::task::spawn_blocking(|| shared().fresh_database()).await.unwrap()).await
    }

    async fn at(url: &str) -> Self {
        let connection = redis::Client::open(url).unwrap().get_connection_manager().await.unwrap();
        Self { barrier: RedisBarrier::new(connection.clone()), connection, note: Effect::new(NOTE) }
    }

    async fn call(&self, op: Op, fence: u64, end: &str, output: &str) -> Result<Outcome, RedisBarrierError> {
        let args = [op.as_str(), end, output];
        self.barrier.execute(&context(op, fence), &self.note, &["effects"], &args).await
    }

    async fn done(&self, op: Op) -> Outcome {
        self.call(op, 0, "done", "").await.unwrap()
    }

    async fn effects(&self) -> Vec<String> {
        self.connection.clone().lrange("effects", 0, -1).await.unwrap()
    }

    async fn reset(&self) {
        let _: () = redis::cmd("FLUSHDB").query_async(&mut self.connection.clone()).await.unwrap();
    }

    async fn ttl(&self) -> i64 {
        self.connection.clone().pttl("trine:{order-1/stock}").await.unwrap()
    }
}

fn context(op: Op, fence: u64) -> BranchContext {
    let mut context = BranchContext::new("order-1".parse().unwrap(), "stock".parse().unwrap(), op);
    context.fence = fence;
    context
}

fn is_refused(outcome: &Outcome) -> bool {
    matches!(outcome, Outcome::Refused(_))
}

const PAIRS: [(Op, Op); 3] =
    [(Op::Action, Op::Compensate), (Op::Try, Op::Cancel), (Op::Prepare, Op::Rollback)];

#[tokio::test]
async fn a_duplicate_gets_the_first_answer_and_no_second_effect() {
    let service = Service::new().await;
    let first = service.call(Op::Action, 0, "done", "{\"id\":7}").await.unwrap();
    let second = service.call(Op::Action, 0, "done", "{\"id\":8}").await.unwrap();
    assert_eq!((&first, &second), (&Outcome::Done(json!({"id": 7})), &first));
    assert_eq!(service.effects().await, ["action"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn concurrent_duplicates_have_one_effect() {
    let service = Service::new().await;
    let calls = (0..16).map(|_| service.done(Op::Try));
    let answers = futures_util::future::join_all(calls).await;
    assert!(answers.iter().all(|answer| *answer == Outcome::empty()));
    assert_eq!(service.effects().await, ["try"]);
}

#[tokio::test]
async fn an_undo_of_what_never_ran_has_no_effect_and_blocks_it() {
    let service = Service::new().await;
    for (forward, undo) in PAIRS {
        service.reset().await;
        assert_eq!(service.done(undo).await, Outcome::empty());
        assert_eq!(service.done(undo).await, Outcome::empty());
        assert!(is_refused(&service.done(forward).await));
        assert_eq!(service.effects().await, [""; 0]);
    }
}

#[tokio::test]
async fn what_ran_is_undone_once_and_stays_undone() {
    let service = Service::new().await;
    for (forward, undo) in PAIRS {
        service.reset().await;
        for op in [forward, undo, forward, undo] {
            service.done(op).await;
        }
        assert_eq!(service.effects().await, [forward.as_str(), undo.as_str()]);
    }
}

#[tokio::test]
async fn a_refusal_is_remembered_and_needs_no_undoing() {
    let service = Service::new().await;
    for (forward, undo) in PAIRS {
        service.reset().await;
        assert_eq!(service.call(forward, 0, "refused", "").await.unwrap(), Outcome::refused("short"));
        assert_eq!(service.done(forward).await, Outcome::refused("short"));
        assert_eq!(service.done(undo).await, Outcome::empty());
        assert_eq!(service.effects().await, [""; 0]);
    }
}

#[tokio::test]
async fn confirm_and_undo_exclude_each_other() {
    let service = Service::new().await;
    for (forward, confirm, undo) in
        [(Op::Try, Op::Confirm, Op::Cancel), (Op::Prepare, Op::Commit, Op::Rollback)]
    {
        service.reset().await;
        let early = service.call(confirm, 0, "done", "").await;
        assert!(matches!(early, Err(RedisBarrierError::NothingToConfirm(_))), "{early:?}");
        service.done(forward).await;
        service.done(confirm).await;
        let late = service.call(undo, 0, "done", "").await;
        assert!(matches!(late, Err(RedisBarrierError::AlreadyPermanent(_))), "{late:?}");
        assert_eq!(service.effects().await, [forward.as_str(), confirm.as_str()]);
    }
}

#[tokio::test]
async fn a_read_only_vote_is_repeated_and_has_nothing_to_commit() {
    let service = Service::new().await;
    for _ in 0..2 {
        let vote = service.call(Op::Prepare, 0, "read_only", "").await.unwrap();
        assert_eq!(vote, Outcome::DoneReadOnly);
    }
    assert_eq!(service.done(Op::Commit).await, Outcome::empty());
    assert_eq!(service.effects().await, ["prepare"]);
}

#[tokio::test]
async fn a_call_with_a_lower_fence_has_no_effect() {
    let service = Service::new().await;
    service.call(Op::Try, 7, "done", "").await.unwrap();
    let waiting = Effect::new("return 'ongoing', 250");
    let ongoing = service.barrier.execute(&context(Op::Confirm, 9), &waiting, &[], &[]).await.unwrap();
    assert_eq!(ongoing, Outcome::Ongoing(Some(Duration::from_millis(250))));
    let late = service.call(Op::Confirm, 8, "done", "").await;
    let Err(RedisBarrierError::Fenced(fenced)) = late else { panic!("{late:?}") };
    assert_eq!((fenced.fence, fenced.highest), (8, 9));
    // What is on record is answered; what carries the highest passes.
    assert_eq!(service.call(Op::Try, 7, "done", "").await.unwrap(), Outcome::empty());
    service.call(Op::Confirm, 9, "done", "").await.unwrap();
    assert_eq!(service.effects().await, ["try", "confirm"]);
}

#[tokio::test]
async fn an_effect_that_fails_before_it_writes_runs_again_and_after_it_does_not() {
    let service = Service::new().await;
    let early = Effect::new("redis.call('GET', KEYS[1]) error('no stock known')");
    let failed = service.barrier.execute(&context(Op::Action, 0), &early, &["x"], &[]).await;
    assert!(
        matches!(&failed, Err(RedisBarrierError::Failed { reason, .. }) if reason.contains("no stock known"))
    );
    let late = Effect::new("redis.call('RPUSH', KEYS[1], 'half') redis.call('INCR', KEYS[1])");
    for _ in 0..2 {
        let broken = service.barrier.execute(&context(Op::Action, 0), &late, &["effects"], &[]).await;
        let Err(RedisBarrierError::HalfDone { reason, .. }) = broken else { panic!("{broken:?}") };
        assert!(reason.contains("WRONGTYPE"), "{reason}");
    }
    let undo = service.call(Op::Compensate, 0, "done", "").await;
    assert!(matches!(undo, Err(RedisBarrierError::HalfDone { .. })), "{undo:?}");
    assert_eq!(service.effects().await, ["half"]);
    // A person has put it right.
    let _: () = service.connection.clone().hdel("trine:{order-1/stock}", "action").await.unwrap();
    service.done(Op::Action).await;
    assert_eq!(service.effects().await, ["half", "action"]);
}

#[tokio::test]
async fn a_refusal_after_a_write_is_no_refusal() {
    let service = Service::new().await;
    let effect = Effect::new("redis.call('RPUSH', KEYS[1], 'half') return 'refused', 'short'");
    let broken = service.barrier.execute(&context(Op::Action, 0), &effect, &["effects"], &[]).await;
    assert!(matches!(broken, Err(RedisBarrierError::HalfDone { .. })), "{broken:?}");
}

#[tokio::test]
async fn branches_and_tags_do_not_meet() {
    let service = Service::new().await;
    let call = async |barrier: &RedisBarrier, gid: &str, branch: &str| {
        let context = BranchContext::new(gid.parse().unwrap(), branch.parse().unwrap(), Op::Action);
        barrier.execute(&context, &service.note, &["effects"], &["action", "done", ""]).await.unwrap();
    };
    for (gid, branch) in [("a", "b"), ("a:b", "c"), ("a", "b:c"), ("A", "b"), ("a.b", "c")] {
        call(&service.barrier, gid, branch).await;
    }
    call(&service.barrier.tagged("a").unwrap(), "a", "b").await;
    assert_eq!(service.effects().await.len(), 6);
    for tag in ["", "a}b", "{"] {
        assert!(matches!(service.barrier.tagged(tag), Err(RedisBarrierError::BadTag)));
    }
}

#[tokio::test]
async fn branches_are_forgotten_when_they_are_old_and_not_reserved() {
    let service = Service::new().await;
    service.done(Op::Action).await;
    assert_eq!(service.ttl().await, -1, "for ever, unless asked");
    service.reset().await;
    let short = service.barrier.clone().keep(KEEP_MIN - Duration::from_millis(1));
    assert!(matches!(short, Err(RedisBarrierError::KeptTooShort)));
    let service = Service { barrier: service.barrier.clone().keep(KEEP_MIN).unwrap(), ..service };
    service.done(Op::Try).await;
    assert_eq!(service.ttl().await, -1, "a reservation nobody has decided");
    service.done(Op::Confirm).await;
    let ttl = service.ttl().await;
    assert!((86_000_000..=86_400_000).contains(&ttl), "{ttl}");
    service.reset().await;
    service.done(Op::Compensate).await;
    assert!(service.ttl().await > 86_000_000);
}

#[tokio::test]
async fn a_redis_that_is_killed_remembers() {
    let server = tokio::task::spawn_blocking(Redis::start).await.unwrap();
    let service = Service::at(&server.url()).await;
    service.call(Op::Try, 4, "done", "7").await.unwrap();
    let server = tokio::task::spawn_blocking(move || {
        server.kill();
        server.start_again();
        server
    })
    .await
    .unwrap();
    let service = Service::at(&server.url()).await;
    assert_eq!(service.call(Op::Try, 5, "done", "8").await.unwrap(), Outcome::Done(json!(7)));
    assert_eq!(service.effects().await, ["try"]);
}

#[tokio::test]
async fn an_answer_that_is_lost_is_an_error_and_the_repetition_finds_the_record() {
    let server = tokio::task::spawn_blocking(Redis::start).await.unwrap();
    let service = Service::at(&server.url()).await;
    service.done(Op::Deliver).await;
    server.pause();
    let lost = service.call(Op::Action, 0, "done", "7").await;
    assert!(matches!(lost, Err(RedisBarrierError::Redis(_))), "{lost:?}");
    server.resume();
    let again = Service::at(&server.url()).await;
    assert_eq!(again.call(Op::Action, 0, "done", "8").await.unwrap(), Outcome::Done(json!(7)));
    assert_eq!(again.effects().await, ["deliver", "action"]);
}

#[tokio::test]
async fn a_call_of_somebody_else_has_no_effect_and_is_not_answered_from_the_record() {
    let service = Service::new().await;
    let run = async |journal: &str, payload: &str, op: Op, fence: u64| {
        let mut context = context(op, fence);
        context.journal = Some(journal.parse().unwrap());
        context.payload_digest = Some(crate::PayloadDigest::of(payload.as_bytes()));
        let args = [op.as_str(), "done", ""];
        service.barrier.execute(&context, &service.note, &["effects"], &args).await
    };
    // Calls that do not say are taken; the first that does is kept.
    service.done(Op::Try).await;
    run("one", "1", Op::Try, 1).await.unwrap();
    for (journal, payload, differs) in [("two", "1", Differs::Journal), ("one", "2", Differs::Payload)] {
        for op in [Op::Try, Op::Confirm, Op::Cancel] {
            let answer = run(journal, payload, op, 900).await;
            let Err(RedisBarrierError::Conflict(conflict)) = answer else { panic!("{op}: {answer:?}") };
            assert_eq!((conflict.op, conflict.differs), (op, differs));
        }
    }
    // Neither blocked nor fenced off by what came in between.
    run("one", "1", Op::Confirm, 2).await.unwrap();
    service.done(Op::Confirm).await;
    assert_eq!(service.effects().await, ["try", "confirm"]);
}
