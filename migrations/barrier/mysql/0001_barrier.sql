-- One row per op a branch answered for good, written in the same database transaction as the op's effect.
-- outcome: done, read_only (a prepare that voted so), refused (output holds the reason), blocked (a forward op that was
-- undone before it arrived: it must have no effect any more).
-- Rows with an empty branch belong to an initiator: op 'local', outcome done (its local transaction committed) or blocked
-- (a check answered "not committed" first, so it must not commit any more).
-- ascii_bin compares byte by byte, as ids must be compared. InnoDB, because other engines do not roll back.
-- Times are milliseconds since 1970, UTC.
CREATE TABLE IF NOT EXISTS trine_barrier (
    gid        VARCHAR(128) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
    branch     VARCHAR(128) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
    op         VARCHAR(16)  CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
    outcome    VARCHAR(16)  CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
    output     LONGTEXT     CHARACTER SET utf8mb4 COLLATE utf8mb4_bin,
    fence      BIGINT       NOT NULL,
    created_at BIGINT       NOT NULL,
    PRIMARY KEY (gid, branch, op),
    CHECK (outcome IN ('done', 'read_only', 'refused', 'blocked'))
) ENGINE = InnoDB;

-- One row per branch: the highest fence seen, and when the branch was last asked for. Every op of a branch writes this row
-- first, so that of two calls one waits for the other, and the cleaner waits for neither.
CREATE TABLE IF NOT EXISTS trine_barrier_branches (
    gid     VARCHAR(128) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
    branch  VARCHAR(128) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
    fence   BIGINT       NOT NULL,
    used_at BIGINT       NOT NULL,
    PRIMARY KEY (gid, branch),
    INDEX trine_barrier_branches_unused (used_at)
) ENGINE = InnoDB;
