//! The picture of an explanation as Secondary Capture (PS3.3 A.8.1), compressed as JPEG, because it
//! goes over slow links and is not for measuring. "AI preview - not for diagnosis" is part of it.

use std::fs::File;
use std::io::{self, BufReader};
use std::path::{Path, PathBuf};

use dicom_core::value::PixelFragmentSequence;
use dicom_core::{DataElement, PrimitiveValue, VR};
use dicom_dictionary_std::tags;
use dicom_object::InMemDicomObject;
use jpeg_encoder::{ColorType, Encoder, EncodingError, SamplingFactor};
use models::labels::display_name;

use super::content::put;
use super::{Frame, PICTURE, WriteError};
use crate::inference::explain::ExplanationInfo;

/// Series Number (0020,0011): behind that of the reports.
const SERIES_NUMBER: &str = "9902";
const SERIES_DESCRIPTION: &str = "PRIMA explanation (AI preview, not for diagnosis)";
/// Of 100: no block is visible around the letters.
const QUALITY: u8 = 88;

/// Why there is no picture.
#[derive(Debug, thiserror::Error)]
pub enum PictureError {
    /// The explanation has none.
    #[error("the explanation has no picture")]
    None,
    /// It cannot be read.
    #[error("the picture {path} cannot be read")]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// It is no picture of this program's.
    #[error("the picture {path} is none of this program's")]
    Decode {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: png::DecodingError,
    },
    /// It cannot be compressed.
    #[error("the picture cannot be compressed")]
    Encode(#[from] EncodingError),
    /// It cannot be written as DICOM.
    #[error(transparent)]
    Write(#[from] WriteError),
}

/// The first picture of an explanation.
pub struct Picture<'a> {
    /// What all objects say.
    pub frame: Frame<'a>,
    /// What it explains.
    pub info: &'a ExplanationInfo,
}

/// Eight-bit red, green and blue.
struct Pixels {
    columns: u16,
    rows: u16,
    rgb: Vec<u8>,
}

impl Picture<'_> {
    /// The DICOM file.
    ///
    /// # Errors
    ///
    /// When the picture cannot be read or compressed.
    pub fn write(&self) -> Result<Vec<u8>, PictureError> {
        let path = self.info.pictures.first().ok_or(PictureError::None)?;
        let Pixels { columns, rows, rgb } = read(path)?;
        let mut jpeg = Vec::new();
        let mut encoder = Encoder::new(&mut jpeg, QUALITY);
        encoder.set_sampling_factor(SamplingFactor::F_2_1);
        encoder.encode(&rgb, columns, rows, ColorType::Rgb)?;

        let mut object = InMemDicomObject::new_empty();
        let (class, syntax) = PICTURE;
        self.frame.fill(&mut object, class, ["OT", SERIES_NUMBER, SERIES_DESCRIPTION]);
        let info = self.info;
        let output = display_name(&info.output);
        let derivation = format!(
            "LIME, {} samples: places of {} that raise the score of {output}",
            info.samples, info.series
        );
        let ratio = rgb.len() as f64 / jpeg.len().max(1) as f64;
        for (tag, vr, value) in [
            (tags::CONVERSION_TYPE, VR::CS, "WSD"),
            (tags::IMAGE_TYPE, VR::CS, "DERIVED\\SECONDARY"),
            (tags::PATIENT_ORIENTATION, VR::CS, ""),
            (tags::LATERALITY, VR::CS, ""),
            (tags::BURNED_IN_ANNOTATION, VR::CS, "NO"),
            (tags::DERIVATION_DESCRIPTION, VR::ST, &derivation),
            (tags::PHOTOMETRIC_INTERPRETATION, VR::CS, "YBR_FULL_422"),
            (tags::LOSSY_IMAGE_COMPRESSION, VR::CS, "01"),
            (tags::LOSSY_IMAGE_COMPRESSION_RATIO, VR::DS, &format!("{ratio:.2}")),
            (tags::LOSSY_IMAGE_COMPRESSION_METHOD, VR::CS, "ISO_10918_1"),
        ] {
            put(&mut object, tag, vr, value);
        }
        for (tag, value) in [
            (tags::SAMPLES_PER_PIXEL, 3),
            (tags::PLANAR_CONFIGURATION, 0),
            (tags::ROWS, rows),
            (tags::COLUMNS, columns),
            (tags::BITS_ALLOCATED, 8),
            (tags::BITS_STORED, 8),
            (tags::HIGH_BIT, 7),
            (tags::PIXEL_REPRESENTATION, 0),
        ] {
            object.put(DataElement::new(tag, VR::US, PrimitiveValue::from(value)));
        }
        // A fragment has an even length (PS3.5 A.4).
        if jpeg.len() % 2 == 1 {
            jpeg.push(0);
        }
        let fragments = PixelFragmentSequence::new_fragments(vec![jpeg]);
        object.put(DataElement::new(tags::PIXEL_DATA, VR::OB, fragments));
        Ok(super::write(object, syntax)?)
    }
}

fn read(path: &Path) -> Result<Pixels, PictureError> {
    let file =
        File::open(path).map_err(|source| PictureError::Read { path: path.to_owned(), source })?;
    let decode = |source| PictureError::Decode { path: path.to_owned(), source };
    let mut reader = png::Decoder::new(BufReader::new(file)).read_info().map_err(decode)?;
    let mut rgb = vec![0; reader.output_buffer_size().unwrap_or(0)];
    let info = reader.next_frame(&mut rgb).map_err(decode)?;
    rgb.truncate(info.buffer_size());
    let short = |length: u32| u16::try_from(length).unwrap_or(0);
    Ok(Pixels { columns: short(info.width), rows: short(info.height), rgb })
}
