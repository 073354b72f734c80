-- Small texts by name, apart from every transaction: what a dialect keeps beside them.
--
-- version begins at 1 and grows by one with each change; a change names the version (and created_at, since an entry that was
-- deleted begins again) that it was made from. Categories and names are bytes, as labels are.
CREATE TABLE IF NOT EXISTS key_values (
    category   VARBINARY(128) NOT NULL,
    name       VARBINARY(128) NOT NULL,
    value      LONGTEXT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin NOT NULL,
    version    BIGINT         NOT NULL,
    created_at BIGINT         NOT NULL,
    updated_at BIGINT         NOT NULL,
    PRIMARY KEY (category, name)
) ENGINE = InnoDB;
