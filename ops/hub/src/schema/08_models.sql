-- Model bundles that boxes fetch. Their files lie in the blob store once, whoever is offered them.

CREATE TABLE model_file (
    bundle TEXT NOT NULL,                        -- SHA-256 of its manifest
    sha256 TEXT NOT NULL,
    bytes  BIGINT NOT NULL,
    PRIMARY KEY (bundle, sha256)
);

CREATE TABLE model_offer (                       -- the latest of each site, and how far it is there
    site   TEXT NOT NULL PRIMARY KEY,
    bundle TEXT NOT NULL,
    name   TEXT NOT NULL,
    bytes  BIGINT NOT NULL,
    stage  TEXT NOT NULL,                        -- as the box says; withdrawn when the hub did
    here   BIGINT NOT NULL,                      -- bytes that are there
    why    TEXT NOT NULL,                        -- why it is refused or does not go on
    at_ms  BIGINT NOT NULL                       -- since when it is at this stage
);
