-- The moment at which the next attempt of a short task became due, from which its lateness counts. Unlike due_at it stays when
-- the attempt is deferred because its host is full. Null for other tasks and for tasks that were stored before.
ALTER TABLE tasks ADD COLUMN due_since BIGINT;
