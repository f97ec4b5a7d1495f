-- Large objects; their bytes lie in the blob store.

CREATE TABLE blob (
    site        TEXT NOT NULL REFERENCES site (id),
    sha256      TEXT NOT NULL,
    bytes       BIGINT NOT NULL,                 -- as announced, and as it is once complete
    created_ms  BIGINT NOT NULL,
    complete_ms BIGINT,                          -- all of it is there, and is what its name says
    PRIMARY KEY (site, sha256)
);
CREATE INDEX blob_incomplete ON blob (created_ms) WHERE complete_ms IS NULL;
