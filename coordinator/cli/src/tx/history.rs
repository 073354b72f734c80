//! `trine tx history`: every event as a table; and one event as a line, for commands that print events as they happen.

use trine_protocol::v1::{CauseView, History, HistoryEvent, UnreadableRecord};
use trine_protocol::{BranchId, Gid, OutcomeKind, Timestamp, status_code};
use trine_sdk::Client;

use super::show::{because, parked_because};
use crate::client::{read, text};
use crate::failure::Failure;
use crate::human::{clean, date, offset, span, time};
use crate::output;
use crate::table::{Paper, Sheet, Tone, Value};

/// Prints the history of one transaction.
pub(super) async fn run(client: &Client, gid: &Gid, json: bool) -> Result<(), Failure> {
    let mut whole: Option<History> = None;
    let mut records = client.history(gid);
    loop {
        let body = text(client, records.page()).await?;
        let page: History = read(client, &body)?;
        let next = page.next_after_seq;
        match &mut whole {
            // One page is all there is of most: as it came.
            None if json && next.is_none() => return super::print_json(&body),
            None => whole = Some(page),
            Some(whole) => {
                whole.events.extend(page.events);
                whole.unreadable.extend(page.unreadable);
            }
        }
        match next {
            Some(seq) => records = records.after(seq),
            None => break,
        }
    }
    let Some(mut history) = whole else { return Ok(()) };
    history.next_after_seq = None;
    if json {
        let body = serde_json::to_string(&history).expect("a document of plain fields can always be written");
        return super::print_json(&body);
    }
    output::print(&render(&history, Paper::stdout()))
}

/// The events as a table. The date stands above it, unless it took more than a day.
pub(crate) fn render(history: &History, paper: Paper) -> String {
    let unreadable: String = history.unreadable.iter().map(unreadable).collect();
    let (Some(first), Some(last)) = (history.events.first(), history.events.last()) else {
        return format!("{}: no events\n{unreadable}", history.gid);
    };
    let one_day = date(first.at) == date(last.at);
    let mut sheet = Sheet::new(&[
        "TIME (UTC)",
        "OFFSET",
        "EVENT",
        "BRANCH",
        "OP",
        "TRY",
        "OUTCOME",
        "STATUS",
        "TOOK",
        "DETAIL",
    ])
    .right(&["OFFSET", "TRY", "TOOK"])
    .wordy(&["DETAIL"])
    .spare(&["OFFSET"]);
    let mut run = 0;
    for (position, event) in history.events.iter().enumerate() {
        let next = history.events.get(position + 1);
        run += 1;
        if next.is_some_and(|next| goes_on(event, next)) {
            continue;
        }
        let since = &history.events[position + 1 - run];
        let times = (run > 1).then(|| format!("{run} times since {}", time(since.at)));
        run = 0;
        let at = if one_day { time(event.at) } else { format!("{} {}", date(event.at), time(event.at)) };
        let number = |value: Option<u64>| value.map(|value| value.to_string()).unwrap_or_default();
        sheet.row([
            at.into(),
            offset(event.at.millis_since(first.at)).into(),
            Value::toned(&event.event, tone(event)),
            event.branch.as_ref().map_or("", |branch| branch.as_str()).into(),
            event.op.map(|op| op.as_str()).or(event.step.as_deref()).unwrap_or_default().into(),
            number(event.attempt.map(u64::from)).into(),
            event.outcome.map_or_else(|| "".into(), |outcome| Value::toned(outcome.as_str(), outcome)),
            event.status_code.map(status_code::in_short).unwrap_or_default().into(),
            event.duration_ms.map(span).unwrap_or_default().into(),
            times.into_iter().chain([detail(event, next)]).collect::<Vec<_>>().join("; ").into(),
        ]);
    }
    let day = if one_day { format!(" on {}", date(first.at)) } else { String::new() };
    let events = history.events.len();
    format!("{}: {events} events{day}\n\n{}{unreadable}", history.gid, sheet.render(paper))
}

/// A line about a record that is missing in the table above.
fn unreadable(record: &UnreadableRecord) -> String {
    format!("seq {} cannot be read: {} (TX0021)\n", record.seq, clean(&record.detail))
}

/// Whether `next` is another "not yet" of the same call. Such answers share a row.
fn goes_on(event: &HistoryEvent, next: &HistoryEvent) -> bool {
    let ongoing = |event: &HistoryEvent| event.outcome == Some(OutcomeKind::Ongoing) && event.error.is_none();
    ongoing(event) && ongoing(next) && (&event.branch, event.op) == (&next.branch, next.op)
}

fn tone(event: &HistoryEvent) -> Tone {
    match event.event.as_str() {
        "committed" => Tone::Good,
        "rolled_back" | "op_parked" | "quarantined" | "forced" => Tone::Bad,
        "rollback_begun" | "taken_over" => Tone::Uneasy,
        _ => Tone::Plain,
    }
}

/// Everything an event says in words, and when the next attempt was due, unless the event after it called that off.
fn detail(event: &HistoryEvent, after: Option<&HistoryEvent>) -> String {
    let mut parts: Vec<String> = Vec::new();
    match (&event.cause, &event.reason) {
        (Some(cause), reason) if event.event == "rollback_begun" => parts.push(because(&CauseView {
            kind: cause.clone(),
            // It has a column of its own.
            branch: None,
            reason: reason.clone(),
        })),
        (Some(cause), reason) if event.event == "op_parked" => {
            parts.push(parked_because(cause));
            parts.extend(reason.clone());
        }
        (cause, reason) => parts.extend(cause.iter().chain(reason).cloned()),
    }
    parts.extend(event.owed.as_deref().map(may_have_run));
    parts.extend(event.to.as_ref().map(|to| format!("to {to}")));
    parts.extend(event.by.as_ref().map(|by| format!("by {by}")));
    parts.extend(event.error.as_deref().map(|error| without_status(event, error)));
    if event.read_only {
        parts.push("voted read-only".to_owned());
    }
    let called_off = after.is_some_and(|after| after.event == "op_parked" && after.branch == event.branch);
    parts.extend(
        event
            .retry_at
            .filter(|_| !called_off)
            .map(|at| format!("again after {}", span(at.millis_since(event.at)))),
    );
    parts.join("; ")
}

/// The branches that a rollback undoes, where the coordinator knew which were called.
fn may_have_run(owed: &[BranchId]) -> String {
    let owed: Vec<&str> = owed.iter().map(BranchId::as_str).collect();
    if owed.is_empty() {
        "no branch has run".to_owned()
    } else {
        format!("may have run: {}", owed.join(", "))
    }
}

/// The error without the status at its beginning, which has a column of its own.
fn without_status(event: &HistoryEvent, error: &str) -> String {
    let status =
        event.status_code.map(|code| format!("{}: ", status_code::in_words(code))).unwrap_or_default();
    error.strip_prefix(&status).unwrap_or(error).to_owned()
}

/// One event as a line: `12:00:00.123  +0.034s  stock action, attempt 1: done (HTTP 200, 12ms)`.
pub(crate) fn line(event: &HistoryEvent, started_at: Timestamp) -> String {
    let mut what = event.branch.as_ref().map(ToString::to_string).unwrap_or_default();
    for part in [event.op.map(|op| op.to_string()), event.attempt.map(|attempt| format!("attempt {attempt}"))]
    {
        let Some(part) = part else { continue };
        if !what.is_empty() {
            what.push(' ');
        }
        what.push_str(&part);
    }
    let mut text = match (event.event.as_str(), event.outcome) {
        ("call_answered", Some(outcome)) => format!("{what}: {outcome}"),
        (name, _) if what.is_empty() => clean(&name.replace('_', " ")),
        (name, _) => format!("{what}: {}", clean(&name.replace('_', " "))),
    };
    let facts = [event.status_code.map(status_code::in_words), event.duration_ms.map(span)];
    let facts: Vec<String> = facts.into_iter().flatten().collect();
    if !facts.is_empty() {
        text.push_str(&format!(" ({})", facts.join(", ")));
    }
    let detail = detail(event, None);
    if !detail.is_empty() {
        text.push_str(&format!("; {}", clean(&detail)));
    }
    format!("{}  {:>8}  {text}", time(event.at), offset(event.at.millis_since(started_at)))
}

#[cfg(test)]
mod tests {
    use expect_test::expect;
    use serde_json::json;

    use super::*;

    fn history() -> History {
        serde_json::from_value(json!({ "gid": "order-42", "events": [
            {"seq": 1, "at": "2026-01-31T12:00:00.000Z", "event": "created"},
            {"seq": 2, "at": "2026-01-31T12:00:00.034Z", "event": "call_answered", "branch": "stock", "op": "action",
             "attempt": 1, "outcome": "unknown", "status_code": 500, "duration_ms": 12, "error": "HTTP 500: not now",
             "retry_at": "2026-01-31T12:00:00.234Z"},
            {"seq": 3, "at": "2026-01-31T12:00:00.250Z", "event": "call_answered", "branch": "stock", "op": "action",
             "attempt": 2, "outcome": "refused", "status_code": 409, "duration_ms": 3, "reason": "only 7 left"},
            {"seq": 4, "at": "2026-01-31T12:00:00.250Z", "event": "rollback_begun", "branch": "stock", "cause": "refused",
             "reason": "only 7 left"},
            {"seq": 5, "at": "2026-01-31T12:00:01Z", "event": "forced", "to": "rolled_back", "by": "ann", "reason": "by hand"},
            {"seq": 6, "at": "2026-01-31T12:00:01Z", "event": "rolled_back"}
        ]}))
        .unwrap()
    }

    #[test]
    fn a_history_shows_every_attempt_with_its_error() {
        expect![[r"
            order-42: 6 events on 2026-01-31

            TIME (UTC)     OFFSET  EVENT           BRANCH  OP      TRY  OUTCOME  STATUS  TOOK  DETAIL
            12:00:00.000  +0.000s  created
            12:00:00.034  +0.034s  call_answered   stock   action    1  unknown  500     12ms  not now; again after 200ms
            12:00:00.250  +0.250s  call_answered   stock   action    2  refused  409      3ms  only 7 left
            12:00:00.250  +0.250s  rollback_begun  stock                                       refused: only 7 left
            12:00:01.000  +1.000s  forced                                                      by hand; to rolled_back; by ann
            12:00:01.000  +1.000s  rolled_back
        "]]
        .assert_eq(&render(&history(), Paper::PIPE));
    }

    #[test]
    fn a_history_shows_a_takeover_and_the_branches_that_a_rollback_undoes() {
        let history = |owed: serde_json::Value| -> History {
            serde_json::from_value(json!({ "gid": "order-42", "events": [
                {"seq": 1, "at": "2026-01-31T12:00:00Z", "event": "created"},
                {"seq": 2, "at": "2026-01-31T12:00:01Z", "event": "taken_over"},
                {"seq": 3, "at": "2026-01-31T12:00:02Z", "event": "rollback_begun", "cause": "aborted", "owed": owed}
            ]}))
            .unwrap()
        };
        expect![[r"
            order-42: 3 events on 2026-01-31

            TIME (UTC)     OFFSET  EVENT           DETAIL
            12:00:00.000  +0.000s  created
            12:00:01.000  +1.000s  taken_over
            12:00:02.000  +2.000s  rollback_begun  aborted; may have run: stock, order
        "]]
        .assert_eq(&render(&history(json!(["stock", "order"])), Paper::PIPE));
        let (none, unknown) = (history(json!([])), history(json!(null)));
        assert!(render(&none, Paper::PIPE).ends_with("aborted; no branch has run\n"));
        assert!(render(&unknown, Paper::PIPE).ends_with("aborted\n"));
    }

    #[test]
    fn answers_that_say_not_yet_one_after_the_other_are_one_row_that_counts() {
        let ongoing = |seq: u64, branch: &str| {
            json!({"seq": seq, "at": format!("2026-01-31T12:00:{seq:02}Z"), "event": "call_answered", "branch": branch,
                   "op": "action", "attempt": seq, "outcome": "ongoing", "status_code": 425, "duration_ms": 1,
                   "retry_at": format!("2026-01-31T12:00:{:02}Z", seq + 1)})
        };
        let events: Vec<_> = (1..=40).map(|seq| ongoing(seq, if seq == 20 { "b" } else { "a" })).collect();
        let history: History = serde_json::from_value(json!({"gid": "g-1", "events": events})).unwrap();
        let text = render(&history, Paper::PIPE);
        assert!(text.contains("19 times since 12:00:01"), "{text}");
        assert!(text.contains("20 times since 12:00:21"), "{text}");
        assert_eq!(text.matches("call_answered").count(), 3, "{text}");
    }

    #[test]
    fn an_event_is_a_line_that_can_be_read_aloud() {
        let history = history();
        let lines: Vec<String> =
            history.events.iter().map(|event| line(event, history.events[0].at)).collect();
        expect![[r"
            12:00:00.000   +0.000s  created
            12:00:00.034   +0.034s  stock action attempt 1: unknown (HTTP 500, 12ms); not now; again after 200ms
            12:00:00.250   +0.250s  stock action attempt 2: refused (HTTP 409, 3ms); only 7 left
            12:00:00.250   +0.250s  stock: rollback begun; refused: only 7 left
            12:00:01.000   +1.000s  forced; by hand; to rolled_back; by ann
            12:00:01.000   +1.000s  rolled back"]]
        .assert_eq(&lines.join("\n"));
    }

    #[test]
    fn a_grpc_status_stands_with_its_name() {
        let history: History = serde_json::from_value(json!({ "gid": "order-42", "events": [
            {"seq": 1, "at": "2026-01-31T12:00:00.000Z", "event": "created"},
            {"seq": 2, "at": "2026-01-31T12:00:00.034Z", "event": "call_answered", "branch": "stock", "op": "action",
             "attempt": 1, "outcome": "unknown", "status_code": 14, "duration_ms": 12,
             "error": "grpc status 14 UNAVAILABLE: not now", "retry_at": "2026-01-31T12:00:00.234Z"},
            {"seq": 3, "at": "2026-01-31T12:00:00.250Z", "event": "call_answered", "branch": "stock", "op": "action",
             "attempt": 2, "outcome": "refused", "status_code": 10, "duration_ms": 3, "reason": "only 7 left"}
        ]}))
        .unwrap();
        expect![[r"
            order-42: 3 events on 2026-01-31

            TIME (UTC)     OFFSET  EVENT          BRANCH  OP      TRY  OUTCOME  STATUS          TOOK  DETAIL
            12:00:00.000  +0.000s  created
            12:00:00.034  +0.034s  call_answered  stock   action    1  unknown  14 UNAVAILABLE  12ms  not now; again after 200ms
            12:00:00.250  +0.250s  call_answered  stock   action    2  refused  10 ABORTED       3ms  only 7 left
        "]]
        .assert_eq(&render(&history, Paper::PIPE));
        assert!(
            line(&history.events[2], history.events[0].at)
                .ends_with("stock action attempt 2: refused (grpc status 10 ABORTED, 3ms); only 7 left")
        );
    }

    #[test]
    fn a_history_of_several_days_has_the_date_in_every_row() {
        let mut history = history();
        history.events[5].at = Timestamp::parse_rfc3339("2026-02-02T00:00:00Z").unwrap();
        let text = render(&history, Paper::PIPE);
        assert!(text.contains("2026-02-02 00:00:00.000"), "{text}");
        assert!(text.starts_with("order-42: 6 events\n"), "{text}");
    }

    #[test]
    fn records_that_cannot_be_read_are_named_below_the_table() {
        let mut history = history();
        history.unreadable = vec![UnreadableRecord { seq: 7, detail: "not what was written\n".to_owned() }];
        let text = render(&history, Paper::PIPE);
        assert!(text.ends_with("seq 7 cannot be read: not what was written\\n (TX0021)\n"), "{text}");
    }
}
