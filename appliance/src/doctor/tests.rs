use super::*;
use crate::health::devices::{Gpu, Memory, Nvidia, Sensor};

fn healthy() -> Facts {
    Facts {
        version: "0.1.0".to_owned(),
        user: "appliance".to_owned(),
        data: "/srv/a".to_owned(),
        file_system: Some("ext4".to_owned()),
        fsync: vec![Duration::from_micros(500); 20],
        space: Some(Space { used: 10, free: 90, inodes_used: 0, inodes_free: 0 }),
        sqlite: "3.53.2".to_owned(),
        archive: Some(Ok(Sample { files: 50, bad: Vec::new() })),
        ports: vec![("DICOM".to_owned(), 11112, busy("appliance"))],
        ae_title: "PRIMA".to_owned(),
        model: Some(("prima-7".to_owned(), SelfTest::Passed)),
        libraries: found(&[
            "libvulkan.so.1",
            "libnvidia-ml.so.1",
            "libcuda.so.1",
            "libnvrtc.so",
            "cuda_fp16.h",
        ]),
        devices: Devices {
            memory: Some(Memory { total: 16_000_000_000, available: 9_000_000_000 }),
            sensors: vec![sensor("coretemp", 45.0), sensor("nvme", 51.6)],
            nvidia: Nvidia { absent: Some("no driver".to_owned()), ..Nvidia::default() },
            ..Devices::default()
        },
        backup: Some(Duration::from_secs(7200)),
        received: Some(Duration::from_secs(300)),
        ..Facts::default()
    }
}

fn busy(program: &str) -> PortState {
    PortState::Busy(Some((program.to_owned(), 123)))
}

fn sensor(name: &str, celsius: f64) -> Sensor {
    Sensor { name: name.to_owned(), celsius, critical: Some(100.0) }
}

fn found(names: &[&str]) -> Vec<(String, Option<String>)> {
    names.iter().map(|name| ((*name).to_owned(), Some(format!("/lib/{name}")))).collect()
}

fn node(path: &str, usable: bool, group: &str) -> Node {
    Node { path: path.to_owned(), usable, group: group.to_owned() }
}

fn age(days: u32) -> Option<Duration> {
    Some(DAY * days)
}

/// One change to a healthy box, and the one line of the page it changes.
fn check(name: &str, change: impl Fn(&mut Facts), verdict: Verdict, said: &str, advice: &str) {
    let mut facts = healthy();
    change(&mut facts);
    let checks = examine(&facts);
    let found = checks.iter().find(|check| check.name == name);
    assert_eq!(found, Some(&super::check(name, verdict, said, advice)));
    let others = checks.iter().filter(|check| check.name != name && check.verdict != Good);
    assert_eq!(others.collect::<Vec<_>>(), Vec::<&Check>::new());
}

use Verdict::{Good, Notice, Problem};

#[test]
fn data_folder_and_disk() {
    check(
        "data folder",
        |f| f.not_writable = Some("Permission denied".to_owned()),
        Problem,
        "nothing can be written into /srv/a (Permission denied)",
        "make sure that the disk is mounted and that the folder belongs to appliance",
    );
    let kind = |kind: &'static str, verdict, said: &str, advice: &str| {
        check("file system", |f| f.file_system = Some(kind.to_owned()), verdict, said, advice);
    };
    kind("xfs", Good, "xfs", "");
    kind(
        "tmpfs",
        Problem,
        "tmpfs: in memory, everything is lost when the box is switched off",
        "choose a data folder on a disk",
    );
    kind(
        "nfs4",
        Problem,
        "nfs4: on another machine, where the database is not safe",
        "choose a data folder on a disk in this box",
    );
    kind(
        "exfat",
        Problem,
        "exfat: not safe in a power cut",
        "choose a data folder on an ext4 or XFS disk",
    );
    kind(
        "overlay",
        Notice,
        "overlay: inside a container, it goes when the container goes",
        "mount a folder of the box as the data folder",
    );
    let speed = |micros: &'static [u64], verdict, said: &str, advice: &str| {
        let times = || micros.iter().map(|m| Duration::from_micros(*m)).collect();
        check("disk speed", |f| f.fsync = times(), verdict, said, advice);
    };
    speed(&[900, 100, 110_000], Good, "0.90 ms until 4 KiB are safe", "");
    speed(
        &[2, 3, 9000],
        Notice,
        "0.00 ms until 4 KiB are safe: faster than a disk can be, so it may lie about it",
        "use a disk with power-loss protection, or switch its write cache off",
    );
    speed(
        &[33_333],
        Notice,
        "33.33 ms until 4 KiB are safe: about 10 images a second at most",
        "a solid-state disk would receive faster; a failing one also becomes slow",
    );
}

#[test]
fn free_space() {
    let used = |used: u64, verdict, said: &str, advice: &str| {
        let space = Space { used, free: 100 - used, inodes_used: 0, inodes_free: 0 };
        check("free space", |f| f.space = Some(space), verdict, said, advice);
    };
    used(79, Good, "79 % full, 21 bytes free", "");
    used(80, Notice, "80 % full, 20 bytes free", "plan for more room");
    used(
        90,
        Notice,
        "90 % full, 10 bytes free: images that were read are deleted",
        "read the open studies, so that they may be deleted too, or add a disk",
    );
    used(
        95,
        Problem,
        "95 % full, 5 bytes free: new images are refused",
        "read the open studies, so that they may be deleted, or add a disk; the scanner keeps its \
         images until then",
    );
}

#[test]
fn database_archive_and_backup() {
    check(
        "database",
        |f| f.database = vec!["Page 7 is never used".to_owned(), "more".to_owned()],
        Problem,
        "Page 7 is never used",
        "stop the appliance, then run `appliance restore` with the latest backup; images that \
         came after it are indexed again",
    );
    check(
        "archive",
        |f| {
            let bad = vec!["studies/a/b.dcm: gone".to_owned()];
            f.archive = Some(Ok(Sample { files: 50, bad }));
        },
        Problem,
        "1 of 50 files are not as received: studies/a/b.dcm: gone",
        "the disk may be failing; send those studies again from the scanner",
    );
    check(
        "archive",
        |f| f.archive = Some(Err("Input/output error".to_owned())),
        Problem,
        "it cannot be read (Input/output error)",
        "look at the disk",
    );
    check(
        "backup",
        |f| f.backup = age(3),
        Notice,
        "made 3 days ago",
        "look for backup errors below; the disk may have too little room",
    );
    check(
        "backup",
        |f| f.backup = None,
        Notice,
        "none was made yet",
        "leave the appliance on over night",
    );
    check(
        "errors",
        |f| f.errors = vec!["the backup failed".to_owned(), "more".to_owned()],
        Notice,
        "2 errors in 24 hours, the latest: the backup failed",
        "the system page has the whole list",
    );
}

#[test]
fn network() {
    let port = |state: PortState, verdict, said: &str, advice: &str| {
        let ports = vec![("DICOM".to_owned(), 104, state)];
        check("port 104", |f| f.ports.clone_from(&ports), verdict, said, advice);
    };
    port(busy("appliance"), Good, "the appliance listens for DICOM (process 123)", "");
    port(
        busy("Orthanc"),
        Problem,
        "Orthanc (process 123) has it, and DICOM cannot be reached",
        "stop Orthanc, or give the appliance another port",
    );
    port(
        PortState::Busy(None),
        Notice,
        "a program of another user listens where DICOM is expected",
        "run the doctor as root to be told its name",
    );
    port(
        PortState::Free,
        Notice,
        "free for DICOM, nobody listens",
        "the appliance is not running; start it",
    );
    port(
        PortState::Forbidden,
        Problem,
        "this user may not listen for DICOM there",
        "choose a port from 1024 on, or give the service CAP_NET_BIND_SERVICE",
    );
    let advice = "make sure that the scanner sends to AE title PRIMA, port 11112 (DICOM)";
    check("last image", |f| f.received = age(4), Notice, "4 days ago", advice);
    check("last image", |f| f.received = None, Notice, "none came over the network yet", advice);
}

#[test]
#[expect(clippy::too_many_lines, reason = "one case after the other")]
fn model_and_graphics() {
    check(
        "model",
        |f| f.model = None,
        Notice,
        "no model assists; studies are listed by age",
        "install one with `appliance model install`, then `appliance model promote`",
    );
    check(
        "model",
        |f| f.model = Some(("prima-7".to_owned(), SelfTest::Failed("0.3 for 0.9".to_owned()))),
        Problem,
        "prima-7 failed its self-test (0.3 for 0.9)",
        "run `appliance model rollback`, and tell the supplier",
    );
    check(
        "clinical tables",
        |f| f.tables = Some("labels.toml, line 3: version is empty".to_owned()),
        Problem,
        "labels.toml, line 3: version is empty",
        "correct the file, or name another one in the settings, table analysis; the appliance does \
         not start until then",
    );
    let difference =
        "training saw series selected by version 1 (0a), this box selects by version 2";
    check(
        "series selection",
        |f| f.selects_otherwise = Some(difference.to_owned()),
        Notice,
        &format!("{difference}; {SELECTS_OTHERWISE}"),
        "if that is not meant, leave analysis.series_selection_file empty, or ask for a model that \
         was trained by these rules",
    );
    check(
        "Vulkan",
        |f| f.libraries[0].1 = None,
        Notice,
        "libvulkan.so.1 is missing, so no graphics device works through Vulkan",
        "install the package libvulkan1",
    );
    check("NVIDIA", |f| f.libraries[2].1 = None, Good, "no device is built in", "");
    let driver = "install the NVIDIA driver (Debian: packages nvidia-driver and libcuda1; on a box \
                  from our image its layer, runbook \"update\")";
    check(
        "NVIDIA",
        |f| {
            f.nvidia_built_in = true;
            f.libraries[1..].iter_mut().for_each(|library| library.1 = None);
        },
        Problem,
        "a device is built in, but libnvidia-ml.so.1, libcuda.so.1, libnvrtc.so, cuda_fp16.h is missing",
        driver,
    );
    check(
        "NVIDIA",
        |f| {
            f.nvidia_built_in = true;
            f.libraries[3].1 = None;
        },
        Problem,
        "a device is built in, but libnvrtc.so is missing",
        "install the CUDA toolkit into /usr/local/cuda, or name its folder by CUDA_PATH",
    );
    check(
        "NVIDIA",
        |f| {
            f.nvidia_built_in = true;
            f.libraries[4].1 = None;
        },
        Problem,
        "a device is built in, but cuda_fp16.h is missing",
        "install the CUDA toolkit into /usr/local/cuda, or name its folder by CUDA_PATH",
    );
    check(
        "NVIDIA",
        |f| f.nvidia_built_in = true,
        Problem,
        "a device is built in, but no driver",
        "restart the box; if that does not help, install the driver again",
    );
    check(
        "NVIDIA",
        |f| {
            f.nvidia_built_in = true;
            let gpu = Gpu { name: "GTX 1".to_owned(), ..Gpu::default() };
            let version = Some("550.1".to_owned());
            f.devices.nvidia = Nvidia { version, gpus: vec![gpu], absent: None };
        },
        Good,
        "GTX 1, driver 550.1",
        "",
    );
}

#[test]
fn device_files() {
    let video = node("/dev/nvidia0", true, "video");
    let barred = node("/dev/dri/renderD128", false, "render");
    check("device files", |f| f.nodes = vec![video.clone()], Good, "/dev/nvidia0 can be used", "");
    check(
        "device files",
        |f| f.nodes = vec![video.clone(), barred.clone(), node("/dev/nvidiactl", false, "video")],
        Problem,
        "appliance may not use /dev/dri/renderD128, /dev/nvidiactl",
        "run `usermod -a -G render,video appliance` and restart the appliance",
    );
    check(
        "device files",
        |f| f.nodes = vec![node("/dev/nvidia0", false, "root")],
        Problem,
        "appliance may not use /dev/nvidia0",
        "the driver's udev rules are missing; install the driver again",
    );
}

#[test]
fn a_layer_that_was_refused_is_a_problem() {
    let used = "used: /var/lib/prima/layers/nvidia_6.1.0-1-amd64.layer";
    check("layer", |f| f.layers = format!("{used}\n"), Good, used, "");
    check(
        "layer",
        |f| {
            f.layers =
                "refused: a.layer.sig is not there; a layer is two files, copy both\n".into();
        },
        Problem,
        "a.layer.sig is not there",
        "a layer is two files, copy both",
    );
}

#[test]
fn memory_heat_and_clock() {
    check(
        "memory",
        |f| f.devices.memory = Some(Memory { total: 16_000_000_000, available: 700_000_000 }),
        Problem,
        "700 MB of 16 GB are free",
        "close other programs, or restart the box",
    );
    check("temperature", |_| {}, Good, "the hottest is nvme at 52 °C", "");
    check(
        "temperature",
        |f| f.devices.sensors[0].celsius = 100.0,
        Problem,
        "coretemp is at 100 °C",
        "clean the fans, and let cool air reach the box",
    );
    check(
        "clock",
        |f| f.clock = ClockQuality::NotSet,
        Notice,
        "the clock is not set: it shows a time before 2026",
        "set it, and replace the battery on the main board if it goes wrong again; the order of \
         studies does not depend on it",
    );
}

#[test]
fn the_link_to_the_hub() {
    let hub = |change: fn(&mut Hub), name: &str, verdict, said: &str, advice: &str| {
        let mut hub = Hub { host: "hub".to_owned(), answered: Some(DAY), ..Hub::default() };
        hub.valid_until_s = Ok(400 * 86_400);
        change(&mut hub);
        check(name, |f| f.hub = Some(hub.clone()), verdict, said, advice);
    };
    hub(|_| {}, "hub certificate", Good, "valid for 400 days", "");
    hub(
        |h| h.valid_until_s = Ok(3 * 86_400),
        "hub certificate",
        Notice,
        "it expires in 3 days",
        "ask the hospital for a code, then run `appliance enrol`",
    );
    hub(
        |h| h.valid_until_s = Err("none".to_owned()),
        "hub certificate",
        Problem,
        "none",
        "ask the hospital for a code, then run `appliance enrol`",
    );
    hub(|_| {}, "hub", Good, "hub answered 24 hours ago", "");
    hub(
        |h| h.answered = None,
        "hub",
        Notice,
        "hub has never answered",
        "run `appliance hub`, which tries it and says what is wrong",
    );
    hub(
        |h| h.clock_offset_ms = -7_200_000,
        "hub clock",
        Notice,
        "this box's clock was 2 hours ahead of that of the hub",
        "set the clock of the one that is wrong",
    );
    hub(|h| h.waiting = 2, "outbox", Good, "2 messages wait", "");
    hub(
        |h| h.dead = 1,
        "outbox",
        Problem,
        "1 message was given up; 0 messages wait",
        "the system page says why, and sends them again",
    );
    hub(
        |h| h.oldest_flag = Some(DAY),
        "outbox",
        Notice,
        "a referral has waited for 24 hours; 0 messages wait",
        "telephone the hospital; run `appliance hub`, or carry a stick with `appliance \
         export-outbox`",
    );
}

#[test]
fn the_whole_page() {
    let mut facts = healthy();
    facts.ports = vec![("DICOM".to_owned(), 11112, busy("Orthanc"))];
    facts.backup = None;
    facts.data = format!("/srv/{}", "long".repeat(20));
    let page = page(&examine(&facts));
    assert_eq!(
        page,
        "\
1 problem, 1 notice.

PROBLEM  port 11112: Orthanc (process 123) has it, and DICOM cannot be reached
         -> stop Orthanc, or give the appliance another port
Notice   backup: none was made yet
         -> leave the appliance on over night
good     version: 0.1.0, run by appliance
good     data folder:
         /srv/longlonglonglonglonglonglonglonglonglonglonglonglonglonglonglonglo
         nglonglonglong can be written
good     file system: ext4
good     disk speed: 0.50 ms until 4 KiB are safe
good     free space: 10 % full, 90 bytes free
good     database: in order, SQLite 3.53.2
good     archive: 50 files read, all as received
good     AE title: PRIMA
good     model: prima-7, self-test passed
good     Vulkan: the loader is installed
good     NVIDIA: no device is built in
good     memory: 9 GB of 16 GB are free
good     temperature: the hottest is nvme at 52 °C
good     clock: the clock agrees with the box's own time
good     last image: 5 minutes ago
good     errors: none in 24 hours
"
    );
    assert!(page.lines().all(|line| line.chars().count() <= 80));
    assert!(super::page(&examine(&healthy())).starts_with("All is well.\n\ngood     version"));
}

#[test]
fn a_real_box_is_examined() {
    use std::sync::Arc;

    use crate::clock::ManualClock;
    use crate::store::Store;
    use crate::store::events::Level;

    let folder = tempfile::tempdir().unwrap();
    let clock = Arc::new(ManualClock::new(1_800_000_000_000));
    let store = Store::open(&folder.path().join("a.sqlite"), clock.clone()).unwrap();
    store.note(Level::Error, "test", "long ago").unwrap();
    clock.advance(DAY);
    store.note(Level::Error, "test", "just now").unwrap();
    store.backup(&folder.path().join("backup")).unwrap();
    let known = gather::Known {
        version: "0.1.0".to_owned(),
        data: folder.path().to_owned(),
        store: Ok(&store),
        archive: Some(&|| Ok(Sample::default())),
        ports: Vec::new(),
        ae_title: "PRIMA".to_owned(),
        model: None,
        selects_otherwise: Err("labels.toml, line 3: bad".to_owned()),
        hub: Some(("hub".to_owned(), Ok(0))),
    };
    let facts = gather::gather(known.clone(), &*clock);
    assert_eq!((facts.not_writable.as_deref(), facts.fsync.len()), (None, 20));
    assert!(facts.file_system.is_some());
    assert_eq!((facts.database.as_slice(), facts.backup), (&[][..], Some(Duration::ZERO)));
    assert_eq!(facts.errors, ["just now"]);
    assert_eq!(facts.tables.as_deref(), Some("labels.toml, line 3: bad"));
    assert_eq!(facts.hub.map(|hub| (hub.host, hub.answered)), Some(("hub".to_owned(), None)));
    // Nothing is there.
    let missing = folder.path().join("none");
    let opened = Store::open(&missing.join("a.sqlite"), clock.clone());
    let error = opened.unwrap_err();
    let facts =
        gather::gather(gather::Known { data: missing, store: Err(&error), ..known }, &*clock);
    let checks = examine(&facts);
    let problems = checks.iter().filter(|check| check.verdict == Problem);
    let names: Vec<_> = problems.map(|check| check.name.as_str()).collect();
    assert_eq!(names[..3], ["data folder", "free space", "database"]);
}
