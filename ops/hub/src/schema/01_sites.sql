-- Clinics whose boxes may speak to this hub.

CREATE TABLE site (
    id           TEXT NOT NULL PRIMARY KEY,      -- lower-case words; the name in the certificate
    name         TEXT NOT NULL,                  -- for people
    created_ms   BIGINT NOT NULL DEFAULT 0,
    revoked_ms   BIGINT,                         -- nobody of it is let in any more
    minisign_key TEXT NOT NULL DEFAULT '',       -- who signs its outbox files; '' before enrolment
    -- How it stands with the box, as it said last.
    contact_ms   BIGINT,
    offset_ms    BIGINT,                         -- its wall clock minus ours
    software     TEXT NOT NULL DEFAULT '',
    model        TEXT NOT NULL DEFAULT '',
    backlog_p0   BIGINT NOT NULL DEFAULT 0,      -- rows that wait, by priority
    backlog_p1   BIGINT NOT NULL DEFAULT 0,
    backlog_p2   BIGINT NOT NULL DEFAULT 0,
    backlog_p3   BIGINT NOT NULL DEFAULT 0,
    dead         BIGINT NOT NULL DEFAULT 0,      -- rows that it gave up
    -- What it has here. Whoever stores something of a site updates this row first.
    ordinal      BIGINT NOT NULL DEFAULT 0,      -- of its last stored row
    row_bytes    BIGINT NOT NULL DEFAULT 0,
    blob_bytes   BIGINT NOT NULL DEFAULT 0       -- as announced
);

CREATE TABLE site_certificate (
    serial     TEXT NOT NULL PRIMARY KEY,        -- hexadecimal
    site       TEXT NOT NULL REFERENCES site (id),
    issued_ms  BIGINT NOT NULL,
    revoked_ms BIGINT
);
CREATE INDEX site_certificate_site ON site_certificate (site);

CREATE TABLE site_code (                         -- what a box enrols with, once
    digest     TEXT NOT NULL PRIMARY KEY,        -- SHA-256 of the code
    site       TEXT NOT NULL REFERENCES site (id),
    expires_ms BIGINT NOT NULL,
    used_by    TEXT                              -- SHA-256 of the request that used it
);
