-- The dataset that a task reads or writes, the name of the file that it reads, and the texts by which it is found, in lower case.
ALTER TABLE tasks ADD COLUMN dataset TEXT;
ALTER TABLE tasks ADD COLUMN file_name TEXT;
ALTER TABLE tasks ADD COLUMN search_text TEXT;
UPDATE tasks SET dataset = json_extract(spec, '$.dataset') WHERE kind IN ('import', 'export');
UPDATE tasks SET file_name = (SELECT name FROM uploads WHERE id = upload_id) WHERE upload_id IS NOT NULL;
UPDATE tasks SET search_text = lower(COALESCE(label || char(10), '') || COALESCE(dataset || char(10), '') || COALESCE(file_name, ''))
    WHERE label IS NOT NULL OR dataset IS NOT NULL OR file_name IS NOT NULL;

CREATE INDEX tasks_dataset ON tasks (dataset, state, id) WHERE dataset IS NOT NULL;
CREATE INDEX tasks_error ON tasks (error_code, state, id) WHERE error_code IS NOT NULL;
CREATE INDEX tasks_creator ON tasks (created_by, state, id);
CREATE INDEX tasks_prioritized ON tasks ((-priority), id) WHERE priority <> 0;
DROP INDEX tasks_finished;
CREATE INDEX tasks_finished ON tasks (finished_at, id) WHERE finished_at IS NOT NULL;

-- Index of the parts of three characters of each text. The triggers keep it.
CREATE TABLE task_texts (docid INTEGER PRIMARY KEY, task_id TEXT NOT NULL UNIQUE);
CREATE VIRTUAL TABLE task_trigrams USING fts5(text, content='', columnsize=0, detail='none', tokenize='trigram');
INSERT INTO task_texts (task_id) SELECT id FROM tasks WHERE search_text IS NOT NULL ORDER BY id;
INSERT INTO task_trigrams (rowid, text) SELECT docid, search_text FROM task_texts JOIN tasks ON id = task_id;
CREATE TRIGGER task_text_added AFTER INSERT ON tasks WHEN NEW.search_text IS NOT NULL BEGIN
    INSERT INTO task_texts (task_id) VALUES (NEW.id);
    INSERT INTO task_trigrams (rowid, text) SELECT docid, NEW.search_text FROM task_texts WHERE task_id = NEW.id;
END;
CREATE TRIGGER task_text_changed AFTER UPDATE OF search_text ON tasks WHEN OLD.search_text IS NOT NEW.search_text BEGIN
    INSERT INTO task_trigrams (task_trigrams, rowid, text)
        SELECT 'delete', docid, OLD.search_text FROM task_texts WHERE task_id = OLD.id AND OLD.search_text IS NOT NULL;
    DELETE FROM task_texts WHERE task_id = OLD.id;
    INSERT INTO task_texts (task_id) SELECT NEW.id WHERE NEW.search_text IS NOT NULL;
    INSERT INTO task_trigrams (rowid, text) SELECT docid, NEW.search_text FROM task_texts WHERE task_id = NEW.id;
END;
CREATE TRIGGER task_text_deleted AFTER DELETE ON tasks WHEN OLD.search_text IS NOT NULL BEGIN
    INSERT INTO task_trigrams (task_trigrams, rowid, text)
        SELECT 'delete', docid, OLD.search_text FROM task_texts WHERE task_id = OLD.id;
    DELETE FROM task_texts WHERE task_id = OLD.id;
END;
INSERT INTO schema_support (migration, runs_from) VALUES (17, 12);
