-- Facts about the store as a whole, such as the ID of the folder or bucket of its files.
CREATE TABLE store_facts (
    name  TEXT NOT NULL PRIMARY KEY,
    value TEXT NOT NULL
);
