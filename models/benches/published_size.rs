//! The published network on one CPU study beside the same layers in PyTorch, as a table.
//!
//! The study is the phantom of `tests/support/phantom.rs`: 8 series of 48 slices of 320 x 320. The
//! weights are random. By default the tokenizer runs on a sample of patches, before and after the
//! peer, and its cost is multiplied by the number of patches; `--full` encodes all of them.
//!
//! `cargo bench --workspace --profile dev --bench published_size [-- --full]`

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::print_stdout,
    clippy::cast_precision_loss,
    reason = "a bench stops at the first problem and prints its table"
)]

#[path = "../../tests/support/phantom.rs"]
#[expect(dead_code, unreachable_pub, reason = "the tests use more of it than the benches")]
mod phantom;

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Instant;
use std::{env, fs};

use models::dicom::decoder::{Decoder, DecoderLimits};
use models::dicom::select::Selection;
use models::engine::{DeviceChoice, Engine, Precision, StudyInput, device};
use models::nn::config::PrimaConfig;
use models::prepare::{Prepared, prepare};
use models::tokens::StudyPatches;
use models::volume::Preprocessing;
use models::weights::bundle::Bundle;
use models::weights::init::{InitOptions, write_untrained};
use serde_json::Value;

/// Patches the tokenizer is timed on, each time.
const SAMPLE: usize = 96;

fn main() {
    let full = env::args().any(|argument| argument == "--full");
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let scratch = tempfile::tempdir().unwrap();
    phantom::bench_study(scratch.path()).expect("the phantom study is written");
    let engine = Engine::open(bundle(), DeviceChoice::Cpu, Precision::Full).unwrap();
    let decoder = Decoder::new(PathBuf::from("unused"), Vec::new(), DecoderLimits::default());

    let selection = Selection::built_in().unwrap();
    let (prepared, preparing) = measure(|| {
        prepare(scratch.path(), Preprocessing::V1, &selection, &decoder, |_| {}).unwrap()
    });
    let kept: usize = prepared.patches.series.iter().map(|s| s.coordinates.len()).sum();
    let all: usize = prepared.series.iter().map(|s| s.patches).sum();

    let sample = sample(&prepared, if full { usize::MAX } else { SAMPLE });
    let count: usize = sample.series.iter().map(|s| s.coordinates.len()).sum();
    let (tokens, before) = measure(|| engine.encode(&sample, |_| {}).unwrap());
    let peer = peer(&root, &prepared);
    let encoding = if full {
        before
    } else {
        let (_, after) = measure(|| engine.encode(&sample, |_| {}).unwrap());
        before.mean(after)
    };

    // The transformers' cost depends on the number of tokens only, so sampled ones are repeated.
    let input = full_input(&prepared, &tokens);
    engine.score(&input).unwrap(); // hashes the heads, once per process
    let (_, scoring) = measure(|| engine.score(&input).unwrap());

    let encoding = encoding.times(kept as f64 / count as f64);
    print_table(&Table { kept, all, preparing, encoding, scoring, peer, full });
}

/// CPU seconds, and seconds on the wall.
#[derive(Clone, Copy)]
struct Cost {
    cpu: f64,
    wall: f64,
}

impl Cost {
    fn mean(self, other: Self) -> Self {
        Self { cpu: self.cpu.midpoint(other.cpu), wall: self.wall.midpoint(other.wall) }
    }

    fn times(self, factor: f64) -> Self {
        Self { cpu: self.cpu * factor, wall: self.wall * factor }
    }

    fn plus(self, other: Self) -> Self {
        Self { cpu: self.cpu + other.cpu, wall: self.wall + other.wall }
    }
}

fn measure<T>(work: impl FnOnce() -> T) -> (T, Cost) {
    let (cpu, started) = (cpu_seconds(), Instant::now());
    let value = work();
    (value, Cost { cpu: cpu_seconds() - cpu, wall: started.elapsed().as_secs_f64() })
}

/// User and system time of this process from the kernel, in its ticks of 10 ms.
fn cpu_seconds() -> f64 {
    let stat = fs::read_to_string("/proc/self/stat").unwrap();
    let fields: Vec<&str> = stat.rsplit(')').next().unwrap().split_whitespace().collect();
    let ticks = |field: usize| fields[field].parse::<f64>().unwrap();
    (ticks(11) + ticks(12)) / 100.0
}

fn peak_megabytes() -> f64 {
    let status = fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with("VmHWM")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse::<f64>().unwrap() / 1024.0
}

/// The bundle that `PRIMA_BENCH_BUNDLE` names, or an untrained one made in the build folder.
#[expect(clippy::disallowed_methods, reason = "this is the bench's main")]
fn bundle() -> Bundle {
    let folder = env::var("PRIMA_BENCH_BUNDLE").map_or_else(
        |_| Path::new(env!("CARGO_TARGET_TMPDIR")).join("untrained-prima-1"),
        PathBuf::from,
    );
    if !folder.exists() {
        let sizes = PrimaConfig::prima();
        let options = InitOptions { preset: "prima", sizes, seed: 1, context_dimension: None };
        let cpu = device(DeviceChoice::Cpu).unwrap();
        write_untrained(&options, &folder, &cpu, &mut |_, _| {}).expect("5 GB of free disk");
    }
    Bundle::open(&folder).unwrap()
}

/// Up to `count` patches, the same share of every series.
fn sample(prepared: &Prepared, count: usize) -> StudyPatches {
    let series = &prepared.patches.series;
    let share = count / series.len();
    let cut = |s: &models::tokens::SeriesPatches| {
        let n = share.min(s.coordinates.len());
        models::tokens::SeriesPatches {
            thin_axis: s.thin_axis,
            voxels: s.voxels[..n * models::dims::PATCH_VOX].to_vec(),
            coordinates: s.coordinates[..n].to_vec(),
            sequence: (0..u32::try_from(n).unwrap()).collect(),
        }
    };
    StudyPatches { series: series.iter().map(cut).collect() }
}

fn full_input(prepared: &Prepared, tokens: &models::engine::StudyTokens) -> StudyInput {
    let mut input = StudyInput {
        tokens: tokens.clone(),
        series_names: prepared.series.iter().map(|s| s.series.name.clone()).collect(),
        study_description: "MRI BRAIN W WO CONTRAST".to_owned(),
        clinical_context: None,
    };
    for (series, prepared) in input.tokens.series.iter_mut().zip(&prepared.series) {
        let values = prepared.tokens * models::dims::TOKEN_FEATURES;
        series.features = series.features.iter().copied().cycle().take(values).collect();
    }
    input
}

/// Runs the same layers in PyTorch; `None` where it is not installed.
fn peer(root: &Path, prepared: &Prepared) -> Option<Value> {
    let tokens: Vec<String> = prepared.series.iter().map(|s| s.tokens.to_string()).collect();
    let output = Command::new("python3")
        .arg(root.join("ops/bench_peer.py"))
        .args(["--json", "--patches", "64", "--tokens", &tokens.join(",")])
        .output()
        .ok()?;
    serde_json::from_slice(&output.stdout).ok()
}

struct Table {
    kept: usize,
    all: usize,
    preparing: Cost,
    encoding: Cost,
    scoring: Cost,
    peer: Option<Value>,
    full: bool,
}

fn print_table(table: &Table) {
    let share = 100.0 * table.kept as f64 / table.all as f64;
    println!("\nPublished sizes, random weights, CPU; 8 series x 48 slices x 320 x 320");
    println!("patches kept: {} of {} ({share:.1} %)", table.kept, table.all);
    let how = if table.full { "all patches encoded" } else { "from a sample of patches" };
    println!("tokenizer: {how}; PyTorch encodes all patches, ours the kept ones\n");
    let peer = table.peer.as_ref().map(|peer| Peer::new(peer, table.all));
    println!("| stage | ours, CPU s | ours, wall s | PyTorch, CPU s | ratio |");
    println!("|---|---|---|---|---|");
    let row = |name: &str, ours: Cost, theirs: Option<f64>| {
        let theirs_text = theirs.map_or_else(|| "-".to_owned(), |t| format!("{t:.1}"));
        let ratio = theirs.map_or_else(|| "-".to_owned(), |t| format!("{:.2}", ours.cpu / t));
        println!("| {name} | {:.2} | {:.2} | {theirs_text} | {ratio} |", ours.cpu, ours.wall);
    };
    row("read, decode, preprocess", table.preparing, None);
    row("tokenizer", table.encoding, peer.as_ref().map(|p| p.encoder));
    row("transformers and heads", table.scoring, peer.as_ref().map(|p| p.rest));
    let networks = table.encoding.plus(table.scoring);
    row("networks", networks, peer.as_ref().map(|p| p.encoder + p.rest));
    println!("\npeak resident memory: {:.0} MB", peak_megabytes());
    if peer.is_none() {
        println!("PyTorch is not installed for python3: no peer in this run");
    }
}

/// CPU seconds of the peer for the whole study.
struct Peer {
    encoder: f64,
    rest: f64,
}

impl Peer {
    fn new(json: &Value, patches: usize) -> Self {
        let cpu = |stage: &str| json[stage]["cpu_s"].as_f64().expect("the peer's JSON");
        Self {
            encoder: cpu("encoder_per_patch") * patches as f64,
            rest: cpu("sequence_vit") + cpu("study_vit") + cpu("heads"),
        }
    }
}
