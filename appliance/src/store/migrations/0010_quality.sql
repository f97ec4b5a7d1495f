-- What is needed to see that a scanner, the scores, the results or the readers change
-- (ops/docs/MONITORING.md). Nothing here names a patient.

-- From the first image that has it: Device Serial Number, and Software Versions with \ between them.
ALTER TABLE study ADD COLUMN device_serial TEXT NOT NULL DEFAULT '';
ALTER TABLE study ADD COLUMN software TEXT NOT NULL DEFAULT '';

CREATE TABLE scanner (
    id           INTEGER PRIMARY KEY,
    key          TEXT NOT NULL UNIQUE,             -- serial number, else station, else model
    name         TEXT NOT NULL                     -- for people: station, else model
) STRICT;

-- One row for each study and the model that assisted when it was due; a later result of the same
-- model takes the place of an earlier one.
CREATE TABLE monitored (
    id           INTEGER PRIMARY KEY,              -- order of first results
    study_id     INTEGER NOT NULL REFERENCES study(id) ON DELETE CASCADE,
    model_digest TEXT NOT NULL,
    scanner_id   INTEGER NOT NULL REFERENCES scanner(id),
    inference_id INTEGER NOT NULL REFERENCES inference(id) ON DELETE CASCADE,
    analysed     INTEGER NOT NULL,
    at           INTEGER NOT NULL,                 -- of the first result
    software     TEXT NOT NULL,
    measured     TEXT,                             -- quality::Measured as JSON; NULL: nothing was read
    UNIQUE (study_id, model_digest)
) STRICT;
CREATE INDEX monitored_scanner ON monitored(model_digest, scanner_id, id);

-- Names of a model's outputs in the order of the scores in `measured`, as JSON.
CREATE TABLE monitored_model (
    digest       TEXT PRIMARY KEY,
    outputs      TEXT NOT NULL
) STRICT, WITHOUT ROWID;

-- Behind which study the reference of a scanner begins; the latest row counts, without one it is
-- the first study of all.
CREATE TABLE baseline (
    id           INTEGER PRIMARY KEY,
    model_digest TEXT NOT NULL,
    scanner_id   INTEGER NOT NULL REFERENCES scanner(id),
    after_id     INTEGER NOT NULL,                 -- of `monitored`
    reason       TEXT NOT NULL,
    actor        TEXT NOT NULL,
    at           INTEGER NOT NULL
) STRICT;
CREATE INDEX baseline_latest ON baseline(model_digest, scanner_id, id);

-- The latest look at a scanner.
CREATE TABLE quality_look (
    model_digest TEXT NOT NULL,
    scanner_id   INTEGER NOT NULL REFERENCES scanner(id),
    upto         INTEGER NOT NULL,                 -- latest row of `monitored` then
    at           INTEGER NOT NULL,
    found        TEXT NOT NULL,                    -- quality::Found as JSON
    PRIMARY KEY (model_digest, scanner_id)
) STRICT, WITHOUT ROWID;

CREATE TABLE quality_alarm (
    id           INTEGER PRIMARY KEY,
    model_digest TEXT NOT NULL,
    scanner_id   INTEGER NOT NULL REFERENCES scanner(id),
    kind         TEXT NOT NULL CHECK (kind IN ('input', 'scores', 'no_result', 'override')),
    evidence     TEXT NOT NULL,                    -- quality::Evidence as JSON, when it was opened
    opened_at    INTEGER NOT NULL,
    seen_at      INTEGER NOT NULL,                 -- latest look that found it
    seen_row     INTEGER NOT NULL,                 -- latest row of `monitored` then
    acknowledged_at INTEGER,
    acknowledged_by TEXT NOT NULL DEFAULT '',
    reason       TEXT NOT NULL DEFAULT '',
    restart_row  INTEGER NOT NULL DEFAULT 0,       -- charts begin anew behind this study
    closed_at    INTEGER,
    closed_how   TEXT CHECK (closed_how IN ('passed', 'baseline', 'model'))
) STRICT;
CREATE UNIQUE INDEX quality_alarm_open ON quality_alarm(model_digest, scanner_id, kind)
    WHERE closed_at IS NULL;
CREATE INDEX quality_alarm_closed ON quality_alarm(closed_at) WHERE closed_at IS NOT NULL;
