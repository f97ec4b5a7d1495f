-- Who may use the pages, and what they did.

CREATE TABLE account (
    name_key    TEXT NOT NULL PRIMARY KEY,       -- in lower case: two names differ in more
    name        TEXT NOT NULL,
    role        TEXT NOT NULL,                   -- coordinator, specialist, admin
    password    TEXT NOT NULL,                   -- Argon2id, as a PHC string
    must_change BIGINT NOT NULL,                 -- the password was made by the hub, for once
    created_ms  BIGINT NOT NULL,
    removed_ms  BIGINT                           -- never deleted: the audit log names them
);

CREATE TABLE session (
    digest     TEXT NOT NULL PRIMARY KEY,        -- SHA-256 of the secret that the browser has
    name_key   TEXT NOT NULL,
    seen_ms    BIGINT NOT NULL,
    expires_ms BIGINT NOT NULL
);
CREATE INDEX session_account ON session (name_key);

CREATE TABLE audit (
    seq    BIGINT NOT NULL PRIMARY KEY,
    at_ms  BIGINT NOT NULL,
    actor  TEXT NOT NULL,
    action TEXT NOT NULL,
    object TEXT NOT NULL,
    detail TEXT NOT NULL,                        -- JSON
    prev   TEXT NOT NULL,
    hash   TEXT NOT NULL
);

CREATE TABLE audit_head (                        -- one row, for which writers wait
    id   BIGINT NOT NULL PRIMARY KEY,
    seq  BIGINT NOT NULL,
    hash TEXT NOT NULL
);
INSERT INTO audit_head (id, seq, hash)
VALUES (1, 0, '0000000000000000000000000000000000000000000000000000000000000000');
