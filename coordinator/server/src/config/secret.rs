//! Values that may contain a password. They are never printed or logged whole.

use std::fmt;

use serde::{Deserialize, Serialize};

const HIDDEN: &str = "***";
const SECRET_WORDS: [&str; 5] = ["password", "passwd", "secret", "token", "key"];

/// A text whose passwords do not appear when it is printed.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct SecretText(String);

impl SecretText {
    /// From the whole text.
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// The whole text, for connecting.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for SecretText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&redact(&self.0))
    }
}

impl fmt::Debug for SecretText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&redact(&self.0), f)
    }
}

/// A URL without its password and without parameters whose names suggest a password.
pub(super) fn redact(url: &str) -> String {
    let shown = redact_userinfo(url);
    let Some((base, query)) = shown.split_once('?') else { return shown };
    let pairs: Vec<String> = query.split('&').map(redact_pair).collect();
    format!("{base}?{}", pairs.join("&"))
}

/// A password may contain `/`, `?` and `@` unescaped, so everything before the last `@` counts as user and password. Hiding too
/// much is better than hiding too little.
fn redact_userinfo(url: &str) -> String {
    let Some((scheme, rest)) = url.split_once("://") else { return url.to_owned() };
    match rest.rsplit_once('@').and_then(|(userinfo, host)| Some((userinfo.split_once(':')?.0, host))) {
        Some((user, host)) => format!("{scheme}://{user}:{HIDDEN}@{host}"),
        None => url.to_owned(),
    }
}

fn redact_pair(pair: &str) -> String {
    let Some((name, _)) = pair.split_once('=') else { return pair.to_owned() };
    let lower = name.to_ascii_lowercase();
    if SECRET_WORDS.iter().any(|word| lower.contains(word)) {
        format!("{name}={HIDDEN}")
    } else {
        pair.to_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn passwords_are_hidden_wherever_they_stand() {
        for (url, shown) in [
            ("sqlite:./trine-data/trine.db", "sqlite:./trine-data/trine.db"),
            ("postgres://trine@db/trine", "postgres://trine@db/trine"),
            ("postgres://trine:hunter2@db:5432/trine", "postgres://trine:***@db:5432/trine"),
            ("mysql://trine:hun/ter@2@db/trine", "mysql://trine:***@db/trine"),
            (
                "postgres://db/trine?user=a&password=hunter2&sslmode=require",
                "postgres://db/trine?user=a&password=***&sslmode=require",
            ),
            ("postgres://:hunter2@db/trine", "postgres://:***@db/trine"),
            ("postgres://a:hun?ter2@db/trine", "postgres://a:***@db/trine"),
        ] {
            assert_eq!(redact(url), shown);
            let text = SecretText::new(url);
            assert!(!format!("{text:?} {text}").contains("hunter2"));
            assert_eq!(text.expose(), url);
        }
    }
}
