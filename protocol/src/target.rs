//! The target of a call: an absolute URL, a gRPC method, or a path at a registered participant.
//!
//! Only the grammar is here. Names are resolved where calls are made.
//!
//! [`Target::parse`] is for new targets. Deserializing accepts every target that any version has ever accepted, because journals
//! and answers contain such targets. An API that accepts a document must call [`Target::check`].

mod grpc;
mod http;

use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::limits::TARGET_BYTES_MAX;

pub use grpc::GrpcMethod;

/// Why a text is not a target.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TargetError {
    /// Longer than [`TARGET_BYTES_MAX`], or empty.
    #[error("must have 1 to {TARGET_BYTES_MAX} characters")]
    Length,
    /// A control character, white space, a character outside ASCII, or one that cannot be in a request line.
    #[error("contains {0:?}; percent-encode it")]
    Character(char),
    /// A fragment, which is never sent.
    #[error("must not carry a fragment (`#`), which is never sent; percent-encode the `#`, or leave it out")]
    Fragment,
    /// The path leads out of the participant's base path.
    #[error("must not leave the participant's base path (`..`, in whichever way it is written)")]
    Outside,
    /// A host or port that cannot be called.
    #[error(
        "has a host or a port that cannot be called; write host, host:port, or an IPv6 address in brackets"
    )]
    Authority,
    /// Neither `http(s)://host/..` nor `grpc(s)://host:port/..` nor `name:/path`.
    #[error(
        "must be a URL with http://, https://, grpc:// or grpcs://, or `name:/path` of a registered participant"
    )]
    Form,
    /// User name or password in the URL.
    #[error("must not carry a user name or password")]
    UserInfo,
    /// No host in the URL.
    #[error("has no host")]
    Host,
    /// gRPC: no port, or none that exists.
    #[error("must name a port from 1 to 65535, as in grpc://host:50051/package.Service/Method")]
    Port,
    /// gRPC: the path is not a method's.
    #[error("must have the path /package.Service/Method and nothing else, in names of the protobuf language")]
    Method,
    /// gRPC: a query or fragment.
    #[error("must not carry a query or fragment: a gRPC call has neither")]
    Query,
}

/// The destination of a call.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Target(Arc<str>);

impl Target {
    /// Parses `http://..`, `https://..`, `grpc://..`, `grpcs://..` or `name:/path`.
    pub fn parse(text: &str) -> Result<Self, TargetError> {
        let target = Self::read(text)?;
        target.check()?;
        Ok(target)
    }

    /// Whether a call can be sent to this target byte for byte. A target that an earlier version accepted may fail here.
    pub fn check(&self) -> Result<(), TargetError> {
        match self.0.split_once(':') {
            _ if self.grpc().is_some() => Ok(()),
            Some((_, rest)) if rest.starts_with("//") => http::check_url(&rest[2..]),
            Some((_, path)) => http::check_path(path).and_then(|()| http::stays_inside(path)),
            None => Err(TargetError::Form),
        }
    }

    /// Parses every target that any version has accepted.
    fn read(text: &str) -> Result<Self, TargetError> {
        if text.is_empty() || text.len() > TARGET_BYTES_MAX {
            return Err(TargetError::Length);
        }
        if let Some(bad) = text.chars().find(|c| !c.is_ascii_graphic()) {
            return Err(TargetError::Character(bad));
        }
        let (scheme, rest) = text.split_once(':').ok_or(TargetError::Form)?;
        if let Some(after) = rest.strip_prefix("//") {
            let is_grpc = grpc::is_tls(scheme).is_some();
            if !is_grpc && !["http", "https"].iter().any(|known| scheme.eq_ignore_ascii_case(known)) {
                return Err(TargetError::Form);
            }
            let authority = after.split(['/', '?', '#', '\\']).next().unwrap_or_default();
            if authority.contains('@') {
                return Err(TargetError::UserInfo);
            }
            if authority.is_empty() || authority.starts_with(':') {
                return Err(TargetError::Host);
            }
            if is_grpc {
                grpc::check(after)?;
            }
            return Ok(Self(crate::text::shared(text)));
        }
        let name_is_good = !scheme.is_empty()
            && scheme.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'-'));
        if !name_is_good || !rest.starts_with('/') {
            return Err(TargetError::Form);
        }
        Ok(Self(crate::text::shared(text)))
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

    /// The method, when the target is one of gRPC.
    pub fn grpc(&self) -> Option<GrpcMethod<'_>> {
        GrpcMethod::of(&self.0)
    }

    /// The value for filters of lists: the URL's `host[:port]`, or the participant's name.
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
        let read = |text: &str| Self::read(text).map_err(|error| format!("target {error}"));
        crate::text::parsed(deserializer, read)
    }
}

#[cfg(feature = "openapi")]
const HTTP: &str =
    r"[Hh][Tt][Tt][Pp][Ss]?://([A-Za-z0-9._-]+|\[[0-9A-Fa-f:.]+\])(:[0-9]{1,5})?([/?][!$-;=?-\[\]-_a-~]*)?";
#[cfg(feature = "openapi")]
const GRPC: &str = r"[Gg][Rr][Pp][Cc][Ss]?://([^@/?#\\:\s\[\]]+|\[[0-9A-Fa-f:.]+\]):[1-9][0-9]{0,4}/[A-Za-z_][A-Za-z0-9_]*(\.[A-Za-z_][A-Za-z0-9_]*)*/[A-Za-z_][A-Za-z0-9_]*";
#[cfg(feature = "openapi")]
const NAMED: &str = r"[A-Za-z0-9._-]+:/([!$-.0-;=?-\[\]-_a-~][!$-;=?-\[\]-_a-~]*)?";

#[cfg(feature = "openapi")]
impl utoipa::PartialSchema for Target {
    fn schema() -> utoipa::openapi::RefOr<utoipa::openapi::schema::Schema> {
        utoipa::openapi::ObjectBuilder::new()
            .schema_type(utoipa::openapi::schema::Type::String)
            .description(Some(
                "an http(s) URL, grpc(s)://host:port/package.Service/Method, or `name:/path` of a registered participant",
            ))
            .min_length(Some(1))
            .max_length(Some(TARGET_BYTES_MAX))
            .pattern(Some(format!("^({HTTP}|{GRPC}|{NAMED})$")))
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
    fn a_grpc_target_is_a_method_at_a_host() {
        let plain = Target::parse("grpc://Stock-1.example:50051/shop.v1.Stock/Reserve").unwrap();
        let method =
            GrpcMethod { tls: false, authority: "Stock-1.example:50051", path: "/shop.v1.Stock/Reserve" };
        assert_eq!((plain.grpc(), plain.participant()), (Some(method), None));
        assert_eq!(plain.host(), "Stock-1.example:50051");
        let tls = Target::parse("grpcs://[::1]:443/Stock/Reserve").unwrap();
        assert_eq!(tls.host(), "[::1]:443");
        assert!(tls.grpc().is_some_and(|method| method.tls && method.path == "/Stock/Reserve"));
        for other in ["http://a:1/shop.Stock/Reserve", "grpc:/shop.Stock/Reserve", "a:/grpc://b:1/c.D/E"] {
            assert_eq!(Target::parse(other).unwrap().grpc(), None, "{other}");
        }
    }

    #[test]
    fn a_wrong_grpc_method_is_refused_with_its_error() {
        use TargetError::{Character, Form, Host, Length, Method, Port, Query, UserInfo};
        for (text, error) in [
            ("grpc://", Host),
            ("grpc://:1/a.B/C", Host),
            ("grpc://a:b:1/a.B/C", Host),
            ("grpc://::1:1/a.B/C", Host),
            ("grpc://[::1:1/a.B/C", Host),
            ("grpc://a/a.B/C", Port),
            ("grpc://a:/a.B/C", Port),
            ("grpc://[::1]/a.B/C", Port),
            ("grpcs://a:0/a.B/C", Port),
            ("grpcs://a:65536/a.B/C", Port),
            ("grpc://a:+1/a.B/C", Port),
            ("grpc://a:1", Method),
            ("grpc://a:1/", Method),
            ("grpc://a:1/a.B", Method),
            ("grpc://a:1/a.B/", Method),
            ("grpc://a:1//C", Method),
            ("grpc://a:1/a.B/C/", Method),
            ("grpc://a:1/a.B/C/D", Method),
            ("grpc://a:1/a..B/C", Method),
            ("grpc://a:1/.B/C", Method),
            ("grpc://a:1/a.1B/C", Method),
            ("grpc://a:1/a.B/C-D", Method),
            ("grpc://a:1/a.B/%43", Method),
            ("grpc://a:1\\a.B/C", Method),
            ("grpc://a:1/a.B/C?x=1", Query),
            ("grpc://a:1/a.B/C#x", Query),
            ("grpc://a:1?x", Query),
            ("grpc://joe:hunter2@a:1/a.B/C", UserInfo),
            ("grpc://a:1/a.B/C D", Character(' ')),
            ("grpcx://a:1/a.B/C", Form),
        ] {
            assert_eq!(Target::parse(text), Err(error), "{text:?}");
        }
        let long = |len: usize| format!("grpc://a:1/a.B/{}", "C".repeat(len - "grpc://a:1/a.B/".len()));
        assert!(Target::parse(&long(TARGET_BYTES_MAX)).is_ok());
        assert_eq!(Target::parse(&long(TARGET_BYTES_MAX + 1)), Err(Length));
    }

    #[test]
    fn a_scheme_may_be_written_in_any_case() {
        for text in ["HTTP://a:1/X", "Https://a/", "GRPC://a:1/a.B/C", "gRPCs://a:1/a.B/C"] {
            assert_eq!(Target::parse(text).unwrap().as_str(), text);
        }
        assert!(Target::parse("GRPCS://a:1/a.B/C").unwrap().grpc().is_some_and(|method| method.tls));
    }

    #[test]
    fn a_path_does_not_leave_the_participant() {
        for path in [
            "/..",
            "/../admin",
            "/../../admin",
            "/a/../../b",
            "/%2e%2e/admin",
            "/.%2E/admin",
            "/%252e%252e/admin",
            "/a%2f..%2f..%2fb",
            "/a%5c..%5cb",
            "/..;x=1/admin",
            "/a/%2e./b?x",
        ] {
            assert_eq!(Target::parse(&format!("inventory:{path}")), Err(TargetError::Outside), "{path}");
        }
        for path in ["/a..b", "/...", "/..a", "/a/.../b", "/.", "/a?x=/../b", "/%2e%2ea", "/%zz", "/%"] {
            assert!(Target::parse(&format!("inventory:{path}")).is_ok(), "{path}");
        }
        // A whole URL has no base path that it could leave.
        assert!(Target::parse("http://a/b/../c").is_ok());
    }

    #[test]
    fn targets_that_earlier_versions_accepted_are_read_and_not_accepted() {
        for text in ["http://a/<id>#x", "inventory:/../admin", "http://a:99999/"] {
            let read: Target = serde_json::from_value(text.into()).unwrap();
            assert!(read.as_str() == text && read.check().is_err(), "{text}");
        }
    }

    #[test]
    fn targets_that_cannot_be_called_are_refused() {
        for (text, error) in [
            ("", TargetError::Length),
            ("stock/reserve", TargetError::Form),
            ("ftp://host/x", TargetError::Form),
            ("http://", TargetError::Host),
            ("http://:80/", TargetError::Host),
            ("http://user:secret@host/", TargetError::UserInfo),
            ("http://a\r\nb/", TargetError::Character('\r')),
            ("inventory:stock", TargetError::Form),
            ("http://a/x#y", TargetError::Fragment),
            ("http://a/<id>", TargetError::Character('<')),
            ("http://a/x?q=`1`", TargetError::Character('`')),
            ("http://a/x?q=\"1\"", TargetError::Character('"')),
            ("http://a\\x", TargetError::Authority),
            ("http://a/x\\y", TargetError::Character('\\')),
            ("http://a:99999/", TargetError::Authority),
            ("http://a:/", TargetError::Authority),
            ("http://[::1/", TargetError::Authority),
            ("http://[a]/", TargetError::Authority),
            ("http://a%20b/", TargetError::Authority),
            ("inventory:/x#y", TargetError::Fragment),
            ("inventory:/x\\y", TargetError::Character('\\')),
        ] {
            assert_eq!(Target::parse(text), Err(error), "{text:?}");
        }
    }
}
