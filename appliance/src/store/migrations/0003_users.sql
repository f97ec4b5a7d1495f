-- People and programs that may use the pages, the API and DICOMweb.

CREATE TABLE user (
    id           INTEGER PRIMARY KEY,
    name         TEXT NOT NULL,
    name_key     TEXT NOT NULL UNIQUE,             -- in lower case: two names differ in more
    role         TEXT NOT NULL CHECK (role IN ('tech', 'reader', 'admin', 'service')),
    password     TEXT NOT NULL,                    -- Argon2id, as a PHC string
    must_change  INTEGER NOT NULL,                 -- the password was made by the box, for once
    created_at   INTEGER NOT NULL,
    disabled_at  INTEGER                           -- never deleted: the audit log names them
) STRICT;

CREATE TABLE session (
    digest       BLOB PRIMARY KEY,                 -- SHA-256 of the secret that the holder has
    user_id      INTEGER NOT NULL REFERENCES user(id) ON DELETE CASCADE,
    program      TEXT NOT NULL DEFAULT '',         -- what a token is for; '' for a browser
    created_at   INTEGER NOT NULL,
    seen_at      INTEGER NOT NULL,
    expires_at   INTEGER                           -- NULL: until it is revoked
) STRICT, WITHOUT ROWID;
CREATE INDEX session_user ON session(user_id);
