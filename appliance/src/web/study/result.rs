//! What the page takes from a stored `TriageResult`. It is read field by field, not as the type:
//! an older or newer program may have written it, and what cannot be read is left out.

use models::study::{LeftOut, Remark};
use serde::Deserialize;
use serde_json::Value;

use crate::store::views::SeriesView;
use crate::triage::Withheld;
use crate::web::Error;
use crate::web::language::Language;

/// The model behind the result and its scores.
#[derive(Default)]
pub(super) struct Scores {
    /// Empty when no model was asked.
    pub(super) model: String,
    pub(super) digest: String,
    pub(super) device: String,
    pub(super) statement: String,
    pub(super) intended_use: String,
    pub(super) untrained: bool,
    pub(super) simulated: bool,
    pub(super) with_context: bool,
    /// In the model's order, without those that are withheld.
    pub(super) all: Vec<Score>,
}

/// One label.
pub(super) struct Score {
    label: String,
    pub(super) name: String,
    pub(super) margin: f64,
    /// `score 1.18, threshold 0.90, margin +0.28`.
    pub(super) explained: String,
}

/// A series the model looked at.
pub(super) struct SeriesUsed {
    /// Its row, to look at it.
    pub(super) id: Option<i64>,
    pub(super) number: String,
    pub(super) name: String,
    pub(super) how: String,
    pub(super) remarks: Vec<String>,
}

/// Something the model did not look at.
pub(super) struct LeftOutView {
    pub(super) number: String,
    pub(super) name: String,
    pub(super) files: String,
    pub(super) reason: String,
}

/// Null when nothing is stored.
pub(in crate::web) fn stored_json(text: Option<&str>) -> Result<Value, Error> {
    text.map_or(Ok(Value::Null), |text| serde_json::from_str(text).map_err(Error::Stored))
}

impl Scores {
    pub(super) fn of(result: &Value, digest: &str, withheld: &[Withheld], words: Language) -> Self {
        let model = &result["model"];
        let scores = &result["outcome"]["scores"];
        Self {
            model: text(&model["id"]),
            digest: digest.to_owned(),
            device: text(&model["device"]),
            statement: text(&model["statement"]).trim_end_matches('.').to_owned(),
            intended_use: text(&model["intended_use"]),
            untrained: model["provenance"] == "untrained",
            simulated: model["provenance"] == "trained_on_simulated_data",
            with_context: scores["with_context"] == true,
            all: items(&scores["diagnosis"])
                .filter_map(|score| {
                    let label = score["name"].as_str()?;
                    if withheld.iter().any(|one| one.label == label) {
                        return None;
                    }
                    let (logit, margin) = (score["logit"].as_f64()?, score["margin"].as_f64()?);
                    let said = words.say("finding-score").with("score", format!("{logit:.2}"));
                    let said = said.with("threshold", format!("{:.2}", logit - margin));
                    Some(Score {
                        label: label.to_owned(),
                        name: words.diagnosis(label),
                        margin,
                        explained: said.with("margin", format!("{margin:+.2}")).to_string(),
                    })
                })
                .collect(),
        }
    }

    /// A finding's score beside its threshold.
    pub(super) fn explain(&self, label: &str, margin: f32, words: Language) -> String {
        match self.all.iter().find(|score| score.label == label) {
            Some(score) => score.explained.clone(),
            None => words.say("finding-margin").with("margin", format!("{margin:+.2}")).to_string(),
        }
    }
}

impl Score {
    pub(super) fn is_positive(&self) -> bool {
        self.margin >= 0.0
    }
}

pub(super) fn series_used(
    result: &Value,
    arrived: &[SeriesView],
    words: Language,
) -> Vec<SeriesUsed> {
    items(&result["series"])
        .map(|series| {
            let size: Vec<String> = items(&series["size_vox"]).map(ToString::to_string).collect();
            let part = series["part"].as_str().map(|part| format!("{part}, ")).unwrap_or_default();
            let used = words.say("series-used").with("plane", plane(&series["plane"], words));
            let used = used.with("size", size.join(" × ")).with("tokens", &series["tokens"]);
            let used = used.with("patches", &series["patches"]);
            let row = arrived.iter().find(|row| series["uid"] == row.uid.as_str());
            SeriesUsed {
                id: row.map(|row| row.id),
                number: number(&series["number"]),
                name: text(&series["name"]),
                how: format!("{part}{used}"),
                remarks: items(&series["remarks"]).map(remark).collect(),
            }
        })
        .collect()
}

fn plane(plane: &Value, words: Language) -> String {
    let key = match plane.as_str() {
        Some("axial") => "plane-axial",
        Some("coronal") => "plane-coronal",
        Some("sagittal") => "plane-sagittal",
        _ => return text(plane),
    };
    words.say(key).to_string()
}

pub(super) fn left_out(result: &Value, words: Language) -> Vec<LeftOutView> {
    items(&result["left_out"])
        .map(|left_out| LeftOutView {
            number: number(&left_out["series_number"]),
            name: text(&left_out["name"]),
            files: words
                .say("count-files")
                .n(left_out["files"].as_i64().unwrap_or_default())
                .to_string(),
            reason: LeftOut::deserialize(left_out)
                .map_or_else(|_| kind(&left_out["reason"]), |known| known.reason.to_string()),
        })
        .collect()
}

fn remark(remark: &Value) -> String {
    Remark::deserialize(remark).map_or_else(|_| kind(remark), |known| known.to_string())
}

/// The tag of something that this program does not know, as words.
fn kind(value: &Value) -> String {
    text(&value["kind"]).replace('_', " ")
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}

fn number(value: &Value) -> String {
    value.as_i64().map(|number| number.to_string()).unwrap_or_default()
}

fn items(value: &Value) -> impl Iterator<Item = &Value> {
    value.as_array().into_iter().flatten()
}
