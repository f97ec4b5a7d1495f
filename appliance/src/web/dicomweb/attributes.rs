//! Attributes in the DICOM JSON model (PS3.18 F) that are made here rather than read from a file.

use serde_json::{Map, Value, json};

use crate::store::catalogue::{InstanceEntry, SeriesEntry, StudyEntry};

/// An object of the model.
#[derive(Debug, Default)]
pub(super) struct Attributes(Map<String, Value>);

impl Attributes {
    pub(super) fn into_value(self) -> Value {
        self.0.into()
    }

    /// Takes an element as it stands.
    pub(super) fn put(&mut self, tag: &str, element: Value) {
        self.0.insert(tag.to_owned(), element);
    }

    /// A text; an empty one is an element without a value.
    pub(super) fn text(&mut self, tag: &str, vr: &str, text: &str) {
        let element =
            if text.is_empty() { json!({ "vr": vr }) } else { json!({"vr": vr, "Value": [text]}) };
        self.put(tag, element);
    }

    pub(super) fn number(&mut self, tag: &str, vr: &str, number: i64) {
        self.put(tag, json!({"vr": vr, "Value": [number]}));
    }

    fn person(&mut self, tag: &str, name: &str) {
        let element = if name.is_empty() {
            json!({"vr": "PN"})
        } else {
            json!({"vr": "PN", "Value": [{"Alphabetic": name}]})
        };
        self.put(tag, element);
    }

    /// A sequence; one without items is left out.
    pub(super) fn sequence(&mut self, tag: &str, items: Vec<Self>) {
        if !items.is_empty() {
            let items: Vec<Value> = items.into_iter().map(Self::into_value).collect();
            self.put(tag, json!({"vr": "SQ", "Value": items}));
        }
    }

    /// Attributes of a study (PS3.18 table 10.6.3-3); `root` is the address of DICOMweb.
    pub(super) fn study(&mut self, study: &StudyEntry, root: &str) {
        self.text("00080005", "CS", "ISO_IR 192");
        self.text("00080020", "DA", &study.study_date);
        self.text("00080030", "TM", &study.study_time);
        self.text("00080050", "SH", &study.accession);
        self.text("00080056", "CS", "ONLINE");
        match study.modalities.as_slice() {
            [] => self.text("00080061", "CS", ""),
            some => self.put("00080061", json!({"vr": "CS", "Value": some})),
        }
        self.person("00080090", &study.referring_physician);
        self.text("00081030", "LO", &study.description);
        self.text("00081190", "UR", &study_url(root, study));
        self.person("00100010", &study.patient_name);
        self.text("00100020", "LO", &study.patient_id);
        self.text("00100030", "DA", &study.birth_date);
        self.text("00100040", "CS", &study.sex);
        self.text("0020000D", "UI", &study.uid);
        // Study ID is not in the index.
        self.text("00200010", "SH", "");
        self.number("00201206", "IS", study.n_series);
        self.number("00201208", "IS", study.n_instances);
    }

    /// Attributes of a series (PS3.18 table 10.6.3-4).
    pub(super) fn series(&mut self, series: &SeriesEntry, root: &str) {
        self.text("00080005", "CS", "ISO_IR 192");
        self.text("00080056", "CS", "ONLINE");
        self.text("00080060", "CS", &series.modality);
        self.text("0008103E", "LO", &series.description);
        self.text("00081190", "UR", &series_url(root, series));
        self.text("0020000D", "UI", &series.study.uid);
        self.text("0020000E", "UI", &series.uid);
        match series.number {
            Some(number) => self.number("00200011", "IS", number),
            None => self.text("00200011", "IS", ""),
        }
        self.number("00201209", "IS", series.n_instances);
    }

    /// Attributes of an instance that the index has (PS3.18 table 10.6.3-5).
    pub(super) fn instance(&mut self, instance: &InstanceEntry, root: &str) {
        self.text("00080005", "CS", "ISO_IR 192");
        self.text("00080016", "UI", &instance.sop_class);
        self.text("00080018", "UI", &instance.sop_uid);
        self.text("00080056", "CS", "ONLINE");
        self.text("00081190", "UR", &instance_url(root, instance));
        self.text("00083002", "UI", &instance.transfer_syntax);
        self.text("0020000D", "UI", &instance.series.study.uid);
        self.text("0020000E", "UI", &instance.series.uid);
    }
}

fn study_url(root: &str, study: &StudyEntry) -> String {
    format!("{root}/studies/{}", study.uid)
}

fn series_url(root: &str, series: &SeriesEntry) -> String {
    format!("{}/series/{}", study_url(root, &series.study), series.uid)
}

pub(super) fn instance_url(root: &str, instance: &InstanceEntry) -> String {
    format!("{}/instances/{}", series_url(root, &instance.series), instance.sop_uid)
}
