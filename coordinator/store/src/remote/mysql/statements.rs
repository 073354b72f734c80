//! SQL for many rows at once: as statements with bound values, or as one text with the values in it.
//!
//! A statement with bound values is made of constants and a number of rows, and never of data. Few numbers are used, so that
//! all texts stay prepared. In a text, every string is a hexadecimal literal, so no byte of it can be read as SQL.
//!
//! This is the only module of this dialect that vouches for SQL that is not a literal.

use std::borrow::Cow;

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
/// More than the bytes of a value besides its text.
const VALUE_BYTES: usize = 32;
/// The most rows of one look-up in a text. A server that finds a condition too long reads the whole table.
const LOOKUP_MAX: usize = 256;

const HEX: &[u8; 16] = b"0123456789abcdef";

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
    /// What is named twice is found once. The `?` in the head is the number of rows.
    is_lookup: bool,
}

/// A value of a row.
#[derive(Debug, Clone)]
pub(super) enum Value<'a> {
    Null,
    Int(i64),
    Text(Cow<'a, str>),
}

/// Binds: gid, seq, at, event, checksum.
pub(super) const JOURNAL: Many = Many {
    head: "INSERT INTO journal (gid, seq, at, event, checksum) VALUES ",
    row: "(?,?,?,?,?)",
    between: ",",
    tail: "",
    is_lookup: false,
};

/// Binds: gid, seq. An error, if not all of these records are there: the greatest number is added to the result of the
/// comparison. So a server that gets several statements at once executes no further one.
///
/// Locks the records. A retention that deletes one of them at the same moment is waited for, and the record is then missing.
pub(super) const BEFORE: Many = Many {
    head: "SELECT 9223372036854775807 + (count(*) <> ?) FROM journal WHERE ",
    row: "(gid = ? AND seq = ?)",
    between: " OR ",
    tail: " LOCK IN SHARE MODE",
    is_lookup: true,
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
    is_lookup: false,
};

/// Binds: gid, key, value, created_at.
pub(super) const LABELS: Many = Many {
    head: "INSERT INTO transaction_labels (gid, `key`, value, created_at) VALUES ",
    row: "(?,?,?,?)",
    between: ",",
    tail: " ON DUPLICATE KEY UPDATE value = VALUES(value), created_at = VALUES(created_at)",
    is_lookup: false,
};

/// Binds: name, base_url, registered_at, expires_at, guarded_until.
pub(super) const REGISTRATIONS: Many = Many {
    head: "INSERT INTO participants (name, base_url, registered_at, expires_at, guarded_until) VALUES ",
    row: "(?,?,?,?,?)",
    between: ",",
    tail: " ON DUPLICATE KEY UPDATE expires_at = VALUES(expires_at), guarded_until = VALUES(guarded_until)",
    is_lookup: false,
};

impl Many {
    pub(super) fn of<'a, const N: usize>(self, rows: impl Iterator<Item = [Value<'a>; N]>) -> Rows<'a> {
        debug_assert_eq!(self.columns(), N, "{}", self.head);
        Rows { many: self, values: rows.flatten().collect() }
    }

    fn columns(&self) -> usize {
        self.row.matches('?').count()
    }

    /// The statement for this many rows.
    fn text(&self, rows: usize) -> String {
        let rows = vec![self.row; rows].join(self.between);
        format!("{}{rows}{}", self.head, self.tail)
    }
}

/// A statement with its rows.
#[derive(Debug)]
pub(super) struct Rows<'a> {
    many: Many,
    /// Row after row.
    values: Vec<Value<'a>>,
}

impl Rows<'_> {
    /// About how many bytes all rows have.
    pub(super) fn weight(&self) -> usize {
        self.values.iter().map(Value::weight).sum()
    }

    /// The statements for all rows, in order.
    pub(super) fn bound(&self) -> Vec<Bound> {
        let rows: Vec<&[Value<'_>]> = self.values.chunks(self.many.columns()).collect();
        if self.many.is_lookup {
            return rows.chunks(ROWS_MAX).map(|part| self.lookup(part)).collect();
        }
        let parts = parts(&rows, |row| row.iter().map(Value::weight).sum()).into_iter();
        parts.map(|part| bound(self.many.text(part.len()), part.iter().copied().flatten())).collect()
    }

    /// The last row is repeated up to a power of two, so that one statement takes all rows up to [`ROWS_MAX`].
    fn lookup(&self, part: &[&[Value<'_>]]) -> Bound {
        let places = part.len().next_power_of_two();
        let filled = part.iter().chain(part.last().into_iter().cycle()).take(places);
        let count = Value::count(part.len());
        bound(self.many.text(places), std::iter::once(&count).chain(filled.copied().flatten()))
    }

    /// Writes the statements for all rows, with the values in them and a `;` after each. Returns how many. Few rows take one.
    pub(super) fn spell(&self, out: &mut Vec<u8>) -> usize {
        let columns = self.many.columns();
        let rows_max = if self.many.is_lookup { LOOKUP_MAX } else { usize::MAX / columns };
        let mut statements = 0;
        for values in self.values.chunks(rows_max * columns) {
            let rows = values.len() / columns;
            let count = self.many.is_lookup.then(|| Value::count(rows));
            let text = self.many.text(rows);
            let mut parts = text.split('?');
            out.extend_from_slice(parts.next().unwrap_or_default().as_bytes());
            for (value, part) in count.iter().chain(values).zip(parts) {
                value.spell(out);
                out.extend_from_slice(part.as_bytes());
            }
            out.push(b';');
            statements += 1;
        }
        statements
    }
}

impl Value<'_> {
    fn count(rows: usize) -> Self {
        Self::Int(i64::try_from(rows).unwrap_or(i64::MAX))
    }

    fn weight(&self) -> usize {
        VALUE_BYTES + if let Self::Text(text) = self { text.len() } else { 0 }
    }

    fn bind(&self, query: Bound) -> Bound {
        match self {
            Self::Null => query.bind(None::<i64>),
            Self::Int(number) => query.bind(*number),
            Self::Text(text) => query.bind(text.clone().into_owned()),
        }
    }

    fn spell(&self, out: &mut Vec<u8>) {
        match self {
            Self::Null => out.extend_from_slice(b"NULL"),
            Self::Int(number) => out.extend_from_slice(number.to_string().as_bytes()),
            Self::Text(text) => {
                // Names the character set that bound texts have. Without it the literal would be bytes, and a comparison
                // of bytes with a column of text would not be looked up in the index.
                out.extend_from_slice(b"_utf8mb4 X'");
                let begin = out.len();
                out.resize(begin + 2 * text.len(), 0);
                for (digits, byte) in out[begin..].chunks_exact_mut(2).zip(text.bytes()) {
                    digits[0] = HEX[usize::from(byte >> 4)];
                    digits[1] = HEX[usize::from(byte & 15)];
                }
                out.push(b'\'');
            }
        }
    }
}

impl From<i64> for Value<'_> {
    fn from(number: i64) -> Self {
        Self::Int(number)
    }
}

impl From<String> for Value<'_> {
    fn from(text: String) -> Self {
        Self::Text(Cow::Owned(text))
    }
}

impl<'a, V: Into<Value<'a>>> From<Option<V>> for Value<'a> {
    fn from(value: Option<V>) -> Self {
        value.map_or(Self::Null, Into::into)
    }
}

impl<'a> From<&'a str> for Value<'a> {
    fn from(text: &'a str) -> Self {
        Self::Text(Cow::Borrowed(text))
    }
}

fn bound<'v, 'd: 'v>(text: String, values: impl Iterator<Item = &'v Value<'d>>) -> Bound {
    values.fold(sqlx::query(vouched(text)), |query, value| value.bind(query))
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
            assert_eq!(many.columns(), many.head.matches(',').count() + 1, "{}", many.head);
        }
    }

    fn spelled(rows: &Rows<'_>) -> (usize, String) {
        let mut text = Vec::new();
        (rows.spell(&mut text), String::from_utf8(text).unwrap())
    }

    #[test]
    fn no_byte_of_a_text_can_be_read_as_sql() {
        let hostile = "?'\\\"`;\0\n/*ä";
        let rows = LABELS.of([[hostile.into(), "k".into(), Value::Null, (-1).into()]].into_iter());
        let (statements, text) = spelled(&rows);
        assert_eq!(statements, 1);
        let expected =
            "VALUES (_utf8mb4 X'3f275c22603b000a2f2ac3a4',_utf8mb4 X'6b',NULL,-1) ON DUPLICATE KEY";
        assert!(text.contains(expected), "{text}");
    }

    #[test]
    fn any_number_of_look_ups_is_spelled_in_parts_that_know_their_number() {
        let rows = |count: i64| BEFORE.of((0..count).map(|seq| ["g".into(), seq.into()]));
        assert_eq!(spelled(&rows(0)), (0, String::new()));
        let (statements, text) = spelled(&rows(257));
        assert_eq!(statements, 2);
        assert!(text.contains("(count(*) <> 256) FROM") && text.contains("(count(*) <> 1) FROM"), "{text}");
        assert_eq!(text.matches("seq = ").count(), 257);
    }
}
