//! One ViT over the tokens of all series of a study.
//!
//! The input is `[registers][description][name][tokens of series 1][name][tokens of series 2]...`.
//! Behind every token and name stand ten values that say which series it belongs to.

use burn::DispatchDevice;
use burn::module::{Module, Param};
use burn::nn::{LayerNorm, Linear};
use burn::tensor::backend::Backend;
use burn::tensor::{Tensor, TensorData};
use models::dims::TOKEN_FEATURES;
use models::nn::Compute;
use models::nn::config::{NameEncoderConfig, PrimaConfig};
use models::nn::name::NameEncoder;
use models::nn::parameters::{ParameterError, Parameters};
use models::nn::prima::PatientDiscrimination;
use models::nn::transformer::{Transformer, rows};
use models::tokens::position::{PER_AXIS, character_position};

use super::{Seen, flat_sizes};
use crate::stage::batch::Example;

/// Values that tell the place of a series in its study.
pub(super) const PLACE: usize = PER_AXIS;

/// Flat ViT with its two name encoders.
#[derive(Module, Debug)]
pub(super) struct FlatVit<B: Backend> {
    series_name: NameEncoder<B>,
    study_name: NameEncoder<B>,
    registers: Param<Tensor<B, 2>>,
    transformer: Transformer<B>,
    norm: LayerNorm<B>,
    output: Linear<B>,
    patient: Option<PatientDiscrimination<B>>,
}

impl FlatVit<Compute> {
    /// Reads `visual_model.*`.
    pub(super) fn load(at: &Parameters<'_>, sizes: &PrimaConfig) -> Result<Self, ParameterError> {
        let at = at.at("visual_model");
        let vit = flat_sizes(sizes);
        let dim = vit.transformer.dim;
        let study_name = NameEncoderConfig { output: dim, adapter: None, ..sizes.study_name };
        let patient = sizes.patient_discrimination;
        let patient = patient.map(|c| PatientDiscrimination::load(&at.at("patdisnet"), dim, c));
        let inner = at.at("flatViT");
        Ok(Self {
            series_name: NameEncoder::load(&at.at("serieencoder"), &sizes.series_name)?,
            study_name: NameEncoder::load(&at.at("studyencoder"), &study_name)?,
            registers: Param::from_tensor(inner.tensor("cls_token", [vit.registers, dim])?),
            transformer: Transformer::load(&inner.at("transformer"), &vit.transformer)?,
            norm: inner.at("layernorm").layer_norm(dim)?,
            output: inner.at("mlp_head.0").linear(vit.pooled(), vit.output, true)?,
            patient: patient.transpose()?,
        })
    }

    pub(super) fn with_fixed_names(mut self) -> Self {
        self.series_name = self.series_name.no_grad();
        self
    }

    pub(super) fn see(&self, examples: &[&Example], device: &DispatchDevice) -> Seen {
        let [registers, dim] = self.registers.dims();
        let order = Order::of(examples, registers);
        let mut parts = vec![self.registers.val()];
        if order.described {
            let ids: Vec<Vec<u8>> = examples.iter().map(|e| e.description.clone()).collect();
            parts.push(self.study_name.forward(&ids));
        }
        if order.named {
            parts.push(self.names(examples, device));
        }
        parts.push(tokens(examples, dim, device));
        let x = rows(Tensor::cat(parts, 0), order.rows);
        let states = self.norm.forward(self.transformer.forward(x, &order.lengths));
        let starts = order.lengths.iter().scan(0, |next, length| {
            *next += length;
            Some(*next - length)
        });
        let read = starts.flat_map(|start| start..start + registers);
        let pooled = rows(states.clone(), read).reshape([examples.len(), registers * dim]);
        let patient = self.patient.as_ref().filter(|_| order.named);
        Seen {
            projected: self.output.forward(pooled.clone()),
            pooled,
            patient: patient.map(|network| network.forward(rows(states, order.names))),
        }
    }

    /// Vectors of the series names with the places of their series, `[S, D]`.
    fn names(&self, examples: &[&Example], device: &DispatchDevice) -> Tensor<Compute, 2> {
        let ids = examples.iter().flat_map(|e| e.series.iter().map(|s| s.name.clone()));
        let ids: Vec<Vec<u8>> = ids.collect();
        let places = examples.iter().flat_map(|e| (0..e.series.len()).flat_map(character_position));
        let places = TensorData::new(places.collect::<Vec<f32>>(), [ids.len(), PLACE]);
        let places = Tensor::<Compute, 2>::from_data(places, device);
        Tensor::cat(vec![self.series_name.forward(&ids), places], 1)
    }
}

/// Tokens of all series with the places of their series, `[T, dim]`.
fn tokens(examples: &[&Example], dim: usize, device: &DispatchDevice) -> Tensor<Compute, 2> {
    let padding = vec![0.0; dim - PLACE - TOKEN_FEATURES];
    let mut values: Vec<f32> = Vec::new();
    for example in examples {
        for (place, series) in example.series.iter().enumerate() {
            let place = character_position(place);
            for token in series.features.chunks_exact(TOKEN_FEATURES) {
                values.extend(token.iter().chain(&padding).chain(&place));
            }
        }
    }
    let count = values.len() / dim;
    Tensor::from_data(TensorData::new(values, [count, dim]), device)
}

/// Where everything stands in the packed sequences, as rows of
/// `[registers][descriptions][names][tokens]`.
struct Order {
    /// A study without a description has none of that token.
    described: bool,
    /// So has a series without a name.
    named: bool,
    rows: Vec<usize>,
    lengths: Vec<usize>,
    /// Places of the names among the rows.
    names: Vec<usize>,
}

impl Order {
    fn of(examples: &[&Example], registers: usize) -> Self {
        let mut series = examples.iter().flat_map(|e| &e.series);
        let described = !examples.iter().any(|e| e.description.is_empty());
        let named = !series.any(|s| s.name.is_empty());
        let count: usize = examples.iter().map(|e| e.series.len()).sum();
        let mut name = registers + if described { examples.len() } else { 0 };
        let mut token = name + if named { count } else { 0 };
        let mut order =
            Self { described, named, rows: Vec::new(), lengths: Vec::new(), names: Vec::new() };
        for (study, example) in examples.iter().enumerate() {
            let start = order.rows.len();
            order.rows.extend(0..registers);
            order.rows.extend(described.then_some(registers + study));
            for series in &example.series {
                if named {
                    order.names.push(order.rows.len());
                    order.rows.push(name);
                    name += 1;
                }
                order.rows.extend(token..token + series.tokens());
                token += series.tokens();
            }
            order.lengths.push(order.rows.len() - start);
        }
        order
    }
}
