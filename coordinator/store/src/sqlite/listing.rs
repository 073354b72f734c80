//! Lists of transactions; see [`crate::listing`].

use std::sync::LazyLock;

use sqlx::SqlitePool;
use trine_protocol::v1::Page;

use super::words::is_damage;
use crate::listing::{self, LAST_EVENT_AT, ListSyntax, ListValues, Walks};
use crate::{Cursor, Filter};

const SYNTAX: ListSyntax = ListSyntax {
    is_before: "({walked}.created_at, {walked}.gid) < ($2, $3)",
    filters: "($4 IS NULL OR instr($4, ',' || t.status || ',') > 0) \
        AND ($5 IS NULL OR t.pattern = $5) AND ($6 IS NULL OR (t.parked IS NOT NULL) = $6) \
        AND ($7 IS NULL OR instr(char(10) || t.hosts || char(10), char(10) || $7 || char(10)) > 0)",
    join: "CROSS JOIN",
    key: "key",
};

/// Made once, so that they are never freed.
pub(super) static WALKS: LazyLock<Walks<&'static str>> =
    LazyLock::new(|| Walks::of(&SYNTAX, LAST_EVENT_AT).map(|text| &*text.leak()));

/// The same without the journal.
pub(super) static BY_ROWS: LazyLock<Walks<&'static str>> =
    LazyLock::new(|| Walks::of(&SYNTAX, "t.updated_at").map(|text| &*text.leak()));

/// See [`crate::Queries::list`]. Where a page of the journal is damaged, the index rows say when they were written.
pub(super) async fn list(
    readers: &SqlitePool,
    filter: Filter,
    cursor: Option<Cursor>,
    limit: usize,
) -> Result<Page, sqlx::Error> {
    match walk(readers, &WALKS, &filter, cursor.as_ref(), limit).await {
        Err(error) if is_damage(&error) => walk(readers, &BY_ROWS, &filter, cursor.as_ref(), limit).await,
        listed => listed,
    }
}

async fn walk(
    readers: &SqlitePool,
    walks: &Walks<&'static str>,
    filter: &Filter,
    cursor: Option<&Cursor>,
    limit: usize,
) -> Result<Page, sqlx::Error> {
    let Some(list) = ListValues::of(filter, cursor, limit) else { return Ok(listing::empty()) };
    let mut query = sqlx::query(list.text(walks))
        .bind(list.created_from)
        .bind(list.before.0)
        .bind(list.before.1)
        .bind(list.statuses)
        .bind(list.pattern)
        .bind(list.parked)
        .bind(list.host)
        .bind(list.rows_max);
    if let Some((key, value)) = list.label {
        query = query.bind(key).bind(value);
    }
    Ok(listing::page(&query.fetch_all(readers).await?, limit))
}
