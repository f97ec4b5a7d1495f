//! Settings that may cut off whoever applied them are kept only when a person says that the box is
//! reached with them.
//!
//! How that stands is a file in `/run`, which only root writes and everybody reads. A confirmation is
//! a file with a name that the trial made up, in one of two folders: root's, or the one that the
//! appliance may write to. The trial looks whether it is there and opens nothing.

use std::fs::{self, OpenOptions};
use std::io;
use std::path::{Path, PathBuf};

use rustix::time::{ClockId, clock_gettime};
use serde::{Deserialize, Serialize};

use super::{Ended, Place, Services, TrialError, chain, put, random};
use crate::render::{DAEMON, STANDING};
use crate::settings::{Checked, Settings};

/// Why settings were not kept when no program was left to say it.
const CUT_OFF: &str =
    "the box was started again, or the trial was ended, before anybody confirmed them";

/// Where whoever applies settings is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Person {
    /// Where they may be cut off.
    Elsewhere,
    /// In front of the screen, where a mistake can be put right.
    AtTheBox,
}

/// How the latest trial stands that a person has to confirm.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "state", rename_all = "snake_case")]
pub enum Standing {
    /// The new settings are in use, and lost unless somebody confirms them.
    Awaiting {
        /// Which trial.
        id: String,
        /// Until when, in seconds since the machine was switched on.
        until_s: u64,
    },
    /// They are in force.
    Kept {
        /// Which trial.
        id: String,
    },
    /// Those from before are in force again.
    Undone {
        /// Why.
        why: String,
    },
}

/// Who brings a confirmation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Door {
    /// The appliance, for an administrator at its page.
    Page,
    /// Root in a shell.
    Shell,
}

impl Door {
    const ALL: [Self; 2] = [Self::Page, Self::Shell];

    fn folder(self) -> &'static Path {
        Path::new(match self {
            Self::Page => DAEMON,
            Self::Shell => "/run/prima",
        })
    }
}

/// Why a confirmation keeps nothing.
#[derive(Debug, thiserror::Error)]
pub enum ConfirmError {
    /// There is no such trial, or its settings are kept already.
    #[error("no new settings wait to be kept")]
    Nothing,
    /// They were taken back.
    #[error("too late: {why}; the settings from before are in force")]
    Late {
        /// Why they were taken back.
        why: String,
    },
    /// The trial cannot be told.
    #[error("cannot write {path}; run this as root on the box")]
    Disk {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
}

/// Whether `after` instead of `before` may change how people reach the box: where it is, and who may
/// connect to it.
#[must_use]
pub fn needs_confirmation(before: &Settings, after: &Settings) -> bool {
    before.network != after.network || before.firewall != after.firewall
}

/// Seconds since the machine was switched on: the one clock that all its programs share and nobody
/// sets.
#[must_use]
pub fn uptime_s() -> u64 {
    u64::try_from(clock_gettime(ClockId::Boottime).tv_sec).unwrap_or(0)
}

impl Place {
    /// How the latest trial stands that a person has to confirm; `None` when there was none since the
    /// machine was switched on.
    #[must_use]
    pub fn standing(&self) -> Option<Standing> {
        let text = fs::read_to_string(self.below(Path::new(STANDING))).ok()?;
        toml::from_str(&text).ok()
    }

    /// Says that somebody reached the box with the settings of the trial `id`.
    ///
    /// # Errors
    ///
    /// When that trial does not wait for it, or cannot be told.
    pub fn confirm(&self, id: &str, door: Door) -> Result<(), ConfirmError> {
        match self.standing() {
            Some(Standing::Awaiting { id: now, until_s }) if now == id => {
                if uptime_s() >= until_s {
                    return Err(ConfirmError::Late { why: "their time was over".to_owned() });
                }
            }
            Some(Standing::Undone { why }) => return Err(ConfirmError::Late { why }),
            _ => return Err(ConfirmError::Nothing),
        }
        let path = self.confirmation(id, door);
        let made = OpenOptions::new().write(true).create(true).truncate(true).open(&path);
        made.map(drop).map_err(|source| ConfirmError::Disk { path, source })
    }

    fn confirmation(&self, id: &str, door: Door) -> PathBuf {
        self.below(door.folder()).join(format!("confirmed-{id}"))
    }

    /// Waits until somebody confirms the settings that are in use; which trial that was.
    pub(super) fn wait_for_confirmation(
        &self,
        minutes: u64,
        services: &mut dyn Services,
    ) -> Result<String, Ended> {
        let unwritten = |error: &dyn std::error::Error| Ended::Unhealthy(chain(error));
        let id = random().map_err(|error| unwritten(&error))?;
        let until_s = services.uptime_s() + 60 * minutes;
        let awaiting = Standing::Awaiting { id: id.clone(), until_s };
        self.put_standing(&awaiting).map_err(|error| unwritten(&error))?;
        services.say(&format!(
            "the box works with these settings; they change how it is reached, so those from before \
             come back unless somebody confirms within {minutes} min: \"Keep them\" on its page, or \
             `firmware-config confirm` in a new login"
        ));
        let confirmed = |door: Door| self.confirmation(&id, door).symlink_metadata().is_ok();
        loop {
            // A start of the services takes a trial back without asking it.
            if self.standing().as_ref() != Some(&awaiting) {
                return Err(Ended::Unconfirmed(CUT_OFF.to_owned()));
            }
            if Door::ALL.into_iter().any(confirmed) {
                return Ok(id);
            }
            if services.uptime_s() >= until_s {
                let why = format!("nobody confirmed them within {minutes} min");
                return Err(Ended::Unconfirmed(why));
            }
            services.pause();
        }
    }

    /// Says that the settings of a trial are in force.
    pub(super) fn note_kept(&self, id: String) {
        for door in Door::ALL {
            drop(fs::remove_file(self.confirmation(&id, door)));
        }
        drop(self.put_standing(&Standing::Kept { id }));
    }

    /// Says that those from before are; whether that can be written changes nothing about it.
    pub(super) fn note_undone(&self, why: &str) {
        drop(self.put_standing(&Standing::Undone { why: why.to_owned() }));
    }

    /// An earlier trial is no news any more.
    pub(super) fn forget_standing(&self) {
        drop(fs::remove_file(self.below(Path::new(STANDING))));
    }

    /// Ends a trial whose program is gone; what to say when it was one that a person had to confirm.
    pub(super) fn end_trial(&self, in_force: &Settings) -> Option<&'static str> {
        let trial = self.settings("trial.toml");
        let tried = Checked::load(Some(&trial)).ok();
        if tried.is_some_and(|tried| needs_confirmation(in_force, &tried.settings)) {
            drop(fs::rename(&trial, self.settings("failed.toml")));
            self.note_undone(CUT_OFF);
            return Some(CUT_OFF);
        }
        drop(fs::remove_file(&trial));
        None
    }

    fn put_standing(&self, standing: &Standing) -> Result<(), TrialError> {
        let text = toml::to_string(standing).unwrap_or_default();
        put(&self.below(Path::new(STANDING)), &text, 0o644)
    }
}
