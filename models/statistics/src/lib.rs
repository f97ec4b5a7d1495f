//! Statistics that evaluation and monitoring must agree on: plain functions on plain numbers.
//!
//! - [`sample`] mean, variance, quantiles; [`distribution`] tails of the normal distribution;
//! - [`metrics`] area under the ROC curve with its interval, average precision, correlations,
//!   decisions at a threshold;
//! - [`interval`] intervals of a share;
//! - [`calibration`] from logits to probabilities, and their error;
//! - [`threshold`] a decision threshold by a stated operating point;
//! - [`agreement`] confusion matrices and kappa;
//! - [`contingency`], [`rank_test`], [`multiple`] odds ratios and tests of two groups, and of
//!   many;
//! - [`bootstrap`] intervals by resampling;
//! - [`sample_size`] of a trial;
//! - [`power_law`] curves through few points;
//! - [`cluster`] average linkage, orders of its leaves, consensus;
//! - [`drift`] whether the present looks like the past: stability index, Kolmogorov-Smirnov,
//!   cumulative sums with a stated run length;
//! - [`logistic`], [`ridge`] regression with a penalty;
//! - [`rows`], [`embedding`] agreement of embeddings: CKA, retrieval.
//!
//! Intervals hold 95 %. What resamples draws from a seed, and says which studies it drew.
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

pub mod agreement;
pub mod bootstrap;
pub mod calibration;
pub mod cluster;
pub mod contingency;
pub mod distribution;
pub mod drift;
pub mod embedding;
pub mod interval;
pub mod logistic;
pub mod metrics;
pub mod multiple;
pub mod power_law;
pub mod rank_test;
pub mod ridge;
pub mod rows;
pub mod sample;
pub mod sample_size;
pub mod threshold;
