-- The span that started the task, as a W3C traceparent header. Null if its start was not traced.
ALTER TABLE tasks ADD COLUMN trace_parent TEXT;
