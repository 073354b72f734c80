//! SQL for many rows at once. A text is made of constants and a number of rows, and never of data. Few numbers are used, so
//! that all texts stay prepared. This is the only module of this dialect that vouches for SQL that is not a literal.

use sqlx::mysql::MySqlArguments;
use sqlx::query::Query;
use sqlx::{AssertSqlSafe, MySql};
use trine_protocol::Gid;

/// The most rows of one statement. More rows take several statements.
const ROWS_MAX: usize = 64;
/// Up to this, each number of rows has a statement of its own, and above this each multiple. So at most two statements take the
/// rows up to [`ROWS_MAX`]: each statement is a round trip.
const ROWS_STEP: usize = 8;
/// A statement takes no further row when it has this many bytes. Well below the smallest packet size that is accepted.
const BYTES_MAX: usize = 4 * 1024 * 1024;

/// A text with everything bound.
pub(super) type Bound = Query<'static, MySql, MySqlArguments>;

/// For a text that is made of constants of this crate.
pub(super) fn vouched(text: String) -> AssertSqlSafe<String> {
    AssertSqlSafe(text)
}

/// A statement for any number of rows.
#[derive(Debug, Clone, Copy)]
pub(super) struct Many {
    head: &'static str,
    row: &'static str,
    between: &'static str,
    tail: &'static str,
}

/// Binds: gid, seq, at, event, checksum.
pub(super) const JOURNAL: Many = Many {
    head: "INSERT INTO journal (gid, seq, at, event, checksum) VALUES ",
    row: "(?,?,?,?,?)",
    between: ",",
    tail: "",
};

/// Binds: gid, seq. Locks the records: a retention that deletes one of them at the same moment is waited for, and the record is
/// then missing.
pub(super) const BEFORE: Many = Many {
    head: "SELECT count(*) FROM journal WHERE ",
    row: "(gid = ? AND seq = ?)",
    between: " OR ",
    tail: " LOCK IN SHARE MODE",
};

/// Binds: gid, pattern, status, parked, owner, due_at, created_at, updated_at, settled_at, hosts.
///
/// `settled_at` is at least the database's time now (NULL stays NULL). A coordinator's clock may be behind, and a
/// transaction keeps its own time when a clock leaps ahead; retention must not find a transaction old that has just
/// settled.
pub(super) const INDEX: Many = Many {
    head: "INSERT INTO transactions (gid, pattern, status, parked, owner, due_at, created_at, updated_at, settled_at, \
           hosts) VALUES ",
    row: "(?,?,?,?,?,?,?,?,GREATEST(?,CAST(UNIX_TIMESTAMP(NOW(3)) * 1000 AS SIGNED)),?)",
    between: ",",
    tail: " ON DUPLICATE KEY UPDATE status = VALUES(status), parked = VALUES(parked), owner = VALUES(owner), \
           due_at = VALUES(due_at), updated_at = VALUES(updated_at), settled_at = VALUES(settled_at), \
           hosts = VALUES(hosts)",
};

/// Binds: gid, key, value, created_at.
pub(super) const LABELS: Many = Many {
    head: "INSERT INTO transaction_labels (gid, `key`, value, created_at) VALUES ",
    row: "(?,?,?,?)",
    between: ",",
    tail: " ON DUPLICATE KEY UPDATE value = VALUES(value), created_at = VALUES(created_at)",
};

/// Binds: name, base_url, registered_at, expires_at, guarded_until.
pub(super) const REGISTRATIONS: Many = Many {
    head: "INSERT INTO participants (name, base_url, registered_at, expires_at, guarded_until) VALUES ",
    row: "(?,?,?,?,?)",
    between: ",",
    tail: " ON DUPLICATE KEY UPDATE expires_at = VALUES(expires_at), guarded_until = VALUES(guarded_until)",
};

impl Many {
    /// The statement for this many rows.
    fn text(&self, rows: usize) -> String {
        let rows = vec![self.row; rows].join(self.between);
        format!("{}{rows}{}", self.head, self.tail)
    }

    /// The statements for all of `rows`, in order. `weight`: about how many bytes a row has.
    pub(super) fn bound<T>(
        &self,
        rows: &[T],
        weight: impl Fn(&T) -> usize,
        bind: impl Fn(Bound, &T) -> Bound,
    ) -> Vec<(usize, Bound)> {
        let parts = parts(rows, weight).into_iter();
        parts
            .map(|part| (part.len(), part.iter().fold(sqlx::query(vouched(self.text(part.len()))), &bind)))
            .collect()
    }

    /// The same for look-ups: the last one is repeated up to a power of two, so that one statement takes all rows up to
    /// [`ROWS_MAX`]. What is named twice is found once.
    pub(super) fn lookups<T>(&self, rows: &[T], bind: impl Fn(Bound, &T) -> Bound) -> Vec<(usize, Bound)> {
        let lookup = |part: &[T]| {
            let places = part.len().next_power_of_two();
            let filled = part.iter().chain(part.last().into_iter().cycle()).take(places);
            (part.len(), filled.fold(sqlx::query(vouched(self.text(places))), &bind))
        };
        rows.chunks(ROWS_MAX).map(lookup).collect()
    }
}

/// Splits rows into parts with few different lengths, whose bytes are bounded.
fn parts<T>(mut rows: &[T], weight: impl Fn(&T) -> usize) -> Vec<&[T]> {
    let mut parts = Vec::new();
    while !rows.is_empty() {
        let mut bytes = 0;
        let fits = rows.iter().take(ROWS_MAX).take_while(|row| {
            bytes += weight(row);
            bytes <= BYTES_MAX
        });
        // At least one: a row that is too large by itself would otherwise keep this loop from ending.
        let fits = fits.count().max(1);
        // Rounded down, and the rest goes into the next part. Each length is a text of its own, and only so many texts
        // stay prepared.
        let length = if fits <= ROWS_STEP { fits } else { fits - fits % ROWS_STEP };
        let (part, rest) = rows.split_at(length);
        parts.push(part);
        rows = rest;
    }
    parts
}

/// Gids for `IN (..)`. The last one is repeated up to a power of two, so that there are few texts.
#[derive(Debug)]
pub(super) struct Gids<'a>(&'a [&'a Gid]);

impl<'a> Gids<'a> {
    /// All of them, some at a time.
    pub(super) fn parts(gids: &'a [&'a Gid]) -> impl Iterator<Item = Self> {
        gids.chunks(4 * ROWS_MAX).map(Gids)
    }

    /// A text with `IN (*)` for these.
    pub(super) fn text(&self, text: &'static str) -> AssertSqlSafe<String> {
        // Filled up as in `bind`. With a text for each number of gids, more texts would be in use than stay prepared.
        let places = vec!["?"; self.0.len().next_power_of_two()].join(",");
        vouched(text.replace("(*)", &format!("({places})")))
    }

    pub(super) fn bind(&self, query: Bound) -> Bound {
        // A gid that is named twice within `IN (..)` is found once, so the repetition changes nothing.
        let last = self.0.last().into_iter().cycle().take(self.0.len().next_power_of_two() - self.0.len());
        self.0.iter().chain(last).fold(query, |query, gid| query.bind(gid.as_str().to_owned()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn any_number_of_rows_takes_few_texts_and_loses_none() {
        let mut lengths = std::collections::BTreeSet::new();
        for count in 0..300_usize {
            let rows: Vec<usize> = (0..count).collect();
            let parts = parts(&rows, |_| 100);
            assert_eq!(parts.concat(), rows);
            lengths.extend(parts.iter().map(|part| part.len()));
        }
        assert_eq!(
            lengths.into_iter().collect::<Vec<_>>(),
            [1, 2, 3, 4, 5, 6, 7, 8, 16, 24, 32, 40, 48, 56, 64]
        );
        assert!((1..=ROWS_MAX).all(|count| parts(&vec![0; count], |_| 100).len() <= 2), "a round trip each");
    }

    #[test]
    fn large_rows_are_spread_over_statements() {
        let rows = vec![1024 * 1024; 10];
        let lengths: Vec<usize> = parts(&rows, |row| *row).iter().map(|part| part.len()).collect();
        assert_eq!(lengths, [4, 4, 2]);
        assert_eq!(parts(&[BYTES_MAX * 3, 1], |row| *row).len(), 2);
    }

    #[test]
    fn what_a_row_binds_is_counted_right() {
        for many in [JOURNAL, INDEX, LABELS, REGISTRATIONS] {
            let columns = many.head.matches(',').count() + 1;
            assert_eq!(many.row.matches('?').count(), columns, "{}", many.head);
        }
    }
}
