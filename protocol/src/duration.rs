//! Durations on the wire: a humantime string (`"1m 30s"`), or an integer in a field ending in `_ms`.

use std::fmt;
use std::time::Duration;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::limits::DURATION_MS_MAX;

/// A duration written for people: `"200ms"`, `"30s"`, `"1h 30m"`.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct HumanDuration(u64);

impl HumanDuration {
    /// From milliseconds.
    pub const fn from_millis(millis: u64) -> Self {
        Self(millis)
    }

    /// In milliseconds.
    pub const fn millis(self) -> u64 {
        self.0
    }

    /// Reads a humantime string of at most one year.
    pub fn parse(text: &str) -> Result<Self, String> {
        let duration = humantime::parse_duration(text)
            .map_err(|error| format!("{error}; write e.g. \"200ms\" or \"1m 30s\""))?;
        let millis = u64::try_from(duration.as_millis()).unwrap_or(u64::MAX);
        if millis > DURATION_MS_MAX {
            return Err("longer than one year".into());
        }
        Ok(Self(millis))
    }
}

impl fmt::Display for HumanDuration {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", humantime::format_duration(Duration::from_millis(self.0)))
    }
}

impl fmt::Debug for HumanDuration {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl Serialize for HumanDuration {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for HumanDuration {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let parse = |text: &str| Self::parse(text).map_err(|error| format!("not a duration: {error}"));
        crate::text::parsed(deserializer, parse)
    }
}

#[cfg(feature = "openapi")]
impl utoipa::PartialSchema for HumanDuration {
    fn schema() -> utoipa::openapi::RefOr<utoipa::openapi::schema::Schema> {
        utoipa::openapi::ObjectBuilder::new()
            .schema_type(utoipa::openapi::schema::Type::String)
            .description(Some("a duration such as 200ms, 30s or 1h 30m; at most one year"))
            .pattern(Some(r"^[1-9][0-9]{0,5}(ms|s)$"))
            .into()
    }
}

#[cfg(feature = "openapi")]
impl utoipa::ToSchema for HumanDuration {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn people_write_durations_in_many_ways() {
        for (text, millis) in
            [("200ms", 200), ("30s", 30_000), ("1m 30s", 90_000), ("2h", 7_200_000), ("0s", 0)]
        {
            assert_eq!(HumanDuration::parse(text).unwrap().millis(), millis, "{text}");
        }
        for text in ["", "30", "-1s", "soon", "400days"] {
            assert!(HumanDuration::parse(text).is_err(), "{text:?}");
        }
    }
}
