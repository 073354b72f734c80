//! SQL for many rows at once. It is put together from constants and a count, never from data, and the counts are few, so
//! that the texts in use stay prepared. This is the only module that vouches for SQL that is not a literal.
//!
//! A whole batch is one command, `BEGIN IMMEDIATE; .. ; COMMIT`: each command is a trip to SQLite's thread and back, and
//! on a busy machine the trips, not SQLite, are what a batch would wait for.

use sqlx::query::Query;
use sqlx::sqlite::SqliteArguments;
use sqlx::{AssertSqlSafe, Sqlite};

/// Most rows of one statement. What is larger takes several.
const ROWS_MAX: usize = 64;

/// An insert that takes any number of rows. Rows are padded with NULLs to the next power of two, and left out where the
/// first column is NULL.
#[derive(Debug, Clone, Copy)]
pub(super) struct Insert {
    /// Up to and including the columns.
    head: &'static str,
    /// What one row binds.
    row: &'static str,
    /// How many values that is.
    columns: usize,
    /// After the rows.
    tail: &'static str,
}

/// Binds: gid, seq, at, event, checksum.
pub(super) const JOURNAL: Insert = Insert {
    head: "INSERT INTO journal (gid, seq, at, event, checksum)",
    row: "(?,?,?,?,?)",
    columns: 5,
    tail: "",
};

/// Binds: gid, pattern, status, parked, owner, due_at, created_at, updated_at, settled_at, hosts. Nothing settled before it
/// is written: a transaction keeps its own time when the clock leaps ahead, and retention must not find it old.
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

    /// Binds rows, and the padding after them, in the order [`Self::write`] wrote them.
    pub(super) fn bind<T>(&self, rows: &[T], command: Bound, bind: impl Fn(Bound, &T) -> Bound) -> Bound {
        let places: usize = sizes(rows.len()).sum();
        let bound = rows.iter().fold(command, bind);
        (0..(places - rows.len()) * self.columns).fold(bound, |bound, _| bound.bind(None::<i64>))
    }
}

/// A text of [`Insert::write`]s, to be bound.
pub(super) fn command(text: String) -> Bound {
    sqlx::query(AssertSqlSafe(text))
}

/// Powers of two, none above [`ROWS_MAX`], with room for this many rows.
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
