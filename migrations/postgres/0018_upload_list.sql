-- The list of uploads, newest first.
CREATE INDEX uploads_created ON uploads (created_at, id);
INSERT INTO schema_support (migration, runs_from) VALUES (18, 12);
