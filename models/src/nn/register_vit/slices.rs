//! The sequence ViT in training on a CPU: from tokens to registers and features on slices, with
//! derivatives of its own.

use burn::tensor::Tensor;

use super::{RegisterOutput, RegisterVit};
use crate::nn::Compute;
use crate::nn::cpu::{Layer, Norm, values};
use crate::nn::cut::{Cut, Register, leaf};
use crate::nn::elementary::is_trained_at_home;
use crate::nn::gradient::{Judged, Perceptron};
use crate::nn::transformer::Traced;

impl RegisterVit<Compute> {
    /// [`Self::pack`] and [`Self::forward`] for training on a CPU: the graph is [cut](Cut) between
    /// what comes in and the registers and features that are read after the last block. Elsewhere
    /// the same as there, and no cut. Tokens are data: nothing before them learns.
    #[must_use]
    pub fn forward_cut(
        &self,
        prefixes: &Tensor<Compute, 2>,
        tokens: Vec<Tensor<Compute, 2>>,
    ) -> (RegisterOutput, Option<Cut>) {
        let registers = self.registers.val();
        if !is_trained_at_home(&registers) {
            return (self.forward(self.pack(prefixes, tokens)), None);
        }
        let [n_registers, dim] = registers.dims();
        let counts: Vec<usize> = tokens.iter().map(|tokens| tokens.dims()[0]).collect();
        let rows = Rows { registers: n_registers * dim, tokens: counts, dim };
        let mut tokens = tokens.into_iter().map(values).collect::<Vec<_>>().concat();
        let told = values(prefixes.clone().inner());
        let perceptron = self.peaks.as_ref().map(|peaks| {
            let perceptron = peaks.on_cpu();
            let judged = perceptron.traced(told.clone(), &mut tokens, &rows.tokens);
            (perceptron, judged)
        });
        let sequences = rows.tokens.len();
        let mut x =
            rows.join([&values(registers.clone().inner()).repeat(sequences), &told, &tokens]);
        let blocks = self.transformer.traced(&mut x, &rows.lengths());
        let norm = Norm::new(&self.norm);
        let mut states = vec![0.0; x.len()];
        norm.apply(&x, &mut states);
        let [pooled, _, tokens] = rows.apart(&states);
        let mut begins = vec![leaf(pooled, [sequences, n_registers * dim], &registers)];
        let features = self.peaks.as_ref().map(|peaks| {
            let layer = peaks.features_on_cpu();
            let count = tokens.len() / dim;
            let mut features = vec![0.0; count * layer.output];
            layer.apply(&tokens, &mut features);
            begins.push(leaf(features, [count, layer.output], &registers));
            (layer, tokens)
        });
        let output = self.conclude(begins[0].clone(), begins.get(1).cloned(), &rows.tokens);
        let pass = Pass { vit: self.clone(), rows, perceptron, blocks, norm, x, features };
        let ends = vec![registers, prefixes.clone()];
        let cut =
            Cut::new(ends, begins, |derivatives, register| pass.derive(derivatives, register));
        (output, Some(cut))
    }
}

/// What a pass keeps for its derivative.
struct Pass {
    vit: RegisterVit<Compute>,
    rows: Rows,
    perceptron: Option<(Perceptron, Judged)>,
    blocks: Traced,
    norm: Norm,
    /// What came out of the last block, `[T, D]`.
    x: Vec<f32>,
    /// The last layer of the peaks and what it read.
    features: Option<(Layer, Vec<f32>)>,
}

impl Pass {
    /// From the derivatives by registers and features to those by the registers and prefixes that
    /// went in.
    fn derive(self, derivatives: Vec<Vec<f32>>, register: &mut Register<'_>) -> Vec<Vec<f32>> {
        let Self { vit, rows, perceptron, blocks, norm, x, features } = self;
        let mut derivatives = derivatives.into_iter();
        let d_pooled = derivatives.next().unwrap_or_default();
        let mut d_tokens = vec![0.0; rows.tokens.iter().sum::<usize>() * rows.dim];
        let features = features.zip(derivatives.next()).map(|((layer, tokens), by)| {
            layer.pull(&by, &mut d_tokens);
            layer.gradient(&tokens, &by)
        });
        let nothing = vec![0.0; rows.tokens.len() * rows.dim];
        let d_states = rows.join([&d_pooled, &nothing, &d_tokens]);
        let mut dx = vec![0.0; d_states.len()];
        register.norm(&vit.norm, norm.derive(&x, &d_states, &mut dx));
        blocks.derive(&mut dx, register);
        let [d_registers, mut d_prefixes, d_tokens] = rows.apart(&dx);
        if let Some(((peaks, (perceptron, judged)), features)) =
            vit.peaks.as_ref().zip(perceptron).zip(features)
        {
            let (told, by) = perceptron.derive(judged, &rows.tokens, &d_tokens);
            peaks.register(by, features, register);
            d_prefixes.iter_mut().zip(told).for_each(|(d, told)| *d += told);
        }
        let mut d_shared = vec![0.0; rows.registers];
        for own in d_registers.chunks_exact(rows.registers) {
            d_shared.iter_mut().zip(own).for_each(|(d, own)| *d += own);
        }
        vec![d_shared, d_prefixes]
    }
}

/// Where the parts of every sequence lie: registers, prefix, tokens.
struct Rows {
    /// Values of the registers of a sequence.
    registers: usize,
    /// Tokens of every sequence.
    tokens: Vec<usize>,
    dim: usize,
}

impl Rows {
    /// Rows of every sequence.
    fn lengths(&self) -> Vec<usize> {
        let before = self.registers / self.dim + 1;
        self.tokens.iter().map(|tokens| before + tokens).collect()
    }

    /// Parts of all sequences, sequence by sequence.
    fn join(&self, mut parts: [&[f32]; 3]) -> Vec<f32> {
        let mut x = Vec::with_capacity(parts.iter().map(|part| part.len()).sum());
        for tokens in &self.tokens {
            let sizes = [self.registers, self.dim, tokens * self.dim];
            for (part, size) in parts.iter_mut().zip(sizes) {
                let (own, rest) = part.split_at(size);
                x.extend_from_slice(own);
                *part = rest;
            }
        }
        x
    }

    /// The way back.
    fn apart(&self, mut x: &[f32]) -> [Vec<f32>; 3] {
        let mut parts = [const { Vec::new() }; 3];
        for tokens in &self.tokens {
            let sizes = [self.registers, self.dim, tokens * self.dim];
            for (part, size) in parts.iter_mut().zip(sizes) {
                let (own, rest) = x.split_at(size);
                part.extend_from_slice(own);
                x = rest;
            }
        }
        parts
    }
}
