-- What keeps every statement as fast with ten million rows as with a thousand.

-- An inbox is read in its order, status by status, and page after page from where the last one
-- ended; that of one site among thousands as well.
DROP INDEX referral_open;
CREATE INDEX referral_stands ON referral (asked, status, urgency, asked_ms, id);
CREATE INDEX referral_site ON referral (site, asked, status, urgency, asked_ms, id);
CREATE INDEX referral_answered ON referral (first_ms) WHERE answered_ms IS NOT NULL;

CREATE TABLE service (                           -- every service that was ever asked for
    name TEXT NOT NULL PRIMARY KEY
);
INSERT INTO service (name) SELECT DISTINCT service FROM referral_service;

-- The heads of an audit log lie far apart among a box's other rows.
CREATE INDEX outbox_audit_head ON outbox_row (site, epoch, seq) WHERE kind = 'audit_head';

-- What was sent stays, and nobody who looks for what waits may walk over it.
DROP INDEX outbound_due;
CREATE INDEX outbound_new ON outbound (destination) WHERE queued_ms = 0;
CREATE INDEX outbound_waiting ON outbound (destination, queued_ms, site, study, object)
    WHERE state = 'waiting';
CREATE INDEX outbound_dead ON outbound (destination, at_ms) WHERE state = 'dead';
ALTER TABLE outbound_destination ADD COLUMN sent BIGINT NOT NULL DEFAULT 0;   -- so far
UPDATE outbound_destination SET sent =
    (SELECT count(*) FROM outbound o WHERE o.destination = name AND o.state = 'sent');

CREATE TABLE escalation_count (                  -- of all, by what came of them
    came TEXT NOT NULL PRIMARY KEY,              -- good, failed, started
    n    BIGINT NOT NULL
);
INSERT INTO escalation_count (came, n) VALUES
    ('good', (SELECT count(*) FROM escalation WHERE good = 1)),
    ('failed', (SELECT count(*) FROM escalation WHERE good = 0)),
    ('started', (SELECT count(*) FROM escalation WHERE good IS NULL));
