//! The URL of a call over HTTP, byte for byte as the initiator gave it: participants check signatures and route by its bytes.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use hyper::Uri;
use hyper::header::HeaderValue;
use url::Url;

use super::address::Address;

/// Most locations that are remembered. Targets come from clients, so there is no end of URLs by itself.
const KNOWN_MAX: usize = 1_024;

/// Locations of URLs that were called lately, so that a URL is read once and not for each call.
#[derive(Debug, Default)]
pub(super) struct Locations(Mutex<HashMap<Box<str>, Arc<Location>>>);

impl Locations {
    /// The location of a URL; an error says why the URL cannot be called.
    pub(super) fn of(&self, url: &str) -> Result<Arc<Location>, String> {
        // Queries differ from call to call: remembering them would push out the others.
        if url.contains('?') {
            return Location::of(url).map(Arc::new);
        }
        if let Some(known) = self.lock().get(url) {
            return Ok(Arc::clone(known));
        }
        let location = Arc::new(Location::of(url)?);
        let mut known = self.lock();
        if known.len() >= KNOWN_MAX {
            known.clear();
        }
        known.insert(url.into(), Arc::clone(&location));
        Ok(location)
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<Box<str>, Arc<Location>>> {
        // Each change is one step: a panic elsewhere leaves the map right.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Where a call over HTTP goes.
#[derive(Debug, Clone)]
pub(super) struct Location {
    uri: Uri,
    origin: Arc<str>,
    first_segment: Arc<str>,
    host_header: HeaderValue,
    address: Address,
}

impl Location {
    /// Reads a URL; an error says why it cannot be called.
    pub(super) fn of(text: &str) -> Result<Self, String> {
        let uri = match Uri::try_from(text) {
            Ok(uri) => uri,
            // Journals of earlier versions hold URLs that were encoded on their way out.
            Err(error) => {
                let url = Url::parse(text).map_err(|_| error.to_string())?;
                Uri::try_from(url.as_str()).map_err(|error| error.to_string())?
            }
        };
        let (scheme, tls, usual_port) = match uri.scheme_str() {
            Some("http") => ("http", false, 80),
            Some("https") => ("https", true, 443),
            _ => return Err("it is not http:// or https://".into()),
        };
        let authority = uri.authority().ok_or("it has no host")?;
        if authority.as_str().contains('@') {
            return Err("it carries a user name or password".into());
        }
        let port =
            match authority.as_str().strip_prefix(authority.host()).and_then(|rest| rest.strip_prefix(':')) {
                Some("") | None => usual_port,
                Some(given) => given.parse().map_err(|_| "its port is no number from 0 to 65535")?,
            };
        let address = Address::of(authority.host(), port, tls)?;
        let host = authority.host();
        let host = if port == usual_port { host.to_owned() } else { format!("{host}:{port}") };
        Ok(Self {
            origin: format!("{scheme}://{}", address.host()).into(),
            first_segment: first_segment(uri.path()).into(),
            host_header: HeaderValue::from_str(&host).map_err(|error| error.to_string())?,
            uri,
            address,
        })
    }

    /// What is asked for.
    pub(super) fn uri(&self) -> &Uri {
        &self.uri
    }

    /// Scheme, host and port.
    pub(super) fn origin(&self) -> &Arc<str> {
        &self.origin
    }

    /// The host as the URL spells it, and its port if that is not the usual one.
    pub(super) fn host_header(&self) -> &HeaderValue {
        &self.host_header
    }

    /// The path up to the end of its first segment: services behind one host are told apart by it.
    pub(super) fn first_segment(&self) -> &Arc<str> {
        &self.first_segment
    }

    /// Host and port.
    pub(super) fn address(&self) -> &Address {
        &self.address
    }

    /// The same with these pairs at the end of its query.
    pub(super) fn with_pairs(&self, pairs: &[(&str, &str)]) -> Result<Self, String> {
        let given = self.uri.path_and_query().map_or("/", |given| given.as_str());
        let joint = match self.uri.query() {
            None => "?",
            Some("") => "",
            Some(_) => "&",
        };
        let all = format!("{given}{joint}{}", encoded(pairs));
        let mut parts = self.uri.clone().into_parts();
        parts.path_and_query =
            Some(all.try_into().map_err(|error| format!("its query cannot be sent: {error}"))?);
        let uri = Uri::from_parts(parts).map_err(|error| error.to_string())?;
        Ok(Self { uri, ..self.clone() })
    }

    /// The value of a pair of its query, decoded; of the first one.
    pub(super) fn value(&self, name: &str) -> Option<String> {
        let mut url = BLANK.parse::<Url>().ok()?;
        url.set_query(self.uri.query());
        url.query_pairs().find(|(one, _)| one == name).map(|(_, value)| value.into_owned())
    }
}

/// `/a` of `/a/b/c`.
pub(super) fn first_segment(path: &str) -> &str {
    match path.get(1..).and_then(|rest| rest.find('/')) {
        Some(end) => &path[..=end],
        None => path,
    }
}

/// A URL to encode and decode queries with.
const BLANK: &str = "http://_/";

fn encoded(pairs: &[(&str, &str)]) -> String {
    Url::parse_with_params(BLANK, pairs)
        .ok()
        .and_then(|url| url.query().map(str::to_owned))
        .unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_stays_as_it_was_given() {
        for text in [
            "http://a:1/x?sig='a'&b=%27",
            "http://a:1/a/../b/./c//d",
            "http://a:1/%7Euser/%2e%2E/x",
            "http://a:1/{id}|^?q={}|^",
            "https://A.example/?",
            "http://a:1/x?a=1&&b=+%20",
        ] {
            assert_eq!(
                Location::of(text).unwrap().uri().path_and_query().unwrap().as_str(),
                &text[text[8..].find('/').unwrap() + 8..]
            );
        }
    }

    #[test]
    fn a_url_is_read_once_and_few_are_remembered() {
        let locations = Locations::default();
        let first = locations.of("http://a/x").unwrap();
        assert!(Arc::ptr_eq(&first, &locations.of("http://a/x").unwrap()));
        for n in 0..3 * KNOWN_MAX {
            assert_eq!(locations.of(&format!("http://a/x/{n}")).unwrap().uri().path(), format!("/x/{n}"));
            locations.of(&format!("http://a/x?n={n}")).unwrap();
            assert!(locations.lock().len() <= KNOWN_MAX);
        }
        assert!(!locations.lock().keys().any(|url| url.contains('?')));
        locations.of("ftp://a/").unwrap_err();
        assert!(!locations.lock().contains_key("ftp://a/"));
    }

    #[test]
    fn services_behind_one_host_are_told_apart_by_the_first_segment() {
        for (text, segment) in [
            ("http://a/stock/reserve?x=/y", "/stock"),
            ("http://a/stock?x=/y", "/stock"),
            ("http://a/stock/", "/stock"),
            ("http://a//stock", "/"),
            ("http://a/", "/"),
            ("http://a", "/"),
        ] {
            assert_eq!(&**Location::of(text).unwrap().first_segment(), segment, "{text}");
        }
    }

    #[test]
    fn two_spellings_of_one_host_are_one_origin() {
        for (text, origin) in [
            ("HTTP://Stock.Example/x", "http://stock.example:80"),
            ("http://stock.example:80/y", "http://stock.example:80"),
            ("https://stock.example?x", "https://stock.example:443"),
            ("http://[::1]:81/", "http://[::1]:81"),
        ] {
            assert_eq!(&**Location::of(text).unwrap().origin(), origin, "{text}");
        }
    }

    #[test]
    fn what_cannot_be_called_is_said() {
        for (text, words) in [
            ("http://joe:hunter2@a/", "user name or password"),
            ("ftp://a/", "not http:// or https://"),
            ("http://a:99999/", "port"),
            ("http://[::1/", ""),
            ("http://[a]/", "brackets"),
            ("/x", "not http:// or https://"),
        ] {
            let error = Location::of(text).unwrap_err();
            assert!(error.contains(words) && !error.contains("hunter2"), "{text}: {error}");
        }
    }

    #[test]
    fn pairs_follow_what_is_there() {
        for (text, expected) in [
            ("http://a/x", "/x?gid=a%26b&op=%27"),
            ("http://a", "/?gid=a%26b&op=%27"),
            ("http://a/x?", "/x?gid=a%26b&op=%27"),
            ("http://a/x?q='1'", "/x?q='1'&gid=a%26b&op=%27"),
        ] {
            let location = Location::of(text).unwrap().with_pairs(&[("gid", "a&b"), ("op", "'")]).unwrap();
            assert_eq!(location.uri().path_and_query().unwrap().as_str(), expected, "{text}");
        }
        assert_eq!(
            Location::of("http://a/?x=1&method=a%20b").unwrap().value("method").as_deref(),
            Some("a b")
        );
    }
}
