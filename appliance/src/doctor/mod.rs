//! One page that a support line can have read aloud over the telephone.
//!
//! [`gather`] collects plain facts, [`examine`] judges them, [`page`] writes them down. Nothing
//! here changes the appliance, and it may run beside it.

pub mod gather;
mod hub;
mod model;

use std::fmt::Write as _;
use std::time::Duration;

use crate::health::clock_quality::ClockQuality;
use crate::health::devices::Devices;
use crate::health::disk::{self, DiskLevel, Space};
use crate::health::words;
pub use hub::Hub;
pub use model::SELECTS_OTHERWISE;

/// Widest line of the page, in characters.
const WIDTH: usize = 80;
/// Where the text of a line begins, after its verdict.
const INDENT: usize = 9;
/// No disk brings data to safety faster: memory, or a cache that only says so.
const INCREDIBLE: Duration = Duration::from_micros(20);
/// Slower disks hold a scanner up.
const SLOW: Duration = Duration::from_millis(20);
/// Each image is made safe by this many waits for the disk: file, folder, index.
const SYNCS_PER_IMAGE: f64 = 3.0;
const DAY: Duration = Duration::from_secs(86_400);

/// How good it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Verdict {
    /// Somebody must act.
    Problem,
    /// Somebody should know.
    Notice,
    /// As it should be.
    Good,
}

/// One line of the page.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Check {
    /// What was looked at.
    pub name: String,
    /// How good it is.
    pub verdict: Verdict,
    /// What was found.
    pub said: String,
    /// What to do; empty when there is nothing to do.
    pub advice: String,
}

/// What a port is doing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PortState {
    /// Nobody uses it.
    Free,
    /// A program listens on it: its name and process id, where they can be told.
    Busy(Option<(String, u32)>),
    /// This user may not use it.
    Forbidden,
    /// The system's words.
    Failed(String),
}

/// How the model last did on its golden study.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SelfTest {
    /// As it should.
    Passed,
    /// Not as it should, in words.
    Failed(String),
    /// It was not asked yet.
    Never,
}

/// A part of the archive that was read and compared with the index.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Sample {
    /// Files.
    pub files: usize,
    /// What is wrong, a line each.
    pub bad: Vec<String>,
}

/// A device file.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Node {
    /// Such as `/dev/nvidia0`.
    pub path: String,
    /// This user may read and write it.
    pub usable: bool,
    /// Group it belongs to.
    pub group: String,
}

/// Everything known. `None` means that it could not be found out.
#[derive(Clone, Debug, Default)]
pub struct Facts {
    /// Of this program.
    pub version: String,
    /// Who runs it.
    pub user: String,
    /// Data folder.
    pub data: String,
    /// Why nothing can be written into it.
    pub not_writable: Option<String>,
    /// Kind of its file system.
    pub file_system: Option<String>,
    /// How long 4 KiB took to be on the disk, several times.
    pub fsync: Vec<Duration>,
    /// Its room.
    pub space: Option<Space>,
    /// Version of SQLite.
    pub sqlite: String,
    /// Why the database cannot be used, or what its check found; empty when it is in order.
    pub database: Vec<String>,
    /// Some files of the archive, or why they cannot be read.
    pub archive: Option<Result<Sample, String>>,
    /// Name and number of each port, and what it is doing.
    pub ports: Vec<(String, u16, PortState)>,
    /// Ours.
    pub ae_title: String,
    /// Name of the model that assists, and its self-test.
    pub model: Option<(String, SelfTest)>,
    /// Why the clinical tables cannot be used.
    pub tables: Option<String>,
    /// How this box selects series otherwise than the model's training did.
    pub selects_otherwise: Option<String>,
    /// Library, or header of CUDA, and where it was found.
    pub libraries: Vec<(String, Option<String>)>,
    /// An NVIDIA device is plugged in.
    pub nvidia_built_in: bool,
    /// Device files of graphics devices.
    pub nodes: Vec<Node>,
    /// What the start of this system said of its layers, one a line; empty without any.
    pub layers: String,
    /// Memory, temperatures, NVIDIA driver.
    pub devices: Devices,
    /// Wall clock against box time.
    pub clock: ClockQuality,
    /// Age of the latest backup.
    pub backup: Option<Duration>,
    /// Time since the latest image came over the network.
    pub received: Option<Duration>,
    /// The link to a hub, where there is one.
    pub hub: Option<Hub>,
    /// Errors of the last 24 hours, newest first.
    pub errors: Vec<String>,
}

/// Judges the facts, in an order that a person follows from the ground up.
#[must_use]
pub fn examine(facts: &Facts) -> Vec<Check> {
    let mut checks = vec![
        good("version", format!("{}, run by {}", facts.version, facts.user)),
        data_folder(facts),
        file_system(facts),
    ];
    checks.extend(disk_speed(&facts.fsync));
    checks.push(space(facts));
    checks.push(database(facts));
    checks.extend(facts.archive.as_ref().map(archive));
    checks.extend(facts.ports.iter().map(|(name, port, state)| port_check(name, *port, state)));
    checks.push(good("AE title", facts.ae_title.clone()));
    checks.extend(model::checks(facts));
    checks.push(vulkan(facts));
    checks.extend(layers(facts));
    checks.push(nvidia(facts));
    checks.extend(nodes(facts));
    checks.extend(memory(facts));
    checks.extend(temperature(facts));
    checks.push(clock(facts.clock));
    checks.push(backup(facts.backup));
    checks.push(received(facts));
    checks.extend(facts.hub.iter().flat_map(hub::checks));
    checks.push(errors(&facts.errors));
    checks
}

fn check(
    name: &str,
    verdict: Verdict,
    said: impl Into<String>,
    advice: impl Into<String>,
) -> Check {
    Check { name: name.to_owned(), verdict, said: said.into(), advice: advice.into() }
}

fn good(name: &str, said: impl Into<String>) -> Check {
    check(name, Verdict::Good, said, "")
}

fn notice(name: &str, said: impl Into<String>, advice: impl Into<String>) -> Check {
    check(name, Verdict::Notice, said, advice)
}

fn problem(name: &str, said: impl Into<String>, advice: impl Into<String>) -> Check {
    check(name, Verdict::Problem, said, advice)
}

fn data_folder(facts: &Facts) -> Check {
    let Facts { data, user, .. } = facts;
    match &facts.not_writable {
        None => good("data folder", format!("{data} can be written")),
        Some(why) => problem(
            "data folder",
            format!("nothing can be written into {data} ({why})"),
            format!("make sure that the disk is mounted and that the folder belongs to {user}"),
        ),
    }
}

fn file_system(facts: &Facts) -> Check {
    const NAME: &str = "file system";
    let Some(kind) = facts.file_system.as_deref() else {
        return notice(NAME, "its kind cannot be told", "");
    };
    match kind {
        "tmpfs" | "ramfs" => problem(
            NAME,
            format!("{kind}: in memory, everything is lost when the box is switched off"),
            "choose a data folder on a disk",
        ),
        "nfs" | "nfs4" | "cifs" | "smb3" | "9p" | "fuse" | "fuse.sshfs" => problem(
            NAME,
            format!("{kind}: on another machine, where the database is not safe"),
            "choose a data folder on a disk in this box",
        ),
        "vfat" | "exfat" | "ntfs" | "ntfs3" | "fuseblk" => problem(
            NAME,
            format!("{kind}: not safe in a power cut"),
            "choose a data folder on an ext4 or XFS disk",
        ),
        "overlay" => notice(
            NAME,
            "overlay: inside a container, it goes when the container goes",
            "mount a folder of the box as the data folder",
        ),
        kind => good(NAME, kind),
    }
}

fn disk_speed(fsync: &[Duration]) -> Option<Check> {
    const NAME: &str = "disk speed";
    let mut sorted = fsync.to_vec();
    sorted.sort_unstable();
    let median = *sorted.get(sorted.len() / 2)?;
    let per_image = SYNCS_PER_IMAGE * median.as_secs_f64();
    let said = format!("{:.2} ms until 4 KiB are safe", 1000.0 * median.as_secs_f64());
    Some(if median < INCREDIBLE {
        notice(
            NAME,
            format!("{said}: faster than a disk can be, so it may lie about it"),
            "use a disk with power-loss protection, or switch its write cache off",
        )
    } else if median > SLOW {
        notice(
            NAME,
            format!("{said}: about {:.0} images a second at most", 1.0 / per_image),
            "a solid-state disk would receive faster; a failing one also becomes slow",
        )
    } else {
        good(NAME, said)
    })
}

fn space(facts: &Facts) -> Check {
    const NAME: &str = "free space";
    let Some(space) = &facts.space else {
        return problem(NAME, "it cannot be told", "make sure that the disk is mounted");
    };
    match disk::level(space, DiskLevel::Normal, &disk::Config::default()) {
        DiskLevel::Normal => good(NAME, space.to_string()),
        DiskLevel::Tight => notice(NAME, space.to_string(), "plan for more room"),
        DiskLevel::Evicting => notice(
            NAME,
            format!("{space}: images that were read are deleted"),
            "read the open studies, so that they may be deleted too, or add a disk",
        ),
        DiskLevel::Full => problem(
            NAME,
            format!("{space}: new images are refused"),
            "read the open studies, so that they may be deleted, or add a disk; the scanner keeps \
             its images until then",
        ),
    }
}

fn database(facts: &Facts) -> Check {
    match facts.database.first() {
        None => good("database", format!("in order, SQLite {}", facts.sqlite)),
        Some(finding) => problem(
            "database",
            finding,
            "stop the appliance, then run `appliance restore` with the latest backup; images that \
             came after it are indexed again",
        ),
    }
}

fn archive(sample: &Result<Sample, String>) -> Check {
    const NAME: &str = "archive";
    match sample {
        Ok(Sample { files, bad }) => match bad.first() {
            None => {
                let files = words::count(*files as u64, "file", "files");
                good(NAME, format!("{files} read, all as received"))
            }
            Some(first) => problem(
                NAME,
                format!("{} of {files} files are not as received: {first}", bad.len()),
                "the disk may be failing; send those studies again from the scanner",
            ),
        },
        Err(why) => problem(NAME, format!("it cannot be read ({why})"), "look at the disk"),
    }
}

fn port_check(what: &str, port: u16, state: &PortState) -> Check {
    let name = format!("port {port}");
    match state {
        PortState::Free => notice(
            &name,
            format!("free for {what}, nobody listens"),
            "the appliance is not running; start it",
        ),
        PortState::Busy(Some((program, process))) if program == "appliance" => {
            good(&name, format!("the appliance listens for {what} (process {process})"))
        }
        PortState::Busy(Some((program, process))) => problem(
            &name,
            format!("{program} (process {process}) has it, and {what} cannot be reached"),
            format!("stop {program}, or give the appliance another port"),
        ),
        PortState::Busy(None) => notice(
            &name,
            format!("a program of another user listens where {what} is expected"),
            "run the doctor as root to be told its name",
        ),
        PortState::Forbidden => problem(
            &name,
            format!("this user may not listen for {what} there"),
            "choose a port from 1024 on, or give the service CAP_NET_BIND_SERVICE",
        ),
        PortState::Failed(why) => {
            problem(&name, format!("it cannot be used for {what} ({why})"), "look at the network")
        }
    }
}

fn missing<'a>(facts: &'a Facts, prefixes: &[&str]) -> Vec<&'a str> {
    let wanted = |name: &str| prefixes.iter().any(|prefix| name.starts_with(prefix));
    let missing = facts.libraries.iter().filter(|(name, at)| at.is_none() && wanted(name));
    missing.map(|(name, _)| name.as_str()).collect()
}

fn vulkan(facts: &Facts) -> Check {
    if missing(facts, &["libvulkan"]).is_empty() {
        return good("Vulkan", "the loader is installed");
    }
    notice(
        "Vulkan",
        "libvulkan.so.1 is missing, so no graphics device works through Vulkan",
        "install the package libvulkan1",
    )
}

/// Signed additions to the system (decision 0025), as `/usr/lib/prima/layer` reports them.
fn layers(facts: &Facts) -> Vec<Check> {
    const NAME: &str = "layer";
    let judge = |line: &str| match line.strip_prefix("refused: ") {
        None => good(NAME, line),
        Some(why) => {
            let (what, remedy) = why.rsplit_once("; ").unwrap_or((why, "build it anew"));
            problem(NAME, what, remedy)
        }
    };
    facts.layers.lines().map(judge).collect()
}

fn nvidia(facts: &Facts) -> Check {
    const NAME: &str = "NVIDIA";
    let [driver, toolkit] =
        [&["libnvidia", "libcuda"], &["libnvrtc", "cuda_"]].map(|of| missing(facts, of));
    let nvidia = &facts.devices.nvidia;
    match (&nvidia.absent, facts.nvidia_built_in) {
        (Some(_), false) => good(NAME, "no device is built in"),
        (_, true) if !driver.is_empty() || !toolkit.is_empty() => {
            let names = [driver.as_slice(), &toolkit].concat().join(", ");
            let package = if driver.is_empty() {
                "install the CUDA toolkit into /usr/local/cuda, or name its folder by CUDA_PATH"
            } else {
                "install the NVIDIA driver (Debian: packages nvidia-driver and libcuda1; on a box \
                 from our image its layer, runbook \"update\")"
            };
            problem(NAME, format!("a device is built in, but {names} is missing"), package)
        }
        (Some(why), true) => problem(
            NAME,
            format!("a device is built in, but {why}"),
            "restart the box; if that does not help, install the driver again",
        ),
        (None, _) => {
            let devices: Vec<&str> = nvidia.gpus.iter().map(|gpu| gpu.name.as_str()).collect();
            let version = nvidia.version.as_deref().unwrap_or("of unknown version");
            good(NAME, format!("{}, driver {version}", devices.join(", ")))
        }
    }
}

fn nodes(facts: &Facts) -> Option<Check> {
    const NAME: &str = "device files";
    let (usable, barred): (Vec<&Node>, Vec<&Node>) =
        facts.nodes.iter().partition(|node| node.usable);
    let names = |nodes: &[&Node]| {
        nodes.iter().map(|node| node.path.as_str()).collect::<Vec<_>>().join(", ")
    };
    if facts.nodes.is_empty() {
        return None;
    }
    if barred.is_empty() {
        return Some(good(NAME, format!("{} can be used", names(&usable))));
    }
    let mut groups: Vec<&str> = barred.iter().map(|node| node.group.as_str()).collect();
    groups.sort_unstable();
    groups.dedup();
    // Being in the group `root` is not a right to ask for; the device file has the wrong owner.
    let advice = if groups.contains(&"root") {
        "the driver's udev rules are missing; install the driver again".to_owned()
    } else {
        let user = &facts.user;
        format!("run `usermod -a -G {} {user}` and restart the appliance", groups.join(","))
    };
    Some(problem(NAME, format!("{} may not use {}", facts.user, names(&barred)), advice))
}

fn memory(facts: &Facts) -> Option<Check> {
    let memory = facts.devices.memory?;
    let said =
        format!("{} of {} are free", words::size(memory.available), words::size(memory.total));
    Some(if memory.available < memory.total / 20 {
        problem("memory", said, "close other programs, or restart the box")
    } else {
        good("memory", said)
    })
}

fn temperature(facts: &Facts) -> Option<Check> {
    const NAME: &str = "temperature";
    let devices = &facts.devices;
    let hot = devices.sensors.iter().find(|s| s.critical.is_some_and(|mark| s.celsius >= mark));
    let slowed = devices.nvidia.gpus.iter().find(|gpu| gpu.too_hot);
    let hot = hot
        .map(|sensor| format!("{} is at {:.0} °C", sensor.name, sensor.celsius))
        .or_else(|| slowed.map(|gpu| format!("{} is too hot and slows down", gpu.name)));
    if let Some(said) = hot {
        return Some(problem(NAME, said, "clean the fans, and let cool air reach the box"));
    }
    let gpus = devices.nvidia.gpus.iter().filter_map(|gpu| Some((&gpu.name, gpu.celsius?)));
    let all = devices.sensors.iter().map(|sensor| (&sensor.name, sensor.celsius)).chain(gpus);
    let (name, celsius) = all.max_by(|a, b| a.1.total_cmp(&b.1))?;
    Some(good(NAME, format!("the hottest is {name} at {celsius:.0} °C")))
}

fn clock(quality: ClockQuality) -> Check {
    match quality {
        ClockQuality::Good => good("clock", quality.to_string()),
        _ => notice(
            "clock",
            quality.to_string(),
            "set it, and replace the battery on the main board if it goes wrong again; the order \
             of studies does not depend on it",
        ),
    }
}

fn backup(age: Option<Duration>) -> Check {
    let Some(age) = age else {
        return notice("backup", "none was made yet", "leave the appliance on over night");
    };
    let said = format!("made {} ago", words::span(age));
    if age > 2 * DAY {
        notice("backup", said, "look for backup errors below; the disk may have too little room")
    } else {
        good("backup", said)
    }
}

fn received(facts: &Facts) -> Check {
    let advice = || {
        let ports = facts.ports.iter().map(|(what, port, _)| format!("{port} ({what})"));
        format!(
            "make sure that the scanner sends to AE title {}, port {}",
            facts.ae_title,
            ports.collect::<Vec<_>>().join(" or ")
        )
    };
    match facts.received {
        None => notice("last image", "none came over the network yet", advice()),
        Some(age) if age > 3 * DAY => {
            notice("last image", format!("{} ago", words::span(age)), advice())
        }
        Some(age) => good("last image", format!("{} ago", words::span(age))),
    }
}

fn errors(errors: &[String]) -> Check {
    match errors.first() {
        None => good("errors", "none in 24 hours"),
        Some(latest) => notice(
            "errors",
            format!(
                "{} in 24 hours, the latest: {latest}",
                words::count(errors.len() as u64, "error", "errors")
            ),
            "the system page has the whole list",
        ),
    }
}

/// The page: what is wrong comes first. No line is longer than 80 characters.
#[must_use]
pub fn page(checks: &[Check]) -> String {
    let count = |verdict| checks.iter().filter(|check| check.verdict == verdict).count() as u64;
    let mut text = match (count(Verdict::Problem), count(Verdict::Notice)) {
        (0, 0) => "All is well.\n\n".to_owned(),
        (problems, notices) => format!(
            "{}, {}.\n\n",
            words::count(problems, "problem", "problems"),
            words::count(notices, "notice", "notices")
        ),
    };
    let mut sorted: Vec<&Check> = checks.iter().collect();
    sorted.sort_by_key(|check| check.verdict);
    for check in sorted {
        let verdict = match check.verdict {
            Verdict::Problem => "PROBLEM",
            Verdict::Notice => "Notice",
            Verdict::Good => "good",
        };
        paragraph(&mut text, verdict, &format!("{}: {}", check.name, check.said));
        if !check.advice.is_empty() {
            paragraph(&mut text, "", &format!("-> {}", check.advice));
        }
    }
    text
}

/// Words in lines that begin at [`INDENT`], the first after `head`.
fn paragraph(text: &mut String, head: &str, words: &str) {
    let mut line = String::new();
    let mut lines = Vec::new();
    for word in words.split_whitespace() {
        // A word longer than a line, a path perhaps, is cut.
        let letters: Vec<char> = word.chars().collect();
        for piece in letters.chunks(WIDTH - INDENT) {
            let length = line.chars().count();
            if length > 0 && INDENT + length + 1 + piece.len() > WIDTH {
                lines.push(std::mem::take(&mut line));
            }
            if !line.is_empty() {
                line.push(' ');
            }
            line.extend(piece);
        }
    }
    lines.push(line);
    for (index, line) in lines.iter().enumerate() {
        let head = if index == 0 { head } else { "" };
        // Writing to a String cannot fail.
        writeln!(text, "{head:<INDENT$}{line}").unwrap_or_default();
    }
}

#[cfg(test)]
mod tests;
