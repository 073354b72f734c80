//! Stable error codes, and the problem document (RFC 9457) of every refusal.

use std::fmt;

use serde::{Deserialize, Serialize};

/// A stable code; each has a page `docs/errors/<code>.md` with cause and remedy.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Code {
    /// The body is not JSON.
    MalformedJson,
    /// A field is unknown, missing, of the wrong type or out of range; `field` names it.
    InvalidField,
    /// The body is larger than the coordinator reads.
    BodyTooLarge,
    /// More branches than one transaction may have.
    TooManyBranches,
    /// A branch names a participant that was never registered.
    UnknownParticipant,
    /// The gid belongs to a transaction with another body.
    GidConflict,
    /// The branch id belongs to a branch with another body.
    BranchConflict,
    /// The transaction's state does not allow this.
    IllegalState,
    /// No such transaction.
    TransactionNotFound,
    /// Too much is in flight; try again after `Retry-After`.
    Busy,
    /// The store does not answer; nothing is known to be lost, try again.
    StoreUnavailable,
    /// A defect in the coordinator; the log has the details under the correlation id.
    Internal,
    /// The body is not declared as `application/json`.
    UnsupportedMediaType,
    /// No such path.
    RouteNotFound,
    /// The path exists, but not with this method.
    MethodNotAllowed,
    /// The coordinator is shutting down; ask another one or try again.
    ShuttingDown,
    /// The transaction has no such branch.
    BranchNotFound,
    /// No such participant instance.
    ParticipantNotFound,
    /// A query parameter or header is unusable; `field` names it.
    InvalidParameter,
    /// The body did not arrive in time.
    BodyTimeout,
    /// The journal of the transaction cannot be read, and no repetition mends that.
    DamagedRecord,
    /// As many instances of participants are registered as may be.
    TooManyParticipants,
    /// The coordinator is not to be sent anything; `detail` says why.
    NotReady,
}

impl Code {
    /// Every code, for documentation and checks.
    pub const ALL: [Self; 23] = [
        Self::MalformedJson,
        Self::InvalidField,
        Self::BodyTooLarge,
        Self::TooManyBranches,
        Self::UnknownParticipant,
        Self::GidConflict,
        Self::BranchConflict,
        Self::IllegalState,
        Self::TransactionNotFound,
        Self::Busy,
        Self::StoreUnavailable,
        Self::Internal,
        Self::UnsupportedMediaType,
        Self::RouteNotFound,
        Self::MethodNotAllowed,
        Self::ShuttingDown,
        Self::BranchNotFound,
        Self::ParticipantNotFound,
        Self::InvalidParameter,
        Self::BodyTimeout,
        Self::DamagedRecord,
        Self::TooManyParticipants,
        Self::NotReady,
    ];

    /// The code as it is written, HTTP status, and title.
    fn row(self) -> (&'static str, u16, &'static str) {
        match self {
            Self::MalformedJson => ("TX0001", 400, "The body is not valid JSON"),
            Self::InvalidField => ("TX0002", 422, "A field of the body cannot be used"),
            Self::BodyTooLarge => ("TX0003", 413, "The body is too large"),
            Self::TooManyBranches => ("TX0004", 422, "Too many branches"),
            Self::UnknownParticipant => ("TX0005", 422, "No such participant"),
            Self::GidConflict => ("TX0006", 409, "The gid belongs to another transaction"),
            Self::BranchConflict => ("TX0007", 409, "The branch id belongs to another branch"),
            Self::IllegalState => ("TX0008", 409, "The transaction's state does not allow this"),
            Self::TransactionNotFound => ("TX0009", 404, "No such transaction"),
            Self::Busy => ("TX0010", 503, "The coordinator is busy"),
            Self::StoreUnavailable => ("TX0011", 503, "The store is not available"),
            Self::Internal => ("TX0012", 500, "Internal error"),
            Self::UnsupportedMediaType => ("TX0013", 415, "The body must be application/json"),
            Self::RouteNotFound => ("TX0014", 404, "No such path"),
            Self::MethodNotAllowed => ("TX0015", 405, "Method not allowed"),
            Self::ShuttingDown => ("TX0016", 503, "The coordinator is shutting down"),
            Self::BranchNotFound => ("TX0017", 404, "No such branch"),
            Self::ParticipantNotFound => ("TX0018", 404, "No such participant instance"),
            Self::InvalidParameter => ("TX0019", 400, "A parameter or header cannot be used"),
            Self::BodyTimeout => ("TX0020", 408, "The body did not arrive in time"),
            Self::DamagedRecord => ("TX0021", 500, "The transaction's journal cannot be read"),
            Self::TooManyParticipants => ("TX0022", 429, "Too many participants are registered"),
            Self::NotReady => ("TX0023", 503, "The coordinator is not ready"),
        }
    }

    /// `TX0001` and so on.
    pub fn as_str(self) -> &'static str {
        self.row().0
    }

    /// The HTTP status that goes with it.
    pub fn http_status(self) -> u16 {
        self.row().1
    }

    /// One line for people.
    pub fn title(self) -> &'static str {
        self.row().2
    }

    /// Whether the same request may succeed later without being changed.
    pub fn is_transient(self) -> bool {
        matches!(self, Self::Busy | Self::StoreUnavailable | Self::ShuttingDown | Self::NotReady)
    }
}

impl fmt::Display for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// `application/problem+json` (RFC 9457) with a stable `code`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Problem {
    /// `urn:trine:error:<code>`.
    #[serde(rename = "type")]
    pub type_uri: String,
    /// One line, the same for every occurrence of the code.
    pub title: String,
    /// The HTTP status.
    pub status: u16,
    /// What was wrong this time, and what to do.
    pub detail: String,
    /// The stable code, e.g. `TX0006`.
    pub code: String,
    /// The field, parameter or header at fault, as a path such as `branches[1].action`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub field: Option<String>,
    /// The transaction in question.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub gid: Option<String>,
}

impl Problem {
    /// A problem with the code's own title and status.
    pub fn new(code: Code, detail: impl Into<String>) -> Self {
        Self {
            type_uri: format!("urn:trine:error:{code}"),
            title: code.title().into(),
            status: code.http_status(),
            detail: detail.into(),
            code: code.as_str().into(),
            field: None,
            gid: None,
        }
    }

    /// Names the field at fault.
    #[must_use]
    pub fn with_field(mut self, field: impl Into<String>) -> Self {
        self.field = Some(field.into());
        self
    }

    /// Names the transaction.
    #[must_use]
    pub fn with_gid(mut self, gid: impl fmt::Display) -> Self {
        self.gid = Some(gid.to_string());
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_are_unique_and_numbered_without_gaps() {
        for (position, code) in Code::ALL.into_iter().enumerate() {
            assert_eq!(code.as_str(), format!("TX{:04}", position + 1));
        }
    }
}
