//! The services of a running box.

use std::collections::BTreeSet;
use std::io::Write as _;
use std::path::Path;
use std::process::{Command, ExitCode};
use std::thread::sleep;
use std::time::{Duration, Instant};

use firmware_config::WORKING;
use firmware_config::render::Effect;
use firmware_config::trial::{Person, Services, uptime_s};

/// Time for a box to become healthy with new settings.
const PATIENCE: Duration = Duration::from_secs(120);
/// The unit that everything else rests on.
const FIREWALL: &str = "prima-firewall.service";
/// Our folders alone; other packages' are theirs.
const OUR_TMPFILES: &str = "/run/tmpfiles.d/prima.conf";
const PAUSE: Duration = Duration::from_secs(1);
/// Looks in a row at which it must be.
const LOOKS: u32 = 5;
/// systemd, by its programs.
#[derive(Debug, Default)]
pub(crate) struct Systemd {
    /// The machine is starting: units are queued, not waited for.
    starting: bool,
}

impl Systemd {
    /// For the start of the machine.
    pub(crate) fn starting() -> Self {
        Self { starting: true }
    }

    fn one(&self, effect: &Effect) -> Result<(), String> {
        match effect {
            Effect::Reload => run("systemctl", &["daemon-reload"]),
            Effect::Reexec => run("systemctl", &["daemon-reexec"]),
            Effect::Tmpfiles => run("systemd-tmpfiles", &["--create", OUR_TMPFILES]),
            Effect::Networkd => try_restart("systemd-networkd.service"),
            // One that was never loaded is stopped.
            Effect::Stop(unit) => {
                drop(run("systemctl", &["stop", unit]));
                Ok(())
            }
            Effect::Restart(unit) if !unit.starts_with("prima") => try_restart(unit),
            // The firewall must be there before anything else is.
            Effect::Restart(unit) if self.starting && unit != FIREWALL => {
                run("systemctl", &["--no-block", "restart", unit])
            }
            Effect::Restart(unit) => {
                // Crashes with other settings do not count.
                drop(run("systemctl", &["reset-failed", unit]));
                run("systemctl", &["restart", unit])
            }
        }
    }
}

/// A service of the distribution, which need not be installed.
fn try_restart(unit: &str) -> Result<(), String> {
    drop(run("systemctl", &["try-restart", unit]));
    Ok(())
}

impl Services for Systemd {
    /// All of them: whatever fails, the rest is done.
    fn apply(&mut self, effects: &BTreeSet<Effect>) -> Result<(), String> {
        let firewall = |effect: &&Effect| **effect == Effect::Restart(FIREWALL.to_owned());
        let first = effects.iter().filter(|effect| **effect == Effect::Reload);
        let first = first.chain(effects.iter().filter(firewall));
        let rest = effects.iter().filter(|e| **e != Effect::Reload && !firewall(e));
        let failed: Vec<String> =
            first.chain(rest).filter_map(|effect| self.one(effect).err()).collect();
        if failed.is_empty() { Ok(()) } else { Err(failed.join("; ")) }
    }

    fn wait_until_healthy(&mut self) -> Result<(), String> {
        let until = Instant::now() + PATIENCE;
        let mut good = 0;
        loop {
            let said = health();
            good = if said.is_ok() { good + 1 } else { 0 };
            match said {
                Ok(()) if good >= LOOKS => return Ok(()),
                Err(said) if Instant::now() >= until => return Err(said),
                _ => sleep(PAUSE),
            }
        }
    }

    fn uptime_s(&self) -> u64 {
        uptime_s()
    }

    fn pause(&mut self) {
        sleep(PAUSE);
    }

    /// On the terminal, which may be gone, and in the journal of the unit.
    fn say(&mut self, sentence: &str) {
        drop(writeln!(std::io::stdout(), "{sentence}"));
        let words = ["--identifier=firmware-config", "--priority=warning", "echo", sentence];
        drop(run("systemd-cat", &words));
    }
}

/// Whether the daemon works, as its watchdog says, and the firewall is up.
fn health() -> Result<(), String> {
    let daemon = show("prima.service")?;
    let value = |key: &str| {
        daemon.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix('=')).unwrap_or("")
    };
    if value("ActiveState") != "active" {
        let (state, result) = (value("ActiveState"), value("Result"));
        return Err(format!("prima.service is {state} ({result})"));
    }
    if value("StatusText") != WORKING {
        return Err(format!("prima.service says: {:?}", value("StatusText")));
    }
    run("nft", &["list", "table", "inet", "prima"])
        .map_err(|_| "the rules of the firewall are not there".to_owned())
}

fn show(unit: &str) -> Result<String, String> {
    let keys = "ActiveState,Result,StatusText";
    let output = Command::new("systemctl")
        .args(["show", "--property", keys, unit])
        .output()
        .map_err(|error| format!("systemctl cannot be run: {error}"))?;
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

fn run(program: &str, arguments: &[&str]) -> Result<(), String> {
    let called = || format!("`{program} {}`", arguments.join(" "));
    let output = Command::new(program)
        .args(arguments)
        .output()
        .map_err(|error| format!("{} cannot be run: {error}", called()))?;
    if output.status.success() {
        return Ok(());
    }
    let said = String::from_utf8_lossy(&output.stderr);
    Err(format!("{} failed: {}", called(), said.trim()))
}

/// Whether this is the machine itself, under systemd (`sd_booted(3)`).
pub(crate) fn is_running(root: &Path) -> bool {
    root == Path::new("/") && Path::new("/run/systemd/system").exists()
}

/// Has systemd run the trial, whose name lets no second one begin. However its program ends, the
/// settings in force are in use afterwards.
pub(crate) fn apply_in_a_unit(file: &Path, person: Person) -> std::io::Result<ExitCode> {
    let (file, program) = (std::path::absolute(file)?, std::env::current_exe()?);
    let status = Command::new("systemd-run")
        .args(["--wait", "--collect", "--pipe", "--quiet", "--unit=prima-trial"])
        .arg(format!("--property=ExecStopPost={} end-trial", program.display()))
        .arg(program)
        .args(["apply", "--here"])
        .args((person == Person::AtTheBox).then_some("--at-the-box"))
        .arg(file)
        .status()?;
    Ok(status.code().and_then(|code| u8::try_from(code).ok()).map_or(ExitCode::FAILURE, Into::into))
}
