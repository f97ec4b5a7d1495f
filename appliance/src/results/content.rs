//! Content items of a structured report (PS3.3 C.17.3) and the codes in them.

use dicom_core::value::{DataSetSequence, PrimitiveValue};
use dicom_core::{DataElement, Tag, VR};
use dicom_dictionary_std::tags;
use dicom_object::InMemDicomObject;

/// Scheme of our own codes: labels, services and what no standard has a code for.
pub(super) const PRIVATE: &str = "99PRIMA";
/// Longest Code Value (0008,0100); longer ones go into Long Code Value (PS3.3 8.1).
const LONGEST_CODE: usize = 16;
/// Longest Code Meaning (0008,0104).
const LONGEST_MEANING: usize = 64;

/// A coded term.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Code {
    pub(super) value: String,
    pub(super) scheme: &'static str,
    pub(super) meaning: String,
}

impl Code {
    /// A code of PS3.16 annex D.
    pub(super) fn dcm(value: &str, meaning: &str) -> Self {
        Self::of("DCM", value, meaning)
    }

    /// One of ours.
    pub(super) fn private(value: &str, meaning: &str) -> Self {
        Self::of(PRIVATE, value, meaning)
    }

    pub(super) fn of(scheme: &'static str, value: &str, meaning: &str) -> Self {
        let meaning = meaning.chars().take(LONGEST_MEANING).collect();
        Self { value: value.to_owned(), scheme, meaning }
    }

    pub(super) fn item(&self) -> InMemDicomObject {
        let mut item = InMemDicomObject::new_empty();
        if self.value.len() > LONGEST_CODE {
            put(&mut item, tags::LONG_CODE_VALUE, VR::UC, &self.value);
        } else {
            put(&mut item, tags::CODE_VALUE, VR::SH, &self.value);
        }
        put(&mut item, tags::CODING_SCHEME_DESIGNATOR, VR::SH, self.scheme);
        put(&mut item, tags::CODE_MEANING, VR::LO, &self.meaning);
        item
    }
}

/// How an item belongs to the one above it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Relation {
    Contains,
    Context,
    Acquisition,
    Modifier,
}

impl Relation {
    fn word(self) -> &'static str {
        match self {
            Self::Contains => "CONTAINS",
            Self::Context => "HAS OBS CONTEXT",
            Self::Acquisition => "HAS ACQ CONTEXT",
            Self::Modifier => "HAS CONCEPT MOD",
        }
    }
}

/// A content item under construction.
#[derive(Clone, Debug)]
pub(super) struct Item {
    object: InMemDicomObject,
    children: Vec<InMemDicomObject>,
}

impl Item {
    fn new(relation: Option<Relation>, value_type: &str, concept: Option<&Code>) -> Self {
        let mut object = InMemDicomObject::new_empty();
        if let Some(relation) = relation {
            put(&mut object, tags::RELATIONSHIP_TYPE, VR::CS, relation.word());
        }
        put(&mut object, tags::VALUE_TYPE, VR::CS, value_type);
        if let Some(concept) = concept {
            sequence(&mut object, tags::CONCEPT_NAME_CODE_SEQUENCE, vec![concept.item()]);
        }
        Self { object, children: Vec::new() }
    }

    /// The root of a document by a template of PS3.16.
    pub(super) fn root(concept: &Code, template: &str) -> Self {
        let mut item = Self::new(None, "CONTAINER", Some(concept));
        put(&mut item.object, tags::CONTINUITY_OF_CONTENT, VR::CS, "SEPARATE");
        item.template(template)
    }

    pub(super) fn container(concept: &Code) -> Self {
        let mut item = Self::new(Some(Relation::Contains), "CONTAINER", Some(concept));
        put(&mut item.object, tags::CONTINUITY_OF_CONTENT, VR::CS, "SEPARATE");
        item
    }

    /// Names the template that a container follows.
    pub(super) fn template(mut self, template: &str) -> Self {
        let mut which = InMemDicomObject::new_empty();
        put(&mut which, tags::MAPPING_RESOURCE, VR::CS, "DCMR");
        put(&mut which, tags::TEMPLATE_IDENTIFIER, VR::CS, template);
        sequence(&mut self.object, tags::CONTENT_TEMPLATE_SEQUENCE, vec![which]);
        self
    }

    pub(super) fn code(relation: Relation, concept: &Code, value: &Code) -> Self {
        let mut item = Self::new(Some(relation), "CODE", Some(concept));
        sequence(&mut item.object, tags::CONCEPT_CODE_SEQUENCE, vec![value.item()]);
        item
    }

    pub(super) fn text(relation: Relation, concept: &Code, value: &str) -> Self {
        let mut item = Self::new(Some(relation), "TEXT", Some(concept));
        put(&mut item.object, tags::TEXT_VALUE, VR::UT, value);
        item
    }

    pub(super) fn uid(relation: Relation, concept: &Code, value: &str) -> Self {
        let mut item = Self::new(Some(relation), "UIDREF", Some(concept));
        put(&mut item.object, tags::UID, VR::UI, value);
        item
    }

    /// A number without a unit. Its text has 16 characters at most; the binary value is exact.
    pub(super) fn number(concept: &Code, value: f32) -> Self {
        let mut item = Self::new(Some(Relation::Contains), "NUM", Some(concept));
        let mut measured = InMemDicomObject::new_empty();
        let value = f64::from(value);
        let double = PrimitiveValue::from(value);
        measured.put(DataElement::new(tags::FLOATING_POINT_VALUE, VR::FD, double));
        put(&mut measured, tags::NUMERIC_VALUE, VR::DS, &format!("{value:.6}"));
        let unit = Code::of("UCUM", "1", "no units");
        sequence(&mut measured, tags::MEASUREMENT_UNITS_CODE_SEQUENCE, vec![unit.item()]);
        sequence(&mut item.object, tags::MEASURED_VALUE_SEQUENCE, vec![measured]);
        item
    }

    pub(super) fn image(sop_class: &str, sop_instance: &str) -> Self {
        let mut item = Self::new(Some(Relation::Contains), "IMAGE", None);
        let reference = reference(sop_class, sop_instance);
        sequence(&mut item.object, tags::REFERENCED_SOP_SEQUENCE, vec![reference]);
        item
    }

    #[must_use]
    pub(super) fn with(mut self, children: impl IntoIterator<Item = Self>) -> Self {
        self.children.extend(children.into_iter().map(Self::finish));
        self
    }

    pub(super) fn finish(mut self) -> InMemDicomObject {
        if !self.children.is_empty() {
            sequence(&mut self.object, tags::CONTENT_SEQUENCE, self.children);
        }
        self.object
    }
}

/// A reference to an object (PS3.3 table 10-11).
pub(super) fn reference(sop_class: &str, sop_instance: &str) -> InMemDicomObject {
    let mut item = InMemDicomObject::new_empty();
    put(&mut item, tags::REFERENCED_SOP_CLASS_UID, VR::UI, sop_class);
    put(&mut item, tags::REFERENCED_SOP_INSTANCE_UID, VR::UI, sop_instance);
    item
}

pub(super) fn put(object: &mut InMemDicomObject, tag: Tag, vr: VR, value: &str) {
    object.put(DataElement::new(tag, vr, PrimitiveValue::from(value)));
}

pub(super) fn sequence(object: &mut InMemDicomObject, tag: Tag, items: Vec<InMemDicomObject>) {
    object.put(DataElement::new(tag, VR::SQ, DataSetSequence::from(items)));
}
