//! `firmware-config`: checks the settings of a box, renders its files, and puts changes in force.

use std::collections::BTreeSet;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use clap::{Parser, Subcommand};
use firmware_config::settings::{Checked, SettingsError, markdown};
use firmware_config::trial::{
    ConfirmError, Door, Person, Place, Services, Standing, TrialError, uptime_s,
};

mod names;
mod systemd;

/// Looks for the answer of a trial, which looks for a confirmation every second, and time between
/// two; an answer comes once the settings are on the disk.
const ANSWERS: u32 = 100;
const ANSWER: Duration = Duration::from_millis(200);

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
    /// from before come back when it is not. Those of [network] and [firewall] also come back
    /// unless somebody who reaches the box confirms them.
    Apply {
        file: PathBuf,
        /// I am in front of the box's own screen, and confirm them by this.
        #[arg(long)]
        at_the_box: bool,
        /// In this process, which must not be ended meanwhile.
        #[arg(long, hide = true)]
        here: bool,
    },
    /// Keep the settings on trial: say that the box is reached with them.
    Confirm,
    /// How the trial stands that somebody has to confirm; exit code 0 while it waits for that.
    Trial,
    /// Take a trial back whose program is gone. What the unit of a trial runs at its end.
    #[command(hide = true)]
    EndTrial,
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
    #[error(transparent)]
    Confirm(#[from] ConfirmError),
    #[error("{0}")]
    Services(String),
    #[error("cannot write")]
    Print(#[from] std::io::Error),
}

impl Failure {
    fn exit_code(&self) -> u8 {
        match self {
            Self::Settings(_) | Self::Trial(TrialError::Settings(_)) => 78,
            Self::Trial(
                TrialError::Unhealthy { .. }
                | TrialError::Unconfirmed { .. }
                | TrialError::Stuck { .. },
            )
            | Self::Confirm(ConfirmError::Nothing | ConfirmError::Late { .. }) => 1,
            Self::Trial(TrialError::Disk { .. })
            | Self::Confirm(ConfirmError::Disk { .. })
            | Self::Services(_)
            | Self::Print(_) => 70,
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
        Command::Apply { file, at_the_box, here } => {
            let person = if at_the_box { Person::AtTheBox } else { Person::Elsewhere };
            if !here && systemd::is_running(&place.root) {
                // A trial survives the terminal that it was begun at, and there is one at a time.
                return Ok(systemd::apply_in_a_unit(&file, person)?);
            }
            apply(&place, &file, person, &mut out)?;
        }
        Command::Confirm => confirm(&place, &mut out)?,
        Command::Trial => return Ok(tell_trial(&place, &mut out)?),
        Command::EndTrial => {
            if place.has_trial() {
                start(&place, &mut out)?;
            }
        }
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

fn apply(
    place: &Place,
    file: &Path,
    person: Person,
    out: &mut impl std::io::Write,
) -> Result<(), Failure> {
    let text = place.diff(&Checked::load(Some(file))?)?;
    if text.is_empty() {
        writeln!(out, "nothing of the box's files changes")?;
    }
    out.write_all(text.as_bytes())?;
    place.apply(file, person, &mut systemd::Systemd::default())?;
    writeln!(out, "in force")?;
    Ok(())
}

/// Tells the trial, and waits until it has answered.
fn confirm(place: &Place, out: &mut impl std::io::Write) -> Result<(), Failure> {
    let Some(Standing::Awaiting { id, .. }) = place.standing() else {
        // Whichever name: it says why none is kept.
        return Ok(place.confirm("", Door::Shell)?);
    };
    place.confirm(&id, Door::Shell)?;
    for _ in 0..ANSWERS {
        std::thread::sleep(ANSWER);
        match place.standing() {
            Some(Standing::Awaiting { id: now, .. }) if now == id => {}
            Some(Standing::Kept { id: now }) if now == id => {
                return Ok(writeln!(out, "in force")?);
            }
            Some(Standing::Undone { why }) => return Err(ConfirmError::Late { why }.into()),
            _ => return Err(ConfirmError::Nothing.into()),
        }
    }
    let text = "the trial does not answer; see `systemctl status prima-trial`".to_owned();
    Err(Failure::Services(text))
}

/// For people at the screen.
fn tell_trial(place: &Place, out: &mut impl std::io::Write) -> std::io::Result<ExitCode> {
    match place.standing() {
        Some(Standing::Awaiting { until_s, .. }) => {
            let minutes = until_s.saturating_sub(uptime_s()).div_ceil(60);
            writeln!(
                out,
                "New network settings are on trial. Those from before come back in {minutes} min \
                 unless somebody confirms them."
            )?;
            Ok(ExitCode::SUCCESS)
        }
        Some(Standing::Undone { why }) => {
            writeln!(out, "New network settings were not kept: {why}.")?;
            Ok(ExitCode::FAILURE)
        }
        _ => Ok(ExitCode::FAILURE),
    }
}

/// Files first, then services: whatever is wrong with the settings, the firewall is up.
fn start(place: &Place, out: &mut impl std::io::Write) -> Result<(), Failure> {
    let started = place.start()?;
    for error in &started.refused {
        writeln!(out, "not used: {error}")?;
    }
    if let Some(why) = started.not_kept {
        writeln!(out, "not kept: new settings of the network, because {why}")?;
    }
    writeln!(out, "rendered from {}", started.from)?;
    let all: BTreeSet<_> = started.effects.into_iter().collect();
    systemd::Systemd::starting().apply(&all).map_err(Failure::Services)
}
