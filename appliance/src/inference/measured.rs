//! What of a result is kept to watch the scanner by: figures of the images and the scores.

use models::engine::{ClassScore, StudyScores};
use models::study::kind::{KINDS, of_name};

use super::result::{Outcome, SeriesInfo, TriageResult};
use crate::store::quality::{Measured, MeasuredSeries};

/// Name of the output that stands for the classes of the priority head.
pub const PRIORITY: &str = "priority";
/// Name of the output of the age head.
pub const AGE: &str = "age";

/// The figures of a result.
#[must_use]
pub fn measured(result: &TriageResult) -> Measured {
    let mut measured = Measured {
        series: result.series.iter().filter_map(series).collect(),
        ..Measured::default()
    };
    for left_out in &result.left_out {
        let kind = serde_json::to_value(&left_out.reason).unwrap_or_default();
        let kind = kind["kind"].as_str().unwrap_or("other").to_owned();
        *measured.left_out.entry(kind).or_default() += 1;
    }
    if let Outcome::Analysed { scores } = &result.outcome {
        (measured.outputs, measured.scores) = outputs(scores).unzip();
    }
    measured
}

/// `None` for a result of a program that measured nothing.
fn series(info: &SeriesInfo) -> Option<MeasuredSeries> {
    let (look, spacing) = (info.appearance?, info.spacing_mm?);
    // A volume without signal has no ratios; they are left out later, as what is not above zero.
    let share = |of: f32, whole: f32| if whole > 0.0 { f64::from(of / whole) } else { 0.0 };
    Some(MeasuredSeries {
        kind: KINDS[of_name(&info.name)].to_owned(),
        slices: info.size_vox[2] as f64,
        slice_mm: spacing[2],
        tokens: info.tokens as f64,
        brightness: f64::from(look.p99),
        contrast: share(look.sd, look.mean),
        noise: share(look.noise, look.p99),
        foreground: f64::from(look.foreground),
    })
}

/// Every output of the model that may drift, with its name.
fn outputs(scores: &StudyScores) -> impl Iterator<Item = (String, f32)> {
    let labels = scores.diagnosis.iter().chain(&scores.referral);
    labels
        .map(|score| (score.name.clone(), score.logit))
        .chain(mean_class(&scores.priority).map(|class| (PRIORITY.to_owned(), class)))
        .chain(scores.age_years.map(|age| (AGE.to_owned(), age)))
}

/// The class that the priority head expects, counted from 0 in its order: one number that moves
/// when any class does.
fn mean_class(classes: &[ClassScore]) -> Option<f32> {
    let largest = classes.iter().map(|class| class.logit).reduce(f32::max)?;
    let weights = || classes.iter().map(|class| (class.logit - largest).exp());
    let places = (0u16..).map(f32::from);
    Some(
        weights().zip(places).map(|(weight, place)| weight * place).sum::<f32>()
            / weights().sum::<f32>(),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn result(outcome: &serde_json::Value) -> TriageResult {
        let look = serde_json::json!({"p1": 0.0, "p99": 800.0, "foreground": 0.25, "mean": 400.0,
                                      "sd": 100.0, "noise": 8.0});
        serde_json::from_value(serde_json::json!({
            "schema_version": 1,
            "model": {"id": "m", "provenance": "untrained", "statement": "", "intended_use": "",
                      "preprocessing": "v1", "device": "cpu"},
            "study": {"uid": "1.2", "description": null},
            "series": [
                {"uid": "1", "number": 1, "name": "AX_T2_FLAIR-Protocol", "part": null,
                 "plane": "axial", "size_vox": [256, 256, 25], "patches": 448, "tokens": 334,
                 "spacing_mm": [0.9, 0.9, 5.5], "appearance": look, "remarks": []},
                {"uid": "2", "number": 2, "name": "AX T1", "part": null, "plane": "axial",
                 "size_vox": [256, 256, 25], "patches": 448, "tokens": 334, "remarks": []}],
            "left_out": [
                {"series_number": 9, "name": "LOC", "files": 9, "reason": {"kind": "localiser"}},
                {"series_number": 8, "name": "LOC", "files": 9, "reason": {"kind": "localiser"}},
                {"series_number": 7, "name": "X", "files": 3,
                 "reason": {"kind": "transfer_syntax", "uid": "1.2"}}],
            "outcome": outcome, "timings": [], "explanation": null,
        }))
        .unwrap()
    }

    #[test]
    fn a_result_says_what_is_needed_and_names_nobody() {
        let score = |name: &str, logit: f32| serde_json::json!({"name": name, "logit": logit, "margin": 0.0, "probability": null});
        let class = |name: &str, logit: f32| serde_json::json!({"name": name, "logit": logit, "probability": null});
        let found = measured(&result(&serde_json::json!({"kind": "analysed", "scores": {
            "diagnosis": [score("a", 1.5), score("b", -2.0)], "referral": [score("r", 0.25)],
            "priority": [class("none", 0.0), class("low", 0.0), class("high", 0.0)],
            "age_years": 61.5, "with_context": false}})));
        assert_eq!(found.outputs, ["a", "b", "r", PRIORITY, AGE]);
        assert_eq!(found.scores, [1.5, -2.0, 0.25, 1.0, 61.5]);
        let expected = MeasuredSeries {
            kind: "flair".to_owned(),
            slices: 25.0,
            slice_mm: 5.5,
            tokens: 334.0,
            brightness: 800.0,
            contrast: 0.25,
            noise: f64::from(0.01f32),
            foreground: 0.25,
        };
        assert_eq!(found.series, [expected], "the second series was not measured");
        let left_out: Vec<_> = found.left_out.iter().map(|(k, n)| (k.as_str(), *n)).collect();
        assert_eq!(left_out, [("localiser", 2), ("transfer_syntax", 1)]);
    }

    #[test]
    fn a_study_without_a_result_is_measured_too() {
        let outcome = serde_json::json!({"kind": "not_analysed", "reason": "x"});
        let found = measured(&result(&outcome));
        assert!(found.scores.is_empty() && found.outputs.is_empty());
        assert_eq!(found.series.len(), 1);
    }
}
