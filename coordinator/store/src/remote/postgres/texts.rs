//! SQL that only PostgreSQL reads, but the statement that writes a batch.

use std::sync::LazyLock;

use crate::listing::ListSyntax;
use crate::remote::texts::{BEAT, Dialect, OwnTexts, Text, Texts};
use crate::sql;

const DIALECT: Dialect = Dialect {
    // Not `now()`: that is the time when the database transaction began, and the statement may have waited for a lock
    // since.
    now: "CAST(extract(epoch FROM clock_timestamp()) * 1000 AS BIGINT)",
    positional: false,
    lists: ListSyntax {
        is_before: "({walked}.created_at, {walked}.gid) < ($2, $3)",
        // The casts tell the server the type of a value that may be NULL.
        filters: "($4::text IS NULL OR position(',' || t.status || ',' IN $4) > 0) \
            AND ($5::text IS NULL OR t.pattern = $5) AND ($6::bool IS NULL OR (t.parked IS NOT NULL) = $6) \
            AND ($7::text IS NULL OR position(chr(10) || $7 || chr(10) IN chr(10) || t.hosts || chr(10)) > 0)",
        join: "JOIN",
        key: "key",
    },
};

pub(super) static TEXTS: LazyLock<Texts> = LazyLock::new(|| {
    let own = OwnTexts {
        session: "SELECT pg_backend_pid()::bigint",
        labels: "SELECT key, value FROM transaction_labels WHERE gid = $1",
        sweep_participants: "DELETE FROM participants AS p WHERE p.expires_at < {now} - $1 AND p.base_url <> \
            (SELECT o.base_url FROM participants AS o WHERE o.name = p.name \
             ORDER BY o.expires_at DESC, o.base_url DESC LIMIT 1)",
        make_journal_id: "INSERT INTO journal_id (one, id, made_at) VALUES (1, $1, {now}) ON CONFLICT (one) DO NOTHING",
        join: "INSERT INTO coordinators (id, incarnation, node, started_at, heartbeat_at, previous_at) \
            SELECT $1, $2, $3, n.now, n.now, n.now FROM (SELECT {now} AS now) AS n \
            ON CONFLICT (id) DO UPDATE SET incarnation = excluded.incarnation, node = excluded.node, \
            started_at = excluded.started_at, heartbeat_at = excluded.heartbeat_at, previous_at = excluded.previous_at",
        beat: &format!("{BEAT} RETURNING incarnation, previous_at, heartbeat_at"),
        // The owner may join between the look and the insert. Its living row must stay as it is.
        recall: "INSERT INTO coordinators (id, incarnation, node, started_at, heartbeat_at, previous_at) \
            SELECT DISTINCT t.owner, '', '', 0, 0, 0 FROM transactions AS t WHERE t.settled_at IS NULL \
            AND NOT EXISTS (SELECT 1 FROM coordinators AS c WHERE c.id = t.owner) ON CONFLICT (id) DO NOTHING",
        // Another coordinator may have begun the same span a moment ago. The one that is there may have been extended,
        // so it stays.
        begin_span: "INSERT INTO watched (from_at, until_at) VALUES ($1, $2) ON CONFLICT (from_at) DO NOTHING",
        entry: sql::ENTRY,
        entries: sql::ENTRIES,
        create_entry: sql::CREATE_ENTRY,
    };
    Texts::of(&DIALECT, &own)
});

/// Binds arrays of names, of base URLs; now; arrays of when each expires, and until when it is guarded.
pub(super) const REGISTER: &str = "INSERT INTO participants (name, base_url, registered_at, expires_at, guarded_until) \
     SELECT r.name, r.base_url, $3, r.expires_at, r.guarded_until \
     FROM unnest($1::text[], $2::text[], $4::bigint[], $5::bigint[]) AS r(name, base_url, expires_at, guarded_until) \
     ON CONFLICT (name, base_url) DO UPDATE SET expires_at = excluded.expires_at, guarded_until = excluded.guarded_until";

/// NULL for a setting that the server does not know.
pub(super) const INSPECT: Text = Text::verbatim(
    "SELECT CAST(pg_is_in_recovery() AS TEXT), current_setting('transaction_read_only', true), \
     current_setting('fsync', true), current_setting('full_page_writes', true), current_setting('synchronous_commit', true), \
     current_setting('synchronous_standby_names', true)",
);

pub(super) const APPLIED: Text =
    Text::verbatim("SELECT version, CASE WHEN success THEN 1 ELSE 0 END FROM trine_migrations");

pub(super) const LOAD: &str = "SELECT j.gid, j.seq, j.at, j.event, CASE WHEN t.owner = $2 THEN 1 ELSE 0 END, j.checksum \
     FROM journal AS j LEFT JOIN transactions AS t ON t.gid = j.gid WHERE j.gid = ANY($1) ORDER BY j.gid, j.seq";

pub(super) const ENDS: &str = "SELECT gid, max(seq) FROM journal WHERE gid = ANY($1) GROUP BY gid";

/// Rows that another adopter is claiming at the same moment are skipped.
pub(super) const CLAIM: Text = Text::verbatim(
    "WITH claimed AS MATERIALIZED (SELECT gid FROM transactions \
     WHERE settled_at IS NULL AND owner = $2 AND EXISTS (SELECT 1 FROM coordinators AS c WHERE c.id = $2 \
         AND c.heartbeat_at <= $4) \
     ORDER BY gid LIMIT $3 FOR UPDATE SKIP LOCKED) \
     UPDATE transactions AS t SET owner = $1 FROM claimed WHERE t.gid = claimed.gid RETURNING t.gid",
);

/// Binds arrays of the candidates: gids, settled_at. Rows that others are changing at the same moment are skipped. A row
/// that was changed before has another `settled_at`, or none.
pub(super) const RETIRE: &str = "WITH settled AS MATERIALIZED (SELECT t.gid FROM unnest($1::text[], $2::bigint[]) AS c(gid, settled_at) \
     JOIN transactions AS t ON t.gid = c.gid AND t.settled_at = c.settled_at FOR UPDATE OF t SKIP LOCKED), \
     records AS (DELETE FROM journal USING settled WHERE journal.gid = settled.gid), \
     labels AS (DELETE FROM transaction_labels AS l USING settled WHERE l.gid = settled.gid), \
     rows AS (DELETE FROM transactions AS t USING settled WHERE t.gid = settled.gid RETURNING 1) SELECT count(*) FROM rows";
