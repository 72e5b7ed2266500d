-- Time of the last change of the state. Null for tasks that an earlier version wrote, which also leaves it as it is when it changes
-- a task: the index has the newest time that is known.
ALTER TABLE tasks ADD COLUMN updated_at BIGINT;
-- Tasks by their last change: lists in that order, and what changed since events were lost.
CREATE INDEX tasks_updated ON tasks ((GREATEST(updated_at, finished_at, paused_at, started_at, created_at)), id COLLATE "C");
INSERT INTO schema_support (migration, runs_from) VALUES (16, 12);
