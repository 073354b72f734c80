//! SQL for many rows at once. A text is made of constants and a number of rows, and never of data. Few numbers are used, so
//! that the texts in use stay prepared. This is the only module of this database that vouches for SQL that is not a
//! literal.
//!
//! A whole batch is one command, `BEGIN IMMEDIATE; .. ; COMMIT`. Each command goes to SQLite's thread and back; on a busy
//! machine a batch of several commands would wait for the thread, and not for SQLite.

use sqlx::query::Query;
use sqlx::sqlite::SqliteArguments;
use sqlx::{AssertSqlSafe, Sqlite};

/// The most rows of one statement. More rows take several statements.
const ROWS_MAX: usize = 64;

/// An insert of any number of rows. The rows are filled up to the next power of two with rows of NULLs, and a row whose
/// first column is NULL is not inserted.
#[derive(Debug, Clone, Copy)]
pub(super) struct Insert {
    /// The text up to and including the names of the columns.
    head: &'static str,
    /// The text of one row.
    row: &'static str,
    columns: usize,
    /// The text after the rows.
    tail: &'static str,
}

/// Binds: gid, seq, at, event, checksum.
pub(super) const JOURNAL: Insert = Insert {
    head: "INSERT INTO journal (gid, seq, at, event, checksum)",
    row: "(?,?,?,?,?)",
    columns: 5,
    tail: "",
};

/// Binds: gid, pattern, status, parked, owner, due_at, created_at, updated_at, settled_at, hosts.
///
/// `settled_at` is at least the time of this write by SQLite's clock. An unsettled transaction has NULL, and NULL stays NULL:
/// SQLite's `max` of two values is NULL if one of them is. A transaction's own time may be behind: it is kept when the clock
/// leaps ahead. Without the `max`, retention would take a transaction that has just settled for an old one.
pub(super) const INDEX: Insert = Insert {
    head: "INSERT INTO transactions (gid, pattern, status, parked, owner, due_at, created_at, updated_at, settled_at, \
           hosts)",
    row: "(?,?,?,?,?,?,?,?,max(?,CAST(unixepoch('subsec') * 1000 AS INTEGER)),?)",
    columns: 10,
    tail: " ON CONFLICT (gid) DO UPDATE SET status = excluded.status, parked = excluded.parked, \
           owner = excluded.owner, due_at = excluded.due_at, updated_at = excluded.updated_at, \
           settled_at = excluded.settled_at, hosts = excluded.hosts",
};

/// Binds: gid, key, value, created_at.
pub(super) const LABELS: Insert = Insert {
    head: "INSERT INTO transaction_labels (gid, key, value, created_at)",
    row: "(?,?,?,?)",
    columns: 4,
    tail: " ON CONFLICT (gid, key) DO UPDATE SET value = excluded.value, created_at = excluded.created_at",
};

/// A command with everything bound.
pub(super) type Bound = Query<'static, Sqlite, SqliteArguments>;

impl Insert {
    /// Adds the statements that insert this many rows.
    pub(super) fn write(&self, rows: usize, text: &mut String) {
        for rows in sizes(rows) {
            text.push_str(self.head);
            text.push_str(" SELECT * FROM (VALUES ");
            for position in 0..rows {
                text.push_str(if position == 0 { "" } else { "," });
                text.push_str(self.row);
            }
            text.push_str(") WHERE column1 IS NOT NULL");
            text.push_str(self.tail);
            text.push(';');
        }
    }

    /// Binds the rows, then NULLs, in the order of [`Self::write`].
    pub(super) fn bind<T>(&self, rows: &[T], command: Bound, bind: impl Fn(Bound, &T) -> Bound) -> Bound {
        let places: usize = sizes(rows.len()).sum();
        let bound = rows.iter().fold(command, bind);
        (0..(places - rows.len()) * self.columns).fold(bound, |bound, _| bound.bind(None::<i64>))
    }
}

/// For a text that is made of constants of this crate.
pub(super) fn command(text: String) -> Bound {
    sqlx::query(AssertSqlSafe(text))
}

/// The sizes of the statements for this many rows: powers of two, none above [`ROWS_MAX`].
fn sizes(rows: usize) -> impl Iterator<Item = usize> {
    let full = std::iter::repeat_n(ROWS_MAX, rows / ROWS_MAX);
    let rest = rows % ROWS_MAX;
    full.chain((rest > 0).then(|| rest.next_power_of_two()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn any_number_of_rows_takes_few_texts() {
        let mut texts = std::collections::BTreeSet::new();
        for rows in 0..=ROWS_MAX {
            let mut text = String::new();
            LABELS.write(rows, &mut text);
            let places = text.matches(LABELS.row).count();
            assert!(places >= rows && places < rows.max(1) * 2, "{rows} rows take {places} places");
            assert_eq!(places, sizes(rows).sum::<usize>());
            texts.insert(text);
        }
        assert_eq!(texts.len(), 8, "none, and seven powers of two");
    }

    #[test]
    fn what_a_row_binds_is_counted_right() {
        for insert in [JOURNAL, INDEX, LABELS] {
            assert_eq!(insert.row.matches('?').count(), insert.columns);
            assert_eq!(insert.head.matches(',').count() + 1, insert.columns);
        }
    }
}
