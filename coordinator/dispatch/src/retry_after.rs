//! The `Retry-After` header: seconds, or an HTTP date. Not here: what the delay is for.

use std::time::UNIX_EPOCH;

use trine_protocol::Timestamp;
use trine_protocol::limits::RETRY_AFTER_MS_MAX;

/// Shortest delay. Without it a participant that says "at once" would be asked in a busy loop.
pub(super) const RETRY_AFTER_MS_MIN: u64 = 100;

/// The delay asked for, within bounds; none when it cannot be read.
pub(super) fn parse(value: &str, now: Timestamp) -> Option<u64> {
    let value = value.trim();
    let delay_ms = if !value.is_empty() && value.bytes().all(|b| b.is_ascii_digit()) {
        // More digits than fit is still "very long".
        value.parse::<u64>().unwrap_or(u64::MAX).saturating_mul(1_000)
    } else {
        let date = httpdate::parse_http_date(value).ok()?.duration_since(UNIX_EPOCH).ok()?;
        Timestamp::from_millis(u64::try_from(date.as_millis()).ok()?).millis_since(now)
    };
    Some(delay_ms.clamp(RETRY_AFTER_MS_MIN, RETRY_AFTER_MS_MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// 1994-11-06T08:49:37Z
    const NOW: Timestamp = Timestamp::from_millis(784_111_777_000);

    #[test]
    fn seconds_and_dates_are_understood_within_bounds() {
        for (value, delay_ms) in [
            ("2", Some(2_000)),
            (" 120 ", Some(120_000)),
            ("0", Some(RETRY_AFTER_MS_MIN)),
            ("7200", Some(RETRY_AFTER_MS_MAX)),
            ("99999999999999999999999999", Some(RETRY_AFTER_MS_MAX)),
            ("Sun, 06 Nov 1994 08:49:42 GMT", Some(5_000)),
            ("Sun, 06 Nov 1994 08:49:37 GMT", Some(RETRY_AFTER_MS_MIN)),
            ("Sat, 05 Nov 1994 08:49:37 GMT", Some(RETRY_AFTER_MS_MIN)),
            ("Fri, 31 Dec 2094 08:49:37 GMT", Some(RETRY_AFTER_MS_MAX)),
            ("Sunday, 06-Nov-94 08:49:42 GMT", Some(5_000)),
            ("Sun Nov  6 08:49:42 1994", Some(5_000)),
        ] {
            assert_eq!(parse(value, NOW), delay_ms, "{value:?}");
        }
    }

    #[test]
    fn anything_else_is_no_delay() {
        for value in [
            "",
            "soon",
            "-1",
            "+1",
            "1.5",
            "1s",
            "Sun, 06 Nov 1994 08:49:37 CET",
            "Sun, 06 Nov 1994 25:49:37 GMT",
            "Sun, 31 Feb 1994 08:49:37 GMT",
            "Sun, 06 Foo 1994 08:49:37 GMT",
            "Mon, 06 Nov 1994 08:49:37 GMT",
            "Sun, 06 Nov 1994 08:49:37 GMT GMT",
        ] {
            assert_eq!(parse(value, NOW), None, "{value:?}");
        }
    }
}
