-- The journal, and what is derived from it.
--
-- journal is the truth: append-only, one row per record. Its primary key makes an append a compare-and-append; whether the
-- record before is there is checked in the database transaction that appends. event is text that says its own version;
-- at and every other time is in milliseconds since 1970, UTC.
--
-- transactions is an index for lists and recovery, written in the same database transaction as the records it follows
-- from; it can be rebuilt from the journal. due_at: it may be out of memory until then. hosts: one per line.
--
-- Ids and words are ASCII and compared byte by byte; labels are bytes, since no collation that both MySQL and MariaDB
-- know leaves trailing spaces alone. No sequence, no trigger, no foreign key: nothing here asks more of the database than
-- that a database transaction is atomic and a primary key unique.
--
-- These databases cannot undo half a migration: each statement is harmless when it is run again.

CREATE TABLE IF NOT EXISTS journal (
    gid   VARCHAR(128) CHARACTER SET ascii   COLLATE ascii_bin   NOT NULL,
    seq   BIGINT                                                 NOT NULL,
    at    BIGINT                                                 NOT NULL,
    event LONGTEXT     CHARACTER SET utf8mb4 COLLATE utf8mb4_bin NOT NULL,
    PRIMARY KEY (gid, seq)
) ENGINE = InnoDB;

-- Here settled_at leads where PostgreSQL and SQLite have partial indexes:
-- newest: lists, newest first; unsettled: lists of what is not settled, and the census; owned: recovery and adoption;
-- due: the sweep for long waits that are over; settled: retention.
CREATE TABLE IF NOT EXISTS transactions (
    gid        VARCHAR(128) CHARACTER SET ascii COLLATE ascii_bin NOT NULL PRIMARY KEY,
    pattern    VARCHAR(32)  CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
    status     VARCHAR(32)  CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
    parked     VARCHAR(32)  CHARACTER SET ascii COLLATE ascii_bin,
    owner      VARCHAR(128) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
    due_at     BIGINT,
    created_at BIGINT NOT NULL,
    updated_at BIGINT NOT NULL,
    settled_at BIGINT,
    hosts      LONGTEXT     CHARACTER SET utf8mb4 COLLATE utf8mb4_bin NOT NULL,
    INDEX transactions_newest (created_at, gid),
    INDEX transactions_unsettled (settled_at, created_at, gid, pattern, status, parked),
    INDEX transactions_owned (settled_at, owner, gid, due_at),
    INDEX transactions_due (settled_at, owner, due_at, gid),
    INDEX transactions_settled (settled_at, gid)
) ENGINE = InnoDB;

-- Written once, with the first record. created_at stands here again, so that a list by label is read newest first.
CREATE TABLE IF NOT EXISTS transaction_labels (
    gid        VARCHAR(128) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
    `key`      VARBINARY(64)  NOT NULL,
    value      VARBINARY(256) NOT NULL,
    created_at BIGINT         NOT NULL,
    PRIMARY KEY (gid, `key`),
    INDEX transaction_labels_newest (`key`, value, created_at, gid)
) ENGINE = InnoDB;

-- Services that registered themselves, one row per instance.
CREATE TABLE IF NOT EXISTS participants (
    name          VARCHAR(128)  CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
    base_url      VARCHAR(2048) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
    registered_at BIGINT NOT NULL,
    expires_at    BIGINT NOT NULL,
    PRIMARY KEY (name, base_url)
) ENGINE = InnoDB;

-- Coordinators; times by the database's clock. incarnation: which process has the name. previous_at: the heartbeat before
-- the last one, so that a coordinator sees that its own had lapsed. node: which database server it writes to.
CREATE TABLE IF NOT EXISTS coordinators (
    id           VARCHAR(128) CHARACTER SET ascii   COLLATE ascii_bin   NOT NULL PRIMARY KEY,
    incarnation  VARCHAR(64)  CHARACTER SET ascii   COLLATE ascii_bin   NOT NULL,
    node         VARCHAR(255) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin NOT NULL,
    started_at   BIGINT NOT NULL,
    heartbeat_at BIGINT NOT NULL,
    previous_at  BIGINT NOT NULL
) ENGINE = InnoDB;
