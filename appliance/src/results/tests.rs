//! Reports and segmentations as they are read back, and their way to archives that come and go.

mod delivery;
mod report;
mod segmentation;
