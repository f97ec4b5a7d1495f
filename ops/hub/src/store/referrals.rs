//! Referrals as clinics ask for them: one for each study of a site, said anew by every later flag.

use exchange::command::{Answer, Command, Status};
use exchange::flag::Flag;
use exchange::manifest::Manifest;
use exchange::row::{Kind, hex};
use sha2::{Digest as _, Sha256};

use super::{Store, bounded, commands, from_json, to_json};
use crate::db::{DbError, Record, Transaction};

/// Digits of a referral's name, 128 bits.
const ID_DIGITS: usize = 32;
/// Longest name of a service.
const SERVICE_CHARS: usize = 60;

/// How soon an answer is needed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Urgency {
    /// In days.
    Routine,
    /// Within a day.
    Soon,
    /// Within an hour.
    Urgent,
    /// At once.
    Emergency,
}

impl Urgency {
    /// All, most urgent first.
    pub const ALL: [Self; 4] = [Self::Emergency, Self::Urgent, Self::Soon, Self::Routine];

    /// As in a flag.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Routine => "routine",
            Self::Soon => "soon",
            Self::Urgent => "urgent",
            Self::Emergency => "emergency",
        }
    }

    /// Of a word in a flag. A word that this program does not know comes from a newer box, and
    /// counts as urgent rather than as nothing.
    #[must_use]
    pub fn of(word: &str) -> Self {
        Self::ALL.into_iter().find(|urgency| urgency.word() == word).unwrap_or(Self::Urgent)
    }

    pub(super) fn number(self) -> i64 {
        match self {
            Self::Routine => 0,
            Self::Soon => 1,
            Self::Urgent => 2,
            Self::Emergency => 3,
        }
    }

    pub(super) fn of_number(number: i64) -> Self {
        Self::ALL.into_iter().find(|urgency| urgency.number() == number).unwrap_or(Self::Urgent)
    }
}

/// A referral.
#[derive(Clone, Debug, PartialEq)]
pub struct Referral {
    /// Stands in addresses and says nothing of the patient.
    pub id: String,
    /// Whose patient.
    pub site: String,
    /// Study Instance UID, or what stands for it.
    pub study: String,
    /// What the clinic says now.
    pub flag: Flag,
    /// False when the clinic took it back.
    pub asked: bool,
    /// Of the most urgent of its referrals.
    pub urgency: Urgency,
    /// How it stands.
    pub status: Status,
    /// Who sees to it; empty for nobody.
    pub assignee: String,
    /// Rises with every flag in force and every answer.
    pub version: i64,
    /// When the first flag arrived.
    pub first_ms: i64,
    /// Since when an answer is waited for: the first flag, or the one that asked again.
    pub asked_ms: i64,
    /// When the flag in force arrived.
    pub flag_ms: i64,
    /// When somebody first answered.
    pub answered_ms: Option<i64>,
}

/// A DICOM file of a study.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StudyObject {
    /// `report`, `picture`, `segmentation`, or a series' description.
    pub title: String,
    /// SOP Class UID.
    pub sop_class: String,
    /// Names the blob.
    pub sha256: String,
    /// Its length.
    pub bytes: i64,
}

/// Names a referral.
#[must_use]
pub fn id(site: &str, study: &str) -> String {
    let mut sha = Sha256::new();
    for field in [site, study] {
        sha.update((field.len() as u64).to_be_bytes());
        sha.update(field);
    }
    hex(&sha.finalize()).chars().take(ID_DIGITS).collect()
}

/// What of the referral a flag is compared with.
struct Standing {
    epoch: String,
    seq: i64,
    asked: bool,
    urgency: i64,
    status: Status,
    asked_ms: i64,
}

/// Notes a flag, and what it says when it is newer than what was said before: by its number, or
/// because its epoch was never seen for this study, as after the restore of a backup. A study that
/// is asked for again, or more urgently after it was answered, waits for an answer again.
///
/// # Errors
///
/// When the database fails.
pub fn apply_flag(
    tx: &mut dyn Transaction,
    site: &str,
    flag: &Flag,
    key: (&str, i64),
    now_ms: i64,
) -> Result<(), DbError> {
    let (epoch, seq) = key;
    let flag = &finite(flag.clone());
    let (id, body) = (id(site, &flag.study.uid), to_json(flag)?);
    let seen = tx.query(
        "SELECT seq FROM referral_flag WHERE referral = $1 AND epoch = $2 LIMIT 1",
        &[id.as_str().into(), epoch.into()],
    )?;
    let noted = tx.execute(
        "INSERT INTO referral_flag (referral, epoch, seq, flag, at_ms) VALUES ($1, $2, $3, $4, $5)
         ON CONFLICT (referral, epoch, seq) DO NOTHING",
        &[id.as_str().into(), epoch.into(), seq.into(), body.as_str().into(), now_ms.into()],
    )?;
    if noted == 0 {
        return Ok(());
    }
    let Some(standing) = standing(tx, &id)? else {
        begin(tx, site, flag, &id, (epoch, seq, &body), now_ms)?;
        return add_services(tx, &id, flag);
    };
    let newer = if standing.epoch == epoch { seq > standing.seq } else { seen.is_empty() };
    if !newer {
        return Ok(());
    }
    let urgency = urgency(flag).number();
    let settled = matches!(standing.status, Status::Declined | Status::Completed);
    let again = flag.asked && (!standing.asked || (settled && urgency > standing.urgency));
    let status = if again { Status::Received } else { standing.status };
    let asked_ms = if again { now_ms } else { standing.asked_ms };
    tx.execute(
        "UPDATE referral SET epoch = $1, seq = $2, flag = $3, asked = $4, urgency = $5, sex = $6,
         age_band = $7, status = $8, asked_ms = $9, flag_ms = $10, version = version + 1
         WHERE id = $11",
        &[
            epoch.into(),
            seq.into(),
            body.into(),
            flag.asked.into(),
            urgency.into(),
            sex(flag).into(),
            age_band(flag.patient.age_years).into(),
            status.word().into(),
            asked_ms.into(),
            now_ms.into(),
            id.as_str().into(),
        ],
    )?;
    if again && status != standing.status {
        let study = flag.study.uid.clone();
        let answer = Answer { study, status, at_ms: now_ms, ..Answer::default() };
        commands::push(tx, site, &Command::Referral(answer))?;
    }
    tx.execute("DELETE FROM referral_service WHERE referral = $1", &[id.as_str().into()])?;
    add_services(tx, &id, flag)
}

/// Whether a flag of this study has come.
pub(super) fn is_known(tx: &mut dyn Transaction, site: &str, study: &str) -> Result<bool, DbError> {
    let id = id(site, study);
    Ok(!tx.query("SELECT 1 FROM referral WHERE id = $1", &[id.as_str().into()])?.is_empty())
}

/// Locks the referral as well, so that an answer and a flag do not cross.
fn standing(tx: &mut dyn Transaction, id: &str) -> Result<Option<Standing>, DbError> {
    let rows = tx.query(
        "UPDATE referral SET version = version WHERE id = $1
         RETURNING epoch, seq, asked, urgency, status, asked_ms",
        &[id.into()],
    )?;
    let Some(row) = rows.first() else { return Ok(None) };
    Ok(Some(Standing {
        epoch: row.text(0)?.to_owned(),
        seq: row.int(1)?,
        asked: row.flag(2)?,
        urgency: row.int(3)?,
        status: status(row, 4)?,
        asked_ms: row.int(5)?,
    }))
}

fn begin(
    tx: &mut dyn Transaction,
    site: &str,
    flag: &Flag,
    id: &str,
    (epoch, seq, body): (&str, i64, &str),
    now_ms: i64,
) -> Result<(), DbError> {
    tx.execute(
        "INSERT INTO referral (id, site, study, epoch, seq, flag, asked, urgency, sex, age_band,
         status, assignee, version, first_ms, asked_ms, flag_ms)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, '', 1, $12, $13, $14)",
        &[
            id.into(),
            site.into(),
            flag.study.uid.as_str().into(),
            epoch.into(),
            seq.into(),
            body.into(),
            flag.asked.into(),
            urgency(flag).number().into(),
            sex(flag).into(),
            age_band(flag.patient.age_years).into(),
            Status::Received.word().into(),
            now_ms.into(),
            now_ms.into(),
            now_ms.into(),
        ],
    )?;
    Ok(())
}

fn add_services(tx: &mut dyn Transaction, id: &str, flag: &Flag) -> Result<(), DbError> {
    for referral in &flag.referrals {
        let name = service(&referral.service);
        tx.execute(
            "INSERT INTO referral_service (referral, service) VALUES ($1, $2)
             ON CONFLICT (referral, service) DO NOTHING",
            &[id.into(), name.as_str().into()],
        )?;
        let names = "INSERT INTO service (name) VALUES ($1) ON CONFLICT (name) DO NOTHING";
        tx.execute(names, &[name.into()])?;
    }
    Ok(())
}

/// As long as a filter shows.
fn service(name: &str) -> String {
    name.chars().take(SERVICE_CHARS).collect()
}

/// JSON has numbers that are too large for ours and become infinite, which JSON has not.
fn finite(mut flag: Flag) -> Flag {
    for finding in &mut flag.findings {
        finding.margin = finding.margin.clamp(f32::MIN, f32::MAX);
        finding.probability = finding.probability.map(|p| p.clamp(0.0, 1.0));
    }
    flag
}

fn urgency(flag: &Flag) -> Urgency {
    let each = flag.referrals.iter().map(|referral| Urgency::of(&referral.urgency));
    each.max().unwrap_or(Urgency::Routine)
}

fn sex(flag: &Flag) -> &str {
    let known = ["M", "F", "O"].contains(&flag.patient.sex.as_str());
    if known { &flag.patient.sex } else { "" }
}

/// As in [`exchange::telemetry::Outcome::age_band`].
fn age_band(age_years: Option<u32>) -> &'static str {
    match age_years {
        None => "",
        Some(0..=17) => "0-17",
        Some(18..=39) => "18-39",
        Some(40..=64) => "40-64",
        Some(_) => "65+",
    }
}

pub(super) fn status(row: &Record, column: usize) -> Result<Status, DbError> {
    let word = row.text(column)?;
    Status::of(word).ok_or_else(|| DbError::Column {
        column,
        found: Some(word.into()),
        expected: "a status of a referral",
    })
}

/// Notes which objects belong to a study. A manifest that says an object anew replaces it.
///
/// # Errors
///
/// When the database fails.
pub fn apply_manifest(
    tx: &mut dyn Transaction,
    site: &str,
    kind: Kind,
    manifest: &Manifest,
    now_ms: i64,
) -> Result<(), DbError> {
    for (place, object) in (0_i64..).zip(&manifest.objects) {
        tx.execute(
            "INSERT INTO study_object
             (site, study, sop_instance, kind, series, title, place, sop_class, sha256, bytes, at_ms)
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)
             ON CONFLICT (site, study, sop_instance) DO UPDATE SET kind = excluded.kind,
             series = excluded.series, title = excluded.title, place = excluded.place,
             sop_class = excluded.sop_class, sha256 = excluded.sha256, bytes = excluded.bytes,
             at_ms = excluded.at_ms",
            &[
                site.into(),
                bounded(&manifest.study).into_owned().into(),
                bounded(&object.sop_instance).into_owned().into(),
                kind.word().into(),
                manifest.series.as_str().into(),
                manifest.title.as_str().into(),
                place.into(),
                object.sop_class.as_str().into(),
                object.sha256.as_str().into(),
                i64::try_from(object.bytes).unwrap_or(i64::MAX).into(),
                now_ms.into(),
            ],
        )?;
    }
    Ok(())
}

pub(super) const COLUMNS: &str = "id, site, study, flag, asked, urgency, status, assignee, version, \
     first_ms, asked_ms, flag_ms, answered_ms";

pub(super) fn referral(row: &Record) -> Result<Referral, DbError> {
    Ok(Referral {
        id: row.text(0)?.to_owned(),
        site: row.text(1)?.to_owned(),
        study: row.text(2)?.to_owned(),
        flag: from_json(row.text(3)?, "a flag")?,
        asked: row.flag(4)?,
        urgency: Urgency::of_number(row.int(5)?),
        status: status(row, 6)?,
        assignee: row.text(7)?.to_owned(),
        version: row.int(8)?,
        first_ms: row.int(9)?,
        asked_ms: row.int(10)?,
        flag_ms: row.int(11)?,
        answered_ms: row.maybe_int(12)?,
    })
}

impl Store {
    /// One referral.
    ///
    /// # Errors
    ///
    /// When the database fails.
    pub fn referral(&self, id: &str) -> Result<Option<Referral>, DbError> {
        self.read(|tx| {
            let sql = format!("SELECT {COLUMNS} FROM referral WHERE id = $1");
            tx.query(&sql, &[id.into()])?.first().map(referral).transpose()
        })
    }

    /// Every flag of a referral, oldest first, with the time of its arrival.
    ///
    /// # Errors
    ///
    /// When the database fails.
    pub fn flags(&self, id: &str) -> Result<Vec<(i64, Flag)>, DbError> {
        self.read(|tx| {
            let rows = tx.query(
                "SELECT at_ms, flag FROM referral_flag WHERE referral = $1 ORDER BY at_ms, seq",
                &[id.into()],
            )?;
            let flag = |row: &Record| Ok((row.int(0)?, from_json(row.text(1)?, "a flag")?));
            rows.iter().map(flag).collect()
        })
    }

    /// Objects that were made from the result of a study, newest first.
    ///
    /// # Errors
    ///
    /// When the database fails.
    pub fn result_objects(&self, site: &str, study: &str) -> Result<Vec<StudyObject>, DbError> {
        self.read(|tx| {
            let rows = tx.query(
                "SELECT title, sop_class, sha256, bytes FROM study_object
                 WHERE site = $1 AND study = $2 AND kind = $3
                 ORDER BY at_ms DESC, title, place, sop_instance",
                &[site.into(), bounded(study).into_owned().into(), Kind::Objects.word().into()],
            )?;
            let object = |row: &Record| {
                Ok(StudyObject {
                    title: row.text(0)?.to_owned(),
                    sop_class: row.text(1)?.to_owned(),
                    sha256: row.text(2)?.to_owned(),
                    bytes: row.int(3)?,
                })
            };
            rows.iter().map(object).collect()
        })
    }
}

#[cfg(test)]
pub(super) mod tests;
