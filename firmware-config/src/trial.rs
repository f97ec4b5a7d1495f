//! Putting new settings in force so that a mistake does not survive: they are tried, and become
//! those of the next start only when the box is healthy with them.
//!
//! Three files in the folder of the settings say where it stands:
//!
//! | File | Meaning |
//! |---|---|
//! | `settings.toml` | in force; what a start renders |
//! | `previous.toml` | in force before; what a start renders when the above cannot be used |
//! | `trial.toml` | being tried |
//!
//! What is rendered lies in `/run`, so a power cut in the middle of a trial ends it: the next start
//! knows only what is in force.
//!
//! Health is seen from the box itself. Settings that may cut people off are kept only when a person
//! says that they are not (`confirmation`).

mod confirmation;

use std::collections::BTreeSet;
use std::fs::{self, File as Handle, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use similar::TextDiff;

use crate::render::{self, Effect, File};
use crate::settings::{Checked, FORMAT, SettingsError, down};

pub use confirmation::{ConfirmError, Door, Person, Standing, needs_confirmation, uptime_s};

/// Built-in settings over the data of the box.
const LAST_RESORT: &str = "format_version = 2\ndata.folder = \"/var/lib/prima/data\"\n";

/// Why settings were not put in force.
#[derive(Debug, thiserror::Error)]
pub enum TrialError {
    /// They make no sense. Nothing was changed.
    #[error("the settings cannot be used; nothing was changed")]
    Settings(#[from] SettingsError),
    /// A file cannot be read or written.
    #[error("cannot use {path}; run this as root, on a disk with room")]
    Disk {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// The box was not healthy with them.
    #[error(
        "the box did not work with these settings, so those from before are in force again: {reason}"
    )]
    Unhealthy {
        /// What was seen.
        reason: String,
    },
    /// Nobody said that the box is reached with them.
    #[error("these settings were not kept, and those from before are in force again: {why}")]
    Unconfirmed {
        /// What ended the trial.
        why: String,
    },
    /// It is not healthy with those from before either.
    #[error(
        "the box did not work with these settings ({reason}), and does not with those from before \
         ({again}); `journalctl -u prima -n 50` says more"
    )]
    Stuck {
        /// What was seen.
        reason: String,
        /// And after going back.
        again: String,
    },
}

/// How a trial ended that keeps nothing.
enum Ended {
    /// The box did not work.
    Unhealthy(String),
    /// Nobody reached it.
    Unconfirmed(String),
}

/// The services that read what is rendered.
pub trait Services {
    /// Makes changed files count.
    ///
    /// # Errors
    ///
    /// A sentence about what failed.
    fn apply(&mut self, effects: &BTreeSet<Effect>) -> Result<(), String>;

    /// Waits until the box is healthy.
    ///
    /// # Errors
    ///
    /// A sentence about what is not, when it takes too long.
    fn wait_until_healthy(&mut self) -> Result<(), String>;

    /// Seconds since the machine was switched on.
    fn uptime_s(&self) -> u64;

    /// Waits a moment.
    fn pause(&mut self);

    /// Tells whoever is there, and the log.
    fn say(&mut self, sentence: &str);
}

/// Where settings and rendered files are.
#[derive(Clone, Debug)]
pub struct Place {
    /// `/`, or a folder for tests and images.
    pub root: PathBuf,
}

/// What a start came by.
#[derive(Debug)]
pub struct Started {
    /// What the files were rendered from.
    pub from: &'static str,
    /// What was wrong with better choices.
    pub refused: Vec<SettingsError>,
    /// Why settings on trial that a person had to confirm were taken back, if there were any.
    pub not_kept: Option<&'static str>,
    /// What makes the files count.
    pub effects: BTreeSet<Effect>,
}

impl Place {
    fn settings(&self, name: &str) -> PathBuf {
        self.below(Path::new(render::SETTINGS)).join(name)
    }

    fn below(&self, path: &Path) -> PathBuf {
        self.root.join(path.strip_prefix("/").unwrap_or(path))
    }

    /// The settings that the services run with, of which some may be on trial.
    #[must_use]
    pub fn effective(&self) -> PathBuf {
        self.below(Path::new(render::EFFECTIVE))
    }

    /// The files that `checked` renders to and that are not there, or other.
    ///
    /// # Errors
    ///
    /// When the box's secret cannot be read or made.
    pub fn changes(&self, checked: &Checked) -> Result<Vec<File>, TrialError> {
        let mut files = render::render(checked, &self.secret()?);
        files.retain(|file| {
            fs::read_to_string(self.below(&file.path)).ok().as_deref() != Some(&*file.text)
        });
        Ok(files)
    }

    /// What `checked` would change, as a unified diff; the secret of the box is left out.
    ///
    /// # Errors
    ///
    /// As [`Place::changes`].
    pub fn diff(&self, checked: &Checked) -> Result<String, TrialError> {
        let mut text = String::new();
        for file in self.changes(checked)? {
            let before = fs::read_to_string(self.below(&file.path)).unwrap_or_default();
            let name = file.path.display().to_string();
            let diff = TextDiff::from_lines(&before, &file.text);
            text += &diff.unified_diff().context_radius(2).header(&name, &name).to_string();
        }
        Ok(text.replace(&self.secret()?, "(secret)"))
    }

    /// Writes the files that `checked` renders to.
    ///
    /// # Errors
    ///
    /// When one cannot be written.
    pub fn write(&self, checked: &Checked) -> Result<BTreeSet<Effect>, TrialError> {
        let changes = self.changes(checked)?;
        for file in &changes {
            put(&self.below(&file.path), &file.text, file.mode)?;
        }
        let mut effects: BTreeSet<Effect> =
            changes.into_iter().flat_map(|file| file.effects).collect();
        effects.extend(self.remove_others(checked)?);
        Ok(effects)
    }

    /// Removes what other settings rendered to and these do not.
    fn remove_others(&self, checked: &Checked) -> Result<BTreeSet<Effect>, TrialError> {
        let list = self.below(Path::new("/run/prima/rendered"));
        let files = render::render(checked, "");
        let now: Vec<String> = files.iter().map(|file| file.path.display().to_string()).collect();
        let before = fs::read_to_string(&list).unwrap_or_default();
        let mut effects = BTreeSet::new();
        for path in before.lines().filter(|path| !now.iter().any(|kept| kept == path)) {
            drop(fs::remove_file(self.below(Path::new(path))));
            effects.extend(render::when_gone(Path::new(path)));
        }
        put(&list, &now.join("\n"), 0o644)?;
        Ok(effects)
    }

    /// The best settings there are: those in force, in whichever format this program reads; else those
    /// from before; else the built-in ones over the same data, because a box without a firewall would
    /// be worse than one with other settings.
    fn best(&self) -> Result<(Checked, &'static str, Vec<SettingsError>), TrialError> {
        let mut refused = Vec::new();
        let own_format = format!("settings-{FORMAT}.toml");
        for (name, from) in [
            ("settings.toml", "the settings in force"),
            (own_format.as_str(), "the settings in force, in the format of this program"),
            ("previous.toml", "the settings from before"),
        ] {
            let path = self.settings(name);
            let Ok(text) = fs::read_to_string(&path) else { continue };
            // A torn file is an empty one, and that would be valid.
            if text.trim().is_empty() {
                continue;
            }
            match Checked::parse(&text, &path.display().to_string()) {
                Ok(checked) => return Ok((checked, from, refused)),
                Err(error) => refused.push(error),
            }
        }
        let checked = Checked::parse(LAST_RESORT, "the built-in settings")?;
        Ok((checked, "the built-in settings", refused))
    }

    /// Renders the best settings there are.
    ///
    /// # Errors
    ///
    /// When a file cannot be written.
    pub fn start(&self) -> Result<Started, TrialError> {
        let (checked, from, refused) = self.best()?;
        let not_kept = self.end_trial(&checked.settings);
        let effects = self.write(&checked)?;
        Ok(Started { from, refused, not_kept, effects })
    }

    /// Whether a trial is under way, or was until its program died.
    #[must_use]
    pub fn has_trial(&self) -> bool {
        self.settings("trial.toml").exists()
    }

    /// Tries the settings in `file`, and puts them in force when the box is healthy with them and
    /// reached with them.
    ///
    /// # Errors
    ///
    /// When they cannot be used; those in force before are in force then.
    pub fn apply(
        &self,
        file: &Path,
        person: Person,
        services: &mut dyn Services,
    ) -> Result<(), TrialError> {
        let disk = |path: &Path| {
            let path = path.to_owned();
            move |source| TrialError::Disk { path, source }
        };
        let text = fs::read_to_string(file).map_err(disk(file))?;
        let checked = Checked::parse(&text, &file.display().to_string())?;
        let (before, ..) = self.best()?;
        let trial = self.settings("trial.toml");
        let asks =
            needs_confirmation(&before.settings, &checked.settings) && person == Person::Elsewhere;
        self.forget_standing();
        put(&trial, &text, 0o644)?;
        let Err(ended) = self.try_and_keep(&text, &checked, asks, services) else {
            drop(fs::remove_file(&trial));
            return Ok(());
        };
        let (Ended::Unhealthy(why) | Ended::Unconfirmed(why)) = &ended;
        if asks {
            // From now on a confirmation is too late.
            self.note_undone(why);
            services.say(&format!("the settings from before come back: {why}"));
        }
        // Back first; the rest is for people to read.
        let back = self.try_out(&before, services);
        drop(fs::rename(&trial, self.settings("failed.toml")));
        Err(match (ended, back) {
            (Ended::Unhealthy(reason), Ok(())) => TrialError::Unhealthy { reason },
            (Ended::Unconfirmed(why), Ok(())) => TrialError::Unconfirmed { why },
            (Ended::Unhealthy(reason) | Ended::Unconfirmed(reason), Err(again)) => {
                TrialError::Stuck { reason, again }
            }
        })
    }

    fn try_and_keep(
        &self,
        text: &str,
        checked: &Checked,
        asks: bool,
        services: &mut dyn Services,
    ) -> Result<(), Ended> {
        self.try_out(checked, services).map_err(Ended::Unhealthy)?;
        let minutes = checked.settings.trial.confirm_within_min;
        let confirmed = asks.then(|| self.wait_for_confirmation(minutes, services)).transpose()?;
        self.keep(text).map_err(|error| Ended::Unhealthy(chain(&error)))?;
        if let Some(id) = confirmed {
            self.note_kept(id);
            services.say("confirmed: the new settings are in force");
        }
        Ok(())
    }

    /// What went wrong with the box, or with its files.
    fn try_out(&self, checked: &Checked, services: &mut dyn Services) -> Result<(), String> {
        let effects = self.write(checked).map_err(|error| chain(&error))?;
        services.apply(&effects)?;
        services.wait_until_healthy()
    }

    /// Makes settings those of the next start.
    fn keep(&self, text: &str) -> Result<(), TrialError> {
        let in_force = self.settings("settings.toml");
        if let Ok(before) = fs::read_to_string(&in_force)
            && before != text
        {
            put(&self.settings("previous.toml"), &before, 0o644)?;
        }
        self.leave_for_earlier_programs(text)?;
        put(&in_force, text, 0o644)
    }

    /// A copy in the format before, for the program that a failed update falls back to.
    fn leave_for_earlier_programs(&self, text: &str) -> Result<(), TrialError> {
        let Ok(table) = text.parse() else { return Ok(()) };
        let earlier = toml::to_string(&down(table)).unwrap_or_default();
        put(&self.settings("settings-1.toml"), &earlier, 0o644)
    }

    /// Known to this box alone; made when it is first wanted.
    fn secret(&self) -> Result<String, TrialError> {
        let path = self.settings("secret");
        if let Ok(known) = fs::read_to_string(&path) {
            return Ok(known);
        }
        let secret = random()?;
        put(&path, &secret, 0o600)?;
        Ok(secret)
    }
}

/// 128 bits, hexadecimal.
fn random() -> Result<String, TrialError> {
    let mut bytes = [0_u8; 16];
    Handle::open("/dev/urandom")
        .and_then(|mut source| io::Read::read_exact(&mut source, &mut bytes))
        .map_err(|source| TrialError::Disk { path: "/dev/urandom".into(), source })?;
    Ok(bytes.iter().map(|byte| format!("{byte:02x}")).collect())
}

/// Replaces a file whole: after a power cut it is the old one or the new one.
fn put(path: &Path, text: &str, mode: u32) -> Result<(), TrialError> {
    let disk = |source| TrialError::Disk { path: path.to_owned(), source };
    let folder = path.parent().unwrap_or(Path::new("/"));
    fs::create_dir_all(folder).map_err(disk)?;
    let partial = path.with_extension("partial");
    let mut handle = OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(mode)
        .open(&partial)
        .map_err(disk)?;
    handle.set_permissions(fs::Permissions::from_mode(mode)).map_err(disk)?;
    handle.write_all(text.as_bytes()).map_err(disk)?;
    handle.sync_all().map_err(disk)?;
    fs::rename(&partial, path).map_err(disk)?;
    sync_folder(path)
}

/// An error with what caused it, in one line.
fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text += &format!(": {error}");
        cause = error.source();
    }
    text
}

/// A name survives a power cut when its folder was written.
fn sync_folder(path: &Path) -> Result<(), TrialError> {
    let folder = path.parent().unwrap_or(Path::new("/"));
    Handle::open(folder)
        .and_then(|handle| handle.sync_all())
        .map_err(|source| TrialError::Disk { path: folder.to_owned(), source })
}

#[cfg(test)]
mod tests;
