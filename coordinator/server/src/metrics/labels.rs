//! Label values that are not enums of the protocol.

use trine_protocol::Status;

/// Label for a created transaction, beside the settled statuses.
pub(super) const REACHED_CREATED: &str = "created";

/// Label for a call that could not be sent, beside the outcomes.
pub(super) const NOT_SENT: &str = "not_sent";

/// Label for a call that this coordinator held back.
pub(super) const HELD: &str = "held";

/// All labels for the end of a call.
pub(super) const CALL_RESULTS: [&str; 6] = ["done", "refused", "ongoing", "unknown", NOT_SENT, HELD];

/// The statuses of an unsettled transaction.
pub(super) const UNSETTLED: [Status; 4] =
    [Status::Open, Status::Running, Status::Committing, Status::RollingBack];

/// Why a request was refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AdmissionReason {
    /// Too much is in flight.
    Busy,
    ShuttingDown,
    StoreUnavailable,
    /// The body is larger than the limit.
    BodyTooLarge,
    /// The limit of connections is reached.
    Connections,
}

impl AdmissionReason {
    pub const ALL: [Self; 5] =
        [Self::Busy, Self::ShuttingDown, Self::StoreUnavailable, Self::BodyTooLarge, Self::Connections];

    pub fn as_str(self) -> &'static str {
        match self {
            Self::Busy => "busy",
            Self::ShuttingDown => "shutting_down",
            Self::StoreUnavailable => "store_unavailable",
            Self::BodyTooLarge => "body_too_large",
            Self::Connections => "connections",
        }
    }
}

/// Methods with a label of their own.
const METHODS: [&str; 7] = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"];

/// The label of a method. Unknown methods share one, so clients cannot create series.
pub(super) fn method(method: &str) -> &'static str {
    METHODS.into_iter().find(|known| *known == method).unwrap_or("other")
}

/// `2xx` and so on.
pub(super) fn status_class(status: u16) -> &'static str {
    match status {
        100..=199 => "1xx",
        200..=299 => "2xx",
        300..=399 => "3xx",
        400..=499 => "4xx",
        500..=599 => "5xx",
        _ => "other",
    }
}
