//! The label values that are not an enum of the protocol's already.

use trine_protocol::Status;

/// Beside the settled statuses: what a transaction has reached as soon as it exists.
pub(super) const REACHED_CREATED: &str = "created";

/// Beside the outcomes: the call was not made.
pub(super) const NOT_SENT: &str = "not_sent";

/// The same, and for want of something of this coordinator's own.
pub(super) const HELD: &str = "held";

/// Everything a call can end in.
pub(super) const CALL_RESULTS: [&str; 6] = ["done", "refused", "ongoing", "unknown", NOT_SENT, HELD];

/// The statuses in which a transaction is not settled.
pub(super) const UNSETTLED: [Status; 4] =
    [Status::Open, Status::Running, Status::Committing, Status::RollingBack];

/// Why a request was turned away.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AdmissionReason {
    /// Too much is in flight.
    Busy,
    /// The coordinator is shutting down.
    ShuttingDown,
    /// The store does not answer.
    StoreUnavailable,
    /// The body is larger than is read.
    BodyTooLarge,
    /// As many connections are open as may be.
    Connections,
}

impl AdmissionReason {
    /// Every reason.
    pub const ALL: [Self; 5] =
        [Self::Busy, Self::ShuttingDown, Self::StoreUnavailable, Self::BodyTooLarge, Self::Connections];

    /// The label's value.
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

/// The methods that are told apart.
const METHODS: [&str; 7] = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"];

/// Anybody may invent a method; a series of its own it does not get.
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
