//! What results become as it is read back, and its way to archives and receivers that come and go.

mod delivery;
mod message;
mod mllp;
mod report;
mod segmentation;
