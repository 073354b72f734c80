//! SQL for many rows at once. It is put together from constants and a count, never from data, and the counts are few, so
//! that every text stays prepared. This is the only module that vouches for SQL that is not a literal.

use sqlx::query::Query;
use sqlx::sqlite::SqliteArguments;
use sqlx::{AssertSqlSafe, Sqlite};

/// Most rows of one statement. What is larger takes several.
const ROWS_MAX: usize = 256;

/// An insert that takes any number of rows.
#[derive(Debug, Clone, Copy)]
pub(super) struct Insert {
    /// Up to and including `VALUES`.
    head: &'static str,
    /// What one row binds.
    row: &'static str,
    /// After the rows.
    tail: &'static str,
}

/// Binds: gid, seq, at, event.
pub(super) const JOURNAL: Insert =
    Insert { head: "INSERT INTO journal (gid, seq, at, event) VALUES ", row: "(?,?,?,?)", tail: "" };

/// Binds: gid, pattern, status, parked, owner, due_at, created_at, updated_at, settled_at, hosts.
pub(super) const INDEX: Insert = Insert {
    head: "INSERT INTO transactions (gid, pattern, status, parked, owner, due_at, created_at, updated_at, settled_at, \
           hosts) VALUES ",
    row: "(?,?,?,?,?,?,?,?,?,?)",
    tail: " ON CONFLICT (gid) DO UPDATE SET status = excluded.status, parked = excluded.parked, \
           owner = excluded.owner, due_at = excluded.due_at, updated_at = excluded.updated_at, \
           settled_at = excluded.settled_at, hosts = excluded.hosts",
};

/// Binds: gid, key, value, created_at.
pub(super) const LABELS: Insert = Insert {
    head: "INSERT INTO transaction_labels (gid, key, value, created_at) VALUES ",
    row: "(?,?,?,?)",
    tail: " ON CONFLICT (gid, key) DO UPDATE SET value = excluded.value, created_at = excluded.created_at",
};

/// A statement with everything bound.
pub(super) type Bound = Query<'static, Sqlite, SqliteArguments>;

impl Insert {
    /// The statements that insert `rows`, each bound by `bind`: powers of two, largest first.
    pub(super) fn of<T>(&self, rows: &[T], bind: impl Fn(Bound, &T) -> Bound) -> Vec<Bound> {
        let mut statements = Vec::new();
        let mut left = rows;
        while !left.is_empty() {
            let count = ROWS_MAX.min(1 << left.len().ilog2());
            let (now, later) = left.split_at(count);
            statements.push(now.iter().fold(self.statement(count), &bind));
            left = later;
        }
        statements
    }

    fn statement(&self, rows: usize) -> Bound {
        let Self { head, row, tail } = self;
        let mut text = String::with_capacity(head.len() + rows * (row.len() + 1) + tail.len());
        text.push_str(head);
        for position in 0..rows {
            text.push_str(if position == 0 { "" } else { "," });
            text.push_str(row);
        }
        text.push_str(tail);
        sqlx::query(AssertSqlSafe(text))
    }
}

#[cfg(test)]
mod tests {
    use sqlx::Execute;

    use super::*;

    #[test]
    fn any_number_of_rows_takes_few_texts() {
        let mut texts = std::collections::BTreeSet::new();
        for count in 0..=1_000 {
            let rows = vec![(); count];
            let statements = LABELS.of(&rows, |statement, ()| statement);
            let bound: usize = statements
                .into_iter()
                .map(|statement| {
                    let text = statement.sql().as_str().to_owned();
                    let rows = text.matches(LABELS.row).count();
                    texts.insert(text);
                    rows
                })
                .sum();
            assert_eq!(bound, count);
        }
        assert_eq!(texts.len(), 9);
    }
}
