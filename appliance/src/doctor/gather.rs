//! Finding the facts out. Each function looks at one thing; those that parse take text.

use std::collections::HashSet;
use std::fs;
use std::io::{self, Write as _};
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use rustix::fs::Access;

use super::{Facts, Hub, Node, PortState, Sample, SelfTest};
use crate::clock::Clock;
use crate::fault;
use crate::health::devices::Sensors;
use crate::health::{clock_quality, disk, words};
use crate::store::{Store, StoreError};

/// Times that the disk is measured.
const SYNCS: usize = 20;
const DAY_MS: i64 = 86_400_000;
/// Libraries of graphics devices. The version of the last follows the toolkit's.
const LIBRARIES: [&str; 4] = ["libvulkan.so.1", "libnvidia-ml.so.1", "libcuda.so.1", "libnvrtc.so"];
/// Where libraries are when the loader's cache does not say.
const LIBRARY_FOLDERS: [&str; 7] = [
    "/usr/lib/x86_64-linux-gnu",
    "/usr/lib/aarch64-linux-gnu",
    "/usr/lib64",
    "/usr/lib",
    "/usr/local/lib",
    "/usr/local/nvidia/lib64",
    "/usr/local/cuda/lib64",
];

/// Included by every kernel that is compiled for an NVIDIA device.
const CUDA_HEADER: &str = "cuda_fp16.h";

/// Verifies some files of the archive.
pub type Verify<'a> = &'a dyn Fn() -> Result<Sample, String>;

/// What only the caller knows.
#[derive(Clone)]
pub struct Known<'a> {
    /// Of this program.
    pub version: String,
    /// Data folder.
    pub data: PathBuf,
    /// The database, or why it cannot be opened.
    pub store: Result<&'a Store, &'a StoreError>,
    /// Verifies some files of the archive; `None` leaves that out.
    pub archive: Option<Verify<'a>>,
    /// Name and number of each port in use.
    pub ports: Vec<(String, u16)>,
    /// Ours.
    pub ae_title: String,
    /// The model that assists, and how it did.
    pub model: Option<(String, SelfTest)>,
    /// How this box selects series otherwise than its training did, or why the clinical tables
    /// cannot be used.
    pub selects_otherwise: Result<Option<String>, String>,
    /// Host of the hub, empty where sticks are the only way, and the last second of this box's
    /// certificate there, or why it has none; `None` without a hub.
    pub hub: Option<(String, Result<i64, String>)>,
}

/// Collects everything. Takes as long as the check of the database and the archive's sample.
#[must_use]
pub fn gather(known: Known<'_>, clock: &dyn Clock) -> Facts {
    let fsync = measure_fsync(&known.data);
    let mounts = fs::read_to_string("/proc/self/mountinfo").unwrap_or_default();
    let data = known.data.canonicalize().unwrap_or_else(|_| known.data.clone());
    let cache = fs::read("/etc/ld.so.cache").unwrap_or_default();
    let mut facts = Facts {
        version: known.version,
        user: name_of("/etc/passwd", rustix::process::geteuid().as_raw()),
        data: known.data.display().to_string(),
        not_writable: fsync.as_ref().err().map(ToString::to_string),
        fsync: fsync.unwrap_or_default(),
        file_system: file_system(&mounts, &data),
        space: disk::space(&known.data).ok(),
        archive: known.archive.map(|verify| verify()),
        ports: known.ports.into_iter().map(|(name, port)| (name, port, port_state(port))).collect(),
        ae_title: known.ae_title,
        model: known.model,
        tables: known.selects_otherwise.as_ref().err().cloned(),
        selects_otherwise: known.selects_otherwise.unwrap_or_default(),
        libraries: LIBRARIES
            .iter()
            .map(|name| ((*name).to_owned(), find_library(&cache, name)))
            .chain([(CUDA_HEADER.to_owned(), find_cuda_header())])
            .collect(),
        nvidia_built_in: nvidia_built_in(),
        nodes: nodes(),
        layers: fs::read_to_string("/run/prima/layers").unwrap_or_default(),
        devices: Sensors::default().read(),
        clock: clock_quality::quality(clock.wall(), clock.now()),
        hub: known.hub.map(|(host, valid_until_s)| {
            let wall_s = clock.wall().div_euclid(1000);
            Hub { host, wall_s, valid_until_s, ..Hub::default() }
        }),
        ..Facts::default()
    };
    match known.store {
        Err(error) => facts.database = vec![fault::chain(error)],
        Ok(store) => {
            if let Err(error) = ask_store(&mut facts, store) {
                facts.database.push(fault::chain(&error));
            }
        }
    }
    facts
}

/// Where cubecl looks for headers.
#[expect(clippy::disallowed_methods, reason = "a variable of cubecl's, not of ours")]
fn find_cuda_header() -> Option<String> {
    let set = std::env::var("CUDA_PATH").ok();
    let folders = ["/usr/local/cuda", "/opt/cuda", "/usr"].map(str::to_owned);
    let folders = set.map_or_else(|| folders.to_vec(), |set| vec![set]);
    let header = |folder: String| format!("{folder}/include/{CUDA_HEADER}");
    folders.into_iter().map(header).find(|header| Path::new(header).exists())
}

fn ask_store(facts: &mut Facts, store: &Store) -> Result<(), StoreError> {
    let now = store.clock().now();
    let since = |at: Option<i64>| at.map(|at| words::between(at, now));
    facts.sqlite = store.sqlite_version()?;
    facts.backup = since(store.last_backup_at()?);
    facts.received = since(store.last_received_at()?);
    if let Some(hub) = &mut facts.hub {
        let (contact, counts) = (store.hub_contact()?, store.outbox_counts()?);
        hub.answered = since(contact.map(|contact| contact.at));
        hub.clock_offset_ms = contact.map_or(0, |contact| contact.clock_offset_ms);
        hub.oldest_flag = since(counts.oldest_flag_at);
        hub.waiting = counts.waiting.iter().sum();
        hub.dead = counts.dead;
    }
    let errors = store.events(5000)?.into_iter();
    facts.errors = errors
        .take_while(|event| now - event.at < DAY_MS)
        .filter(|event| event.level == "error")
        .map(|event| event.text)
        .collect();
    facts.database = store.integrity_check()?;
    Ok(())
}

/// How long 4 KiB take to be on the disk, each time anew. The file has no name and goes with it.
fn measure_fsync(folder: &Path) -> io::Result<Vec<Duration>> {
    let mut file = tempfile::tempfile_in(folder)?;
    (0..SYNCS)
        .map(|_| {
            let started = Instant::now();
            file.write_all(&[0x5a; 4096])?;
            file.sync_all()?;
            Ok(started.elapsed())
        })
        .collect()
}

/// Kind of the file system that holds `path`, from `/proc/self/mountinfo` (proc(5)): of all mount
/// points above it the longest, and of equal ones the last, which hides the others.
fn file_system(mounts: &str, path: &Path) -> Option<String> {
    let mount = |line: &str| -> Option<(usize, String)> {
        let (left, right) = line.split_once(" - ")?;
        let point = left.split(' ').nth(4)?.replace("\\040", " ");
        let length = point.len();
        path.starts_with(point).then(|| Some((length, right.split(' ').next()?.to_owned())))?
    };
    mounts.lines().filter_map(mount).max_by_key(|(length, _)| *length).map(|(_, kind)| kind)
}

fn port_state(port: u16) -> PortState {
    let bind = |address: SocketAddr| TcpListener::bind(address);
    let bound = bind((Ipv6Addr::UNSPECIFIED, port).into()).or_else(|error| match error.kind() {
        io::ErrorKind::AddrInUse | io::ErrorKind::PermissionDenied => Err(error),
        // A kernel without IPv6.
        _ => bind((Ipv4Addr::UNSPECIFIED, port).into()),
    });
    match bound {
        Ok(_) => PortState::Free,
        Err(error) => match error.kind() {
            io::ErrorKind::AddrInUse => PortState::Busy(listener(port)),
            io::ErrorKind::PermissionDenied => PortState::Forbidden,
            _ => PortState::Failed(error.to_string()),
        },
    }
}

/// Name and process id of the program that listens on a port, where this user may see it.
fn listener(port: u16) -> Option<(String, u32)> {
    let tables = ["/proc/net/tcp", "/proc/net/tcp6"];
    let sockets: HashSet<PathBuf> = tables
        .iter()
        .flat_map(|table| sockets(&fs::read_to_string(table).unwrap_or_default(), port))
        .map(|inode| PathBuf::from(format!("socket:[{inode}]")))
        .collect();
    let holds = |process: &Path| {
        let files = fs::read_dir(process.join("fd")).into_iter().flatten().flatten();
        files.filter_map(|file| fs::read_link(file.path()).ok()).any(|at| sockets.contains(&at))
    };
    for process in fs::read_dir("/proc").ok()?.flatten() {
        let number = process.file_name().to_str().and_then(|name| name.parse().ok());
        if let Some(number) = number
            && holds(&process.path())
        {
            let name = fs::read_to_string(process.path().join("comm")).unwrap_or_default();
            return Some((name.trim().to_owned(), number));
        }
    }
    None
}

/// Inodes of sockets that listen on a port, from `/proc/net/tcp` (proc(5)): state 0A is LISTEN.
fn sockets(table: &str, port: u16) -> Vec<u64> {
    let suffix = format!(":{port:04X}");
    let socket = |line: &str| {
        let columns: Vec<&str> = line.split_whitespace().collect();
        let [_, local, _, "0A", _, _, _, _, _, inode, ..] = columns[..] else { return None };
        inode.parse().ok().filter(|_| local.ends_with(&suffix))
    };
    table.lines().filter_map(socket).collect()
}

/// Where a library is whose file name begins with `name`. The loader's cache holds full paths,
/// each ended by a zero byte.
fn find_library(cache: &[u8], name: &str) -> Option<String> {
    let named = |path: &str| {
        path.starts_with('/') && path.rsplit('/').next().is_some_and(|file| file.starts_with(name))
    };
    let cached = cache.split(|byte| *byte == 0).filter_map(|text| std::str::from_utf8(text).ok());
    cached.filter(|path| named(path)).map(str::to_owned).next().or_else(|| {
        let folders = LIBRARY_FOLDERS.iter().flat_map(fs::read_dir).flatten().flatten();
        folders.map(|file| file.path().display().to_string()).find(|path| named(path))
    })
}

/// A display device of NVIDIA (vendor 10de, class 03) is on the PCI bus, or its device file is
/// there.
fn nvidia_built_in() -> bool {
    let devices = fs::read_dir("/sys/bus/pci/devices").into_iter().flatten().flatten();
    let is = |device: &Path, file: &str, start: &str| {
        fs::read_to_string(device.join(file)).is_ok_and(|text| text.starts_with(start))
    };
    Path::new("/dev/nvidia0").exists()
        || devices
            .map(|device| device.path())
            .any(|device| is(&device, "vendor", "0x10de") && is(&device, "class", "0x03"))
}

fn nodes() -> Vec<Node> {
    let named = |folder: &str, starts: &[&str]| -> Vec<PathBuf> {
        let files = fs::read_dir(folder).into_iter().flatten().flatten();
        let wanted = |name: &str| starts.iter().any(|start| name.starts_with(start));
        files
            .filter(|file| file.file_name().to_str().is_some_and(wanted))
            .map(|file| file.path())
            .filter(|path| !path.is_dir())
            .collect()
    };
    let starts = ["nvidiactl", "nvidia-uvm", "nvidia0", "nvidia1", "nvidia2", "nvidia3"];
    let mut paths = named("/dev", &starts);
    paths.extend(named("/dev/dri", &["renderD"]));
    paths.sort();
    paths.iter().filter_map(|path| node(path)).collect()
}

fn node(path: &Path) -> Option<Node> {
    let group = fs::metadata(path).ok()?.gid();
    Some(Node {
        path: path.display().to_string(),
        usable: rustix::fs::access(path, Access::READ_OK | Access::WRITE_OK).is_ok(),
        group: name_of("/etc/group", group),
    })
}

/// Name of a user or group; its number where the file has none.
fn name_of(file: &str, id: u32) -> String {
    let text = fs::read_to_string(file).unwrap_or_default();
    name_in(&text, id).unwrap_or_else(|| id.to_string())
}

/// `name:password:id:...`, as in passwd(5) and group(5).
fn name_in(text: &str, id: u32) -> Option<String> {
    let entry = |line: &str| {
        let mut fields = line.split(':');
        let (name, number) = (fields.next()?, fields.nth(1)?);
        (number.parse() == Ok(id)).then(|| name.to_owned())
    };
    text.lines().find_map(entry)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_file_system_of_a_folder() {
        const MOUNTS: &str = "\
            22 1 8:1 / / rw,relatime shared:1 - ext4 /dev/sda1 rw\n\
            23 22 0:5 / /srv rw - tmpfs tmpfs rw\n\
            24 23 8:2 / /srv/my\\040data rw - xfs /dev/sdb1 rw\n\
            25 24 8:3 / /srv/my\\040data rw - btrfs /dev/sdc1 rw\n\
            broken line\n";
        let check = |path: &str, expected: Option<&str>| {
            assert_eq!(file_system(MOUNTS, Path::new(path)).as_deref(), expected, "{path}");
        };
        check("/var/lib", Some("ext4"));
        check("/srv", Some("tmpfs"));
        check("/srvx", Some("ext4"));
        check("/srv/my data/a", Some("btrfs"));
        assert_eq!(file_system("", Path::new("/")), None);
    }

    #[test]
    fn sockets_that_listen() {
        const TABLE: &str = "\
  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode
   0: 00000000:2B67 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 4711 1
   1: 0100007F:2B67 0100007F:9999 01 00000000:00000000 00:00000000 00000000     0        0 4712 1
   2: 00000000:0016 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 4713 1
";
        let check = |port, expected: &[u64]| assert_eq!(sockets(TABLE, port), expected, "{port}");
        check(11_111, &[4711]);
        check(22, &[4713]);
        check(104, &[]);
    }

    #[test]
    fn ports_of_this_machine() {
        let own = TcpListener::bind((Ipv4Addr::UNSPECIFIED, 0)).unwrap();
        let port = own.local_addr().unwrap().port();
        let PortState::Busy(Some((_, process))) = port_state(port) else {
            panic!("{:?}", port_state(port));
        };
        assert_eq!(process, std::process::id());
        drop(own);
        assert_eq!(port_state(port), PortState::Free);
    }

    #[test]
    fn libraries_in_the_loaders_cache() {
        let cache = b"glibc-ld.so.cache1.1\0libcuda.so.1\0/usr/lib/libcuda.so.1\0\
                      /opt/cuda/libnvrtc.so.12\0\xff\xfe\0/usr/lib/libvulkan.so.1.3.0\0";
        let check = |name, expected: Option<&str>| {
            assert_eq!(find_library(cache, name).as_deref(), expected, "{name}");
        };
        check("libcuda.so.1", Some("/usr/lib/libcuda.so.1"));
        check("libnvrtc.so", Some("/opt/cuda/libnvrtc.so.12"));
        check("libvulkan.so.1", Some("/usr/lib/libvulkan.so.1.3.0"));
        check("libthere-is-no-such.so", None);
        // Every Linux has this one, cached or not.
        let libc = find_library(b"", "libc.so.6");
        assert!(libc.is_some_and(|path| path.ends_with("/libc.so.6")));
    }

    #[test]
    fn names_of_numbers() {
        const TEXT: &str = "root:x:0:\nvideo:x:44:a,b\nbroken\nrender:x:104:\n";
        let check = |id, expected: Option<&str>| {
            assert_eq!(name_in(TEXT, id).as_deref(), expected, "{id}");
        };
        check(0, Some("root"));
        check(104, Some("render"));
        check(10, None);
    }

    #[test]
    fn the_disk_is_measured() {
        let folder = tempfile::tempdir().unwrap();
        assert_eq!(measure_fsync(folder.path()).unwrap().len(), SYNCS);
        let none = measure_fsync(&folder.path().join("none")).unwrap_err();
        assert_eq!(none.kind(), io::ErrorKind::NotFound);
    }
}
