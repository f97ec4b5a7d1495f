use super::*;
use crate::import::tests::{Bed, dicom};

fn poll(bed: &Bed, state: &mut WatchState) -> Report {
    let config = WatchConfig { folder: Some(bed.source("")), media: vec![bed.source("media")] };
    scan_once(&config, state, &bed.archive).unwrap()
}

/// Paths below the source folder.
fn tree(bed: &Bed) -> Vec<String> {
    fn walk(root: &Path, folder: &Path, found: &mut Vec<String>) {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                walk(root, &path, found);
            } else {
                found.push(path.strip_prefix(root).unwrap().to_str().unwrap().to_owned());
            }
        }
    }
    let mut found = Vec::new();
    walk(&bed.source(""), &bed.source(""), &mut found);
    found.sort();
    found
}

#[test]
fn files_are_imported_when_they_have_come_to_rest() {
    let bed = Bed::new();
    let mut state = WatchState::default();
    let image = dicom("1.2.3");
    bed.put("sub/1.dcm", &image[..image.len() / 2]);
    bed.put("letter.txt", b"Dear colleague");
    assert_eq!(poll(&bed, &mut state), Report::default());
    // Still being written.
    bed.put("sub/1.dcm", &image);
    let report = poll(&bed, &mut state);
    assert_eq!((report.stored, report.skipped.len()), (0, 1));
    assert_eq!(poll(&bed, &mut state).stored, 1);
    assert_eq!(
        tree(&bed),
        ["imported/sub/1.dcm", "rejected/letter.txt", "rejected/letter.txt.txt"]
    );
    assert_eq!(
        fs::read_to_string(bed.source("rejected/letter.txt.txt")).unwrap(),
        "No image in it was imported.\nletter.txt: it is not a DICOM file\n"
    );
    assert_eq!(poll(&bed, &mut state), Report::default());
    assert_eq!(
        bed.events(),
        [
            "info: The watched folder was imported: 1 new images, 0 known, 0 kept aside, 0 files \
             that are no images.",
            "warning: The watched folder was imported: 0 new images, 0 known, 0 kept aside, 1 \
             files that are no images.",
        ]
    );
}

#[test]
fn a_name_that_is_taken_gets_a_number() {
    let bed = Bed::new();
    let mut state = WatchState::default();
    for _ in 0..2 {
        bed.put("1.dcm", &dicom("1.2.3"));
        poll(&bed, &mut state);
        poll(&bed, &mut state);
    }
    assert_eq!(tree(&bed), ["imported/1.dcm", "imported/1.dcm.2"]);
}

#[test]
fn what_the_archive_refuses_stays_for_later() {
    let bed = Bed::new();
    let mut state = WatchState::default();
    bed.put("1.dcm", &dicom("1.2.3"));
    poll(&bed, &mut state);
    bed.archive.set_full(true);
    let config = WatchConfig { folder: Some(bed.source("")), media: vec![] };
    assert!(scan_once(&config, &mut state, &bed.archive).is_err());
    assert_eq!(tree(&bed), ["1.dcm"]);
    bed.archive.set_full(false);
    assert_eq!(poll(&bed, &mut state).stored, 1);
    assert_eq!(tree(&bed), ["imported/1.dcm"]);
}

#[test]
fn media_are_imported_once_while_they_are_there() {
    let bed = Bed::new();
    let mut state = WatchState::default();
    let config = WatchConfig { folder: None, media: vec![bed.source("media")] };
    let mut scan = || scan_once(&config, &mut state, &bed.archive).unwrap();
    assert_eq!(scan(), Report::default());
    bed.put("media/user/STICK/dicomdir", b"");
    bed.put("media/user/STICK/A/1", &dicom("1.2.3"));
    bed.put("media/other/Dicom/2", &dicom("1.2.4"));
    bed.put("media/other/private", &dicom("1.2.5"));
    bed.put("media/photos/3", &dicom("1.2.6"));
    let first = scan();
    assert_eq!((first.stored, first.skipped.len()), (2, 1));
    assert_eq!(scan(), Report::default());
    fs::remove_dir_all(bed.source("media/other")).unwrap();
    assert_eq!(scan(), Report::default());
    bed.put("media/other/DICOM/2", &dicom("1.2.4"));
    assert_eq!(scan().duplicate, 1);
    assert_eq!(tree(&bed).len(), 4, "media are only read");
}
