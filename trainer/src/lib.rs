//! What runs at a training site. So far: comparison with the published code, import of its
//! checkpoints, and untrained bundles for demonstrations and tests.
//!
//! Research use; not a medical device.

pub mod parity;
