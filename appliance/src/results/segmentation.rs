//! The places that an explanation rests on, as a binary Segmentation (PS3.3 A.51, C.8.20): one
//! segment over the images of the series that was explained, so that a viewer lays them over these
//! at full resolution and can switch them off.
//!
//! Frames are those slices that show a place, with position, orientation and spacing as their own
//! files have them.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::path::Path;

use dicom_core::{DataElement, PrimitiveValue, Tag, VR};
use dicom_dictionary_std::tags;
use dicom_object::InMemDicomObject;
use models::dicom::parse::{DataSet, DicomFile, ParseError, read_header};
use models::explain::region::RegionSlice;
use models::labels::display_name;

use super::content::{Code, put, reference, sequence};
use super::{Frame, SEGMENTATION, WriteError};
use crate::inference::explain::ExplanationInfo;

/// Series Number (0020,0011): behind that of the pictures.
const SERIES_NUMBER: &str = "9903";
const SERIES_DESCRIPTION: &str = "PRIMA region (AI preview, not for diagnosis)";
/// Longest value of an LO.
const LONGEST_TEXT: usize = 64;
/// Directions, and spacings in millimetres, that differ by less are the same: over the widest image
/// that is a fraction of a pixel.
const SAME_GRID: f64 = 1e-4;

/// Why there is no segmentation.
#[derive(Debug, thiserror::Error)]
pub enum SegmentationError {
    /// The explanation names no place.
    #[error("the explanation has no place in the images")]
    None,
    /// A slice cannot be read.
    #[error("a slice of the explained series cannot be read")]
    Read(#[from] ParseError),
    /// An attribute that places the segment is missing.
    #[error("the explained slice in {file} has no {attribute}")]
    Missing {
        /// File name.
        file: String,
        /// Name of the attribute.
        attribute: &'static str,
    },
    /// One segmentation has frames of one grid.
    #[error("the slices of the explained series differ in size, direction or spacing")]
    Grids,
    /// It cannot be written as DICOM.
    #[error(transparent)]
    Write(#[from] WriteError),
}

/// The places of an explanation.
pub struct Segmentation<'a> {
    /// What all objects say.
    pub frame: Frame<'a>,
    /// What it explains.
    pub info: &'a ExplanationInfo,
    /// Name of the model, and SHA-256 of its manifest.
    pub model: [&'a str; 2],
    /// Tracking UID of the finding, as in the report.
    pub tracking_uid: &'a str,
    /// Where the images of the study are.
    pub folder: &'a Path,
}

/// A slice that shows a place, with the functional groups of its frame.
struct Slice<'a> {
    place: &'a RegionSlice,
    root: &'a DataSet,
    /// Groups of the frame, then those of all frames; empty in a file of one image.
    groups: Vec<&'a DataSet>,
    position: String,
}

impl<'a> Slice<'a> {
    fn new(place: &'a RegionSlice, file: &'a DicomFile) -> Result<Self, SegmentationError> {
        let root = &file.data;
        let frame = usize::try_from(place.frame).unwrap_or(usize::MAX);
        let own = root.items(tags::PER_FRAME_FUNCTIONAL_GROUPS_SEQUENCE).get(frame);
        let shared = root.items(tags::SHARED_FUNCTIONAL_GROUPS_SEQUENCE).first();
        let groups = own.into_iter().chain(shared).collect();
        let mut slice = Self { place, root, groups, position: String::new() };
        slice.position = slice.needed(
            tags::PLANE_POSITION_SEQUENCE,
            tags::IMAGE_POSITION_PATIENT,
            "Image Position (Patient)",
        )?;
        Ok(slice)
    }

    /// An attribute of a functional group, or of the data set; empty when nobody has it.
    fn text(&self, group: Tag, tag: Tag) -> String {
        let groups = self.groups.iter().filter_map(|set| set.items(group).first());
        let mut texts = groups.chain([self.root]).map(|set| set.texts(tag).join("\\"));
        texts.find(|text| !text.is_empty()).unwrap_or_default()
    }

    fn needed(
        &self,
        group: Tag,
        tag: Tag,
        attribute: &'static str,
    ) -> Result<String, SegmentationError> {
        let text = self.text(group, tag);
        if text.is_empty() {
            return Err(SegmentationError::Missing { file: self.place.file.clone(), attribute });
        }
        Ok(text)
    }

    /// Rows and columns.
    fn size_px(&self) -> Result<[u16; 2], SegmentationError> {
        let size = |tag, attribute| {
            let size = self.root.int(tag).and_then(|size| u16::try_from(size).ok());
            size.ok_or_else(|| SegmentationError::Missing {
                file: self.place.file.clone(),
                attribute,
            })
        };
        Ok([size(tags::ROWS, "Rows")?, size(tags::COLUMNS, "Columns")?])
    }

    /// Space between rows and between columns.
    fn spacing(&self) -> Result<String, SegmentationError> {
        self.needed(tags::PIXEL_MEASURES_SEQUENCE, tags::PIXEL_SPACING, "Pixel Spacing")
    }

    /// Cosines of a row and of a column.
    fn orientation(&self) -> Result<String, SegmentationError> {
        self.needed(
            tags::PLANE_ORIENTATION_SEQUENCE,
            tags::IMAGE_ORIENTATION_PATIENT,
            "Image Orientation (Patient)",
        )
    }
}

/// Rows and columns of all slices, which must lie on grids that differ in nothing but position.
fn one_grid(first: &Slice<'_>, slices: &[Slice<'_>]) -> Result<[u16; 2], SegmentationError> {
    let size_px = first.size_px()?;
    let (spacing, orientation) = (first.spacing()?, first.orientation()?);
    for slice in slices {
        if slice.size_px()? != size_px
            || !same(&slice.spacing()?, &spacing)
            || !same(&slice.orientation()?, &orientation)
        {
            return Err(SegmentationError::Grids);
        }
    }
    Ok(size_px)
}

/// The same numbers, however they are written.
fn same(one: &str, other: &str) -> bool {
    let numbers = |text: &str| -> Option<Vec<f64>> {
        text.split('\\').map(|number| number.trim().parse().ok()).collect()
    };
    match (numbers(one), numbers(other)) {
        (Some(one), Some(other)) => {
            let near = |(a, b): (&f64, &f64)| (a - b).abs() < SAME_GRID;
            one.len() == other.len() && one.iter().zip(&other).all(near)
        }
        _ => one == other,
    }
}

impl Segmentation<'_> {
    /// The DICOM file.
    ///
    /// # Errors
    ///
    /// When a slice cannot be read, or does not say where it lies.
    pub fn write(&self) -> Result<Vec<u8>, SegmentationError> {
        let mut files: BTreeMap<&str, DicomFile> = BTreeMap::new();
        for RegionSlice { file, .. } in &self.info.region {
            if let Entry::Vacant(place) = files.entry(file) {
                place.insert(read_header(&self.folder.join(file))?);
            }
        }
        let slices = self.info.region.iter().filter_map(|place| {
            let file = files.get(place.file.as_str())?;
            Some(Slice::new(place, file))
        });
        let slices: Vec<Slice<'_>> = slices.collect::<Result<_, _>>()?;
        let first = slices.first().ok_or(SegmentationError::None)?;
        let size_px = one_grid(first, &slices)?;

        let mut object = InMemDicomObject::new_empty();
        let (class, syntax) = SEGMENTATION;
        self.frame.fill(&mut object, class, ["SEG", SERIES_NUMBER, SERIES_DESCRIPTION]);
        if let Some(uid) = first.root.text(tags::FRAME_OF_REFERENCE_UID) {
            put(&mut object, tags::FRAME_OF_REFERENCE_UID, VR::UI, &uid);
            put(&mut object, tags::POSITION_REFERENCE_INDICATOR, VR::LO, "");
        }
        let series_uid = first.root.text(tags::SERIES_INSTANCE_UID).unwrap_or_default();
        let series = item(|series| {
            put(series, tags::SERIES_INSTANCE_UID, VR::UI, &series_uid);
            let images = files.values().map(|file| image(&file.data)).collect();
            sequence(series, tags::REFERENCED_INSTANCE_SEQUENCE, images);
        });
        sequence(&mut object, tags::REFERENCED_SERIES_SEQUENCE, vec![series]);
        self.segment(&mut object);
        self.dimensions(&mut object);
        let shared = shared_groups(first)?;
        sequence(&mut object, tags::SHARED_FUNCTIONAL_GROUPS_SEQUENCE, vec![shared]);
        let frames = (1..).zip(&slices).map(|(number, slice)| frame_groups(number, slice));
        let frames = frames.collect();
        sequence(&mut object, tags::PER_FRAME_FUNCTIONAL_GROUPS_SEQUENCE, frames);
        put_pixels(&mut object, &slices, size_px);
        Ok(super::write(object, syntax)?)
    }

    /// The segmentation as a whole, and its one segment (PS3.3 C.8.20.2, C.8.20.4).
    fn segment(&self, object: &mut InMemDicomObject) {
        let [model, digest] = self.model;
        let version = digest.get(..16).unwrap_or(digest);
        for (tag, vr, value) in [
            (tags::IMAGE_TYPE, VR::CS, "DERIVED\\PRIMARY"),
            (tags::LOSSY_IMAGE_COMPRESSION, VR::CS, "00"),
            (tags::BURNED_IN_ANNOTATION, VR::CS, "NO"),
            (tags::SEGMENTATION_TYPE, VR::CS, "BINARY"),
            (tags::SEGMENTS_OVERLAP, VR::CS, "NO"),
            (tags::CONTENT_LABEL, VR::CS, "AI_REGION"),
            (tags::CONTENT_DESCRIPTION, VR::LO, "Places that raise one score (LIME)"),
            (tags::CONTENT_CREATOR_NAME, VR::PN, ""),
        ] {
            put(object, tag, vr, value);
        }
        let output = display_name(&self.info.output);
        let segment = item(|segment| {
            number(segment, tags::SEGMENT_NUMBER, 1);
            let label = cut(&format!("AI: region that raised {output}"));
            put(segment, tags::SEGMENT_LABEL, VR::LO, &label);
            put(segment, tags::SEGMENT_ALGORITHM_TYPE, VR::CS, "AUTOMATIC");
            let name = cut(&format!("{model} {version}"));
            put(segment, tags::SEGMENT_ALGORITHM_NAME, VR::LO, &name);
            let algorithm = item(|algorithm| {
                let family = Code::dcm("123110", "Artificial Intelligence");
                code(algorithm, tags::ALGORITHM_FAMILY_CODE_SEQUENCE, &family);
                put(algorithm, tags::ALGORITHM_NAME, VR::LO, &cut(model));
                put(algorithm, tags::ALGORITHM_VERSION, VR::LO, version);
            });
            let algorithms = tags::SEGMENTATION_ALGORITHM_IDENTIFICATION_SEQUENCE;
            sequence(segment, algorithms, vec![algorithm]);
            let category = Code::of("SCT", "309825002", "Spatial and Relational Concept");
            code(segment, tags::SEGMENTED_PROPERTY_CATEGORY_CODE_SEQUENCE, &category);
            let region = Code::dcm("111030", "Image Region");
            code(segment, tags::SEGMENTED_PROPERTY_TYPE_CODE_SEQUENCE, &region);
            put(segment, tags::TRACKING_ID, VR::UT, &self.info.output);
            put(segment, tags::TRACKING_UID, VR::UI, self.tracking_uid);
        });
        sequence(object, tags::SEGMENT_SEQUENCE, vec![segment]);
    }

    /// Frames are told apart by their segment and their position (PS3.3 C.7.6.17).
    fn dimensions(&self, object: &mut InMemDicomObject) {
        let organization = super::uid(&[self.frame.sop_uid, "dimensions"]);
        let uid = |item: &mut InMemDicomObject| {
            put(item, tags::DIMENSION_ORGANIZATION_UID, VR::UI, &organization);
        };
        sequence(object, tags::DIMENSION_ORGANIZATION_SEQUENCE, vec![item(uid)]);
        let index = |pointer: Tag, group: Tag, label: &str| {
            item(|index| {
                uid(index);
                for (tag, to) in [
                    (tags::DIMENSION_INDEX_POINTER, pointer),
                    (tags::FUNCTIONAL_GROUP_POINTER, group),
                ] {
                    index.put(DataElement::new(tag, VR::AT, PrimitiveValue::from(to)));
                }
                put(index, tags::DIMENSION_DESCRIPTION_LABEL, VR::LO, label);
            })
        };
        let identification = tags::SEGMENT_IDENTIFICATION_SEQUENCE;
        let indices = vec![
            index(tags::REFERENCED_SEGMENT_NUMBER, identification, "Segment"),
            index(tags::IMAGE_POSITION_PATIENT, tags::PLANE_POSITION_SEQUENCE, "Position"),
        ];
        sequence(object, tags::DIMENSION_INDEX_SEQUENCE, indices);
    }
}

/// What all frames have in common (PS3.3 C.7.6.16.2.1, C.7.6.16.2.4).
fn shared_groups(slice: &Slice<'_>) -> Result<InMemDicomObject, SegmentationError> {
    let (measures, plane) = (tags::PIXEL_MEASURES_SEQUENCE, tags::PLANE_ORIENTATION_SEQUENCE);
    let (spacing, orientation) = (slice.spacing()?, slice.orientation()?);
    Ok(item(|group| {
        let sizes = item(|sizes| {
            put(sizes, tags::PIXEL_SPACING, VR::DS, &spacing);
            for tag in [tags::SLICE_THICKNESS, tags::SPACING_BETWEEN_SLICES] {
                let value = slice.text(measures, tag);
                if !value.is_empty() {
                    put(sizes, tag, VR::DS, &value);
                }
            }
        });
        sequence(group, measures, vec![sizes]);
        let cosines = item(|o| put(o, tags::IMAGE_ORIENTATION_PATIENT, VR::DS, &orientation));
        sequence(group, plane, vec![cosines]);
    }))
}

/// What is a frame's own (PS3.3 C.7.6.16.2.2, .3, .6, C.8.20.3.1).
fn frame_groups(place: u32, slice: &Slice<'_>) -> InMemDicomObject {
    item(|group| {
        let content = item(|content| {
            let index = PrimitiveValue::U32(vec![1, place].into());
            content.put(DataElement::new(tags::DIMENSION_INDEX_VALUES, VR::UL, index));
        });
        sequence(group, tags::FRAME_CONTENT_SEQUENCE, vec![content]);
        let position = item(|o| put(o, tags::IMAGE_POSITION_PATIENT, VR::DS, &slice.position));
        sequence(group, tags::PLANE_POSITION_SEQUENCE, vec![position]);
        let segment = item(|o| number(o, tags::REFERENCED_SEGMENT_NUMBER, 1));
        sequence(group, tags::SEGMENT_IDENTIFICATION_SEQUENCE, vec![segment]);
        let mut source = image(slice.root);
        if !slice.groups.is_empty() {
            let frame = (slice.place.frame + 1).to_string();
            put(&mut source, tags::REFERENCED_FRAME_NUMBER, VR::IS, &frame);
        }
        put(&mut source, tags::SPATIAL_LOCATIONS_PRESERVED, VR::CS, "YES");
        let purpose = Code::dcm("121322", "Source image for image processing operation");
        code(&mut source, tags::PURPOSE_OF_REFERENCE_CODE_SEQUENCE, &purpose);
        let derivation = item(|derivation| {
            let segmentation = Code::dcm("113076", "Segmentation");
            code(derivation, tags::DERIVATION_CODE_SEQUENCE, &segmentation);
            sequence(derivation, tags::SOURCE_IMAGE_SEQUENCE, vec![source]);
        });
        sequence(group, tags::DERIVATION_IMAGE_SEQUENCE, vec![derivation]);
    })
}

/// One bit a pixel, the lowest first, frames without a gap between them (PS3.5 8.1.1).
fn put_pixels(object: &mut InMemDicomObject, slices: &[Slice<'_>], [rows, columns]: [u16; 2]) {
    put(object, tags::NUMBER_OF_FRAMES, VR::IS, &slices.len().to_string());
    put(object, tags::PHOTOMETRIC_INTERPRETATION, VR::CS, "MONOCHROME2");
    for (tag, value) in [
        (tags::SAMPLES_PER_PIXEL, 1),
        (tags::ROWS, rows),
        (tags::COLUMNS, columns),
        (tags::BITS_ALLOCATED, 1),
        (tags::BITS_STORED, 1),
        (tags::HIGH_BIT, 0),
        (tags::PIXEL_REPRESENTATION, 0),
    ] {
        number(object, tag, value);
    }
    let [rows, columns] = [rows, columns].map(usize::from);
    let frame_px = rows * columns;
    let mut bytes = vec![0_u8; (slices.len() * frame_px).div_ceil(8).next_multiple_of(2)];
    for (frame, slice) in slices.iter().enumerate() {
        for [across, down] in &slice.place.boxes {
            for row in down.start..down.end.min(rows) {
                for column in across.start..across.end.min(columns) {
                    let pixel = frame * frame_px + row * columns + column;
                    bytes[pixel / 8] |= 1 << (pixel % 8);
                }
            }
        }
    }
    object.put(DataElement::new(tags::PIXEL_DATA, VR::OB, PrimitiveValue::from(bytes)));
}

/// A reference to an image.
fn image(data: &DataSet) -> InMemDicomObject {
    let uid = |tag| data.text(tag).unwrap_or_default();
    reference(&uid(tags::SOP_CLASS_UID), &uid(tags::SOP_INSTANCE_UID))
}

fn item(build: impl FnOnce(&mut InMemDicomObject)) -> InMemDicomObject {
    let mut item = InMemDicomObject::new_empty();
    build(&mut item);
    item
}

fn code(object: &mut InMemDicomObject, tag: Tag, code: &Code) {
    sequence(object, tag, vec![code.item()]);
}

fn number(object: &mut InMemDicomObject, tag: Tag, value: u16) {
    object.put(DataElement::new(tag, VR::US, PrimitiveValue::from(value)));
}

fn cut(text: &str) -> String {
    text.chars().take(LONGEST_TEXT).collect()
}
