//! What training and serving must agree on: studies, preprocessing, networks, weights, engine.
//!
//! Modules stand in the order data flows through them, and none imports a later one:
//!
//! 1. [`dims`] sizes that the published weights fix, and the axis alphabet.
//! 2. [`labels`] the 52 diagnoses and the words for acuity.
//! 3. [`table`] the head of clinical tables, and how a mistake in one is refused.
//! 4. [`study`] what a study is: series, acquired stacks, what was left out and why.
//! 5. [`dicom`] DICOM files to a study: bounded parser, decoder process, series splitting.
//! 6. [`volume`] an acquired stack to a 256 x 256 x n volume in LPS order.
//! 7. [`tokens`] a volume to 32 x 32 x 4 patches, their positions, and text fields.
//! 8. [`prepare`] a study on disk to patches and names: the four above in order.
//! 9. [`nn`] the networks, on burn; no files, no clock.
//! 10. [`weights`] bundles on disk, and import of the published checkpoints.
//! 11. [`engine`] patches to tokens to scores, on the device picked at run time.
//! 12. [`explain`] LIME over volume tokens.
//!
//! Research use; not a medical device.
#![cfg_attr(
    test,
    allow(
        clippy::float_cmp,
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        clippy::string_slice,
        reason = "tests compare small exact numbers"
    )
)]

pub mod dims;
pub mod labels;
pub mod table;
pub mod study;
pub mod dicom;
pub mod volume;
pub mod tokens;
pub mod prepare;
pub mod nn;
pub mod weights;
pub mod engine;
pub mod explain;
