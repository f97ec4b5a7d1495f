//! Kills while something else fails as well: the disk is full, system calls fail, the clock jumps.

use std::ffi::OsString;
use std::fs;
use std::io::{self, BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::Ordering;
use std::thread;
use std::time::{Duration, Instant};

use tests::sender::Random;

use super::sender::{Line, Scanner};
use super::{Campaign, optional, rows};

/// Out of resources: the scanner keeps the image and tries again (PS3.4 B.2.3).
const OUT_OF_RESOURCES: u16 = 0xA700;

/// Waits for something that the scanners bring about.
fn until(what: &str, mut happened: impl FnMut() -> bool) {
    let start = Instant::now();
    while !happened() {
        assert!(start.elapsed() < Duration::from_secs(30), "waited in vain until {what}");
        thread::sleep(Duration::from_millis(2));
    }
}

/// Scanners that were refused anything were told that resources are short.
fn check_refusals(crew: &[Scanner]) {
    for (status, comment) in crew.iter().flat_map(|scanner| &scanner.refusals) {
        assert_eq!(*status, OUT_OF_RESOURCES, "{status:04X} {comment}");
    }
}

/// A small file system in memory that only a mount namespace of its own sees, so that no rights
/// are needed. It lives as long as the process that holds the namespace.
struct SmallDisk(Child);

impl SmallDisk {
    fn mount(at: &Path, mib: u64) -> Self {
        let script = format!(
            "mount -t tmpfs -o size={mib}m tmpfs '{}' && echo mounted && exec cat",
            at.display()
        );
        let mut holder = Command::new("unshare")
            .args(["-rm", "sh", "-c", &script])
            // `cat` ends with us, whatever happens to us.
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("unshare");
        let mut line = String::new();
        let stdout = holder.stdout.take().expect("a pipe");
        BufReader::new(stdout).read_line(&mut line).expect("a line");
        assert_eq!(line, "mounted\n");
        Self(holder)
    }

    /// Words that run a program where the file system is mounted.
    fn enter(&self) -> Vec<OsString> {
        let holder = self.0.id().to_string();
        let words = ["nsenter", "--preserve-credentials", "-U", "-m", "-t", &holder, "--"];
        words.map(OsString::from).to_vec()
    }

    /// The same folder as seen from outside.
    fn outside(&self, path: &Path) -> PathBuf {
        let root = PathBuf::from(format!("/proc/{}/root", self.0.id()));
        root.join(path.strip_prefix("/").expect("an absolute path"))
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        drop(self.0.kill());
        drop(self.0.wait());
    }
}

#[test]
fn a_full_disk() {
    if !optional("unshare", &["-rm", "true"]) {
        return;
    }
    let mut campaign = Campaign::new("full disk", 2);
    let data = campaign.launch.data();
    fs::create_dir(&data).expect("a folder");
    let disk = SmallDisk::mount(&data, 64);
    campaign.launch.wrap = disk.enter();
    campaign.data = disk.outside(&data);
    let filler = campaign.data.join("filler");
    // Leaves room for a few images, so that the disk is full in the middle of one.
    let fill = |random: &mut Random| {
        let free = rustix::fs::statvfs(filler.with_file_name("")).expect("a file system");
        let bytes = free.f_bavail * free.f_frsize - random.between(100_000, 2_000_000);
        let written = fs::write(&filler, vec![0; usize::try_from(bytes).expect("a small disk")]);
        // The scanners write, too, and may have taken what was left for them.
        let full = |why: &io::Error| why.kind() == io::ErrorKind::StorageFull;
        assert!(written.as_ref().is_err_and(full) || written.is_ok(), "{written:?}");
    };
    let refused = |line: &Line| line.refused.load(Ordering::Relaxed);
    for _ in 0..4 {
        let mut random = campaign.random.clone();
        let pause = campaign.milliseconds(5, 100);
        campaign.life(pause, |_, line| {
            until("images are received", || line.received.load(Ordering::Relaxed) > 5);
            fill(&mut random);
            until("images are refused", || refused(line) > 5);
        });
        campaign.check_new();
        // It starts with the disk full, and receives again as soon as there is room.
        let pause = campaign.milliseconds(5, 100);
        campaign.life(pause, |_, line| {
            until("images are refused", || refused(line) > 5);
            fs::remove_file(&filler).expect("the file that filled the disk");
            let before = line.received.load(Ordering::Relaxed);
            until("images are received", || line.received.load(Ordering::Relaxed) > before + 5);
        });
        campaign.check_new();
    }
    campaign.complete();
    campaign.count();
    check_refusals(&campaign.crew);
}

/// System calls that fail: which, how, and each thread's how manieth ones. The first calls succeed,
/// so that the daemon starts. `write` is left alone: the asynchronous runtime wakes its threads by
/// it, and a full disk makes it fail where it matters.
///
/// A tracer makes them fail, in the kernel. libfiu, which stands between program and C library,
/// does not see the archive's calls, and locks up against the loader when the program looks for
/// the graphics card's library.
const FAILING: &[&str] = &[
    "pwrite64:error=EIO:when=200+23",
    "pwrite64:error=ENOSPC:when=200+29",
    "fsync:error=EIO:when=40+7",
    "renameat2:error=EIO:when=2+5",
    "openat:error=EMFILE:when=5+5",
];

#[test]
fn failing_system_calls() {
    if !optional("strace", &["-o", "/dev/null", "true"]) {
        return;
    }
    let mut campaign = Campaign::new("failing system calls", 2);
    for fault in FAILING.iter().chain(FAILING) {
        let inject = format!("inject={fault}");
        let call = fault.split(':').next().unwrap_or_default();
        let trace = format!("trace={call}");
        let words = ["strace", "-D", "-f", "-o", "/dev/null", "-e", &trace, "-e", &inject];
        campaign.launch.wrap = words.map(OsString::from).to_vec();
        if call == "openat" {
            // Only what is opened in this folder, or nothing would start.
            let place = campaign.data.join("archive/incoming");
            campaign.launch.wrap.extend(["-P".into(), place.into()]);
        }
        let stream = campaign.milliseconds(50, 300);
        campaign.life(stream, |_, line| {
            let refused = || line.refused.load(Ordering::Relaxed) > 0;
            until(&format!("{fault} makes itself felt"), refused);
        });
        campaign.check_new();
    }
    campaign.launch.wrap.clear();
    campaign.complete();
    campaign.count();
    check_refusals(&campaign.crew);
}

/// The library that lies about the time.
fn faketime() -> Option<PathBuf> {
    let folders = fs::read_dir("/usr/lib").ok()?.filter_map(Result::ok);
    let mut paths = folders.map(|folder| folder.path().join("faketime/libfaketimeMT.so.1"));
    paths.find(|path| path.exists())
}

#[test]
fn a_jumping_clock() {
    if !optional("faketime", &["-f", "+10y", "true"]) {
        return;
    }
    let mut campaign = Campaign::new("jumping clock", 2);
    let offset = campaign.folder().join("offset");
    campaign.launch.environment = vec![
        ("LD_PRELOAD", faketime().expect("its library").into()),
        ("FAKETIME_TIMESTAMP_FILE", offset.clone().into()),
        ("FAKETIME_NO_CACHE", "1".into()),
        // A machine's monotonic clock does not jump, and waiting depends on it.
        ("FAKETIME_DONT_FAKE_MONOTONIC", "1".into()),
    ];
    for round in 0..12 {
        fs::write(&offset, ["+0", "+10y", "-10y"][round % 3]).expect("a file");
        let pause = campaign.milliseconds(50, 200);
        let stream = campaign.milliseconds(5, 200);
        campaign.life(stream, |_, _| {
            thread::sleep(pause);
            fs::write(&offset, ["-10y", "+0", "+10y"][round % 3]).expect("a file");
        });
        campaign.check_new();
    }
    campaign.complete();
    let held = campaign.count();
    let times = |query| -> Vec<i64> {
        rows(&held, query).iter().map(|row| row[0].parse().expect("a number")).collect()
    };
    const YEAR: i64 = 365 * 24 * 3600 * 1000;
    let received = times("received_at");
    assert!(received.is_sorted(), "box time ran backwards");
    let span = |times: &[i64]| times.iter().max().zip(times.iter().min()).map(|(a, b)| a - b);
    assert!(span(&received) < Some(YEAR / 365), "box time jumped: {:?}", span(&received));
    assert!(span(&times("wall_at")) > Some(15 * YEAR), "the wall clock did not jump");
}
