//! Experiments: words and images, neighbours, explanations, series left out, lesions' size.

use super::{areas_axis, count, head, none, optional, point, share, table};
use crate::measure::Evaluation;
use crate::page::{Block, Section};
use crate::plot::{Axis, Bars, Estimate, Forest, Group, Head, Mark, Row};

pub(super) fn alignment(evaluation: &Evaluation) -> Option<Section> {
    let found = evaluation.alignment.as_ref()?;
    let mut rows = vec![
        vec!["CLIP score, own report".to_owned(), optional(found.clip_score)],
        vec!["CLIP score, another study's report".to_owned(), optional(found.clip_score_others)],
    ];
    if let Some(retrieval) = &found.retrieval {
        for (what, shares) in [
            ("Image to report", &retrieval.image_to_text),
            ("Report to image", &retrieval.text_to_image),
        ] {
            for (k, value) in shares {
                let name = format!("{what}, top {k} of {}", retrieval.group);
                rows.push(vec![name, format!("{:.1} %", 100.0 * value)]);
            }
        }
    }
    let n = format!("{} studies with a report", count(found.pairs));
    let mut blocks = vec![Block::Table(crate::page::Table {
        n: n.clone(),
        ..table(
            evaluation,
            "Cosine of studies and reports, and how often a study's own report is found among \
             those of a group; by chance the first of 100 is right in 1.0 %, the first five in \
             5.0 %.",
            &["Measure", "Found"],
            rows,
        )
    })];
    if !found.zero_shot.is_empty() {
        let row = |label: &crate::alignment::ZeroShot| Row {
            name: label.title.clone(),
            note: label.auroc.as_ref().map_or_else(none, |area| count(area.positives)),
            estimates: vec![point(
                label.auroc.as_ref().map(|area| area.value),
                label.auroc.as_ref().map(|area| [area.lower, area.upper]),
            )],
        };
        let areas = found.zero_shot.iter().filter_map(|label| label.auroc.as_ref());
        let chart = Forest {
            head: Head::new("Diagnoses by prompts alone", n, evaluation.command.clone()),
            x: areas_axis("AUROC", 0.3, areas.map(|area| area.value)),
            mark: Mark::Dot,
            reference: Some(0.5),
            series: vec!["zero-shot AUROC".to_owned()],
            note: Some("positives".to_owned()),
            groups: vec![Group {
                name: String::new(),
                rows: found.zero_shot.iter().map(row).collect(),
            }],
        };
        blocks.push(Block::Figure {
            picture: chart.draw(),
            caption: format!(
                "Cosine with sentences that name a diagnosis, less the cosine with the sentence of \
                 a normal report; no head was trained. Mean {}.",
                optional(found.zero_shot_mean)
            ),
        });
    }
    Some(Section {
        id: "alignment".to_owned(),
        title: "Images and reports".to_owned(),
        lead: "Studies and reports in the space that CLIP training gives both.".to_owned(),
        blocks,
    })
}

pub(super) fn neighbours(evaluation: &Evaluation) -> Option<Section> {
    let found = evaluation.neighbours.as_ref()?;
    let row = |label: &crate::neighbours::PositiveRate| Row {
        name: label.title.clone(),
        note: count(label.positives),
        estimates: vec![point(label.positive, None), point(label.all, None)],
    };
    let chart = Bars {
        head: head(evaluation, "Normalised positive rate of the 20 nearest earlier studies"),
        x: Axis::log("times the rate among all earlier studies"),
        base: Some(1.0),
        series: vec!["studies with the diagnosis".to_owned(), "all studies".to_owned()],
        groups: vec![Group { name: String::new(), rows: found.labels.iter().map(row).collect() }],
    };
    Some(Section {
        id: "neighbours".to_owned(),
        title: "Nearest earlier studies".to_owned(),
        lead: format!(
            "Among {} earlier studies of other patients, by the cosine of the embeddings; 1 is \
             chance (paper, Extended Data Fig. 6c).",
            count(found.retrospective)
        ),
        blocks: vec![Block::Figure {
            picture: chart.draw(),
            caption: "How many times as often as everywhere the neighbours have the diagnosis."
                .to_owned(),
        }],
    })
}

pub(super) fn explanation(evaluation: &Evaluation) -> Option<Section> {
    let found = evaluation.explanation.as_ref()?;
    let mut rows: Vec<Vec<String>> = Vec::new();
    let mut line = |name: &str, of: &crate::explanation::TopShares| {
        let mut row = vec![name.to_owned()];
        row.push(of.found.first().map_or_else(none, |s| count(s.of)));
        row.extend(of.found.iter().map(|s| share(Some(*s))));
        row.push(of.chance.get(1).map_or_else(none, |c| format!("{:.1}", 100.0 * c)));
        rows.push(row);
    };
    line("all", &found.all);
    found.labels.iter().for_each(|(name, of)| line(name, of));
    let mut blocks = vec![Block::Table(crate::page::Table {
        n: format!("{} explanations", found.all.found.first().map_or(0, |s| s.of)),
        ..table(
            evaluation,
            "Explanations of rightly found diagnoses in which one of LIME's first tokens has a \
             voxel of the lesion, in per cent; the last column is what three tokens drawn blindly would \
             reach.",
            &["Diagnosis", "Explanations", "Top 1", "Top 3", "Top 5", "Top 3 by chance"],
            rows,
        )
    })];
    if let Some([own, other]) = found.two_lesions {
        blocks.push(Block::Text(format!(
            "In {} explanations the series shows another lesion apart. The first token lies in the \
             explained one in {} %, in the other one in {} %: it is the diagnosis that is explained, \
             not the most conspicuous place (paper, Extended Data Fig. 8b).",
            own.of,
            share(Some(own)),
            share(Some(other))
        )));
    }
    Some(Section {
        id: "explanations".to_owned(),
        title: "Explanations".to_owned(),
        lead: "LIME's tokens against the simulator's masks (paper, Extended Data Fig. 9d: 98.0 % \
               within the first three on BraTS)."
            .to_owned(),
        blocks,
    })
}

pub(super) fn dropping(evaluation: &Evaluation) -> Option<Section> {
    if evaluation.dropping.is_empty() {
        return None;
    }
    let blocks = evaluation.dropping.iter().map(|dropped| {
        let row = |label: &crate::dropping::Loss| Row {
            name: label.title.clone(),
            note: count(label.positives),
            estimates: vec![Estimate::from(label.whole), Estimate::from(label.dropped)],
        };
        let shown = || dropped.labels.iter().take(10);
        let chart = Bars {
            head: Head::new(
                format!("Without {}-weighted series", dropped.without),
                format!("{} studies that have such series and others", count(dropped.studies)),
                evaluation.command.clone(),
            ),
            x: areas_axis("AUROC", 0.4, shown().flat_map(|label| [label.whole, label.dropped])),
            base: None,
            series: vec!["all series".to_owned(), format!("without {}", dropped.without)],
            groups: vec![Group { name: String::new(), rows: shown().map(row).collect() }],
        };
        Block::Figure {
            picture: chart.draw(),
            caption: format!(
                "The ten diagnoses that lose most; the mean loss over all is {}.",
                optional(dropped.mean_loss)
            ),
        }
    });
    Some(Section {
        id: "dropping".to_owned(),
        title: "Series left out".to_owned(),
        lead: "The same studies without some of their series (paper, Extended Data Fig. 6d)."
            .to_owned(),
        blocks: blocks.collect(),
    })
}

pub(super) fn conspicuity(evaluation: &Evaluation) -> Option<Section> {
    let found = evaluation.conspicuity.as_ref()?;
    let kinds =
        [("Diameter, mm", &found.diameter_mm), ("Contrast to noise", &found.contrast_to_noise)];
    let rows = kinds.iter().flat_map(|(what, bins)| {
        bins.iter().map(move |bin| {
            vec![format!("{what} {}", bin.name()), count(bin.positives), optional(bin.mean_auroc)]
        })
    });
    Some(Section {
        id: "conspicuity".to_owned(),
        title: "Size and contrast of lesions".to_owned(),
        lead: "Studies whose most conspicuous lesion lies in a bin, against studies without the \
               diagnosis."
            .to_owned(),
        blocks: vec![Block::Table(table(
            evaluation,
            "Mean AUROC over the diagnoses that have such lesions.",
            &["Lesion", "Pairs of study and diagnosis", "Mean AUROC"],
            rows.collect(),
        ))],
    })
}
