-- The job-tracker: the six tables of the original pipeline with their columns,
-- and what the promises need beside them.
--
-- Times are UTC as text, 2006-01-02T15:04:05.000Z, so that their order as text
-- is their order in time; '' where there is none. Sizes are bytes. The CHECKs
-- on status repeat the table in internal/pipeline; a test compares the two.
-- No query that a daemon runs may scan a table whose rows outlive their work;
-- a test reads the query plans.

CREATE TABLE requests (
	id         INTEGER PRIMARY KEY AUTOINCREMENT,
	guid       TEXT    UNIQUE,                     -- NULL until the archive has answered
	number     INTEGER NOT NULL,                   -- observations asked for
	numbits    INTEGER NOT NULL,
	datatype   TEXT    NOT NULL,
	size       INTEGER NOT NULL DEFAULT 0,         -- of all files that were listed
	status     TEXT    NOT NULL CHECK (status IN ('waiting', 'finished', 'failed')),
	details    TEXT    NOT NULL DEFAULT '',
	created_at TEXT    NOT NULL,
	updated_at TEXT    NOT NULL
) STRICT;
CREATE INDEX requests_status ON requests (status, id);

CREATE TABLE files (
	id              INTEGER PRIMARY KEY AUTOINCREMENT,
	filename        TEXT    NOT NULL,
	remote_filename TEXT    NOT NULL DEFAULT '',   -- '' if an operator added it
	request_id      INTEGER REFERENCES requests (id),
	path            TEXT    NOT NULL,              -- of the whole file on this disk
	size            INTEGER NOT NULL CHECK (size >= 0),
	bytes           INTEGER NOT NULL DEFAULT 0,    -- here so far
	mod_time        TEXT    NOT NULL DEFAULT '',   -- on the file server
	checksum        TEXT    NOT NULL DEFAULT '',   -- as the archive offers it, algorithm:hex
	digest          TEXT    NOT NULL DEFAULT '',   -- of the verified file, sha256:hex
	product         TEXT    NOT NULL,
	group_key       TEXT    NOT NULL,
	metadata        TEXT    NOT NULL DEFAULT '{}' CHECK (json_valid(metadata)),
	attempts        INTEGER NOT NULL DEFAULT 0,    -- those that count
	next_try_at     TEXT    NOT NULL DEFAULT '',
	grouped         INTEGER NOT NULL DEFAULT 0 CHECK (grouped IN (0, 1)),
	delete_wanted   INTEGER NOT NULL DEFAULT 0 CHECK (delete_wanted IN (0, 1)),
	status          TEXT    NOT NULL CHECK (status IN ('new', 'added', 'downloading', 'unverified',
	                        'downloaded', 'failed', 'retrying', 'terminal_failure', 'deleted')),
	details         TEXT    NOT NULL DEFAULT '',
	created_at      TEXT    NOT NULL,
	updated_at      TEXT    NOT NULL
) STRICT;
CREATE UNIQUE INDEX files_in_hand ON files (filename) WHERE status <> 'deleted';
CREATE INDEX files_filename ON files (filename);
CREATE INDEX files_request ON files (request_id);
CREATE INDEX files_status ON files (status, next_try_at, id);
CREATE INDEX files_ungrouped ON files (status, product, group_key) WHERE grouped = 0;
CREATE INDEX files_to_delete ON files (status) WHERE delete_wanted = 1;

CREATE TABLE download_attempts (
	id         INTEGER PRIMARY KEY AUTOINCREMENT,
	file_id    INTEGER NOT NULL REFERENCES files (id),
	start      INTEGER NOT NULL DEFAULT 0,         -- bytes that were here when it began
	bytes      INTEGER NOT NULL DEFAULT 0,         -- bytes that it fetched
	status     TEXT    NOT NULL CHECK (status IN ('downloading', 'complete', 'download_failed',
	                   'no_remote_file', 'unknown', 'downloaded', 'verification_failed')),
	details    TEXT    NOT NULL DEFAULT '',
	created_at TEXT    NOT NULL,
	updated_at TEXT    NOT NULL
) STRICT;
CREATE INDEX download_attempts_file ON download_attempts (file_id, id);
CREATE INDEX download_attempts_status ON download_attempts (status, id);
-- A file is fetched by one attempt at a time.
CREATE UNIQUE INDEX download_attempts_live ON download_attempts (file_id)
	WHERE status IN ('downloading', 'complete', 'unknown');

CREATE TABLE jobs (
	id          INTEGER PRIMARY KEY AUTOINCREMENT,
	name        TEXT    NOT NULL,                  -- of the observation, for people
	stage       TEXT    NOT NULL,
	product     TEXT    NOT NULL,
	group_key   TEXT    NOT NULL,
	metadata    TEXT    NOT NULL DEFAULT '{}' CHECK (json_valid(metadata)),
	size        INTEGER NOT NULL DEFAULT 0,        -- of its input files
	attempts    INTEGER NOT NULL DEFAULT 0,        -- submits that count
	site_faults INTEGER NOT NULL DEFAULT 0,        -- submits in a row, up to now, whose end was not its fault
	next_try_at TEXT    NOT NULL DEFAULT '',
	raw_needed  INTEGER NOT NULL DEFAULT 1 CHECK (raw_needed IN (0, 1)), -- given up, it may let go of its input
	status      TEXT    NOT NULL CHECK (status IN ('new', 'submitted', 'processed', 'uploaded',
	                    'failed', 'retrying', 'terminal_failure')),
	details     TEXT    NOT NULL DEFAULT '',
	created_at  TEXT    NOT NULL,
	updated_at  TEXT    NOT NULL
) STRICT;
CREATE INDEX jobs_status ON jobs (status, next_try_at, id);
CREATE INDEX jobs_group ON jobs (group_key, id);
CREATE INDEX jobs_site_faults ON jobs (id) WHERE site_faults > 0;

CREATE TABLE job_files (
	id         INTEGER PRIMARY KEY AUTOINCREMENT,
	file_id    INTEGER NOT NULL REFERENCES files (id),
	job_id     INTEGER NOT NULL REFERENCES jobs (id),
	created_at TEXT    NOT NULL,
	updated_at TEXT    NOT NULL,
	UNIQUE (job_id, file_id)
) STRICT;
CREATE INDEX job_files_file ON job_files (file_id);

CREATE TABLE job_submits (
	id           INTEGER PRIMARY KEY AUTOINCREMENT,
	job_id       INTEGER NOT NULL REFERENCES jobs (id),
	name         TEXT    NOT NULL UNIQUE,          -- the batch system and the common database know it by this
	manager      TEXT    NOT NULL,
	queue_id     TEXT    NOT NULL DEFAULT '',      -- '' until the queue manager has answered
	output_dir   TEXT    NOT NULL UNIQUE,
	status       TEXT    NOT NULL CHECK (status IN ('submitting', 'running', 'submission_failed',
	                     'processed', 'processing_failed', 'stopped', 'removed', 'uploaded', 'upload_failed')),
	details      TEXT    NOT NULL DEFAULT '',
	node         TEXT    NOT NULL DEFAULT '',
	version      TEXT    NOT NULL DEFAULT '',
	ran_out      TEXT    NOT NULL DEFAULT '' CHECK (ran_out IN ('', 'memory', 'walltime')), -- why it failed, if so
	site_fault   INTEGER NOT NULL DEFAULT 0 CHECK (site_fault IN (0, 1)), -- its end was not its job's fault
	submitted_at TEXT    NOT NULL DEFAULT '',
	started_at   TEXT    NOT NULL DEFAULT '',
	ended_at     TEXT    NOT NULL DEFAULT '',
	created_at   TEXT    NOT NULL,
	updated_at   TEXT    NOT NULL
) STRICT;
CREATE INDEX job_submits_job ON job_submits (job_id, id);
CREATE INDEX job_submits_status ON job_submits (status, id);
CREATE INDEX job_submits_queue ON job_submits (queue_id);
-- What the breaker looks at, in the order of the ends: a submit that an operator
-- took back tells nothing.
CREATE INDEX job_submits_ends ON job_submits (ended_at, id)
	WHERE site_fault = 1 OR status IN ('processed', 'processing_failed', 'submission_failed', 'uploaded', 'upload_failed');
-- A job is in the queue at most once.
CREATE UNIQUE INDEX job_submits_live ON job_submits (job_id)
	WHERE status IN ('submitting', 'running', 'processed');

-- The history: every change of status, and what operators and daemons did.
CREATE TABLE events (
	id        INTEGER PRIMARY KEY AUTOINCREMENT,
	at        TEXT    NOT NULL,
	entity    TEXT    NOT NULL,
	entity_id INTEGER NOT NULL,
	was       TEXT    NOT NULL,
	became    TEXT    NOT NULL,
	actor     TEXT    NOT NULL,
	note      TEXT    NOT NULL DEFAULT ''
) STRICT;
CREATE INDEX events_entity ON events (entity, entity_id, id);

-- The outbox: what a person must be told, and the mails that carry it.
CREATE TABLE notices (
	id         INTEGER PRIMARY KEY AUTOINCREMENT,
	kind       TEXT    NOT NULL,
	subject    TEXT    NOT NULL,
	body       TEXT    NOT NULL,
	mail_id    INTEGER REFERENCES mails (id),      -- NULL until a mail carries it
	created_at TEXT    NOT NULL
) STRICT;
CREATE INDEX notices_pending ON notices (kind, id) WHERE mail_id IS NULL;

CREATE TABLE mails (
	id         INTEGER PRIMARY KEY AUTOINCREMENT,
	kind       TEXT    NOT NULL,
	subject    TEXT    NOT NULL,
	body       TEXT    NOT NULL,
	count      INTEGER NOT NULL,
	created_at TEXT    NOT NULL,
	sent_at    TEXT    NOT NULL DEFAULT ''
) STRICT;
CREATE INDEX mails_created ON mails (created_at);
CREATE INDEX mails_sent ON mails (sent_at);
CREATE INDEX mails_unsent ON mails (id) WHERE sent_at = '';

-- Outside systems that do not answer now; a row goes when its system is back.
CREATE TABLE outages (
	system TEXT NOT NULL,
	daemon TEXT NOT NULL,
	since  TEXT NOT NULL,
	error  TEXT NOT NULL,
	PRIMARY KEY (system, daemon)
) STRICT;

-- What stands still until somebody resumes it, one row for each kind at most. The
-- row stays: after a resume the breaker looks at later ends only.
CREATE TABLE pauses (
	kind       TEXT    PRIMARY KEY CHECK (kind IN ('downloads', 'submissions', 'uploads')),
	since      TEXT    NOT NULL,
	actor      TEXT    NOT NULL,                   -- a person, or the daemon
	breaker    INTEGER NOT NULL DEFAULT 0 CHECK (breaker IN (0, 1)), -- the daemon's own, with probes
	reason     TEXT    NOT NULL,
	probe_at   TEXT    NOT NULL DEFAULT '',        -- the next probe is not made before
	probes     INTEGER NOT NULL DEFAULT 0,         -- that were made
	probe      INTEGER REFERENCES job_submits (id),-- the last one
	resumed_at TEXT    NOT NULL DEFAULT ''         -- '' while it holds
) STRICT;
