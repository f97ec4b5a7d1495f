//! Data sets made to break what reads them. Each is refused in words or stored, the association
//! goes on, and memory stays what it was.

use std::io::Write as _;

use flate2::Compression;
use flate2::write::DeflateEncoder;
use tests::sender::{self, MR_IMAGE, Peer, slice, text};

use super::wire::{
    COMMAND, DATA, ECHO, IMAGE, LAST_COMMAND, LAST_DATA, Reply, Wire, data, echo_command, echoed,
    pdv, store, store_command, stored,
};
use super::{Bounds, Victim};

const SMALL: Bounds = Bounds { seconds: 5, mebibytes: 16 };

/// Cannot understand (PS3.4 B.2.3).
const MALFORMED: u16 = 0xC000;
/// Data set does not match SOP class.
const MISMATCH: u16 = 0xA900;
/// Refused: out of resources.
const NO_RESOURCES: u16 = 0xA700;

const ENDLESS: u32 = u32::MAX;

/// C-STORE with the UID, then C-ECHO on the same association.
fn check(victim: &mut Victim, name: &str, sop_uid: &str, data_set: &[u8], status: u16) {
    victim.bear(name, &SMALL, |victim| {
        let mut wire = Wire::associate(victim.daemon.dicom);
        wire.send(&store(1, sop_uid, data_set)).expect("a data set that is taken");
        assert_eq!(wire.reply(), stored(1, status), "{name}");
        wire.send(&data(ECHO, LAST_COMMAND, &echo_command(2))).expect("an open association");
        assert_eq!(wire.reply(), echoed(2), "{name}");
        victim.stored += usize::from(status == 0);
    });
}

/// Explicit VR Little Endian with a length of 32 bits.
fn long(group: u16, element: u16, vr: &[u8; 2], length: u32) -> Vec<u8> {
    let [group, element] = [group, element].map(u16::to_le_bytes);
    [&group[..], &element, vr, &[0, 0], &length.to_le_bytes()].concat()
}

/// The header of an instance around `middle`, whose groups lie between 0008 and 0020.
fn around(sop_uid: &str, middle: &[u8]) -> Vec<u8> {
    let mut set = Vec::new();
    text(&mut set, 0x0008, 0x0016, "UI", MR_IMAGE);
    text(&mut set, 0x0008, 0x0018, "UI", sop_uid);
    text(&mut set, 0x0008, 0x0060, "CS", "MR");
    set.extend(middle);
    text(&mut set, 0x0020, 0x000D, "UI", "2.25.9.1");
    text(&mut set, 0x0020, 0x000E, "UI", "2.25.9.1.1");
    set
}

/// Sequences in sequences, of undefined length or measured.
fn nested(levels: usize, measured: bool) -> Vec<u8> {
    let item = |length: u32| [&[0xFE, 0xFF, 0x00, 0xE0][..], &length.to_le_bytes()].concat();
    let end = |element: u8| [0xFE, 0xFF, element, 0xE0, 0, 0, 0, 0];
    if !measured {
        let open = [long(0x0008, 0x1140, b"SQ", ENDLESS), item(ENDLESS)].concat().repeat(levels);
        let close = [end(0x0D), end(0xDD)].concat().repeat(levels);
        return [open, close].concat();
    }
    // Every level adds 12 bytes of sequence and 8 of item around those within.
    let within = |level: usize| u32::try_from(20 * level).expect("less than 4 GiB");
    let level = |rest| [long(0x0008, 0x1140, b"SQ", within(rest) + 8), item(within(rest))].concat();
    (0..levels).rev().flat_map(level).collect()
}

#[test]
fn deep_nesting() {
    let victim = &mut Victim::start("");
    for (measured, uid) in [(false, 1), (true, 2)] {
        let cases = [(60, 0), (65, MALFORMED), (1000, MALFORMED), (2000, MALFORMED)];
        for (levels, status) in cases.into_iter().chain([(10_000, MALFORMED)]) {
            let sop_uid = format!("2.25.9.{uid}.{levels}");
            let name = format!("{levels} levels, measured: {measured}");
            check(victim, &name, &sop_uid, &around(&sop_uid, &nested(levels, measured)), status);
        }
    }
}

#[test]
fn lengths_that_lie() {
    let victim = &mut Victim::start("");
    let uid = "2.25.9.3";
    let cut = |middle: &[u8]| {
        let mut set = around(uid, middle);
        set.truncate(200);
        set
    };
    let almost_4_gib = ENDLESS - 1;
    let sequence_of = |item: &[u8]| [&long(0x0008, 0x1140, b"SQ", ENDLESS), item].concat();
    for (name, set) in [
        ("text of 4 GiB", cut(&long(0x0008, 0x0119, b"UC", almost_4_gib))),
        ("an unknown element of 4 GiB", cut(&long(0x0009, 0x1010, b"UN", almost_4_gib))),
        ("a sequence of 4 GiB", cut(&long(0x0008, 0x1140, b"SQ", almost_4_gib))),
        ("an item of 4 GiB", cut(&sequence_of(b"\xFE\xFF\x00\xE0\xFE\xFF\xFF\xFF"))),
        ("a sequence without end", cut(&sequence_of(&[]))),
        ("an element without its value", around(uid, &[])[..20].to_vec()),
        ("nothing", Vec::new()),
        ("zeros", vec![0; 4096]),
        ("text", b"This is no data set. ".repeat(100)),
    ] {
        check(victim, name, uid, &set, MALFORMED);
    }
    // What is cut off behind its header is kept as it was sent; the sender may have no better.
    let cut_off = [around(uid, &[]), long(0x7FE0, 0x10, b"OW", almost_4_gib), vec![0; 8]].concat();
    check(victim, "pixels of 4 GiB", uid, &cut_off, 0);
    let mut random = sender::Random(9);
    for (round, length) in [10, 1000, 100_000, 1_000_000].into_iter().enumerate() {
        let noise: Vec<u8> = (0..length / 8).flat_map(|_| random.bits().to_le_bytes()).collect();
        check(victim, &format!("noise {round}"), uid, &noise, MALFORMED);
    }
}

/// 256 MiB of zeros in 256 kB. Whether it is stored or refused, it is not unpacked into memory.
#[test]
fn a_deflated_bomb() {
    const DEFLATED: &str = "1.2.840.10008.1.2.1.99";
    let victim = &mut Victim::start("");
    let uid = "2.25.9.4";
    let mut deflate = DeflateEncoder::new(Vec::new(), Compression::best());
    let pixels = long(0x7FE0, 0x0010, b"OW", 256 << 20);
    deflate.write_all(&[around(uid, &[]), pixels].concat()).expect("memory");
    for _ in 0..256 {
        deflate.write_all(&vec![0; 1 << 20]).expect("memory");
    }
    let bomb = deflate.finish().expect("memory");
    let bounds = Bounds { seconds: 10, mebibytes: 16 };
    victim.bear("a deflated bomb", &bounds, |victim| {
        let mut peer = Peer::new(victim.daemon.dicom);
        peer.contexts = vec![(MR_IMAGE.into(), DEFLATED.into())];
        let mut wire = Wire::connect(victim.daemon.dicom);
        wire.send(&sender::request(&peer)).expect("room for a request");
        assert_eq!(wire.reply(), Reply::Accepted(1));
        wire.send(&store(1, uid, &bomb)).expect("a data set that is taken");
        match wire.reply() {
            Reply::Answer(0x8001, 1, 0) => victim.stored += 1,
            reply => assert_eq!(reply, stored(1, MALFORMED)),
        }
    });
}

/// Streams an instance of 400 MB; then its end, if a status is expected, or nothing more.
fn endless(victim: &mut Victim, name: &str, last: Option<u16>) {
    const TOTAL: usize = 400_000_000;
    let header = around("2.25.9.5", &[]);
    let begun = [
        data(IMAGE, LAST_COMMAND, &store_command(1, b"2.25.9.5")),
        data(IMAGE, DATA, &[header, long(0x7FE0, 0x0010, b"OW", ENDLESS - 1)].concat()),
    ]
    .concat();
    victim.bear(name, &Bounds { seconds: 30, mebibytes: 16 }, |victim| {
        let mut wire = Wire::associate(victim.daemon.dicom);
        wire.send(&begun).expect("room for a header");
        let taken = wire.pour(&data(IMAGE, DATA, &vec![0x5A; 60_000]), TOTAL);
        assert!(taken > TOTAL - 100_000, "{taken} bytes taken");
        if let Some(status) = last {
            wire.send(&data(IMAGE, LAST_DATA, &[])).expect("an open association");
            assert_eq!(wire.reply(), stored(1, status));
        }
    });
}

#[test]
fn an_endless_data_set() {
    let victim = &mut Victim::start("dicom.max_instance_mib = 4\n");
    endless(victim, "400 MB beyond the cap", Some(NO_RESOURCES));
    endless(victim, "400 MB beyond the cap without end", None);
    let held: u64 = super::files_below(&victim.launch.data().join("archive"))
        .iter()
        .filter_map(|file| file.metadata().ok())
        .map(|metadata| metadata.len())
        .sum();
    assert!(held < 8 << 20, "{held} bytes are left on the disk");

    let victim = &mut Victim::start("");
    endless(victim, "400 MB within the default cap without end", None);
    victim.stored += 1;
    endless(victim, "400 MB within the default cap", Some(0));
}

/// Refused at the header, before memory is taken. What follows is read for a moment and dropped,
/// so that the abort is not lost in a reset (PS3.8 9.2, Sta13).
#[test]
fn a_pdu_of_4_gib() {
    let victim = &mut Victim::start("");
    for (name, head) in [
        ("P-DATA of 4 GiB", [4, 0, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFA, IMAGE, 0]),
        ("P-DATA of 256 MiB", [4, 0, 0x10, 0, 0, 0, 0x0F, 0xFF, 0xFF, 0xFC, IMAGE, 0]),
    ] {
        victim.bear(name, &Bounds { seconds: 5, mebibytes: 8 }, |victim| {
            let mut wire = Wire::associate(victim.daemon.dicom);
            wire.send(&data(IMAGE, LAST_COMMAND, &store_command(1, b"2.25.9.6"))).expect("room");
            wire.send(&head).expect("room for a header");
            assert_eq!(wire.reply(), Reply::Aborted);
            wire.pour(&vec![0x5A; 60_000], 400_000_000);
        });
    }
}

/// UIDs that are paths, or no UIDs. They never reach the file system, accepted or not.
#[test]
fn uids_that_are_paths() {
    let victim = &mut Victim::start("");
    let long_uid = "1".repeat(300);
    for uid in ["../../evil", "/evil", "..", ".", "1.2/../../3", "1.2\\..\\3", "1\0.2", &long_uid] {
        check(
            victim,
            &format!("instance {uid:.20?}"),
            uid,
            &identity(MR_IMAGE, uid, "2.25.9.7"),
            MALFORMED,
        );
    }
    for (number, study) in ["../../evil", "/evil", "..", "1\0.2", &long_uid].into_iter().enumerate()
    {
        let uid = format!("2.25.9.8.{number}");
        let set = identity(MR_IMAGE, &uid, study);
        check(victim, &format!("study {study:.20?}"), &uid, &set, MALFORMED);
    }
}

/// A data set of nothing but UIDs.
fn identity(sop_class: &str, sop_uid: &str, study_uid: &str) -> Vec<u8> {
    let mut set = Vec::new();
    text(&mut set, 0x0008, 0x0016, "UI", sop_class);
    text(&mut set, 0x0008, 0x0018, "UI", sop_uid);
    text(&mut set, 0x0020, 0x000D, "UI", study_uid);
    text(&mut set, 0x0020, 0x000E, "UI", "2.25.9.7.1");
    set
}

#[test]
fn data_sets_that_are_not_what_was_announced() {
    let victim = &mut Victim::start("");
    let set = |sop_class| identity(sop_class, "2.25.9.9", "2.25.9");
    check(victim, "another instance", "2.25.9.10", &set(MR_IMAGE), MISMATCH);
    let ct_image = "1.2.840.10008.5.1.4.1.1.2";
    check(victim, "another class", "2.25.9.9", &set(ct_image), MISMATCH);
    check(victim, "as announced", "2.25.9.9", &set(MR_IMAGE), 0);
}

/// The first content stays, another is acknowledged and kept aside, and again costs nothing.
#[test]
fn the_same_uid_with_other_content() {
    let victim = &mut Victim::start("");
    let uid = "2.25.9.11";
    let first = identity(MR_IMAGE, uid, "2.25.9");
    let mut second = first.clone();
    text(&mut second, 0x0020, 0x4000, "LT", "other");
    check(victim, "the first", uid, &first, 0);
    for (name, set, aside) in
        [("the first again", &first, 0), ("another", &second, 1), ("another again", &second, 1)]
    {
        victim.bear(name, &SMALL, |victim| {
            let mut wire = Wire::associate(victim.daemon.dicom);
            wire.send(&store(1, uid, set)).expect("a data set that is taken");
            assert_eq!(wire.reply(), stored(1, 0), "{name}");
            assert_eq!(victim.quarantined(), aside, "{name}");
        });
    }
    let studies = super::files_below(&victim.launch.data().join("archive/studies"));
    let contents: Vec<Vec<u8>> =
        studies.iter().map(|path| std::fs::read(path).expect("a stored file")).collect();
    let ends_with = |end: &[u8]| contents.iter().filter(|content| content.ends_with(end)).count();
    assert_eq!((ends_with(&first), ends_with(&second)), (1, 0));
}

/// Command and data in fragments of one byte: 80,000 PDVs for a slice.
#[test]
fn an_instance_in_fragments_of_a_byte() {
    let victim = &mut Victim::start("");
    let slice = slice(9, 2, 1, 1, 64);
    let one_by_one = |bytes: &[u8], more: u8, last: u8| -> Vec<u8> {
        let (end, rest) = bytes.split_last().expect("some bytes");
        let mut pdus: Vec<u8> = rest.iter().flat_map(|byte| data(IMAGE, more, &[*byte])).collect();
        pdus.extend(sender::pdu(4, &pdv(IMAGE, last, &[*end])));
        pdus
    };
    let command = store_command(3, slice.sop_uid.as_bytes());
    victim.stored += 1;
    victim.bear("fragments of a byte", &SMALL, |victim| {
        let mut wire = Wire::associate(victim.daemon.dicom);
        wire.send(&one_by_one(&command, COMMAND, LAST_COMMAND)).expect("room");
        wire.send(&one_by_one(&slice.data_set, DATA, LAST_DATA)).expect("room");
        assert_eq!(wire.reply(), stored(3, 0));
    });
}
