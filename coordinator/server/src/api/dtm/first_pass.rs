//! `wait_result`: how far a transaction has got once there is nothing to do for it now, in words for the client.
//!
//! A client that is told FAILURE may do its business again under another gid. So FAILURE is said only where the end is
//! certain to be the other one; a transaction that goes on is ONGOING, whatever a participant answered last.

use std::time::Duration;

use trine_engine::{Command, Event, Outcome, Record, Rejection, ReplyOn, Transaction};
use trine_protocol::dtm::Terms;
use trine_protocol::dtm::result::{FAILURE, ONGOING, SUCCESS};
use trine_protocol::errors::Code;
use trine_protocol::{Gid, Status};

use super::outcome::{CommandError, DtmError, DtmResult, other};
use super::plan;
use super::service::Service;
use super::show;

/// Longest wait for a first pass. Longer than clients wait by themselves.
const PASS_MAX: Duration = Duration::from_secs(60);

impl Service {
    /// Waits until a transaction has ended as wanted, or has nothing to do for now, and says how far that got.
    pub(super) async fn first_pass(&self, gid: &Gid, wanted: Status) -> DtmResult {
        let until = self.handle.within(PASS_MAX);
        crate::http::body_is_used();
        match self.submit_for(gid, Command::Look, ReplyOn::Quiet { until }).await {
            Ok(snapshot) if snapshot.status == wanted => return Ok(()),
            Ok(_) => {}
            Err(CommandError::Rejected(rejection)) => return Err(other(rejection)),
            // What was asked for is durable: this is only about how far it got.
            Err(CommandError::Dialect(DtmError::Unavailable(_, after_s, _))) => {
                return Err(not_known(after_s));
            }
            Err(CommandError::Dialect(error)) => return Err(error),
        }
        let Some((transaction, records)) = self.load(gid).await? else {
            return Err(other(Rejection::NotFound));
        };
        if transaction.status() == wanted {
            return Ok(());
        }
        Err(not_yet(&transaction, &show::terms(&transaction), wanted, last_answer(&records)))
    }
}

/// Whoever asks again gets an answer, and does no harm by it.
fn not_known(after_s: u64) -> DtmError {
    // Not turned away, so of no code that is counted as that.
    DtmError::Unavailable(
        "accepted; it goes on, and how it ends is not known yet".into(),
        after_s,
        Code::Internal,
    )
}

/// What is told when a first pass did not lead to the wanted end.
fn not_yet(transaction: &Transaction, terms: &Terms, wanted: Status, last: Option<String>) -> DtmError {
    let status = transaction.status();
    match wanted {
        // Decided, and durable: what remains is to undo it.
        Status::Committed if matches!(status, Status::RollingBack | Status::RolledBack) => {
            let reason = show::rollback_reason(transaction, terms);
            let reason = if reason.is_empty() { "wait result not return success:" } else { &reason };
            DtmError::Failure(show::with_failure(reason))
        }
        Status::RolledBack if status == Status::Committed => {
            let kind = plan::kind(transaction.pattern()).as_str();
            DtmError::Failure(format!("trans type: '{kind}' was ended as succeed, by force. FAILURE"))
        }
        _ => DtmError::Ongoing(last.map_or_else(|| ONGOING.into(), |last| format!("{ONGOING}: {last}"))),
    }
}

/// The newest answer that was no success and no mere "later", for a person to read.
fn last_answer(records: &[Record]) -> Option<String> {
    let (outcome, report) = records.iter().rev().find_map(|record| match &record.event {
        Event::CallAnswered { outcome: Outcome::Done { .. }, .. } => None,
        Event::CallAnswered { outcome, report, .. } => Some((outcome, report)),
        _ => None,
    })?;
    if !matches!(outcome, Outcome::Unknown) {
        return None;
    }
    let error = report.error.as_deref().unwrap_or("no usable answer");
    // Clients search whole replies for these words, whatever the status is.
    let error = if [FAILURE, SUCCESS].iter().any(|word| error.contains(word)) {
        "a participant said no where it has no say"
    } else {
        error
    };
    Some(format!("it is tried again, after {error}"))
}
