-- One row per branch that says where its first call came from: the journal (Trine-Journal) and the digest of the payload
-- (Trine-Payload-Digest). A call that says otherwise means another transaction of the same gid, and has no effect. NULL:
-- the calls so far did not say. A branch without a row is one whose calls never said.
CREATE TABLE IF NOT EXISTS trine_barrier_origins (
    gid            TEXT NOT NULL,
    branch         TEXT NOT NULL,
    journal        TEXT,
    payload_digest TEXT,
    PRIMARY KEY (gid, branch)
) STRICT, WITHOUT ROWID;
