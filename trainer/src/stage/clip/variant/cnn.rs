//! Residual networks on slices and on volumes (He et al., 2016), trained with the rest.
//!
//! Both are one network: with kernels one slice deep the slices of a series stay apart, with
//! kernels three slices deep they become one volume.

use burn::DispatchDevice;
use burn::module::{Module, Param};
use burn::nn::Linear;
use burn::tensor::backend::Backend;
use burn::tensor::module::conv3d;
use burn::tensor::ops::ConvOptions;
use burn::tensor::{Tensor, TensorData, activation};
use models::dims::{LATENT, ORIENTATION, POSITION};
use models::nn::Compute;
use models::nn::config::PrimaConfig;
use models::nn::name::NameEncoder;
use models::nn::parameters::{ParameterError, Parameters};
use models::nn::prima::{PatientDiscrimination, Prima};
use models::nn::register_vit::RegisterVit;
use models::tokens::position::{character_position, orientation};

use super::{ImagesConfig, Seen};
use crate::cohort::slices::Slices;
use crate::stage::batch::Example;
use crate::stage::clip::{embed_tokens, read_series};

/// Edge of every kernel within a slice.
pub(in crate::stage) const KERNEL: usize = 3;

/// A convolution of any depth with its bias.
#[derive(Module, Debug)]
struct Convolution<B: Backend> {
    weight: Param<Tensor<B, 5>>,
    bias: Param<Tensor<B, 1>>,
}

impl Convolution<Compute> {
    fn load(
        at: &Parameters<'_>,
        [input, output]: [usize; 2],
        depth: usize,
    ) -> Result<Self, ParameterError> {
        let shape = [output, input, depth, KERNEL, KERNEL];
        Ok(Self {
            weight: Param::from_tensor(at.tensor("weight", shape)?),
            bias: Param::from_tensor(at.tensor("bias", [output])?),
        })
    }

    fn forward(&self, x: Tensor<Compute, 5>, stride: usize) -> Tensor<Compute, 5> {
        let depth = self.weight.dims()[2];
        let along = if depth > 1 { stride } else { 1 };
        let options = ConvOptions::new(
            [along, stride, stride],
            [depth / 2, KERNEL / 2, KERNEL / 2],
            [1; 3],
            1,
        );
        conv3d(x, self.weight.val(), Some(self.bias.val()), options)
    }
}

/// A convolution that halves the edge, and a residual unit.
#[derive(Module, Debug)]
struct Level<B: Backend> {
    down: Convolution<B>,
    first: Convolution<B>,
    second: Convolution<B>,
}

impl Level<Compute> {
    fn forward(&self, x: Tensor<Compute, 5>) -> Tensor<Compute, 5> {
        let x = activation::relu(self.down.forward(x, 2));
        let hidden = activation::relu(self.first.forward(x.clone(), 1));
        activation::relu(x + self.second.forward(hidden, 1))
    }
}

/// Slices to vectors of [`LATENT`] values: one each, or one for all of them.
#[derive(Module, Debug)]
struct Cnn<B: Backend> {
    levels: Vec<Level<B>>,
    output: Linear<B>,
    depth: usize,
}

impl Cnn<Compute> {
    fn load(
        at: &Parameters<'_>,
        images: &ImagesConfig,
        depth: usize,
    ) -> Result<Self, ParameterError> {
        let mut input = 1;
        let mut levels = Vec::new();
        for (i, &channels) in images.channels.iter().enumerate() {
            let at = at.at(format_args!("levels.{i}"));
            let load = |name: &str, io| Convolution::load(&at.at(name), io, depth);
            levels.push(Level {
                down: load("down", [input, channels])?,
                first: load("first", [channels, channels])?,
                second: load("second", [channels, channels])?,
            });
            input = channels;
        }
        Ok(Self { levels, output: at.at("output").linear(input, LATENT, true)?, depth })
    }

    /// The slices of one series to `[n, 256]`, or to `[1, 256]`.
    fn forward(&self, slices: &Slices, device: &DispatchDevice) -> Tensor<Compute, 2> {
        let shape = [1, 1, slices.positions.len(), slices.edge, slices.edge];
        let x = TensorData::new(slices.values.clone(), shape);
        let x = Tensor::<Compute, 5>::from_data(x, device);
        let x = self.levels.iter().fold(x, |x, level| level.forward(x));
        let [_, channels, count, height, width] = x.dims();
        // [C, n]
        let x = x.reshape([channels, count, height * width]).mean_dim(2).reshape([channels, count]);
        let x = if self.depth > 1 { x.mean_dim(1) } else { x };
        self.output.forward(x.transpose())
    }
}

/// Slices as tokens of the hierarchical ViT.
#[derive(Module, Debug)]
pub(super) struct SliceVit<B: Backend> {
    cnn: Cnn<B>,
    prima: Prima<B>,
    width: usize,
}

impl SliceVit<Compute> {
    /// Reads `visual_model.*`.
    pub(super) fn load(
        at: &Parameters<'_>,
        sizes: &PrimaConfig,
        images: &ImagesConfig,
    ) -> Result<Self, ParameterError> {
        Ok(Self {
            cnn: Cnn::load(&at.at("visual_model.cnn"), images, 1)?,
            prima: Prima::load(at, sizes)?,
            width: sizes.sequence_vit.transformer.dim,
        })
    }

    pub(super) fn with_fixed_names(mut self) -> Self {
        self.prima = self.prima.with_fixed_names();
        self
    }

    pub(super) fn see(&self, examples: &[&Example], device: &DispatchDevice) -> Seen {
        let series = examples.iter().flat_map(|e| &e.series);
        let tokens = series.map(|series| {
            let latents = self.cnn.forward(&series.slices, device);
            Tensor::cat(vec![latents, places(&series.slices, self.width, device)], 1)
        });
        let found = embed_tokens(&self.prima, examples, tokens.collect(), read_series);
        Seen {
            patient: self.prima.patient_features(found.pooled_series),
            pooled: found.pooled,
            projected: found.projected,
        }
    }
}

/// Behind the latent values of each slice what a token has there: where it lies, with a whole
/// slice at 0 along its own axes, and its plane; `[n, width - 256]`.
fn places(slices: &Slices, width: usize, device: &DispatchDevice) -> Tensor<Compute, 2> {
    let padding = vec![0.0; width - LATENT - POSITION - ORIENTATION];
    let mut values: Vec<f32> = Vec::new();
    for &slice in &slices.positions {
        let along = |axis| character_position(if axis == slices.thin_axis { slice } else { 0 });
        values.extend((0..3).flat_map(along));
        values.extend(orientation(slices.thin_axis));
        values.extend(&padding);
    }
    let shape = [slices.positions.len(), width - LATENT];
    Tensor::from_data(TensorData::new(values, shape), device)
}

/// Volumes as series of the study ViT.
#[derive(Module, Debug)]
pub(super) struct VolumeVit<B: Backend> {
    cnn: Cnn<B>,
    series_name: NameEncoder<B>,
    study_name: NameEncoder<B>,
    /// From a volume's vector and its name's to the width of the study ViT.
    joined: Linear<B>,
    study_vit: RegisterVit<B>,
    patient: Option<PatientDiscrimination<B>>,
}

impl VolumeVit<Compute> {
    /// Reads `visual_model.*`.
    pub(super) fn load(
        at: &Parameters<'_>,
        sizes: &PrimaConfig,
        images: &ImagesConfig,
    ) -> Result<Self, ParameterError> {
        let at = at.at("visual_model");
        let dim = sizes.study_vit.transformer.dim;
        let both = LATENT + sizes.sequence_vit.transformer.dim;
        let patient = sizes.patient_discrimination;
        let patient = patient.map(|c| PatientDiscrimination::load(&at.at("patdisnet"), dim, c));
        Ok(Self {
            cnn: Cnn::load(&at.at("cnn"), images, KERNEL)?,
            series_name: NameEncoder::load(&at.at("serieencoder"), &sizes.series_name)?,
            study_name: NameEncoder::load(&at.at("studyencoder"), &sizes.study_name)?,
            joined: at.at("joined").linear(both, dim, true)?,
            study_vit: RegisterVit::load(&at.at("outerViT"), &sizes.study_vit)?,
            patient: patient.transpose()?,
        })
    }

    pub(super) fn with_fixed_names(mut self) -> Self {
        self.series_name = self.series_name.no_grad();
        self
    }

    pub(super) fn see(&self, examples: &[&Example], device: &DispatchDevice) -> Seen {
        let series = || examples.iter().flat_map(|e| &e.series);
        let volumes = series().map(|s| self.cnn.forward(&s.slices, device)).collect();
        let names: Vec<Vec<u8>> = series().map(|s| s.name.clone()).collect();
        let both = vec![Tensor::cat(volumes, 0), self.series_name.forward(&names)];
        let vectors = self.joined.forward(Tensor::cat(both, 1)); // [S, D]
        let mut first = 0;
        let of_study = examples.iter().map(|e| {
            first += e.series.len();
            vectors.clone().narrow(0, first - e.series.len(), e.series.len())
        });
        let of_study = of_study.collect();
        let packed = if examples.iter().any(|e| e.description.is_empty()) {
            self.study_vit.pack_without_prefix(of_study)
        } else {
            let ids: Vec<Vec<u8>> = examples.iter().map(|e| e.description.clone()).collect();
            self.study_vit.pack(&self.study_name.forward(&ids), of_study)
        };
        let found = self.study_vit.forward(packed);
        Seen {
            pooled: found.pooled,
            projected: found.output,
            patient: self.patient.as_ref().map(|network| network.forward(vectors)),
        }
    }
}
