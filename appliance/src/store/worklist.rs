//! The worklist as rows. The order is that of [`crate::worklist::place`], written once more as
//! SQL because only the database can page through 100,000 studies; a test compares the two.

#[cfg(test)]
mod tests;

use rusqlite::{Connection, OptionalExtension as _, Row as SqlRow, named_params, types::Type};
use serde::Serialize;

use super::outbox::{AtHub, at_hub};
use super::{Store, StoreError};
use crate::triage::{Acuity, Assessment, Finding, Referral};
use crate::worklist::{AgeCaps, Facts, Queue, due_at};

/// Most words of a search that are looked at.
const MAX_WORDS: usize = 8;

/// Which rows of the worklist.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct WorklistQuery {
    /// One queue, or all studies: open ones in reading order, then those that are done.
    pub queue: Option<Queue>,
    /// Words, each of which must occur in the patient's name or ID or the accession number. Case
    /// matters for letters other than A to Z. Empty for no search.
    pub search: String,
    /// Rows to skip.
    pub offset: usize,
    /// Rows to return.
    pub limit: usize,
}

/// A study on the worklist. Times are box time in milliseconds, texts as in DICOM and empty when
/// absent.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Row {
    /// Row of the study.
    pub id: i64,
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
    /// Study Description.
    pub description: String,
    /// `receiving`, `waiting`, `triaging` or `settled`.
    pub state: String,
    /// Times the study was complete; above 0 while `receiving` means late images.
    pub generation: i64,
    /// The latest generation lacks announced images.
    pub partial: bool,
    /// Images that arrived.
    pub instances: i64,
    /// Images announced by the scanner.
    pub expected_instances: Option<i64>,
    /// Where the study stands.
    pub queue: Queue,
    /// In force; `None` when nobody knows.
    pub acuity: Option<Acuity>,
    /// What the shown result says.
    pub model_acuity: Option<Acuity>,
    /// What a reader set, unless undone. The acuity in force is higher when images that arrived
    /// later say so.
    pub overridden_acuity: Option<Acuity>,
    /// The shown result.
    pub inference_id: Option<i64>,
    /// Its findings, most acute first.
    pub findings: Vec<Finding>,
    /// Its referrals, most urgent first.
    pub referrals: Vec<Referral>,
    /// Why the shown result has no answer; `None` when it has one or there is no result.
    pub not_analysed: Option<String>,
    /// First image arrived.
    pub first_at: i64,
    /// Last image arrived.
    pub last_at: i64,
    /// The latest generation was complete.
    pub complete_at: Option<i64>,
    /// The shown result was there.
    pub finished_at: Option<i64>,
    /// A reader finished with it.
    pub done_at: Option<i64>,
    /// It goes to the front of the list.
    pub due_at: i64,
    /// It has gone there and is not done.
    pub overdue: bool,
    /// What of it is at the hub; `None` when it was never referred to one.
    pub hub: Option<AtHub>,
}

/// Studies in each queue.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct QueueCounts {
    /// In [`Queue::Urgent`].
    pub urgent: i64,
    /// In [`Queue::Review`].
    pub review: i64,
    /// In [`Queue::NotAnalysed`].
    pub not_analysed: i64,
    /// In [`Queue::Done`].
    pub done: i64,
}

impl QueueCounts {
    /// Studies in one queue.
    #[must_use]
    pub fn of(&self, queue: Queue) -> i64 {
        match queue {
            Queue::Urgent => self.urgent,
            Queue::Review => self.review,
            Queue::NotAnalysed => self.not_analysed,
            Queue::Done => self.done,
        }
    }
}

impl Store {
    /// A page of the worklist, in reading order at this moment.
    ///
    /// # Errors
    ///
    /// When the database fails.
    pub fn worklist(&self, query: &WorklistQuery, caps: &AgeCaps) -> Result<Vec<Row>, StoreError> {
        let now = self.clock().now();
        self.read(|db| {
            let ids = ordered_ids(db, query, caps, now)?;
            let mut select = db.prepare_cached(ROW)?;
            ids.into_iter()
                .map(|id| Ok(select.query_row([id], |row| read_row(db, row, caps, now))?))
                .collect()
        })
    }

    /// The row of one study; `None` when there is no such study.
    ///
    /// # Errors
    ///
    /// When the database fails.
    pub fn worklist_row(&self, study_id: i64, caps: &AgeCaps) -> Result<Option<Row>, StoreError> {
        let now = self.clock().now();
        self.read(|db| {
            let mut select = db.prepare_cached(ROW)?;
            Ok(select.query_row([study_id], |row| read_row(db, row, caps, now)).optional()?)
        })
    }

    /// How many studies match the search, in each queue. An empty search matches all.
    ///
    /// # Errors
    ///
    /// When the database fails.
    pub fn queue_counts(&self, search: &str) -> Result<QueueCounts, StoreError> {
        self.read(|db| {
            let (filter, words) = filter(search);
            // A search reads whole rows, which by way of the index would be in random order.
            let table = if words.is_some() { "study NOT INDEXED" } else { "study" };
            let sql = format!("SELECT queue, count(*) FROM {table} WHERE {filter} GROUP BY queue");
            let mut select = db.prepare_cached(&sql)?;
            let mut rows = select.query(named_params! { ":words": words })?;
            let mut counts = QueueCounts::default();
            while let Some(row) = rows.next()? {
                let count = row.get(1)?;
                match queue_of(&row.get::<_, String>(0)?)? {
                    Queue::Urgent => counts.urgent = count,
                    Queue::Review => counts.review = count,
                    Queue::NotAnalysed => counts.not_analysed = count,
                    Queue::Done => counts.done = count,
                }
            }
            Ok(counts)
        })
    }
}

fn ordered_ids(
    db: &Connection,
    query: &WorklistQuery,
    caps: &AgeCaps,
    now: i64,
) -> Result<Vec<i64>, StoreError> {
    let (filter, words) = filter(&query.search);
    let sql = order_sql(query.queue, filter);
    let cap = |acuity| due_at(&Facts { id: 0, acuity, first_at: 0, done_at: None }, caps);
    let mut select = db.prepare_cached(&sql)?;
    let rows = select.query_map(
        named_params! {
            ":queue": query.queue.map(Queue::word),
            ":words": words,
            ":high": cap(Some(Acuity::High)),
            ":medium": cap(Some(Acuity::Medium)),
            ":low": cap(Some(Acuity::Low)),
            ":none": cap(Some(Acuity::None)),
            ":not_analysed": cap(None),
            ":now": now,
            ":limit": i64::try_from(query.limit).unwrap_or(i64::MAX),
            ":offset": i64::try_from(query.offset).unwrap_or(i64::MAX),
        },
        |row| row.get(0),
    )?;
    Ok(rows.collect::<Result<_, _>>()?)
}

/// Mirrors [`crate::worklist::place`]. Without a search it reads only the index `study_queue`.
fn order_sql(queue: Option<Queue>, filter: &str) -> String {
    let queue_filter = if queue.is_some() { "queue = :queue" } else { ":queue IS NULL" };
    format!(
        "WITH placed AS (
             SELECT id, first_at, done_at, queue = 'done' AS done,
                    CASE acuity WHEN 'high' THEN 0 WHEN 'low' THEN 2 WHEN 'none' THEN 3 ELSE 1 END
                        AS rank,
                    first_at + CASE acuity WHEN 'high' THEN :high WHEN 'medium' THEN :medium
                                           WHEN 'low' THEN :low WHEN 'none' THEN :none
                                           ELSE :not_analysed END AS due_at
             FROM study WHERE {queue_filter} AND {filter})
         SELECT id FROM placed
         ORDER BY CASE WHEN done THEN 2 WHEN due_at <= :now THEN 0 ELSE 1 END,
                  CASE WHEN done THEN -done_at WHEN due_at <= :now THEN due_at ELSE rank END,
                  CASE WHEN done THEN -id WHEN due_at <= :now THEN rank ELSE first_at END,
                  id
         LIMIT :limit OFFSET :offset"
    )
}

/// The condition of a search and its parameter `:words`, a JSON list of patterns.
fn filter(search: &str) -> (&'static str, Option<String>) {
    let patterns: Vec<String> = search
        .split_whitespace()
        .take(MAX_WORDS)
        .map(|word| {
            let literal = word.replace('\\', "\\\\").replace('%', "\\%").replace('_', "\\_");
            format!("%{literal}%")
        })
        .collect();
    if patterns.is_empty() {
        return (":words IS NULL", None);
    }
    let condition = "NOT EXISTS (
        SELECT 1 FROM json_each(:words)
        WHERE patient_name || '^' || patient_id || '^' || accession NOT LIKE value ESCAPE '\\')";
    (condition, Some(serde_json::Value::from(patterns).to_string()))
}

const ROW: &str = "
    SELECT study.id AS id, uid, patient_id, patient_name, birth_date, sex, age, accession,
           study_date, description, state, study.generation AS generation,
           study.partial AS partial, expected_instances, queue, study.acuity AS acuity,
           shown_inference, first_at, last_at, complete_at, done_at,
           inference.acuity AS model_acuity, inference.outcome AS outcome,
           inference.reason AS why, inference.assessment AS assessment,
           inference.finished_at AS finished_at,
           (SELECT count(*) FROM instance WHERE study_id = study.id) AS instances,
           (SELECT value FROM decision
            WHERE study_id = study.id AND kind = 'reprioritise' AND undone_at IS NULL
            ORDER BY id DESC LIMIT 1) AS overridden
    FROM study LEFT JOIN inference ON inference.id = study.shown_inference
    WHERE study.id = ?";

fn read_row(
    db: &Connection,
    row: &SqlRow<'_>,
    caps: &AgeCaps,
    now: i64,
) -> Result<Row, rusqlite::Error> {
    let (id, first_at, done_at) = (row.get("id")?, row.get("first_at")?, row.get("done_at")?);
    let acuity = acuity_of(row.get("acuity")?)?;
    let due_at = due_at(&Facts { id, acuity, first_at, done_at }, caps);
    let outcome: Option<String> = row.get("outcome")?;
    let mut not_analysed =
        if outcome.as_deref() == Some("not_analysed") { row.get("why")? } else { None };
    let (mut findings, mut referrals) = (Vec::new(), Vec::new());
    if let Some(text) = row.get::<_, Option<String>>("assessment")? {
        // An assessment of a program that wrote another format must not take the list down.
        match serde_json::from_str::<Assessment>(&text) {
            Ok(assessment) => (findings, referrals) = (assessment.findings, assessment.referrals),
            Err(_) => {
                let why = "the stored assessment cannot be read; analyse the study again";
                not_analysed = Some(why.to_owned());
            }
        }
    }
    Ok(Row {
        id,
        uid: row.get("uid")?,
        patient_id: row.get("patient_id")?,
        patient_name: row.get("patient_name")?,
        birth_date: row.get("birth_date")?,
        sex: row.get("sex")?,
        age: row.get("age")?,
        accession: row.get("accession")?,
        study_date: row.get("study_date")?,
        description: row.get("description")?,
        state: row.get("state")?,
        generation: row.get("generation")?,
        partial: row.get("partial")?,
        instances: row.get("instances")?,
        expected_instances: row.get("expected_instances")?,
        queue: queue_of(&row.get::<_, String>("queue")?)?,
        acuity,
        model_acuity: acuity_of(row.get("model_acuity")?)?,
        overridden_acuity: acuity_of(row.get("overridden")?)?,
        inference_id: row.get("shown_inference")?,
        findings,
        referrals,
        not_analysed,
        first_at,
        last_at: row.get("last_at")?,
        complete_at: row.get("complete_at")?,
        finished_at: row.get("finished_at")?,
        done_at,
        due_at,
        overdue: done_at.is_none() && due_at <= now,
        hub: at_hub(db, id)?,
    })
}

fn queue_of(word: &str) -> Result<Queue, rusqlite::Error> {
    Queue::from_word(word).ok_or_else(|| unknown_word(word))
}

pub(super) fn acuity_of(word: Option<String>) -> Result<Option<Acuity>, rusqlite::Error> {
    word.map(|word| Acuity::from_word(&word).ok_or_else(|| unknown_word(&word))).transpose()
}

/// The schema's CHECKs make this impossible, short of a newer program's file.
fn unknown_word(word: &str) -> rusqlite::Error {
    let source = format!("unknown word {word:?}").into();
    rusqlite::Error::FromSqlConversionFailure(0, Type::Text, source)
}
