-- A worklist of 100,000 studies, whatever share of them was read.

-- Studies in each queue, so that no page counts them. Triggers keep the numbers, so that no code
-- that moves a study has to think of them.
CREATE TABLE queue_count (
    queue        TEXT PRIMARY KEY,
    studies      INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
INSERT INTO queue_count (queue, studies)
    SELECT value, (SELECT count(*) FROM study WHERE queue = value)
    FROM json_each('["urgent", "review", "not_analysed", "done"]');
CREATE TRIGGER queue_joined AFTER INSERT ON study
BEGIN
    UPDATE queue_count SET studies = studies + 1 WHERE queue = NEW.queue;
END;
CREATE TRIGGER queue_changed AFTER UPDATE OF queue ON study WHEN NEW.queue <> OLD.queue
BEGIN
    UPDATE queue_count SET studies = studies + (queue = NEW.queue) - (queue = OLD.queue)
    WHERE queue IN (OLD.queue, NEW.queue);
END;
CREATE TRIGGER queue_left AFTER DELETE ON study
BEGIN
    UPDATE queue_count SET studies = studies - 1 WHERE queue = OLD.queue;
END;

-- What each destination took, so that the system page does not count it. It outlives a destination
-- that goes from the settings and comes back.
CREATE TABLE delivery_sent (
    destination  TEXT PRIMARY KEY,
    objects      INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
INSERT INTO delivery_sent (destination, objects)
    SELECT destination, count(*) FROM delivery WHERE state = 'sent' GROUP BY destination;
CREATE TRIGGER sent_added AFTER INSERT ON delivery WHEN NEW.state = 'sent'
BEGIN
    INSERT INTO delivery_sent (destination, objects) VALUES (NEW.destination, 1)
        ON CONFLICT (destination) DO UPDATE SET objects = objects + 1;
END;
CREATE TRIGGER sent_changed AFTER UPDATE OF state ON delivery
WHEN (NEW.state = 'sent') <> (OLD.state = 'sent')
BEGIN
    INSERT INTO delivery_sent (destination, objects)
        VALUES (NEW.destination, iif(NEW.state = 'sent', 1, -1))
        ON CONFLICT (destination) DO UPDATE SET objects = objects + excluded.objects;
END;
CREATE TRIGGER sent_left AFTER DELETE ON delivery WHEN OLD.state = 'sent'
BEGIN
    UPDATE delivery_sent SET objects = objects - 1 WHERE destination = OLD.destination;
END;

-- Studies that are done, in the order in which they are shown.
CREATE INDEX study_done ON study(done_at) WHERE queue = 'done';

-- All that a search looks at and all that decides a place, so that it reads neither the study nor
-- another index. A word may stand anywhere in a text, which no order of an index helps with.
CREATE INDEX study_search
    ON study(patient_name, patient_id, accession, queue, acuity, first_at, done_at);
