//! Every SQL text of MySQL and MariaDB but those that write a batch. `(*)` stands for some gids.

use crate::remote::client::Texts;

/// Now, by the database's clock, in milliseconds. The session's time zone is UTC.
macro_rules! now {
    () => {
        "CAST(UNIX_TIMESTAMP(NOW(3)) * 1000 AS SIGNED)"
    };
}

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
            ".created_at >= $1 AND ",
            $place,
            ".created_at <= $2 AND (",
            $place,
            ".created_at < $2 OR ",
            $place,
            ".gid < $3)",
            " AND ($4 IS NULL OR INSTR($4, CONCAT(',', t.status, ',')) > 0)",
            " AND ($5 IS NULL OR t.pattern = $5)",
            " AND ($6 IS NULL OR (t.parked IS NOT NULL) = $6)",
            " AND ($7 IS NULL OR INSTR(CONCAT(CHAR(10), t.hosts, CHAR(10)), CONCAT(CHAR(10), $7, CHAR(10))) > 0)",
            $more,
            " ORDER BY ",
            $place,
            ".created_at DESC, ",
            $place,
            ".gid DESC LIMIT $8"
        )
    };
}

/// Settings that safety depends on.
pub(super) const SETTINGS: &str = "SHOW GLOBAL VARIABLES WHERE Variable_name IN ('read_only', 'super_read_only', \
     'innodb_read_only', 'innodb_flush_log_at_trx_commit', 'innodb_doublewrite', 'log_bin', 'sync_binlog', \
     'max_allowed_packet', 'wsrep_on')";

/// What a Galera node says of itself; nothing elsewhere.
pub(super) const CLUSTER: &str =
    "SHOW GLOBAL STATUS WHERE Variable_name IN ('wsrep_ready', 'wsrep_gcomm_uuid', 'wsrep_cluster_size')";

pub(super) const LOAD: &str = "SELECT j.gid, j.seq, j.at, j.event, CASE WHEN t.owner = ? THEN 1 ELSE 0 END, j.checksum \
     FROM journal AS j LEFT JOIN transactions AS t ON t.gid = j.gid WHERE j.gid IN (*) ORDER BY j.gid, j.seq";

/// Locks what it finds, so that it answers what is committed now.
pub(super) const ENDS: &str =
    "SELECT gid, max(seq) FROM journal WHERE gid IN (*) GROUP BY gid LOCK IN SHARE MODE";

/// Rows that another adopter is claiming at the same moment are passed over, not waited for.
pub(super) const CLAIMABLE: &str = "SELECT gid FROM transactions WHERE settled_at IS NULL AND owner = $1 \
     AND EXISTS (SELECT 1 FROM coordinators AS c WHERE c.id = $1 \
         AND c.heartbeat_at <= $3) \
     ORDER BY gid LIMIT $2 FOR UPDATE SKIP LOCKED";

pub(super) const CLAIM: &str = "UPDATE transactions SET owner = ? WHERE gid IN (*)";

/// Rows that somebody else is changing at the same moment are passed over, not waited for.
pub(super) const RETIRABLE: &str = "SELECT settled_at, gid FROM transactions WHERE gid IN (*) AND settled_at IS NOT NULL FOR UPDATE SKIP LOCKED";

pub(super) const RETIRE: [&str; 3] = [
    "DELETE FROM journal WHERE gid IN (*)",
    "DELETE FROM transaction_labels WHERE gid IN (*)",
    "DELETE FROM transactions WHERE gid IN (*)",
];

/// Waits a minute for whoever is migrating this database. The name is bounded to 64 characters, a database's is not. (MD5 and
/// SHA1 are not built into every server any more.)
pub(super) const LOCK: &str = "SELECT GET_LOCK(CONCAT('trine ', LEFT(SHA2(DATABASE(), 256), 40)), 60)";
pub(super) const UNLOCK: &str = "DO RELEASE_LOCK(CONCAT('trine ', LEFT(SHA2(DATABASE(), 256), 40)))";

pub(super) const APPLIED: &str = "SELECT version, CAST(success AS SIGNED) FROM trine_migrations";

/// A migration that was begun and not ended.
pub(super) const MEND: &str = "DELETE FROM trine_migrations WHERE NOT success";

pub(super) const TEXTS: Texts = Texts {
    session: "SELECT CAST(CONNECTION_ID() AS SIGNED)",
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
    labels: "SELECT CONVERT(`key` USING utf8mb4), CONVERT(value USING utf8mb4) FROM transaction_labels WHERE gid = $1",
    unfinished: "SELECT gid FROM transactions WHERE settled_at IS NULL AND owner = $1 AND gid > $2 \
         AND (due_at IS NULL OR due_at <= $3) ORDER BY gid LIMIT $4",
    due: "SELECT gid FROM transactions WHERE settled_at IS NULL AND due_at IS NOT NULL AND owner = $1 \
         AND due_at <= $2 ORDER BY due_at, gid LIMIT $3",
    list_all: list!("transactions AS t", "t", ""),
    list_unsettled: list!("transactions AS t", "t", " AND t.settled_at IS NULL"),
    list_labelled: list!(
        "transaction_labels AS l STRAIGHT_JOIN transactions AS t ON t.gid = l.gid",
        "l",
        " AND l.`key` = $9 AND l.value = $10"
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
    deregister: "DELETE FROM participants WHERE name = $1 AND ($2 IS NULL OR base_url = $2)",
    // The instance of a name that expires last stays.
    sweep_participants: concat!(
        "DELETE p FROM participants AS p JOIN participants AS o ON o.name = p.name AND \
         (o.expires_at > p.expires_at OR (o.expires_at = p.expires_at AND o.base_url > p.base_url)) WHERE p.expires_at < ",
        now!(),
        " - $1"
    ),
    journal_id: "SELECT id FROM journal_id",
    make_journal_id: concat!("INSERT INTO journal_id (one, id, made_at) VALUES (1, $1, ", now!(), ")"),
    join: concat!(
        "INSERT INTO coordinators (id, incarnation, node, started_at, heartbeat_at, previous_at) \
         SELECT $1, $2, $3, n.now, n.now, n.now FROM (SELECT ",
        now!(),
        " AS now) AS n ON DUPLICATE KEY UPDATE incarnation = VALUES(incarnation), node = VALUES(node), \
         started_at = VALUES(started_at), heartbeat_at = VALUES(heartbeat_at), previous_at = VALUES(previous_at)"
    ),
    // Assigned from left to right here, and from what was before elsewhere: the same.
    // Differs from the last one also when the clock stands still: others look whether it changes.
    beat: concat!(
        "UPDATE coordinators SET previous_at = heartbeat_at, heartbeat_at = CASE WHEN ",
        now!(),
        " BETWEEN heartbeat_at - 1000 AND heartbeat_at THEN heartbeat_at + 1 ELSE ",
        now!(),
        " END, node = $3 WHERE id = $1 AND incarnation = $2"
    ),
    // Galera's reads wait for what others have acknowledged; other replication is not promised anything.
    settle: None,
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
         AND NOT EXISTS (SELECT 1 FROM coordinators AS c WHERE c.id = t.owner) ON DUPLICATE KEY UPDATE id = VALUES(id)",
    coordinators: concat!(
        "SELECT c.id, c.node, c.started_at, c.heartbeat_at, ",
        now!(),
        " - c.heartbeat_at, (SELECT count(*) FROM transactions AS t WHERE t.settled_at IS NULL AND t.owner = c.id), \
         c.incarnation, c.previous_at FROM coordinators AS c ORDER BY c.id"
    ),
    sweep_coordinators: concat!(
        "DELETE FROM coordinators WHERE greatest(heartbeat_at, previous_at) < ",
        now!(),
        " - $1 AND NOT EXISTS (SELECT 1 FROM transactions AS t WHERE t.settled_at IS NULL AND t.owner = coordinators.id)"
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
    begin_span: "INSERT INTO watched (from_at, until_at) VALUES ($1, $2) ON DUPLICATE KEY UPDATE from_at = VALUES(from_at)",
    extend_span: "UPDATE watched SET until_at = $2 WHERE from_at = $1 AND until_at < $2",
    cut_spans: "UPDATE watched SET until_at = $1 WHERE until_at > $1",
    drop_spans_after: "DELETE FROM watched WHERE from_at > $1",
    drop_spans_until: "DELETE FROM watched WHERE from_at <= $1",
    entry: "SELECT CONVERT(name USING utf8mb4), value, version, created_at, updated_at FROM key_values \
         WHERE category = $1 AND name = $2",
    entries: "SELECT CONVERT(name USING utf8mb4), value, version, created_at, updated_at FROM key_values \
         WHERE category = $1 AND name > $2 ORDER BY name LIMIT $3",
    create_entry: "INSERT INTO key_values (category, name, value, version, created_at, updated_at) \
         VALUES ($1, $2, $3, 1, $4, $4)",
    change_entry: "UPDATE key_values SET value = $3, version = version + 1, updated_at = $4 \
         WHERE category = $1 AND name = $2 AND version = $5 AND created_at = $6",
    delete_entry: "DELETE FROM key_values WHERE category = $1 AND name = $2 \
         AND ($3 = 0 OR (version = $3 AND created_at = $4))",
};
