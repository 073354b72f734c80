//! Running a database transaction again that the database gave up for another one's sake: after a deadlock, or after a
//! serialization failure.
//!
//! Such a transaction is rolled back whole, so nothing has happened, and the same call may run again at once. The
//! coordinator would repeat the call as well, but later.

use std::error::Error;
use std::time::Duration;

use sqlx::error::DatabaseError;

use super::BarrierError;

/// How often an op, or a check, runs again after the first time.
const RETRIES_MAX: u32 = 5;
/// The longest pause before the next run. The pause is random, so that transactions that met once do not meet again.
const PAUSE_MS_MAX: u64 = 20;

/// SQLSTATE of a serialization failure; MySQL and MariaDB use it for a deadlock, too.
const SERIALIZATION_FAILURE: &str = "40001";
/// SQLSTATE of a deadlock on PostgreSQL.
const DEADLOCK_DETECTED: &str = "40P01";

/// The error of a [`Body`](super::Body). There is no need to implement this trait. Every `std::error::Error` has it, and so
/// have boxed errors (`Box<dyn Error + Send + Sync>`, `anyhow::Error`) and a workflow's `Failure`.
///
/// The barrier looks through the error and its sources for a deadlock. `Form` keeps the three kinds of errors apart; the
/// compiler finds it.
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be the error of a barrier's body",
    label = "the barrier looks for deadlocks in this error",
    note = "implement `std::error::Error` for it, and `From<BarrierError>`; or use `Box<dyn Error + Send + Sync>`"
)]
pub trait BodyError<Form>: From<BarrierError> + Send + 'static {
    /// The error whose chain of sources may hold the database's error.
    fn chain(&self) -> Option<&(dyn Error + 'static)>;
}

/// The [`BodyError`]s that are errors themselves.
#[derive(Debug)]
pub enum Plain {}

impl<E: Error + From<BarrierError> + Send + 'static> BodyError<Plain> for E {
    fn chain(&self) -> Option<&(dyn Error + 'static)> {
        Some(self)
    }
}

/// The [`BodyError`]s that hold an error of any type.
#[derive(Debug)]
pub enum Boxed {}

impl<E> BodyError<Boxed> for E
where
    E: AsRef<dyn Error + Send + Sync> + From<BarrierError> + Send + 'static,
{
    fn chain(&self) -> Option<&(dyn Error + 'static)> {
        Some(self.as_ref())
    }
}

/// The [`BodyError`] of a workflow's step.
#[cfg(feature = "participant")]
#[derive(Debug)]
pub enum OfWorkflow {}

#[cfg(feature = "participant")]
impl BodyError<OfWorkflow> for crate::workflow::Failure {
    fn chain(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            Self::Unknown(error) => Some(&**error),
            Self::Refused(_) | Self::Stopped(_) => None,
        }
    }
}

/// Counts the runs of one call.
#[derive(Debug, Default)]
pub(super) struct Retries(u32);

impl Retries {
    /// Whether to run again: the error is that of a transaction that was given up, and the bound is not reached.
    pub(super) fn again<Form, E: BodyError<Form>>(&mut self, error: &E) -> bool {
        let again = self.0 < RETRIES_MAX && error.chain().is_some_and(is_given_up);
        self.0 += u32::from(again);
        again
    }
}

/// A random moment, in which the other transaction can end.
pub(super) async fn pause() {
    tokio::time::sleep(Duration::from_millis(fastrand::u64(1..PAUSE_MS_MAX))).await;
}

/// Whether the error, or one of its sources, says that the database gave the transaction up for another one's sake.
fn is_given_up(error: &(dyn Error + 'static)) -> bool {
    let database_error = match error.downcast_ref::<sqlx::Error>() {
        Some(error) => error.as_database_error(),
        // The source of an error that is transparent to `sqlx::Error`.
        None => error.downcast_ref::<Box<dyn DatabaseError>>().map(|error| &**error),
    };
    let code = database_error.and_then(DatabaseError::code);
    matches!(code.as_deref(), Some(SERIALIZATION_FAILURE | DEADLOCK_DETECTED))
        || error.source().is_some_and(is_given_up)
}

#[cfg(test)]
mod tests {
    use std::borrow::Cow;
    use std::fmt;

    use sqlx::error::ErrorKind;

    use super::*;

    type BoxError = Box<dyn Error + Send + Sync>;

    /// An error as a database gives it.
    #[derive(Debug)]
    struct WithCode(&'static str);

    impl fmt::Display for WithCode {
        fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str(self.0)
        }
    }

    impl Error for WithCode {}

    impl DatabaseError for WithCode {
        fn message(&self) -> &str {
            self.0
        }
        fn code(&self) -> Option<Cow<'_, str>> {
            Some(self.0.into())
        }
        fn as_error(&self) -> &(dyn Error + Send + Sync + 'static) {
            self
        }
        fn as_error_mut(&mut self) -> &mut (dyn Error + Send + Sync + 'static) {
            self
        }
        fn into_error(self: Box<Self>) -> Box<dyn Error + Send + Sync + 'static> {
            self
        }
        fn kind(&self) -> ErrorKind {
            ErrorKind::Other
        }
    }

    fn with_code(code: &'static str) -> sqlx::Error {
        sqlx::Error::from(WithCode(code))
    }

    /// The errors that a service may have of its own.
    #[derive(Debug, thiserror::Error)]
    enum Typed {
        #[error(transparent)]
        Barrier(#[from] BarrierError),
        #[error(transparent)]
        Transparent(sqlx::Error),
        #[error("the stock cannot be read")]
        Source(#[source] sqlx::Error),
    }

    fn again<Form>(error: impl BodyError<Form>) -> bool {
        Retries::default().again(&error)
    }

    #[test]
    fn a_transaction_that_was_given_up_is_found_in_every_kind_of_error() {
        for (code, expected) in [("40001", true), ("40P01", true), ("23505", false), ("40003", false)] {
            let found = [
                again(BarrierError::from(with_code(code))),
                again(Typed::from(BarrierError::from(with_code(code)))),
                again(Typed::Transparent(with_code(code))),
                again(Typed::Source(with_code(code))),
                again(BoxError::from(with_code(code))),
                again(BoxError::from(Typed::Source(with_code(code)))),
            ];
            assert_eq!(found, [expected; 6], "{code}");
        }
        assert!(!again(BoxError::from("disk full")));
        assert!(!again(BarrierError::Database(sqlx::Error::PoolTimedOut)));
    }

    #[cfg(feature = "participant")]
    #[test]
    fn a_transaction_that_was_given_up_is_found_in_a_workflows_failure() {
        use crate::workflow::Failure;
        assert!(again(Failure::from(with_code("40001"))));
        assert!(!again(Failure::from(with_code("23505"))));
        assert!(!again(Failure::refused("40001")));
    }

    #[test]
    fn there_is_a_bound_and_other_errors_do_not_count() {
        let mut retries = Retries::default();
        assert!(!retries.again(&BarrierError::Interrupted));
        let deadlock = BarrierError::from(with_code("40P01"));
        let runs_again = (0..20).filter(|_| retries.again(&deadlock)).count();
        assert_eq!(runs_again, 5);
    }
}
