//! The networks, on burn. No files, no clock, no logging; parameters come through
//! [`parameters::ParameterSource`].
//!
//! | module | network | specification |
//! |---|---|---|
//! | [`vqvae`] | volume tokenizer | §3 |
//! | [`winograd`] | its encoder on a CPU | §3 |
//! | [`mixer`] | edge tokenizer: matrix products only | none: ours |
//! | [`name`] | series-name and study-name encoders | §6 |
//! | [`transformer`] | pre-norm blocks over packed sequences; `cpu`, `attention`: on a CPU; `gradient`: their derivatives, [`cut`] into burn's graphs | §7 |
//! | [`register_vit`] | sequence ViT and study ViT | §8, §9 |
//! | [`peaks`] | tokens judged one by one, at the edge | none: ours |
//! | [`head`] | diagnosis, referral and priority heads | §10 |
//! | [`report`] | GPT-2 report encoder (training only) | §11 |
//! | [`loss`] | CLIP and patient-discrimination losses | §11 |
//! | [`prima`] | the vision side together | §8, §9 |
//!
//! [`cost`] counts what they multiply.

mod attention;
pub mod config;
pub mod cost;
mod cpu;
pub mod cut;
mod elementary;
mod gradient;
pub mod head;
pub mod loss;
pub mod mixer;
pub mod name;
mod nearest;
pub mod parameters;
pub mod peaks;
pub mod prima;
mod product;
pub mod register_vit;
pub mod report;
pub mod transformer;
pub mod vqvae;
pub mod winograd;

/// The one backend: CPU (flex), wgpu and CUDA behind one type; a device value picks at run time.
pub type Compute = burn::Dispatch;
