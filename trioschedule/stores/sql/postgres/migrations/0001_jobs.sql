-- Jobs, their runs, and what was said at run time. Times are UTC epoch in microseconds. Documents are JSON, and texts:
-- they come back as they were given, and nothing in the server looks into them. Texts that are searched or sorted are of
-- the collation "C": the same order everywhere, which no upgrade of an operating system changes.

CREATE TABLE {schema}.trioschedule_version (
    version integer PRIMARY KEY,
    applied_at timestamptz NOT NULL DEFAULT now()
);

-- Which scheduler has the schema, or had it last: each takes the next number.
CREATE TABLE {schema}.holder (
    one boolean PRIMARY KEY DEFAULT true CHECK (one),
    fence bigint NOT NULL
);

INSERT INTO {schema}.holder (fence) VALUES (0);

-- A job's row is written again and again: place is left for that beside it, and its dead copies are cleared early.
CREATE TABLE {schema}.job (
    id bigint PRIMARY KEY,
    created_at bigint NOT NULL,
    wake_at bigint,
    finished_at bigint,
    key_until bigint,
    number bigint,
    priority bigint NOT NULL,
    declared boolean NOT NULL,
    queue text COLLATE "C" NOT NULL,
    status text COLLATE "C" NOT NULL,
    "group" text COLLATE "C",
    name text COLLATE "C",
    unique_key text COLLATE "C",
    function text COLLATE "C" NOT NULL,
    args text COLLATE "C" NOT NULL,
    "trigger" text COLLATE "C" NOT NULL,
    options text COLLATE "C" NOT NULL,
    state text COLLATE "C" NOT NULL,
    runs text COLLATE "C" NOT NULL
) WITH (fillfactor = 85, autovacuum_vacuum_scale_factor = 0.02, autovacuum_analyze_scale_factor = 0.05);

-- No foreign key: a late run of a job that has just been removed is dropped, and fails nobody.
CREATE TABLE {schema}.run (
    id bigint PRIMARY KEY,
    job_id bigint NOT NULL,
    due bigint NOT NULL,
    finished_at bigint NOT NULL,
    status text COLLATE "C" NOT NULL,
    data text COLLATE "C" NOT NULL
);

CREATE TABLE {schema}.queue (
    name text COLLATE "C" PRIMARY KEY,
    paused boolean NOT NULL,
    "limit" bigint,
    configured bigint
);

CREATE TABLE {schema}.open_group (name text COLLATE "C" PRIMARY KEY);

CREATE TABLE {schema}.fact (name text COLLATE "C" PRIMARY KEY, value text COLLATE "C" NOT NULL);

-- Every index ends in the id: what is found by one column comes by id.
-- A statement has to repeat the condition of a partial index.

-- What is due next. Jobs that want nothing (over, paused, manual) are not in it.
CREATE INDEX job_wake ON {schema}.job (wake_at, id) WHERE wake_at IS NOT NULL;

-- The jobs that are not over, by id, and how many: few among many that are. The others are there to be filtered by.
CREATE INDEX job_live ON {schema}.job (id, queue, status) WHERE finished_at IS NULL;

-- The jobs that are over, by id: a million of them may be searched for three that failed, without reading their rows.
CREATE INDEX job_over ON {schema}.job (id, queue, status) WHERE finished_at IS NOT NULL;

-- Names and groups, in two halves: a name that was used 100,000 times costs no more to find than another.
CREATE INDEX job_live_name ON {schema}.job (name, id) WHERE name IS NOT NULL AND finished_at IS NULL;
CREATE INDEX job_over_name ON {schema}.job (name, id) WHERE name IS NOT NULL AND finished_at IS NOT NULL;
CREATE INDEX job_live_group ON {schema}.job ("group", id) WHERE "group" IS NOT NULL AND finished_at IS NULL;
CREATE INDEX job_over_group ON {schema}.job ("group", id) WHERE "group" IS NOT NULL AND finished_at IS NOT NULL;

-- Who holds a unique key.
CREATE INDEX job_key ON {schema}.job (unique_key, id) WHERE unique_key IS NOT NULL;

-- At start: given names that look like default names to come.
CREATE INDEX job_number ON {schema}.job (number) WHERE number IS NOT NULL;

-- At start: what ran when the process died. A handful.
CREATE INDEX job_active ON {schema}.job (id) WHERE status IN ('running', 'cancelling');

-- At start: what code declares. A handful.
CREATE INDEX job_declared ON {schema}.job (id) WHERE declared;

-- What to forget, the oldest first. The claim is there to be filtered by.
CREATE INDEX job_finished ON {schema}.job (finished_at, id, key_until) WHERE finished_at IS NOT NULL AND NOT declared;
CREATE INDEX run_finished ON {schema}.run (finished_at, id);

-- The history of a job.
CREATE INDEX run_job ON {schema}.run (job_id, id);
