-- What workstations query by. Patient ID has its index since step 2.
CREATE INDEX study_accession ON study(accession) WHERE accession <> '';
CREATE INDEX study_date ON study(study_date) WHERE study_date <> '';
