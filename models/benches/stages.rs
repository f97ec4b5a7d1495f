//! Criterion benches of every stage, one study's worth of data or one unit of work each.

#![expect(clippy::unwrap_used, reason = "a bench stops at the first problem")]

#[path = "../../tests/support/phantom.rs"]
#[expect(dead_code, unreachable_pub, reason = "the tests use more of it than the benches")]
mod phantom;

use std::path::PathBuf;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use models::dicom::decoder::{Decoder, DecoderLimits};
use models::dicom::read::{Limits, read_study};
use models::dicom::select::Selection;
use models::dicom::series::read_stack;
use models::engine::{DeviceChoice, Engine, Precision, StudyInput, Target, device};
use models::nn::config::PrimaConfig;
use models::prepare::prepare;
use models::tokens::patchify::patchify;
use models::volume::{Preprocessing, preprocess};
use models::weights::bundle::Bundle;
use models::weights::init::{InitOptions, write_untrained};

fn stages(c: &mut Criterion) {
    let scratch = tempfile::tempdir().unwrap();
    let study_dir = scratch.path().join("study");
    phantom::bench_study(&study_dir).unwrap();
    let decoder = Decoder::new(PathBuf::from("unused"), Vec::new(), DecoderLimits::default());
    let selection = Selection::built_in().unwrap();
    let read = || read_study(&study_dir, Limits::default(), &selection).unwrap();
    let study = read();
    let (stack, _) = read_stack(&study.series[0], &decoder).unwrap();
    let volume = preprocess(&stack, Preprocessing::V1).unwrap();

    let mut group = c.benchmark_group("prepare");
    group.sample_size(10);
    group.bench_function("read headers of 384 files", |b| b.iter(read));
    group.throughput(Throughput::Elements(stack.samples.len() as u64));
    group.bench_function("decode a series of 48 slices", |b| {
        b.iter(|| read_stack(&study.series[0], &decoder).unwrap());
    });
    group.bench_function("resample and orient a series", |b| {
        b.iter(|| preprocess(&stack, Preprocessing::V1).unwrap());
    });
    group.bench_function("cut and filter a series", |b| {
        b.iter(|| patchify(&volume, Preprocessing::V1).unwrap());
    });
    group.finish();

    let folder = scratch.path().join("bundle");
    let options = InitOptions {
        preset: "tiny",
        sizes: PrimaConfig::tiny(),
        seed: 1,
        context_dimension: None,
    };
    let cpu = device(DeviceChoice::Cpu).unwrap();
    write_untrained(&options, &folder, &cpu, &mut |_, _| {}).unwrap();
    let bundle = Bundle::open(&folder).unwrap();
    let engine = Engine::open(bundle, DeviceChoice::Cpu, Precision::Full).unwrap();
    let prepared = prepare(&study_dir, Preprocessing::V1, &selection, &decoder, |_| {}).unwrap();
    let mut group = c.benchmark_group("tiny network");
    group.sample_size(10);
    group.bench_function("encode a study", |b| {
        b.iter(|| engine.encode(&prepared.patches, |_| {}).unwrap());
    });
    let input = StudyInput {
        tokens: engine.encode(&prepared.patches, |_| {}).unwrap(),
        series_names: prepared.series.iter().map(|s| s.series.name.clone()).collect(),
        study_description: String::new(),
        clinical_context: None,
    };
    group.bench_function("score a study", |b| b.iter(|| engine.score(&input).unwrap()));
    let target = Target::Priority("high".to_owned());
    let scorer = engine.masked_scorer(&input, 0, &target).unwrap();
    let mask = vec![true; input.tokens.series[0].len()];
    group.bench_function("score 32 masks of a series", |b| {
        b.iter(|| scorer.scores(&[mask.as_slice(); 32]).unwrap());
    });
    group.finish();
}

criterion_group!(benches, stages);
criterion_main!(benches);
