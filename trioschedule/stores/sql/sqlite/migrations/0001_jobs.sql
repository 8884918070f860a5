-- Jobs, their runs, and what was said at run time. Times are UTC epoch in microseconds; documents are JSON texts.
-- Columns that are searched come first: SQLite has to walk over what stands before them.

CREATE TABLE job (
    id INTEGER PRIMARY KEY,
    queue TEXT NOT NULL,
    status TEXT NOT NULL,
    declared INTEGER NOT NULL,
    priority INTEGER NOT NULL,
    wake_at INTEGER,
    finished_at INTEGER,
    created_at INTEGER NOT NULL,
    key_until INTEGER,
    "group" TEXT,
    name TEXT,
    number INTEGER,
    unique_key TEXT,
    function TEXT NOT NULL,
    args TEXT NOT NULL,
    "trigger" TEXT NOT NULL,
    options TEXT NOT NULL,
    state TEXT NOT NULL,
    runs TEXT NOT NULL
) STRICT;

-- No foreign key: a late run of a job that has just been removed is dropped, and fails nobody.
CREATE TABLE run (
    id INTEGER PRIMARY KEY,
    job_id INTEGER NOT NULL,
    due INTEGER NOT NULL,
    status TEXT NOT NULL,
    finished_at INTEGER NOT NULL,
    data TEXT NOT NULL
) STRICT;

CREATE TABLE queue (
    name TEXT NOT NULL PRIMARY KEY,
    paused INTEGER NOT NULL,
    "limit" INTEGER,
    configured INTEGER
) STRICT, WITHOUT ROWID;

CREATE TABLE open_group (name TEXT NOT NULL PRIMARY KEY) STRICT, WITHOUT ROWID;

CREATE TABLE fact (name TEXT NOT NULL PRIMARY KEY, value TEXT NOT NULL) STRICT, WITHOUT ROWID;

-- Every index of rows ends in their id, which SQLite adds by itself: what is found by one column comes by id.
-- A statement has to repeat the condition of a partial index word for word.

-- What is due next. Jobs that want nothing (over, paused, manual) are not in it.
CREATE INDEX job_wake ON job (wake_at) WHERE wake_at IS NOT NULL;

-- The jobs that are not over, by id, and how many: few among many that are. The queue is there to be filtered by.
CREATE INDEX job_live ON job (id, queue) WHERE finished_at IS NULL;

-- The jobs that are over, by id: a million of them may be searched for three that failed, without reading their rows.
CREATE INDEX job_over ON job (id, queue, status) WHERE finished_at IS NOT NULL;

-- Names and groups, in two halves: a name that was used 100,000 times costs no more to find than another.
CREATE INDEX job_live_name ON job (name) WHERE name IS NOT NULL AND finished_at IS NULL;
CREATE INDEX job_over_name ON job (name) WHERE name IS NOT NULL AND finished_at IS NOT NULL;
CREATE INDEX job_live_group ON job ("group") WHERE "group" IS NOT NULL AND finished_at IS NULL;
CREATE INDEX job_over_group ON job ("group") WHERE "group" IS NOT NULL AND finished_at IS NOT NULL;

-- Who holds a unique key.
CREATE INDEX job_key ON job (unique_key) WHERE unique_key IS NOT NULL;

-- At start: given names that look like default names to come.
CREATE INDEX job_number ON job (number) WHERE number IS NOT NULL;

-- At start: what ran when the process died. A handful.
CREATE INDEX job_active ON job (id) WHERE status IN ('running', 'cancelling');

-- At start: what code declares. A handful.
CREATE INDEX job_declared ON job (id) WHERE declared = 1;

-- What to forget, the oldest first. The claim is there to be filtered by.
CREATE INDEX job_finished ON job (finished_at, id, key_until) WHERE finished_at IS NOT NULL AND declared = 0;
CREATE INDEX run_finished ON run (finished_at);

-- The history of a job.
CREATE INDEX run_job ON run (job_id);
