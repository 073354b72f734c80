-- Stock by SKU. Every unit that ever came in (stocked) is available, frozen by a transaction under way, or sold.
CREATE TABLE stock (
    sku       TEXT    NOT NULL PRIMARY KEY,
    available INTEGER NOT NULL CHECK (available >= 0),
    frozen    INTEGER NOT NULL DEFAULT 0 CHECK (frozen >= 0),
    sold      INTEGER NOT NULL DEFAULT 0 CHECK (sold >= 0),
    stocked   INTEGER NOT NULL CHECK (stocked >= 0)
) STRICT, WITHOUT ROWID;
