-- Prior studies that an archive elsewhere has, asked for once when a study is complete.

-- When the archive answered; and when it refused, not before when it is asked again.
ALTER TABLE study ADD COLUMN priors_asked_at INTEGER;
ALTER TABLE study ADD COLUMN priors_next_at INTEGER NOT NULL DEFAULT 0;

-- Who is still to be asked about, without walking past all that were.
CREATE INDEX study_priors ON study(complete_at) WHERE priors_asked_at IS NULL;

CREATE TABLE prior_elsewhere (
    study_id     INTEGER NOT NULL REFERENCES study(id) ON DELETE CASCADE,
    uid          TEXT NOT NULL,                    -- Study Instance UID of the prior study
    study_date   TEXT NOT NULL,                    -- as in DICOM
    study_time   TEXT NOT NULL,
    description  TEXT NOT NULL,
    accession    TEXT NOT NULL,
    modalities   TEXT NOT NULL,                    -- as in DICOM, with \ between them
    archive      TEXT NOT NULL,                    -- AE title of who has it
    PRIMARY KEY (study_id, uid)
) STRICT, WITHOUT ROWID;
