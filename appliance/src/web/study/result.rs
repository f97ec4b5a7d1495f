//! What the page takes from a stored `TriageResult`. It is read field by field, not as the type:
//! an older or newer program may have written it, and what cannot be read is left out.

use models::labels::display_name;
use models::study::{LeftOut, Remark};
use serde::Deserialize;
use serde_json::Value;

use crate::store::views::SeriesView;
use crate::web::{Error, words};

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
    pub(super) with_context: bool,
    /// In the model's order.
    pub(super) all: Vec<Score>,
}

/// One label.
pub(super) struct Score {
    label: String,
    pub(super) name: String,
    pub(super) logit: f64,
    pub(super) margin: f64,
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
    pub(super) fn of(result: &Value, digest: &str) -> Self {
        let model = &result["model"];
        let scores = &result["outcome"]["scores"];
        Self {
            model: text(&model["id"]),
            digest: digest.to_owned(),
            device: text(&model["device"]),
            statement: text(&model["statement"]),
            intended_use: text(&model["intended_use"]),
            untrained: model["provenance"] == "untrained",
            with_context: scores["with_context"] == true,
            all: items(&scores["diagnosis"])
                .filter_map(|score| {
                    Some(Score {
                        label: text(&score["name"]),
                        name: display_name(score["name"].as_str()?),
                        logit: score["logit"].as_f64()?,
                        margin: score["margin"].as_f64()?,
                    })
                })
                .collect(),
        }
    }

    /// A finding's score beside its threshold.
    pub(super) fn explain(&self, label: &str, margin: f32) -> String {
        match self.all.iter().find(|score| score.label == label) {
            Some(score) => score.explain(),
            None => format!("{margin:+.2} above its threshold"),
        }
    }
}

impl Score {
    /// `score 1.18, threshold 0.90, margin +0.28`.
    pub(super) fn explain(&self) -> String {
        let threshold = self.logit - self.margin;
        format!("score {:.2}, threshold {threshold:.2}, margin {:+.2}", self.logit, self.margin)
    }

    pub(super) fn is_positive(&self) -> bool {
        self.margin >= 0.0
    }
}

pub(super) fn series_used(result: &Value, arrived: &[SeriesView]) -> Vec<SeriesUsed> {
    items(&result["series"])
        .map(|series| {
            let size: Vec<String> = items(&series["size_vox"]).map(ToString::to_string).collect();
            let part = series["part"].as_str().map(|part| format!("{part}, ")).unwrap_or_default();
            let row = arrived.iter().find(|row| series["uid"] == row.uid.as_str());
            SeriesUsed {
                id: row.map(|row| row.id),
                number: number(&series["number"]),
                name: text(&series["name"]),
                how: format!(
                    "{part}{}, {}, {} of {} patches used",
                    text(&series["plane"]),
                    size.join(" × "),
                    series["tokens"],
                    series["patches"]
                ),
                remarks: items(&series["remarks"]).map(remark).collect(),
            }
        })
        .collect()
}

pub(super) fn left_out(result: &Value) -> Vec<LeftOutView> {
    items(&result["left_out"])
        .map(|left_out| LeftOutView {
            number: number(&left_out["series_number"]),
            name: text(&left_out["name"]),
            files: words::counted(left_out["files"].as_i64().unwrap_or_default(), "file"),
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
