//! Which files, series and volumes take part in triage. Each rule is one line of a table with its
//! reason; the first that applies decides.

use dicom_dictionary_std::uids;

use super::series::header::{Instance, Slice};
use super::series::split::Split;
use crate::study::LeftOutReason;

/// Fewest slices of a volume.
const MIN_SLICES: usize = 3;
/// Several planes in one series make it a localiser while no plane has more slices than this;
/// diagnostic stacks that share a series have more.
const LOCALISER_SLICES: usize = 11;

/// What a rule returns: the reason to leave something out, if it applies.
type Verdict = Option<LeftOutReason>;

/// Rules on one file, in order: what it is decides before what it shows.
const FILE_RULES: [fn(&Instance) -> Verdict; 5] =
    [encrypted, no_image, secondary_capture, not_mr, colour];

/// Rules on one volume.
const VOLUME_RULES: [fn(&[Slice]) -> Verdict; 2] = [derived, too_few];

/// Storage classes by the beginning of their UID, for messages.
const CLASS_NAMES: [(&str, &str); 11] = [
    ("1.2.840.10008.1.3.10", "DICOM directory"),
    ("1.2.840.10008.5.1.4.1.1.4.2", "MR spectroscopy"),
    ("1.2.840.10008.5.1.4.1.1.7", "secondary capture"),
    ("1.2.840.10008.5.1.4.1.1.11.", "presentation state"),
    ("1.2.840.10008.5.1.4.1.1.66.4", "segmentation"),
    ("1.2.840.10008.5.1.4.1.1.66", "raw or registration data"),
    ("1.2.840.10008.5.1.4.1.1.88.59", "key object selection"),
    ("1.2.840.10008.5.1.4.1.1.88.", "structured report"),
    ("1.2.840.10008.5.1.4.1.1.104.", "encapsulated document"),
    ("1.2.840.10008.5.1.4.1.1.2", "CT"),
    ("1.2.840.10008.5.1.4.1.1.4", "MR"),
];

/// Descriptions of scouts and calibration scans: words that count where there are few slices, and
/// parts of a description that always do.
const LOCALISER_WORDS: [&str; 3] = ["loc", "survey", "planscan"];
const LOCALISER_PARTS: [&str; 10] = [
    "localizer",
    "localiser",
    "localisation",
    "scout",
    "3plane",
    "3-plane",
    "3 plane",
    "three plane",
    "plan scan",
    "calibration",
];

/// Image Type values of images that no scanner acquired, with what to call them. ADC and trace
/// images are computed too, but are what diffusion is read from; reformats show what was acquired,
/// and may be all that was sent.
const DERIVED: [(&str, &str); 19] = [
    ("PROJECTION IMAGE", "projection"),
    ("MIP", "maximum intensity projection"),
    ("MAX_IP", "maximum intensity projection"),
    ("MIN_IP", "minimum intensity projection"),
    ("MINIP", "minimum intensity projection"),
    ("MNIP", "minimum intensity projection"),
    ("FA", "fractional anisotropy map"),
    ("COLFA", "fractional anisotropy map"),
    ("TENSOR", "diffusion tensor"),
    ("EADC", "exponential ADC map"),
    ("CBF", "perfusion map"),
    ("RELCBF", "perfusion map"),
    ("CBV", "perfusion map"),
    ("RELCBV", "perfusion map"),
    ("MTT", "perfusion map"),
    ("RELMTT", "perfusion map"),
    ("TTP", "perfusion map"),
    ("TMAX", "perfusion map"),
    ("PBP", "perfusion map"),
];

/// Why a file takes no part, whatever else is in its series.
pub(super) fn file_reason(instance: &Instance) -> Verdict {
    FILE_RULES.iter().find_map(|rule| rule(instance))
}

/// Why a volume takes no part.
pub(super) fn volume_reason(slices: &[Slice]) -> Verdict {
    VOLUME_RULES.iter().find_map(|rule| rule(slices))
}

/// True for scouts: by Image Type, by description, or by a few slices in crossing planes.
pub(super) fn is_localiser(first: &Instance, split: &Split) -> bool {
    let marked = first.image_type.iter().any(|value| value == "LOCALIZER");
    let few = split.parts.iter().all(|part| part.slices.len() <= LOCALISER_SLICES);
    let name = first.description.as_ref().or(first.protocol.as_ref());
    let name = name.map(|name| name.to_lowercase()).unwrap_or_default();
    let mut words = name.split(|c: char| !c.is_alphanumeric());
    marked
        || (split.planes > 1 && few)
        || (few && words.any(|word| LOCALISER_WORDS.contains(&word)))
        || LOCALISER_PARTS.iter().any(|part| name.contains(part))
}

fn encrypted(instance: &Instance) -> Verdict {
    (instance.encrypted && !instance.has_pixels).then_some(LeftOutReason::Encrypted)
}

fn no_image(instance: &Instance) -> Verdict {
    let sop_class = class_name(&instance.sop_class);
    (!instance.has_pixels).then_some(LeftOutReason::NoImage { sop_class })
}

fn secondary_capture(instance: &Instance) -> Verdict {
    let class = instance.sop_class.starts_with(uids::SECONDARY_CAPTURE_IMAGE_STORAGE);
    let screen = |value: &String| value.starts_with("SCREEN");
    let is = class || instance.image_type.iter().any(screen);
    is.then_some(LeftOutReason::SecondaryCapture)
}

/// A file without a storage class is judged by its modality alone.
fn not_mr(instance: &Instance) -> Verdict {
    let class = instance.sop_class.as_str();
    let mr = class.is_empty()
        || class == uids::MR_IMAGE_STORAGE
        || class.starts_with("1.2.840.10008.5.1.4.1.1.4.");
    let modality = instance.modality.as_str();
    (!mr || modality != "MR").then(|| LeftOutReason::NotMr {
        modality: if modality.is_empty() { "(none)" } else { modality }.into(),
        sop_class: class_name(class),
    })
}

fn colour(instance: &Instance) -> Verdict {
    let layout = instance.layout.as_ref().ok()?;
    let colour = layout.samples_per_pixel != 1 || !layout.photometric.starts_with("MONOCHROME");
    colour.then_some(LeftOutReason::ColourMap)
}

/// `ORIGINAL\PRIMARY\MPR` is what some scanners call an oblique acquisition, so only images that
/// say they are derived count.
fn derived(slices: &[Slice]) -> Verdict {
    let image_type = &slices.first()?.facets.image_type;
    let (first, others) = image_type.split_first()?;
    let row = DERIVED.iter().find(|(value, _)| others.iter().any(|other| other == value))?;
    (first == "DERIVED").then(|| LeftOutReason::Derived { what: row.1.into() })
}

fn too_few(slices: &[Slice]) -> Verdict {
    let found = slices.len();
    (found < MIN_SLICES).then_some(LeftOutReason::TooFewSlices { found, needed: MIN_SLICES })
}

fn class_name(uid: &str) -> String {
    let known = CLASS_NAMES.iter().find(|(start, _)| uid.starts_with(start));
    match known {
        Some((_, name)) => (*name).into(),
        None if uid.is_empty() => "no storage class".into(),
        None => uid.into(),
    }
}
