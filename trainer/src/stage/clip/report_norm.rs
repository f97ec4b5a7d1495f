//! A layer norm before the report projection that begins centred on the cohort.
//!
//! The state after the last word of any report is first of all that of a last word. A norm that
//! begins as the identity hands that constant on, all reports look alike, and the contrastive loss
//! stays at chance for hundreds of steps. This one begins with the scale and bias that make every
//! feature of a normalised state zero on average, with a deviation of one.

use burn::DispatchDevice;
use burn::tensor::DType;
use models::nn::config::PrimaConfig;
use models::nn::parameters::{ParameterSource, Parameters};
use models::nn::report::ReportEncoder;

use super::Data;
use crate::stage::text::Vocabulary;
use crate::stage::weights::NamedTensor;

/// Reports that are looked at.
const REPORTS: usize = 256;
/// Smallest deviation that is brought to one.
const LEAST: f64 = 0.05;
/// Of a layer norm.
const EPSILON: f64 = 1e-5;

/// Weight and bias of the layer norm before the report encoder's projection.
///
/// # Errors
///
/// When a report cannot be encoded or a weight is missing.
pub(super) fn centred(
    data: &Data,
    vocabulary: &Vocabulary,
    source: &dyn ParameterSource,
    sizes: &PrimaConfig,
    device: &DispatchDevice,
) -> anyhow::Result<Vec<NamedTensor>> {
    let Some(config) = sizes.report else { return Ok(Vec::new()) };
    let at = Parameters::new(source, device, DType::F32);
    let encoder = ReportEncoder::load(&at, &config, sizes.projection)?;
    let reports = data.reports(vocabulary)?;
    let each = reports.len().div_ceil(REPORTS).max(1);
    let mut states = Vec::new();
    for report in reports.iter().step_by(each).filter(|report| !report.is_empty()) {
        let hidden = encoder.hidden(std::slice::from_ref(report));
        let last = hidden.narrow(1, report.len() - 1, 1);
        states.extend(last.into_data().iter::<f32>());
    }
    let dim = config.dim;
    let (weight, bias) = centre(states.chunks_exact(dim), dim);
    let tensor = |name: &str, values| NamedTensor {
        name: format!("text_model.mlp_head.0.{name}"),
        shape: vec![dim],
        values,
    };
    Ok(vec![tensor("weight", weight), tensor("bias", bias)])
}

/// Scale and bias after which normalised rows are zero on average, with a deviation of one.
#[expect(clippy::cast_possible_truncation, reason = "weights are f32")]
fn centre<'a>(rows: impl Iterator<Item = &'a [f32]>, dim: usize) -> (Vec<f32>, Vec<f32>) {
    let (mut count, mut sum, mut squares) = (0.0, vec![0.0; dim], vec![0.0; dim]);
    for row in rows {
        for (i, value) in normalised(row).into_iter().enumerate() {
            sum[i] += value;
            squares[i] += value * value;
        }
        count += 1.0;
    }
    let count: f64 = f64::max(count, 1.0);
    sum.iter()
        .zip(&squares)
        .map(|(sum, square)| {
            let mean = sum / count;
            let deviation = (square / count - mean * mean).max(0.0).sqrt().max(LEAST);
            ((1.0 / deviation) as f32, (-mean / deviation) as f32)
        })
        .unzip()
}

/// A row after a layer norm that is the identity.
#[expect(clippy::cast_precision_loss, reason = "a row is short")]
fn normalised(row: &[f32]) -> Vec<f64> {
    let row: Vec<f64> = row.iter().map(|v| f64::from(*v)).collect();
    let n = row.len() as f64;
    let mean = row.iter().sum::<f64>() / n;
    let variance = row.iter().map(|v| (v - mean).powi(2)).sum::<f64>() / n;
    let deviation = (variance + EPSILON).sqrt();
    row.iter().map(|v| (v - mean) / deviation).collect()
}
