//! The encoding of events in the journal: JSON text that names the version of the encoding.
//!
//! [`encode`] writes the newest version, and [`decode`] reads every version that there ever was. A version is a module of
//! structs that mirror the engine's types: the engine's types change with the rules, and the journal must not. Golden files
//! (`tests/golden/journal`) pin every variant for ever.
//!
//! Gid, seq and time of a record are not part of the text. They are columns of their own.

mod v1;

#[cfg(test)]
mod golden;

use std::borrow::Cow;

use serde::Deserialize;
use trine_engine::Event;

/// Why a text is not an event.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DecodeError {
    /// The text names a version of the encoding that this program does not know.
    #[error("the event is encoded as version {0}, which only a newer version of Trine can read")]
    NewerVersion(u64),
    /// The version is known, and the event is not.
    #[error("the event is called {0:?}, which only a newer version of Trine can read")]
    UnknownEvent(String),
    #[error("the event is damaged: {0}")]
    Damaged(String),
}

impl From<serde_json::Error> for DecodeError {
    fn from(error: serde_json::Error) -> Self {
        Self::Damaged(error.to_string())
    }
}

/// What all versions have in common. Unknown fields are skipped, here and in every version: during a rolling upgrade a newer
/// coordinator may write fields that an older one does not know.
#[derive(Deserialize)]
struct Head<'a> {
    v: u64,
    #[serde(borrow, default)]
    event: Cow<'a, str>,
}

/// The journal's text of an event.
pub fn encode(event: &Event) -> String {
    v1::encode(event)
}

/// The event of a journal's text.
pub fn decode(text: &str) -> Result<Event, DecodeError> {
    let head: Head<'_> = serde_json::from_str(text)?;
    match head.v {
        v1::VERSION | v1::VERSION_OF_DIALECTS | v1::VERSION_OF_EXPOSURE => v1::decode(&head.event, text),
        0 => Err(DecodeError::Damaged("version 0 never existed".to_owned())),
        newer => Err(DecodeError::NewerVersion(newer)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_newer_version_is_named_whatever_its_shape() {
        for text in [r#"{"v":4,"event":"committed"}"#, r#"{"v":4,"what":[1,2]}"#] {
            assert_eq!(decode(text), Err(DecodeError::NewerVersion(4)));
        }
    }

    #[test]
    fn an_unknown_event_is_named() {
        let error = decode(r#"{"v":1,"event":"suspended"}"#).unwrap_err();
        assert_eq!(error, DecodeError::UnknownEvent("suspended".to_owned()));
        assert!(error.to_string().contains("newer version"), "{error}");
    }

    #[test]
    fn unknown_fields_are_skipped() {
        let text =
            r#"{"v":1,"later":{"deep":[1]},"event":"replayed","branch":"b","due_at_ms":7,"more":null}"#;
        assert!(matches!(decode(text), Ok(Event::Replayed { branch: Some(_), .. })));
    }

    #[test]
    fn what_is_damaged_is_an_error_and_no_panic() {
        for text in [
            "",
            "null",
            "[]",
            "{}",
            r#"{"v":0,"event":"committed"}"#,
            r#"{"v":-1,"event":"committed"}"#,
            r#"{"v":1}"#,
            r#"{"v":1,"event":"committed""#,
            r#"{"v":1,"event":"replayed","branch":"no spaces allowed","due_at_ms":7}"#,
            r#"{"v":1,"event":"call_answered","op":"action","attempt":1,"outcome":"refused"}"#,
            r#"{"v":1,"event":"call_answered","op":"action","attempt":1,"outcome":"done","output_hex":"0"}"#,
            r#"{"v":1,"event":"call_answered","op":"action","attempt":1,"outcome":"done","output_hex":"zz"}"#,
            r#"{"v":1,"event":"op_parked","op":"action","cause":"boredom"}"#,
            r#"{"v":1,"event":"rollback_begun","cause":"refused","reason":"no"}"#,
            r#"{"v":1,"event":"forced","to":"open","reason":"no"}"#,
        ] {
            assert!(decode(text).is_err(), "{text} was accepted");
        }
    }

    #[test]
    fn every_prefix_and_every_changed_byte_of_an_event_is_decoded_without_a_panic() {
        for (_, event) in golden::samples() {
            let text = encode(&event);
            for end in (0..text.len()).filter(|end| text.is_char_boundary(*end)) {
                assert!(decode(&text[..end]).is_err(), "half of {text} was accepted");
            }
            for position in 0..text.len() {
                for byte in [b'"', b'0', b'}', b' ', b'x'] {
                    let mut bytes = text.clone().into_bytes();
                    bytes[position] = byte;
                    if let Ok(changed) = String::from_utf8(bytes) {
                        decode(&changed).ok();
                    }
                }
            }
        }
    }

    #[test]
    fn a_spec_that_breaks_a_rule_is_refused() {
        let (_, created) = golden::samples().into_iter().find(|(name, _)| name == "created_saga").unwrap();
        let text = encode(&created).replace(r#""after":["stock"]"#, r#""after":["order"]"#);
        let error = decode(&text).unwrap_err();
        assert!(error.to_string().contains("waits for itself"), "{error}");
    }
}
