//! The requests with query parameters: one transaction, lists, retries of many, topics and key-value entries.

use axum::extract::State as Ext;
use axum::response::Response;
use serde_json::{Value, json};

use super::params::Params;
use crate::api::dtm::outcome::DtmError;
use crate::api::dtm::service::Query;
use crate::api::dtm::{Front, envelope};

/// `resetCronTime` skips transactions that are due within so many seconds.
const RESET_TIMEOUT_S: u64 = 105;

pub(super) async fn query(Ext(front): Ext<Front>, params: Params) -> Response {
    envelope::value(one(&front, params.text("gid")).await)
}

async fn one(front: &Front, gid: &str) -> Result<Value, DtmError> {
    if gid.is_empty() {
        return Err(DtmError::Other("no gid specified".into()));
    }
    let found = front.service.query(gid).await?;
    let (global, branches) = found.map_or((None, Vec::new()), |(global, branches)| (Some(global), branches));
    Ok(json!({"transaction": global, "branches": branches}))
}

pub(super) async fn all(Ext(front): Ext<Front>, params: Params) -> Response {
    envelope::value(page(&front, &params).await)
}

async fn page(front: &Front, params: &Params) -> Result<Value, DtmError> {
    let query = filter(params)?;
    let gid = params.text("gid");
    if !gid.is_empty() {
        let found = front.service.query(gid).await?.map(|(global, _)| [global]);
        return Ok(json!({"transactions": found, "next_position": ""}));
    }
    let page = front.service.all(query).await?;
    Ok(json!({"transactions": page.items, "next_position": page.next_position}))
}

fn filter(params: &Params) -> Result<Query, DtmError> {
    // dtm compares times in seconds.
    let millis = |name| -> Result<Option<u64>, DtmError> {
        let millis = params.number(name)?;
        Ok(millis.map(|millis| u64::try_from(millis).unwrap_or_default() / 1_000 * 1_000))
    };
    Ok(Query {
        status: params.text("status").to_owned(),
        trans_type: params.text("transType").to_owned(),
        created_from_ms: millis("createTimeStart")?,
        created_to_ms: millis("createTimeEnd")?,
        position: params.text("position").to_owned(),
        limit: params.limit()?,
    })
}

pub(super) async fn reset_cron_time(Ext(front): Ext<Front>, params: Params) -> Response {
    envelope::value(reset(&front, &params).await)
}

async fn reset(front: &Front, params: &Params) -> Result<Value, DtmError> {
    let timeout_s = params.number("timeout")?.map(|seconds| u64::try_from(seconds).unwrap_or_default());
    let limit = params.limit()?;
    let (count, more) = front.service.reset_cron_time(timeout_s.unwrap_or(RESET_TIMEOUT_S), limit).await?;
    Ok(json!({"has_remaining": more, "succeed_count": count}))
}

pub(super) async fn subscribe(Ext(front): Ext<Front>, params: Params) -> Response {
    let [topic, url, remark] = ["topic", "url", "remark"].map(|name| params.text(name));
    envelope::done(front.service.subscribe(topic, url, remark).await)
}

pub(super) async fn unsubscribe(Ext(front): Ext<Front>, params: Params) -> Response {
    envelope::done(front.service.unsubscribe(params.text("topic"), params.text("url")).await)
}

pub(super) async fn query_kv(Ext(front): Ext<Front>, params: Params) -> Response {
    let found = front.service.query_kv(params.text("cat"), params.text("key")).await;
    envelope::value(found.map(|entries| json!({"kv": entries})))
}

pub(super) async fn scan_kv(Ext(front): Ext<Front>, params: Params) -> Response {
    envelope::value(scan(&front, &params).await)
}

async fn scan(front: &Front, params: &Params) -> Result<Value, DtmError> {
    let limit = params.limit()?;
    let page = front.service.scan_kv(params.text("cat"), params.text("position"), limit).await?;
    Ok(json!({"kv": page.items, "next_position": page.next_position}))
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::extract::FromRequestParts as _;

    #[tokio::test]
    async fn a_page_is_asked_for_by_names_in_camel_case_and_times_to_the_second() {
        let uri = "/?status=succeed&transType=tcc&createTimeStart=1700000001999&createTimeEnd=-1&position=p&limit=5";
        let (mut parts, ()) = axum::http::Request::get(uri).body(()).unwrap().into_parts();
        let params = Params::from_request_parts(&mut parts, &()).await.unwrap();
        let expected = Query {
            status: "succeed".into(),
            trans_type: "tcc".into(),
            created_from_ms: Some(1_700_000_001_000),
            created_to_ms: Some(0),
            position: "p".into(),
            limit: 5,
        };
        assert_eq!(filter(&params), Ok(expected));
        let defaults = Query { limit: 100, ..Query::default() };
        assert_eq!(filter(&Params::default()), Ok(defaults));
    }
}
