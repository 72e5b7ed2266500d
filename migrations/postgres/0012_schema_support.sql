-- The oldest program that can work with a migration: one whose newest migration is runs_from or newer. A migration after this one
-- ends by adding its row. A program that does not know a migration starts only if its row allows it.
CREATE TABLE schema_support (
    migration BIGINT NOT NULL PRIMARY KEY CHECK (migration > 12),
    runs_from BIGINT NOT NULL CHECK (runs_from BETWEEN 12 AND migration)
);
