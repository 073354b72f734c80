-- Spans of time, by this database's clock, in which coordinators saw it pass: retention counts no other, so that a clock
-- that leaps deletes nothing. Both in milliseconds since 1970; the newest one grows once a minute.
CREATE TABLE watched (
    from_at  BIGINT NOT NULL PRIMARY KEY,
    until_at BIGINT NOT NULL
);
