//! Turns gids of dtm, which are free text, into gids of Trine.

use sha2::{Digest, Sha256};

use crate::Gid;
use crate::limits::ID_BYTES_MAX;

/// Prefix of gids that had to be escaped.
const ESCAPED: &str = "dtm:";

/// Trine's gid for a gid of dtm. A gid that Trine's grammar allows stays the same. Any other gid is escaped byte by byte, and
/// hashed if the result is too long. Different gids of dtm give different gids of Trine. `None` for the empty text.
pub fn gid_of(text: &str) -> Option<Gid> {
    if text.is_empty() {
        return None;
    }
    if !text.starts_with(ESCAPED)
        && let Ok(gid) = Gid::parse(text)
    {
        return Some(gid);
    }
    let mut escaped = String::from(ESCAPED);
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-') {
            escaped.push(char::from(byte));
        } else {
            escaped.push_str(&format!(":{byte:02x}"));
        }
    }
    if escaped.len() > ID_BYTES_MAX {
        // An escape never produces `::`, so a hashed gid cannot equal an escaped one.
        let digest = Sha256::digest(text.as_bytes());
        escaped =
            format!("{ESCAPED}::{}", digest.iter().map(|byte| format!("{byte:02x}")).collect::<String>());
    }
    Gid::parse(&escaped).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_grammar_allows_is_the_same_gid() {
        for text in ["a", "order-42", "a:b", "6ba7b810-9dad-11d1-80b4-00c04fd430c8", &"x".repeat(128)] {
            assert_eq!(gid_of(text).unwrap().as_str(), text);
        }
    }

    #[test]
    fn anything_else_is_escaped_and_stays_apart() {
        assert_eq!(gid_of("a b/ä").unwrap().as_str(), "dtm:a:20b:2f:c3:a4");
        assert_eq!(gid_of("dtm:a").unwrap().as_str(), "dtm:dtm:3aa");
        let long = gid_of(&"x".repeat(129)).unwrap();
        assert!(long.as_str().starts_with("dtm:::") && long.as_str().len() <= 128, "{long}");
        let texts = ["a b", "a:20b", "dtm:a:20b", "..", ".", "dtm:::00", &"x".repeat(200), &"x".repeat(201)];
        let gids: std::collections::BTreeSet<_> = texts.iter().map(|text| gid_of(text).unwrap()).collect();
        assert_eq!(gids.len(), texts.len());
        assert_eq!(gid_of(""), None);
    }
}
