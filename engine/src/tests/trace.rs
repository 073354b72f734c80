//! Trace tests: steps go in, what happened comes out as text.
//!
//! A test names how it begins ([`created`], [`Run::after`]) and what is seen from there on ([`Run::shows`]). The steps are
//! those of the expected text, behind `>`; `UPDATE_EXPECT=1` fills in what they lead to. A step is one of
//!
//! ```text
//! create | create other      the creation, or one with another body
//! register c | register c other
//! commit | commit_at 5000 | abort | replay | replay b | force committed | force rolled_back | quarantine
//! b.action done|read_only|refused|unknown|client_error|ongoing|ongoing 500      the answer to the attempt that is owed
//! b.action conflict          an unknown answer that no retry mends
//! b.action unsent 0 nobody   the call that is owed cannot be sent, since @0, because of "nobody"
//! b.action#1 done            the answer to an attempt by number
//! check done                 the same for an open message's check or a workflow's callback
//! resume | record 01 action done|refused | finish committed|rolled_back      a workflow's executor
//! +500                       half a second passes
//! ```
//!
//! Under a step stand the events in the order they are recorded. A line with `=` closes the step: the status, everything
//! owed, each with the time it is due at if that is not now, and the time to look again.

use std::fmt::Write;
use std::sync::{Arc, LazyLock};

use expect_test::Expect;
use trine_protocol::{BranchId, Gid, Op, Pattern, Status, Target, Timestamp};

use crate::event::{CallReport, Event, ForceTo, Outcome, ParkCause, Progress, Record, RollbackCause};
use crate::input::{Answer, CallKey, Command, Input};
use crate::spec::{
    BranchSpec, CallPolicy, Digest, Draft, OnExhausted, Payload, RetryPolicy, SharedPolicy, Spec,
};
use crate::transaction::{Transaction, advance, decide};

/// Parsed once: histories ask for it millions of times.
static GID: LazyLock<Gid> = LazyLock::new(|| Gid::parse("g").unwrap());

pub(super) fn gid() -> Gid {
    GID.clone()
}

pub(super) fn target(text: &str) -> Target {
    Target::parse(&format!("http://participant/{text}")).unwrap()
}

/// A branch from its shorthand: `b<a,c` waits for a and c. A mark in front says what it has no target for: `!` undoing,
/// `*` going forward, `^` finishing after yes.
pub(super) fn branch(pattern: Pattern, shorthand: &str) -> BranchSpec {
    let text = shorthand.trim_start_matches(['!', '*', '^']);
    let has = |mark: char| !shorthand[..shorthand.len() - text.len()].contains(mark);
    let (id, after) = text.split_once('<').unwrap_or((text, ""));
    let id = BranchId::parse(id).unwrap();
    BranchSpec {
        forward: has('*').then(|| target(id.as_str())),
        on_commit: Op::on_commit(pattern).filter(|_| has('^')).map(|op| target(op.as_str())),
        on_rollback: Op::on_rollback(pattern).filter(|_| has('!')).map(|op| target(op.as_str())),
        payload: Payload::from("{}"),
        after: after.split(',').filter(|id| !id.is_empty()).map(|id| BranchId::parse(id).unwrap()).collect(),
        call: SharedPolicy::default(),
        digest: Digest::default(),
        id,
    }
}

/// A declared transaction with these branches.
pub(super) fn declared(pattern: Pattern, branches: &str) -> Draft {
    let branches = branches.split_whitespace().map(|text| branch(pattern, text).into()).collect();
    Draft { branches, ..Draft::new(pattern) }
}

pub(super) fn saga(branches: &str) -> Draft {
    declared(Pattern::Saga, branches)
}

pub(super) fn message(branches: &str) -> Draft {
    declared(Pattern::Message, branches)
}

pub(super) fn tcc(branches: &str) -> Draft {
    declared(Pattern::Tcc, branches)
}

pub(super) fn two_phase(branches: &str) -> Draft {
    declared(Pattern::TwoPhase, branches)
}

/// An open transaction that starts with these branches.
pub(super) fn open(pattern: Pattern, branches: &str) -> Draft {
    let check = matches!(pattern, Pattern::Message | Pattern::Workflow).then(|| target("check"));
    Draft { open: true, check, ..declared(pattern, branches) }
}

/// As another dialect asks for it: what the native one needs may be left out.
pub(super) fn dialect(draft: Draft) -> Draft {
    Draft { terms: Some("other".into()), ..draft }
}

/// The same calls for every branch and for the check.
pub(super) fn calling(mut draft: Draft, call: CallPolicy) -> Draft {
    draft.check_call = call.into();
    for branch in &mut draft.branches {
        Arc::make_mut(branch).call = draft.check_call.clone();
    }
    draft
}

/// So many attempts, and what happens when they are used up.
pub(super) fn attempts(max: u32, on_exhausted: OnExhausted) -> CallPolicy {
    let retry = RetryPolicy { max_attempts: Some(max), ..RetryPolicy::default() };
    CallPolicy { retry, on_exhausted, ..CallPolicy::default() }
}

/// With a deadline, in milliseconds.
pub(super) fn deadline(millis: u64, draft: Draft) -> Draft {
    Draft { deadline_ms: Some(millis), ..draft }
}

/// Another body.
pub(super) const OTHER: Digest = Digest([7; 32]);

/// A transaction and its journal, while steps are taken.
pub(super) struct Run {
    spec: Arc<Spec>,
    now: Timestamp,
    state: Option<Transaction>,
    journal: Vec<Record>,
    trace: String,
}

/// Nothing has happened yet.
pub(super) fn absent(draft: Draft) -> Run {
    let spec = Arc::new(draft.build().expect("a test needs a spec that can be built"));
    Run { spec, now: Timestamp::default(), state: None, journal: Vec::new(), trace: String::new() }
}

/// The transaction was created.
pub(super) fn created(draft: Draft) -> Run {
    absent(draft).after("create")
}

impl Run {
    /// Takes steps that the trace does not show: they lead to where the rule begins.
    pub(super) fn after(mut self, steps: &str) -> Self {
        steps.split(';').map(str::trim).filter(|step| !step.is_empty()).for_each(|step| self.step(step));
        self
    }

    /// Takes the steps that the expected trace names, and compares what came of them.
    #[track_caller]
    pub(super) fn shows(mut self, expect: Expect) {
        self.trace.clear();
        let steps = expect.data().lines().filter_map(|line| line.trim_start().strip_prefix("> "));
        steps.for_each(|step| self.step(step));
        assert!(!self.trace.is_empty(), "a trace shows at least one step");
        expect.assert_eq(&self.trace);
    }

    pub(super) fn state(self) -> Transaction {
        self.state.expect("it was created")
    }

    /// Time passes until there is something to do.
    pub(super) fn pass(&mut self) {
        let agenda = self.state.as_ref().unwrap().agenda(self.now);
        self.now = agenda.wake_at.unwrap();
    }

    pub(super) fn now(&self) -> u64 {
        self.now.millis()
    }

    pub(super) fn records(&self) -> usize {
        self.journal.len()
    }

    /// Takes one step. The journal is folded again: it must give the same state.
    pub(super) fn step(&mut self, step: &str) {
        writeln!(self.trace, "> {step}").unwrap();
        let input = self.input(step);
        let before = self.state.clone();
        let decided = decide(self.state.as_ref(), &input, self.now);
        assert_eq!(self.state, before, "deciding changed something");
        match decided {
            Err(rejection) => writeln!(self.trace, "! {rejection}").unwrap(),
            Ok(events) if events.is_empty() => {}
            Ok(events) => {
                let (state, records) = advance(self.state.take(), &gid(), events, self.now);
                self.state = state;
                for record in &records {
                    writeln!(self.trace, "{}", event(&record.event)).unwrap();
                }
                self.journal.extend(records);
            }
        }
        let folded = Transaction::fold(&self.journal).expect("the journal of a running transaction folds");
        assert_eq!(folded, self.state, "the journal gives another state after {step:?}");
        let line =
            self.state.as_ref().map_or_else(|| "= absent".to_owned(), |state| standing(state, self.now));
        writeln!(self.trace, "{line}").unwrap();
    }

    fn input(&mut self, step: &str) -> Input {
        if let Some(millis) = step.strip_prefix('+') {
            self.now = self.now.plus_millis(millis.parse().unwrap());
            return Input::Tick;
        }
        let words: Vec<&str> = step.split_whitespace().collect();
        match words.as_slice() {
            ["create"] => Input::Command(Command::Create(Arc::clone(&self.spec))),
            ["create", "other"] => {
                let other = Draft { digest: OTHER, ..(**self.spec).clone() };
                Input::Command(Command::Create(Arc::new(other.build().unwrap())))
            }
            ["register", id, rest @ ..] => {
                let digest = if rest.is_empty() { Digest::default() } else { OTHER };
                let branch = BranchSpec { digest, ..branch(self.spec.pattern, id) };
                Input::Command(Command::Register(Arc::new(branch)))
            }
            ["commit"] => Input::Command(Command::Commit),
            ["commit_at", age] => Input::Command(Command::CommitAt { age_ms: age.parse().unwrap() }),
            ["resume"] => Input::Command(Command::Resume),
            ["record", id, op, outcome] => {
                let branch = BranchId::parse(id).unwrap();
                let (op, done) = ((*op).to_owned(), *outcome == "done");
                let progress = Progress { branch, op, done, data: Payload::default() };
                Input::Command(Command::Record(Arc::new(progress)))
            }
            ["finish", to] => {
                let committed = *to == "committed";
                let reason = (!committed).then(|| "no money".to_owned());
                Input::Command(Command::Finish { committed, reason, result: Payload::default() })
            }
            ["abort"] => Input::Command(Command::Abort { reason: Some("changed my mind".into()) }),
            ["replay", rest @ ..] => {
                let branch = rest.first().map(|id| BranchId::parse(id).unwrap());
                Input::Command(Command::Replay { branch })
            }
            ["force", to] => {
                let to = if *to == "committed" { ForceTo::Committed } else { ForceTo::RolledBack };
                Input::Command(Command::Force { to, reason: "by hand".into(), by: Some("ops".into()) })
            }
            ["quarantine"] => Input::Quarantine { detail: "it panics".into() },
            [call, "unsent", since, reason @ ..] => {
                let since = Timestamp::from_millis(since.parse().unwrap());
                let (key, tried_ms) = (self.key(call), self.now.millis_since(since));
                Input::NotSent { key, tried_ms, reason: reason.join(" ") }
            }
            [call, outcome @ ..] => Input::Answer(self.key(call), answer(outcome)),
            [] => panic!("an empty step"),
        }
    }

    fn key(&self, text: &str) -> CallKey {
        let (name, attempt) = text.split_once('#').map_or((text, None), |(name, n)| (name, Some(n)));
        let (branch, op) = name.split_once('.').map_or((None, name), |(id, op)| (Some(id), op));
        let op = Op::parse(op).unwrap_or_else(|| panic!("{op} is no op"));
        let state = self.state.as_ref().expect("an answer needs a transaction");
        let branch = branch.map(|id| state.position(&BranchId::parse(id).unwrap()).expect(text) as u32);
        let attempts = || match branch {
            None => state.check.as_ref().map_or(0, |check| check.attempts),
            Some(at) if op == Op::forward(state.pattern()) => state.branches[at as usize].forward.attempts,
            Some(at) => state.branches[at as usize].finish().attempts,
        };
        let attempt = attempt.map_or_else(|| attempts() + 1, |n| n.parse().unwrap());
        CallKey { branch, op, attempt }
    }
}

/// An answer from its words.
pub(super) fn answer(words: &[&str]) -> Answer {
    let outcome = match words {
        ["done"] => Outcome::Done { output: Payload::default(), read_only: false },
        ["read_only"] => Outcome::Done { output: Payload::default(), read_only: true },
        ["refused"] => Outcome::Refused { reason: "no".into() },
        ["unknown", ..] | ["conflict"] => Outcome::Unknown,
        ["client_error"] => Outcome::ClientError,
        ["ongoing"] => Outcome::Ongoing { retry_after_ms: None },
        ["ongoing", millis] => Outcome::Ongoing { retry_after_ms: Some(millis.parse().unwrap()) },
        other => panic!("{other:?} is no outcome"),
    };
    let error =
        words.strip_prefix(&["unknown"]).filter(|words| !words.is_empty()).map(|words| words.join(" "));
    let parks = (words == ["conflict"]).then_some(ParkCause::Conflict);
    Answer { outcome, parks, report: CallReport { error, ..CallReport::default() }, random_permille: 0 }
}

fn event(event: &Event) -> String {
    let name = event.name();
    let call = |branch: &Option<BranchId>, op: &Op| {
        branch.as_ref().map_or_else(|| op.to_string(), |id| format!("{id}.{op}"))
    };
    match event {
        Event::Created { .. }
        | Event::Started
        | Event::CommitDecided
        | Event::TakenOver
        | Event::Committed
        | Event::RolledBack => name.to_owned(),
        Event::Submitted { start_at: None } => name.to_owned(),
        Event::Submitted { start_at: Some(at) } => format!("{name}, from @{}", at.millis()),
        Event::Resumed { .. } => name.to_owned(),
        Event::Progressed { progress, .. } => {
            let outcome = if progress.done { "done" } else { "refused" };
            format!("{name} {}.{} {outcome}", progress.branch, progress.op)
        }
        Event::Finished { committed, reason, .. } => {
            let ended = if *committed { Status::Committed } else { Status::RolledBack };
            format!("{name} {ended}, {}", reason.as_deref().unwrap_or("no reason"))
        }
        Event::BranchRegistered { branch } => format!("{name} {}", branch.id),
        Event::RollbackBegun { cause, owed } => {
            let owed = owed.as_ref().map(|owed| {
                let owed: Vec<&str> = owed.iter().map(BranchId::as_str).collect();
                format!(", owed were: {}", owed.join(" "))
            });
            format!("{name}: {}{}", cause_of(cause), owed.unwrap_or_default())
        }
        Event::CallAnswered { branch, op, attempt, outcome, retry_at, report } => {
            let again = retry_at.map(|at| format!(", again @{}", at.millis())).unwrap_or_default();
            let error = report.error.as_ref().map(|text| format!(" ({text})")).unwrap_or_default();
            format!("{}#{attempt} {}{again}{error}", call(branch, op), outcome.kind())
        }
        Event::NotSent { branch, op, since, reason } => {
            format!("{name} {}, since @{}: {reason}", call(branch, op), since.millis())
        }
        Event::OpParked { branch, op, cause } => format!("{name} {}: {}", call(branch, op), cause.as_str()),
        Event::Replayed { branch, .. } => {
            branch.as_ref().map_or_else(|| name.to_owned(), |id| format!("{name} {id}"))
        }
        Event::Quarantined { detail } => format!("{name}: {detail}"),
        Event::Forced { to, reason, by } => {
            format!("{name} {}: {reason}, {}", to.status(), by.as_deref().unwrap_or("nobody"))
        }
    }
}

fn cause_of(cause: &RollbackCause) -> String {
    let kind = cause.kind();
    match cause {
        RollbackCause::Refused { branch, reason } => format!("{kind} by {branch}, {reason}"),
        RollbackCause::Exhausted { branch, reason } => {
            format!("{kind} {branch}{}", reason.as_ref().map(|text| format!(" ({text})")).unwrap_or_default())
        }
        RollbackCause::Aborted { reason } => format!("{kind}, {}", reason.as_deref().unwrap_or("no reason")),
        RollbackCause::CheckRefused { reason } => format!("{kind}, {reason}"),
        RollbackCause::Deadline { branch: None, .. } => kind.to_owned(),
        RollbackCause::Deadline { branch: Some(branch), reason } => {
            let reason = reason.as_ref().map(|text| format!(" ({text})")).unwrap_or_default();
            format!("{kind}, waiting for {branch}{reason}")
        }
    }
}

/// Where a transaction stands and what it owes, on one line.
pub(super) fn standing(state: &Transaction, now: Timestamp) -> String {
    let mut line = format!("= {}", state.status());
    if let Some(parked) = state.parked() {
        write!(line, ", parked ({parked})").unwrap();
    }
    for owed in state.owed() {
        let name = owed.key.branch.map(|at| format!("{}.", state.branches()[at as usize].spec.id));
        let due = owed.due_at.filter(|at| *at > now).map(|at| format!("@{}", at.millis()));
        let (name, due) = (name.unwrap_or_default(), due.unwrap_or_default());
        write!(line, "  {name}{}#{}{due}", owed.key.op, owed.key.attempt).unwrap();
    }
    if let Some(at) = state.agenda(now).wake_at {
        write!(line, "  wake @{}", at.millis()).unwrap();
    }
    line
}
