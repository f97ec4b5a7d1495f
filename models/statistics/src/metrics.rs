//! How well a score separates two classes, and how two measurements agree.
//!
//! Every figure is `None` where it has no meaning: one class missing, a score that is not a
//! number, no variance.

mod correlation;
mod decisions;
mod roc;

pub use correlation::{Correlation, pearson, pearson_test, spearman, spearman_test};
pub use decisions::Confusion;
pub(crate) use roc::descending;
pub use roc::{
    Auroc, AurocDifference, auroc, auroc_difference, auroc_without_each, average_precision, roc,
};

pub use crate::sample::mean;

#[cfg(test)]
pub(crate) mod tests;
