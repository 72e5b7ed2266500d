-- The dataset that a task reads or writes, the name of the file that it reads, and the texts by which it is found, in lower case.
ALTER TABLE tasks ADD COLUMN dataset TEXT;
ALTER TABLE tasks ADD COLUMN file_name TEXT;
ALTER TABLE tasks ADD COLUMN search_text TEXT;
UPDATE tasks SET dataset = CAST(spec AS JSON) ->> 'dataset' WHERE kind IN ('import', 'export');
UPDATE tasks SET file_name = (SELECT name FROM uploads WHERE id = upload_id) WHERE upload_id IS NOT NULL;
UPDATE tasks SET search_text = lower(concat_ws(chr(10), label, dataset, file_name))
    WHERE label IS NOT NULL OR dataset IS NOT NULL OR file_name IS NOT NULL;

CREATE INDEX tasks_dataset ON tasks (dataset, state, id COLLATE "C") WHERE dataset IS NOT NULL;
CREATE INDEX tasks_error ON tasks (error_code, state, id COLLATE "C") WHERE error_code IS NOT NULL;
CREATE INDEX tasks_creator ON tasks (created_by, state, id COLLATE "C");
CREATE INDEX tasks_prioritized ON tasks ((-priority), id COLLATE "C") WHERE priority <> 0;
DROP INDEX tasks_finished;
CREATE INDEX tasks_finished ON tasks (finished_at, id COLLATE "C") WHERE finished_at IS NOT NULL;

-- Index of the parts of three characters of each text. The triggers keep it. It is not an index of tasks, whose rows change often.
CREATE FUNCTION task_trigrams(text TEXT) RETURNS TEXT[] LANGUAGE sql IMMUTABLE PARALLEL SAFE AS
    'SELECT ARRAY(SELECT DISTINCT substr($1, n, 3) FROM generate_series(1, length($1) - 2) AS n)';
CREATE TABLE task_texts (
    task_id TEXT NOT NULL PRIMARY KEY REFERENCES tasks (id) ON DELETE CASCADE,
    text    TEXT NOT NULL
);
INSERT INTO task_texts (task_id, text) SELECT id, search_text FROM tasks WHERE search_text IS NOT NULL;
CREATE INDEX task_texts_trigrams ON task_texts USING gin (task_trigrams(text));
CREATE FUNCTION tasks_with(part TEXT, trigrams TEXT[]) RETURNS SETOF TEXT LANGUAGE sql STABLE ROWS 100 SET enable_bitmapscan = on AS
    'SELECT task_id FROM task_texts WHERE task_trigrams(text) @> $2 AND strpos(text, $1) > 0';
CREATE FUNCTION keep_task_text() RETURNS TRIGGER LANGUAGE plpgsql AS '
BEGIN
    IF NEW.search_text IS NULL THEN
        DELETE FROM task_texts WHERE task_id = NEW.id;
    ELSE
        INSERT INTO task_texts (task_id, text) VALUES (NEW.id, NEW.search_text)
            ON CONFLICT (task_id) DO UPDATE SET text = excluded.text;
    END IF;
    RETURN NULL;
END';
CREATE TRIGGER task_text_added AFTER INSERT ON tasks FOR EACH ROW WHEN (NEW.search_text IS NOT NULL) EXECUTE FUNCTION keep_task_text();
CREATE TRIGGER task_text_changed AFTER UPDATE OF search_text ON tasks FOR EACH ROW
    WHEN (OLD.search_text IS DISTINCT FROM NEW.search_text) EXECUTE FUNCTION keep_task_text();
INSERT INTO schema_support (migration, runs_from) VALUES (17, 12);
