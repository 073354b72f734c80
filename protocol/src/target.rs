//! Where a call goes: an absolute URL, or a path at a registered participant.
//!
//! This is the grammar only; names are resolved, and addresses vetted, where calls are made.

use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::limits::TARGET_BYTES_MAX;

/// Why a text is not a target.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TargetError {
    /// Longer than [`TARGET_BYTES_MAX`], or empty.
    #[error("must have 1 to {TARGET_BYTES_MAX} characters")]
    Length,
    /// A control character, white space or a character outside ASCII.
    #[error("contains {0:?}; percent-encode it")]
    Character(char),
    /// Neither `http(s)://host/..` nor `name:/path`.
    #[error("must be an http:// or https:// URL, or `name:/path` of a registered participant")]
    Form,
    /// User name or password in the URL.
    #[error("must not carry a user name or password")]
    UserInfo,
    /// No host in the URL.
    #[error("has no host")]
    Host,
}

/// A call's destination.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Target(Arc<str>);

impl Target {
    /// Parses `http://..`, `https://..` or `name:/path`.
    pub fn parse(text: &str) -> Result<Self, TargetError> {
        if text.is_empty() || text.len() > TARGET_BYTES_MAX {
            return Err(TargetError::Length);
        }
        if let Some(bad) = text.chars().find(|c| !c.is_ascii_graphic()) {
            return Err(TargetError::Character(bad));
        }
        let (scheme, rest) = text.split_once(':').ok_or(TargetError::Form)?;
        if let Some(after) = rest.strip_prefix("//") {
            if !matches!(scheme, "http" | "https") {
                return Err(TargetError::Form);
            }
            let authority = after.split(['/', '?', '#', '\\']).next().unwrap_or_default();
            if authority.contains('@') {
                return Err(TargetError::UserInfo);
            }
            if authority.is_empty() || authority.starts_with(':') {
                return Err(TargetError::Host);
            }
            return Ok(Self(text.into()));
        }
        let name_is_good = !scheme.is_empty()
            && scheme.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'-'));
        if !name_is_good || !rest.starts_with('/') {
            return Err(TargetError::Form);
        }
        Ok(Self(text.into()))
    }

    /// The target as it was written.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// `(name, path)` when the target names a registered participant; the path starts with `/`.
    pub fn participant(&self) -> Option<(&str, &str)> {
        let (name, rest) = self.0.split_once(':')?;
        (!rest.starts_with("//")).then_some((name, rest))
    }

    /// What lists are filtered by: the URL's `host[:port]`, or the participant's name.
    pub fn host(&self) -> &str {
        match self.0.split_once(':') {
            Some((_, rest)) if rest.starts_with("//") => {
                rest[2..].split(['/', '?', '#', '\\']).next().unwrap_or_default()
            }
            Some((name, _)) => name,
            None => &self.0,
        }
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Serialize for Target {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.0)
    }
}

impl<'de> Deserialize<'de> for Target {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = std::borrow::Cow::<str>::deserialize(deserializer)?;
        Self::parse(&text).map_err(|error| serde::de::Error::custom(format!("target {error}")))
    }
}

#[cfg(feature = "openapi")]
impl utoipa::PartialSchema for Target {
    fn schema() -> utoipa::openapi::RefOr<utoipa::openapi::schema::Schema> {
        utoipa::openapi::ObjectBuilder::new()
            .schema_type(utoipa::openapi::schema::Type::String)
            .description(Some("an http(s) URL, or `name:/path` of a registered participant"))
            .min_length(Some(1))
            .max_length(Some(TARGET_BYTES_MAX))
            .pattern(Some(
                r"^(https?://[^@/?#\\:\s][^@/?#\\\s]*([/?#][!-~]*)?|[A-Za-z0-9._-]+:/([!-.0-~][!-~]*)?)$",
            ))
            .into()
    }
}

#[cfg(feature = "openapi")]
impl utoipa::ToSchema for Target {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_and_names_are_told_apart() {
        let url = Target::parse("http://127.0.0.1:7001/orders/create").unwrap();
        assert_eq!((url.participant(), url.host()), (None, "127.0.0.1:7001"));
        let named = Target::parse("inventory:/stock/reserve").unwrap();
        assert_eq!(named.participant(), Some(("inventory", "/stock/reserve")));
        assert_eq!(named.host(), "inventory");
    }

    #[test]
    fn what_cannot_be_called_is_refused() {
        for (text, error) in [
            ("", TargetError::Length),
            ("stock/reserve", TargetError::Form),
            ("ftp://host/x", TargetError::Form),
            ("http://", TargetError::Host),
            ("http://:80/", TargetError::Host),
            ("http://user:secret@host/", TargetError::UserInfo),
            ("http://a\r\nb/", TargetError::Character('\r')),
            ("inventory:stock", TargetError::Form),
        ] {
            assert_eq!(Target::parse(text), Err(error), "{text:?}");
        }
    }
}
