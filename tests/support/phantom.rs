//! Head phantoms written as DICOM, so that every test and bench makes its own input from a seed.
//!
//! [`write_series`] renders one analytic head (scalp, skull, brain, ventricles, noise) along any
//! plane and writes it as classic files, an Enhanced multi-frame file or Siemens mosaics.
//! [`bench_study`] is the study the benches use: eight series of 48 slices of 320 x 320.
//! Only `dicom-core`, `dicom-dictionary-std` and `dicom-object` are needed, so a crate's own unit
//! tests can include this file by path.
#![expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "voxel counts and intensities of a phantom are small by construction"
)]

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use dicom_core::value::DataSetSequence;
use dicom_core::{DataElement, PrimitiveValue, Tag, VR};
use dicom_dictionary_std::{tags, uids};
use dicom_object::{FileMetaTableBuilder, InMemDicomObject};

/// Acquisition plane.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Plane {
    /// Slices from feet to head.
    Axial,
    /// Slices from front to back.
    Coronal,
    /// Slices from right to left.
    Sagittal,
    /// Axial, tilted 20 degrees towards coronal.
    Oblique,
}

impl Plane {
    /// Row cosines, column cosines (Image Orientation Patient).
    pub fn cosines(self) -> [[f64; 3]; 2] {
        let (sin, cos) = 20_f64.to_radians().sin_cos();
        match self {
            Self::Axial => [[1.0, 0.0, 0.0], [0.0, 1.0, 0.0]],
            Self::Coronal => [[1.0, 0.0, 0.0], [0.0, 0.0, -1.0]],
            Self::Sagittal => [[0.0, 1.0, 0.0], [0.0, 0.0, -1.0]],
            Self::Oblique => [[1.0, 0.0, 0.0], [0.0, cos, sin]],
        }
    }
}

/// How the images of a series lie in files.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Layout {
    /// One file a slice.
    Classic,
    /// One Enhanced MR file for the whole series.
    Enhanced,
    /// One Siemens mosaic a volume.
    Mosaic,
}

/// A series to write. Every combination of b-value, echo and image type is one volume.
#[derive(Clone, Debug)]
pub struct SeriesSpec {
    /// Study Instance UID.
    pub study_uid: String,
    /// Series Instance UID.
    pub uid: String,
    /// Series Number.
    pub number: i64,
    /// Series Description; empty writes none.
    pub description: String,
    /// Protocol Name; empty writes none.
    pub protocol: String,
    /// Modality.
    pub modality: String,
    /// Storage class; the layout's own when empty.
    pub sop_class: String,
    /// Image Type of each volume.
    pub image_types: Vec<String>,
    /// Acquisition plane.
    pub plane: Plane,
    /// Columns and rows.
    pub in_plane_vox: [usize; 2],
    /// Slices of one volume.
    pub slices: usize,
    /// Distance between columns, rows and slices.
    pub spacing_mm: [f64; 3],
    /// Slice numbers to write, in writing order; all of them when empty. Repeats and holes are
    /// how tests make duplicates and gaps.
    pub order: Vec<usize>,
    /// b-values in s/mm²; none writes no diffusion attributes.
    pub b_values: Vec<f64>,
    /// Echoes.
    pub echoes: usize,
    /// Bits Stored of 16 allocated.
    pub bits_stored: u16,
    /// Rescale slope and intercept.
    pub rescale: Option<(f64, f64)>,
    /// Files, frames or mosaics.
    pub layout: Layout,
    /// Seed of the noise.
    pub seed: u64,
    /// Last change to a file's data set, with the file's number.
    pub edit: Option<fn(&mut InMemDicomObject, usize)>,
}

impl Default for SeriesSpec {
    fn default() -> Self {
        Self {
            study_uid: "2.25.1000".into(),
            uid: "2.25.1001".into(),
            number: 1,
            description: "AX T2".into(),
            protocol: "BRAIN".into(),
            modality: "MR".into(),
            sop_class: String::new(),
            image_types: vec![r"ORIGINAL\PRIMARY\M".into()],
            plane: Plane::Axial,
            in_plane_vox: [32, 28],
            slices: 6,
            spacing_mm: [7.5, 8.0, 5.0],
            order: Vec::new(),
            b_values: Vec::new(),
            echoes: 1,
            bits_stored: 12,
            rescale: None,
            layout: Layout::Classic,
            seed: 1,
            edit: None,
        }
    }
}

/// One image to write: what it shows and where it lies.
struct Image {
    slice: usize,
    b_value: Option<f64>,
    echo: usize,
    image_type: String,
}

impl SeriesSpec {
    /// Centre of the first voxel of a slice in LPS millimetres; the stack is centred on the origin.
    pub fn position_mm(&self, slice: usize) -> [f64; 3] {
        let [row, column] = self.plane.cosines();
        let normal = self.normal();
        let along = (slice as f64 - (self.slices as f64 - 1.0) / 2.0) * self.spacing_mm[2];
        let half_x = (self.in_plane_vox[0] as f64 - 1.0) / 2.0 * self.spacing_mm[0];
        let half_y = (self.in_plane_vox[1] as f64 - 1.0) / 2.0 * self.spacing_mm[1];
        std::array::from_fn(|a| normal[a] * along - row[a] * half_x - column[a] * half_y)
    }

    /// Direction from slice 0 to the last; towards head, back and left.
    pub fn normal(&self) -> [f64; 3] {
        let [r, c] = self.plane.cosines();
        let n = [r[1] * c[2] - r[2] * c[1], r[2] * c[0] - r[0] * c[2], r[0] * c[1] - r[1] * c[0]];
        let sign = if self.plane == Plane::Sagittal { -1.0 } else { 1.0 };
        n.map(|v| v * sign)
    }

    /// Stored value of a voxel; volumes of one series differ in brightness.
    fn stored(&self, image: &Image, column: usize, row: usize) -> u16 {
        let [r, c] = self.plane.cosines();
        let start = self.position_mm(image.slice);
        let (dx, dy) = (column as f64 * self.spacing_mm[0], row as f64 * self.spacing_mm[1]);
        let at = std::array::from_fn(|a| start[a] + r[a] * dx + c[a] * dy);
        let key = (image.slice * 4099 + row) * 4099 + column;
        let weight = 1.0 / (image.echo as f64) * (-image.b_value.unwrap_or(0.0) / 2000.0).exp();
        let limit = f64::from((1_u32 << self.bits_stored) - 1);
        (signal(at) * weight + 12.0 * noise(self.seed, key)).min(limit) as u16
    }

    fn pixels(&self, image: &Image) -> Vec<u16> {
        let [columns, rows] = self.in_plane_vox;
        (0..rows)
            .flat_map(|row| (0..columns).map(move |column| (row, column)))
            .map(|(row, column)| self.stored(image, column, row))
            .collect()
    }

    fn images(&self) -> Vec<Image> {
        let every: Vec<usize> =
            if self.order.is_empty() { (0..self.slices).collect() } else { self.order.clone() };
        let b_values: Vec<Option<f64>> = if self.b_values.is_empty() {
            vec![None]
        } else {
            self.b_values.iter().copied().map(Some).collect()
        };
        let mut images = Vec::new();
        for image_type in &self.image_types {
            for &b_value in &b_values {
                for echo in 1..=self.echoes {
                    images.extend(every.iter().map(|&slice| Image {
                        slice,
                        b_value,
                        echo,
                        image_type: image_type.clone(),
                    }));
                }
            }
        }
        images
    }
}

/// Raw units of a noiseless head at a point in LPS millimetres: scalp, skull, CSF, brain,
/// ventricles and one bright lesion.
pub fn signal(at: [f64; 3]) -> f64 {
    let inside = |centre: [f64; 3], radii: [f64; 3]| {
        (0..3).map(|a| ((at[a] - centre[a]) / radii[a]).powi(2)).sum::<f64>() < 1.0
    };
    let head = |shrink: f64| inside([0.0; 3], [85.0 - shrink, 105.0 - shrink, 99.0 - shrink]);
    let ventricle = |side: f64| inside([14.0 * side, 0.0, 8.0], [7.0, 32.0, 14.0]);
    if !head(0.0) {
        0.0
    } else if !head(6.0) {
        700.0
    } else if !head(12.0) {
        90.0
    } else if !head(16.0) || ventricle(1.0) || ventricle(-1.0) {
        1500.0
    } else if inside([30.0, -25.0, 20.0], [10.0, 12.0, 9.0]) {
        1300.0
    } else {
        620.0 + 60.0 * (at[0] / 9.0).sin() * (at[1] / 11.0).cos()
    }
}

/// Uniform noise in 0..1 from a hash of seed and voxel (splitmix64's finaliser).
fn noise(seed: u64, key: usize) -> f64 {
    let mut z = seed.wrapping_mul(0x9E37_79B9_7F4A_7C15).wrapping_add(key as u64);
    z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    ((z ^ (z >> 31)) >> 11) as f64 / (1_u64 << 53) as f64
}

/// Writes the series into `dir` (made if absent) and returns the files in writing order.
///
/// # Errors
/// When a file cannot be written.
pub fn write_series(dir: &Path, spec: &SeriesSpec) -> io::Result<Vec<PathBuf>> {
    fs::create_dir_all(dir)?;
    let images = spec.images();
    let objects: Vec<InMemDicomObject> = match spec.layout {
        Layout::Classic => images.iter().map(|image| classic(spec, image)).collect(),
        Layout::Enhanced => vec![enhanced(spec, &images)],
        Layout::Mosaic => images.chunks(spec.slices).map(|volume| mosaic(spec, volume)).collect(),
    };
    let mut paths = Vec::with_capacity(objects.len());
    for (index, mut object) in objects.into_iter().enumerate() {
        let sop_class = match (spec.sop_class.as_str(), spec.layout) {
            ("", Layout::Enhanced) => uids::ENHANCED_MR_IMAGE_STORAGE,
            ("", _) => uids::MR_IMAGE_STORAGE,
            (other, _) => other,
        };
        text(&mut object, tags::SOP_CLASS_UID, VR::UI, sop_class);
        text(&mut object, tags::SOP_INSTANCE_UID, VR::UI, &format!("{}.{}", spec.uid, index + 1));
        text(&mut object, tags::INSTANCE_NUMBER, VR::IS, &(index + 1).to_string());
        if let Some(edit) = spec.edit {
            edit(&mut object, index);
        }
        let path = dir.join(format!("S{:03}_IM{:04}.dcm", spec.number, index + 1));
        write_object(&path, object)?;
        paths.push(path);
    }
    Ok(paths)
}

/// Writes one object as an explicit VR little endian file with a meta group.
///
/// # Errors
/// When the file cannot be written or the object carries no SOP UIDs.
pub fn write_object(path: &Path, object: InMemDicomObject) -> io::Result<()> {
    object
        .with_meta(FileMetaTableBuilder::new().transfer_syntax(uids::EXPLICIT_VR_LITTLE_ENDIAN))
        .map_err(io::Error::other)?
        .write_to_file(path)
        .map_err(io::Error::other)
}

/// Sets a text attribute; backslashes separate values.
pub fn text(object: &mut InMemDicomObject, tag: Tag, vr: VR, value: &str) {
    let values = value.split('\\').map(str::to_owned).collect();
    object.put(DataElement::new(tag, vr, PrimitiveValue::Strs(values)));
}

fn u16_value(object: &mut InMemDicomObject, tag: Tag, value: u16) {
    object.put(DataElement::new(tag, VR::US, PrimitiveValue::from(value)));
}

fn numbers(object: &mut InMemDicomObject, tag: Tag, values: &[f64]) {
    let values: Vec<String> = values.iter().map(|v| format!("{v:.8}")).collect();
    text(object, tag, VR::DS, &values.join("\\"));
}

fn sequence(object: &mut InMemDicomObject, tag: Tag, items: Vec<InMemDicomObject>) {
    object.put(DataElement::new(tag, VR::SQ, DataSetSequence::from(items)));
}

/// A sequence item built by a closure.
fn item(build: impl FnOnce(&mut InMemDicomObject)) -> InMemDicomObject {
    let mut object = InMemDicomObject::new_empty();
    build(&mut object);
    object
}

/// Attributes that every layout shares.
fn shared(spec: &SeriesSpec, columns: usize, rows: usize, pixels: Vec<u16>) -> InMemDicomObject {
    let mut object = InMemDicomObject::new_empty();
    text(&mut object, tags::MODALITY, VR::CS, &spec.modality);
    text(&mut object, tags::STUDY_INSTANCE_UID, VR::UI, &spec.study_uid);
    text(&mut object, tags::STUDY_DESCRIPTION, VR::LO, "MRI BRAIN");
    text(&mut object, tags::SERIES_INSTANCE_UID, VR::UI, &spec.uid);
    text(&mut object, tags::SERIES_NUMBER, VR::IS, &spec.number.to_string());
    text(&mut object, tags::PATIENT_NAME, VR::PN, "PHANTOM");
    text(&mut object, tags::PATIENT_ID, VR::LO, "PHANTOM");
    for (tag, value) in
        [(tags::SERIES_DESCRIPTION, &spec.description), (tags::PROTOCOL_NAME, &spec.protocol)]
    {
        if !value.is_empty() {
            text(&mut object, tag, VR::LO, value);
        }
    }
    u16_value(&mut object, tags::SAMPLES_PER_PIXEL, 1);
    text(&mut object, tags::PHOTOMETRIC_INTERPRETATION, VR::CS, "MONOCHROME2");
    u16_value(&mut object, tags::ROWS, rows as u16);
    u16_value(&mut object, tags::COLUMNS, columns as u16);
    u16_value(&mut object, tags::BITS_ALLOCATED, 16);
    u16_value(&mut object, tags::BITS_STORED, spec.bits_stored);
    u16_value(&mut object, tags::HIGH_BIT, spec.bits_stored - 1);
    u16_value(&mut object, tags::PIXEL_REPRESENTATION, 0);
    object.put(DataElement::new(tags::PIXEL_DATA, VR::OW, PrimitiveValue::U16(pixels.into())));
    object
}

fn put_orientation(object: &mut InMemDicomObject, spec: &SeriesSpec) {
    let [row, column] = spec.plane.cosines();
    numbers(object, tags::IMAGE_ORIENTATION_PATIENT, &[row, column].concat());
}

/// Pixel Spacing is rows first (PS3.3 10.7.1.1).
fn put_measures(object: &mut InMemDicomObject, spec: &SeriesSpec) {
    numbers(object, tags::PIXEL_SPACING, &[spec.spacing_mm[1], spec.spacing_mm[0]]);
    numbers(object, tags::SLICE_THICKNESS, &[spec.spacing_mm[2]]);
    numbers(object, tags::SPACING_BETWEEN_SLICES, &[spec.spacing_mm[2]]);
}

fn put_rescale(object: &mut InMemDicomObject, spec: &SeriesSpec) {
    if let Some((slope, intercept)) = spec.rescale {
        numbers(object, tags::RESCALE_SLOPE, &[slope]);
        numbers(object, tags::RESCALE_INTERCEPT, &[intercept]);
    }
}

fn put_b_value(object: &mut InMemDicomObject, image: &Image) {
    if let Some(b_value) = image.b_value {
        let value = PrimitiveValue::from(b_value);
        object.put(DataElement::new(tags::DIFFUSION_B_VALUE, VR::FD, value));
    }
}

fn classic(spec: &SeriesSpec, image: &Image) -> InMemDicomObject {
    let [columns, rows] = spec.in_plane_vox;
    let mut object = shared(spec, columns, rows, spec.pixels(image));
    text(&mut object, tags::IMAGE_TYPE, VR::CS, &image.image_type);
    numbers(&mut object, tags::IMAGE_POSITION_PATIENT, &spec.position_mm(image.slice));
    put_orientation(&mut object, spec);
    put_measures(&mut object, spec);
    put_rescale(&mut object, spec);
    put_b_value(&mut object, image);
    text(&mut object, tags::ECHO_NUMBERS, VR::IS, &image.echo.to_string());
    numbers(&mut object, tags::ECHO_TIME, &[20.0 * image.echo as f64]);
    object
}

/// Enhanced MR: orientation and measures shared, the rest per frame (PS3.3 A.36, C.7.6.16).
fn enhanced(spec: &SeriesSpec, images: &[Image]) -> InMemDicomObject {
    let [columns, rows] = spec.in_plane_vox;
    let pixels = images.iter().flat_map(|image| spec.pixels(image)).collect();
    let mut object = shared(spec, columns, rows, pixels);
    text(&mut object, tags::IMAGE_TYPE, VR::CS, &spec.image_types[0]);
    text(&mut object, tags::NUMBER_OF_FRAMES, VR::IS, &images.len().to_string());
    let shared = item(|group| {
        let plane = item(|o| put_orientation(o, spec));
        sequence(group, tags::PLANE_ORIENTATION_SEQUENCE, vec![plane]);
        sequence(group, tags::PIXEL_MEASURES_SEQUENCE, vec![item(|o| put_measures(o, spec))]);
    });
    sequence(&mut object, tags::SHARED_FUNCTIONAL_GROUPS_SEQUENCE, vec![shared]);
    let frames = images.iter().map(|image| frame_groups(spec, image)).collect();
    sequence(&mut object, tags::PER_FRAME_FUNCTIONAL_GROUPS_SEQUENCE, frames);
    object
}

fn frame_groups(spec: &SeriesSpec, image: &Image) -> InMemDicomObject {
    item(|group| {
        let position = item(|o| {
            numbers(o, tags::IMAGE_POSITION_PATIENT, &spec.position_mm(image.slice));
        });
        sequence(group, tags::PLANE_POSITION_SEQUENCE, vec![position]);
        let content = item(|o| text(o, tags::STACK_ID, VR::SH, "1"));
        sequence(group, tags::FRAME_CONTENT_SEQUENCE, vec![content]);
        let echo = item(|o| {
            let time = PrimitiveValue::from(20.0 * image.echo as f64);
            o.put(DataElement::new(tags::EFFECTIVE_ECHO_TIME, VR::FD, time));
        });
        sequence(group, tags::MR_ECHO_SEQUENCE, vec![echo]);
        let frame_type = item(|o| text(o, tags::FRAME_TYPE, VR::CS, &image.image_type));
        sequence(group, tags::MR_IMAGE_FRAME_TYPE_SEQUENCE, vec![frame_type]);
        sequence(group, tags::MR_DIFFUSION_SEQUENCE, vec![item(|o| put_b_value(o, image))]);
        let transformation = item(|o| put_rescale(o, spec));
        sequence(group, tags::PIXEL_VALUE_TRANSFORMATION_SEQUENCE, vec![transformation]);
    })
}

/// Slices as tiles of one square image. The position belongs to the corner of the whole mosaic,
/// as if it lay around the first slice; the slice count and normal stand in the CSA header only.
fn mosaic(spec: &SeriesSpec, volume: &[Image]) -> InMemDicomObject {
    let [columns, rows] = spec.in_plane_vox;
    let side = (1..).find(|side| side * side >= volume.len()).unwrap_or(1);
    let mut pixels = vec![0_u16; columns * rows * side * side];
    for (tile, image) in volume.iter().enumerate() {
        let start = (tile / side * rows) * columns * side + tile % side * columns;
        for (row, line) in spec.pixels(image).chunks(columns).enumerate() {
            let at = start + row * columns * side;
            pixels[at..at + columns].copy_from_slice(line);
        }
    }
    let mut object = shared(spec, columns * side, rows * side, pixels);
    text(&mut object, tags::IMAGE_TYPE, VR::CS, &format!(r"{}\MOSAIC", volume[0].image_type));
    put_orientation(&mut object, spec);
    put_measures(&mut object, spec);
    put_b_value(&mut object, &volume[0]);
    let [r, c] = spec.plane.cosines();
    let shift = (side as f64 - 1.0) / 2.0;
    let (dx, dy) =
        (shift * columns as f64 * spec.spacing_mm[0], shift * rows as f64 * spec.spacing_mm[1]);
    let first = spec.position_mm(volume[0].slice);
    let corner: [f64; 3] = std::array::from_fn(|a| first[a] - r[a] * dx - c[a] * dy);
    numbers(&mut object, tags::IMAGE_POSITION_PATIENT, &corner);
    text(&mut object, Tag(0x0029, 0x0010), VR::LO, "SIEMENS CSA HEADER");
    let csa = csa_header(&[
        ("NumberOfImagesInMosaic", vec![volume.len().to_string()]),
        ("SliceNormalVector", spec.normal().iter().map(|v| format!("{v:.8}")).collect()),
    ]);
    object.put(DataElement::new(Tag(0x0029, 0x1010), VR::OB, PrimitiveValue::U8(csa.into())));
    object
}

/// A Siemens "SV10" header: magic, tag count, then per tag a 64-byte name, multiplicity, VR,
/// type, item count and a check word; per item four words and the text padded to four bytes.
fn csa_header(entries: &[(&str, Vec<String>)]) -> Vec<u8> {
    let word = |out: &mut Vec<u8>, value: u32| out.extend(value.to_le_bytes());
    let mut out = b"SV10\x04\x03\x02\x01".to_vec();
    word(&mut out, entries.len() as u32);
    word(&mut out, 77);
    for (name, values) in entries {
        let mut field = name.as_bytes().to_vec();
        field.resize(64, 0);
        out.extend(field);
        word(&mut out, values.len() as u32);
        out.extend(b"FD\0\0");
        word(&mut out, 4);
        word(&mut out, values.len() as u32);
        word(&mut out, 77);
        for value in values {
            let mut bytes = value.as_bytes().to_vec();
            bytes.push(0);
            for part in [bytes.len(), bytes.len(), 77, bytes.len()] {
                word(&mut out, part as u32);
            }
            bytes.resize(bytes.len().next_multiple_of(4), 0);
            out.extend(bytes);
        }
    }
    out
}

/// The study of the benches: eight series of 48 slices of 320 x 320, five axial, two sagittal,
/// one coronal. Between half and three fifths of its 32 x 32 x 4 patches hold signal.
///
/// # Errors
/// When a file cannot be written.
pub fn bench_study(dir: &Path) -> io::Result<()> {
    let planes = [
        ("AX T1", Plane::Axial),
        ("AX T2", Plane::Axial),
        ("AX FLAIR", Plane::Axial),
        ("SAG T1", Plane::Sagittal),
        ("AX DWI", Plane::Axial),
        ("COR T2", Plane::Coronal),
        ("AX T1 POST", Plane::Oblique),
        ("SAG T1 POST", Plane::Sagittal),
    ];
    for (index, (description, plane)) in (1_u32..).zip(planes) {
        let spec = SeriesSpec {
            uid: format!("2.25.2000.{index}"),
            number: i64::from(index),
            description: description.into(),
            plane,
            in_plane_vox: [320, 320],
            slices: 48,
            spacing_mm: [0.75, 0.75, 3.0],
            seed: u64::from(index),
            ..SeriesSpec::default()
        };
        write_series(&dir.join(format!("{index:02}")), &spec)?;
    }
    Ok(())
}
