//! From finished runs to a bundle that the appliance accepts ([`bundle`]): ONNX parts for its CPU path
//! ([`onnx`]), the check that all engines agree ([`check`]), the model card ([`card`]) and the
//! signature ([`sign`]).
//!
//! Order: weights and manifest, ONNX parts, golden logits (`models::engine::golden::record`),
//! check, model card, signature. The signature comes last because it covers the manifest, which
//! pins every other file.
//!
//! There is no int8 variant. With dynamic int8 (weights of all matrix products, ONNX Runtime's
//! quantiser) tract triaged the study of the benches in 4.7 CPU seconds instead of 1.7, reading
//! DICOM included: it has integer products, but not fast ones.

pub mod bundle;
pub mod card;
pub mod check;
pub mod onnx;
pub mod sign;
