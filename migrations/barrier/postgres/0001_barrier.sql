-- One row per op a branch answered for good, written in the same database transaction as the op's effect.
-- outcome: done, read_only (a prepare that voted so), refused (output holds the reason), blocked (a forward op that was
-- undone before it arrived: it must have no effect any more).
-- Rows with an empty branch belong to an initiator: op 'local', outcome done (its local transaction committed) or blocked
-- (a check answered "not committed" first, so it must not commit any more).
-- COLLATE "C" compares byte by byte, as ids must be compared. Times are milliseconds since 1970, UTC.
CREATE TABLE IF NOT EXISTS trine_barrier (
    gid        TEXT   COLLATE "C" NOT NULL,
    branch     TEXT   COLLATE "C" NOT NULL,
    op         TEXT   COLLATE "C" NOT NULL,
    outcome    TEXT   COLLATE "C" NOT NULL CHECK (outcome IN ('done', 'read_only', 'refused', 'blocked')),
    output     TEXT,
    fence      BIGINT NOT NULL,
    created_at BIGINT NOT NULL DEFAULT (extract(epoch FROM clock_timestamp()) * 1000)::BIGINT,
    PRIMARY KEY (gid, branch, op)
);

-- One row per branch: the highest fence seen, and when the branch was last asked for. Every op of a branch writes this row
-- first, so that of two calls one waits for the other, and the cleaner waits for neither.
CREATE TABLE IF NOT EXISTS trine_barrier_branches (
    gid     TEXT   COLLATE "C" NOT NULL,
    branch  TEXT   COLLATE "C" NOT NULL,
    fence   BIGINT NOT NULL,
    used_at BIGINT NOT NULL DEFAULT (extract(epoch FROM clock_timestamp()) * 1000)::BIGINT,
    PRIMARY KEY (gid, branch)
);

CREATE INDEX IF NOT EXISTS trine_barrier_branches_unused ON trine_barrier_branches (used_at);
