//! Other networks on the same studies: ablations, baselines, scaling.

use super::{count, difference, none, optional};
use crate::comparison::{self, Comparison, Kind, Law, Row};
use crate::measure::Evaluation;
use crate::page::{Align, Block, Column, Section, Table};
use crate::plot::{self, Axis, Cloud, Fit, Head, Scatter, decimal};

pub(super) fn comparison(evaluation: &Evaluation) -> Option<Section> {
    let found = evaluation.comparison.as_ref()?;
    let mut blocks = vec![Block::Table(table(evaluation, found))];
    for law in &found.laws {
        blocks.push(Block::Figure {
            picture: scaling(evaluation, found, law).draw(),
            caption: "Logarithmic axes, so that a power law is a straight line (paper, Fig. 2c, \
                      Extended Data Fig. 6b)."
                .to_owned(),
        });
    }
    Some(Section {
        id: "comparison".to_owned(),
        title: "Other networks on the same studies".to_owned(),
        lead: format!(
            "Each trained alike and measured on {}, {} split of {}{}; differences are to {} on the \
             same patients.",
            counted(found),
            found.split,
            found.cohort,
            if found.simulated { ", which is simulated" } else { "" },
            found.reference
        ),
        blocks,
    })
}

fn table(evaluation: &Evaluation, found: &Comparison) -> Table {
    let heads =
        ["Network", "Kind", "Parameters", "Studies", "Steps", "Mean AUROC", "Difference", "Top 1"];
    let columns = heads.iter().enumerate().map(|(i, name)| Column {
        name: (*name).to_owned(),
        align: if i < 2 { Align::Start } else { Align::End },
    });
    Table {
        caption: "Ablations, baselines and scaling (paper, Extended Data Fig. 5b to 5d, 5g)."
            .to_owned(),
        n: counted(found),
        command: evaluation.command.clone(),
        columns: columns.collect(),
        rows: found.rows.iter().map(|of| row(of, &found.reference)).collect(),
    }
}

fn counted(found: &Comparison) -> String {
    format!("{} studies of {} patients", count(found.studies), count(found.patients))
}

fn row(row: &Row, reference: &str) -> Vec<String> {
    let kind = match row.entry.kind {
        Kind::Ablation => "ablation",
        Kind::Baseline => "baseline",
        Kind::Scaling => "scaling",
    };
    let difference = match row.difference {
        _ if row.entry.name == reference => "reference".to_owned(),
        Some(of) => difference(of.value, [of.lower, of.upper]),
        None => none(),
    };
    let top1 = row
        .entry
        .retrieval
        .map_or_else(none, |r| format!("{:.1} % of {}", 100.0 * r.top1, r.group));
    vec![
        row.entry.title.clone(),
        kind.to_owned(),
        plot::count(row.entry.parameters),
        count(row.entry.training_studies),
        row.entry.steps.map_or_else(none, plot::count),
        optional(row.mean_auroc),
        difference,
        top1,
    ]
}

fn scaling(evaluation: &Evaluation, found: &Comparison, law: &Law) -> Scatter {
    let x = match law.x {
        comparison::Axis::TrainingStudies => "training studies",
        comparison::Axis::Flops => "operations of training, FLOPs",
    };
    let (title, y) = match law.y {
        comparison::Error::Auroc => ("Error of the mean AUROC", "1 − mean AUROC"),
        comparison::Error::Retrieval => {
            ("Error of retrieval", "share of studies whose report is not found first")
        }
    };
    let fit = law.fit.as_ref().map(|fit| Fit {
        name: format!(
            "exponent {} ({} to {})",
            decimal(fit.exponent, 2),
            decimal(fit.lower, 2),
            decimal(fit.upper, 2)
        ),
        law: plot::Law::Power { floor: fit.offset, factor: fit.scale, exponent: fit.exponent },
    });
    Scatter {
        head: Head::new(format!("{title} by {x}"), counted(found), evaluation.command.clone()),
        x: Axis::log(x),
        y: Axis::log(y),
        clouds: vec![Cloud { name: "networks".to_owned(), points: law.points.clone(), fit }],
        identity: false,
    }
}
