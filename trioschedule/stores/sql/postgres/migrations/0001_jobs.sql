-- Jobs, their runs, and what was said at run time. Times are UTC epoch in microseconds. Documents are JSON, and texts:
-- they come back as they were given, and nothing in the server looks into them. Texts that are searched or sorted are of
-- the collation "C": the same order everywhere, which no upgrade of an operating system changes.

CREATE TABLE {schema}.trioschedule_version (
    version integer PRIMARY KEY,
    applied_at timestamptz NOT NULL DEFAULT now()
);

-- The schedulers that work here, and those that did: by place, which their ids end in. Whoever has lost its fence, a
-- number that grows, writes nothing more. A place that is free has a time from which it can be taken. The last exchange
-- has a number, and the jobs that were left out of it: so it can be told afterwards whether it was carried out.
CREATE TABLE {schema}.node (
    place integer PRIMARY KEY,
    fence bigint NOT NULL,
    name text COLLATE "C" NOT NULL,
    began_at timestamptz NOT NULL DEFAULT now(),
    beat_at timestamptz NOT NULL,
    free_at timestamptz,
    lease interval NOT NULL,
    stamp bigint NOT NULL,
    skipped text NOT NULL,
    job_id bigint NOT NULL,
    run_id bigint NOT NULL
) WITH (fillfactor = 10, autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 1000);

-- What one node says to another; it goes when it has been read.
CREATE TABLE {schema}.message (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    recipient text COLLATE "C" NOT NULL,
    sender text COLLATE "C" NOT NULL,
    body text COLLATE "C" NOT NULL
) WITH (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 1000);

CREATE INDEX message_recipient ON {schema}.message (recipient, id);

-- A job's row is written again and again: place is left for that beside it, and its dead copies are cleared early.
CREATE TABLE {schema}.job (
    id bigint PRIMARY KEY,
    created_at bigint NOT NULL,
    wake_at bigint,
    finished_at bigint,
    key_until bigint,
    priority smallint NOT NULL CHECK (priority BETWEEN 0 AND 9),
    owner integer,
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

-- The blocks of groups that were entered and not left, and the place of the node whose they are.
CREATE TABLE {schema}.open_group (
    name text COLLATE "C" NOT NULL,
    owner integer NOT NULL,
    PRIMARY KEY (name, owner)
);

CREATE TABLE {schema}.fact (name text COLLATE "C" PRIMARY KEY, value text COLLATE "C" NOT NULL);

-- Every index ends in the id: what is found by one column comes by id.
-- A statement has to repeat the condition of a partial index.

-- What is to be claimed next, by queue and priority. Jobs that want nothing (over, paused, manual) are not in it, nor
-- those that a node holds. Each level of priority is a range of its own: so what is not due yet is never walked over.
CREATE INDEX job_free ON {schema}.job (queue, priority, wake_at, id) WHERE owner IS NULL AND wake_at IS NOT NULL;

-- What the nodes hold: a few.
CREATE INDEX job_held ON {schema}.job (queue, owner) WHERE owner IS NOT NULL;

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

-- At start: what code declares. A handful.
CREATE INDEX job_declared ON {schema}.job (id) WHERE declared;

-- What to forget, the oldest first. The claim is there to be filtered by.
CREATE INDEX job_finished ON {schema}.job (finished_at, id, key_until) WHERE finished_at IS NOT NULL AND NOT declared;
CREATE INDEX run_finished ON {schema}.run (finished_at, id);

-- The history of a job.
CREATE INDEX run_job ON {schema}.run (job_id, id);
