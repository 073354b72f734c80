//! `wait_result`: the state of a transaction after its first pass, when nothing is due for it at the moment.
//!
//! A client that is told FAILURE may do the same operation again under another gid. So FAILURE is said only if the transaction is
//! certain not to end as wanted. A transaction that goes on is ONGOING, whatever a participant answered last.

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

/// Longest wait for a first pass. Clients give up sooner.
const PASS_MAX: Duration = Duration::from_secs(60);

impl Service {
    /// Waits until a transaction has ended or nothing is due for it. An error says that it has not ended as wanted.
    pub(super) async fn first_pass(&self, gid: &Gid, wanted: Status) -> DtmResult {
        let until = self.handle.within(PASS_MAX);
        crate::http::release_body_memory();
        match self.submit_for(gid, Command::Look, ReplyOn::Quiet { until }).await {
            Ok(snapshot) if snapshot.status == wanted => return Ok(()),
            Ok(_) => {}
            Err(CommandError::Rejected(rejection)) => return Err(other(rejection)),
            // The request itself is durable; only the present state could not be read.
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

/// The answer if the state is not known. Repeating the request is harmless.
fn not_known(after_s: u64) -> DtmError {
    // The request was not refused for lack of capacity, so it must not be counted as such.
    DtmError::Unavailable(
        "accepted; it goes on, and how it ends is not known yet".into(),
        after_s,
        Code::Internal,
    )
}

/// The answer for a transaction that has not reached the wanted end.
fn not_yet(transaction: &Transaction, terms: &Terms, wanted: Status, last: Option<String>) -> DtmError {
    let status = transaction.status();
    match wanted {
        // The rollback is decided and durable, so the end is certain.
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

/// The newest answer that was neither a success nor "ongoing", as text.
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
    // Clients search the whole reply for these words, whatever the status is.
    let error = if [FAILURE, SUCCESS].iter().any(|word| error.contains(word)) {
        "a participant said no where it has no say"
    } else {
        error
    };
    Some(format!("it is tried again, after {error}"))
}
