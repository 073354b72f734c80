//! `wait_result`: how far a transaction has got once there is nothing to do for it now, in words for the client.

use trine_engine::{CallReport, Command, Event, Outcome, Rejection, ReplyOn, Transaction};
use trine_protocol::dtm::Terms;
use trine_protocol::dtm::result::FAILURE;
use trine_protocol::errors::Code;
use trine_protocol::{Gid, Pattern, Status};

use super::initiate::other;
use super::service::{Done, Refused, Service, Trouble};
use super::show;
use crate::clock;

/// Longest wait for a first pass. Longer than clients wait by themselves.
const PASS_MS_MAX: u64 = 60_000;

impl Service {
    /// Waits until a transaction has ended as wanted, or has nothing to do for now, and says how far that got.
    pub(super) async fn first_pass(&self, gid: &Gid, wanted: Status) -> Done {
        let until = clock::now().plus_millis(PASS_MS_MAX);
        match self.submit_for(gid, Command::Look, ReplyOn::Quiet { until }).await {
            Ok(snapshot) if snapshot.status == wanted => return Ok(()),
            Ok(_) => {}
            Err(Refused::Rejected(rejection)) => return Err(other(rejection)),
            // What was asked for is durable: this is only about how far it got.
            Err(Refused::Trouble(Trouble::Unavailable(_, after_s, _))) => return Err(not_known(after_s)),
            Err(Refused::Trouble(trouble)) => return Err(trouble),
        }
        let Some((transaction, records)) = self.load(gid).await? else {
            return Err(other(Rejection::NotFound));
        };
        if transaction.status() == wanted {
            return Ok(());
        }
        if !transaction.agenda(clock::now()).calls.is_empty() {
            // The wait was over before the pass was.
            return Err(not_known(1));
        }
        let last = records.iter().rev().find_map(|record| match &record.event {
            Event::CallAnswered { outcome: Outcome::Done { .. }, .. } => None,
            Event::CallAnswered { outcome, report, .. } => Some((outcome, report)),
            _ => None,
        });
        Err(not_yet(&transaction, &show::terms(&transaction), last))
    }
}

/// Whoever asks again gets an answer, and does no harm by it.
fn not_known(after_s: u64) -> Trouble {
    // Not turned away, so of no code that is counted as that.
    Trouble::Unavailable(
        "accepted; it goes on, and how it ends is not known yet".into(),
        after_s,
        Code::Internal,
    )
}

/// What is told when a first pass did not lead to the wanted end.
fn not_yet(transaction: &Transaction, terms: &Terms, last: Option<(&Outcome, &CallReport)>) -> Trouble {
    const NO_SUCCESS: &str = "wait result not return success: FAILURE";
    let pattern = transaction.pattern();
    let decided_no = matches!(transaction.status(), Status::RollingBack | Status::RolledBack);
    if decided_no && matches!(pattern, Pattern::Saga) || transaction.status() == Status::RolledBack {
        let reason = show::rollback_reason(transaction, terms);
        return Trouble::Failure(show::with_failure(if reason.is_empty() { NO_SUCCESS } else { &reason }));
    }
    match last {
        Some((Outcome::Ongoing { .. }, _)) if matches!(pattern, Pattern::Tcc | Pattern::TwoPhase) => {
            Trouble::Ongoing("ONGOING".into())
        }
        Some((Outcome::Unknown, report)) if pattern != Pattern::Saga => {
            let error = report.error.as_deref().unwrap_or("no usable answer");
            let text = format!(
                "your http/grpc result should be specified as in:\nthe documentation of branches: SUCCESS, FAILURE or \
                 ONGOING\nunkown result will be retried: {error}"
            );
            // A "no" where none is allowed: it is tried again, and told as what it was.
            let is_no = error.contains(FAILURE) || report.status_code.is_some_and(|code| NO.contains(&code));
            if is_no { Trouble::Failure(show::with_failure(&text)) } else { Trouble::Other(text) }
        }
        _ => Trouble::Failure(NO_SUCCESS.into()),
    }
}

/// The statuses of a "no": 409 of HTTP, `ABORTED` of gRPC.
const NO: [u16; 2] = [409, 10];
