//! The argument of a step's function: which op of which branch to do, and how to call a participant with it.

use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;
use trine_protocol::Target;

use super::{Failure, WorkflowError};
use crate::BranchContext;
use crate::client::call::Call;
use crate::client::{Client, Forward};

/// One op of one branch of a workflow.
///
/// A step that is not on record is run. So a step runs again if a crash comes between the step and its record. Make each
/// step safe to repeat: behind a barrier with [`Step::context`], or at a participant with [`Step::call`].
///
/// ```
/// # #[cfg(feature = "sqlite")] {
/// use trine_sdk::Outcome;
/// use trine_sdk::barrier::{BarrierError, SqliteBarrier};
/// use trine_sdk::workflow::{Failure, Step, Workflow, settle};
///
/// #[derive(Debug, thiserror::Error)]
/// enum Trouble {
///     #[error(transparent)]
///     Barrier(#[from] BarrierError),
///     #[error(transparent)]
///     Database(#[from] sqlx::Error),
/// }
///
/// /// A step in the service's own database. The barrier gives it one effect, however often it runs.
/// async fn take(flow: &Workflow, barrier: SqliteBarrier) -> Result<serde_json::Value, Failure> {
///     flow.branch()
///         .run(async move |step: Step| {
///             let body = async |connection: &mut sqlx::SqliteConnection| {
///                 sqlx::query("UPDATE stock SET free = free - 1").execute(connection).await?;
///                 Ok::<_, Trouble>(Outcome::empty())
///             };
///             settle(barrier.execute(step.context(), body).await?)
///         })
///         .await
/// }
/// # }
/// ```
#[derive(Debug, Clone)]
pub struct Step {
    context: BranchContext,
    client: Client,
}

impl Step {
    pub(super) fn new(context: BranchContext, client: Client) -> Self {
        Self { context, client }
    }

    /// Gid, branch and op, for a [`barrier`](crate::barrier) of this service. The idempotency key is the same at every
    /// execution. The op is action or compensate. For a branch with [`Branch::on_commit`](super::Branch::on_commit) the op
    /// is try, confirm or cancel. The fence is 0.
    pub fn context(&self) -> &BranchContext {
        &self.context
    }

    /// Calls a participant at `http(s)://..` or `name:/path`, with the payload as JSON. The call has the headers of a
    /// coordinator's own call (a saga's; a tcc's for a branch with an `on_commit`), so participants of sagas and tcc serve
    /// workflows as they are. While there is no definite answer, the call is repeated for as long as
    /// [`ClientBuilder::retry_for`](crate::ClientBuilder::retry_for) says.
    ///
    /// # Errors
    /// [`Failure::Refused`] for 409. [`Failure::Unknown`] if there was no definite answer in time, the target cannot be
    /// called, or the answer is no JSON of type `T`.
    pub async fn call<P, T>(&self, target: impl AsRef<str>, payload: &P) -> Result<T, Failure>
    where
        P: Serialize + ?Sized,
        T: DeserializeOwned,
    {
        let target = target.as_ref();
        let output = self.ask(target, payload).await?;
        let what = format!("the answer of {target}");
        serde_json::from_value(output).map_err(|error| WorkflowError::json(what, &error).into())
    }

    /// As [`Step::call`], when the answer does not matter: an undo may have found nothing to undo.
    ///
    /// # Errors
    /// As [`Step::call`].
    pub async fn tell<P>(&self, target: impl AsRef<str>, payload: &P) -> Result<(), Failure>
    where
        P: Serialize + ?Sized,
    {
        self.ask(target.as_ref(), payload).await.map(|_| ())
    }

    async fn ask<P: Serialize + ?Sized>(&self, target: &str, payload: &P) -> Result<Value, Failure> {
        let target = Target::parse(target)?;
        let payload = serde_json::to_vec(payload)?;
        let BranchContext { gid, branch, op, pattern, .. } = &self.context;
        let call = Call {
            gid,
            branch,
            op: *op,
            pattern: *pattern,
            target: &target,
            payload: &payload,
            journal: self.context.journal.as_ref(),
            // A handler may send another payload with each op.
            one_payload: false,
            timeout: None,
        };
        match self.client.drive(&call).await? {
            Forward::Done(output) => Ok(output),
            Forward::ReadOnly => Ok(Value::Null),
            Forward::Refused(reason) => Err(Failure::Refused(reason)),
            Forward::Unknown(why) => Err(Failure::unknown(format!("{target}: {why}"))),
        }
    }
}
