//! The document: from the numbers of an [`Evaluation`] alone, so that it can be drawn again from
//! `metrics.json`.

mod comparison;
mod diagnoses;
mod experiments;
mod fairness;
mod tasks;
mod transfer;

use crate::plain::Share;

use statistics::interval::Interval;

use crate::measure::Evaluation;
use crate::page::{Align, Block, Column, Page, Section, Table};
use crate::plot::{self, Axis, Estimate, Head, decimal};

/// The whole document.
#[must_use]
pub fn page(evaluation: &Evaluation) -> Page {
    let header = &evaluation.header;
    let facts = [
        ("Model", header.model.clone()),
        ("Studies", counted(evaluation)),
        ("Cohort", format!("{}; {} split", header.cohort, header.split)),
        ("Command", evaluation.command.clone()),
    ];
    let sections = [
        Some(summary(evaluation)),
        Some(diagnoses::diagnoses(evaluation)),
        diagnoses::context(evaluation),
        diagnoses::reliability(evaluation),
        Some(diagnoses::multilabel(evaluation)),
        tasks::priority(evaluation),
        tasks::services(evaluation),
        tasks::age(evaluation),
        experiments::alignment(evaluation),
        experiments::neighbours(evaluation),
        experiments::explanation(evaluation),
        experiments::dropping(evaluation),
        experiments::conspicuity(evaluation),
        comparison::comparison(evaluation),
        transfer::transfer(evaluation),
        fairness::delays(evaluation),
        fairness::disparities(evaluation),
        Some(tasks::trial(evaluation)),
        Some(method(evaluation)),
    ];
    Page {
        title: format!("Evaluation of {}", header.model),
        simulated: header.simulated,
        facts: facts.map(|(name, value)| (name.to_owned(), value)).to_vec(),
        sections: sections.into_iter().flatten().collect(),
    }
}

/// The main results as lines of text.
#[must_use]
pub fn text(evaluation: &Evaluation) -> String {
    let rows = results(evaluation);
    let width = rows.iter().map(|row| row[0].chars().count()).max().unwrap_or(0);
    let lines = rows.iter().map(|[what, found, _]| format!("{what:<width$}  {found}"));
    lines.collect::<Vec<_>>().join("\n")
}

/// The figures that the paper states in its abstract and Results: name, ours, the paper's.
fn results(evaluation: &Evaluation) -> Vec<[String; 3]> {
    let mut rows = Vec::new();
    let mut row = |what: &str, found: String, paper: &str| {
        rows.push([what.to_owned(), found, paper.to_owned()]);
    };
    let mean = &evaluation.diagnoses.mean;
    row("Diagnoses, mean AUROC (± SD over diagnoses)", mean_text(mean), "0.901 ± 0.050");
    if let Some(context) = &evaluation.context {
        let mean = &context.with_context.mean;
        row("Diagnoses with clinical context", mean_text(mean), "0.921 ± 0.055");
    }
    if let Some(priority) = &evaluation.priority {
        let found = priority.pearson.map_or_else(none, |p| ranged(p.value, [p.lower, p.upper]));
        row("Acuity, Pearson correlation", found, "0.69 (0.68 to 0.70)");
    }
    for label in evaluation.services.iter().flat_map(|services| &services.categories) {
        let paper = match label.0.as_str() {
            "neurology" => "0.891 ± 0.050",
            "neurosurgery" => "0.851 ± 0.060",
            _ => "",
        };
        row(&format!("Referral to {}, mean AUROC", label.0), mean_text(label.1), paper);
    }
    if let Some(age) = &evaluation.age {
        let error = years(age.mean_absolute_error_years, age.interval_years);
        row("Age, mean absolute error", error, "");
    }
    if let Some(explanation) = &evaluation.explanation {
        let top3 = explanation.all.found.get(1).copied();
        row("LIME, one of the first 3 tokens in the lesion, %", share(top3), "98.0 (BraTS)");
    }
    if let Some(reliability) = &evaluation.reliability {
        let error = digits(reliability.expected_calibration_error);
        row("Expected calibration error", error, "");
    }
    rows
}

fn summary(evaluation: &Evaluation) -> Section {
    Section {
        id: "summary".to_owned(),
        title: "Summary".to_owned(),
        lead: "What the paper states on 29,435 studies of one health system stands beside; other \
               studies, other figures."
            .to_owned(),
        blocks: vec![Block::Table(table(
            evaluation,
            "Main results with 95 % intervals.",
            &["Result", "Found", "Paper"],
            results(evaluation).into_iter().map(Vec::from).collect(),
        ))],
    }
}

fn method(evaluation: &Evaluation) -> Section {
    let text = format!(
        "Intervals of single areas are DeLong's (1988); those of means, of mean errors and of the \
         bootstrap column are percentiles of {} resamples of patients, seed {}: a patient is drawn \
         with all of its studies. Intervals of shares are Wilson's. ± is the standard deviation \
         over outputs, as in the paper, and says nothing about how sure a mean is.\n\nResearch \
         use; not a medical device. A figure on simulated studies says how the program works and \
         how models compare on one simulation; it is no estimate of clinical performance.",
        evaluation.options.resamples, evaluation.options.seed
    );
    Section {
        id: "method".to_owned(),
        title: "How it was computed".to_owned(),
        lead: String::new(),
        blocks: vec![Block::Text(text)],
    }
}

/// Title, n and command of a chart over all studies.
fn head(evaluation: &Evaluation, title: &str) -> Head {
    Head::new(title, counted(evaluation), evaluation.command.clone())
}

fn counted(evaluation: &Evaluation) -> String {
    let [studies, patients] = [evaluation.studies, evaluation.patients].map(count);
    format!("{studies} studies of {patients} patients")
}

/// A number with its thousands apart.
fn count(number: usize) -> String {
    plot::count(number as u64)
}

/// A table over all studies, whose first column is words.
fn table(
    evaluation: &Evaluation,
    caption: &str,
    columns: &[&str],
    rows: Vec<Vec<String>>,
) -> Table {
    let column = |(i, name): (usize, &&str)| Column {
        name: (*name).to_owned(),
        align: if i == 0 { Align::Start } else { Align::End },
    };
    Table {
        caption: caption.to_owned(),
        n: counted(evaluation),
        command: evaluation.command.clone(),
        columns: columns.iter().enumerate().map(column).collect(),
        rows,
    }
}

fn none() -> String {
    "n/a".to_owned()
}

fn digits(value: f64) -> String {
    decimal(value, 3)
}

/// A difference, with its sign.
fn signed(value: f64) -> String {
    let plus = if value >= 0.0005 { "+" } else { "" };
    format!("{plus}{}", digits(value))
}

fn optional(value: Option<f64>) -> String {
    value.map_or_else(none, digits)
}

fn ranged(value: f64, [lower, upper]: [f64; 2]) -> String {
    format!("{} ({} to {})", digits(value), digits(lower), digits(upper))
}

/// A difference with its interval.
fn difference(value: f64, [lower, upper]: [f64; 2]) -> String {
    format!("{} ({} to {})", signed(value), signed(lower), signed(upper))
}

fn years(value: f64, interval: Option<Interval>) -> String {
    match interval {
        Some(Interval { lower, upper }) => format!("{value:.1} years ({lower:.1} to {upper:.1})"),
        None => format!("{value:.1} years"),
    }
}

/// A share in per cent with its interval, for a column that says so.
fn share(share: Option<Share>) -> String {
    share.map_or_else(none, |s| {
        format!("{:.1} ({:.1}–{:.1})", 100.0 * s.value, 100.0 * s.lower, 100.0 * s.upper)
    })
}

fn mean_text(mean: &crate::outputs::Mean) -> String {
    let (Some(value), Some(sd)) = (mean.auroc, mean.sd) else { return none() };
    match mean.interval {
        Some(Interval { lower, upper }) => {
            format!("{value:.3} ± {sd:.3} ({lower:.3} to {upper:.3})")
        }
        None => format!("{value:.3} ± {sd:.3}"),
    }
}

/// An axis of areas under the ROC curve up to 1: from `low`, or the tenth below the smallest of
/// `values`, so that none lies outside.
fn areas_axis(name: &str, low: f64, values: impl IntoIterator<Item = f64>) -> Axis {
    let smallest = values.into_iter().fold(low, f64::min);
    let low = if smallest < low { (10.0 * smallest).floor() / 10.0 } else { low };
    Axis::linear(name).from_to(low, 1.0)
}

/// A value that may be missing, for a chart.
fn point(value: Option<f64>, interval: Option<[f64; 2]>) -> Estimate {
    Estimate { value: value.unwrap_or(f64::NAN), interval }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_area_lies_outside_and_minus_signs_are_that() {
        let range = |values: &[f64]| areas_axis("", 0.4, values.iter().copied()).range.unwrap();
        assert_eq!(range(&[0.9, f64::NAN]), [0.4, 1.0]);
        assert_eq!(range(&[0.9, 0.38]), [0.3, 1.0]);
        assert_eq!(range(&[0.3]), [0.3, 1.0]);
        assert_eq!(range(&[0.04, 0.5]), [0.0, 1.0]);
        assert_eq!(difference(0.0123, [-0.0004, 0.025]), "+0.012 (0.000 to +0.025)");
        assert_eq!(difference(-0.5, [-1.0, 0.0]), "−0.500 (−1.000 to 0.000)");
        assert_eq!(ranged(-0.2, [-0.25, 0.1]), "−0.200 (−0.250 to 0.100)");
    }
}
