//! Who waits until there is nothing to do for now, and whether a command led to what it is told.

use super::*;
use crate::event::Progress;
use crate::spec::Payload;

const QUIET: ReplyOn = ReplyOn::Quiet { until: Timestamp::from_millis(1_000_000) };

fn one() -> Draft {
    declared(Pattern::Saga, "a")
}

/// A bench on which somebody waits for `g` to be quiet, while its first call is under way.
fn waiting(draft: Draft) -> Bench {
    let mut bench = Bench::new();
    bench.tell(1, "g", create(draft), QUIET);
    bench.commit();
    assert_eq!((bench.replies.len(), bench.calls.len()), (0, 1), "a call is under way");
    bench
}

fn workflow() -> Draft {
    open(Pattern::Workflow, "")
}

fn step() -> Command {
    let branch = BranchId::parse("01").unwrap();
    let progress = Progress { branch, op: "action".into(), done: true, data: Payload::default() };
    Command::Record(Arc::new(progress))
}

fn changes(bench: &Bench) -> Vec<(u64, bool)> {
    let changed = |result: &Result<Snapshot, Rejection>| result.as_ref().unwrap().changed;
    bench.replies.iter().map(|(ticket, result)| (*ticket, changed(result))).collect()
}

#[test]
fn quiet_is_told_when_it_is_settled() {
    let mut bench = waiting(one());
    bench.answer("done");
    assert!(bench.replies.is_empty(), "the end is not durable");
    bench.commit();
    assert_eq!(bench.told(), [(1, Ok(Status::Committed))]);
}

#[test]
fn quiet_is_told_when_everything_waits_for_later_and_that_is_durable() {
    let mut bench = waiting(one());
    bench.answer("ongoing");
    assert!(bench.replies.is_empty(), "the answer is not durable");
    bench.commit();
    assert_eq!(bench.told(), [(1, Ok(Status::Running))]);
}

#[test]
fn quiet_is_not_told_while_another_branch_is_being_called() {
    let mut bench = Bench::new();
    bench.tell(1, "g", create(declared(Pattern::Saga, "a b")), QUIET);
    bench.commit();
    bench.answer("unknown");
    bench.commit();
    assert!(bench.replies.is_empty(), "b is under way");
    bench.answer("unknown");
    bench.commit();
    assert_eq!(bench.told(), [(1, Ok(Status::Running))]);
}

#[test]
fn quiet_is_not_told_between_one_step_and_the_next() {
    let mut bench = waiting(saga());
    bench.answer("done");
    bench.commit();
    assert_eq!((bench.replies.len(), bench.under_way()), (0, vec!["g/b.action#1".to_owned()]));
    bench.answer("refused");
    bench.commit();
    assert!(bench.replies.is_empty(), "b is being undone");
    bench.answer("unknown");
    bench.commit();
    assert_eq!(bench.told(), [(1, Ok(Status::RollingBack))]);
}

#[test]
fn quiet_is_not_told_while_a_call_waits_for_room() {
    let mut bench = waiting(one());
    let call = bench.calls.remove(0);
    bench.handle(Message::NotSent {
        gid: g("g"),
        key: call.key,
        retry_at: bench.now.plus_millis(50),
        reason: None,
    });
    assert!(bench.replies.is_empty());
    bench.wait(50);
    assert_eq!((bench.replies.len(), bench.calls.len()), (0, 1));
    bench.answer("unknown");
    bench.commit();
    assert_eq!(bench.told(), [(1, Ok(Status::Running))]);
}

#[test]
fn quiet_is_not_told_while_a_call_is_withheld() {
    let mut bench = Bench::running(declared(Pattern::Tcc, "a"));
    bench.answer("done");
    bench.tell(2, "g", create(declared(Pattern::Tcc, "a")), QUIET);
    assert!(bench.replies.is_empty(), "confirm is withheld until the decision is durable");
    bench.commit();
    assert_eq!((bench.replies.len(), bench.under_way()), (0, vec!["g/a.confirm#1".to_owned()]));
}

#[test]
fn quiet_is_not_told_while_a_call_is_due_though_nobody_has_looked_yet() {
    let mut bench = waiting(one());
    bench.answer("ongoing 100");
    bench.now = bench.now.plus_millis(100);
    bench.commit();
    assert!(bench.replies.is_empty(), "the repetition came due while the answer was written");
    bench.wait(0);
    assert_eq!(bench.under_way(), ["g/a.action#2"]);
    bench.answer("done");
    bench.commit();
    assert_eq!(bench.told(), [(1, Ok(Status::Committed))]);
}

#[test]
fn quiet_is_not_told_while_a_start_or_a_deadline_is_due_though_nobody_has_looked_yet() {
    let mut bench = Bench::new();
    bench.tell(1, "g", create(Draft { start_delay_ms: 100, ..one() }), QUIET);
    bench.now = bench.now.plus_millis(100);
    bench.commit();
    assert!(bench.replies.is_empty());
    bench.wait(0);
    bench.commit();
    assert_eq!((bench.replies.len(), bench.under_way()), (0, vec!["g/a.action#1".to_owned()]));
}

#[test]
fn quiet_is_told_at_once_when_nothing_is_to_be_done_for_now() {
    let mut bench = Bench::running(one());
    bench.answer("ongoing");
    bench.commit();
    bench.tell(2, "g", create(one()), QUIET);
    assert_eq!(bench.told(), [(2, Ok(Status::Running))]);
}

#[test]
fn quiet_is_told_at_once_of_what_has_settled() {
    let mut bench = Bench::running(one());
    bench.answer("done");
    bench.commit();
    bench.tell(2, "g", create(one()), QUIET);
    bench.commit();
    bench.load();
    assert_eq!(bench.told(), [(2, Ok(Status::Committed))]);
}

#[test]
fn quiet_is_told_of_what_waits_for_its_initiator_or_its_start() {
    for draft in [open(Pattern::Tcc, "a"), Draft { start_delay_ms: 5_000, ..one() }, workflow()] {
        let mut bench = Bench::new();
        bench.tell(1, "g", create(draft), QUIET);
        assert!(bench.replies.is_empty(), "it is not durable");
        bench.commit();
        assert_eq!(bench.replies.len(), 1);
    }
}

#[test]
fn quiet_is_told_of_what_is_parked() {
    let mut bench = waiting(limited("a"));
    bench.answer("unknown");
    bench.commit();
    assert!(bench.replies[0].1.as_ref().unwrap().parked);
}

#[test]
fn quiet_is_told_at_its_time_at_the_latest() {
    let mut bench = Bench::new();
    bench.tell(1, "g", create(one()), ReplyOn::Quiet { until: Timestamp::from_millis(500) });
    bench.commit();
    bench.wait(499);
    assert!(bench.replies.is_empty());
    bench.wait(1);
    assert_eq!(bench.told(), [(1, Ok(Status::Running))]);
    bench.answer("done");
    bench.commit();
    assert_eq!(bench.replies.len(), 1, "nobody is told twice");
}

#[test]
fn a_rejection_does_not_wait_for_quiet() {
    let mut bench = Bench::running(one());
    bench.tell(2, "g", create(Draft { digest: OTHER, ..one() }), QUIET);
    assert_eq!(bench.told(), [(2, Err(Rejection::GidConflict))]);
}

#[test]
fn who_waits_for_the_end_is_not_told_that_it_is_quiet() {
    let mut bench = Bench::new();
    bench.tell(1, "g", create(one()), FAR);
    bench.tell(2, "g", create(one()), QUIET);
    bench.commit();
    bench.answer("ongoing");
    bench.commit();
    assert_eq!(bench.told(), [(2, Ok(Status::Running))]);
    bench.wait(1_000);
    bench.answer("done");
    bench.commit();
    assert_eq!(bench.told()[1..], [(1, Ok(Status::Committed))]);
}

#[test]
fn who_waits_for_quiet_is_not_forgotten_with_a_lost_batch() {
    for written in [false, true] {
        let mut bench = Bench::new();
        bench.tell(1, "g", create(one()), QUIET);
        bench.fail(written);
        bench.load();
        if !written {
            bench.commit();
        }
        assert_eq!((bench.replies.len(), bench.under_way()), (0, vec!["g/a.action#1".to_owned()]));
        bench.answer("ongoing");
        bench.fail(written);
        bench.load();
        if !written {
            assert!(bench.replies.is_empty(), "the answer is being written again");
            bench.commit();
        }
        assert_eq!(bench.told(), [(1, Ok(Status::Running))], "written: {written}");
    }
}

#[test]
fn who_waits_for_quiet_goes_on_waiting_when_it_is_read_again() {
    let mut bench = waiting(one());
    bench.shard.handle_lapse();
    bench.pump();
    bench.load();
    assert!(bench.replies.is_empty(), "the call is still under way");
    bench.answer("ongoing");
    bench.commit();
    assert_eq!(bench.told(), [(1, Ok(Status::Running))]);
}

#[test]
fn quiet_that_comes_while_it_is_read_again_is_told_when_it_has_been_read() {
    let mut bench = waiting(one());
    bench.answer("ongoing");
    bench.shard.handle_lapse();
    bench.commit();
    assert!(bench.replies.is_empty(), "whose it is, is being read");
    bench.load();
    assert_eq!(bench.told(), [(1, Ok(Status::Running))]);
}

#[test]
fn quiet_that_a_call_leaves_which_was_not_sent_and_is_no_longer_due_is_told() {
    let mut bench = Bench::new();
    bench.send(1, "g", create(workflow()));
    bench.commit();
    bench.wait(10_000);
    let callback = bench.calls.remove(0);
    bench.tell(2, "g", Command::Resume, QUIET);
    bench.commit();
    assert_eq!(bench.replies.len(), 1, "the callback is under way");
    bench.handle(Message::NotSent {
        gid: g("g"),
        key: callback.key,
        retry_at: bench.now.plus_millis(50),
        reason: None,
    });
    assert_eq!(bench.told()[1..], [(2, Ok(Status::Open))]);
    bench.wait(50);
    assert!(bench.calls.is_empty(), "and it is not offered again before its new time");
}

/// A bench on which somebody waits for the quiet of what another coordinator drives.
fn waiting_elsewhere(draft: Draft, until: u64) -> Bench {
    let mut bench = Bench::new();
    bench.elsewhere("g", create(draft.clone()));
    bench.foreign.insert(g("g"));
    let until = Timestamp::from_millis(until);
    bench.tell(1, "g", create(draft), ReplyOn::Quiet { until });
    bench.commit();
    bench.load();
    bench
}

#[test]
fn quiet_of_what_somebody_else_drives_is_told_when_its_journal_says_so() {
    let mut bench = waiting_elsewhere(one(), 1_000_000);
    assert!(bench.replies.is_empty(), "its action is due there");
    bench.wait(500);
    bench.load();
    assert!(bench.replies.is_empty(), "its action is still due there");
    let key = CallKey { branch: Some(0), op: Op::Action, attempt: 1 };
    bench.happens_elsewhere("g", &Input::Answer(key, answer(&["ongoing", "60000"])));
    bench.wait(500);
    bench.load();
    assert_eq!(bench.told(), [(1, Ok(Status::Running))]);
    assert!(bench.calls.is_empty() && bench.shard.is_empty(), "and it is left to who drives it");
}

#[test]
fn quiet_of_what_somebody_else_drives_is_told_at_once_when_it_waits_for_its_initiator() {
    let bench = waiting_elsewhere(open(Pattern::Tcc, "a"), 1_000_000);
    assert_eq!(bench.told(), [(1, Ok(Status::Open))]);
}

#[test]
fn quiet_of_what_somebody_else_drives_is_told_by_its_end_or_its_time() {
    let mut bench = waiting_elsewhere(one(), 700);
    bench.wait(500);
    bench.load();
    assert!(bench.replies.is_empty());
    bench.wait(200);
    bench.load();
    assert_eq!(bench.told(), [(1, Ok(Status::Running))]);

    let mut bench = waiting_elsewhere(one(), 1_000_000);
    bench.elsewhere("g", Command::Force { to: ForceTo::Committed, reason: "by hand".into(), by: None });
    bench.wait(500);
    bench.load();
    assert_eq!(bench.told(), [(1, Ok(Status::Committed))]);
}

#[test]
fn a_command_is_told_whether_it_led_to_what_it_is_told() {
    let mut bench = Bench::new();
    bench.send(1, "g", create(workflow()));
    bench.send(2, "g", create(workflow()));
    bench.commit();
    bench.send(3, "g", step());
    bench.send(4, "g", step());
    bench.commit();
    bench.send(5, "g", create(workflow()));
    bench.send(6, "g", Command::Resume);
    bench.commit();
    assert_eq!(changes(&bench), [(1, true), (2, false), (3, true), (4, false), (5, false), (6, true)]);
}

#[test]
fn a_command_whose_batch_was_lost_is_told_what_became_of_it_the_second_time() {
    let mut bench = Bench::new();
    bench.send(1, "g", create(workflow()));
    bench.send(2, "g", create(workflow()));
    bench.fail(false);
    bench.load();
    bench.commit();
    assert_eq!(changes(&bench), [(1, true), (2, false)]);
    bench.replies.clear();
    bench.send(3, "g", step());
    bench.send(4, "g", step());
    bench.fail(false);
    bench.load();
    bench.commit();
    assert_eq!(changes(&bench), [(3, true), (4, false)]);
}

#[test]
fn a_command_whose_doubtful_batch_was_written_is_not_told_that_it_was_the_one() {
    let mut bench = Bench::new();
    bench.send(1, "g", create(workflow()));
    bench.fail(true);
    bench.load();
    assert_eq!(changes(&bench), [(1, false)]);
}

#[test]
fn a_command_that_met_the_same_from_elsewhere_is_told_that_it_was_not_the_one() {
    let mut bench = Bench::new();
    bench.elsewhere("g", create(workflow()));
    bench.send(1, "g", create(workflow()));
    bench.commit();
    bench.load();
    assert_eq!(changes(&bench), [(1, false)]);
}
