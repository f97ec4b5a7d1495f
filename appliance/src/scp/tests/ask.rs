//! C-FIND as SCU: one box asks another for prior studies.

use dicom_ul::pdu::{AssociationAC, PresentationContextResult, PresentationContextResultReason};

use super::*;
use crate::scp::AskError;
use crate::store::assembly::Periods;
use crate::store::instances::{Arrival, SeriesFacts, StudyFacts};
use crate::store::priors::PriorElsewhere;

const TITLES: (&str, &str) = ("PRIMA", "PACS");

/// An archive that `PRIMA` may query.
fn archive() -> Receiver {
    receiver(|config| config.query_retrieve = vec!["PRIMA".to_owned()])
}

fn destination(receiver: &Receiver) -> Destination {
    let port = receiver.address().port();
    Destination { host: "127.0.0.1".to_owned(), port, tls: false }
}

/// A study that is complete.
fn study(receiver: &Receiver, uid: &str, patient_id: &str, birth_date: &str) {
    let study = StudyFacts {
        uid: uid.to_owned(),
        patient_id: patient_id.to_owned(),
        birth_date: birth_date.to_owned(),
        study_date: "20260101".to_owned(),
        study_time: "1030".to_owned(),
        description: "Sch\u{e4}del".to_owned(),
        accession: format!("A{uid}"),
        ..StudyFacts::default()
    };
    let series = SeriesFacts {
        uid: format!("{uid}.1"),
        modality: "MR".to_owned(),
        ..SeriesFacts::default()
    };
    let sop_uid = format!("{uid}.1.1");
    receiver.store.index(Arrival { study, series, sop_uid, ..Arrival::default() }).unwrap();
    let now = Periods { quiet: 0, after_release: 0, all_announced: 0, partial: 0 };
    receiver.store.complete_due(now).unwrap();
}

fn ask(ours: &Receiver, destination: &Destination) -> Result<usize, AskError> {
    let scp = Arc::clone(&ours.scp);
    let destination = destination.clone();
    // In a task of its own, as in the daemon: the database is asked on its thread.
    ours.block_on(async {
        tokio::spawn(async move { scp.ask_for_priors(&destination, TITLES).await }).await.unwrap()
    })
}

fn actions(receiver: &Receiver) -> Vec<String> {
    let rows = receiver.store.audit_rows(0, 50).unwrap();
    rows.iter().map(|row| format!("{} {} {}", row.actor, row.action, row.object)).collect()
}

#[test]
fn prior_studies_are_asked_for_once() {
    let (ours, theirs) = (receiver(|_| ()), archive());
    for (uid, patient_id, birth_date) in [
        ("1.1", "MRN7", "19700101"),
        ("1.2", "MRN7", ""),
        ("1.3", "MRN7", "20100101"),
        ("1.4", "MRN77", "19700101"),
        ("1.5", "MRN7", "19700101"),
    ] {
        study(&theirs, uid, patient_id, birth_date);
    }
    study(&ours, "1.5", "MRN7", "19700101");
    study(&ours, "1.6", "", "");
    let to = destination(&theirs);
    assert_eq!(ask(&ours, &to).unwrap(), 1);
    let prior = |uid: &str| PriorElsewhere {
        uid: uid.to_owned(),
        study_date: "20260101".to_owned(),
        study_time: "1030".to_owned(),
        description: "Sch\u{e4}del".to_owned(),
        accession: format!("A{uid}"),
        modalities: vec!["MR".to_owned()],
        archive: "PACS".to_owned(),
    };
    // Neither who was born otherwise nor what is here.
    assert_eq!(ours.store.priors_elsewhere(1, 9).unwrap(), [prior("1.1"), prior("1.2")]);
    assert_eq!(ask(&ours, &to).unwrap(), 0);
    assert_eq!(actions(&ours), ["appliance query.sent study 1"]);
    assert_eq!(actions(&theirs), ["PRIMA query archive"]);
    theirs.eventually("the end", || theirs.scp.snapshot().open == 0);
    assert_eq!(theirs.scp.snapshot().broken, 0);
}

#[test]
fn the_newest_hundred_are_kept_and_patterns_are_none() {
    let (ours, theirs) = (receiver(|_| ()), archive());
    for number in 100..203 {
        study(&theirs, &format!("1.{number}"), "MRN*", "");
    }
    study(&theirs, "1.9", "MRN7", "");
    study(&ours, "1.5", "MRN*", "");
    assert_eq!(ask(&ours, &destination(&theirs)).unwrap(), 1);
    let found = ours.store.priors_elsewhere(1, 500).unwrap();
    assert_eq!(found.len(), 100);
    assert!(found.iter().all(|prior| prior.uid != "1.9" && prior.uid != "1.100"), "{found:?}");
}

#[test]
fn who_does_not_answer_is_asked_again() {
    #[track_caller]
    fn check(ours: &Receiver, to: &Destination, expected: &str) {
        assert_eq!(ask(ours, to).unwrap_err().to_string(), expected);
        assert_eq!(ours.store.priors_due().unwrap().len(), 1);
        assert!(actions(ours).is_empty(), "the Patient ID left");
    }
    let (ours, theirs) = (receiver(|_| ()), receiver(|_| ()));
    // Nobody is asked about nothing.
    let nowhere = Destination { port: 1, ..destination(&theirs) };
    assert_eq!(ask(&ours, &nowhere).unwrap(), 0);
    study(&ours, "1.5", "MRN7", "");
    check(&ours, &nowhere, "cannot connect to 127.0.0.1:1");
    check(&ours, &destination(&theirs), "it takes no queries from us (Study Root, C-FIND)");
}

/// An archive that accepts one association for queries and then sends `answers`.
fn answering(answers: Vec<u8>) -> (Destination, std::thread::JoinHandle<()>) {
    let listener = std::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let port = listener.local_addr().unwrap().port();
    let serving = std::thread::spawn(move || {
        let mut peer = Peer(listener.accept().unwrap().0);
        assert_eq!(peer.pdu().0, pdu::ASSOCIATE_RQ);
        let accepted = PresentationContextResult {
            id: 1,
            reason: PresentationContextResultReason::Acceptance,
            transfer_syntax: uids::EXPLICIT_VR_LITTLE_ENDIAN.to_owned(),
        };
        let answer = Pdu::AssociationAC(AssociationAC {
            protocol_version: 1,
            calling_ae_title: "PRIMA".to_owned(),
            called_ae_title: "PACS".to_owned(),
            application_context_name: access::APPLICATION_CONTEXT.to_owned(),
            presentation_contexts: vec![accepted],
            user_variables: Vec::new(),
        });
        let mut bytes = Vec::new();
        write_pdu(&mut bytes, &answer).unwrap();
        bytes.extend(answers);
        peer.send(&bytes);
        // Until the other side has had enough.
        std::io::copy(&mut peer.0, &mut std::io::sink()).ok();
    });
    (Destination { host: "127.0.0.1".to_owned(), port, tls: false }, serving)
}

fn find_rsp(status: u16, data_set_type: u16) -> Vec<u8> {
    encode(&[
        (element::AFFECTED_CLASS, Value::Uid("1.2.840.10008.5.1.4.1.2.2.1")),
        (element::FIELD, Value::Number(field::C_FIND_RQ | field::RESPONSE)),
        (element::RESPONDED_TO, Value::Number(1)),
        (element::DATA_SET_TYPE, Value::Number(data_set_type)),
        (element::STATUS, Value::Number(status)),
    ])
}

#[test]
fn refusals_and_broken_answers_wait() {
    #[track_caller]
    fn check(answers: Vec<u8>, expected: &str) {
        let ours = receiver(|_| ());
        study(&ours, "1.5", "MRN7", "");
        let (to, serving) = answering(answers);
        assert_eq!(ask(&ours, &to).unwrap(), 0);
        serving.join().unwrap();
        assert!(ours.store.priors_due().unwrap().is_empty(), "not at once");
        let events = ours.events();
        let [event] = &events[..] else { panic!("{events:?}") };
        let begin = "PACS did not say which prior studies of study 1 it has: ";
        assert_eq!(event.strip_prefix(begin), Some(expected));
    }
    let refusal = p_data(&[(1, 3, &find_rsp(0xA700, NO_DATA_SET))]);
    check(refusal, "it refused the query with status A700H");
    let pending = p_data(&[(1, 3, &find_rsp(0xFF00, WITH_DATA_SET))]);
    let long = p_data(&[(1, 0, &[0; 65_000]), (1, 0, &[0; 1_000])]);
    check(
        [pending, long].concat(),
        "the association failed during the answers\n  because: protocol error: an answer of more \
         than 65536 bytes",
    );
    check(
        p_data(&[(1, 3, &store_rq(1, MR, "1.2"))]),
        "the association failed during the answers\n  because: protocol error: command 0001H to a \
         query",
    );
}
