//! What the attributes of one file say, whether they stand in its data set (classic MR), in
//! functional groups (Enhanced MR, PS3.3 C.7.6.16) or in a Siemens private header (mosaics).
//! Nothing here fails: what is absent or senseless becomes `None`, and later steps decide.

use std::path::PathBuf;

use dicom_core::Tag;
use dicom_dictionary_std::tags;

use super::mosaic::{self, Tile};
use super::split;
use crate::dicom::parse::{DataSet, DicomFile};
use crate::dicom::pixels::{self, PixelLayout};
use crate::study::SliceSource;

/// One file: what it is, which series it belongs to, and its slices.
#[derive(Debug)]
pub(in crate::dicom) struct Instance {
    pub(in crate::dicom) path: PathBuf,
    pub(in crate::dicom) study_uid: Option<String>,
    pub(in crate::dicom) study_description: Option<String>,
    pub(in crate::dicom) series_uid: String,
    pub(in crate::dicom) number: Option<i64>,
    pub(in crate::dicom) description: Option<String>,
    pub(in crate::dicom) protocol: Option<String>,
    pub(in crate::dicom) modality: String,
    pub(in crate::dicom) sop_class: String,
    pub(in crate::dicom) image_type: Vec<String>,
    pub(in crate::dicom) has_pixels: bool,
    pub(in crate::dicom) encrypted: bool,
    /// The pixel attributes, or why there are none to work with.
    pub(in crate::dicom) layout: Result<PixelLayout, String>,
    pub(in crate::dicom) slices: Vec<Slice>,
}

/// One slice: where its pixels come from, where it lies, and what tells it from its neighbours.
#[derive(Clone, Debug)]
pub(in crate::dicom) struct Slice {
    pub(in crate::dicom) source: SliceSource,
    /// Window of the frame that holds the slice, for mosaics.
    pub(in crate::dicom) tile: Option<Tile>,
    pub(in crate::dicom) columns: u32,
    pub(in crate::dicom) rows: u32,
    /// Instance Number; ties (frames, tiles) are broken by the frame.
    pub(in crate::dicom) instance: i64,
    /// Centre of the first voxel.
    pub(in crate::dicom) position_mm: Option<[f64; 3]>,
    pub(in crate::dicom) orientation: Option<Orientation>,
    /// Slice Location or the position in the stack, for files without positions.
    pub(in crate::dicom) location: Option<f64>,
    /// Distance between columns, between rows.
    pub(in crate::dicom) pixel_spacing_mm: Option<[f64; 2]>,
    pub(in crate::dicom) slice_spacing_mm: Option<f64>,
    pub(in crate::dicom) bits_stored: u32,
    pub(in crate::dicom) signed: bool,
    pub(in crate::dicom) slope: f64,
    pub(in crate::dicom) intercept: f64,
    pub(in crate::dicom) facets: Facets,
}

/// Attributes by which one series holds several volumes.
#[derive(Clone, Debug, Default)]
pub(in crate::dicom) struct Facets {
    pub(in crate::dicom) image_type: Vec<String>,
    pub(in crate::dicom) kind: Option<&'static str>,
    pub(in crate::dicom) b_value: Option<f64>,
    /// Gradient direction; `None` for b = 0 and for isotropic (trace) images.
    pub(in crate::dicom) direction: Option<String>,
    pub(in crate::dicom) echo: Option<i64>,
    pub(in crate::dicom) echo_time_ms: Option<f64>,
    pub(in crate::dicom) time_point: Option<i64>,
    pub(in crate::dicom) trigger_time_ms: Option<f64>,
    pub(in crate::dicom) acquisition: Option<i64>,
}

impl Slice {
    /// Unit normal of the slice: row x column.
    pub(in crate::dicom) fn normal(&self) -> Option<[f64; 3]> {
        self.orientation.map(|Orientation { axes: [_, _, normal], .. }| normal)
    }

    /// Position along `normal`.
    pub(in crate::dicom) fn along(&self, normal: [f64; 3]) -> Option<f64> {
        self.position_mm.map(|position| dot(position, normal))
    }

    /// Smallest and largest value that the stored bits can take after rescale.
    pub(in crate::dicom) fn range(&self) -> (f64, f64) {
        let values = f64::from(self.bits_stored).exp2();
        let low = if self.signed { -values / 2.0 } else { 0.0 };
        let ends = [low, low + values - 1.0].map(|value| value * self.slope + self.intercept);
        (ends[0].min(ends[1]), ends[0].max(ends[1]))
    }
}

impl Instance {
    /// Reads the attributes of a file. `split_mosaics` makes one slice of each tile; the
    /// published pipeline takes a mosaic for one large slice.
    pub(in crate::dicom) fn new(file: &DicomFile, split_mosaics: bool) -> Self {
        let data = &file.data;
        let layout = pixels::layout(file).map_err(|error| error.to_string());
        let slices = layout.as_ref().map_or(Vec::new(), |layout| {
            let tiled = if split_mosaics { mosaic::slices(file, layout) } else { None };
            tiled.unwrap_or_else(|| frames(file, layout))
        });
        Self {
            path: file.path.clone(),
            study_uid: data.text(tags::STUDY_INSTANCE_UID),
            study_description: data.text(tags::STUDY_DESCRIPTION),
            series_uid: data.text(tags::SERIES_INSTANCE_UID).unwrap_or_default(),
            number: data.int(tags::SERIES_NUMBER),
            description: name_text(data, tags::SERIES_DESCRIPTION),
            protocol: name_text(data, tags::PROTOCOL_NAME),
            modality: data.text(tags::MODALITY).unwrap_or_default(),
            sop_class: data.text(tags::SOP_CLASS_UID).unwrap_or_default(),
            image_type: data.texts(tags::IMAGE_TYPE),
            has_pixels: file.pixels.is_some(),
            encrypted: data.contains(tags::ENCRYPTED_ATTRIBUTES_SEQUENCE),
            layout,
            slices,
        }
    }
}

/// A description without trailing padding. Leading blanks stay, because the published names show
/// them as underscores; several values stay joined by backslashes.
fn name_text(data: &DataSet, tag: Tag) -> Option<String> {
    let text = data.texts(tag).join("\\");
    if text.is_empty() {
        return None;
    }
    let blanks = data.bytes(tag)?.iter().take_while(|&&byte| byte == b' ').count();
    Some(format!("{}{text}", " ".repeat(blanks)))
}

/// One slice a frame.
fn frames(file: &DicomFile, layout: &PixelLayout) -> Vec<Slice> {
    let per_frame = file.data.items(tags::PER_FRAME_FUNCTIONAL_GROUPS_SEQUENCE);
    (0..layout.frames)
        .zip(per_frame.iter().map(Some).chain(std::iter::repeat(None)))
        .map(|(frame, group)| slice(file, layout, frame, group))
        .collect()
}

/// The slice that `frame` shows, `group` being its functional groups.
pub(super) fn slice(
    file: &DicomFile,
    layout: &PixelLayout,
    frame: u32,
    group: Option<&DataSet>,
) -> Slice {
    let view = View::new(file, group);
    let measures = tags::PIXEL_MEASURES_SEQUENCE;
    let transformation = tags::PIXEL_VALUE_TRANSFORMATION_SEQUENCE;
    let frame_content = tags::FRAME_CONTENT_SEQUENCE;
    let positive = |value: &f64| *value > 0.0;
    // GDCM takes a slope of zero for a missing one [measured], and a constant image is no use.
    let slope = view.number(transformation, tags::RESCALE_SLOPE).filter(|slope| *slope != 0.0);
    Slice {
        source: SliceSource { path: file.path.clone(), frame },
        tile: None,
        columns: layout.columns,
        rows: layout.rows,
        instance: file.data.int(tags::INSTANCE_NUMBER).unwrap_or(0),
        position_mm: view
            .numbers(tags::PLANE_POSITION_SEQUENCE, tags::IMAGE_POSITION_PATIENT)
            .try_into()
            .ok(),
        orientation: Orientation::new(
            &view.numbers(tags::PLANE_ORIENTATION_SEQUENCE, tags::IMAGE_ORIENTATION_PATIENT),
        ),
        location: view
            .number(frame_content, tags::IN_STACK_POSITION_NUMBER)
            .or_else(|| file.data.f64s(tags::SLICE_LOCATION).first().copied()),
        pixel_spacing_mm: match view.numbers(measures, tags::PIXEL_SPACING)[..] {
            [row, column] if row > 0.0 && column > 0.0 => Some([column, row]),
            _ => None,
        },
        slice_spacing_mm: view.number(measures, tags::SPACING_BETWEEN_SLICES).filter(positive),
        bits_stored: layout.bits_stored,
        signed: layout.signed,
        slope: slope.unwrap_or(1.0),
        intercept: view.number(transformation, tags::RESCALE_INTERCEPT).unwrap_or(0.0),
        facets: facets(&view),
    }
}

fn facets(view: &View<'_>) -> Facets {
    let frame_type = tags::MR_IMAGE_FRAME_TYPE_SEQUENCE;
    let mut image_type = view.texts(frame_type, tags::FRAME_TYPE);
    if image_type.is_empty() {
        image_type = view.root.texts(tags::IMAGE_TYPE);
    }
    let component = view.texts(frame_type, tags::COMPLEX_IMAGE_COMPONENT);
    let gradient = view.numbers(tags::MR_DIFFUSION_SEQUENCE, tags::DIFFUSION_GRADIENT_ORIENTATION);
    let content = tags::FRAME_CONTENT_SEQUENCE;
    Facets {
        kind: split::kind(&image_type, component.first(), ge_component(view.root)),
        image_type,
        b_value: b_value(view),
        direction: direction(view, &gradient),
        echo: view.root.int(tags::ECHO_NUMBERS),
        echo_time_ms: view
            .number(tags::MR_ECHO_SEQUENCE, tags::EFFECTIVE_ECHO_TIME)
            .or_else(|| view.root.f64s(tags::ECHO_TIME).first().copied()),
        time_point: view
            .int(content, tags::TEMPORAL_POSITION_INDEX)
            .or_else(|| view.root.int(tags::TEMPORAL_POSITION_IDENTIFIER)),
        trigger_time_ms: view.root.f64s(tags::TRIGGER_TIME).first().copied(),
        acquisition: view
            .int(content, tags::FRAME_ACQUISITION_NUMBER)
            .or_else(|| view.root.int(tags::ACQUISITION_NUMBER)),
    }
}

/// The b-value in s/mm²: the standard attribute, else the vendor's, each only under its private
/// creator.
fn b_value(view: &View<'_>) -> Option<f64> {
    /// GE adds this to mark b-values that differ from the prescription.
    const GE_MARK: f64 = 1e9;
    let standard = view.number(tags::MR_DIFFUSION_SEQUENCE, tags::DIFFUSION_B_VALUE);
    let b = standard
        .or_else(|| private(view.root, 0x0019, 0x0C, "SIEMENS MR HEADER"))
        .or_else(|| private(view.root, 0x0043, 0x39, "GEMS_PARM_01").map(|b| b % GE_MARK))
        .or_else(|| private(view.root, 0x2001, 0x03, "Philips Imaging DD 001"))?;
    (0.0..1e6).contains(&b).then_some(b)
}

/// A gradient direction as text to compare; nothing for isotropic images.
fn direction(view: &View<'_>, gradient: &[f64]) -> Option<String> {
    let directionality =
        view.texts(tags::MR_DIFFUSION_SEQUENCE, tags::DIFFUSION_DIRECTIONALITY).pop();
    if matches!(directionality.as_deref(), Some("ISOTROPIC" | "NONE")) {
        return None;
    }
    let nested = || {
        let diffusion = view.item(tags::MR_DIFFUSION_SEQUENCE)?;
        let item = diffusion.items(tags::DIFFUSION_GRADIENT_DIRECTION_SEQUENCE).first()?;
        Some(item.f64s(tags::DIFFUSION_GRADIENT_ORIENTATION))
    };
    let vector = if gradient.is_empty() { nested().unwrap_or_default() } else { gradient.to_vec() };
    let length = vector.iter().map(|v| v * v).sum::<f64>();
    (length > 0.0).then(|| vector.iter().map(|v| format!("{v:.3} ")).collect())
}

/// GE writes magnitude, phase, real, imaginary as 0..3 in (0043,xx2F) instead of in Image Type.
fn ge_component(root: &DataSet) -> Option<&'static str> {
    let code = private(root, 0x0043, 0x2F, "GEMS_PARM_01")?;
    let near = |expected: f64| (code - expected).abs() < 0.5;
    let mut names = ["M", "P", "R", "I"].into_iter().zip([0.0, 1.0, 2.0, 3.0]);
    names.find(|(_, expected)| near(*expected)).map(|(name, _)| name)
}

/// First number of a private element in block 10 of `group`, if the block is `creator`'s. Read
/// through implicit VR its representation is unknown, so four bytes that are no digits are taken
/// for the little endian float that Philips writes.
fn private(root: &DataSet, group: u16, element: u16, creator: &str) -> Option<f64> {
    let tag = Tag(group, 0x1000 | element);
    if !root.text(Tag(group, 0x0010))?.starts_with(creator) {
        return None;
    }
    let binary = || match root.bytes(tag)? {
        &[a, b, c, d] => Some(f64::from(f32::from_le_bytes([a, b, c, d]))),
        _ => None,
    };
    root.f64s(tag).first().copied().or_else(binary).filter(|value| value.is_finite())
}

/// Attributes of one frame: its own functional groups first, then those shared by all frames,
/// then the data set itself, where classic files keep everything.
pub(in crate::dicom) struct View<'a> {
    frame: Option<&'a DataSet>,
    shared: Option<&'a DataSet>,
    root: &'a DataSet,
}

impl<'a> View<'a> {
    fn new(file: &'a DicomFile, frame: Option<&'a DataSet>) -> Self {
        let shared = file.data.items(tags::SHARED_FUNCTIONAL_GROUPS_SEQUENCE).first();
        Self { frame, shared, root: &file.data }
    }

    /// Of a frame, counted from 0.
    pub(in crate::dicom) fn of_frame(file: &'a DicomFile, frame: u32) -> Self {
        let groups = file.data.items(tags::PER_FRAME_FUNCTIONAL_GROUPS_SEQUENCE);
        Self::new(file, groups.get(frame as usize))
    }

    fn item(&self, sequence: Tag) -> Option<&'a DataSet> {
        [self.frame, self.shared].into_iter().flatten().find_map(|g| g.items(sequence).first())
    }

    fn holder(&self, sequence: Tag, tag: Tag) -> &'a DataSet {
        self.item(sequence).filter(|item| item.contains(tag)).unwrap_or(self.root)
    }

    fn numbers(&self, sequence: Tag, tag: Tag) -> Vec<f64> {
        self.holder(sequence, tag).f64s(tag)
    }

    pub(in crate::dicom) fn number(&self, sequence: Tag, tag: Tag) -> Option<f64> {
        self.numbers(sequence, tag).first().copied()
    }

    fn int(&self, sequence: Tag, tag: Tag) -> Option<i64> {
        self.holder(sequence, tag).int(tag)
    }

    pub(in crate::dicom) fn texts(&self, sequence: Tag, tag: Tag) -> Vec<String> {
        self.holder(sequence, tag).texts(tag)
    }
}

/// Row and column cosines with the skew between them that was removed.
#[derive(Clone, Copy, Debug)]
pub(in crate::dicom) struct Orientation {
    /// Unit vectors along a row and along a column, at right angles, and their normal.
    pub(in crate::dicom) axes: [[f64; 3]; 3],
    /// Cosine of the angle between them as given.
    pub(in crate::dicom) skew: f64,
}

/// Deviation from unit length or right angle up to which GDCM takes cosines as they are
/// [measured].
pub(in crate::dicom) const GDCM_SKEW: f64 = 1e-3;
/// Skew that no rounding of the cosines explains.
const MAX_SKEW: f64 = 0.05;

impl Orientation {
    /// Unit vectors at right angles; the column stays and the row gives way. `None` unless the
    /// cosines span a plane.
    ///
    /// The order of operations is ITK's, found by comparison with `SimpleITK` 2.5.3: resampling
    /// truncates, so the last bit of a direction decides whole raw units (specification §1a).
    fn new(cosines: &[f64]) -> Option<Self> {
        let &[a, b, c, d, e, f] = cosines else { return None };
        let (row, column) = ([a, b, c], [d, e, f]);
        let skew = dot(unit(row)?, unit(column)?);
        if skew.abs() > MAX_SKEW {
            return None;
        }
        let normal = unit(cross(row, column))?;
        let row = unit(cross(column, normal))?;
        Some(Self { axes: [row, cross(normal, row), normal], skew })
    }
}

fn unit(v: [f64; 3]) -> Option<[f64; 3]> {
    let length = dot(v, v).sqrt();
    let scale = 1.0 / length;
    (length > 1e-3 && length.is_finite()).then(|| v.map(|x| x * scale))
}

pub(in crate::dicom) fn dot(a: [f64; 3], b: [f64; 3]) -> f64 {
    a[0] * b[0] + a[1] * b[1] + a[2] * b[2]
}

pub(in crate::dicom) fn cross(a: [f64; 3], b: [f64; 3]) -> [f64; 3] {
    [a[1] * b[2] - a[2] * b[1], a[2] * b[0] - a[0] * b[2], a[0] * b[1] - a[1] * b[0]]
}
