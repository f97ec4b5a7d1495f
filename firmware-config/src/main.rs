//! `firmware-config`: checks the settings of a box, renders its files, and puts changes in force.

use std::collections::BTreeSet;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{Parser, Subcommand};
use firmware_config::settings::{Checked, SettingsError, markdown};
use firmware_config::trial::{Place, Services, TrialError};

mod names;
mod systemd;

/// The settings of a Prima box. Research use; not a medical device.
#[derive(Parser)]
#[command(
    version,
    after_help = "Exit codes: 0 done; 1 the settings are not in force; 64 wrong \
    usage; 70 something outside the settings failed; 78 the settings cannot be used."
)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
    /// Folder that stands for `/`, for images and trying things out.
    #[arg(long, global = true, default_value = "/")]
    root: PathBuf,
}

#[derive(Subcommand)]
enum Command {
    /// Check settings and print all that result; without a file the built-in ones.
    Check { file: Option<PathBuf> },
    /// What would change in the files of the box.
    Diff { file: PathBuf },
    /// Write the files of the box, and nothing else.
    Render { file: Option<PathBuf> },
    /// Try settings; they stay when the box is healthy with them within two minutes, and those
    /// from before come back when it is not.
    Apply {
        file: PathBuf,
        /// In this process, which must not be ended meanwhile.
        #[arg(long, hide = true)]
        here: bool,
    },
    /// Write the files of the box from the settings in force, and start its services. What the
    /// unit prima-settings.service runs at every start.
    Start,
    /// Wait until the box is healthy, for as long as it takes.
    Wait,
    /// Look up the names that the box connects to, for the firewall.
    Names,
    /// Every key as a table for the README.
    Table,
}

#[derive(Debug, thiserror::Error)]
enum Failure {
    #[error("the settings cannot be used")]
    Settings(#[from] SettingsError),
    #[error(transparent)]
    Trial(#[from] TrialError),
    #[error("{0}")]
    Services(String),
    #[error("cannot write")]
    Print(#[from] std::io::Error),
}

impl Failure {
    fn exit_code(&self) -> u8 {
        match self {
            Self::Settings(_) | Self::Trial(TrialError::Settings(_)) => 78,
            Self::Trial(TrialError::Unhealthy { .. } | TrialError::Stuck { .. }) => 1,
            Self::Trial(TrialError::Disk { .. }) | Self::Services(_) | Self::Print(_) => 70,
        }
    }
}

fn main() -> ExitCode {
    let arguments = match Arguments::try_parse() {
        Ok(arguments) => arguments,
        Err(error) => {
            drop(error.print());
            return if error.use_stderr() { ExitCode::from(64) } else { ExitCode::SUCCESS };
        }
    };
    match run(arguments) {
        Ok(code) => code,
        Err(failure) => {
            let mut text = format!("error: {failure}\n");
            let mut cause = std::error::Error::source(&failure);
            while let Some(error) = cause {
                text += &format!("  because: {error}\n");
                cause = error.source();
            }
            drop(std::io::stderr().write_all(text.as_bytes()));
            ExitCode::from(failure.exit_code())
        }
    }
}

fn run(arguments: Arguments) -> Result<ExitCode, Failure> {
    let place = Place { root: arguments.root };
    let mut out = std::io::stdout();
    match arguments.command {
        Command::Check { file } => {
            let checked = Checked::load(file.as_deref())?;
            let text = toml::to_string_pretty(&checked.settings).unwrap_or_default();
            out.write_all(text.as_bytes())?;
        }
        Command::Diff { file } => {
            let text = place.diff(&Checked::load(Some(&file))?)?;
            out.write_all(text.as_bytes())?;
        }
        Command::Render { file } => {
            place.write(&Checked::load(file.as_deref())?)?;
        }
        Command::Apply { file, here } if here || !systemd::is_running(&place.root) => {
            apply(&place, &file, &mut out)?;
        }
        // A trial survives the terminal that it was begun at, and there is one at a time.
        Command::Apply { file, .. } => return Ok(systemd::apply_in_a_unit(&file)?),
        Command::Start => start(&place, &mut out)?,
        Command::Wait => while systemd::Systemd::default().wait_until_healthy().is_err() {},
        Command::Names => {
            let checked = Checked::load(Some(&place.effective()))?;
            let lost = names::refresh(&checked).map_err(Failure::Services)?;
            if !lost.is_empty() {
                let lost = lost.join(", ");
                let text = format!("{lost}: no address now; those from before are kept for a day");
                return Err(Failure::Services(text));
            }
        }
        Command::Table => out.write_all(markdown().as_bytes())?,
    }
    Ok(ExitCode::SUCCESS)
}

fn apply(place: &Place, file: &Path, out: &mut impl std::io::Write) -> Result<(), Failure> {
    let text = place.diff(&Checked::load(Some(file))?)?;
    if text.is_empty() {
        writeln!(out, "nothing of the box's files changes")?;
    }
    out.write_all(text.as_bytes())?;
    place.apply(file, &mut systemd::Systemd::default())?;
    writeln!(out, "in force")?;
    Ok(())
}

/// Files first, then services: whatever is wrong with the settings, the firewall is up.
fn start(place: &Place, out: &mut impl std::io::Write) -> Result<(), Failure> {
    let started = place.start()?;
    for error in &started.refused {
        writeln!(out, "not used: {error}")?;
    }
    writeln!(out, "rendered from {}", started.from)?;
    let all: BTreeSet<_> = started.effects.into_iter().collect();
    systemd::Systemd::starting().apply(&all).map_err(Failure::Services)
}
