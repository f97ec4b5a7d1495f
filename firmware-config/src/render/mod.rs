//! Files for the services of a box, made of the settings.
//!
//! All of them lie below `/run` and are made again at every boot: the root of a box is read-only,
//! and settings that are not in force leave nothing behind.

mod clock;
mod firewall;
mod machine;
mod service;
mod ups;
mod update;

use std::path::{Path, PathBuf};

use crate::settings::Checked;

pub use firewall::{Destination, destinations};

/// The folder of the settings, on the data disk.
pub const SETTINGS: &str = "/var/lib/prima/settings";
/// The settings in force, which the appliance is started with.
pub const IN_FORCE: &str = "/var/lib/prima/settings/settings.toml";
/// Settings on trial. The appliance is started with a copy, since a trial ends by a rename.
pub const EFFECTIVE: &str = "/run/prima/settings.toml";

/// How a trial stands that somebody has to confirm.
pub const STANDING: &str = "/run/prima/standing.toml";
/// The one folder in `/run` that the appliance may write to, in its sandbox; systemd makes it.
pub const DAEMON: &str = "/run/prima-daemon";

/// What makes a changed file count; made to in this order.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Effect {
    /// A unit is stopped, because its file is gone.
    Stop(String),
    /// Folders are made.
    Tmpfiles,
    /// systemd reads its units again.
    Reload,
    /// systemd itself is started again, keeping its state.
    Reexec,
    /// The network takes its configuration again.
    Networkd,
    /// A unit is started, or started again.
    Restart(String),
}

impl Effect {
    fn restart(unit: &str) -> Self {
        Self::Restart(unit.to_owned())
    }
}

/// A file as its service should find it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct File {
    /// Where, below the root.
    pub path: PathBuf,
    /// What.
    pub text: String,
    /// Who may read it: permission bits.
    pub mode: u32,
    /// What makes it count, in this order.
    pub effects: Vec<Effect>,
}

impl File {
    fn new(path: &str, text: &str, effects: &[Effect]) -> Self {
        let text = format!("{}{text}", banner(path));
        Self { path: path.into(), text, mode: 0o644, effects: effects.to_vec() }
    }

    /// For the groups that its service gives it to only.
    fn secret(mut self) -> Self {
        self.mode = 0o640;
        self
    }
}

fn banner(path: &str) -> &'static str {
    if Path::new(path).extension().is_some_and(|end| end == "nft") {
        return "#!/usr/sbin/nft -f\n# Made by firmware-config at every start; edit the settings.\n\n";
    }
    "# Made by firmware-config at every start; edit the settings.\n\n"
}

/// Every file of a box with these settings. `secret` is known to the box alone, and lets the
/// programs that watch the UPS talk to each other.
#[must_use]
pub fn render(checked: &Checked, secret: &str) -> Vec<File> {
    let mut files = vec![effective(checked)];
    files.extend(service::files(checked));
    files.push(firewall::file(checked));
    files.extend(clock::file(checked));
    files.extend(machine::files(checked));
    files.extend(ups::files(checked, secret));
    files.push(update::file(checked));
    files
}

/// The settings themselves, every key there.
fn effective(checked: &Checked) -> File {
    let text = toml::to_string_pretty(&checked.settings).unwrap_or_default();
    File::new(EFFECTIVE, &text, &[Effect::restart(service::UNIT)])
}

/// What follows from a file that these settings no longer render to.
#[must_use]
pub fn when_gone(path: &Path) -> Vec<Effect> {
    let name = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    if path.starts_with("/run/systemd/system") {
        return vec![Effect::Stop(name), Effect::Reload];
    }
    if path.starts_with("/run/systemd/network") { vec![Effect::Networkd] } else { Vec::new() }
}

/// The folder of studies and the database. A relative one lies beside the settings.
#[must_use]
pub fn data_folder(checked: &Checked) -> PathBuf {
    Path::new("/var/lib/prima").join(&checked.settings.data.folder)
}
