//! A box of the image in a virtual machine, with a TPM, under software emulation.

use std::fs::{self, File};
use std::io::{ErrorKind, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use tempfile::TempDir;
use tests::daemon::free_port;

use crate::interop::succeed;

/// Longest wait for anything: the machine is emulated, and others use the processor too.
const PATIENCE: Duration = Duration::from_secs(170);
const PAUSE: Duration = Duration::from_millis(200);

/// What `ops/image/build.sh` made, by `ops/test --firmware`.
pub(super) fn image() -> Option<PathBuf> {
    let folder = std::env::var_os("PRIMA_IMAGE").map(PathBuf::from);
    if folder.is_none() {
        println!("SKIPPED: PRIMA_IMAGE names no image; ops/test --firmware makes one");
    }
    folder
}

/// A box: its disk and TPM stay while it is off.
pub(super) struct Machine {
    folder: TempDir,
    image: PathBuf,
    dicom: u16,
    web: u16,
    running: Option<[Child; 2]>,
}

/// What the tests add to the command line: a root shell on the second serial port, and a kernel that
/// says which copy of the system it is of.
const SHELL: &str = "systemd.debug_shell=ttyS1";

impl Machine {
    /// Never started before. Its kernel is told to give out a root shell on the second serial port,
    /// which takes the key that the image was signed with.
    pub(super) fn new(image: &Path) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let at = |name: &str| folder.path().join(name).display().to_string();
        let disk = format!("{}/prima.img", image.display());
        succeed("cp", &["--sparse=always", &disk, &at("disk")]);
        fs::copy("/usr/share/OVMF/OVMF_VARS_4M.fd", at("variables")).expect("firmware variables");
        fs::create_dir(at("tpm")).expect("a folder");
        let [dicom, web] = [(); 2].map(|()| free_port().expect("a port"));
        let machine = Self { folder, image: image.to_owned(), dicom, web, running: None };
        machine.change_kernel(&machine.partition(2), |line| format!("{line} {SHELL}"));
        machine
    }

    fn at(&self, name: &str) -> String {
        self.folder.path().join(name).display().to_string()
    }

    /// A partition of the disk as mtools want it.
    fn partition(&self, number: u32) -> String {
        format!("{}@@{}", self.at("disk"), self.first_byte(number))
    }

    /// Where a partition begins.
    pub(super) fn first_byte(&self, number: u32) -> u64 {
        let said = succeed("sgdisk", &[&format!("--info={number}"), &self.at("disk")]);
        let line = said.lines().find_map(|line| line.strip_prefix("First sector: "));
        let sector = line.and_then(|line| line.split(' ').next()).expect("a sector");
        512 * sector.parse::<u64>().expect("a number")
    }

    /// Changes the command line of a kernel on a file system, and signs it.
    fn change_kernel(&self, on: &str, change: impl FnOnce(String) -> String) {
        let (file, signature) = (self.at("cmdline.cfg"), self.at("cmdline.cfg.sig"));
        succeed("mcopy", &["-n", "-o", "-i", on, "::cmdline.cfg", &file]);
        let text = fs::read_to_string(&file).expect("a command line");
        let line = text.trim_end().trim_end_matches('"').to_owned();
        fs::write(&file, format!("{}\"\n", change(line))).expect("a file");
        let keys = format!("{}/gnupg", self.image.display());
        let options = ["--homedir", &keys, "--batch", "--yes", "--quiet"];
        let words = ["--detach-sign", "--output", &signature, &file];
        succeed("gpg", &[&options[..], &words[..]].concat());
        succeed("mcopy", &["-o", "-i", on, &file, &signature, "::"]);
    }

    /// Puts a stick in with an update of the same system, whose command line is changed.
    pub(super) fn insert_update(&self, change: impl FnOnce(String) -> String) {
        let tree = self.folder.path().join("update");
        fs::create_dir(&tree).expect("a folder");
        let image = |name: &str| self.image.join(name).display().to_string();
        let into = |name: &str| tree.join(name).display().to_string();
        succeed("cp", &[image("system-root.img"), into("root.img")]);
        succeed("cp", &[image("system-kernel.img"), into("kernel.img")]);
        self.change_kernel(&into("kernel.img"), |line| format!("{} {SHELL}", change(line)));
        let manifest = "[update]\ncompatible=prima-box-x86-64\nversion=2\n\n[bundle]\nformat=verity\n\n\
                        [image.rootfs]\nfilename=root.img\n\n[image.kernel]\nfilename=kernel.img\n";
        fs::write(tree.join("manifest.raucm"), manifest).expect("a file");
        let [certificate, key] = ["cert", "key"].map(|name| {
            format!(
                "--{name}={}",
                image(&format!("prima-ca.{}", if name == "cert" { "pem" } else { "key" }))
            )
        });
        let tree = tree.display().to_string();
        succeed("rauc", &["bundle", &certificate, &key, &tree, &self.at("update.raucb")]);
        self.insert(&[&self.at("update.raucb")]);
    }

    /// Puts a stick in with these files on it.
    pub(super) fn insert(&self, files: &[&str]) {
        let sizes = files.iter().map(|file| fs::metadata(file).expect("a file").len());
        let size = sizes.sum::<u64>() / 1024 + 8192;
        let stick = self.at("stick");
        succeed("mkfs.vfat", &["-C", "-n", "STICK", &stick, &size.to_string()]);
        succeed("mcopy", &[&["-i", &stick][..], files, &["::"][..]].concat());
    }

    /// Puts a file on the boot partition.
    pub(super) fn replace_boot_loader(&self, bytes: &[u8]) {
        fs::write(self.at("loader"), bytes).expect("a file");
        let to = "::EFI/BOOT/BOOTX64.EFI";
        succeed("mcopy", &["-o", "-i", &self.partition(1), &self.at("loader"), to]);
    }

    /// Turns over one bit of the disk.
    pub(super) fn flip(&self, byte: u64) {
        use std::os::unix::fs::FileExt as _;
        let disk = File::options().read(true).write(true).open(self.at("disk")).expect("the disk");
        let mut found = [0];
        disk.read_exact_at(&mut found, byte).expect("a byte");
        disk.write_all_at(&[found[0] ^ 1], byte).expect("a byte");
    }

    /// Switches it on.
    pub(super) fn start(&mut self) {
        let tpm_state = format!("dir={}", self.at("tpm"));
        let tpm_socket = format!("type=unixio,path={}", self.at("tpm.sock"));
        let tpm = Command::new("swtpm")
            .args(["socket", "--tpm2", "--tpmstate", &tpm_state, "--ctrl", &tpm_socket])
            .stderr(Stdio::null())
            .spawn()
            .expect("swtpm");
        self.wait_for_file("tpm.sock");
        let net = format!(
            "user,id=net,hostfwd=tcp:127.0.0.1:{}-:11112,hostfwd=tcp:127.0.0.1:{}-:8042",
            self.dicom, self.web
        );
        let log = File::create(self.at("qemu.log")).expect("a log");
        let qemu = Command::new("qemu-system-x86_64")
            // The emulated processor has no AVX-512.
            .args(["-accel", "tcg,thread=multi", "-cpu", "max", "-smp", "2", "-m", "2048"])
            .args(["-display", "none", "-monitor", "none"])
            .args([
                "-drive",
                "if=pflash,format=raw,readonly=on,file=/usr/share/OVMF/OVMF_CODE_4M.fd",
            ])
            .args(["-drive", &format!("if=pflash,format=raw,file={}", self.at("variables"))])
            .args(["-drive", &format!("if=virtio,format=raw,file={}", self.at("disk"))])
            .args(self.stick())
            .args(["-chardev", &format!("socket,id=tpm,path={}", self.at("tpm.sock"))])
            .args(["-tpmdev", "emulator,id=tpm0,chardev=tpm", "-device", "tpm-crb,tpmdev=tpm0"])
            .args(["-device", "i6300esb", "-device", "virtio-net-pci,netdev=net", "-netdev", &net])
            .args(["-serial", &format!("file:{}", self.at("console"))])
            .args([
                "-chardev",
                &format!("socket,id=shell,path={},server=on,wait=off", self.at("shell")),
            ])
            .args(["-serial", "chardev:shell"])
            .stderr(log)
            .spawn()
            .expect("qemu-system-x86_64");
        self.running = Some([qemu, tpm]);
        self.wait_for_file("shell");
    }

    fn stick(&self) -> Vec<String> {
        let stick = self.at("stick");
        let drive = format!("if=virtio,format=raw,readonly=on,file={stick}");
        if Path::new(&stick).exists() { vec!["-drive".to_owned(), drive] } else { Vec::new() }
    }

    /// Has the machine start again; its screen goes on.
    pub(super) fn restart_within(&self) {
        drop(self.try_run("systemctl --no-block reboot"));
    }

    /// How often a copy of the system was started since the machine was switched on.
    pub(super) fn boots_of(&self, slot: &str) -> usize {
        let starts = format!("rauc.slot={slot} ");
        let console = self.console();
        let lines = console.lines().filter(|line| line.contains("Command line: "));
        lines.filter(|line| line.contains(&starts)).count()
    }

    fn wait_for_file(&self, name: &str) {
        let until = Instant::now() + Duration::from_secs(20);
        while !Path::new(&self.at(name)).exists() {
            let log = fs::read_to_string(self.at("qemu.log")).unwrap_or_default();
            assert!(Instant::now() < until, "{name} does not come: {log}");
            sleep(PAUSE);
        }
    }

    /// The power is cut.
    pub(super) fn cut(&mut self) {
        for mut child in self.running.take().into_iter().flatten() {
            drop(child.kill());
            drop(child.wait());
        }
        for name in ["shell", "tpm.sock"] {
            drop(fs::remove_file(self.at(name)));
        }
    }

    /// What stood on its screen since it was switched on.
    pub(super) fn console(&self) -> String {
        String::from_utf8_lossy(&fs::read(self.at("console")).unwrap_or_default()).into_owned()
    }

    /// Where scanners send to.
    pub(super) fn dicom(&self) -> SocketAddr {
        SocketAddr::from(([127, 0, 0, 1], self.dicom))
    }

    /// Runs a command as root in the machine; what it prints, when it succeeds within a minute.
    pub(super) fn try_run(&self, command: &str) -> Option<String> {
        self.try_run_within(60, command)
    }

    fn try_run_within(&self, seconds: u64, command: &str) -> Option<String> {
        let mut shell = UnixStream::connect(self.at("shell")).ok()?;
        shell.set_read_timeout(Some(Duration::from_secs(1))).ok()?;
        // The markers are put together by the shell, so that its echo of the line has none.
        let line = format!("echo \"BEG\"\"IN\"; {command}; echo \"END\"\"=$?.\"\n");
        shell.write_all(line.as_bytes()).ok()?;
        let (mut said, mut part) = (Vec::new(), [0; 4096]);
        let until = Instant::now() + Duration::from_secs(seconds);
        while Instant::now() < until {
            match shell.read(&mut part) {
                Ok(0) => return None,
                Ok(count) => said.extend_from_slice(&part[..count]),
                Err(error)
                    if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {}
                Err(_) => return None,
            }
            let text = String::from_utf8_lossy(&said);
            if let Some((before, after)) = text.split_once("END=")
                && after.contains('.')
            {
                let said = before.rsplit_once("BEGIN").map_or("", |(_, said)| said);
                return after.starts_with("0.").then(|| said.replace('\r', ""));
            }
        }
        None
    }

    /// As [`Machine::try_run`], and must succeed.
    #[track_caller]
    pub(super) fn run(&self, command: &str) -> String {
        self.try_run(command).unwrap_or_else(|| self.fail(&format!("`{command}` fails")))
    }

    /// As [`Machine::run`], for what takes longer.
    #[track_caller]
    pub(super) fn run_within(&self, seconds: u64, command: &str) {
        if self.try_run_within(seconds, command).is_none() {
            self.fail(&format!("`{command}` fails"));
        }
    }

    #[track_caller]
    fn fail(&self, why: &str) -> ! {
        let console = self.console();
        let tail = console.len().saturating_sub(3000);
        let tail = console.get(tail..).unwrap_or_default();
        panic!("{why}; the screen shows\n{tail}")
    }

    /// Waits until a condition holds.
    #[track_caller]
    pub(super) fn wait(&self, what: &str, mut holds: impl FnMut(&Self) -> bool) {
        let until = Instant::now() + PATIENCE;
        while !holds(self) {
            if Instant::now() >= until {
                self.fail(&format!("{what}: not within {} s", PATIENCE.as_secs()));
            }
            sleep(PAUSE);
        }
    }

    /// Waits until a command in the machine succeeds.
    #[track_caller]
    pub(super) fn wait_for(&self, command: &str) {
        self.wait(command, |machine| machine.try_run(command).is_some());
    }

    /// Waits until it answers a verification (C-ECHO) of DCMTK.
    #[track_caller]
    pub(super) fn wait_for_echo(&self) {
        self.wait("C-ECHO", |machine| {
            let port = machine.dicom.to_string();
            TcpStream::connect(machine.dicom()).is_ok()
                && Command::new("echoscu")
                    .args([
                        "-to",
                        "5",
                        "-ta",
                        "10",
                        "-td",
                        "10",
                        "-aec",
                        "PRIMA",
                        "127.0.0.1",
                        &port,
                    ])
                    .output()
                    .is_ok_and(|output| output.status.success())
        });
    }
}

impl Drop for Machine {
    fn drop(&mut self) {
        self.cut();
    }
}
