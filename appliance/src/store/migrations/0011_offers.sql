-- The model that the hub offers, and how far it has come; the latest offer counts.
CREATE TABLE model_offer (
    id             INTEGER PRIMARY KEY CHECK (id = 1),
    sha256         TEXT NOT NULL,                    -- of its manifest
    name           TEXT NOT NULL,
    bytes          INTEGER NOT NULL,                 -- as the hub says
    manifest_bytes INTEGER NOT NULL,                 -- 0: the hub has no files to fetch
    signature      TEXT NOT NULL,                    -- of its manifest
    -- offered → coming → whole → installed; refused from each of the first three. Where its files
    -- end is what the disk says.
    stage          TEXT NOT NULL
                   CHECK (stage IN ('offered', 'coming', 'whole', 'installed', 'refused')),
    why            TEXT NOT NULL DEFAULT '',         -- it is refused, or does not go on
    next_at        INTEGER NOT NULL DEFAULT 0,       -- nothing is tried before
    at             INTEGER NOT NULL                  -- of the latest change of stage
) STRICT;
