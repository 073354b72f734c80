//! Every SQL text of PostgreSQL but the one that writes a batch.

use crate::remote::client::Texts;

/// Now, by the database's clock, in milliseconds.
macro_rules! now {
    () => {
        "CAST(extract(epoch FROM clock_timestamp()) * 1000 AS BIGINT)"
    };
}

/// Instances by arrays: names, base URLs, now, when each expires.
pub(super) const REGISTER: &str = "INSERT INTO participants (name, base_url, registered_at, expires_at) \
     SELECT r.name, r.base_url, $3, r.expires_at FROM unnest($1::text[], $2::text[], $4::bigint[]) \
     AS r(name, base_url, expires_at) ON CONFLICT (name, base_url) DO UPDATE SET expires_at = excluded.expires_at";

/// Columns and conditions of a list. `$1` to `$3`: where it starts and ends, in the order of the index it walks.
macro_rules! list {
    ($from:literal, $place:literal, $more:literal) => {
        concat!(
            "SELECT t.gid, t.pattern, t.status, t.parked, t.created_at, ",
            // The row is written when it changes; the last event is the journal's to tell: one look-up by its key.
            "coalesce((SELECT j.at FROM journal AS j WHERE j.gid = t.gid ORDER BY j.seq DESC LIMIT 1), t.updated_at), ",
            "t.settled_at FROM ",
            $from,
            " WHERE ",
            $place,
            ".created_at >= $1 AND (",
            $place,
            ".created_at, ",
            $place,
            ".gid) < ($2, $3)",
            " AND ($4::text IS NULL OR position(',' || t.status || ',' IN $4) > 0)",
            " AND ($5::text IS NULL OR t.pattern = $5)",
            " AND ($6::bool IS NULL OR (t.parked IS NOT NULL) = $6)",
            " AND ($7::text IS NULL OR position(chr(10) || $7 || chr(10) IN chr(10) || t.hosts || chr(10)) > 0)",
            $more,
            " ORDER BY ",
            $place,
            ".created_at DESC, ",
            $place,
            ".gid DESC LIMIT $8"
        )
    };
}

/// Settings that safety depends on; none where the server does not know one.
pub(super) const INSPECT: &str = "SELECT CAST(pg_is_in_recovery() AS TEXT), current_setting('transaction_read_only', true), \
     current_setting('fsync', true), current_setting('full_page_writes', true), current_setting('synchronous_commit', true), \
     current_setting('synchronous_standby_names', true)";

pub(super) const APPLIED: &str = "SELECT version, CASE WHEN success THEN 1 ELSE 0 END FROM trine_migrations";

pub(super) const LOAD: &str = "SELECT j.gid, j.seq, j.at, j.event, CASE WHEN t.owner = $2 THEN 1 ELSE 0 END, j.checksum \
     FROM journal AS j LEFT JOIN transactions AS t ON t.gid = j.gid WHERE j.gid = ANY($1) ORDER BY j.gid, j.seq";

pub(super) const ENDS: &str = "SELECT gid, max(seq) FROM journal WHERE gid = ANY($1) GROUP BY gid";

/// Rows that another adopter is claiming at the same moment are passed over, not waited for.
pub(super) const CLAIM: &str = "WITH claimed AS MATERIALIZED (SELECT gid FROM transactions \
     WHERE settled_at IS NULL AND owner = $2 AND EXISTS (SELECT 1 FROM coordinators AS c WHERE c.id = $2 \
         AND c.heartbeat_at <= $4) \
     ORDER BY gid LIMIT $3 FOR UPDATE SKIP LOCKED) \
     UPDATE transactions AS t SET owner = $1 FROM claimed WHERE t.gid = claimed.gid RETURNING t.gid";

/// Candidates by arrays: gids, settled_at. Rows that somebody else is changing at the same moment are passed over, and those
/// that were changed before are not the same any more.
pub(super) const RETIRE: &str = "WITH settled AS MATERIALIZED (SELECT t.gid FROM unnest($1::text[], $2::bigint[]) AS c(gid, settled_at) \
     JOIN transactions AS t ON t.gid = c.gid AND t.settled_at = c.settled_at FOR UPDATE OF t SKIP LOCKED), \
     records AS (DELETE FROM journal USING settled WHERE journal.gid = settled.gid), \
     labels AS (DELETE FROM transaction_labels AS l USING settled WHERE l.gid = settled.gid), \
     rows AS (DELETE FROM transactions AS t USING settled WHERE t.gid = settled.gid RETURNING 1) SELECT count(*) FROM rows";

pub(super) const TEXTS: Texts = Texts {
    session: "SELECT pg_backend_pid()::bigint",
    records: "SELECT gid, seq, at, event, 0, checksum FROM journal WHERE gid = $1 AND seq > $2 ORDER BY seq",
    records_page: "SELECT gid, seq, at, event, 0, checksum FROM journal WHERE gid = $1 AND seq > $2 ORDER BY seq \
         LIMIT $3",
    names: [
        "SELECT DISTINCT gid FROM journal WHERE gid > $1 ORDER BY gid LIMIT $2",
        "SELECT gid FROM transactions WHERE gid > $1 ORDER BY gid LIMIT $2",
        "SELECT DISTINCT gid FROM transaction_labels WHERE gid > $1 ORDER BY gid LIMIT $2",
    ],
    index_row: "SELECT pattern, status, parked, owner, due_at, created_at, settled_at, hosts FROM transactions \
         WHERE gid = $1",
    labels: "SELECT key, value FROM transaction_labels WHERE gid = $1",
    unfinished: "SELECT gid FROM transactions WHERE settled_at IS NULL AND owner = $1 AND gid > $2 \
         AND (due_at IS NULL OR due_at <= $3) ORDER BY gid LIMIT $4",
    due: "SELECT gid FROM transactions WHERE settled_at IS NULL AND due_at IS NOT NULL AND owner = $1 \
         AND due_at <= $2 ORDER BY due_at, gid LIMIT $3",
    list_all: list!("transactions AS t", "t", ""),
    list_unsettled: list!("transactions AS t", "t", " AND t.settled_at IS NULL"),
    list_labelled: list!(
        "transaction_labels AS l JOIN transactions AS t ON t.gid = l.gid",
        "l",
        " AND l.key = $9 AND l.value = $10"
    ),
    census: "SELECT pattern, status, count(*), count(parked), min(created_at) FROM transactions \
         WHERE settled_at IS NULL GROUP BY pattern, status",
    participants: concat!(
        "SELECT name, base_url, registered_at, expires_at, ",
        now!(),
        " FROM participants ORDER BY name, base_url"
    ),
    now: concat!("SELECT ", now!()),
    is_registered: "SELECT 1 FROM participants WHERE name = $1 LIMIT 1",
    deregister: "DELETE FROM participants WHERE name = $1 AND ($2::text IS NULL OR base_url = $2)",
    // The instance of a name that expires last stays.
    sweep_participants: concat!(
        "DELETE FROM participants AS p WHERE p.expires_at < ",
        now!(),
        " - $1 AND p.base_url <> (SELECT o.base_url \
         FROM participants AS o WHERE o.name = p.name ORDER BY o.expires_at DESC, o.base_url DESC LIMIT 1)"
    ),
    journal_id: "SELECT id FROM journal_id",
    make_journal_id: concat!(
        "INSERT INTO journal_id (one, id, made_at) VALUES (1, $1, ",
        now!(),
        ") ON CONFLICT (one) DO NOTHING"
    ),
    join: concat!(
        "INSERT INTO coordinators (id, incarnation, node, started_at, heartbeat_at, previous_at) \
         SELECT $1, $2, $3, n.now, n.now, n.now FROM (SELECT ",
        now!(),
        " AS now) AS n ON CONFLICT (id) DO UPDATE SET incarnation = excluded.incarnation, node = excluded.node, \
         started_at = excluded.started_at, heartbeat_at = excluded.heartbeat_at, previous_at = excluded.previous_at"
    ),
    // Differs from the last one also when the clock stands still: others look whether it changes.
    beat: concat!(
        "UPDATE coordinators SET previous_at = heartbeat_at, heartbeat_at = CASE WHEN ",
        now!(),
        " BETWEEN heartbeat_at - 1000 AND heartbeat_at THEN heartbeat_at + 1 ELSE ",
        now!(),
        " END, node = $3 WHERE id = $1 AND incarnation = $2 RETURNING incarnation, previous_at, heartbeat_at"
    ),
    settle: Some("UPDATE coordinators SET previous_at = previous_at WHERE id = $1"),
    standing: "SELECT incarnation, previous_at, heartbeat_at FROM coordinators WHERE id = $1",
    // Its name stays known, so that whoever adopts sees that it is gone.
    leave: "UPDATE coordinators SET heartbeat_at = 0, previous_at = 0 WHERE id = $1 AND incarnation = $2",
    give_up: concat!(
        "UPDATE coordinators SET heartbeat_at = $3, previous_at = ",
        now!(),
        " WHERE id = $1 AND incarnation = $2"
    ),
    // Whoever beats first has the row: then nothing is taken over.
    take_for_gone: "UPDATE coordinators SET previous_at = heartbeat_at, heartbeat_at = $4 \
         WHERE id = $1 AND incarnation = $2 AND heartbeat_at = $3",
    beaten: concat!(
        "SELECT incarnation, heartbeat_at, ",
        now!(),
        " - heartbeat_at FROM coordinators WHERE id = $1"
    ),
    others: "SELECT c.id, c.incarnation, c.heartbeat_at, CASE WHEN EXISTS (SELECT 1 FROM transactions AS t \
         WHERE t.settled_at IS NULL AND t.owner = c.id) THEN 1 ELSE 0 END \
         FROM coordinators AS c WHERE c.id <> $1 ORDER BY c.id",
    recall: "INSERT INTO coordinators (id, incarnation, node, started_at, heartbeat_at, previous_at) \
         SELECT DISTINCT t.owner, '', '', 0, 0, 0 FROM transactions AS t WHERE t.settled_at IS NULL \
         AND NOT EXISTS (SELECT 1 FROM coordinators AS c WHERE c.id = t.owner) ON CONFLICT (id) DO NOTHING",
    coordinators: concat!(
        "SELECT c.id, c.node, c.started_at, c.heartbeat_at, ",
        now!(),
        " - c.heartbeat_at, (SELECT count(*) FROM transactions AS t WHERE t.settled_at IS NULL AND t.owner = c.id), \
         c.incarnation, c.previous_at FROM coordinators AS c ORDER BY c.id"
    ),
    sweep_coordinators: concat!(
        "DELETE FROM coordinators AS c WHERE greatest(c.heartbeat_at, c.previous_at) < ",
        now!(),
        " - $1 AND NOT EXISTS (SELECT 1 FROM transactions AS t WHERE t.settled_at IS NULL AND t.owner = c.id)"
    ),
    // Writes nothing, and fails where nothing can be written.
    ping: "DELETE FROM coordinators WHERE id IS NULL",
    alive: "SELECT 1",
    remove_probe: "DELETE FROM journal WHERE gid = $1 AND NOT EXISTS (SELECT 1 FROM transactions AS t WHERE t.gid = $1)",
    sweep_probes: concat!(
        "DELETE FROM journal WHERE gid > 'trine-probe:' AND gid < 'trine-probe;' AND at < ",
        now!(),
        " - 3600000 AND NOT EXISTS (SELECT 1 FROM transactions AS t WHERE t.gid = journal.gid)"
    ),
    settled: "SELECT settled_at, gid FROM transactions WHERE settled_at IS NOT NULL AND settled_at < $1 \
         AND settled_at >= $2 AND (settled_at > $2 OR gid > $3) ORDER BY settled_at, gid LIMIT $4",
    reopen: "UPDATE transactions SET settled_at = NULL, status = $3, parked = $4, due_at = $5, updated_at = $6 \
         WHERE gid = $1 AND settled_at = $2",
    spans: "SELECT from_at, until_at FROM watched ORDER BY from_at DESC",
    clock: concat!(
        "SELECT ",
        now!(),
        ", (SELECT max(x.at) FROM (SELECT max(created_at) AS at FROM transactions UNION ALL \
         SELECT max(settled_at) AS at FROM transactions WHERE settled_at IS NOT NULL) AS x)"
    ),
    begin_span: "INSERT INTO watched (from_at, until_at) VALUES ($1, $2) ON CONFLICT (from_at) DO NOTHING",
    extend_span: "UPDATE watched SET until_at = $2 WHERE from_at = $1 AND until_at < $2",
    cut_spans: "UPDATE watched SET until_at = $1 WHERE until_at > $1",
    drop_spans_after: "DELETE FROM watched WHERE from_at > $1",
    drop_spans_until: "DELETE FROM watched WHERE from_at <= $1",
    entry: "SELECT name, value, version, created_at, updated_at FROM key_values \
         WHERE category = $1 AND name = $2",
    entries: "SELECT name, value, version, created_at, updated_at FROM key_values \
         WHERE category = $1 AND name > $2 ORDER BY name LIMIT $3",
    create_entry: "INSERT INTO key_values (category, name, value, version, created_at, updated_at) \
         VALUES ($1, $2, $3, 1, $4, $4) ON CONFLICT DO NOTHING",
    change_entry: "UPDATE key_values SET value = $3, version = version + 1, updated_at = $4 \
         WHERE category = $1 AND name = $2 AND version = $5 AND created_at = $6",
    delete_entry: "DELETE FROM key_values WHERE category = $1 AND name = $2 \
         AND ($3 = 0 OR (version = $3 AND created_at = $4))",
};
