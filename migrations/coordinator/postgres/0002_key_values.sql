-- Small texts by name, apart from every transaction: what a dialect keeps beside them.
--
-- version begins at 1 and grows by one with each change; a change names the version (and created_at, since an entry that was
-- deleted begins again) that it was made from. Categories and names are compared byte by byte.
CREATE TABLE key_values (
    category   TEXT COLLATE "C" NOT NULL,
    name       TEXT COLLATE "C" NOT NULL,
    value      TEXT             NOT NULL,
    version    BIGINT           NOT NULL,
    created_at BIGINT           NOT NULL,
    updated_at BIGINT           NOT NULL,
    PRIMARY KEY (category, name)
);
