//! A transaction's history, page by page.

use std::sync::Arc;

use axum::Json;
use axum::extract::State as Ext;
use trine_protocol::Gid;
use trine_protocol::v1::{History, UnreadableRecord};

use super::super::ApiState;
use super::super::params::{EVENT_ID_MAX, GidPath, Pairs, set_once, unknown};
use super::super::problem::Refusal;
use super::to_wire;
use trine_store::{ReadablePage, Unreadable};

const LIMIT_DEFAULT: usize = 1_000;
const LIMIT_MAX: usize = 1_000;
const KNOWN: [&str; 2] = ["after_seq", "limit"];

/// Show a transaction's history.
///
/// Events in order, with every attempt: op, attempt, outcome, status code, duration, error. `next_after_seq` of a page is
/// the `after_seq` of the next. Of a damaged journal: what can be read, and which records cannot.
#[utoipa::path(
    get,
    path = "/v1/transactions/{gid}/history",
    operation_id = "getHistory",
    tag = "transactions",
    params(
        ("gid" = Gid, Path, description = "The transaction"),
        ("after_seq" = Option<u64>, Query, description = "Begin after the event with this seq (default 0)", minimum = 0, maximum = 9_007_199_254_740_991u64),
        ("limit" = Option<u32>, Query, description = "Events of a page (default 1000)", minimum = 1, maximum = 1000),
    ),
    responses((status = 200, description = "Its events, oldest first", body = History))
)]
pub(super) async fn history(
    Ext(state): Ext<Arc<ApiState>>,
    GidPath(gid): GidPath,
    Pairs(pairs): Pairs,
) -> Result<Json<History>, Refusal> {
    let (after_seq, limit) = parse(&pairs)?;
    let ReadablePage { found, next_after_seq } = state.readable_page(&gid, after_seq, limit).await?;
    if found.is_empty() && state.readable_page(&gid, 0, 1).await?.found.is_empty() {
        return Err(Refusal::not_found(&gid));
    }
    let events = found.records.iter().map(to_wire::history_event).collect();
    let unreadable = found.damaged.into_iter();
    let unreadable = unreadable.map(|Unreadable { seq, detail }| UnreadableRecord { seq, detail }).collect();
    Ok(Json(History { gid, events, unreadable, next_after_seq }))
}

fn parse(pairs: &[(String, String)]) -> Result<(u64, usize), Refusal> {
    let (mut after_seq, mut limit) = (None, None);
    for (name, value) in pairs {
        match name.as_str() {
            "after_seq" => {
                let seq = value.parse().ok().filter(|seq| *seq <= EVENT_ID_MAX);
                let seq = seq.ok_or_else(|| Refusal::parameter(name, "must be the seq of an event"))?;
                set_once(&mut after_seq, name, seq)?;
            }
            "limit" => {
                let events = value.parse().ok().filter(|limit| (1..=LIMIT_MAX).contains(limit));
                let events = events
                    .ok_or_else(|| Refusal::parameter(name, format!("must be between 1 and {LIMIT_MAX}")))?;
                set_once(&mut limit, name, events)?;
            }
            other => return Err(unknown(other, &KNOWN)),
        }
    }
    Ok((after_seq.unwrap_or(0), limit.unwrap_or(LIMIT_DEFAULT)))
}
