//! The shipped hub as a hospital runs it: a folder of its own, a process, commands beside it.

use std::ffi::OsStr;
use std::fs::{self, File};
use std::io::{self, BufRead as _, BufReader};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use crate::daemon::free_port;

/// A hub's folder, and the hub while it runs; dropping it kills it.
#[derive(Debug)]
pub struct Hub {
    folder: PathBuf,
    child: Option<Child>,
    /// Where boxes connect.
    pub sites: SocketAddr,
    /// Where browsers connect, while it runs.
    pub pages: SocketAddr,
}

/// What a box is told to enrol with.
#[derive(Clone, Debug)]
pub struct Invitation {
    /// Good once.
    pub code: String,
    /// SHA-256 of the authority's certificate.
    pub fingerprint: String,
}

impl Hub {
    /// A new one in `folder`, and starts it. `settings` are more of its settings, with whole keys.
    ///
    /// # Errors
    ///
    /// When the programs cannot be run, or refuse.
    pub fn new(folder: &Path, settings: &str) -> io::Result<Self> {
        let folder = folder.join("hub");
        let sites = SocketAddr::from(([127, 0, 0, 1], free_port()?));
        run([OsStr::new("init"), folder.as_os_str(), "--host".as_ref(), "127.0.0.1".as_ref()])?;
        let text = format!(
            "sites.listen = \"{sites}\"\npages.listen = \"127.0.0.1:0\"\npages.secure = false\n\
             {settings}"
        );
        fs::write(folder.join("hub.toml"), text)?;
        let mut hub = Self { folder, child: None, sites, pages: sites };
        hub.start()?;
        Ok(hub)
    }

    /// Its folder.
    #[must_use]
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// Its database.
    #[must_use]
    pub fn database(&self) -> PathBuf {
        self.folder.join("hub.sqlite")
    }

    /// What it wrote to standard error, over all its runs.
    #[must_use]
    pub fn log(&self) -> String {
        fs::read_to_string(self.folder.with_extension("log")).unwrap_or_default()
    }

    /// Starts it and waits until it serves.
    ///
    /// # Errors
    ///
    /// When it ends before it says so.
    pub fn start(&mut self) -> io::Result<()> {
        let log = self.folder.with_extension("log");
        let log = File::options().create(true).append(true).open(log)?;
        let mut command = Command::new(crate::program("hub"));
        command.arg("serve").arg("--data").arg(&self.folder);
        let mut child = command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(log).spawn()?;
        let stdout = child.stdout.take().ok_or(io::ErrorKind::BrokenPipe)?;
        let mut line = String::new();
        BufReader::new(stdout).read_line(&mut line)?;
        let address = line.trim().trim_end_matches('/').rsplit("http://").next();
        let Some(pages) = address.and_then(|text| text.parse().ok()) else {
            child.kill()?;
            let status = child.wait()?;
            return Err(io::Error::other(format!("{line:?}; {status}; {}", self.log())));
        };
        self.pages = pages;
        self.child = Some(child);
        Ok(())
    }

    /// SIGKILL; returns when the process is gone.
    ///
    /// # Errors
    ///
    /// When it had ended by itself.
    pub fn kill(&mut self) -> io::Result<()> {
        let Some(mut child) = self.child.take() else { return Ok(()) };
        if let Some(status) = child.try_wait()? {
            return Err(io::Error::other(format!("it ended by itself: {status}; {}", self.log())));
        }
        child.kill()?;
        child.wait().map(drop)
    }

    /// Runs a command of the hub on its folder.
    ///
    /// # Errors
    ///
    /// When it refuses.
    pub fn command(&self, arguments: &[&str]) -> io::Result<String> {
        let data = ["--data".as_ref(), self.folder.as_os_str()];
        run(arguments.iter().map(OsStr::new).chain(data))
    }

    /// Lets a box in.
    ///
    /// # Errors
    ///
    /// When the hub refuses.
    pub fn invite(&self, site: &str) -> io::Result<Invitation> {
        let said = self.command(&["site", "add", site])?;
        let after = |option: &str| {
            let mut words = said.split_whitespace().skip_while(|word| *word != option);
            words.nth(1).map(str::to_owned).ok_or_else(|| io::Error::other(said.clone()))
        };
        Ok(Invitation { code: after("--code")?, fingerprint: after("--ca-fingerprint")? })
    }
}

impl Drop for Hub {
    fn drop(&mut self) {
        // It may have ended by itself.
        drop(self.kill());
    }
}

fn run<S: AsRef<OsStr>>(arguments: impl IntoIterator<Item = S>) -> io::Result<String> {
    let output = Command::new(crate::program("hub")).args(arguments).output()?;
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    if output.status.success() {
        return Ok(said);
    }
    let why = String::from_utf8_lossy(&output.stderr);
    Err(io::Error::other(format!("{}: {said}{why}", output.status)))
}
