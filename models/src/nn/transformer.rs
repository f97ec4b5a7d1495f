//! Pre-norm transformer blocks over packed sequences (specification §7).
//!
//! Sequences of different length lie one after another in one `[T, D]` tensor. Normalisation and
//! linear layers see all of them at once; attention sees one sequence at a time. There is no
//! padding, so nothing has to be masked and no product is spent on it.

use burn::DispatchDevice;
use burn::module::{Module, Param};
use burn::nn::{LayerNorm, Linear};
use burn::optim::GradientsParams;
use burn::tensor::backend::{AutodiffBackend, Backend};
use burn::tensor::{DType, Int, Tensor, TensorData, activation};

use super::config::TransformerConfig;
use super::cpu::{self, Layer, Norm, Workspace};
use super::gradient::{BlockGradient, LayerGradient, NormGradient, Trace};
use super::parameters::{ParameterError, Parameters};
use super::{Compute, elementary};

/// A stack of pre-norm blocks without a final norm.
#[derive(Module, Debug)]
pub struct Transformer<B: Backend> {
    blocks: Vec<Block<B>>,
}

/// `x += attention(norm(x)); x += mlp(norm(x))`.
#[derive(Module, Debug)]
pub struct Block<B: Backend> {
    attention_norm: LayerNorm<B>,
    attention: Attention<B>,
    mlp_norm: LayerNorm<B>,
    mlp_in: Linear<B>,
    mlp_out: Linear<B>,
}

/// Bidirectional multi-head self-attention; softmax scale `dim_head^-0.5`.
#[derive(Module, Debug)]
pub struct Attention<B: Backend> {
    qkv: Linear<B>,
    output: Option<Linear<B>>,
    heads: usize,
}

impl Transformer<Compute> {
    /// Reads `layers.<i>.*`.
    ///
    /// # Errors
    ///
    /// When a tensor is missing or has another shape.
    pub fn load(at: &Parameters<'_>, config: &TransformerConfig) -> Result<Self, ParameterError> {
        let blocks = (0..config.depth)
            .map(|i| Block::load(&at.at(format_args!("layers.{i}")), config))
            .collect::<Result<_, _>>()?;
        Ok(Self { blocks })
    }

    /// Runs the blocks over packed sequences.
    ///
    /// # Shapes
    ///
    /// - `x`: `[T, D]`, sequences one after another
    /// - `lengths`: tokens of each sequence, summing to `T`
    /// - output: `[T, D]`
    #[must_use]
    pub fn forward(&self, x: Tensor<Compute, 2>, lengths: &[usize]) -> Tensor<Compute, 2> {
        if !elementary::is_at_home(&x) {
            return self.blocks.iter().fold(x, |x, block| block.forward(x, lengths));
        }
        let mut workspace = Workspace::default();
        cpu::on_values(x, |x| {
            for block in &self.blocks {
                let block = block.on_cpu();
                block.attend(x, lengths, &mut workspace);
                block.feed_forward(x, &mut workspace);
            }
        })
    }

    /// [`Self::forward`] for training on a CPU: blocks with derivatives of their own, at which the
    /// graph is cut. Elsewhere the same as there, and no cut.
    #[must_use]
    pub fn forward_cut(
        &self,
        x: Tensor<Compute, 2>,
        lengths: &[usize],
    ) -> (Tensor<Compute, 2>, Option<Cut>) {
        if !elementary::is_trained_at_home(&x) {
            return (self.forward(x, lengths), None);
        }
        let mut workspace = Workspace::default();
        let mut blocks = Vec::new();
        let output = cpu::on_values(x.clone().inner(), |x| {
            for block in &self.blocks {
                let on_cpu = block.on_cpu();
                let trace = on_cpu.traced(x, lengths, &mut workspace);
                blocks.push((block.clone(), on_cpu, trace));
            }
        });
        let output = Tensor::from_inner(output).require_grad();
        (output.clone(), Some(Cut { input: x, output, lengths: lengths.to_vec(), blocks }))
    }

    /// The blocks, for comparison stage by stage.
    #[must_use]
    pub fn blocks(&self) -> &[Block<Compute>] {
        &self.blocks
    }
}

impl Block<Compute> {
    fn load(at: &Parameters<'_>, config: &TransformerConfig) -> Result<Self, ParameterError> {
        let TransformerConfig { dim, mlp_dim, .. } = *config;
        Ok(Self {
            attention_norm: at.at("0.norm").layer_norm(dim)?,
            attention: Attention::load(&at.at("0.fn"), config)?,
            mlp_norm: at.at("1.norm").layer_norm(dim)?,
            mlp_in: at.at("1.fn.net.0").linear(dim, mlp_dim, true)?,
            mlp_out: at.at("1.fn.net.3").linear(mlp_dim, dim, true)?,
        })
    }

    /// The whole block. Shapes as in [`Transformer::forward`].
    #[must_use]
    pub fn forward(&self, x: Tensor<Compute, 2>, lengths: &[usize]) -> Tensor<Compute, 2> {
        let x = self.attend(x, lengths);
        if elementary::is_at_home(&x) {
            let mut workspace = Workspace::default();
            return cpu::on_values(x, |x| self.on_cpu().feed_forward(x, &mut workspace));
        }
        let hidden = elementary::gelu(self.mlp_in.forward(self.mlp_norm.forward(x.clone())));
        x + self.mlp_out.forward(hidden)
    }

    /// The first half: attention and its residual. Shapes as in [`Transformer::forward`].
    #[must_use]
    pub fn attend(&self, x: Tensor<Compute, 2>, lengths: &[usize]) -> Tensor<Compute, 2> {
        if elementary::is_at_home(&x) {
            let mut workspace = Workspace::default();
            return cpu::on_values(x, |x| self.on_cpu().attend(x, lengths, &mut workspace));
        }
        let normed = self.attention_norm.forward(x.clone());
        x + self.attention.forward(normed, lengths)
    }

    /// Notes the derivatives of a block's weights under their names.
    fn register(&self, found: BlockGradient, to: &mut Register<'_>) {
        let BlockGradient { attention_norm, qkv, output, mlp_norm, mlp_in, mlp_out } = found;
        to.norm(&self.attention_norm, attention_norm);
        to.layer(&self.attention.qkv, qkv);
        if let Some((layer, found)) = self.attention.output.as_ref().zip(output) {
            to.layer(layer, found);
        }
        to.norm(&self.mlp_norm, mlp_norm);
        to.layer(&self.mlp_in, mlp_in);
        to.layer(&self.mlp_out, mlp_out);
    }

    /// The same weights on slices.
    fn on_cpu(&self) -> cpu::Block {
        cpu::Block {
            attention_norm: Norm::new(&self.attention_norm),
            qkv: Layer::new(&self.attention.qkv),
            output: self.attention.output.as_ref().map(Layer::new),
            heads: self.attention.heads,
            mlp_norm: Norm::new(&self.mlp_norm),
            mlp_in: Layer::new(&self.mlp_in),
            mlp_out: Layer::new(&self.mlp_out),
        }
    }
}

/// A graph that was cut at the blocks: one graph ends where they begin, another begins where they
/// end.
#[derive(Debug)]
#[must_use = "weights of the blocks, and what lies before them, learn by it alone"]
pub struct Cut {
    input: Tensor<Compute, 2>,
    output: Tensor<Compute, 2>,
    lengths: Vec<usize>,
    blocks: Vec<(Block<Compute>, cpu::Block, Trace)>,
}

impl Cut {
    /// From the gradients of the second graph, those of the blocks' weights into `found`. What it
    /// returns has, by the input of the blocks, the derivative that the loss has: its gradients are
    /// those of the first graph.
    pub fn derive(
        self,
        gradients: &<Compute as AutodiffBackend>::Gradients,
        found: &mut GradientsParams,
    ) -> Option<Tensor<Compute, 1>> {
        let Self { input, output, lengths, blocks } = self;
        let derivative = output.grad(gradients)?;
        let device = derivative.device();
        let mut register = Register { device: &device, found };
        let derivative = cpu::on_values(derivative, |dx| {
            for (block, on_cpu, trace) in blocks.into_iter().rev() {
                block.register(on_cpu.derive(trace, &lengths, dx), &mut register);
            }
        });
        Some((input * Tensor::from_inner(derivative)).sum())
    }
}

/// Where derivatives by weights are noted.
struct Register<'a> {
    device: &'a DispatchDevice,
    found: &'a mut GradientsParams,
}

impl Register<'_> {
    fn layer(&mut self, layer: &Linear<Compute>, LayerGradient { weight, bias }: LayerGradient) {
        self.tensor(&layer.weight, weight);
        if let Some(parameter) = &layer.bias {
            self.tensor(parameter, bias);
        }
    }

    fn norm(&mut self, norm: &LayerNorm<Compute>, NormGradient { scale, offset }: NormGradient) {
        self.tensor(&norm.gamma, scale);
        if let Some(parameter) = &norm.beta {
            self.tensor(parameter, offset);
        }
    }

    fn tensor<const D: usize>(&mut self, parameter: &Param<Tensor<Compute, D>>, values: Vec<f32>) {
        if parameter.is_require_grad() {
            let data = TensorData::new(values, parameter.dims());
            let tensor = Tensor::<Compute, D>::from_data(data, (self.device, DType::F32));
            self.found.register(parameter.id, tensor);
        }
    }
}

impl Attention<Compute> {
    fn load(at: &Parameters<'_>, config: &TransformerConfig) -> Result<Self, ParameterError> {
        let TransformerConfig { dim, heads, dim_head, .. } = *config;
        let inner = heads * dim_head;
        // The published code has no output projection when one head spans the whole width.
        let output = if heads == 1 && dim_head == dim {
            None
        } else {
            Some(at.at("to_out.0").linear(inner, dim, true)?)
        };
        Ok(Self { qkv: at.at("to_qkv").linear(dim, 3 * inner, false)?, output, heads })
    }

    /// # Shapes
    ///
    /// As in [`Transformer::forward`].
    fn forward(&self, x: Tensor<Compute, 2>, lengths: &[usize]) -> Tensor<Compute, 2> {
        let joined = if nearly_equal(lengths) {
            self.attend_together(x, lengths)
        } else {
            let qkv = self.qkv.forward(x); // [T, 3 * H * D_h]
            let mut start = 0;
            let attended = lengths.iter().map(|&length| {
                let sequence = qkv.clone().narrow(0, start, length);
                start += length;
                attend(&sequence, self.heads)
            });
            Tensor::cat(attended.collect(), 0)
        }; // [T, H * D_h]
        match &self.output {
            Some(output) => output.forward(joined),
            None => joined,
        }
    }

    /// Attention inside sequences of nearly equal length, padded to the longest and computed as one
    /// batch, which is how training runs: `[T, D]` to `[T, H * D_h]`. Queries, keys and values are
    /// products of their own, so that no derivative is put together from three parts.
    fn attend_together(&self, x: Tensor<Compute, 2>, lengths: &[usize]) -> Tensor<Compute, 2> {
        let (count, longest) = (lengths.len(), lengths.iter().copied().max().unwrap_or(0));
        let inner = self.qkv.weight.dims()[1] / 3;
        let dim_head = inner / self.heads;
        let equal = lengths.iter().all(|length| *length == longest);
        let starts: Vec<usize> = lengths
            .iter()
            .scan(0, |next, length| {
                *next += length;
                Some(*next - length)
            })
            .collect();
        // Padding repeats a sequence's first row; nobody attends to it, and its result is dropped.
        let padded = starts.iter().zip(lengths).flat_map(|(&start, &length)| {
            (0..longest).map(move |i| if i < length { start + i } else { start })
        });
        let x = if equal { x } else { rows(x, padded) };
        let part = |part: usize| {
            let weight = self.qkv.weight.val().narrow(1, part * inner, inner);
            let shape = [count, longest, self.heads, dim_head];
            x.clone().matmul(weight).reshape(shape).swap_dims(1, 2) // [S, H, L, D_h]
        };
        #[expect(clippy::cast_precision_loss, reason = "a head is far narrower than 2^52")]
        let scale = (dim_head as f64).powf(-0.5);
        let mut scores = (part(0) * scale).matmul(part(1).transpose()); // [S, H, L, L]
        if !equal {
            let absent = lengths.iter().flat_map(|&length| {
                (0..longest).map(move |i| if i < length { 0.0 } else { f32::MIN / 2.0 })
            });
            let absent = TensorData::new(absent.collect::<Vec<f32>>(), [count, 1, 1, longest]);
            let absent = Tensor::<Compute, 4>::from_data(absent, &x.device());
            scores = scores.clone() + absent.cast(scores.dtype());
        }
        let attended = activation::softmax(scores, 3).matmul(part(2)); // [S, H, L, D_h]
        let attended = attended.swap_dims(1, 2).reshape([count * longest, inner]);
        let there =
            lengths.iter().enumerate().flat_map(|(i, &length)| i * longest..i * longest + length);
        if equal { attended } else { rows(attended, there) }
    }
}

/// Rows of a matrix by their numbers. One operation, whose derivative touches every row once; a
/// slice for each sequence would write a matrix of zeros for each.
#[must_use]
pub fn rows(x: Tensor<Compute, 2>, numbers: impl IntoIterator<Item = usize>) -> Tensor<Compute, 2> {
    let numbers = numbers.into_iter().map(|row| i64::try_from(row).unwrap_or(i64::MAX));
    let numbers: Vec<i64> = numbers.collect();
    let count = numbers.len();
    let device = x.device();
    let numbers = Tensor::<Compute, 1, Int>::from_data(TensorData::new(numbers, [count]), &device);
    x.select(0, numbers)
}

/// Longest sequence that is computed together with others: its scores are small.
const TOGETHER: usize = 256;

/// True for several sequences whose padding to the longest costs less than they do.
fn nearly_equal(lengths: &[usize]) -> bool {
    let longest = lengths.iter().copied().max().unwrap_or(0);
    let total: usize = lengths.iter().sum();
    lengths.len() > 1 && longest <= TOGETHER && longest * lengths.len() <= 2 * total
}

/// Queries whose attention is computed at a time.
const QUERIES: usize = 512;

/// Attention inside one sequence: `[t, 3 * H * D_h]` to `[t, H * D_h]`.
fn attend(qkv: &Tensor<Compute, 2>, heads: usize) -> Tensor<Compute, 2> {
    let [length, width] = qkv.dims();
    let inner = width / 3;
    let dim_head = inner / heads;
    let split = |part: usize| {
        qkv.clone()
            .narrow(1, part * inner, inner)
            .reshape([length, heads, dim_head])
            .swap_dims(0, 1) // [H, t, D_h]
    };
    #[expect(clippy::cast_precision_loss, reason = "a head is far narrower than 2^52")]
    let scale = (dim_head as f64).powf(-0.5);
    let (q, k, v) = (split(0) * scale, split(1).transpose(), split(2));
    // A block of queries at a time: the scores of 5000 tokens would otherwise take 1.6 GB.
    let rows = (0..length)
        .step_by(QUERIES)
        .map(|start| {
            let queries = q.clone().narrow(1, start, QUERIES.min(length - start));
            activation::softmax(queries.matmul(k.clone()), 2).matmul(v.clone()) // [H, q, D_h]
        })
        .collect();
    Tensor::cat(rows, 1).swap_dims(0, 1).reshape([length, inner])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::weights::init::Seeded;

    /// Weights, and what comes before the blocks, by the cut graph as by the whole one.
    #[test]
    fn a_cut_graph_has_the_gradients_of_the_whole_one() {
        let device = DispatchDevice::autodiff(DispatchDevice::Flex(Default::default()));
        let config = TransformerConfig { dim: 20, depth: 2, heads: 2, dim_head: 12, mlp_dim: 36 };
        let source = Seeded { seed: 3 };
        let transformer =
            Transformer::load(&Parameters::new(&source, &device, DType::F32), &config).unwrap();
        let lengths = [5, 1, 37, 40];
        let value = |i: usize| ((i * 7919) % 1009) as f32 / 252.0 - 2.0;
        let tensor = |first: usize| {
            let values: Vec<f32> = (first..first + 83 * 20).map(value).collect();
            Tensor::<Compute, 2>::from_data(TensorData::new(values, [83, 20]), &device)
        };
        let x = tensor(0).require_grad();
        let whole = (transformer.forward(x.clone(), &lengths) * tensor(11)).sum();
        let gradients = whole.backward();
        let by_input = x.grad(&gradients).unwrap();
        let mut expected = GradientsParams::from_grads(gradients, &transformer);

        let (y, cut) = transformer.forward_cut(x.clone(), &lengths);
        let cut_sum = (y * tensor(11)).sum();
        let mut found = GradientsParams::new();
        let rest = cut.unwrap().derive(&cut_sum.backward(), &mut found).unwrap();
        let close = |found: TensorData, expected: TensorData, what: &str| {
            let largest = expected.iter::<f32>().fold(0.0_f32, |max, x| max.max(x.abs()));
            for (found, expected) in found.iter::<f32>().zip(expected.iter::<f32>()) {
                assert!((found - expected).abs() <= 2e-5 * largest, "{what}: {found}, {expected}");
            }
        };
        close(cut_sum.into_data(), whole.into_data(), "value");
        close(x.grad(&rest.backward()).unwrap().into_data(), by_input.into_data(), "input");
        for (number, block) in transformer.blocks.iter().enumerate() {
            let linear = [
                Some(&block.attention.qkv),
                block.attention.output.as_ref(),
                Some(&block.mlp_in),
                Some(&block.mlp_out),
            ];
            let norms = [&block.attention_norm, &block.mlp_norm];
            let weights = linear.iter().flatten().map(|layer| layer.weight.id);
            let vectors = linear.iter().flatten().filter_map(|layer| layer.bias.as_ref());
            let vectors = vectors.chain(norms.iter().map(|norm| &norm.gamma));
            let vectors = vectors.chain(norms.iter().filter_map(|norm| norm.beta.as_ref()));
            for id in weights {
                let [found, expected] = [&mut found, &mut expected]
                    .map(|g| g.remove::<Compute, 2>(id).unwrap().into_data());
                close(found, expected, &format!("weights of block {number}"));
            }
            for vector in vectors {
                let [found, expected] = [&mut found, &mut expected]
                    .map(|g| g.remove::<Compute, 1>(vector.id).unwrap().into_data());
                close(found, expected, &format!("vectors of block {number}"));
            }
        }
        assert!(found.is_empty() && expected.is_empty());
    }
}
