//! Bytes in JSON. Bytes that are UTF-8, as nearly all payloads are, become a string. Other bytes become hexadecimal digits
//! in a field of another name. If there are no bytes, there is no field.

use std::borrow::Cow;

use trine_engine::{Digest, Payload};

use crate::codec::DecodeError;

/// `(text, hex)`: at most one of them is set.
pub(super) type Fields<'a> = (Option<Cow<'a, str>>, Option<Cow<'a, str>>);

/// The two fields of some bytes.
pub(super) fn split(payload: &Payload) -> Fields<'_> {
    if payload.is_empty() {
        return (None, None);
    }
    match std::str::from_utf8(payload.as_bytes()) {
        Ok(text) => (Some(text.into()), None),
        Err(_) => (None, Some(hex(payload.as_bytes()).into())),
    }
}

/// The bytes of two fields.
pub(super) fn join(text: Option<Cow<'_, str>>, hex: Option<Cow<'_, str>>) -> Result<Payload, DecodeError> {
    match (text, hex) {
        (None, None) => Ok(Payload::default()),
        (Some(text), None) => Ok(Payload::from(&*text)),
        (None, Some(hex)) => Ok(Payload::from(unhex(&hex)?.as_slice())),
        (Some(_), Some(_)) => Err(DecodeError::Damaged("bytes are there as text and as hex".to_owned())),
    }
}

pub(super) fn digest_text(digest: Digest) -> String {
    hex(&digest.0)
}

pub(super) fn digest(text: &str) -> Result<Digest, DecodeError> {
    let bytes = unhex(text)?.try_into();
    bytes.map(Digest).map_err(|_| DecodeError::Damaged("a digest has 64 hexadecimal digits".to_owned()))
}

fn hex(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let mut text = String::with_capacity(bytes.len() * 2);
    for byte in bytes {
        text.push(char::from(DIGITS[usize::from(byte >> 4)]));
        text.push(char::from(DIGITS[usize::from(byte & 15)]));
    }
    text
}

fn unhex(text: &str) -> Result<Vec<u8>, DecodeError> {
    let damaged = || DecodeError::Damaged("hexadecimal digits are missing or wrong".to_owned());
    let value = |digit: u8| char::from(digit).to_digit(16).ok_or_else(damaged);
    let (pairs, []) = text.as_bytes().as_chunks::<2>() else { return Err(damaged()) };
    pairs
        .iter()
        .map(|[high, low]| u8::try_from(value(*high)? << 4 | value(*low)?).map_err(|_| damaged()))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_byte_survives() {
        let all: Vec<u8> = (0..=255).collect();
        for bytes in [&all[..], b"", b"\0", "ä\u{1f980}\u{2028}\"\\".as_bytes()] {
            let payload = Payload::from(bytes);
            let (text, hex) = split(&payload);
            assert_eq!(join(text, hex).unwrap(), payload);
        }
    }
}
