//! Times, durations and foreign text in the form people read. All times are UTC.

use trine_protocol::Timestamp;

const SECOND: u64 = 1_000;
const MINUTE: u64 = 60 * SECOND;
const HOUR: u64 = 60 * MINUTE;
const DAY: u64 = 24 * HOUR;

/// Foreign text for a terminal: control and direction-changing characters are shown, never obeyed.
pub(crate) fn clean(text: &str) -> String {
    let is_direction =
        |c: char| matches!(c, '\u{200e}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
    let mut cleaned = String::with_capacity(text.len());
    for c in text.chars() {
        if c.is_control() || is_direction(c) {
            cleaned.extend(c.escape_default());
        } else {
            cleaned.push(c);
        }
    }
    cleaned
}

/// How long, in at most two units: `850ms`, `4.2s`, `3m 20s`, `2h 5m`, `4d 3h`.
pub(crate) fn span(millis: u64) -> String {
    let pair = |big: u64, big_name: &str, small: u64, small_name: &str| match millis % big / small {
        0 => format!("{}{big_name}", millis / big),
        rest => format!("{}{big_name} {rest}{small_name}", millis / big),
    };
    match millis {
        0..SECOND => format!("{millis}ms"),
        SECOND..MINUTE => format!("{}.{}s", millis / SECOND, millis % SECOND / 100),
        MINUTE..HOUR => pair(MINUTE, "m", SECOND, "s"),
        HOUR..DAY => pair(HOUR, "h", MINUTE, "m"),
        _ => pair(DAY, "d", HOUR, "h"),
    }
}

/// Since the first event: `+0.000s`, `+12.345s`, `+3m 20s`.
pub(crate) fn offset(millis: u64) -> String {
    if millis < MINUTE {
        format!("+{}.{:03}s", millis / SECOND, millis % SECOND)
    } else {
        format!("+{}", span(millis))
    }
}

/// `2026-01-31 12:00:00`.
pub(crate) fn date_time(at: Timestamp) -> String {
    let text = at.to_string();
    text.get(..19).unwrap_or(&text).replace('T', " ")
}

/// `2026-01-31`.
pub(crate) fn date(at: Timestamp) -> String {
    let text = at.to_string();
    text.get(..10).unwrap_or(&text).to_owned()
}

/// `12:00:00.123`.
pub(crate) fn time(at: Timestamp) -> String {
    let text = at.to_string();
    text.get(11..23).unwrap_or(&text).to_owned()
}

/// `in 4.2s (12:00:00 UTC)`; a time that is over is `due now`.
pub(crate) fn moment(at: Timestamp, now: Timestamp) -> String {
    match at.millis_since(now) {
        0 => "due now".to_owned(),
        millis if millis < DAY => format!("in {} ({} UTC)", span(millis), &time(at)[..8]),
        millis => format!("in {} ({} UTC)", span(millis), date_time(at)),
    }
}

/// `3m 20s ago`.
pub(crate) fn ago(at: Timestamp, now: Timestamp) -> String {
    format!("{} ago", span(now.millis_since(at)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_have_at_most_two_units() {
        for (millis, text) in [
            (0, "0ms"),
            (999, "999ms"),
            (4_250, "4.2s"),
            (60_000, "1m"),
            (200_000, "3m 20s"),
            (7_500_000, "2h 5m"),
            (4 * DAY + 3 * HOUR + 1, "4d 3h"),
        ] {
            assert_eq!(span(millis), text);
        }
    }

    #[test]
    fn offsets_keep_milliseconds_while_they_matter() {
        assert_eq!([0, 1_234, 59_999, 200_000].map(offset), ["+0.000s", "+1.234s", "+59.999s", "+3m 20s"]);
    }

    #[test]
    fn times_are_cut_from_the_wire_form() {
        let at = Timestamp::parse_rfc3339("2026-01-31T12:34:56.789Z").unwrap();
        assert_eq!(date_time(at), "2026-01-31 12:34:56");
        assert_eq!((date(at).as_str(), time(at).as_str()), ("2026-01-31", "12:34:56.789"));
        assert_eq!(moment(at, at), "due now");
        assert_eq!(moment(at.plus_millis(4_200), at), "in 4.2s (12:35:00 UTC)");
        assert_eq!(ago(at, at.plus_millis(200_000)), "3m 20s ago");
        assert_eq!(ago(at.plus_millis(5), at), "0ms ago");
    }

    #[test]
    fn a_participants_words_cannot_move_the_cursor() {
        assert_eq!(clean("no\u{1b}[2Jstock\n\u{202e}x é"), "no\\u{1b}[2Jstock\\n\\u{202e}x é");
    }
}
