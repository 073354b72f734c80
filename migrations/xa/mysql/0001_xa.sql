-- One row per two_phase branch that is prepared by the database itself. state: open (prepared, being prepared, or not
-- prepared yet: XA RECOVER tells), committed, rolled_back, refused (reason holds why), read_only.
-- The prepared transaction itself sets committed: it shows once its effects do, and until then the row is locked.
-- xid is gtrid/bqual as XA RECOVER has them; gid and branch stand here because a long one is a digest there.
-- ascii_bin compares byte by byte. used_at is in milliseconds since 1970, UTC.
CREATE TABLE IF NOT EXISTS trine_xa (
    gid     VARCHAR(128) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
    branch  VARCHAR(128) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
    xid     VARCHAR(140) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
    state   VARCHAR(16)  CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
    reason  LONGTEXT     CHARACTER SET utf8mb4 COLLATE utf8mb4_bin,
    fence   BIGINT       NOT NULL,
    used_at BIGINT       NOT NULL,
    PRIMARY KEY (gid, branch),
    UNIQUE INDEX trine_xa_xid (xid),
    INDEX trine_xa_unused (used_at),
    CHECK (state IN ('open', 'committed', 'rolled_back', 'refused', 'read_only'))
) ENGINE = InnoDB;
