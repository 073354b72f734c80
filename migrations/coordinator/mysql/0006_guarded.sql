-- Whether all ops of an instance run behind a barrier, as its registration says: then guarded_until is the expires_at of that
-- registration, and otherwise 0. Coordinators of an older version renew expires_at alone, because they do not know the column.
-- The two then differ, and the instance is not taken for guarded.
--
-- MySQL cannot say "add it if it is not there", and each statement must be harmless when it is run again.
SET SESSION lock_wait_timeout = 10;
SET @trine_change = IF(
    EXISTS (SELECT 1 FROM information_schema.columns
            WHERE table_schema = DATABASE() AND table_name = 'participants' AND column_name = 'guarded_until'),
    'DO 0',
    'ALTER TABLE participants ADD COLUMN guarded_until BIGINT NOT NULL DEFAULT 0'
);
PREPARE trine_change FROM @trine_change;
EXECUTE trine_change;
DEALLOCATE PREPARE trine_change;
