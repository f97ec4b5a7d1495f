-- PostgreSQL alone: rows as they came, in sixteen tables by their site, each small enough to be
-- vacuumed, indexed anew or moved by itself. Every statement names the site.

ALTER TABLE outbox_row RENAME TO outbox_row_whole;

CREATE TABLE outbox_row (
    site        TEXT NOT NULL REFERENCES site (id),
    epoch       TEXT NOT NULL,
    seq         BIGINT NOT NULL,
    kind        TEXT NOT NULL,
    study       TEXT NOT NULL,
    sha256      TEXT NOT NULL,
    body        TEXT NOT NULL,
    created_ms  BIGINT NOT NULL,
    received_ms BIGINT NOT NULL,
    ordinal     BIGINT NOT NULL
) PARTITION BY HASH (site);

DO $$
BEGIN
    FOR part IN 0..15 LOOP
        EXECUTE format('CREATE TABLE outbox_row_%s PARTITION OF outbox_row
                        FOR VALUES WITH (MODULUS 16, REMAINDER %s)', part, part);
    END LOOP;
END $$;

INSERT INTO outbox_row SELECT * FROM outbox_row_whole;
DROP TABLE outbox_row_whole;

ALTER TABLE outbox_row ADD PRIMARY KEY (site, epoch, seq);
CREATE INDEX outbox_audit_head ON outbox_row (site, epoch, seq) WHERE kind = 'audit_head';
