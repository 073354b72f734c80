//! Whole pages of `trine tx show`, from documents as the API writes them.

use expect_test::{Expect, expect};
use serde_json::{Value as Json, json};

use super::*;

fn check(view: Json, expected: Expect) {
    let view: TransactionView = serde_json::from_value(view).unwrap();
    let now = Timestamp::parse_rfc3339("2026-01-31T12:01:00Z").unwrap();
    expected.assert_eq(&render(&view, now, Paper::PIPE));
}

#[test]
fn a_transaction_under_way_says_which_call_comes_when() {
    check(
        json!({
            "gid": "order-42", "pattern": "saga", "status": "running", "settled": false, "opened": false,
            "labels": {"customer": "7"}, "exposure": "ahead", "seq": 5, "created_at": "2026-01-31T12:00:00Z",
            "updated_at": "2026-01-31T12:00:57Z", "deadline_at": "2026-01-31T12:05:00Z",
            "branches": [
                {"id": "stock", "exposed": true, "ops": [
                    {"op": "action", "state": "done", "attempts": 1, "target": "inventory:/stock/reserve", "last_outcome": "done"},
                    {"op": "compensate", "state": "pending", "attempts": 0, "target": "inventory:/stock/release"}]},
                {"id": "order", "after": ["stock"], "exposed": true, "ops": [
                    {"op": "action", "state": "waiting", "attempts": 3, "target": "http://127.0.0.1:7001/orders/create",
                     "retry_at": "2026-01-31T12:01:02.500Z", "last_outcome": "unknown"}]}],
            "next": [{"branch": "order", "op": "action", "attempt": 4, "due_at": "2026-01-31T12:01:02.500Z"}],
            "wake_at": "2026-01-31T12:01:02.500Z"
        }),
        expect![[r"
            order-42: running (saga)
              created  2026-01-31 12:00:00 UTC (1m ago)
              last     2026-01-31 12:00:57 UTC (3.0s ago)
              deadline 2026-01-31 12:05:00 UTC
              exposure ahead
              labels   customer=7

            BRANCH  OP          STATE    TRIES  LAST     NEXT TRY  AFTER  TARGET
            stock   action      done         1  done                      inventory:/stock/reserve
            stock   compensate  pending                                   inventory:/stock/release
            order   action      waiting      3  unknown  in 2.5s   stock  http://127.0.0.1:7001/orders/create

            Next:
              action of branch order, attempt 4: in 2.5s (12:01:02 UTC)
        "]],
    );
}

#[test]
fn a_transaction_that_cannot_be_sent_says_since_when_and_why() {
    check(
        json!({
            "gid": "g-1", "pattern": "saga", "status": "running", "settled": false, "opened": false, "labels": {}, "seq": 2,
            "created_at": "2026-01-31T12:00:00Z", "updated_at": "2026-01-31T12:00:10Z",
            "waiting_on": {"branch": "a", "op": "action", "attempts": 0, "since": "2026-01-31T12:00:00Z",
                           "last_error": "no live instance of participant `ghost`"},
            "branches": [{"id": "a", "exposed": true, "ops": [
                {"op": "action", "state": "pending", "attempts": 0, "target": "ghost:/x", "not_sent": true,
                 "last_error": "no live instance of participant `ghost`"}]}],
            "next": [{"branch": "a", "op": "action", "attempt": 1}]
        }),
        expect![[r#"
            g-1: running (saga)
              waits    for action of branch a, in vain since 2026-01-31 12:00:00 UTC (1m ago), no attempt yet: no live instance of participant `ghost`
              created  2026-01-31 12:00:00 UTC (1m ago)
              last     2026-01-31 12:00:10 UTC (50.0s ago)

            BRANCH  OP      STATE     TARGET    NOTE
            a       action  not sent  ghost:/x  no live instance of participant `ghost`

            Next:
              action of branch a, attempt 1: cannot be sent for now, and is offered again and again
        "#]],
    );
}

#[test]
fn what_nothing_undid_is_left_standing_and_named() {
    let rolled_back = |cause: &str| {
        json!({
            "gid": "g-1", "pattern": "saga", "status": "rolled_back", "settled": true, "opened": false, "labels": {},
            "seq": 4, "created_at": "2026-01-31T12:00:00Z", "updated_at": "2026-01-31T12:00:10Z",
            "settled_at": "2026-01-31T12:00:10Z", "cause": {"kind": cause}, "may_stand": ["mail"], "next": [],
            "branches": [{"id": "mail", "exposed": true, "ops": [
                {"op": "action", "state": "waiting", "attempts": 1, "last_outcome": "unknown"}]}]
        })
    };
    for cause in ["aborted", "forced"] {
        let view: TransactionView = serde_json::from_value(rolled_back(cause)).unwrap();
        let sentences = next(&view, Timestamp::default()).join("\n");
        assert!(sentences.contains("what they did or may have done stands: branch mail"), "{sentences}");
        assert!(!sentences.contains("was undone"), "{sentences}");
    }
}

#[test]
fn a_parked_transaction_says_why_and_what_a_person_can_do() {
    check(
        json!({
            "gid": "o-1", "pattern": "tcc", "status": "committing", "settled": false, "opened": false, "labels": {},
            "parked": "exhausted", "seq": 30,
            "created_at": "2026-01-31T11:00:00Z", "updated_at": "2026-01-31T11:10:00Z",
            "branches": [
                {"id": "stock", "exposed": true, "ops": [
                    {"op": "confirm", "state": "parked", "attempts": 3, "reason": "exhausted", "last_outcome": "unknown"}]},
                {"id": "pay", "exposed": true, "ops": [
                    {"op": "confirm", "state": "parked", "attempts": 20, "reason": "exhausted", "last_outcome": "unknown",
                     "last_error": "HTTP 500: out of order\u{1b}[2J"}]}],
            "next": []
        }),
        expect![[r"
            o-1: committing (tcc)
              parked   all attempts used up
              created  2026-01-31 11:00:00 UTC (1h 1m ago)
              last     2026-01-31 11:10:00 UTC (51m ago)

            BRANCH  OP       STATE   TRIES  LAST     NOTE
            stock   confirm  parked      3  unknown  all attempts used up
            pay     confirm  parked     20  unknown  HTTP 500: out of order\u{1b}[2J

            Next:
              it is parked: what is parked waits for a person and is not tried again by itself
              remove the cause, then:  trine tx replay o-1
              or settle it by hand:    trine tx force o-1 --outcome committed --reason TEXT
        "]],
    );
}

#[test]
fn what_was_settled_by_hand_is_not_said_to_be_whole() {
    for (status, cause) in
        [("committed", Json::Null), ("rolled_back", json!({"kind": "forced", "reason": "x"}))]
    {
        let view: TransactionView = serde_json::from_value(json!({
            "gid": "o-4", "pattern": "saga", "status": status, "settled": true, "opened": false, "labels": {},
            "cause": cause, "seq": 4, "created_at": "2026-01-31T11:00:00Z", "updated_at": "2026-01-31T11:10:00Z",
            "branches": [{"id": "pay", "exposed": true, "ops": [{"op": "action", "state": "parked", "attempts": 3}]}],
            "next": []
        }))
        .unwrap();
        assert!(next(&view, view.updated_at)[0].contains("by hand"), "{status}");
    }
}

#[test]
fn a_settled_transaction_says_why_and_leaves_out_what_was_never_asked() {
    check(
        json!({
            "gid": "o-2", "pattern": "tcc", "status": "rolled_back", "settled": true, "opened": false, "labels": {},
            "cause": {"kind": "refused", "branch": "stock", "reason": "only 7 left"}, "seq": 8,
            "created_at": "2026-01-31T12:00:00Z", "updated_at": "2026-01-31T12:00:00.034Z",
            "settled_at": "2026-01-31T12:00:00.034Z",
            "branches": [{"id": "stock", "exposed": true, "ops": [
                {"op": "try", "state": "refused", "attempts": 1, "reason": "only 7 left", "last_outcome": "refused"},
                {"op": "confirm", "state": "pending", "attempts": 0},
                {"op": "cancel", "state": "done", "attempts": 1, "last_outcome": "done"}]}],
            "next": []
        }),
        expect![[r"
            o-2: rolled_back (tcc)
              cause    refused by branch stock: only 7 left
              created  2026-01-31 12:00:00 UTC (1m ago)
              settled  2026-01-31 12:00:00 UTC, after 34ms

            BRANCH  OP      STATE    TRIES  LAST     NOTE
            stock   try     refused      1  refused  only 7 left
            stock   cancel  done         1  done

            Next:
              nothing: it is rolled back, what may have run was undone
        "]],
    );
}

#[test]
fn an_open_transaction_waits_for_its_initiator_until_its_deadline() {
    check(
        json!({
            "gid": "o-3", "pattern": "tcc", "status": "open", "settled": false, "opened": true, "labels": {}, "seq": 1,
            "created_at": "2026-01-31T12:00:30Z", "updated_at": "2026-01-31T12:00:30Z",
            "deadline_at": "2026-01-31T12:01:30Z", "branches": [], "next": [], "wake_at": "2026-01-31T12:01:30Z"
        }),
        expect![[r"
            o-3: open (tcc, opened by its initiator)
              created  2026-01-31 12:00:30 UTC (30.0s ago)
              last     2026-01-31 12:00:30 UTC (30.0s ago)
              deadline 2026-01-31 12:01:30 UTC

            no branches yet

            Next:
              its initiator registers branches, commits or aborts
              if it is not decided by then, it is rolled back in 30.0s (12:01:30 UTC)
        "]],
    );
}
