//! Identifiers and their grammar. Parsing is the only way to make an id, so every id is valid.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::limits::ID_BYTES_MAX;

/// Why a text is not an id.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum IdError {
    /// The text is empty.
    #[error("must not be empty")]
    Empty,
    /// The text is longer than [`ID_BYTES_MAX`].
    #[error("is longer than {ID_BYTES_MAX} characters")]
    TooLong,
    /// `.` or `..`, which cannot be a segment of a URL path.
    #[error("must not be `.` or `..`: no URL path can carry them")]
    Dots,
    /// A character outside the grammar; control characters are shown escaped.
    #[error("contains {0:?}; allowed are A-Z a-z 0-9 . _ : -")]
    Character(char),
}

fn check(text: &str) -> Result<(), IdError> {
    if text.is_empty() {
        return Err(IdError::Empty);
    }
    if text.len() > ID_BYTES_MAX {
        return Err(IdError::TooLong);
    }
    if matches!(text, "." | "..") {
        return Err(IdError::Dots);
    }
    match text.chars().find(|c| !(c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | ':' | '-'))) {
        Some(bad) => Err(IdError::Character(bad)),
        None => Ok(()),
    }
}

macro_rules! id {
    ($(#[$doc:meta])* $name:ident, $held:path) => {
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(Arc<str>);

        impl $name {
            /// Parses `[A-Za-z0-9._:-]{1,128}`, except `.` and `..`; ids are compared byte by byte everywhere.
            pub fn parse(text: &str) -> Result<Self, IdError> {
                check(text)?;
                Ok(Self($held(text)))
            }

            /// The id as text.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        /// The text, shared and not copied.
        impl From<&$name> for Arc<str> {
            fn from(id: &$name) -> Self {
                Arc::clone(&id.0)
            }
        }

        impl FromStr for $name {
            type Err = IdError;
            fn from_str(text: &str) -> Result<Self, IdError> {
                Self::parse(text)
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.serialize_str(&self.0)
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let parse = |text: &str| Self::parse(text).map_err(|error| format!("{} {error}", stringify!($name)));
                crate::text::parsed(deserializer, parse)
            }
        }

        #[cfg(feature = "openapi")]
        impl utoipa::PartialSchema for $name {
            fn schema() -> utoipa::openapi::RefOr<utoipa::openapi::schema::Schema> {
                utoipa::openapi::ObjectBuilder::new()
                    .schema_type(utoipa::openapi::schema::Type::String)
                    .min_length(Some(1))
                    .max_length(Some(ID_BYTES_MAX))
                    .pattern(Some("^[A-Za-z0-9._:-]{1,128}$"))
                    .into()
            }
        }

        #[cfg(feature = "openapi")]
        impl utoipa::ToSchema for $name {}
    };
}

id! {
    /// The identity of one global transaction, unique for ever within a coordinator's store.
    Gid, Arc::from
}

id! {
    /// The identity of one branch within its transaction.
    BranchId, crate::text::shared
}

id! {
    /// The identity of a journal. It is made with the journal's tables and is part of its backups. The same gid in two journals
    /// names two transactions.
    JournalId, Arc::from
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_grammar_is_closed() {
        for good in ["a", "order-42", "A.b_c:d-9", &"x".repeat(128)] {
            assert_eq!(Gid::parse(good).unwrap().as_str(), good);
        }
        for bad in ["", ".", "..", " a", "a/b", "ä", "a\n", "a%", "' or '1'='1", &"x".repeat(129)] {
            assert!(Gid::parse(bad).is_err(), "{bad:?} was accepted");
        }
    }

    #[test]
    fn ids_that_differ_in_one_byte_differ() {
        assert_ne!(Gid::parse("Order-1").unwrap(), Gid::parse("order-1").unwrap());
    }
}
