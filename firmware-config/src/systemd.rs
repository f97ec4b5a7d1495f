//! The services of a running box.

use std::collections::BTreeSet;
use std::process::Command;
use std::thread::sleep;
use std::time::{Duration, Instant};

use firmware_config::WORKING;
use firmware_config::render::Effect;
use firmware_config::trial::Services;

/// Time for a box to become healthy with new settings.
const PATIENCE: Duration = Duration::from_secs(120);
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
            Effect::Tmpfiles => run("systemd-tmpfiles", &["--create"]),
            Effect::Networkd => run("systemctl", &["try-restart", "systemd-networkd.service"]),
            Effect::Stop(unit) => run("systemctl", &["stop", unit]),
            // The firewall must be there before anything else is.
            Effect::Restart(unit) if unit == "prima-firewall.service" => {
                run("systemctl", &["restart", unit])
            }
            Effect::Restart(unit) if !unit.starts_with("prima") => {
                run("systemctl", &["try-restart", unit])
            }
            Effect::Restart(unit) if self.starting => {
                run("systemctl", &["--no-block", "restart", unit])
            }
            Effect::Restart(unit) => run("systemctl", &["restart", unit]),
        }
    }
}

impl Services for Systemd {
    fn apply(&mut self, effects: &BTreeSet<Effect>) -> Result<(), String> {
        effects.iter().try_for_each(|effect| self.one(effect))
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
    let firewall = show("prima-firewall.service")?;
    match firewall.contains("ActiveState=active") {
        true => Ok(()),
        false => Err("prima-firewall.service is not active".to_owned()),
    }
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
