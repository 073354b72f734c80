-- What a record was when it was written: CRC-32 of its seq, at, gid and event (coordinator/src/store/checksum.rs), compared
-- whenever it is read. NULL: written by a version that had none, and believed; coordinators of such a version may go on
-- beside those that write it.
--
-- A column at the end that may be NULL changes the table's description only (ALGORITHM=INSTANT, which MariaDB and MySQL from
-- 8.0.12 on take by themselves): no row is written. Its lock is waited for 10 s at most: a dump that reads the table would
-- keep it, and all who come after. Whoever runs into that starts again when the dump is done.
--
-- MySQL cannot say "add it if it is not there", and each statement must be harmless when it is run again.
SET SESSION lock_wait_timeout = 10;
SET @trine_change = IF(
    EXISTS (SELECT 1 FROM information_schema.columns
            WHERE table_schema = DATABASE() AND table_name = 'journal' AND column_name = 'checksum'),
    'DO 0',
    'ALTER TABLE journal ADD COLUMN checksum BIGINT NULL'
);
PREPARE trine_change FROM @trine_change;
EXECUTE trine_change;
DEALLOCATE PREPARE trine_change;
