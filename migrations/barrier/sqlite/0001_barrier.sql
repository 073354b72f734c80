-- One row per op a branch answered for good, written in the same database transaction as the op's effect.
-- outcome: done, read_only (a prepare that voted so), refused (output holds the reason), blocked (a forward op that was
-- undone before it arrived: it must have no effect any more).
-- Rows with an empty branch belong to an initiator: op 'local', outcome done (its local transaction committed) or blocked
-- (a check answered "not committed" first, so it must not commit any more).
-- SQLite compares TEXT byte by byte by default, as ids must be compared.
CREATE TABLE IF NOT EXISTS trine_barrier (
    gid        TEXT    NOT NULL,
    branch     TEXT    NOT NULL,
    op         TEXT    NOT NULL,
    outcome    TEXT    NOT NULL CHECK (outcome IN ('done', 'read_only', 'refused', 'blocked')),
    output     TEXT,
    fence      INTEGER NOT NULL,
    created_at INTEGER NOT NULL DEFAULT (CAST(unixepoch('subsec') * 1000 AS INTEGER)),
    PRIMARY KEY (gid, branch, op)
) STRICT, WITHOUT ROWID;
