//! The worklist as rows.
//!
//! The order is that of [`crate::worklist::place`]. With 100,000 studies a page may not look at all
//! of them: an index knows the oldest studies of each queue and acuity, and a place depends on
//! nothing else, so that the page is among the first few of each.

#[cfg(test)]
mod tests;

use rusqlite::{Connection, OptionalExtension as _, Row as SqlRow, params_from_iter, types::Type};
use serde::Serialize;

use super::outbox::{AtHub, at_hub};
use super::{Store, StoreError};
use crate::triage::{Acuity, Assessment, Finding, Referral};
use crate::worklist::{AgeCaps, Facts, Queue, due_at, place};

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

    fn of_mut(&mut self, queue: Queue) -> &mut i64 {
        match queue {
            Queue::Urgent => &mut self.urgent,
            Queue::Review => &mut self.review,
            Queue::NotAnalysed => &mut self.not_analysed,
            Queue::Done => &mut self.done,
        }
    }
}

/// A page of the worklist.
#[derive(Clone, Debug, PartialEq)]
pub struct Listed {
    /// All studies that fit the search, whatever the page shows of them.
    pub counts: QueueCounts,
    /// In reading order.
    pub rows: Vec<Row>,
}

impl Store {
    /// A page of the worklist at this moment.
    ///
    /// # Errors
    ///
    /// When the database fails.
    pub fn worklist(&self, query: &WorklistQuery, caps: &AgeCaps) -> Result<Listed, StoreError> {
        let now = self.clock().now();
        self.read(|db| {
            let words = patterns(&query.search);
            let (counts, ids) = if words.is_empty() {
                (queue_counts(db)?, ordered(db, query, caps, now)?)
            } else {
                found(db, &words, query, caps, now)?
            };
            let mut select = db.prepare_cached(ROW)?;
            let rows = ids
                .into_iter()
                .map(|id| select.query_row([id], |row| read_row(db, row, caps, now)))
                .collect::<Result<_, _>>()?;
            Ok(Listed { counts, rows })
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

    /// How many studies there are in each queue.
    ///
    /// # Errors
    ///
    /// When the database fails.
    pub fn queue_counts(&self) -> Result<QueueCounts, StoreError> {
        self.read(queue_counts)
    }
}

fn queue_counts(db: &Connection) -> Result<QueueCounts, StoreError> {
    let mut select = db.prepare_cached("SELECT queue, studies FROM queue_count")?;
    let mut rows = select.query([])?;
    let mut counts = QueueCounts::default();
    while let Some(row) = rows.next()? {
        *counts.of_mut(queue_of(&row.get::<_, String>(0)?)?) = row.get(1)?;
    }
    Ok(counts)
}

/// The oldest studies of a queue and an acuity that arrived in a span of time.
const OLDEST: &str = "
    SELECT id, first_at FROM study
    WHERE queue = ?1 AND acuity IS ?2 AND first_at > ?3 AND first_at <= ?4
    ORDER BY first_at, done_at, id LIMIT ?5";

/// Those that are done, the latest first.
const DONE: &str = "
    SELECT id FROM study INDEXED BY study_done WHERE queue = 'done'
    ORDER BY done_at DESC, id DESC LIMIT ?1 OFFSET ?2";

/// The ids of a page without a search.
fn ordered(
    db: &Connection,
    query: &WorklistQuery,
    caps: &AgeCaps,
    now: i64,
) -> Result<Vec<i64>, StoreError> {
    let end = query.offset.saturating_add(query.limit);
    let mut open = Vec::new();
    for queue in [Queue::Urgent, Queue::Review, Queue::NotAnalysed] {
        if query.queue.is_none_or(|wanted| wanted == queue) {
            first_of(db, queue, caps, now, end, &mut open)?;
        }
    }
    // Fewer than `end` are all there are.
    let n_open = open.len();
    let mut ids = page(open, query, caps, now);
    let more = query.limit - ids.len();
    if more > 0 && query.queue.is_none_or(|wanted| wanted == Queue::Done) {
        let skip = query.offset.saturating_sub(n_open);
        let mut select = db.prepare_cached(DONE)?;
        let rows = select.query_map((clamped(more), clamped(skip)), |row| row.get(0))?;
        for id in rows {
            ids.push(id?);
        }
    }
    Ok(ids)
}

/// Adds the first `count` studies of an open queue, and others behind them. Among studies of one
/// acuity that are all overdue, or all not, the place is that of arrival.
fn first_of(
    db: &Connection,
    queue: Queue,
    caps: &AgeCaps,
    now: i64,
    count: usize,
    open: &mut Vec<Facts>,
) -> Result<(), StoreError> {
    let mut select = db.prepare_cached(OLDEST)?;
    for acuity in Acuity::ALL.map(Some).into_iter().chain([None]) {
        let cap = due_at(&Facts { id: 0, acuity, first_at: 0, done_at: None }, caps);
        let overdue = now.saturating_sub(cap);
        for (after, until) in [(i64::MIN, overdue), (overdue, i64::MAX)] {
            let of = (queue.word(), acuity.map(Acuity::word), after, until, clamped(count));
            let rows = select.query_map(of, |row| {
                Ok(Facts { id: row.get(0)?, acuity, first_at: row.get(1)?, done_at: None })
            })?;
            for facts in rows {
                open.push(facts?);
            }
        }
    }
    Ok(())
}

/// The ids of a page of these studies; only those of the page are put in order.
fn page(mut studies: Vec<Facts>, query: &WorklistQuery, caps: &AgeCaps, now: i64) -> Vec<i64> {
    let key = |facts: &Facts| place(facts, caps, now);
    let end = query.offset.saturating_add(query.limit);
    if end < studies.len() {
        studies.select_nth_unstable_by_key(end, key);
        studies.truncate(end);
    }
    if query.offset < studies.len() {
        studies.select_nth_unstable_by_key(query.offset, key);
    }
    let mut page = studies.split_off(query.offset.min(studies.len()));
    page.sort_unstable_by_key(key);
    page.iter().map(|facts| facts.id).collect()
}

/// SQLite's limits are signed.
fn clamped(count: usize) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}

/// Patterns of the words of a search, in which every sign means itself.
fn patterns(search: &str) -> Vec<String> {
    let words = search.split_whitespace().take(MAX_WORDS);
    words
        .map(|word| {
            let literal = word.replace('\\', "\\\\").replace('%', "\\%").replace('_', "\\_");
            format!("%{literal}%")
        })
        .collect()
}

/// The statement of a search for so many words; it reads one index from end to end.
fn search_sql(words: usize) -> String {
    let each = " AND patient_name || '^' || patient_id || '^' || accession LIKE ? ESCAPE '\\'";
    format!(
        "SELECT id, queue, acuity, first_at, done_at FROM study INDEXED BY study_search
         WHERE true{}",
        each.repeat(words)
    )
}

/// How many studies fit a search, and the ids of the page.
fn found(
    db: &Connection,
    words: &[String],
    query: &WorklistQuery,
    caps: &AgeCaps,
    now: i64,
) -> Result<(QueueCounts, Vec<i64>), StoreError> {
    let mut select = db.prepare_cached(&search_sql(words.len()))?;
    let mut rows = select.query(params_from_iter(words))?;
    let (mut counts, mut studies) = (QueueCounts::default(), Vec::new());
    while let Some(row) = rows.next()? {
        let queue = queue_of(&row.get::<_, String>(1)?)?;
        *counts.of_mut(queue) += 1;
        if query.queue.is_none_or(|wanted| wanted == queue) {
            studies.push(Facts {
                id: row.get(0)?,
                acuity: acuity_of(row.get(2)?)?,
                first_at: row.get(3)?,
                done_at: row.get(4)?,
            });
        }
    }
    Ok((counts, page(studies, query, caps, now)))
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
