//! JSON as text: its depth, and its compact form. Nothing is parsed into values.

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

/// Removes white space between the tokens of valid JSON. Keys keep their order, numbers and strings their spelling.
#[must_use]
pub fn compact(json: &str) -> String {
    let mut bytes = Vec::with_capacity(json.len());
    walk(json, |byte, in_string| {
        if in_string || !matches!(byte, b' ' | b'\t' | b'\n' | b'\r') {
            bytes.push(byte);
        }
    });
    // Only ASCII white space was left out, so this is still UTF-8.
    String::from_utf8(bytes).unwrap_or_default()
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
    }

    #[test]
    fn brackets_in_strings_are_no_depth() {
        assert_eq!(depth("1"), 0);
        assert_eq!(depth(r#"{"a":[["[[[["]]}"#), 3);
        assert_eq!(depth(&format!("{}{}", "[".repeat(500), "]".repeat(500))), 500);
    }
}
