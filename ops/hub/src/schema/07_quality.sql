-- What became of studies, without patients, and how the boxes are.

CREATE TABLE outcome (
    site       TEXT NOT NULL,
    case_id    TEXT NOT NULL,
    at_ms      BIGINT NOT NULL,
    analysed   BIGINT NOT NULL,
    reason     TEXT NOT NULL,
    acuity     TEXT NOT NULL,
    sex        TEXT NOT NULL,
    age_band   TEXT NOT NULL,
    vendor     TEXT NOT NULL,
    result_s   BIGINT,
    decision_s BIGINT,
    verdict    TEXT NOT NULL,
    confirmed  BIGINT NOT NULL,
    judged     BIGINT NOT NULL,
    overridden BIGINT NOT NULL,
    PRIMARY KEY (site, case_id)
);
CREATE INDEX outcome_time ON outcome (at_ms);

CREATE TABLE site_health (
    site         TEXT NOT NULL PRIMARY KEY,
    at_ms        BIGINT NOT NULL,
    telemetry    TEXT NOT NULL,                  -- the last one, as JSON
    model_sha256 TEXT NOT NULL,
    studies      BIGINT NOT NULL,                -- since this model is there
    first_rates  TEXT NOT NULL                   -- of its first 200 studies, as JSON
);
