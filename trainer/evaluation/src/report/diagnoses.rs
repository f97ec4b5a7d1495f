//! Diagnoses: areas, decisions, context, calibration, labels among each other.

use std::collections::BTreeMap;

use super::{
    areas_axis, count, counted, difference, digits, head, none, optional, point, share, table,
};
use crate::measure::Evaluation;
use crate::outputs::{Label, Mean, Outputs};
use crate::page::{Block, Section};
use crate::plot::{
    Bin, Calibration, Estimate, Forest, Group, Head, Heatmap, Mark, Model, Palette, Radar,
    Reliability, Row,
};

pub(super) fn diagnoses(evaluation: &Evaluation) -> Section {
    let outputs = &evaluation.diagnoses;
    let operating = table(
        evaluation,
        "Decisions at the operating points of the bundle, in per cent, with Wilson's 95 % \
         intervals. PPV and NPV hold at the frequencies of these studies only.",
        &["Diagnosis", "Positives", "Sensitivity", "Specificity", "PPV", "NPV", "AUPRC"],
        outputs.labels.iter().map(decisions).collect(),
    );
    Section {
        id: "diagnoses".to_owned(),
        title: "Diagnoses".to_owned(),
        lead: format!(
            "{} of {} diagnoses have positive and negative studies; mean AUROC {}.",
            outputs.mean.outputs,
            outputs.labels.len(),
            super::mean_text(&outputs.mean)
        ),
        blocks: vec![
            Block::Figure {
                picture: radar(evaluation).draw(),
                caption: "Every diagnosis has a spoke (paper, Fig. 2a).".to_owned(),
            },
            Block::Figure {
                picture: areas(head(evaluation, "AUROC of every diagnosis"), outputs).draw(),
                caption: "Whiskers are DeLong's 95 % intervals; the dashed line is chance. The \
                          notes give positive studies: an interval from a handful of them is wide \
                          for that reason."
                    .to_owned(),
            },
            Block::Figure {
                picture: categories(
                    head(evaluation, "Mean AUROC of every category"),
                    &outputs.categories,
                )
                .draw(),
                caption: "Means over the diagnoses of a category (paper, Extended Data Fig. 6a); \
                          whiskers from resampled patients."
                    .to_owned(),
            },
            Block::Table(operating),
        ],
    }
}

fn decisions(label: &Label) -> Vec<String> {
    let at = &label.decisions;
    vec![
        label.title.clone(),
        count(label.positives),
        share(at.sensitivity),
        share(at.specificity),
        share(at.ppv),
        share(at.npv),
        optional(label.average_precision),
    ]
}

fn by_category<T>(labels: &[Label], row: impl Fn(&Label) -> T) -> Vec<Group<T>> {
    let mut groups: BTreeMap<&str, Vec<T>> = BTreeMap::new();
    for label in labels {
        groups.entry(&label.category).or_default().push(row(label));
    }
    groups.into_iter().map(|(name, rows)| Group { name: name.to_owned(), rows }).collect()
}

fn radar(evaluation: &Evaluation) -> Radar {
    let in_order = |outputs: &Outputs| -> Vec<f64> {
        let groups = by_category(&outputs.labels, value);
        groups.into_iter().flat_map(|group| group.rows).collect()
    };
    let mut models =
        vec![Model { name: "images".to_owned(), values: in_order(&evaluation.diagnoses) }];
    if let Some(context) = &evaluation.context {
        let values = in_order(&context.with_context);
        models.push(Model { name: "images and clinical context".to_owned(), values });
    }
    let shown = models.iter().flat_map(|model| model.values.iter().copied());
    Radar {
        head: head(evaluation, "AUROC by category"),
        value: areas_axis("AUROC", 0.4, shown),
        groups: by_category(&evaluation.diagnoses.labels, |label| label.title.clone()),
        models,
    }
}

fn value(label: &Label) -> f64 {
    label.auroc.as_ref().map_or(f64::NAN, |area| area.value)
}

/// One row an output, by category.
pub(super) fn areas(head: Head, outputs: &Outputs) -> Forest {
    let row = |label: &Label| Row {
        name: label.title.clone(),
        note: count(label.positives),
        estimates: vec![point(
            label.auroc.as_ref().map(|area| area.value),
            label.auroc.as_ref().map(|area| [area.lower, area.upper]),
        )],
    };
    Forest {
        head,
        x: areas_axis("AUROC", 0.3, outputs.labels.iter().map(value)),
        mark: Mark::Dot,
        reference: Some(0.5),
        series: vec!["AUROC".to_owned()],
        note: Some("positives".to_owned()),
        groups: by_category(&outputs.labels, row),
    }
}

fn categories(head: Head, means: &BTreeMap<String, Mean>) -> Forest {
    let row = |(name, mean): (&String, &Mean)| Row {
        name: name.clone(),
        note: count(mean.outputs),
        estimates: vec![point(mean.auroc, mean.interval.map(|i| [i.lower, i.upper]))],
    };
    Forest {
        head,
        x: areas_axis("mean AUROC", 0.4, means.values().filter_map(|mean| mean.auroc)),
        mark: Mark::Dot,
        reference: Some(0.5),
        series: vec!["mean AUROC".to_owned()],
        note: Some("diagnoses".to_owned()),
        groups: vec![Group { name: String::new(), rows: means.iter().map(row).collect() }],
    }
}

pub(super) fn context(evaluation: &Evaluation) -> Option<Section> {
    let context = evaluation.context.as_ref()?;
    let pairs = context.images.labels.iter().zip(&context.with_context.labels);
    let rows = pairs.zip(&context.differences).map(|((images, both), change)| {
        vec![
            images.title.clone(),
            optional(images.auroc.as_ref().map(|area| area.value)),
            optional(both.auroc.as_ref().map(|area| area.value)),
            change.as_ref().map_or_else(none, |d| difference(d.value, [d.lower, d.upper])),
            change.as_ref().map_or_else(none, |d| p_value(d.p_value)),
        ]
    });
    let lead = format!(
        "Mean AUROC {} from images, {} with the study's indication beside them.",
        super::mean_text(&context.images.mean),
        super::mean_text(&context.with_context.mean)
    );
    Some(Section {
        id: "context".to_owned(),
        title: "Clinical context".to_owned(),
        lead,
        blocks: vec![Block::Table(crate::page::Table {
            n: format!("{} studies with an indication", count(context.studies)),
            ..table(
                evaluation,
                "Difference by DeLong's test on the same studies, without correction for the \
                 number of diagnoses.",
                &["Diagnosis", "Images", "With context", "Difference", "p"],
                rows.collect(),
            )
        })],
    })
}

/// A p-value with as many digits as mean something.
pub(super) fn p_value(p: f64) -> String {
    if p < 0.001 { "< 0.001".to_owned() } else { digits(p) }
}

pub(super) fn reliability(evaluation: &Evaluation) -> Option<Section> {
    let found = evaluation.reliability.as_ref()?;
    let bins = found.bins.iter().map(|bin| Bin {
        predicted: bin.confidence,
        observed: Estimate {
            value: bin.frequency,
            interval: Some([bin.interval.lower, bin.interval.upper]),
        },
        count: bin.studies as u64,
    });
    let chart = Reliability {
        head: Head::new(
            "Reliability of probabilities",
            format!("{} pairs of study and diagnosis; {}", count(found.pairs), counted(evaluation)),
            evaluation.command.clone(),
        ),
        models: vec![Calibration {
            name: format!("all diagnoses, ECE {}", digits(found.expected_calibration_error)),
            bins: bins.collect(),
        }],
    };
    let rows = found.labels.iter().map(|label| {
        vec![
            label.title.clone(),
            count(label.positives),
            digits(label.expected_calibration_error),
            digits(label.brier),
        ]
    });
    Some(Section {
        id: "calibration".to_owned(),
        title: "Calibration".to_owned(),
        lead: format!(
            "Expected calibration error {}, Brier score {}, over all diagnoses.",
            digits(found.expected_calibration_error),
            digits(found.brier)
        ),
        blocks: vec![
            Block::Figure {
                picture: chart.draw(),
                caption: "Frequency of a diagnosis against the probability stated, with Wilson's \
                          intervals; the dashed line is perfect. The paper's diagram (Extended \
                          Data Fig. 6e) shows balanced accuracy instead."
                    .to_owned(),
            },
            Block::Table(table(
                evaluation,
                "Calibration of every diagnosis.",
                &["Diagnosis", "Positives", "Expected calibration error", "Brier score"],
                rows.collect(),
            )),
        ],
    })
}

pub(super) fn multilabel(evaluation: &Evaluation) -> Section {
    let found = &evaluation.multilabel;
    let labels = &evaluation.header.diagnoses;
    let names: Vec<String> = found.order.iter().map(|i| labels[*i].title.clone()).collect();
    let ordered = |matrix: &[Vec<Option<f64>>]| -> Vec<Vec<f64>> {
        let row =
            |i: &usize| found.order.iter().map(|j| matrix[*i][*j].unwrap_or(f64::NAN)).collect();
        found.order.iter().map(row).collect()
    };
    let matrix = |title: &str, value: &str, centre, reach, values, lower_triangle| Heatmap {
        head: head(evaluation, title),
        value: value.to_owned(),
        palette: Palette::Diverging { centre, reach },
        row_name: if lower_triangle { "label" } else { "logit" }.to_owned(),
        column_name: "label".to_owned(),
        rows: names.clone(),
        columns: names.clone(),
        values,
        lower_triangle,
    };
    let areas = matrix("Logits against labels", "AUROC", 0.5, 0.5, ordered(&found.auroc), false);
    let correlations =
        matrix("Labels that go together", "phi", 0.0, 1.0, ordered(&found.correlation), true);
    Section {
        id: "multilabel".to_owned(),
        title: "Diagnoses among each other".to_owned(),
        lead: "Every logit measured against every label (paper, Extended Data Fig. 8a); diagnoses \
               with alike rows stand side by side."
            .to_owned(),
        blocks: vec![
            Block::Figure {
                picture: areas.draw(),
                caption: "Red off the diagonal: the logit of one diagnosis rises with another, \
                          because they occur together, look alike, or are confused."
                    .to_owned(),
            },
            Block::Figure {
                picture: correlations.draw(),
                caption: "How often labels occur together: what of the matrix above is due to the \
                          patients, not to the model."
                    .to_owned(),
            },
        ],
    }
}
