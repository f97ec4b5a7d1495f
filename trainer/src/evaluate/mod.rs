//! How good a model is, and whether its cohort gives answers away.
//!
//! 1. [`metrics`] area under the ROC curve with its interval, average precision, correlations,
//!    decisions at a threshold.
//! 2. [`calibration`] from logits to probabilities, and their error.
//! 3. [`threshold`] a decision threshold by a stated operating point.
//! 4. [`embedding`] agreement of embeddings: CKA, retrieval.
//! 5. [`report`] a bundle scored on a cohort.
//! 6. [`groups`] the same in groups of patients and scanners.
//! 7. [`age`] how near the age that is read from the images comes.
//! 8. [`leak`] what labels can be told from without looking at the images.

pub mod age;
pub mod calibration;
pub mod embedding;
pub mod groups;
pub mod input;
pub mod leak;
pub mod metrics;
pub mod report;
pub mod robustness;
pub mod rows;
pub mod threshold;
