//! Where the networks' parameters come from: a weight file, or a seed.
//!
//! Every network is built by one path, `load(&Parameters, config)`, which asks for tensors by
//! the published checkpoint's names and by the shape the configuration promises. A bundle, an
//! imported checkpoint and random initialisation differ only in the [`ParameterSource`].

use burn::DispatchDevice;
use burn::module::Param;
use burn::nn::conv::{Conv3d, Conv3dConfig, ConvTranspose3d, ConvTranspose3dConfig};
use burn::nn::{LayerNorm, LayerNormConfig, Linear, LinearConfig, PaddingConfig3d};
use burn::tensor::{DType, Tensor, TensorData};

use super::Compute;
use super::config::ConvConfig;

/// Tensors by name.
pub trait ParameterSource {
    /// The tensor as f32 values in C order.
    ///
    /// # Errors
    ///
    /// When the tensor is missing or has another shape.
    fn read(&self, name: &str, shape: &[usize]) -> Result<Vec<f32>, ParameterError>;

    /// True when a tensor of that name exists.
    fn contains(&self, name: &str) -> bool;
}

/// A tensor that is not what the configuration promises.
#[derive(Debug, thiserror::Error)]
pub enum ParameterError {
    /// No tensor of that name.
    #[error(
        "{origin}: tensor {name} is missing, the sizes promise it with shape {expected:?}; weights and sizes are of different models"
    )]
    Missing {
        /// File, or other source.
        origin: String,
        /// Tensor name.
        name: String,
        /// Promised shape.
        expected: Vec<usize>,
    },
    /// Another shape.
    #[error(
        "{origin}: tensor {name} has shape {found:?}, the sizes promise {expected:?}; weights and sizes are of different models"
    )]
    Shape {
        /// File, or other source.
        origin: String,
        /// Tensor name.
        name: String,
        /// Shape in the source.
        found: Vec<usize>,
        /// Promised shape.
        expected: Vec<usize>,
    },
    /// A tensor that no size promises.
    #[error(
        "{origin}: tensor {name} is not promised by the sizes; weights and sizes are of different models"
    )]
    Unpromised {
        /// File, or other source.
        origin: String,
        /// Tensor name.
        name: String,
    },
    /// A number type the networks do not read.
    #[error("{origin}: tensor {name} holds {found}; f32, f16 or bf16 is expected")]
    Type {
        /// File, or other source.
        origin: String,
        /// Tensor name.
        name: String,
        /// Number type found.
        found: String,
    },
    /// A value that is not finite: one would make every output of a study NaN.
    #[error(
        "{origin}: tensor {name} holds a value that is not finite at element {element}; export the bundle again"
    )]
    NotFinite {
        /// File, or other source.
        origin: String,
        /// Tensor name.
        name: String,
        /// First such element.
        element: usize,
    },
}

/// Added to the variance that a layer norm divides by.
pub(super) const EPSILON: f32 = 1e-5;

/// A place in a [`ParameterSource`], the device and the number type tensors are made for.
#[derive(Clone)]
pub struct Parameters<'a> {
    source: &'a dyn ParameterSource,
    device: &'a DispatchDevice,
    dtype: DType,
    prefix: String,
}

impl<'a> Parameters<'a> {
    /// The root of a source.
    #[must_use]
    pub fn new(source: &'a dyn ParameterSource, device: &'a DispatchDevice, dtype: DType) -> Self {
        Self { source, device, dtype, prefix: String::new() }
    }

    /// The place `name` below this one.
    #[must_use]
    pub fn at(&self, name: impl std::fmt::Display) -> Self {
        Self { prefix: self.name(name), ..self.clone() }
    }

    /// True when a tensor `name` exists at this place.
    #[must_use]
    pub fn contains(&self, name: &str) -> bool {
        self.source.contains(&self.name(name))
    }

    /// The tensor `name`, which must have `shape`.
    ///
    /// # Errors
    ///
    /// When it is missing or has another shape.
    pub fn tensor<const N: usize>(
        &self,
        name: &str,
        shape: [usize; N],
    ) -> Result<Tensor<Compute, N>, ParameterError> {
        let values = self.source.read(&self.name(name), &shape)?;
        Ok(self.constant(values, shape))
    }

    /// Values that are computed rather than stored, on the same device in the same number type.
    #[must_use]
    pub fn constant<const N: usize>(
        &self,
        values: Vec<f32>,
        shape: [usize; N],
    ) -> Tensor<Compute, N> {
        let tensor = Tensor::from_data(TensorData::new(values, shape), (self.device, DType::F32));
        if self.dtype == DType::F32 { tensor } else { tensor.cast(self.dtype) }
    }

    /// A linear layer stored as PyTorch does, `[output, input]`.
    ///
    /// # Errors
    ///
    /// When a tensor is missing or has another shape.
    pub fn linear(
        &self,
        input: usize,
        output: usize,
        bias: bool,
    ) -> Result<Linear<Compute>, ParameterError> {
        let weight = self.tensor("weight", [output, input])?.transpose();
        self.linear_from(weight, bias)
    }

    /// A linear layer stored as GPT-2 does (`Conv1D`), `[input, output]`, with bias.
    ///
    /// # Errors
    ///
    /// When a tensor is missing or has another shape.
    pub fn linear_conv1d(
        &self,
        input: usize,
        output: usize,
    ) -> Result<Linear<Compute>, ParameterError> {
        self.linear_from(self.tensor("weight", [input, output])?, true)
    }

    fn linear_from(
        &self,
        weight: Tensor<Compute, 2>,
        bias: bool,
    ) -> Result<Linear<Compute>, ParameterError> {
        let [input, output] = weight.dims();
        let mut linear = LinearConfig::new(input, output).with_bias(bias).init(self.device);
        linear.weight = Param::from_tensor(weight);
        if bias {
            linear.bias = Some(Param::from_tensor(self.tensor("bias", [output])?));
        }
        Ok(linear)
    }

    /// Layer normalisation over `dim` features, epsilon 1e-5.
    ///
    /// # Errors
    ///
    /// When a tensor is missing or has another shape.
    pub fn layer_norm(&self, dim: usize) -> Result<LayerNorm<Compute>, ParameterError> {
        let mut norm = LayerNormConfig::new(dim).with_epsilon(f64::from(EPSILON)).init(self.device);
        norm.gamma = Param::from_tensor(self.tensor("weight", [dim])?);
        norm.beta = Some(Param::from_tensor(self.tensor("bias", [dim])?));
        Ok(norm)
    }

    /// A 3-D convolution with bias, weight `[output, input, k, k, k]`.
    ///
    /// # Errors
    ///
    /// When a tensor is missing or has another shape.
    pub fn conv3d(
        &self,
        input: usize,
        output: usize,
        conv: ConvConfig,
    ) -> Result<Conv3d<Compute>, ParameterError> {
        let ConvConfig { kernel, stride, padding } = conv;
        let mut layer = Conv3dConfig::new([input, output], [kernel; 3])
            .with_stride([stride; 3])
            .with_padding(PaddingConfig3d::Explicit(padding, padding, padding))
            .init(self.device);
        let shape = [output, input, kernel, kernel, kernel];
        layer.weight = Param::from_tensor(self.tensor("weight", shape)?);
        layer.bias = Some(Param::from_tensor(self.tensor("bias", [output])?));
        Ok(layer)
    }

    /// A transposed 3-D convolution with bias, weight `[input, output, k, k, k]`.
    ///
    /// # Errors
    ///
    /// When a tensor is missing or has another shape.
    pub fn conv_transpose3d(
        &self,
        input: usize,
        output: usize,
        conv: ConvConfig,
    ) -> Result<ConvTranspose3d<Compute>, ParameterError> {
        let ConvConfig { kernel, stride, padding } = conv;
        let mut layer = ConvTranspose3dConfig::new([input, output], [kernel; 3])
            .with_stride([stride; 3])
            .with_padding([padding; 3])
            .init(self.device);
        let shape = [input, output, kernel, kernel, kernel];
        layer.weight = Param::from_tensor(self.tensor("weight", shape)?);
        layer.bias = Some(Param::from_tensor(self.tensor("bias", [output])?));
        Ok(layer)
    }

    fn name(&self, name: impl std::fmt::Display) -> String {
        if self.prefix.is_empty() { name.to_string() } else { format!("{}.{name}", self.prefix) }
    }
}
