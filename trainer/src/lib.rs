//! Training, import, evaluation and export of Prima models.
//!
//! Modules in the order of data flow:
//!
//! - [`cohort`] studies on disk: records, labels, patch and token shards;
//! - [`nifti`] studies of research data sets;
//! - [`evaluate`] a bundle scored on a cohort, robustness, transfer to other labels, leak baselines;
//! - [`stage`] the stages of training;
//! - [`parity`] comparison with recordings of the published code.
//!
//! Research use; not a medical device.
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

pub mod cohort;
pub mod curate;
pub mod evaluate;
pub mod export;
pub mod nifti;
pub mod parity;
pub mod picture;
pub mod reports;
pub mod show;
pub mod simulate;
pub mod stage;

#[cfg(test)]
#[path = "../../tests/support/phantom.rs"]
#[expect(dead_code, unreachable_pub, reason = "shared by the tests of several crates")]
mod phantom;
