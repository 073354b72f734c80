//! SQL that only MySQL and MariaDB read, but the statements that write a batch. `(*)` stands for some gids.

use std::sync::LazyLock;

use crate::listing::ListSyntax;
use crate::remote::texts::{BEAT, Dialect, OwnTexts, Text, Texts};

const DIALECT: Dialect = Dialect {
    // The driver sets the session's time zone to UTC.
    now: "CAST(UNIX_TIMESTAMP(NOW(3)) * 1000 AS SIGNED)",
    positional: true,
    lists: ListSyntax {
        // A comparison of pairs alone would not be looked up in the index.
        is_before: "{walked}.created_at <= $2 AND ({walked}.created_at < $2 OR {walked}.gid < $3)",
        filters: "($4 IS NULL OR INSTR($4, CONCAT(',', t.status, ',')) > 0) \
            AND ($5 IS NULL OR t.pattern = $5) AND ($6 IS NULL OR (t.parked IS NOT NULL) = $6) \
            AND ($7 IS NULL OR INSTR(CONCAT(CHAR(10), t.hosts, CHAR(10)), CONCAT(CHAR(10), $7, CHAR(10))) > 0)",
        join: "STRAIGHT_JOIN",
        key: "`key`",
    },
};

pub(super) static TEXTS: LazyLock<Texts> = LazyLock::new(|| {
    let own = OwnTexts {
        session: "SELECT CAST(CONNECTION_ID() AS SIGNED)",
        // Columns of bytes are read as text only if they are converted.
        labels: "SELECT CONVERT(`key` USING utf8mb4), CONVERT(value USING utf8mb4) FROM transaction_labels \
            WHERE gid = $1",
        sweep_participants: "DELETE p FROM participants AS p JOIN participants AS o ON o.name = p.name \
            AND (o.expires_at > p.expires_at OR (o.expires_at = p.expires_at AND o.base_url > p.base_url)) \
            WHERE p.expires_at < {now} - $1",
        // A second maker gets an error, which `undone` knows as a conflict. The first id stays.
        make_journal_id: "INSERT INTO journal_id (one, id, made_at) VALUES (1, $1, {now})",
        join: "INSERT INTO coordinators (id, incarnation, node, started_at, heartbeat_at, previous_at) \
            SELECT $1, $2, $3, n.now, n.now, n.now FROM (SELECT {now} AS now) AS n ON DUPLICATE KEY UPDATE \
            incarnation = VALUES(incarnation), node = VALUES(node), started_at = VALUES(started_at), \
            heartbeat_at = VALUES(heartbeat_at), previous_at = VALUES(previous_at)",
        // It cannot answer in the same statement; see `MySql::beat`.
        beat: BEAT,
        // The update changes nothing. The owner may join between the look and the insert, and its living row must stay.
        recall: "INSERT INTO coordinators (id, incarnation, node, started_at, heartbeat_at, previous_at) \
            SELECT DISTINCT t.owner, '', '', 0, 0, 0 FROM transactions AS t WHERE t.settled_at IS NULL \
            AND NOT EXISTS (SELECT 1 FROM coordinators AS c WHERE c.id = t.owner) \
            ON DUPLICATE KEY UPDATE id = VALUES(id)",
        begin_span: "INSERT INTO watched (from_at, until_at) VALUES ($1, $2) \
            ON DUPLICATE KEY UPDATE from_at = VALUES(from_at)",
        entry: "SELECT CONVERT(name USING utf8mb4), value, version, created_at, updated_at FROM key_values \
            WHERE category = $1 AND name = $2",
        entries: "SELECT CONVERT(name USING utf8mb4), value, version, created_at, updated_at FROM key_values \
            WHERE category = $1 AND name > $2 ORDER BY name LIMIT $3",
        // A key that exists is an error here, which `undone` knows as a conflict.
        create_entry: "INSERT INTO key_values (category, name, value, version, created_at, updated_at) \
            VALUES ($1, $2, $3, 1, $4, $4)",
    };
    Texts::of(&DIALECT, &own)
});

pub(super) const SETTINGS: Text = Text::verbatim(
    "SHOW GLOBAL VARIABLES WHERE Variable_name IN ('read_only', 'super_read_only', \
     'innodb_read_only', 'innodb_flush_log_at_trx_commit', 'innodb_doublewrite', 'log_bin', 'sync_binlog', \
     'max_allowed_packet', 'wsrep_on')",
);

/// Answers rows on a Galera node only.
pub(super) const CLUSTER: Text = Text::verbatim(
    "SHOW GLOBAL STATUS WHERE Variable_name IN ('wsrep_ready', 'wsrep_gcomm_uuid', 'wsrep_cluster_size')",
);

pub(super) const LOAD: &str = "SELECT j.gid, j.seq, j.at, j.event, CASE WHEN t.owner = ? THEN 1 ELSE 0 END, j.checksum \
     FROM journal AS j LEFT JOIN transactions AS t ON t.gid = j.gid WHERE j.gid IN (*) ORDER BY j.gid, j.seq";

/// Locks the rows, so that it reads what is committed now and not what was when the transaction began.
pub(super) const ENDS: &str =
    "SELECT gid, max(seq) FROM journal WHERE gid IN (*) GROUP BY gid LOCK IN SHARE MODE";

/// Binds: the owner, the owner again, [`GONE_MAX`](crate::remote::tables::GONE_MAX), how many. Rows that another
/// adopter is claiming at the same moment are skipped.
pub(super) const CLAIMABLE: Text = Text::verbatim(
    "SELECT gid FROM transactions WHERE settled_at IS NULL AND owner = ? \
     AND EXISTS (SELECT 1 FROM coordinators AS c WHERE c.id = ? AND c.heartbeat_at <= ?) \
     ORDER BY gid LIMIT ? FOR UPDATE SKIP LOCKED",
);

pub(super) const CLAIM: &str = "UPDATE transactions SET owner = ? WHERE gid IN (*)";

/// Rows that others are changing at the same moment are skipped.
pub(super) const RETIRABLE: &str = "SELECT settled_at, gid FROM transactions WHERE gid IN (*) AND settled_at IS NOT NULL FOR UPDATE SKIP LOCKED";

pub(super) const RETIRE: [&str; 3] = [
    "DELETE FROM journal WHERE gid IN (*)",
    "DELETE FROM transaction_labels WHERE gid IN (*)",
    "DELETE FROM transactions WHERE gid IN (*)",
];

/// Waits a minute for another process that migrates this database. The name of a lock has at most 64 characters and the name
/// of a database may have more, so it is hashed. (Some servers have no MD5 and no SHA1 any more.)
pub(super) const LOCK: &str = "SELECT GET_LOCK(CONCAT('trine ', LEFT(SHA2(DATABASE(), 256), 40)), 60)";
pub(super) const UNLOCK: &str = "DO RELEASE_LOCK(CONCAT('trine ', LEFT(SHA2(DATABASE(), 256), 40)))";

pub(super) const APPLIED: Text =
    Text::verbatim("SELECT version, CAST(success AS SIGNED) FROM trine_migrations");

/// Forgets a migration that was begun and not finished.
pub(super) const MEND: &str = "DELETE FROM trine_migrations WHERE NOT success";
