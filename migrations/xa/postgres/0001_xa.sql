-- One row per two_phase branch that is prepared by the database itself. state: open (prepared, being prepared, or not
-- prepared yet: pg_prepared_xacts tells), committed, rolled_back, refused (reason holds why), read_only.
-- The prepared transaction itself sets committed: it shows once its effects do, and until then the row is locked.
-- xid is the name in pg_prepared_xacts; gid and branch stand here because a long one is a digest there.
-- COLLATE "C" compares byte by byte. used_at is in milliseconds since 1970, UTC.
CREATE TABLE IF NOT EXISTS trine_xa (
    gid     TEXT   COLLATE "C" NOT NULL,
    branch  TEXT   COLLATE "C" NOT NULL,
    xid     TEXT   COLLATE "C" NOT NULL UNIQUE,
    state   TEXT   COLLATE "C" NOT NULL CHECK (state IN ('open', 'committed', 'rolled_back', 'refused', 'read_only')),
    reason  TEXT,
    fence   BIGINT NOT NULL,
    used_at BIGINT NOT NULL DEFAULT (extract(epoch FROM clock_timestamp()) * 1000)::BIGINT,
    PRIMARY KEY (gid, branch)
);

CREATE INDEX IF NOT EXISTS trine_xa_unused ON trine_xa (used_at);
