-- Results beyond scores: pictures of what a finding rests on, and the way to archives. A row of
-- `delivery` is written in the transaction that makes its result the one that is shown, or its
-- explanation known, so that no power cut parts them.

-- What the first finding of a result rests on (LIME), or why that is not known.
CREATE TABLE explanation (
    inference_id INTEGER PRIMARY KEY REFERENCES inference(id) ON DELETE CASCADE,
    finding      TEXT NOT NULL,                    -- label
    info         TEXT,                             -- ExplanationInfo as JSON
    failed       TEXT NOT NULL DEFAULT ''
) STRICT;

-- The archives of the settings, by AE title. A result that was there before its archive was
-- configured is not sent.
CREATE TABLE destination (
    name         TEXT PRIMARY KEY,
    since_at     INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE delivery (
    id           INTEGER PRIMARY KEY,
    destination  TEXT NOT NULL,
    study_id     INTEGER NOT NULL REFERENCES study(id) ON DELETE CASCADE,
    inference_id INTEGER NOT NULL REFERENCES inference(id) ON DELETE CASCADE,
    kind         TEXT NOT NULL DEFAULT 'report' CHECK (kind IN ('report', 'picture')),
    -- waiting → sending → sent; back to waiting when nothing is known or it is tried again.
    -- withdrawn: another result is shown by now, or its model is killed, or the archive is gone
    -- from the settings. dead: refused too often; a person may send it again.
    state        TEXT NOT NULL DEFAULT 'waiting'
                 CHECK (state IN ('waiting', 'sending', 'sent', 'withdrawn', 'dead')),
    attempts     INTEGER NOT NULL DEFAULT 0,       -- answered with a refusal
    next_at      INTEGER NOT NULL DEFAULT 0,       -- not before
    last_error   TEXT NOT NULL DEFAULT '',
    at           INTEGER NOT NULL,                 -- of the latest change of state
    UNIQUE (destination, inference_id, kind)
) STRICT;
CREATE INDEX delivery_queue ON delivery(destination, state, inference_id);
CREATE INDEX delivery_study ON delivery(study_id);

-- Prior studies of a patient.
CREATE INDEX study_patient ON study(patient_id) WHERE patient_id <> '';
