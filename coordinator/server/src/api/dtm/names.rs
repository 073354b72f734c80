//! Names that clients choose: gids, ops and topics. Every wire and every participant must see the same name.
//!
//! If a wire changed a name, two names could become one, and the second transaction would never run. So a name that a wire would
//! change is refused and not cleaned.

use super::outcome::DtmError;

/// The rule, for the error text.
const RULE: &str = "may hold no `;`, no line break or other control character, no white space at its ends and nothing \
                    that is not UTF-8: it would not arrive everywhere as it was sent; choose another";

/// Refuses a name that is not kept byte for byte.
pub(super) fn ensure_kept(what: &str, name: &str) -> Result<(), DtmError> {
    if is_kept(name) { Ok(()) } else { Err(DtmError::Unfit(format!("{what}: {RULE}"))) }
}

fn is_kept(name: &str) -> bool {
    // dtm's server and clients drop `;` and line breaks. gRPC metadata cannot contain control characters and loses white
    // space at the ends. Bytes that are not UTF-8 were replaced when the request was read, so two such names look alike.
    let is_lost = |c: char| c == ';' || c.is_control() || c == char::REPLACEMENT_CHARACTER;
    !name.contains(is_lost) && name.trim() == name
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_some_wire_would_change_are_refused() {
        for name in [
            "pay;7",
            "pay\n7",
            "pay\r7",
            "pay\t7",
            "pay\0",
            "\u{85}",
            "pay ",
            " pay",
            "\u{a0}pay",
            "pay\u{fffd}",
        ] {
            let error = ensure_kept("gid", name).unwrap_err();
            assert!(
                matches!(&error, DtmError::Unfit(text) if text.starts_with("gid: ")),
                "{name:?} {error:?}"
            );
        }
    }

    #[test]
    fn names_that_only_look_strange_are_kept() {
        for name in ["", "pay7", "a b", "a/b?c=d&e", "ä", "a\u{308}", "PAY7", "dtm:x", "支付", "\"'"] {
            assert_eq!(ensure_kept("gid", name), Ok(()), "{name:?}");
        }
    }
}
