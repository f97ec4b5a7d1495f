-- Rows of the boxes' outboxes, as they came.

CREATE TABLE outbox_row (
    site        TEXT NOT NULL REFERENCES site (id),
    epoch       TEXT NOT NULL,
    seq         BIGINT NOT NULL,
    kind        TEXT NOT NULL,
    study       TEXT NOT NULL,                   -- '' for rows of no study
    sha256      TEXT NOT NULL,
    body        TEXT NOT NULL,
    created_ms  BIGINT NOT NULL,                 -- by the box's clock
    received_ms BIGINT NOT NULL,                 -- by ours
    ordinal     BIGINT NOT NULL,                 -- rises with every row of the site that is stored
    PRIMARY KEY (site, epoch, seq)
);

CREATE TABLE outbox_fork (                       -- rows that contradict others: an alarm, once
    site   TEXT NOT NULL REFERENCES site (id),
    epoch  TEXT NOT NULL,
    seq    BIGINT NOT NULL,
    sha256 TEXT NOT NULL,                        -- of the one that was refused
    at_ms  BIGINT NOT NULL,
    PRIMARY KEY (site, epoch, seq)
);
