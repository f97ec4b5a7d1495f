-- What goes to the hub of a referral hospital, and what comes back (crate `exchange`). Rows of
-- `outbox` are written in the transaction of the result or the decision that causes them.

-- One row once a hub was configured. It stays when the hub goes from the settings, so that its
-- pseudonyms are the same when it comes back.
CREATE TABLE hub_profile (
    id           INTEGER PRIMARY KEY CHECK (id = 1),
    active       INTEGER NOT NULL,
    identity     TEXT NOT NULL CHECK (identity IN ('full', 'pseudonym')),
    series       TEXT NOT NULL CHECK (series IN ('none', 'referred')),
    salt         TEXT NOT NULL,                    -- of pseudonyms; never leaves the box
    since_at     INTEGER NOT NULL,                 -- results from before are not sent
    cursor       INTEGER NOT NULL DEFAULT 0        -- of the last command that was carried out
) STRICT;

CREATE TABLE outbox (
    seq          INTEGER PRIMARY KEY AUTOINCREMENT, -- no number is given twice
    kind         TEXT NOT NULL CHECK (kind IN
                   ('flag', 'objects', 'series', 'telemetry', 'outcome', 'audit_head')),
    priority     INTEGER NOT NULL CHECK (priority BETWEEN 0 AND 3),
    study_id     INTEGER REFERENCES study(id) ON DELETE CASCADE, -- NULL: of no study
    study        TEXT NOT NULL DEFAULT '',         -- as sent: UID, pseudonym, or nothing
    inference_id INTEGER REFERENCES inference(id) ON DELETE CASCADE, -- of flags and objects
    part         TEXT NOT NULL DEFAULT '',         -- kind of object, or Series Instance UID
    images       INTEGER NOT NULL DEFAULT 0,       -- of a series, as many as the row knows
    -- Objects and series are sealed before their first sending: until then `sha256` is empty, and
    -- the row may be withdrawn. `epoch` is that of the database in which it was sealed.
    epoch        TEXT NOT NULL DEFAULT '',
    sha256       TEXT NOT NULL DEFAULT '',
    -- pending → in_flight → acknowledged; back to pending when nothing is known; retry: not before
    -- next_at; dead: a person may send it again. Nothing expires.
    state        TEXT NOT NULL DEFAULT 'pending'
                 CHECK (state IN ('pending', 'in_flight', 'acknowledged', 'retry', 'dead')),
    attempts     INTEGER NOT NULL DEFAULT 0,
    next_at      INTEGER NOT NULL DEFAULT 0,
    last_error   TEXT NOT NULL DEFAULT '',         -- in our words
    said         TEXT NOT NULL DEFAULT '',         -- the hub's, which may quote the patient
    created_at   INTEGER NOT NULL,
    at           INTEGER NOT NULL,                 -- of the latest change of state
    -- The last column, because it is long; emptied when objects and series are there.
    body         TEXT NOT NULL DEFAULT ''
) STRICT;
-- What is to be sent, without walking past all that was.
CREATE INDEX outbox_open ON outbox(priority, seq) WHERE state IN ('pending', 'in_flight', 'retry');
CREATE INDEX outbox_before ON outbox(study_id, priority, seq) WHERE state <> 'acknowledged';
CREATE INDEX outbox_dead ON outbox(seq) WHERE state = 'dead';
CREATE INDEX outbox_study ON outbox(study_id, kind, seq);
CREATE INDEX outbox_name ON outbox(study) WHERE kind = 'flag';
CREATE INDEX outbox_kind ON outbox(kind, seq) WHERE study_id IS NULL;
CREATE UNIQUE INDEX outbox_object ON outbox(inference_id, part) WHERE kind = 'objects';

-- Files that a row names and that go before it.
CREATE TABLE outbox_blob (
    seq          INTEGER NOT NULL REFERENCES outbox(seq) ON DELETE CASCADE,
    number       INTEGER NOT NULL,                 -- in the row
    sha256       TEXT NOT NULL,                    -- of the file, hexadecimal
    bytes        INTEGER NOT NULL,
    path         TEXT NOT NULL,                    -- below the folder of results or the archive's
    place        TEXT,                             -- where the hub keeps it
    arrived      INTEGER NOT NULL DEFAULT 0,
    PRIMARY KEY (seq, number)
) STRICT, WITHOUT ROWID;

-- What the hospital says to a flag; the latest holds.
CREATE TABLE referral_answer (
    id           INTEGER PRIMARY KEY,
    study_id     INTEGER NOT NULL REFERENCES study(id) ON DELETE CASCADE,
    status       TEXT NOT NULL CHECK (status IN ('received', 'accepted', 'declined', 'completed')),
    answered_by  TEXT NOT NULL,
    note         TEXT NOT NULL,
    actions      TEXT NOT NULL,                    -- JSON: a list of texts
    hub_at       INTEGER NOT NULL,                 -- by the hub's clock
    at           INTEGER NOT NULL
) STRICT;
CREATE INDEX answer_study ON referral_answer(study_id, id);

CREATE TRIGGER study_answered AFTER INSERT ON referral_answer
BEGIN
    INSERT INTO change (study_id) VALUES (NEW.study_id);
END;
CREATE TRIGGER study_at_hub AFTER UPDATE OF state ON outbox
WHEN NEW.study_id IS NOT NULL
     AND (NEW.kind = 'flag' AND NEW.state = 'acknowledged' OR 'dead' IN (OLD.state, NEW.state))
BEGIN
    INSERT INTO change (study_id) VALUES (NEW.study_id);
END;

-- Who threw the kill switch: the hub releases only what it threw itself.
ALTER TABLE model ADD COLUMN killed_by TEXT NOT NULL DEFAULT '';
