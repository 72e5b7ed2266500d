-- A node is one process. The key `name` is the id of the process, which is also the owner of its tasks; `label` is its name, which
-- need not be unique. A node of an earlier version writes its name as the key and none of the new columns: its name is its id.
ALTER TABLE nodes ADD COLUMN label TEXT;
ALTER TABLE nodes ADD COLUMN role TEXT;
ALTER TABLE nodes ADD COLUMN version TEXT;
ALTER TABLE nodes ADD COLUMN started_at BIGINT;
-- When it renewed its lease last.
ALTER TABLE nodes ADD COLUMN beat_at BIGINT;
-- 1 while it shuts down.
ALTER TABLE nodes ADD COLUMN draining BIGINT;
ALTER TABLE nodes ADD COLUMN running BIGINT;
ALTER TABLE nodes ADD COLUMN max_running BIGINT;
-- Number of waits for something unavailable in a row without progress. They are no failures.
ALTER TABLE tasks ADD COLUMN waits BIGINT NOT NULL DEFAULT 0 CHECK (waits >= 0);
