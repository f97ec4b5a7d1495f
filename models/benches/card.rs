//! One study on a graphics card, beside the same layers in PyTorch on the same card in the same run:
//! tokenizer, transformers and heads, an explanation, and a backlog whose next study is read while
//! the card works on this one.
//!
//! `cargo bench --workspace --profile dev --bench card -- [--device cuda|wgpu|cpu] [--full] [--edge]
//! [--studies N] [--masks N]`
//!
//! Half precision and published sizes with random weights, unless `--full` asks for single precision
//! (wgpu has no other) and `--edge` for the student that ships, which has no peer.

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::print_stdout,
    clippy::cast_precision_loss,
    reason = "a bench stops at the first problem and prints its table"
)]

mod support;

use std::error::Error as _;
use std::path::Path;
use std::process::Command;
use std::sync::mpsc::sync_channel;
use std::time::Instant;
use std::{env, thread};

use models::engine::{DeviceChoice, Engine, Precision, StudyInput, Target};
use models::explain::lime::{LimeConfig, explain};
use models::prepare::Prepared;
use models::weights::bundle::Bundle;
use serde_json::Value;

use support::{PhantomStudy, input, published, shipped, token_counts};

/// Repeats of every stage after one that is not counted, in which kernels are compiled.
const REPEATS: usize = 3;

struct Arguments {
    device: DeviceChoice,
    precision: Precision,
    edge: bool,
    studies: usize,
    masks: usize,
}

impl Arguments {
    fn read() -> Self {
        let words: Vec<String> = env::args().collect();
        let value = |name: &str| {
            let at = words.iter().position(|word| word == name)?;
            Some(words.get(at + 1).expect("a value after its name").as_str())
        };
        let has = |name: &str| words.iter().any(|word| word == name);
        let number = |name: &str| value(name).map(|value| value.parse().expect("a number"));
        Self {
            device: value("--device").unwrap_or("cuda").parse().expect("cuda, wgpu or cpu"),
            precision: if has("--full") { Precision::Full } else { Precision::Half },
            edge: has("--edge"),
            studies: number("--studies").unwrap_or(16),
            masks: number("--masks").unwrap_or(3000),
        }
    }
}

fn main() {
    let arguments = Arguments::read();
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let bundle = if arguments.edge { Bundle::open(&shipped(&root)).unwrap() } else { published() };
    let engine = match Engine::open(bundle, arguments.device, arguments.precision) {
        Ok(engine) => engine,
        Err(error) => {
            let (mut causes, mut cause) = (String::new(), error.source());
            while let Some(next) = cause {
                causes += &format!(": {next}");
                cause = next.source();
            }
            println!("no figures: {error}{causes}");
            return;
        }
    };
    let study = PhantomStudy::write();
    let prepared = study.prepare();
    let tokens: usize = prepared.series.iter().map(|s| s.tokens).sum();
    println!("\n{} on {}, {tokens} tokens", engine.bundle().manifest().id, arguments.device);
    let input = stages(&engine, &prepared, &arguments, &root);
    explanation(&engine, &input, arguments.masks);
    backlog(&engine, &study, arguments.studies);
}

/// Every stage beside its peer; returns the study as the transformers read it.
fn stages(engine: &Engine, prepared: &Prepared, arguments: &Arguments, root: &Path) -> StudyInput {
    let encoding = seconds(|| drop(engine.encode(&prepared.patches, |_| {}).unwrap()));
    let tokens = engine.encode(&prepared.patches, |_| {}).unwrap();
    let input = input(prepared, tokens);
    let transforming = seconds(|| drop(engine.embedding(&input).unwrap()));
    let scoring = seconds(|| drop(engine.score(&input).unwrap()));
    let peer = (!arguments.edge).then(|| peer(root, prepared, arguments)).flatten();
    let of = |stage: &str| peer.as_ref().and_then(|peer| peer[stage]["wall_s"].as_f64());
    let all: usize = prepared.series.iter().map(|s| s.patches).sum();
    let theirs = [
        of("encoder_per_patch").map(|seconds| seconds * all as f64),
        of("sequence_vit").zip(of("study_vit")).map(|(series, study)| series + study),
        of("heads"),
    ];
    let ours = [encoding, transforming, scoring - transforming];
    println!("\n| stage | s | PyTorch, s | times as fast |\n|---|---:|---:|---:|");
    let row = |stage: &str, ours: f64, theirs: Option<f64>| {
        let theirs = theirs.map(|theirs| (format!("{theirs:.3}"), format!("{:.2}", theirs / ours)));
        let (theirs, ratio) = theirs.unwrap_or_else(|| ("-".to_owned(), "-".to_owned()));
        println!("| {stage} | {ours:.3} | {theirs} | {ratio} |");
    };
    for (stage, (ours, theirs)) in
        ["tokenizer", "transformers", "heads, from memory"].iter().zip(ours.into_iter().zip(theirs))
    {
        row(stage, ours, theirs);
    }
    row("study", ours.iter().sum(), theirs.into_iter().sum());
    input
}

/// LIME of the first diagnosis on the series with most tokens.
fn explanation(engine: &Engine, input: &StudyInput, masks: usize) {
    let longest = (0..input.tokens.series.len()).max_by_key(|i| input.tokens.series[*i].len());
    let series = longest.expect("a study has a series");
    let count = input.tokens.series[series].len();
    let target = Target::Diagnosis(engine.bundle().manifest().diagnosis[0].name.clone());
    let scorer = engine.masked_scorer(input, series, &target).unwrap();
    let config = LimeConfig { samples: masks, ..LimeConfig::default() };
    let started = Instant::now();
    explain(&config, count, |masks| scorer.scores(masks)).unwrap();
    let seconds = started.elapsed().as_secs_f64();
    println!("\nLIME, {masks} masks of {count} tokens: {seconds:.2} s");
}

/// Studies one after another, each read while the one before it is on the card.
fn backlog(engine: &Engine, study: &PhantomStudy, studies: usize) {
    let started = Instant::now();
    let mut working = 0.0;
    thread::scope(|scope| {
        let (sender, receiver) = sync_channel(1);
        scope.spawn(move || {
            (0..studies).take_while(|_| sender.send(study.prepare()).is_ok()).count()
        });
        for prepared in receiver {
            let started = Instant::now();
            let tokens = engine.encode(&prepared.patches, |_| {}).unwrap();
            engine.score(&input(&prepared, tokens)).unwrap();
            working += started.elapsed().as_secs_f64();
        }
    });
    let seconds = started.elapsed().as_secs_f64();
    println!(
        "backlog of {studies}, from files: {:.2} studies/s, the device has work for {:.0} % of the time",
        studies as f64 / seconds,
        100.0 * working / seconds
    );
}

/// The least seconds of a few runs, after one that is not counted.
fn seconds(work: impl Fn()) -> f64 {
    work();
    let run = |_| {
        let started = Instant::now();
        work();
        started.elapsed().as_secs_f64()
    };
    (0..REPEATS).map(run).fold(f64::INFINITY, f64::min)
}

/// Runs the same layers in PyTorch; `None` where it is not installed or has no such device.
fn peer(root: &Path, prepared: &Prepared, arguments: &Arguments) -> Option<Value> {
    let device = arguments.device.to_string();
    let mut command = Command::new("python3");
    command.arg(root.join("ops/bench_peer.py"));
    command.args(["--json", "--patches", "512", "--device", &device]);
    command.args(["--tokens", &token_counts(prepared)]);
    if arguments.precision == Precision::Half {
        command.arg("--half");
    }
    let output = command.output().ok()?;
    serde_json::from_slice(&output.stdout).ok()
}
