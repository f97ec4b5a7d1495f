use std::fs;
use std::io::{Cursor, Write as _};
use std::sync::Arc;

use ::zip::write::SimpleFileOptions;
use ::zip::{CompressionMethod, ZipWriter};
use dicom_core::Tag;
use dicom_dictionary_std::tags;
use tempfile::TempDir;

use super::*;
use crate::archive::Config;
use crate::clock::ManualClock;
use crate::store::Store;

/// An archive and a folder for sources.
pub(super) struct Bed {
    folder: TempDir,
    pub(super) archive: Archive,
}

impl Bed {
    pub(super) fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir(folder.path().join("source")).unwrap();
        let clock = Arc::new(ManualClock::new(1_800_000_000_000));
        let store = Arc::new(Store::open(&folder.path().join("index.sqlite"), clock).unwrap());
        let config = Config { max_instance_bytes: 4 << 20 };
        let archive = Archive::open(&folder.path().join("archive"), store, config).unwrap();
        Self { folder, archive }
    }

    pub(super) fn source(&self, name: &str) -> PathBuf {
        self.folder.path().join("source").join(name)
    }

    /// Writes a source file, and its folders.
    pub(super) fn put(&self, name: &str, bytes: &[u8]) -> PathBuf {
        let path = self.source(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, bytes).unwrap();
        path
    }

    fn run(&self, path: &Path) -> Report {
        run(path, &self.archive, |_| {}).unwrap()
    }

    pub(super) fn events(&self) -> Vec<String> {
        let events = self.archive.store().events(100).unwrap();
        events.into_iter().map(|event| format!("{}: {}", event.level, event.text)).collect()
    }
}

fn element(tag: Tag, value: &str) -> Vec<u8> {
    let mut bytes = [tag.0.to_le_bytes(), tag.1.to_le_bytes()].concat();
    bytes.extend(b"UI");
    let length = u16::try_from(value.len() + value.len() % 2).unwrap();
    bytes.extend(length.to_le_bytes());
    bytes.extend(value.as_bytes());
    bytes.resize(bytes.len() + value.len() % 2, 0);
    bytes
}

/// A data set in explicit VR little endian with `extra` bytes of pixels.
pub(super) fn data_set(sop: &str, extra: usize) -> Vec<u8> {
    let mut bytes = [
        element(tags::SOP_CLASS_UID, uids::MR_IMAGE_STORAGE),
        element(tags::SOP_INSTANCE_UID, sop),
        element(tags::STUDY_INSTANCE_UID, "1.2"),
        element(tags::SERIES_INSTANCE_UID, "1.2.1"),
        vec![0xE0, 0x7F, 0x10, 0, b'O', b'W', 0, 0],
        u32::try_from(extra).unwrap().to_le_bytes().to_vec(),
    ]
    .concat();
    bytes.extend((0..extra).map(|i| u8::try_from(i * i % 251).unwrap()));
    bytes
}

/// A file as media hold it.
pub(super) fn dicom(sop: &str) -> Vec<u8> {
    part10(uids::EXPLICIT_VR_LITTLE_ENDIAN, uids::MR_IMAGE_STORAGE, &data_set(sop, 3000))
}

fn part10(transfer_syntax: &str, class: &str, data: &[u8]) -> Vec<u8> {
    let mut bytes = vec![0; 128];
    bytes.extend(b"DICM");
    bytes.extend(element(tags::MEDIA_STORAGE_SOP_CLASS_UID, class));
    // Not the data set's, as programs that make data anonymous leave it.
    bytes.extend(element(tags::MEDIA_STORAGE_SOP_INSTANCE_UID, "9.9.9"));
    bytes.extend(element(tags::TRANSFER_SYNTAX_UID, transfer_syntax));
    bytes.extend(data);
    bytes
}

#[test]
fn a_folder_is_imported_and_what_is_no_image_is_listed() {
    let bed = Bed::new();
    bed.put("a/1.dcm", &dicom("1.2.3"));
    bed.put("a/copy.dcm", &dicom("1.2.3"));
    bed.put("a/deep/er/2", &dicom("1.2.4"));
    bed.put("bare", &data_set("1.2.5", 100));
    bed.put("other content", &data_set("1.2.5", 102));
    bed.put("DICOMDIR", &part10("1.2.840.10008.1.2.1", uids::MEDIA_STORAGE_DIRECTORY_STORAGE, &[]));
    bed.put("empty", b"");
    bed.put("letter.txt", b"Dear colleague");
    bed.put("no uid.dcm", &part10("1.2.840.10008.1.2.1", "1.2", &element(tags::MODALITY, "MR")));
    bed.put("too large", &data_set("1.2.6", 5 << 20));
    bed.put("z.zip", b"PK\x03\x04 and so on");
    std::os::unix::fs::symlink("/etc", bed.source("link")).unwrap();
    rustix::fs::mknodat(
        rustix::fs::CWD,
        bed.source("pipe"),
        rustix::fs::FileType::Fifo,
        Mode::RUSR,
        0,
    )
    .unwrap();
    let mut calls = 0;
    let report = run(&bed.source(""), &bed.archive, |_| calls += 1).unwrap();
    assert_eq!((report.stored, report.duplicate, report.quarantined), (3, 1, 1));
    assert_eq!((calls, report.kept()), (11, 5));
    let skipped: Vec<_> = report.skipped.iter().map(|(n, w)| (&**n, &**w)).collect();
    assert_eq!(
        skipped,
        [
            ("DICOMDIR", "it is the list of a medium's files, not an image"),
            ("empty", "it is empty"),
            ("letter.txt", "it is not a DICOM file"),
            ("link", "it is a link or a device, which is not followed"),
            (
                "no uid.dcm",
                "Affected SOP Class UID is \"\", which is not a UID; the image cannot be filed"
            ),
            ("pipe", "it is a link or a device, which is not followed"),
            ("too large", "the data set is larger than the limit of 4194304 bytes"),
            ("z.zip", "it is a ZIP inside; unpack it and import its contents"),
        ]
    );
}

#[test]
fn a_file_and_the_same_image_from_the_scanner_are_one_instance() {
    let bed = Bed::new();
    let mut incoming = bed
        .archive
        .begin(Offer {
            sop_class: uids::MR_IMAGE_STORAGE.into(),
            sop_uid: "1.2.3".into(),
            transfer_syntax: uids::EXPLICIT_VR_LITTLE_ENDIAN.into(),
            source: "scp SCANNER1".into(),
            source_ae: "SCANNER1".into(),
        })
        .unwrap();
    incoming.write(&data_set("1.2.3", 3000)).unwrap();
    assert_eq!(incoming.finish().unwrap().outcome, Outcome::New);
    for file in [dicom("1.2.3"), data_set("1.2.3", 3000)] {
        let path = bed.put("x", &file);
        assert_eq!(bed.run(&path), Report { duplicate: 1, ..Report::default() });
    }
}

#[test]
fn files_without_a_meta_group_are_recognised() {
    let check = |bytes: &[u8], expected| {
        assert_eq!(guess(bytes), expected, "{bytes:?}");
    };
    check(b"\x08\0\x16\0UI\x1a\0", Some("1.2.840.10008.1.2.1"));
    check(b"\x08\0\x16\0\x1a\0\0\0", Some("1.2.840.10008.1.2"));
    check(b"\0\x08\0\x16UI\0\x1a", Some("1.2.840.10008.1.2.2"));
    check(b"\x10\0\x10\0PN\x1a\0", None);
    check(b"GIF89a..", None);
    check(b"\x08\0", None);
}

#[test]
fn a_single_file_says_what_is_wrong_with_it() {
    let bed = Bed::new();
    let path = bed.put("letter.txt", b"Dear colleague");
    let fails = |path: &Path| chain(&run(path, &bed.archive, |_| {}).unwrap_err());
    let shown = path.display();
    assert_eq!(
        fails(&path),
        format!("{shown} is neither a folder, a DICOM file, a ZIP nor an ISO 9660 image")
    );
    assert_eq!(fails(&bed.put("letter.txt", b"")), format!("{shown}: it is empty"));
    assert_eq!(
        fails(&bed.source("nowhere")),
        format!(
            "{} cannot be read\n  because: No such file or directory (os error 2)",
            bed.source("nowhere").display()
        )
    );
    bed.archive.set_full(true);
    assert_eq!(
        fails(&bed.put("1.dcm", &dicom("1.2.3"))),
        "importing stopped\n  because: the disk is full; the sender has to keep its images until \
         there is room again"
    );
}

fn zip_of(entries: &[(&str, &[u8])]) -> Vec<u8> {
    let mut zip = ZipWriter::new(Cursor::new(Vec::new()));
    for (name, bytes) in entries {
        let options = SimpleFileOptions::default().compression_method(CompressionMethod::Deflated);
        zip.start_file(*name, options).unwrap();
        zip.write_all(bytes).unwrap();
    }
    zip.finish().unwrap().into_inner()
}

#[test]
fn a_zip_is_imported_whatever_its_names_are() {
    let bed = Bed::new();
    let zip = zip_of(&[
        ("../../../1.dcm", &dicom("1.2.3")),
        ("/etc/2.dcm", &dicom("1.2.4")),
        ("a\\b\0\n.dcm", &dicom("1.2.5")),
        ("folder/", b""),
        ("inner.zip", &zip_of(&[("x", b"y")])),
        ("../letter\n.txt", b"Dear colleague"),
    ]);
    let path = bed.put("z", &zip);
    let report = bed.run(&path);
    assert_eq!((report.stored, report.skipped.len()), (3, 2));
    assert_eq!(
        report.skipped[1],
        ("../letter?.txt".to_owned(), "it is not a DICOM file".to_owned())
    );
    // Nothing was unpacked beside the archive.
    assert_eq!(fs::read_dir(bed.source("")).unwrap().count(), 1);
    assert_eq!(bed.run(&path).duplicate, 3);
}

#[test]
fn a_zip_that_lies_is_refused() {
    let bed = Bed::new();
    let check = |bytes: &[u8], expected: &str| {
        let path = bed.put("z", bytes);
        let error = run(&path, &bed.archive, |_| {}).unwrap_err().to_string();
        assert_eq!(error, format!("{}: {expected}", path.display()));
    };
    let zip = zip_of(&[("1", &dicom("1.2.3"))]);
    check(&zip[..zip.len() - 1], "the ZIP is cut off or broken: it has no end record");
    check(&zip[..100], "the ZIP is cut off or broken: it has no end record");
    let mut many = zip.clone();
    let end = many.len() - 22;
    many[end + 8..end + 12].fill(0xFE);
    let path = bed.put("z", &many);
    let error = run(&path, &bed.archive, |_| {}).unwrap_err().to_string();
    assert!(error.contains(": the ZIP is broken: "), "{error}");
    // A ZIP64 that claims a million entries.
    let mut large = zip[..zip.len() - 22].to_vec();
    let at = large.len() as u64;
    large.extend(b"PK\x06\x06");
    large.extend([0; 28]);
    large.extend(1_000_000_u64.to_le_bytes());
    large.extend([0; 16]);
    large.extend(b"PK\x06\x07\0\0\0\0");
    large.extend(at.to_le_bytes());
    large.extend([1, 0, 0, 0]);
    let mut end = zip[zip.len() - 22..].to_vec();
    end[8..12].fill(0xFF);
    large.extend(end);
    check(&large, "the ZIP has 1000000 entries, 200000 are accepted");
}

#[test]
fn a_bomb_ends_at_the_budget() {
    let mut counted = zip::Counted { inner: &[0; 1000][..], budget: 600 };
    let mut buffer = [0; 100];
    for _ in 0..5 {
        assert_eq!(counted.read(&mut buffer).unwrap(), 100);
    }
    assert_eq!(counted.read(&mut buffer).unwrap_err().kind(), io::ErrorKind::QuotaExceeded);
}

#[test]
fn no_damage_to_a_zip_makes_it_panic() {
    let bed = Bed::new();
    let zip = zip_of(&[("1.dcm", &dicom("1.2.3")), ("2.dcm", &dicom("1.2.4"))]);
    let mut seed = 7_u64;
    let mut random = |limit: usize| {
        seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        usize::try_from(seed >> 33).unwrap() % limit
    };
    let (mut read, mut refused) = (0, 0);
    for _ in 0..300 {
        let mut broken = zip.clone();
        for _ in 0..=random(6) {
            // The lists at the end are hit as often as the rest.
            let from = if random(2) == 0 { zip.len() - 150 } else { 0 };
            let at = from + random(zip.len() - from);
            broken[at] = u8::try_from(random(256)).unwrap();
        }
        match run(&bed.put("z", &broken), &bed.archive, |_| {}) {
            Ok(_) => read += 1,
            Err(ImportError::Container { .. } | ImportError::Unknown { .. }) => refused += 1,
            Err(error) => panic!("{}", chain(&error)),
        }
    }
    assert!(read > 20 && refused > 20, "{read} {refused}");
}
