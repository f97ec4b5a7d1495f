//! The box at the clinic. Modules stand in the order data flows through them:
//!
//! 1. [`inference`] a folder of DICOM files to a triage result, with explanation on request.
//! 2. [`console`] the result as a table for people.
//!
//! Research use; not a medical device.

pub mod clock;
pub mod console;
pub mod inference;
pub mod store;
