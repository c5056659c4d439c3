-- The common database on SQLite.
--
-- Every table has an integer primary key. Rows that belong to another row carry
-- its key in a column with a foreign key; rows that are shared are found by
-- their UNIQUE columns. The uploader learns all of this from the schema, so
-- further tables that follow these two rules can be added beside these.
-- Times are UTC, as 2006-01-02T15:04:05.000Z.

PRAGMA application_id = 0x4c486364; -- "LHcd"

-- The versions of all software that made some results.
CREATE TABLE versions (
    id             INTEGER PRIMARY KEY,
    version_number TEXT    NOT NULL UNIQUE,
    created_at     TEXT    NOT NULL DEFAULT (strftime('%Y-%m-%dT%H:%M:%fZ', 'now'))
) STRICT;

-- One row for each upload. Its name, submit, makes an upload idempotent; work is
-- the same for every submit of the same work, so that it is uploaded once even
-- when the job-tracker has forgotten that it was.
CREATE TABLE uploads (
    id          INTEGER PRIMARY KEY,
    submit      TEXT    NOT NULL UNIQUE CHECK (submit <> ''),
    work        TEXT    UNIQUE CHECK (work <> ''),
    job         TEXT    NOT NULL,
    stage       TEXT    NOT NULL,
    institution TEXT    NOT NULL,
    pipeline    TEXT    NOT NULL,
    survey      TEXT    NOT NULL,
    version_id  INTEGER REFERENCES versions (id),
    digest      TEXT    NOT NULL CHECK (length(digest) = 64), -- SHA-256 of all records and blobs, hex
    records     INTEGER NOT NULL,                             -- rows, without shared ones
    bytes       INTEGER NOT NULL,                             -- of all blobs
    created_at  TEXT    NOT NULL
) STRICT;
CREATE INDEX uploads_version ON uploads (version_id);

-- One pointing of the telescope; shared by the headers of its beams.
CREATE TABLE observations (
    id            INTEGER PRIMARY KEY,
    obs_name      TEXT    NOT NULL UNIQUE CHECK (obs_name <> ''),
    project_id    TEXT,
    source_name   TEXT,
    timestamp_mjd REAL,  -- start, UTC
    scan_num      TEXT,
    created_at    TEXT    NOT NULL DEFAULT (strftime('%Y-%m-%dT%H:%M:%fZ', 'now'))
) STRICT;

-- What the header of one beam's data says.
CREATE TABLE headers (
    id                      INTEGER PRIMARY KEY,
    upload_id               INTEGER NOT NULL REFERENCES uploads (id),
    observation_id          INTEGER NOT NULL REFERENCES observations (id),
    beam_id                 INTEGER,
    original_file           TEXT    NOT NULL,
    sample_time             REAL CHECK (sample_time > 0), -- us
    observation_time        REAL,                         -- s
    num_samples             INTEGER,
    num_samples_per_record  INTEGER,
    center_freq             REAL,                         -- MHz
    channel_bandwidth       REAL,                         -- kHz
    num_channels_per_record INTEGER CHECK (num_channels_per_record > 0),
    num_ifs                 INTEGER,
    sum_id                  INTEGER,                      -- 1: polarisations are summed
    orig_right_ascension    REAL,                         -- hhmmss.ssss, as the header has it
    orig_declination        REAL,                         -- ddmmss.ssss
    orig_ra_deg             REAL,                         -- degrees
    orig_dec_deg            REAL CHECK (orig_dec_deg BETWEEN -90 AND 90),
    orig_galactic_longitude REAL,                         -- degrees
    orig_galactic_latitude  REAL,
    right_ascension         REAL,                         -- the same, corrected
    declination             REAL,
    ra_deg                  REAL,
    dec_deg                 REAL CHECK (dec_deg BETWEEN -90 AND 90),
    galactic_longitude      REAL,
    galactic_latitude       REAL,
    orig_start_az           REAL,                         -- degrees
    orig_start_za           REAL,
    start_ast               REAL,                         -- s after midnight, Atlantic standard time
    start_lst               REAL,                         -- s, local sidereal time
    observers               TEXT,
    obstype                 TEXT,
    file_size               INTEGER,                      -- bytes
    data_size               INTEGER                       -- bytes
) STRICT;
CREATE INDEX headers_upload ON headers (upload_id);
CREATE INDEX headers_observation ON headers (observation_id);

-- What a diagnostic means.
CREATE TABLE diagnostic_types (
    id          INTEGER PRIMARY KEY,
    name        TEXT NOT NULL UNIQUE CHECK (name <> ''),
    description TEXT,
    kind        TEXT NOT NULL CHECK (kind IN ('numeric', 'binary'))
) STRICT;

-- Numeric diagnostics of a beam.
CREATE TABLE diagnostics (
    id        INTEGER PRIMARY KEY,
    header_id INTEGER NOT NULL REFERENCES headers (id),
    type_id   INTEGER NOT NULL REFERENCES diagnostic_types (id),
    value     REAL    NOT NULL
) STRICT;
CREATE INDEX diagnostics_header ON diagnostics (header_id);
CREATE INDEX diagnostics_type ON diagnostics (type_id);

-- Binary diagnostics of a beam: plots, lists, settings.
CREATE TABLE diagnostic_plots (
    id        INTEGER PRIMARY KEY,
    header_id INTEGER NOT NULL REFERENCES headers (id),
    type_id   INTEGER NOT NULL REFERENCES diagnostic_types (id),
    filename  TEXT    NOT NULL,
    filedata  BLOB    NOT NULL
) STRICT;
CREATE INDEX diagnostic_plots_header ON diagnostic_plots (header_id);
CREATE INDEX diagnostic_plots_type ON diagnostic_plots (type_id);
