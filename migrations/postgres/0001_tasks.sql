-- Times are microseconds since 1970-01-01 UTC. The CHECKs hold what the types of the program hold.

-- Files that clients sent, or are sending: one is whole, and may be read, once its sha256 is known.
CREATE TABLE uploads (
    id         TEXT NOT NULL PRIMARY KEY,
    name       TEXT,
    metadata   TEXT,
    size       BIGINT CHECK (size >= 0),
    sha256     TEXT,
    created_at BIGINT NOT NULL,
    used_at    BIGINT NOT NULL,
    CHECK (sha256 IS NULL OR size IS NOT NULL)
);

-- The next one that was not used for too long.
CREATE INDEX uploads_used ON uploads (used_at);

CREATE TABLE tasks (
    id              TEXT NOT NULL PRIMARY KEY,
    kind            TEXT NOT NULL,
    state           TEXT NOT NULL CHECK (state IN ('SCHEDULED', 'QUEUED', 'RUNNING', 'FINISHING', 'PAUSING', 'PAUSED',
                                                   'TERMINATING', 'TERMINATED', 'COMPLETED', 'FAILED')),
    epoch           BIGINT NOT NULL CHECK (epoch >= 0),
    version         BIGINT NOT NULL CHECK (version >= 1),
    owner           TEXT,
    label           TEXT,
    spec            TEXT NOT NULL,
    cursor          TEXT,
    phase           TEXT NOT NULL,
    unit            TEXT NOT NULL CHECK (unit IN ('ROWS', 'BYTES', 'DIGITS', 'TERMS', 'DELIVERIES')),
    done            BIGINT NOT NULL CHECK (done >= 0),
    total           BIGINT,
    active          BIGINT NOT NULL CHECK (active >= 0),
    progress_at     BIGINT NOT NULL,
    attempt         BIGINT NOT NULL CHECK (attempt >= 0),
    crashes         BIGINT NOT NULL CHECK (crashes >= 0),
    failures        BIGINT NOT NULL CHECK (failures >= 0),
    error_code      TEXT,
    error_message   TEXT,
    result_name     TEXT,
    result_size     BIGINT,
    result_type     TEXT,
    result_sha256   TEXT,
    created_at      BIGINT NOT NULL,
    start_at        BIGINT,
    started_at      BIGINT,
    finished_at     BIGINT,
    paused_at       BIGINT,
    due_at          BIGINT,
    expires_at      BIGINT,
    expire_then     TEXT CHECK (expire_then IN ('RESUME', 'TERMINATE')),
    exclusive       TEXT,
    idempotency_key TEXT UNIQUE,
    upload_id       TEXT REFERENCES uploads (id),
    CHECK (total IS NULL OR total >= done),
    CHECK (state <> 'RUNNING' OR owner IS NOT NULL),
    CHECK (owner IS NULL OR state IN ('RUNNING', 'FINISHING', 'PAUSING', 'TERMINATING')),
    CHECK ((finished_at IS NOT NULL) = (state IN ('TERMINATED', 'COMPLETED', 'FAILED'))),
    CHECK ((paused_at IS NOT NULL) = (state = 'PAUSED')),
    CHECK (state <> 'SCHEDULED' OR due_at IS NOT NULL),
    CHECK (state <> 'FAILED' OR error_code IS NOT NULL),
    CHECK ((error_code IS NULL) = (error_message IS NULL)),
    CHECK ((expires_at IS NULL) = (expire_then IS NULL)),
    CHECK (result_name IS NULL OR (state IN ('FINISHING', 'COMPLETED') AND result_size IS NOT NULL
                                   AND result_type IS NOT NULL AND result_sha256 IS NOT NULL))
);

-- One unfinished task at most holds what is exclusive, such as a dataset that is being filled.
CREATE UNIQUE INDEX tasks_exclusive ON tasks (exclusive)
    WHERE exclusive IS NOT NULL AND state NOT IN ('TERMINATED', 'COMPLETED', 'FAILED');
-- What a node may claim, oldest first, and lists by state, newest first.
CREATE INDEX tasks_state ON tasks (state, id);
-- The next moment at which something happens by itself.
CREATE INDEX tasks_due ON tasks (due_at) WHERE due_at IS NOT NULL;
-- The tasks that read an upload: it is kept as long as there is one.
CREATE INDEX tasks_upload ON tasks (upload_id) WHERE upload_id IS NOT NULL;
-- The tasks of a node that died.
CREATE INDEX tasks_owner ON tasks (owner) WHERE owner IS NOT NULL;

CREATE TABLE task_changes (
    task_id    TEXT NOT NULL REFERENCES tasks (id) ON DELETE CASCADE,
    version    BIGINT NOT NULL,
    from_state TEXT,
    to_state   TEXT NOT NULL,
    at         BIGINT NOT NULL,
    by_whom    TEXT NOT NULL,
    reason     TEXT,
    PRIMARY KEY (task_id, version)
);

-- The nodes that are alive: one whose lease is over is dead, and its tasks are taken up by others.
CREATE TABLE nodes (
    name        TEXT NOT NULL PRIMARY KEY,
    lease_until BIGINT NOT NULL
);
