//! Damaged checkpoints give errors: never a panic, an abort, or memory above 1 GB.
//!
//! Every case changes a few bytes of a golden checkpoint and describes it, which reads the zip
//! directory, the pickle and every tensor's place; every hundredth is imported as well. Half of the
//! changes hit the pickle or the zip directory, which decide everything else.
//!
//! `PRIMA_FUZZ_CASES` sets the number of cases. The cases run in a process of their own, so that
//! its peak memory is theirs.
#![expect(clippy::unwrap_used, clippy::print_stdout, reason = "functions of a test")]

use std::fs::{self, OpenOptions};
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::process::Command;

use models::weights::import::{
    Checkpoint, HeadPrecision, TokenizerCheckpoint, import_prima, sizes_of,
};

const CASES: &str = "PRIMA_FUZZ_CASES";
const CHILD: &str = "PRIMA_FUZZ_CHILD";
const GOLDEN: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/golden/prima");

#[test]
#[expect(clippy::disallowed_methods, reason = "a test has no main to read the environment in")]
fn damaged_checkpoints_give_errors() {
    let cases = std::env::var(CASES).ok().and_then(|n| n.parse().ok()).unwrap_or(2000);
    if std::env::var_os(CHILD).is_some() {
        return run(cases);
    }
    let name = concat!(module_path!(), "::damaged_checkpoints_give_errors");
    let name = name.split_once("::").unwrap().1;
    let status = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", name, "--nocapture"])
        .env(CHILD, "1")
        .status();
    assert!(status.unwrap().success());
}

fn run(cases: u64) {
    let folder = tempfile::tempdir().unwrap();
    let copy = |name: &str| {
        let path = folder.path().join(name);
        fs::copy(Path::new(GOLDEN).join(name), &path).unwrap();
        path
    };
    let files = [copy("primafullmodel_small.pt"), copy("vqvae_small.pth")];
    let targets = files.each_ref().map(|path| Target::of(path));
    let out = folder.path().join("bundle");
    let (mut described, mut imported) = (0, 0);
    for case in 0..cases {
        let mut random = Random(case);
        // The smaller file has a hundredth of the bytes and a fifth of the cases.
        let which = usize::from(random.below(5) == 0);
        let (path, target) = (&files[which], &targets[which]);
        let file = OpenOptions::new().write(true).open(path).unwrap();
        let damaged = target.damage(&mut random);
        for &(at, byte) in &damaged {
            file.write_all_at(&[byte], at as u64).unwrap();
        }
        let tokenizer = TokenizerCheckpoint::from_pickle(&files[1]);
        let model = if which == 0 { Checkpoint::from_pickle(&files[0]).ok() } else { None };
        if let (Some(model), Ok(tokenizer)) = (model, tokenizer) {
            described += usize::from(sizes_of(&model, &tokenizer).is_ok());
        }
        if case % 100 == 0 {
            let result =
                import_prima(&files[0], &files[1], &out, HeadPrecision::AsStored, &mut |_| {});
            imported += usize::from(result.is_ok());
            drop(fs::remove_dir_all(&out));
        }
        for &(at, _) in damaged.iter().rev() {
            file.write_all_at(&[target.bytes[at]], at as u64).unwrap();
        }
    }
    let peak = peak_kilobytes();
    println!("{cases} cases: {described} described, {imported} imported, peak {peak} kB");
    assert!(described > 0, "some damage, as to weights, does not show");
    assert!(peak < 1_000_000, "peak memory {peak} kB");
}

/// A file that is damaged, and the parts of it where damage matters most.
struct Target {
    bytes: Vec<u8>,
    pickle: (usize, usize),
    directory: (usize, usize),
}

impl Target {
    fn of(path: &Path) -> Self {
        let bytes = fs::read(path).unwrap();
        let find =
            |pattern: &[u8]| bytes.windows(pattern.len()).position(|w| w == pattern).unwrap();
        let pickle = (find(b"data.pkl"), find(b"byteorder"));
        let directory = (find(b"PK\x01\x02"), bytes.len());
        Self { bytes, pickle, directory }
    }

    /// Positions and their new values.
    fn damage(&self, random: &mut Random) -> Vec<(usize, u8)> {
        let (start, end) = match random.below(8) {
            0..4 => self.pickle,
            4..6 => self.directory,
            6 => (self.bytes.len() - 100, self.bytes.len()),
            _ => (0, self.bytes.len()),
        };
        let count = 1 + random.below(4);
        let mut damage = Vec::new();
        for _ in 0..count {
            let at = start + random.below(end - start);
            match random.below(4) {
                // Lengths and counts: the extreme values.
                0 => damage.extend((at..end.min(at + 8)).map(|at| (at, 0xff))),
                1 => damage.push((at, self.bytes[at] ^ (1 << random.below(8)))),
                2 => damage.push((at, self.bytes[start + random.below(end - start)])),
                _ => damage.push((at, random.below(256).to_le_bytes()[0])),
            }
        }
        damage
    }
}

/// `SplitMix64`.
struct Random(u64);

impl Random {
    fn below(&mut self, limit: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        usize::try_from((z ^ (z >> 31)) % limit as u64).unwrap()
    }
}

/// Largest resident memory of this process so far.
pub(crate) fn peak_kilobytes() -> u64 {
    let status = fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with("VmHWM")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse().unwrap()
}
