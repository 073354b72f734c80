//! What can go wrong for an initiator.

use trine_protocol::errors::Problem;

/// Why a request to the coordinator (or to a participant on behalf of an open transaction) has no answer to give.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A URL that cannot be called.
    #[error("`{url}` cannot be used: {reason}")]
    InvalidUrl {
        /// As it was given.
        url: String,
        /// What is wrong with it.
        reason: String,
    },
    /// A transaction that was put together wrongly (a gid or target that does not follow its grammar, say). Nothing was
    /// sent.
    #[error("{what}: {reason}")]
    InvalidTransaction {
        /// The part at fault.
        what: String,
        /// What is wrong with it.
        reason: String,
    },
    /// The coordinator says no, with a stable code (`TX0006` and so on).
    #[error("{}: {} ({})", .0.code, .0.detail, .0.title)]
    Refused(Box<Problem>),
    /// No answer: connecting failed, the connection broke, or time ran out. The request may have been carried out.
    #[error("no answer from {url}")]
    Transport {
        /// What was called.
        url: String,
        /// What the HTTP client says.
        #[source]
        source: reqwest::Error,
    },
    /// An answer that no coordinator gives: a proxy's, or another server's.
    #[error("{url} answered {status}, which is not an answer of a coordinator: {excerpt}")]
    NotACoordinator {
        /// What was called.
        url: String,
        /// The HTTP status.
        status: u16,
        /// The beginning of the body.
        excerpt: String,
    },
    /// A gateway's answer: between here and the coordinators stands a proxy, and no coordinator behind it answers.
    #[error("a proxy answers for {url}, and no coordinator behind it: {status}, {excerpt}")]
    Gateway {
        /// What was called.
        url: String,
        /// The HTTP status: 502, 503 or 504.
        status: u16,
        /// What the proxy calls itself; empty when it does not say.
        server: String,
        /// The beginning of the body.
        excerpt: String,
    },
    /// A stream of events did not begin in time.
    #[error("no answer from {url} within {after:?}")]
    Silent {
        /// What was called.
        url: String,
        /// How long it was waited for.
        after: std::time::Duration,
    },
    /// Still no usable answer after every attempt that time allowed. The request may have been carried out: repeat it
    /// with the same gid, or ask with [`Client::get`](crate::Client::get).
    #[error("gave up after {attempts} attempts")]
    GaveUp {
        /// How often it was tried.
        attempts: u32,
        /// How the last attempt ended.
        #[source]
        last: Box<Error>,
    },
    /// A branch names a participant of which no instance is alive right now.
    #[error("participant `{0}` has no instance that is alive")]
    NoInstance(String),
}

impl Error {
    /// Whether the same request, unchanged, may succeed later.
    pub fn is_transient(&self) -> bool {
        match self {
            Self::Transport { .. } | Self::Gateway { .. } | Self::Silent { .. } => true,
            Self::GaveUp { .. } | Self::NoInstance(_) => true,
            Self::Refused(problem) => problem.status == 503,
            // A gateway that says: the server is not there, or not now.
            Self::NotACoordinator { status, .. } => matches!(status, 429 | 502..=504),
            Self::InvalidUrl { .. } | Self::InvalidTransaction { .. } => false,
        }
    }

    /// The stable code of a refusal, such as `TX0008`.
    pub fn code(&self) -> Option<&str> {
        match self {
            Self::Refused(problem) => Some(&problem.code),
            Self::GaveUp { last, .. } => last.code(),
            _ => None,
        }
    }

    pub(crate) fn invalid(what: impl Into<String>, reason: impl std::fmt::Display) -> Self {
        Self::InvalidTransaction { what: what.into(), reason: reason.to_string() }
    }
}
