//! Readers that take less than serde's defaults do: an object must be an object (a derived struct would take an array
//! of its fields, too), and no key of a map may stand twice (the last one would win).
//!
//! For the fields of wire documents; what the fields mean is not known here.

use std::collections::BTreeMap;
use std::fmt;
use std::marker::PhantomData;

use serde::de::value::MapAccessDeserializer;
use serde::de::{Error, MapAccess, Visitor};
use serde::{Deserialize, Deserializer};

/// Reads a `T` from an object and from nothing else.
#[derive(Debug)]
pub struct Object<T>(pub T);

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Object<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct OnlyMaps<T>(PhantomData<T>);
        impl<'de, T: Deserialize<'de>> Visitor<'de> for OnlyMaps<T> {
            type Value = Object<T>;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }
            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Self::Value, A::Error> {
                T::deserialize(MapAccessDeserializer::new(map)).map(Object)
            }
        }
        deserializer.deserialize_map(OnlyMaps(PhantomData))
    }
}

pub(super) fn object<'de, T: Deserialize<'de>, D: Deserializer<'de>>(deserializer: D) -> Result<T, D::Error> {
    Object::deserialize(deserializer).map(|Object(value)| value)
}

pub(super) fn optional_object<'de, T: Deserialize<'de>, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Option<T>, D::Error> {
    Ok(Option::<Object<T>>::deserialize(deserializer)?.map(|Object(value)| value))
}

pub(super) fn objects<'de, T: Deserialize<'de>, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Vec<T>, D::Error> {
    Ok(Vec::<Object<T>>::deserialize(deserializer)?.into_iter().map(|Object(value)| value).collect())
}

/// A map of strings in which no key stands twice.
pub(super) fn unique_map<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<BTreeMap<String, String>, D::Error> {
    struct Unique;
    impl<'de> Visitor<'de> for Unique {
        type Value = BTreeMap<String, String>;
        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("an object of strings")
        }
        fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
            let mut entries = BTreeMap::new();
            while let Some((key, value)) = map.next_entry::<String, String>()? {
                if entries.contains_key(&key) {
                    return Err(A::Error::custom(format_args!("duplicate field `{key}`")));
                }
                entries.insert(key, value);
            }
            Ok(entries)
        }
    }
    deserializer.deserialize_map(Unique)
}

#[cfg(test)]
mod tests {
    use crate::v1::CreateTransaction;

    fn error(text: &str) -> String {
        serde_json::from_str::<CreateTransaction>(text).unwrap_err().to_string()
    }

    #[test]
    fn an_array_is_no_object() {
        assert!(error(r#"{"pattern":"saga","options":[]}"#).contains("expected an object"));
        assert!(error(r#"{"pattern":"saga","options":{"retry":[]}}"#).contains("expected an object"));
        assert!(error(r#"{"pattern":"saga","branches":[["a"]]}"#).contains("expected an object"));
        assert!(error(r#"{"pattern":"saga","branches":[{"id":"a","options":[]}]}"#).contains("an object"));
    }

    #[test]
    fn a_key_that_stands_twice_is_refused() {
        assert!(error(r#"{"pattern":"saga","pattern":"tcc"}"#).contains("duplicate field"));
        assert!(error(r#"{"pattern":"saga","labels":{"a":"1","a":"2"}}"#).contains("duplicate field `a`"));
        assert!(error(r#"{"pattern":"saga","branches":[{"id":"a","id":"b"}]}"#).contains("duplicate field"));
    }

    #[test]
    fn payloads_stay_as_they_were_written() {
        let text = r#"{"pattern":"saga","branches":[{"id":"a","payload":{ "n" : 1.0 }}]}"#;
        let read: CreateTransaction = serde_json::from_str(text).unwrap();
        assert_eq!(read.branches[0].payload.as_ref().unwrap().get(), r#"{ "n" : 1.0 }"#);
    }
}
