//! From a model's predictions and the truth to the tables and figures of the paper.
//!
//! Nothing here knows a network or an image: a folder of predictions goes in ([`set`]), numbers
//! come out ([`measure`]), and a report is drawn from the numbers alone ([`report`]).
//!
//! - [`set`] what is evaluated: truth, scores and groups of every study;
//! - [`resample`] the bootstrap over patients that all intervals share;
//! - [`outputs`] diagnoses and services, [`priority`] acuity, [`age`];
//! - [`multilabel`], [`reliability`], [`neighbours`], [`conspicuity`] what scores are like;
//! - [`alignment`], [`explanation`], [`dropping`] experiments that needed the network;
//! - [`fairness`] delays of reports, and groups of patients;
//! - [`comparison`] several networks on one set of studies;
//! - [`measure`] all of it, [`report`] the document;
//! - [`transfer`] labels of other data sets, told from embeddings;
//! - [`made_up`] sets for benches and tests;
//! - [`plot`] charts, [`page`] the document that holds them.
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

pub mod age;
pub mod alignment;
pub mod comparison;
pub mod conspicuity;
pub mod dropping;
pub mod explanation;
pub mod fairness;
mod markup;
pub mod made_up;
pub mod measure;
pub mod multilabel;
pub mod neighbours;
pub mod outputs;
pub mod page;
pub mod plain;
pub mod plot;
pub mod priority;
pub mod reliability;
pub mod report;
pub mod resample;
pub mod set;
pub mod transfer;

pub use measure::{Evaluation, Options, evaluate};
