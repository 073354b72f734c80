//! SQL that SQLite, PostgreSQL and MySQL read alike. `$1 ..` stand for the values that are bound.
//!
//! What only PostgreSQL and MySQL share is in `remote/texts.rs`; what one database alone reads is in its own directory.

/// One gid's records after a seq: gid, seq, at, event, 0, checksum. These are the columns of a load, which has the owner's
/// flag in place of the 0.
pub(crate) const RECORDS: &str = "SELECT gid, seq, at, event, 0, checksum FROM journal WHERE gid = $1 AND seq > $2 \
     ORDER BY seq LIMIT $3";

/// Names after `$1`, in order, of each table that has them.
pub(crate) const NAMES: [(&str, &str); 3] = [
    ("journal", "SELECT DISTINCT gid FROM journal WHERE gid > $1 ORDER BY gid LIMIT $2"),
    ("transactions", "SELECT gid FROM transactions WHERE gid > $1 ORDER BY gid LIMIT $2"),
    (
        "transaction_labels",
        "SELECT DISTINCT gid FROM transaction_labels WHERE gid > $1 ORDER BY gid LIMIT $2",
    ),
];

/// The columns of [`crate::IndexColumns`].
pub(crate) const INDEX_ROW: &str = "SELECT pattern, status, parked, owner, due_at, created_at, settled_at, hosts \
     FROM transactions WHERE gid = $1";

/// `$1`: the owner; `$2`: the gid before; `$3`: due by when.
pub(crate) const UNFINISHED: &str = "SELECT gid FROM transactions WHERE settled_at IS NULL AND owner = $1 AND gid > $2 \
     AND (due_at IS NULL OR due_at <= $3) ORDER BY gid LIMIT $4";

/// `$1`: the owner; `$2`: due by when.
pub(crate) const DUE: &str = "SELECT gid FROM transactions WHERE settled_at IS NULL AND due_at IS NOT NULL AND owner = $1 \
     AND due_at <= $2 ORDER BY due_at, gid LIMIT $3";

pub(crate) const IS_REGISTERED: &str = "SELECT 1 FROM participants WHERE name = $1 LIMIT 1";

/// `$2`: the instance; NULL for all of the name.
pub(crate) const DEREGISTER: &str =
    "DELETE FROM participants WHERE name = $1 AND base_url = coalesce($2, base_url)";

pub(crate) const JOURNAL_ID: &str = "SELECT id FROM journal_id";

/// An index row means that the gid is a transaction, and no probe.
pub(crate) const REMOVE_PROBE: &str = "DELETE FROM journal WHERE gid = $1 \
     AND NOT EXISTS (SELECT 1 FROM transactions AS t WHERE t.gid = $1)";

/// Puts an index row right, unless it no longer says that it settled at `$2`.
pub(crate) const REOPEN: &str = "UPDATE transactions SET settled_at = NULL, status = $3, parked = $4, due_at = $5, \
     updated_at = $6 WHERE gid = $1 AND settled_at = $2";

/// Newest first.
pub(crate) const SPANS: &str = "SELECT from_at, until_at FROM watched ORDER BY from_at DESC";
pub(crate) const EXTEND_SPAN: &str = "UPDATE watched SET until_at = $2 WHERE from_at = $1 AND until_at < $2";
pub(crate) const CUT_SPANS: &str = "UPDATE watched SET until_at = $1 WHERE until_at > $1";
pub(crate) const DROP_SPANS_AFTER: &str = "DELETE FROM watched WHERE from_at > $1";
pub(crate) const DROP_SPANS_UNTIL: &str = "DELETE FROM watched WHERE from_at <= $1";

/// The time of the newest record, as far as the index knows it.
pub(crate) const NEWEST_RECORD: &str = "SELECT max(x.at) FROM (SELECT max(created_at) AS at FROM transactions UNION ALL \
     SELECT max(settled_at) AS at FROM transactions WHERE settled_at IS NOT NULL) AS x";

// MySQL has texts of its own for the next three: it keeps names as bytes, and knows no ON CONFLICT.

pub(crate) const ENTRY: &str = "SELECT name, value, version, created_at, updated_at FROM key_values \
     WHERE category = $1 AND name = $2";
pub(crate) const ENTRIES: &str = "SELECT name, value, version, created_at, updated_at FROM key_values \
     WHERE category = $1 AND name > $2 ORDER BY name LIMIT $3";
pub(crate) const CREATE_ENTRY: &str = "INSERT INTO key_values (category, name, value, version, created_at, updated_at) \
     VALUES ($1, $2, $3, 1, $4, $4) ON CONFLICT DO NOTHING";

pub(crate) const CHANGE_ENTRY: &str = "UPDATE key_values SET value = $3, version = version + 1, updated_at = $4 \
     WHERE category = $1 AND name = $2 AND version = $5 AND created_at = $6";

/// `$3`: its version, or 0 for any.
pub(crate) const DELETE_ENTRY: &str = "DELETE FROM key_values WHERE category = $1 AND name = $2 \
     AND ($3 = 0 OR (version = $3 AND created_at = $4))";
