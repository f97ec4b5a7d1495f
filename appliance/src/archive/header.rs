//! What a data set says about itself, read without trust in it: within a bounded window, by the
//! bounded parser, and one large window at a time in the whole process.

use std::io::{self, Read};
use std::panic::resume_unwind;
use std::path::Path;
use std::sync::{Mutex, PoisonError};

use dicom_core::Tag;
use dicom_dictionary_std::{tags, uids};
use models::dicom::parse::{DataSet, DicomFile, Fault, ParseError, parse_bytes};

use crate::store::instances::{SeriesFacts, StudyFacts};

/// Bytes of a data set that are looked at: more than the header of nearly every MR image.
const SMALL: u64 = 64 << 10;
/// Bytes that are looked at where the small window does not reach all facts: behind the lists of
/// some ten thousand references that stand in front of a presentation state's identity, and
/// little enough that the worst contents (nothing but empty elements) cost some 25 MB.
const LARGE: u64 = 2 << 20;
/// What errors call it: the data set has no file yet, or one whose name tells nobody anything.
const NAME: &str = "data set";
/// Held while a large window is in memory: one in the whole process.
static ALONE: Mutex<()> = Mutex::new(());
/// Nothing behind this element is a fact: the one that sorts last of those below.
const LAST_FACT: Tag = tags::REASON_FOR_THE_REQUESTED_PROCEDURE;
/// Characters kept of a text.
const LONGEST_TEXT: usize = 1024;
/// Field strengths above this are in gauss, as old scanners wrote them.
const HIGHEST_TESLA: f64 = 50.0;

/// A data set's identity and facts. Identifiers are empty when absent.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Header {
    pub(crate) sop_class: String,
    pub(crate) sop_uid: String,
    pub(crate) study: StudyFacts,
    pub(crate) series: SeriesFacts,
    /// The data set ends before an element does that it declares.
    pub(crate) cut_off: bool,
}

/// Why there is no header.
#[derive(Debug)]
pub(crate) enum HeaderError {
    /// The bytes could not be read.
    Read(io::Error),
    /// They cannot be scanned.
    Scan(ParseError),
}

impl From<io::Error> for HeaderError {
    fn from(error: io::Error) -> Self {
        Self::Read(error)
    }
}

/// Reads the header of a data set of `bytes` bytes; `open` gives them from the first on, each time
/// anew. A data set that is cut off is read as far as it goes.
pub(crate) fn read<R: Read>(
    transfer_syntax: &str,
    bytes: u64,
    open: impl Fn() -> io::Result<R> + Sync,
) -> Result<Header, HeaderError> {
    let (header, done) = look(transfer_syntax, bytes, open()?, SMALL)?;
    if done {
        return Ok(header);
    }
    let _alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
    // In a thread of its own, because the allocator keeps for each thread what it once needed.
    let large = || Ok(look(transfer_syntax, bytes, open()?, LARGE)?.0);
    std::thread::scope(|scope| scope.spawn(large).join().unwrap_or_else(|e| resume_unwind(e)))
}

/// Reads what the first `size` bytes say, and whether that is all there is to know.
fn look(
    transfer_syntax: &str,
    bytes: u64,
    data: impl Read,
    size: u64,
) -> Result<(Header, bool), HeaderError> {
    let deflated = is_deflated(transfer_syntax);
    let (mut window, prefix) =
        start_of_file(if deflated { uids::EXPLICIT_VR_LITTLE_ENDIAN } else { transfer_syntax });
    if deflated {
        let inflated = flate2::read::DeflateDecoder::new(data).take(size).read_to_end(&mut window);
        // A stream that breaks off is a data set that is cut off.
        if let Err(source) = inflated
            && window.len() == prefix
        {
            let path = Path::new(NAME).to_owned();
            return Err(HeaderError::Scan(ParseError::Inflate { path, offset: 0, source }));
        }
    } else {
        data.take(size).read_to_end(&mut window)?;
    }
    let whole = ((window.len() - prefix) as u64) < size;
    let (file, cut) = scan(window).map_err(HeaderError::Scan)?;
    let pixel_end = file.pixels.and_then(|pixels| {
        let start = (pixels.start - prefix) as u64;
        pixels.length.filter(|_| !deflated).map(|length| start + u64::from(length))
    });
    let mut header = facts(&file.data);
    header.cut_off = whole && cut.is_some() || pixel_end.is_some_and(|end| end > bytes);
    // The element left out may stand in a sequence; then its tag says nothing about how far the
    // window reaches, and identity decides.
    let past_facts = file.data.tags().last().max(cut).is_some_and(|tag| tag > LAST_FACT);
    let done = whole || file.pixels.is_some() || past_facts && !header.series.uid.is_empty();
    Ok((header, done))
}

/// The least that the parser takes for the beginning of a file, and its length.
fn start_of_file(transfer_syntax: &str) -> (Vec<u8>, usize) {
    let mut bytes = b"DICM".to_vec();
    super::meta::push(&mut bytes, tags::TRANSFER_SYNTAX_UID, b"UI", transfer_syntax);
    let length = bytes.len();
    (bytes, length)
}

/// Parses a window, and names the element that was left out because it does not end within it.
/// An element that does not end within the sequence around it is an error all the same: without
/// it, the sequence is too short.
fn scan(mut window: Vec<u8>) -> Result<(DicomFile, Option<Tag>), ParseError> {
    let path = Path::new(NAME);
    let error = match parse_bytes(path, window.clone()) {
        Ok(file) => return Ok((file, None)),
        Err(error) => error,
    };
    let ParseError::Malformed { tag, offset, fault: Fault::Length { .. } | Fault::CutOff, .. } =
        error
    else {
        return Err(error);
    };
    window.truncate(offset);
    // The first error tells more than the one that the cut makes.
    parse_bytes(path, window).map(|file| (file, Some(tag))).map_err(|_| error)
}

/// Deflated transfer syntaxes (PS3.5 A.5, A.6, A.12).
fn is_deflated(transfer_syntax: &str) -> bool {
    matches!(
        transfer_syntax,
        uids::DEFLATED_EXPLICIT_VR_LITTLE_ENDIAN
            | uids::JPIP_REFERENCED_DEFLATE
            | uids::JPIPHTJ2K_REFERENCED_DEFLATE
    )
}

fn facts(data: &DataSet) -> Header {
    let text = |tag| clean(&data.text(tag).unwrap_or_default());
    let count = |tag| data.int(tag).filter(|count| *count > 0);
    Header {
        sop_class: text(tags::SOP_CLASS_UID),
        sop_uid: text(tags::SOP_INSTANCE_UID),
        study: StudyFacts {
            uid: text(tags::STUDY_INSTANCE_UID),
            patient_id: text(tags::PATIENT_ID),
            patient_name: person(&text(tags::PATIENT_NAME)),
            birth_date: text(tags::PATIENT_BIRTH_DATE),
            sex: text(tags::PATIENT_SEX),
            age: text(tags::PATIENT_AGE),
            accession: text(tags::ACCESSION_NUMBER),
            study_date: text(tags::STUDY_DATE),
            study_time: text(tags::STUDY_TIME),
            description: text(tags::STUDY_DESCRIPTION),
            referring_physician: person(&text(tags::REFERRING_PHYSICIAN_NAME)),
            institution: text(tags::INSTITUTION_NAME),
            station: text(tags::STATION_NAME),
            manufacturer: format!(
                "{} {}",
                text(tags::MANUFACTURER),
                text(tags::MANUFACTURER_MODEL_NAME)
            )
            .trim()
            .to_owned(),
            device_serial: text(tags::DEVICE_SERIAL_NUMBER),
            software: clean(&data.texts(tags::SOFTWARE_VERSIONS).join("\\")),
            field_strength_t: field_strength(data),
            body_part: text(tags::BODY_PART_EXAMINED),
            reason: reason(data),
            admitting: texts(data, tags::ADMITTING_DIAGNOSES_DESCRIPTION),
            expected_instances: count(tags::NUMBER_OF_STUDY_RELATED_INSTANCES),
        },
        series: SeriesFacts {
            uid: text(tags::SERIES_INSTANCE_UID),
            number: data.int(tags::SERIES_NUMBER),
            description: text(tags::SERIES_DESCRIPTION),
            modality: text(tags::MODALITY),
            expected_instances: count(tags::NUMBER_OF_SERIES_RELATED_INSTANCES),
        },
        cut_off: false,
    }
}

/// Reason for the Requested Procedure, where the scanner copied it to the top level or from the
/// worklist into Request Attributes Sequence.
fn reason(data: &DataSet) -> String {
    let requests = data.items(tags::REQUEST_ATTRIBUTES_SEQUENCE);
    std::iter::once(data)
        .chain(requests)
        .map(|item| texts(item, tags::REASON_FOR_THE_REQUESTED_PROCEDURE))
        .find(|text| !text.is_empty())
        .unwrap_or_default()
}

/// All values of a text, because diagnoses come in several.
fn texts(data: &DataSet, tag: Tag) -> String {
    clean(&data.texts(tag).join("; "))
}

/// Enhanced objects hold it at the top level too (PS3.3 C.8.13.3).
fn field_strength(data: &DataSet) -> Option<f64> {
    let strength = *data.f64s(tags::MAGNETIC_FIELD_STRENGTH).first()?;
    let tesla = if strength > HIGHEST_TESLA { strength / 10_000.0 } else { strength };
    (tesla > 0.0).then_some(tesla)
}

/// The first component group that is there: alphabetic, else ideographic, else phonetic (PS3.5
/// 6.2.1.2).
fn person(name: &str) -> String {
    let group = name.split('=').find(|group| !group.is_empty()).unwrap_or_default();
    group.trim_end_matches(['^', ' ']).to_owned()
}

/// Without control characters, which have no place on a page or in a log, and of bounded length.
fn clean(text: &str) -> String {
    let visible = |c: char| if c.is_control() { ' ' } else { c };
    text.chars().map(visible).take(LONGEST_TEXT).collect::<String>().trim().to_owned()
}

#[cfg(test)]
mod tests;
