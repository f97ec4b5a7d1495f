//! Training objectives: CLIP and patient discrimination (paper, Methods, equation 8;
//! specification §11, §15).

use burn::tensor::{Tensor, TensorData, activation};

use super::Compute;

/// Value the published code writes on the diagonal of the similarity logits, after the division
/// by the temperature, so that a series is (almost) no candidate for itself.
const SELF_LOGIT: f32 = -10.0;

/// Contrastive loss between images and reports: mean of the two cross entropies of
/// `image . text^T * exp(temperature)`.
///
/// # Shapes
///
/// - `image`, `text`: `[B, projection]`, rows of unit length; row `i` of one belongs to row `i`
///   of the other
/// - `temperature`: `[1]`
/// - output: `[1]`
#[must_use]
pub fn clip_loss(
    image: Tensor<Compute, 2>,
    text: Tensor<Compute, 2>,
    temperature: Tensor<Compute, 1>,
) -> Tensor<Compute, 1> {
    let logits = image.matmul(text.transpose()) * temperature.exp().unsqueeze();
    (matching_entropy(logits.clone()) + matching_entropy(logits.transpose())) * 0.5
}

/// Mean cross entropy of rows whose right class is their own index.
fn matching_entropy(logits: Tensor<Compute, 2>) -> Tensor<Compute, 1> {
    let [n, _] = logits.dims();
    let eye = Tensor::<Compute, 2>::eye(n, &logits.device());
    #[expect(clippy::cast_precision_loss, reason = "a batch is far smaller than 2^52")]
    let n = n as f64;
    (activation::log_softmax(logits, 1) * eye).sum().neg() / n
}

/// Binary cross entropy of every entry, `log(1 + exp(x)) - x * y`.
///
/// Not by burn's `softplus`, which is infinite from a logit of 88 on; the logarithm of the sigmoid
/// is finite everywhere, and so is its derivative.
///
/// # Shapes
///
/// `logits`, `targets` (probabilities) and output: `[N, L]`.
#[must_use]
pub fn binary_cross_entropy(
    logits: Tensor<Compute, 2>,
    targets: Tensor<Compute, 2>,
) -> Tensor<Compute, 2> {
    activation::log_sigmoid(logits.clone().neg()).neg() - logits * targets
}

/// Which form of the patient-discrimination loss.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PatientDiscrimination {
    /// The published code: a series is no positive of itself, its own logit is -10, and the
    /// terms are summed with weight `1 / (n_i - 1)`.
    Code,
    /// Equation 8 of the paper: positives are all series of the study including the series
    /// itself, weight `1 / n_i`, averaged over the studies of the batch.
    Paper,
}

/// Pulls series of one study together: `-log` of the softmax mass that a series gives to the
/// series of its own study.
///
/// A study with a single series has no positive in the code's form; it contributes nothing here
/// (the published code yields infinity).
///
/// # Shapes
///
/// - `u`: `[S, output]`, rows of unit length
/// - `study`: study id of each series
/// - `temperature`: `[1]`, divides
/// - output: `[1]`
#[must_use]
pub fn patient_discrimination_loss(
    u: Tensor<Compute, 2>,
    study: &[i64],
    temperature: Tensor<Compute, 1>,
    form: PatientDiscrimination,
) -> Tensor<Compute, 1> {
    let device = u.device();
    let n = study.len();
    // Masks are built as floats on the host: what burn 0.21 makes of a bool or int tensor on an
    // autodiff device has left that device.
    let matrix = |value: &dyn Fn(usize, usize) -> bool| {
        let values = (0..n * n).map(|at| f32::from(u8::from(value(at / n, at % n)))).collect();
        Tensor::<Compute, 2>::from_data(TensorData::new(values, [n, n]), &device)
    };
    let same = matrix(&|i, j| study[i] == study[j]);
    let eye = matrix(&|i, j| i == j);
    let logits = u.clone().matmul(u.transpose()) / temperature.unsqueeze();
    let (logits, positives) = match form {
        PatientDiscrimination::Code => {
            let others = eye.clone().neg() + 1.0;
            (logits * others + eye.clone() * SELF_LOGIT, same - eye)
        }
        PatientDiscrimination::Paper => (logits, same),
    };
    let weights = weights(study, form);
    let vector = Tensor::<Compute, 1>::from_data(TensorData::new(weights, [n]), &device);
    // As a difference of logarithms: a mass itself rounds to zero at a low temperature, and its
    // logarithm has no derivative. Rows without a positive weigh nothing.
    let of_own = logits.clone() + (positives - 1.0) * FAR;
    let log_mass = log_sum_exp(of_own) - log_sum_exp(logits); // [S]
    (log_mass * vector).sum().neg()
}

/// Puts a logit out of a sum of exponentials.
const FAR: f64 = 1e4;

/// Logarithm of the sum of exponentials of every row.
fn log_sum_exp(x: Tensor<Compute, 2>) -> Tensor<Compute, 1> {
    let largest = x.clone().max_dim(1).detach();
    ((x - largest.clone()).exp().sum_dim(1).log() + largest).squeeze_dim::<1>(1)
}

/// Weight of every series' term.
#[expect(clippy::cast_precision_loss, reason = "a batch has far fewer than 2^23 series")]
fn weights(study: &[i64], form: PatientDiscrimination) -> Vec<f32> {
    let mut distinct = study.to_vec();
    distinct.sort_unstable();
    distinct.dedup();
    let size = |id: &i64| study.iter().filter(|other| *other == id).count();
    let weight = |id| match (form, size(id)) {
        (PatientDiscrimination::Code, 1) => 0.0,
        (PatientDiscrimination::Code, n) => 1.0 / (n - 1) as f32,
        (PatientDiscrimination::Paper, n) => 1.0 / (n * distinct.len()) as f32,
    };
    study.iter().map(weight).collect()
}

#[cfg(test)]
mod tests {
    use burn::DispatchDevice;

    use super::*;
    use crate::engine::{DeviceChoice, device};

    #[test]
    fn sure_answers_have_a_finite_loss_and_gradient() {
        let device = DispatchDevice::autodiff(device(DeviceChoice::Cpu).unwrap());
        let tensor = |values: [f32; 6]| {
            Tensor::<Compute, 2>::from_data(TensorData::new(values.to_vec(), [1, 6]), &device)
        };
        let logits = tensor([200.0, 200.0, -200.0, -200.0, 0.0, -20.0]).require_grad();
        let targets = tensor([1.0, 0.0, 0.0, 1.0, 1.0, 0.0]);
        let loss = binary_cross_entropy(logits.clone(), targets);
        let values = |data: TensorData| data.into_vec::<f32>().unwrap();
        let near = |found: Vec<f32>, expected: [f32; 6]| {
            for (found, expected) in found.into_iter().zip(expected) {
                assert!(
                    (found - expected).abs() <= 1e-6 * (1.0 + expected.abs()),
                    "{found} {expected}"
                );
            }
        };
        near(
            values(loss.clone().into_data()),
            [0.0, 200.0, 0.0, 200.0, std::f32::consts::LN_2, 0.0],
        );
        let gradient = logits.grad(&loss.sum().backward()).unwrap();
        near(values(gradient.into_data()), [0.0, 1.0, 0.0, -1.0, -0.5, 0.0]);
    }

    #[test]
    fn series_far_apart_at_a_low_temperature_have_a_gradient() {
        let device = DispatchDevice::autodiff(device(DeviceChoice::Cpu).unwrap());
        // Series 0 and 1 are of one study and opposite; series 2 lies on 0.
        let u = TensorData::new(vec![1.0f32, 0.0, -1.0, 0.0, 1.0, 0.0], [3, 2]);
        let u = Tensor::<Compute, 2>::from_data(u, &device).require_grad();
        let temperature = Tensor::<Compute, 1>::from_data([0.005f32], &device);
        let loss = patient_discrimination_loss(
            u.clone(),
            &[7, 7, 8],
            temperature,
            PatientDiscrimination::Code,
        );
        // 200 against -200 for series 0; for series 1 its own -10 against -200.
        let found = loss.clone().into_data().iter::<f32>().next().unwrap();
        assert!((found - 590.0).abs() < 0.1, "{found}");
        let gradient = u.grad(&loss.backward()).unwrap();
        assert!(gradient.into_data().iter::<f32>().all(f32::is_finite));
    }
}
