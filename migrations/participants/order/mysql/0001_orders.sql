-- Orders. Times are milliseconds since 1970, UTC.
CREATE TABLE orders (
    id         VARCHAR(300) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin NOT NULL PRIMARY KEY,
    gid        VARCHAR(128) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
    branch     VARCHAR(128) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
    sku        VARCHAR(255) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin NOT NULL,
    quantity   BIGINT       NOT NULL CHECK (quantity > 0),
    state      VARCHAR(16)  CHARACTER SET ascii COLLATE ascii_bin NOT NULL CHECK (state IN ('pending', 'confirmed', 'cancelled')),
    created_at BIGINT       NOT NULL,
    updated_at BIGINT       NOT NULL,
    UNIQUE INDEX orders_of_branch (gid, branch),
    INDEX orders_by_time (created_at, id)
) ENGINE = InnoDB;
