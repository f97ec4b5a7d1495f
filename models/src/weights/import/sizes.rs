//! Every size of the networks, read from the shapes of a checkpoint's tensors.

use std::collections::BTreeMap;
use std::path::Path;

use super::ImportError;
use super::checkpoint::{Attention, Checkpoint, TokenizerCheckpoint, layer};
use super::modules::VISUAL;
use crate::nn::config::{
    ConvConfig, NameEncoderConfig, PatientDiscriminationConfig, PrimaConfig, ReportEncoderConfig,
    TokenizerConfig, TransformerConfig, VitConfig, VqVaeConfig,
};
use crate::weights::torch_file::StoredTensor;

/// Where the report encoder's tensors stand.
const TEXT: &str = "clipmodel.text_model.";
/// Blocks of a transformer, residual units, levels: far more than any published network has.
const MAX_REPEATS: usize = 1000;

/// Reads and checks all sizes.
pub(super) fn sizes(
    model: &Checkpoint,
    tokenizer: &TokenizerCheckpoint,
) -> Result<PrimaConfig, ImportError> {
    let shapes = Shapes { path: &model.path, tensors: &model.tensors };
    let published = PrimaConfig::prima();
    let study_vit = vit(model, shapes, "outerViT", published.study_vit.transformer.heads)?;
    let visual = |name: &str| format!("{VISUAL}{name}");
    let patient_discrimination = match shapes.find::<2>(&visual("patdisnet.0.weight"))? {
        Some([hidden, _]) => {
            let [output, _] = shapes.of(&visual("patdisnet.2.weight"))?;
            Some(PatientDiscriminationConfig { hidden, output })
        }
        None => None,
    };
    let name_heads = published.series_name.transformer.heads;
    let sequence_heads = published.sequence_vit.transformer.heads;
    let config = PrimaConfig {
        projection: study_vit.output,
        head_hidden: head_hidden(model, shapes)?,
        tokenizer: TokenizerConfig::Conv3d(vqvae(tokenizer)?),
        series_name: name_encoder(model, shapes, "serieencoder", name_heads)?,
        study_name: name_encoder(model, shapes, "studyencoder", name_heads)?,
        sequence_vit: vit(model, shapes, "innerViT", sequence_heads)?,
        study_vit,
        patient_discrimination,
        report: report(model, shapes)?,
    };
    let contradiction = |source| ImportError::Sizes { path: model.path.clone(), source };
    config.validate().map_err(contradiction)?;
    Ok(config)
}

/// Tensors by name, asked for their shapes.
#[derive(Clone, Copy)]
struct Shapes<'a> {
    path: &'a Path,
    tensors: &'a BTreeMap<String, StoredTensor>,
}

impl Shapes<'_> {
    /// The shape of a tensor that may be absent.
    fn find<const N: usize>(&self, name: &str) -> Result<Option<[usize; N]>, ImportError> {
        let Some(tensor) = self.tensors.get(name) else { return Ok(None) };
        let shape = <[usize; N]>::try_from(tensor.shape()).ok();
        match shape.filter(|shape| tensor.is_float() && !shape.contains(&0)) {
            Some(shape) => Ok(Some(shape)),
            None => {
                let found = format!("{:?} {:?}", tensor.dtype(), tensor.shape());
                let expected = format!("a tensor of floats with {N} axes");
                Err(ImportError::field(self.path, name, found, expected))
            }
        }
    }

    fn of<const N: usize>(&self, name: &str) -> Result<[usize; N], ImportError> {
        self.find(name)?.ok_or_else(|| {
            let expected = format!("a tensor with {N} axes; is this the published model?");
            ImportError::field(self.path, name, "missing", expected)
        })
    }

    /// Number of consecutive indices for which a tensor exists.
    fn repeats(&self, name: impl Fn(usize) -> String) -> usize {
        (0..MAX_REPEATS).take_while(|&i| self.tensors.contains_key(&name(i))).count()
    }
}

fn vit(
    model: &Checkpoint,
    shapes: Shapes<'_>,
    name: &str,
    published_heads: usize,
) -> Result<VitConfig, ImportError> {
    let [_, registers, dim] = shapes.of(&format!("{VISUAL}{name}.cls_token"))?;
    let [output, _] = shapes.of(&format!("{VISUAL}{name}.mlp_head.0.weight"))?;
    let transformer = transformer(model, shapes, name, dim, published_heads)?;
    Ok(VitConfig { transformer, registers, output, peaks: None })
}

fn transformer(
    model: &Checkpoint,
    shapes: Shapes<'_>,
    name: &str,
    dim: usize,
    published_heads: usize,
) -> Result<TransformerConfig, ImportError> {
    let block = |i| format!("{VISUAL}{name}.transformer.layers.{i}");
    let depth = shapes.repeats(|i| format!("{}.0.norm.weight", block(i)));
    let qkv = format!("{}.to_qkv.weight", layer(name, 0));
    let [rows, _] = shapes.of(&qkv)?;
    let [mlp_dim, _] = shapes.of(&format!("{}.1.fn.net.0.weight", block(0)))?;
    // The number of heads does not show in any shape; where neither attributes nor training
    // configuration tell it, it is the published one (specification §7).
    let attention = model.attention.get(&layer(name, 0)).copied();
    let Attention { heads, dim_head } = attention.unwrap_or_else(|| Attention {
        heads: published_heads,
        dim_head: rows / 3 / published_heads.max(1),
    });
    if heads.checked_mul(dim_head).and_then(|n| n.checked_mul(3)) != Some(rows) {
        let found = format!("a matrix of {rows} rows");
        let expected = format!("3 x {heads} heads x {dim_head}");
        return Err(ImportError::field(shapes.path, qkv, found, expected));
    }
    Ok(TransformerConfig { dim, depth, heads, dim_head, mlp_dim })
}

/// A name encoder; the pre-trained one is a pair of encoder and linear layer (specification §6).
fn name_encoder(
    model: &Checkpoint,
    shapes: Shapes<'_>,
    name: &str,
    published_heads: usize,
) -> Result<NameEncoderConfig, ImportError> {
    let pretrained = shapes.find::<2>(&format!("{VISUAL}{name}.0.embed.weight"))?.is_some();
    let encoder = if pretrained { format!("{name}.0") } else { name.to_owned() };
    let [_, embedding] = shapes.of(&format!("{VISUAL}{encoder}.embed.weight"))?;
    let first_norm = format!("{VISUAL}{encoder}.transformer.layers.0.0.norm.weight");
    let [dim] = shapes.of(&first_norm)?;
    let transformer = transformer(model, shapes, &encoder, dim, published_heads)?;
    let linear = format!("{VISUAL}{encoder}.linear.weight");
    if !pretrained {
        let [output, _] = shapes.of(&linear)?;
        return Ok(NameEncoderConfig { embedding, transformer, output, adapter: None });
    }
    let [adapter, _] = shapes.of(&format!("{VISUAL}{name}.1.weight"))?;
    // The encoder's own layer is unused here and may be gone.
    let output = shapes.find::<2>(&linear)?.map_or(adapter, |[output, _]| output);
    Ok(NameEncoderConfig { embedding, transformer, output, adapter: Some(adapter) })
}

fn report(
    model: &Checkpoint,
    shapes: Shapes<'_>,
) -> Result<Option<ReportEncoderConfig>, ImportError> {
    let Some([vocabulary, dim]) = shapes.find(&format!("{TEXT}model.wte.weight"))? else {
        return Ok(None);
    };
    let [positions, _] = shapes.of(&format!("{TEXT}model.wpe.weight"))?;
    let depth = shapes.repeats(|i| format!("{TEXT}model.h.{i}.ln_1.weight"));
    // Every published GPT-2 has heads of width 64.
    let heads = model.report_heads.unwrap_or(dim / 64);
    if heads == 0 || dim % heads != 0 {
        let field = format!("{TEXT}model.config.n_head");
        let expected = format!("a divisor of the width {dim}");
        return Err(ImportError::field(shapes.path, field, heads.to_string(), expected));
    }
    Ok(Some(ReportEncoderConfig { vocabulary, positions, dim, depth, heads }))
}

/// Hidden widths of the heads. That all heads share them is checked when they are written.
fn head_hidden(model: &Checkpoint, shapes: Shapes<'_>) -> Result<[usize; 2], ImportError> {
    let first = model.diagnosis.first().map_or("priorityhead", |head| &head.prefix);
    let [outer, _] = shapes.of(&format!("{first}.0.weight"))?;
    let [inner, _] = shapes.of(&format!("{first}.2.weight"))?;
    Ok([outer, inner])
}

fn vqvae(tokenizer: &TokenizerCheckpoint) -> Result<VqVaeConfig, ImportError> {
    let shapes = Shapes { path: &tokenizer.path, tensors: &tokenizer.tensors };
    let blocks = |part: &str| Blocks::read(shapes, part);
    let (encoder, decoder) = (blocks("encoder")?, blocks("decoder")?);
    let [codebook, codebook_dim] = shapes.of("quantizer.quantizer.embedding.weight")?;
    let sampling = |convs: &[(String, [usize; 5])]| -> Result<Vec<ConvConfig>, ImportError> {
        convs.iter().map(|(name, shape)| halving(shapes, name, shape[2])).collect()
    };
    // The encoder ends, and the decoder begins, with a layer that does not change the size.
    let (down, up) = match (encoder.convs.split_last(), decoder.convs.split_first()) {
        (Some((_, down)), Some((_, up))) => (down, up),
        _ => (&[][..], &[][..]),
    };
    let [downsample, upsample] = match &tokenizer.sampling {
        Some(sampling) => sampling.clone(),
        None => [sampling(down)?, sampling(up)?],
    };
    let levels = down.len();
    let units = encoder.residual.len();
    if levels == 0 || !units.is_multiple_of(levels) {
        let found = format!("{levels} levels with {units} residual units together");
        let expected = "at least one level, and as many units on each";
        return Err(ImportError::field(shapes.path, "encoder.blocks", found, expected));
    }
    let residual_units = units / levels;
    let residual = |level: usize| {
        encoder.residual.get(level * residual_units).copied().unwrap_or(down[level].1[0])
    };
    Ok(VqVaeConfig {
        channels: down.iter().map(|(_, shape)| shape[0]).collect(),
        residual_channels: (0..levels).map(residual).collect(),
        residual_units,
        downsample,
        upsample,
        codebook,
        codebook_dim,
    })
}

/// Layers of one half of the VQ-VAE in order.
struct Blocks {
    /// Name and shape of the convolutions.
    convs: Vec<(String, [usize; 5])>,
    /// Inner widths of the residual units.
    residual: Vec<usize>,
}

impl Blocks {
    fn read(shapes: Shapes<'_>, part: &str) -> Result<Self, ImportError> {
        let mut blocks = Self { convs: Vec::new(), residual: Vec::new() };
        for i in 0..MAX_REPEATS {
            let conv = format!("{part}.blocks.{i}.conv.weight");
            let unit = format!("{part}.blocks.{i}.conv1.conv.weight");
            if let Some(shape) = shapes.find(&conv)? {
                blocks.convs.push((conv, shape));
            } else if let Some([inner, ..]) = shapes.find::<5>(&unit)? {
                blocks.residual.push(inner);
            } else {
                break;
            }
        }
        Ok(blocks)
    }
}

/// Strides and paddings are not in a state; the published layers halve (or double) the size with
/// an even kernel (specification §3), which fixes both.
fn halving(shapes: Shapes<'_>, name: &str, kernel: usize) -> Result<ConvConfig, ImportError> {
    if kernel < 2 || !kernel.is_multiple_of(2) {
        let found = format!("a kernel of edge {kernel}");
        let expected = "an even edge: a layer that halves or doubles the size";
        return Err(ImportError::field(shapes.path, name, found, expected));
    }
    Ok(ConvConfig { kernel, stride: 2, padding: (kernel - 2) / 2 })
}
