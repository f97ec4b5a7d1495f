//! The student on a CPU: mixer tokenizer, small transformers, one shared head, ONNX parts.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Instant;

use models::dims::{MAX_TOKENS_PER_SERIES, PATCH_VOX, TOKEN_FEATURES};
use models::engine::{
    DeviceChoice, Engine, Precision, StudyInput, StudyScores, StudyTokens, Target, device,
};
use models::nn::config::{
    MixerConfig, NameEncoderConfig, PeaksConfig, PrimaConfig, TokenizerConfig, TransformerConfig,
    VitConfig,
};
use models::tokens::{SeriesPatches, StudyPatches};
use models::weights::bundle::Bundle;
use models::weights::init::{InitOptions, write_untrained};
use models::weights::manifest::{AgeEntry, MANIFEST, Manifest, OnnxParts, ProvenanceKind};
use tempfile::TempDir;
use trainer::export::card::{self, LabelMetrics, ModelCard, SubgroupMetrics};
use trainer::export::check::{CheckStudy, Peer, check};
use trainer::export::onnx::add_parts;
use trainer::export::sign::{SignError, generate_keys, sign, verify};

use tests::repository;

use crate::programs::{run, triage};

/// Numbers that look random and are the same every time.
fn noise(count: usize, seed: u32) -> Vec<f32> {
    let mut state = seed;
    let next = || {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        f32::from(u16::try_from(state >> 16).unwrap()) / 65_536.0
    };
    std::iter::repeat_with(next).take(count).collect()
}

fn patches(thin_axis: usize, count: usize, seed: u32) -> SeriesPatches {
    let mut size = [32; 3];
    size[thin_axis] = 4;
    let start = |i: u32| [size[0] * (i % 8), size[1] * (i % 7), size[2] * (i % 5)];
    let count32 = u32::try_from(count).unwrap();
    SeriesPatches {
        thin_axis,
        voxels: noise(count * PATCH_VOX, seed),
        coordinates: (0..count32).map(start).collect(),
        sequence: (0..count32).collect(),
    }
}

/// A student of the published form; the sequence ViT is `wider` than a token.
fn student(width: usize, depth: usize, wider: usize) -> PrimaConfig {
    let blocks = |dim, depth, dim_head, mlp_dim| TransformerConfig {
        dim,
        depth,
        heads: 4,
        dim_head,
        mlp_dim,
    };
    let dim = TOKEN_FEATURES + wider;
    let name = |output, adapter| NameEncoderConfig {
        embedding: 54,
        transformer: blocks(64, 2, 16, 128),
        output,
        adapter,
    };
    PrimaConfig {
        projection: 128,
        head_hidden: [width * 4, width * 2],
        tokenizer: TokenizerConfig::Mixer(MixerConfig {
            width,
            depth: 2,
            cell_hidden: 2 * width,
            hidden: 4 * width,
            codebook: 64,
            codebook_dim: 2,
        }),
        series_name: name(64, Some(dim)),
        study_name: name(3 * width, None),
        sequence_vit: VitConfig {
            transformer: blocks(dim, depth, 48, 8 * width),
            registers: 6,
            output: 3 * width,
            peaks: Some(PeaksConfig { hidden: 2 * width, features: 52 }),
        },
        study_vit: VitConfig {
            transformer: blocks(3 * width, 2, 48, 8 * width),
            registers: 4,
            output: 128,
            peaks: Some(PeaksConfig { hidden: width, features: 60 }),
        },
        patient_discrimination: None,
        report: None,
    }
}

fn bundle(folder: &TempDir, sizes: PrimaConfig, context_dimension: Option<usize>) -> PathBuf {
    let out = folder.path().join("student");
    let options = InitOptions { preset: "custom", sizes, seed: 5, context_dimension };
    write_untrained(&options, &out, &device(DeviceChoice::Cpu).unwrap(), &mut |_, _| {}).unwrap();
    out
}

fn edit(bundle: &Path, change: impl FnOnce(&mut Manifest)) {
    let path = bundle.join(MANIFEST);
    let mut manifest = toml::from_str(&fs::read_to_string(&path).unwrap()).unwrap();
    change(&mut manifest);
    fs::write(path, toml::to_string(&manifest).unwrap()).unwrap();
}

/// The engines of a bundle: tract where it has ONNX parts, and burn.
fn engines(folder: &Path) -> [Engine; 2] {
    let open = |bundle| Engine::open(bundle, DeviceChoice::Cpu, Precision::Full).unwrap();
    let bundle = || Bundle::open(folder).unwrap();
    [open(bundle()), open(bundle().without_onnx())]
}

fn input(tokens: StudyTokens) -> StudyInput {
    let name = |i: usize| ["AX_T1", "SAG FLAIR 3D long name (1)", "DWI"][i % 3].to_owned();
    StudyInput {
        series_names: (0..tokens.series.len()).map(name).collect(),
        tokens,
        study_description: "MRI BRAIN W/WO".to_owned(),
        clinical_context: None,
    }
}

fn logits(scores: &StudyScores) -> Vec<f32> {
    let labels = scores.diagnosis.iter().chain(&scores.referral).map(|score| score.logit);
    labels.chain(scores.priority.iter().map(|class| class.logit)).collect()
}

fn largest<'a>(a: impl IntoIterator<Item = &'a f32>, b: impl IntoIterator<Item = &'a f32>) -> f32 {
    a.into_iter().zip(b).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max)
}

/// Everything the appliance asks of an engine; 19, 1 and 40 patches fill no batch exactly.
#[test]
fn onnx_parts_give_the_results_of_burn() {
    for wider in [0, 7] {
        let scratch = tempfile::tempdir().unwrap();
        let folder = bundle(&scratch, student(16, 2, wider), None);
        add_parts(&folder).unwrap();
        let [tract, burn] = engines(&folder);
        let series = [(0, 19), (1, 1), (2, 40), (0, 7)];
        let series = (1..).zip(series).map(|(seed, (axis, count))| patches(axis, count, seed));
        let study = StudyPatches { series: series.collect() };
        let [found, expected] = [&tract, &burn].map(|e| e.encode(&study, |_| {}).unwrap());
        for (found, expected) in found.series.iter().zip(&expected.series) {
            assert_eq!(found.features.len(), expected.features.len());
            let difference = largest(&found.features, &expected.features);
            assert!(difference < 2e-6, "tokens differ by {difference:e}");
        }
        let study = input(expected);
        let [found, expected] = [&tract, &burn].map(|e| e.score(&study).unwrap());
        assert_eq!(logits(&found).len(), 55);
        let spread = logits(&expected).iter().fold(0.0f32, |most, l| most.max(l.abs()));
        assert!(spread > 0.05, "logits of {spread} would hide a difference");
        let difference = largest(&logits(&found), &logits(&expected));
        assert!(difference < 2e-6, "logits differ by {difference:e}");

        let target = Target::Priority("high".to_owned());
        let masks: Vec<Vec<bool>> =
            (1..6).map(|step| (0..40).map(|token| token % step == 0).collect()).collect();
        let masks: Vec<&[bool]> = masks.iter().map(Vec::as_slice).collect();
        let [found, expected] = [&tract, &burn]
            .map(|e| e.masked_scorer(&study, 2, &target).unwrap().scores(&masks).unwrap());
        for (found, expected) in found.iter().zip(&expected) {
            assert!((found - expected).abs() < 2e-6, "{found} {expected}");
        }
        assert!((expected[0] - expected[4]).abs() > 1e-5, "masks change the score");
    }
}

/// One file, evaluated once, read row by row: by labels, by priority classes, with a clinical
/// context, and by the explanation, which evaluates it by another path.
#[test]
fn a_shared_head_is_read_row_by_row() {
    let scratch = tempfile::tempdir().unwrap();
    let folder = bundle(&scratch, student(16, 1, 0), Some(8));
    let bundle = Bundle::open(&folder).unwrap();
    let files: Vec<&str> = bundle.manifest().files.iter().map(|f| f.path.as_str()).collect();
    let expected = ["tokenizer", "network", "heads/shared", "heads/context"]
        .map(|f| format!("{f}.safetensors"));
    assert_eq!(files, expected);
    let tokens = vec![models::engine::SeriesTokens { features: noise(30 * TOKEN_FEATURES, 3) }];
    let mut study = input(StudyTokens { series: tokens });
    let [engine, _] = engines(&folder);
    let scores = engine.score(&study).unwrap();
    let all = logits(&scores);
    assert!(all.windows(2).all(|pair| (pair[0] - pair[1]).abs() > 1e-7), "every row is its own");
    for (target, expected) in [
        (Target::Diagnosis(scores.diagnosis[51].name.clone()), all[51]),
        (Target::Priority("low".to_owned()), all[53]),
    ] {
        let scorer = engine.masked_scorer(&study, 0, &target).unwrap();
        let found = scorer.scores(&[&[true; 30]]).unwrap()[0];
        assert!((found - f64::from(expected)).abs() < 1e-5, "{target:?}: {found} {expected}");
    }
    study.clinical_context = Some(noise(8, 9));
    let with = engine.score(&study).unwrap();
    assert!(with.with_context);
    assert_eq!(logits(&with)[52..], all[52..], "priority reads the images alone");
    assert!((logits(&with)[0] - all[0]).abs() > 1e-4);

    study.clinical_context = None;
    edit(&folder, |manifest| {
        manifest.diagnosis[3].output_index = 53;
        manifest.priority.as_mut().unwrap().offset = 10;
        manifest.age = Some(age(54));
    });
    let moved = engines(&folder)[0].score(&study).unwrap();
    assert_eq!((scores.age_years, moved.age_years), (None, Some(2.0 * all[54] + 40.0)));
    let moved = logits(&moved);
    assert_eq!(moved[3].to_bits(), all[53].to_bits());
    assert_eq!(moved[52..], all[10..13]);
}

/// An age that stands in a row of the shared head.
fn age(output_index: usize) -> AgeEntry {
    let file = "heads/shared.safetensors".to_owned();
    AgeEntry { file, output_index, scale: 2.0, offset: 40.0 }
}

#[test]
fn a_shared_head_that_cannot_be_is_refused() {
    let scratch = tempfile::tempdir().unwrap();
    let folder = bundle(&scratch, student(16, 1, 0), None);
    let path = folder.join(MANIFEST);
    let good = fs::read_to_string(&path).unwrap();
    let refusal = |change: &dyn Fn(&mut Manifest)| {
        edit(&folder, |manifest| change(manifest));
        let error = Bundle::open(&folder).unwrap_err().to_string();
        fs::write(&path, &good).unwrap();
        error.replace(path.to_str().unwrap(), "MANIFEST")
    };
    type Change<'a> = &'a dyn Fn(&mut Manifest);
    let cases: [(Change<'_>, &str); 8] = [
        (
            &|m| m.diagnosis[7].output_index = 55,
            "MANIFEST: diagnosis[7].output_index is 55, expected below the outputs of its shared head; export the bundle again",
        ),
        (
            &|m| m.priority.as_mut().unwrap().offset = 53,
            "MANIFEST: priority.offset is 53, expected a row after which the shared head has one row per class; export the bundle again",
        ),
        (
            &|m| m.age = Some(age(55)),
            "MANIFEST: age.output_index is 55, expected below the outputs of its head; export the bundle again",
        ),
        (
            &|m| m.shared_heads.clear(),
            "MANIFEST: priority.offset is 52, expected 0, since its file is no shared head; export the bundle again",
        ),
        (
            &|m| m.shared_heads[0].outputs = 0,
            "MANIFEST: shared_heads[0].outputs is 0, expected 1 or more; export the bundle again",
        ),
        (
            &|m| m.shared_heads.push(m.shared_heads[0].clone()),
            "MANIFEST: shared_heads[1].file is \"heads/shared.safetensors\", expected a file that no earlier one of the list has; export the bundle again",
        ),
        (
            &|m| m.shared_heads[0].file = "heads/other.safetensors".to_owned(),
            "MANIFEST: shared_heads[0].file is \"heads/other.safetensors\", expected a file that a head names; export the bundle again",
        ),
        (
            &|m| {
                let study = Some("a.onnx".to_owned());
                m.onnx = Some(OnnxParts { study, ..OnnxParts::default() });
            },
            "MANIFEST: onnx is one of sequence and study, expected both or neither; export the bundle again",
        ),
    ];
    for (change, expected) in cases {
        assert_eq!(refusal(change), expected);
    }
    edit(&folder, |manifest| manifest.shared_heads[0].outputs = 56);
    let error = Engine::open(Bundle::open(&folder).unwrap(), DeviceChoice::Cpu, Precision::Full);
    let error = chain(&error.unwrap_err()).replace(folder.to_str().unwrap(), "BUNDLE");
    assert!(
        error.contains("tensor 4.weight has shape [55, 32], the sizes promise [56, 32]"),
        "{error}"
    );
}

fn chain(error: &dyn std::error::Error) -> String {
    let source = error.source().map(|source| format!(": {}", chain(source)));
    format!("{error}{}", source.unwrap_or_default())
}

#[test]
fn onnx_parts_are_refused_where_they_do_not_belong() {
    let scratch = tempfile::tempdir().unwrap();
    let folder = bundle(&scratch, student(16, 1, 0), None);
    add_parts(&folder).unwrap();
    let said = |error: &dyn std::error::Error, folder: &Path| {
        chain(error).replace(folder.to_str().unwrap(), "BUNDLE")
    };
    assert_eq!(
        said(&add_parts(&folder).unwrap_err(), &folder),
        "BUNDLE/manifest.toml has ONNX parts already; export the bundle again to change them"
    );
    // Weights that a graph points to are compared with the manifest before they are used.
    let path = folder.join("network.safetensors");
    let mut bytes = fs::read(&path).unwrap();
    let last = bytes.len() - 1;
    bytes[last] ^= 1;
    fs::write(&path, bytes).unwrap();
    let error = Engine::open(Bundle::open(&folder).unwrap(), DeviceChoice::Cpu, Precision::Full);
    let error = said(&error.unwrap_err(), &folder);
    assert!(error.contains("BUNDLE/network.safetensors has SHA-256 "), "{error}");

    let scratch = tempfile::tempdir().unwrap();
    let folder = bundle(&scratch, PrimaConfig::tiny(), None);
    assert_eq!(
        said(&add_parts(&folder).unwrap_err(), &folder),
        "BUNDLE/manifest.toml: the tokenizer is made of 3-D convolutions, which the CPU runs faster \
         without ONNX; only bundles with the mixer tokenizer get ONNX parts"
    );
}

/// ONNX Runtime is asked where the interpreter of `PRIMA_PYTHON` (or `python3`) has it; where it
/// has not, the outcome says so.
#[test]
fn engines_are_compared_on_export() {
    let scratch = tempfile::tempdir().unwrap();
    let folder = bundle(&scratch, student(16, 2, 3), None);
    let study = CheckStudy {
        patches: StudyPatches { series: vec![patches(0, 9, 1), patches(2, 20, 2)] },
        series_names: vec!["AX T1".to_owned(), "SAG T2 FLAIR".to_owned()],
        description: "MRI BRAIN".to_owned(),
    };
    let python = std::env::var("PRIMA_PYTHON").unwrap_or_else(|_| "python3".to_owned());
    let compare = |studies: &[CheckStudy], python: &str| check(&folder, studies, Path::new(python));
    let error = compare(std::slice::from_ref(&study), &python).unwrap_err().to_string();
    let expected =
        "BUNDLE has no ONNX parts for all of tokenizer, sequence and study; export them first";
    assert_eq!(error.replace(folder.to_str().unwrap(), "BUNDLE"), expected);
    add_parts(&folder).unwrap();
    assert_eq!(
        compare(&[], &python).unwrap_err().to_string(),
        "the check was given no study; give one or more"
    );
    let studies = [study.clone(), study];
    let agreement = compare(&studies, "/no/such/python").unwrap();
    let said = agreement.to_string();
    let absent = "ONNX Runtime: NOT CHECKED, /no/such/python is not there\n";
    assert!(said.ends_with(absent), "{said}");
    let worst = agreement.tract;
    assert!(worst.tokens.max(worst.embedding).max(worst.logits) < 1e-5, "{worst:?}");
    match compare(&studies, &python).unwrap().onnxruntime {
        Peer::Absent { reason } => println!("SKIPPED: {reason}"),
        Peer::Ran { version, differences } => println!("{version}: {differences:?}"),
    }
}

#[test]
fn a_signature_holds_for_one_manifest_and_one_key() {
    let scratch = tempfile::tempdir().unwrap();
    let folder = bundle(&scratch, student(16, 1, 0), None);
    let [secret, public] = generate_keys(scratch.path(), "operator", "a password").unwrap();
    let [_, stranger] = generate_keys(scratch.path(), "stranger", "another").unwrap();
    let said = |result: Result<(), SignError>| {
        chain(&result.unwrap_err()).replace(scratch.path().to_str().unwrap(), "DIR")
    };
    let mode =
        std::os::unix::fs::PermissionsExt::mode(&fs::metadata(&secret).unwrap().permissions());
    assert_eq!(mode & 0o777, 0o600);
    assert!(said(generate_keys(scratch.path(), "operator", "x").map(drop)).starts_with(
        "cannot write DIR/operator.key; choose a place where no such file is: File exists"
    ));
    let wrong = said(sign(&folder, &secret, "no password"));
    assert!(
        wrong.starts_with("DIR/operator.key is not a secret key that this password opens: "),
        "{wrong}"
    );
    sign(&folder, &secret, "a password").unwrap();
    verify(&folder, &public).unwrap();
    Bundle::open(&folder).unwrap();
    let other = said(verify(&folder, &stranger));
    assert!(
        other.starts_with("DIR/student/manifest.toml.minisig does not hold for this public key ("),
        "{other}"
    );
    edit(&folder, |manifest| manifest.id = "another".to_owned());
    assert!(verify(&folder, &public).is_err());
    edit(&folder, |manifest| manifest.files[0].bytes += 1);
    let broken = said(sign(&folder, &secret, "a password"));
    assert!(broken.starts_with("the bundle is not signed, because it is not whole: "), "{broken}");
}

#[test]
fn a_model_card_says_what_the_model_is_for() {
    let scratch = tempfile::tempdir().unwrap();
    let folder = bundle(&scratch, student(16, 1, 0), None);
    let mut card = ModelCard {
        teacher: Some("prima-sim-1".to_owned()),
        data: "3,000 simulated studies of 2,100 patients.".to_owned(),
        recipe: vec!["tokenizer: 20,000 steps".to_owned()],
        evaluated_on: "1,000 simulated studies that training never saw.".to_owned(),
        labels: vec![
            LabelMetrics {
                name: "tumor_adult_glioma".to_owned(),
                positives: 41,
                negatives: 959,
                auroc: Some(0.9124),
                interval: Some([0.87, 0.95]),
            },
            LabelMetrics {
                name: "spine_syrinx".to_owned(),
                positives: 0,
                negatives: 1000,
                auroc: None,
                interval: None,
            },
        ],
        subgroups: vec![SubgroupMetrics {
            attribute: "sex".to_owned(),
            group: "female".to_owned(),
            studies: 502,
            mean_auroc: Some(0.9),
        }],
        results: vec![("Mean AUROC".to_owned(), "0.901".to_owned())],
        limits: Vec::new(),
    };
    let error = card::write(&folder, &card).unwrap_err().to_string();
    assert_eq!(
        error,
        "the model card of untrained-custom-5 has no limits; a card without it would mislead"
    );
    card.limits.push("Never shown a real study.".to_owned());
    card::write(&folder, &card).unwrap();
    let text = fs::read_to_string(folder.join("MODEL_CARD.md")).unwrap();
    let start = "# untrained-custom-5\n\n**Research use only; not a medical device.**\n\n| | |\n|---|---|\n\
                 | Trained on | nothing: random weights, results mean nothing |\n| Teacher | prima-sim-1 |\n\
                 | Outputs | 52 diagnoses, 0 referrals, 3 classes of priority |\n";
    assert!(text.starts_with(start), "{text}");
    for line in [
        "| glioma | 41 | 959 | 0.912 | 0.870 to 0.950 |",
        "| syrinx | 0 | 1000 | not measured |  |",
        "| sex | female | 502 | 0.900 |",
        "- Never shown a real study.",
    ] {
        assert!(text.lines().any(|found| found == line), "{line} is not in {text}");
    }
    Bundle::open(&folder).expect("a card beside the weights is no reason to refuse a bundle");
}

/// CPU seconds of this process: other programs' load shows in the time on the wall.
fn cpu_seconds() -> f64 {
    let stat = fs::read_to_string("/proc/self/stat").unwrap();
    let fields: Vec<&str> = stat.rsplit(") ").next().unwrap().split(' ').collect();
    (fields[11].parse::<f64>().unwrap() + fields[12].parse::<f64>().unwrap()) / 100.0
}

/// The bundle in the repository: whole, small, honest, and the same on both engines as where it
/// was exported.
#[test]
fn the_model_that_ships_keeps_its_word() {
    let folder = repository().join("models/bundles/edge-simulated-2");
    let manifest = Bundle::open(&folder).unwrap().manifest().clone();
    assert_eq!(manifest.provenance.kind, ProvenanceKind::TrainedOnSimulatedData);
    assert_eq!(manifest.diagnosis.len(), 52);
    let bytes: u64 = manifest.files.iter().map(|file| file.bytes).sum();
    assert!(bytes <= 24 << 20, "{bytes} bytes");
    let card = fs::read_to_string(folder.join("MODEL_CARD.md")).unwrap();
    assert!(card.contains("simulated") && card.contains("not a medical device"), "{card}");
    for engine in engines(&folder) {
        let found = engine.self_test().unwrap();
        assert!(found.passed, "{found:?}");
    }
}

/// Run by hand: `cargo test --workspace -- --ignored student_speed --nocapture`.
#[test]
#[ignore = "a measurement"]
fn student_speed() {
    for (width, depth) in [(64, 3), (96, 6)] {
        println!("mixer width {width}, sequence ViT depth {depth}");
        measure(student(width, depth, 0));
    }
}

fn measure(sizes: PrimaConfig) {
    let scratch = tempfile::tempdir().unwrap();
    let folder = bundle(&scratch, sizes, None);
    add_parts(&folder).unwrap();
    let bytes: u64 = Bundle::open(&folder).unwrap().manifest().files.iter().map(|f| f.bytes).sum();
    println!("bundle {bytes} bytes");
    let series = (0..8u32).map(|i| patches(i as usize % 3, 420, i));
    let study = StudyPatches { series: series.collect() };
    for (name, index) in [("tract", 0), ("burn", 1)] {
        let started = Instant::now();
        let bundle = Bundle::open(&folder).unwrap();
        let bundle = if index == 0 { bundle } else { bundle.without_onnx() };
        let engine = Engine::open(bundle, DeviceChoice::Cpu, Precision::Full).unwrap();
        println!("{name}: open {:.3}", started.elapsed().as_secs_f64());
        for _ in 0..4 {
            let start = (Instant::now(), cpu_seconds());
            let tokens = engine.encode(&study, |_| {}).unwrap();
            let encoded = (Instant::now(), cpu_seconds());
            let study = input(tokens);
            engine.score(&study).unwrap();
            let scored = (Instant::now(), cpu_seconds());
            let target = Target::Priority("high".to_owned());
            let scorer = engine.masked_scorer(&study, 2, &target).unwrap();
            let masks: Vec<Vec<bool>> =
                (0..64).map(|seed| noise(420, seed).iter().map(|v| *v > 0.5).collect()).collect();
            let masks: Vec<&[bool]> = masks.iter().map(Vec::as_slice).collect();
            for masks in masks.chunks(32) {
                scorer.scores(masks).unwrap();
            }
            let masked = (Instant::now(), cpu_seconds());
            for (what, from, to) in [
                ("encode", start, encoded),
                ("score", encoded, scored),
                ("64 masks", scored, masked),
            ] {
                let wall = (to.0 - from.0).as_secs_f64();
                print!("{name} {what} {wall:.3} s ({:.2} CPU s); ", to.1 - from.1);
            }
            println!();
        }
    }
    let dicom = scratch.path().join("study");
    tests::phantom::bench_study(&dicom).unwrap();
    for _ in 0..3 {
        let started = Instant::now();
        let ran = run(&mut triage(&dicom, &folder));
        assert_eq!(ran.code, 0, "{}", ran.stderr);
        println!("appliance triage: {:.2} s", started.elapsed().as_secs_f64());
    }
}

/// Run by hand, alone, as [`student_speed`]: the largest series that preprocessing lets through.
#[test]
#[ignore = "a measurement"]
fn student_memory() {
    let scratch = tempfile::tempdir().unwrap();
    let folder = bundle(&scratch, student(64, 3, 0), None);
    add_parts(&folder).unwrap();
    let peak = || {
        let status = fs::read_to_string("/proc/self/status").unwrap();
        status.lines().find(|line| line.starts_with("VmHWM")).unwrap().to_owned()
    };
    let [tract, burn] = engines(&folder);
    for series in [1, 2, 4] {
        let series = (0..series).map(|seed| models::engine::SeriesTokens {
            features: noise(MAX_TOKENS_PER_SERIES * TOKEN_FEATURES, seed),
        });
        let study = input(StudyTokens { series: series.collect() });
        for (name, engine) in [("tract", &tract), ("burn", &burn)] {
            let started = Instant::now();
            engine.score(&study).unwrap();
            println!(
                "{name} {} series {:?} {}",
                study.series_names.len(),
                started.elapsed(),
                peak()
            );
        }
    }
}
