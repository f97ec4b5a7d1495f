//! Subcommands that measure a model or a cohort.

use std::num::NonZeroUsize;
use std::path::PathBuf;

use anyhow::Result;
use clap::{Subcommand, ValueEnum};
use models::engine::DeviceChoice;
use trainer::cohort::Cohort;
use trainer::cohort::record::Split;
use trainer::evaluate::robustness::{self, Question};
use trainer::evaluate::{explain, leak, score};
use trainer::stage::{clip, heads, run as run_folder};

use super::{bar, decoder, write};

/// What to measure.
#[derive(Subcommand)]
pub(crate) enum Measure {
    /// Score a bundle on a split of a cohort.
    Score {
        /// Folder of the bundle.
        bundle: PathBuf,
        /// Folder of the cohort, with patch shards and labels.
        #[arg(long)]
        cohort: PathBuf,
        /// train, validation or test.
        #[arg(long, default_value = "test")]
        split: SplitArgument,
        /// cpu, wgpu or cuda.
        #[arg(long, default_value = "cpu")]
        device: DeviceChoice,
        /// Also without T1-weighted, and without T2-weighted series.
        #[arg(long)]
        drop_modalities: bool,
        /// Folder of the evaluation set.
        #[arg(long)]
        out: PathBuf,
    },
    /// Explain what a bundle finds in simulated studies, and look whether it points at the lesions.
    Explain {
        /// Folder of the bundle.
        bundle: PathBuf,
        /// Folder of a simulated cohort, with patch shards.
        #[arg(long)]
        cohort: PathBuf,
        /// train, validation or test.
        #[arg(long, default_value = "test")]
        split: SplitArgument,
        /// cpu, wgpu or cuda.
        #[arg(long, default_value = "cpu")]
        device: DeviceChoice,
        /// Perturbed inputs of each explanation.
        #[arg(long, default_value_t = 3000)]
        samples: usize,
        /// Studies at most.
        #[arg(long, default_value_t = 100)]
        studies: usize,
        /// Folder of an evaluation set that `trainer score` wrote.
        #[arg(long)]
        out: PathBuf,
    },
    /// Fit acuity heads under every objective on the embeddings of evaluation sets.
    Acuity {
        /// Configuration (TOML).
        config: PathBuf,
        /// Run folder.
        #[arg(long)]
        run: PathBuf,
    },
    /// Measure an evaluation set, and write metrics.json and report.html beside it.
    Evaluate {
        /// Folder of the set.
        set: PathBuf,
        /// Folder of a set of earlier studies by the same bundle, to look for neighbours in.
        #[arg(long)]
        retrospective: Option<PathBuf>,
        /// Options (TOML).
        #[arg(long)]
        config: Option<PathBuf>,
        /// Folder for metrics.json and report.html; the set's own without it.
        #[arg(long)]
        out: Option<PathBuf>,
    },
    /// Ask which report belongs to which study.
    Retrieve {
        /// Run folder of `trainer clip`.
        run: PathBuf,
        /// Run folder of `trainer text`.
        #[arg(long)]
        text: PathBuf,
        /// Folder of the cohort, with tokens of the same tokenizer.
        #[arg(long)]
        cohort: PathBuf,
        /// train, validation or test.
        #[arg(long, default_value = "test")]
        split: SplitArgument,
        /// Studies that one is to be told from, itself included.
        #[arg(long, default_value_t = 100)]
        group: usize,
        /// Folder of an evaluation set, for the embeddings of studies, reports and prompts.
        #[arg(long)]
        out: Option<PathBuf>,
    },
    /// Ask whether a real tumour ranks above real normal studies, however they were acquired.
    Robustness {
        /// Folder of the bundle.
        bundle: PathBuf,
        /// Folder of a study of one series with a tumour.
        #[arg(long)]
        tumour: PathBuf,
        /// The tumour's mask on that series' grid (NRRD).
        #[arg(long)]
        mask: PathBuf,
        /// Folders of studies that look normal.
        #[arg(long, required = true, num_args = 1..)]
        normal: Vec<PathBuf>,
        /// Disturbed acquisitions of each study.
        #[arg(long, default_value = "20")]
        acquisitions: NonZeroUsize,
        /// Perturbed inputs of each explanation.
        #[arg(long, default_value_t = 1000)]
        lime_samples: usize,
        /// Of the disturbances.
        #[arg(long, default_value_t = 0)]
        seed: u64,
        /// cpu, wgpu or cuda.
        #[arg(long, default_value = "cpu")]
        device: DeviceChoice,
        /// The result (JSON).
        #[arg(long)]
        out: PathBuf,
    },
    /// Ask whether a cohort gives its answers away without the images.
    Leaks {
        /// Folder of the cohort.
        cohort: PathBuf,
    },
}

#[derive(Clone, Copy, ValueEnum)]
/// Which studies of a cohort.
pub(crate) enum SplitArgument {
    /// Studies that weights were fitted on.
    Train,
    /// Studies that thresholds were fitted on.
    Validation,
    /// Studies that nothing was fitted on.
    Test,
}

impl From<SplitArgument> for Split {
    fn from(split: SplitArgument) -> Self {
        match split {
            SplitArgument::Train => Self::Train,
            SplitArgument::Validation => Self::Validation,
            SplitArgument::Test => Self::Test,
        }
    }
}

/// Does it.
#[expect(clippy::too_many_lines, reason = "one arm a subcommand")]
pub(super) fn run(command: Measure) -> Result<()> {
    match command {
        Measure::Score { bundle, cohort, split, device, drop_modalities, out } => {
            let (bundle, cohort, split) = (&bundle, &cohort, split.into());
            let questions = score::Questions { bundle, cohort, split, device, drop_modalities };
            let bar = bar("score {wide_bar} {pos}/{len} {elapsed} +{eta}");
            let studies = score::score(&questions, &out, &|done, total| {
                bar.set_length(total);
                bar.set_position(done);
            })?;
            bar.finish_and_clear();
            println!("{studies} studies in {0}; next: trainer evaluate {0}", out.display());
        }
        Measure::Explain { bundle, cohort, split, device, samples, studies, out } => {
            let (bundle, cohort, split) = (&bundle, &cohort, split.into());
            let question = explain::Question { bundle, cohort, split, device, samples, studies };
            let bar = bar("explain {wide_bar} {pos}/{len} {elapsed} +{eta}");
            let found = explain::explain(&question, &out, &|done, total| {
                bar.set_length(total);
                bar.set_position(done);
            })?;
            bar.finish_and_clear();
            println!("{found} explanations in {}", out.display());
        }
        Measure::Acuity { config, run } => {
            let path = heads::compare(&run_folder::config(&config, "acuity")?, &run, false)?;
            println!("{}", path.display());
        }
        Measure::Evaluate { set, retrospective, config, out } => {
            let options = config.as_deref().map(|path| run_folder::config(path, "evaluate"));
            let options = options.transpose()?.unwrap_or_default();
            let out = out.unwrap_or_else(|| set.clone());
            // As anybody would type it, wherever the program lies here.
            let words = std::iter::once("trainer".to_owned()).chain(std::env::args().skip(1));
            let command = words.collect::<Vec<_>>().join(" ");
            let found = evaluation::evaluate(&set, retrospective.as_deref(), &options, &command)?;
            std::fs::create_dir_all(&out)?;
            write(&out.join("metrics.json"), &serde_json::to_vec_pretty(&found)?)?;
            let page = evaluation::report::page(&found);
            write(&out.join("report.html"), page.html().as_bytes())?;
            println!("{}", evaluation::report::text(&found));
            println!("{}", out.join("report.html").display());
        }
        Measure::Robustness {
            bundle,
            tumour,
            mask,
            normal,
            acquisitions,
            lime_samples,
            seed,
            device,
            out,
        } => {
            let acquisitions = acquisitions.get();
            let bar = bar("robustness {wide_bar} {pos}/{len} {elapsed} +{eta}");
            bar.set_length(((1 + normal.len()) * acquisitions) as u64);
            let question = Question { tumour, mask, normal, acquisitions, lime_samples, seed };
            let found = robustness::measure(&bundle, &question, device, &decoder()?, &|n| {
                bar.inc(n);
            })?;
            bar.finish_and_clear();
            write(&out, &serde_json::to_vec_pretty(&found)?)?;
            println!("{found}");
        }
        Measure::Retrieve { run, text, cohort, split, group, out } => {
            let out = out.as_deref();
            let found = clip::retrieve(&run, &text, &cohort, split.into(), group, out)?;
            println!("{} groups of {} studies", found.groups, found.group);
            for (what, shares) in [
                ("image to report", &found.image_to_text),
                ("report to image", &found.text_to_image),
            ] {
                for (k, share) in shares {
                    println!("{what}, among the first {k}: {:.1} %", 100.0 * share);
                }
            }
        }
        Measure::Leaks { cohort } => {
            let cohort = Cohort::open(&cohort)?;
            println!("{}", leak::report::leaks(&cohort)?);
        }
    }
    Ok(())
}
