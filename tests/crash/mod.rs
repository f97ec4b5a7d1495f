//! Success is answered only for what survives: kills, power cuts, full disks, failing system
//! calls and clocks that jump.
//!
//! A [`Campaign`] is one data folder over many lives of the daemon. Scanners stream into each
//! life until it is killed; then every receipt must be honoured by the database and the file, and
//! at the end everything is counted.

mod faults;
mod power_cut;
mod sender;
mod trace;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::thread;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use appliance::clock::ManualClock;
use appliance::store::Store;
use serde_json::Value;
use sha2::{Digest as _, Sha256};
use tempfile::TempDir;
use tests::daemon::{Daemon, Launch};
use tests::repository;
use tests::sender::{Peer, Random};

use sender::{Enough, Line, Receipt, Scanner};

/// Studies become complete and are triaged between the kills.
const SETTINGS: &str = "assembly.quiet_s = 1\nassembly.quiet_after_release_s = 1\n\
    analysis.device = \"cpu\"\n";

/// One data folder, its daemon's lives, and the scanners that feed it.
pub(crate) struct Campaign {
    folder: TempDir,
    pub(crate) launch: Launch,
    /// The daemon's data folder as this process sees it.
    pub(crate) data: PathBuf,
    pub(crate) crew: Vec<Scanner>,
    pub(crate) random: Random,
    /// Studies that were sent whole.
    studies: u64,
    /// Receipts of each scanner that have been checked.
    checked: Vec<usize>,
}

impl Campaign {
    pub(crate) fn new(name: &str, scanners: u64) -> Self {
        let seed = seed();
        println!("{name}: PRIMA_CRASH_SEED={seed}");
        // The temporary folder may lie in memory; the build folder lies on a disk.
        let folder = TempDir::new_in(env!("CARGO_TARGET_TMPDIR")).expect("a folder");
        let mut launch = Launch::new(folder.path());
        launch.settings = SETTINGS.into();
        let crew = Scanner::crew(seed, scanners);
        let checked = vec![0; crew.len()];
        Self {
            folder,
            data: launch.data(),
            launch,
            crew,
            random: Random(seed),
            studies: 0,
            checked,
        }
    }

    pub(crate) fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// Puts a small model in place, so that analyses are killed as well.
    fn install_model(&self) {
        let bundle = self.folder().join("bundle");
        let run = |program: &str, words: &[&str]| {
            let output = Command::new(tests::program(program)).args(words).output().expect(program);
            assert!(output.status.success(), "{program} {words:?}: {output:?}");
        };
        let (bundle, data) = (bundle.to_str().expect("UTF-8"), self.data.to_str().expect("UTF-8"));
        run("trainer", &["init", "--preset", "tiny", "--out", bundle]);
        run("appliance", &["model", "install", bundle, "--data", data]);
        run("appliance", &["model", "promote", "untrained-tiny-1", "--data", data]);
    }

    /// Starts the daemon and streams to it for the time given, then kills it. Meanwhile is called
    /// when the scanners have begun. Returns how many connections broke before the kill.
    pub(crate) fn life(
        &mut self,
        stream: Duration,
        meanwhile: impl FnOnce(&Daemon, &Line),
    ) -> usize {
        let daemon = self.launch.start().expect("a daemon that starts");
        let peer = Peer::new(daemon.dicom);
        let line = Line::default();
        thread::scope(|scope| {
            // The scanners end however this ends.
            let _enough = Enough(&line);
            for scanner in &mut self.crew {
                scope.spawn(|| scanner.stream(&peer, &line));
            }
            meanwhile(&daemon, &line);
            thread::sleep(stream);
            let breaks = line.breaks.load(Ordering::Relaxed);
            let killed = daemon.kill();
            killed.unwrap_or_else(|why| panic!("{why}; its log:\n{}", self.launch.log()));
            breaks
        })
    }

    /// Kills the daemon while it starts: recovery must bear being interrupted, too.
    pub(crate) fn stillborn(&mut self) {
        let mut child = self.launch.spawn().expect("a daemon that starts");
        thread::sleep(Duration::from_millis(self.random.between(1, 100)));
        child.kill().expect("a kill");
        child.wait().expect("an end");
    }

    pub(crate) fn milliseconds(&mut self, low: u64, high: u64) -> Duration {
        Duration::from_millis(self.random.between(low, high))
    }

    pub(crate) fn receipts(&self) -> impl Iterator<Item = &Receipt> {
        self.crew.iter().flat_map(|scanner| &scanner.receipts)
    }

    /// Every receipt since the last time stands in the database and lies on the disk.
    pub(crate) fn check_new(&mut self) {
        let copy = copy_database(&self.data);
        let clock = Arc::new(ManualClock::new(0));
        let store = Store::open(&copy.path().join("db"), clock).expect("a sound database");
        for (scanner, checked) in self.crew.iter().zip(&mut self.checked) {
            for receipt in &scanner.receipts[*checked..] {
                let uid = &receipt.sop_uid;
                let known = store.instance(uid).expect("a row");
                let known = known.unwrap_or_else(|| panic!("{uid} was acknowledged and is lost"));
                assert_eq!(known.sha256, receipt.sha256, "{uid}");
                assert_eq!(stored_sha256(&self.data, &known.path), receipt.sha256, "{uid}");
            }
            *checked = scanner.receipts.len();
        }
    }

    /// Sends the rest of what was begun and stops the daemon in good order.
    pub(crate) fn complete(&mut self) {
        let daemon = self.launch.start().expect("a daemon that starts");
        let peer = Peer::new(daemon.dicom);
        let studies = Scanner::studies(&self.crew);
        self.studies = studies;
        thread::scope(|scope| {
            for scanner in &mut self.crew {
                let complete = || scanner.complete(&peer, studies).expect("a good connection");
                scope.spawn(complete);
            }
        });
        assert!(daemon.stop().expect("an end").success(), "its log:\n{}", self.launch.log());
    }

    /// Counts everything: nothing lost, nothing altered, nothing twice. Returns what the database
    /// holds.
    pub(crate) fn count(&mut self) -> Value {
        self.check_new();
        let held = audit(&self.data);
        check_audit(&held, &self.data, self.receipts(), self.studies);
        held
    }
}

/// True when a program that a test needs does its work; else says what is skipped. `ops/test`
/// installs them all and lets an absent one fail, but a machine may forbid what they do.
fn optional(program: &str, arguments: &[&str]) -> bool {
    let output = Command::new(program).args(arguments).output();
    let installed = output.is_ok() || std::env::var_os("PRIMA_PEERS").is_none();
    assert!(installed, "{program} is not installed");
    let works = output.is_ok_and(|output| output.status.success());
    if !works {
        println!("skipped: `{program} {}` does not work here", arguments.join(" "));
    }
    works
}

/// Random, or as the environment says to have a failure again.
fn seed() -> u64 {
    let given = std::env::var("PRIMA_CRASH_SEED").ok();
    given.map_or_else(
        || {
            let now = SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970");
            now.as_secs() % 1_000_000
        },
        |seed| seed.parse().expect("PRIMA_CRASH_SEED is a number"),
    )
}

/// The database and its log, so that whoever opens the copy does not do the recovery that is the
/// next daemon's to do.
fn copy_database(data: &Path) -> TempDir {
    let copy = TempDir::new_in(env!("CARGO_TARGET_TMPDIR")).expect("a folder");
    fs::copy(data.join("appliance.sqlite"), copy.path().join("db")).expect("a database");
    let wal = data.join("appliance.sqlite-wal");
    if wal.exists() {
        fs::copy(wal, copy.path().join("db-wal")).expect("its log");
    }
    copy
}

/// What the database holds, in the words of `audit.py`.
pub(crate) fn audit(data: &Path) -> Value {
    let copy = copy_database(data);
    let script = repository().join("tests/crash/audit.py");
    let output = Command::new("python3").arg(script).arg(copy.path().join("db")).output();
    let output = output.expect("python3");
    let complaint = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{complaint}");
    serde_json::from_slice(&output.stdout).expect("JSON")
}

/// Rows of one of the queries, every value as text.
fn rows(held: &Value, query: &str) -> Vec<Vec<String>> {
    let text = |value: &Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    let row = |row: &Value| row.as_array().expect("a row").iter().map(text).collect();
    held[query].as_array().expect("rows").iter().map(row).collect()
}

fn check_audit<'a>(
    held: &Value,
    data: &Path,
    receipts: impl Iterator<Item = &'a Receipt>,
    studies: u64,
) {
    assert_eq!(rows(held, "integrity"), [["ok"]]);
    assert_eq!(rows(held, "quarantine"), Vec::<Vec<String>>::new());
    let unique = rows(held, "studies").into_iter().collect::<BTreeSet<_>>();
    assert_eq!(unique.len(), rows(held, "studies").len(), "a study twice");
    assert_eq!(unique.len() as u64, studies, "studies");
    let runs = rows(held, "inferences");
    assert_eq!(runs.iter().collect::<BTreeSet<_>>().len(), runs.len(), "triaged twice: {runs:?}");

    let (mut instances, mut paths) = (BTreeMap::new(), BTreeSet::new());
    for row in rows(held, "instances") {
        let [uid, sha256, path] = row.try_into().expect("three columns");
        assert_eq!(hexadecimal(&stored_sha256(data, &path)), sha256, "{uid}");
        assert_eq!(instances.insert(uid, sha256), None, "an instance twice");
        paths.insert(data.join("archive").join(path));
    }
    for receipt in receipts {
        let sha256 = hexadecimal(&receipt.sha256);
        assert_eq!(instances.get(&receipt.sop_uid), Some(&sha256), "{}", receipt.sop_uid);
    }
    assert_eq!(instances.len() as u64, studies * sender::STUDY, "instances");
    // All that a kill left half done was done in the end, and no second copies lie about.
    let files = files_below(&data.join("archive/studies"));
    assert_eq!(files.into_iter().collect::<BTreeSet<_>>(), paths, "files");
    assert_eq!(files_below(&data.join("archive/incoming")), Vec::<PathBuf>::new());
}

/// SHA-256 of the data set in a stored file.
fn stored_sha256(data: &Path, path: &str) -> [u8; 32] {
    let path = data.join("archive").join(path);
    let file = fs::read(&path).unwrap_or_else(|why| panic!("{}: {why}", path.display()));
    let data_set = data_set(&file);
    Sha256::digest(data_set.unwrap_or_else(|| panic!("{} is cut off", path.display()))).into()
}

/// What follows the file meta information, whose length stands in its first element
/// (PS3.10 7.1).
fn data_set(file: &[u8]) -> Option<&[u8]> {
    let meta = file.get(128..)?.strip_prefix(b"DICM\x02\x00\x00\x00UL\x04\x00")?;
    let (length, meta) = meta.split_first_chunk()?;
    meta.get(u32::from_le_bytes(*length) as usize..)
}

fn files_below(folder: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).expect("a folder") {
            let path = entry.expect("an entry").path();
            if path.is_dir() { folders.push(path) } else { files.push(path) }
        }
    }
    files
}

fn hexadecimal(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        write!(text, "{byte:02x}").expect("a String takes all");
        text
    })
}

/// A campaign of so many kills at random moments.
fn kills(count: usize) {
    let mut campaign = Campaign::new("kills", 2);
    campaign.install_model();
    let start = Instant::now();
    for kill in 1..=count {
        if kill % 8 == 0 {
            campaign.stillborn();
        } else {
            // Now and then long enough for studies to become complete and be analysed.
            let stream = match kill % 10 {
                0 => campaign.milliseconds(1500, 3000),
                _ => campaign.milliseconds(5, 400),
            };
            assert_eq!(
                campaign.life(stream, |_, _| ()),
                0,
                "connections broken before kill {kill}"
            );
        }
        campaign.check_new();
    }
    campaign.complete();
    let held = campaign.count();
    let acknowledged = campaign.receipts().count();
    let triaged = rows(&held, "inferences").len();
    let by_model = rows(&held, "inferences").iter().filter(|row| !row[2].is_empty()).count();
    println!(
        "{count} kills in {:.0?}: {acknowledged} instances acknowledged, {triaged} triages, \
         {by_model} of them by the model",
        start.elapsed()
    );
    assert!(acknowledged > 2 * count, "the scanners hardly got anything through");
    assert_ne!(by_model, 0, "nothing was analysed between the kills");
}

#[test]
fn fifty_kills() {
    kills(50);
}

#[test]
#[ignore = "takes many minutes"]
fn a_thousand_kills() {
    kills(1000);
}
