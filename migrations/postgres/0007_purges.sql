-- Deleted tasks whose files and data are still to be removed. A row is written in the transaction that deletes the task.
CREATE TABLE purges (
    task_id  TEXT NOT NULL PRIMARY KEY,
    kind     TEXT NOT NULL,
    spec     TEXT NOT NULL,
    cursor   TEXT,
    epoch    BIGINT NOT NULL CHECK (epoch >= 0),
    state    TEXT NOT NULL CHECK (state IN ('TERMINATED', 'COMPLETED', 'FAILED')),
    -- When a node may take it, in microseconds since 1970-01-01 UTC: whoever takes it moves this on.
    due_at   BIGINT NOT NULL,
    failures BIGINT NOT NULL CHECK (failures >= 0)
);

CREATE INDEX purges_due ON purges (due_at);
