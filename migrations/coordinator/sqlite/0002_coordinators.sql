-- What other databases need to tell coordinators apart stands here, too, so that the tables are the same everywhere.
-- incarnation: which process has the name. previous_at: the heartbeat before the last one. node: the database server.
ALTER TABLE coordinators ADD COLUMN incarnation TEXT NOT NULL DEFAULT '';
ALTER TABLE coordinators ADD COLUMN node TEXT NOT NULL DEFAULT '';
ALTER TABLE coordinators ADD COLUMN previous_at INTEGER NOT NULL DEFAULT 0;
