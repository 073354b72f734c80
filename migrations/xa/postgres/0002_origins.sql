-- One row per branch that says where its first call came from: the journal (Trine-Journal) and the digest of the payload
-- (Trine-Payload-Digest). A call that says otherwise means another transaction of the same gid, and has no effect. NULL:
-- the calls so far did not say. A branch without a row is one whose calls never said.
CREATE TABLE IF NOT EXISTS trine_xa_origins (
    gid            TEXT COLLATE "C" NOT NULL,
    branch         TEXT COLLATE "C" NOT NULL,
    journal        TEXT COLLATE "C",
    payload_digest TEXT COLLATE "C",
    PRIMARY KEY (gid, branch)
);
