//! Series as MR Image Storage files (PS3.3 A.4), filled in as the named maker does.
//!
//! Patients are pseudonyms and dates count from 1 January 2000. Identifiers are derived from the
//! names of study and series (PS3.5 B.2), so that the same study is written again byte by byte.

use std::path::{Path, PathBuf};

use dicom_core::value::PrimitiveValue;
use dicom_core::{DataElement, Tag, VR};
use dicom_dictionary_std::{tags, uids};
use dicom_object::{FileMetaTableBuilder, InMemDicomObject};
use jiff::ToSpan;
use jiff::civil::{Date, date};
use sha2::{Digest, Sha256};
use thiserror::Error;

use super::acquire::Series;
use super::protocol::{Kind, Scanner, Vendor};
use super::signal::Weighting;
use crate::cohort::record::Sex;

/// Why a series was not written.
#[derive(Debug, Error)]
pub enum DicomError {
    /// The disk.
    #[error("the folder {path} cannot be made: {source}; check the path and its permissions")]
    Folder {
        /// Folder of the series.
        path: PathBuf,
        /// What the system says.
        source: std::io::Error,
    },
    /// A file.
    #[error("the image {path} cannot be written: {source}; check that the disk has room")]
    File {
        /// The file.
        path: PathBuf,
        /// What the encoder says.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
}

/// What all series of a study say.
#[derive(Clone, Debug, PartialEq)]
pub struct StudyHeader {
    /// Pseudonym of the study; identifiers are derived from it.
    pub study: String,
    /// Pseudonym of the patient, which stands for name and number.
    pub patient: String,
    /// Anything that tells this cohort from others, such as its seed.
    pub seed: u64,
    /// Sex, if known.
    pub sex: Option<Sex>,
    /// Age, if known.
    pub age_years: Option<f32>,
    /// Day of acquisition since the cohort's first day.
    pub day: u32,
    /// Study Description (0008,1030).
    pub description: String,
    /// Where it was acquired.
    pub scanner: Scanner,
}

/// Day 0 of a cohort in Study Date (0008,0020).
const FIRST_DAY: Date = date(2000, 1, 1);

/// Writes a series into `folder`, which is made: `IM0001.dcm` and so on. `number` is its Series
/// Number (0020,0011).
///
/// # Errors
///
/// When the folder or a file cannot be written.
pub fn write(
    folder: &Path,
    header: &StudyHeader,
    series: &Series,
    number: usize,
) -> Result<(), DicomError> {
    std::fs::create_dir_all(folder)
        .map_err(|source| DicomError::Folder { path: folder.to_owned(), source })?;
    let shared = attributes(header, series, number);
    let values = series.rows * series.columns;
    for (slice, pixels) in series.pixels.chunks_exact(values).enumerate() {
        let path = folder.join(format!("IM{:04}.dcm", slice + 1));
        let mut object = shared.clone();
        image(&mut object, header, series, (number, slice), pixels);
        save(object, &path).map_err(|source| DicomError::File { path, source })?;
    }
    Ok(())
}

fn save(
    object: InMemDicomObject,
    path: &Path,
) -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
    let meta = FileMetaTableBuilder::new().transfer_syntax(uids::EXPLICIT_VR_LITTLE_ENDIAN);
    Ok(object.with_meta(meta)?.write_to_file(path)?)
}

/// Attributes that all images of a series share.
fn attributes(header: &StudyHeader, series: &Series, number: usize) -> InMemDicomObject {
    let mut object = InMemDicomObject::new_empty();
    patient_and_study(&mut object, header);
    series_and_equipment(&mut object, header, series, number);
    acquisition(&mut object, &header.scanner, series);
    pixel_layout(&mut object, header.scanner.vendor, series);
    object
}

fn patient_and_study(object: &mut InMemDicomObject, header: &StudyHeader) {
    put(object, tags::SPECIFIC_CHARACTER_SET, VR::CS, "ISO_IR 192");
    put(object, tags::PATIENT_NAME, VR::PN, &header.patient);
    put(object, tags::PATIENT_ID, VR::LO, &header.patient);
    put(object, tags::PATIENT_BIRTH_DATE, VR::DA, "");
    let sex = match header.sex {
        Some(Sex::Female) => "F",
        Some(Sex::Male) => "M",
        Some(Sex::Other) => "O",
        None => "",
    };
    put(object, tags::PATIENT_SEX, VR::CS, sex);
    if let Some(years) = header.age_years {
        // Months below two years, and nobody is older than 90.
        let age = if years < 2.0 {
            format!("{:03.0}M", (years * 12.0).floor().max(0.0))
        } else {
            format!("{:03.0}Y", years.floor().min(90.0))
        };
        put(object, tags::PATIENT_AGE, VR::AS, &age);
    }
    put(object, tags::PATIENT_IDENTITY_REMOVED, VR::CS, "YES");
    put(object, tags::DEIDENTIFICATION_METHOD, VR::LO, "Simulated: there is no such patient");
    put(object, tags::STUDY_INSTANCE_UID, VR::UI, &identifier(header, "study"));
    put(object, tags::STUDY_ID, VR::SH, "");
    put(object, tags::ACCESSION_NUMBER, VR::SH, &header.study);
    put(object, tags::REFERRING_PHYSICIAN_NAME, VR::PN, "");
    put(object, tags::STUDY_DESCRIPTION, VR::LO, &header.description);
    let day = FIRST_DAY.checked_add(i64::from(header.day).days()).unwrap_or(FIRST_DAY);
    let day = day.strftime("%Y%m%d").to_string();
    for tag in [tags::STUDY_DATE, tags::SERIES_DATE, tags::ACQUISITION_DATE] {
        put(object, tag, VR::DA, &day);
    }
    put(object, tags::STUDY_TIME, VR::TM, "080000");
}

fn series_and_equipment(
    object: &mut InMemDicomObject,
    header: &StudyHeader,
    series: &Series,
    number: usize,
) {
    let scanner = &header.scanner;
    let minutes = number * 4;
    let time = format!("{:02}{:02}00", 8 + minutes / 60, minutes % 60);
    put(object, tags::SERIES_TIME, VR::TM, &time);
    put(object, tags::ACQUISITION_TIME, VR::TM, &time);
    put(object, tags::MODALITY, VR::CS, "MR");
    put(object, tags::SERIES_INSTANCE_UID, VR::UI, &identifier(header, &number.to_string()));
    put(object, tags::SERIES_NUMBER, VR::IS, &number.to_string());
    put(object, tags::ACQUISITION_NUMBER, VR::IS, "1");
    put(object, tags::SERIES_DESCRIPTION, VR::LO, &series.sequence.name);
    if !series.sequence.protocol_name.is_empty() {
        put(object, tags::PROTOCOL_NAME, VR::LO, &series.sequence.protocol_name);
    }
    put(object, tags::BODY_PART_EXAMINED, VR::CS, "BRAIN");
    put(object, tags::PATIENT_POSITION, VR::CS, "HFS");
    put(object, tags::FRAME_OF_REFERENCE_UID, VR::UI, &identifier(header, "frame"));
    put(object, tags::POSITION_REFERENCE_INDICATOR, VR::LO, "");
    put(object, tags::MANUFACTURER, VR::LO, scanner.manufacturer);
    put(object, tags::MANUFACTURER_MODEL_NAME, VR::LO, scanner.model);
    put(object, tags::SOFTWARE_VERSIONS, VR::LO, scanner.software);
    put(object, tags::INSTITUTION_NAME, VR::LO, scanner.institution);
    put(object, tags::STATION_NAME, VR::SH, scanner.station);
    put(object, tags::IMAGE_TYPE, VR::CS, &image_type(scanner, series));
}

fn acquisition(object: &mut InMemDicomObject, scanner: &Scanner, series: &Series) {
    let sequence = &series.sequence;
    let weighting = &sequence.weighting;
    let [technique, variant] = scanning(weighting);
    put(object, tags::SCANNING_SEQUENCE, VR::CS, technique);
    put(object, tags::SEQUENCE_VARIANT, VR::CS, variant);
    put(object, tags::SCAN_OPTIONS, VR::CS, if sequence.fat_saturated { "FS" } else { "" });
    put(object, tags::MR_ACQUISITION_TYPE, VR::CS, if sequence.volume { "3D" } else { "2D" });
    if scanner.vendor == Vendor::Siemens {
        put(object, tags::SEQUENCE_NAME, VR::SH, &sequence_name(sequence.kind, weighting));
    }
    for (tag, value) in [
        (tags::REPETITION_TIME, Some(weighting.tr())),
        (tags::ECHO_TIME, Some(weighting.te())),
        (tags::INVERSION_TIME, weighting.ti()),
        (tags::FLIP_ANGLE, Some(weighting.flip())),
        (tags::SLICE_THICKNESS, Some(sequence.thickness_mm)),
        (tags::SPACING_BETWEEN_SLICES, Some(sequence.spacing_mm())),
        (tags::MAGNETIC_FIELD_STRENGTH, Some(scanner.field.tesla())),
        (tags::IMAGING_FREQUENCY, Some(scanner.field.tesla() * 42.577)),
        (tags::PERCENT_PHASE_FIELD_OF_VIEW, Some(100.0)),
        (tags::NUMBER_OF_AVERAGES, Some(1.0)),
    ] {
        if let Some(value) = value {
            put(object, tag, VR::DS, &decimal(value));
        }
    }
    put(object, tags::IMAGED_NUCLEUS, VR::SH, "1H");
    put(object, tags::ECHO_NUMBERS, VR::IS, "1");
    let train = match weighting {
        Weighting::SpinEcho { te, .. } | Weighting::InversionRecovery { te, .. } if *te > 60.0 => {
            15
        }
        _ => 1,
    };
    put(object, tags::ECHO_TRAIN_LENGTH, VR::IS, &train.to_string());
    let direction = if series.phase_down { "COL" } else { "ROW" };
    put(object, tags::IN_PLANE_PHASE_ENCODING_DIRECTION, VR::CS, direction);
    let [frequency, phase] = sequence.matrix.map(short);
    let matrix =
        if series.phase_down { [frequency, 0, 0, phase] } else { [0, frequency, phase, 0] };
    let matrix = PrimitiveValue::U16(matrix.as_slice().into());
    object.put(DataElement::new(tags::ACQUISITION_MATRIX, VR::US, matrix));
    if sequence.contrast {
        put(object, tags::CONTRAST_BOLUS_AGENT, VR::LO, "Gadolinium based contrast agent");
    }
    if let Weighting::Diffusion { b, .. } = weighting {
        let value = PrimitiveValue::from(f64::from(*b));
        object.put(DataElement::new(tags::DIFFUSION_B_VALUE, VR::FD, value));
        let kind = if *b > 0.0 { "ISOTROPIC" } else { "NONE" };
        put(object, tags::DIFFUSION_DIRECTIONALITY, VR::CS, kind);
    }
}

fn pixel_layout(object: &mut InMemDicomObject, vendor: Vendor, series: &Series) {
    let bits = if vendor == Vendor::Ge { 16 } else { 12 };
    for (tag, value) in [
        (tags::SAMPLES_PER_PIXEL, 1),
        (tags::ROWS, short(series.rows)),
        (tags::COLUMNS, short(series.columns)),
        (tags::BITS_ALLOCATED, 16),
        (tags::BITS_STORED, bits),
        (tags::HIGH_BIT, bits - 1),
        (tags::PIXEL_REPRESENTATION, 0),
    ] {
        object.put(DataElement::new(tag, VR::US, PrimitiveValue::from(value)));
    }
    put(object, tags::PHOTOMETRIC_INTERPRETATION, VR::CS, "MONOCHROME2");
    let spacing = series.spacing_mm.map(decimal).join("\\");
    put(object, tags::PIXEL_SPACING, VR::DS, &spacing);
    let directions: Vec<String> =
        series.row.iter().chain(&series.column).map(|v| decimal(*v)).collect();
    put(object, tags::IMAGE_ORIENTATION_PATIENT, VR::DS, &directions.join("\\"));
    if vendor == Vendor::Philips || series.sequence.kind == Kind::Adc {
        put(object, tags::RESCALE_INTERCEPT, VR::DS, "0");
        put(object, tags::RESCALE_SLOPE, VR::DS, &decimal(series.slope));
        let unit = if series.sequence.kind == Kind::Adc { "10^-6 mm2/s" } else { "normalized" };
        put(object, tags::RESCALE_TYPE, VR::LO, unit);
    }
    let mut sorted: Vec<u16> =
        series.pixels.iter().copied().step_by(37).filter(|&v| v > 30).collect();
    sorted.sort_unstable();
    let bright = sorted.get(sorted.len() * 97 / 100).copied().unwrap_or(100);
    let bright = f32::from(bright) * series.slope;
    put(object, tags::WINDOW_CENTER, VR::DS, &decimal((bright / 2.0).round()));
    put(object, tags::WINDOW_WIDTH, VR::DS, &decimal(bright.round().max(1.0)));
}

/// Attributes of one image.
fn image(
    object: &mut InMemDicomObject,
    header: &StudyHeader,
    series: &Series,
    (number, slice): (usize, usize),
    pixels: &[u16],
) {
    put(object, tags::SOP_CLASS_UID, VR::UI, uids::MR_IMAGE_STORAGE);
    put(object, tags::SOP_INSTANCE_UID, VR::UI, &identifier(header, &format!("{number}/{slice}")));
    put(object, tags::INSTANCE_NUMBER, VR::IS, &(slice + 1).to_string());
    #[expect(clippy::cast_precision_loss, reason = "a slice number")]
    let along = slice as f32 * series.sequence.spacing_mm();
    let position: [f32; 3] =
        std::array::from_fn(|axis| series.origin_mm[axis] + along * series.normal[axis]);
    put(object, tags::IMAGE_POSITION_PATIENT, VR::DS, &position.map(decimal).join("\\"));
    let location: f32 = position.iter().zip(series.normal).map(|(p, n)| p * n).sum();
    put(object, tags::SLICE_LOCATION, VR::DS, &decimal(location));
    let value = PrimitiveValue::U16(pixels.into());
    object.put(DataElement::new(tags::PIXEL_DATA, VR::OW, value));
}

/// Image Type (0008,0008).
fn image_type(scanner: &Scanner, series: &Series) -> String {
    let normalised = if scanner.normalised { "\\NORM" } else { "" };
    match (scanner.vendor, series.sequence.kind) {
        (Vendor::Siemens, Kind::Diffusion) => {
            format!("DERIVED\\PRIMARY\\DIFFUSION\\TRACEW\\ND{normalised}")
        }
        (Vendor::Siemens, Kind::Adc) => {
            format!("DERIVED\\PRIMARY\\DIFFUSION\\ADC\\ND{normalised}")
        }
        (Vendor::Siemens, _) => format!("ORIGINAL\\PRIMARY\\M\\ND{normalised}"),
        (Vendor::Ge, Kind::Adc) => "DERIVED\\PRIMARY\\ADC".into(),
        (Vendor::Philips, Kind::Adc) => "DERIVED\\PRIMARY\\ADC\\ADC\\UNSPECIFIED".into(),
        (Vendor::Canon, Kind::Adc) => "DERIVED\\PRIMARY\\DIFFUSION\\ADC".into(),
        (Vendor::Ge | Vendor::Canon, _) => "ORIGINAL\\PRIMARY\\OTHER".into(),
        (Vendor::Philips, _) => match series.sequence.weighting {
            Weighting::InversionRecovery { .. } => "ORIGINAL\\PRIMARY\\M_IR\\M\\IR",
            Weighting::SpinEcho { .. } | Weighting::Diffusion { .. } | Weighting::Adc { .. } => {
                "ORIGINAL\\PRIMARY\\M_SE\\M\\SE"
            }
            _ => "ORIGINAL\\PRIMARY\\M_FFE\\M\\FFE",
        }
        .into(),
    }
}

/// Scanning Sequence (0018,0020) and Sequence Variant (0018,0021).
fn scanning(weighting: &Weighting) -> [&'static str; 2] {
    match weighting {
        Weighting::SpinEcho { te, .. } if *te > 60.0 => ["SE", "SK"],
        Weighting::SpinEcho { .. } => ["SE", "NONE"],
        Weighting::InversionRecovery { .. } => ["SE\\IR", "SK"],
        Weighting::GradientEcho { .. } | Weighting::Susceptibility { .. } => ["GR", "SP"],
        Weighting::Mprage { .. } => ["GR\\IR", "SP\\MP"],
        Weighting::Diffusion { .. } | Weighting::Adc { .. } => ["EP\\SE", "SK"],
        Weighting::TimeOfFlight { .. } => ["GR", "SP"],
    }
}

/// Sequence Name (0018,0024) in the maker's shorthand.
fn sequence_name(kind: Kind, weighting: &Weighting) -> String {
    let name = match weighting {
        Weighting::SpinEcho { te, .. } if *te > 60.0 => "*tse2d1_15",
        Weighting::SpinEcho { .. } => "*se2d1",
        Weighting::InversionRecovery { .. } => "*tir2d1_16",
        Weighting::GradientEcho { .. } => "*fl2d1",
        Weighting::Mprage { .. } => "*tfl3d1_16",
        Weighting::Diffusion { b, .. } if *b > 0.0 => return format!("*ep_b{b:.0}t"),
        Weighting::Diffusion { .. } => "*ep_b0",
        Weighting::Adc { b, .. } => return format!("*ep_b0_{b:.0}"),
        Weighting::Susceptibility { .. } if kind == Kind::GradientEcho => "*fl2d1r",
        Weighting::Susceptibility { .. } => "*swi3d1r",
        Weighting::TimeOfFlight { .. } => "*fl3d1r_tm",
    };
    name.to_owned()
}

/// An identifier below 2.25, which stands for a UUID written as one integer.
fn identifier(header: &StudyHeader, part: &str) -> String {
    let digest = Sha256::digest(format!("{}/{}/{part}", header.seed, header.study));
    let mut bytes = [0; 16];
    bytes.copy_from_slice(&digest[..16]);
    // Version 8 (free form) and the variant of RFC 9562.
    bytes[6] = (bytes[6] & 0x0F) | 0x80;
    bytes[8] = (bytes[8] & 0x3F) | 0x80;
    format!("2.25.{}", u128::from_be_bytes(bytes))
}

/// A decimal string, which has at most 16 characters.
fn decimal(value: f32) -> String {
    let text = format!("{value:.6}");
    let text = text.trim_end_matches('0').trim_end_matches('.');
    if text == "-0" { "0".to_owned() } else { text.to_owned() }
}

fn short(count: usize) -> u16 {
    u16::try_from(count).unwrap_or(u16::MAX)
}

fn put(object: &mut InMemDicomObject, tag: Tag, vr: VR, value: &str) {
    object.put(DataElement::new(tag, vr, PrimitiveValue::from(value)));
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::simulate::acquire::Session;
    use crate::simulate::acquire::tests::phantom;
    use crate::simulate::nifti::write_mask;
    use crate::simulate::protocol::Protocol;
    use rand::SeedableRng;
    use rand_chacha::ChaCha8Rng;

    /// Geometry and pixels come back, and a second writing gives the same bytes.
    #[test]
    fn files_say_what_was_acquired_and_are_the_same_each_time() {
        let mut rng = ChaCha8Rng::seed_from_u64(2);
        let scanner = Scanner::draw(&mut rng);
        let protocol = Protocol::draw(50.0, None, &scanner, false, &mut rng);
        let head = phantom();
        let mut session = Session::new(&head, &scanner, 50.0, &mut rng);
        let series = session.acquire(&protocol.sequences[0], &mut rng);
        let header = StudyHeader {
            study: "s000001".into(),
            patient: "p000001".into(),
            seed: 2,
            sex: Some(Sex::Female),
            age_years: Some(93.0),
            day: 59,
            description: protocol.description,
            scanner,
        };
        let folder = tempfile::tempdir().unwrap();
        write(folder.path(), &header, &series, 1).unwrap();
        let path = folder.path().join("IM0003.dcm");
        let first = std::fs::read(&path).unwrap();
        write(folder.path(), &header, &series, 1).unwrap();
        assert_eq!(first, std::fs::read(&path).unwrap());
        let object = dicom_object::open_file(&path).unwrap();
        let text = |tag| object.element(tag).unwrap().to_str().unwrap().into_owned();
        assert_eq!(text(tags::STUDY_DATE), "20000229");
        assert_eq!(text(tags::PATIENT_AGE), "090Y");
        let position: Vec<f32> =
            object.element(tags::IMAGE_POSITION_PATIENT).unwrap().to_multi_float32().unwrap();
        for (axis, found) in position.iter().enumerate() {
            let expected =
                series.origin_mm[axis] + 2.0 * series.sequence.spacing_mm() * series.normal[axis];
            assert!((found - expected).abs() < 1e-4);
        }
        let pixels = object.element(tags::PIXEL_DATA).unwrap().to_multi_int::<u16>().unwrap();
        let n = series.rows * series.columns;
        assert_eq!(pixels, series.pixels[2 * n..3 * n]);
        let missing = folder.path().join("none/mask.nii.gz");
        let error = write_mask(&missing, &series).unwrap_err().to_string();
        assert!(error.ends_with("check that its folder exists and that the disk has room"));
    }
}
