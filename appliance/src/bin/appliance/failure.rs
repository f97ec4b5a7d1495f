//! What ends the program with an error, and its exit code.

use std::path::PathBuf;

use appliance::accounts::AccountError;
use appliance::app::AppError;
use appliance::archive::ArchiveError;
use appliance::audit::ExportError;
use appliance::config::SettingsError;
use appliance::feedback::FeedbackError;
use appliance::hub::enrol::EnrolError;
use appliance::hub::identity::IdentityError;
use appliance::hub::stick::CarryError;
use appliance::import::ImportError;
use appliance::inference::InferenceError;
use appliance::inference::explain::ExplainError;
use appliance::inference::worker::WorkerError;
use appliance::model_install::InstallError;
use appliance::store::StoreError;
use appliance::store::backup::BackupError;
use appliance::store::models::ModelSwitchError;
use appliance::store::users::UserError;
use appliance::tls::MakeError;
use appliance::triage::RulesError;
use appliance::worklist::simulate::SimulationError;
use models::dicom::decoder;
use models::engine::EngineError;
use models::table::TableError;
use models::weights::bundle::BundleError;

/// What ends the program with an error.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Failure {
    #[error("the settings cannot be used")]
    Config(#[from] SettingsError),
    #[error(transparent)]
    App(#[from] AppError),
    #[error("the database cannot be used")]
    Store(#[from] StoreError),
    #[error("the archive cannot be used")]
    Archive(#[from] ArchiveError),
    #[error("nothing was imported")]
    Import(#[from] ImportError),
    #[error("the model was not installed")]
    Install(#[from] InstallError),
    #[error("the model was not changed")]
    Switch(#[from] ModelSwitchError),
    #[error("no certificate was made")]
    Certificate(#[from] MakeError),
    #[error("the users were not changed; `appliance user list` shows them")]
    Users(#[from] UserError),
    #[error("no password could be made")]
    Account(#[from] AccountError),
    #[error("the clinical tables cannot be used")]
    Rules(#[from] RulesError),
    #[error("series cannot be selected")]
    Selection(#[from] TableError),
    #[error("the database was not restored")]
    Restore(#[from] BackupError),
    #[error("the audit log was not exported")]
    Export(#[from] ExportError),
    #[error("readers' corrections were not exported")]
    Feedback(#[from] FeedbackError),
    #[error("this box was not enrolled")]
    Enrol(#[from] EnrolError),
    #[error("this box is nobody at a hub")]
    Identity(#[from] IdentityError),
    #[error("hub.url is not set; give the address of a hub with --hub, or set it")]
    NoHub,
    #[error("nothing was carried")]
    Carry(#[from] CarryError),
    #[error("no model is in use; see `appliance model --help`")]
    NoModel,
    #[error("the queue was not simulated")]
    Simulation(#[from] SimulationError),
    #[error("the analysis process stopped")]
    Worker(#[from] WorkerError),
    #[error("the study was not triaged")]
    Study(#[source] InferenceError),
    #[error(
        "the model in {path} cannot be used; give one with --model, or make an untrained one with `trainer init`"
    )]
    Model {
        path: PathBuf,
        #[source]
        source: BundleError,
    },
    #[error("the model cannot be loaded")]
    Engine(#[source] EngineError),
    #[error("no explanation was made")]
    Explain(#[source] ExplainError),
    #[error("cannot write {path}")]
    Write {
        path: PathBuf,
        #[source]
        source: std::io::Error,
    },
    #[error("the decoder process stopped")]
    Decoder(#[source] decoder::DecoderError),
    #[error("this program cannot find its own file")]
    OwnFile(#[source] std::io::Error),
    #[error("the runtime cannot be started")]
    Runtime(#[source] std::io::Error),
}

impl Failure {
    /// Codes of sysexits.h; [`EXIT_CODES`] is their documentation.
    pub(crate) fn exit_code(&self) -> u8 {
        match self {
            Self::Study(InferenceError::Study(_)) | Self::Import(_) | Self::Restore(_) => 65,
            Self::Carry(CarryError::Stick(_) | CarryError::Receipt { .. }) => 65,
            Self::Study(InferenceError::Engine(error)) => engine_exit_code(error),
            Self::Explain(ExplainError::Engine(error)) => engine_exit_code(error),
            Self::Explain(ExplainError::Series { .. })
            | Self::Switch(_)
            | Self::NoModel
            | Self::NoHub
            | Self::Enrol(
                EnrolError::Address(_) | EnrolError::Fingerprint { .. } | EnrolError::Declined,
            )
            | Self::Users(
                UserError::Name { .. }
                | UserError::Exists { .. }
                | UserError::Unknown { .. }
                | UserError::LastAdmin { .. }
                | UserError::NotFirst
                | UserError::TokenExists { .. }
                | UserError::NoToken { .. },
            )
            | Self::Certificate(MakeError::Host { .. } | MakeError::Exists { .. })
            | Self::Simulation(_) => 64,
            Self::Model { .. }
            | Self::Engine(_)
            | Self::Config(_)
            | Self::Install(_)
            | Self::Rules(_)
            | Self::Selection(_)
            | Self::Study(InferenceError::Selection(_))
            | Self::Worker(_)
            | Self::Identity(_)
            | Self::Carry(CarryError::Identity(_)) => 78,
            Self::Write { .. }
            | Self::Certificate(MakeError::Write { .. })
            | Self::Explain(ExplainError::Write { .. })
            | Self::Enrol(EnrolError::Write { .. })
            | Self::Carry(CarryError::Write { .. } | CarryError::Space { .. }) => 73,
            Self::App(AppError::Running { .. } | AppError::StillRunning { .. }) => 75,
            Self::App(error) if error.is_configuration() => 78,
            Self::App(_)
            | Self::Store(_)
            | Self::Users(UserError::Store(_))
            | Self::Account(_)
            | Self::Certificate(MakeError::Sign(_))
            | Self::Archive(_)
            | Self::Export(_)
            | Self::Feedback(_)
            | Self::Enrol(_)
            | Self::Carry(_)
            | Self::Explain(_)
            | Self::Decoder(_)
            | Self::OwnFile(_)
            | Self::Runtime(_) => 70,
        }
    }
}

/// What is wrong with the bundle shows at last when a head is read.
fn engine_exit_code(error: &EngineError) -> u8 {
    match error {
        EngineError::Target { .. } => 64,
        EngineError::Device(_)
        | EngineError::Bundle(_)
        | EngineError::Parameter(_)
        | EngineError::Onnx(_)
        | EngineError::Sentences(_)
        | EngineError::Head { .. } => 78,
        EngineError::NotFinite { .. } | EngineError::Input { .. } => 70,
    }
}
