-- The studies of a modality, for workstations that ask for one that few or no studies have.
CREATE INDEX series_modality ON series(modality, study_id);
