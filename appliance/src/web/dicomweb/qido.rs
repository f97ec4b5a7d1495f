//! QIDO-RS: what is here (PS3.18 10.6).

use axum::extract::State;
use axum::http::StatusCode;
use axum::http::header::{HeaderName, HeaderValue};
use axum::response::Response;
use serde_json::Value;

use super::attributes::Attributes;
use super::{Ask, DicomError, Error, Place, Web, json_answer, trail};
use crate::archive::json;
use crate::store::catalogue::{InstanceEntry, Keys, LONGEST_KEY, Window};
use crate::web::who::Who;

const WARNING: HeaderName = HeaderName::from_static("warning");
/// Most results of one answer; the next ones are asked for by `offset`.
const MOST: usize = 1000;
/// Attributes of an instance that only its file has: Instance Number, Number of Frames, Rows,
/// Columns, Bits Allocated.
const FROM_FILE: [&str; 5] = ["00200013", "00280008", "00280010", "00280011", "00280100"];

/// Attributes to search by: keyword, tag, and the level they are of.
const ATTRIBUTES: [(&str, &str, Level); 17] = [
    ("StudyDate", "00080020", Level::Study),
    ("StudyTime", "00080030", Level::Study),
    ("AccessionNumber", "00080050", Level::Study),
    ("ModalitiesInStudy", "00080061", Level::Study),
    ("ReferringPhysicianName", "00080090", Level::Study),
    ("StudyDescription", "00081030", Level::Study),
    ("PatientName", "00100010", Level::Study),
    ("PatientID", "00100020", Level::Study),
    ("PatientBirthDate", "00100030", Level::Study),
    ("PatientSex", "00100040", Level::Study),
    ("StudyInstanceUID", "0020000D", Level::Study),
    ("Modality", "00080060", Level::Series),
    ("SeriesDescription", "0008103E", Level::Series),
    ("SeriesInstanceUID", "0020000E", Level::Series),
    ("SeriesNumber", "00200011", Level::Series),
    ("SOPClassUID", "00080016", Level::Instance),
    ("SOPInstanceUID", "00080018", Level::Instance),
];

/// What is searched for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Level {
    Study,
    Series,
    Instance,
}

impl Level {
    fn word(self) -> &'static str {
        match self {
            Self::Study => "studies",
            Self::Series => "series",
            Self::Instance => "instances",
        }
    }
}

/// `GET /studies`.
pub(super) async fn studies(State(web): State<Web>, who: Who, ask: Ask) -> Result<Response, Error> {
    search(&web, &who, ask, Level::Study).await
}

/// `GET /series`, `GET /studies/{study}/series`.
pub(super) async fn series(State(web): State<Web>, who: Who, ask: Ask) -> Result<Response, Error> {
    search(&web, &who, ask, Level::Series).await
}

/// `GET /instances`, and those of a study or a series.
pub(super) async fn instances(
    State(web): State<Web>,
    who: Who,
    ask: Ask,
) -> Result<Response, Error> {
    search(&web, &who, ask, Level::Instance).await
}

async fn search(web: &Web, who: &Who, ask: Ask, level: Level) -> Result<Response, Error> {
    let media_type = ask.accept.json()?;
    let search = Search::new(&ask.place, &ask.query, level)?;
    let limit = search.limit;
    let fuzzy = search.fuzzy;
    let actor = who.actor();
    let mut found = web
        .store(move |web| {
            trail::query(&web.store, &actor, level.word(), (&ask.place, &ask.query))?;
            search.run(web, &ask.root)
        })
        .await?;
    let more = found.len() > limit;
    found.truncate(limit);
    let mut answer = json_answer(StatusCode::OK, media_type, &Value::Array(found));
    // The texts are those of PS3.18 8.3.4.
    for (is, text) in [
        (more, "299 prima \"There are additional results that can be requested\""),
        (
            fuzzy,
            "299 prima \"The fuzzymatching parameter is not supported. Only literal matching has \
             been performed.\"",
        ),
    ] {
        if is {
            answer.headers_mut().append(WARNING, HeaderValue::from_static(text));
        }
    }
    Ok(answer)
}

/// A search, ready to run.
#[derive(Debug)]
struct Search {
    level: Level,
    keys: Keys,
    /// The study is not named by the address, so that each result has to say all of it.
    across_studies: bool,
    offset: usize,
    limit: usize,
    /// Fuzzy matching was asked for.
    fuzzy: bool,
}

impl Search {
    fn new(place: &Place, query: &[(String, String)], level: Level) -> Result<Self, DicomError> {
        let mut search = Self {
            level,
            keys: place.keys(),
            across_studies: place.study.is_none(),
            offset: 0,
            limit: MOST,
            fuzzy: false,
        };
        for (name, value) in query {
            match name.as_str() {
                "limit" => search.limit = count(name, value)?.min(MOST),
                "offset" => search.offset = count(name, value)?,
                // Every attribute that is known is given anyway.
                "includefield" => {}
                "fuzzymatching" => match value.as_str() {
                    "true" => search.fuzzy = true,
                    "false" => {}
                    _ => return Err(refuse(name, value, "true or false")),
                },
                _ => search.key(place, name, value)?,
            }
        }
        Ok(search)
    }

    /// Takes a matching key, named by keyword or by tag.
    fn key(&mut self, place: &Place, name: &str, value: &str) -> Result<(), DicomError> {
        let known = ATTRIBUTES.iter().find(|(keyword, tag, of)| {
            (*keyword == name || tag.eq_ignore_ascii_case(name)) && *of <= self.level
        });
        let Some((keyword, _, _)) = known else {
            return Err(DicomError::Query(unknown(name, self.level)));
        };
        let in_place = match *keyword {
            "StudyInstanceUID" => place.study.is_some(),
            "SeriesInstanceUID" => place.series.is_some(),
            _ => false,
        };
        if in_place {
            return Err(DicomError::Query(format!("{keyword} is in the address already")));
        }
        // UIDs are looked up, and not matched one by one.
        let length = value.chars().count();
        if length > LONGEST_KEY && !keyword.ends_with("UID") {
            let error = format!("{keyword} has {length} characters, at most {LONGEST_KEY} match");
            return Err(DicomError::Query(error));
        }
        let keys = &mut self.keys;
        let text = || value.to_owned();
        match *keyword {
            "StudyDate" => keys.study_date = range(value, is_date, name, DATES)?,
            "StudyTime" => keys.study_time = range(value, is_time, name, TIMES)?,
            "AccessionNumber" => keys.accession = text(),
            "ModalitiesInStudy" => keys.modalities = list(value),
            "ReferringPhysicianName" => keys.referring_physician = text(),
            "StudyDescription" => keys.study_description = text(),
            "PatientName" => keys.patient_name = text(),
            "PatientID" => keys.patient_id = text(),
            "PatientBirthDate" => keys.birth_date = text(),
            "PatientSex" => keys.sex = text(),
            "StudyInstanceUID" => keys.study_uids = list(value),
            "Modality" => keys.modality = text(),
            "SeriesDescription" => keys.series_description = text(),
            "SeriesInstanceUID" => keys.series_uids = list(value),
            "SeriesNumber" if value.is_empty() => keys.series_number = None,
            "SeriesNumber" => {
                let number =
                    value.parse::<i64>().map_err(|_| refuse(name, value, "a whole number"))?;
                keys.series_number = Some(number);
            }
            "SOPClassUID" => keys.sop_classes = list(value),
            _ => keys.sop_uids = list(value),
        }
        Ok(())
    }

    /// The results, one more than asked for where there are more.
    fn run(&self, web: &Web, root: &str) -> Result<Vec<Value>, Error> {
        let window = Window { offset: self.offset, limit: self.limit + 1 };
        let mut found = Vec::new();
        match self.level {
            Level::Study => {
                for study in web.store.find_studies(&self.keys, window)? {
                    let mut attributes = Attributes::default();
                    attributes.study(&study, root);
                    found.push(attributes.into_value());
                }
            }
            Level::Series => {
                for series in web.store.find_series(&self.keys, window)? {
                    let mut attributes = Attributes::default();
                    if self.across_studies {
                        attributes.study(&series.study, root);
                    }
                    attributes.series(&series, root);
                    found.push(attributes.into_value());
                }
            }
            Level::Instance => {
                // Reading files is for the list of one series, which is where it is shown.
                let one_series = self.keys.series_uids.len() == 1;
                for instance in web.store.find_instances(&self.keys, window)? {
                    let mut attributes = Attributes::default();
                    if self.across_studies {
                        attributes.study(&instance.series.study, root);
                        attributes.series(&instance.series, root);
                    }
                    if one_series {
                        add_from_file(&mut attributes, web, &instance);
                    }
                    attributes.instance(&instance, root);
                    found.push(attributes.into_value());
                }
            }
        }
        Ok(found)
    }
}

/// A file that cannot be read adds nothing: the list is about what the index knows.
fn add_from_file(attributes: &mut Attributes, web: &Web, instance: &InstanceEntry) {
    let path = web.archive.root().join(&instance.path);
    let Ok(mut file) = json::metadata(&path, "") else { return };
    for tag in FROM_FILE {
        if let Some(element) = file.remove(tag) {
            attributes.put(tag, element);
        }
    }
}

fn refuse(name: &str, value: &str, expected: &str) -> DicomError {
    DicomError::Query(format!("{name} is {value:?}, expected {expected}"))
}

fn unknown(name: &str, level: Level) -> String {
    let of_level = ATTRIBUTES.iter().filter(|(_, _, of)| *of <= level);
    let keywords: Vec<&str> = of_level.map(|(keyword, _, _)| *keyword).collect();
    format!(
        "{} cannot be searched by {name:?}; they can by {}, and there are limit, offset, \
         includefield and fuzzymatching",
        level.word(),
        keywords.join(", ")
    )
}

fn count(name: &str, value: &str) -> Result<usize, DicomError> {
    value.parse().map_err(|_| refuse(name, value, "a number"))
}

/// Values of a list: commas (PS3.18 8.3.4.1) or backslashes between them.
fn list(value: &str) -> Vec<String> {
    let values = value.split([',', '\\']).map(str::trim).filter(|value| !value.is_empty());
    values.map(str::to_owned).collect()
}

const DATES: &str = "YYYYMMDD, or two of them with - between, of which one may be missing";
const TIMES: &str = "HHMMSS or its beginning, or two of them with - between, of which one may be \
                     missing";

/// Range matching (PS3.4 C.2.2.2.5).
fn range(
    value: &str,
    is_bound: fn(&str) -> bool,
    name: &str,
    expected: &str,
) -> Result<Option<[String; 2]>, DicomError> {
    if value.is_empty() || value == "*" {
        return Ok(None);
    }
    let (from, to) = value.split_once('-').unwrap_or((value, value));
    let fits = |bound: &str| bound.is_empty() || is_bound(bound);
    if !fits(from) || !fits(to) || value == "-" {
        return Err(refuse(name, value, expected));
    }
    Ok(Some([from.to_owned(), to.to_owned()]))
}

fn is_date(text: &str) -> bool {
    text.len() == 8 && text.bytes().all(|b| b.is_ascii_digit())
}

fn is_time(text: &str) -> bool {
    let (whole, fraction) = text.split_once('.').unwrap_or((text, "0"));
    let digits = |text: &str| text.bytes().all(|b| b.is_ascii_digit());
    matches!(whole.len(), 2 | 4 | 6)
        && (1..=6).contains(&fraction.len())
        && digits(whole)
        && digits(fraction)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn search(level: Level, query: &str) -> Result<Search, String> {
        let pairs = query.split('&').filter_map(|pair| pair.split_once('='));
        let pairs: Vec<_> =
            pairs.map(|(name, value)| (name.to_owned(), value.to_owned())).collect();
        Search::new(&Place::default(), &pairs, level).map_err(|error| error.to_string())
    }

    #[test]
    fn keys_are_named_by_keyword_or_tag() {
        for query in ["PatientID=a*&StudyDate=20260101-", "00100020=a*&00080020=20260101-"] {
            let keys = search(Level::Study, query).unwrap().keys;
            assert_eq!(keys.patient_id, "a*");
            assert_eq!(keys.study_date, Some(["20260101".to_owned(), String::new()]));
        }
        let keys = search(Level::Instance, "0020000d=1.2,1.3\\1.4&SeriesNumber=-7").unwrap().keys;
        assert_eq!(keys.study_uids, ["1.2", "1.3", "1.4"]);
        assert_eq!(keys.series_number, Some(-7));
    }

    #[test]
    fn dates_and_times_are_ranges() {
        let check = |text: &str, expected: Option<[&str; 2]>| {
            let keys =
                search(Level::Study, &format!("StudyDate={text}")).map(|s| s.keys.study_date);
            let expected = expected.map(|bounds| bounds.map(str::to_owned));
            assert_eq!(keys.unwrap(), expected, "{text}");
        };
        check("20260102", Some(["20260102", "20260102"]));
        check("20260102-20260103", Some(["20260102", "20260103"]));
        check("-20260103", Some(["", "20260103"]));
        check("", None);
        for time in ["10", "1030", "103059.5", "10-1130"] {
            assert!(search(Level::Study, &format!("StudyTime={time}")).is_ok(), "{time}");
        }
        for query in ["StudyDate=2026", "StudyDate=-", "StudyTime=1", "StudyTime=10:30"] {
            assert!(search(Level::Study, query).is_err(), "{query}");
        }
    }

    #[test]
    fn what_cannot_be_searched_by_is_named() {
        let error = |level, query: &str| search(level, query).unwrap_err();
        let keys = "they can by StudyDate, StudyTime, AccessionNumber, ModalitiesInStudy, \
                    ReferringPhysicianName, StudyDescription, PatientName, PatientID, \
                    PatientBirthDate, PatientSex, StudyInstanceUID, and there are limit, offset, \
                    includefield and fuzzymatching";
        let message = error(Level::Study, "Modality=MR");
        assert_eq!(message, format!("studies cannot be searched by \"Modality\"; {keys}"));
        assert!(
            error(Level::Instance, "99999999=1").starts_with("instances cannot be searched by")
        );
        let message = error(Level::Series, "SeriesNumber=x");
        assert_eq!(message, "SeriesNumber is \"x\", expected a whole number");
        let message = error(Level::Study, &format!("PatientName={}", "a".repeat(1025)));
        assert_eq!(message, "PatientName has 1025 characters, at most 1024 match");
        assert_eq!(error(Level::Study, "limit=-1"), "limit is \"-1\", expected a number");
        let message = error(Level::Study, "fuzzymatching=1");
        assert_eq!(message, "fuzzymatching is \"1\", expected true or false");
    }
}
