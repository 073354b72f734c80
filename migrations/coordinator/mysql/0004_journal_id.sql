-- Which journal this is: one row, made by whoever opens the store first, and kept from then on. Calls name it, so that a
-- participant tells apart two journals that use the same gid. A backup has it, for it is the same journal.
CREATE TABLE IF NOT EXISTS journal_id (
    one     BIGINT       NOT NULL PRIMARY KEY,
    id      VARCHAR(128) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
    made_at BIGINT       NOT NULL,
    CHECK (one = 1)
) ENGINE = InnoDB;
