//! Lists of transactions in SQL databases: the texts, the values that are bound, and the pages made from the rows.
//!
//! A list walks an index newest first (creation time, then gid) and filters what it meets.

use trine_protocol::v1::{Page, TransactionSummary};
use trine_protocol::{Pattern, Status, Timestamp};

use crate::columns::{limited, millis};
use crate::rows::{Columns, gid, timestamp, word};
use crate::{Cursor, Filter, group};

/// When the last event was recorded. Not every event writes the index row, so the journal is asked for its last record:
/// one look-up by its key.
pub(crate) const LAST_EVENT_AT: &str =
    "coalesce((SELECT j.at FROM journal AS j WHERE j.gid = t.gid ORDER BY j.seq DESC LIMIT 1), t.updated_at)";

/// How the words of a database differ in the text of a list. `t` is the index row.
#[derive(Debug)]
pub(crate) struct ListSyntax {
    /// Whether `{walked}.created_at` and `{walked}.gid` come before the cursor `$2`, `$3`.
    pub(crate) is_before: &'static str,
    /// `$4`: statuses between commas; `$5`: the pattern; `$6`: whether parked; `$7`: a host. NULL lets everything pass.
    pub(crate) filters: &'static str,
    /// A join that reads the labels first and then looks up their transactions.
    pub(crate) join: &'static str,
    /// The labels' column `key`, which is a reserved word in MySQL.
    pub(crate) key: &'static str,
}

/// One text for each index that a list can walk.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Walks<T> {
    /// All transactions.
    pub(crate) all: T,
    /// Those that are not settled: nearly always a small part.
    pub(crate) unsettled: T,
    /// Those that have a label, by `$9` and `$10`.
    pub(crate) labelled: T,
}

impl Walks<String> {
    /// The texts of a database. `updated_at`: [`LAST_EVENT_AT`], or something that does not read the journal.
    pub(crate) fn of(syntax: &ListSyntax, updated_at: &str) -> Self {
        let ListSyntax { is_before, filters, join, key } = syntax;
        let list = |from: &str, walked: &str, condition: &str| {
            let is_before = is_before.replace("{walked}", walked);
            format!(
                "SELECT t.gid, t.pattern, t.status, t.parked, t.created_at, {updated_at}, t.settled_at FROM {from} \
                 WHERE {walked}.created_at >= $1 AND {is_before} AND {filters}{condition} \
                 ORDER BY {walked}.created_at DESC, {walked}.gid DESC LIMIT $8"
            )
        };
        Self {
            all: list("transactions AS t", "t", ""),
            unsettled: list("transactions AS t", "t", " AND t.settled_at IS NULL"),
            labelled: list(
                &format!("transaction_labels AS l {join} transactions AS t ON t.gid = l.gid"),
                "l",
                &format!(" AND l.{key} = $9 AND l.value = $10"),
            ),
        }
    }
}

impl<T> Walks<T> {
    pub(crate) fn map<U>(self, with: impl Fn(T) -> U) -> Walks<U> {
        Walks { all: with(self.all), unsettled: with(self.unsettled), labelled: with(self.labelled) }
    }
}

/// What is bound to a list's text, in the order of `$1` to `$10`.
#[derive(Debug)]
pub(crate) struct ListValues<'a> {
    pub(crate) created_from: i64,
    pub(crate) before: (i64, &'a str),
    pub(crate) statuses: Option<String>,
    pub(crate) pattern: Option<&'static str>,
    pub(crate) parked: Option<bool>,
    pub(crate) host: Option<&'a str>,
    /// One more than a page shows: the row too many says that there is a next page.
    pub(crate) rows_max: i64,
    pub(crate) label: Option<(&'a str, &'a str)>,
    unsettled: bool,
}

impl<'a> ListValues<'a> {
    /// None where no row can match.
    pub(crate) fn of(filter: &'a Filter, cursor: Option<&'a Cursor>, limit: usize) -> Option<Self> {
        let Filter { statuses, pattern, parked, label, host, created_from, created_to } = filter;
        if host.as_ref().is_some_and(|host| host.is_empty() || host.contains('\n')) {
            // The column has one host a line: such a text would be found between two lines, and is no host.
            return None;
        }
        let wanted = |status: &Status| statuses.is_empty() || statuses.contains(status);
        // No gid is empty, so (time, "") is before every row of that time: "created before" is a cursor, too.
        let cursor = cursor.map_or((i64::MAX, ""), |cursor| (millis(cursor.created_at), cursor.gid.as_str()));
        let words: String = statuses.iter().map(|status| format!("{status},")).collect();
        Some(Self {
            created_from: created_from.map_or(0, millis),
            before: created_to.map_or(cursor, |to| cursor.min((millis(to), ""))),
            statuses: (!statuses.is_empty()).then(|| format!(",{words}")),
            pattern: pattern.map(Pattern::as_str),
            parked: *parked,
            host: host.as_deref(),
            rows_max: limited(limit.saturating_add(1)),
            label: label.as_ref().map(|(key, value)| (key.as_str(), value.as_str())),
            // What is parked is not settled.
            unsettled: *parked == Some(true) || !Status::ALL.iter().any(|s| s.is_settled() && wanted(s)),
        })
    }

    /// The text that walks the least.
    pub(crate) fn text<T: Copy>(&self, walks: &Walks<T>) -> T {
        match (self.label, self.unsettled) {
            (Some(_), _) => walks.labelled,
            (None, true) => walks.unsettled,
            (None, false) => walks.all,
        }
    }
}

/// A page that shows nothing.
pub(crate) fn empty() -> Page {
    Page { transactions: Vec::new(), next_cursor: None }
}

/// The page that the rows of a list make.
pub(crate) fn page<R: Columns>(rows: &[R], limit: usize) -> Page {
    let transactions = group::legible(rows.iter().take(limit).map(summary));
    // A row that cannot be read is not shown, and may still be the last one of its page.
    let last = rows.iter().take(limit).filter_map(|row| cursor(row).ok()).next_back();
    let next_cursor = last.filter(|_| rows.len() > limit).map(|cursor| cursor.encode());
    Page { transactions, next_cursor }
}

fn cursor<R: Columns>(row: &R) -> Result<Cursor, R::Error> {
    Ok(Cursor { created_at: timestamp(row, 4)?, gid: gid(row, 0)? })
}

fn summary<R: Columns>(row: &R) -> Result<TransactionSummary, R::Error> {
    Ok(TransactionSummary {
        gid: gid(row, 0)?,
        pattern: word(row, 1, Pattern::parse)?,
        status: word(row, 2, Status::parse)?,
        parked: row.maybe_text(3)?.map(str::to_owned),
        created_at: timestamp(row, 4)?,
        updated_at: timestamp(row, 5)?,
        settled_at: row.maybe_int(6)?.map(|at| Timestamp::from_millis(at.cast_unsigned())),
    })
}
