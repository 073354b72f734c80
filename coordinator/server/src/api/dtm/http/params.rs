//! Query parameters. The first of a name counts, a missing one has its default, and a wrong number is an error.

use std::convert::Infallible;

use axum::extract::{FromRequestParts, Query};
use axum::http::request::Parts;

use crate::api::dtm::outcome::DtmError;
use crate::api::problem::echo;

/// The query, decoded, in order.
#[derive(Debug, Default)]
pub(super) struct Params(Vec<(String, String)>);

impl<S: Send + Sync> FromRequestParts<S> for Params {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Infallible> {
        let pairs = Query::<Vec<(String, String)>>::try_from_uri(&parts.uri);
        Ok(pairs.map(|Query(pairs)| Self(pairs)).unwrap_or_default())
    }
}

impl Params {
    /// The value of a name, or an empty text.
    pub(super) fn text(&self, name: &str) -> &str {
        self.0.iter().find(|(given, _)| given == name).map_or("", |(_, value)| value)
    }

    /// The number of a name, if it has a value.
    pub(super) fn number(&self, name: &str) -> Result<Option<i64>, DtmError> {
        match self.text(name) {
            "" => Ok(None),
            text => text
                .parse()
                .map(Some)
                .map_err(|_| DtmError::Other(format!("convert to int error: {}", echo(text)))),
        }
    }

    /// The requested number of rows, up to a bound.
    pub(super) fn limit(&self) -> Result<usize, DtmError> {
        let limit = self.number("limit")?.unwrap_or_default();
        Ok(usize::try_from(limit).ok().filter(|&limit| limit > 0).unwrap_or(LIMIT_DEFAULT).min(LIMIT_MAX))
    }
}

const LIMIT_DEFAULT: usize = 100;
/// Most rows of a page. A page names the position of the next one, so nothing is lost.
const LIMIT_MAX: usize = 1_000;

#[cfg(test)]
mod tests {
    use super::*;

    fn limit(text: &str) -> Result<usize, DtmError> {
        Params(vec![("limit".into(), text.into()), ("limit".into(), "7".into())]).limit()
    }

    #[test]
    fn a_limit_is_kept_within_reason() {
        assert_eq!(Params::default().limit(), Ok(100));
        for (text, expected) in [("", 100), ("0", 100), ("-5", 100), ("5", 5), ("999999999999", 1_000)] {
            assert_eq!(limit(text), Ok(expected), "{text}");
        }
        assert_eq!(limit("x"), Err(DtmError::Other("convert to int error: x".into())));
        assert_eq!(limit("1.5"), Err(DtmError::Other("convert to int error: 1.5".into())));
    }
}
