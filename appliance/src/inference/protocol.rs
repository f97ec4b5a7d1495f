//! What the daemon and its worker process say to each other: one JSON object a line, orders on
//! the worker's standard input, answers on its standard output.

use std::path::PathBuf;

use models::engine::DeviceChoice;
use models::engine::golden::SelfTest;
use models::weights::manifest::Envelope;
use serde::{Deserialize, Serialize};

use super::result::TriageResult;

/// From the daemon.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Order {
    /// Folder with the study's files.
    pub folder: PathBuf,
    /// All of the site's `series-selection.toml`, as the daemon has read it: a file that was edited
    /// since its start counts from the next start on, for both.
    pub selection: String,
    /// Where its tokens are kept.
    pub tokens: PathBuf,
    /// Clinical context to read; empty for none.
    pub context: String,
    /// Result of an earlier run with another context, whose tokens may be used again.
    pub earlier: Option<Box<TriageResult>>,
    /// Explain a score of the study, instead of only giving it.
    pub explain: Option<Explain>,
    /// Folder of the study whose turn will come next, to be prepared while the graphics card works.
    pub next: Option<PathBuf>,
}

/// What to explain.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Explain {
    /// A diagnosis.
    pub finding: String,
    /// Perturbed inputs.
    pub samples: usize,
    /// Folder for the pictures.
    pub out: PathBuf,
}

/// From the worker.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Answer {
    /// The model is loaded and tested; orders may come. Said once.
    Ready(Box<Ready>),
    /// Work goes on.
    Alive,
    /// An order is carried out.
    Done {
        /// What came of it.
        result: Box<TriageResult>,
    },
    /// The order cannot be carried out, today or ever.
    Failed {
        /// Why, with all causes.
        reason: String,
    },
}

/// What a worker says of itself.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Ready {
    /// Device it computes on.
    pub device: DeviceChoice,
    /// How the golden study went.
    pub self_test: SelfTest,
    /// Seconds from start to here.
    pub seconds: f64,
    /// What the model was made for.
    pub envelope: Option<Envelope>,
    /// Names of its diagnoses.
    pub diagnoses: Vec<String>,
    /// Names of its referrals.
    pub referrals: Vec<String>,
    /// Classes of its priority head.
    pub classes: Vec<String>,
}
