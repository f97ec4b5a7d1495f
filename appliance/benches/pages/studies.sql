-- STUDIES studies of 5 series, all looked at by one model, all but OPEN read, their results with two
-- archives. The latest 2,000 have 8 images in each series, those before them one. Written past the
-- store, which syncs the disk for every image.
BEGIN;

INSERT INTO model (digest, name, folder, mode, installed_at, promoted_at)
VALUES ('ab', 'bench', 'models/bench', 'assist', 0, 0);
INSERT INTO destination (name, since_at, kinds) VALUES ('PACS', 0, '["report"]'),
                                                       ('OTHER', 0, '["report"]');

-- Acuity: each of the four, and none because the study was not analysed.
CREATE TEMP TABLE plan AS
    WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < STUDIES)
    SELECT i, i <= STUDIES - OPEN AS read, 1790000000000 + i * 60000 AS at,
           CASE i % 5 WHEN 0 THEN 'high' WHEN 1 THEN 'medium' WHEN 2 THEN 'low' WHEN 3 THEN 'none'
                      END AS acuity
    FROM n;
CREATE TEMP TABLE small AS SELECT i FROM plan WHERE i <= 52;

INSERT INTO study (id, uid, patient_id, patient_name, birth_date, sex, accession, study_date,
                   study_time, description, reason, state, generation, first_at, last_at,
                   complete_at, queue, acuity, done_at)
    SELECT i, '1.2.840.113619.2.1.' || i, 'MRN' || (i % 9000),
           'Family' || (i % 3000) || '^Given' || (i % 700), '19600101', 'F', 'ACC' || i,
           printf('2026%02d%02d', 1 + i % 12, 1 + i % 28), '101010', 'MR brain', 'headache',
           'settled', 1, at, at, at,
           CASE WHEN read THEN 'done' WHEN acuity IS NULL THEN 'not_analysed'
                WHEN acuity = 'high' THEN 'urgent' ELSE 'review' END,
           acuity, CASE WHEN read THEN at + 3600000 END
    FROM plan;
INSERT INTO series (id, study_id, uid, number, description, modality)
    SELECT plan.i * 5 + small.i, plan.i, '1.2.840.113619.2.2.' || plan.i || '.' || small.i, small.i,
           'AX T1', 'MR'
    FROM plan JOIN small ON small.i <= 5;
INSERT INTO instance (study_id, series_id, sop_uid, sop_class, transfer_syntax, sha256, bytes, path,
                      source, received_at)
    SELECT study_id, id, uid || '.' || small.i, '1.2.840.10008.5.1.4.1.1.4', '1.2.840.10008.1.2.1',
           zeroblob(32), 131072, study_id || '/' || id || '.' || small.i || '.dcm',
           'scp SCANNER1', 0
    FROM series JOIN small ON small.i <= iif(study_id > STUDIES - 2000, 8, 1);

-- Four findings where there are any, of 52.
INSERT INTO inference (id, study_id, generation, model_digest, mode, outcome, reason, acuity,
                       partial, device, seconds, finished_at, result, assessment)
    SELECT i, i, 1, 'ab', 'assist', iif(acuity IS NULL, 'not_analysed', 'analysed'),
           iif(acuity IS NULL, 'no usable series', ''), acuity, 0, 'cpu', 3.2, at + 60000,
           iif(acuity IS NULL, NULL, json_object('schema_version', 1,
               'model', json_object('id', 'bench', 'provenance', 'untrained', 'device', 'cpu',
                                    'statement', 'random numbers', 'intended_use', 'benches'),
               'series', json((SELECT json_group_array(json_object('uid', uid, 'number', number,
                                          'name', description, 'plane', 'axial', 'patches', 448,
                                          'tokens', 334, 'size_vox', json('[256, 256, 25]'),
                                          'remarks', json('[]')))
                               FROM series WHERE study_id = plan.i)),
               'left_out', json('[]'),
               'outcome', json_object('kind', 'analysed', 'scores', json_object(
                   'with_context', json('true'),
                   'diagnosis', json((SELECT json_group_array(json_object('name', 'label_' || i,
                                                 'logit', 1.18, 'margin', 0.28,
                                                 'probability', NULL))
                                      FROM small)))))),
           iif(acuity IS NULL, NULL, json_object('acuity', acuity, 'acuity_from', json('[]'),
               'findings', json((SELECT json_group_array(json_object('name', 'finding',
                                            'label', 'label_' || (1 + (plan.i * 7 + i * 11) % 52),
                                            'margin', 0.28, 'probability', NULL,
                                            'acuity', plan.acuity))
                                 FROM small WHERE i <= 4)),
               'referrals', json('[{"service": "neurosurgery", "urgency": "soon", "reason": "why",
                                    "findings": []}]'),
               'rules_version', '1', 'rules_approver', '', 'rules_sha256', '00'))
    FROM plan;
UPDATE study SET shown_inference = id;

-- Two scanners, each study with five series and a score for each label.
INSERT INTO scanner (id, key, name) VALUES (1, 'MR1', 'MR1'), (2, 'MR2', 'MR2');
INSERT INTO monitored_model (digest, outputs) SELECT 'ab', json_group_array('label_' || i) FROM small;
INSERT INTO monitored (study_id, model_digest, scanner_id, inference_id, analysed, at, software,
                       measured)
    SELECT i, 'ab', 1 + i % 2, i, acuity IS NOT NULL, at, 'V1', json_object(
        'series', json((SELECT json_group_array(json_object('kind', 't1', 'slices', 25.0,
                               'slice_mm', 5.5, 'tokens', 300.0 + (plan.i + small.i) % 50,
                               'brightness', 700.0 + abs(random() % 200), 'noise', 0.01,
                               'contrast', 0.3 + abs(random() % 100) / 1000.0,
                               'foreground', 0.2 + abs(random() % 100) / 1000.0))
                        FROM small WHERE i <= 5)),
        'left_out', json('{"localiser": 1}'),
        'scores', json((SELECT json_group_array((random() + small.i) % 1000 / 250.0)
                        FROM small)))
    FROM plan;

INSERT INTO decision (study_id, inference_id, kind, finding, actor, at)
    SELECT id, study_id, 'agree', assessment ->> '$.findings[0].label', 'web: A', finished_at + 1
    FROM inference WHERE acuity IS NOT NULL AND id % 2;
INSERT INTO decision (study_id, inference_id, kind, actor, at)
    SELECT i, i, 'done', 'web: A', at + 3600000 FROM plan WHERE read;
INSERT INTO delivery (destination, study_id, inference_id, kind, state, at)
    SELECT name, i, i, 'report', iif(i < STUDIES - 5, 'sent', 'waiting'), at + 70000
    FROM plan JOIN destination WHERE acuity IS NOT NULL;
INSERT INTO event (at, level, area, text)
    SELECT at, 'warning', 'receive', 'something happened' FROM plan WHERE i <= 5000;

DROP TABLE plan;
DROP TABLE small;
COMMIT;
