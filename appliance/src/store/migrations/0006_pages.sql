-- What pages need to hear of changes, and to be quick with many thousands of studies.

-- Each change of what pages show of a study gets the next number, and a study keeps the number of
-- its latest one. Triggers give them, so that no code that changes a study has to think of the
-- pages that are open (store/changes.rs). Results and decisions change the row of their study in
-- the transaction that adds them.
CREATE TABLE change (
    id           INTEGER PRIMARY KEY,
    study_id     INTEGER NOT NULL REFERENCES study(id) ON DELETE CASCADE
) STRICT;
CREATE INDEX change_study ON change(study_id);

-- The new row comes before the old one goes: the largest number is never given twice.
CREATE TRIGGER change_added AFTER INSERT ON change
BEGIN
    DELETE FROM change WHERE study_id = NEW.study_id AND id < NEW.id;
END;
CREATE TRIGGER study_added AFTER INSERT ON study
BEGIN
    INSERT INTO change (study_id) VALUES (NEW.id);
END;
CREATE TRIGGER study_changed AFTER UPDATE ON study
BEGIN
    INSERT INTO change (study_id) VALUES (NEW.id);
END;
CREATE TRIGGER study_explained AFTER INSERT ON explanation
BEGIN
    INSERT INTO change (study_id) SELECT study_id FROM inference WHERE id = NEW.inference_id;
END;
-- What waits or is being sent has not happened yet.
CREATE TRIGGER study_delivered AFTER UPDATE OF state, committed_at ON delivery
WHEN NEW.state IN ('sent', 'dead') OR OLD.state IN ('sent', 'dead')
BEGIN
    INSERT INTO change (study_id) VALUES (NEW.study_id);
END;

-- Findings of results, so that the figures of one finding are read without the JSON of thousands of
-- results. An assessment that cannot be read has none.
CREATE TABLE finding (
    label        TEXT NOT NULL,
    inference_id INTEGER NOT NULL REFERENCES inference(id) ON DELETE CASCADE,
    PRIMARY KEY (label, inference_id)
) STRICT, WITHOUT ROWID;
CREATE INDEX finding_inference ON finding(inference_id);
INSERT OR IGNORE INTO finding (label, inference_id)
    SELECT CASE item.type WHEN 'object' THEN item.value ->> 'label' END, inference.id
    FROM inference, json_each(CASE WHEN json_valid(assessment) THEN assessment END, '$.findings')
         AS item;
CREATE TRIGGER inference_findings AFTER INSERT ON inference
BEGIN
    INSERT OR IGNORE INTO finding (label, inference_id)
        SELECT CASE item.type WHEN 'object' THEN item.value ->> 'label' END, NEW.id
        FROM json_each(CASE WHEN json_valid(NEW.assessment) THEN NEW.assessment END, '$.findings')
             AS item;
END;

-- What waits and what was given up, without walking past all that was sent.
CREATE INDEX delivery_open ON delivery(destination, inference_id)
    WHERE state IN ('waiting', 'sending');
CREATE INDEX delivery_dead ON delivery(id) WHERE state = 'dead';
