-- Tags of a task, as a JSON list. The table task_tags follows them.
ALTER TABLE tasks ADD COLUMN tags TEXT CHECK (json_array_length(CAST(tags AS JSON)) BETWEEN 1 AND 16);
-- Queued tasks of higher priority are claimed first.
ALTER TABLE tasks ADD COLUMN priority BIGINT NOT NULL DEFAULT 0 CHECK (priority BETWEEN -100 AND 100);
-- Receives a webhook at each final state.
ALTER TABLE tasks ADD COLUMN notify_url TEXT CHECK (length(notify_url) > 0);
-- Subject of the caller that started the task.
ALTER TABLE tasks ADD COLUMN created_by TEXT NOT NULL DEFAULT 'anonymous' CHECK (length(created_by) > 0);
-- Rate limit that replaces the one of the spec: 0 for none, null for that of the spec.
ALTER TABLE tasks ADD COLUMN max_rows_per_second DOUBLE PRECISION CHECK (max_rows_per_second >= 0);
-- Place in the input to which the error refers, and whether another attempt may succeed (1 or 0).
ALTER TABLE tasks ADD COLUMN error_line BIGINT CHECK (error_line IS NULL OR (error_line > 0 AND error_code IS NOT NULL));
ALTER TABLE tasks ADD COLUMN error_column BIGINT CHECK (error_column IS NULL OR (error_column > 0 AND error_code IS NOT NULL));
ALTER TABLE tasks ADD COLUMN error_column_name TEXT CHECK (error_column_name IS NULL OR error_code IS NOT NULL);
ALTER TABLE tasks ADD COLUMN error_retryable BIGINT
    CHECK (error_retryable IS NULL OR (error_retryable IN (0, 1) AND error_code IS NOT NULL));

-- What a node with a free slot may claim, in the order of the claims. The version before reads tasks_queue.
CREATE INDEX tasks_priority ON tasks (priority DESC, id) WHERE state = 'QUEUED' AND lane IS NULL;

-- The tasks with a tag, by state, in the order of their IDs. A trigger writes it, so that every version of the program keeps it true.
CREATE TABLE task_tags (
    tag     TEXT NOT NULL CHECK (length(tag) BETWEEN 1 AND 64),
    state   TEXT NOT NULL,
    task_id TEXT NOT NULL,
    PRIMARY KEY (tag, state, task_id)
);

CREATE FUNCTION follow_task_tags() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP <> 'INSERT' THEN
        DELETE FROM task_tags WHERE tag = ANY (ARRAY(SELECT json_array_elements_text(CAST(OLD.tags AS JSON))))
            AND state = OLD.state AND task_id = OLD.id;
    END IF;
    IF TG_OP <> 'DELETE' THEN
        INSERT INTO task_tags (tag, state, task_id)
            SELECT tag, NEW.state, NEW.id FROM json_array_elements_text(CAST(NEW.tags AS JSON)) AS list (tag);
    END IF;
    RETURN NULL;
END $$;

CREATE TRIGGER task_tags_insert AFTER INSERT ON tasks FOR EACH ROW
    WHEN (NEW.tags IS NOT NULL) EXECUTE FUNCTION follow_task_tags();
CREATE TRIGGER task_tags_update AFTER UPDATE OF tags, state ON tasks FOR EACH ROW
    WHEN (OLD.tags IS DISTINCT FROM NEW.tags OR (NEW.tags IS NOT NULL AND OLD.state <> NEW.state))
    EXECUTE FUNCTION follow_task_tags();
CREATE TRIGGER task_tags_delete AFTER DELETE ON tasks FOR EACH ROW
    WHEN (OLD.tags IS NOT NULL) EXECUTE FUNCTION follow_task_tags();
INSERT INTO schema_support (migration, runs_from) VALUES (15, 12);
