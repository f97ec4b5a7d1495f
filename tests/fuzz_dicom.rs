//! Mutated DICOM files give values or errors: never a panic, an abort, or memory above 1 GB.
//!
//! Deterministic: case `n` is the same on every machine. `PRIMA_FUZZ_CASES` sets how many.

use std::ops::Range;
use std::path::{Path, PathBuf};

use models::dicom::decoder::{Decoder, DecoderLimits};
use models::dicom::{parse, pixels};

const STUDY: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/golden/prima/study");
const DEFAULT_CASES: u64 = 2000;
const MAX_RSS_KIB: u64 = 1 << 20;

/// Values that length and size fields are replaced with: the corners of every width.
const CORNERS: [u32; 12] =
    [0, 1, 2, 0x7F, 0xFF, 0x7FFF, 0x8000, 0xFFFE, 0xFFFF, 0x7FFF_FFFF, 0xFFFF_FFFE, u32::MAX];
/// Elements that decide how large things are, as they stand in a little-endian file.
const SIZE_TAGS: [[u8; 4]; 7] = [
    [0x28, 0, 0x02, 0], // Samples per Pixel
    [0x28, 0, 0x10, 0], // Rows
    [0x28, 0, 0x11, 0], // Columns
    [0x28, 0, 0x00, 1], // Bits Allocated
    [0x28, 0, 0x01, 1], // Bits Stored
    [0x28, 0, 0x02, 1], // High Bit
    [0x28, 0, 0x03, 1], // Pixel Representation
];
/// Representations whose two letters stand right before a length.
const REPRESENTATIONS: [&[u8; 2]; 10] =
    [b"SQ", b"OW", b"OB", b"UN", b"UI", b"DS", b"IS", b"US", b"LO", b"CS"];
/// Transfer syntaxes, each as long as the one that the golden files name.
const SYNTAXES: [&[u8]; 4] = [
    b"1.2.840.10008.1.2.2\0",
    b"1.2.840.10008.1.2.5\0",
    b"1.2.840.10008.1.2\0\0\0",
    b"1.2\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0",
];

/// `SplitMix64` (Steele, Lea and Flood 2014): small, and the same everywhere.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    fn below(&mut self, limit: usize) -> usize {
        usize::try_from(self.next() % u64::try_from(limit.max(1)).unwrap()).unwrap()
    }

    fn pick<T: Copy>(&mut self, of: &[T]) -> T {
        of[self.below(of.len())]
    }

    fn range(&mut self, length: usize, longest: usize) -> Range<usize> {
        let start = self.below(length);
        start..(start + 1 + self.below(longest)).min(length)
    }
}

/// One to four mutations of a file.
pub(crate) fn mutate(seed: u64, mut bytes: Vec<u8>) -> Vec<u8> {
    let mut random = Random(seed);
    for _ in 0..=random.below(4) {
        if bytes.is_empty() {
            break;
        }
        mutate_once(&mut random, &mut bytes);
    }
    bytes
}

fn mutate_once(random: &mut Random, bytes: &mut Vec<u8>) {
    let length = bytes.len();
    match random.below(10) {
        0 => {
            for _ in 0..=random.below(16) {
                let at = random.below(length);
                bytes[at] ^= 1 << random.below(8);
            }
        }
        1 => bytes.truncate(random.below(length)),
        2 => {
            let representation = random.pick(&REPRESENTATIONS);
            overwrite_after(random, bytes, representation);
        }
        3 => {
            let tag = random.pick(&SIZE_TAGS);
            overwrite_after(random, bytes, &tag);
        }
        4 => {
            let chunk = bytes[random.range(length, 4096)].to_vec();
            let at = random.below(length);
            bytes.splice(at..at, chunk);
        }
        5 => drop(bytes.drain(random.range(length, 4096))),
        6 => {
            let nested = nesting(random);
            let at = place(random, bytes, &[0x28, 0]);
            bytes.splice(at..at, nested);
        }
        7 => {
            let at = place(random, bytes, &[0x28, 0, 0x10, 0]);
            bytes.splice(at..at, *b"\x28\x00\x08\x00IS\x0A\x002147483647");
        }
        8 => {
            let syntax = random.pick(&SYNTAXES);
            if let Some(at) = find(bytes, b"1.2.840.10008.1.2.1\0") {
                bytes.splice(at..at + syntax.len(), syntax.iter().copied());
            }
        }
        _ => encapsulate(random, bytes),
    }
}

/// Overwrites two or four bytes at or near the end of an occurrence of `pattern`.
fn overwrite_after(random: &mut Random, bytes: &mut [u8], pattern: &[u8]) {
    let at = place(random, bytes, pattern) + pattern.len() + random.pick(&[0, 0, 2, 4]);
    let value = random.pick(&CORNERS).to_le_bytes();
    let width = random.pick(&[2, 4]);
    if let Some(field) = bytes.get_mut(at..at + width) {
        field.copy_from_slice(&value[..width]);
    }
}

/// Up to 20,000 sequences in one another, in a form the writer chose by lot.
fn nesting(random: &mut Random) -> Vec<u8> {
    let levels = random.pick(&[1, 10, 63, 64, 65, 1000, 20_000]);
    let group = random.pick(&[0x08, 0x09]);
    let open = [0xFF; 4];
    let sequence = [&[group, 0, 0x15, 0x11][..], random.pick(&[b"SQ\0\0", b"UN\0\0"]), &open];
    [&sequence.concat()[..], &[0xFE, 0xFF, 0, 0xE0], &open].concat().repeat(levels)
}

/// Makes the pixel data encapsulated, with fragments of any length.
fn encapsulate(random: &mut Random, bytes: &mut Vec<u8>) {
    let Some(at) = find(bytes, &[0xE0, 0x7F, 0x10, 0]) else { return };
    bytes.truncate(at);
    bytes.extend(b"\xE0\x7F\x10\x00OB\0\0\xFF\xFF\xFF\xFF");
    for _ in 0..random.pick(&[0, 1, 2, 3, 10_000]) {
        bytes.extend([0xFE, 0xFF, 0, 0xE0]);
        let length = random.pick(&[0, 0, 4, 8, u32::MAX, 1 << 30]);
        bytes.extend(length.to_le_bytes());
        bytes.extend(vec![0; usize::try_from(length % 64).unwrap()]);
    }
}

/// An occurrence of `pattern`, or anywhere.
fn place(random: &mut Random, bytes: &[u8], pattern: &[u8]) -> usize {
    let from = random.below(bytes.len());
    let later = find(&bytes[from..], pattern).map(|at| from + at);
    later.or_else(|| find(bytes, pattern)).unwrap_or(from)
}

fn find(bytes: &[u8], pattern: &[u8]) -> Option<usize> {
    bytes.windows(pattern.len()).position(|window| window == pattern)
}

/// Parses, lays out and decodes what it can of one file; says how far it came.
fn read(bytes: Vec<u8>, decoder: &Decoder) -> usize {
    let Ok(file) = parse::parse_bytes(Path::new("mutated.dcm"), bytes) else { return 0 };
    if pixels::layout(&file).is_err() {
        return 1;
    }
    let frame = pixels::decode_frame(&file, 0, decoder);
    assert!(frame.as_ref().is_ok_and(|frame| !frame.values.is_empty()) || frame.is_err());
    2 + usize::from(frame.is_ok())
}

/// Highest resident size of this process so far.
fn peak_rss_kib() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").expect("/proc");
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).expect("VmHWM");
    line.trim().trim_end_matches("kB").trim().parse().expect("a number")
}

fn golden_files() -> Vec<PathBuf> {
    let mut files: Vec<PathBuf> = std::fs::read_dir(STUDY)
        .expect(STUDY)
        .filter_map(|series| std::fs::read_dir(series.ok()?.path()).ok())
        .flat_map(|series| series.filter_map(|file| Some(file.ok()?.path())))
        .collect();
    files.sort();
    files
}

/// The whole of it; how far the cases came is printed so that a fuzzer that only ever produces
/// unreadable files is noticed.
#[test]
#[expect(clippy::disallowed_methods, reason = "a test has no main that could read it")]
fn mutated_files_never_bring_the_reader_down() {
    let cases = std::env::var("PRIMA_FUZZ_CASES").ok().and_then(|n| n.parse().ok());
    let cases: u64 = cases.unwrap_or(DEFAULT_CASES);
    let originals: Vec<Vec<u8>> =
        golden_files().iter().map(|path| std::fs::read(path).expect("golden file")).collect();
    assert!(originals.len() >= 20);
    // Compressed frames end at a decoder that does not start: this is about the parent process.
    let decoder = Decoder::new("no-such-program".into(), Vec::new(), DecoderLimits::default());
    let started = std::time::Instant::now();
    let mut came_to = [0_u64; 4];
    for case in 0..cases {
        let mut random = Random(case);
        let original = &originals[random.below(originals.len())];
        came_to[read(mutate(random.next(), original.clone()), &decoder)] += 1;
    }
    let [unparsed, no_layout, no_frame, frame] = came_to;
    eprintln!(
        "{cases} mutated files in {:.1} s: {unparsed} not parsed, {no_layout} without usable \
         layout, {no_frame} without frame, {frame} decoded; peak RSS {} MiB",
        started.elapsed().as_secs_f64(),
        peak_rss_kib() / 1024
    );
    assert!(cases < 1000 || came_to.iter().all(|&count| count > cases / 100), "{came_to:?}");
    assert!(peak_rss_kib() < MAX_RSS_KIB, "peak RSS {} KiB", peak_rss_kib());
}
