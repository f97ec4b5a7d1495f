//! Weights on disk: bundles, and import of the published checkpoints.
//!
//! A bundle is a folder: `manifest.toml`, `tokenizer.safetensors`, `network.safetensors`, one
//! file per head below `heads/`, and optionally ONNX parts. Tensors keep the published
//! checkpoint's names, so that any of them can be compared with its source.

pub mod bundle;
pub mod import;
pub mod init;
pub mod manifest;
pub mod mapped;
pub mod pickle;
pub mod safetensors_writer;
pub mod torch_file;
