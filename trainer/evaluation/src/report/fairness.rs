//! Who waits longer, and for whom the model is worse.

use super::{areas_axis, count, difference, digits, head, none, point, table};
use crate::fairness::delays::Delay;
use crate::fairness::disparity::{Disparity, Verdict};
use crate::fairness::pairs::Rate;
use crate::measure::Evaluation;
use crate::page::{Block, Section};
use crate::plot::{Axis, BoxRow, Boxes, Forest, Group, Mark, Model, Radar, Row, Summary};
use crate::report::diagnoses::p_value;

/// The paper's threshold of clinical significance.
const MATTERS: f64 = 0.1;

pub(super) fn delays(evaluation: &Evaluation) -> Option<Section> {
    let delays = &evaluation.fairness.delays;
    if delays.is_empty() {
        return None;
    }
    let row = |delay: &Delay| {
        let crude = delay.crude.as_ref();
        let adjusted = delay.adjusted.as_ref();
        Row {
            name: format!("{}, {} h or more", delay.group, delay.at_least_h),
            note: count(delay.table.with + delay.table.without),
            estimates: vec![
                point(crude.map(|c| c.value), crude.map(|c| [c.lower, c.upper])),
                point(adjusted.map(|a| a.odds_ratio), adjusted.map(|a| [a.lower, a.upper])),
            ],
        }
    };
    let heading = |delay: &Delay| format!("{}, against {}", delay.attribute, delay.reference);
    let chart = Forest {
        head: head(evaluation, "Odds ratios of a late report"),
        x: Axis::log("odds ratio"),
        mark: Mark::Diamond,
        reference: Some(1.0),
        series: vec!["crude".to_owned(), "adjusted".to_owned()],
        note: Some("studies".to_owned()),
        groups: grouped(delays, heading, row),
    };
    let rows = delays.iter().map(|delay| {
        let table = &delay.table;
        let adjusted = delay.adjusted.as_ref();
        let late = |with, without| format!("{} of {}", count(with), count(with + without));
        let ratio =
            |value: f64, lower: f64, upper: f64| format!("{value:.2} ({lower:.2} to {upper:.2})");
        vec![
            format!("{} {}, {} h", delay.attribute, delay.group, delay.at_least_h),
            late(table.with, table.without),
            late(table.reference_with, table.reference_without),
            delay.crude.as_ref().map_or_else(none, |c| ratio(c.value, c.lower, c.upper)),
            p_value(delay.p_holm),
            adjusted.map_or_else(none, |a| ratio(a.odds_ratio, a.lower, a.upper)),
            delay.adjusted_p_holm.map_or_else(none, p_value),
        ]
    });
    Some(Section {
        id: "delays".to_owned(),
        title: "Who waits longer for a report".to_owned(),
        lead: "The health system's own delays, without the model (paper, Fig. 4). Crude odds \
               ratios compare raw groups; adjusted ones hold fixed what else differs between them."
            .to_owned(),
        blocks: vec![
            Block::Figure {
                picture: chart.draw(),
                caption: "Intervals that do not cross the dashed line are significant by \
                          themselves; the table corrects for the number of comparisons."
                    .to_owned(),
            },
            Block::Table(table(
                evaluation,
                "Late reports. Fisher's exact test for crude odds ratios; p after Holm's \
                 correction.",
                &["Group", "Late", "Late in reference", "Crude", "p", "Adjusted", "p, adjusted"],
                rows.collect(),
            )),
        ],
    })
}

pub(super) fn disparities(evaluation: &Evaluation) -> Option<Section> {
    let fairness = &evaluation.fairness;
    if fairness.disparities.is_empty() && fairness.areas.is_empty() {
        return None;
    }
    let mut blocks = vec![Block::Text(verdict(evaluation))];
    let models = vec![
        Model { name: "the group".to_owned(), values: values(evaluation, |area| area.mean_auroc) },
        Model {
            name: "all studies, same diagnoses".to_owned(),
            values: values(evaluation, |area| area.mean_auroc_population),
        },
    ];
    let shown = models.iter().flat_map(|model| model.values.iter().copied());
    let radar = Radar {
        head: head(evaluation, "Mean AUROC in every group"),
        value: areas_axis("mean AUROC", 0.4, shown),
        groups: attributes(evaluation),
        models,
    };
    blocks.push(Block::Figure {
        picture: radar.draw(),
        caption: "Groups and intersections of groups (paper, Extended Data Fig. 10a).".to_owned(),
    });
    for rate in [Rate::TruePositive, Rate::FalsePositive] {
        let own: Vec<&Disparity> = overall(evaluation, rate).collect();
        if own.is_empty() {
            continue;
        }
        let name = match rate {
            Rate::TruePositive => "true positive rate",
            Rate::FalsePositive => "false positive rate",
        };
        blocks.push(boxes(evaluation, name, &own));
        blocks.push(rates(evaluation, name, &own));
    }
    let large = fairness.disparities.iter().filter(|d| d.verdict == Verdict::Unfair);
    let rows: Vec<Vec<String>> = large
        .map(|d| vec![format!("{}, {}", d.group.title(), d.scope), ranged(d), p_value(d.p_holm)])
        .collect();
    if !rows.is_empty() {
        blocks.push(Block::Table(table(
            evaluation,
            "Groups and diagnoses for which the model is unfair.",
            &["Group and diagnoses", "Disparity", "p"],
            rows,
        )));
    }
    if !fairness.left_out.is_empty() {
        let many = fairness.left_out.len();
        let first: Vec<&str> = fairness.left_out.iter().take(10).map(String::as_str).collect();
        blocks.push(Block::Text(format!(
            "Not judged ({many}; all in metrics.json): {}.",
            first.join("; ")
        )));
    }
    Some(Section {
        id: "fairness".to_owned(),
        title: "For whom the model is worse".to_owned(),
        lead: "Rates of groups less those of all studies with the same diagnoses (paper, \
               equations 15 to 19)."
            .to_owned(),
        blocks,
    })
}

fn verdict(evaluation: &Evaluation) -> String {
    let fairness = &evaluation.fairness;
    let judged = |verdict| fairness.disparities.iter().filter(|d| d.verdict == verdict).count();
    let found = match fairness.verdict {
        Verdict::Unfair => "unfair to at least one group",
        Verdict::Fair => "fair to every group",
        Verdict::Undecided => "not shown to be unfair; for some groups there are too few studies",
    };
    format!(
        "By these studies the model is {found}. Of {} comparisons, {} are surely smaller than {}, \
         {} are at least that large and beyond chance, {} cannot be told. The paper's Mann–Whitney \
         test is given beside it; its p falls with the number of resamplings, not of patients, so \
         that the verdict does not rest on it.",
        fairness.disparities.len(),
        judged(Verdict::Fair),
        fairness.settings.matters,
        judged(Verdict::Unfair),
        judged(Verdict::Undecided)
    )
}

/// Disparities over all diagnoses, which stand first.
fn overall(evaluation: &Evaluation, rate: Rate) -> impl Iterator<Item = &Disparity> {
    let disparities = &evaluation.fairness.disparities;
    let scope = disparities.first().map(|d| d.scope.as_str());
    disparities.iter().filter(move |d| d.rate == rate && Some(d.scope.as_str()) == scope)
}

fn attribute(group: &crate::fairness::groups::Group) -> String {
    group.of.keys().map(String::as_str).collect::<Vec<_>>().join(" and ")
}

fn attributes(evaluation: &Evaluation) -> Vec<Group<String>> {
    grouped(&evaluation.fairness.areas, |area| attribute(&area.group), |area| area.group.title())
}

fn values(
    evaluation: &Evaluation,
    of: fn(&crate::fairness::areas::GroupArea) -> Option<f64>,
) -> Vec<f64> {
    let areas = &evaluation.fairness.areas;
    let groups = grouped(areas, |area| attribute(&area.group), |a| of(a).unwrap_or(f64::NAN));
    groups.into_iter().flat_map(|group| group.rows).collect()
}

/// Rows under the heading that each belongs to, headings in the order in which they first come.
fn grouped<T, R>(
    rows: &[T],
    heading: impl Fn(&T) -> String,
    row: impl Fn(&T) -> R,
) -> Vec<Group<R>> {
    let mut groups: Vec<Group<R>> = Vec::new();
    for one in rows {
        let (name, row) = (heading(one), row(one));
        match groups.iter_mut().find(|group| group.name == name) {
            Some(group) => group.rows.push(row),
            None => groups.push(Group { name, rows: vec![row] }),
        }
    }
    groups
}

fn boxes(evaluation: &Evaluation, name: &str, own: &[&Disparity]) -> Block {
    let row = |d: &&Disparity| {
        let pairs = d.resampled.in_group.iter().zip(&d.resampled.in_all);
        let differences: Vec<f64> = pairs.map(|(group, all)| group - all).collect();
        BoxRow { name: d.group.title(), summary: Summary::of(&differences) }
    };
    let resampling = &evaluation.fairness.settings.resampling;
    let chart = Boxes {
        head: head(evaluation, &format!("Disparity of the {name}")),
        x: Axis::linear("group less all studies").from_to(-0.3, 0.3),
        references: vec![-MATTERS, MATTERS],
        groups: grouped(own, |d| attribute(&d.group), row),
    };
    Block::Figure {
        picture: chart.draw(),
        caption: format!(
            "The paper's experiment: {} pairs of study and diagnosis from the group and as many of \
             the same diagnoses from all studies, {} times; dashed lines are the paper's threshold \
             of clinical significance.",
            resampling.draws, resampling.iterations
        ),
    }
}

fn rates(evaluation: &Evaluation, name: &str, own: &[&Disparity]) -> Block {
    let verdict = |d: &Disparity| match d.verdict {
        Verdict::Unfair => "unfair",
        Verdict::Fair => "fair",
        Verdict::Undecided => "too few",
    };
    let rows = own.iter().map(|d| {
        vec![
            format!("{} ({})", d.group.title(), attribute(&d.group)),
            count(d.patients),
            digits(d.in_group),
            digits(d.in_all_matched),
            ranged(d),
            p_value(d.p_holm),
            p_value(d.resampled.p_holm),
            verdict(d).to_owned(),
        ]
    });
    Block::Table(table(
        evaluation,
        &format!("The {name} of every group over all diagnoses; p after Holm's correction."),
        &[
            "Group",
            "Patients",
            "Group",
            "All, matched",
            "Disparity",
            "p",
            "p as in the paper",
            "Verdict",
        ],
        rows.collect(),
    ))
}

fn ranged(d: &Disparity) -> String {
    difference(d.disparity, [d.lower, d.upper])
}
