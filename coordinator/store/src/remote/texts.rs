//! The SQL that PostgreSQL and MySQL share. Each text is written once.
//!
//! In a text, `$1 ..` stand for the values that are bound, and `{now}` for the database's time in milliseconds. Each server
//! has a [`Dialect`], which turns all texts into the server's own words when the process needs the first one.
//!
//! Texts that SQLite reads as well are in [`crate::sql`]. Texts that each server words in its own way are in
//! `postgres/texts.rs` and `mysql/texts.rs`. Statements for any number of gids or rows are there, too, or beside them in
//! `write` and `statements`.

use crate::listing::{LAST_EVENT_AT, ListSyntax, Walks};
use crate::sql;

/// A text in the words of one server.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Text {
    pub(crate) sql: &'static str,
    /// For each `?` in the text, the index of the value that is bound to it. None: values are bound in the order they are
    /// given.
    pub(crate) order: Option<&'static [usize]>,
}

impl Text {
    /// For a text that is already in the server's own words.
    pub(crate) const fn verbatim(sql: &'static str) -> Self {
        Self { sql, order: None }
    }
}

/// How the words of a server differ from the shared texts.
#[derive(Debug)]
pub(crate) struct Dialect {
    /// Stands in the place of `{now}`.
    pub(crate) now: &'static str,
    /// The server knows no `$1 ..`. Each place in the text where a value is bound is a `?`.
    pub(crate) positional: bool,
    pub(crate) lists: ListSyntax,
}

impl Dialect {
    /// Called once for each text, because the memory of the result is never freed.
    fn text(&self, text: &str) -> Text {
        let text = text.replace("{now}", self.now);
        // A placeholder that is left would be refused by the server, and only when the text is first run.
        debug_assert!(!text.contains('{'), "{text}");
        if !self.positional {
            return Text { sql: text.leak(), order: None };
        }
        let (sql, order) = positional(&text);
        Text { sql: sql.leak(), order: Some(order.leak()) }
    }
}

/// The text with a `?` in each place of a `$1 ..`, and for each `?` the index of its value.
fn positional(text: &str) -> (String, Vec<usize>) {
    let mut parts = text.split('$');
    let mut out = parts.next().unwrap_or_default().to_owned();
    let mut order = Vec::new();
    for part in parts {
        // All digits belong to the number: `$10` is not `$1` and a 0.
        let digits = part.len() - part.trim_start_matches(|c: char| c.is_ascii_digit()).len();
        let (number, rest) = part.split_at(digits);
        let number: usize = number.parse().expect("a `$` in a text is followed by the number of a value");
        order.push(number - 1);
        out.push('?');
        out.push_str(rest);
    }
    (out, order)
}

/// Defines [`Texts`] and [`OwnTexts`] by one table: the texts that are shared, and the names of those that each dialect
/// brings.
macro_rules! texts {
    (
        shared { $($(#[doc = $doc:literal])* $name:ident = $text:expr;)* }
        own { $($(#[doc = $own_doc:literal])* $own:ident;)* }
    ) => {
        /// All texts of one dialect.
        #[derive(Debug)]
        pub(crate) struct Texts {
            $($(#[doc = $doc])* pub(crate) $name: Text,)*
            $($(#[doc = $own_doc])* pub(crate) $own: Text,)*
            /// Lists of transactions.
            pub(crate) lists: Walks<Text>,
        }

        /// The texts that each dialect words in its own way.
        #[derive(Debug)]
        pub(crate) struct OwnTexts<'a> {
            $(pub(crate) $own: &'a str,)*
        }

        impl Texts {
            pub(crate) fn of(dialect: &Dialect, own: &OwnTexts<'_>) -> Self {
                Self {
                    $($name: dialect.text($text),)*
                    $($own: dialect.text(own.$own),)*
                    lists: Walks::of(&dialect.lists, LAST_EVENT_AT).map(|text| dialect.text(&text)),
                }
            }
        }
    };
}

texts! {
shared {
    records = sql::RECORDS;
    index_row = sql::INDEX_ROW;
    /// Names of journals, of index rows, of labels.
    journal_names = sql::NAMES[0].1;
    index_names = sql::NAMES[1].1;
    label_names = sql::NAMES[2].1;
    unfinished = sql::UNFINISHED;
    due = sql::DUE;
    /// See [`crate::rows::census`].
    census = "SELECT pattern, status, count(*), count(parked), min(created_at) FROM transactions \
        WHERE settled_at IS NULL GROUP BY pattern, status";

    now = "SELECT {now}";
    /// See [`crate::rows::registrations`]; then the server's time.
    participants = "SELECT name, base_url, registered_at, expires_at, guarded_until, {now} FROM participants \
        ORDER BY name, base_url";
    is_registered = sql::IS_REGISTERED;
    deregister = sql::DEREGISTER;

    journal_id = sql::JOURNAL_ID;

    // PostgreSQL writes a new version of the row even if no value changes. So the commit has something to wait for.
    /// A small write by the name of a coordinator, for [`super::client::Client::READS_NEED_SETTLING`].
    settle = "UPDATE coordinators SET previous_at = previous_at WHERE id = $1";
    /// The row of a name: incarnation, the heartbeat before, the last heartbeat.
    coordinator = "SELECT incarnation, previous_at, heartbeat_at FROM coordinators WHERE id = $1";
    /// The row stays, so that others see that the coordinator of this name is gone and adopt what it owns.
    leave = "UPDATE coordinators SET heartbeat_at = 0, previous_at = 0 WHERE id = $1 AND incarnation = $2";
    /// `$3`: [`super::tables::GAVE_UP`].
    give_up = "UPDATE coordinators SET heartbeat_at = $3, previous_at = {now} WHERE id = $1 AND incarnation = $2";
    /// Writes `$4` in the place of the heartbeat `$3`. If a heartbeat comes first, the row is another and nothing is
    /// written.
    take_for_gone = "UPDATE coordinators SET previous_at = heartbeat_at, heartbeat_at = $4 \
        WHERE id = $1 AND incarnation = $2 AND heartbeat_at = $3";
    /// The last heartbeat under a name: incarnation, when, how long ago.
    beaten = "SELECT incarnation, heartbeat_at, {now} - heartbeat_at FROM coordinators WHERE id = $1";
    /// The other coordinators: name, incarnation, heartbeat, whether they own what is not settled.
    others = "SELECT c.id, c.incarnation, c.heartbeat_at, CASE WHEN EXISTS (SELECT 1 FROM transactions AS t \
        WHERE t.settled_at IS NULL AND t.owner = c.id) THEN 1 ELSE 0 END \
        FROM coordinators AS c WHERE c.id <> $1 ORDER BY c.id";
    /// All coordinators: name, node, start, heartbeat, its age, how much they own, incarnation, the heartbeat before.
    coordinators = "SELECT c.id, c.node, c.started_at, c.heartbeat_at, {now} - c.heartbeat_at, \
        (SELECT count(*) FROM transactions AS t WHERE t.settled_at IS NULL AND t.owner = c.id), \
        c.incarnation, c.previous_at FROM coordinators AS c ORDER BY c.id";
    // The greater of the two: a word in the place of the heartbeat is a small number, and the time is in the other
    // column.
    /// Forgets coordinators that own nothing and have been silent for longer than `$1`.
    sweep_coordinators = "DELETE FROM coordinators WHERE greatest(heartbeat_at, previous_at) < {now} - $1 \
        AND NOT EXISTS (SELECT 1 FROM transactions AS t WHERE t.settled_at IS NULL AND t.owner = coordinators.id)";

    /// Deletes nothing (the column is never NULL), and fails where nothing can be written.
    ping = "DELETE FROM coordinators WHERE id IS NULL";
    alive = "SELECT 1";
    remove_probe = sql::REMOVE_PROBE;
    // `;` is the character after `:`, so the range holds all names that begin with the prefix, and the key finds them.
    /// Probes older than an hour: no proof that a write works takes that long.
    sweep_probes = "DELETE FROM journal WHERE gid > 'trine-probe:' AND gid < 'trine-probe;' AND at < {now} - 3600000 \
        AND NOT EXISTS (SELECT 1 FROM transactions AS t WHERE t.gid = journal.gid)";

    // No comparison of pairs: MySQL would not look one up in the index.
    /// Rows that call their transactions settled, oldest first. `$1`: before when; `$2`, `$3`: after which one.
    settled = "SELECT settled_at, gid FROM transactions WHERE settled_at IS NOT NULL AND settled_at < $1 \
        AND settled_at >= $2 AND (settled_at > $2 OR gid > $3) ORDER BY settled_at, gid LIMIT $4";
    reopen = sql::REOPEN;
    spans = sql::SPANS;
    /// Now, and the time of the newest record.
    clock = &format!("SELECT {{now}}, ({})", sql::NEWEST_RECORD);
    extend_span = sql::EXTEND_SPAN;
    cut_spans = sql::CUT_SPANS;
    drop_spans_after = sql::DROP_SPANS_AFTER;
    drop_spans_until = sql::DROP_SPANS_UNTIL;

    change_entry = sql::CHANGE_ENTRY;
    delete_entry = sql::DELETE_ENTRY;
}
own {
    /// The number of the server's session behind this connection.
    session;
    /// Labels of `$1`: key, value.
    labels;
    // Without the last one, a new transaction that names it would be refused as if it had never been registered.
    /// Removes instances that expired more than `$1` ago, but for the last one of each name: it must stay known.
    sweep_participants;
    /// `$1`: what it is to be. Harmless, or undone, where there is one.
    make_journal_id;
    /// Writes the row of the name `$1` for the incarnation `$2` on the node `$3`, in the place of an earlier one.
    join;
    /// [`BEAT`], and what [`super::client::Client::beat`] answers if the server can say it in the same statement.
    beat;
    /// Puts owners of unsettled transactions that have no row back into the table, as gone.
    recall;
    /// Begins the span `$1` to `$2`, unless one begins there.
    begin_span;
    /// See [`crate::rows::entry`].
    entry;
    /// The same, of a category, after `$2`.
    entries;
    /// Does nothing, or is undone, where there is one.
    create_entry;
}
}

/// Says that a coordinator is alive. Other coordinators look whether the heartbeat changes, so that it differs from the last
/// one also while the database's clock stands still. `previous_at` comes first: MySQL assigns from left to right.
pub(crate) const BEAT: &str = "UPDATE coordinators SET previous_at = heartbeat_at, heartbeat_at = \
     CASE WHEN {now} BETWEEN heartbeat_at - 1000 AND heartbeat_at THEN heartbeat_at + 1 ELSE {now} END, node = $3 \
     WHERE id = $1 AND incarnation = $2";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_bound_as_often_and_in_the_order_as_they_are_named() {
        let (text, order) = positional("a = $2 AND (b > $1 OR b = $1) LIMIT $10");
        assert_eq!((text.as_str(), order), ("a = ? AND (b > ? OR b = ?) LIMIT ?", vec![1, 0, 0, 9]));
        assert_eq!(positional("SELECT 1"), ("SELECT 1".to_owned(), vec![]));
    }
}
