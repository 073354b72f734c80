//! JSON as text: its depth, and its compact form. Nothing is parsed into values.

use std::borrow::Cow;

/// The deepest nesting of a JSON payload, input, output or result. Deeper nesting is refused: many JSON readers recurse, and a
/// participant's stack must not overflow.
pub const DEPTH_MAX: usize = 64;

/// The nesting depth of valid JSON.
#[must_use]
pub fn depth(json: &str) -> usize {
    let (mut now, mut deepest) = (0_usize, 0_usize);
    outside_strings(json, |byte| match byte {
        b'{' | b'[' => {
            now += 1;
            deepest = deepest.max(now);
        }
        b'}' | b']' => now = now.saturating_sub(1),
        _ => {}
    });
    deepest
}

/// Whether valid JSON nests deeper than [`DEPTH_MAX`].
#[must_use]
pub fn is_too_deep(json: &str) -> bool {
    // To count the brackets is much faster than to follow them, and few documents have so many.
    let opening = json.bytes().filter(|byte| matches!(byte, b'{' | b'[')).count();
    opening > DEPTH_MAX && depth(json) > DEPTH_MAX
}

/// Removes white space between the tokens of valid JSON. Keys keep their order, numbers and strings their spelling.
#[must_use]
pub fn compact(json: &str) -> Cow<'_, str> {
    if !json.bytes().any(is_white_space) {
        return json.into();
    }
    let mut bytes = Vec::with_capacity(json.len());
    walk(json, |byte, in_string| {
        if in_string || !is_white_space(byte) {
            bytes.push(byte);
        }
    });
    // Only ASCII white space was left out, so this is still UTF-8.
    String::from_utf8(bytes).unwrap_or_default().into()
}

fn is_white_space(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t' | b'\n' | b'\r')
}

fn outside_strings(json: &str, mut visit: impl FnMut(u8)) {
    walk(json, |byte, in_string| {
        if !in_string {
            visit(byte);
        }
    });
}

/// Visits every byte, and says whether it belongs to a string (quotes included).
fn walk(json: &str, mut visit: impl FnMut(u8, bool)) {
    let (mut in_string, mut escaped) = (false, false);
    for byte in json.bytes() {
        if in_string {
            visit(byte, true);
            match byte {
                _ if escaped => escaped = false,
                b'\\' => escaped = true,
                b'"' => in_string = false,
                _ => {}
            }
        } else {
            in_string = byte == b'"';
            visit(byte, in_string);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_insignificant_white_space_goes() {
        let json = "{ \"b\" : [ 1.0 , \"x \\\" \\\\\" ] ,\n\t\"a\" : { } }";
        assert_eq!(compact(json), r#"{"b":[1.0,"x \" \\"],"a":{}}"#);
        assert_eq!(compact(" null "), "null");
        assert!(matches!(compact(r#"{"b":[1.0,""]}"#), Cow::Borrowed(r#"{"b":[1.0,""]}"#)));
    }

    #[test]
    fn brackets_in_strings_are_no_depth() {
        assert_eq!(depth("1"), 0);
        assert_eq!(depth(r#"{"a":[["[[[["]]}"#), 3);
        assert_eq!(depth(&format!("{}{}", "[".repeat(500), "]".repeat(500))), 500);
    }

    #[test]
    fn only_nested_brackets_count_towards_the_limit() {
        let nested = |levels: usize| format!("{}{}", "[".repeat(levels), "]".repeat(levels));
        assert!(!is_too_deep(&nested(DEPTH_MAX)) && is_too_deep(&nested(DEPTH_MAX + 1)));
        assert!(!is_too_deep(&format!("[{}[]]", "[],".repeat(DEPTH_MAX))));
        assert!(!is_too_deep(&format!("\"{}\"", "[".repeat(DEPTH_MAX + 1))));
    }
}
