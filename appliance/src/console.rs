//! The result as a table for people.

use std::fmt::Write as _;

use models::engine::{ClassScore, LabelScore, StudyScores};
use models::labels::display_name;
use models::weights::manifest::ProvenanceKind;

use crate::inference::result::{Outcome, TriageResult};

/// Diagnoses shown.
const TOP: usize = 8;

/// The whole result, ready to print.
#[must_use]
pub fn render(result: &TriageResult) -> String {
    let mut text = String::new();
    // Writing to a String cannot fail.
    write(&mut text, result).unwrap_or_default();
    text
}

fn write(out: &mut String, result: &TriageResult) -> std::fmt::Result {
    let description = result.study.description.as_deref().unwrap_or("(no description)");
    writeln!(out, "Study  {}  {}", clean(description), clean(&result.study.uid))?;
    writeln!(
        out,
        "Model  {} on {}, preprocessing {}: {}",
        result.model.id, result.model.device, result.model.preprocessing, result.model.statement
    )?;
    if result.model.provenance == ProvenanceKind::Untrained {
        writeln!(out, "\n  UNTRAINED MODEL: the numbers below are random and mean nothing.")?;
    }
    if result.model.provenance == ProvenanceKind::TrainedOnSimulatedData {
        writeln!(out, "\n  MODEL OF SIMULATED DATA: never tried on patients; do not rely on it.")?;
    }
    series(out, result)?;
    left_out(out, result)?;
    match &result.outcome {
        Outcome::Analysed { scores } => write_scores(out, scores)?,
        Outcome::NotAnalysed { reason } => {
            writeln!(out, "\nNOT ANALYSED: {reason}. Read this study without help of the model.")?;
        }
    }
    if let Some(explanation) = &result.explanation {
        writeln!(
            out,
            "\nExplanation of {} on series {} ({} samples, {}, R2 {:.2})",
            display_name(&explanation.output),
            clean(&explanation.series),
            explanation.samples,
            explanation.weighting,
            explanation.r2
        )?;
        for picture in &explanation.pictures {
            writeln!(out, "  {}", picture.display())?;
        }
    }
    writeln!(out, "\nSeconds by stage")?;
    for timing in &result.timings {
        writeln!(out, "  {:<26} {:>8.2}", timing.stage, timing.seconds)?;
    }
    writeln!(out, "\n{}", result.model.intended_use)
}

fn series(out: &mut String, result: &TriageResult) -> std::fmt::Result {
    if result.series.is_empty() {
        return Ok(());
    }
    writeln!(out, "\nSeries used")?;
    writeln!(
        out,
        "  {:>4}  {:<40} {:<9} {:>13}  {:>12}",
        "no.", "name", "plane", "voxels", "tokens/patches"
    )?;
    for series in &result.series {
        let number = series.number.map_or_else(|| "-".to_owned(), |n| n.to_string());
        let name = match &series.part {
            Some(part) => format!("{} [{part}]", series.name),
            None => series.name.clone(),
        };
        let [columns, rows, slices] = series.size_vox;
        let voxels = format!("{columns}x{rows}x{slices}");
        let tokens = format!("{}/{}", series.tokens, series.patches);
        writeln!(
            out,
            "  {number:>4}  {:<40} {:<9} {voxels:>13}  {tokens:>12}",
            clip(&name, 40),
            series.plane
        )?;
        for remark in &series.remarks {
            writeln!(out, "        note: {}", clean(&remark.to_string()))?;
        }
    }
    Ok(())
}

fn left_out(out: &mut String, result: &TriageResult) -> std::fmt::Result {
    if result.left_out.is_empty() {
        return Ok(());
    }
    writeln!(out, "\nLeft out")?;
    for item in &result.left_out {
        let number = item.series_number.map_or_else(|| "-".to_owned(), |n| n.to_string());
        let files =
            if item.files == 1 { "1 file".to_owned() } else { format!("{} files", item.files) };
        writeln!(
            out,
            "  {number:>4}  {:<40} {files:>9}  {}",
            clip(&item.name, 40),
            clean(&item.reason.to_string())
        )?;
    }
    Ok(())
}

fn write_scores(out: &mut String, scores: &StudyScores) -> std::fmt::Result {
    if let Some(top) = scores.priority.iter().max_by(|a, b| a.logit.total_cmp(&b.logit)) {
        writeln!(out, "\nPriority  {}   ({})", top.name.to_uppercase(), classes(&scores.priority))?;
    }
    let positive = scores.diagnosis.iter().filter(|d| d.is_positive()).count();
    writeln!(
        out,
        "\nTop diagnoses ({positive} of {} at or above their threshold)",
        scores.diagnosis.len()
    )?;
    labels(out, &scores.diagnosis, TOP)?;
    if !scores.referral.is_empty() {
        writeln!(out, "\nReferral recommendations")?;
        labels(out, &scores.referral, scores.referral.len())?;
    }
    Ok(())
}

fn classes(classes: &[ClassScore]) -> String {
    let show = |c: &ClassScore| match c.probability {
        Some(p) => format!("{} {:.0} %", c.name, p * 100.0),
        None => format!("{} logit {:+.2}", c.name, c.logit),
    };
    classes.iter().map(show).collect::<Vec<_>>().join(", ")
}

/// Highest margin first; a probability is shown only when the bundle is calibrated.
fn labels(out: &mut String, labels: &[LabelScore], count: usize) -> std::fmt::Result {
    let mut sorted: Vec<&LabelScore> = labels.iter().collect();
    sorted.sort_by(|a, b| b.margin.total_cmp(&a.margin));
    for label in sorted.into_iter().take(count) {
        let mark = if label.is_positive() { '*' } else { ' ' };
        let name = display_name(&label.name);
        write!(out, "  {mark} {name:<40} margin {:+8.3}", label.margin)?;
        match label.probability {
            Some(p) => writeln!(out, "   probability {:3.0} %", p * 100.0)?,
            None => writeln!(out)?,
        }
    }
    Ok(())
}

/// Text from a DICOM file without line breaks and other control characters, which could draw
/// lines that are not ours.
fn clean(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect()
}

/// At most `width` characters.
fn clip(text: &str, width: usize) -> String {
    let text = clean(text);
    if text.chars().count() <= width {
        text
    } else {
        text.chars().take(width - 1).chain(['…']).collect()
    }
}
