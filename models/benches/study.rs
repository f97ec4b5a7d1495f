//! One study on a CPU: from its last DICOM file on disk to scores, by stage, with the arithmetic
//! that each stage executes and the share of the machine's peak that it reaches.
//!
//! The study is the phantom of `tests/support/phantom.rs`: 8 series of 48 slices of 320 x 320. The
//! networks are the published one with random weights, beside the same layers in PyTorch, and the
//! edge student that ships. The peak is what PyTorch's product of two matrices of 4096 x 4096
//! reaches in the same run. By default the published tokenizer runs on a sample of patches, before
//! and after the peer, and its cost is multiplied by the number of patches; `--full` encodes all
//! of them.
//!
//! `cargo bench --workspace --profile dev --bench study [-- --full]`

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::print_stdout,
    clippy::cast_precision_loss,
    reason = "a bench stops at the first problem and prints its table"
)]

mod support;

use std::path::Path;
use std::process::Command;
use std::time::Instant;
use std::{env, fs};

use models::engine::{DeviceChoice, Engine, Precision, StudyInput};
use models::nn::config::PrimaConfig;
use models::nn::cost;
use models::prepare::Prepared;
use models::tokens::StudyPatches;
use models::weights::bundle::Bundle;
use serde_json::Value;

use support::{DESCRIPTION, PhantomStudy, token_counts};

/// Patches the tokenizer is timed on, each time.
const SAMPLE: usize = 96;

fn main() {
    let full = env::args().any(|argument| argument == "--full");
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let study = PhantomStudy::write();
    student(&root, &study);
    published(&root, &study, full);
}

/// The student that ships, as a box without a graphics card runs it.
fn student(root: &Path, study: &PhantomStudy) {
    let folder = support::shipped(root);
    let name = folder.file_name().unwrap().to_string_lossy().into_owned();
    let (engine, loading) = measure(|| {
        Engine::open(Bundle::open(&folder).unwrap(), DeviceChoice::Cpu, Precision::Full).unwrap()
    });
    let sizes = &engine.bundle().manifest().sizes;
    println!("\n{name}, CPU, all of the study, the first one after the start\n");
    println!("| stage | GFLOP | CPU s | wall s | GFLOP/s |");
    println!("|---|---|---|---|---|");
    let row = |stage: &str, multiplications: u64, cost: Cost| {
        let gflop = 2e-9 * multiplications as f64;
        let [amount, rate] = match multiplications {
            0 => ["-".to_owned(), "-".to_owned()],
            _ => [format!("{gflop:.1}"), format!("{:.0}", gflop / cost.wall)],
        };
        println!("| {stage} | {amount} | {:.2} | {:.2} | {rate} |", cost.cpu, cost.wall);
    };
    row("load", 0, loading);
    let (prepared, preparing) = measure(|| study.prepare());
    row("read, decode, preprocess", 0, preparing);
    let (tokens, encoding) = measure(|| engine.encode(&prepared.patches, |_| {}).unwrap());
    row("tokenizer", kept(&prepared) as u64 * cost::tokenizer_on_cpu(&sizes.tokenizer), encoding);
    let input = full_input(&prepared, &tokens);
    let (_, scoring) = measure(|| engine.score(&input).unwrap());
    row("transformers and heads", transformers(sizes, &prepared), scoring);
    row("DICOM to scores", 0, preparing.plus(encoding).plus(scoring));
    println!("\npeak resident memory: {:.0} MB", peak_megabytes());
}

fn published(root: &Path, study: &PhantomStudy, full: bool) {
    let engine = Engine::open(support::published(), DeviceChoice::Cpu, Precision::Full).unwrap();
    let (prepared, preparing) = measure(|| study.prepare());
    let kept = kept(&prepared);
    let all: usize = prepared.series.iter().map(|s| s.patches).sum();

    let sample = sample(&prepared, if full { usize::MAX } else { SAMPLE });
    let count: usize = sample.series.iter().map(|s| s.coordinates.len()).sum();
    let (tokens, before) = measure(|| engine.encode(&sample, |_| {}).unwrap());
    let peer = peer(root, &prepared);
    let encoding = if full {
        before
    } else {
        let (_, after) = measure(|| engine.encode(&sample, |_| {}).unwrap());
        before.mean(after)
    };

    // The transformers' cost depends on the number of tokens only, so sampled ones are repeated.
    let input = full_input(&prepared, &tokens);
    engine.score(&input).unwrap(); // hashes the heads, once per process
    let (_, transforming) = measure(|| engine.embedding(&input).unwrap());
    let (_, scoring) = measure(|| engine.score(&input).unwrap());

    let sizes = &engine.bundle().manifest().sizes;
    let manifest = engine.bundle().manifest();
    let heads = manifest.diagnosis.len() + manifest.referral.len();
    let head = cost::head(sizes.embedding(), sizes.head_hidden, 1);
    print_table(&Table {
        kept,
        all,
        preparing,
        encoding: encoding.times(kept as f64 / count as f64),
        transforming,
        heads: scoring.minus(transforming),
        multiplications: [
            kept as u64 * cost::tokenizer_on_cpu(&sizes.tokenizer),
            transformers(sizes, &prepared),
            heads as u64 * head,
        ],
        direct: kept as u64 * cost::tokenizer(&sizes.tokenizer),
        peer,
        full,
    });
}

fn kept(prepared: &Prepared) -> usize {
    prepared.patches.series.iter().map(|s| s.coordinates.len()).sum()
}

/// Multiplications of the transformers on all tokens.
fn transformers(sizes: &PrimaConfig, prepared: &Prepared) -> u64 {
    let series = prepared.series.iter().map(|s| {
        let name = s.series.name.chars().count();
        cost::vit(&sizes.sequence_vit, 1 + s.tokens) + cost::name(&sizes.series_name, name)
    });
    let description = cost::name(&sizes.study_name, DESCRIPTION.len());
    series.sum::<u64>() + cost::vit(&sizes.study_vit, 1 + prepared.series.len()) + description
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

    fn minus(self, other: Self) -> Self {
        Self { cpu: self.cpu - other.cpu, wall: self.wall - other.wall }
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
    let mut input = support::input(prepared, tokens.clone());
    for (series, prepared) in input.tokens.series.iter_mut().zip(&prepared.series) {
        let values = prepared.tokens * models::dims::TOKEN_FEATURES;
        series.features = series.features.iter().copied().cycle().take(values).collect();
    }
    input
}

/// Runs the same layers in PyTorch; `None` where it is not installed.
fn peer(root: &Path, prepared: &Prepared) -> Option<Value> {
    let output = Command::new("python3")
        .arg(root.join("ops/bench_peer.py"))
        .args(["--json", "--patches", "64", "--tokens", &token_counts(prepared)])
        .output()
        .ok()?;
    serde_json::from_slice(&output.stdout).ok()
}

struct Table {
    kept: usize,
    all: usize,
    preparing: Cost,
    encoding: Cost,
    transforming: Cost,
    heads: Cost,
    /// Executed by tokenizer, transformers and heads.
    multiplications: [u64; 3],
    /// Of the tokenizer, were its convolutions computed directly.
    direct: u64,
    peer: Option<Value>,
    full: bool,
}

fn print_table(table: &Table) {
    let share = 100.0 * table.kept as f64 / table.all as f64;
    println!("\nPublished sizes, random weights, CPU; 8 series x 48 slices x 320 x 320");
    println!("patches kept: {} of {} ({share:.1} %)", table.kept, table.all);
    let how = if table.full { "all patches encoded" } else { "from a sample of patches" };
    println!("tokenizer: {how}; PyTorch encodes all patches, ours the kept ones");
    let direct = table.multiplications[0] as f64 / table.direct as f64;
    println!("multiplications of the tokenizer beside direct convolution: {direct:.2}");
    let peer = table.peer.as_ref().map(|peer| Peer::new(peer, table.all));
    if let Some(peer) = &peer {
        println!("peak: {:.0} GFLOP/s, PyTorch's product of 4096 x 4096", peer.peak);
    }
    println!();
    println!("| stage | GFLOP | CPU s | wall s | GFLOP/s | of the peak | PyTorch, CPU s | ratio |");
    println!("|---|---|---|---|---|---|---|---|");
    let dash = || "-".to_owned();
    let row = |name: &str, multiplications: u64, ours: Cost, theirs: Option<f64>| {
        let gflop = 2e-9 * multiplications as f64;
        let rate = gflop / ours.wall;
        let [amount, speed, of_peak] = match multiplications {
            0 => [dash(), dash(), dash()],
            _ => [
                format!("{gflop:.0}"),
                format!("{rate:.0}"),
                peer.as_ref().map_or_else(dash, |p| format!("{:.2}", rate / p.peak)),
            ],
        };
        let [theirs, ratio] = match theirs {
            None => [dash(), dash()],
            Some(t) => [format!("{t:.1}"), format!("{:.2}", ours.cpu / t)],
        };
        println!(
            "| {name} | {amount} | {:.2} | {:.2} | {speed} | {of_peak} | {theirs} | {ratio} |",
            ours.cpu, ours.wall
        );
    };
    let [tokenizer, transformers, heads] = table.multiplications;
    let of = |stage: fn(&Peer) -> f64| peer.as_ref().map(stage);
    row("read, decode, preprocess", 0, table.preparing, None);
    row("tokenizer", tokenizer, table.encoding, of(|p| p.encoder));
    row("transformers", transformers, table.transforming, of(|p| p.transformers));
    row("heads, from disk", heads, table.heads, of(|p| p.heads));
    let networks = table.encoding.plus(table.transforming).plus(table.heads);
    let all = tokenizer + transformers + heads;
    row("networks", all, networks, of(|p| p.encoder + p.transformers + p.heads));
    println!("\npeak resident memory: {:.0} MB", peak_megabytes());
    if peer.is_none() {
        println!("PyTorch is not installed for python3: no peer in this run");
    }
}

/// What the peer printed: CPU seconds for the whole study, and the machine's peak.
struct Peer {
    encoder: f64,
    transformers: f64,
    heads: f64,
    /// GFLOP/s.
    peak: f64,
}

impl Peer {
    fn new(json: &Value, patches: usize) -> Self {
        let cpu = |stage: &str| json[stage]["cpu_s"].as_f64().expect("the peer's JSON");
        Self {
            encoder: cpu("encoder_per_patch") * patches as f64,
            transformers: cpu("sequence_vit") + cpu("study_vit"),
            heads: cpu("heads"),
            peak: json["sgemm_4096_gflops"].as_f64().expect("the peer's JSON"),
        }
    }
}
