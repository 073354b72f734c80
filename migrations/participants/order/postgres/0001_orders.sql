-- Orders. Times are milliseconds since 1970, UTC.
CREATE TABLE orders (
    id         TEXT   COLLATE "C" NOT NULL PRIMARY KEY,
    gid        TEXT   COLLATE "C" NOT NULL,
    branch     TEXT   COLLATE "C" NOT NULL,
    sku        TEXT   COLLATE "C" NOT NULL,
    quantity   BIGINT NOT NULL CHECK (quantity > 0),
    state      TEXT   COLLATE "C" NOT NULL CHECK (state IN ('pending', 'confirmed', 'cancelled')),
    created_at BIGINT NOT NULL,
    updated_at BIGINT NOT NULL,
    UNIQUE (gid, branch)
);

CREATE INDEX orders_by_time ON orders (created_at, id);
