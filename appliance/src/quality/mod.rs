//! Whether scanners, scores, results and readers are still as they were.
//!
//! [`look`] compares, scanner by scanner, the latest studies with those that the site has declared
//! normal: [`drift`] for distributions of figures and scores, [`chart`] for the rates of studies
//! without a result and of changed results. [`judged`] says how often readers agree, by groups.
//! What is compared, when an alarm is due, and how often one is false: `ops/docs/MONITORING.md`.
//!
//! Everything here is a function of rows; what is kept lies in [`crate::store::quality`].

pub mod chart;
pub mod drift;
pub mod judged;
#[cfg(test)]
mod tests;

use serde::{Deserialize, Serialize};

use crate::store::models::Mode;
use crate::store::quality::alarms::{AlarmError, Kind, Looked, Raised};
use crate::store::quality::{Scanner, Study, Take};
use crate::store::{Store, StoreError};
use chart::Chart;
use drift::Stream;

/// Studies of a scanner between two looks at it.
pub const LOOK: u32 = 20;
/// Time after which fewer are looked at, milliseconds.
const DAY_MS: i64 = 86_400_000;
/// Studies that a chart goes back.
const COURSE: usize = 2000;

/// How the watch is set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Config {
    /// Studies of a scanner that are normal by definition: the first with the model in force, or
    /// the first after somebody declared a new normal.
    pub reference: usize,
    /// The latest studies, which are compared with them.
    pub recent: usize,
    /// Studies of a scanner in which each part of the watch (distributions, results, overrides)
    /// raises one alarm for no reason, on average.
    pub studies_per_false_alarm: usize,
}

impl Default for Config {
    /// As in the built-in settings.
    fn default() -> Self {
        Self { reference: 300, recent: 100, studies_per_false_alarm: 5000 }
    }
}

/// What a look at a scanner has found.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Found {
    /// Studies that are there and that are needed before distributions are compared.
    pub studies: [usize; 2],
    /// What was compared, the furthest from its reference first.
    pub streams: Vec<Stream>,
    /// Studies without a result; `None` until the reference is complete.
    pub no_result: Option<Chart>,
    /// Results that readers changed; `None` until enough of the reference was read.
    pub overrides: Option<Chart>,
}

/// What an alarm rests on.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Evidence {
    /// The quantity or the label that is furthest from its reference; empty for charts.
    pub name: String,
    /// Other quantities or labels that have drifted too.
    pub others: usize,
    /// When it began, in box time: the first study with the new software where that has changed,
    /// else an estimate.
    pub since: i64,
    /// The study before that; a new reference begins behind it.
    pub after: i64,
    /// Mean of the reference: a share, a score, a count; 1 for ratios.
    pub before: f64,
    /// The same since then.
    pub now: f64,
    /// Population stability index; `None` for charts.
    pub psi: Option<f64>,
    /// The software before and since, where that has changed.
    pub software: Option<[String; 2]>,
}

/// Looks at every scanner that is due; returns how many were.
///
/// # Errors
///
/// When the database fails.
pub fn look(store: &Store, config: &Config) -> Result<usize, StoreError> {
    let models = store.models()?;
    let Some(model) = models.iter().find(|m| m.mode == Mode::Assist && m.in_force()) else {
        return Ok(0);
    };
    store.close_alarms_of_others(&model.digest)?;
    let now = store.clock().now();
    let mut looks = 0;
    for scanner in store.monitored_scanners(&model.digest)? {
        let waited = scanner.looked_at.is_none_or(|at| now - at >= DAY_MS);
        if scanner.new >= LOOK || waited {
            look_at(store, config, &model.digest, &scanner)?;
            looks += 1;
        }
    }
    Ok(looks)
}

/// What a scanner sends is normal from now on: from when the latest change began that an open alarm
/// tells of, else from the next study on.
///
/// # Errors
///
/// When no studies of the scanner are watched, there is no reason, or the database fails.
pub fn new_normal(
    store: &Store,
    scanner_id: i64,
    reason: &str,
    actor: &str,
) -> Result<(), AlarmError> {
    let alarms = store.alarms(0)?;
    let of_scanner = alarms.iter().filter(|alarm| alarm.scanner_id == scanner_id);
    let told = of_scanner.filter_map(|alarm| serde_json::from_str(&alarm.evidence).ok());
    let after = match told.map(|evidence: Evidence| evidence.after).max() {
        Some(after) => after,
        None => store.latest_monitored(scanner_id)?,
    };
    store.rebaseline(scanner_id, after, reason, actor)
}

fn look_at(
    store: &Store,
    config: &Config,
    model: &str,
    scanner: &Scanner,
) -> Result<(), StoreError> {
    let studies = |after, take| store.monitored_studies(model, scanner.id, after, take);
    let reference = studies(scanner.after, Take::First(config.reference))?;
    let mut found =
        Found { studies: [reference.len(), config.reference + config.recent], ..Found::default() };
    let mut raised = Vec::new();
    let complete = reference.last().filter(|_| reference.len() == config.reference);
    if let Some(last) = complete.map(|study| study.row) {
        // Twice as many as are compared, to find when a change began.
        let latest = studies(last, Take::Latest(2 * config.recent))?;
        found.studies[0] = (config.reference + latest.len()).min(found.studies[1]);
        if latest.len() >= config.recent {
            let outputs = store.monitored_outputs(model)?;
            let new = (scanner.new as usize).clamp(1, config.recent);
            let share = new as f64 / config.studies_per_false_alarm as f64;
            let compared = drift::compare(&reference, &latest, config.recent, &outputs, share);
            raised.extend(compared.alarms);
            found.streams = compared.streams;
        }
        [found.no_result, found.overrides] = charts(store, config, model, scanner, last)?;
        let charts = [(Kind::NoResult, &found.no_result), (Kind::Override, &found.overrides)];
        raised.extend(
            charts
                .into_iter()
                .filter_map(|(kind, chart)| Some((kind, chart.as_ref()?.alarm.clone()?))),
        );
    }
    let stored = |source| StoreError::Stored { what: "look", source };
    let mut texts = Vec::new();
    for (kind, evidence) in raised {
        let evidence = serde_json::to_string(&evidence).map_err(stored)?;
        texts.push(Raised { kind, evidence });
    }
    store.looked(&Looked {
        model_digest: model.to_owned(),
        scanner_id: scanner.id,
        upto: scanner.latest,
        found: serde_json::to_string(&found).map_err(stored)?,
        raised: texts,
        patience: config.recent,
    })
}

/// The charts of studies without a result and of overrides behind the reference, whose study is
/// `last`.
fn charts(
    store: &Store,
    config: &Config,
    model: &str,
    scanner: &Scanner,
    last: i64,
) -> Result<[Option<Chart>; 2], StoreError> {
    let fates = |after, take| store.monitored_fates(model, scanner.id, after, take);
    let reference = fates(scanner.after, Take::First(config.reference))?;
    let [no_result, overrides] = scanner.restart.map(|restart| restart.max(last));
    let course = fates(no_result.min(overrides), Take::Latest(COURSE))?;
    let run_length = config.studies_per_false_alarm as f64;
    Ok([
        chart::no_result(&reference, &course, no_result, run_length),
        chart::overrides(&reference, &course, overrides, run_length),
    ])
}

/// The latest software that studies, oldest first, tell of.
fn software(studies: &[Study]) -> &str {
    let mut told = studies.iter().rev().map(|study| study.software.as_str());
    told.find(|software| !software.is_empty()).unwrap_or_default()
}
