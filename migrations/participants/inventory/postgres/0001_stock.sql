-- Stock by SKU. Every unit that ever came in (stocked) is available, frozen by a transaction under way, or sold.
CREATE TABLE stock (
    sku       TEXT   COLLATE "C" NOT NULL PRIMARY KEY,
    available BIGINT NOT NULL CHECK (available >= 0),
    frozen    BIGINT NOT NULL DEFAULT 0 CHECK (frozen >= 0),
    sold      BIGINT NOT NULL DEFAULT 0 CHECK (sold >= 0),
    stocked   BIGINT NOT NULL CHECK (stocked >= 0)
);
