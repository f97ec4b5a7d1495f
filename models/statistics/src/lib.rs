//! Statistics that evaluation and monitoring must agree on: plain functions on plain numbers.
//!
//! - [`metrics`] area under the ROC curve with its interval, average precision, correlations,
//!   shares and decisions at a threshold;
//! - [`calibration`] from logits to probabilities, and their error;
//! - [`threshold`] a decision threshold by a stated operating point;
//! - [`logistic`], [`ridge`] regression with a penalty;
//! - [`rows`], [`embedding`] agreement of embeddings: CKA, retrieval.
//!
//! Every function that resamples draws from a seed, and says which studies it drew.
#![cfg_attr(
    test,
    allow(
        clippy::unwrap_used,
        clippy::panic,
        clippy::float_cmp,
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "tests compare small exact numbers and fail loudly"
    )
)]

pub mod calibration;
pub mod embedding;
pub mod logistic;
pub mod metrics;
pub mod ridge;
pub mod rows;
pub mod threshold;
