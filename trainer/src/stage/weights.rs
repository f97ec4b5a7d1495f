//! Networks to and from weight files, under the published tensor names.
//!
//! A network is built by one path, `load(&Parameters, sizes)`, which asks for tensors by name.
//! To write a trained network back, [`Names`] lets that path build it once from tensors that
//! carry their own number, and so learns which parameter came from which tensor and whether it
//! lies transposed. No network has to know how to write itself.

use std::cell::RefCell;
use std::collections::HashMap;
use std::path::Path;

use burn::DispatchDevice;
use burn::module::{Module, ModuleVisitor, Param};
use burn::tensor::{DType, Tensor};
use half::f16;
use models::nn::Compute;
use models::nn::parameters::{ParameterError, ParameterSource, Parameters};
use models::weights::safetensors_writer::{
    SafetensorsWriteError, TensorSpec, WrittenFile, write_safetensors,
};
use rand::Rng;
use rand_distr::StandardNormal;
use safetensors::Dtype;

use super::run::rng;

/// Initial weights of a network that is trained from nothing, a function of seed and name.
#[derive(Clone, Debug)]
pub struct Fresh {
    /// Equal seeds give equal weights.
    pub seed: u64,
    /// Initial value of the CLIP temperature, which is used as its exponential.
    pub temperature: f32,
}

impl Fresh {
    fn rng(&self, name: &str) -> rand_chacha::ChaCha8Rng {
        let hash = name.bytes().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
            (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
        });
        rng(self.seed, hash)
    }
}

impl ParameterSource for Fresh {
    fn read(&self, name: &str, shape: &[usize]) -> Result<Vec<f32>, ParameterError> {
        let count: usize = shape.iter().product();
        match name {
            "temperature" => return Ok(vec![self.temperature; count]),
            "patdistemperature" => return Ok(vec![0.1; count]),
            _ => {}
        }
        if name.ends_with("ema_cluster_size") {
            return Ok(vec![1.0; count]);
        }
        if shape.len() == 1 {
            // Layer norms begin as the identity, biases at zero.
            let norm = name.ends_with("weight");
            return Ok(vec![if norm { 1.0 } else { 0.0 }; count]);
        }
        // The codebook's running sums begin as the codebook.
        let mut rng = self.rng(&name.replace("ema_w", "embedding.weight"));
        let last = name.rsplit('.').find(|part| *part != "weight").unwrap_or_default();
        let embedding = ["cls_token", "wte", "wpe", "embed", "positions", "embedding", "ema_w"];
        let sd = if ["embedding", "ema_w"].contains(&last) {
            1.0
        } else if embedding.contains(&last) {
            0.02
        } else {
            // Glorot and Bengio (2010); a convolution's taps count as inputs.
            #[expect(clippy::cast_precision_loss, reason = "a layer is far smaller than 2^23")]
            let fans = (count / shape[0] + count / shape[1]) as f32;
            (2.0 / fans).sqrt()
        };
        Ok((0..count).map(|_| sd * rng.sample::<f32, _>(StandardNormal)).collect())
    }

    fn contains(&self, name: &str) -> bool {
        !name.ends_with("p_enc")
    }
}

/// Tensors of one source, and those that it lacks from another.
pub struct Overlay<'a> {
    /// Asked first.
    pub first: &'a dyn ParameterSource,
    /// Asked for what the first does not have.
    pub then: &'a dyn ParameterSource,
}

impl ParameterSource for Overlay<'_> {
    fn read(&self, name: &str, shape: &[usize]) -> Result<Vec<f32>, ParameterError> {
        if self.first.contains(name) {
            self.first.read(name, shape)
        } else {
            self.then.read(name, shape)
        }
    }

    fn contains(&self, name: &str) -> bool {
        self.first.contains(name) || self.then.contains(name)
    }
}

/// Tensors of one source that have the shape asked for, and all others from another.
pub struct WhereItFits<'a> {
    /// Asked first.
    pub first: &'a dyn ParameterSource,
    /// Asked for what the first does not have in that shape.
    pub then: &'a dyn ParameterSource,
}

impl ParameterSource for WhereItFits<'_> {
    fn read(&self, name: &str, shape: &[usize]) -> Result<Vec<f32>, ParameterError> {
        if !self.first.contains(name) {
            return self.then.read(name, shape);
        }
        match self.first.read(name, shape) {
            Err(ParameterError::Shape { .. }) => self.then.read(name, shape),
            found => found,
        }
    }

    fn contains(&self, name: &str) -> bool {
        self.first.contains(name) || self.then.contains(name)
    }
}

/// Tensors that were just trained.
pub struct InMemory<'a>(HashMap<&'a str, &'a NamedTensor>);

impl<'a> InMemory<'a> {
    /// A source of these tensors.
    #[must_use]
    pub fn new(tensors: &'a [NamedTensor]) -> Self {
        Self(tensors.iter().map(|t| (t.name.as_str(), t)).collect())
    }
}

impl ParameterSource for InMemory<'_> {
    fn read(&self, name: &str, shape: &[usize]) -> Result<Vec<f32>, ParameterError> {
        let origin = || "the trained network".to_owned();
        let tensor = self.0.get(name).ok_or_else(|| ParameterError::Missing {
            origin: origin(),
            name: name.to_owned(),
            expected: shape.to_vec(),
        })?;
        if tensor.shape == shape {
            return Ok(tensor.values.clone());
        }
        Err(ParameterError::Shape {
            origin: origin(),
            name: name.to_owned(),
            found: tensor.shape.clone(),
            expected: shape.to_vec(),
        })
    }

    fn contains(&self, name: &str) -> bool {
        self.0.contains_key(name)
    }
}

/// Which tensor each parameter of a network is.
#[derive(Clone, Debug)]
pub struct Names {
    /// By the order in which burn visits parameters; `None` for computed constants.
    parameters: Vec<Option<Named>>,
}

#[derive(Clone, Debug)]
struct Named {
    name: String,
    shape: Vec<usize>,
    transposed: bool,
}

/// Smallest number a tensor carries; constants of the networks are smaller.
const FIRST_TAG: usize = 1000;

/// Fills every tensor with its number.
#[derive(Default)]
struct Tagging(RefCell<Vec<(String, Vec<usize>)>>);

impl ParameterSource for Tagging {
    #[expect(clippy::cast_precision_loss, reason = "a network has far fewer than 2^20 tensors")]
    fn read(&self, name: &str, shape: &[usize]) -> Result<Vec<f32>, ParameterError> {
        let mut tensors = self.0.borrow_mut();
        let tag = (FIRST_TAG + tensors.len()) as f32;
        tensors.push((name.to_owned(), shape.to_vec()));
        let mut values = vec![tag; shape.iter().product()];
        // Where the second value lies tells whether the matrix was transposed.
        if let Some(second) = values.get_mut(1) {
            *second += 0.5;
        }
        Ok(values)
    }

    fn contains(&self, name: &str) -> bool {
        !name.ends_with("p_enc")
    }
}

impl Names {
    /// Learns the names by building the network once with `load`.
    ///
    /// # Errors
    ///
    /// When `load` refuses its own sizes.
    pub fn of<M: Module<Compute>>(
        device: &DispatchDevice,
        load: impl FnOnce(&Parameters<'_>) -> Result<M, ParameterError>,
    ) -> Result<Self, ParameterError> {
        let tagging = Tagging::default();
        let module = load(&Parameters::new(&tagging, device, DType::F32))?;
        let mut values = Values(Vec::new());
        module.visit(&mut values);
        let tensors = tagging.0.into_inner();
        let named = |found: &Vec<f32>| {
            let first = found.first().copied().unwrap_or_default();
            #[expect(
                clippy::cast_possible_truncation,
                clippy::cast_sign_loss,
                reason = "tags are whole and positive"
            )]
            let index = (first as usize).checked_sub(FIRST_TAG)?;
            let (name, shape) = tensors.get(index)?.clone();
            let stored = found.get(1).is_none_or(|second| *second > first);
            let transposed = !stored && shape.len() == 2;
            Some(Named { name, shape, transposed })
        };
        Ok(Self { parameters: values.0.iter().map(named).collect() })
    }

    /// A network's tensors as a weight file stores them.
    #[must_use]
    pub fn tensors<M: Module<Compute>>(&self, module: &M) -> Vec<NamedTensor> {
        let mut values = Values(Vec::new());
        module.visit(&mut values);
        let pairs = self.parameters.iter().zip(values.0);
        let tensors = pairs.filter_map(|(named, values)| {
            let Named { name, shape, transposed } = named.clone()?;
            let values = if transposed { transpose(&values, shape[1], shape[0]) } else { values };
            Some(NamedTensor { name, shape, values })
        });
        tensors.collect()
    }
}

/// A tensor as a weight file stores it.
#[derive(Clone, Debug, PartialEq)]
pub struct NamedTensor {
    /// Published name.
    pub name: String,
    /// Sizes of the axes.
    pub shape: Vec<usize>,
    /// C-ordered.
    pub values: Vec<f32>,
}

/// `[rows, columns]` to `[columns, rows]`.
fn transpose(values: &[f32], rows: usize, columns: usize) -> Vec<f32> {
    (0..columns).flat_map(|c| (0..rows).map(move |r| values[r * columns + c])).collect()
}

/// Collects parameters in visiting order.
struct Values(Vec<Vec<f32>>);

impl ModuleVisitor<Compute> for Values {
    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<Compute, D>>) {
        self.0.push(param.val().into_data().iter::<f32>().collect());
    }
}

/// Writes tensors in single or half precision.
///
/// # Errors
///
/// When the file cannot be written.
pub fn write(
    path: &Path,
    tensors: &[NamedTensor],
    half: bool,
) -> Result<WrittenFile, SafetensorsWriteError> {
    let dtype = if half { Dtype::F16 } else { Dtype::F32 };
    let spec = |t: &NamedTensor| TensorSpec { name: t.name.clone(), dtype, shape: t.shape.clone() };
    let specs: Vec<_> = tensors.iter().map(spec).collect();
    let by_name: HashMap<&str, &NamedTensor> =
        tensors.iter().map(|t| (t.name.as_str(), t)).collect();
    write_safetensors(path, &specs, &mut |spec: &TensorSpec, sink| {
        let values = by_name.get(spec.name.as_str()).map_or(&[][..], |t| &t.values);
        let bytes: Vec<u8> = if half {
            values.iter().flat_map(|&v| f16::from_f32(v).to_le_bytes()).collect()
        } else {
            values.iter().flat_map(|v| v.to_le_bytes()).collect()
        };
        sink.write(&bytes)
    })
}
