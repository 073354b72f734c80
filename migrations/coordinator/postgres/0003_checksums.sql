-- What a record was when it was written: CRC-32 of its seq, at, gid and event (coordinator/src/store/checksum.rs), compared
-- whenever it is read. NULL: written by a version that had none, and believed; coordinators of such a version may go on
-- beside those that write it.
--
-- A column that may be NULL and has no default changes the catalogue only: no row is written. The lock is held for that
-- moment, and is waited for no longer than lock_timeout (10 s): a dump that reads the table would keep it, and all who come
-- after. Whoever runs into that starts again when the dump is done.
ALTER TABLE journal ADD COLUMN checksum BIGINT;
