//! The requests of initiators: prepare, submit, abort, register. Each becomes a command, and the engine's answer is put into dtm's
//! words.

use std::sync::Arc;

use trine_engine::{Command, Rejection, Snapshot};
use trine_protocol::dtm::{BranchRequest, TransRequest, TransType};
use trine_protocol::{Gid, Pattern, Status};

use super::outcome::{CommandError, DtmError, DtmResult, duplicate, not_prepared, other, unknown};
use super::plan::{self, Topics};
use super::repeated;
use super::service::Service;
use super::show;

impl Service {
    /// Creates an open transaction. If it is open already, nothing changes.
    pub(crate) async fn prepare(&self, request: TransRequest) -> DtmResult {
        let kind = kind(&request)?;
        let gid = Self::gid(&request.gid)?;
        let found = self.create_or_find(&gid, &request, kind, true).await?;
        repeated::check(&request, kind, &found.spec)?;
        match found.status {
            Status::Open => Ok(()),
            settled => Err(wrong_state(settled, "cannot prepare")),
        }
    }

    /// Creates a running transaction, or starts a prepared one. For a workflow: ends it.
    pub(crate) async fn submit(&self, request: TransRequest) -> DtmResult {
        let kind = kind(&request)?;
        if kind == TransType::Workflow {
            return self.finish_workflow(&request).await;
        }
        let gid = Self::gid(&request.gid)?;
        let snapshot = self.start(&gid, &request, kind).await?;
        if !request.options.wait_result || snapshot.status == Status::Committed {
            return Ok(());
        }
        if !snapshot.changed && snapshot.pattern != Pattern::Saga {
            // A repeated submit also makes the waiting retries due. Not for a saga, whose attempts may be limited.
            self.hurry(&gid).await?;
        }
        self.first_pass(&gid, Status::Committed).await
    }

    /// Rolls back an open transaction.
    pub(crate) async fn abort(&self, request: TransRequest) -> DtmResult {
        let gid = Self::gid(&request.gid)?;
        let Some(found) = self.look(&gid).await? else { return Err(unknown(&request.gid)) };
        let is_message = found.pattern == Pattern::Message && found.status == Status::Open;
        let asked = TransType::parse(&request.trans_type);
        let may = matches!(asked, Some(TransType::Tcc | TransType::Xa))
            && matches!(found.status, Status::Open | Status::RollingBack);
        if !is_message && !may {
            return Err(cannot_abort(found.pattern, found.status));
        }
        let reason = Some(request.rollback_reason).filter(|reason| !reason.is_empty());
        match self.command(&gid, Command::Abort { reason }).await {
            Ok(snapshot) if is_message || snapshot.status == Status::RolledBack => return Ok(()),
            Ok(_) => {}
            Err(CommandError::Rejected(Rejection::IllegalState { status, .. })) => {
                return Err(cannot_abort(found.pattern, status));
            }
            Err(error) => return Err(error.into()),
        }
        if show::terms_of(&found.spec, &gid).wait_result {
            self.first_pass(&gid, Status::RolledBack).await
        } else {
            Ok(())
        }
    }

    /// Adds a branch, or records a workflow's progress. A repetition is an error, on which clients rely.
    pub(crate) async fn register_branch(&self, request: BranchRequest) -> DtmResult {
        let kind = TransType::parse(&request.trans_type);
        let kind = match kind {
            Some(TransType::Workflow) => return self.record_progress(request).await,
            Some(kind @ (TransType::Tcc | TransType::Xa)) => kind,
            Some(TransType::Saga | TransType::Msg) | None => {
                return Err(DtmError::Other(format!("unknow trans type: {}", request.trans_type)));
            }
        };
        let gid = Self::gid(&request.gid)?;
        let Some(found) = self.look(&gid).await? else { return Err(not_prepared(&request.gid)) };
        if found.status != Status::Open {
            return Err(not_prepared(&request.gid));
        }
        if found.pattern != plan::pattern(kind) {
            return Err(DtmError::Other(format!("this transaction is no {}", kind.as_str())));
        }
        let branch = plan::branch(&request, kind, &show::terms_of(&found.spec, &gid))?;
        match self.command(&gid, Command::Register(Arc::new(branch))).await {
            Ok(Snapshot { changed: true, .. }) => Ok(()),
            Ok(_) | Err(CommandError::Rejected(Rejection::BranchConflict(_))) => Err(duplicate()),
            Err(CommandError::Rejected(Rejection::IllegalState { .. } | Rejection::NotFound)) => {
                Err(not_prepared(&request.gid))
            }
            Err(error) => Err(error.into()),
        }
    }

    /// Makes sure that a transaction exists and runs.
    async fn start(&self, gid: &Gid, request: &TransRequest, kind: TransType) -> Result<Snapshot, DtmError> {
        let open = matches!(kind, TransType::Tcc | TransType::Xa);
        // A prepared transaction exists already, here or at another coordinator. Look first, because creating it would only fail.
        let was_prepared = open || (kind == TransType::Msg && !request.query_prepared.is_empty());
        let prepared = if was_prepared { self.look(gid).await? } else { None };
        let found = match prepared {
            Some(found) => Snapshot { changed: false, ..found },
            None => self.create_or_find(gid, request, kind, open).await?,
        };
        repeated::check(request, kind, &found.spec)?;
        match found.status {
            Status::Running | Status::Committing => Ok(found),
            Status::Open => self.decide(gid, request).await,
            // A client whose answer was lost repeats its submit, and must not be told a failure.
            Status::Committed => Ok(found),
            Status::RollingBack | Status::RolledBack if found.changed => Ok(found),
            no @ (Status::RollingBack | Status::RolledBack) => Err(wrong_state(no, CANNOT_SUBMIT)),
        }
    }

    /// Creates a transaction or finds it. Errors are in dtm's words.
    async fn create_or_find(
        &self,
        gid: &Gid,
        request: &TransRequest,
        kind: TransType,
        open: bool,
    ) -> Result<Snapshot, DtmError> {
        match self.create(gid, request, kind, open).await {
            Ok(found) => Ok(found),
            Err(CommandError::Rejected(rejection)) => Err(other(rejection)),
            // An existing transaction is found even if the request is no longer valid, for example if its topic was deleted.
            Err(CommandError::Dialect(error @ DtmError::Other(_))) => {
                self.look(gid).await?.ok_or(error).map(|found| Snapshot { changed: false, ..found })
            }
            Err(CommandError::Dialect(error)) => Err(error),
        }
    }

    /// Commits a prepared transaction.
    async fn decide(&self, gid: &Gid, request: &TransRequest) -> Result<Snapshot, DtmError> {
        let command = match plan::delay_ms(&request.custom_data) {
            Ok(age_ms) if age_ms > 0 => Command::CommitAt { age_ms },
            Ok(_) | Err(_) => Command::Commit,
        };
        match self.command(gid, command).await {
            Ok(snapshot) if snapshot.changed || snapshot.status != Status::RolledBack => Ok(snapshot),
            Ok(Snapshot { status, .. })
            | Err(CommandError::Rejected(Rejection::IllegalState { status, .. })) => {
                Err(wrong_state(status, CANNOT_SUBMIT))
            }
            Err(error) => Err(error.into()),
        }
    }

    /// Creates a transaction, or finds it by its gid. In this dialect the gid alone identifies a transaction.
    pub(super) async fn create(
        &self,
        gid: &Gid,
        request: &TransRequest,
        kind: TransType,
        open: bool,
    ) -> Result<Snapshot, CommandError> {
        let mut topics = Topics::new();
        for topic in plan::topics_of(request) {
            if let Some(urls) = self.topics().expand(topic).await? {
                topics.insert(topic.to_owned(), urls);
            }
        }
        let spec = plan::spec(request, kind, open, &topics)?;
        self.command(gid, Command::Create(Arc::new(spec))).await
    }

    /// The present state of a transaction; none if it does not exist.
    pub(super) async fn look(&self, gid: &Gid) -> Result<Option<Snapshot>, DtmError> {
        match self.command(gid, Command::Look).await {
            Ok(snapshot) => Ok(Some(snapshot)),
            Err(CommandError::Rejected(Rejection::NotFound)) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }
}

// The spelling is the wire's.
const CANNOT_SUBMIT: &str = "cannot sumbmit";

fn kind(request: &TransRequest) -> Result<TransType, DtmError> {
    let kind = TransType::parse(&request.trans_type);
    kind.ok_or_else(|| DtmError::Missing(format!("unknow trans type: {}", request.trans_type)))
}

/// FAILURE only where the transaction is certain to fail: what else is in the way says nothing about its end.
fn wrong_state(stands: Status, what: &str) -> DtmError {
    let text = format!("current status '{}', {what}", show::status(stands));
    match stands {
        Status::RollingBack | Status::RolledBack => DtmError::Failure(format!("{text}. FAILURE")),
        Status::Open | Status::Running | Status::Committing | Status::Committed => DtmError::Other(text),
    }
}

fn cannot_abort(pattern: Pattern, stands: Status) -> DtmError {
    let (kind, stands) = (plan::kind(pattern).as_str(), show::status(stands));
    DtmError::Failure(format!("trans type: '{kind}' current status '{stands}', cannot abort. FAILURE"))
}
