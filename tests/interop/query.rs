//! Workstations that query and retrieve: DCMTK's findscu, getscu and movescu, and pynetdicom.

use std::fs;
use std::net::TcpStream;
use std::process::{Child, Command, Stdio};

use serde_json::{Value, json};
use tests::sender::{Association, EXPLICIT_LE, MR_IMAGE, Peer, Slice, slice, text};

use super::{
    AE, Clinic, Instances, eventually, fail, files_below, free_port, have_dcmtk, pynetdicom,
    read_stored, run, stored_instances, succeed,
};

const LISTED: &str =
    "dicom.query_retrieve_ae_titles = ['FINDSCU', 'GETSCU', 'MOVESCU', 'PYNETDICOM']\n";
/// Study Instance UID of the study without a date and an accession number.
const BARE: &str = "2.25.99";

/// A study of one image that says little more than its UIDs and a name in UTF-8.
fn bare() -> Slice {
    let sop_uid = format!("{BARE}.1.1");
    let mut set = Vec::new();
    text(&mut set, 0x0008, 0x0005, "CS", "ISO_IR 192");
    text(&mut set, 0x0008, 0x0016, "UI", MR_IMAGE);
    text(&mut set, 0x0008, 0x0018, "UI", &sop_uid);
    text(&mut set, 0x0010, 0x0010, "PN", "MÜLLER^JÖRG");
    text(&mut set, 0x0020, 0x000D, "UI", BARE);
    text(&mut set, 0x0020, 0x000E, "UI", &format!("{BARE}.1"));
    Slice {
        sop_class: MR_IMAGE.to_owned(),
        sop_uid,
        transfer_syntax: EXPLICIT_LE.to_owned(),
        data_set: set,
    }
}

/// Three studies of two series of two images, and the bare one.
fn archive(settings: &str) -> Clinic {
    let clinic = Clinic::open(&format!("{LISTED}{settings}"));
    let mut association = Association::open(&Peer::new(clinic.daemon.dicom)).expect("a scanner");
    let slices = (1..=3).flat_map(|study| {
        (1..=2)
            .flat_map(move |series| (1..=2).map(move |number| slice(7, study, series, number, 64)))
    });
    for slice in slices.chain([bare()]) {
        assert_eq!(association.store(&slice).expect("an answer").status, 0);
    }
    association.release().expect("a release");
    clinic
}

/// What findscu finds, as DICOM JSON.
#[track_caller]
fn find(clinic: &Clinic, level: &str, keys: &[&str]) -> Vec<Value> {
    let folder = clinic.folder.path().join("found");
    if folder.exists() {
        fs::remove_dir_all(&folder).expect("a folder");
    }
    fs::create_dir(&folder).expect("a folder");
    let (port, level) = (clinic.port(), format!("QueryRetrieveLevel={level}"));
    let mut arguments = vec!["-S", "-aec", AE, "-X", "-od", folder.to_str().expect("UTF-8")];
    for key in [&[level.as_str()], keys].concat() {
        arguments.extend(["-k", key]);
    }
    arguments.extend(["127.0.0.1", &port]);
    succeed("findscu", &arguments);
    let read = |path: &std::path::PathBuf| {
        let said = succeed("dcm2json", &[path]);
        serde_json::from_str(&said).unwrap_or_else(|why| panic!("{why}: {said}"))
    };
    files_below(&folder).iter().map(read).collect()
}

/// The values of an attribute, one of each match.
fn values(found: &[Value], tag: &str) -> Vec<String> {
    let one = |found: &Value| found[tag]["Value"][0].as_str().unwrap_or_default().to_owned();
    found.iter().map(one).collect()
}

#[test]
fn findscu() {
    if !have_dcmtk() {
        return;
    }
    let clinic = archive("");
    #[track_caller]
    fn check(clinic: &Clinic, keys: &[&str], expected: &[&str]) {
        let keys = [keys, &["StudyInstanceUID"]].concat();
        let found = find(clinic, "STUDY", &keys);
        assert_eq!(values(&found, "0020000D"), expected, "{keys:?}");
    }
    let all = ["2.25.7.3", "2.25.7.2", "2.25.7.1"];
    check(&clinic, &["PatientName=phantom^*"], &all);
    check(&clinic, &["PatientName=PHANTOM^?", "PatientID=P2"], &["2.25.7.2"]);
    check(&clinic, &["PatientName=Phantom"], &[]);
    check(&clinic, &["StudyDate=20251231-20260101"], &all);
    check(&clinic, &["StudyDate=20260102-"], &[]);
    check(&clinic, &["StudyTime=1130-12", "ModalitiesInStudy=MR"], &all);
    check(&clinic, &["AccessionNumber=A*"], &[]);
    let uids = ["StudyInstanceUID=2.25.7.1\\2.25.7.3\\2.25.404"];
    assert_eq!(values(&find(&clinic, "STUDY", &uids), "0020000D"), ["2.25.7.3", "2.25.7.1"]);

    let bare = format!("StudyInstanceUID={BARE}");
    let found = find(&clinic, "STUDY", &[&bare, "StudyDate", "AccessionNumber", "PatientName"]);
    let [found] = &found[..] else { panic!("{found:?}") };
    assert_eq!(found["00100010"]["Value"][0]["Alphabetic"], "MÜLLER^JÖRG");
    assert_eq!(found["00080054"]["Value"][0], AE);
    for empty in ["00080020", "00080050"] {
        assert!(found[empty].is_object() && found[empty]["Value"].is_null(), "{found}");
    }

    let study = "StudyInstanceUID=2.25.7.2";
    let series = find(&clinic, "SERIES", &[study, "SeriesInstanceUID", "Modality=MR"]);
    assert_eq!(values(&series, "0020000E"), ["2.25.7.2.1", "2.25.7.2.2"]);
    let images = [study, "SeriesInstanceUID=2.25.7.2.1", "SOPInstanceUID"];
    let images = find(&clinic, "IMAGE", &images);
    assert_eq!(values(&images, "00080018"), ["2.25.7.2.1.1", "2.25.7.2.1.2"]);
}

#[test]
fn who_is_not_listed() {
    if !have_dcmtk() {
        return;
    }
    let clinic = archive("");
    let port = clinic.port();
    let asked = ["-k", "QueryRetrieveLevel=STUDY", "-k", "StudyInstanceUID", "127.0.0.1", &port];
    for program in ["findscu", "getscu", "movescu"] {
        let who = ["-S", "-aet", "STRANGER", "-aec", AE];
        let said = fail(program, &[&who[..], &asked].concat());
        assert!(said.to_lowercase().contains("presentation context"), "{program}: {said}");
    }
}

/// The instances of a study that lie in the archive.
fn of_study(clinic: &Clinic, study_uid: &str) -> Instances {
    let mut stored = stored_instances(&clinic.launch.data());
    stored.retain(|uid, _| uid.starts_with(&format!("{study_uid}.")));
    stored
}

/// The instances in files that a peer wrote as it received them.
fn received(folder: &std::path::Path) -> Instances {
    let read = |path: &std::path::PathBuf| read_stored(&fs::read(path).expect("a file"));
    files_below(folder).iter().map(read).collect()
}

#[test]
fn getscu() {
    if !have_dcmtk() {
        return;
    }
    let clinic = archive("");
    let (port, folder) = (clinic.port(), clinic.folder.path().join("got"));
    fs::create_dir(&folder).expect("a folder");
    let to = folder.to_str().expect("UTF-8");
    let study = ["-k", "QueryRetrieveLevel=STUDY", "-k", "StudyInstanceUID=2.25.7.2"];
    let how = ["-S", "-aec", AE, "+B", "-od", to];
    succeed("getscu", &[&how[..], &study, &["127.0.0.1", &port]].concat());
    let expected = of_study(&clinic, "2.25.7.2");
    assert_eq!((expected.len(), received(&folder)), (4, expected));
}

/// A storescp that writes what it gets as it comes.
struct Storescp(Child);

impl Drop for Storescp {
    fn drop(&mut self) {
        // It may have ended already, which is what is wanted.
        drop((self.0.kill(), self.0.wait()));
    }
}

#[test]
fn movescu() {
    if !have_dcmtk() {
        return;
    }
    let destination = free_port();
    let clinic = archive(&format!(
        "dicom.peers = [{{ae_title = 'STORESCP', host = '127.0.0.1', port = {destination}}}]\n"
    ));
    let (port, folder) = (clinic.port(), clinic.folder.path().join("moved"));
    fs::create_dir(&folder).expect("a folder");
    let mut storescp = Command::new("storescp");
    storescp.args(["-aet", "STORESCP", "+B", "+xa", "-od"]).arg(&folder);
    storescp.arg(destination.to_string()).stdout(Stdio::null()).stderr(Stdio::null());
    let _storescp = Storescp(storescp.spawn().expect("storescp"));
    eventually("storescp", || TcpStream::connect(("127.0.0.1", destination)).ok());

    let study = ["-k", "QueryRetrieveLevel=STUDY", "-k", "StudyInstanceUID=2.25.7.3"];
    let whom = ["-S", "-v", "-aec", AE, "-aem"];
    let to = |title| [&whom[..], &[title], &study, &["127.0.0.1", &port]].concat();
    succeed("movescu", &to("STORESCP"));
    let expected = of_study(&clinic, "2.25.7.3");
    assert_eq!((expected.len(), received(&folder)), (4, expected));

    let said = run("movescu", &to("NOBODY"));
    let said = String::from_utf8_lossy(&[said.stdout, said.stderr].concat()).into_owned();
    assert!(said.contains("MoveDestinationUnknown"), "{said}");
}

#[test]
fn pynetdicom_asks_in_another_character_set() {
    let Some(python) = pynetdicom::python() else { return };
    let clinic = archive("");
    let find = |set: &str, keys: &[&str]| {
        let (port, level) = (clinic.port(), "QueryRetrieveLevel=STUDY");
        let asked = [port.as_str(), "find", set, level, "StudyInstanceUID="];
        let words = [&asked[..], keys].concat();
        pynetdicom::peer(&python, &words)
    };
    let found = |status: u16, name: &str| {
        json!([
            [
                status,
                {
                    "SpecificCharacterSet": "ISO_IR 192",
                    "QueryRetrieveLevel": "STUDY",
                    "RetrieveAETitle": AE,
                    "PatientName": name,
                    "StudyInstanceUID": BARE,
                }
            ],
            [0, {}],
        ])
    };
    let name = "MÜLLER^JÖRG";
    assert_eq!(find("ISO_IR 100", &["PatientName=Müller^J*"]), found(0xFF00, name));
    assert_eq!(find("ISO_IR 192", &["PatientName=MÜLLER^JÖRG"]), found(0xFF00, name));
    assert_eq!(find("ISO_IR 100", &["PatientName=Mueller*"]), json!([[0, {}]]));
    let mut unmatched = found(0xFF01, name);
    unmatched[0][1]["StudyID"] = json!("");
    assert_eq!(find("ISO_IR 100", &["PatientName=müller*", "StudyID=7"]), unmatched);
}

#[test]
fn pynetdicom_gets_and_cancels() {
    let Some(python) = pynetdicom::python() else { return };
    let clinic = archive("");
    let get = |word: &str| pynetdicom::peer(&python, &[&clinic.port(), word, "2.25.7.1"]);
    let hexadecimal =
        |digest: &[u8; 32]| -> String { digest.iter().map(|byte| format!("{byte:02x}")).collect() };
    let expected: Value = of_study(&clinic, "2.25.7.1")
        .iter()
        .map(|(uid, digest)| (uid.clone(), json!(hexadecimal(digest))))
        .collect::<serde_json::Map<_, _>>()
        .into();
    let got = get("get");
    assert_eq!((&got["status"], &got["counts"]), (&json!(0), &json!([null, 4, 0])));
    assert_eq!(got["received"], expected);

    let cancelled = get("cancel");
    assert_eq!(
        (&cancelled["status"], &cancelled["counts"]),
        (&json!(0xFE00), &json!([3, 1, 0])),
        "{cancelled}"
    );
}
