use std::slice::from_ref;
use std::sync::Arc;

use axum::body::{Body, to_bytes};
use axum::http::{HeaderMap, Request, StatusCode};
use firmware_config::trial::Place;
use serde_json::{Value, json};
use tokio::sync::watch;
use tower::ServiceExt as _;

use super::media::MediaType;
use super::multipart::Multipart;
use crate::accounts;
use crate::archive::{self, Archive, meta};
use crate::clock::ManualClock;
use crate::slices::tests::no_decoder;
use crate::store::Store;
use crate::store::changes::Changes;
use crate::web::{Gate, Live, Status, Web, router};
use crate::worklist::AgeCaps;

const TOKEN: &str = "secret of a viewer";
const MR: &str = "1.2.840.10008.5.1.4.1.1.4";
const EXPLICIT: &str = "1.2.840.10008.1.2.1";
/// Largest data set that the archive takes here.
const LIMIT: usize = 100_000;
const SENT: &str = "multipart/related; type=\"application/dicom\"; boundary=\"a b\"";

/// An element in explicit VR little endian.
fn element(group: u16, number: u16, vr: &str, value: &[u8]) -> Vec<u8> {
    let mut bytes = [group.to_le_bytes(), number.to_le_bytes()].concat();
    bytes.extend(vr.as_bytes());
    let length = u32::try_from(value.len() + value.len() % 2).unwrap().to_le_bytes();
    if vr == "OW" {
        bytes.extend([0, 0]);
        bytes.extend(length);
    } else {
        bytes.extend(&length[..2]);
    }
    bytes.extend(value);
    bytes.resize(bytes.len() + value.len() % 2, if vr == "UI" { 0 } else { b' ' });
    bytes
}

/// An image of two frames of 2 x 2 pixels, or whatever `pixels` holds.
fn image(class: &str, study: &str, number: u8, pixels: &[u8]) -> Vec<u8> {
    let us = |number: u16, value: u16| element(0x0028, number, "US", &value.to_le_bytes());
    [
        element(0x0008, 0x0016, "UI", class.as_bytes()),
        element(0x0008, 0x0018, "UI", format!("{study}.1.{number}").as_bytes()),
        element(0x0008, 0x0020, "DA", if study == "1.2" { &b"20260102"[..] } else { b"" }),
        element(0x0008, 0x0060, "CS", b"MR"),
        element(0x0010, 0x0010, "PN", b"Doe^Jane"),
        element(0x0010, 0x0020, "LO", b"MRN7"),
        element(0x0020, 0x000D, "UI", study.as_bytes()),
        element(0x0020, 0x000E, "UI", format!("{study}.1").as_bytes()),
        element(0x0020, 0x0013, "IS", number.to_string().as_bytes()),
        us(0x0002, 1),
        element(0x0028, 0x0004, "CS", b"MONOCHROME2"),
        element(0x0028, 0x0008, "IS", b"2"),
        us(0x0010, 2),
        us(0x0011, 2),
        us(0x0100, 16),
        us(0x0101, 16),
        us(0x0102, 15),
        us(0x0103, 0),
        element(0x7FE0, 0x0010, "OW", pixels),
    ]
    .concat()
}

fn slice(study: &str, number: u8) -> Vec<u8> {
    image(MR, study, number, &std::array::from_fn::<u8, 16, _>(|at| u8::try_from(at).unwrap()))
}

/// A file with preamble and meta group.
fn file(data_set: &[u8]) -> Vec<u8> {
    let syntax = element(0x0002, 0x0010, "UI", EXPLICIT.as_bytes());
    [&[0; 128][..], b"DICM", &syntax, data_set].concat()
}

fn body(parts: &[Vec<u8>]) -> Vec<u8> {
    let mut body = b"preamble".to_vec();
    for part in parts {
        body.extend(b"\r\n--a b\r\nContent-Type: application/dicom\r\n\r\n");
        body.extend(part);
    }
    body.extend(b"\r\n--a b--\r\n");
    body
}

struct Answer {
    status: StatusCode,
    headers: HeaderMap,
    body: Vec<u8>,
}

impl Answer {
    fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().unwrap())
    }

    #[track_caller]
    fn json(&self, status: u16) -> Value {
        let text = String::from_utf8_lossy(&self.body);
        assert_eq!(self.status.as_u16(), status, "{text}");
        serde_json::from_str(&text).unwrap()
    }

    #[track_caller]
    fn refused(&self, status: u16, expected: &str) {
        assert_eq!(self.json(status)["error"]["message"], expected);
    }

    /// Types and contents of the parts.
    #[track_caller]
    fn parts(&self) -> Vec<(String, Vec<u8>)> {
        assert_eq!(self.status.as_u16(), 200, "{}", String::from_utf8_lossy(&self.body));
        let kind = MediaType::parse(self.header("content-type"));
        let mut body = Multipart::new(&self.body[..], kind.parameter("boundary").unwrap()).unwrap();
        let mut parts = Vec::new();
        while let Some(mut part) = body.next().unwrap() {
            let mut bytes = Vec::new();
            part.read(&mut bytes, 1 << 20).unwrap();
            parts.push((part.content_type.unwrap(), bytes));
        }
        parts
    }
}

/// A box with an archive.
struct Clinic {
    web: Web,
    _folder: tempfile::TempDir,
}

impl Clinic {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let clock = Arc::new(ManualClock::new(1_795_480_260_000));
        let store = Arc::new(Store::open(&folder.path().join("a.sqlite"), clock).unwrap());
        let config = archive::Config { max_instance_bytes: LIMIT as u64 };
        let archive = Archive::open(&folder.path().join("archive"), Arc::clone(&store), config);
        let user = store.add_first_user("PACS", "no hash").unwrap();
        store.add_token(&user.name, "viewer", &accounts::digest(TOKEN), "test").unwrap();
        let web = Web {
            store,
            archive: Arc::new(archive.unwrap()),
            decoder: Arc::new(no_decoder()),
            slices: Arc::default(),
            status: watch::channel(Status::default()).1,
            poke: Arc::default(),
            caps: AgeCaps::default(),
            hosts: Arc::from([]),
            settings: Arc::from(""),
            gate: Gate::new(None),
            live: Live::new(watch::channel(Changes::default()).1),
            niivue: None,
            encrypted: false,
            place: Place { root: folder.path().to_owned() },
        };
        Self { web, _folder: folder }
    }

    /// Studies 1.2 with two images and 1.3 with one.
    async fn with_studies() -> Self {
        let clinic = Self::new();
        let files = [("1.2", 1), ("1.2", 2), ("1.3", 1)].map(|(s, n)| file(&slice(s, n)));
        clinic.store("", &body(&files)).await.json(200);
        clinic
    }

    async fn send(&self, request: Request<Body>) -> Answer {
        let response = router(self.web.clone()).oneshot(request).await.unwrap();
        let (head, body) = response.into_parts();
        let body = to_bytes(body, 1 << 22).await.unwrap().to_vec();
        Answer { status: head.status, headers: head.headers, body }
    }

    async fn get(&self, path: &str, accept: &str) -> Answer {
        let request = Request::get(format!("/dicomweb{path}"))
            .header("host", "10.0.0.1:80")
            .header("authorization", format!("Bearer {TOKEN}"));
        self.send(request.header("accept", accept).body(Body::empty()).unwrap()).await
    }

    async fn post(&self, path: &str, kind: &str, origin: Option<&str>, body: &[u8]) -> Answer {
        let mut request = Request::post(format!("/dicomweb/studies{path}"))
            .header("host", "10.0.0.1:80")
            .header("authorization", format!("Bearer {TOKEN}"))
            .header("content-type", kind);
        if let Some(origin) = origin {
            request = request.header("origin", origin);
        }
        self.send(request.body(Body::from(body.to_vec())).unwrap()).await
    }

    async fn store(&self, path: &str, body: &[u8]) -> Answer {
        self.post(path, SENT, None, body).await
    }
}

/// Failure reasons of instances, warning reasons, and failure reasons of other parts.
fn reasons(answer: &Value) -> [Vec<i64>; 3] {
    [("00081198", "00081197"), ("00081199", "00081196"), ("0008119A", "00081197")].map(
        |(sequence, tag)| {
            let items = answer[sequence]["Value"].as_array().cloned().unwrap_or_default();
            items.iter().filter_map(|item| item[tag]["Value"][0].as_i64()).collect()
        },
    )
}

#[tokio::test]
async fn what_is_stored_comes_back_byte_by_byte() {
    let clinic = Clinic::new();
    let sent = [slice("1.2", 1), slice("1.2", 2)];
    let answer = clinic.store("/1.2", &body(&sent.each_ref().map(|data| file(data)))).await;
    assert_eq!(answer.header("content-type"), "application/dicom+json");
    let answer = answer.json(200);
    let root = "http://10.0.0.1:80/dicomweb/studies/1.2";
    assert_eq!(answer["00081190"], json!({"vr": "UR", "Value": [root]}));
    let second = &answer["00081199"]["Value"][1];
    assert_eq!(second["00081150"]["Value"][0], MR);
    let address = format!("{root}/series/1.2.1/instances/1.2.1.2");
    assert_eq!(second["00081190"]["Value"][0], address);

    let data_set = |file: &[u8]| file[meta::read(file).unwrap().data_at..].to_vec();
    for path in ["/studies/1.2", "/studies/1.2/series/1.2.1"] {
        let parts = clinic.get(path, "multipart/related; type=\"application/dicom\"").await.parts();
        assert_eq!(parts[0].0, format!("application/dicom; transfer-syntax={EXPLICIT}"));
        let got: Vec<_> = parts.iter().map(|(_, file)| data_set(file)).collect();
        assert_eq!(got, sent, "{path}");
    }
    let path = "/studies/1.2/series/1.2.1/instances/1.2.1.2";
    let alone = clinic.get(path, "application/dicom").await;
    assert_eq!(data_set(&alone.body), sent[1]);
    assert_eq!(clinic.get(path, "*/*").await.parts().len(), 1);

    let named = "multipart/related; type=\"application/dicom\"; transfer-syntax=1.2.840.10008.1.2";
    let offered = format!(
        "this is given as multipart/related; type=\"application/dicom\"; transfer-syntax={EXPLICIT}; \
         ask for it in the header Accept"
    );
    clinic.get("/studies/1.2", named).await.refused(406, &offered);
    assert_eq!(clinic.get("/studies/1.2", "image/png").await.status, 406);
    clinic.get("/studies/9", "*/*").await.refused(404, "there is no study 9 here");
    let missing = "there is no series 1.2.1 of study 1.3 here";
    clinic.get("/studies/1.3/series/1.2.1", "*/*").await.refused(404, missing);
}

#[tokio::test]
async fn each_part_gets_its_verdict() {
    let clinic = Clinic::new();
    let good = file(&slice("1.2", 1));
    let check = async |path: &str, parts: &[Vec<u8>], status: u16, expected: [Vec<i64>; 3]| {
        let answer = clinic.store(path, &body(parts)).await.json(status);
        assert_eq!(reasons(&answer), expected, "{answer}");
    };
    let none = Vec::new;
    check("", from_ref(&good), 200, [none(), none(), none()]).await;
    check("", from_ref(&good), 200, [none(), none(), none()]).await;
    let other = file(&image(MR, "1.2", 1, b"other pixels 16b"));
    check("", &[other], 202, [none(), vec![0xB111], none()]).await;
    check("/1.3", from_ref(&good), 409, [vec![0xA900], none(), none()]).await;
    let large = file(&image(MR, "1.2", 3, &vec![0; LIMIT]));
    check("", &[large, good.clone()], 202, [vec![0xA700], none(), none()]).await;
    let verification = file(&image("1.2.840.10008.1.1", "1.2", 4, &[0; 16]));
    check("", &[verification], 409, [vec![0x0122], none(), none()]).await;
    check("", &[b"no image".to_vec()], 409, [none(), none(), vec![0xC000]]).await;
    let no_study = file(&image(MR, "", 5, &[0; 16]));
    check("", &[no_study], 409, [vec![0xC000], none(), none()]).await;
    // The kept ones are there, and nothing else.
    let found = clinic.get("/instances", "*/*").await.json(200);
    assert_eq!(found.as_array().unwrap().len(), 1);
}

#[tokio::test]
async fn bodies_that_make_no_sense_are_refused() {
    let clinic = Clinic::new();
    let whole = body(&[file(&slice("1.2", 1)), file(&slice("1.2", 2))]);
    let unsupported = |found: &str| {
        format!(
            "instances are taken as multipart/related; type=\"application/dicom\", found {found:?}"
        )
    };
    for kind in ["application/dicom", "multipart/related; type=\"application/dicom+json\""] {
        let answer = clinic.post("", kind, Some("http://10.0.0.1:80"), &whole).await;
        answer.refused(415, &unsupported(kind));
    }
    let boundary = "the header Content-Type needs a parameter `boundary` of 1 to 70 characters, \
                    found \"\"";
    clinic.post("", "multipart/related", None, &whole).await.refused(400, boundary);
    let foreign = clinic.post("", SENT, Some("http://elsewhere"), &whole).await;
    assert_eq!(foreign.json(403)["error"]["code"], "foreign_origin");
    clinic.store("", &body(&[])).await.refused(400, "the body holds no instance");
    let cut_off = "the body ends without its final boundary; it was cut off, send it again";
    clinic.store("", &whole[..300]).await.refused(400, cut_off);
    assert_eq!(clinic.get("/studies", "*/*").await.json(200), json!([]));
    // What was whole before the cut is kept, and the answer says both.
    let answer = clinic.store("", &whole[..whole.len() - 20]).await.json(202);
    assert_eq!(answer["00081199"]["Value"].as_array().unwrap().len(), 1);
    assert_eq!(reasons(&answer)[2], [0xC000]);
}

#[tokio::test]
async fn studies_series_and_instances_are_found() {
    let clinic = Clinic::with_studies().await;
    let find = async |path: &str| clinic.get(path, "application/dicom+json").await.json(200);
    let study = find("/studies?PatientName=doe*&00080020=20260101-20260131").await;
    let root = "http://10.0.0.1:80/dicomweb/studies/1.2";
    let expected = json!([{
        "00080005": {"vr": "CS", "Value": ["ISO_IR 192"]},
        "00080020": {"vr": "DA", "Value": ["20260102"]},
        "00080030": {"vr": "TM"},
        "00080050": {"vr": "SH"},
        "00080056": {"vr": "CS", "Value": ["ONLINE"]},
        "00080061": {"vr": "CS", "Value": ["MR"]},
        "00080090": {"vr": "PN"},
        "00081030": {"vr": "LO"},
        "00081190": {"vr": "UR", "Value": [root]},
        "00100010": {"vr": "PN", "Value": [{"Alphabetic": "Doe^Jane"}]},
        "00100020": {"vr": "LO", "Value": ["MRN7"]},
        "00100030": {"vr": "DA"},
        "00100040": {"vr": "CS"},
        "0020000D": {"vr": "UI", "Value": ["1.2"]},
        "00200010": {"vr": "SH"},
        "00201206": {"vr": "IS", "Value": [1]},
        "00201208": {"vr": "IS", "Value": [2]},
    }]);
    assert_eq!(study, expected);
    let series = find("/studies/1.2/series?Modality=MR").await;
    assert_eq!(series[0]["0020000E"]["Value"][0], "1.2.1");
    assert_eq!(series[0]["00201209"]["Value"][0], 2);
    assert_eq!(series[0]["00100020"], Value::Null);
    assert_eq!(find("/series").await[0]["00100020"]["Value"][0], "MRN7");
    let instances = find("/studies/1.2/series/1.2.1/instances").await;
    assert_eq!(instances[1]["00200013"], json!({"vr": "IS", "Value": [2]}));
    assert_eq!(instances[1]["00280010"], json!({"vr": "US", "Value": [2]}));
    assert_eq!(instances[1]["00083002"]["Value"][0], EXPLICIT);
    assert_eq!(find("/studies/1.2/instances").await.as_array().unwrap().len(), 2);
    assert_eq!(find("/instances?StudyInstanceUID=1.2,1.3").await.as_array().unwrap().len(), 3);
    assert_eq!(find("/studies?PatientID=x").await, json!([]));
}

#[tokio::test]
async fn searches_are_paged_and_refused_in_words() {
    let clinic = Clinic::with_studies().await;
    let more = "299 prima \"There are additional results that can be requested\"";
    let mut seen = Vec::new();
    for (offset, warning) in [(0, more), (1, more), (2, ""), (3, "")] {
        let path =
            format!("/instances?limit=1&offset={offset}&includefield=all&fuzzymatching=false");
        let answer = clinic.get(&path, "application/json").await;
        assert_eq!(
            (answer.header("warning"), answer.header("content-type")),
            (warning, "application/json")
        );
        for found in answer.json(200).as_array().unwrap() {
            seen.push(found["00080018"]["Value"][0].as_str().unwrap().to_owned());
        }
    }
    assert_eq!(seen, ["1.3.1.1", "1.2.1.1", "1.2.1.2"]);
    let fuzzy = clinic.get("/studies?fuzzymatching=true&PatientName=doe*", "*/*").await;
    assert!(fuzzy.header("warning").contains("Only literal matching has been performed."));
    let unknown = clinic.get("/studies?StudyID=1", "*/*").await.json(400);
    let message = unknown["error"]["message"].as_str().unwrap();
    assert!(
        message.starts_with("studies cannot be searched by \"StudyID\"; they can by"),
        "{message}"
    );
    let twice = "StudyInstanceUID is in the address already";
    clinic.get("/studies/1.2/series?StudyInstanceUID=1.3", "*/*").await.refused(400, twice);
    let offered = "this is given as application/dicom+json; ask for it in the header Accept";
    let xml = "multipart/related; type=\"application/dicom+xml\"";
    clinic.get("/studies", xml).await.refused(406, offered);
}

#[tokio::test]
async fn metadata_lead_to_the_frames() {
    let clinic = Clinic::with_studies().await;
    let metadata = clinic.get("/studies/1.2/metadata", "application/dicom+json").await.json(200);
    let numbers: Vec<_> = metadata.as_array().unwrap().iter().map(|m| &m["00200013"]).collect();
    assert_eq!(numbers, [&json!({"vr": "IS", "Value": [1]}), &json!({"vr": "IS", "Value": [2]})]);
    let address = metadata[0]["7FE00010"]["BulkDataURI"].as_str().unwrap();
    let path = address.strip_prefix("http://10.0.0.1:80/dicomweb").unwrap();
    let kind = format!("application/octet-stream; transfer-syntax={EXPLICIT}");
    let frames: [Vec<u8>; 2] = [(0..8).collect(), (8..16).collect()];
    let [first, second] = frames.map(|frame| (kind.clone(), frame));
    assert_eq!(clinic.get(path, "*/*").await.parts(), [first, second.clone()]);
    let octets = "multipart/related; type=\"application/octet-stream\"; transfer-syntax=*";
    assert_eq!(clinic.get(&format!("{path}/2"), octets).await.parts(), [second]);
    let no_frame = "this instance has no such frame; it has 2";
    clinic.get(&format!("{path}/3"), octets).await.refused(404, no_frame);
    let numbers = "frames are asked for by their numbers from 1 on, with commas between, found \
                   \"0\"";
    clinic.get(&format!("{path}/0"), octets).await.refused(400, numbers);
    let list = |found: usize, different: usize| {
        format!(
            "at most 1000 frames are given by their numbers, each once, found {found} of which \
             {different} are different; ask for all frames without numbers"
        )
    };
    clinic.get(&format!("{path}/2,1,2"), octets).await.refused(400, &list(3, 2));
    let many: Vec<String> = (1..=1001).map(|number| number.to_string()).collect();
    let many = format!("{path}/{}", many.join(","));
    clinic.get(&many, octets).await.refused(400, &list(1001, 1001));
    let jpeg = "multipart/related; type=\"image/jpeg\"";
    assert_eq!(clinic.get(&format!("{path}/1"), jpeg).await.status, 406);
}

#[tokio::test]
async fn rendered_images_are_jpeg() {
    let clinic = Clinic::with_studies().await;
    let path = "/studies/1.2/series/1.2.1/instances/1.2.1.1";
    for path in [
        format!("{path}/rendered?viewport=100,80"),
        format!("{path}/frames/2/rendered?window=8,16,linear"),
    ] {
        let picture = clinic.get(&path, "image/jpeg").await;
        assert_eq!((picture.status.as_u16(), picture.header("content-type")), (200, "image/jpeg"));
        assert_eq!(picture.body[..2], [0xFF, 0xD8], "{path}");
    }
    let window =
        "window is \"8\", expected a centre and a width of at least 1, with a comma between";
    clinic.get(&format!("{path}/rendered?window=8"), "*/*").await.refused(400, window);
    let jpeg = "this is given as image/jpeg; ask for it in the header Accept";
    clinic.get(&format!("{path}/rendered"), "image/png").await.refused(406, jpeg);
}

#[tokio::test]
async fn who_asked_got_and_stored_is_on_record() {
    let clinic = Clinic::with_studies().await;
    let instance = "/studies/1.2/series/1.2.1/instances/1.2.1.1";
    let paths = ["/studies/1.2/series?Modality=MR", "/studies/1.2", "/studies/1.3/metadata"];
    for path in paths.map(str::to_owned).into_iter().chain([
        format!("{instance}/frames/1"),
        format!("{instance}/rendered"),
        // What is refused is not handed out.
        "/studies/9".to_owned(),
    ]) {
        clinic.get(&path, "*/*").await;
    }
    let rows = clinic.web.store.audit_rows(0, 100).unwrap();
    let by_viewer = rows.iter().filter(|row| row.actor == "api: PACS (viewer)");
    let said: Vec<_> =
        by_viewer.map(|row| format!("{} {} {}", row.action, row.object, row.detail)).collect();
    let keys = r#"{"Modality":"MR","StudyInstanceUID":"1.2"}"#;
    assert_eq!(
        said,
        [
            r#"store study 1 {"instances":2,"what":"instances"}"#,
            r#"store study 2 {"instances":1,"what":"instances"}"#,
            &format!(r#"query archive {{"keys":{keys},"level":"series"}}"#),
            r#"retrieve.sent study 1 {"instances":2,"what":"instances"}"#,
            r#"retrieve.sent study 2 {"instances":1,"what":"metadata"}"#,
            r#"retrieve.sent study 1 {"instances":1,"what":"frames"}"#,
            "study.view study 1 {}",
        ]
    );
}

#[tokio::test]
async fn other_addresses_say_what_there_is() {
    let clinic = Clinic::new();
    assert_eq!(clinic.get("", "*/*").await.json(200)["standard"], "DICOM PS3.18");
    let nothing = "there is nothing at /dicomweb/workitems; there are /studies, /series and \
                   /instances below /dicomweb, as PS3.18 10 lays down";
    clinic.get("/workitems", "*/*").await.refused(404, nothing);
    let request = Request::put("/dicomweb/studies")
        .header("host", "10.0.0.1:80")
        .header("authorization", format!("Bearer {TOKEN}"));
    let request = request.header("origin", "http://10.0.0.1:80").body(Body::empty()).unwrap();
    clinic.send(request).await.refused(405, "this address cannot be used in this way");
}
