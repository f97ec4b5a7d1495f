//! Upper layer and DIMSE: unusual but legal is served, illegal ends the association, and neither
//! leaves anything behind.

use tests::sender::{self, EXPLICIT_LE, IMPLICIT_LE, MR_IMAGE, Peer, Random, VERIFICATION, slice};

use super::wire::{
    COMMAND, DATA, ECHO, IMAGE, LAST_COMMAND, LAST_DATA, Reply, Wire, data, echo_command, echoed,
    pdv, request, store, store_command, stored,
};
use super::{Bounds, Victim};

/// Costs next to nothing.
const CHEAP: Bounds = Bounds { seconds: 2, mebibytes: 8 };

const ABORTED: &[Reply] = &[Reply::Aborted];

/// What an association answers to the bytes.
fn check(victim: &mut Victim, name: &str, bytes: &[u8], expected: &[Reply]) {
    victim.bear(name, &CHEAP, |victim| {
        let mut wire = Wire::associate(victim.daemon.dicom);
        wire.send(bytes).expect("room for a few PDUs");
        let replies: Vec<Reply> = expected.iter().map(|_| wire.reply()).collect();
        assert_eq!(replies, expected, "{name}");
    });
}

fn echo(message: u16) -> Vec<u8> {
    data(ECHO, LAST_COMMAND, &echo_command(message))
}

#[test]
fn unusual_but_legal() {
    let victim = &mut Victim::start("");
    let command = echo_command(77);
    let (first, rest) = command.split_at(command.len() / 2);
    let cut = |at: fn(u8, u8, &[u8]) -> Vec<u8>| {
        [at(ECHO, COMMAND, first), at(ECHO, LAST_COMMAND, rest)].concat()
    };
    check(victim, "C-ECHO", &echo(77), &[echoed(77)]);
    check(victim, "message 0", &echo(0), &[echoed(0)]);
    check(victim, "message 65535", &echo(65535), &[echoed(65535)]);
    check(victim, "a command in two PDUs", &cut(data), &[echoed(77)]);
    check(victim, "a command in two PDVs", &sender::pdu(4, &cut(pdv)), &[echoed(77)]);
    let bytewise: Vec<u8> = command.iter().flat_map(|byte| data(ECHO, COMMAND, &[*byte])).collect();
    let bytewise = [bytewise, data(ECHO, LAST_COMMAND, &[])].concat();
    check(victim, "a command byte by byte, the last fragment empty", &bytewise, &[echoed(77)]);
    let empty = [data(ECHO, COMMAND, &[]), echo(5)].concat();
    check(victim, "an empty fragment first", &empty, &[echoed(5)]);
    let three = [echo(1), echo(2), echo(3)].concat();
    check(victim, "three requests at once", &three, &[echoed(1), echoed(2), echoed(3)]);
    let cancel = [data(ECHO, LAST_COMMAND, &request(0x0FFF, "", 9, 0x0101, &[])), echo(9)].concat();
    check(victim, "C-CANCEL of nothing", &cancel, &[echoed(9)]);
    let release = [echo(4), sender::pdu(5, &[0; 4])].concat();
    check(victim, "release", &release, &[echoed(4), Reply::Released, Reply::Closed]);
}

#[test]
fn fragments_of_an_instance() {
    let victim = &mut Victim::start("");
    let slice = slice(2, 1, 1, 1, 64);
    let command = store_command(7, slice.sop_uid.as_bytes());
    let (first, rest) = slice.data_set.split_at(1001);
    let one_pdu = sender::pdu(
        4,
        &[
            pdv(IMAGE, LAST_COMMAND, &command),
            pdv(IMAGE, DATA, first),
            pdv(IMAGE, DATA, &[]),
            pdv(IMAGE, DATA, rest),
            pdv(IMAGE, LAST_DATA, &[]),
        ]
        .concat(),
    );
    victim.stored += 1;
    check(victim, "command and data in one PDU", &one_pdu, &[stored(7, 0)]);
    let interleaved = [
        data(IMAGE, LAST_COMMAND, &command),
        data(IMAGE, DATA, first),
        data(ECHO, LAST_COMMAND, &echo_command(8)),
    ];
    check(victim, "a command within a data set", &interleaved.concat(), ABORTED);
}

#[test]
fn illegal() {
    let victim = &mut Victim::start("");
    let body = |length: u32| sender::pdu(4, &[&length.to_be_bytes()[..], &[ECHO, 3]].concat());
    check(victim, "a PDV of length 0", &body(0), ABORTED);
    check(victim, "a PDV of length 1", &body(1), ABORTED);
    check(victim, "a PDV longer than its PDU", &body(3), ABORTED);
    check(victim, "a PDV of 4 GiB", &body(u32::MAX), ABORTED);
    check(victim, "an unknown context", &data(99, LAST_COMMAND, &echo_command(1)), ABORTED);
    check(victim, "an even context", &data(2, LAST_COMMAND, &echo_command(1)), ABORTED);
    check(victim, "data without a command", &data(IMAGE, LAST_DATA, b"data"), ABORTED);
    check(victim, "an unknown PDU", &sender::pdu(0x42, b"hello"), ABORTED);
    check(victim, "an answer as a request", &sender::pdu(2, &[0; 68]), ABORTED);
    let again = sender::request(&Peer::new(victim.daemon.dicom));
    check(victim, "a second association", &again, ABORTED);
    check(victim, "a command that is none", &data(ECHO, LAST_COMMAND, &[0xFF; 64]), ABORTED);
    let mut cut = echo_command(1);
    cut.truncate(cut.len() - 1);
    check(victim, "a command cut short", &data(ECHO, LAST_COMMAND, &cut), ABORTED);
    check(victim, "an empty command", &data(ECHO, LAST_COMMAND, &[]), ABORTED);
    let endless = data(ECHO, COMMAND, &[0; 1 << 14]).repeat(64);
    victim.bear("a command of 1 MiB", &CHEAP, |victim| {
        let mut wire = Wire::associate(victim.daemon.dicom);
        // The daemon may hang up before it has taken all.
        drop(wire.send(&endless));
        assert!(wire.reply().is_end());
    });
    let unknown = data(ECHO, LAST_COMMAND, &request(0x0999, VERIFICATION, 6, 0x0101, &[]));
    check(victim, "an unknown command", &unknown, &[Reply::Answer(0x8999, 6, 0x0211)]);
    let find = data(IMAGE, LAST_COMMAND, &request(0x0020, MR_IMAGE, 6, 0x0101, &[]));
    check(victim, "a service we lack", &find, &[Reply::Answer(0x8020, 6, 0x0211)]);
}

#[test]
fn left_in_the_middle() {
    let victim = &mut Victim::start("");
    let slice = slice(3, 1, 1, 1, 64);
    let begun = [
        data(IMAGE, LAST_COMMAND, &store_command(1, slice.sop_uid.as_bytes())),
        data(IMAGE, DATA, &slice.data_set),
    ]
    .concat();
    let release = [begun.clone(), sender::pdu(5, &[0; 4])].concat();
    check(victim, "release within a data set", &release, ABORTED);
    let abort = [begun.clone(), sender::pdu(7, &[0; 4])].concat();
    check(victim, "abort within a data set", &abort, &[Reply::Closed]);
    victim.bear("half-closed within a data set", &CHEAP, |victim| {
        let mut wire = Wire::associate(victim.daemon.dicom);
        wire.send(&begun).expect("room for a slice");
        wire.half_close();
        assert!(wire.reply().is_end());
    });
    victim.bear("lost within a data set", &CHEAP, |victim| {
        let mut wire = Wire::associate(victim.daemon.dicom);
        wire.send(&begun).expect("room for a slice");
    });
    victim.bear("half-closed between messages", &CHEAP, |victim| {
        let mut wire = Wire::associate(victim.daemon.dicom);
        wire.half_close();
        assert!(wire.reply().is_end());
    });
    // What was sent whole is kept, and its answer has a way back.
    victim.stored += 1;
    victim.bear("half-closed after a data set", &CHEAP, |victim| {
        let mut wire = Wire::associate(victim.daemon.dicom);
        wire.send(&store(2, &slice.sop_uid, &slice.data_set)).expect("room for a slice");
        wire.half_close();
        assert_eq!(wire.reply(), stored(2, 0));
        assert!(wire.reply().is_end());
    });
}

/// Before the association: what is no request is not answered, or with an abort.
#[test]
fn garbage_instead_of_an_association() {
    let victim = &mut Victim::start("");
    let web = b"GET / HTTP/1.1\r\nHost: example.org\r\n\r\n".to_vec();
    // The head of a ClientHello of TLS 1.2.
    let tls = [&[0x16, 3, 1, 2, 0, 1, 0, 1, 0xFC, 3, 3][..], &[7; 505]].concat();
    let mut random = Random(5);
    let noise: Vec<u8> = (0..10_000).flat_map(|_| random.bits().to_le_bytes()).collect();
    let short = sender::pdu(1, &[0, 1, 0, 0]);
    let deep = sender::pdu(1, &[[0; 68].as_slice(), &[0x20, 0, 0xFF, 0xFF]].concat());
    for (name, bytes) in [
        ("HTTP", web),
        ("TLS to the plain port", tls),
        ("noise", noise),
        ("a request of 4 bytes", short),
        ("an item longer than its request", deep),
        ("a request that says 4 GiB", vec![1, 0, 0xFF, 0xFF, 0xFF, 0xFF]),
        ("data without an association", data(ECHO, LAST_COMMAND, &echo_command(1))),
        ("release without an association", sender::pdu(5, &[0; 4])),
    ] {
        victim.bear(name, &CHEAP, |victim| {
            let mut wire = Wire::connect(victim.daemon.dicom);
            drop(wire.send(&bytes));
            let reply = wire.reply();
            assert!(reply.is_end(), "{name}: {reply:?}");
        });
    }
}

/// Some modalities propose all they know: 128 contexts of 30 transfer syntaxes are 90 kB.
#[test]
fn a_request_of_128_contexts_with_30_syntaxes() {
    let victim = &mut Victim::start("");
    let item = |kind: u8, value: &[u8]| {
        let length = u16::try_from(value.len()).expect("a short item").to_be_bytes();
        [&[kind, 0][..], &length, value].concat()
    };
    let mut syntaxes = item(0x40, EXPLICIT_LE.as_bytes());
    syntaxes.extend((0..29).flat_map(|n| item(0x40, format!("{IMPLICIT_LE}.99.{n}").as_bytes())));
    let context = |id: u8| {
        let class = item(0x30, MR_IMAGE.as_bytes());
        item(0x20, &[&[id, 0, 0, 0][..], &class, &syntaxes].concat())
    };
    let mut body = vec![0, 1, 0, 0];
    body.extend(format!("{:16}{:16}", "PRIMA", "SCANNER").bytes());
    body.extend([0; 32]);
    body.extend(item(0x10, b"1.2.840.10008.3.1.1.1"));
    body.extend((0..128).flat_map(|n| context(2 * n + 1)));
    body.extend(item(0x50, &item(0x51, &(1_u32 << 16).to_be_bytes())));
    victim.bear("128 contexts", &CHEAP, |victim| {
        let mut wire = Wire::connect(victim.daemon.dicom);
        wire.send(&sender::pdu(1, &body)).expect("room for a request");
        assert_eq!(wire.reply(), Reply::Accepted(128));
        let slice = slice(4, 1, 1, 1, 16);
        wire.send(&data(255, LAST_COMMAND, &store_command(1, slice.sop_uid.as_bytes())))
            .and_then(|()| wire.send(&data(255, LAST_DATA, &slice.data_set)))
            .expect("room for a slice");
        assert_eq!(wire.reply(), stored(1, 0));
        victim.stored += 1;
    });
}
