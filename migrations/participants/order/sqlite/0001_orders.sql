-- Orders. Times are milliseconds since 1970, UTC.
CREATE TABLE orders (
    id         TEXT    NOT NULL PRIMARY KEY,
    gid        TEXT    NOT NULL,
    branch     TEXT    NOT NULL,
    sku        TEXT    NOT NULL,
    quantity   INTEGER NOT NULL CHECK (quantity > 0),
    state      TEXT    NOT NULL CHECK (state IN ('pending', 'confirmed', 'cancelled')),
    created_at INTEGER NOT NULL DEFAULT (CAST(unixepoch('subsec') * 1000 AS INTEGER)),
    updated_at INTEGER NOT NULL DEFAULT (CAST(unixepoch('subsec') * 1000 AS INTEGER)),
    UNIQUE (gid, branch)
) STRICT;

CREATE INDEX orders_by_time ON orders (created_at, id);
