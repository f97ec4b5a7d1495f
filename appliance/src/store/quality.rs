//! What is kept of each study so that a change of a scanner, of the scores, of the results or of
//! the readers shows (`crate::quality`). Rows are written in the transaction of the result.

pub mod alarms;
pub mod judged;

use std::collections::BTreeMap;

use rusqlite::{OptionalExtension as _, Row, Transaction};
use serde::{Deserialize, Serialize};

use super::jobs::{Finished, Job};
use super::{Store, StoreError};

/// Longest text kept of a scanner's name and software.
const LONGEST: usize = 120;
/// Name of a scanner that says nothing about itself.
const NAMELESS: &str = "?";

/// What was measured on a study, without anything of its patient.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Measured {
    /// Series that were looked at.
    pub series: Vec<MeasuredSeries>,
    /// Series and files that were left out, by the kind of the reason.
    pub left_out: BTreeMap<String, u32>,
    /// Outputs of the model in the order of `outputs`; none when it said nothing.
    pub scores: Vec<f32>,
    /// Names of the outputs; kept once for each model, and not read back with a study.
    #[serde(skip)]
    pub outputs: Vec<String>,
}

/// What was measured on one series.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct MeasuredSeries {
    /// What its name speaks of: `t1`, `flair` ...
    pub kind: String,
    /// Slices as acquired.
    pub slices: f64,
    /// Distance between them.
    pub slice_mm: f64,
    /// Tokens that the model read.
    pub tokens: f64,
    /// 99th percentile of the intensities, in the scanner's units.
    pub brightness: f64,
    /// Standard deviation over mean of the foreground.
    pub contrast: f64,
    /// Standard deviation of the noise over the brightness.
    pub noise: f64,
    /// Share of the volume that is foreground.
    pub foreground: f64,
}

/// A scanner that has sent studies for a model.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Scanner {
    /// Its row.
    pub id: i64,
    /// What people call it.
    pub name: String,
    /// The reference begins behind this study.
    pub after: i64,
    /// Latest study.
    pub latest: i64,
    /// When it was looked at last.
    pub looked_at: Option<i64>,
    /// Studies since then.
    pub new: u32,
    /// Behind which study the charts of results and of overrides begin, if somebody has
    /// acknowledged an alarm of theirs.
    pub restart: [i64; 2],
}

/// A study as it was measured.
#[derive(Clone, Debug, PartialEq)]
pub struct Study {
    /// Order of first results.
    pub row: i64,
    /// When that was, in box time.
    pub at: i64,
    /// Software of the scanner.
    pub software: String,
    /// What was measured; `None` when no image was read.
    pub measured: Option<Measured>,
}

/// What became of a study, for charts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fate {
    /// Order of first results.
    pub row: i64,
    /// When that was, in box time.
    pub at: i64,
    /// There is a result.
    pub analysed: bool,
    /// A reader has changed the result, or has read the study and not changed it; `None` while
    /// nobody has read it, or there is no result.
    pub overridden: Option<bool>,
}

/// Which studies of many.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Take {
    /// The first so many.
    First(usize),
    /// The latest so many.
    Latest(usize),
}

/// What a look has found.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Look {
    /// Row of the scanner.
    pub scanner_id: i64,
    /// What people call it.
    pub scanner: String,
    /// When.
    pub at: i64,
    /// `quality::Found` as JSON.
    #[serde(skip)]
    pub found: String,
}

impl Store {
    /// Scanners that have sent studies for a model, in order of their first.
    ///
    /// # Errors
    ///
    /// When the database fails.
    pub fn monitored_scanners(&self, model_digest: &str) -> Result<Vec<Scanner>, StoreError> {
        self.read(|db| {
            let mut select = db.prepare_cached(SCANNERS)?;
            let rows = select.query_map([model_digest], |row| {
                Ok(Scanner {
                    id: row.get(0)?,
                    name: row.get(1)?,
                    after: row.get(2)?,
                    latest: row.get(3)?,
                    looked_at: row.get(4)?,
                    new: row.get(5)?,
                    restart: [row.get(6)?, row.get(7)?],
                })
            })?;
            Ok(rows.collect::<Result<_, _>>()?)
        })
    }

    /// Studies of a scanner behind one of them, oldest first.
    ///
    /// # Errors
    ///
    /// When the database fails.
    pub fn monitored_studies(
        &self,
        model_digest: &str,
        scanner_id: i64,
        after: i64,
        take: Take,
    ) -> Result<Vec<Study>, StoreError> {
        self.read(|db| {
            let (order, most) = take.sql();
            let mut select = db.prepare_cached(&format!(
                "SELECT id, at, software, measured FROM monitored
                 WHERE model_digest = ? AND scanner_id = ? AND id > ? ORDER BY id {order} LIMIT ?"
            ))?;
            let rows = select.query_map((model_digest, scanner_id, after, most), |row| {
                // What another program has stored counts as not measured.
                let measured: Option<String> = row.get(3)?;
                Ok(Study {
                    row: row.get(0)?,
                    at: row.get(1)?,
                    software: row.get(2)?,
                    measured: measured.and_then(|json| serde_json::from_str(&json).ok()),
                })
            })?;
            Ok(take.oldest_first(rows.collect::<Result<_, _>>()?))
        })
    }

    /// What became of studies of a scanner behind one of them, oldest first.
    ///
    /// # Errors
    ///
    /// When the database fails.
    pub fn monitored_fates(
        &self,
        model_digest: &str,
        scanner_id: i64,
        after: i64,
        take: Take,
    ) -> Result<Vec<Fate>, StoreError> {
        self.read(|db| {
            let (order, most) = take.sql();
            let mut select =
                db.prepare_cached(&format!("{FATES} ORDER BY m.id {order} LIMIT ?"))?;
            let rows = select.query_map((model_digest, scanner_id, after, most), fate)?;
            Ok(take.oldest_first(rows.collect::<Result<_, _>>()?))
        })
    }

    /// The latest study of a scanner, whatever its model; 0 without any.
    ///
    /// # Errors
    ///
    /// When the database fails.
    pub fn latest_monitored(&self, scanner_id: i64) -> Result<i64, StoreError> {
        self.read(|db| {
            let mut select = db.prepare_cached(
                "SELECT coalesce(max(id), 0) FROM monitored WHERE scanner_id = ?",
            )?;
            Ok(select.query_row([scanner_id], |row| row.get(0))?)
        })
    }

    /// Names of a model's outputs, in the order of [`Measured::scores`].
    ///
    /// # Errors
    ///
    /// When the database fails.
    pub fn monitored_outputs(&self, model_digest: &str) -> Result<Vec<String>, StoreError> {
        self.read(|db| {
            let mut select =
                db.prepare_cached("SELECT outputs FROM monitored_model WHERE digest = ?")?;
            let json: Option<String> =
                select.query_row([model_digest], |row| row.get(0)).optional()?;
            let stored = |source| StoreError::Stored { what: "list of outputs", source };
            json.map_or(Ok(Vec::new()), |json| serde_json::from_str(&json).map_err(stored))
        })
    }

    /// The latest look at each scanner.
    ///
    /// # Errors
    ///
    /// When the database fails.
    pub fn quality_looks(&self, model_digest: &str) -> Result<Vec<Look>, StoreError> {
        self.read(|db| {
            let mut select = db.prepare_cached(
                "SELECT s.id, s.name, l.at, l.found
                 FROM quality_look l JOIN scanner s ON s.id = l.scanner_id
                 WHERE l.model_digest = ? ORDER BY s.id",
            )?;
            let rows = select.query_map([model_digest], |row| {
                let (scanner_id, scanner) = (row.get(0)?, row.get(1)?);
                Ok(Look { scanner_id, scanner, at: row.get(2)?, found: row.get(3)? })
            })?;
            Ok(rows.collect::<Result<_, _>>()?)
        })
    }
}

impl Take {
    /// Order and limit of an SQL query.
    fn sql(self) -> (&'static str, isize) {
        match self {
            Self::First(most) => ("ASC", most.cast_signed()),
            Self::Latest(most) => ("DESC", most.cast_signed()),
        }
    }

    fn oldest_first<T>(self, mut rows: Vec<T>) -> Vec<T> {
        if matches!(self, Self::Latest(_)) {
            rows.reverse();
        }
        rows
    }
}

/// Parameter: model digest.
const SCANNERS: &str = "
    SELECT s.id, s.name,
           coalesce((SELECT after_id FROM baseline b WHERE b.model_digest = ?1
                            AND b.scanner_id = s.id ORDER BY b.id DESC LIMIT 1), 0),
           (SELECT max(id) FROM monitored m WHERE m.model_digest = ?1 AND m.scanner_id = s.id),
           l.at,
           (SELECT count(*) FROM monitored m WHERE m.model_digest = ?1 AND m.scanner_id = s.id
                                                   AND m.id > coalesce(l.upto, 0)),
           coalesce((SELECT max(restart_row) FROM quality_alarm a WHERE a.model_digest = ?1
                            AND a.scanner_id = s.id AND a.kind = 'no_result'), 0),
           coalesce((SELECT max(restart_row) FROM quality_alarm a WHERE a.model_digest = ?1
                            AND a.scanner_id = s.id AND a.kind = 'override'), 0)
    FROM scanner s LEFT JOIN quality_look l ON l.scanner_id = s.id AND l.model_digest = ?1
    WHERE EXISTS (SELECT 1 FROM monitored m WHERE m.model_digest = ?1 AND m.scanner_id = s.id)
    ORDER BY s.id";

/// Parameters: model digest, scanner, the study before the first. A result is overridden when a
/// finding of it is disagreed with or a reader gave another acuity, as in
/// [`super::decisions::FindingStatistics`].
const FATES: &str = "
    SELECT m.id, m.at, m.analysed,
           s.queue = 'done' OR EXISTS (SELECT 1 FROM decision d
                                       WHERE d.study_id = m.study_id AND d.undone_at IS NULL),
           coalesce((SELECT d.value <> r.acuity FROM decision d
                     WHERE d.study_id = m.study_id AND d.kind = 'reprioritise'
                           AND d.undone_at IS NULL ORDER BY d.id DESC LIMIT 1), 0)
           OR EXISTS (SELECT 1 FROM decision d
                      WHERE d.study_id = m.study_id AND d.kind = 'disagree'
                            AND d.undone_at IS NULL
                            AND NOT EXISTS (SELECT 1 FROM decision later
                                            WHERE later.study_id = d.study_id
                                                  AND later.finding = d.finding
                                                  AND later.id > d.id
                                                  AND later.undone_at IS NULL))
    FROM monitored m JOIN study s ON s.id = m.study_id
                     JOIN inference r ON r.id = m.inference_id
    WHERE m.model_digest = ? AND m.scanner_id = ? AND m.id > ?";

fn fate(row: &Row<'_>) -> Result<Fate, rusqlite::Error> {
    let (analysed, read, overridden): (bool, bool, bool) = (row.get(2)?, row.get(3)?, row.get(4)?);
    let overridden = (analysed && read).then_some(overridden);
    Ok(Fate { row: row.get(0)?, at: row.get(1)?, analysed, overridden })
}

/// Keeps what a result of the assisting model says of its scanner. For use in the transaction that
/// stores the result.
pub(super) fn record(
    tx: &Transaction<'_>,
    job: &Job,
    model_digest: &str,
    inference_id: i64,
    finished: &Finished,
    now: i64,
) -> Result<(), StoreError> {
    let stored = |source| StoreError::Stored { what: "measurement", source };
    let measured = finished.measured.as_ref();
    if let Some(names) = measured.map(|m| &m.outputs).filter(|names| !names.is_empty()) {
        tx.prepare_cached(
            "INSERT INTO monitored_model (digest, outputs) VALUES (?, ?) ON CONFLICT DO NOTHING",
        )?
        .execute((model_digest, serde_json::to_string(names).map_err(stored)?))?;
    }
    let (scanner_id, software) = scanner(tx, job.study_id)?;
    let measured = measured.map(serde_json::to_string).transpose().map_err(stored)?;
    tx.prepare_cached(
        "INSERT INTO monitored (study_id, model_digest, scanner_id, inference_id, analysed, at,
                                software, measured)
         VALUES (?, ?, ?, ?, ?, ?, ?, ?)
         ON CONFLICT (study_id, model_digest) DO UPDATE SET
           scanner_id = excluded.scanner_id, inference_id = excluded.inference_id,
           analysed = excluded.analysed, software = excluded.software,
           measured = excluded.measured",
    )?
    .execute((
        job.study_id,
        model_digest,
        scanner_id,
        inference_id,
        finished.not_analysed.is_none(),
        now,
        software,
        measured,
    ))?;
    Ok(())
}

/// Row of a study's scanner, which is made where it is new, and its software.
fn scanner(tx: &Transaction<'_>, study_id: i64) -> Result<(i64, String), StoreError> {
    let [serial, station, model, software]: [String; 4] = tx
        .prepare_cached(
            "SELECT device_serial, station, manufacturer, software FROM study WHERE id = ?",
        )?
        .query_row([study_id], |row| Ok([row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?]))?;
    let cut = |text: &str| text.chars().take(LONGEST).collect::<String>();
    let key = cut(first([&serial, &station, &model]));
    let name = cut(first([&station, &model, &serial]));
    let id = tx
        .prepare_cached(
            "INSERT INTO scanner (key, name) VALUES (?, ?)
             ON CONFLICT (key) DO UPDATE SET name = excluded.name RETURNING id",
        )?
        .query_row((key, name), |row| row.get(0))?;
    Ok((id, cut(&software)))
}

/// The first of these that says something.
fn first(texts: [&str; 3]) -> &str {
    texts.into_iter().find(|text| !text.is_empty()).unwrap_or(NAMELESS)
}
