-- Unit of a kind's progress that the CHECK of the column unit does not allow; unit is TERMS then. Null for the units that it
-- allows. So a new kind of task needs no migration.
ALTER TABLE tasks ADD COLUMN unit_name TEXT;
