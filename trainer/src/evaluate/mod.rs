//! A bundle asked about a cohort, and whether the cohort gives its answers away.
//!
//! What the answers are worth is measured by the crate `evaluation`, which knows no network.
//!
//! 1. [`input`] studies as an engine reads them.
//! 2. [`score`] every study of a split to an evaluation set.
//! 3. [`explain`] explanations held against masks.
//! 4. [`robustness`] real studies as other days would have acquired them.
//! 5. [`leak`] what labels can be told from without looking at the images.
//! 6. [`transfer`] what embeddings tell about labels of other data sets.
//! 7. [`card`] a model card from what was measured.

pub mod card;
pub mod explain;
pub mod input;
pub mod leak;
pub mod robustness;
pub mod score;
pub mod transfer;
