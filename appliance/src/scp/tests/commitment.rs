//! Storage commitment: requests, and reports on either side's association.

use dicom_core::Tag;
use dicom_dictionary_std::tags;
use models::dicom::parse::{DicomFile, parse_bytes};
use std::net::TcpListener;
use std::path::Path;

use super::*;

const COMMITMENT: &str = uids::STORAGE_COMMITMENT_PUSH_MODEL;
const WELL_KNOWN: &str = uids::STORAGE_COMMITMENT_PUSH_MODEL_INSTANCE;
const MISSING: i64 = 0x0112;
const OTHER_CLASS: i64 = 0x0119;

/// The data set of a request in Explicit VR Little Endian.
fn asking(transaction: &str, instances: &[(&str, &str)]) -> Vec<u8> {
    let element = |group: u16, number: u16, uid: &str| {
        let uid = if uid.len() % 2 == 1 { format!("{uid}\0") } else { uid.to_owned() };
        let mut bytes = [group.to_le_bytes(), number.to_le_bytes(), *b"UI"].concat();
        bytes.extend(u16::try_from(uid.len()).unwrap().to_le_bytes());
        bytes.extend(uid.as_bytes());
        bytes
    };
    let mut items = Vec::new();
    for (class, instance) in instances {
        let item = [element(8, 0x1150, class), element(8, 0x1155, instance)].concat();
        items.extend(b"\xFE\xFF\x00\xE0");
        items.extend(u32::try_from(item.len()).unwrap().to_le_bytes());
        items.extend(item);
    }
    let mut bytes = element(8, 0x1195, transaction);
    bytes.extend(b"\x08\0\x99\x11SQ\0\0");
    bytes.extend(u32::try_from(items.len()).unwrap().to_le_bytes());
    bytes.extend(items);
    bytes
}

fn action_rq(data_set: &[u8]) -> Vec<u8> {
    let command = command(field::N_ACTION_RQ, 7, COMMITMENT, WELL_KNOWN, WITH_DATA_SET);
    p_data(&[(5, 3, &command), (5, 2, data_set)])
}

/// Receives an N-EVENT-REPORT and answers it: the event type and what it says.
fn report(peer: &mut Peer, context: u8) -> (u16, DicomFile) {
    let (kind, bytes) = peer.pdu();
    assert_eq!(kind, pdu::P_DATA, "{bytes:?}");
    let (pdv, _) = pdu::split_pdv(&bytes).unwrap();
    let event = u16::from_le_bytes(pdv.data[pdv.data.len() - 2..].try_into().unwrap());
    let asked = parse(pdv.data).unwrap();
    assert_eq!((asked.field, asked.sop_class.as_str()), (field::N_EVENT_REPORT_RQ, COMMITMENT));
    assert_eq!((asked.sop_instance.as_str(), pdv.context), (WELL_KNOWN, context));
    let (_, bytes) = peer.pdu();
    let (pdv, _) = pdu::split_pdv(&bytes).unwrap();
    assert!(pdv.last && !pdv.command && pdv.context == context);
    let file = [b"DICM\x02\0\x10\0UI\x14\x001.2.840.10008.1.2.1\0", pdv.data].concat();
    let answer = encode(&[
        (element::AFFECTED_CLASS, Value::Uid(COMMITMENT)),
        (element::FIELD, Value::Number(field::N_EVENT_REPORT_RSP)),
        (element::RESPONDED_TO, Value::Number(asked.message_id)),
        (element::DATA_SET_TYPE, Value::Number(NO_DATA_SET)),
        (element::STATUS, Value::Number(0)),
    ]);
    peer.send(&p_data(&[(context, 3, &answer)]));
    (event, parse_bytes(Path::new("report"), file).unwrap())
}

/// Instance and failure reason of each item.
fn items(file: &DicomFile, sequence: Tag) -> Vec<(String, Option<i64>)> {
    let instance = |item: &models::dicom::parse::DataSet| {
        let uid = item.text(tags::REFERENCED_SOP_INSTANCE_UID).unwrap();
        (uid, item.int(tags::FAILURE_REASON))
    };
    file.data.items(sequence).iter().map(instance).collect()
}

#[test]
fn a_report_on_the_requesters_association() {
    #[track_caller]
    fn check(asked: &[(&str, &str)], kept: &[&str], failed: &[(&str, i64)]) {
        let receiver = receiver(|_| ());
        let mut peer = receiver.associate();
        assert_eq!(peer.store("1.2.9", &image("1.2.9", 10)), 0);
        peer.send(&action_rq(&asking("1.9.9", asked)));
        let (context, answer) = peer.command();
        assert_eq!((context, answer.status, answer.message_id), (5, 0, 7));
        let (event, file) = report(&mut peer, 5);
        assert_eq!(event, if failed.is_empty() { 1 } else { 2 });
        assert_eq!(file.data.text(tags::TRANSACTION_UID).unwrap(), "1.9.9");
        let kept: Vec<_> = kept.iter().map(|&uid| (uid.to_owned(), None)).collect();
        assert_eq!(items(&file, tags::REFERENCED_SOP_SEQUENCE), kept);
        let failed: Vec<_> = failed.iter().map(|&(uid, why)| (uid.to_owned(), Some(why))).collect();
        assert_eq!(items(&file, tags::FAILED_SOP_SEQUENCE), failed);
        peer.release();
        // Answered, so there is nothing left to do.
        receiver.eventually("end", || receiver.scp.snapshot().open == 0);
        assert_eq!(receiver.store.commitments_due().unwrap(), [0_i64; 0]);
        assert_eq!(receiver.store.pending_commitment(1).unwrap(), None);
    }
    let ct = uids::CT_IMAGE_STORAGE;
    check(&[(MR, "1.2.9")], &["1.2.9"], &[]);
    check(&[(MR, "1.2.8")], &[], &[("1.2.8", MISSING)]);
    check(&[(MR, "1.2.8"), (MR, "1.2.9")], &["1.2.9"], &[("1.2.8", MISSING)]);
    check(&[(ct, "1.2.9")], &[], &[("1.2.9", OTHER_CLASS)]);
}

#[test]
fn a_report_on_what_was_never_asked_is_refused() {
    let receiver = receiver(|_| ());
    let mut peer = receiver.associate();
    let command = command(field::N_EVENT_REPORT_RQ, 8, COMMITMENT, WELL_KNOWN, WITH_DATA_SET);
    let said = asking("1.9.9", &[(MR, "1.2.9")]);
    peer.send(&p_data(&[(5, 3, &command), (5, 2, &said)]));
    assert_eq!(peer.status(), 0x0115);
}

#[test]
fn a_report_that_names_nothing_is_refused() {
    #[track_caller]
    fn refused(report: &[u8], comment: &str) {
        let receiver = receiver(|_| ());
        let syntax = uids::EXPLICIT_VR_LITTLE_ENDIAN;
        let refusal =
            crate::scp::commitment::heed(&receiver.store, "PACS", report, syntax).unwrap_err();
        assert_eq!((refusal.status, refusal.comment.as_str()), (0x0115, comment));
    }
    let whole = asking("1.9.9", &[(MR, "1.2.9")]);
    refused(&whole, "no such transaction");
    let nameless = "a reference lacks its SOP instance UID";
    refused(&asking("1.9.9", &[(MR, "1.2.9"), (MR, "")]), nameless);
    // The sequence of what failed instead.
    let at = whole.windows(4).position(|bytes| bytes == b"\x08\0\x99\x11").unwrap();
    let failed = asking("1.9.9", &[(MR, "")]);
    let failed = [&failed[..at], b"\x08\0\x98\x11", &failed[at + 4..]].concat();
    refused(&failed, nameless);
}

#[test]
fn a_report_on_an_association_of_ours() {
    let requester = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = requester.local_addr().unwrap().port();
    let receiver = receiver(|config| {
        let destination = Destination { host: "127.0.0.1".to_owned(), port, tls: false };
        config.destinations.insert("SCANNER1".to_owned(), destination);
    });
    // The same transaction twice is one report.
    for _ in 0..2 {
        let mut peer = receiver.associate();
        assert_eq!(peer.store("1.2.9", &image("1.2.9", 10)), 0);
        peer.send(&action_rq(&asking("1.9.9", &[(MR, "1.2.9")])));
        assert_eq!(peer.status(), 0);
        peer.release();
    }
    receiver.eventually("due", || receiver.store.commitments_due().unwrap() == [1]);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let mut peer = Peer(requester.accept().unwrap().0);
            let (kind, body) = peer.pdu();
            let asked = read_pdu(&raw_pdu(kind, &body)[..], pdu::MAX_ASSOCIATE, true).unwrap();
            let Some(Pdu::AssociationRQ(asked)) = asked else { panic!("{asked:?}") };
            assert_eq!((&*asked.calling_ae_title, &*asked.called_ae_title), ("PRIMA", "SCANNER1"));
            let roles = dicom_ul::pdu::RequestorRoles { scu: false, scp: true };
            let role = dicom_ul::pdu::UserVariableItem::ScuScpRoleSelectionSubItem(
                COMMITMENT.to_owned(),
                roles,
            );
            assert!(asked.user_variables.contains(&role));
            let answer = Pdu::AssociationAC(negotiation::agree(&asked, &[], false).answer);
            let mut bytes = Vec::new();
            write_pdu(&mut bytes, &answer).unwrap();
            peer.send(&bytes);
            let (event, file) = report(&mut peer, 1);
            assert_eq!(event, 1);
            assert_eq!(items(&file, tags::REFERENCED_SOP_SEQUENCE), [("1.2.9".to_owned(), None)]);
            assert_eq!(peer.pdu().0, pdu::RELEASE_RQ);
            peer.send(&pdu::release(pdu::RELEASE_RP));
        });
        receiver.block_on(receiver.scp.deliver_due()).unwrap();
    });
    assert_eq!(receiver.store.pending_commitment(1).unwrap(), None);
    // Nothing is sent twice: this would wait for the requester.
    receiver.block_on(receiver.scp.deliver_due()).unwrap();
}

#[test]
fn reports_that_cannot_be_delivered() {
    let receiver = receiver(|_| ());
    let mut peer = receiver.associate();
    peer.send(&action_rq(&asking("1.9.9", &[(MR, "1.2.9")])));
    assert_eq!(peer.status(), 0);
    peer.release();
    receiver.eventually("due", || receiver.store.commitments_due().unwrap() == [1]);
    receiver.block_on(receiver.scp.deliver_due()).unwrap();
    let expected = "the storage commitment that \"SCANNER1\" asked for cannot be delivered yet: \
                    no address is known for AE title \"SCANNER1\"; add it to the destinations in \
                    the settings, with its host and port";
    assert_eq!(receiver.events(), [expected]);
    // It waits for its next time.
    assert_eq!(receiver.store.commitments_due().unwrap(), [0_i64; 0]);
    assert_eq!(receiver.store.pending_commitment(1).unwrap().unwrap().attempts, 1);
}

#[test]
fn requests_that_are_refused() {
    #[track_caller]
    fn check(data_set: &[u8], comment: &str) {
        let error =
            super::super::commitment::parse(data_set, uids::EXPLICIT_VR_LITTLE_ENDIAN).unwrap_err();
        assert_eq!((error.status, &*error.comment), (0x0115, comment));
    }
    check(b"", "no Transaction UID");
    check(b"\x08\0\x95\x11UI\xff\xff", "the data set cannot be read");
    check(&asking("1.9", &[]), "no Referenced SOP Sequence");
    check(&asking("", &[(MR, "1.2")]), "no Transaction UID");
    check(&asking(&"1".repeat(65), &[(MR, "1.2")]), "no Transaction UID");
    let lacks = "a reference lacks its SOP class or instance UID";
    check(&asking("1.9", &[(MR, "1.2"), (MR, "")]), lacks);
    check(&asking("1.9", &[("", "1.2")]), lacks);
}
