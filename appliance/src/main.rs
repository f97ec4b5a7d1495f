//! `appliance`: the box at the clinic, at the command line.

#![expect(clippy::print_stderr, reason = "errors of a command-line program go to the terminal")]

use std::error::Error;
use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use appliance::console;
use appliance::inference::explain::{ExplainError, Request, explain_score};
use appliance::inference::{InferenceError, Outcome, Progress, Triaged, run};
use clap::{Parser, Subcommand, ValueEnum};
use indicatif::{ProgressBar, ProgressStyle};
use models::dicom::decoder::{self, Decoder, DecoderLimits};
use models::engine::{DeviceChoice, DeviceReport, Engine, EngineError, Precision, Target, probe};
use models::explain::lime::{LimeConfig, Weighting};
use models::weights::bundle::{Bundle, BundleError};

/// Where a model is looked for when none is given.
const DEFAULT_MODEL: &str = "models/bundles/default";

const EXIT_CODES: &str = "Exit codes: 0 done; 2 the study was not analysed; 64 wrong usage; \
    65 the study cannot be read; 70 internal error; 73 a result cannot be written; \
    78 the model bundle or the device cannot be used.";

/// Triage of brain MRI studies. Research use; not a medical device.
#[derive(Parser)]
#[command(version, after_help = EXIT_CODES)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Triage one study: a folder of DICOM files, sub-folders included.
    #[command(after_help = EXIT_CODES)]
    Triage(Triage),
    /// Say which devices work on this machine.
    Devices,
    /// Decode compressed pixel data for a parent process.
    #[command(hide = true)]
    DecodeWorker,
}

#[derive(clap::Args)]
struct Triage {
    /// Folder of one study.
    study: PathBuf,
    /// Folder of a model bundle.
    #[arg(long, default_value = DEFAULT_MODEL)]
    model: PathBuf,
    /// cpu, wgpu or cuda.
    #[arg(long, default_value = "cpu")]
    device: DeviceChoice,
    /// Number type of tokenizer and transformers.
    #[arg(long, value_enum, default_value_t = PrecisionArgument::Full)]
    precision: PrecisionArgument,
    /// Write the result as JSON to this file.
    #[arg(long)]
    json: Option<PathBuf>,
    /// Explain one output by LIME: a label of the model, or `top`.
    #[arg(long, value_name = "DIAGNOSIS|top")]
    explain: Option<String>,
    /// Explain on the series with this position in the table, counted from 1; without it, the
    /// series that alone scores highest.
    #[arg(long, requires = "explain")]
    explain_series: Option<usize>,
    /// Perturbed inputs of LIME.
    #[arg(long, default_value_t = 3000, value_parser = clap::value_parser!(u32).range(2..=100_000))]
    lime_samples: u32,
    /// Weighting of LIME's samples.
    #[arg(long, value_enum, default_value_t = WeightingArgument::Locality)]
    lime_weighting: WeightingArgument,
    /// Folder for pictures.
    #[arg(long, default_value = "triage-out")]
    out: PathBuf,
}

#[derive(Clone, Copy, ValueEnum)]
enum PrecisionArgument {
    Full,
    Half,
}

#[derive(Clone, Copy, ValueEnum)]
enum WeightingArgument {
    /// All samples alike, as the published code does.
    Published,
    /// Samples near the original count more, as the LIME paper does.
    Locality,
}

/// What ends the program with an error.
#[derive(Debug, thiserror::Error)]
enum Failure {
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
}

impl Failure {
    /// Codes of sysexits.h; [`EXIT_CODES`] is their documentation.
    fn exit_code(&self) -> u8 {
        match self {
            Self::Study(InferenceError::Study(_)) => 65,
            Self::Study(InferenceError::Engine(error)) => engine_exit_code(error),
            Self::Explain(ExplainError::Engine(error)) => engine_exit_code(error),
            Self::Explain(ExplainError::Series { .. }) => 64,
            Self::Model { .. } | Self::Engine(_) => 78,
            Self::Write { .. } | Self::Explain(ExplainError::Write { .. }) => 73,
            Self::Explain(_) | Self::Decoder(_) | Self::OwnFile(_) => 70,
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
        | EngineError::Head { .. } => 78,
        EngineError::NotFinite { .. } | EngineError::Input { .. } => 70,
    }
}

fn main() -> ExitCode {
    let arguments = match Arguments::try_parse() {
        Ok(arguments) => arguments,
        Err(error) => {
            // What cannot be printed cannot be reported either.
            drop(error.print());
            return ExitCode::from(if error.use_stderr() { 64 } else { 0 });
        }
    };
    let outcome = match arguments.command {
        Command::Triage(arguments) => triage(&arguments),
        Command::Devices => print(&devices()).map(|()| ExitCode::SUCCESS),
        Command::DecodeWorker => {
            decoder::serve().map(|()| ExitCode::SUCCESS).map_err(Failure::Decoder)
        }
    };
    outcome.unwrap_or_else(|failure| {
        eprintln!("error: {}", chain(&failure));
        ExitCode::from(failure.exit_code())
    })
}

/// An error and its causes, one a line.
fn chain(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text.push_str("\n  because: ");
        text.push_str(&error.to_string());
        cause = error.source();
    }
    text
}

fn triage(arguments: &Triage) -> Result<ExitCode, Failure> {
    let model = |source| Failure::Model { path: arguments.model.clone(), source };
    let bundle = Bundle::open(&arguments.model).map_err(model)?;
    let precision = match arguments.precision {
        PrecisionArgument::Full => Precision::Full,
        PrecisionArgument::Half => Precision::Half,
    };
    let engine = Engine::open(bundle, arguments.device, precision).map_err(Failure::Engine)?;
    let program = std::env::current_exe().map_err(Failure::OwnFile)?;
    let decoder = Decoder::new(program, vec!["decode-worker".into()], DecoderLimits::default());

    let target = match arguments.explain.as_deref() {
        None | Some("top") => None,
        Some(name) => {
            let found = Target::find(engine.bundle().manifest(), name);
            Some(found.map_err(|error| Failure::Explain(error.into()))?)
        }
    };

    let bar = progress_bar();
    let triaged = run(&arguments.study, &engine, &decoder, |progress| show(&bar, &progress));
    bar.finish_and_clear();
    let mut triaged = triaged.map_err(Failure::Study)?;
    // A result that is there is shown and written, whatever becomes of its explanation.
    let explained = if arguments.explain.is_some() && triaged.input.is_some() {
        explain(&mut triaged, &engine, &decoder, target, arguments)
    } else {
        Ok(())
    };
    print(&console::render(&triaged.result))?;
    if let Some(path) = &arguments.json {
        write_json(path, &triaged)?;
    }
    explained?;
    Ok(match triaged.result.outcome {
        Outcome::Analysed { .. } => ExitCode::SUCCESS,
        Outcome::NotAnalysed { .. } => ExitCode::from(2),
    })
}

/// Writes to standard output, which may be a full disk.
fn print(text: &str) -> Result<(), Failure> {
    let mut out = std::io::stdout().lock();
    let written = out.write_all(text.as_bytes()).and_then(|()| out.flush());
    written.map_err(|source| Failure::Write { path: "standard output".into(), source })
}

fn explain(
    triaged: &mut Triaged,
    engine: &Engine,
    decoder: &Decoder,
    output: Option<Target>,
    arguments: &Triage,
) -> Result<(), Failure> {
    let weighting = match arguments.lime_weighting {
        WeightingArgument::Published => Weighting::Published,
        WeightingArgument::Locality => Weighting::Locality { kernel_width: Weighting::LIME_WIDTH },
    };
    let request = Request {
        output,
        // Position 0 does not exist either; the wrap-around makes it a series that is not there.
        series: arguments.explain_series.map(|position| position.wrapping_sub(1)),
        lime: LimeConfig {
            samples: arguments.lime_samples as usize,
            weighting,
            ..LimeConfig::default()
        },
        out: arguments.out.clone(),
    };
    let bar = progress_bar();
    bar.set_length(request.lime.samples as u64);
    bar.set_message("explaining");
    let explanation = explain_score(triaged, engine, decoder, &request, |done| {
        bar.set_position(done as u64);
    });
    bar.finish_and_clear();
    triaged.result.explanation = Some(explanation.map_err(Failure::Explain)?);
    Ok(())
}

fn write_json(path: &Path, triaged: &Triaged) -> Result<(), Failure> {
    let write = |source| Failure::Write { path: path.to_owned(), source };
    let mut json = serde_json::to_vec_pretty(&triaged.result).map_err(|e| write(e.into()))?;
    json.push(b'\n');
    fs::write(path, json).map_err(write)
}

fn devices() -> String {
    let line = |report: DeviceReport| {
        let device = report.device.to_string();
        match report.problem {
            None => format!("{device:<5} works\n"),
            Some(problem) => format!("{device:<5} not here: {problem}\n"),
        }
    };
    probe().into_iter().map(line).collect()
}

/// A bar on standard error, hidden when that is no terminal.
fn progress_bar() -> ProgressBar {
    let bar = ProgressBar::new(0);
    if let Ok(style) = ProgressStyle::with_template("{msg:<44} {wide_bar} {pos}/{len} {eta}") {
        bar.set_style(style);
    }
    bar.enable_steady_tick(Duration::from_millis(200));
    bar
}

fn show(bar: &ProgressBar, progress: &Progress<'_>) {
    match *progress {
        Progress::Series(name) => bar.set_message(format!("reading {name}")),
        Progress::Patches { done, total } => {
            bar.set_message("encoding patches");
            bar.set_length(total as u64);
            bar.set_position(done as u64);
        }
        Progress::Scoring => bar.set_message("scoring"),
    }
}
