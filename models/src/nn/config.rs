//! Every size of the networks. The published sizes are [`PrimaConfig::prima`]; an import reads
//! them from the checkpoint (specification §3, §6–§11).

use serde::{Deserialize, Serialize};

use crate::dims::{LATENT, TOKEN_FEATURES};

/// One strided convolution of the volume tokenizer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ConvConfig {
    /// Cube edge of the kernel.
    pub kernel: usize,
    /// Stride on all three axes.
    pub stride: usize,
    /// Zero padding on all three axes.
    pub padding: usize,
}

/// Sizes of the VQ-VAE (specification §3).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct VqVaeConfig {
    /// Channels after each down-sampling level, outermost first.
    pub channels: Vec<usize>,
    /// Channels inside the residual units of each level.
    pub residual_channels: Vec<usize>,
    /// Residual units per level.
    pub residual_units: usize,
    /// Down-sampling convolution of each level, outermost first.
    pub downsample: Vec<ConvConfig>,
    /// Up-sampling (transposed) convolution of each level in the decoder's order, innermost
    /// first.
    pub upsample: Vec<ConvConfig>,
    /// Entries of the codebook.
    pub codebook: usize,
    /// Channels of a codebook entry.
    pub codebook_dim: usize,
}

/// Sizes of the edge tokenizer and of its decoder ([`super::mixer`]).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MixerConfig {
    /// Channels of a cell.
    pub width: usize,
    /// Number of blocks.
    pub depth: usize,
    /// Hidden width across the 64 cells.
    pub cell_hidden: usize,
    /// Hidden width across channels.
    pub hidden: usize,
    /// Entries of the codebook; training only.
    pub codebook: usize,
    /// Channels of a codebook entry; training only.
    pub codebook_dim: usize,
}

/// Which volume tokenizer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "architecture", rename_all = "snake_case")]
pub enum TokenizerConfig {
    /// The published 3-D convolutions.
    Conv3d(VqVaeConfig),
    /// Matrix products only, for the edge.
    Mixer(MixerConfig),
}

/// A pre-norm transformer (specification §7).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TransformerConfig {
    /// Width, `D`.
    pub dim: usize,
    /// Number of blocks.
    pub depth: usize,
    /// Attention heads, `H`.
    pub heads: usize,
    /// Width of one head.
    pub dim_head: usize,
    /// Hidden width of the MLP.
    pub mlp_dim: usize,
}

/// A transformer with registers and a linear output (specification §8, §9).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct VitConfig {
    /// The blocks.
    pub transformer: TransformerConfig,
    /// Number of registers, `R`.
    pub registers: usize,
    /// Width of the linear output over the concatenated registers.
    pub output: usize,
    /// What this network does with tokens before and after its blocks; the published one nothing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub peaks: Option<PeaksConfig>,
}

/// Tokens judged one by one ([`super::peaks`]).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PeaksConfig {
    /// Hidden width of the MLP that every token passes before the blocks.
    pub hidden: usize,
    /// Features whose largest value over all tokens stands beside the registers.
    pub features: usize,
}

impl VitConfig {
    /// Width of what is read from a sequence: the registers, joined, and the peaks.
    #[must_use]
    pub fn pooled(&self) -> usize {
        self.registers * self.transformer.dim + self.peaks.map_or(0, |peaks| peaks.features)
    }
}

/// Character transformer for series and study names (specification §6).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NameEncoderConfig {
    /// Width of the character embedding; ten position values are appended to it.
    pub embedding: usize,
    /// The blocks; `dim` is `embedding + 10`.
    pub transformer: TransformerConfig,
    /// Width of the encoder's own linear output. In the pre-trained series encoder it is present
    /// but unused.
    pub output: usize,
    /// Width of the separate linear layer that replaces the encoder's own one in the pre-trained
    /// series encoder; absent otherwise.
    pub adapter: Option<usize>,
}

/// Patient-discrimination network on the concatenated registers (specification §11).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PatientDiscriminationConfig {
    /// Hidden width.
    pub hidden: usize,
    /// Output width.
    pub output: usize,
}

/// The GPT-2 report encoder (specification §11); training only.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ReportEncoderConfig {
    /// Size of the vocabulary.
    pub vocabulary: usize,
    /// Longest report in tokens.
    pub positions: usize,
    /// Width.
    pub dim: usize,
    /// Number of blocks.
    pub depth: usize,
    /// Attention heads.
    pub heads: usize,
}

/// Sizes of the whole published model except its heads, whose sizes stand in their own files.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PrimaConfig {
    /// Width of the image-report space.
    pub projection: usize,
    /// Hidden widths of every head.
    pub head_hidden: [usize; 2],
    /// Volume tokenizer.
    pub tokenizer: TokenizerConfig,
    /// Encoder of series names.
    pub series_name: NameEncoderConfig,
    /// Encoder of study descriptions.
    pub study_name: NameEncoderConfig,
    /// Sequence ViT (paper: `ViT_seq`).
    pub sequence_vit: VitConfig,
    /// Study ViT (paper: `ViT_st`).
    pub study_vit: VitConfig,
    /// Patient discrimination, where the checkpoint carries it.
    pub patient_discrimination: Option<PatientDiscriminationConfig>,
    /// Report encoder, where the checkpoint carries it.
    pub report: Option<ReportEncoderConfig>,
}

impl VqVaeConfig {
    /// The published tokenizer.
    #[must_use]
    pub fn prima() -> Self {
        let levels = vec![
            ConvConfig { kernel: 4, stride: 2, padding: 1 },
            ConvConfig { kernel: 2, stride: 2, padding: 0 },
        ];
        Self {
            channels: vec![256, 256],
            residual_channels: vec![256, 256],
            residual_units: 2,
            downsample: levels.clone(),
            // The published decoder lists its levels in the encoder's order, so that it does not
            // mirror the encoder (specification §3).
            upsample: levels,
            codebook: 8192,
            codebook_dim: 2,
        }
    }
}

impl VqVaeConfig {
    /// Checks that the levels fit together and give [`LATENT`] values a token.
    fn validate(&self) -> Result<(), ConfigError> {
        let levels = self.downsample.len();
        for (field, found) in [
            ("tokenizer.channels (count)", self.channels.len()),
            ("tokenizer.residual_channels (count)", self.residual_channels.len()),
            ("tokenizer.upsample (count)", self.upsample.len()),
        ] {
            expect(field, found, levels)?;
        }
        expect("tokenizer latent values", self.latent(), LATENT)
    }

    /// Latent values per token for a repeated 32 x 32 x 4 patch.
    fn latent(&self) -> usize {
        let shrink = |edge: usize| {
            self.downsample.iter().fold(edge, |edge, conv| {
                (edge + 2 * conv.padding).saturating_sub(conv.kernel) / conv.stride.max(1) + 1
            })
        };
        self.codebook_dim * shrink(8) * shrink(32) * shrink(32)
    }
}

impl PrimaConfig {
    /// The published sizes with the inner width that 56,584,305 parameters imply
    /// (specification §8).
    #[must_use]
    pub fn prima() -> Self {
        let name = |output, adapter| NameEncoderConfig {
            embedding: 246,
            transformer: TransformerConfig {
                dim: 256,
                depth: 3,
                heads: 4,
                dim_head: 64,
                mlp_dim: 300,
            },
            output,
            adapter,
        };
        Self {
            projection: 128,
            head_hidden: [4000, 1000],
            tokenizer: TokenizerConfig::Conv3d(VqVaeConfig::prima()),
            series_name: name(128, Some(TOKEN_FEATURES)),
            study_name: name(1024, None),
            sequence_vit: VitConfig {
                transformer: TransformerConfig {
                    dim: TOKEN_FEATURES,
                    depth: 15,
                    heads: 16,
                    dim_head: 64,
                    mlp_dim: 1024,
                },
                registers: 20,
                output: 1024,
                peaks: None,
            },
            study_vit: VitConfig {
                transformer: TransformerConfig {
                    dim: 1024,
                    depth: 4,
                    heads: 8,
                    dim_head: 64,
                    mlp_dim: 1024,
                },
                registers: 10,
                output: 128,
                peaks: None,
            },
            patient_discrimination: Some(PatientDiscriminationConfig { hidden: 500, output: 128 }),
            report: Some(ReportEncoderConfig {
                vocabulary: 50257,
                positions: 1024,
                dim: 768,
                depth: 12,
                heads: 12,
            }),
        }
    }

    /// The edge student: matrix products only, for a clinic's CPU.
    #[must_use]
    pub fn edge() -> Self {
        let name = |output, adapter| NameEncoderConfig {
            embedding: 54,
            transformer: TransformerConfig {
                dim: 64,
                depth: 2,
                heads: 2,
                dim_head: 32,
                mlp_dim: 128,
            },
            output,
            adapter,
        };
        let transformer =
            |dim, depth| TransformerConfig { dim, depth, heads: 4, dim_head: 48, mlp_dim: 512 };
        Self {
            projection: 64,
            head_hidden: [256, 128],
            tokenizer: TokenizerConfig::Mixer(MixerConfig {
                width: 64,
                depth: 2,
                cell_hidden: 64,
                hidden: 128,
                codebook: 512,
                codebook_dim: 2,
            }),
            series_name: name(64, Some(TOKEN_FEATURES)),
            study_name: name(192, None),
            sequence_vit: VitConfig {
                transformer: transformer(TOKEN_FEATURES, 2),
                registers: 6,
                output: 192,
                peaks: Some(PeaksConfig { hidden: 512, features: 64 }),
            },
            study_vit: VitConfig {
                transformer: transformer(192, 2),
                registers: 4,
                output: 64,
                peaks: Some(PeaksConfig { hidden: 256, features: 64 }),
            },
            patient_discrimination: None,
            report: None,
        }
    }

    /// A network of the same shape that runs in a moment: for demonstrations and tests.
    #[must_use]
    pub fn tiny() -> Self {
        let transformer =
            |dim| TransformerConfig { dim, depth: 2, heads: 4, dim_head: 16, mlp_dim: 64 };
        let name = |output, adapter| NameEncoderConfig {
            embedding: 38,
            transformer: transformer(48),
            output,
            adapter,
        };
        Self {
            projection: 16,
            head_hidden: [24, 16],
            tokenizer: TokenizerConfig::Conv3d(VqVaeConfig {
                channels: vec![16, 16],
                residual_channels: vec![16, 16],
                codebook: 64,
                ..VqVaeConfig::prima()
            }),
            series_name: name(16, Some(TOKEN_FEATURES)),
            study_name: name(64, None),
            sequence_vit: VitConfig {
                transformer: transformer(TOKEN_FEATURES),
                registers: 4,
                output: 64,
                peaks: None,
            },
            study_vit: VitConfig {
                transformer: transformer(64),
                registers: 4,
                output: 16,
                peaks: None,
            },
            patient_discrimination: None,
            report: None,
        }
    }

    /// Width of the study embedding that every head reads: what the study ViT pools.
    #[must_use]
    pub fn embedding(&self) -> usize {
        self.study_vit.pooled()
    }

    /// Checks that the parts fit one another.
    ///
    /// # Errors
    ///
    /// Names the field, what was found and what it must be.
    pub fn validate(&self) -> Result<(), ConfigError> {
        self.refuse_zeros()?;
        let sequence = self.sequence_vit.transformer.dim;
        if sequence < TOKEN_FEATURES {
            return Err(ConfigError {
                field: "sequence_vit.transformer.dim",
                found: sequence,
                expected: TOKEN_FEATURES,
            });
        }
        let series_name = self.series_name.adapter.unwrap_or(self.series_name.output);
        expect("series_name output width", series_name, sequence)?;
        expect("sequence_vit.output", self.sequence_vit.output, self.study_vit.transformer.dim)?;
        expect("study_name.output", self.study_name.output, self.study_vit.transformer.dim)?;
        expect("study_vit.output", self.study_vit.output, self.projection)?;
        for (field, name) in [
            ("series_name.embedding", &self.series_name),
            ("study_name.embedding", &self.study_name),
        ] {
            expect(field, name.embedding + NAME_POSITION, name.transformer.dim)?;
        }
        match &self.tokenizer {
            TokenizerConfig::Conv3d(tokenizer) => tokenizer.validate(),
            TokenizerConfig::Mixer(_) => Ok(()),
        }
    }

    /// Every size but a padding is at least 1.
    fn refuse_zeros(&self) -> Result<(), ConfigError> {
        let transformer = |t: &TransformerConfig| [t.dim, t.depth, t.heads, t.dim_head, t.mlp_dim];
        let vit = |v: &VitConfig| {
            let peaks = v.peaks.unwrap_or(PeaksConfig { hidden: 1, features: 1 });
            // Tokens that are judged one by one need no block.
            let depth = v.transformer.depth + usize::from(v.peaks.is_some());
            let own = [v.registers, v.output, peaks.hidden, peaks.features];
            [&transformer(&TransformerConfig { depth, ..v.transformer })[..], &own].concat()
        };
        let name = |n: &NameEncoderConfig| {
            let own = [n.embedding, n.output, n.adapter.unwrap_or(1)];
            [&transformer(&n.transformer)[..], &own].concat()
        };
        let tokenizer = match &self.tokenizer {
            TokenizerConfig::Conv3d(t) => {
                let levels = t.downsample.iter().chain(&t.upsample);
                let kernels = levels.flat_map(|c| [c.kernel, c.stride]);
                let channels = t.channels.iter().chain(&t.residual_channels).copied();
                kernels.chain(channels).chain([t.codebook, t.codebook_dim]).collect()
            }
            TokenizerConfig::Mixer(t) => {
                vec![t.width, t.cell_hidden, t.hidden, t.codebook, t.codebook_dim]
            }
        };
        let groups: [(&'static str, Vec<usize>); 5] = [
            ("projection or head_hidden", [&[self.projection], &self.head_hidden[..]].concat()),
            ("a size of tokenizer", tokenizer),
            (
                "a size of series_name or study_name",
                [name(&self.series_name), name(&self.study_name)].concat(),
            ),
            ("a size of sequence_vit", vit(&self.sequence_vit)),
            ("a size of study_vit", vit(&self.study_vit)),
        ];
        match groups.into_iter().find(|(_, sizes)| sizes.contains(&0)) {
            None => Ok(()),
            Some((field, _)) => Err(ConfigError { field, found: 0, expected: 1 }),
        }
    }
}

fn expect(field: &'static str, found: usize, expected: usize) -> Result<(), ConfigError> {
    if found == expected { Ok(()) } else { Err(ConfigError { field, found, expected }) }
}

/// Position values appended to every character embedding (specification §6).
pub const NAME_POSITION: usize = 10;

/// Sizes that contradict each other.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("{field} is {found}, but the other sizes need {expected}")]
pub struct ConfigError {
    /// The field at fault.
    pub field: &'static str,
    /// Its value.
    pub found: usize,
    /// The value that would fit.
    pub expected: usize,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn presets_fit_together() {
        PrimaConfig::prima().validate().unwrap();
        PrimaConfig::tiny().validate().unwrap();
        PrimaConfig::edge().validate().unwrap();
    }

    #[test]
    fn a_contradiction_is_named() {
        let mut config = PrimaConfig::tiny();
        config.study_name.output = 65;
        let error = config.validate().unwrap_err().to_string();
        assert_eq!(error, "study_name.output is 65, but the other sizes need 64");
    }
}
