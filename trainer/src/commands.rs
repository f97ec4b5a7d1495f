//! The subcommands.

mod make;
mod measure;
mod transfer;

use std::path::{Path, PathBuf};
use std::time::Duration;

use self::measure::Measure;
use anyhow::{Context, Result, bail};
use clap::{Args, Subcommand, ValueEnum};
use indicatif::{ProgressBar, ProgressStyle};
use models::dicom::decoder::{self, Decoder, DecoderLimits};
use models::engine::DeviceChoice;
use serde::de::DeserializeOwned;
use trainer::curate;
use trainer::evaluate::card;
use trainer::export;
use trainer::export::bundle::Exported;
use trainer::reports::command::{self as reports, ReportsConfig};
use trainer::show::{self, MosaicOptions};
use trainer::simulate::simulate;
use trainer::stage::group::Group;
use trainer::stage::slices::{self, SlicesRun};
use trainer::stage::{ablate, clip, distill, heads, run, series_names, text, tokenizer};

/// What to do.
#[derive(Subcommand)]
pub(crate) enum Command {
    /// Make a cohort from a PACS export and its reports.
    Curate {
        /// Configuration (TOML).
        config: PathBuf,
        /// Folder of the cohort; must be new.
        #[arg(long)]
        out: PathBuf,
    },
    /// Make a cohort of simulated studies.
    Simulate {
        /// Configuration (TOML).
        config: PathBuf,
        /// Folder of the cohort; a cohort that was begun goes on.
        #[arg(long)]
        out: PathBuf,
    },
    /// Cut the DICOM files of a curated cohort into patches.
    Prepare {
        /// Folder of the cohort.
        cohort: PathBuf,
    },
    /// Summarise the reports of a cohort.
    Summarize(OnCohort),
    /// Label the reports of a cohort.
    Label(OnCohort),
    /// Train a volume tokenizer.
    Tokenizer(Stage),
    /// Turn the patches of a cohort into tokens.
    Tokens {
        /// Configuration (TOML).
        config: PathBuf,
    },
    /// Train the report tokenizer and language model.
    Text(Stage),
    /// Train the encoder of series names.
    SeriesNames(Stage),
    /// Train the hierarchical ViT against the reports.
    Clip {
        #[command(flatten)]
        stage: Stage,
        /// One rank of those that mpirun or srun started.
        #[arg(long)]
        mpi: bool,
        /// File for the gradients of the first step.
        #[arg(long, hide = true)]
        gradients: Option<PathBuf>,
    },
    /// Train the heads on frozen embeddings.
    Heads(Stage),
    /// Embed studies by a 2-D image encoder, for heads to read.
    Slices {
        /// ONNX file of the encoder; beside it a .toml with size, channels, mean and std.
        #[arg(long)]
        encoder: PathBuf,
        /// Folder of the cohort, with patch shards.
        #[arg(long)]
        cohort: PathBuf,
        /// Run folder.
        #[arg(long)]
        out: PathBuf,
        /// Go on with the run in the folder.
        #[arg(long)]
        resume: bool,
    },
    /// Train the networks that Prima is compared with, and compare them.
    Ablate {
        /// Configuration (TOML).
        config: PathBuf,
        /// Folder of the rows and of comparison.json; what is there is left out.
        #[arg(long)]
        out: PathBuf,
    },
    /// Distil a teacher into the edge student.
    Distill(Stage),
    /// Turn finished runs into a bundle for the appliance.
    Export {
        /// Configuration (TOML).
        config: PathBuf,
        /// Folder of the bundle; must not exist.
        #[arg(long)]
        out: PathBuf,
    },
    /// Compare burn, tract and ONNX Runtime on studies of a cohort.
    Check {
        /// Folder of the bundle.
        bundle: PathBuf,
        /// Folder of the cohort, with patch shards.
        #[arg(long)]
        cohort: PathBuf,
        /// Studies that are compared.
        #[arg(long, default_value_t = export::check::STUDIES)]
        studies: usize,
        /// Python that has onnxruntime and safetensors.
        #[arg(long, default_value = "python3")]
        python: PathBuf,
    },
    /// Write the model card of a bundle.
    Card {
        /// Folder of the bundle.
        bundle: PathBuf,
        /// What a person says about it (TOML).
        #[arg(long)]
        words: PathBuf,
        /// metrics.json of `trainer evaluate`.
        #[arg(long)]
        metrics: PathBuf,
    },
    /// Make a pair of keys for signing bundles.
    Keys {
        /// Folder that the two files go to.
        folder: PathBuf,
        /// Their name.
        #[arg(long, default_value = "models")]
        name: String,
    },
    /// Sign a bundle, last of all.
    Sign {
        /// Folder of the bundle.
        bundle: PathBuf,
        /// Secret key that `trainer keys` wrote.
        #[arg(long)]
        secret_key: PathBuf,
    },
    #[command(flatten)]
    Measure(Measure),
    /// Ask what embeddings tell about another data set's labels.
    Transfer(transfer::Arguments),
    /// Draw every series of a study on one page.
    Show {
        /// Folder of a study.
        study: PathBuf,
        /// Folder of its masks.
        #[arg(long)]
        masks: Option<PathBuf>,
        /// The picture (PNG).
        #[arg(long)]
        out: PathBuf,
    },
    /// Draw real and simulated studies side by side, with statistics.
    ContactSheet {
        /// Folders of real studies.
        #[arg(long, required = true, num_args = 1..)]
        real: Vec<PathBuf>,
        /// Folders of simulated studies.
        #[arg(long, required = true, num_args = 1..)]
        simulated: Vec<PathBuf>,
        /// The picture (PNG).
        #[arg(long)]
        out: PathBuf,
    },
    /// Compare every stage with recorded inputs and outputs of the published code.
    Parity {
        /// Folder laid out like tests/golden/prima.
        folder: PathBuf,
        /// cpu, wgpu or cuda.
        #[arg(long, default_value = "cpu")]
        device: DeviceChoice,
    },
    /// Turn the published checkpoints into a bundle. Nothing in the pickle is executed.
    ImportPrima {
        /// The whole model, `primafullmodel*.pt`.
        #[arg(long)]
        full: PathBuf,
        /// The tokenizer, `vqvae_model_step*.pth`.
        #[arg(long)]
        vqvae: PathBuf,
        /// Folder of the bundle; must not exist.
        #[arg(long)]
        out: PathBuf,
    },
    /// Make a bundle of random weights, for demonstrations, benches and tests.
    Init {
        /// Sizes.
        #[arg(long, value_enum, default_value_t = Preset::Tiny)]
        preset: Preset,
        /// Equal seeds give equal weights.
        #[arg(long, default_value_t = 1)]
        seed: u64,
        /// Folder of the bundle; must not exist.
        #[arg(long)]
        out: PathBuf,
    },
    /// Decode compressed pixel data for a parent process.
    #[command(hide = true)]
    DecodeWorker,
}

/// A stage of training.
#[derive(Args)]
pub(crate) struct Stage {
    /// Configuration (TOML).
    config: PathBuf,
    /// Run folder.
    #[arg(long)]
    run: PathBuf,
    /// Go on with the run in the folder.
    #[arg(long)]
    resume: bool,
    /// Stop after this step, with a checkpoint.
    #[arg(long, hide = true)]
    stop_after: Option<u64>,
}

/// A step on the reports of a cohort.
#[derive(Args)]
pub(crate) struct OnCohort {
    /// Folder of the cohort.
    cohort: PathBuf,
    /// Configuration (TOML); rules without one.
    #[arg(long)]
    config: Option<PathBuf>,
}

#[derive(Clone, Copy, ValueEnum)]
pub(crate) enum Preset {
    /// The published sizes: 4.9 GB.
    Prima,
    /// The published tokenizer before small transformers.
    PrimaTokenizer,
    /// The same shape, a few megabytes.
    Tiny,
    /// The edge student.
    Edge,
    /// No bundle: a small image encoder for `trainer slices`, model.onnx and model.toml.
    Slices,
}

/// Does it.
#[expect(clippy::too_many_lines, reason = "one arm a subcommand")]
pub(crate) fn run(command: Command) -> Result<()> {
    match command {
        Command::Curate { config, out } => {
            let config = curate::Config::load(&config)?;
            let bar = bar("{msg:<28} {wide_bar} {pos}/{len} +{eta}");
            let summary = curate::curate(&config, &out, &decoder()?, &|stage, done, total| {
                bar.set_message(stage);
                bar.set_length(total as u64);
                bar.set_position(done as u64);
            })?;
            bar.finish_and_clear();
            println!("{}", summary.text());
        }
        Command::Simulate { config, out } => {
            let config = run::config(&config, "simulate")?;
            let bar = bar("simulate {wide_bar} {pos}/{len} {elapsed} +{eta}");
            let header = simulate(&config, &out, &decoder()?, &|done, total| {
                bar.set_length(total as u64);
                bar.set_position(done as u64);
            })?;
            bar.finish_and_clear();
            println!("{} in {}: {:?}", header.source, out.display(), header.studies);
        }
        Command::Prepare { cohort } => {
            let bar = bar("prepare {wide_bar} {pos}/{len} +{eta}");
            let (studies, failed) =
                trainer::cohort::prepare::cohort(&cohort, &decoder()?, &|done, total| {
                    bar.set_length(total);
                    bar.set_position(done);
                })?;
            bar.finish_and_clear();
            println!("{studies} studies cut into patches, {failed} listed in unreadable.jsonl");
        }
        Command::Summarize(on) => {
            let count = reports::summarize(&on.cohort, &reports_config(&on)?, &mut |_, _| {})?;
            println!("{count} summaries in {}", on.cohort.join("summaries.jsonl").display());
        }
        Command::Label(on) => {
            let summary = reports::label(&on.cohort, &reports_config(&on)?, &mut |_, _| {})?;
            println!("{summary}");
        }
        Command::Tokenizer(Stage { config, run: folder, resume, stop_after }) => {
            let config = run::config(&config, "tokenizer")?;
            let path = tokenizer::train(&config, &folder, resume, stop_after)?;
            println!("tokenizer in {}", path.display());
        }
        Command::Tokens { config } => {
            let config: tokenizer::TokensRun = run::config(&config, "tokens")?;
            let bar = bar("tokens {wide_bar} {pos}/{len} +{eta}");
            let count = tokenizer::tokens(&config, &config.cohort, |done, total| {
                bar.set_length(total);
                bar.set_position(done);
            })?;
            bar.finish_and_clear();
            println!("{count} tokens in {}", config.cohort.display());
        }
        Command::Text(Stage { config, run: folder, resume, stop_after }) => {
            let config = run::config(&config, "text")?;
            let path = text::train(&config, &folder, resume, stop_after)?;
            println!("language model in {}", path.display());
        }
        Command::SeriesNames(Stage { config, run: folder, resume, stop_after }) => {
            let config = run::config(&config, "series-names")?;
            let path = series_names::train(&config, &folder, resume, stop_after)?;
            println!("series names in {}", path.display());
        }
        Command::Clip {
            stage: Stage { config, run: folder, resume, stop_after },
            mpi,
            gradients,
        } => {
            let config = run::config(&config, "clip")?;
            let group = if mpi { Group::join()? } else { Group::alone() };
            let first = group.rank() == 0;
            let path = clip::train(&config, &folder, resume, stop_after, group, gradients)?;
            if first {
                println!("network in {}", path.display());
            }
        }
        Command::Heads(Stage { config, run: folder, resume, .. }) => {
            let config = run::config(&config, "heads")?;
            let path = heads::train(&config, &folder, resume)?;
            println!("heads in {}", path.display());
        }
        Command::Slices { encoder, cohort, out, resume } => {
            let bar = bar("slices {wide_bar} {pos}/{len} {elapsed} +{eta}");
            let path =
                slices::embed(&SlicesRun { encoder, cohort }, &out, resume, &|done, total| {
                    bar.set_length(total);
                    bar.set_position(done);
                })?;
            bar.finish_and_clear();
            println!("embeddings in {}", path.display());
        }
        Command::Ablate { config, out } => {
            let config = run::config(&config, "ablate")?;
            let found = ablate::ablate(&config, &out, &|name, number, total| {
                eprintln!("row {number} of {total}: {name}");
            })?;
            println!("{found}");
        }
        Command::Distill(Stage { config, run: folder, resume, stop_after }) => {
            let config = run::config(&config, "distill")?;
            let path = distill::train(&config, &folder, resume, stop_after)?;
            println!("student in {}", path.display());
        }
        Command::Export { config, out } => {
            let config = run::config(&config, "export")?;
            let Exported { manifest, comparison } = export::bundle::export(&config, &out)?;
            let bytes: u64 = manifest.files.iter().map(|file| file.bytes).sum();
            print!("{comparison}");
            println!("{}: {:.1} MB in {}", manifest.id, bytes as f64 / 1e6, out.display());
        }
        Command::Check { bundle, cohort, studies, python } => {
            let studies = export::check::studies(&cohort, studies)?;
            println!("{}", export::check::check(&bundle, &studies, &python)?);
        }
        Command::Card { bundle, words, metrics } => {
            let card = card::card(&run::config(&words, "card")?, &metrics)?;
            export::card::write(&bundle, &card)?;
            println!("{}", bundle.join(export::card::MODEL_CARD).display());
        }
        Command::Keys { folder, name } => {
            let [secret, public] = export::sign::generate_keys(&folder, &name, &password()?)?;
            println!("secret key {}\npublic key {}", secret.display(), public.display());
        }
        Command::Sign { bundle, secret_key } => {
            export::sign::sign(&bundle, &secret_key, &password()?)?;
            println!("{} is signed", bundle.display());
        }
        Command::Measure(command) => measure::run(command)?,
        Command::Transfer(arguments) => transfer::run(arguments)?,
        Command::Show { study, masks, out } => {
            let shown = show::read(&study, masks.as_deref(), &decoder()?)?;
            write(&out, &show::mosaic(&shown, MosaicOptions::default())?)?;
        }
        Command::ContactSheet { real, simulated, out } => {
            let decoder = decoder()?;
            let read = |folders: &[PathBuf]| -> Result<Vec<_>> {
                folders.iter().map(|folder| Ok(show::read(folder, None, &decoder)?)).collect()
            };
            let sheet = show::contact_sheet(&read(&real)?, &read(&simulated)?)?;
            write(&out, &sheet.png)?;
            write(&out.with_extension("json"), &serde_json::to_vec_pretty(&sheet.entries)?)?;
        }
        Command::Parity { folder, device } => {
            let report = trainer::parity::run(&folder, device, &decoder()?)?;
            println!("{report}");
            if !report.passed() {
                bail!("at least one stage is outside its tolerance");
            }
        }
        Command::ImportPrima { full, vqvae, out } => make::import(&full, &vqvae, &out)?,
        Command::Init { preset, seed, out } => make::init(preset, seed, &out)?,
        Command::DecodeWorker => decoder::serve()?,
    }
    Ok(())
}

/// The password of a secret key: the first line of standard input, so that it stands neither in
/// the command line nor in the environment.
fn password() -> Result<String> {
    let mut line = String::new();
    std::io::stdin().read_line(&mut line).context("no password on standard input")?;
    Ok(line.trim_end_matches(['\r', '\n']).to_owned())
}

/// This program itself decodes compressed pixels, in a child process.
fn decoder() -> Result<Decoder> {
    let program = std::env::current_exe()?;
    Ok(Decoder::new(program, vec!["decode-worker".into()], DecoderLimits::default()))
}

fn reports_config(on: &OnCohort) -> Result<ReportsConfig> {
    on.config.as_deref().map_or_else(|| Ok(ReportsConfig::default()), read)
}

fn read<C: DeserializeOwned>(path: &Path) -> Result<C> {
    Ok(run::config(path, "label")?)
}

fn write(path: &Path, bytes: &[u8]) -> Result<()> {
    std::fs::write(path, bytes).with_context(|| format!("cannot write {}", path.display()))
}

fn byte_bar() -> ProgressBar {
    bar("{msg:<40} {wide_bar} {bytes}/{total_bytes} {eta}")
}

/// A bar on standard error, hidden when that is no terminal.
fn bar(template: &str) -> ProgressBar {
    let bar = ProgressBar::new(0);
    if let Ok(style) = ProgressStyle::with_template(template) {
        bar.set_style(style);
    }
    bar.enable_steady_tick(Duration::from_millis(200));
    bar
}
