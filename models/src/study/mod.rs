//! What a study is: series with their acquired stacks, and everything that was left out with the
//! reason. Plain data; pixels are read on demand by [`crate::dicom`].

pub mod kind;

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

/// Stored pixel values of a stack, after rescale, in the type the published pipeline would hold.
///
/// Integer rescale keeps an integer type; a fractional slope or intercept gives `F64`
/// (specification §1.5).
#[derive(Clone, Debug, PartialEq)]
pub enum Samples {
    /// Signed 8 bit.
    I8(Vec<i8>),
    /// Unsigned 8 bit.
    U8(Vec<u8>),
    /// Signed 16 bit.
    I16(Vec<i16>),
    /// Unsigned 16 bit.
    U16(Vec<u16>),
    /// Signed 32 bit.
    I32(Vec<i32>),
    /// Unsigned 32 bit.
    U32(Vec<u32>),
    /// Rescaled by a fractional slope or intercept.
    F64(Vec<f64>),
}

impl Samples {
    /// The `SimpleITK` pixel id of this type, which the published resampler writes as its outside
    /// value (specification §1a).
    #[must_use]
    pub fn pixel_id(&self) -> u8 {
        match self {
            Self::I8(_) => 0,
            Self::U8(_) => 1,
            Self::I16(_) => 2,
            Self::U16(_) => 3,
            Self::I32(_) => 4,
            Self::U32(_) => 5,
            Self::F64(_) => 9,
        }
    }

    /// Number of samples.
    #[must_use]
    pub fn len(&self) -> usize {
        match self {
            Self::I8(v) => v.len(),
            Self::U8(v) => v.len(),
            Self::I16(v) => v.len(),
            Self::U16(v) => v.len(),
            Self::I32(v) => v.len(),
            Self::U32(v) => v.len(),
            Self::F64(v) => v.len(),
        }
    }

    /// True when there is no sample.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// Parallel slices of one acquisition, stacked, in patient space (LPS, millimetres).
#[derive(Clone, Debug, PartialEq)]
pub struct Stack {
    /// C-ordered `[slice, row, column]`.
    pub samples: Samples,
    /// Columns, rows, slices.
    pub size_vox: [usize; 3],
    /// Distance between columns, rows and slices.
    pub spacing_mm: [f64; 3],
    /// Centre of the first voxel.
    pub origin_mm: [f64; 3],
    /// `direction[a]` is the unit vector along stack axis `a` (column index, row index, slice).
    pub direction: [[f64; 3]; 3],
}

/// Where a series' pixels come from: the files of one volume, in stacking order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SliceSource {
    /// The DICOM file.
    pub path: PathBuf,
    /// Zero-based frame of a multi-frame file or tile of a mosaic; else `0`.
    pub frame: u32,
}

/// Why a series, or a file, takes no part in triage. Serialised as data; [`std::fmt::Display`]
/// gives the sentence for people.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, thiserror::Error)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum LeftOutReason {
    /// Not an MR image object.
    #[error("not an MR series (modality {modality}, {sop_class})")]
    NotMr {
        /// Modality (0008,0060), `(none)` when absent.
        modality: String,
        /// Name or UID of the storage class.
        sop_class: String,
    },
    /// A report, presentation state or other object without an image.
    #[error("no image in it ({sop_class})")]
    NoImage {
        /// Name or UID of the storage class.
        sop_class: String,
    },
    /// Secondary capture or screenshot.
    #[error("secondary capture or screenshot")]
    SecondaryCapture,
    /// Scout or calibration images, by what they say or by few slices in crossing planes.
    #[error("localiser or calibration scan")]
    Localiser,
    /// Derived colour map (RGB, palette).
    #[error("derived colour map")]
    ColourMap,
    /// Derived images such as maximum intensity projections.
    #[error("derived image ({what})")]
    Derived {
        /// The Image Type value that says so.
        what: String,
    },
    /// Too few slices for a volume.
    #[error("only {found} slice(s), at least {needed} are needed")]
    TooFewSlices {
        /// Slices found.
        found: usize,
        /// Slices needed.
        needed: usize,
    },
    /// More patches than the networks accept.
    #[error("{found} patches, at most {limit} are accepted")]
    TooManyTokens {
        /// Patches of the series.
        found: usize,
        /// The limit.
        limit: usize,
    },
    /// A larger image than this reader accepts.
    #[error("{what} is {found}, at most {limit} is accepted")]
    TooLarge {
        /// What is too large.
        what: String,
        /// Its value.
        found: u64,
        /// The limit.
        limit: u64,
    },
    /// Attributes that a volume needs are missing or contradictory.
    #[error("geometry unusable: {what}")]
    Geometry {
        /// What is missing or contradictory.
        what: String,
    },
    /// Slices are missing inside the stack.
    #[error("{missing} slice(s) missing inside the stack of {found}")]
    MissingSlices {
        /// Missing positions.
        missing: usize,
        /// Slices found.
        found: usize,
    },
    /// Pixel data encrypted or otherwise not readable by design.
    #[error("encrypted")]
    Encrypted,
    /// A transfer syntax this reader does not decode.
    #[error("transfer syntax {uid} is not decoded by this reader")]
    TransferSyntax {
        /// Transfer syntax UID.
        uid: String,
    },
    /// More than a tenth of the slices could not be read.
    #[error("{unusable} of {of} slices cannot be read, at most a tenth may be; the first: {first}")]
    TooManyUnreadable {
        /// Slices that failed.
        unusable: usize,
        /// Slices of the series.
        of: usize,
        /// What is wrong with the first of them.
        first: String,
    },
    /// The file or its pixel data could not be read.
    #[error("{file}: {what}")]
    Unreadable {
        /// File name.
        file: String,
        /// What is wrong with it.
        what: String,
    },
    /// One of several volumes of a series that show the same, of which the first is looked at.
    #[error("repeats another volume of the series with a different {what}")]
    Repeated {
        /// The attribute that differs (`time point`, `gradient direction`).
        what: String,
    },
    /// Files that are no DICOM.
    #[error("not DICOM")]
    NotDicom,
    /// Voxel values carry no signal (constant image).
    #[error("no signal: every voxel is {value}")]
    NoSignal {
        /// The constant value.
        value: f64,
    },
}

/// A series (or part of one, or files that belong to none) that takes no part in triage.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct LeftOut {
    /// Series Number (0020,0011), when known.
    pub series_number: Option<i64>,
    /// Series description or folder name.
    pub name: String,
    /// Number of files concerned.
    pub files: usize,
    /// Why.
    pub reason: LeftOutReason,
}

/// Something odd in a series that is used all the same.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, thiserror::Error)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Remark {
    /// The same slice position came more than once; the first was kept.
    #[error("{count} duplicate slice(s) ignored")]
    DuplicateSlices {
        /// How many were ignored.
        count: usize,
    },
    /// Slice distance varies.
    #[error("slice distance varies from {min_mm:.2} to {max_mm:.2} mm")]
    UnevenSpacing {
        /// Smallest distance.
        min_mm: f64,
        /// Largest distance.
        max_mm: f64,
    },
    /// Slices are missing inside the stack.
    #[error("about {count} slice(s) missing inside the stack")]
    MissingSlices {
        /// How many positions are empty.
        count: usize,
    },
    /// Slices without positions, in an order that may run either way.
    #[error("slices have no position; ordered by {from}")]
    OrderAssumed {
        /// The attribute that gave the order.
        from: String,
    },
    /// Slices lie beside each other; they are read as if one lay above the other.
    #[error("slices are shifted in plane by up to {largest_mm:.1} mm")]
    ShiftedSlices {
        /// Largest shift against the first slice.
        largest_mm: f64,
    },
    /// A file of the series could not be used.
    #[error("{file} ignored: {what}")]
    FileIgnored {
        /// File name.
        file: String,
        /// Why.
        what: String,
    },
    /// The description was longer than the text encoder accepts.
    #[error("name cut to {limit} characters")]
    NameCut {
        /// Characters kept.
        limit: usize,
    },
}

/// One volume of a study that will be looked at.
#[derive(Clone, Debug, PartialEq)]
pub struct Series {
    /// Series Instance UID (0020,000E).
    pub uid: String,
    /// Series Number (0020,0011).
    pub number: Option<i64>,
    /// Series Description (0008,103E).
    pub description: Option<String>,
    /// Protocol Name (0018,1030).
    pub protocol: Option<String>,
    /// Name given to the series-name encoder (specification §1c).
    pub name: String,
    /// What tells this volume from others of the same series (`b=1000`, `echo 2`, `phase`).
    pub part: Option<String>,
    /// Files and frames in stacking order.
    pub slices: Vec<SliceSource>,
    /// Oddities that did not stop the series from being used.
    pub remarks: Vec<Remark>,
}

/// A study read from disk: what will be looked at, and what will not.
#[derive(Clone, Debug, PartialEq, Default)]
pub struct Study {
    /// Study Instance UID (0020,000D), empty when no file carries one.
    pub uid: String,
    /// Study Description (0008,1030).
    pub description: Option<String>,
    /// Usable series in order of series number.
    pub series: Vec<Series>,
    /// Everything else, with the reason.
    pub left_out: Vec<LeftOut>,
}
