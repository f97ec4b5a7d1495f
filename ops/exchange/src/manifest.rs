//! P1 and P2: objects of a study, which went ahead as blobs.

use serde::{Deserialize, Serialize};

/// Objects that belong together.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Manifest {
    /// Study Instance UID, or what stands for it.
    pub study: String,
    /// Series Instance UID of a series; empty for the objects of a result.
    pub series: String,
    /// For people: `report`, `picture`, `segmentation`, or the series' description.
    pub title: String,
    /// The objects, in the order of their instance numbers.
    pub objects: Vec<Object>,
}

/// One DICOM file.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Object {
    /// SOP Class UID.
    pub sop_class: String,
    /// SOP Instance UID.
    pub sop_instance: String,
    /// SHA-256 of the file, hexadecimal: the name of the blob.
    pub sha256: String,
    /// Its length in bytes.
    pub bytes: u64,
}
