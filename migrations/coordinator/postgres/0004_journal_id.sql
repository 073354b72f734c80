-- Which journal this is: one row, made by whoever opens the store first, and kept from then on. Calls name it, so that a
-- participant tells apart two journals that use the same gid. A backup has it, for it is the same journal.
CREATE TABLE journal_id (
    one     BIGINT           NOT NULL PRIMARY KEY CHECK (one = 1),
    id      TEXT COLLATE "C" NOT NULL,
    made_at BIGINT           NOT NULL
);
