//! URLs of database servers: one URL may name several hosts, `scheme://user:password@one:5432,two:5432/database?..`.
//!
//! Drivers know one host a URL; here a URL is taken apart into one URL per host. Never put into a message as it is: it may
//! hold a password.

/// One URL per host, in the order given.
pub(super) fn split(url: &str) -> Result<Vec<String>, String> {
    let (scheme, rest) = url.split_once("://").ok_or("it has no //host after its scheme")?;
    let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
    let (authority, tail) = rest.split_at(end);
    let (user, hosts) = match authority.rsplit_once('@') {
        Some((user, hosts)) => (format!("{user}@"), hosts),
        None => (String::new(), authority),
    };
    if hosts.split(',').any(str::is_empty) {
        return Err("it names no host, or an empty one".to_owned());
    }
    if tail.trim_start_matches('/').is_empty() || tail.starts_with('?') || tail.starts_with("/?") {
        return Err("it names no database".to_owned());
    }
    Ok(hosts.split(',').map(|host| format!("{scheme}://{user}{host}{tail}")).collect())
}

/// The first parameter of a URL that a driver would ignore, or rather log, with its value.
pub(super) fn unknown_parameter(url: &str, known: &[&str]) -> Option<String> {
    let (_, query) = url.split_once('?')?;
    let names =
        query.split(['&', '#']).filter_map(|pair| pair.split('=').next()).filter(|name| !name.is_empty());
    names.map(str::to_owned).find(|name| !known.contains(&name.as_str()))
}

/// What may be shown of a URL: scheme, hosts, database.
pub(super) fn shown(url: &str) -> String {
    let Some((scheme, rest)) = url.split_once("://") else {
        return url.split(':').next().unwrap_or_default().to_owned();
    };
    let rest = rest.split(['?', '#']).next().unwrap_or_default();
    let end = rest.find('/').unwrap_or(rest.len());
    let (authority, path) = rest.split_at(end);
    let hosts = authority.rsplit_once('@').map_or(authority, |(_, hosts)| hosts);
    format!("{scheme}://{hosts}{path}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_is_taken_apart_by_its_hosts() {
        let split = |url| split(url).unwrap().join(" ");
        assert_eq!(
            split("postgres://u:p@a:1,b:2/db?x=y"),
            "postgres://u:p@a:1/db?x=y postgres://u:p@b:2/db?x=y"
        );
        assert_eq!(split("mysql://u:p,q@a/db"), "mysql://u:p,q@a/db");
        assert_eq!(split("postgres://[::1]:5,h/db"), "postgres://[::1]:5/db postgres://h/db");
    }

    #[test]
    fn a_url_without_host_or_database_is_refused() {
        for url in [
            "postgres:db",
            "postgres://u@/db",
            "postgres://a,,b/db",
            "postgres://a",
            "postgres://a/",
            "mysql://a?x",
        ] {
            assert!(split(url).is_err(), "{url}");
        }
    }

    #[test]
    fn a_parameter_nobody_knows_is_named_without_its_value() {
        let known = ["sslmode"];
        assert_eq!(
            unknown_parameter("postgres://a/db?sslmode=require&passwrod=x", &known),
            Some("passwrod".into())
        );
        assert_eq!(unknown_parameter("postgres://a/db?sslmode=require", &known), None);
        assert_eq!(unknown_parameter("postgres://a/db", &known), None);
    }

    #[test]
    fn no_password_is_shown() {
        assert_eq!(shown("postgres://u:s@cret@a:1,b/db?password=x"), "postgres://a:1,b/db");
        assert_eq!(shown("mysql:rubbish"), "mysql");
    }
}
