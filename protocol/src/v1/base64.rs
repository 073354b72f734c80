//! Bytes in a JSON document: standard base64 with padding, only in canonical form. So equal bytes have equal texts, as
//! digests of requests require.

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// Bytes, written as standard base64 (RFC 4648, section 4) with padding.
#[derive(Clone, PartialEq, Eq, Default)]
pub struct Base64(Vec<u8>);

impl Base64 {
    /// The bytes.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }
}

impl From<&[u8]> for Base64 {
    fn from(bytes: &[u8]) -> Self {
        Self(bytes.to_vec())
    }
}

impl fmt::Debug for Base64 {
    // Business data: only its size may be logged.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} bytes", self.0.len())
    }
}

impl fmt::Display for Base64 {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&STANDARD.encode(&self.0))
    }
}

impl Serialize for Base64 {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Base64 {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        // The error names the wrong character and its place, and no other content.
        crate::text::parsed(deserializer, |text| {
            let decoded = STANDARD.decode(text).map(Self);
            decoded.map_err(|error| format!("is not standard base64 with padding (RFC 4648): {error}"))
        })
    }
}

#[cfg(feature = "openapi")]
impl utoipa::PartialSchema for Base64 {
    fn schema() -> utoipa::openapi::RefOr<utoipa::openapi::schema::Schema> {
        utoipa::openapi::ObjectBuilder::new()
            .schema_type(utoipa::openapi::schema::Type::String)
            .description(Some("bytes as standard base64 with padding"))
            .content_encoding("base64")
            // Canonical form: the unused bits of the last character before the padding are zero.
            .pattern(Some(
                "^([A-Za-z0-9+/]{4})*([A-Za-z0-9+/]{2}[AEIMQUYcgkosw048]=|[A-Za-z0-9+/][AQgw]==)?$",
            ))
            .into()
    }
}

#[cfg(feature = "openapi")]
impl utoipa::ToSchema for Base64 {}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<Base64, serde_json::Error> {
        serde_json::from_value(serde_json::Value::from(text))
    }

    #[test]
    fn every_byte_survives() {
        let all: Vec<u8> = (0..=255).collect();
        for bytes in [&all[..], &all[..1], &all[..2], b""] {
            let text = Base64::from(bytes).to_string();
            assert_eq!(read(&text).unwrap().as_bytes(), bytes, "{text}");
        }
    }

    #[test]
    fn only_the_canonical_form_is_read() {
        assert_eq!(read("CgNBLTE=").unwrap().as_bytes(), b"\x0a\x03A-1");
        for text in ["CgNBLTE", "CgNBLTF=", "Cg NBLTE=", "_-==", "CgNB\n", "="] {
            let error = read(text).unwrap_err().to_string();
            assert!(error.contains("is not standard base64"), "{text:?}: {error}");
        }
    }

    #[test]
    fn the_content_is_not_in_a_debug_text() {
        assert_eq!(format!("{:?}", Base64::from(&b"secret"[..])), "6 bytes");
    }
}
