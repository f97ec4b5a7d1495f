-- Referrals as they stand, what was said about them, and what the boxes are told.

CREATE TABLE referral (
    id          TEXT NOT NULL PRIMARY KEY,       -- digest of site and study: stands in addresses
    site        TEXT NOT NULL,
    study       TEXT NOT NULL,
    epoch       TEXT NOT NULL,                   -- key of the flag that is in force
    seq         BIGINT NOT NULL,
    flag        TEXT NOT NULL,                   -- that flag as JSON
    asked       BIGINT NOT NULL,                 -- 0: taken back
    urgency     BIGINT NOT NULL,                 -- 0 routine, 1 soon, 2 urgent, 3 emergency
    sex         TEXT NOT NULL,                   -- of the quality report
    age_band    TEXT NOT NULL,
    status      TEXT NOT NULL,                   -- received, accepted, declined, completed
    assignee    TEXT NOT NULL,                   -- '' for nobody
    version     BIGINT NOT NULL,                 -- rises with every flag in force and every answer
    first_ms    BIGINT NOT NULL,                 -- when the first flag arrived
    asked_ms    BIGINT NOT NULL,                 -- since when an answer is waited for
    flag_ms     BIGINT NOT NULL,                 -- when the flag in force arrived
    answered_ms BIGINT                           -- when somebody first answered
);
CREATE INDEX referral_open ON referral (asked, status, urgency, asked_ms);

CREATE TABLE referral_service (
    referral TEXT NOT NULL,
    service  TEXT NOT NULL,
    PRIMARY KEY (referral, service)
);

CREATE TABLE referral_flag (                     -- every flag that arrived
    referral TEXT NOT NULL,
    epoch    TEXT NOT NULL,
    seq      BIGINT NOT NULL,
    flag     TEXT NOT NULL,
    at_ms    BIGINT NOT NULL,
    PRIMARY KEY (referral, epoch, seq)
);

CREATE TABLE referral_answer (                   -- every answer that was given
    referral TEXT NOT NULL,
    version  BIGINT NOT NULL,                    -- of the referral after it
    act      TEXT NOT NULL,
    status   TEXT NOT NULL,
    actor    TEXT NOT NULL,
    assignee TEXT NOT NULL,
    note     TEXT NOT NULL,
    actions  TEXT NOT NULL,                      -- JSON list of texts
    at_ms    BIGINT NOT NULL,
    command  BIGINT NOT NULL,                    -- number of the command that tells the box
    PRIMARY KEY (referral, version)
);

CREATE TABLE study_object (                      -- what belongs to a study, as manifests say
    site         TEXT NOT NULL,
    study        TEXT NOT NULL,
    sop_instance TEXT NOT NULL,
    kind         TEXT NOT NULL,                  -- objects, series
    series       TEXT NOT NULL,
    title        TEXT NOT NULL,
    place        BIGINT NOT NULL,
    sop_class    TEXT NOT NULL,
    sha256       TEXT NOT NULL,
    bytes        BIGINT NOT NULL,
    at_ms        BIGINT NOT NULL,
    PRIMARY KEY (site, study, sop_instance)
);

CREATE TABLE escalation (                        -- nobody answered in time; once for each wait
    referral TEXT NOT NULL,
    asked_ms BIGINT NOT NULL,
    at_ms    BIGINT NOT NULL,
    good     BIGINT,                             -- NULL while the command runs
    outcome  TEXT NOT NULL,
    PRIMARY KEY (referral, asked_ms)
);

CREATE TABLE command_counter (
    site         TEXT NOT NULL PRIMARY KEY,
    n            BIGINT NOT NULL,                -- number of the last command
    acknowledged BIGINT NOT NULL                 -- the box has them up to here
);

CREATE TABLE command (
    site   TEXT NOT NULL,
    number BIGINT NOT NULL,
    body   TEXT NOT NULL,                        -- JSON
    PRIMARY KEY (site, number)
);
