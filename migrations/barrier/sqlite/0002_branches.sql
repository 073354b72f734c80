-- One row per branch: the highest fence seen, and when the branch was last asked for. Every op of a branch writes this row
-- first, so that of two calls one waits for the other, and the cleaner waits for neither. used_at is in milliseconds
-- since 1970, UTC. Rows of the first version of the barrier have none of these; theirs are made here, once.
CREATE TABLE IF NOT EXISTS trine_barrier_branches (
    gid     TEXT    NOT NULL,
    branch  TEXT    NOT NULL,
    fence   INTEGER NOT NULL,
    used_at INTEGER NOT NULL DEFAULT (CAST(unixepoch('subsec') * 1000 AS INTEGER)),
    PRIMARY KEY (gid, branch)
) STRICT, WITHOUT ROWID;

CREATE INDEX IF NOT EXISTS trine_barrier_branches_unused ON trine_barrier_branches (used_at);

INSERT INTO trine_barrier_branches (gid, branch, fence, used_at)
SELECT gid, branch, MAX(fence), MAX(created_at) FROM trine_barrier
WHERE NOT EXISTS (SELECT 1 FROM trine_barrier_branches)
GROUP BY gid, branch;
