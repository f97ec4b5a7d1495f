//! Peers that break the protocol, by malice or by a bug, cost themselves and nobody else.
//!
//! Every attack is made on the shipped daemon and has a bound of time and memory. After it the
//! same process must serve a well-behaved scanner at once, and its folder holds what that scanner
//! sent and nothing else.

mod floods;
mod objects;
mod protocol;
mod web;
mod wire;

use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use tempfile::TempDir;
use tests::daemon::{Daemon, Launch};
use tests::sender::{Answer, Association, Peer, SUCCESS, slice};

/// A well-behaved scanner waits no longer than this for anything while or after others attack.
const PROMPT: Duration = Duration::from_secs(5);

/// What an attack may cost: wall time, and resident memory above what there was before.
struct Bounds {
    seconds: u64,
    mebibytes: u64,
}

/// A daemon under attack.
struct Victim {
    folder: TempDir,
    launch: Launch,
    daemon: Daemon,
    /// How many instances must lie in its archive.
    stored: usize,
}

impl Victim {
    /// Starts a daemon with settings of its own and stores one slice, so that what it allocates
    /// only once is not counted as the cost of an attack.
    fn start(settings: &str) -> Self {
        let folder = TempDir::new_in(env!("CARGO_TARGET_TMPDIR")).expect("a folder");
        let mut launch = Launch::new(folder.path());
        launch.settings = settings.into();
        let daemon = launch.start().expect("a daemon that starts");
        let mut victim = Self { folder, launch, daemon, stored: 0 };
        victim.serve_a_scanner();
        victim
    }

    /// C-ECHO and C-STORE as any scanner does, each answered with success, promptly.
    fn serve_a_scanner(&mut self) {
        let mut peer = Peer::new(self.daemon.dicom);
        peer.patience = PROMPT;
        let begun = Instant::now();
        let success = Answer { status: SUCCESS, comment: String::new() };
        let slice = slice(1, 1, 1, self.stored as u64, 64);
        let mut association = loop {
            match Association::open(&peer) {
                Ok(association) => break association,
                // The place of a peer that has just left may be free only a moment later.
                Err(why) if why.to_string().starts_with("refused") && begun.elapsed() < PROMPT => {}
                Err(why) => panic!("no association: {why}\n{}", self.launch.log()),
            }
        };
        assert_eq!(association.echo().expect("an answer to C-ECHO"), success);
        assert_eq!(association.store(&slice).expect("an answer to C-STORE"), success);
        association.release().expect("a release");
        assert!(begun.elapsed() < PROMPT, "a good scanner had to wait {:.1?}", begun.elapsed());
        self.stored += 1;
    }

    /// Makes the attack; then its cost is within the bounds, the same process serves a scanner,
    /// and nothing of the attack is left on the disk.
    fn bear(&mut self, name: &str, bounds: &Bounds, attack: impl FnOnce(&mut Self)) {
        let proc = PathBuf::from(format!("/proc/{}", self.daemon.pid()));
        let before = self.daemon.resident_bytes().expect("a living daemon");
        // 5 sets the peak of the resident memory back to what is resident now (proc(5)).
        fs::write(proc.join("clear_refs"), "5").expect("the peak is set back");
        let begun = Instant::now();
        attack(self);
        let took = begun.elapsed();
        let peak = peak_bytes(&proc);
        self.serve_a_scanner();
        self.holds_only_what_was_stored(name);
        let grown = peak.saturating_sub(before) >> 20;
        println!("{name}: {took:.1?}, {grown} MiB");
        assert!(took.as_secs() < bounds.seconds, "{name}: {took:.1?}");
        assert!(grown < bounds.mebibytes, "{name}: {grown} MiB");
    }

    /// Nothing stands outside the data folder, and in the archive only the slices stored, under
    /// names that no peer has chosen.
    fn holds_only_what_was_stored(&self, name: &str) {
        let archive = self.launch.data().join("archive");
        let files = files_below(&archive.join("studies"));
        assert_eq!(files.len(), self.stored, "{name}: files in the archive: {files:?}");
        for file in &files {
            let ours = |name: &str| name.len() == 32 && name.bytes().all(|b| b.is_ascii_hexdigit());
            let stem = file.file_stem().and_then(|stem| stem.to_str());
            assert!(stem.is_some_and(ours), "{name}: {}", file.display());
        }
        // A broken association is noticed a moment after we have left it.
        let waited = Instant::now();
        while !files_below(&archive.join("incoming")).is_empty() {
            assert!(waited.elapsed() < PROMPT, "{name}: a file is left in incoming");
            std::thread::sleep(Duration::from_millis(10));
        }
        let beside: Vec<PathBuf> = files_below(self.folder.path())
            .into_iter()
            .filter(|file| !file.starts_with(self.launch.data()))
            .filter(|file| file.parent() != Some(self.folder.path()))
            .collect();
        assert!(beside.is_empty(), "{name}: outside the data folder: {beside:?}");
    }

    /// Files kept aside.
    fn quarantined(&self) -> usize {
        files_below(&self.launch.data().join("archive/quarantine")).len()
    }
}

/// The most that was resident since the peak was set back.
fn peak_bytes(proc: &Path) -> u64 {
    let status = fs::read_to_string(proc.join("status")).expect("a living daemon");
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).expect("VmHWM");
    let kib: u64 = line.trim().trim_end_matches(" kB").parse().expect("a number");
    kib * 1024
}

fn files_below(folder: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(folder) = folders.pop() {
        // What is deleted while we look is no longer there.
        for entry in fs::read_dir(&folder).into_iter().flatten().flatten() {
            let path = entry.path();
            if path.is_dir() { folders.push(path) } else { files.push(path) }
        }
    }
    files
}

/// A bound on memory that cannot be exceeded would prove nothing.
#[test]
fn a_peak_is_seen_after_it_is_over() {
    let proc = Path::new("/proc/self");
    fs::write(proc.join("clear_refs"), "5").expect("the peak is set back");
    let before = peak_bytes(proc);
    drop(std::hint::black_box(vec![1_u8; 128 << 20]));
    assert!(peak_bytes(proc) > before + (100 << 20), "{before} before");
}
