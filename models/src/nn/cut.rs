//! Graphs that are cut where derivatives of our own take over, on a CPU.
//!
//! burn leaves no door for an operation of one's own through its choice of devices at run time. So
//! one graph ends where a part of a network begins, another begins where that part ends, and
//! [`Cut::derive`] carries the derivative from the second to the first.

use burn::DispatchDevice;
use burn::module::Param;
use burn::nn::{LayerNorm, Linear};
use burn::optim::GradientsParams;
use burn::tensor::backend::AutodiffBackend;
use burn::tensor::{DType, Tensor, TensorData};

use super::Compute;
use super::cpu::values;
use super::gradient::{LayerGradient, NormGradient};

/// From the derivatives by what begins to those by what ended.
type Derive = dyn FnOnce(Vec<Vec<f32>>, &mut Register<'_>) -> Vec<Vec<f32>> + Send;

/// A place where one graph ends and another begins.
#[must_use = "weights of what lies in the cut, and before it, learn by it alone"]
pub struct Cut {
    ends: Vec<Tensor<Compute, 2>>,
    begins: Vec<Tensor<Compute, 2>>,
    derive: Box<Derive>,
}

impl Cut {
    /// Between what ended and what begins, the [leaves](leaf) of the second graph.
    pub(super) fn new(
        ends: Vec<Tensor<Compute, 2>>,
        begins: Vec<Tensor<Compute, 2>>,
        derive: impl FnOnce(Vec<Vec<f32>>, &mut Register<'_>) -> Vec<Vec<f32>> + Send + 'static,
    ) -> Self {
        Self { ends, begins, derive: Box::new(derive) }
    }

    /// From the gradients of the second graph, those of the weights in the cut into `found`. What
    /// it returns has, by all that ended, the derivative that the loss has: its gradients are those
    /// of the first graph.
    pub fn derive(
        self,
        gradients: &<Compute as AutodiffBackend>::Gradients,
        found: &mut GradientsParams,
    ) -> Option<Tensor<Compute, 1>> {
        let Self { ends, begins, derive } = self;
        let derivatives: Vec<_> = begins.iter().map(|leaf| leaf.grad(gradients)).collect();
        let device = derivatives.iter().flatten().next()?.device();
        let derivatives = begins.iter().zip(derivatives).map(|(leaf, derivative)| {
            derivative.map_or_else(|| vec![0.0; leaf.shape().num_elements()], values)
        });
        let before = derive(derivatives.collect(), &mut Register { device: &device, found });
        let terms = ends.into_iter().zip(before).map(|(end, before)| {
            let before = Tensor::from_inner(tensor(before, end.dims(), &device));
            (end * before).sum()
        });
        terms.reduce(|sum, term| sum + term)
    }
}

/// The beginning of a graph on the device of a tensor of another.
pub(super) fn leaf(
    values: Vec<f32>,
    shape: [usize; 2],
    of: &Tensor<Compute, 2>,
) -> Tensor<Compute, 2> {
    let device = of.clone().inner().device();
    Tensor::from_inner(tensor(values, shape, &device)).require_grad()
}

fn tensor<const D: usize>(
    values: Vec<f32>,
    shape: [usize; D],
    device: &DispatchDevice,
) -> Tensor<Compute, D> {
    Tensor::from_data(TensorData::new(values, shape), (device, DType::F32))
}

/// Where derivatives by weights are noted.
pub(super) struct Register<'a> {
    device: &'a DispatchDevice,
    found: &'a mut GradientsParams,
}

impl Register<'_> {
    pub(super) fn layer(&mut self, layer: &Linear<Compute>, by: LayerGradient) {
        self.tensor(&layer.weight, by.weight);
        if let Some(parameter) = &layer.bias {
            self.tensor(parameter, by.bias);
        }
    }

    pub(super) fn norm(&mut self, norm: &LayerNorm<Compute>, by: NormGradient) {
        self.tensor(&norm.gamma, by.scale);
        if let Some(parameter) = &norm.beta {
            self.tensor(parameter, by.offset);
        }
    }

    fn tensor<const D: usize>(&mut self, parameter: &Param<Tensor<Compute, D>>, by: Vec<f32>) {
        if parameter.is_require_grad() {
            self.found.register(parameter.id, tensor(by, parameter.dims(), self.device));
        }
    }
}
