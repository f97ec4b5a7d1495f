//! The vision side of Prima: tokens and names of a study to the embedding every head reads
//! (paper, Fig. 1; specification §8, §9).

use burn::module::Module;
use burn::nn::Linear;
use burn::tensor::backend::Backend;
use burn::tensor::{Tensor, activation};

use super::Compute;
use super::config::{PatientDiscriminationConfig, PrimaConfig};
use super::cut::Cut;
use super::name::NameEncoder;
use super::parameters::{ParameterError, Parameters};
use super::register_vit::{RegisterOutput, RegisterVit};

/// Hierarchical ViT with its two name encoders.
#[derive(Module, Debug)]
#[doc(alias = "HierViT")]
pub struct Prima<B: Backend> {
    series_name: NameEncoder<B>,
    study_name: NameEncoder<B>,
    sequence_vit: RegisterVit<B>,
    study_vit: RegisterVit<B>,
    patient_discrimination: Option<PatientDiscrimination<B>>,
}

/// Two-layer network on a series' pooled registers; training only (specification §11).
#[derive(Module, Debug)]
#[doc(alias = "patdisnet")]
pub struct PatientDiscrimination<B: Backend> {
    hidden: Linear<B>,
    output: Linear<B>,
}

impl Prima<Compute> {
    /// Reads `visual_model.*`.
    ///
    /// # Errors
    ///
    /// When a tensor is missing or has another shape.
    pub fn load(at: &Parameters<'_>, config: &PrimaConfig) -> Result<Self, ParameterError> {
        let at = at.at("visual_model");
        let pooled = config.sequence_vit.pooled();
        let patient_discrimination = config
            .patient_discrimination
            .map(|c| PatientDiscrimination::load(&at.at("patdisnet"), pooled, c))
            .transpose()?;
        Ok(Self {
            series_name: NameEncoder::load(&at.at("serieencoder"), &config.series_name)?,
            study_name: NameEncoder::load(&at.at("studyencoder"), &config.study_name)?,
            sequence_vit: RegisterVit::load(&at.at("innerViT"), &config.sequence_vit)?,
            study_vit: RegisterVit::load(&at.at("outerViT"), &config.study_vit)?,
            patient_discrimination,
        })
    }

    /// Every series of one or more studies to its vector.
    ///
    /// # Shapes
    ///
    /// - `names`: `[S, D]`, see [`Self::series_names`]
    /// - `tokens`: `S` tensors `[t, D]`
    /// - output: pooled `[S, R * D + P]`, vectors `[S, study width]`
    #[must_use]
    pub fn series(
        &self,
        names: &Tensor<Compute, 2>,
        tokens: Vec<Tensor<Compute, 2>>,
    ) -> RegisterOutput {
        self.sequence_vit.forward(self.sequence_vit.pack(names, tokens))
    }

    /// [`Self::series`] from the ids of names, for training on a CPU, with its
    /// [cuts](RegisterVit::forward_cut) in the order of the pass.
    #[must_use]
    pub fn series_cut(
        &self,
        names: &[Vec<u8>],
        tokens: Vec<Tensor<Compute, 2>>,
    ) -> (RegisterOutput, Vec<Cut>) {
        let (names, of_names) = self.series_name.forward_cut(names);
        let (output, of_tokens) = self.sequence_vit.forward_cut(&names, tokens);
        (output, of_names.into_iter().chain(of_tokens).collect())
    }

    /// Series vectors to study embeddings.
    ///
    /// # Shapes
    ///
    /// - `descriptions`: `[B, D]`, see [`Self::study_names`]
    /// - `series`: `B` tensors `[s, D]`
    /// - output: pooled `[B, R * D + P]` (what heads read), CLIP projection `[B, projection]`
    #[must_use]
    pub fn studies(
        &self,
        descriptions: &Tensor<Compute, 2>,
        series: Vec<Tensor<Compute, 2>>,
    ) -> RegisterOutput {
        self.study_vit.forward(self.study_vit.pack(descriptions, series))
    }

    /// Series names to vectors `[S, D]`.
    #[must_use]
    pub fn series_names(&self, ids: &[Vec<u8>]) -> Tensor<Compute, 2> {
        self.series_name.forward(ids)
    }

    /// Study descriptions to vectors `[B, D]`.
    #[must_use]
    pub fn study_names(&self, ids: &[Vec<u8>]) -> Tensor<Compute, 2> {
        self.study_name.forward(ids)
    }

    /// The sequence ViT, for what needs the states of tokens.
    #[must_use]
    pub fn sequence_vit(&self) -> &RegisterVit<Compute> {
        &self.sequence_vit
    }

    /// The study ViT, for what needs the states of series.
    #[must_use]
    pub fn study_vit(&self) -> &RegisterVit<Compute> {
        &self.study_vit
    }

    /// This network, its reader of series names no longer trained.
    #[must_use]
    pub fn with_fixed_names(mut self) -> Self {
        self.series_name = self.series_name.no_grad();
        self
    }

    /// Patient-discrimination features of pooled registers: `[S, R * D]` to `[S, output]`, before
    /// normalisation; `None` when the weights do not carry that network.
    #[must_use]
    pub fn patient_features(&self, pooled: Tensor<Compute, 2>) -> Option<Tensor<Compute, 2>> {
        self.patient_discrimination.as_ref().map(|network| network.forward(pooled))
    }
}

impl PatientDiscrimination<Compute> {
    /// Reads `0.*` and `2.*` for features of `input` values.
    ///
    /// # Errors
    ///
    /// When a tensor is missing or has another shape.
    pub fn load(
        at: &Parameters<'_>,
        input: usize,
        config: PatientDiscriminationConfig,
    ) -> Result<Self, ParameterError> {
        Ok(Self {
            hidden: at.at("0").linear(input, config.hidden, true)?,
            output: at.at("2").linear(config.hidden, config.output, true)?,
        })
    }

    /// `[S, input]` to `[S, output]`.
    #[must_use]
    pub fn forward(&self, pooled: Tensor<Compute, 2>) -> Tensor<Compute, 2> {
        self.output.forward(activation::relu(self.hidden.forward(pooled)))
    }
}

#[cfg(test)]
mod tests {
    use burn::DispatchDevice;
    use burn::module::{ModuleVisitor, Param};
    use burn::optim::GradientsParams;
    use burn::tensor::{DType, TensorData};

    use super::*;
    use crate::weights::init::Seeded;

    /// Compares the gradient of every parameter.
    struct Compared {
        found: GradientsParams,
        expected: GradientsParams,
        parameters: usize,
    }

    impl ModuleVisitor<Compute> for Compared {
        fn visit_float<const D: usize>(&mut self, parameter: &Param<Tensor<Compute, D>>) {
            let both = [&mut self.found, &mut self.expected];
            let both = both.map(|from| from.remove::<Compute, D>(parameter.id));
            let [Some(found), Some(expected)] = both.clone() else {
                assert!(both[0].is_none() && both[1].is_none(), "one of them has no gradient");
                return;
            };
            let expected = expected.into_data();
            let largest = expected.iter::<f32>().fold(0.0_f32, |max, x| max.max(x.abs()));
            for (found, expected) in found.into_data().iter::<f32>().zip(expected.iter::<f32>()) {
                assert!(
                    (found - expected).abs() <= 2e-5 * largest,
                    "parameter {} of shape {:?}: {found}, expected {expected}",
                    self.parameters,
                    parameter.dims()
                );
            }
            self.parameters += 1;
        }
    }

    /// Names, perceptron, blocks and registers learn by the graph in parts as by the whole one.
    #[test]
    fn a_cut_graph_has_the_gradients_of_the_whole_one() {
        let device = DispatchDevice::autodiff(DispatchDevice::Flex(Default::default()));
        let source = Seeded { seed: 3 };
        let at = Parameters::new(&source, &device, DType::F32);
        let config = PrimaConfig::edge();
        let prima = Prima::load(&at, &config).unwrap();
        let width = config.sequence_vit.transformer.dim;
        let tensor = |first: usize, rows: usize, columns: usize| {
            let value = |i: usize| ((i * 7919) % 1009) as f32 / 252.0 - 2.0;
            let values: Vec<f32> = (first..first + rows * columns).map(value).collect();
            Tensor::<Compute, 2>::from_data(TensorData::new(values, [rows, columns]), &device)
        };
        let names = [vec![3, 1, 4, 1, 46], vec![46], vec![5, 9, 2, 6, 5, 3, 5, 46]];
        let tokens = || [5, 1, 37].map(|count| tensor(count, count, width)).to_vec();
        let loss = |output: RegisterOutput| {
            let features = output.tokens.unwrap();
            let [rows, columns] = features.dims();
            let [of_pooled, of_output] = [output.pooled.dims(), output.output.dims()];
            (output.pooled * tensor(7, of_pooled[0], of_pooled[1])).sum()
                + (output.output * tensor(11, of_output[0], of_output[1])).sum()
                + (features * tensor(13, rows, columns)).sum()
        };
        let whole = loss(prima.series(&prima.series_names(&names), tokens()));
        let expected = GradientsParams::from_grads(whole.backward(), &prima);

        let (output, cuts) = prima.series_cut(&names, tokens());
        assert_eq!(cuts.len(), 2);
        let sum = loss(output);
        let [value, of_whole] =
            [sum.clone(), whole.clone()].map(|x| x.into_data().iter::<f32>().sum::<f32>());
        assert!((value - of_whole).abs() <= 1e-5 * of_whole.abs(), "{value}, {of_whole}");
        let mut found = GradientsParams::new();
        let mut gradients = sum.backward();
        let mut graphs = Vec::new();
        for cut in cuts.into_iter().rev() {
            let before = cut.derive(&gradients, &mut found).unwrap().backward();
            graphs.push(std::mem::replace(&mut gradients, before));
        }
        // Every parameter is in one graph only.
        for graph in graphs.into_iter().chain([gradients]) {
            let mut of_graph =
                Collected { from: GradientsParams::from_grads(graph, &prima), to: &mut found };
            prima.visit(&mut of_graph);
        }
        let mut compared = Compared { found, expected, parameters: 0 };
        prima.visit(&mut compared);
        assert!(compared.found.is_empty() && compared.expected.is_empty());
        assert!(compared.parameters > 40, "{}", compared.parameters);
    }

    /// Gradients from one place to another.
    struct Collected<'a> {
        from: GradientsParams,
        to: &'a mut GradientsParams,
    }

    impl ModuleVisitor<Compute> for Collected<'_> {
        fn visit_float<const D: usize>(&mut self, parameter: &Param<Tensor<Compute, D>>) {
            if let Some(gradient) = self.from.remove::<Compute, D>(parameter.id) {
                assert!(self.to.get::<Compute, D>(parameter.id).is_none(), "in two graphs");
                self.to.register(parameter.id, gradient);
            }
        }
    }
}
