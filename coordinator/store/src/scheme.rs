//! Which kind of store a URL names. The rest of a server's URL is read by `remote::hosts`.

use super::OpenError;

pub(super) enum Scheme<'a> {
    Memory,
    Sqlite(&'a std::path::Path),
    Postgres,
    MySql,
}

pub(super) fn scheme(url: &str) -> Result<Scheme<'_>, OpenError> {
    let wrong = |detail: &str| OpenError::Url { url: url.to_owned(), detail: detail.to_owned() };
    match url.split_once(':') {
        Some(("memory", "")) => Ok(Scheme::Memory),
        Some(("sqlite", rest)) => {
            let path = rest.strip_prefix("//").unwrap_or(rest);
            if path.contains('?') {
                return Err(wrong("it takes no parameters"));
            }
            if path.is_empty() || path.ends_with('/') || path.contains(":memory:") {
                return Err(wrong("it names no file"));
            }
            Ok(Scheme::Sqlite(std::path::Path::new(path)))
        }
        Some(("postgres" | "postgresql", _)) => Ok(Scheme::Postgres),
        Some(("mysql" | "mariadb", _)) => Ok(Scheme::MySql),
        // The rest of the URL may carry a password.
        Some((scheme, _)) => Err(OpenError::Url {
            url: format!("{scheme}:"),
            detail: "no such database is supported".to_owned(),
        }),
        None => Err(wrong("it has no scheme")),
    }
}
