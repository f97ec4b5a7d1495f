//! The engine on what no golden vector covers: ONNX parts, clinical context, calibration, batches.

use std::fs;
use std::path::{Path, PathBuf};

use models::dims::{PATCH_VOX, TOKEN_FEATURES};
use models::engine::{
    DeviceChoice, Engine, EngineError, Precision, SeriesTokens, StudyInput, StudyTokens, device,
};
use models::nn::config::PrimaConfig;
use models::tokens::{SeriesPatches, StudyPatches};
use models::weights::bundle::{Bundle, hex};
use models::weights::import::{HeadPrecision, import_prima};
use models::weights::init::{InitOptions, write_untrained};
use models::weights::manifest::{
    Calibration, ContextHeads, FileEntry, HeadEntry, MANIFEST, Manifest, OnnxParts,
};
use sha2::{Digest, Sha256};
use tempfile::TempDir;
use tests::repository;

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
    let start = |i: u32| [size[0] * (i % 3), size[1] * (i % 2), size[2] * (i % 5)];
    let count32 = u32::try_from(count).unwrap();
    SeriesPatches {
        thin_axis,
        voxels: noise(count * PATCH_VOX, seed),
        coordinates: (0..count32).map(start).collect(),
        sequence: (0..count32).collect(),
    }
}

fn tiny(folder: &TempDir) -> PathBuf {
    let out = folder.path().join("tiny");
    let options = InitOptions {
        preset: "tiny",
        sizes: PrimaConfig::tiny(),
        seed: 3,
        context_dimension: None,
    };
    write_untrained(&options, &out, &device(DeviceChoice::Cpu).unwrap(), &mut |_, _| {}).unwrap();
    out
}

/// Changes a bundle's manifest.
fn edit(bundle: &Path, change: impl FnOnce(&mut Manifest)) {
    let path = bundle.join(MANIFEST);
    let mut manifest = toml::from_str(&fs::read_to_string(&path).unwrap()).unwrap();
    change(&mut manifest);
    fs::write(path, toml::to_string(&manifest).unwrap()).unwrap();
}

fn listed(bundle: &Path, path: &str) -> FileEntry {
    let bytes = fs::read(bundle.join(path)).unwrap();
    let sha256 = hex(&Sha256::digest(&bytes));
    FileEntry { path: path.to_owned(), bytes: bytes.len() as u64, sha256 }
}

fn open(bundle: &Path) -> Engine {
    Engine::open(Bundle::open(bundle).unwrap(), DeviceChoice::Cpu, Precision::Full).unwrap()
}

fn largest_difference(a: &StudyTokens, b: &StudyTokens) -> f32 {
    assert_eq!(a.series.len(), b.series.len());
    let pairs = a.series.iter().zip(&b.series);
    let differences = pairs.flat_map(|(a, b)| {
        assert_eq!(a.features.len(), b.features.len());
        a.features.iter().zip(&b.features).map(|(a, b)| (a - b).abs())
    });
    differences.fold(0.0, f32::max)
}

fn input(tokens: StudyTokens) -> StudyInput {
    StudyInput {
        series_names: (0..tokens.series.len()).map(|i| format!("AX_T{i}")).collect(),
        tokens,
        study_description: "MRI BRAIN".to_owned(),
        clinical_context: None,
    }
}

#[test]
fn an_onnx_tokenizer_gives_the_tokens_of_the_burn_one() {
    let scratch = tempfile::tempdir().unwrap();
    let bundle = scratch.path().join("bundle");
    let golden = repository().join("tests/golden/prima");
    let (full, vqvae) = (golden.join("primafullmodel_small.pt"), golden.join("vqvae_small.pth"));
    import_prima(&full, &vqvae, &bundle, HeadPrecision::Automatic, &mut |_| {}).unwrap();
    // 19 patches of each orientation: one full batch, one that is filled up.
    let study = StudyPatches { series: (0..3).map(|axis| patches(axis, 19, 7)).collect() };
    let expected = open(&bundle).encode(&study, |_| {}).unwrap();

    let source = repository().join("tests/golden/onnx_tokenizer/tokenizer.onnx");
    fs::copy(source, bundle.join("tokenizer.onnx")).unwrap();
    let entry = listed(&bundle, "tokenizer.onnx");
    edit(&bundle, |manifest| {
        manifest.onnx = Some(OnnxParts {
            tokenizer: Some("tokenizer.onnx".to_owned()),
            ..OnnxParts::default()
        });
        manifest.files.push(entry);
    });
    let found = open(&bundle).encode(&study, |_| {}).unwrap();
    let difference = largest_difference(&found, &expected);
    assert!(difference < 2e-5, "largest difference {difference:e}");
}

#[test]
fn tokens_do_not_depend_on_what_shares_their_batch() {
    let scratch = tempfile::tempdir().unwrap();
    let engine = open(&tiny(&scratch));
    let series: Vec<_> =
        [(0, 21, 1), (2, 5, 2), (0, 3, 3)].map(|(a, n, s)| patches(a, n, s)).into();
    let together = engine.encode(&StudyPatches { series: series.clone() }, |_| {}).unwrap();
    for (i, series) in series.into_iter().enumerate() {
        let alone = engine.encode(&StudyPatches { series: vec![series] }, |_| {}).unwrap();
        let together = StudyTokens { series: vec![together.series[i].clone()] };
        assert!(largest_difference(&alone, &together) < 1e-6);
    }
}

#[test]
fn a_clinical_context_selects_the_heads_that_read_it() {
    let scratch = tempfile::tempdir().unwrap();
    let bundle = tiny(&scratch);
    let tokens = SeriesTokens { features: noise(4 * TOKEN_FEATURES, 5) };
    let mut study = input(StudyTokens { series: vec![tokens] });
    study.clinical_context = Some(noise(8, 9));
    let without = open(&bundle).score(&study).unwrap();
    assert!(!without.with_context, "this bundle has no such heads");

    context_heads(&bundle, 8);
    let engine = open(&bundle);
    let with = engine.score(&study).unwrap();
    assert!(with.with_context);
    assert_eq!(with.diagnosis.len(), 1);
    assert_ne!(with.diagnosis[0].logit.to_bits(), without.diagnosis[0].logit.to_bits());
    study.clinical_context = None;
    assert!(!engine.score(&study).unwrap().with_context);
    study.clinical_context = Some(noise(9, 9));
    let error = engine.score(&study).unwrap_err();
    assert_eq!(error.to_string(), "the study input has 9 context values, expected 8");
}

/// Gives a tiny bundle one diagnosis head that also reads `dimension` context values.
fn context_heads(bundle: &Path, dimension: usize) {
    let sizes = PrimaConfig::tiny();
    let widths = [sizes.embedding() + dimension, sizes.head_hidden[0], sizes.head_hidden[1], 1];
    let mut tensors = Vec::new();
    for (layer, io) in ["0", "2", "4"].into_iter().zip(widths.windows(2)) {
        tensors.push((format!("{layer}.weight"), vec![io[1], io[0]]));
        tensors.push((format!("{layer}.bias"), vec![io[1]]));
    }
    let bytes: Vec<(String, Vec<usize>, Vec<u8>)> = (0..)
        .zip(tensors)
        .map(|(seed, (name, shape))| {
            let values = noise(shape.iter().product(), seed);
            (name, shape, values.into_iter().flat_map(f32::to_le_bytes).collect())
        })
        .collect();
    let views = bytes.iter().map(|(name, shape, bytes)| {
        let dtype = safetensors::Dtype::F32;
        (name, safetensors::tensor::TensorView::new(dtype, shape.clone(), bytes).unwrap())
    });
    let file = "heads/context.safetensors";
    fs::write(bundle.join(file), safetensors::serialize(views, None).unwrap()).unwrap();
    let entry = listed(bundle, file);
    edit(bundle, |manifest| {
        let head = HeadEntry { file: file.to_owned(), ..manifest.diagnosis[0].clone() };
        manifest.context = Some(ContextHeads {
            dimension,
            encoder: "noise".to_owned(),
            sentences: None,
            diagnosis: vec![head],
        });
        manifest.files.push(entry);
    });
}

#[test]
fn probabilities_appear_only_with_a_calibration() {
    let scratch = tempfile::tempdir().unwrap();
    let bundle = tiny(&scratch);
    let tokens = SeriesTokens { features: noise(4 * TOKEN_FEATURES, 5) };
    let study = input(StudyTokens { series: vec![tokens] });
    let plain = open(&bundle).score(&study).unwrap();
    assert!(plain.diagnosis.iter().all(|d| d.probability.is_none()));
    assert!(plain.priority.iter().all(|p| p.probability.is_none()));

    edit(&bundle, |manifest| {
        manifest.diagnosis[0].calibration = Some(Calibration::Sigmoid { scale: 2.0, offset: 0.5 });
        manifest.diagnosis[0].threshold = 0.25;
        manifest.priority.as_mut().unwrap().temperature = Some(1.5);
    });
    let scores = open(&bundle).score(&study).unwrap();
    let first = &scores.diagnosis[0];
    let expected = 1.0 / (1.0 + (-(2.0 * first.logit + 0.5)).exp());
    assert!((first.probability.unwrap() - expected).abs() < 1e-6);
    assert!((first.logit - first.margin - 0.25).abs() < 1e-6);
    assert!(scores.diagnosis[1].probability.is_none());
    let sum: f32 = scores.priority.iter().map(|p| p.probability.unwrap()).sum();
    assert!((sum - 1.0).abs() < 1e-6);
}

#[test]
fn a_token_that_is_not_finite_is_refused() {
    let scratch = tempfile::tempdir().unwrap();
    let engine = open(&tiny(&scratch));
    let mut series = patches(0, 2, 1);
    series.voxels[5000] = f32::NAN;
    let error = engine.encode(&StudyPatches { series: vec![series] }, |_| {}).unwrap_err();
    assert!(matches!(error, EngineError::NotFinite { .. }), "{error}");
}
