//! Does reading ever hold up a training step? Token shards from a cold disk beside a plain read of
//! the same files, and how many studies a second are made ready, from the disk and from memory.
//!
//! The shards are those of 256 studies of 8 series of 300 tokens, in the build folder. Cold means
//! that the system was told to forget the files (`posix_fadvise`), which a disk's own cache is not.
//!
//! `cargo bench --workspace --profile dev --bench loading`

#![expect(
    clippy::unwrap_used,
    clippy::print_stdout,
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    reason = "a bench stops at the first problem and prints its table"
)]

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::time::Instant;

use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;
use rayon::prelude::*;
use rustix::fs::{Advice, fadvise};
use trainer::cohort::shard::{ShardSeries, ShardStudy, Store, Values, write_shard};
use trainer::stage::batch::{Augmentation, example};

const SHARDS: usize = 8;
const STUDIES_PER_SHARD: usize = 32;
const SERIES: usize = 8;
const TOKENS: u16 = 300;
/// Latent values of a token, in bytes.
const TOKEN_BYTES: usize = 512;

fn main() {
    let folder = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    let files: Vec<PathBuf> = (0..SHARDS).map(|shard| write(folder.path(), shard)).collect();
    let bytes: u64 = files.iter().map(|file| fs::metadata(file).unwrap().len()).sum();
    let studies = (SHARDS * STUDIES_PER_SHARD) as f64;
    println!("{:.0} MB in {SHARDS} shards, {studies} studies\n", bytes as f64 / 1e6);

    forget(&files);
    let plain = seconds(|| {
        files.par_iter().for_each(|file| {
            std::hint::black_box(fs::read(file).unwrap());
        });
    });
    let undisturbed = Augmentation::none();
    forget(&files);
    let cold = seconds(|| read(folder.path(), &undisturbed));
    let warm = seconds(|| read(folder.path(), &undisturbed));
    let disturbed = seconds(|| read(folder.path(), &Augmentation::default()));

    println!("| how | MB/s | of a plain read | studies/s |");
    println!("|---|---:|---:|---:|");
    for (how, seconds) in [
        ("plain read, cold", plain),
        ("studies, cold", cold),
        ("studies, in memory", warm),
        ("studies, in memory, with the paper's augmentations", disturbed),
    ] {
        let (rate, studies) = (bytes as f64 / 1e6 / seconds, studies / seconds);
        println!("| {how} | {rate:.0} | {:.2} | {studies:.0} |", plain / seconds);
    }
}

/// A shard of random values, on the disk when this returns.
fn write(folder: &Path, shard: usize) -> PathBuf {
    let study = |study: usize| ShardStudy {
        id: format!("study-{shard:02}-{study:02}"),
        description: "MRI BRAIN W WO CONTRAST".to_owned(),
        series: (0..SERIES).map(|series| self::series(study * SERIES + series)).collect(),
    };
    let studies: Vec<ShardStudy> = (0..STUDIES_PER_SHARD).map(study).collect();
    let path = folder.join(format!("tokens-{shard:04}.safetensors"));
    write_shard(&path, Values::Latents, &studies).unwrap();
    File::open(&path).unwrap().sync_all().unwrap();
    path
}

fn series(number: usize) -> ShardSeries {
    let count = usize::from(TOKENS);
    // Halves of small exponents: numbers of the size of latent values.
    let values = (0..count * TOKEN_BYTES).map(|i| match i % 2 {
        0 => ((i * 7919 + number) % 251) as u8,
        _ => 0x38,
    });
    ShardSeries {
        name: "ax t2 flair".to_owned(),
        thin_axis: number % 3,
        values: values.collect(),
        coordinates: (0..TOKENS).map(|i| [i / 64 * 4, i / 8 % 8 * 32, i % 8 * 32]).collect(),
        foreground: vec![80; count],
        components: vec![0; count],
        sequence: (0..TOKENS).collect(),
    }
}

/// Has the system drop the files from its memory.
fn forget(files: &[PathBuf]) {
    for file in files {
        fadvise(File::open(file).unwrap(), 0, None, Advice::DontNeed).unwrap();
    }
}

/// Opens the shards and makes every study ready, on all threads, as a step does.
fn read(folder: &Path, augmentation: &Augmentation) {
    let store = Store::open(folder, Values::Latents).unwrap();
    let ids: Vec<&str> = store.ids().collect();
    ids.par_iter().enumerate().for_each(|(i, id)| {
        let mut rng = ChaCha8Rng::seed_from_u64(i as u64);
        std::hint::black_box(example(&store, id, augmentation, &mut rng).unwrap());
    });
}

fn seconds(work: impl FnOnce()) -> f64 {
    let started = Instant::now();
    work();
    started.elapsed().as_secs_f64()
}
