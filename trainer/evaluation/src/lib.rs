//! From a model's predictions and the truth to the tables and figures of the paper.
//!
//! Nothing here knows a network or an image: a folder of predictions goes in ([`set`]), numbers
//! come out, and a report is drawn from the numbers alone.
//!
//! - [`set`] what is evaluated: truth, scores and groups of every study;
//! - [`svg`] charts;
//! - [`transfer`] labels of other data sets, told from embeddings.
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

pub mod set;
pub mod svg;
pub mod transfer;
