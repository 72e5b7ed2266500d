-- Lists of the tasks with a label, and of the tasks of a kind, newest first, however many others there are. The collation is not that
-- of the primary key: so PostgreSQL cannot read that in order instead, past all other tasks.
CREATE INDEX tasks_label ON tasks (label, state, id COLLATE "C") WHERE label IS NOT NULL;
CREATE INDEX tasks_kind ON tasks (kind, state, id COLLATE "C");
INSERT INTO schema_support (migration, runs_from) VALUES (14, 12);
