//! JSON values that may be null, and texts that may contain lone surrogates.

use std::collections::BTreeMap;
use std::fmt;

use serde::de::{Error, Visitor};
use serde::{Deserialize, Deserializer};

/// A value, or null for the default value.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(in crate::api::dtm) struct OrZero<T>(pub(in crate::api::dtm) T);

impl<'de, T: Deserialize<'de> + Default> Deserialize<'de> for OrZero<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Option::deserialize(deserializer).map(|value| Self(value.unwrap_or_default()))
    }
}

/// A text. Lone surrogates, which some languages write, become replacement characters.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(in crate::api::dtm) struct Text(pub(in crate::api::dtm) String);

impl<'de> Deserialize<'de> for Text {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Reads;

        impl Visitor<'_> for Reads {
            type Value = Text;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a string")
            }

            fn visit_str<E: Error>(self, text: &str) -> Result<Text, E> {
                Ok(Text(text.to_owned()))
            }

            fn visit_bytes<E: Error>(self, bytes: &[u8]) -> Result<Text, E> {
                Ok(Text(String::from_utf8_lossy(bytes).into_owned()))
            }
        }
        // The parser accepts a lone surrogate only when it is asked for bytes.
        deserializer.deserialize_bytes(Reads)
    }
}

/// A flat map of texts. Of repeated keys the last one counts.
#[derive(Debug, Clone, PartialEq, Eq, Default, Deserialize)]
#[serde(transparent)]
pub(in crate::api::dtm) struct Texts(BTreeMap<String, OrZero<Text>>);

impl Texts {
    /// The plain map.
    pub(in crate::api::dtm) fn into_map(self) -> BTreeMap<String, String> {
        self.0.into_iter().map(|(key, OrZero(Text(value)))| (key, value)).collect()
    }
}
