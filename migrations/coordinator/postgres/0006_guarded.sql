-- Whether all ops of an instance run behind a barrier, as its registration says: then guarded_until is the expires_at of that
-- registration, and otherwise 0. Coordinators of an older version renew expires_at alone, because they do not know the column.
-- The two then differ, and the instance is not taken for guarded.
ALTER TABLE participants ADD COLUMN guarded_until BIGINT NOT NULL DEFAULT 0;
