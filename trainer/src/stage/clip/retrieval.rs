//! Which report belongs to an image: embeddings of both, and the finished network on studies of any
//! cohort.

use std::path::Path;

use anyhow::Context;
use burn::tensor::{DType, Tensor};
use evaluation::alignment::{PAIRS, PROMPTS, Pair, Prompt};
use models::labels::{DIAGNOSES, display_name};
use models::nn::Compute;
use models::nn::config::PrimaConfig;
use models::nn::parameters::Parameters;
use models::weights::mapped::WeightFile;
use statistics::embedding::{self, Retrieval};
use statistics::rows::Rows;

use super::data::Data;
use super::start::{NETWORK, PROBES};
use super::{ClipModel, forward};
use crate::cohort::record::Split;
use crate::cohort::write_lines;
use crate::reports::summarize::NORMAL;
use crate::stage::text::Vocabulary;
use crate::stage::weights::Overlay;

/// What the network makes of studies and of their reports, one row each.
#[derive(Default)]
pub(super) struct Embeddings {
    images: Vec<f32>,
    texts: Vec<f32>,
}

impl Embeddings {
    pub(super) fn add(&mut self, image: Tensor<Compute, 2>, text: Option<Tensor<Compute, 2>>) {
        let values = |x: Tensor<Compute, 2>| x.into_data().iter::<f32>().collect::<Vec<_>>();
        self.images.extend(values(image));
        self.texts.extend(text.map(values).unwrap_or_default());
    }

    /// Among the first and the first five; `None` without reports or a whole group.
    pub(super) fn retrieval(&self, width: usize, group: usize) -> Option<Retrieval> {
        if self.texts.is_empty() {
            return None;
        }
        let rows = |values| Rows::new(values, width);
        embedding::retrieval(rows(&self.images), rows(&self.texts), group, &[1, 5])
    }
}

/// A finished run of `trainer clip`, ready to embed studies and texts.
struct Finished {
    model: ClipModel<Compute>,
    vocabulary: Vocabulary,
    sizes: PrimaConfig,
}

impl Finished {
    /// Reads the weights of a run and the vocabulary of its `text` run.
    fn open(run: &Path, text: &Path) -> anyhow::Result<Self> {
        let path = run.join("sizes.toml");
        let sizes = std::fs::read_to_string(&path).with_context(|| {
            format!(
                "cannot read {}; name the folder of a finished run of `trainer clip`",
                path.display()
            )
        })?;
        let sizes: PrimaConfig = toml::from_str(&sizes)?;
        let vocabulary = Vocabulary::open(text)?;
        let device = crate::stage::device(crate::stage::cpu())?;
        let [network, probes] = [NETWORK, PROBES].map(|file| WeightFile::open(&run.join(file)));
        let (network, probes) = (network?, probes?);
        let weights = Overlay { first: &network, then: &probes };
        let model = ClipModel::load(&Parameters::new(&weights, &device, DType::F32), &sizes)?;
        Ok(Self { model, vocabulary, sizes })
    }

    /// Every study of a split that has tokens, in the order of the data.
    fn embed(&self, data: &Data, split: Split) -> anyhow::Result<Embeddings> {
        let device = crate::stage::device(crate::stage::cpu())?;
        let width = self.sizes.sequence_vit.transformer.dim;
        let mut embeddings = Embeddings::default();
        for pairs in data.parts(split, &self.vocabulary) {
            let out = forward(&self.model, &pairs?, true, width, &device);
            embeddings.add(out.image, out.text);
        }
        Ok(embeddings)
    }

    fn prompt(&self, diagnosis: &str, text: String, negated: bool) -> anyhow::Result<Prompt> {
        let ids = vec![self.vocabulary.encode(&text)?];
        let vector = super::normalised(super::text(&self.model.report, &ids));
        let embedding = vector.into_data().iter::<f32>().collect();
        Ok(Prompt { diagnosis: diagnosis.to_owned(), text, negated, embedding })
    }
}

/// Retrieval in groups of `group` studies of a split that has tokens, by the weights of a finished
/// run of `trainer clip` and the vocabulary of its `text` run. With `out`, the embeddings of
/// studies, reports and prompts go into that folder, an evaluation set.
///
/// # Errors
///
/// When a run or the cohort cannot be read, or there are fewer studies than a group has.
pub fn retrieve(
    run: &Path,
    text: &Path,
    cohort: &Path,
    split: Split,
    group: usize,
    out: Option<&Path>,
) -> anyhow::Result<Retrieval> {
    let finished = Finished::open(run, text)?;
    let data = Data::open(cohort)?;
    let embeddings = finished.embed(&data, split)?;
    let width = finished.sizes.projection;
    if let Some(out) = out {
        let rows = embeddings.images.chunks_exact(width).zip(embeddings.texts.chunks_exact(width));
        let pairs = data.split(split).iter().zip(rows).map(|(id, (images, report))| Pair {
            id: id.clone(),
            images: images.to_vec(),
            report: report.to_vec(),
        });
        write_lines(&out.join(PAIRS), &pairs.collect::<Vec<_>>())?;
        write_lines(&out.join(PROMPTS), &prompts(&finished)?)?;
    }
    embeddings.retrieval(width, group).with_context(|| {
        format!(
            "{}: {} studies of this split have tokens, fewer than a group of {group}; run `trainer tokens`, or give a smaller --group",
            cohort.display(),
            data.split(split).len()
        )
    })
}

/// Sentences for every diagnosis, worded as summaries of reports word them.
fn prompts(finished: &Finished) -> anyhow::Result<Vec<Prompt>> {
    let mut prompts = Vec::new();
    for diagnosis in DIAGNOSES {
        let name = display_name(diagnosis);
        for (text, negated) in [
            (format!("1. {name}."), false),
            (format!("1. Findings of {name}."), false),
            (NORMAL.to_owned(), true),
        ] {
            prompts.push(finished.prompt(diagnosis, text, negated)?);
        }
    }
    Ok(prompts)
}
