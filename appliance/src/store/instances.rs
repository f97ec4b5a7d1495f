//! The index of received instances. Associations that finish at the same moment share one COMMIT.

use std::sync::{Arc, Mutex, OnceLock};

use rusqlite::{OptionalExtension as _, ToSql, Transaction, TransactionBehavior};

use super::{Store, StoreError, decisions, lock};

/// What a data set says about its study. Texts are empty when absent.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct StudyFacts {
    /// Study Instance UID.
    pub uid: String,
    /// Patient ID.
    pub patient_id: String,
    /// Patient's Name.
    pub patient_name: String,
    /// Patient's Birth Date, YYYYMMDD.
    pub birth_date: String,
    /// Patient's Sex.
    pub sex: String,
    /// Patient's Age, such as `042Y`.
    pub age: String,
    /// Accession Number.
    pub accession: String,
    /// Study Date, YYYYMMDD.
    pub study_date: String,
    /// Study Time.
    pub study_time: String,
    /// Study Description.
    pub description: String,
    /// Referring Physician's Name.
    pub referring_physician: String,
    /// Institution Name.
    pub institution: String,
    /// Station Name.
    pub station: String,
    /// Manufacturer and model name.
    pub manufacturer: String,
    /// Device Serial Number.
    pub device_serial: String,
    /// Software Versions, with `\` between them.
    pub software: String,
    /// Magnetic Field Strength in tesla.
    pub field_strength_t: Option<f64>,
    /// Body Part Examined.
    pub body_part: String,
    /// Reason for the Requested Procedure.
    pub reason: String,
    /// Admitting Diagnoses Description.
    pub admitting: String,
    /// Number of Study Related Instances.
    pub expected_instances: Option<i64>,
}

/// What a data set says about its series.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SeriesFacts {
    /// Series Instance UID.
    pub uid: String,
    /// Series Number.
    pub number: Option<i64>,
    /// Series Description.
    pub description: String,
    /// Modality.
    pub modality: String,
    /// Number of Series Related Instances.
    pub expected_instances: Option<i64>,
}

/// One instance whose file is on the disk, durably.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Arrival {
    /// Its study.
    pub study: StudyFacts,
    /// Its series.
    pub series: SeriesFacts,
    /// SOP Instance UID.
    pub sop_uid: String,
    /// SOP Class UID.
    pub sop_class: String,
    /// Transfer syntax UID of the data set as stored.
    pub transfer_syntax: String,
    /// SHA-256 of the data set's bytes as sent.
    pub sha256: [u8; 32],
    /// Bytes of the data set.
    pub bytes: u64,
    /// File below the archive's folder.
    pub path: String,
    /// Where it came from: `scp SCANNER1`, `import`, `rebuild`.
    pub source: String,
}

/// What became of an arrival.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Indexed {
    /// A row was written.
    New {
        /// Row of its study.
        study_id: i64,
    },
    /// The same content is known under this UID.
    Duplicate {
        /// Row of its study.
        study_id: i64,
    },
    /// Other content is known under this UID; nothing was written.
    Conflict,
}

/// An instance as indexed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Known {
    /// Row of its study.
    pub study_id: i64,
    /// SOP Class UID.
    pub sop_class: String,
    /// SHA-256 of the data set.
    pub sha256: Vec<u8>,
    /// File below the archive's folder.
    pub path: String,
}

/// Arrivals waiting for a COMMIT. Whoever gets the writer first commits them all; the others
/// find their answer when the writer is free again.
#[derive(Debug, Default)]
pub(in crate::store) struct Arrivals(Mutex<Vec<Waiting>>);

type Answer = Arc<Mutex<Option<Result<Indexed, StoreError>>>>;

#[derive(Debug)]
struct Waiting {
    arrival: Arrival,
    answer: Answer,
}

impl Store {
    /// Writes the rows of an instance; when this returns they are on the disk.
    ///
    /// # Errors
    ///
    /// When the database fails; then nothing was written.
    pub fn index(&self, arrival: Arrival) -> Result<Indexed, StoreError> {
        let answer = Answer::default();
        lock(&self.arrivals.0).push(Waiting { arrival, answer: Arc::clone(&answer) });
        let mut writer = self.writer();
        if let Some(indexed) = lock(&answer).take() {
            return indexed;
        }
        let group = std::mem::take(&mut *lock(&self.arrivals.0));
        let now = self.clock.now();
        let mut commit = |waiting: &[Waiting]| -> Result<Vec<Indexed>, StoreError> {
            let tx = writer.transaction_with_behavior(TransactionBehavior::Immediate)?;
            let indexed: Result<Vec<_>, _> =
                waiting.iter().map(|w| insert(&tx, &w.arrival, now)).collect();
            let indexed = indexed?;
            tx.commit()?;
            Ok(indexed)
        };
        if let Ok(indexed) = commit(&group) {
            for (waiting, indexed) in group.iter().zip(indexed) {
                *lock(&waiting.answer) = Some(Ok(indexed));
            }
        } else {
            // One bad arrival must not fail the others.
            for waiting in group.chunks(1) {
                let indexed = commit(waiting).map(|indexed| indexed[0]);
                *lock(&waiting[0].answer) = Some(indexed);
            }
        }
        drop(writer);
        // The own arrival was in the group, so its answer is there.
        let own = lock(&answer).take();
        own.unwrap_or(Err(StoreError::Sqlite(rusqlite::Error::InvalidQuery)))
    }

    /// Looks an instance up.
    ///
    /// # Errors
    ///
    /// When the database fails.
    pub fn instance(&self, sop_uid: &str) -> Result<Option<Known>, StoreError> {
        self.read(|db| {
            let mut query = db.prepare_cached(LOOKED_UP)?;
            let known = query.query_row([sop_uid], |row| {
                Ok(Known {
                    study_id: row.get(0)?,
                    sop_class: row.get(1)?,
                    sha256: row.get(2)?,
                    path: row.get(3)?,
                })
            });
            Ok(known.optional()?)
        })
    }

    /// Files of a study below the archive's folder, in order of arrival.
    ///
    /// # Errors
    ///
    /// When the database fails.
    pub fn files_of_study(&self, study_id: i64) -> Result<Vec<String>, StoreError> {
        self.read(|db| {
            let mut query =
                db.prepare_cached("SELECT path FROM instance WHERE study_id = ? ORDER BY id")?;
            let rows = query.query_map([study_id], |row| row.get(0))?;
            Ok(rows.collect::<Result<_, _>>()?)
        })
    }

    /// An association that brought images of these studies was released in good order.
    ///
    /// # Errors
    ///
    /// When the database fails.
    pub fn note_release(&self, studies: &[i64]) -> Result<(), StoreError> {
        let now = self.clock.now();
        self.write(|tx| {
            let mut update = tx.prepare_cached(RELEASED)?;
            for study in studies {
                update.execute((now, study))?;
            }
            Ok(())
        })
    }
}

const LOOKED_UP: &str = "SELECT study_id, sop_class, sha256, path FROM instance WHERE sop_uid = ?";
const KNOWN: &str = "SELECT study_id, sha256 FROM instance WHERE sop_uid = ?";
const SERIES: &str = "SELECT id FROM series WHERE study_id = ? AND uid = ?";
const ADDED: &str = "
    INSERT INTO instance (study_id, series_id, sop_uid, sop_class, transfer_syntax, sha256, bytes,
                          path, source, received_at)
    VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)";
const RELEASED: &str = "UPDATE study SET released_at = ? WHERE id = ?";

fn insert(tx: &Transaction<'_>, arrival: &Arrival, now: i64) -> Result<Indexed, StoreError> {
    let known: Option<(i64, Vec<u8>)> = tx
        .prepare_cached(KNOWN)?
        .query_row([&arrival.sop_uid], |row| Ok((row.get(0)?, row.get(1)?)))
        .optional()?;
    if let Some((study_id, sha256)) = known {
        let same = sha256 == arrival.sha256;
        return Ok(if same { Indexed::Duplicate { study_id } } else { Indexed::Conflict });
    }
    let study_id = upsert_study(tx, &arrival.study, now)?;
    let series_id = upsert_series(tx, study_id, &arrival.series)?;
    tx.prepare_cached(ADDED)?.execute((
        study_id,
        series_id,
        &arrival.sop_uid,
        &arrival.sop_class,
        &arrival.transfer_syntax,
        &arrival.sha256[..],
        arrival.bytes.cast_signed(),
        &arrival.path,
        &arrival.source,
        now,
    ))?;
    Ok(Indexed::New { study_id })
}

/// What an instance says in words about its study, in the order of the statements' parameters.
const TEXTS: [&str; 19] = [
    "patient_id",
    "patient_name",
    "birth_date",
    "sex",
    "age",
    "accession",
    "study_date",
    "study_time",
    "description",
    "referring_physician",
    "institution",
    "station",
    "manufacturer",
    "device_serial",
    "software",
    "body_part",
    "reason",
    "admitting",
    "uid",
];

/// Finds a study that is being received and to which these facts add nothing.
fn complete_sql() -> String {
    let lacks = (1..=18).map(|i| format!("{} = '' AND ?{i} <> '' OR ", TEXTS[i - 1]));
    format!(
        "SELECT id FROM study WHERE uid = ?19 AND state = 'receiving' AND done_at IS NULL
         AND NOT ({} field_strength_t IS NULL AND ?20 IS NOT NULL)
         AND (?21 IS NULL OR expected_instances >= ?21)",
        lacks.collect::<String>()
    )
}

/// Changes no column that an index has: an UPDATE writes the indices of every column that it names,
/// whether the values differ or not, and a study has many images.
const ARRIVED: &str =
    "UPDATE study SET last_at = ?, released_at = NULL, evicted_at = NULL WHERE id = ?";

/// The first instance that has a value sets it. A new instance opens a settled study again.
fn upsert_sql() -> String {
    let fill = |c: &&str| format!("{c} = CASE WHEN {c} = '' THEN excluded.{c} ELSE {c} END, ");
    format!(
        "INSERT INTO study ({}, field_strength_t, expected_instances, first_at, last_at)
         VALUES ({}?20, ?21, ?22, ?22)
         ON CONFLICT (uid) DO UPDATE SET {}
           field_strength_t = coalesce(field_strength_t, excluded.field_strength_t),
           expected_instances =
             max(coalesce(expected_instances, excluded.expected_instances),
                 coalesce(excluded.expected_instances, expected_instances)),
           last_at = excluded.last_at, released_at = NULL, evicted_at = NULL,
           state = 'receiving'
         RETURNING id, done_at IS NOT NULL",
        TEXTS.join(", "),
        (1..=19).map(|i| format!("?{i}, ")).collect::<String>(),
        TEXTS[..18].iter().map(fill).collect::<String>(),
    )
}

/// The row of the study. A new instance brings one that was done back to the list.
fn upsert_study(tx: &Transaction<'_>, study: &StudyFacts, now: i64) -> Result<i64, StoreError> {
    static SQL: OnceLock<[String; 2]> = OnceLock::new();
    let [complete, upsert] = SQL.get_or_init(|| [complete_sql(), upsert_sql()]);
    let values: [&dyn ToSql; 22] = [
        &study.patient_id,
        &study.patient_name,
        &study.birth_date,
        &study.sex,
        &study.age,
        &study.accession,
        &study.study_date,
        &study.study_time,
        &study.description,
        &study.referring_physician,
        &study.institution,
        &study.station,
        &study.manufacturer,
        &study.device_serial,
        &study.software,
        &study.body_part,
        &study.reason,
        &study.admitting,
        &study.uid,
        &study.field_strength_t,
        &study.expected_instances,
        &now,
    ];
    let known: Option<i64> =
        tx.prepare_cached(complete)?.query_row(&values[..21], |row| row.get(0)).optional()?;
    if let Some(id) = known {
        tx.prepare_cached(ARRIVED)?.execute((now, id))?;
        return Ok(id);
    }
    let (id, done): (i64, bool) =
        tx.prepare_cached(upsert)?.query_row(&values[..], |row| Ok((row.get(0)?, row.get(1)?)))?;
    if done {
        // Done holds for the images that the reader saw.
        decisions::recompute(tx, id, now)?;
    }
    Ok(id)
}

fn upsert_series(
    tx: &Transaction<'_>,
    study_id: i64,
    series: &SeriesFacts,
) -> Result<i64, StoreError> {
    let id = tx
        .prepare_cached(SERIES)?
        .query_row((study_id, &series.uid), |row| row.get(0))
        .optional()?;
    if let Some(id) = id {
        return Ok(id);
    }
    tx.prepare_cached(
        "INSERT INTO series (study_id, uid, number, description, modality, expected_instances)
         VALUES (?, ?, ?, ?, ?, ?)",
    )?
    .execute((
        study_id,
        &series.uid,
        series.number,
        &series.description,
        &series.modality,
        series.expected_instances,
    ))?;
    Ok(tx.last_insert_rowid())
}

#[cfg(test)]
mod tests;
