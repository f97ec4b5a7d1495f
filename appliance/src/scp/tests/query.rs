//! Query and retrieve: what is answered, sent and refused, and what is put on record.

use dicom_core::VR;
use dicom_dictionary_std::tags;
use dicom_ul::pdu::{PresentationContextResultReason, RequestorRoles, UserVariableItem};
use models::dicom::parse::DataSet;

use super::*;
use crate::store::instances::{Arrival, StudyFacts};

const EXPLICIT: &str = uids::EXPLICIT_VR_LITTLE_ENDIAN;
const FIND: &str = uids::STUDY_ROOT_QUERY_RETRIEVE_INFORMATION_MODEL_FIND;
const GET: &str = uids::STUDY_ROOT_QUERY_RETRIEVE_INFORMATION_MODEL_GET;
const MOVE: &str = uids::STUDY_ROOT_QUERY_RETRIEVE_INFORMATION_MODEL_MOVE;

/// A receiver that `PACS` may query.
fn archive(change: impl FnOnce(&mut Config)) -> Receiver {
    receiver(|config| {
        config.query_retrieve = vec!["PACS".to_owned()];
        change(config);
    })
}

/// An association with find (1), get (3), move (5) and MR image storage (7), for which the
/// requester takes these roles; and what became of its contexts.
fn querying(
    receiver: &Receiver,
    calling: &str,
    roles: RequestorRoles,
) -> (Peer, Vec<PresentationContextResultReason>) {
    let context = |(id, uid): (u8, &str)| PresentationContextProposed {
        id,
        abstract_syntax: uid.to_owned(),
        transfer_syntaxes: vec![EXPLICIT.to_owned()],
    };
    let request = Pdu::AssociationRQ(AssociationRQ {
        protocol_version: 1,
        calling_ae_title: calling.to_owned(),
        called_ae_title: "PRIMA".to_owned(),
        application_context_name: access::APPLICATION_CONTEXT.to_owned(),
        presentation_contexts: [(1, FIND), (3, GET), (5, MOVE), (7, MR)].map(context).into(),
        user_variables: vec![UserVariableItem::ScuScpRoleSelectionSubItem(MR.to_owned(), roles)],
    });
    let mut bytes = Vec::new();
    write_pdu(&mut bytes, &request).unwrap();
    let mut peer = Peer::connect(receiver.address());
    peer.send(&bytes);
    let (kind, body) = peer.pdu();
    let answer = read_pdu(&raw_pdu(kind, &body)[..], pdu::MAX_ASSOCIATE, true).unwrap();
    let Some(Pdu::AssociationAC(answer)) = answer else { panic!("{answer:?}") };
    (peer, answer.presentation_contexts.into_iter().map(|context| context.reason).collect())
}

const BOTH: RequestorRoles = RequestorRoles { scu: true, scp: true };

/// A request with its identifier. A move goes to `destination`.
fn asking(field: u16, destination: &str, keys: &[(dicom_core::Tag, VR, &str)]) -> Vec<u8> {
    let (context, class) = match field {
        field::C_FIND_RQ => (1, FIND),
        field::C_GET_RQ => (3, GET),
        _ => (5, MOVE),
    };
    let mut elements = vec![
        (element::AFFECTED_CLASS, Value::Uid(class)),
        (element::FIELD, Value::Number(field)),
        (element::MESSAGE_ID, Value::Number(7)),
    ];
    if field == field::C_MOVE_RQ {
        elements.push((element::MOVE_DESTINATION, Value::Text(destination)));
    }
    elements.push((element::PRIORITY, Value::Number(0)));
    elements.push((element::DATA_SET_TYPE, Value::Number(WITH_DATA_SET)));
    let mut identifier = Vec::new();
    for (tag, vr, value) in keys {
        data_set::push(&mut identifier, true, *tag, *vr, value.as_bytes());
    }
    p_data(&[(context, 3, &encode(&elements)), (context, 2, &identifier)])
}

fn cancel(context: u8) -> Vec<u8> {
    let command = encode(&[
        (element::FIELD, Value::Number(field::C_CANCEL_RQ)),
        (element::RESPONDED_TO, Value::Number(7)),
        (element::DATA_SET_TYPE, Value::Number(NO_DATA_SET)),
    ]);
    p_data(&[(context, 3, &command)])
}

/// One value of a P-DATA PDU that holds one.
fn value(peer: &mut Peer) -> (u8, Vec<u8>) {
    let (kind, bytes) = peer.pdu();
    assert_eq!(kind, pdu::P_DATA, "{bytes:?}");
    let (pdv, rest) = pdu::split_pdv(&bytes).unwrap();
    assert!(pdv.last && rest.is_empty());
    (pdv.context, pdv.data.to_vec())
}

/// A message: command, its bytes, data set.
fn message(peer: &mut Peer) -> (Command, Vec<u8>, Option<Vec<u8>>) {
    let (_, bytes) = value(peer);
    let command = parse(&bytes).unwrap();
    let data_set = command.has_data.then(|| value(peer).1);
    (command, bytes, data_set)
}

fn read(bytes: &[u8]) -> DataSet {
    data_set::read(bytes, EXPLICIT, Clone::clone).unwrap()
}

/// Remaining, completed, failed, warning; `None` where an answer does not say it.
fn counts(mut command: &[u8]) -> [Option<u16>; 4] {
    let mut counts = [None; 4];
    while !command.is_empty() {
        let number = u16::from_le_bytes([command[2], command[3]]);
        let length = u32::from_le_bytes(command[4..8].try_into().unwrap()) as usize;
        if let Some(place) = number.checked_sub(element::REMAINING).filter(|place| *place < 4) {
            let value = command[8..8 + length].try_into().unwrap();
            counts[usize::from(place)] = Some(u16::from_le_bytes(value));
        }
        command = &command[8 + length..];
    }
    counts
}

/// Three studies: Müller with all texts, Doe, and one with nothing but UIDs.
fn fill(receiver: &Receiver) {
    let study = |uid: &str, name: &str, date: &str| StudyFacts {
        uid: uid.to_owned(),
        patient_id: if name.is_empty() { String::new() } else { format!("ID {name}") },
        patient_name: name.to_owned(),
        study_date: date.to_owned(),
        ..StudyFacts::default()
    };
    for (number, study) in [
        study("1.1", "MÜLLER^JÖRG", "20260101"),
        study("1.2", "DOE^JANE", "20260201"),
        study("1.3", "", ""),
    ]
    .into_iter()
    .enumerate()
    {
        let sop_uid = format!("1.9.{number}");
        receiver.store.index(Arrival { study, sop_uid, ..Arrival::default() }).unwrap();
    }
}

const LEVEL: (dicom_core::Tag, VR, &str) = (tags::QUERY_RETRIEVE_LEVEL, VR::CS, "STUDY");

#[test]
fn studies_are_found() {
    /// Matches by their UIDs, each with this status.
    #[track_caller]
    fn check(keys: &[(dicom_core::Tag, VR, &str)], pending: u16, expected: &[&str]) {
        let receiver = archive(|_| ());
        fill(&receiver);
        let (mut peer, _) = querying(&receiver, "PACS", BOTH);
        let mut keys = [&[LEVEL, (tags::STUDY_INSTANCE_UID, VR::UI, "")][..], keys].concat();
        keys.sort_by_key(|(tag, ..)| *tag);
        peer.send(&asking(field::C_FIND_RQ, "", &keys));
        let mut found = Vec::new();
        let last = loop {
            let (command, _, data_set) = message(&mut peer);
            assert_eq!((command.message_id, command.sop_class.as_str()), (7, FIND));
            let Some(data_set) = data_set else { break command.status };
            assert_eq!(format!("{:04X}", command.status), format!("{pending:04X}"));
            found.push(read(&data_set).text(tags::STUDY_INSTANCE_UID).unwrap());
        };
        assert_eq!((last, found), (0, expected.iter().map(|&uid| uid.to_owned()).collect()));
        peer.release();
    }
    check(&[], 0xFF00, &["1.3", "1.2", "1.1"]);
    check(&[(tags::PATIENT_NAME, VR::PN, "doe*")], 0xFF00, &["1.2"]);
    check(&[(tags::PATIENT_NAME, VR::PN, "nobody")], 0xFF00, &[]);
    check(&[(tags::STUDY_DATE, VR::DA, "20260102-")], 0xFF00, &["1.2"]);
    check(&[(tags::STUDY_ID, VR::SH, "5")], 0xFF01, &["1.3", "1.2", "1.1"]);
}

#[test]
fn answers_hold_what_was_asked_for() {
    let receiver = archive(|_| ());
    fill(&receiver);
    let (mut peer, _) = querying(&receiver, "PACS", BOTH);
    let keys = [
        (tags::STUDY_TIME, VR::TM, ""),
        LEVEL,
        (tags::PATIENT_NAME, VR::PN, "*"),
        (tags::PATIENT_ID, VR::LO, ""),
        (tags::STUDY_INSTANCE_UID, VR::UI, "1.1"),
        (tags::STUDY_ID, VR::SH, ""),
        (tags::NUMBER_OF_STUDY_RELATED_INSTANCES, VR::IS, ""),
        (tags::REQUEST_ATTRIBUTES_SEQUENCE, VR::SQ, ""),
    ];
    peer.send(&asking(field::C_FIND_RQ, "", &keys));
    let (_, _, data_set) = message(&mut peer);
    let found = read(&data_set.unwrap());
    let mut expected: Vec<_> = keys.iter().map(|(tag, ..)| *tag).collect();
    expected.extend([tags::SPECIFIC_CHARACTER_SET, tags::RETRIEVE_AE_TITLE]);
    expected.sort_unstable();
    assert_eq!(found.tags().collect::<Vec<_>>(), expected);
    for (tag, value) in [
        (tags::SPECIFIC_CHARACTER_SET, Some("ISO_IR 192")),
        (tags::STUDY_TIME, None),
        (tags::QUERY_RETRIEVE_LEVEL, Some("STUDY")),
        (tags::RETRIEVE_AE_TITLE, Some("PRIMA")),
        (tags::PATIENT_NAME, Some("MÜLLER^JÖRG")),
        (tags::PATIENT_ID, Some("ID MÜLLER^JÖRG")),
        (tags::STUDY_ID, None),
        (tags::NUMBER_OF_STUDY_RELATED_INSTANCES, Some("1")),
    ] {
        assert_eq!(found.text(tag).as_deref(), value, "{tag}");
    }
    assert_eq!(message(&mut peer).0.status, 0);
    peer.release();
    let rows = receiver.store.audit_rows(0, 10).unwrap();
    assert_eq!((rows.len(), rows[0].actor.as_str(), rows[0].action.as_str()), (1, "PACS", "query"));
    assert!(rows[0].detail.contains("\"(0020,000D)\":\"1.1\""), "{}", rows[0].detail);
}

#[test]
fn queries_are_refused_and_cancelled() {
    let receiver = archive(|_| ());
    fill(&receiver);
    let (mut peer, _) = querying(&receiver, "PACS", BOTH);
    let series = (tags::QUERY_RETRIEVE_LEVEL, VR::CS, "SERIES");
    peer.send(&asking(field::C_FIND_RQ, "", &[series]));
    assert_eq!(peer.status(), 0xA900);
    peer.send(&asking(field::C_FIND_RQ, "", &[(tags::STUDY_DATE, VR::DA, "today"), LEVEL]));
    assert_eq!(peer.status(), 0xC001);
    // C-GET is not an operation of the find model.
    let mut wrong = command(field::C_GET_RQ, 7, FIND, "", WITH_DATA_SET);
    peer.send(&p_data(&[(1, 3, &wrong), (1, 2, b"")]));
    assert_eq!(peer.status(), 0x0211);
    wrong = command(field::C_FIND_RQ, 7, FIND, "", NO_DATA_SET);
    peer.send(&p_data(&[(1, 3, &wrong)]));
    assert_eq!(peer.status(), 0xA900);
    // The cancel is there before the first answer.
    peer.send(&[asking(field::C_FIND_RQ, "", &[LEVEL]), cancel(1)].concat());
    assert_eq!(peer.status(), 0xFE00);
    // Too late, it cancels nothing.
    peer.send(&[cancel(1), asking(field::C_MOVE_RQ, "NOBODY", &[])].concat());
    assert_eq!(peer.status(), 0xA900);
    let one = [LEVEL, (tags::STUDY_INSTANCE_UID, VR::UI, "1.1")];
    peer.send(&asking(field::C_MOVE_RQ, "NOBODY", &one));
    assert_eq!(peer.status(), 0xA801);
    peer.release();
}

#[test]
fn only_who_is_listed_may_query() {
    use PresentationContextResultReason::{AbstractSyntaxNotSupported as No, Acceptance as Yes};
    let check = |calling: &str, expected: [PresentationContextResultReason; 4]| {
        let receiver = archive(|_| ());
        let (peer, reasons) = querying(&receiver, calling, BOTH);
        assert_eq!(reasons, expected);
        peer.release();
    };
    check("PACS", [Yes, Yes, Yes, Yes]);
    check("PACS2", [No, No, No, Yes]);
}

/// Two images of one study in the archive.
fn two_images(receiver: &Receiver) -> [Vec<u8>; 2] {
    let images = [image("1.2.8", 300_000), image("1.2.9", 10)];
    let mut peer = receiver.associate();
    assert_eq!(peer.store("1.2.8", &images[0]), 0);
    assert_eq!(peer.store("1.2.9", &images[1]), 0);
    peer.release();
    images
}

const STUDY: [(dicom_core::Tag, VR, &str); 2] =
    [LEVEL, (tags::STUDY_INSTANCE_UID, VR::UI, "1.2.3")];

/// Takes one image of a C-GET and answers it.
fn take(peer: &mut Peer, status: u16) -> (String, Vec<u8>) {
    let (context, bytes) = value(peer);
    let asked = parse(&bytes).unwrap();
    assert_eq!((context, asked.field, asked.sop_class.as_str()), (7, field::C_STORE_RQ, MR));
    let mut data_set = Vec::new();
    loop {
        let (_, bytes) = peer.pdu();
        let (pdv, _) = pdu::split_pdv(&bytes).unwrap();
        assert!(!pdv.command && pdv.context == 7);
        data_set.extend(pdv.data);
        if pdv.last {
            break;
        }
    }
    let answer = encode(&[
        (element::AFFECTED_CLASS, Value::Uid(MR)),
        (element::FIELD, Value::Number(field::C_STORE_RSP)),
        (element::RESPONDED_TO, Value::Number(asked.message_id)),
        (element::DATA_SET_TYPE, Value::Number(NO_DATA_SET)),
        (element::STATUS, Value::Number(status)),
        (element::AFFECTED_INSTANCE, Value::Uid(&asked.sop_instance)),
    ]);
    peer.send(&p_data(&[(7, 3, &answer)]));
    (asked.sop_instance, data_set)
}

#[test]
fn get_sends_what_is_stored() {
    /// The requester answers with these statuses.
    #[track_caller]
    fn check(statuses: [u16; 2], last: u16, expected: [u16; 3], failed: &[&str]) {
        let receiver = archive(|_| ());
        let images = two_images(&receiver);
        let (mut peer, _) = querying(&receiver, "PACS", BOTH);
        peer.send(&asking(field::C_GET_RQ, "", &STUDY));
        let first = take(&mut peer, statuses[0]);
        let (command, bytes, data_set) = message(&mut peer);
        assert_eq!((command.field, command.status), (0x8010, 0xFF00));
        assert!(counts(&bytes)[0] == Some(1) && data_set.is_none());
        let second = take(&mut peer, statuses[1]);
        assert_eq!([first.0.as_str(), second.0.as_str()], ["1.2.8", "1.2.9"]);
        assert!([first.1, second.1] == images);
        let (command, bytes, data_set) = message(&mut peer);
        assert_eq!(format!("{:04X}", command.status), format!("{last:04X}"));
        let [completed, wrong, warnings] = expected.map(Some);
        assert_eq!(counts(&bytes), [None, completed, wrong, warnings]);
        let list = data_set.map(|bytes| read(&bytes).texts(tags::FAILED_SOP_INSTANCE_UID_LIST));
        assert_eq!(list.unwrap_or_default(), failed);
        peer.release();
        let rows = receiver.store.audit_rows(0, 10).unwrap();
        assert_eq!(
            (rows[0].action.as_str(), rows[0].object.as_str()),
            ("retrieve.begin", "study 1")
        );
        let sent = rows.iter().filter(|row| row.action == "retrieve.sent").count();
        assert_eq!(sent, usize::from(expected[0] + expected[2] > 0));
    }
    check([0, 0], 0, [2, 0, 0], &[]);
    check([0, 0xB007], 0xB000, [1, 0, 1], &[]);
    check([0xA700, 0], 0xB000, [1, 1, 0], &["1.2.8"]);
    check([0xC000, 0xC000], 0xA702, [0, 2, 0], &["1.2.8", "1.2.9"]);
}

#[test]
fn get_without_a_role_or_a_file_sends_nothing() {
    let receiver = archive(|_| ());
    two_images(&receiver);
    let (mut peer, _) = querying(&receiver, "PACS", RequestorRoles { scu: true, scp: false });
    peer.send(&asking(field::C_GET_RQ, "", &STUDY));
    assert_eq!(counts(&message(&mut peer).1), [Some(1), Some(0), Some(1), Some(0)]);
    let (command, bytes, _) = message(&mut peer);
    assert_eq!((command.status, counts(&bytes)), (0xA702, [None, Some(0), Some(2), Some(0)]));
    peer.release();

    for file in receiver.files("studies") {
        std::fs::remove_file(file).unwrap();
    }
    let (mut peer, _) = querying(&receiver, "PACS", BOTH);
    peer.send(&asking(field::C_GET_RQ, "", &STUDY));
    assert_eq!(message(&mut peer).0.status, 0xFF00);
    assert_eq!(message(&mut peer).0.status, 0xA702);
    // A study that is not here is no failure.
    let other = [LEVEL, (tags::STUDY_INSTANCE_UID, VR::UI, "1.2.404")];
    peer.send(&asking(field::C_GET_RQ, "", &other));
    let (command, bytes, _) = message(&mut peer);
    assert_eq!((command.status, counts(&bytes)), (0, [None, Some(0), Some(0), Some(0)]));
    peer.release();
}

#[test]
fn get_is_cancelled_between_two_images() {
    let receiver = archive(|_| ());
    two_images(&receiver);
    let (mut peer, _) = querying(&receiver, "PACS", BOTH);
    peer.send(&asking(field::C_GET_RQ, "", &STUDY));
    let (_, bytes) = value(&mut peer);
    let asked = parse(&bytes).unwrap();
    while !pdu::split_pdv(&peer.pdu().1).unwrap().0.last {}
    let answer = command(field::C_STORE_RSP, asked.message_id, MR, "1.2.8", NO_DATA_SET);
    peer.send(&[cancel(3), p_data(&[(7, 3, &answer)])].concat());
    assert_eq!(counts(&message(&mut peer).1), [Some(1), Some(1), Some(0), Some(0)]);
    let (command, bytes, _) = message(&mut peer);
    assert_eq!((command.status, counts(&bytes)), (0xFE00, [Some(1), Some(1), Some(0), Some(0)]));
    peer.release();
}

#[test]
fn what_is_sent_instead_of_an_answer_aborts() {
    let receiver = archive(|_| ());
    two_images(&receiver);
    let (mut peer, _) = querying(&receiver, "PACS", BOTH);
    peer.send(&asking(field::C_GET_RQ, "", &STUDY));
    let (_, bytes) = value(&mut peer);
    assert_eq!(parse(&bytes).unwrap().field, field::C_STORE_RQ);
    while !pdu::split_pdv(&peer.pdu().1).unwrap().0.last {}
    peer.send(&asking(field::C_FIND_RQ, "", &[LEVEL]));
    assert_eq!(peer.aborted(), pdu::AbortReason::UnexpectedParameter as u8);
}

#[test]
fn move_sends_to_a_known_destination() {
    let theirs = receiver(|_| ());
    let port = theirs.address().port();
    let ours = archive(|config| {
        let there = Destination { host: "127.0.0.1".to_owned(), port, tls: false };
        let nowhere = Destination { port: 1, ..there.clone() };
        config.destinations.insert("STORE".to_owned(), there);
        config.destinations.insert("DEAD".to_owned(), nowhere);
    });
    let images = two_images(&ours);
    let (mut peer, _) = querying(&ours, "PACS", BOTH);
    peer.send(&asking(field::C_MOVE_RQ, "STORE", &STUDY));
    let (command, bytes, _) = message(&mut peer);
    assert_eq!((command.field, command.status, counts(&bytes)[0]), (0x8021, 0xFF00, Some(1)));
    let (command, bytes, _) = message(&mut peer);
    assert_eq!((command.status, counts(&bytes)), (0, [None, Some(2), Some(0), Some(0)]));
    assert!([theirs.stored("1.2.8"), theirs.stored("1.2.9")] == images.map(Some));
    theirs.eventually("the end", || theirs.scp.snapshot().open == 0);
    assert_eq!(theirs.scp.snapshot().broken, 0);

    peer.send(&asking(field::C_MOVE_RQ, "DEAD", &STUDY));
    assert_eq!(message(&mut peer).0.status, 0xFF00);
    let (command, bytes, data_set) = message(&mut peer);
    assert_eq!((command.status, counts(&bytes)), (0xA702, [None, Some(0), Some(2), Some(0)]));
    let list = read(&data_set.unwrap()).texts(tags::FAILED_SOP_INSTANCE_UID_LIST);
    assert_eq!(list, ["1.2.8", "1.2.9"]);
    peer.release();
    let rows = ours.store.audit_rows(0, 10).unwrap();
    let said: Vec<_> = rows.iter().map(|row| row.action.as_str()).collect();
    assert_eq!(said, ["retrieve.begin", "retrieve.sent", "retrieve.begin"]);
    assert!(rows[1].detail.contains("\"to\":\"STORE\""), "{}", rows[1].detail);
}
