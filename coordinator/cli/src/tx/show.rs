//! `trine tx show`: where a transaction stands, its branches, and in plain words what happens next.

use trine_protocol::v1::{BranchView, CauseView, NextCall, OpState, OpView, TransactionView, WaitingOn};
use trine_protocol::{BranchId, Gid, Op, Pattern, Status, Timestamp};
use trine_sdk::Client;

use crate::client::{read, text};
use crate::failure::Failure;
use crate::human::{ago, clean, date_time, moment, span};
use crate::output;
use crate::table::{Paper, Sheet, Value};
use trine_clock as clock;

/// Calls named one by one under "what happens next".
const NEXT_SHOWN_MAX: usize = 10;

/// Prints one transaction.
pub(super) async fn run(client: &Client, gid: &Gid, json: bool) -> Result<(), Failure> {
    let body = text(client, client.get(gid)).await?;
    if json {
        return super::print_json(&body);
    }
    let view: TransactionView = read(client, &body)?;
    output::print(&render(&view, clock::now(), Paper::stdout()))
}

/// The whole page.
fn render(view: &TransactionView, now: Timestamp, paper: Paper) -> String {
    let mut text = header(view, now);
    text.push('\n');
    text.push_str(&branches(view, now, paper));
    text.push_str("\nNext:\n");
    for sentence in next(view, now) {
        text.push_str(&format!("  {sentence}\n"));
    }
    text
}

fn header(view: &TransactionView, now: Timestamp) -> String {
    let opened = if view.opened { ", opened by its initiator" } else { "" };
    let mut text = format!("{}: {} ({}{opened})\n", view.gid, view.status, view.pattern);
    let mut field = |name: &str, value: String| text.push_str(&format!("  {name:<9}{value}\n"));
    if let Some(parked) = &view.parked {
        field("parked", parked_because(parked));
    }
    if let Some(cause) = &view.cause {
        field("cause", because(cause));
    }
    if let Some(waits) = view.waiting_on.as_ref().and_then(|on| waits(on, now)) {
        field("waits", waits);
    }
    field("created", format!("{} UTC ({})", date_time(view.created_at), ago(view.created_at, now)));
    match view.settled_at {
        Some(at) => field(
            "settled",
            format!("{} UTC, after {}", date_time(at), span(at.millis_since(view.created_at))),
        ),
        None => field("last", format!("{} UTC ({})", date_time(view.updated_at), ago(view.updated_at, now))),
    }
    if let Some(at) = view.deadline_at.filter(|_| !view.settled) {
        field("deadline", format!("{} UTC", date_time(at)));
    }
    if let Some(exposure) = view.exposure {
        field("exposure", exposure.as_str().to_owned());
    }
    if !view.labels.is_empty() {
        let labels: Vec<_> = view.labels.iter().map(|(key, value)| format!("{key}={value}")).collect();
        field("labels", clean(&labels.join(" ")));
    }
    text
}

/// `for action of branch stock, in vain since 12:00:01 UTC (59s ago), 3 attempts: HTTP 500: not now`. Nothing while
/// nothing is wrong.
pub(super) fn waits(on: &WaitingOn, now: Timestamp) -> Option<String> {
    let since = on.since?;
    let whom = on.branch.as_ref().map_or("its initiator".to_owned(), |branch| format!("branch {branch}"));
    let attempts = match on.attempts {
        0 => "no attempt yet".to_owned(),
        1 => "1 attempt".to_owned(),
        many => format!("{many} attempts"),
    };
    let error = on.last_error.as_ref().map(|error| format!(": {}", clean(error))).unwrap_or_default();
    let since = format!("{} UTC ({})", date_time(since), ago(since, now));
    Some(format!("for {} of {whom}, in vain since {since}, {attempts}{error}", on.op))
}

/// `refused by branch stock: only 7 left`.
pub(crate) fn because(cause: &CauseView) -> String {
    let mut text = match cause.kind.as_str() {
        "refused" => "refused".to_owned(),
        "deadline" => "the deadline passed".to_owned(),
        "exhausted" => "all attempts used up".to_owned(),
        "check_refused" => "its initiator did not commit".to_owned(),
        other => clean(other),
    };
    if let Some(branch) = &cause.branch {
        let by = if cause.kind == "deadline" { "while it waited for" } else { "by" };
        text.push_str(&format!(" {by} branch {branch}"));
    }
    if let Some(reason) = &cause.reason {
        text.push_str(&format!(": {}", clean(reason)));
    }
    text
}

/// Why something needs a person, in words.
pub(crate) fn parked_because(cause: &str) -> String {
    match cause {
        "exhausted" => "all attempts used up".to_owned(),
        "not_sent" => "its calls could not be sent".to_owned(),
        "client_error" => "its participant answers what no retry mends".to_owned(),
        "conflict" => {
            "its participant has this gid on record from another journal, or with another payload".to_owned()
        }
        "quarantined" => "quarantined, the coordinator itself fails on it".to_owned(),
        other => clean(other),
    }
}

fn branches(view: &TransactionView, now: Timestamp, paper: Paper) -> String {
    if view.branches.is_empty() && view.check.is_none() {
        return "no branches yet\n".to_owned();
    }
    let mut sheet =
        Sheet::new(&["BRANCH", "OP", "STATE", "TRIES", "LAST", "NEXT TRY", "AFTER", "TARGET", "NOTE"])
            .right(&["TRIES"])
            .wordy(&["TARGET", "NOTE"]);
    let mut add = |branch: Option<&BranchView>, first: bool, op: &OpView| {
        let id = branch.map(|one| one.id.clone());
        let owed = view.next.iter().any(|call| call.branch == id && call.op == op.op);
        let row = Row { branch, first, op, owed };
        sheet.row(row.values(view.settled, now));
    };
    if let Some(check) = &view.check {
        add(None, true, check);
    }
    for branch in &view.branches {
        // An op that was never asked and never will be is noise, unless it is all there is of the branch.
        let never = |op: &&OpView| view.settled && op.state == OpState::Pending;
        let shown: Vec<&OpView> = branch.ops.iter().filter(|op| !never(op)).collect();
        let shown = if shown.is_empty() { branch.ops.iter().take(1).collect() } else { shown };
        for (position, op) in shown.into_iter().enumerate() {
            add(Some(branch), position == 0, op);
        }
    }
    sheet.render(paper)
}

/// One op of a branch, or of the initiator.
struct Row<'a> {
    branch: Option<&'a BranchView>,
    /// The first row of its branch: what holds for the branch stands here.
    first: bool,
    op: &'a OpView,
    /// Whether it will be called again.
    owed: bool,
}

impl Row<'_> {
    fn values(&self, settled: bool, now: Timestamp) -> [Value; 9] {
        let op = self.op;
        let stands = matches!(op.state, OpState::Waiting | OpState::Parked) || op.not_sent;
        let state = match op.state {
            OpState::Pending if settled => "not asked",
            OpState::Pending | OpState::Waiting if op.not_sent && self.owed => "not sent",
            OpState::Pending => "pending",
            // Its outcome is unknown for ever, since going back has overtaken going forward.
            OpState::Waiting if !self.owed => "abandoned",
            OpState::Waiting => "waiting",
            OpState::Done => "done",
            OpState::Refused => "refused",
            OpState::Parked => "parked",
        };
        let tries = if op.attempts == 0 { String::new() } else { op.attempts.to_string() };
        let last = op.last_outcome.map(|outcome| Value::toned(outcome.as_str(), outcome));
        let retry = op.retry_at.filter(|_| op.state == OpState::Waiting && self.owed && !op.not_sent);
        let after =
            self.branch.filter(|_| self.first).map(|branch| branch.after.as_slice()).unwrap_or_default();
        let after: Vec<&str> = after.iter().map(BranchId::as_str).collect();
        let read_only = self.first && self.branch.is_some_and(|branch| branch.read_only);
        // An error says more than that there have been too many of them.
        let reason = match (op.last_error.as_ref().filter(|_| stands), &op.reason) {
            (Some(error), _) => Some(error.clone()),
            (None, Some(reason)) if op.state == OpState::Parked => Some(parked_because(reason)),
            (None, reason) => reason.clone(),
        };
        let note: Vec<String> =
            read_only.then(|| "voted read-only".to_owned()).into_iter().chain(reason).collect();
        [
            self.branch.map_or("(initiator)", |branch| branch.id.as_str()).into(),
            op.op.as_str().into(),
            Value::toned(state, op.state),
            tries.into(),
            last.unwrap_or_else(|| "".into()),
            retry.map(|at| in_short(at, now)).unwrap_or_default().into(),
            after.join(",").into(),
            op.target.as_ref().map_or("", |target| target.as_str()).into(),
            note.join("; ").into(),
        ]
    }
}

fn in_short(at: Timestamp, now: Timestamp) -> String {
    match at.millis_since(now) {
        0 => "now".to_owned(),
        millis => format!("in {}", span(millis)),
    }
}

/// What happens next without intervention, and what an operator can do.
fn next(view: &TransactionView, now: Timestamp) -> Vec<String> {
    let gid = &view.gid;
    if view.settled && is_forced(view) {
        let by_hand = format!(
            "nothing: it was settled as {} by hand, and no participant is called any more",
            view.status
        );
        let why = format!("who and why:  trine tx history {gid}");
        return [Some(by_hand), left_standing(view), Some(why)].into_iter().flatten().collect();
    }
    match view.status {
        Status::Committed => return vec!["nothing: it is committed, every branch took effect".to_owned()],
        Status::RolledBack => {
            let undone = "nothing: it is rolled back, what may have run was undone".to_owned();
            return match left_standing(view) {
                None => vec![undone],
                Some(left) => vec!["nothing: it is rolled back".to_owned(), left],
            };
        }
        Status::Open | Status::Running | Status::Committing | Status::RollingBack => {}
    }
    let mut sentences = Vec::new();
    if view.parked.is_some() {
        sentences.push(
            "it is parked: what is parked waits for a person and is not tried again by itself".to_owned(),
        );
        sentences.push(format!("remove the cause, then:  trine tx replay {gid}"));
        // After a decision only the decided end may be given.
        let outcome = match view.status {
            Status::Committing => "committed",
            Status::RollingBack => "rolled-back",
            _ => "committed|rolled-back",
        };
        sentences
            .push(format!("or settle it by hand:    trine tx force {gid} --outcome {outcome} --reason TEXT"));
    }
    for call in view.next.iter().take(NEXT_SHOWN_MAX) {
        let whom =
            call.branch.as_ref().map_or("its initiator".to_owned(), |branch| format!("branch {branch}"));
        let when = if is_unsent(view, call) {
            "cannot be sent for now, and is offered again and again".to_owned()
        } else {
            call.due_at.map_or("now, or under way".to_owned(), |at| moment(at, now))
        };
        sentences.push(format!("{} of {whom}, attempt {}: {when}", call.op, call.attempt));
    }
    if view.next.len() > NEXT_SHOWN_MAX {
        sentences.push(format!("and {} calls more", view.next.len() - NEXT_SHOWN_MAX));
    }
    if view.status == Status::Open {
        let who = match view.pattern {
            Pattern::Workflow => {
                "its executor records its steps (see `trine tx history`) and says how it ends"
            }
            Pattern::Saga | Pattern::Tcc | Pattern::TwoPhase | Pattern::Message => {
                "its initiator registers branches, commits or aborts"
            }
        };
        sentences.push(who.to_owned());
    }
    if let Some(sentence) = view.wake_at.and_then(|at| wake(view, at, now)) {
        sentences.push(sentence);
    }
    if sentences.is_empty() {
        sentences.push(format!("nothing is due by itself; see  trine tx history {gid}"));
    }
    sentences
}

/// The branches whose effects may stand although the transaction was rolled back.
fn left_standing(view: &TransactionView) -> Option<String> {
    let branches: Vec<&str> = view.may_stand.iter().map(BranchId::as_str).collect();
    let which = if branches.len() == 1 { "branch" } else { "branches" };
    (!branches.is_empty()).then(|| {
        format!("not undone, so what they did or may have done stands: {which} {}", branches.join(", "))
    })
}

/// Whether a call that is owed cannot be sent.
fn is_unsent(view: &TransactionView, call: &NextCall) -> bool {
    let branch = view.branches.iter().find(|branch| call.branch.as_ref() == Some(&branch.id));
    let ops = branch.map_or(view.check.as_slice(), |branch| branch.ops.as_slice());
    ops.iter().any(|op| op.op == call.op && op.not_sent)
}

/// Whether an operator settled the transaction by force. A committed transaction does not state that, but its branches show it:
/// they have ops that are not done.
fn is_forced(view: &TransactionView) -> bool {
    let mut ops = view.branches.iter().flat_map(|branch| &branch.ops);
    match view.status {
        Status::Committed => ops.any(|op| matches!(op.state, OpState::Waiting | OpState::Parked)),
        _ => view.cause.as_ref().is_some_and(|cause| cause.kind == "forced"),
    }
}

/// What the coordinator does at `at` apart from the next calls: a deadline, a check, or another look.
fn wake(view: &TransactionView, at: Timestamp, now: Timestamp) -> Option<String> {
    let forward = matches!(view.status, Status::Open | Status::Running);
    if forward && view.deadline_at == Some(at) {
        return Some(format!("if it is not decided by then, it is rolled back {}", moment(at, now)));
    }
    if view.next.iter().any(|call| call.due_at.is_none() || call.due_at == Some(at)) {
        return None;
    }
    let checks =
        view.check.as_ref().is_some_and(|check| check.op == Op::Check) && view.status == Status::Open;
    let what = if checks { "the coordinator asks its initiator" } else { "the coordinator looks again" };
    Some(format!("{what} {}", moment(at, now)))
}

#[cfg(test)]
mod tests;
