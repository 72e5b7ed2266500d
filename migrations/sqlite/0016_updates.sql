-- Time of the last change of the state. Null for tasks that an earlier version wrote, which also leaves it as it is when it changes
-- a task: the index has the newest time that is known.
ALTER TABLE tasks ADD COLUMN updated_at BIGINT;
-- Tasks by their last change: lists in that order, and what changed since events were lost.
CREATE INDEX tasks_updated ON tasks ((MAX(COALESCE(updated_at, 0), COALESCE(finished_at, 0), COALESCE(paused_at, 0), COALESCE(started_at, 0), created_at)), id);
INSERT INTO schema_support (migration, runs_from) VALUES (16, 12);
