//! The daemon beside the programs that clinics have: DCMTK, pynetdicom, Orthanc, over plain TCP
//! and TLS, as scanners and as workstations; dicomweb-client over DICOMweb; and what reads its
//! results: dciodvfy, pydicom, highdicom, hl7apy, nibabel; schemathesis on the API. What goes
//! between boxes, hubs and other systems: medplum and helios-hfs for FHIR, the tus project's client
//! and server, s3rver for objects.
//!
//! Peers send through a [`tap`], which keeps what went over the wire. What lies in the archive
//! afterwards must be that, bit for bit: some senders re-encode a file before they send it, so
//! that the file itself is no reference.
//!
//! A peer that is not installed skips its tests with a line that says so; `PRIMA_PEERS=1`, which
//! `ops/test` sets, makes it a failure.

mod dcmtk;
mod dicomweb;
pub(crate) mod fhir;
mod https;
mod nifti;
pub(crate) mod node;
mod openapi;
mod orthanc;
mod outward;
mod pynetdicom;
mod query;
mod results;
mod tap;
mod tls;
pub(crate) mod tus;
mod volume;

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::fs;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::atomic::{AtomicU16, Ordering};
use std::time::{Duration, Instant};

use serde_json::Value;
use sha2::{Digest as _, Sha256};
use tempfile::TempDir;
use tests::api::Api;
use tests::daemon::{Daemon, Launch};
use tests::repository;

use tap::Tap;

/// SOP Instance UID and SHA-256 of the data set.
type Instances = BTreeMap<String, [u8; 32]>;

/// What every scanner is told.
const AE: &str = "PRIMA";

/// A daemon, and the tap on its DICOM port.
struct Clinic {
    folder: TempDir,
    launch: Launch,
    daemon: Daemon,
    tap: Tap,
}

impl Clinic {
    /// `settings` are lines of the configuration, in dotted keys.
    fn open(settings: &str) -> Self {
        let folder = TempDir::new_in(env!("CARGO_TARGET_TMPDIR")).expect("a folder");
        let mut launch = Launch::new(folder.path());
        launch.settings = settings.into();
        let daemon = launch.start().expect("a daemon that starts");
        let tap = Tap::open(daemon.dicom);
        Self { folder, launch, daemon, tap }
    }

    /// The tap's port, as an argument.
    fn port(&self) -> String {
        self.tap.address.port().to_string()
    }

    /// So many objects of so many studies went over the wire; the archive holds them as they
    /// were, the worklist shows the studies, and nothing was set aside.
    #[track_caller]
    fn check_received(&self, instances: usize, studies: usize) {
        let received = stored_instances(&self.launch.data());
        assert_eq!(received, self.tap.sent(), "other bytes than sent");
        assert_eq!(received.len(), instances, "instances");
        assert_eq!(self.quarantined(), 0, "quarantined");
        assert_eq!(self.studies_shown(), studies, "studies on the worklist");
    }

    fn api(&self) -> Api {
        Api::new(&self.launch, self.daemon.web).expect("an administrator's token")
    }

    fn quarantined(&self) -> usize {
        files_below(&self.launch.data().join("archive/quarantine")).len()
    }

    /// Rows of the worklist.
    fn studies_shown(&self) -> usize {
        let worklist = self.api().get("worklist?limit=500");
        worklist["rows"].as_array().expect("rows").len()
    }
}

fn get(url: &str) -> Value {
    json(url, ureq::get(url).call())
}

fn post(url: &str, body: impl ureq::AsSendBody) -> Value {
    json(url, ureq::post(url).send(body))
}

/// The JSON that a web server answered.
fn json(url: &str, answer: Result<ureq::http::Response<ureq::Body>, ureq::Error>) -> Value {
    let mut answer = answer.unwrap_or_else(|why| panic!("{url}: {why}"));
    let text = answer.body_mut().read_to_string().expect("text");
    serde_json::from_str(&text).unwrap_or_else(|why| panic!("{url}: {why}: {text}"))
}

/// What lies in the archive.
fn stored_instances(data: &Path) -> Instances {
    let files = files_below(&data.join("archive/studies"));
    files.iter().map(|path| read_stored(&fs::read(path).expect("a stored file"))).collect()
}

/// Media Storage SOP Instance UID and the digest of what follows the file meta information,
/// whose length stands in its first element (PS3.10 7.1).
fn read_stored(file: &[u8]) -> (String, [u8; 32]) {
    let meta = file[128..].strip_prefix(b"DICM\x02\x00\x00\x00UL\x04\x00").expect("file meta");
    let (length, rest) = meta.split_first_chunk().expect("its length");
    let (meta, data_set) = rest.split_at(u32::from_le_bytes(*length) as usize);
    let tag = b"\x02\x00\x03\x00UI";
    let place = meta.windows(tag.len()).position(|window| window == tag).expect("(0002,0003)");
    let value = &meta[place + tag.len()..];
    let length = usize::from(u16::from_le_bytes([value[0], value[1]]));
    let uid = String::from_utf8_lossy(&value[2..2 + length]);
    (uid.trim_end_matches('\0').to_owned(), Sha256::digest(data_set).into())
}

fn files_below(folder: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).into_iter().flatten() {
            let path = entry.expect("an entry").path();
            if path.is_dir() { folders.push(path) } else { files.push(path) }
        }
    }
    files.sort();
    files
}

/// The vendored real studies: folder, and how many files of how many studies.
fn real_studies() -> (PathBuf, usize, usize) {
    let folder = repository().join("tests/data/real");
    let dicom = |path: &PathBuf| path.extension().is_some_and(|extension| extension == "dcm");
    let files: Vec<PathBuf> = files_below(&folder).into_iter().filter(dicom).collect();
    let studies = fs::read_dir(&folder)
        .expect("tests/data/real")
        .filter(|entry| entry.as_ref().is_ok_and(|entry| entry.path().is_dir()));
    (folder, files.len(), studies.count())
}

/// Whether a peer can be had; if not, says so or fails.
pub(crate) fn available(peer: &str, probe: &mut Command) -> bool {
    let found = probe.output().is_ok_and(|output| output.status.success());
    if !found {
        let required = std::env::var_os("PRIMA_PEERS").is_some_and(|value| value == "1");
        assert!(!required, "{peer} is not installed, and PRIMA_PEERS=1 asks for it");
        println!("SKIPPED: {peer} is not installed");
    }
    found
}

pub(crate) fn have_dcmtk() -> bool {
    available("DCMTK", Command::new("storescu").arg("--version"))
}

/// Runs a program; its output, all of it.
fn run(program: impl AsRef<OsStr>, arguments: &[impl AsRef<OsStr>]) -> Output {
    let mut command = Command::new(program);
    command.args(arguments);
    command.output().unwrap_or_else(|why| panic!("{command:?}: {why}"))
}

/// Runs a program that must succeed; its standard output.
#[track_caller]
pub(crate) fn succeed(program: impl AsRef<OsStr>, arguments: &[impl AsRef<OsStr>]) -> String {
    let program = program.as_ref();
    let output = run(program, arguments);
    let [out, err] = [&output.stdout, &output.stderr].map(|text| String::from_utf8_lossy(text));
    assert!(output.status.success(), "{program:?} {}:\n{out}\n{err}", output.status);
    out.into_owned()
}

/// Runs a program that must fail; all that it says.
#[track_caller]
fn fail(program: impl AsRef<OsStr>, arguments: &[impl AsRef<OsStr>]) -> String {
    let program = program.as_ref();
    let output = run(program, arguments);
    let said = [output.stdout, output.stderr].concat();
    let said = String::from_utf8_lossy(&said).into_owned();
    assert!(!output.status.success(), "{program:?} should have failed:\n{said}");
    said
}

/// A port that nobody listens on now, below those that the kernel hands out to anybody who
/// connects somewhere.
fn free_port() -> u16 {
    static TRIED: AtomicU16 = AtomicU16::new(0);
    // Tests run in several processes at once, which begin at different places.
    let begin = std::process::id().wrapping_mul(61) % 6_000;
    let begin = u16::try_from(begin).expect("below 6000");
    let next = |_| 10_000 + (begin + TRIED.fetch_add(1, Ordering::Relaxed)) % 6_000;
    let free = |port: &u16| TcpListener::bind(("127.0.0.1", *port)).is_ok();
    (0..1000).map(next).find(free).expect("a free port")
}

/// Asks until there is an answer, for a minute and a half; a loaded machine is slow.
#[track_caller]
fn eventually<T>(what: &str, mut ask: impl FnMut() -> Option<T>) -> T {
    let begun = Instant::now();
    loop {
        if let Some(answer) = ask() {
            return answer;
        }
        assert!(begun.elapsed() < Duration::from_secs(90), "{what} did not come");
        std::thread::sleep(Duration::from_millis(100));
    }
}
