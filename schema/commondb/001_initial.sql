-- The common database, in the SQL of all database systems.
--
-- Words in braces stand for what each system has a word of its own for; a
-- dialect in internal/commondb says which. A statement ends with a semicolon at
-- the end of its line, and no other line ends with one.
--
--   {key}      an integer primary key, which the database gives
--   {integer}  64 bits; also for a column that refers to a key
--   {real}     64 bits, IEEE
--   {name}     text that can be UNIQUE, of up to 512 characters
--   {text}     text of any length, compared byte by byte
--   {blob}     the bytes of a file
--   {time}     UTC, with at least milliseconds
--   {now}      the present time
--   {table}    what goes after the columns
--
-- Every table has an integer primary key. Rows that belong to another row carry
-- its key in a column with a foreign key; rows that are shared are found by
-- their UNIQUE columns. The uploader learns all of this from the database, so
-- further tables that follow these two rules can be added beside these.

-- The versions of all software that made some results.
CREATE TABLE versions (
    id             {key},
    version_number {name} NOT NULL UNIQUE,
    created_at     {time} NOT NULL DEFAULT {now}
) {table};

-- One row for each upload. Its name, submit, makes an upload idempotent; work is
-- the same for every submit of the same work, so that it is uploaded once even
-- when the job-tracker has forgotten that it was.
CREATE TABLE uploads (
    id          {key},
    submit      {name} NOT NULL UNIQUE CHECK (submit <> ''),
    work        {name} UNIQUE CHECK (work <> ''),
    job         {text} NOT NULL,
    stage       {text} NOT NULL,
    institution {text} NOT NULL,
    pipeline    {text} NOT NULL,
    survey      {text} NOT NULL,
    version_id  {integer},
    digest      {text} NOT NULL CHECK (length(digest) = 64), -- SHA-256 of all records and blobs, hex
    records     {integer} NOT NULL,                          -- rows, without shared ones
    bytes       {integer} NOT NULL,                          -- of all blobs
    created_at  {time} NOT NULL,
    FOREIGN KEY (version_id) REFERENCES versions (id)
) {table};
CREATE INDEX uploads_version ON uploads (version_id);

-- One pointing of the telescope; shared by the headers of its beams.
CREATE TABLE observations (
    id            {key},
    obs_name      {name} NOT NULL UNIQUE CHECK (obs_name <> ''),
    project_id    {text},
    source_name   {text},
    timestamp_mjd {real},  -- start, UTC
    scan_num      {text},
    created_at    {time} NOT NULL DEFAULT {now}
) {table};

-- What the header of one beam's data says.
CREATE TABLE headers (
    id                      {key},
    upload_id               {integer} NOT NULL,
    observation_id          {integer} NOT NULL,
    beam_id                 {integer},
    original_file           {text} NOT NULL,
    sample_time             {real} CHECK (sample_time > 0), -- us
    observation_time        {real},                         -- s
    num_samples             {integer},
    num_samples_per_record  {integer},
    center_freq             {real},                         -- MHz
    channel_bandwidth       {real},                         -- kHz
    num_channels_per_record {integer} CHECK (num_channels_per_record > 0),
    num_ifs                 {integer},
    sum_id                  {integer},                      -- 1: polarisations are summed
    orig_right_ascension    {real},                         -- hhmmss.ssss, as the header has it
    orig_declination        {real},                         -- ddmmss.ssss
    orig_ra_deg             {real},                         -- degrees
    orig_dec_deg            {real} CHECK (orig_dec_deg BETWEEN -90 AND 90),
    orig_galactic_longitude {real},                         -- degrees
    orig_galactic_latitude  {real},
    right_ascension         {real},                         -- the same, corrected
    declination             {real},
    ra_deg                  {real},
    dec_deg                 {real} CHECK (dec_deg BETWEEN -90 AND 90),
    galactic_longitude      {real},
    galactic_latitude       {real},
    orig_start_az           {real},                         -- degrees
    orig_start_za           {real},
    start_ast               {real},                         -- s after midnight, Atlantic standard time
    start_lst               {real},                         -- s, local sidereal time
    observers               {text},
    obstype                 {text},
    file_size               {integer},                      -- bytes
    data_size               {integer},                      -- bytes
    FOREIGN KEY (upload_id) REFERENCES uploads (id),
    FOREIGN KEY (observation_id) REFERENCES observations (id)
) {table};
CREATE INDEX headers_upload ON headers (upload_id);
CREATE INDEX headers_observation ON headers (observation_id);

-- What a diagnostic means.
CREATE TABLE diagnostic_types (
    id          {key},
    name        {name} NOT NULL UNIQUE CHECK (name <> ''),
    description {text},
    kind        {name} NOT NULL CHECK (kind IN ('numeric', 'binary'))
) {table};

-- Numeric diagnostics of a beam.
CREATE TABLE diagnostics (
    id        {key},
    header_id {integer} NOT NULL,
    type_id   {integer} NOT NULL,
    value     {real} NOT NULL,
    FOREIGN KEY (header_id) REFERENCES headers (id),
    FOREIGN KEY (type_id) REFERENCES diagnostic_types (id)
) {table};
CREATE INDEX diagnostics_header ON diagnostics (header_id);
CREATE INDEX diagnostics_type ON diagnostics (type_id);

-- Binary diagnostics of a beam: plots, lists, settings.
CREATE TABLE diagnostic_plots (
    id        {key},
    header_id {integer} NOT NULL,
    type_id   {integer} NOT NULL,
    filename  {text} NOT NULL,
    filedata  {blob} NOT NULL,
    FOREIGN KEY (header_id) REFERENCES headers (id),
    FOREIGN KEY (type_id) REFERENCES diagnostic_types (id)
) {table};
CREATE INDEX diagnostic_plots_header ON diagnostic_plots (header_id);
CREATE INDEX diagnostic_plots_type ON diagnostic_plots (type_id);

-- Periodicity candidates of a beam that were folded.
CREATE TABLE pdm_candidates (
    id               {key},
    header_id        {integer} NOT NULL,
    cand_num         {integer} NOT NULL, -- 1 is the most significant
    frequency        {real} NOT NULL,    -- Hz, at the telescope
    bary_frequency   {real},             -- Hz, at the barycentre
    period           {real} NOT NULL,    -- s
    bary_period      {real},
    f_dot            {real},             -- Hz/s
    bary_f_dot       {real},
    dm               {real} NOT NULL,    -- pc/cm^3, of the fold
    snr              {real},
    coherent_power   {real},
    incoherent_power {real},
    num_hits         {integer},          -- DMs at which it was found
    num_harmonics    {integer},
    presto_sigma     {real} NOT NULL,
    FOREIGN KEY (header_id) REFERENCES headers (id)
) {table};
CREATE INDEX pdm_candidates_header ON pdm_candidates (header_id);
CREATE INDEX pdm_candidates_sigma ON pdm_candidates (presto_sigma);

-- What a file of a candidate is.
CREATE TABLE pdm_plot_types (
    id   {key},
    name {name} NOT NULL UNIQUE CHECK (name <> '')
) {table};

-- The files of a candidate: its plot, and what it was made of.
CREATE TABLE pdm_candidate_plots (
    id               {key},
    pdm_candidate_id {integer} NOT NULL,
    type_id          {integer} NOT NULL,
    filename         {text} NOT NULL,
    filedata         {blob} NOT NULL,
    FOREIGN KEY (pdm_candidate_id) REFERENCES pdm_candidates (id),
    FOREIGN KEY (type_id) REFERENCES pdm_plot_types (id)
) {table};
CREATE INDEX pdm_candidate_plots_candidate ON pdm_candidate_plots (pdm_candidate_id);
CREATE INDEX pdm_candidate_plots_type ON pdm_candidate_plots (type_id);

-- What a plot of single pulses shows.
CREATE TABLE sp_plot_types (
    id   {key},
    name {name} NOT NULL UNIQUE CHECK (name <> '')
) {table};

-- Plots of the single pulses of a beam.
CREATE TABLE sp_plots (
    id        {key},
    header_id {integer} NOT NULL,
    type_id   {integer} NOT NULL,
    filename  {text} NOT NULL,
    filedata  {blob} NOT NULL,
    FOREIGN KEY (header_id) REFERENCES headers (id),
    FOREIGN KEY (type_id) REFERENCES sp_plot_types (id)
) {table};
CREATE INDEX sp_plots_header ON sp_plots (header_id);
CREATE INDEX sp_plots_type ON sp_plots (type_id);

-- What a file of single pulses holds.
CREATE TABLE sp_file_types (
    id   {key},
    name {name} NOT NULL UNIQUE CHECK (name <> '')
) {table};

-- The single pulses of a beam, and the time series that they were found in.
CREATE TABLE sp_files (
    id        {key},
    header_id {integer} NOT NULL,
    type_id   {integer} NOT NULL,
    filename  {text} NOT NULL,
    filedata  {blob} NOT NULL,
    FOREIGN KEY (header_id) REFERENCES headers (id),
    FOREIGN KEY (type_id) REFERENCES sp_file_types (id)
) {table};
CREATE INDEX sp_files_header ON sp_files (header_id);
CREATE INDEX sp_files_type ON sp_files (type_id);
