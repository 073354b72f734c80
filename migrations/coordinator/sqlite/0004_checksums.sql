-- What a record was when it was written: CRC-32 of its seq, at, gid and event (coordinator/src/store/checksum.rs), compared
-- whenever it is read. NULL: written by a version that had none, and believed.
--
-- A column that may be NULL and has no default changes the table's description only: no row is written.
ALTER TABLE journal ADD COLUMN checksum INTEGER;
