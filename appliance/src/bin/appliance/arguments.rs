//! What may stand on the command line.

use std::path::PathBuf;

use appliance::config::Config;
use appliance::store::users::Role;
use clap::{Parser, Subcommand, ValueEnum};
use models::engine::DeviceChoice;

use crate::failure::Failure;

/// Where a model is looked for when none is given.
const DEFAULT_MODEL: &str = "models/bundles/default";

pub(crate) const EXIT_CODES: &str = "Exit codes: 0 done; 2 the study was not analysed, or a check found a \
    problem; 64 wrong usage; 65 input cannot be read; 70 internal error; 73 a result cannot be \
    written; 75 an appliance is running on the data folder; 78 settings, the model bundle or the device cannot be used.";

/// Triage of brain MRI studies. Research use; not a medical device.
#[derive(Parser)]
#[command(version, after_help = EXIT_CODES)]
pub(crate) struct Arguments {
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Subcommand)]
pub(crate) enum Command {
    /// Receive studies, triage them and show the worklist, until told to stop.
    Serve(Place),
    /// Check settings and print what results.
    CheckConfig {
        /// The settings; without it the built-in ones.
        file: Option<PathBuf>,
    },
    /// Have the running daemon finish, flush and stop. What a UPS calls.
    Drain(Place),
    /// One page about this box that a support line can work with.
    Doctor(Place),
    /// Take in DICOM files from a folder, a ZIP file or an ISO image.
    Import {
        /// The folder or file.
        path: PathBuf,
        #[command(flatten)]
        place: Place,
    },
    /// Installed models and what they are used for.
    Model {
        #[command(subcommand)]
        command: ModelCommand,
        #[command(flatten)]
        place: Place,
    },
    /// People and programs that may use the pages and the API.
    User {
        #[command(subcommand)]
        command: UserCommand,
        #[command(flatten)]
        place: Place,
    },
    /// Make a certificate with which the pages are encrypted, for a network without an authority.
    MakeCertificate {
        /// A name or address that browsers open the box by; may be given several times.
        #[arg(long = "host", value_name = "NAME", required = true)]
        hosts: Vec<String>,
        /// The folder; must not hold such files yet.
        #[arg(long, value_name = "FOLDER")]
        out: PathBuf,
    },
    /// Make this box one of a referral hospital's: keys and certificates for its hub.
    Enrol(Enrol),
    /// Who this box is at its hub, and whether the hub answers now.
    Hub(Place),
    /// Write what waits for the hub to a folder, such as a stick: encrypted and signed.
    ExportOutbox {
        /// The folder.
        folder: PathBuf,
        #[command(flatten)]
        place: Place,
    },
    /// Take in what the hub wrote to a stick: which messages it has, and its answers.
    ImportReceipt {
        /// The file; its signature lies beside it.
        file: PathBuf,
        #[command(flatten)]
        place: Place,
    },
    /// What an order of reading does to waiting times at a clinic of your numbers.
    SimulateQueue(Simulate),
    /// Copy the database now.
    Backup(Place),
    /// Put a copy of the database back. The daemon must not run.
    Restore {
        /// A file that `backup` made.
        backup: PathBuf,
        #[command(flatten)]
        place: Place,
    },
    /// Build the index anew from the DICOM files. The daemon must not run.
    RebuildIndex(Place),
    /// Compare every stored file with its digest in the index, and check database and audit log.
    Verify(Place),
    /// The audit log as DICOM audit messages (PS3.15 A.5), one a line.
    AuditExport(Place),
    /// Readers' corrections for `trainer heads`: a JSON line for each study in which a reader judged
    /// every finding of the model in use, without anything that names a patient.
    ExportFeedback {
        /// The file; is replaced.
        #[arg(long)]
        out: PathBuf,
        #[command(flatten)]
        place: Place,
    },
    /// Triage one study: a folder of DICOM files, sub-folders included.
    #[command(after_help = EXIT_CODES)]
    Triage(Triage),
    /// Say which devices work on this machine.
    Devices,
    /// Analyse studies for a parent process.
    #[command(hide = true)]
    TriageWorker {
        #[arg(long)]
        model: PathBuf,
        #[arg(long)]
        device: String,
    },
    /// Decode compressed pixel data for a parent process.
    #[command(hide = true)]
    DecodeWorker,
}

/// Which appliance.
#[derive(clap::Args)]
pub(crate) struct Place {
    /// Settings; without it the built-in ones.
    #[arg(long, global = true)]
    pub(crate) config: Option<PathBuf>,
    /// Data folder, instead of that of the settings.
    #[arg(long, global = true)]
    pub(crate) data: Option<PathBuf>,
}

impl Place {
    pub(crate) fn load(&self) -> Result<Config, Failure> {
        let mut config = Config::load(self.config.as_deref())?;
        if let Some(data) = &self.data {
            config.settings.data.folder.clone_from(data);
        }
        Ok(config)
    }
}

#[derive(Subcommand)]
pub(crate) enum ModelCommand {
    /// Copy a bundle into the data folder and test it. It is not used before it is promoted.
    Install {
        /// Folder of the bundle.
        bundle: PathBuf,
    },
    /// What is installed.
    List,
    /// Let a model order the worklist, instead of the present one. One that is killed must be
    /// revived first.
    Promote {
        /// Name, or the first digits of the digest.
        model: String,
    },
    /// Go back to the model before.
    Rollback,
    /// Let a model score every study without anybody seeing it.
    Shadow {
        /// Name, or the first digits of the digest.
        model: String,
    },
    /// Do not use a model for new studies; what it said stays.
    Off {
        /// Name, or the first digits of the digest.
        model: String,
    },
    /// Throw a model's kill switch: within a second it is not used, and nothing it said of open
    /// studies is shown.
    Kill {
        /// Name, or the first digits of the digest.
        model: String,
    },
    /// Release the kill switch.
    Revive {
        /// Name, or the first digits of the digest.
        model: String,
    },
}

#[derive(Subcommand)]
pub(crate) enum UserCommand {
    /// Add a user; prints the password for the first login.
    Add {
        /// As it should stand beside decisions.
        name: String,
        #[arg(long, value_parser = role)]
        role: Role,
    },
    /// Who may log in, and the tokens of programs.
    List,
    /// Give a user another role.
    Role {
        name: String,
        #[arg(value_parser = role)]
        role: Role,
    },
    /// Make a new password for the next login, and end all sessions and tokens.
    Reset { name: String },
    /// Keep a user out, tokens included.
    Disable { name: String },
    /// Let a user in again.
    Enable { name: String },
    /// Make a token with which a program acts for a user; prints it.
    Token {
        name: String,
        /// What it is for.
        program: String,
    },
    /// Make the token of a program void.
    Revoke { name: String, program: String },
}

#[derive(clap::Args)]
pub(crate) struct Enrol {
    /// Address of the hub, such as `https://hub.hospital.org:8443`; without it that of the settings.
    #[arg(long)]
    pub(crate) hub: Option<String>,
    /// The code that the hospital gave; it is good once.
    #[arg(long)]
    pub(crate) code: String,
    /// SHA-256 of the certificate of the hub's authority, as the hospital says it; without it the
    /// fingerprint is shown and has to be confirmed.
    #[arg(long, value_name = "SHA256")]
    pub(crate) ca_fingerprint: Option<String>,
    #[command(flatten)]
    pub(crate) place: Place,
}

fn role(word: &str) -> Result<Role, String> {
    let known = Role::ALL.map(Role::word).join(", ");
    Role::from_word(word).ok_or_else(|| format!("there are {known}"))
}

#[derive(clap::Args)]
pub(crate) struct Simulate {
    /// Studies a day.
    #[arg(long, default_value_t = 40.0)]
    pub(crate) arrivals_per_day: f64,
    /// Hour of the day at which the reader begins.
    #[arg(long, default_value_t = 8.0)]
    pub(crate) reader_from_h: f64,
    /// Hour at which the reader ends.
    #[arg(long, default_value_t = 17.0)]
    pub(crate) reader_to_h: f64,
    /// Minutes to read a study.
    #[arg(long, default_value_t = 10.0)]
    pub(crate) minutes_per_study: f64,
    /// Shares of studies that are truly high, medium and low.
    #[arg(long, num_args = 3, default_values_t = [0.05, 0.25, 0.3])]
    pub(crate) prevalence: Vec<f64>,
    /// Share of studies above none that the model gives their acuity.
    #[arg(long, default_value_t = 0.85)]
    pub(crate) sensitivity: f64,
    /// Share of studies of acuity none that the model calls so.
    #[arg(long, default_value_t = 0.9)]
    pub(crate) specificity: f64,
    /// Days.
    #[arg(long, default_value_t = 365)]
    pub(crate) days: u32,
    /// Equal seeds give equal reports.
    #[arg(long, default_value_t = 1)]
    pub(crate) seed: u64,
    #[command(flatten)]
    pub(crate) place: Place,
}

#[derive(clap::Args)]
pub(crate) struct Triage {
    /// Folder of one study.
    pub(crate) study: PathBuf,
    /// Folder of a model bundle.
    #[arg(long, default_value = DEFAULT_MODEL)]
    pub(crate) model: PathBuf,
    /// Rules for what is looked at, instead of the built-in series-selection.toml.
    #[arg(long)]
    pub(crate) series_selection: Option<PathBuf>,
    /// cpu, wgpu or cuda.
    #[arg(long, default_value = "cpu")]
    pub(crate) device: DeviceChoice,
    /// Number type of tokenizer and transformers.
    #[arg(long, value_enum, default_value_t = PrecisionArgument::Full)]
    pub(crate) precision: PrecisionArgument,
    /// Write the result as JSON to this file.
    #[arg(long)]
    pub(crate) json: Option<PathBuf>,
    /// Explain one output by LIME: a label of the model, or `top`.
    #[arg(long, value_name = "DIAGNOSIS|top")]
    pub(crate) explain: Option<String>,
    /// Explain on the series with this position in the table, counted from 1; without it, the
    /// series that alone scores highest.
    #[arg(long, requires = "explain")]
    pub(crate) explain_series: Option<usize>,
    /// Perturbed inputs of LIME.
    #[arg(long, default_value_t = 3000, value_parser = clap::value_parser!(u32).range(2..=100_000))]
    pub(crate) lime_samples: u32,
    /// Weighting of LIME's samples.
    #[arg(long, value_enum, default_value_t = WeightingArgument::Locality)]
    pub(crate) lime_weighting: WeightingArgument,
    /// Folder for pictures.
    #[arg(long, default_value = "triage-out")]
    pub(crate) out: PathBuf,
}

#[derive(Clone, Copy, ValueEnum)]
pub(crate) enum PrecisionArgument {
    Full,
    Half,
}

#[derive(Clone, Copy, ValueEnum)]
pub(crate) enum WeightingArgument {
    /// All samples alike, as the published code does.
    Published,
    /// Samples near the original count more, as the LIME paper does.
    Locality,
}
