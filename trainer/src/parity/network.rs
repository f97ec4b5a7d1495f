//! Name encoders, sequence ViT, study ViT, heads, report encoder.

use anyhow::{Context, Result, ensure};
use burn::DispatchDevice;
use burn::tensor::{DType, Tensor, TensorData};
use models::dims::{LATENT, TOKEN_FEATURES};
use models::engine::Precision;
use models::nn::Compute;
use models::nn::head::Head;
use models::nn::parameters::Parameters;
use models::nn::prima::Prima;
use models::nn::report::ReportEncoder;
use models::tokens::position::assemble_token;
use models::tokens::text::char_ids;

use super::ABSOLUTE;
use super::input::{Folder, Tensors};
use super::report::Report;
use super::tokenizer::{tensor, values};

/// Absolute tolerance on stage tensors in half precision: ten bits of mantissa on values of order
/// one, through the blocks of a small network.
pub(super) const HALF: f64 = 2e-2;

/// Stages that a recording may leave out.
const OPTIONAL: [&str; 3] = ["inner_x0", "inner_after_", "patdis"];

struct Stages<'a> {
    prima: Prima<Compute>,
    io: Tensors,
    folder: &'a Folder,
    device: &'a DispatchDevice,
    dtype: DType,
    tolerance: f64,
    prefix: &'static str,
}

pub(super) fn compare(
    folder: &Folder,
    device: &DispatchDevice,
    precision: Precision,
    report: &mut Report,
) -> Result<()> {
    let state = folder.tensors("fullmodel_state.safetensors")?;
    let (dtype, tolerance, prefix) = match precision {
        Precision::Full => (DType::F32, ABSOLUTE, ""),
        Precision::Half => (DType::F16, HALF, "half: "),
    };
    let at = Parameters::new(&state, device, dtype);
    let prima = Prima::load(&at.at("clipmodel"), &folder.sizes)?;
    let io = folder.tensors("model_io.safetensors")?;
    let stages = Stages { prima, io, folder, device, dtype, tolerance, prefix };
    let mut embeddings = Vec::new();
    for j in 0..folder.studies() {
        embeddings.push(stages.study(j, report)?);
    }
    stages.row("batch.clip_emb", Tensor::cat(embeddings, 0), report)?;
    // Heads sum in f32 in either precision, so they have rows once.
    if precision == Precision::Full {
        let at = Parameters::new(&state, device, DType::F32);
        stages.heads(&at, report)?;
        stages.reports(&at, report)?;
    }
    Ok(())
}

impl Stages<'_> {
    fn row<const N: usize>(
        &self,
        name: &str,
        found: Tensor<Compute, N>,
        report: &mut Report,
    ) -> Result<()> {
        let stage = format!("{}{name}", self.prefix);
        if self.io.contains(name) {
            report.close(stage, &values(found), &self.io.f32(name)?, self.tolerance);
        } else if !OPTIONAL.iter().any(|stage| name.contains(stage)) {
            report.push(
                stage,
                0,
                f64::INFINITY,
                self.tolerance,
                false,
                "not in model_io.safetensors",
            );
        }
        Ok(())
    }

    /// One study from recorded latents to its embedding.
    fn study(&self, j: usize, report: &mut Report) -> Result<Tensor<Compute, 2>> {
        let (names, description) = self.folder.names(j)?;
        let ids: Vec<Vec<u8>> = names.iter().map(|name| char_ids(name).ids).collect();
        let names = self.prima.series_names(&ids);
        self.row(&format!("study{j}.name_emb"), names.clone(), report)?;
        let description = self.prima.study_names(&[char_ids(&description).ids]);
        self.row(&format!("study{j}.desc_emb"), description.clone(), report)?;

        let mut tokens = Vec::new();
        for i in 0..ids.len() {
            tokens.push(self.tokens(j, i, report)?);
        }
        self.first_layer(j, &names, &tokens, report)?;
        let series = self.prima.series(&names, tokens);
        self.row(&format!("study{j}.inner_raw"), series.pooled.clone(), report)?;
        self.row(&format!("study{j}.inner_out"), series.output.clone(), report)?;
        if let Some(features) = self.prima.patient_features(series.pooled) {
            self.row(&format!("study{j}.patdis"), features, report)?;
        }
        let study = self.prima.studies(&description, vec![series.output]);
        self.row(&format!("study{j}.clip_emb"), study.pooled.clone(), report)?;
        self.row(&format!("study{j}.visual_proj"), study.output.clone(), report)?;
        self.row(&format!("study{j}.visual_unit"), unit(study.output), report)?;
        Ok(study.pooled)
    }

    /// Tokens of one series from recorded latents and coordinates, padded to the network's width.
    fn tokens(&self, j: usize, i: usize, report: &mut Report) -> Result<Tensor<Compute, 2>> {
        let name = format!("study{j}.series{i}");
        let latents = self.io.f32(&format!("{name}.z_e"))?;
        let shape = self.io.shape(&format!("{name}.z_e"))?;
        let thin_axis = (0..3).find(|a| shape[2 + a] == 2).context("z_e has no thin axis")?;
        let coordinates = self.io.i64(&format!("{name}.coords"))?;
        let (count, latent) = (shape[0], shape[1..].iter().product::<usize>());
        ensure!(latent == LATENT, "{name}.z_e has {latent} values a token, expected {LATENT}");
        let mut tokens = vec![0.0; count * TOKEN_FEATURES];
        for (n, token) in tokens.as_chunks_mut::<TOKEN_FEATURES>().0.iter_mut().enumerate() {
            let start =
                [0, 1, 2].map(|a| u32::try_from(coordinates[n * 3 + a]).unwrap_or(u32::MAX));
            assemble_token(&latents[n * latent..(n + 1) * latent], thin_axis, start, token);
        }
        // The recorded rows carry the network's own padding when its width is above 289.
        let width = self.folder.sizes.sequence_vit.transformer.dim;
        let mut padded = vec![0.0; count * width];
        for (token, out) in tokens.chunks_exact(TOKEN_FEATURES).zip(padded.chunks_exact_mut(width))
        {
            out[..TOKEN_FEATURES].copy_from_slice(token);
        }
        let expected = self.io.f32(&format!("{name}.tokens"))?;
        let found = if expected.len() == tokens.len() { &tokens } else { &padded };
        report.close(format!("{}{name}.tokens", self.prefix), found, &expected, self.tolerance);
        let padded = TensorData::new(padded, [count, width]);
        let tokens = Tensor::<Compute, 2>::from_data(padded, self.device);
        Ok(tokens.cast(self.dtype))
    }

    /// The first block of the sequence ViT on the first series.
    fn first_layer(
        &self,
        j: usize,
        names: &Tensor<Compute, 2>,
        tokens: &[Tensor<Compute, 2>],
        report: &mut Report,
    ) -> Result<()> {
        let vit = self.prima.sequence_vit();
        let packed = vit.pack(&names.clone().narrow(0, 0, 1), vec![tokens[0].clone()]);
        let block = &vit.transformer().blocks()[0];
        let name = |stage: &str| format!("study{j}.series0.{stage}");
        self.row(&name("inner_x0"), packed.x.clone(), report)?;
        let attended = block.attend(packed.x.clone(), &packed.lengths);
        self.row(&name("inner_after_attn0"), attended, report)?;
        let after = block.forward(packed.x, &packed.lengths);
        self.row(&name("inner_after_layer0"), after, report)
    }

    /// Every head on the recorded embedding.
    fn heads(&self, at: &Parameters<'_>, report: &mut Report) -> Result<()> {
        let [first, second] = self.folder.sizes.head_hidden;
        let input = self.folder.sizes.embedding();
        for j in 0..self.folder.studies() {
            let embedding = tensor::<2>(&self.io, &format!("study{j}.clip_emb"), self.device)?;
            let model = &self.folder.model;
            for (kind, heads) in [("diagnosis", &model.diagnosis), ("referral", &model.referral)] {
                let mut found = Vec::new();
                for head in heads {
                    let last = model.tensors.get(&format!("{}.4.bias", head.prefix));
                    let outputs = last.context("a head has no last layer")?.elements();
                    let widths = [input, first, second, outputs];
                    let layers = Head::load(&at.at(&head.prefix), widths)?;
                    let logits = values(layers.forward(embedding.clone()));
                    found.push(logits[head.output_index] - head.threshold);
                }
                let name = format!("study{j}.{kind}");
                let expected = self.io.f32(&name)?;
                report.close(name, &found, &expected, self.tolerance);
            }
            let name = format!("study{j}.priority");
            let classes = self.io.f32(&name)?.len();
            let head = Head::load(&at.at("priorityhead"), [input, first, second, classes])?;
            self.row(&name, head.forward(embedding), report)?;
        }
        Ok(())
    }

    /// GPT-2 and the projection of its last state.
    fn reports(&self, at: &Parameters<'_>, report: &mut Report) -> Result<()> {
        let Some(config) = &self.folder.sizes.report else { return Ok(()) };
        let encoder =
            ReportEncoder::load(&at.at("clipmodel"), config, self.folder.sizes.projection)?;
        let width = self.io.shape("text.ids")?[1];
        let ids = self.io.i64("text.ids")?;
        let ids: Vec<Vec<i64>> = ids.chunks_exact(width).map(<[i64]>::to_vec).collect();
        let lengths = self.io.i64("text.len")?;
        let lengths: Vec<usize> =
            lengths.into_iter().map(usize::try_from).collect::<Result<_, _>>()?;
        let hidden = encoder.hidden(&ids);
        self.row("text.last_hidden", hidden.clone(), report)?;
        let projected = encoder.project(&hidden, &lengths);
        self.row("text.proj", projected.clone(), report)?;
        self.row("text.unit", unit(projected), report)
    }
}

/// Rows divided by their length.
fn unit(x: Tensor<Compute, 2>) -> Tensor<Compute, 2> {
    let length = x.clone().powi_scalar(2).sum_dim(1).sqrt();
    x / length
}
