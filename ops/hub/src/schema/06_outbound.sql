-- What goes on to other systems of the hospital: a queue for each destination.

CREATE TABLE outbound_destination (
    name      TEXT NOT NULL PRIMARY KEY,
    kind      TEXT NOT NULL,                -- fhir, stow, dicom
    silent_ms BIGINT,                       -- since when it takes nothing; NULL while it does
    said      TEXT NOT NULL                 -- what the latest try said, in our words
);

CREATE TABLE outbound (
    destination TEXT NOT NULL,
    site        TEXT NOT NULL,
    study       TEXT NOT NULL,
    object      TEXT NOT NULL,              -- SHA-256 of a blob; '' for what is said of the study
    state       TEXT NOT NULL,              -- waiting, sent, dead
    version     BIGINT NOT NULL,            -- rises whenever there is something new to send
    lease_ms    BIGINT NOT NULL,            -- until then one of the hub's processes is sending it
    attempts    BIGINT NOT NULL,            -- refusals of this version
    next_ms     BIGINT NOT NULL,            -- not before
    queued_ms   BIGINT NOT NULL,            -- since when it waits; 0 until somebody looks
    at_ms       BIGINT NOT NULL,            -- when it came to this
    last_error  TEXT NOT NULL,              -- the latest refusal, in our words
    said        TEXT NOT NULL,              -- what the destination wrote; may quote the patient
    sent        TEXT NOT NULL,              -- the latest transaction that may be there
    PRIMARY KEY (destination, site, study, object)
);
CREATE INDEX outbound_due ON outbound (destination, state, next_ms);
