//! Which report belongs to an image: embeddings of both, and the finished network on studies of any
//! cohort.

use std::path::Path;

use anyhow::Context;
use burn::DispatchDevice;
use burn::tensor::{DType, Tensor};
use evaluation::alignment::{PAIRS, PROMPTS, Pair, Prompt};
use models::labels::{DIAGNOSES, display_name};
use models::nn::Compute;
use models::nn::parameters::Parameters;
use models::nn::report::ReportEncoder;
use models::weights::mapped::WeightFile;
use statistics::embedding::{self, Retrieval};
use statistics::rows::Rows;

use super::data::Data;
use super::start::{NETWORK, PROBES, sizes};
use super::variant::{Architecture, Variant, VariantModel};
use super::{ClipModel, Contrastive};
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
    let variant = Variant::of(run)?;
    let data = Data::open(cohort)?.seen_by(&variant)?;
    let vocabulary = Vocabulary::open(text)?;
    let device = crate::stage::device(crate::stage::cpu())?;
    let question = Question { run, variant: &variant, data: &data, vocabulary: &vocabulary, split };
    let (embeddings, prompts) = match variant.architecture {
        Architecture::Prima => question.answer::<ClipModel<Compute>>(out.is_some(), &device)?,
        _ => question.answer::<VariantModel<Compute>>(out.is_some(), &device)?,
    };
    let width = sizes(run)?.projection;
    if let Some(out) = out {
        let rows = embeddings.images.chunks_exact(width).zip(embeddings.texts.chunks_exact(width));
        let pairs = data.split(split).iter().zip(rows).map(|(id, (images, report))| Pair {
            id: id.clone(),
            images: images.to_vec(),
            report: report.to_vec(),
        });
        write_lines(&out.join(PAIRS), &pairs.collect::<Vec<_>>())?;
        write_lines(&out.join(PROMPTS), &prompts)?;
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
fn prompts(
    encoder: &ReportEncoder<Compute>,
    vocabulary: &Vocabulary,
) -> anyhow::Result<Vec<Prompt>> {
    let mut prompts = Vec::new();
    for diagnosis in DIAGNOSES {
        let name = display_name(diagnosis);
        for (text, negated) in [
            (format!("1. {name}."), false),
            (format!("1. Findings of {name}."), false),
            (NORMAL.to_owned(), true),
        ] {
            let ids = [vocabulary.encode(&text)?];
            let vector = super::normalised(super::text(encoder, &ids));
            let embedding = vector.into_data().iter::<f32>().collect();
            prompts.push(Prompt { diagnosis: diagnosis.to_owned(), text, negated, embedding });
        }
    }
    Ok(prompts)
}

/// A finished run, and the studies that it is asked about.
struct Question<'a> {
    run: &'a Path,
    variant: &'a Variant,
    data: &'a Data,
    vocabulary: &'a Vocabulary,
    split: Split,
}

impl Question<'_> {
    /// What the network makes of the split, and of prompts where they are asked for.
    fn answer<M: Contrastive>(
        &self,
        with_prompts: bool,
        device: &DispatchDevice,
    ) -> anyhow::Result<(Embeddings, Vec<Prompt>)> {
        let sizes = sizes(self.run)?;
        let [network, probes] =
            [NETWORK, PROBES].map(|file| WeightFile::open(&self.run.join(file)));
        let (network, probes) = (network?, probes?);
        let weights = Overlay { first: &network, then: &probes };
        let model = M::build(&Parameters::new(&weights, device, DType::F32), &sizes, self.variant)?;
        let width = sizes.sequence_vit.transformer.dim;
        let mut embeddings = Embeddings::default();
        for pairs in self.data.parts(self.split, self.vocabulary) {
            let out = model.forward(&pairs?, true, width, device);
            embeddings.add(out.image, out.text);
        }
        let prompts =
            if with_prompts { prompts(model.report(), self.vocabulary)? } else { Vec::new() };
        Ok((embeddings, prompts))
    }
}
