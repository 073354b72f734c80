//! Replay of many transactions: every parked one that matches, a bounded number side by side.

use std::sync::Arc;

use axum::Json;
use axum::extract::State as Ext;
use futures_util::StreamExt as _;
use futures_util::stream;
use trine_engine::{Command, ReplyOn};
use trine_protocol::v1::{Page, ReplayMany, ReplayManyAnswer};

use crate::api::ApiState;
use crate::api::body::JsonBody;
use crate::api::problem::Refusal;
use crate::api::v1::list::{is_host, label as parse_label};
use trine_store::{Cursor, Filter};

const LIMIT_MAX: u64 = 10_000;
const PAGE_ROWS: u64 = 500;

/// Replay every parked transaction that matches.
///
/// Replaying is safe to repeat; when `more` is true, ask again.
#[utoipa::path(
    post,
    path = "/v1/admin/replay",
    operation_id = "replayMany",
    tag = "admin",
    request_body = ReplayMany,
    responses((status = 200, description = "What was done", body = ReplayManyAnswer))
)]
pub(super) async fn replay_many(
    Ext(state): Ext<Arc<ApiState>>,
    JsonBody(request): JsonBody<ReplayMany>,
) -> Result<Json<ReplayManyAnswer>, Refusal> {
    let (filter, limit) = parse(request)?;
    let mut answer = ReplayManyAnswer { matched: 0, replayed: 0, failed: 0, more: false };
    let mut cursor: Option<Cursor> = None;
    loop {
        let rows = usize::try_from((limit - answer.matched).min(PAGE_ROWS)).unwrap_or(1);
        // Replayed rows leave the filter. The cursor keeps the walk from replaying a transaction again that parked again at once.
        let page = state.bounded(state.queries.list(filter.clone(), cursor.take(), rows)).await?;
        cursor = page.next_cursor.as_deref().and_then(Cursor::decode);
        replay_page(&state, page, &mut answer).await;
        answer.more = cursor.is_some();
        if cursor.is_none() || answer.matched >= limit {
            return Ok(Json(answer));
        }
    }
}

async fn replay_page(state: &ApiState, page: Page, answer: &mut ReplayManyAnswer) {
    answer.matched += page.transactions.len() as u64;
    let handle = &state.handle;
    let replays = stream::iter(page.transactions)
        .map(|row| async move {
            handle.submit(row.gid, Command::Replay { branch: None }, ReplyOn::Durable).await.is_ok()
        })
        .buffer_unordered(state.limits.replays_in_flight_max.max(1));
    let replayed = replays.filter(|done| std::future::ready(*done)).count().await as u64;
    answer.replayed += replayed;
    answer.failed = answer.matched - answer.replayed;
}

fn parse(request: ReplayMany) -> Result<(Filter, u64), Refusal> {
    let limit = request.limit.map_or(LIMIT_MAX, u64::from);
    if !(1..=LIMIT_MAX).contains(&limit) {
        return Err(Refusal::field("limit", format!("must be between 1 and {LIMIT_MAX}")));
    }
    if request.host.as_deref().is_some_and(|host| !is_host(host)) {
        return Err(Refusal::field("host", "must be a `host[:port]` or the name of a participant"));
    }
    let label = match &request.label {
        Some(text) => {
            let label = parse_label(text);
            Some(label.ok_or_else(|| Refusal::field("label", "must be `key=value` or `key:value`"))?)
        }
        None => None,
    };
    let filter = Filter {
        statuses: request.status.into_iter().collect(),
        pattern: request.pattern,
        parked: Some(true),
        label,
        host: request.host,
        created_from: None,
        created_to: None,
    };
    Ok((filter, limit))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_parked_is_replayed() {
        let (filter, limit) = parse(ReplayMany::default()).unwrap();
        assert_eq!((filter.parked, limit), (Some(true), LIMIT_MAX));
    }

    #[test]
    fn an_unusable_filter_is_named() {
        let wrong = [
            (ReplayMany { limit: Some(0), ..ReplayMany::default() }, "limit"),
            (ReplayMany { limit: Some(10_001), ..ReplayMany::default() }, "limit"),
            (ReplayMany { host: Some(String::new()), ..ReplayMany::default() }, "host"),
            (ReplayMany { label: Some("seven".into()), ..ReplayMany::default() }, "label"),
        ];
        for (request, field) in wrong {
            let refusal = parse(request).unwrap_err();
            assert_eq!(refusal.problem().field.as_deref(), Some(field));
            assert_eq!(refusal.problem().code, "TX0002");
        }
    }
}
