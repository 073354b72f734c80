-- One row per branch that says where its first call came from: the journal (Trine-Journal) and the digest of the payload
-- (Trine-Payload-Digest). A call that says otherwise means another transaction of the same gid, and has no effect. NULL:
-- the calls so far did not say. A branch without a row is one whose calls never said.
CREATE TABLE IF NOT EXISTS trine_xa_origins (
    gid            VARCHAR(128) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
    branch         VARCHAR(128) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
    journal        VARCHAR(128) CHARACTER SET ascii COLLATE ascii_bin,
    payload_digest VARCHAR(64)  CHARACTER SET ascii COLLATE ascii_bin,
    PRIMARY KEY (gid, branch)
) ENGINE = InnoDB;
