//! Networks that Prima is compared with, by the smoke configuration: every row is there, and each
//! was trained on what its name says.

use std::collections::{BTreeMap, HashSet};
use std::fs;
use std::path::Path;

use serde_json::Value;

use crate::programs::run;
use crate::training::{Work, logged, read_json, smoke, tensors};

const ROWS: [&str; 14] = [
    "prima",
    "no_series_names",
    "no_study_description",
    "flat_vit",
    "cnn_2d",
    "cnn_3d",
    "long_reports",
    "no_patient_discrimination",
    "plain_vit",
    "patients_0.5",
    "patients_0.75",
    "steps_2",
    "steps_3",
    "untrained_cnn",
];

/// Weights of a row by name.
struct Weights(BTreeMap<String, Vec<f32>>);

impl Weights {
    fn of(path: &Path) -> Self {
        Self(tensors(path).into_iter().collect())
    }

    fn has(&self, part: &str) -> bool {
        self.0.keys().any(|name| name.contains(part))
    }

    fn get(&self, name: &str) -> &[f32] {
        self.0.get(name).unwrap_or_else(|| panic!("no tensor {name}"))
    }

    /// True when every layer norm whose name begins so is as it was before the first step.
    fn untouched(&self, start: &str) -> bool {
        let norms = self.0.iter().filter(|(name, _)| name.starts_with(start));
        let norms: Vec<_> = norms.filter(|(name, _)| name.contains(".norm.")).collect();
        assert!(!norms.is_empty(), "{start}");
        norms.iter().all(|(name, values)| {
            let begun = if name.ends_with("weight") { 1.0f32 } else { 0.0 };
            values.iter().all(|value| value.to_bits() == begun.to_bits())
        })
    }
}

#[test]
fn every_row_of_the_comparison_is_made_and_is_what_it_says() {
    let work = Work::prepared();
    let config = |name: &str| smoke().join(name).display().to_string();
    work.done("series-names", &[&config("series-names.toml"), "--run", "series-names"]);
    work.done("init", &["--preset", "slices", "--out", "encoder"]);
    let arguments = [config("ablate.toml"), "--out".to_owned(), "ablate".to_owned()];
    let arguments = arguments.each_ref().map(String::as_str);
    let table = work.done("ablate", &arguments).stdout;

    let found = read_json(&work.path("ablate/comparison.json"));
    let rows: BTreeMap<&str, &Value> = found["rows"]
        .as_array()
        .unwrap()
        .iter()
        .map(|row| (row["name"].as_str().unwrap(), row))
        .collect();
    assert_eq!(rows.len(), ROWS.len());
    for name in ROWS {
        let row = rows[name];
        let title = row["title"].as_str().unwrap();
        assert!(table.lines().any(|line| line.starts_with(title)), "{title}\n{table}");
        assert_eq!(row["labels"].as_array().unwrap().len(), 52);
        assert!(row["parameters"].as_u64() > Some(0) && row["seconds"].as_f64() > Some(0.0));
        let trained = name != "untrained_cnn";
        for key in ["steps", "flops"] {
            assert_eq!(row[key].as_f64().is_some_and(|value| value > 0.0), trained, "{row}");
        }
        assert_eq!(row["retrieval"]["group"].as_u64(), trained.then_some(3));
        assert_eq!(row["mean_auroc"].is_null(), found["rows"][0]["mean_auroc"].is_null());
    }
    // 3 x 3 taps from 1 to 16, 32 and 64 channels.
    assert_eq!(rows["untrained_cnn"]["parameters"], 9 * (16 + 16 * 32 + 32 * 64));
    let studies = |name: &str| rows[name]["training_studies"].as_u64().unwrap();
    assert_eq!(studies("prima"), 8);
    assert!(studies("patients_0.5") < studies("patients_0.75"));
    assert!(studies("patients_0.75") < studies("prima"));
    assert_eq!(found["laws"].as_array().unwrap().len(), 4);
    assert!(found["laws"].as_array().unwrap().iter().all(|law| law["points"][2].is_array()));

    networks_are_what_they_say(&work);
    prima_is_what_it_was(&work);

    // What is there is left as it is.
    let before = fs::read(work.path("ablate/comparison.json")).unwrap();
    assert_eq!(work.done("ablate", &arguments).stdout, table);
    assert!(fs::read(work.path("ablate/comparison.json")).unwrap() == before);

    let export = "id = \"x\"\ncohort = \"cohort\"\n\
        from = { kind = \"teacher\", tokenizer = \"tokenizer/tokenizer.safetensors\", \
        clip = \"ablate/rows/flat_vit/clip\", heads = \"ablate/rows/flat_vit/heads\" }\n";
    fs::write(work.path("export.toml"), export).unwrap();
    let refused = run(&mut work.trainer("export", &["export.toml", "--out", "x"]));
    assert_eq!(refused.code, 1);
    assert!(refused.stderr.contains("its network is a variant of Prima"), "{}", refused.stderr);
}

fn networks_are_what_they_say(work: &Work) {
    let folder = |name: &str| work.path("ablate/rows").join(name).join("clip");
    let weights = |name: &str| Weights::of(&folder(name).join("network.safetensors"));
    let trained = &ROWS[..ROWS.len() - 1];
    let files: HashSet<Vec<u8>> = trained
        .iter()
        .map(|name| fs::read(folder(name).join("network.safetensors")).unwrap())
        .collect();
    assert_eq!(files.len(), trained.len(), "two rows have the same weights");
    for (name, parts) in [
        ("prima", ["innerViT", "outerViT"].as_slice()),
        ("flat_vit", &["flatViT"]),
        ("plain_vit", &["flatViT"]),
        ("cnn_2d", &["cnn.levels", "innerViT", "outerViT"]),
        ("cnn_3d", &["cnn.levels", "outerViT"]),
    ] {
        let weights = weights(name);
        for part in ["innerViT", "outerViT", "flatViT", "cnn.levels"] {
            assert_eq!(weights.has(part), parts.contains(&part), "{name}: {part}");
        }
    }
    // Kernels of 3 x 3, and of 3 x 3 x 3.
    let kernel = "visual_model.cnn.levels.0.down.weight";
    let [flat, deep] = ["cnn_2d", "cnn_3d"].map(|name| weights(name).get(kernel).len());
    assert_eq!(3 * flat, deep);

    // What a network is not told, it does not learn to read.
    let begun = Weights::of(&work.path("series-names/series_names.safetensors"));
    let names = "visual_model.serieencoder.0.embed.weight";
    let width = begun.get(names).len() / 47;
    let moved = |name: &str, letter: u8| -> f32 {
        let row = usize::from(letter - b'a' + 1) * width;
        let (now, then) = (weights(name), begun.get(names));
        let both = now.get(names)[row..row + width].iter().zip(&then[row..row + width]);
        both.map(|(now, then)| (now - then).abs()).fold(0.0, f32::max)
    };
    // Every name of a series has a t or an f in it; `unk` has neither.
    let told = |name: &str| f32::max(moved(name, b't'), moved(name, b'f'));
    assert!(told("prima") > 1e-4 && told("no_study_description") > 1e-4);
    assert!(told("no_series_names") < 1e-5 && moved("no_series_names", b'u') > 1e-4);
    assert!(told("plain_vit") < 1e-5 && moved("plain_vit", b'u') < 1e-5);
    let studies = "visual_model.studyencoder";
    assert!(!weights("prima").untouched(studies) && !weights("no_series_names").untouched(studies));
    assert!(weights("no_study_description").untouched(studies));
    assert!(weights("plain_vit").untouched(studies));

    // Without patient discrimination the loss is that of images and reports alone.
    let value = |name: &str, what: &str| logged(&folder(name), what);
    assert!(value("prima", "patient").iter().all(|loss| *loss > 0.0));
    assert!(value("no_patient_discrimination", "patient").iter().all(|loss| *loss == 0.0));
    let first = |name: &str| value(name, "clip")[0].to_bits();
    assert_eq!(first("no_patient_discrimination"), first("prima"));
    assert_ne!(first("long_reports"), first("prima"));
    let temperature = |name: &str| weights(name).get("patdistemperature")[0].to_bits();
    assert_eq!(temperature("no_patient_discrimination"), 0.1f32.to_bits());
    assert_ne!(temperature("prima"), 0.1f32.to_bits());
}

/// The reference is a run of `trainer clip` like any other, and says nothing of variants.
fn prima_is_what_it_was(work: &Work) {
    let config = work.path("ablate/rows/prima/clip/config.toml");
    let text = fs::read_to_string(&config).unwrap();
    assert!(!text.contains("variant") && !text.contains("[training]"), "{text}");
    work.done("clip", &[&config.display().to_string(), "--run", "again"]);
    for file in ["network.safetensors", "probes.safetensors", "sizes.toml", "config.toml"] {
        let [row, again] = ["ablate/rows/prima/clip", "again"]
            .map(|folder| fs::read(work.path(folder).join(file)).unwrap());
        assert!(row == again, "{file} differs");
    }
    assert!(!work.path("again/variant.toml").exists());
}
