//! P3: what became of a study, so that whoever looks after many sites sees which are left behind.
//! Words from lists only; nothing that somebody typed, and no date.

use exchange::telemetry::Outcome;
use rusqlite::Connection;

use super::Profile;
use super::study::StudyNow;
use crate::store::StoreError;

/// Words for the reasons for which a study is not analysed, by how these begin.
const REASONS: [(&str, &str); 10] = [
    ("no model is", "no_model"),
    ("the model's kill switch", "killed"),
    ("it holds no MR series", "modality"),
    ("it shows ", "body_part"),
    ("it was acquired at ", "field_strength"),
    ("the patient is ", "age"),
    ("it has ", "series"),
    ("no usable series", "series"),
    ("no series", "series"),
    ("its images are no longer", "deleted"),
];
/// Manufacturers of scanners by what they call themselves, in small letters.
const VENDORS: [(&str, &str); 11] = [
    ("siemens", "Siemens"),
    ("philips", "Philips"),
    ("ge medical", "GE"),
    ("ge healthcare", "GE"),
    ("canon", "Canon"),
    ("toshiba", "Canon"),
    ("hitachi", "Fujifilm"),
    ("fuji", "Fujifilm"),
    ("united imaging", "United Imaging"),
    ("uih", "United Imaging"),
    ("esaote", "Esaote"),
];

/// As the body of a row; `None` while the study shows no result.
pub(super) fn of(
    db: &Connection,
    profile: &Profile,
    study: &StudyNow,
) -> Result<Option<String>, StoreError> {
    let Some(shown) = &study.shown else { return Ok(None) };
    if shown.finished_at < profile.since_at {
        return Ok(None);
    }
    let of_kind = |kind: &str| study.decisions.iter().filter(|d| d.kind == kind).count();
    let (agreed, disagreed) = (of_kind("agree"), of_kind("disagree"));
    let count = |n: usize| u32::try_from(n).unwrap_or(u32::MAX);
    let seconds = |at: i64| at.saturating_sub(study.first_at) / 1000;
    let outcome = Outcome {
        case: profile.case(&study.uid),
        outcome: (if shown.analysed { "analysed" } else { "not_analysed" }).to_owned(),
        reason: (if shown.analysed { "" } else { word(&REASONS, &shown.reason, "failed") })
            .to_owned(),
        acuity: study.acuity.clone().unwrap_or_default(),
        sex: study.sex().to_owned(),
        age_band: study.age_years().map(age_band).unwrap_or_default().to_owned(),
        vendor: vendor(&study.manufacturer).to_owned(),
        result_s: Some(seconds(shown.finished_at)),
        decision_s: first_decision(db, study.id)?.map(seconds),
        verdict: match (agreed, disagreed) {
            (_, 1..) => "disagreed",
            (1.., 0) => "agreed",
            (0, 0) => "",
        }
        .to_owned(),
        confirmed: count(agreed),
        judged: count(agreed + disagreed),
        overridden: disagreed > 0
            || study
                .decisions
                .iter()
                .any(|d| d.kind == "reprioritise" && Some(&d.value) != shown.acuity.as_ref()),
    };
    let stored = |source| StoreError::Stored { what: "outcome", source };
    Ok(Some(serde_json::to_string(&outcome).map_err(stored)?))
}

/// When a reader first decided anything.
fn first_decision(db: &Connection, study_id: i64) -> Result<Option<i64>, StoreError> {
    let mut query = db.prepare_cached("SELECT min(at) FROM decision WHERE study_id = ?")?;
    Ok(query.query_row([study_id], |row| row.get(0))?)
}

fn word<'a>(list: &[(&str, &'a str)], text: &str, other: &'a str) -> &'a str {
    list.iter().find(|(begins, _)| text.starts_with(begins)).map_or(other, |(_, word)| *word)
}

fn vendor(manufacturer: &str) -> &'static str {
    let name = manufacturer.trim().to_lowercase();
    let found = VENDORS.iter().find(|(known, _)| name.contains(known));
    match found {
        Some((_, vendor)) => vendor,
        None if name.is_empty() => "",
        None => "other",
    }
}

pub(in crate::store) fn age_band(years: u32) -> &'static str {
    match years {
        0..18 => "0-17",
        18..40 => "18-39",
        40..65 => "40-64",
        65.. => "65+",
    }
}
