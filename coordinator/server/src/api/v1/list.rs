//! The list of transactions, with filters and pages.

use std::sync::Arc;

use axum::Json;
use axum::extract::State as Ext;
use trine_protocol::v1::Page;
use trine_protocol::{Pattern, Status};

use super::super::ApiState;
use super::super::params::{Pairs, parse_time, set_once, unknown};
use super::super::problem::Refusal;
use super::from_wire::is_label_key;
use trine_store::{Cursor, Filter};

const LIMIT_DEFAULT: usize = 50;
const LIMIT_MAX: usize = 500;
const TEXT_BYTES_MAX: usize = 2_048;
const KNOWN: [&str; 9] =
    ["status", "pattern", "parked", "label", "host", "created_from", "created_to", "limit", "cursor"];

/// List transactions, newest first.
///
/// Every given filter must match. `next_cursor` of a page is the `cursor` of the next.
#[utoipa::path(
    get,
    path = "/v1/transactions",
    operation_id = "listTransactions",
    tag = "transactions",
    params(
        ("status" = Option<Vec<Status>>, Query, description = "Any of these; repeated, or separated by commas"),
        ("pattern" = Option<Pattern>, Query, description = "Only this pattern"),
        ("parked" = Option<bool>, Query, description = "Only those that need a person, or only the others"),
        ("label" = Option<String>, Query, description = "`key=value` or `key:value`", pattern = "^[A-Za-z0-9._/-]{1,64}[=:][ -~]{0,256}$"),
        ("host" = Option<String>, Query, description = "With a branch at this `host[:port]` or participant", pattern = "^[!-~]{1,2048}$"),
        ("created_from" = Option<trine_protocol::Timestamp>, Query, description = "Created at or after (RFC 3339)"),
        ("created_to" = Option<trine_protocol::Timestamp>, Query, description = "Created before (RFC 3339)"),
        ("limit" = Option<u32>, Query, description = "Rows of a page (default 50)", minimum = 1, maximum = 500),
        ("cursor" = Option<String>, Query, description = "`next_cursor` of the page before", pattern = "^[0-9]{1,15}_[A-Za-z0-9._:-]{1,128}$"),
    ),
    responses((status = 200, description = "A page", body = Page))
)]
pub(super) async fn list_transactions(
    Ext(state): Ext<Arc<ApiState>>,
    Pairs(pairs): Pairs,
) -> Result<Json<Page>, Refusal> {
    let (filter, cursor, limit) = parse(&pairs)?;
    let page = state.bounded(state.queries.list(filter, cursor, limit)).await?;
    Ok(Json(page))
}

fn parse(pairs: &[(String, String)]) -> Result<(Filter, Option<Cursor>, usize), Refusal> {
    let mut filter = Filter::default();
    let (mut cursor, mut limit) = (None, None);
    for (name, value) in pairs {
        match name.as_str() {
            "status" => filter.statuses.extend(statuses(value)?),
            "pattern" => set_once(&mut filter.pattern, name, pattern(value)?)?,
            "parked" => set_once(&mut filter.parked, name, boolean(value)?)?,
            "label" => set_once(&mut filter.label, name, parameter_label(value)?)?,
            "host" => set_once(&mut filter.host, name, host(value)?)?,
            "created_from" => set_once(&mut filter.created_from, name, time(name, value)?)?,
            "created_to" => set_once(&mut filter.created_to, name, time(name, value)?)?,
            "limit" => set_once(&mut limit, name, page_limit(value)?)?,
            "cursor" => set_once(&mut cursor, name, page_cursor(value)?)?,
            other => return Err(unknown(other, &KNOWN)),
        }
    }
    Ok((filter, cursor, limit.unwrap_or(LIMIT_DEFAULT)))
}

fn statuses(value: &str) -> Result<Vec<Status>, Refusal> {
    let words = value.split(',').map(|word| Status::parse(word.trim()));
    words.collect::<Option<_>>().ok_or_else(|| {
        let known: Vec<_> = Status::ALL.iter().map(|status| status.as_str()).collect();
        Refusal::parameter("status", format!("must be one or more of: {}", known.join(", ")))
    })
}

fn pattern(value: &str) -> Result<Pattern, Refusal> {
    Pattern::parse(value).ok_or_else(|| {
        let known: Vec<_> = Pattern::ALL.iter().map(|pattern| pattern.as_str()).collect();
        Refusal::parameter("pattern", format!("must be one of: {}", known.join(", ")))
    })
}

fn boolean(value: &str) -> Result<bool, Refusal> {
    value.parse().map_err(|_| Refusal::parameter("parked", "must be true or false"))
}

fn parameter_label(value: &str) -> Result<(String, String), Refusal> {
    label(value).ok_or_else(|| Refusal::parameter("label", "must be `key=value` or `key:value`"))
}

/// Parses `key=value` or `key:value`. The first of the two signs separates, because keys contain neither.
pub(crate) fn label(text: &str) -> Option<(String, String)> {
    let (key, value) = text.split_once(['=', ':'])?;
    let good = is_label_key(key) && value.len() <= TEXT_BYTES_MAX && !value.chars().any(char::is_control);
    good.then(|| (key.to_owned(), value.to_owned()))
}

fn host(value: &str) -> Result<String, Refusal> {
    if is_host(value) {
        return Ok(value.to_owned());
    }
    Err(Refusal::parameter("host", "must be a `host[:port]` or the name of a participant"))
}

/// Whether a text can be a host or a participant's name. It need not exist.
pub(crate) fn is_host(text: &str) -> bool {
    (1..=TEXT_BYTES_MAX).contains(&text.len()) && text.chars().all(|c| c.is_ascii_graphic())
}

fn time(name: &str, value: &str) -> Result<trine_protocol::Timestamp, Refusal> {
    parse_time(value)
        .ok_or_else(|| Refusal::parameter(name, "must be an RFC 3339 time such as 2026-01-31T12:00:00Z"))
}

fn page_limit(value: &str) -> Result<usize, Refusal> {
    let limit = value.parse().ok().filter(|limit| (1..=LIMIT_MAX).contains(limit));
    limit.ok_or_else(|| Refusal::parameter("limit", format!("must be between 1 and {LIMIT_MAX}")))
}

fn page_cursor(value: &str) -> Result<Cursor, Refusal> {
    Cursor::decode(value)
        .ok_or_else(|| Refusal::parameter("cursor", "must be the `next_cursor` of a page, unchanged"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(query: &str) -> Result<(Filter, Option<Cursor>, usize), Refusal> {
        let uri = format!("/v1/transactions?{query}").parse().unwrap();
        let pairs = axum::extract::Query::<Vec<(String, String)>>::try_from_uri(&uri).unwrap();
        parse(&pairs.0)
    }

    #[test]
    fn every_filter_is_read() {
        let query = "status=open,running&status=committed&pattern=saga&parked=true&label=customer%3A7&host=a:80\
                     &created_from=2026-01-01T00:00:00Z&created_to=2026-01-01T02:00:00%2B01:00&limit=7&cursor=12_g-1";
        let (filter, cursor, limit) = parsed(query).unwrap();
        assert_eq!(filter.statuses, [Status::Open, Status::Running, Status::Committed]);
        assert_eq!(filter.pattern, Some(Pattern::Saga));
        assert_eq!(filter.parked, Some(true));
        assert_eq!(filter.label, Some(("customer".into(), "7".into())));
        assert_eq!(filter.host.as_deref(), Some("a:80"));
        let hour = filter.created_to.unwrap().millis_since(filter.created_from.unwrap());
        assert_eq!(hour, 3_600_000);
        assert_eq!(cursor.unwrap().encode(), "12_g-1");
        assert_eq!(limit, 7);
    }

    #[test]
    fn an_unusable_parameter_is_named() {
        for (query, field) in [
            ("colour=red", "colour"),
            ("status=done", "status"),
            ("status=", "status"),
            ("pattern=nested", "pattern"),
            ("parked=yes", "parked"),
            ("label=customer", "label"),
            ("label=%00=1", "label"),
            ("host=", "host"),
            ("host=a%00", "host"),
            ("created_from=yesterday", "created_from"),
            ("limit=0", "limit"),
            ("limit=501", "limit"),
            ("limit=1&limit=2", "limit"),
            ("cursor=x", "cursor"),
        ] {
            let refusal = parsed(query).unwrap_err();
            assert_eq!(refusal.problem().code, "TX0019", "{query}");
            assert_eq!(refusal.problem().field.as_deref(), Some(field), "{query}");
        }
    }
}
