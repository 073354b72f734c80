-- The journal, and what is derived from it.
--
-- journal is the truth: append-only, one row per record. Its primary key makes an append a compare-and-append, and the
-- trigger refuses a record whose predecessor is missing, so a gid's records are 1, 2, 3 .. whoever writes them.
-- event is text that says its own version; at and every other time is in milliseconds since 1970, UTC.
--
-- transactions is an index for lists and recovery, written in the same database transaction as the records it follows
-- from; it can be rebuilt from the journal. due_at: it may be out of memory until then. hosts: one per line.
--
-- journal has a rowid on purpose: records then lie in the order they were written, whole, and only the small entries of
-- the primary key's index are spread by gid. Without it, records beyond a quarter of a page would each take another.
--
-- Gids and words are compared byte by byte (BINARY, the default).

CREATE TABLE journal (
    gid   TEXT    NOT NULL,
    seq   INTEGER NOT NULL,
    at    INTEGER NOT NULL,
    event TEXT    NOT NULL,
    PRIMARY KEY (gid, seq)
);

CREATE TRIGGER journal_has_no_gaps BEFORE INSERT ON journal
WHEN NEW.seq <> 1 AND NOT EXISTS (SELECT 1 FROM journal WHERE gid = NEW.gid AND seq = NEW.seq - 1)
BEGIN
    SELECT RAISE(ABORT, 'the record before this one is missing');
END;

CREATE TABLE transactions (
    gid        TEXT    NOT NULL PRIMARY KEY,
    pattern    TEXT    NOT NULL,
    status     TEXT    NOT NULL,
    parked     TEXT,
    owner      TEXT    NOT NULL,
    due_at     INTEGER,
    created_at INTEGER NOT NULL,
    updated_at INTEGER NOT NULL,
    settled_at INTEGER,
    hosts      TEXT    NOT NULL
) WITHOUT ROWID;

-- Lists, newest first.
CREATE INDEX transactions_newest ON transactions (created_at, gid);
-- Lists of what is not settled, and the census.
CREATE INDEX transactions_unsettled ON transactions (created_at, gid, pattern, status, parked) WHERE settled_at IS NULL;
-- Recovery and adoption.
CREATE INDEX transactions_owned ON transactions (owner, gid, due_at) WHERE settled_at IS NULL;
-- The sweep for long waits that are over.
CREATE INDEX transactions_due ON transactions (owner, due_at, gid) WHERE settled_at IS NULL AND due_at IS NOT NULL;
-- Retention.
CREATE INDEX transactions_settled ON transactions (settled_at, gid) WHERE settled_at IS NOT NULL;

-- Written once, with the first record. created_at stands here again, so that a list by label is read newest first.
CREATE TABLE transaction_labels (
    gid        TEXT    NOT NULL,
    key        TEXT    NOT NULL,
    value      TEXT    NOT NULL,
    created_at INTEGER NOT NULL,
    PRIMARY KEY (gid, key)
) WITHOUT ROWID;

CREATE INDEX transaction_labels_newest ON transaction_labels (key, value, created_at, gid);

-- Services that registered themselves, one row per instance.
CREATE TABLE participants (
    name          TEXT    NOT NULL,
    base_url      TEXT    NOT NULL,
    registered_at INTEGER NOT NULL,
    expires_at    INTEGER NOT NULL,
    PRIMARY KEY (name, base_url)
) WITHOUT ROWID;

-- Coordinators; times by the database's clock.
CREATE TABLE coordinators (
    id           TEXT    NOT NULL PRIMARY KEY,
    started_at   INTEGER NOT NULL,
    heartbeat_at INTEGER NOT NULL
) WITHOUT ROWID;
