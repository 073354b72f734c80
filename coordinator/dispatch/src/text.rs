//! Cleans text that came from outside, so that it can be kept and shown: bounded, on one line, without control characters.

use trine_protocol::limits::TEXT_BYTES_MAX;

const CUT: &str = "…";

/// At most [`TEXT_BYTES_MAX`] bytes; every run of white space and control characters becomes one space.
pub(super) fn clean(text: &str) -> String {
    let mut kept = String::with_capacity(text.len().min(TEXT_BYTES_MAX));
    let mut gap = false;
    for c in text.chars() {
        if c.is_whitespace() || c.is_control() || is_direction_mark(c) {
            gap = !kept.is_empty();
            continue;
        }
        if kept.len() + usize::from(gap) + c.len_utf8() > TEXT_BYTES_MAX {
            return cut(kept);
        }
        if std::mem::take(&mut gap) {
            kept.push(' ');
        }
        kept.push(c);
    }
    kept
}

/// Marks that reorder what a terminal or a page shows around them.
fn is_direction_mark(c: char) -> bool {
    matches!(c, '\u{200e}' | '\u{200f}' | '\u{061c}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

/// Makes room for the sign that something was cut.
fn cut(mut kept: String) -> String {
    while kept.len() + CUT.len() > TEXT_BYTES_MAX {
        kept.pop();
    }
    kept + CUT
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn control_characters_and_line_breaks_become_one_space() {
        assert_eq!(clean("  out\r\n of\u{1b}[31m stock\0\u{202e} \n"), "out of [31m stock");
        assert_eq!(clean("\n\t "), "");
    }

    #[test]
    fn text_is_bounded_and_never_cut_inside_a_character() {
        for unit in ["x", "ä", "漢", "🦀", "a b "] {
            let cleaned = clean(&unit.repeat(TEXT_BYTES_MAX + 1));
            assert!(cleaned.len() <= TEXT_BYTES_MAX, "{unit}: {}", cleaned.len());
            assert!(cleaned.len() > TEXT_BYTES_MAX - 10 && cleaned.ends_with(CUT), "{unit}");
        }
        assert_eq!(clean(&"x".repeat(TEXT_BYTES_MAX)).len(), TEXT_BYTES_MAX);
        assert!(!clean(&"x".repeat(TEXT_BYTES_MAX)).ends_with(CUT));
    }
}
