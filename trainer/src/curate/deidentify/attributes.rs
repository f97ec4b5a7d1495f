//! The attributes that an image keeps. Whatever is not listed is dropped, sequences included,
//! which goes further than the Basic Profile (PS3.15 table E.1-1).
//!
//! Kept are: what the reader of this project needs for pixels, geometry and volumes; what the
//! signal was made with; the scanner's make; and, cleaned, its descriptions. Numbers are checked
//! to be numbers, code strings to be code strings, so that neither can carry a name.

use dicom_core::{Tag, VR};
use dicom_dictionary_std::tags;

/// What becomes of a value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Action {
    /// Numbers as they are.
    Number(VR),
    /// Upper case words of an enumeration, as they are.
    Code,
    /// Free text after scrubbing.
    Clean(VR),
    /// A UID of the standard (storage class).
    StandardUid,
    /// Another UID, always the same for the same.
    Uid,
    /// The items, by this same table.
    Sequence,
}

use Action::{Clean, Code, Number, Sequence, StandardUid, Uid};

/// Sorted by meaning; each line is a tag and what becomes of it.
pub(super) const KEPT: &[(Tag, Action)] = &[
    // What it is.
    (tags::SOP_CLASS_UID, StandardUid),
    (tags::SOP_INSTANCE_UID, Uid),
    (tags::STUDY_INSTANCE_UID, Uid),
    (tags::SERIES_INSTANCE_UID, Uid),
    (tags::FRAME_OF_REFERENCE_UID, Uid),
    (tags::MODALITY, Code),
    (tags::IMAGE_TYPE, Code),
    (tags::BODY_PART_EXAMINED, Code),
    (tags::PATIENT_POSITION, Code),
    (tags::SERIES_NUMBER, Number(VR::IS)),
    (tags::ACQUISITION_NUMBER, Number(VR::IS)),
    (tags::INSTANCE_NUMBER, Number(VR::IS)),
    (tags::TEMPORAL_POSITION_IDENTIFIER, Number(VR::IS)),
    (tags::STUDY_DESCRIPTION, Clean(VR::LO)),
    (tags::SERIES_DESCRIPTION, Clean(VR::LO)),
    (tags::PROTOCOL_NAME, Clean(VR::LO)),
    // The scanner.
    (tags::MANUFACTURER, Clean(VR::LO)),
    (tags::MANUFACTURER_MODEL_NAME, Clean(VR::LO)),
    (tags::SOFTWARE_VERSIONS, Clean(VR::LO)),
    (tags::MAGNETIC_FIELD_STRENGTH, Number(VR::DS)),
    // The signal.
    (tags::SCANNING_SEQUENCE, Code),
    (tags::SEQUENCE_VARIANT, Code),
    (tags::SCAN_OPTIONS, Code),
    (tags::MR_ACQUISITION_TYPE, Code),
    (tags::SEQUENCE_NAME, Clean(VR::SH)),
    (tags::ANGIO_FLAG, Code),
    (tags::REPETITION_TIME, Number(VR::DS)),
    (tags::ECHO_TIME, Number(VR::DS)),
    (tags::INVERSION_TIME, Number(VR::DS)),
    (tags::NUMBER_OF_AVERAGES, Number(VR::DS)),
    (tags::ECHO_NUMBERS, Number(VR::IS)),
    (tags::ECHO_TRAIN_LENGTH, Number(VR::IS)),
    (tags::FLIP_ANGLE, Number(VR::DS)),
    (tags::PIXEL_BANDWIDTH, Number(VR::DS)),
    (tags::TRIGGER_TIME, Number(VR::DS)),
    (tags::CONTRAST_BOLUS_AGENT, Clean(VR::LO)),
    (tags::DIFFUSION_B_VALUE, Number(VR::FD)),
    (tags::DIFFUSION_GRADIENT_ORIENTATION, Number(VR::FD)),
    (tags::DIFFUSION_DIRECTIONALITY, Code),
    (tags::EFFECTIVE_ECHO_TIME, Number(VR::FD)),
    (tags::COMPLEX_IMAGE_COMPONENT, Code),
    (tags::ACQUISITION_CONTRAST, Code),
    (tags::FRAME_TYPE, Code),
    // The geometry.
    (tags::SLICE_THICKNESS, Number(VR::DS)),
    (tags::SPACING_BETWEEN_SLICES, Number(VR::DS)),
    (tags::IMAGE_POSITION_PATIENT, Number(VR::DS)),
    (tags::IMAGE_ORIENTATION_PATIENT, Number(VR::DS)),
    (tags::SLICE_LOCATION, Number(VR::DS)),
    (tags::IN_STACK_POSITION_NUMBER, Number(VR::UL)),
    (tags::TEMPORAL_POSITION_INDEX, Number(VR::UL)),
    (tags::FRAME_ACQUISITION_NUMBER, Number(VR::US)),
    (tags::PIXEL_SPACING, Number(VR::DS)),
    (tags::PIXEL_ASPECT_RATIO, Number(VR::IS)),
    (tags::IN_PLANE_PHASE_ENCODING_DIRECTION, Code),
    (tags::ACQUISITION_MATRIX, Number(VR::US)),
    // The pixels.
    (tags::SAMPLES_PER_PIXEL, Number(VR::US)),
    (tags::PHOTOMETRIC_INTERPRETATION, Code),
    (tags::PLANAR_CONFIGURATION, Number(VR::US)),
    (tags::NUMBER_OF_FRAMES, Number(VR::IS)),
    (tags::ROWS, Number(VR::US)),
    (tags::COLUMNS, Number(VR::US)),
    (tags::BITS_ALLOCATED, Number(VR::US)),
    (tags::BITS_STORED, Number(VR::US)),
    (tags::HIGH_BIT, Number(VR::US)),
    (tags::PIXEL_REPRESENTATION, Number(VR::US)),
    (tags::WINDOW_CENTER, Number(VR::DS)),
    (tags::WINDOW_WIDTH, Number(VR::DS)),
    (tags::RESCALE_INTERCEPT, Number(VR::DS)),
    (tags::RESCALE_SLOPE, Number(VR::DS)),
    // The functional groups of Enhanced MR.
    (tags::SHARED_FUNCTIONAL_GROUPS_SEQUENCE, Sequence),
    (tags::PER_FRAME_FUNCTIONAL_GROUPS_SEQUENCE, Sequence),
    (tags::FRAME_CONTENT_SEQUENCE, Sequence),
    (tags::PLANE_POSITION_SEQUENCE, Sequence),
    (tags::PLANE_ORIENTATION_SEQUENCE, Sequence),
    (tags::PIXEL_MEASURES_SEQUENCE, Sequence),
    (tags::PIXEL_VALUE_TRANSFORMATION_SEQUENCE, Sequence),
    (tags::MR_IMAGE_FRAME_TYPE_SEQUENCE, Sequence),
    (tags::MR_ECHO_SEQUENCE, Sequence),
    (tags::MR_DIFFUSION_SEQUENCE, Sequence),
    (tags::DIFFUSION_GRADIENT_DIRECTION_SEQUENCE, Sequence),
];

/// True for values of an enumeration: upper case letters, digits, and what stands between them.
/// Vendors put words of their own into Image Type, so that is all that can be asked for.
pub(super) fn is_code(value: &str) -> bool {
    let fits = |c: char| c.is_ascii_uppercase() || c.is_ascii_digit() || " _-./*+".contains(c);
    value.len() <= 32 && value.chars().all(fits)
}

#[cfg(test)]
mod tests {
    use dicom_core::dictionary::{DataDictionary, DataDictionaryEntry};
    use dicom_dictionary_std::StandardDataDictionary;

    use super::{Action, KEPT};

    #[test]
    fn representations_are_those_of_the_standard() {
        let mut seen = std::collections::BTreeSet::new();
        for (tag, action) in KEPT {
            assert!(seen.insert(*tag), "{tag} twice");
            assert_eq!(tag.group() % 2, 0, "{tag} is private");
            let entry = StandardDataDictionary.by_tag(*tag).unwrap();
            let standard = entry.vr().relaxed().to_string();
            let ours = match action {
                Action::Number(vr) | Action::Clean(vr) => vr.to_string(),
                Action::Code => "CS".to_owned(),
                Action::StandardUid | Action::Uid => "UI".to_owned(),
                Action::Sequence => "SQ".to_owned(),
            };
            assert_eq!(ours, standard, "{tag}");
        }
    }
}
