-- The journal, and what is derived from it.
--
-- journal is the truth: append-only, one row per record. Its primary key makes an append a compare-and-append; whether the
-- record before is there is checked by the statement that appends. event is text that says its own version; at and every
-- other time is in milliseconds since 1970, UTC.
--
-- transactions is an index for lists and recovery, written in the same database transaction as the records it follows
-- from; it can be rebuilt from the journal. due_at: it may be out of memory until then. hosts: one per line.
--
-- Ids and words are compared byte by byte ("C"). No sequence, no trigger, no foreign key: nothing here asks more of the
-- database than that a statement is atomic and a primary key unique.

CREATE TABLE journal (
    gid   TEXT COLLATE "C" NOT NULL,
    seq   BIGINT           NOT NULL,
    at    BIGINT           NOT NULL,
    event TEXT             NOT NULL,
    PRIMARY KEY (gid, seq)
);

CREATE TABLE transactions (
    gid        TEXT COLLATE "C" NOT NULL PRIMARY KEY,
    pattern    TEXT COLLATE "C" NOT NULL,
    status     TEXT COLLATE "C" NOT NULL,
    parked     TEXT COLLATE "C",
    owner      TEXT COLLATE "C" NOT NULL,
    due_at     BIGINT,
    created_at BIGINT           NOT NULL,
    updated_at BIGINT           NOT NULL,
    settled_at BIGINT,
    hosts      TEXT COLLATE "C" NOT NULL
);

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
    gid        TEXT COLLATE "C" NOT NULL,
    key        TEXT COLLATE "C" NOT NULL,
    value      TEXT COLLATE "C" NOT NULL,
    created_at BIGINT           NOT NULL,
    PRIMARY KEY (gid, key)
);

CREATE INDEX transaction_labels_newest ON transaction_labels (key, value, created_at, gid);

-- Services that registered themselves, one row per instance.
CREATE TABLE participants (
    name          TEXT COLLATE "C" NOT NULL,
    base_url      TEXT COLLATE "C" NOT NULL,
    registered_at BIGINT           NOT NULL,
    expires_at    BIGINT           NOT NULL,
    PRIMARY KEY (name, base_url)
);

-- Coordinators; times by the database's clock. incarnation: which process has the name. previous_at: the heartbeat before
-- the last one, so that a coordinator sees that its own had lapsed. node: which database server it writes to.
CREATE TABLE coordinators (
    id           TEXT COLLATE "C" NOT NULL PRIMARY KEY,
    incarnation  TEXT COLLATE "C" NOT NULL,
    node         TEXT COLLATE "C" NOT NULL,
    started_at   BIGINT           NOT NULL,
    heartbeat_at BIGINT           NOT NULL,
    previous_at  BIGINT           NOT NULL
);
