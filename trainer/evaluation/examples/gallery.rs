//! Every chart and the page, with made-up numbers of a real report's size:
//! `cargo run -p evaluation --example gallery -- FOLDER`.

use std::error::Error;
use std::fs;
use std::path::PathBuf;

use evaluation::page::{Align, Block, Column, Page, Section, Table};
use evaluation::plot::{
    Axis, Bars, Bin, BoxRow, Boxes, Calibration, Cloud, Confusion, Curves, Estimate, Fit, Forest,
    Group, Head, Heatmap, Law, Line, Mark, Model, Palette, Picture, Radar, Reliability, Row,
    Scatter, Summary,
};
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use rand_distr::{Distribution, Normal};

/// The published labels by category, as people say them.
const LABELS: [(&str, &[&str]); 13] = [
    ("Cyst", &["arachnoid cyst", "colloid cyst"]),
    (
        "Developmental",
        &["Dandy–Walker malformation", "dysgenesis of the corpus callosum", "heterotopia"],
    ),
    ("Infectious", &["brain abscess", "viral encephalitis"]),
    ("Inflammatory", &["multiple sclerosis", "neurosarcoid"]),
    ("Sellar", &["craniopharyngioma", "pituitary adenoma", "Rathke's cleft cyst"]),
    (
        "Structural",
        &[
            "brain herniation",
            "cephaloceles",
            "cerebral atrophy",
            "Chiari malformation",
            "edema",
            "encephalomalacia",
            "mass effect",
            "midline shift",
            "syrinx",
        ],
    ),
    ("Surgical", &["catheter", "craniotomy", "resection cavity"]),
    ("Trauma", &["brain contusion", "diffuse axonal injury", "subdural hematoma"]),
    (
        "Tumour, adult",
        &[
            "brain metastasis",
            "glioma",
            "high grade glioma",
            "low grade glioma",
            "lymphoma",
            "meningioma",
            "pineal tumor",
            "schwannoma",
        ],
    ),
    (
        "Tumour, paediatric",
        &[
            "brainstem glioma",
            "ependymoma",
            "germ cell tumor",
            "medulloblastoma",
            "pilocytic astrocytoma",
        ],
    ),
    (
        "Vascular, hemorrhagic",
        &["intracranial hemorrhage", "intraventricular hemorrhage", "subarachnoid hemorrhage"],
    ),
    (
        "Vascular, ischemic and malformation",
        &[
            "lacunar stroke",
            "large vessel stroke",
            "moyamoya",
            "small vessel disease",
            "arteriovenous malformation",
            "cavernoma",
            "cerebral aneurysm",
        ],
    ),
    ("Ventricular", &["intracranial hypotension", "ventriculomegaly"]),
];
const N: &str = "n = 29,431 studies of 24,118 patients";

struct Draw(ChaCha8Rng);

impl Draw {
    fn normal(&mut self, mean: f64, deviation: f64) -> f64 {
        Normal::new(mean, deviation).map_or(mean, |normal| normal.sample(&mut self.0))
    }

    fn around(&mut self, value: f64, width: f64) -> Estimate {
        let half = width * self.0.random_range(0.6..1.6);
        Estimate::new(value, [value - half, (value + half * 0.8).min(1.0)])
    }
}

fn head(title: &str, part: &str) -> Head {
    Head::new(
        title,
        N,
        format!("trainer evaluate --set runs/2026-05/predictions --only {part} --out report"),
    )
}

fn names() -> Vec<String> {
    LABELS.iter().flat_map(|(_, names)| names.iter().map(|name| (*name).to_owned())).collect()
}

fn forest(draw: &mut Draw, models: usize) -> Picture {
    let mut row = |name: &&str| {
        let estimates = (0..models).map(|index| {
            let value = draw.normal(0.90 + 0.02 * index as f64, 0.045).min(0.998);
            draw.around(value, 0.018)
        });
        Row {
            name: (*name).to_owned(),
            estimates: estimates.collect(),
            note: draw.0.random_range(14..4000).to_string(),
        }
    };
    let groups = LABELS.iter().map(|(group, names)| Group {
        name: (*group).to_owned(),
        rows: names.iter().map(&mut row).collect(),
    });
    let mut groups: Vec<Group<Row>> = groups.collect();
    groups[2].rows[0].estimates[0] = Estimate::from(f64::NAN);
    groups[1].rows[1].estimates[0] = Estimate::new(0.62, [0.41, 0.78]);
    let series = ["MRI alone", "MRI with clinical context", "2D CLIP, mean pooled"];
    Forest {
        head: head("Area under the ROC curve of every diagnosis", "diagnosis"),
        x: Axis::linear("AUROC").from_to(0.5, 1.0),
        mark: Mark::Dot,
        reference: None,
        series: series.iter().take(models).map(|name| (*name).to_owned()).collect(),
        note: Some("positives".to_owned()),
        groups,
    }
    .draw()
}

fn odds() -> Picture {
    let row = |name: &str, value: f64, low: f64, high: f64, n: &str| Row {
        name: name.to_owned(),
        note: n.to_owned(),
        estimates: vec![Estimate::new(value, [low, high])],
    };
    let group = |name: &str, rows: Vec<Row>| Group { name: name.to_owned(), rows };
    Forest {
        head: head("Odds ratios of a turnaround time above 7 days", "fairness"),
        x: Axis::log("odds ratio against the reference group (logarithmic)"),
        mark: Mark::Diamond,
        reference: Some(1.0),
        series: vec!["odds ratio".to_owned()],
        note: Some("studies".to_owned()),
        groups: vec![
            group(
                "Population density of the county",
                vec![
                    row("lowest quartile", 1.83, 1.52, 2.20, "6,204"),
                    row("second quartile", 1.21, 1.02, 1.44, "7,511"),
                    row("third quartile", 1.04, 0.87, 1.23, "7,894"),
                    row("highest quartile (reference)", 1.0, f64::NAN, f64::NAN, "7,822"),
                ],
            ),
            group(
                "Region",
                vec![
                    row("Upper Peninsula", 3.41, 2.30, 5.05, "412"),
                    row("Northwest", 2.27, 1.71, 3.02, "981"),
                    row("Southeast", 0.93, 0.82, 1.06, "18,403"),
                    row("out of state", f64::INFINITY, 2.1, f64::INFINITY, "7"),
                ],
            ),
            group(
                "Schedule",
                vec![
                    row("weekend or holiday", 1.47, 1.26, 1.71, "5,112"),
                    row("working day (reference)", 1.0, f64::NAN, f64::NAN, "24,319"),
                ],
            ),
        ],
    }
    .draw()
}

fn radar(draw: &mut Draw) -> Picture {
    let groups = LABELS.iter().map(|(group, names)| Group {
        name: (*group).to_owned(),
        rows: names.iter().map(|name| (*name).to_owned()).collect(),
    });
    let mut model = |name: &str, mean: f64, deviation: f64| Model {
        name: name.to_owned(),
        values: (0..52).map(|_| draw.normal(mean, deviation).clamp(0.42, 0.995)).collect(),
    };
    let mut models = vec![
        model("Prima with clinical context, mean 0.920", 0.92, 0.045),
        model("Prima, MRI alone, mean 0.901", 0.90, 0.05),
        model("2D CLIP, mean pooled, mean 0.742", 0.74, 0.07),
    ];
    models[2].values[7] = f64::NAN;
    Radar {
        head: head("AUROC of every diagnosis by model", "diagnosis"),
        value: Axis::linear("AUROC, 0.4 at the centre, 1.0 at the rim").from_to(0.4, 1.0),
        groups: groups.collect(),
        models,
    }
    .draw()
}

fn small_radar(draw: &mut Draw) -> Picture {
    let group = |name: &str, rows: &[&str]| Group {
        name: name.to_owned(),
        rows: rows.iter().map(|name| (*name).to_owned()).collect(),
    };
    Radar {
        head: head("Mean AUROC in intersections of groups", "fairness"),
        value: Axis::linear("mean AUROC").from_to(0.8, 1.0),
        groups: vec![
            group("Women", &["below 18", "18 to 39", "40 to 64", "65 and above"]),
            group("Men", &["below 18", "18 to 39", "40 to 64", "65 and above"]),
        ],
        models: vec![Model {
            name: "Prima, MRI alone".to_owned(),
            values: (0..8).map(|_| draw.normal(0.91, 0.012)).collect(),
        }],
    }
    .draw()
}

fn boxes(draw: &mut Draw) -> Picture {
    let mut row = |name: &str, mean: f64, n: usize| {
        let values: Vec<f64> = (0..n).map(|_| draw.normal(mean, 0.035)).collect();
        BoxRow { name: name.to_owned(), summary: Summary::of(&values) }
    };
    Boxes {
        head: head("Difference of true positive rates between groups", "fairness"),
        x: Axis::linear("true positive rate of the group minus that of the reference group"),
        references: vec![-0.1, 0.1],
        groups: vec![
            Group {
                name: "Population density".to_owned(),
                rows: vec![
                    row("lowest quartile", -0.012, 52),
                    row("second quartile", 0.004, 52),
                    row("third quartile", 0.011, 52),
                ],
            },
            Group {
                name: "Sex".to_owned(),
                rows: vec![row("female", 0.002, 52), row("unknown", 0.0, 0)],
            },
            Group {
                name: "Scanner".to_owned(),
                rows: vec![row("Siemens", 0.0, 52), row("GE", 0.01, 52), row("Philips", -0.04, 52)],
            },
        ],
    }
    .draw()
}

fn priority(draw: &mut Draw) -> Picture {
    let mut row = |name: &str, mean: f64, n: usize| {
        let values: Vec<f64> = (0..n).map(|_| draw.normal(mean, 0.4).clamp(0.0, 3.0)).collect();
        BoxRow { name: name.to_owned(), summary: Summary::of(&values) }
    };
    Boxes {
        head: head("Acuity by the model, by acuity of the findings", "priority"),
        x: Axis::linear("acuity by the model, 0 none to 3 high").from_to(0.0, 3.0),
        references: vec![],
        groups: vec![Group {
            name: String::new(),
            rows: vec![
                row("none", 0.5, 12_000),
                row("low", 1.0, 7000),
                row("medium", 1.8, 6000),
                row("high", 2.5, 4431),
            ],
        }],
    }
    .draw()
}

fn roc() -> Picture {
    let line = |name: &str, power: f64| Line {
        name: name.to_owned(),
        points: (0..=2000)
            .map(|index| {
                let x = f64::from(index) / 2000.0;
                let x = x * x;
                [x, x.powf(power)]
            })
            .collect(),
    };
    Curves {
        head: head("ROC curves of referrals", "referral"),
        x: Axis::linear("1 − specificity").from_to(0.0, 1.0),
        y: Axis::linear("sensitivity").from_to(0.0, 1.0),
        lines: vec![
            line("neurosurgery, AUROC 0.91 (0.90–0.92)", 0.1),
            line("neurology, AUROC 0.88 (0.87–0.89)", 0.136),
            line("neuro-oncology, AUROC 0.93 (0.91–0.95)", 0.075),
            line("neuroimmunology, AUROC 0.86 (0.83–0.88)", 0.163),
            line("paediatric neurosurgery, AUROC 0.83 (0.78–0.88)", 0.205),
        ],
        diagonal: true,
    }
    .draw()
}

fn learning() -> Picture {
    let line = |name: &str, start: f64, rate: f64| Line {
        name: name.to_owned(),
        points: (0..=20)
            .map(|step| [f64::from(step), 0.5 + start * (1.0 - (-rate * f64::from(step)).exp())])
            .collect(),
    };
    Curves {
        head: head("Retrieval during training", "retrieval"),
        x: Axis::linear("epoch"),
        y: Axis::linear("share of studies whose report is among the first five of 100"),
        lines: vec![
            line("with patient discrimination", 0.42, 0.5),
            line("without patient discrimination", 0.40, 0.12),
        ],
        diagonal: false,
    }
    .draw()
}

fn reliability() -> Picture {
    let model = |name: &str, bend: f64| Calibration {
        name: name.to_owned(),
        bins: (0..10)
            .map(|index| {
                let predicted = (f64::from(index) + 0.5) / 10.0;
                let observed: f64 = predicted.powf(bend);
                let count = 24_000_u64 / u64::from(3_u32.pow(u32::try_from(index).unwrap_or(0)));
                let half = (observed * (1.0 - observed) / (count as f64 + 1.0)).sqrt() * 1.96;
                let observed = Estimate::new(observed, [observed - half, observed + half]);
                Bin { predicted, observed, count }
            })
            .collect(),
    };
    Reliability {
        head: head("Calibration of the probability of glioma", "calibration"),
        models: vec![
            model("logistic function of the logit; ECE 0.083, Brier score 0.061", 1.6),
            model("after Platt's calibration; ECE 0.012, Brier score 0.048", 1.05),
        ],
    }
    .draw()
}

fn age(draw: &mut Draw, n: usize) -> Picture {
    let points = (0..n).map(|_| {
        let x: f64 = draw.0.random_range(1.0..95.0);
        [x, (3.0 + 0.92 * x + draw.normal(0.0, 6.0)).max(0.0)]
    });
    Scatter {
        head: head("Age that images look like, against age", "age"),
        x: Axis::linear("age, years").from_to(0.0, 100.0),
        y: Axis::linear("age by the model, years").from_to(0.0, 100.0),
        clouds: vec![Cloud {
            name: "study".to_owned(),
            points: points.collect(),
            fit: Some(Fit {
                name: "y = 3.0 + 0.92 x, r = 0.97, mean absolute error 4.8 years".to_owned(),
                law: Law::Straight { intercept: 3.0, slope: 0.92 },
            }),
        }],
        identity: true,
    }
    .draw()
}

fn scaling(draw: &mut Draw) -> Picture {
    let mut cloud = |name: &str, factor: f64, exponent: f64| {
        let sizes = [1000.0, 3000.0, 10_000.0, 30_000.0, 100_000.0, 220_000.0];
        let points = sizes.map(|x: f64| [x, factor * x.powf(exponent) * draw.normal(1.0, 0.03)]);
        Cloud {
            name: name.to_owned(),
            points: points.to_vec(),
            fit: Some(Fit {
                name: format!("{factor:.2} x^{exponent:.2}"),
                law: Law::Power { floor: 0.0, factor, exponent },
            }),
        }
    };
    Scatter {
        head: head("Error against the number of studies learned from", "scaling"),
        x: Axis::log("training studies"),
        y: Axis::log("1 − mean AUROC"),
        clouds: vec![cloud("hierarchical ViT", 1.1, -0.21), cloud("2D CNN", 0.9, -0.13)],
        identity: false,
    }
    .draw()
}

fn heatmap(draw: &mut Draw, triangle: bool) -> Picture {
    let names = names();
    let groups: Vec<usize> = LABELS
        .iter()
        .enumerate()
        .flat_map(|(index, (_, names))| names.iter().map(move |_| index))
        .collect();
    let mut value = |row: usize, column: usize| {
        let near = match (row == column, groups[row] == groups[column]) {
            (true, _) => 1.0,
            (_, true) => 0.5,
            _ => 0.0,
        };
        match triangle {
            true if row == column => 1.0,
            true => draw.normal(near * 0.6, 0.12),
            false => (draw.normal(0.5 + near * 0.42, 0.06)).min(0.99),
        }
    };
    let mut values: Vec<Vec<f64>> =
        (0..52).map(|row| (0..52).map(|column| value(row, column)).collect()).collect();
    values[20][5] = f64::NAN;
    let palette = match triangle {
        true => Palette::Diverging { centre: 0.0, reach: 1.0 },
        false => Palette::Diverging { centre: 0.5, reach: 0.5 },
    };
    let (title, value) = match triangle {
        true => ("Correlation of the labels", "Pearson correlation"),
        false => ("AUROC of every logit for every label", "AUROC"),
    };
    Heatmap {
        head: head(title, "explanation"),
        value: value.to_owned(),
        palette,
        row_name: if triangle { "label" } else { "logit of the model" }.to_owned(),
        column_name: "label of the report".to_owned(),
        rows: names.clone(),
        columns: names,
        values,
        lower_triangle: triangle,
    }
    .draw()
}

fn confusion() -> Picture {
    Confusion {
        head: head("Acuity: ordinal head", "priority"),
        truth: "acuity by the report".to_owned(),
        predicted: "acuity by the model".to_owned(),
        classes: ["none", "low", "medium", "high"].map(str::to_owned).to_vec(),
        counts: vec![
            vec![10_423, 1391, 171, 15],
            vec![1702, 4203, 1010, 85],
            vec![201, 962, 3871, 966],
            vec![12, 118, 903, 3398],
        ],
    }
    .draw()
}

fn bars(draw: &mut Draw) -> Picture {
    let mut row = |name: &str, value: f64| Row {
        name: name.to_owned(),
        note: String::new(),
        estimates: (0..3)
            .map(|index| draw.around(value - 0.04 * f64::from(index), 0.012))
            .collect(),
    };
    Bars {
        head: head("Mean AUROC with one kind of series left out", "modality"),
        x: Axis::linear("mean AUROC").from_to(0.5, 1.0),
        base: Some(0.5),
        series: ["tumours", "strokes", "multiple sclerosis"].map(str::to_owned).to_vec(),
        groups: vec![Group {
            name: String::new(),
            rows: vec![
                row("all series", 0.94),
                row("without FLAIR", 0.91),
                row("without diffusion", 0.90),
                row("without T1 after contrast", 0.87),
                row("without T2", 0.93),
                row("without susceptibility", 0.935),
            ],
        }],
    }
    .draw()
}

fn neighbours(draw: &mut Draw) -> Picture {
    let groups = LABELS.iter().take(4).map(|(group, names)| Group {
        name: (*group).to_owned(),
        rows: names
            .iter()
            .map(|name| {
                let value = 10_f64.powf(draw.0.random_range(-0.2..2.2));
                Row {
                    name: (*name).to_owned(),
                    note: String::new(),
                    estimates: vec![Estimate::new(value, [value / 1.3, value * 1.3])],
                }
            })
            .collect(),
    });
    Bars {
        head: head("Positives among the nearest ten neighbours", "neighbours"),
        x: Axis::log("normalised positive rate: share among neighbours ÷ share in the cohort"),
        base: Some(1.0),
        series: vec!["Prima".to_owned()],
        groups: groups.collect(),
    }
    .draw()
}

fn table(draw: &mut Draw) -> Block {
    let column = |name: &str, align| Column { name: name.to_owned(), align };
    let rows = LABELS.iter().flat_map(|(group, names)| names.iter().map(move |name| (group, name)));
    let rows = rows.map(|(group, name)| {
        let value = draw.normal(0.92, 0.04).min(0.99);
        let mut share = || format!("{:.3}", draw.0.random_range(0.5..0.99));
        vec![
            (*name).to_owned(),
            (*group).to_owned(),
            share().replace("0.", "1,"),
            format!("{value:.3} ({:.3}–{:.3})", value - 0.02, value + 0.01),
            share(),
            share(),
            share(),
            share(),
            share(),
        ]
    });
    Block::Table(Table {
        caption: "Diagnosis at the operating point of the bundle".to_owned(),
        n: N.to_owned(),
        command: "trainer evaluate --set runs/2026-05/predictions --only diagnosis --out report"
            .to_owned(),
        columns: vec![
            column("Diagnosis", Align::Start),
            column("Category", Align::Start),
            column("Positives", Align::End),
            column("AUROC (95 % CI)", Align::End),
            column("AUPRC", Align::End),
            column("Sensi­tivity", Align::End),
            column("Speci­ficity", Align::End),
            column("PPV", Align::End),
            column("NPV", Align::End),
        ],
        rows: rows.collect(),
    })
}

fn main() -> Result<(), Box<dyn Error>> {
    let folder = PathBuf::from(std::env::args().nth(1).ok_or("name a folder")?);
    fs::create_dir_all(&folder)?;
    let draw = &mut Draw(ChaCha8Rng::seed_from_u64(7));
    let figures = [
        ("forest", forest(draw, 1)),
        ("forest-models", forest(draw, 3)),
        ("odds", odds()),
        ("radar", radar(draw)),
        ("radar-small", small_radar(draw)),
        ("boxes", boxes(draw)),
        ("priority", priority(draw)),
        ("roc", roc()),
        ("learning", learning()),
        ("reliability", reliability()),
        ("age", age(draw, 300)),
        ("age-many", age(draw, 30_000)),
        ("scaling", scaling(draw)),
        ("auc-matrix", heatmap(draw, false)),
        ("correlations", heatmap(draw, true)),
        ("confusion", confusion()),
        ("bars", bars(draw)),
        ("neighbours", neighbours(draw)),
    ];
    for (name, picture) in &figures {
        fs::write(folder.join(format!("{name}.svg")), picture.svg())?;
    }
    let caption = "Points are estimates on the whole test split, whiskers 95 % intervals by \
                   DeLong's method.";
    let figure = |(_, picture): &(&str, Picture)| Block::Figure {
        picture: picture.clone(),
        caption: caption.to_owned(),
    };
    let titles =
        ["Diagnosis", "Fairness", "Priority and referral", "Calibration", "Age", "Explanation"];
    let mut sections: Vec<Section> = figures
        .chunks(3)
        .zip(titles)
        .map(|(part, title)| Section {
            id: title.to_owned(),
            title: title.to_owned(),
            lead: "What the model says about each of the 52 diagnoses, from images alone and with \
                   the clinical context, at the operating point that the bundle carries."
                .to_owned(),
            blocks: part.iter().map(figure).collect(),
        })
        .collect();
    sections[0].blocks.push(table(draw));
    sections[0].blocks.push(Block::Text("One paragraph.\n\nAnother paragraph.".to_owned()));
    let fact = |name: &str, value: &str| (name.to_owned(), value.to_owned());
    let page = Page {
        title: "Evaluation of prima-edge-3f2a on the simulated cohort".to_owned(),
        simulated: true,
        facts: vec![
            fact("Model", "prima-edge-3f2a, sha256 9d3c…41aa"),
            fact("Cohort", "simulated, seed 20260501, test split"),
            fact("Studies", "29,431 of 24,118 patients"),
            fact("Program", "trainer 0.1.0, revision 86e00b1"),
        ],
        sections,
    };
    fs::write(folder.join("report.html"), page.html())?;
    Ok(())
}
