//! Registration of participants, whose names targets may use instead of URLs.

use std::sync::Arc;

use axum::Json;
use axum::extract::{FromRequestParts, State as Ext};
use axum::http::StatusCode;
use axum::http::request::Parts;
use trine_protocol::errors::Code;
use trine_protocol::limits::TARGET_BYTES_MAX;
use trine_protocol::v1::{ParticipantList, RegisterParticipant, Registered};
use url::Url;

use super::super::ApiState;
use super::super::body::JsonBody;
use super::super::params::{Pairs, segment, set_once, unknown};
use super::super::problem::{Refusal, echo};
use super::options::duration;
use crate::registrar::RegisterError;
use trine_store::{Registration, StoreError};

const NAME_BYTES_MAX: usize = 64;
const TTL_MS_DEFAULT: u64 = 30_000;
const TTL_MS_MIN: u64 = 1_000;
const TTL_MS_MAX: u64 = 3_600_000;

/// Register a participant's instance.
///
/// A repetition before the end of the TTL is a heartbeat. The number of instances is bounded; heartbeats of registered
/// instances are never refused for it.
#[utoipa::path(
    post,
    path = "/v1/participants",
    operation_id = "registerParticipant",
    tag = "participants",
    request_body = RegisterParticipant,
    responses((status = 200, description = "Registered", body = Registered))
)]
pub(super) async fn register(
    Ext(state): Ext<Arc<ApiState>>,
    JsonBody(request): JsonBody<RegisterParticipant>,
) -> Result<Json<Registered>, Refusal> {
    check_name(&request.name).map_err(|detail| Refusal::field("name", detail))?;
    let base_url = base_url(&request.base_url).map_err(|detail| Refusal::field("base_url", detail))?;
    let ttl_ms = ttl_ms(&request)?;
    let registration = Registration {
        name: request.name.clone(),
        base_url: base_url.clone(),
        ttl_ms,
        guarded: request.guarded,
    };
    let expires_at = in_time(&state, state.registrar.register(registration)).await?;
    Ok(Json(Registered { name: request.name, base_url, expires_at }))
}

/// List participants.
#[utoipa::path(
    get,
    path = "/v1/participants",
    operation_id = "listParticipants",
    tag = "participants",
    responses((status = 200, description = "By name, with every instance", body = ParticipantList))
)]
pub(super) async fn list_participants(
    Ext(state): Ext<Arc<ApiState>>,
) -> Result<Json<ParticipantList>, Refusal> {
    let participants = state.bounded(state.registry.participants()).await?.participants;
    Ok(Json(ParticipantList { participants }))
}

/// Remove a participant, or one of its instances.
#[utoipa::path(
    delete,
    path = "/v1/participants/{name}",
    operation_id = "deregisterParticipant",
    tag = "participants",
    params(
        ("name" = String, Path, description = "The participant", pattern = "^[A-Za-z0-9._-]{1,64}$"),
        ("base_url" = Option<String>, Query, description = "Only this instance", max_length = 2048,
            pattern = r"^https?://([A-Za-z0-9._-]+|\[[0-9A-Fa-f:.]+\])(:[0-9]{1,5})?(/[!-~]*)?$"),
    ),
    responses((status = 204, description = "Removed"))
)]
pub(super) async fn deregister(
    Ext(state): Ext<Arc<ApiState>>,
    NamePath(name): NamePath,
    Pairs(pairs): Pairs,
) -> Result<StatusCode, Refusal> {
    let mut instance = None;
    for (parameter, value) in &pairs {
        if parameter != "base_url" {
            return Err(unknown(parameter, &["base_url"]));
        }
        let url = base_url(value).map_err(|detail| Refusal::parameter("base_url", detail))?;
        set_once(&mut instance, parameter, url)?;
    }
    let removed = in_time(&state, state.registrar.deregister(name, instance)).await?;
    if removed == 0 {
        return Err(Refusal::new(Code::ParticipantNotFound, "nothing is registered under this name and URL"));
    }
    Ok(StatusCode::NO_CONTENT)
}

async fn in_time<T>(
    state: &ApiState,
    asked: impl Future<Output = Result<T, RegisterError>>,
) -> Result<T, Refusal> {
    let Ok(answered) = tokio::time::timeout(state.limits.store_timeout, asked).await else {
        return Err(StoreError::Unavailable("it took too long".into()).into());
    };
    answered.map_err(|refused| match refused {
        RegisterError::TooMany { .. } => Refusal::new(
            Code::TooManyParticipants,
            format!("{refused}; remove instances that are gone, or raise `dispatch.instances_max`"),
        ),
        RegisterError::Busy => Refusal::new(Code::Busy, format!("{refused}; nothing was done, try again")),
        RegisterError::Store(error) => error.into(),
    })
}

/// The participant's name in the path.
pub(super) struct NamePath(String);

impl<S: Send + Sync> FromRequestParts<S> for NamePath {
    type Rejection = Refusal;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Refusal> {
        let name = segment(parts, state, "name").await?;
        check_name(&name).map_err(|detail| Refusal::parameter("name", detail))?;
        Ok(Self(name))
    }
}

fn check_name(name: &str) -> Result<(), String> {
    let good = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-');
    if !(1..=NAME_BYTES_MAX).contains(&name.len()) || !name.bytes().all(good) {
        return Err(format!("must have 1 to {NAME_BYTES_MAX} of A-Z a-z 0-9 . _ -"));
    }
    // `http:/path` is almost always a mistyped URL, so `http` cannot be a participant.
    if name.eq_ignore_ascii_case("http") || name.eq_ignore_ascii_case("https") {
        return Err("must not be the scheme of a URL".into());
    }
    Ok(())
}

/// Normalises a base URL: without a slash at its end, so that a target's path can follow.
fn base_url(text: &str) -> Result<String, String> {
    if text.len() > TARGET_BYTES_MAX || !text.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Err(format!("must have at most {TARGET_BYTES_MAX} printable ASCII characters"));
    }
    let url = Url::parse(text).map_err(|error| format!("{} is no URL: {error}", echo(text)))?;
    if !matches!(url.scheme(), "http" | "https") || url.host_str().is_none_or(str::is_empty) {
        return Err("must be http://host[:port][/prefix] or https://..".into());
    }
    if !url.username().is_empty() || url.password().is_some() || text.contains('@') {
        return Err("must not carry a user name or password".into());
    }
    if url.query().is_some() || url.fragment().is_some() {
        return Err("must have neither a query nor a fragment".into());
    }
    // The parser accepts `http:a` and hosts such as `a*`, which no resolver accepts.
    let host_byte = |byte: u8| byte.is_ascii_alphanumeric() || b"._-[:]".contains(&byte);
    let rest = text.strip_prefix("http://").or_else(|| text.strip_prefix("https://"));
    let authority = rest.and_then(|rest| rest.split('/').next()).unwrap_or_default();
    if authority.is_empty() || authority.ends_with(':') || !authority.bytes().all(host_byte) {
        return Err("must name a host of A-Z a-z 0-9 . _ - or an IP address".into());
    }
    if url.as_str().parse::<axum::http::Uri>().is_err() {
        return Err("is no URL that can be called".into());
    }
    Ok(url.as_str().trim_end_matches('/').to_owned())
}

fn ttl_ms(request: &RegisterParticipant) -> Result<u64, Refusal> {
    let ttl_ms =
        duration(format_args!(""), "ttl", request.ttl, request.ttl_ms, TTL_MS_MIN)?.unwrap_or(TTL_MS_DEFAULT);
    if ttl_ms > TTL_MS_MAX {
        let field = if request.ttl.is_some() { "ttl" } else { "ttl_ms" };
        return Err(Refusal::field(
            field,
            format!("must be between {TTL_MS_MIN} and {TTL_MS_MAX} milliseconds"),
        ));
    }
    Ok(ttl_ms)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_base_url_has_one_spelling() {
        for (given, kept) in [
            ("http://127.0.0.1:7002", "http://127.0.0.1:7002"),
            ("http://Inventory/", "http://inventory"),
            ("https://host:443/stock/", "https://host/stock"),
        ] {
            assert_eq!(base_url(given).unwrap(), kept);
        }
    }

    #[test]
    fn a_base_url_that_could_mislead_is_refused() {
        for bad in [
            "",
            "inventory",
            "ftp://host",
            "http://",
            "http://user:secret@host",
            "http://@host",
            "http://host?x=1",
            "http://host#a",
            "http://a b",
            "http://a\r\nb",
            "file:///etc/passwd",
            "http://a*",
            "http:a",
            "http://a:",
            "HTTP://a",
            "http://a,b",
        ] {
            assert!(base_url(bad).is_err(), "{bad:?}");
        }
        assert!(check_name("http").is_err() && check_name("a/b").is_err() && check_name("stock").is_ok());
    }
}
