//! Acuity, services, age, and the size of a trial.

use super::{count, counted, diagnoses, digits, head, none, ranged, share, table, years};
use crate::measure::Evaluation;
use crate::page::{Block, Section};
use crate::plot::{self, Axis, BoxRow, Boxes, Cloud, Confusion, Group, Head, Scatter, Summary};
use crate::priority::Priority;

pub(super) fn priority(evaluation: &Evaluation) -> Option<Section> {
    let found = evaluation.priority.as_ref()?;
    let n = format!("{} studies with a true acuity", count(found.studies));
    let row = |(class, spread): (&String, &Option<crate::plain::Spread>)| BoxRow {
        name: class.clone(),
        summary: spread.map(|s| Summary {
            n: s.count,
            quartiles: [s.lower, s.median, s.upper],
            whiskers: [s.low, s.high],
            mean: s.mean,
            outliers: Vec::new(),
        }),
    };
    let boxes = Boxes {
        head: Head::new("Priority score by true acuity", n.clone(), evaluation.command.clone()),
        x: Axis::linear("priority score, 0 least to 1 most urgent").from_to(0.0, 1.0),
        references: Vec::new(),
        groups: vec![Group {
            name: String::new(),
            rows: found.classes.iter().zip(&found.spread).map(row).collect(),
        }],
    };
    let correlation = |c: Option<statistics::metrics::Correlation>| {
        c.map_or_else(none, |c| ranged(c.value, [c.lower, c.upper]))
    };
    let line = |name: &str, of: &Priority| {
        vec![
            name.to_owned(),
            correlation(of.pearson),
            correlation(of.spearman),
            of.quadratic_kappa.map_or_else(none, digits),
            share(of.opposite),
        ]
    };
    let mut rows = vec![line("the bundle's head", found)];
    rows.extend(evaluation.objectives.iter().map(|(name, of)| line(name, of)));
    let mut blocks = vec![
        Block::Figure {
            picture: boxes.draw(),
            caption: "Expected class under the model's probabilities (paper, Fig. 2d); boxes are \
                      quartiles, dots means."
                .to_owned(),
        },
        Block::Table(crate::page::Table {
            n,
            ..table(
                evaluation,
                "Agreement with the true acuity; opposite means the most urgent class taken for \
                 the least urgent or the other way round.",
                &["Head", "Pearson", "Spearman", "Weighted kappa", "Opposite, %"],
                rows,
            )
        }),
        confusion(evaluation, "the bundle's head", found),
    ];
    blocks.extend(evaluation.objectives.iter().map(|(name, of)| confusion(evaluation, name, of)));
    Some(Section {
        id: "priority".to_owned(),
        title: "Acuity".to_owned(),
        lead: format!("Pearson correlation {}.", correlation(found.pearson)),
        blocks,
    })
}

fn confusion(evaluation: &Evaluation, name: &str, of: &Priority) -> Block {
    let chart = Confusion {
        head: Head::new(
            format!("Acuity, {name}"),
            format!("{} studies with a true acuity", count(of.studies)),
            evaluation.command.clone(),
        ),
        truth: "true acuity".to_owned(),
        predicted: "most probable acuity".to_owned(),
        classes: of.classes.clone(),
        counts: of.confusion.iter().map(|row| row.iter().map(|c| *c as u64).collect()).collect(),
    };
    Block::Figure {
        picture: chart.draw(),
        caption: "Studies by true and most probable class (paper, Extended Data Fig. 9a)."
            .to_owned(),
    }
}

pub(super) fn services(evaluation: &Evaluation) -> Option<Section> {
    let found = evaluation.services.as_ref()?;
    let chart = diagnoses::areas(head(evaluation, "AUROC of every service"), found);
    let mut blocks = vec![Block::Figure {
        picture: chart.draw(),
        caption: "Services that should see the patient (paper, Fig. 2e); the list of services is \
                  ours, the paper's is not public."
            .to_owned(),
    }];
    if let Some(departments) = &evaluation.departments {
        let rows = departments.labels.iter().map(|label| {
            let area = label.auroc.as_ref();
            vec![
                label.title.clone(),
                count(label.positives),
                area.map_or_else(none, |a| ranged(a.value, [a.lower, a.upper])),
                share(label.decisions.sensitivity),
                share(label.decisions.specificity),
            ]
        });
        blocks.push(Block::Table(table(
            evaluation,
            "Any service of a department: studies in the order of the probability that one is needed, \
             taken as independent; decisions are those for any of its services.",
            &["Department", "Positives", "AUROC", "Sensitivity, %", "Specificity, %"],
            rows.collect(),
        )));
    }
    Some(Section {
        id: "referral".to_owned(),
        title: "Referral".to_owned(),
        lead: format!("Mean AUROC over the services {}.", super::mean_text(&found.mean)),
        blocks,
    })
}

pub(super) fn age(evaluation: &Evaluation) -> Option<Section> {
    let found = evaluation.age.as_ref()?;
    let chart = Scatter {
        head: Head::new(
            "Age read from the images",
            format!("{} studies with a known age", count(found.studies)),
            evaluation.command.clone(),
        ),
        x: Axis::linear("age, years"),
        y: Axis::linear("age found, years"),
        clouds: vec![Cloud { name: "studies".to_owned(), points: found.points.clone(), fit: None }],
        identity: true,
    };
    let correlation = found.pearson.map_or_else(none, |p| ranged(p.value, [p.lower, p.upper]));
    Some(Section {
        id: "age".to_owned(),
        title: "Age".to_owned(),
        lead: format!(
            "Mean absolute error {}, Pearson correlation {correlation}.",
            years(found.mean_absolute_error_years, found.interval_years)
        ),
        blocks: vec![Block::Figure {
            picture: chart.draw(),
            caption:
                "Ages of 90 and more are written as 90. Points above the line look older than \
                      they are."
                    .to_owned(),
        }],
    })
}

pub(super) fn trial(evaluation: &Evaluation) -> Section {
    let trial = &evaluation.options.trial;
    let needed = evaluation.trial_studies.map_or_else(none, plot::count);
    let text = format!(
        "A superiority trial in parallel groups with a yes-or-no outcome, {:.0} % right answers in \
         both groups, superiority limit {:.0} %, alpha {}, power {}, needs {needed} studies; this \
         evaluation has {}. The defaults are the paper's and give its 22,338.",
        100.0 * trial.treatment,
        100.0 * trial.margin,
        trial.alpha,
        trial.power,
        counted(evaluation)
    );
    Section {
        id: "sample-size".to_owned(),
        title: "Sample size".to_owned(),
        lead: String::new(),
        blocks: vec![Block::Text(text)],
    }
}
