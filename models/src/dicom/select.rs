//! Which files, series and volumes take part in triage. What cannot be looked at at all is decided
//! here; what is not worth a look is a table that a site may change, `series-selection.toml`. The
//! first rule that applies decides.
//!
//! Training and serving read the same table unless somebody says otherwise; a bundle names the
//! rules that its training saw ([`crate::weights::manifest::SelectionSeen`]).

use std::collections::BTreeSet;
use std::path::Path;

use dicom_dictionary_std::uids;
use serde::Deserialize;
use toml::Spanned;

use super::series::header::{Instance, Slice};
use super::series::split::Split;
use crate::study::LeftOutReason;
use crate::table::{self, ClinicalTable, Content, Fault, Head, TableError, Written, expect};

/// Fewest slices that a table may ask of a volume, and most: others would leave out everything or
/// let single images in.
const MIN_SLICES: [usize; 2] = [3, 100];
/// Shortest part of a description that may make a series a localiser.
const SHORTEST_PART: usize = 4;
/// Longest value of Image Type (PS3.5 6.2, CS).
const LONGEST_CODE: usize = 16;

/// What a rule returns: the reason to leave something out, if it applies.
type Verdict = Option<LeftOutReason>;

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

/// The rules of a site, checked.
#[derive(Clone, Debug)]
pub struct Selection(ClinicalTable<Raw>);

/// The file as written.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Raw {
    format_version: Spanned<u32>,
    version: Spanned<String>,
    date: Spanned<String>,
    approver: String,
    min_slices: Spanned<usize>,
    screenshots: Vec<Spanned<String>>,
    localiser: Localiser,
    #[serde(default)]
    derived: Vec<Derived>,
}

/// Scouts and calibration scans.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Localiser {
    image_types: Vec<Spanned<String>>,
    most_slices: Spanned<usize>,
    words: Vec<Spanned<String>>,
    parts: Vec<Spanned<String>>,
}

/// Images that no scanner acquired.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Derived {
    what: Spanned<String>,
    image_types: Vec<Spanned<String>>,
}

impl Selection {
    /// The rules that ship, which training uses.
    ///
    /// # Errors
    ///
    /// Never in a build that passed its tests.
    pub fn built_in() -> Result<Self, TableError> {
        ClinicalTable::built_in().map(Self)
    }

    /// The rules of a site; an empty path stands for those that ship.
    ///
    /// # Errors
    ///
    /// When the file cannot be read or something in it is wrong.
    pub fn open(path: &Path) -> Result<Self, TableError> {
        ClinicalTable::open(path).map(Self)
    }

    /// Rules from their text; `file` is what messages call it.
    ///
    /// # Errors
    ///
    /// The first thing that is wrong, with its line.
    pub fn parse(text: &str, file: &str) -> Result<Self, TableError> {
        ClinicalTable::parse(text, file).map(Self)
    }

    /// Version and approver.
    #[must_use]
    pub fn head(&self) -> &Head {
        self.0.head()
    }

    /// All of the file, for another process.
    #[must_use]
    pub fn text(&self) -> &str {
        self.0.text()
    }

    /// SHA-256 of the rules alone, hexadecimal: the same for two files that select the same,
    /// whatever their comments, the order of their words, their versions and approvers.
    #[must_use]
    pub fn rules_sha256(&self) -> String {
        fn set(list: &[Spanned<String>]) -> BTreeSet<&str> {
            list.iter().map(|word| word.get_ref().as_str()).collect()
        }
        let Raw { min_slices, screenshots, localiser, derived, .. } = self.0.content();
        let Localiser { image_types, most_slices, words, parts } = localiser;
        let derived: Vec<_> =
            derived.iter().map(|row| (row.what.get_ref(), set(&row.image_types))).collect();
        let localiser = (set(image_types), most_slices.get_ref(), set(words), set(parts));
        // Writing to memory cannot fail.
        let rules =
            serde_json::to_vec(&(min_slices.get_ref(), set(screenshots), localiser, derived));
        table::sha256(&rules.unwrap_or_default())
    }

    /// Why a file takes no part, whatever else is in its series. What it is decides before what it
    /// shows.
    pub(super) fn file_reason(&self, instance: &Instance) -> Verdict {
        encrypted(instance)
            .or_else(|| no_image(instance))
            .or_else(|| self.secondary_capture(instance))
            .or_else(|| not_mr(instance))
            .or_else(|| colour(instance))
    }

    /// Why a volume takes no part.
    pub(super) fn volume_reason(&self, slices: &[Slice]) -> Verdict {
        self.derived(slices).or_else(|| self.too_few(slices))
    }

    /// True for scouts: by Image Type, by description, or by a few slices in crossing planes.
    pub(super) fn is_localiser(&self, first: &Instance, split: &Split) -> bool {
        let rule = &self.0.content().localiser;
        let marked = first.image_type.iter().any(|value| holds(&rule.image_types, value));
        let most = *rule.most_slices.get_ref();
        let few = split.parts.iter().all(|part| part.slices.len() <= most);
        let name = first.description.as_ref().or(first.protocol.as_ref());
        let name = name.map(|name| name.to_lowercase()).unwrap_or_default();
        let mut words = name.split(|c: char| !c.is_alphanumeric());
        marked
            || (split.planes > 1 && few)
            || (few && words.any(|word| holds(&rule.words, word)))
            || rule.parts.iter().any(|part| name.contains(part.get_ref()))
    }

    fn secondary_capture(&self, instance: &Instance) -> Verdict {
        let class = instance.sop_class.starts_with(uids::SECONDARY_CAPTURE_IMAGE_STORAGE);
        let starts = &self.0.content().screenshots;
        let screen = |value: &String| starts.iter().any(|start| value.starts_with(start.get_ref()));
        let is = class || instance.image_type.iter().any(screen);
        is.then_some(LeftOutReason::SecondaryCapture)
    }

    /// `ORIGINAL\PRIMARY\MPR` is what some scanners call an oblique acquisition, so only images that
    /// say they are derived count.
    fn derived(&self, slices: &[Slice]) -> Verdict {
        let image_type = &slices.first()?.facets.image_type;
        let (first, others) = image_type.split_first()?;
        let says = |row: &&Derived| others.iter().any(|other| holds(&row.image_types, other));
        let row = self.0.content().derived.iter().find(says)?;
        (first == "DERIVED").then(|| LeftOutReason::Derived { what: row.what.get_ref().clone() })
    }

    fn too_few(&self, slices: &[Slice]) -> Verdict {
        let (found, needed) = (slices.len(), *self.0.content().min_slices.get_ref());
        (found < needed).then_some(LeftOutReason::TooFewSlices { found, needed })
    }
}

fn holds(list: &[Spanned<String>], word: &str) -> bool {
    list.iter().any(|known| known.get_ref() == word)
}

impl Content for Raw {
    const FILE: &'static str = "series-selection.toml";
    const WHAT: &'static str = "series selection";
    const BUILT_IN: &'static str = include_str!("../../../firmware-config/series-selection.toml");
    const FORMAT_VERSION: u32 = 1;

    fn written(&self) -> Written<'_> {
        let Self { format_version, version, date, approver, .. } = self;
        Written { format_version, version, date, approver }
    }

    fn validate(&self) -> Result<(), Fault> {
        let [least, most] = MIN_SLICES;
        expect(
            &self.min_slices,
            |n| (least..=most).contains(n),
            |n| format!("min_slices is {n}; it must be from {least} to {most}"),
        )?;
        let Localiser { image_types, most_slices, words, parts } = &self.localiser;
        expect(
            most_slices,
            |n| *n <= most,
            |n| format!("localiser.most_slices is {n}; it must be at most {most}"),
        )?;
        let mut derived: Vec<&Spanned<String>> = Vec::new();
        for row in &self.derived {
            expect(
                &row.what,
                |what| !what.trim().is_empty(),
                |_| "what is empty; say in words what these images are".to_owned(),
            )?;
            derived.extend(&row.image_types);
        }
        for code in self.screenshots.iter().chain(image_types).chain(derived.iter().copied()) {
            validate_code(code)?;
        }
        for (i, code) in derived.iter().enumerate() {
            expect(
                code,
                |c| derived[..i].iter().all(|earlier| earlier.get_ref() != c),
                |c| format!("the Image Type {c:?} stands twice in derived"),
            )?;
        }
        for word in words {
            expect(
                word,
                |w| !w.is_empty() && w.chars().all(|c| c.is_alphanumeric() && !c.is_uppercase()),
                |w| format!("the word {w:?} never occurs; write letters and digits in lower case"),
            )?;
        }
        for part in parts {
            expect(
                part,
                |p| p.trim().chars().count() >= SHORTEST_PART && *p == p.to_lowercase(),
                |p| {
                    format!(
                        "the part {p:?} leaves out too much or nothing; write {SHORTEST_PART} \
                         characters or more, in lower case"
                    )
                },
            )?;
        }
        Ok(())
    }
}

/// A code string (PS3.5 6.2, CS).
fn validate_code(code: &Spanned<String>) -> Result<(), Fault> {
    let allowed = |c: char| c.is_ascii_uppercase() || c.is_ascii_digit() || " _".contains(c);
    expect(
        code,
        |c| !c.is_empty() && c.len() <= LONGEST_CODE && c.chars().all(allowed),
        |c| {
            format!(
                "{c:?} is no value of Image Type; write up to {LONGEST_CODE} capital letters, \
                 digits, spaces and underscores"
            )
        },
    )
}

fn encrypted(instance: &Instance) -> Verdict {
    (instance.encrypted && !instance.has_pixels).then_some(LeftOutReason::Encrypted)
}

fn no_image(instance: &Instance) -> Verdict {
    let sop_class = class_name(&instance.sop_class);
    (!instance.has_pixels).then_some(LeftOutReason::NoImage { sop_class })
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

fn class_name(uid: &str) -> String {
    let known = CLASS_NAMES.iter().find(|(start, _)| uid.starts_with(start));
    match known {
        Some((_, name)) => (*name).into(),
        None if uid.is_empty() => "no storage class".into(),
        None => uid.into(),
    }
}

#[cfg(test)]
mod tests;
