//! Other data sets: labels told from embeddings, and a diagnosis that all studies show.

use std::collections::BTreeSet;

use super::{areas_axis, count, none, optional, point, ranged, table};
use crate::measure::Evaluation;
use crate::page::{Align, Block, Section};
use crate::plot::{Axis, Estimate, Forest, Group, Head, Mark, Row, decimal};
use crate::transfer::data_set::{DataSet, Probed};
use crate::transfer::measure::{Estimate as Found, Measure};

pub(super) fn transfer(evaluation: &Evaluation) -> Option<Section> {
    let found = &evaluation.transfer;
    if found.is_empty() {
        return None;
    }
    let mut blocks: Vec<Block> = asked(evaluation).into_iter().chain(areas(evaluation)).collect();
    blocks.extend(
        [answers(evaluation), numbers(evaluation), sites(evaluation)].into_iter().flatten(),
    );
    blocks.extend(positives(evaluation));
    Some(Section {
        id: "transfer".to_owned(),
        title: "Other data sets".to_owned(),
        lead: "Labels that the model was never taught, told from its embeddings by probes that \
               saw no study of the same patient, and a diagnosis that every study shows (paper, \
               Methods, Prima on Public Datasets)."
            .to_owned(),
        blocks,
    })
}

/// Every label by every probe.
fn probes(evaluation: &Evaluation) -> impl Iterator<Item = (&DataSet, &Probed)> {
    evaluation.transfer.iter().flat_map(|set| set.probes.iter().map(move |probe| (set, probe)))
}

/// A table whose rows say on how many studies they rest; the first `words` columns are no numbers.
fn rows(
    evaluation: &Evaluation,
    caption: &str,
    (columns, words): (&[&str], usize),
    rows: Vec<Vec<String>>,
) -> Option<Block> {
    let mut table = table(evaluation, caption, columns, rows);
    "Studies stand in the rows".clone_into(&mut table.n);
    table.columns.iter_mut().take(words).for_each(|column| column.align = Align::Start);
    (!table.rows.is_empty()).then_some(Block::Table(table))
}

fn asked(evaluation: &Evaluation) -> Option<Block> {
    let row = |set: &DataSet| {
        let labels: BTreeSet<&str> = set.probes.iter().map(|of| of.label.as_str()).collect();
        let labels = labels.into_iter().chain(set.diagnosis.as_deref()).collect::<Vec<_>>();
        let studies = set.probes.iter().map(|of| of.studies);
        let studies = studies.chain(set.subsets.iter().map(|subset| subset.studies)).max();
        let plan = set.plan.map_or_else(none, |plan| {
            let patients = if set.patients_stated { "of patients" } else { "of studies" };
            format!("{} {patients}, {} times, seed {}", plan.folds, plan.repeats, plan.seed)
        });
        vec![
            set.name.clone(),
            labels.join(", "),
            plan,
            count(studies.unwrap_or(0)),
            count(set.refused),
        ]
    };
    rows(
        evaluation,
        "What was asked by trainer transfer; studies that could not be read count for nothing, and \
         transfer.json says why. Folds of studies are too favourable where patients have several.",
        (&["Data set", "Labels", "Folds", "Studies", "Not read"], 3),
        evaluation.transfer.iter().map(row).collect(),
    )
}

/// Areas of a label: the row's name, positive studies, the area.
fn areas_of(probed: &Probed) -> Vec<(String, String, Estimate)> {
    let area = |name: String, area: &Option<statistics::metrics::Auroc>| {
        let positives = area.map_or_else(none, |a| count(a.positives));
        (name, positives, point(area.map(|a| a.value), area.map(|a| [a.lower, a.upper])))
    };
    match &probed.measure {
        Measure::YesNo { auroc, .. } => vec![area(probed.label.clone(), auroc)],
        Measure::Class { auroc, mean_auroc, .. } => {
            let name = format!("{}, mean of the classes", probed.label);
            let mean = mean_auroc
                .map_or(Estimate::from(f64::NAN), |m| Estimate::new(m.value, [m.lower, m.upper]));
            let classes = probed.classes.iter().zip(auroc);
            let classes = classes.map(|(c, of)| area(format!("{}: {c}", probed.label), of));
            [(name, String::new(), mean)].into_iter().chain(classes).collect()
        }
        Measure::Number { .. } => Vec::new(),
    }
}

fn areas(evaluation: &Evaluation) -> Option<Block> {
    let mut series: Vec<String> = Vec::new();
    for (_, probed) in probes(evaluation) {
        if !series.contains(&probed.probe) {
            series.push(probed.probe.clone());
        }
    }
    let label = |probes: &[Probed]| -> Vec<Row> {
        let of: Vec<_> = probes.iter().map(areas_of).collect();
        let row = |(index, (name, note, _)): (usize, &(String, String, Estimate))| Row {
            name: name.clone(),
            note: note.clone(),
            estimates: (series.iter())
                .map(|name| {
                    let probe = probes.iter().position(|of| of.probe == *name);
                    let area = probe.and_then(|probe| of[probe].get(index));
                    area.map_or(Estimate::from(f64::NAN), |area| area.2)
                })
                .collect(),
        };
        of.first().map_or_else(Vec::new, |rows| rows.iter().enumerate().map(row).collect())
    };
    let groups = evaluation.transfer.iter().map(|set| Group {
        name: set.name.clone(),
        rows: set.probes.chunk_by(|a, b| a.label == b.label).flat_map(label).collect(),
    });
    let groups: Vec<Group<Row>> = groups.filter(|group| !group.rows.is_empty()).collect();
    if groups.is_empty() {
        return None;
    }
    let shown = groups.iter().flat_map(|group| &group.rows).flat_map(|row| &row.estimates);
    let chart = Forest {
        head: Head::new(
            "AUROC of labels that were never taught",
            "Studies and patients of every label stand in the tables below",
            evaluation.command.clone(),
        ),
        x: areas_axis("AUROC", 0.3, shown.map(|estimate| estimate.value)),
        mark: Mark::Dot,
        reference: Some(0.5),
        series: series.clone(),
        note: Some("positives".to_owned()),
        groups,
    };
    Some(Block::Figure {
        picture: chart.draw(),
        caption: "One class is told from all others. Whiskers are DeLong's 95 % intervals, which \
                  take studies for independent; those of means are from resampled patients."
            .to_owned(),
    })
}

/// What every row of a label begins with.
fn beginning(set: &DataSet, probed: &Probed) -> Vec<String> {
    vec![
        format!("{}: {}, {}", set.name, probed.label, probed.probe),
        count(probed.studies),
        count(probed.patients),
    ]
}

fn found(found: Option<Found>) -> String {
    found.map_or_else(none, |f| ranged(f.value, [f.lower, f.upper]))
}

fn folds([mean, sd]: [Option<f64>; 2]) -> String {
    let decimals = |value| decimal(value, 3);
    match (mean, sd) {
        (Some(mean), Some(sd)) => format!("{} ± {}", decimals(mean), decimals(sd)),
        (mean, _) => optional(mean),
    }
}

fn answers(evaluation: &Evaluation) -> Option<Block> {
    let row = |(set, probed): (&DataSet, &Probed)| {
        let cells = match &probed.measure {
            Measure::YesNo { auroc, average_precision } => [
                auroc.map_or_else(none, |a| ranged(a.value, [a.lower, a.upper])),
                optional(*average_precision),
                String::new(),
            ],
            Measure::Class { mean_auroc, accuracy, .. } => {
                [found(*mean_auroc), String::new(), found(*accuracy)]
            }
            Measure::Number { .. } => return None,
        };
        let [area, precision, accuracy] = cells;
        let mut row = beginning(set, probed);
        row.extend([area, folds(probed.folds), precision, accuracy]);
        Some(row)
    };
    rows(
        evaluation,
        "Answers and classes: AUROC, of classes its mean; mean ± SD over the folds is what the \
         paper reports; average precision of answers, share of rightly told studies of classes.",
        (&["Label and probe", "Studies", "Patients", "AUROC", "By fold", "AP", "Accuracy"], 1),
        probes(evaluation).filter_map(row).collect(),
    )
}

fn numbers(evaluation: &Evaluation) -> Option<Block> {
    let row = |(set, probed): (&DataSet, &Probed)| {
        let Measure::Number { mean_absolute_error, pearson } = &probed.measure else { return None };
        let mut row = beginning(set, probed);
        row.extend([
            found(*mean_absolute_error),
            folds(probed.folds),
            optional(probed.guess),
            found(*pearson),
            optional(probed.bias.map(|bias| bias.slope)),
        ]);
        Some(row)
    };
    rows(
        evaluation,
        "Numbers, such as an age in years: mean absolute error, beside that of saying the mean \
         for everybody; intervals from resampled patients. A slope below 1 says that what is found \
         is pulled to the mean.",
        (
            &[
                "Label and probe",
                "Studies",
                "Patients",
                "Error",
                "By fold",
                "By mean",
                "Pearson",
                "Slope",
            ],
            1,
        ),
        probes(evaluation).filter_map(row).collect(),
    )
}

fn sites(evaluation: &Evaluation) -> Option<Block> {
    let of = |(set, probed)| {
        let label = beginning(set, probed).swap_remove(0);
        let row = |(site, (studies, measure)): (&String, &(usize, Measure))| {
            let (what, value) = match measure {
                Measure::YesNo { auroc, .. } => {
                    ("AUROC", auroc.map_or_else(none, |a| ranged(a.value, [a.lower, a.upper])))
                }
                Measure::Class { mean_auroc, .. } => ("mean AUROC", found(*mean_auroc)),
                Measure::Number { mean_absolute_error, .. } => {
                    ("mean absolute error", found(*mean_absolute_error))
                }
            };
            let words = [label.clone(), site.clone(), what.to_owned()];
            words.into_iter().chain([count(*studies), value]).collect()
        };
        probed.sites.iter().map(row).collect::<Vec<Vec<String>>>()
    };
    rows(
        evaluation,
        "Every site; by the outputs that the tables above are made of.",
        (&["Label and probe", "Site", "What", "Studies", "Found"], 3),
        probes(evaluation).flat_map(of).collect(),
    )
}

fn positives(evaluation: &Evaluation) -> Option<Block> {
    let group = |set: &DataSet| {
        let diagnosis = set.diagnosis.as_ref()?;
        let rows = set.subsets.iter().map(|subset| Row {
            name: subset.subset.clone(),
            note: format!("{} of {}", count(subset.called), count(subset.studies)),
            estimates: vec![Estimate::new(subset.rate, subset.interval)],
        });
        Some(Group { name: format!("{}: {diagnosis}", set.name), rows: rows.collect() })
    };
    let groups: Vec<Group<Row>> = evaluation.transfer.iter().filter_map(group).collect();
    if groups.is_empty() {
        return None;
    }
    let chart = Forest {
        head: Head::new(
            "A diagnosis that every study shows",
            "Found, of the studies that have such series, stands in the chart",
            evaluation.command.clone(),
        ),
        x: Axis::linear("true positive rate").from_to(0.0, 1.0),
        mark: Mark::Dot,
        reference: None,
        series: vec!["true positive rate".to_owned()],
        note: Some("found".to_owned()),
        groups,
    };
    Some(Block::Figure {
        picture: chart.draw(),
        caption: "Share called at the bundle's operating point, with Wilson's 95 % intervals: \
                  from all series, from a kind of series alone, and without it. There are no \
                  negative studies, so that nothing is said of false alarms."
            .to_owned(),
    })
}
