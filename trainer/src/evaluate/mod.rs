//! How good a model is, and whether its cohort gives answers away.
//!
//! 1. [`report`] a bundle scored on a cohort.
//! 2. [`groups`] the same in groups of patients and scanners.
//! 3. [`age`] how near the age that is read from the images comes.
//! 4. [`leak`] what labels can be told from without looking at the images.
//! 5. [`transfer`] what embeddings tell about labels of other data sets.

pub mod age;
pub mod groups;
pub mod input;
pub mod leak;
pub mod report;
pub mod robustness;
pub mod transfer;
