//! The shipped daemon as its users run it: a process with a configuration file and a data folder.

use std::ffi::OsString;
use std::fs::{self, File};
use std::io::{self, BufRead as _, BufReader};
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};

/// Longest wait for the line that says that it serves.
const START: Duration = Duration::from_secs(60);

/// How to start `appliance serve`.
#[derive(Clone, Debug)]
pub struct Launch {
    /// Folder of `data`, the configuration and the log.
    folder: PathBuf,
    /// Port for DICOM; `None` takes one that is free.
    pub port: Option<u16>,
    /// Where the pages are shown.
    pub web: String,
    /// More settings, with whole keys: `assembly.quiet_s = 1`.
    pub settings: String,
    /// A program with arguments that replaces itself by the daemon, such as `prlimit`.
    pub wrap: Vec<OsString>,
    /// Environment variables added.
    pub environment: Vec<(&'static str, OsString)>,
}

/// A running daemon; dropping it kills it.
#[derive(Debug)]
pub struct Daemon {
    child: Child,
    /// Where scanners send to.
    pub dicom: SocketAddr,
    /// Where browsers look.
    pub web: SocketAddr,
    /// What the first visitor of a box without users has to give.
    pub setup_code: Option<String>,
}

impl Launch {
    /// All that the daemon writes goes below `folder`.
    #[must_use]
    pub fn new(folder: &Path) -> Self {
        Self {
            folder: folder.to_owned(),
            port: None,
            web: "127.0.0.1:0".to_owned(),
            settings: String::new(),
            wrap: Vec::new(),
            environment: Vec::new(),
        }
    }

    /// The daemon's data folder.
    #[must_use]
    pub fn data(&self) -> PathBuf {
        self.folder.join("data")
    }

    /// What the daemon wrote to standard error, over all its runs.
    #[must_use]
    pub fn log(&self) -> String {
        fs::read_to_string(self.folder.join("log")).unwrap_or_default()
    }

    /// Starts it without waiting until it serves.
    ///
    /// # Errors
    ///
    /// When the configuration cannot be written or the program cannot be run.
    pub fn spawn(&self) -> io::Result<Child> {
        let config = self.folder.join("appliance.toml");
        let data = self.data();
        let port = self.port.map_or_else(free_port, Ok)?;
        let text = format!(
            "data.folder = {data:?}\ndicom.port = {port}\nweb.listen = {:?}\n{}",
            self.web, self.settings
        );
        fs::write(&config, text)?;
        let log = File::options().create(true).append(true).open(self.folder.join("log"))?;
        let words = self.wrap.iter().cloned().chain([crate::program("appliance").into()]);
        let mut words = words.collect::<Vec<OsString>>().into_iter();
        let mut command = Command::new(words.next().unwrap_or_default());
        command.args(words).arg("serve").arg("--config").arg(&config);
        command.envs(self.environment.iter().map(|(name, value)| (name, value)));
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(log).spawn()
    }

    /// Starts it and waits until it serves.
    ///
    /// # Errors
    ///
    /// When it ends, or a minute passes, before it says so.
    pub fn start(&self) -> io::Result<Daemon> {
        let mut child = self.spawn()?;
        let stdout = child.stdout.take().ok_or(io::ErrorKind::BrokenPipe)?;
        let said = first_lines(stdout).and_then(|lines| Ok((ports(&lines)?, setup_code(&lines))));
        let (ports, setup_code) = match said {
            Ok(said) => said,
            Err(why) => {
                child.kill()?;
                let status = child.wait()?;
                return Err(io::Error::other(format!("{why}; {status}; its log:\n{}", self.log())));
            }
        };
        let [dicom, web] = ports.map(|port| SocketAddr::from((Ipv4Addr::LOCALHOST, port)));
        Ok(Daemon { child, dicom, web, setup_code })
    }
}

/// A port that nobody listens on now. Zero cannot be configured, it means "no such port"; and
/// the kernel hands out those above 32768 to anybody who connects somewhere.
///
/// # Errors
///
/// When no port can be had.
pub fn free_port() -> io::Result<u16> {
    static TRIED: AtomicU32 = AtomicU32::new(0);
    // Tests run in several processes at once, which begin at different places.
    let begin = std::process::id().wrapping_mul(61);
    let next = || 16_000 + begin.wrapping_add(TRIED.fetch_add(1, Ordering::Relaxed)) % 16_000;
    let mut ports = (0..1000).filter_map(|_| u16::try_from(next()).ok());
    let free = |port: &u16| TcpListener::bind((Ipv4Addr::LOCALHOST, *port)).is_ok();
    ports.find(free).ok_or_else(|| io::ErrorKind::AddrInUse.into())
}

/// The lines before `ready`. The thread goes on reading, because a full pipe would stop the daemon.
fn first_lines(stdout: ChildStdout) -> Result<Vec<String>, String> {
    let (send, receive) = mpsc::channel();
    thread::spawn(move || {
        for line in BufReader::new(stdout).lines().map_while(Result::ok) {
            // Nobody listens any more once it is ready.
            drop(send.send(line));
        }
    });
    let mut lines = Vec::new();
    loop {
        let line = receive
            .recv_timeout(START)
            .map_err(|_| format!("the daemon did not get ready; it said {lines:?}"))?;
        if line == "ready" {
            return Ok(lines);
        }
        lines.push(line);
    }
}

/// Ports of DICOM and the web page.
fn ports(lines: &[String]) -> Result<[u16; 2], String> {
    let port = |word: &str, before: &str| {
        let line = lines.iter().find(|line| line.starts_with(word))?;
        let (_, rest) = line.split_once(before)?;
        rest.split(|c: char| !c.is_ascii_digit()).next()?.parse().ok()
    };
    let ports = (port("DICOM", "port "), port("Web", "://127.0.0.1:"));
    let (Some(dicom), Some(web)) = ports else {
        return Err(format!("no ports in {lines:?}"));
    };
    Ok([dicom, web])
}

fn setup_code(lines: &[String]) -> Option<String> {
    let line = lines.iter().find(|line| line.starts_with("Login"))?;
    line.split_whitespace().last().map(str::to_owned)
}

impl Daemon {
    /// Its process id.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Whether it stopped by itself.
    pub fn has_ended(&mut self) -> bool {
        matches!(self.child.try_wait(), Ok(Some(_)))
    }

    /// SIGKILL; returns when the process is gone.
    ///
    /// # Errors
    ///
    /// When it had ended by itself, with how.
    pub fn kill(mut self) -> io::Result<()> {
        if let Some(status) = self.child.try_wait()? {
            return Err(io::Error::other(format!("the daemon had ended by itself: {status}")));
        }
        self.child.kill()?;
        self.child.wait().map(drop)
    }

    /// SIGTERM, as `systemctl stop` does; returns when the process is gone.
    ///
    /// # Errors
    ///
    /// When it had ended by itself.
    pub fn stop(mut self) -> io::Result<ExitStatus> {
        kill_process(Pid::from_child(&self.child), Signal::TERM)?;
        self.child.wait()
    }

    /// Resident memory in bytes.
    ///
    /// # Errors
    ///
    /// When the process is gone.
    pub fn resident_bytes(&self) -> io::Result<u64> {
        let status = fs::read_to_string(format!("/proc/{}/status", self.pid()))?;
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
        let kib = line.and_then(|line| line.trim().strip_suffix(" kB")?.parse::<u64>().ok());
        kib.map(|kib| kib * 1024).ok_or_else(|| io::ErrorKind::InvalidData.into())
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        // It may have ended already, which is what is wanted.
        drop(self.child.kill());
        drop(self.child.wait());
    }
}
