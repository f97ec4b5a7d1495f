-- The appliance's whole state. Times `*_at` are milliseconds of the box's own clock (clock.rs):
-- since 1970, never running backwards, whatever the wall clock does. Ids grow with arrival, so
-- that order never depends on a clock.

-- One row per name: `epoch` (random, born with this file), `box_time_at`, `quick_check` ...
CREATE TABLE property (
    name  TEXT PRIMARY KEY,
    value TEXT NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE study (
    id             INTEGER PRIMARY KEY,
    uid            TEXT NOT NULL UNIQUE,           -- Study Instance UID
    -- What people recognise a study by, from the first instance that has it.
    patient_id     TEXT NOT NULL DEFAULT '',
    patient_name   TEXT NOT NULL DEFAULT '',
    birth_date     TEXT NOT NULL DEFAULT '',       -- as in DICOM: YYYYMMDD
    sex            TEXT NOT NULL DEFAULT '',
    age            TEXT NOT NULL DEFAULT '',       -- as in DICOM: nnnY, nnnM ...
    accession      TEXT NOT NULL DEFAULT '',
    study_date     TEXT NOT NULL DEFAULT '',
    study_time     TEXT NOT NULL DEFAULT '',
    description    TEXT NOT NULL DEFAULT '',
    referring_physician TEXT NOT NULL DEFAULT '',
    institution    TEXT NOT NULL DEFAULT '',
    station        TEXT NOT NULL DEFAULT '',
    manufacturer   TEXT NOT NULL DEFAULT '',
    field_strength_t REAL,
    body_part      TEXT NOT NULL DEFAULT '',
    -- Clinical context: from the scanner (Reason for the Requested Procedure, Admitting
    -- Diagnoses), and what a reader typed, which wins.
    reason         TEXT NOT NULL DEFAULT '',
    admitting      TEXT NOT NULL DEFAULT '',
    typed_context  TEXT,
    expected_instances INTEGER,                    -- Number of Study Related Instances
    -- Assembly.
    state          TEXT NOT NULL DEFAULT 'receiving'
                   CHECK (state IN ('receiving', 'waiting', 'triaging', 'settled')),
    generation     INTEGER NOT NULL DEFAULT 0,     -- rises each time the study becomes complete
    partial        INTEGER NOT NULL DEFAULT 0,     -- the latest generation lacks announced images
    first_at       INTEGER NOT NULL,               -- first instance arrived
    last_at        INTEGER NOT NULL,               -- last instance arrived
    released_at    INTEGER,                        -- last orderly release after the last instance
    complete_at    INTEGER,                        -- the latest generation was complete
    -- Worklist. `queue` and `acuity` follow from the shown result and the readers' decisions.
    queue          TEXT NOT NULL DEFAULT 'review'
                   CHECK (queue IN ('urgent', 'review', 'not_analysed', 'done')),
    acuity         TEXT CHECK (acuity IN ('none', 'low', 'medium', 'high')),
    shown_inference INTEGER REFERENCES inference(id),
    done_at        INTEGER,
    -- Retention.
    evicted_at     INTEGER                         -- images deleted, results kept
) STRICT;
CREATE INDEX study_open ON study(state) WHERE state <> 'settled';
CREATE INDEX study_queue ON study(queue, acuity, first_at, done_at);
CREATE INDEX study_first ON study(first_at);

CREATE TABLE series (
    id           INTEGER PRIMARY KEY,
    study_id     INTEGER NOT NULL REFERENCES study(id) ON DELETE CASCADE,
    uid          TEXT NOT NULL,
    number       INTEGER,
    description  TEXT NOT NULL DEFAULT '',
    modality     TEXT NOT NULL DEFAULT '',
    expected_instances INTEGER,                    -- Number of Series Related Instances
    UNIQUE (study_id, uid)
) STRICT;

CREATE TABLE instance (
    id           INTEGER PRIMARY KEY,
    study_id     INTEGER NOT NULL REFERENCES study(id) ON DELETE CASCADE,
    series_id    INTEGER NOT NULL REFERENCES series(id) ON DELETE CASCADE,
    sop_uid      TEXT NOT NULL UNIQUE,
    sop_class    TEXT NOT NULL,
    transfer_syntax TEXT NOT NULL,
    sha256       BLOB NOT NULL,                    -- of the data set's bytes as sent
    bytes        INTEGER NOT NULL,                 -- of the data set
    path         TEXT NOT NULL,                    -- below the archive's folder
    source       TEXT NOT NULL,                    -- 'scp SCANNER1', 'import', 'rebuild'
    received_at  INTEGER NOT NULL
) STRICT;
CREATE INDEX instance_study ON instance(study_id);
CREATE INDEX instance_series ON instance(series_id);

-- Kept aside: another content under a known UID, files that cannot be indexed.
CREATE TABLE quarantine (
    id           INTEGER PRIMARY KEY,
    kind         TEXT NOT NULL CHECK (kind IN ('conflict', 'unreadable')),
    study_uid    TEXT NOT NULL DEFAULT '',
    sop_uid      TEXT NOT NULL DEFAULT '',
    sha256       BLOB NOT NULL,
    bytes        INTEGER NOT NULL,
    path         TEXT NOT NULL,
    reason       TEXT NOT NULL,
    source       TEXT NOT NULL,
    at           INTEGER NOT NULL,
    resolved_at  INTEGER,
    UNIQUE (sop_uid, sha256)
) STRICT;

-- Models installed, and which of them is what. At most one assists. A killed model keeps its mode
-- and is not used, nor is anything it said shown, until it is revived.
CREATE TABLE model (
    id           INTEGER PRIMARY KEY,
    digest       TEXT NOT NULL UNIQUE,             -- SHA-256 of manifest.toml, hexadecimal
    name         TEXT NOT NULL,
    folder       TEXT NOT NULL,                    -- below the data folder
    mode         TEXT NOT NULL DEFAULT 'off' CHECK (mode IN ('off', 'shadow', 'assist')),
    installed_at INTEGER NOT NULL,
    promoted_at  INTEGER,                          -- latest time it began to assist
    killed_at    INTEGER,                          -- the kill switch is on since
    context_encoder TEXT NOT NULL DEFAULT '',      -- '' when it reads no clinical context
    self_test    TEXT,                             -- JSON of the latest golden-study self-test
    provenance   TEXT NOT NULL DEFAULT ''
) STRICT;
CREATE UNIQUE INDEX model_assist ON model(mode) WHERE mode = 'assist';

-- One run of one model over one generation of a study with one clinical context. The UNIQUE
-- makes a second identical run impossible, whenever the power fails.
CREATE TABLE inference (
    id           INTEGER PRIMARY KEY,
    study_id     INTEGER NOT NULL REFERENCES study(id) ON DELETE CASCADE,
    generation   INTEGER NOT NULL,
    model_digest TEXT NOT NULL,                    -- '' when no model was asked
    context      TEXT NOT NULL DEFAULT '',         -- the clinical context it read, '' for none
    mode         TEXT NOT NULL CHECK (mode IN ('assist', 'shadow')),
    outcome      TEXT NOT NULL CHECK (outcome IN ('analysed', 'not_analysed')),
    reason       TEXT NOT NULL DEFAULT '',         -- why not analysed
    acuity       TEXT CHECK (acuity IN ('none', 'low', 'medium', 'high')),
    partial      INTEGER NOT NULL,
    device       TEXT NOT NULL DEFAULT '',
    seconds      REAL NOT NULL DEFAULT 0,
    finished_at  INTEGER NOT NULL,
    result       TEXT,                             -- TriageResult as JSON
    assessment   TEXT,                             -- triage::Assessment as JSON
    UNIQUE (study_id, generation, model_digest, context)
) STRICT;
CREATE INDEX inference_finished ON inference(finished_at);

-- Deaths of the worker over one job; a job is given up at the limit.
CREATE TABLE attempt (
    study_id     INTEGER NOT NULL REFERENCES study(id) ON DELETE CASCADE,
    generation   INTEGER NOT NULL,
    model_digest TEXT NOT NULL,
    deaths       INTEGER NOT NULL DEFAULT 0,
    last_error   TEXT NOT NULL DEFAULT '',
    PRIMARY KEY (study_id, generation, model_digest)
) STRICT, WITHOUT ROWID;

-- What readers decided. Nothing is deleted: undoing adds a time.
CREATE TABLE decision (
    id           INTEGER PRIMARY KEY,
    study_id     INTEGER NOT NULL REFERENCES study(id) ON DELETE CASCADE,
    inference_id INTEGER REFERENCES inference(id),
    kind         TEXT NOT NULL
                 CHECK (kind IN ('agree', 'disagree', 'reprioritise', 'done', 'reopen')),
    finding      TEXT NOT NULL DEFAULT '',         -- label agreed or disagreed with
    value        TEXT NOT NULL DEFAULT '',         -- acuity for reprioritise
    reason       TEXT NOT NULL DEFAULT '',
    actor        TEXT NOT NULL,
    at           INTEGER NOT NULL,
    undone_at    INTEGER,
    undone_by    TEXT
) STRICT;
CREATE INDEX decision_study ON decision(study_id);
CREATE INDEX decision_finding ON decision(finding) WHERE finding <> '';

-- Storage commitments asked of us (PS3.4 J).
CREATE TABLE commitment (
    id           INTEGER PRIMARY KEY,
    transaction_uid TEXT NOT NULL,
    requester    TEXT NOT NULL,                    -- AE title of the requester
    peer         TEXT NOT NULL,                    -- its address
    called       TEXT NOT NULL,                    -- our AE title it used
    request      TEXT NOT NULL,                    -- JSON: [[class, instance], ...]
    at           INTEGER NOT NULL,
    state        TEXT NOT NULL DEFAULT 'pending' CHECK (state IN ('pending', 'sent', 'dead')),
    attempts     INTEGER NOT NULL DEFAULT 0,
    next_at      INTEGER NOT NULL,
    last_error   TEXT NOT NULL DEFAULT '',
    UNIQUE (requester, transaction_uid)
) STRICT;
CREATE INDEX commitment_due ON commitment(next_at) WHERE state = 'pending';

-- What happened, in words, for the system page: refused associations, rejected objects, devices
-- that failed. The latest few thousand are kept.
CREATE TABLE event (
    id           INTEGER PRIMARY KEY,
    at           INTEGER NOT NULL,
    level        TEXT NOT NULL CHECK (level IN ('info', 'warning', 'error')),
    area         TEXT NOT NULL,                    -- 'receive', 'store', 'model', 'disk' ...
    text         TEXT NOT NULL
) STRICT;

-- Hash chain: hash = SHA-256(prev || canonical row). Rows are never changed.
CREATE TABLE audit (
    seq          INTEGER PRIMARY KEY,
    at           INTEGER NOT NULL,
    wall_at      INTEGER NOT NULL,                 -- the wall clock, right or wrong
    actor        TEXT NOT NULL,
    action       TEXT NOT NULL,
    object       TEXT NOT NULL DEFAULT '',
    detail       TEXT NOT NULL DEFAULT '{}',
    prev         BLOB NOT NULL,
    hash         BLOB NOT NULL
) STRICT;
CREATE TRIGGER audit_no_update BEFORE UPDATE ON audit
BEGIN SELECT RAISE(ABORT, 'the audit log is never changed'); END;
CREATE TRIGGER audit_no_delete BEFORE DELETE ON audit
BEGIN SELECT RAISE(ABORT, 'the audit log is never changed'); END;
