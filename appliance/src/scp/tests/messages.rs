//! Messages: what is answered, what is refused, and what ends an association.

use super::*;

/// The message ids of responses, and that each is a response to C-ECHO.
#[track_caller]
fn echoes(bytes: &[u8], ids: &[u16]) {
    let receiver = receiver(|_| ());
    let mut peer = receiver.associate();
    peer.send(bytes);
    for &id in ids {
        let (context, answer) = peer.command();
        let expected = Command {
            field: field::C_ECHO_RQ | field::RESPONSE,
            message_id: id,
            sop_class: uids::VERIFICATION.to_owned(),
            ..Command::default()
        };
        assert_eq!((context, answer), (3, expected));
    }
    peer.release();
    assert_eq!(receiver.scp.snapshot().broken, 0);
}

#[test]
fn echo() {
    let command = echo_rq(77);
    let (head, tail) = command.split_at(33);
    echoes(&p_data(&[(3, 3, &command)]), &[77]);
    // Split over data values, PDUs, and with empty pieces.
    echoes(&p_data(&[(3, 1, head), (3, 3, tail)]), &[77]);
    echoes(&[p_data(&[(3, 1, head)]), p_data(&[(3, 3, tail)])].concat(), &[77]);
    echoes(&p_data(&[(3, 1, &[]), (3, 1, &command), (3, 3, &[])]), &[77]);
    // Reserved bits of the control byte are not looked at.
    echoes(&p_data(&[(3, 0xFF, &command)]), &[77]);
    echoes(&p_data(&[(3, 3, &command), (3, 3, &echo_rq(78))]), &[77, 78]);
    // A data set that an echo should not have is read and dropped.
    let odd = super::command(field::C_ECHO_RQ, 5, uids::VERIFICATION, "", WITH_DATA_SET);
    echoes(&p_data(&[(3, 3, &odd), (3, 0, b"x"), (3, 2, b"y"), (3, 3, &echo_rq(6))]), &[5, 6]);
    // Cancelling what is not under way, and answers that nobody asked for, are not answered.
    let cancel = super::command(field::C_CANCEL_RQ, 9, "", "", NO_DATA_SET);
    let stray = super::command(field::N_EVENT_REPORT_RSP, 9, "", "", NO_DATA_SET);
    echoes(&p_data(&[(3, 3, &cancel), (5, 3, &stray), (3, 3, &echo_rq(10))]), &[10]);
}

#[test]
fn images_arrive_as_sent() {
    /// `cut` makes P-DATA PDUs of a command and a data set.
    #[track_caller]
    fn check(pixels: usize, cut: impl FnOnce(&[u8], &[u8]) -> Vec<u8>) {
        let receiver = receiver(|_| ());
        let mut peer = receiver.associate();
        let data_set = image("1.2.3.4.5", pixels);
        peer.send(&cut(&store_rq(0xBEEF, MR, "1.2.3.4.5"), &data_set));
        let (context, answer) = peer.command();
        let expected = Command {
            field: field::C_STORE_RQ | field::RESPONSE,
            message_id: 0xBEEF,
            sop_class: MR.to_owned(),
            sop_instance: "1.2.3.4.5".to_owned(),
            ..Command::default()
        };
        assert_eq!((context, answer), (1, expected));
        assert_eq!(receiver.stored("1.2.3.4.5").unwrap(), data_set);
        peer.release();
        let snapshot = receiver.scp.snapshot();
        assert_eq!((snapshot.stored, snapshot.bytes), (1, data_set.len() as u64));
        let source = snapshot.sources["SCANNER1"];
        assert!(source.stored == 1 && source.refused == 0 && source.last_at > 0);
        assert_eq!(receiver.files("incoming"), [""; 0].map(PathBuf::from));
    }
    let in_pdus = |size: usize| {
        move |command: &[u8], data: &[u8]| {
            let mut bytes = p_data(&[(1, 3, command)]);
            bytes.extend(fragments(data, size).iter().flat_map(|f| p_data(&[*f])));
            bytes
        }
    };
    check(1000, |command, data| p_data(&[(1, 3, command), (1, 2, data)]));
    check(1000, |command, data| p_data(&[(1, 3, command), (1, 0, data), (1, 2, &[])]));
    check(1000, |command, data| {
        let values = [&[(1, 3, command)][..], &fragments(data, 7)].concat();
        p_data(&values)
    });
    check(100_000, in_pdus(131_066));
    check(100_000, in_pdus(333));
    // Larger than the buffer, so that it is written in several steps.
    check(2_000_000, in_pdus(131_066));
}

#[test]
fn refused_messages_leave_the_association_usable() {
    #[track_caller]
    fn check(bytes: &[u8], expected: u16) {
        let receiver = receiver(|_| ());
        let mut peer = receiver.associate();
        peer.send(bytes);
        assert_eq!(format!("{:04X}", peer.status()), format!("{expected:04X}"));
        assert_eq!(peer.store("1.2.3.4.5", &image("1.2.3.4.5", 10)), 0);
        peer.release();
        assert_eq!(receiver.files("incoming"), [""; 0].map(PathBuf::from));
        let note = format!("was refused with {expected:04X}H");
        assert!(receiver.events().iter().any(|e| e.contains(&note)), "{:?}", receiver.events());
    }
    let store = |class: &str, uid: &str, data: &[u8]| {
        let mut bytes = p_data(&[(1, 3, &store_rq(1, class, uid))]);
        bytes.extend(fragments(data, 100_000).iter().flat_map(|f| p_data(&[*f])));
        bytes
    };
    let good = image("1.2.9", 10);
    check(&store(MR, "1.2.8", &good), 0xA900);
    check(&store(MR, "1.2.9", &good[..good.len() / 2]), 0xC000);
    check(&store(MR, "1.2.9", &[0xA5; 5000]), 0xC000);
    check(&store(MR, "../../evil", &image("../../evil", 10)), 0xC000);
    check(&store(MR, "", &good), 0xC000);
    check(&store(uids::CT_IMAGE_STORAGE, "1.2.9", &good), 0x0122);
    // Over the archive's limit of 4 MiB, in the middle of the data set.
    check(&store(MR, "1.2.9", &image("1.2.9", 9 << 20)), 0xA700);
    let none = command(field::C_STORE_RQ, 1, MR, "1.2.9", NO_DATA_SET);
    check(&p_data(&[(1, 3, &none)]), 0xC000);
    let find = command(0x0020, 1, MR, "", WITH_DATA_SET);
    check(&p_data(&[(1, 3, &find), (1, 0, b"x"), (1, 2, b"")]), 0x0211);
    check(&p_data(&[(1, 3, &command(0x7777, 1, "", "", NO_DATA_SET))]), 0x0211);
    let action = command(field::N_ACTION_RQ, 1, MR, "1.2", WITH_DATA_SET);
    check(&p_data(&[(1, 3, &action), (1, 2, b"x")]), 0x0122);
    let echo_as_image = store_rq(1, uids::VERIFICATION, "1.2.9");
    check(&p_data(&[(3, 3, &echo_as_image), (3, 2, b"x")]), 0x0122);
}

#[test]
fn a_full_disk_refuses_images_and_nothing_else() {
    let receiver = receiver(|_| ());
    let mut peer = receiver.associate();
    receiver.archive.set_full(true);
    assert_eq!(peer.store("1.2.9", &image("1.2.9", 10)), 0xA700);
    peer.send(&p_data(&[(3, 3, &echo_rq(1))]));
    assert_eq!(peer.status(), 0);
    receiver.archive.set_full(false);
    assert_eq!(peer.store("1.2.9", &image("1.2.9", 10)), 0);
    peer.release();
    let snapshot = receiver.scp.snapshot();
    assert_eq!((snapshot.stored, snapshot.refused), (1, 1));
    let expected =
        "\"SCANNER1\" (127.0.0.1) was refused with A700H: disk full, keep the images".to_owned();
    assert_eq!(receiver.events(), [expected]);
}

#[test]
fn what_breaks_the_protocol_is_aborted() {
    #[track_caller]
    fn check(bytes: &[u8], reason: AbortReason, event: &str) {
        let receiver = receiver(|_| ());
        let mut peer = receiver.associate();
        assert_eq!(peer.store("1.2.3.4.5", &image("1.2.3.4.5", 10)), 0);
        peer.send(bytes);
        assert_eq!(peer.aborted(), reason as u8);
        let expected =
            format!("an association of \"SCANNER1\" (127.0.0.1) broke: protocol error: {event}");
        assert_eq!(receiver.events(), [expected]);
        // What was acknowledged stays, what was begun goes.
        assert!(receiver.stored("1.2.3.4.5").is_some());
        assert_eq!(receiver.files("incoming"), [""; 0].map(PathBuf::from));
    }
    use pdu::AbortReason;
    use pdu::AbortReason::{InvalidParameter, UnexpectedParameter, UnexpectedPdu, UnrecognizedPdu};
    let store = store_rq(1, MR, "1.2.9");
    let not_accepted = |id| format!("presentation context {id} was not accepted");
    check(&p_data(&[(7, 3, &store)]), InvalidParameter, &not_accepted(7));
    check(&p_data(&[(99, 3, &store)]), InvalidParameter, &not_accepted(99));
    let what = "a data set without a command";
    check(&p_data(&[(1, 2, b"x")]), UnexpectedParameter, what);
    check(&p_data(&[(1, 1, b"x"), (1, 2, b"x")]), UnexpectedParameter, what);
    let what = "a data set on another context than its command";
    check(&p_data(&[(1, 3, &store), (3, 2, b"x")]), UnexpectedParameter, what);
    let what = "a command inside a data set";
    check(&p_data(&[(1, 3, &store), (1, 0, b"x"), (1, 3, &store)]), UnexpectedParameter, what);
    let what = "a command changes its context";
    check(&p_data(&[(1, 1, b"x"), (3, 3, b"x")]), UnexpectedParameter, what);
    let what = "the command lacks element (0000,0100)";
    check(&p_data(&[(1, 3, b"")]), InvalidParameter, what);
    let what = "element (0000,4242) of the command is cut off";
    check(&p_data(&[(1, 3, b"\0\0BB\xff\xff\xff\xff")]), InvalidParameter, what);
    check(&p_data(&[(1, 1, &[0; 66_000])]), InvalidParameter, "a command of over 64 KiB");
    let what = "a presentation data value does not fit its P-DATA PDU";
    check(&p_data(&[]), InvalidParameter, what);
    check(&raw_pdu(4, &[0, 0, 0, 9, 1, 3]), InvalidParameter, what);
    let what = "PDU of type 4 with 131073 bytes, the limit is 131072";
    check(&[4, 0, 0, 2, 0, 1], InvalidParameter, what);
    let what = "PDU of type 4 with 4294967295 bytes, the limit is 131072";
    check(
        &[&p_data(&[(1, 3, &store)]), &[4, 0, 255, 255, 255, 255][..]].concat(),
        InvalidParameter,
        what,
    );
    let what = "PDU of type 5 in the middle of an association";
    let release = pdu::release(pdu::RELEASE_RQ);
    check(&[&p_data(&[(1, 3, &store), (1, 0, b"x")]), &release[..]].concat(), UnexpectedPdu, what);
    let what = "PDU of type 1 in the middle of an association";
    check(&request("SCANNER1", "PRIMA"), UnexpectedPdu, what);
    check(&raw_pdu(0x42, b"abcd"), UnrecognizedPdu, "PDU of unknown type 66");
}

#[test]
fn what_is_no_association_request_is_aborted() {
    #[track_caller]
    fn check(bytes: &[u8], reason: AbortReason, event: &str) {
        let receiver = receiver(|_| ());
        let mut peer = Peer::connect(receiver.address());
        peer.send(bytes);
        assert_eq!(peer.aborted(), reason as u8);
        let expected = format!("a connection of 127.0.0.1 broke: protocol error: {event}");
        receiver.eventually("event", || receiver.events() == [expected.as_str()]);
    }
    use pdu::AbortReason;
    use pdu::AbortReason::{InvalidParameter, UnexpectedPdu};
    let echo = p_data(&[(1, 3, &echo_rq(1))]);
    check(&echo, UnexpectedPdu, "PDU of type 4 before an association");
    check(
        b"GET / HTTP/1.1\r\n\r\n",
        InvalidParameter,
        "PDU of type 71 with 1411395360 bytes, the limit is 1024",
    );
    let what = "PDU of type 1 with 524289 bytes, the limit is 524288";
    check(&[1, 0, 0, 8, 0, 1], InvalidParameter, what);
    let unreadable = "an association request that cannot be read";
    check(&raw_pdu(1, &[0; 80]), InvalidParameter, unreadable);
    let whole = request("SCANNER1", "PRIMA");
    check(&raw_pdu(1, &whole[6..whole.len() - 3]), InvalidParameter, unreadable);
}

#[test]
fn a_lost_connection_keeps_what_was_acknowledged() {
    let receiver = receiver(|_| ());
    let mut peer = receiver.associate();
    assert_eq!(peer.store("1.2.9", &image("1.2.9", 10)), 0);
    // More than a buffer of the next one, so that a file of it is open.
    let data_set = image("1.2.10", 2_000_000);
    let mut bytes = p_data(&[(1, 3, &store_rq(2, MR, "1.2.10"))]);
    let pieces = fragments(&data_set, 100_000);
    bytes.extend(pieces[..15].iter().flat_map(|f| p_data(&[*f])));
    peer.send(&bytes);
    receiver.eventually("file", || receiver.files("incoming").len() == 1);
    drop(peer);
    receiver.eventually("end", || receiver.scp.snapshot().open == 0);
    assert_eq!(receiver.files("incoming"), [""; 0].map(PathBuf::from));
    assert!(receiver.stored("1.2.9").is_some());
    assert!(receiver.stored("1.2.10").is_none());
}

#[test]
fn a_huge_request_is_answered() {
    let receiver = receiver(|_| ());
    let mut peer = Peer::connect(receiver.address());
    let transfer_syntaxes: Vec<String> =
        (0..60).map(|at| format!("1.2.840.10008.1.2.4.{}.{:032}", 50, at)).collect();
    let contexts = (0..128).map(|at| PresentationContextProposed {
        id: 2 * at + 1,
        abstract_syntax: MR.to_owned(),
        transfer_syntaxes: transfer_syntaxes.clone(),
    });
    let request = Pdu::AssociationRQ(AssociationRQ {
        protocol_version: 1,
        calling_ae_title: "SCANNER1".to_owned(),
        called_ae_title: "PRIMA".to_owned(),
        application_context_name: access::APPLICATION_CONTEXT.to_owned(),
        presentation_contexts: contexts.collect(),
        user_variables: Vec::new(),
    });
    let mut bytes = Vec::new();
    write_pdu(&mut bytes, &request).unwrap();
    assert!(bytes.len() > 400_000);
    peer.send(&bytes);
    let (kind, body) = peer.pdu();
    let answer = read_pdu(&raw_pdu(kind, &body)[..], pdu::MAX_ASSOCIATE, true).unwrap();
    let Some(Pdu::AssociationAC(answer)) = answer else { panic!("{answer:?}") };
    assert_eq!(answer.presentation_contexts.len(), 128);
    peer.release();
}
