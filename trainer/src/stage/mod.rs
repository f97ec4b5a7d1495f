//! The stages of training. Each is a subcommand with a typed configuration and a run folder.
//!
//! | module | stage | paper |
//! |---|---|---|
//! | [`run`] | run folder: configuration, metrics, checkpoints, resume | |
//! | [`learner`] | a network with its optimiser: accumulate, guard, step, save | |
//! | [`weights`] | networks to and from weight files under the published names | |
//! | [`batch`] | studies of a token store to packed tensors, with every augmentation | Methods; specification §11 |
//! | [`tokenizer`] | VQ-VAE on patches; token shards | Methods, "MRI volume tokenization"; Algorithm 1 |
//! | [`text`] | report tokenizer and language model | Methods, "Training objective" |
//! | [`series_names`] | name encoder by CLIP against the sequence ViT | Methods, "Hierarchical multimodal transformers" |
//! | [`clip`] | hierarchical ViT and report encoder, and the networks it is compared with | Methods; Algorithm 2 |
//! | [`slices`] | study embeddings by a 2-D image encoder | Methods, "MLP Probing of 2D CLIP models" |
//! | [`heads`] | diagnosis, referral, acuity, age; calibration and thresholds | Methods, "Evaluation protocol" |
//! | [`distill`] | a teacher's knowledge into the edge student | ours |
//! | [`ablate`] | variants, baselines and scaling, trained and compared | Methods, "Model Design Ablations" |
//! | [`group`] | gradients and embeddings across processes | |

pub mod ablate;
pub mod batch;
pub mod clip;
pub mod distill;
pub mod feedback;
pub mod group;
pub mod heads;
pub mod learner;
pub mod run;
pub mod series_names;
pub mod sizes;
pub mod slices;
pub mod subset;
pub mod tasks;
pub mod text;
pub mod tokenizer;
pub mod weights;

use burn::DispatchDevice;
use burn::tensor::Tensor;
use models::engine::{DeviceChoice, DeviceError};
use models::nn::Compute;

/// Default of every configuration.
fn cpu() -> DeviceChoice {
    DeviceChoice::Cpu
}

/// The device by its name.
fn device(choice: DeviceChoice) -> Result<DispatchDevice, DeviceError> {
    models::engine::device(choice)
}

/// The one value of a tensor; waits for the device.
fn scalar(tensor: &Tensor<Compute, 1>) -> f64 {
    tensor.clone().into_data().iter::<f64>().next().unwrap_or(f64::NAN)
}
