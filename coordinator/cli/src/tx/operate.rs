//! `trine tx replay`, `abort` and `force`: the commands that change a transaction.

use trine_protocol::Gid;
use trine_protocol::v1::{Answer, ForceOutcome, ReplayManyAnswer, Replayed, TransactionView};
use trine_sdk::Client;
use trine_sdk::client::ReplayParked;

use super::show::{parked_because, waits};
use crate::args::{Abort, Force, Replay};
use crate::client::{ask, read, text};
use crate::failure::Failure;
use crate::output;
use trine_clock as clock;

/// Sets one parked transaction going again, or all that match.
pub(super) async fn replay(client: &Client, args: Replay, json: bool) -> Result<(), Failure> {
    let Some(gid) = &args.gid else { return replay_many(client, matching(client, args), json).await };
    let mut replay = client.replay(gid);
    if let Some(branch) = args.branch {
        replay = replay.branch(branch);
    }
    let body = text(client, replay.request()).await?;
    if json {
        return super::print_json(&body);
    }
    let replayed: Replayed = read(client, &body)?;
    let rest = if replayed.parked { "; another branch is still parked" } else { "" };
    let waits = replayed.waiting_on.as_ref().and_then(|on| waits(on, clock::now()));
    let waits = waits.map(|waits| format!("\nit has waited {waits}")).unwrap_or_default();
    output::line(&format!(
        "{gid} goes on: {}{rest}{waits}\nfollow it with: trine tx watch {gid}",
        replayed.status
    ))
}

/// What the flags ask for.
fn matching(client: &Client, args: Replay) -> ReplayParked {
    let mut replay = client.replay_parked();
    if let Some(pattern) = args.pattern {
        replay = replay.pattern(pattern);
    }
    if let Some(status) = args.status {
        replay = replay.status(status);
    }
    if let Some(host) = args.host {
        replay = replay.host(host);
    }
    if let Some((key, value)) = args.label.as_deref().and_then(|label| label.split_once('=')) {
        replay = replay.label(key, value);
    }
    if let Some(limit) = args.limit {
        replay = replay.limit(limit);
    }
    replay
}

async fn replay_many(client: &Client, replay: ReplayParked, json: bool) -> Result<(), Failure> {
    let body = text(client, replay.request()).await?;
    let answer: ReplayManyAnswer = read(client, &body)?;
    if json {
        super::print_json(&body)?;
    } else {
        output::print(&replayed_many(&answer))?;
    }
    if answer.failed == 0 { Ok(()) } else { Err(Failure::said()) }
}

fn replayed_many(answer: &ReplayManyAnswer) -> String {
    let mut text = format!("{} parked transactions matched, {} go on\n", answer.matched, answer.replayed);
    if answer.failed > 0 {
        text.push_str(&format!(
            "{} did not: settled or changed meanwhile, or the coordinator was busy; run it again\n",
            answer.failed
        ));
    }
    if answer.more {
        text.push_str("more match than were looked at; run it again\n");
    }
    text
}

/// Rolls a transaction back that is not decided yet.
pub(super) async fn abort(client: &Client, args: Abort, json: bool) -> Result<(), Failure> {
    let gid = &args.gid;
    let body = text(client, client.abort(gid, args.reason.as_deref())).await?;
    if json {
        return super::print_json(&body);
    }
    let answer: Answer = read(client, &body)?;
    let follow =
        if answer.settled { String::new() } else { format!("; follow it with: trine tx watch {gid}") };
    output::line(&format!("{gid} is {}{follow}", answer.status))
}

/// Settles a transaction by force, after asking.
pub(super) async fn force(client: &Client, args: Force, json: bool) -> Result<(), Failure> {
    if !args.yes && !asked(client, &args).await? {
        return Err(Failure::usage("nothing was changed"));
    }
    let mut force = client.force(&args.gid, args.outcome, args.reason);
    if let Some(by) = args.by.filter(|by| !by.is_empty()) {
        force = force.by(by);
    }
    let body = text(client, force.request()).await?;
    if json {
        return super::print_json(&body);
    }
    let answer: Answer = read(client, &body)?;
    output::line(&format!("{} is {}, by your word", args.gid, answer.status))
}

/// Shows the consequences, and asks.
async fn asked(client: &Client, args: &Force) -> Result<bool, Failure> {
    if !output::can_ask() {
        return Err(Failure::usage("this settles a transaction by hand, and there is no terminal to ask on")
            .hint("add --yes"));
    }
    let view = ask(client, client.get(&args.gid)).await?;
    eprint!("{}", consequence(&args.gid, &view, args.outcome));
    output::confirmed("Settle it?")
}

fn consequence(gid: &Gid, view: &TransactionView, outcome: ForceOutcome) -> String {
    let parked =
        view.parked.as_ref().map(|cause| format!(", parked: {}", parked_because(cause))).unwrap_or_default();
    let (word, promise) = match outcome {
        ForceOutcome::Committed => ("committed", "every branch has its effect"),
        ForceOutcome::RolledBack => ("rolled back", "no branch has an effect"),
    };
    format!(
        "{gid} is {} ({}{parked}).\nIt will be recorded as {word}, for ever, and no participant is called any more:\n\
         you vouch that {promise}.\n",
        view.status, view.pattern
    )
}

#[cfg(test)]
mod tests {
    use expect_test::expect;
    use serde_json::json;

    use super::*;

    #[test]
    fn a_replay_of_many_says_what_is_left() {
        let answer = ReplayManyAnswer { matched: 7, replayed: 5, failed: 2, more: true };
        expect![[r"
            7 parked transactions matched, 5 go on
            2 did not: settled or changed meanwhile, or the coordinator was busy; run it again
            more match than were looked at; run it again
        "]]
        .assert_eq(&replayed_many(&answer));
    }

    #[test]
    fn force_says_what_the_operator_vouches_for() {
        let view: TransactionView = serde_json::from_value(json!({
            "gid": "o-1", "pattern": "saga", "status": "rolling_back", "settled": false, "opened": false, "labels": {},
            "parked": "exhausted", "seq": 3, "created_at": "2026-01-31T11:00:00Z",
            "updated_at": "2026-01-31T11:10:00Z", "branches": [], "next": []
        }))
        .unwrap();
        expect![[r"
            o-1 is rolling_back (saga, parked: all attempts used up).
            It will be recorded as rolled back, for ever, and no participant is called any more:
            you vouch that no branch has an effect.
        "]]
        .assert_eq(&consequence(&Gid::parse("o-1").unwrap(), &view, ForceOutcome::RolledBack));
    }
}
