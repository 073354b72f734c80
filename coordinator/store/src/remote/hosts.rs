//! URLs of database servers. A URL may name several hosts: `scheme://user:password@one:5432,two:5432/database?..`.
//!
//! Drivers accept one host for each URL, so a URL is split here into one URL for each host. A URL may hold a password: no
//! message shows more of it than [`shown`].

struct Parts<'a> {
    scheme: &'a str,
    /// Includes the `@`.
    user: &'a str,
    hosts: &'a str,
    /// Everything from the `/` before the database.
    tail: &'a str,
}

/// Splits a URL that can be read in one way only. If a password is not percent-encoded, a part of the password may look
/// like a host, a database or a parameter, and messages name those. Such a URL is refused, and the message shows no part of
/// it.
fn parts(url: &str) -> Result<Parts<'_>, String> {
    let (scheme, rest) = url.split_once("://").ok_or("it has no //host after its scheme")?;
    let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
    let (authority, tail) = rest.split_at(end);
    let (user, hosts) = authority.split_at(authority.find('@').map_or(0, |at| at + 1));
    // A `/`, `?` or `#` in the password ends the authority too early. The `@` behind the password is then in the tail.
    if hosts.contains('@') || tail.contains(['@', '#']) {
        return Err(
            "what it means is not clear: in user, password and parameters write `@` as %40, `/` as %2F, `?` \
                    as %3F and `#` as %23"
                .to_owned(),
        );
    }
    if hosts.split(',').any(str::is_empty) {
        return Err("it names no host, or an empty one".to_owned());
    }
    // Without an `@`, user and password would be taken for host and port, and shown. A port that is no number gives
    // them away.
    if !hosts.split(',').all(is_host) {
        return Err(
            "a host in it is none, or its port is no number; user and password end with an `@`".to_owned()
        );
    }
    Ok(Parts { scheme, user, hosts, tail })
}

/// `name`, `name:port`, `[address]` or `[address]:port`.
fn is_host(text: &str) -> bool {
    let (name, port) = match text.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
        Some((address, "")) => (address, None),
        Some((address, port)) => (address, Some(port.strip_prefix(':').unwrap_or(port))),
        None => text.split_once(':').map_or((text, None), |(name, port)| (name, Some(port))),
    };
    // A percent sign stands in the path of a socket and in the zone of an address.
    let fits = |c: char| c.is_alphanumeric() || matches!(c, '.' | '-' | '_' | '%' | ':');
    !name.is_empty() && name.chars().all(fits) && port.is_none_or(|port| port.parse::<u16>().is_ok())
}

/// Whether a URL can be read. The error is the end of a sentence and shows no part of the URL.
pub(crate) fn check(url: &str) -> Result<(), String> {
    split(url).map(drop)
}

/// One URL for each host, in the same order.
pub(super) fn split(url: &str) -> Result<Vec<String>, String> {
    let Parts { scheme, user, hosts, tail } = parts(url)?;
    if tail.trim_start_matches('/').is_empty() || tail.starts_with('?') || tail.starts_with("/?") {
        return Err("it names no database".to_owned());
    }
    Ok(hosts.split(',').map(|host| format!("{scheme}://{user}{host}{tail}")).collect())
}

/// The first parameter of a URL that the driver does not know. The driver would write such a parameter into the log, with
/// its value.
pub(super) fn unknown_parameter(url: &str, known: &[&str]) -> Option<String> {
    let (_, query) = url.split_once('?')?;
    let names = query.split('&').filter_map(|pair| pair.split('=').next()).filter(|name| !name.is_empty());
    names.map(str::to_owned).find(|name| !known.contains(&name.as_str()))
}

/// The parts of a URL that may be shown: scheme, hosts and database. If the URL cannot be read, only the scheme.
pub(super) fn shown(url: &str) -> String {
    match parts(url) {
        Ok(Parts { scheme, hosts, tail, .. }) => {
            let path = tail.split('?').next().unwrap_or_default();
            format!("{scheme}://{hosts}{path}")
        }
        Err(_) => format!("{}:", url.split(':').next().unwrap_or_default()),
    }
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
        assert_eq!(shown("postgres://u:secret@a:1,b/db?password=x"), "postgres://a:1,b/db");
        assert_eq!(shown("mysql:rubbish"), "mysql:");
    }

    #[test]
    fn a_password_that_is_not_encoded_is_refused_and_no_part_of_it_is_told() {
        for secret in [
            "hunter@2",
            "hunter/2",
            "hunter?2",
            "hunter#2",
            "h@unter#2/x?y",
            "@hunter",
            "hunter@",
            "h@2,hunter:3",
        ] {
            for url in
                [format!("postgres://u:{secret}@h/db"), format!("mysql://u:{secret}@h:3306/db?ssl-mode=x")]
            {
                let refused = split(&url).unwrap_err();
                let told = format!("{refused} {}", shown(&url));
                assert!(
                    refused.contains("%40") && !told.contains("hunter") && !told.contains("u:"),
                    "{told}"
                );
            }
        }
        for url in ["postgres://u:hunter2", "mysql://u:hunter2/db", "postgres://[hunter2/db"] {
            let told = format!("{} {}", split(url).unwrap_err(), shown(url));
            assert!(!told.contains("hunter2"), "{told}");
        }
        let encoded = "postgres://u:p%40ss%23w%2Frd%3Fx@h/db";
        assert_eq!(
            (split(encoded).unwrap(), shown(encoded)),
            (vec![encoded.to_owned()], "postgres://h/db".into())
        );
    }
}
