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
