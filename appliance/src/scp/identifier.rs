//! The identifier of a query or retrieval: what is asked for, at which level (PS3.4 C.4.1.1.3).

use dicom_core::Tag;
use dicom_dictionary_std::{tags, uids};
use models::dicom::parse::DataSet;

use super::data_set;
use super::dimse::{Command, field};
use super::negotiation::Context;
use super::status::{self, Refusal};
use crate::store::catalogue::{Keys, LONGEST_KEY};

/// Longest identifier: a retrieval of some 15,000 instances by their UIDs.
pub(super) const MAX_IDENTIFIER: usize = 1 << 20;
/// Most attributes that are asked for.
const MAX_ATTRIBUTES: usize = 1000;
/// Keys that may have several values, of which any matches (PS3.4 C.2.2.2.2, C.2.2.2.6).
const LISTS: [Tag; 5] = [
    tags::STUDY_INSTANCE_UID,
    tags::SERIES_INSTANCE_UID,
    tags::SOP_INSTANCE_UID,
    tags::SOP_CLASS_UID,
    tags::MODALITIES_IN_STUDY,
];

/// The level of an information model.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Level {
    Patient,
    Study,
    Series,
    Image,
}

impl Level {
    const ALL: [Self; 4] = [Self::Patient, Self::Study, Self::Series, Self::Image];

    /// Query/Retrieve Level (0008,0052).
    pub(super) fn word(self) -> &'static str {
        match self {
            Self::Patient => "PATIENT",
            Self::Study => "STUDY",
            Self::Series => "SERIES",
            Self::Image => "IMAGE",
        }
    }

    /// The unique key, for the peer's log.
    fn unique_key(self) -> &'static str {
        match self {
            Self::Patient => "Patient ID",
            Self::Study => "Study Instance UID",
            Self::Series => "Series Instance UID",
            Self::Image => "SOP Instance UID",
        }
    }

    /// The values of the unique key.
    fn unique_values(self, keys: &Keys) -> &[String] {
        match self {
            Self::Patient if keys.patient_id.is_empty() => &[],
            Self::Patient => std::slice::from_ref(&keys.patient_id),
            Self::Study => &keys.study_uids,
            Self::Series => &keys.series_uids,
            Self::Image => &keys.sop_uids,
        }
    }
}

/// An information model (PS3.4 C.6): the level that it begins with, and an operation on it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Model {
    root: Level,
    /// Command field of the operation.
    pub(super) operation: u16,
}

impl Model {
    pub(super) fn of(abstract_syntax: &str) -> Option<Self> {
        let (root, operation) = match abstract_syntax {
            uids::PATIENT_ROOT_QUERY_RETRIEVE_INFORMATION_MODEL_FIND => {
                (Level::Patient, field::C_FIND_RQ)
            }
            uids::PATIENT_ROOT_QUERY_RETRIEVE_INFORMATION_MODEL_MOVE => {
                (Level::Patient, field::C_MOVE_RQ)
            }
            uids::PATIENT_ROOT_QUERY_RETRIEVE_INFORMATION_MODEL_GET => {
                (Level::Patient, field::C_GET_RQ)
            }
            uids::STUDY_ROOT_QUERY_RETRIEVE_INFORMATION_MODEL_FIND => {
                (Level::Study, field::C_FIND_RQ)
            }
            uids::STUDY_ROOT_QUERY_RETRIEVE_INFORMATION_MODEL_MOVE => {
                (Level::Study, field::C_MOVE_RQ)
            }
            uids::STUDY_ROOT_QUERY_RETRIEVE_INFORMATION_MODEL_GET => {
                (Level::Study, field::C_GET_RQ)
            }
            _ => return None,
        };
        Some(Self { root, operation })
    }
}

/// Why a query or retrieval is refused before its identifier is looked at.
pub(super) fn refuse(command: &Command, context: &Context) -> Option<Refusal> {
    if command.sop_class != context.abstract_syntax {
        let comment = "SOP class is not that of the presentation context";
        return Some(Refusal::new(status::CLASS_NOT_SUPPORTED, comment));
    }
    (!command.has_data).then(|| mismatch("no identifier"))
}

fn mismatch(comment: impl Into<String>) -> Refusal {
    Refusal::new(status::IDENTIFIER_MISMATCH, comment)
}

fn unable(comment: impl Into<String>) -> Refusal {
    Refusal::new(status::UNABLE_TO_PROCESS, comment)
}

/// What is asked for.
#[derive(Clone, Debug)]
pub(super) struct Identifier {
    pub(super) level: Level,
    pub(super) keys: Keys,
    /// Attributes to answer with, in ascending order.
    pub(super) attributes: Vec<Tag>,
    /// An attribute has a value that nothing is matched with.
    pub(super) unmatched: bool,
    /// The attributes with a value, for the audit log: number and value.
    pub(super) said: Vec<(String, String)>,
}

impl Identifier {
    /// Reads the data set of a request on this context.
    pub(super) fn read(bytes: &[u8], context: &Context) -> Result<Self, Refusal> {
        let model = Model::of(&context.abstract_syntax);
        let model = model.ok_or_else(|| mismatch("no query or retrieve model"))?;
        data_set::read(bytes, &context.transfer_syntax, |data| Self::of(data, model, context))
            .unwrap_or_else(|_| Err(unable("the identifier cannot be read")))
    }

    fn of(data: &DataSet, model: Model, context: &Context) -> Result<Self, Refusal> {
        let word = data.text(tags::QUERY_RETRIEVE_LEVEL).unwrap_or_default();
        let level = Level::ALL.into_iter().find(|level| level.word() == word);
        let level = level
            .filter(|level| *level >= model.root)
            .ok_or_else(|| mismatch(format!("level {word:?} is not in this model")))?;
        let (keys, attributes) = (Keys::default(), Vec::new());
        let mut asked = Self { level, keys, attributes, unmatched: false, said: Vec::new() };
        for tag in data.tags() {
            asked.take(data, tag, model)?;
        }
        asked.check(model, context.relational)?;
        Ok(asked)
    }

    fn take(&mut self, data: &DataSet, tag: Tag, model: Model) -> Result<(), Refusal> {
        // These say how to read the others. Private attributes and group lengths mean nothing.
        let about = [tags::QUERY_RETRIEVE_LEVEL, tags::SPECIFIC_CHARACTER_SET];
        if about.contains(&tag) || tag.group() % 2 == 1 || tag.element() == 0 {
            return Ok(());
        }
        self.attributes.push(tag);
        if self.attributes.len() > MAX_ATTRIBUTES {
            return Err(unable(format!("more than {MAX_ATTRIBUTES} attributes")));
        }
        let mut values = data.texts(tag);
        let several = values.len() > 1;
        values.retain(|value| !value.is_empty() && value != "*");
        let in_items = data.items(tag).iter().any(|item| item.tags().next().is_some());
        if values.is_empty() {
            self.unmatched |= in_items;
            return Ok(());
        }
        self.said.push((tag.to_string(), values.join("\\")));
        let unique = level_of(tag).filter(|level| level.unique_tag() == tag);
        let wanted = match (model.operation, level_of(tag)) {
            (_, None) => false,
            (field::C_FIND_RQ, Some(of)) => of <= self.level,
            // Retrieval is by unique keys alone (PS3.4 C.4.2.1.4).
            (_, Some(of)) => unique.is_some() && of >= model.root && of <= self.level,
        };
        if wanted && several && !LISTS.contains(&tag) {
            return Err(mismatch(format!("{tag} takes one value")));
        }
        if wanted && values.iter().any(|value| value.chars().count() > LONGEST_KEY) {
            return Err(unable(format!("{tag} is longer than {LONGEST_KEY} characters")));
        }
        let matched = wanted && set(&mut self.keys, tag, values)?;
        self.unmatched |= !matched;
        Ok(())
    }

    /// The unique keys above the level, each with one value, and for a retrieval that of the level
    /// (PS3.4 C.4.1.3.1, C.4.2.1.4).
    fn check(&self, model: Model, relational: bool) -> Result<(), Refusal> {
        let retrieval = model.operation != field::C_FIND_RQ;
        for level in Level::ALL.into_iter().filter(|level| *level >= model.root) {
            let values = level.unique_values(&self.keys);
            let single = values.len() == 1 && !values.iter().any(|v| v.contains(['*', '?']));
            let fits = match level.cmp(&self.level) {
                std::cmp::Ordering::Less => relational || single,
                std::cmp::Ordering::Equal if !retrieval => true,
                std::cmp::Ordering::Equal => {
                    single || level != Level::Patient && !values.is_empty()
                }
                std::cmp::Ordering::Greater => true,
            };
            if !fits {
                let (asked, key) = (self.level.word(), level.unique_key());
                return Err(mismatch(format!("level {asked} needs one {key}")));
            }
        }
        Ok(())
    }
}

impl Level {
    fn unique_tag(self) -> Tag {
        match self {
            Self::Patient => tags::PATIENT_ID,
            Self::Study => tags::STUDY_INSTANCE_UID,
            Self::Series => tags::SERIES_INSTANCE_UID,
            Self::Image => tags::SOP_INSTANCE_UID,
        }
    }
}

/// The level of an attribute that can be matched.
fn level_of(tag: Tag) -> Option<Level> {
    Some(match tag {
        tags::PATIENT_ID | tags::PATIENT_NAME | tags::PATIENT_BIRTH_DATE | tags::PATIENT_SEX => {
            Level::Patient
        }
        tags::STUDY_INSTANCE_UID
        | tags::STUDY_DATE
        | tags::STUDY_TIME
        | tags::ACCESSION_NUMBER
        | tags::STUDY_DESCRIPTION
        | tags::REFERRING_PHYSICIAN_NAME
        | tags::MODALITIES_IN_STUDY => Level::Study,
        tags::SERIES_INSTANCE_UID
        | tags::SERIES_NUMBER
        | tags::SERIES_DESCRIPTION
        | tags::MODALITY => Level::Series,
        tags::SOP_INSTANCE_UID | tags::SOP_CLASS_UID => Level::Image,
        _ => return None,
    })
}

/// Sets a key from its values, of which there is one at least; false when nothing can be matched
/// with them.
fn set(keys: &mut Keys, tag: Tag, values: Vec<String>) -> Result<bool, Refusal> {
    let first = values.first().cloned().unwrap_or_default();
    match tag {
        tags::PATIENT_ID => keys.patient_id = first,
        tags::PATIENT_NAME => keys.patient_name = first,
        // A range of birth dates is no key that is known.
        tags::PATIENT_BIRTH_DATE if first.contains('-') => return Ok(false),
        tags::PATIENT_BIRTH_DATE => keys.birth_date = first,
        tags::PATIENT_SEX => keys.sex = first,
        tags::STUDY_INSTANCE_UID => keys.study_uids = values,
        tags::STUDY_DATE => keys.study_date = Some(range("Study Date", &first, ".", 8..=8)?),
        tags::STUDY_TIME => keys.study_time = Some(range("Study Time", &first, ".:", 2..=12)?),
        tags::ACCESSION_NUMBER => keys.accession = first,
        tags::STUDY_DESCRIPTION => keys.study_description = first,
        tags::REFERRING_PHYSICIAN_NAME => keys.referring_physician = first,
        tags::MODALITIES_IN_STUDY => keys.modalities = values,
        tags::SERIES_INSTANCE_UID => keys.series_uids = values,
        tags::SERIES_NUMBER => match first.parse() {
            Ok(number) => keys.series_number = Some(number),
            Err(_) => return Ok(false),
        },
        tags::SERIES_DESCRIPTION => keys.series_description = first,
        tags::MODALITY => keys.modality = first,
        tags::SOP_INSTANCE_UID => keys.sop_uids = values,
        tags::SOP_CLASS_UID => keys.sop_classes = values,
        _ => return Ok(false),
    }
    Ok(true)
}

/// A date or time, or a range of them with one end or two (PS3.4 C.2.2.2.5), of so many digits
/// each, without the signs that old senders put between them.
fn range(
    name: &str,
    text: &str,
    signs: &str,
    digits: std::ops::RangeInclusive<usize>,
) -> Result<[String; 2], Refusal> {
    let (from, to) = text.split_once('-').unwrap_or((text, text));
    let ends = [from, to].map(|end| end.trim().replace(|c: char| signs.contains(c), ""));
    let legal = |end: &String| {
        end.is_empty() || digits.contains(&end.len()) && end.bytes().all(|b| b.is_ascii_digit())
    };
    let empty = ends.iter().all(String::is_empty);
    if empty || !ends.iter().all(legal) {
        return Err(unable(format!("{name} is no value and no range")));
    }
    Ok(ends)
}

#[cfg(test)]
mod tests;
