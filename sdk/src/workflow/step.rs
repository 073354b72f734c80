//! What a step's function gets: which op of which branch it is to do, and a way to call a participant with it.

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
/// A step whose record does not exist yet is run, and may therefore run again after a crash. Make it safe to repeat:
/// behind a barrier with [`Step::context`], or at a participant with [`Step::call`].
#[derive(Debug, Clone)]
pub struct Step {
    context: BranchContext,
    client: Client,
}

impl Step {
    pub(super) fn new(context: BranchContext, client: Client) -> Self {
        Self { context, client }
    }

    /// Gid, branch and op, for a [`barrier`](crate::barrier) of this service; its idempotency key is the same at every
    /// execution. The op is action or compensate; of a branch with [`Branch::on_commit`](super::Branch::on_commit), try,
    /// confirm or cancel. The fence is 0.
    pub fn context(&self) -> &BranchContext {
        &self.context
    }

    /// Calls a participant, `http(s)://..` or `name:/path`, with the payload as JSON and the headers of a coordinator's
    /// own call (a saga's; a tcc's for a branch with an `on_commit`), so that whatever serves those serves workflows.
    /// Repeated for as long as the client is patient while there is no definite answer.
    ///
    /// # Errors
    /// [`Failure::Refused`] for 409; [`Failure::Unknown`] when patience ended, the target cannot be called, or the answer
    /// is no JSON of type `T`.
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

    /// The same when the answer does not matter, as that of an undo which may have found nothing to undo.
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
            // What a handler sends with one op need not be what it sends with another.
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
