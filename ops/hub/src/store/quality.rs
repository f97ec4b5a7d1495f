//! What became of studies and how the boxes are, without patients: whether some are left behind.

use std::collections::BTreeMap;

use exchange::telemetry::{Outcome, Telemetry};

use super::{Store, bounded, from_json, to_json};
use crate::db::{DbError, Record, Transaction};

/// Studies that a box's shares of findings are of, and after which those of the beginning are kept.
pub const SAMPLE: i64 = 200;
/// Standard errors between two samples beyond which a share is marked. Chance alone does that to
/// one share in 16,000.
const MARK: f64 = 4.0;
/// Most findings that are kept of a box.
const FINDINGS: usize = 100;
/// Longest name of a manufacturer, in characters.
const VENDOR_CHARS: usize = 64;
/// Smallest group of which figures are shown.
pub const SMALLEST: usize = 5;

/// Notes what became of a study. A later outcome of the same case replaces an earlier one, in the
/// period of the first.
///
/// # Errors
///
/// When the database fails.
pub fn apply_outcome(
    tx: &mut dyn Transaction,
    site: &str,
    outcome: &Outcome,
    now_ms: i64,
) -> Result<(), DbError> {
    let known = |word: &str, words: &[&str]| {
        if words.contains(&word) { word.to_owned() } else { String::new() }
    };
    let vendor: String = outcome.vendor.trim().chars().take(VENDOR_CHARS).collect();
    tx.execute(
        "INSERT INTO outcome
         (site, case_id, at_ms, analysed, reason, acuity, sex, age_band, vendor, result_s, decision_s,
          verdict, confirmed, judged, overridden)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15)
         ON CONFLICT (site, case_id) DO UPDATE SET analysed = excluded.analysed,
         reason = excluded.reason, acuity = excluded.acuity, sex = excluded.sex,
         age_band = excluded.age_band, vendor = excluded.vendor, result_s = excluded.result_s,
         decision_s = excluded.decision_s, verdict = excluded.verdict,
         confirmed = excluded.confirmed, judged = excluded.judged, overridden = excluded.overridden",
        &[
            site.into(),
            bounded(&outcome.case).into_owned().into(),
            now_ms.into(),
            (outcome.outcome == "analysed").into(),
            outcome.reason.as_str().into(),
            outcome.acuity.as_str().into(),
            known(&outcome.sex, &["M", "F", "O"]).into(),
            known(&outcome.age_band, &["0-17", "18-39", "40-64", "65+"]).into(),
            vendor.into(),
            outcome.result_s.into(),
            outcome.decision_s.into(),
            outcome.verdict.as_str().into(),
            i64::from(outcome.confirmed.min(outcome.judged)).into(),
            i64::from(outcome.judged).into(),
            outcome.overridden.into(),
        ],
    )?;
    Ok(())
}

/// Notes how a box is. Its shares of findings are kept as those of the beginning until it has seen
/// [`SAMPLE`] studies with its model; another model begins anew.
///
/// # Errors
///
/// When the database fails.
pub fn apply_telemetry(
    tx: &mut dyn Transaction,
    site: &str,
    telemetry: &Telemetry,
    now_ms: i64,
) -> Result<(), DbError> {
    let shares = telemetry.finding_rates.iter().take(FINDINGS);
    // JSON has numbers that are too large for ours and become infinite, which JSON has not.
    let rates: BTreeMap<_, _> = shares.map(|(k, v)| (k.clone(), v.clamp(0.0, 1.0))).collect();
    let rates_now = to_json(&rates)?;
    let told = to_json(&Telemetry { finding_rates: rates, ..telemetry.clone() })?;
    let model = bounded(&telemetry.model_sha256).into_owned();
    let before = tx.query(
        "SELECT studies FROM site_health WHERE site = $1 AND model_sha256 = $2",
        &[site.into(), model.as_str().into()],
    )?;
    let before = match before.first() {
        None => 0,
        Some(row) => row.int(0)?,
    };
    let studies = before.saturating_add(i64::from(telemetry.studies));
    tx.execute(
        "INSERT INTO site_health (site, at_ms, telemetry, model_sha256, studies, first_rates)
         VALUES ($1, $2, $3, $4, $5, $6)
         ON CONFLICT (site) DO UPDATE SET at_ms = excluded.at_ms, telemetry = excluded.telemetry,
         model_sha256 = excluded.model_sha256, studies = excluded.studies",
        &[
            site.into(),
            now_ms.into(),
            told.into(),
            model.as_str().into(),
            studies.into(),
            rates_now.as_str().into(),
        ],
    )?;
    if before < SAMPLE {
        tx.execute(
            "UPDATE site_health SET first_rates = $1 WHERE site = $2",
            &[rates_now.into(), site.into()],
        )?;
    }
    Ok(())
}

/// How often a finding is made at a site.
#[derive(Clone, Debug, PartialEq)]
pub struct Drift {
    /// As the model spells it.
    pub label: String,
    /// Its share of the first [`SAMPLE`] studies.
    pub first: f64,
    /// Its share of the last ones.
    pub now: f64,
    /// See [`has_drifted`].
    pub marked: bool,
}

/// How a box is.
#[derive(Clone, Debug, PartialEq)]
pub struct Health {
    /// When it said so.
    pub at_ms: i64,
    /// What it said.
    pub telemetry: Telemetry,
    /// Studies that it has seen with this model.
    pub studies: i64,
    /// Shares of findings, those that are marked first.
    pub drift: Vec<Drift>,
}

/// True when two shares, each of [`SAMPLE`] studies, differ by more than four standard errors.
/// Before twice as many studies were seen, the two samples overlap and nothing is marked.
#[must_use]
pub fn has_drifted(first: f64, now: f64, studies: i64) -> bool {
    let pooled = f64::midpoint(first, now);
    let error = (2.0 * pooled * (1.0 - pooled) / SAMPLE as f64).sqrt();
    studies >= 2 * SAMPLE && (now - first).abs() > MARK * error
}

/// What a group of studies is taken by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Dimension {
    /// Where.
    Site,
    /// Of the patient.
    Sex,
    /// Of the patient.
    AgeBand,
    /// Of the scanner.
    Vendor,
}

impl Dimension {
    /// All.
    pub const ALL: [Self; 4] = [Self::Site, Self::Sex, Self::AgeBand, Self::Vendor];

    /// For people and tables.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Site => "site",
            Self::Sex => "sex",
            Self::AgeBand => "age band",
            Self::Vendor => "scanner",
        }
    }
}

/// What one study adds to the figures.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Case {
    /// Values of the dimensions, in the order of [`Dimension::ALL`].
    pub of: [String; 4],
    /// It has a result.
    pub analysed: bool,
    /// From the first image to the result.
    pub result_s: Option<i64>,
    /// A reader has judged it.
    pub read: bool,
    /// Findings that the reader confirmed.
    pub confirmed: i64,
    /// Findings that the reader judged.
    pub judged: i64,
    /// The reader changed acuity or findings.
    pub overridden: bool,
}

/// A referral that was answered. Flags do not name the scanner.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Answered {
    /// Values of the dimensions but the last.
    pub of: [String; 3],
    /// From the arrival of the first flag to the first answer.
    pub answer_s: i64,
}

/// Median and 90th percentile (nearest rank).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Spread {
    /// Half are at most so long.
    pub median_s: i64,
    /// Nine of ten are at most so long.
    pub p90_s: i64,
}

/// A share with its 95 % interval after Wilson.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Share {
    /// Of so many.
    pub of: i64,
    /// From 0 to 1.
    pub value: f64,
    /// Lower end.
    pub low: f64,
    /// Upper end.
    pub high: f64,
}

/// Figures of a group; what rests on fewer than [`SMALLEST`] is left out.
#[derive(Clone, Debug, PartialEq)]
pub struct Figures {
    /// How many.
    pub studies: usize,
    /// From the first image to the result.
    pub result: Option<Spread>,
    /// From the flag to the answer.
    pub answer: Option<Spread>,
    /// Confirmed of judged findings.
    pub ppv: Option<Share>,
    /// Changed of read studies.
    pub overridden: Option<Share>,
    /// Studies without a result.
    pub no_result: Option<Share>,
}

/// A group of studies.
#[derive(Clone, Debug, PartialEq)]
pub struct Group {
    /// What it is taken by.
    pub dimension: Dimension,
    /// Which it is; empty where it is not known.
    pub name: String,
    /// `None` where too few studies are in it, or where it would give away a group with too few.
    pub figures: Option<Figures>,
}

/// The figures of every group.
#[must_use]
pub fn report(cases: &[Case], answered: &[Answered]) -> Vec<Group> {
    let dimensions = (0..).zip(Dimension::ALL);
    dimensions.flat_map(|(place, dimension)| groups(place, dimension, cases, answered)).collect()
}

fn groups(place: usize, dimension: Dimension, cases: &[Case], answered: &[Answered]) -> Vec<Group> {
    let mut members: BTreeMap<&str, (Vec<&Case>, Vec<i64>)> = BTreeMap::new();
    for case in cases {
        if let Some(name) = case.of.get(place) {
            members.entry(name).or_default().0.push(case);
        }
    }
    for answer in answered {
        if let Some(name) = answer.of.get(place) {
            members.entry(name).or_default().1.push(answer.answer_s);
        }
    }
    let mut hidden: Vec<&str> =
        members.iter().filter(|(_, (cases, _))| cases.len() < SMALLEST).map(|(n, _)| *n).collect();
    if let [only] = hidden[..] {
        // What is missing from the sum of the others would be that group.
        let others = members.iter().filter(|(name, _)| **name != only);
        hidden.extend(others.min_by_key(|(_, (cases, _))| cases.len()).map(|(name, _)| *name));
    }
    let group = |(name, (cases, waits)): (&&str, &(Vec<&Case>, Vec<i64>))| Group {
        dimension,
        name: (*name).to_owned(),
        figures: (!hidden.contains(name)).then(|| figures(cases, waits)),
    };
    members.iter().map(group).collect()
}

fn figures(cases: &[&Case], waits: &[i64]) -> Figures {
    let count = |is: fn(&Case) -> bool| {
        i64::try_from(cases.iter().filter(|case| is(case)).count()).unwrap_or(i64::MAX)
    };
    let sum = |of: fn(&Case) -> i64| cases.iter().map(|case| of(case)).sum::<i64>();
    let results: Vec<i64> = cases.iter().filter_map(|case| case.result_s).collect();
    Figures {
        studies: cases.len(),
        result: spread(results),
        answer: spread(waits.to_vec()),
        ppv: share(sum(|case| case.confirmed), sum(|case| case.judged)),
        overridden: share(count(|case| case.read && case.overridden), count(|case| case.read)),
        no_result: share(count(|case| !case.analysed), count(|_| true)),
    }
}

fn spread(mut seconds: Vec<i64>) -> Option<Spread> {
    seconds.sort_unstable();
    let rank =
        |percent: usize| seconds.get((seconds.len() * percent).div_ceil(100).checked_sub(1)?);
    let (median_s, p90_s) = (*rank(50)?, *rank(90)?);
    (seconds.len() >= SMALLEST).then_some(Spread { median_s, p90_s })
}

fn share(part: i64, of: i64) -> Option<Share> {
    /// Of the normal distribution, for 95 %.
    const Z: f64 = 1.96;
    if usize::try_from(of).unwrap_or(0) < SMALLEST {
        return None;
    }
    let n = of as f64;
    let value = part as f64 / n;
    let whole = 1.0 + Z * Z / n;
    let middle = (value + Z * Z / (2.0 * n)) / whole;
    let half = Z * (value * (1.0 - value) / n + Z * Z / (4.0 * n * n)).sqrt() / whole;
    Some(Share { of, value, low: (middle - half).max(0.0), high: (middle + half).min(1.0) })
}

impl Store {
    /// The figures of every group, of what came since `since_ms`.
    ///
    /// # Errors
    ///
    /// When the database fails.
    pub fn quality(&self, since_ms: i64) -> Result<Vec<Group>, DbError> {
        let (cases, answered) = self.read(|tx| {
            let cases = tx.query(
                "SELECT site, sex, age_band, vendor, analysed, result_s, verdict, confirmed, judged,
                 overridden FROM outcome WHERE at_ms >= $1",
                &[since_ms.into()],
            )?;
            let answered = tx.query(
                "SELECT site, sex, age_band, first_ms, answered_ms FROM referral
                 WHERE first_ms >= $1 AND answered_ms IS NOT NULL",
                &[since_ms.into()],
            )?;
            let cases = cases.iter().map(case).collect::<Result<Vec<_>, _>>()?;
            Ok((cases, answered.iter().map(answer).collect::<Result<Vec<_>, _>>()?))
        })?;
        Ok(report(&cases, &answered))
    }

    /// How every box is that has said so, by site.
    ///
    /// # Errors
    ///
    /// When the database fails.
    pub fn health(&self) -> Result<BTreeMap<String, Health>, DbError> {
        self.read(|tx| {
            let rows = tx.query(
                "SELECT site, at_ms, telemetry, studies, first_rates FROM site_health",
                &[],
            )?;
            rows.iter().map(|row| Ok((row.text(0)?.to_owned(), health(row)?))).collect()
        })
    }
}

fn case(row: &Record) -> Result<Case, DbError> {
    let text = |column| row.text(column).map(str::to_owned);
    Ok(Case {
        of: [text(0)?, text(1)?, text(2)?, text(3)?],
        analysed: row.flag(4)?,
        result_s: row.maybe_int(5)?,
        read: !row.text(6)?.is_empty(),
        confirmed: row.int(7)?,
        judged: row.int(8)?,
        overridden: row.flag(9)?,
    })
}

fn answer(row: &Record) -> Result<Answered, DbError> {
    let text = |column| row.text(column).map(str::to_owned);
    let answer_s = (row.int(4)? - row.int(3)?) / 1000;
    Ok(Answered { of: [text(0)?, text(1)?, text(2)?], answer_s })
}

fn health(row: &Record) -> Result<Health, DbError> {
    let telemetry: Telemetry = from_json(row.text(2)?, "telemetry")?;
    let first: BTreeMap<String, f32> = from_json(row.text(4)?, "shares of findings")?;
    let studies = row.int(3)?;
    let shares = telemetry.finding_rates.iter().map(|(label, now)| {
        let first = f64::from(first.get(label).copied().unwrap_or(0.0));
        let now = f64::from(*now);
        let marked = has_drifted(first, now, studies);
        Drift { label: label.clone(), first, now, marked }
    });
    let mut drift: Vec<Drift> = shares.collect();
    // Stable: by label otherwise.
    drift.sort_by_key(|share| !share.marked);
    Ok(Health { at_ms: row.int(1)?, telemetry, studies, drift })
}

#[cfg(test)]
mod tests;
