-- 1 while the disk of the node's working files is full: it leaves tasks to nodes that have space.
ALTER TABLE nodes ADD COLUMN disk_full BIGINT NOT NULL DEFAULT 0;
INSERT INTO schema_support (migration, runs_from) VALUES (13, 12);
