-- SHA-256 of the input that came with the idempotency key, in lowercase hex. Null for tasks that were stored before.
ALTER TABLE tasks ADD COLUMN input_sha256 TEXT CHECK (input_sha256 IS NULL OR idempotency_key IS NOT NULL);
