-- What each destination is sent, the third kind of object, and whether an archive has committed to
-- what it took: SQLite cannot change a CHECK, so the table is made again.

ALTER TABLE destination ADD COLUMN kinds TEXT NOT NULL DEFAULT '[]'; -- names of kinds as JSON

CREATE TABLE delivery_of_kinds (
    id           INTEGER PRIMARY KEY,
    destination  TEXT NOT NULL,
    study_id     INTEGER NOT NULL REFERENCES study(id) ON DELETE CASCADE,
    inference_id INTEGER NOT NULL REFERENCES inference(id) ON DELETE CASCADE,
    kind         TEXT NOT NULL CHECK (kind IN ('report', 'picture', 'segmentation')),
    -- waiting → sending → sent; back to waiting when nothing is known or it is tried again.
    -- withdrawn: another result is shown by now, or its model is killed, or the settings no longer
    -- want it sent there. dead: refused too often; a person may send it again.
    state        TEXT NOT NULL DEFAULT 'waiting'
                 CHECK (state IN ('waiting', 'sending', 'sent', 'withdrawn', 'dead')),
    attempts     INTEGER NOT NULL DEFAULT 0,       -- answered with a refusal
    next_at      INTEGER NOT NULL DEFAULT 0,       -- not before
    last_error   TEXT NOT NULL DEFAULT '',
    at           INTEGER NOT NULL,                 -- of the latest change of state
    -- Storage commitment of what was sent; the object's UID and the question's, '' for none.
    sop_uid      TEXT NOT NULL DEFAULT '',
    transaction_uid TEXT NOT NULL DEFAULT '',
    asked_at     INTEGER,
    committed_at INTEGER,
    UNIQUE (destination, inference_id, kind)
) STRICT;
INSERT INTO delivery_of_kinds (id, destination, study_id, inference_id, kind, state, attempts,
                               next_at, last_error, at)
    SELECT id, destination, study_id, inference_id, kind, state, attempts, next_at, last_error, at
    FROM delivery;
DROP TABLE delivery;
ALTER TABLE delivery_of_kinds RENAME TO delivery;
CREATE INDEX delivery_queue ON delivery(destination, state, inference_id);
CREATE INDEX delivery_study ON delivery(study_id);
CREATE INDEX delivery_transaction ON delivery(transaction_uid) WHERE transaction_uid <> '';
