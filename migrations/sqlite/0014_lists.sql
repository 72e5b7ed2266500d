-- Lists of the tasks with a label, and of the tasks of a kind, newest first, however many others there are.
CREATE INDEX tasks_label ON tasks (label, state, id) WHERE label IS NOT NULL;
CREATE INDEX tasks_kind ON tasks (kind, state, id);
INSERT INTO schema_support (migration, runs_from) VALUES (14, 12);
