use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use dicom_core::Tag;
use dicom_dictionary_std::{tags, uids};
use tempfile::TempDir;

use super::*;
use crate::clock::ManualClock;
use crate::fault::chain;
use crate::hex;
use layout::{file_name, folder_name};
use sha2::{Digest as _, Sha256};

/// An element in explicit VR little endian.
fn element(tag: Tag, vr: &str, value: &[u8]) -> Vec<u8> {
    let mut bytes = [tag.0.to_le_bytes(), tag.1.to_le_bytes()].concat();
    bytes.extend(vr.as_bytes());
    let padded = value.len() + value.len() % 2;
    if matches!(vr, "OB" | "OW" | "UN" | "SQ") {
        bytes.extend([0, 0]);
        bytes.extend(u32::try_from(padded).unwrap().to_le_bytes());
    } else {
        bytes.extend(u16::try_from(padded).unwrap().to_le_bytes());
    }
    bytes.extend(value);
    bytes.resize(bytes.len() + value.len() % 2, if vr == "UI" { 0 } else { b' ' });
    bytes
}

/// Bytes of the pixel data element.
const PIXELS: usize = 524;

/// A small MR image: study, instance, and something that tells contents apart.
pub(crate) fn image(study: &str, sop: &str, content: &str) -> Vec<u8> {
    [
        element(tags::SOP_CLASS_UID, "UI", uids::MR_IMAGE_STORAGE.as_bytes()),
        element(tags::SOP_INSTANCE_UID, "UI", sop.as_bytes()),
        element(tags::MODALITY, "CS", b"MR"),
        element(tags::PATIENT_NAME, "PN", b"Doe^Jane^^"),
        element(tags::STUDY_INSTANCE_UID, "UI", study.as_bytes()),
        element(tags::SERIES_INSTANCE_UID, "UI", format!("{study}.1").as_bytes()),
        element(tags::IMAGE_COMMENTS, "LT", content.as_bytes()),
        element(tags::PIXEL_DATA, "OW", &[7; PIXELS - 12]),
    ]
    .concat()
}

pub(crate) fn offer(sop: &str) -> Offer {
    Offer {
        sop_class: uids::MR_IMAGE_STORAGE.to_owned(),
        sop_uid: sop.to_owned(),
        transfer_syntax: uids::EXPLICIT_VR_LITTLE_ENDIAN.to_owned(),
        source: "scp SCANNER1".to_owned(),
        source_ae: "SCANNER1".to_owned(),
    }
}

/// An archive in a folder of its own.
pub(crate) struct Bed {
    pub(crate) folder: TempDir,
    pub(crate) archive: Archive,
}

impl Bed {
    pub(crate) fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let archive = open(folder.path(), "index.sqlite");
        Self { folder, archive }
    }

    fn path(&self, study: &str, sop: &str) -> PathBuf {
        self.archive.root().join(format!("studies/{}/{}", folder_name(study), file_name(sop)))
    }

    fn events(&self) -> Vec<String> {
        let events = self.archive.store().events(100).unwrap();
        events.into_iter().map(|event| format!("{}: {}", event.level, event.text)).collect()
    }

    fn parts(&self) -> usize {
        fs::read_dir(self.archive.root().join("incoming")).unwrap().count()
    }
}

fn open(folder: &Path, index: &str) -> Archive {
    let clock = Arc::new(ManualClock::new(1_800_000_000_000));
    let store = Arc::new(Store::open(&folder.join(index), clock).unwrap());
    let config = Config { max_instance_bytes: 64 << 20 };
    Archive::open(&folder.join("archive"), store, config).unwrap()
}

fn send(archive: &Archive, offer: Offer, data: &[u8]) -> Result<Stored, ArchiveError> {
    let mut incoming = archive.begin(offer)?;
    // In pieces, as a network delivers them.
    for piece in data.chunks(1000) {
        incoming.write(piece)?;
    }
    incoming.finish()
}

fn store(archive: &Archive, study: &str, sop: &str, content: &str) -> Outcome {
    send(archive, offer(sop), &image(study, sop, content)).unwrap().outcome
}

#[test]
fn what_is_stored_is_what_was_sent() {
    let bed = Bed::new();
    let data = image("1.2", "1.2.3", "first");
    let stored = send(&bed.archive, offer("1.2.3"), &data).unwrap();
    assert_eq!(stored, Stored { study_id: Some(1), outcome: Outcome::New });
    let file = fs::read(bed.path("1.2", "1.2.3")).unwrap();
    let meta = meta::read(&file).unwrap();
    assert_eq!(file[meta.data_at..], data);
    assert_eq!(
        (&*meta.sop_class, &*meta.sop_uid, &*meta.transfer_syntax),
        (uids::MR_IMAGE_STORAGE, "1.2.3", uids::EXPLICIT_VR_LITTLE_ENDIAN)
    );
    // Group length: what follows its element, up to the data set.
    let declared = u32::from_le_bytes(file[140..144].try_into().unwrap());
    assert_eq!(usize::try_from(declared).unwrap(), meta.data_at - 144);
    assert_eq!(meta.data_at % 2, 0);
    let known = bed.archive.store().instance("1.2.3").unwrap().unwrap();
    assert_eq!(known.sha256, Sha256::digest(&data).to_vec());
    assert_eq!(bed.archive.root().join(known.path), bed.path("1.2", "1.2.3"));
    assert_eq!((bed.parts(), bed.events()), (0, vec![]));
    assert_eq!(verify(&bed.archive, || false).unwrap(), []);
}

#[test]
fn the_same_again_is_acknowledged_and_other_content_kept_aside() {
    let bed = Bed::new();
    let sequence = [
        ("1.2", "1.2.3", "first", Outcome::New),
        ("1.2", "1.2.3", "first", Outcome::Duplicate),
        ("1.2", "1.2.3", "second", Outcome::Quarantined),
        ("1.2", "1.2.3", "second", Outcome::Quarantined),
        ("1.2", "1.2.3", "first", Outcome::Duplicate),
        // The same instance UID in another study is a conflict too.
        ("1.9", "1.2.3", "first", Outcome::Quarantined),
        ("1.2", "1.2.4", "first", Outcome::New),
    ];
    for (study, sop, content, outcome) in sequence {
        assert_eq!(store(&bed.archive, study, sop, content), outcome, "{study} {sop} {content}");
    }
    let kept: Vec<_> = bed.archive.store().quarantined(10).unwrap();
    let second = hex::lower(&Sha256::digest(image("1.2", "1.2.3", "second")));
    assert_eq!(kept.len(), 2);
    assert_eq!(kept[1].sha256, second);
    assert_eq!(kept[1].study_id, Some(1));
    assert_eq!(kept[1].reason, "other content is stored under the same UID");
    assert_eq!(kept[1].path, format!("quarantine/{second}.dcm"));
    let file = fs::read(bed.archive.root().join(&kept[1].path)).unwrap();
    assert!(file.ends_with(&image("1.2", "1.2.3", "second")));
    bed.archive.store().resolve_quarantined(kept[0].id).unwrap();
    assert_eq!(bed.archive.store().quarantined(10).unwrap(), kept[1..]);
    // One event, not one for each.
    assert_eq!(
        bed.events(),
        ["warning: An image from scp SCANNER1 was kept aside: other content is stored under the \
          same UID. The list is on the system page."]
    );
    assert_eq!(bed.parts(), 0);
}

#[track_caller]
fn check_refused(offer: Offer, data: &[u8], message: &str) {
    let bed = Bed::new();
    let error = send(&bed.archive, offer, data).unwrap_err();
    assert_eq!(chain(&error), message);
    assert_eq!(bed.parts(), 0, "a part was left");
    assert_eq!(fs::read_dir(bed.archive.root().join("studies")).unwrap().count(), 0);
}

#[test]
fn what_cannot_be_filed_is_refused_in_words() {
    let data = image("1.2", "1.2.3", "x");
    check_refused(
        offer("1.2.4"),
        &data,
        "the data set's SOP Instance UID is \"1.2.3\", but \"1.2.4\" was announced",
    );
    check_refused(
        Offer { sop_class: "1.2".into(), ..offer("1.2.3") },
        &data,
        "the data set's SOP Class UID is \"1.2.840.10008.5.1.4.1.1.4\", but \"1.2\" was announced",
    );
    check_refused(
        offer("../../etc"),
        &data,
        "Affected SOP Instance UID is \"../../etc\", which is not a UID; the image cannot be filed",
    );
    check_refused(
        Offer { transfer_syntax: String::new(), ..offer("1.2.3") },
        &data,
        "Transfer Syntax UID is \"\", which is not a UID; the image cannot be filed",
    );
    check_refused(
        offer("1.2.3"),
        &image("../1", "1.2.3", "x"),
        "Study Instance UID is \"../1\", which is not a UID; the image cannot be filed",
    );
    check_refused(
        offer("1.2.3"),
        &image(&"1".repeat(65), "1.2.3", "x"),
        &format!(
            "Study Instance UID is \"{}\", which is not a UID; the image cannot be filed",
            "1".repeat(64)
        ),
    );
    check_refused(
        offer("1.2.3"),
        b"",
        "SOP Class UID is \"\", which is not a UID; the image cannot be filed",
    );
    let deep = [
        &data[..data.len() - PIXELS],
        &[
            0x40, 0, 0x75, 2, b'S', b'Q', 0, 0, 255, 255, 255, 255, 254, 255, 0, 224, 255, 255,
            255, 255,
        ]
        .repeat(100_000),
    ]
    .concat();
    check_refused(
        offer("1.2.3"),
        &deep,
        "the data set cannot be read\n  because: data set: element (0040,0275) at byte 1424: \
         nested deeper than 64 levels",
    );
    check_refused(
        offer("1.2.3"),
        &vec![0x20; 65 << 20],
        "the data set is larger than the limit of 67108864 bytes",
    );
}

#[test]
fn a_full_disk_is_said_so() {
    let bed = Bed::new();
    bed.archive.set_full(true);
    let words = "the disk is full; the sender has to keep its images until there is room again";
    assert_eq!(bed.archive.begin(offer("1.2")).unwrap_err().to_string(), words);
    bed.archive.set_full(false);
    assert_eq!(store(&bed.archive, "1", "1.2", ""), Outcome::New);
}

/// Needs the right to mount; says so and passes without it.
#[test]
fn a_disk_that_fills_up_loses_nothing() {
    let bed = Bed::new();
    let small = bed.folder.path().join("small");
    fs::create_dir(&small).unwrap();
    let mount = ["-t", "tmpfs", "-o", "size=1m", "none"];
    let status = std::process::Command::new("mount").args(mount).arg(&small).output();
    if !status.is_ok_and(|output| output.status.success()) {
        println!("skipped: cannot mount a tmpfs");
        return;
    }
    let archive =
        Archive::open(&small, Arc::clone(&bed.archive.0.store), Config::default()).unwrap();
    let big = |sop: &str| image("1.2", sop, &"x".repeat(60_000));
    let outcomes: Vec<_> = (0..40)
        .map(|i| send(&archive, offer(&format!("1.{i}")), &big(&format!("1.{i}"))))
        .collect();
    let stored = outcomes.iter().take_while(|outcome| outcome.is_ok()).count();
    assert!((5..20).contains(&stored), "{stored}");
    assert!(outcomes[stored..].iter().all(|o| matches!(o, Err(ArchiveError::Full))));
    assert_eq!(verify(&archive, || false).unwrap(), []);
    assert_eq!(reconcile(&archive).unwrap(), Reconciled::default());
    drop(archive);
    std::process::Command::new("umount").arg(&small).status().unwrap();
}

/// Puts a file where a crash between rename and COMMIT leaves it.
fn remnant(bed: &Bed, study: &str, sop: &str, content: &str) {
    let mut file = meta::build(uids::MR_IMAGE_STORAGE, sop, uids::EXPLICIT_VR_LITTLE_ENDIAN, "");
    file.extend(image(study, sop, content));
    let path = bed.path(study, sop);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, file).unwrap();
}

#[test]
fn a_remnant_of_a_crash_is_adopted_or_makes_way() {
    let bed = Bed::new();
    remnant(&bed, "1.2", "1.2.3", "same");
    assert_eq!(store(&bed.archive, "1.2", "1.2.3", "same"), Outcome::New);
    remnant(&bed, "1.2", "1.2.4", "half known");
    assert_eq!(store(&bed.archive, "1.2", "1.2.4", "other"), Outcome::New);
    let aside = bed.archive.store().quarantined(10).unwrap();
    assert_eq!(aside.len(), 1);
    assert_eq!(
        aside[0].reason,
        "it was left by a power cut before it was acknowledged, and other content came under its \
         UID"
    );
    assert_eq!(aside[0].sha256, hex::lower(&Sha256::digest(image("1.2", "1.2.4", "half known"))));
    assert_eq!(verify(&bed.archive, || false).unwrap(), []);
    // A row without its file: the next delivery brings it back.
    fs::remove_file(bed.path("1.2", "1.2.3")).unwrap();
    assert_eq!(verify(&bed.archive, || false).unwrap().len(), 1);
    assert_eq!(store(&bed.archive, "1.2", "1.2.3", "same"), Outcome::Duplicate);
    assert_eq!(verify(&bed.archive, || false).unwrap(), []);
    assert_eq!(bed.parts(), 0);
}

#[test]
fn parts_are_removed_at_the_next_start_unless_somebody_writes_them() {
    let bed = Bed::new();
    fs::write(bed.archive.root().join("incoming/left.part"), "x").unwrap();
    let mut busy = bed.archive.begin(offer("1.2.3")).unwrap();
    busy.write(&image("1.2", "1.2.3", "x")).unwrap();
    assert_eq!(bed.parts(), 2);
    let second = open(bed.folder.path(), "index.sqlite");
    assert_eq!(bed.parts(), 1);
    drop(second);
    assert_eq!(busy.finish().unwrap().outcome, Outcome::New);
    assert_eq!(bed.parts(), 0);
    drop(bed.archive.begin(offer("1.2.3")).unwrap());
    assert_eq!(bed.parts(), 0);
}

#[test]
fn the_index_is_rebuilt_from_the_files() {
    let bed = Bed::new();
    for (study, sop) in [("1.2", "1.2.3"), ("1.2", "1.2.4"), ("1.5", "1.5.1")] {
        store(&bed.archive, study, sop, "x");
    }
    assert_eq!(reconcile(&bed.archive).unwrap(), Reconciled::default());
    let fresh = open(bed.folder.path(), "fresh.sqlite");
    assert_eq!(rebuild_index(&fresh).unwrap().indexed, 3);
    for sop in ["1.2.3", "1.2.4", "1.5.1"] {
        let (old, new) = (bed.archive.store().instance(sop), fresh.store().instance(sop));
        let (old, new) = (old.unwrap().unwrap(), new.unwrap().unwrap());
        assert_eq!((old.sha256, old.path), (new.sha256, new.path));
    }
    assert_eq!(verify(&fresh, || false).unwrap(), []);
}

#[test]
fn reconciling_adds_and_reports() {
    let bed = Bed::new();
    store(&bed.archive, "1.2", "1.2.3", "x");
    store(&bed.archive, "1.5", "1.5.1", "x");
    remnant(&bed, "1.2", "1.2.9", "never acknowledged");
    remnant(&bed, "1.7", "1.7.1", "never acknowledged");
    fs::remove_file(bed.path("1.2", "1.2.3")).unwrap();
    fs::remove_dir_all(bed.path("1.5", "1.5.1").parent().unwrap()).unwrap();
    fs::write(bed.path("1.2", "1.2.3").with_file_name("junk"), "junk").unwrap();
    fs::write(bed.archive.root().join("studies/file"), "junk").unwrap();
    fs::copy(bed.path("1.7", "1.7.1"), bed.path("1.2", "1.2.8")).unwrap();
    let report = reconcile(&bed.archive).unwrap();
    let relative = |study: &str, sop: &str| {
        let path = bed.path(study, sop);
        path.strip_prefix(bed.archive.root()).unwrap().to_str().unwrap().to_owned()
    };
    let mut missing = [relative("1.2", "1.2.3"), relative("1.5", "1.5.1")];
    missing.sort();
    assert_eq!((report.indexed, &report.missing[..]), (2, &missing[..]));
    let mut why: Vec<_> = report.unreadable.iter().map(|(_, why)| why.as_str()).collect();
    why.sort_unstable();
    let misplaced = format!(
        "{} holds an image that belongs to {}",
        bed.path("1.2", "1.2.8").display(),
        relative("1.7", "1.7.1")
    );
    assert_eq!(why.len(), 3);
    assert!(why.contains(&"it is not a folder"), "{why:?}");
    assert!(why.contains(&&*misplaced), "{why:?}");
    assert!(
        why.contains(&"SOP Instance UID is \"\", which is not a UID; the image cannot be filed"),
        "{why:?}"
    );
    let events = bed.events();
    assert_eq!(events.len(), 3);
    assert_eq!(events[2], "info: 2 images on disk were added to the index.");
    assert!(events[1].starts_with(&format!(
        "error: 2 images are in the index but their files are gone, the first is {}.",
        missing[0]
    )));
    // What was indexed stays, what is missing is reported again.
    assert_eq!(reconcile(&bed.archive).unwrap().indexed, 0);
}

#[test]
fn changed_files_are_found() {
    let bed = Bed::new();
    store(&bed.archive, "1.2", "1.2.3", "x");
    let path = bed.path("1.2", "1.2.3");
    let mut file = fs::read(&path).unwrap();
    let last = file.len() - 1;
    file[last] ^= 1;
    fs::write(&path, file).unwrap();
    let bad = verify(&bed.archive, || false).unwrap();
    let bytes = image("1.2", "1.2.3", "x").len();
    assert_eq!(bad.len(), 1);
    assert_eq!(
        bad[0].why,
        format!(
            "its content is no longer what was received ({bytes} bytes of data set, {bytes} were \
             stored); send the study again"
        )
    );
    assert_eq!(verify(&bed.archive, || true).unwrap(), []);
}

#[test]
fn many_senders_at_once() {
    const THREADS: usize = 8;
    const IMAGES: usize = 25;
    let bed = Bed::new();
    let new = AtomicUsize::new(0);
    let all = AtomicUsize::new(0);
    std::thread::scope(|scope| {
        for thread in 0..THREADS {
            let (bed, new, all) = (&bed, &new, &all);
            scope.spawn(move || {
                for i in 0..IMAGES {
                    // Half of the instances are everybody's, the other half their own.
                    let own = if i % 2 == 0 { 0 } else { thread + 1 };
                    let sop = format!("1.2.{own}.{i}");
                    let outcome = store(&bed.archive, "1.2", &sop, "x");
                    new.fetch_add(usize::from(outcome == Outcome::New), Ordering::Relaxed);
                    all.fetch_add(1, Ordering::Relaxed);
                }
            });
        }
    });
    let distinct = IMAGES.div_ceil(2) + THREADS * (IMAGES / 2);
    assert_eq!((all.into_inner(), new.into_inner()), (THREADS * IMAGES, distinct));
    assert_eq!(bed.archive.store().files_of_study(1).unwrap().len(), distinct);
    assert_eq!(bed.archive.store().quarantined(10).unwrap(), []);
    assert_eq!(reconcile(&bed.archive).unwrap(), Reconciled::default());
    assert_eq!(verify(&bed.archive, || false).unwrap(), []);
    assert_eq!(bed.parts(), 0);
}

#[test]
fn a_conflict_among_many_keeps_exactly_one() {
    let bed = Bed::new();
    std::thread::scope(|scope| {
        for thread in 0..8 {
            let bed = &bed;
            scope.spawn(move || store(&bed.archive, "1.2", "1.2.3", &format!("content {thread}")));
        }
    });
    assert_eq!(bed.archive.store().quarantined(10).unwrap().len(), 7);
    assert_eq!(bed.archive.store().files_of_study(1).unwrap().len(), 1);
    assert_eq!(verify(&bed.archive, || false).unwrap(), []);
}

#[test]
fn an_image_that_was_cut_off_is_kept_and_noted() {
    let bed = Bed::new();
    let data = image("1.2", "1.2.3", "x");
    let stored = send(&bed.archive, offer("1.2.3"), &data[..data.len() - 100]).unwrap();
    assert_eq!(stored.outcome, Outcome::New);
    assert_eq!(
        bed.events(),
        ["warning: An image from scp SCANNER1 is shorter than it says; it was stored as it was \
          sent. If the images of this study look incomplete, send it again."]
    );
}

#[test]
fn few_happenings_are_remembered() {
    let bed = Bed::new();
    let noted = || bed.archive.0.noted.lock().unwrap();
    let now = bed.archive.store().clock().now();
    noted().extend((0..NOTED).map(|number| (("what", number.to_string()), now)));
    bed.archive.note("what", Level::Info, "7", "known");
    assert_eq!((noted().len(), bed.events().len()), (NOTED, 0));
    bed.archive.note("what", Level::Info, "another", "new");
    assert_eq!((noted().len(), bed.events().len()), (1, 1));
}
