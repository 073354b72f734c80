//! Texts for the status of a participant's answer: an HTTP status (100 and up) or a gRPC status (0 to 16). The two do
//! not overlap, so one field can hold either.

/// The names of gRPC statuses, by number.
const GRPC: [&str; 17] = [
    "OK",
    "CANCELLED",
    "UNKNOWN",
    "INVALID_ARGUMENT",
    "DEADLINE_EXCEEDED",
    "NOT_FOUND",
    "ALREADY_EXISTS",
    "PERMISSION_DENIED",
    "RESOURCE_EXHAUSTED",
    "FAILED_PRECONDITION",
    "ABORTED",
    "OUT_OF_RANGE",
    "UNIMPLEMENTED",
    "INTERNAL",
    "UNAVAILABLE",
    "DATA_LOSS",
    "UNAUTHENTICATED",
];

/// The name of a gRPC status; none for other numbers.
pub fn grpc_name(code: u16) -> Option<&'static str> {
    GRPC.get(usize::from(code)).copied()
}

/// `HTTP 409` or `grpc status 10 ABORTED`.
pub fn in_words(code: u16) -> String {
    match grpc_name(code) {
        Some(name) => format!("grpc status {code} {name}"),
        None => format!("HTTP {code}"),
    }
}

/// `409` or `10 ABORTED`, for tables.
pub fn in_short(code: u16) -> String {
    grpc_name(code).map_or_else(|| code.to_string(), |name| format!("{code} {name}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn statuses_of_both_kinds_have_words() {
        assert_eq!((in_words(409), in_short(409)), ("HTTP 409".into(), "409".into()));
        assert_eq!((in_words(10), in_short(10)), ("grpc status 10 ABORTED".into(), "10 ABORTED".into()));
        assert_eq!(in_words(0), "grpc status 0 OK");
        assert_eq!(grpc_name(16), Some("UNAUTHENTICATED"));
        assert_eq!(grpc_name(17), None);
    }
}
