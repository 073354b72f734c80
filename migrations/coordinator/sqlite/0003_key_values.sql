-- Small texts by name, apart from every transaction: what a dialect keeps beside them.
--
-- version begins at 1 and grows by one with each change; a change names the version (and created_at, since an entry that was
-- deleted begins again) that it was made from. Categories and names are compared byte by byte.
--
-- It has a rowid for the reason the journal has one: values may be long.
CREATE TABLE key_values (
    category   TEXT    NOT NULL,
    name       TEXT    NOT NULL,
    value      TEXT    NOT NULL,
    version    INTEGER NOT NULL,
    created_at INTEGER NOT NULL,
    updated_at INTEGER NOT NULL,
    PRIMARY KEY (category, name)
);
