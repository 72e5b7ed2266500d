-- Brief tasks, such as webhooks: they have a lane, take no slot, and are taken in the order in which they are due.
ALTER TABLE tasks ADD COLUMN lane TEXT
    CHECK (lane IS NULL OR state NOT IN ('SCHEDULED', 'QUEUED', 'RUNNING') OR due_at IS NOT NULL);

DROP INDEX tasks_due;
-- The next moments at which something happens by itself: starts and new tries, ends of pauses, brief tasks.
CREATE INDEX tasks_due ON tasks (due_at) WHERE state = 'SCHEDULED' AND lane IS NULL;
CREATE INDEX tasks_expiry ON tasks (due_at) WHERE state = 'PAUSED' AND due_at IS NOT NULL;
CREATE INDEX tasks_brief ON tasks (due_at) WHERE state IN ('SCHEDULED', 'QUEUED') AND lane IS NOT NULL;
-- What a node with a free slot may claim, oldest first.
CREATE INDEX tasks_queue ON tasks (id) WHERE state = 'QUEUED' AND lane IS NULL;
-- The tasks that have been over for longest.
CREATE INDEX tasks_finished ON tasks (finished_at) WHERE finished_at IS NOT NULL;
