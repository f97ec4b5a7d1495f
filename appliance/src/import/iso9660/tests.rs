use std::collections::BTreeMap;
use std::io::Write as _;

use super::*;
use crate::import::run;
use crate::import::tests::{Bed, data_set, dicom};

const BLOCK: usize = 2048;

/// A directory record.
fn record(name: &[u8], block: usize, length: usize, flags: u8) -> Vec<u8> {
    let mut bytes = vec![0; 33];
    bytes[2..6].copy_from_slice(&u32::try_from(block).unwrap().to_le_bytes());
    bytes[6..10].copy_from_slice(&u32::try_from(block).unwrap().to_be_bytes());
    bytes[10..14].copy_from_slice(&u32::try_from(length).unwrap().to_le_bytes());
    bytes[14..18].copy_from_slice(&u32::try_from(length).unwrap().to_be_bytes());
    bytes[25] = flags;
    bytes[28] = 1;
    bytes[32] = u8::try_from(name.len()).unwrap();
    bytes.extend(name);
    bytes.resize(bytes.len() + bytes.len() % 2, 0);
    bytes[0] = u8::try_from(bytes.len()).unwrap();
    bytes
}

/// An image under construction: blocks behind the descriptors.
#[derive(Default)]
struct Writer {
    blocks: Vec<u8>,
    descriptors: Vec<Vec<u8>>,
}

const FIRST: usize = 20;

impl Writer {
    /// Where `bytes` were put, as a block.
    fn put(&mut self, bytes: &[u8]) -> usize {
        let block = FIRST + self.blocks.len() / BLOCK;
        self.blocks.extend(bytes);
        self.blocks.resize(self.blocks.len().next_multiple_of(BLOCK), 0);
        block
    }

    /// A directory of records; none crosses a sector.
    fn directory(&mut self, records: &[Vec<u8>]) -> (usize, usize) {
        let mut bytes = [record(&[0], 0, 0, 2), record(&[1], 0, 0, 2)].concat();
        for record in records {
            if bytes.len() % BLOCK + record.len() > BLOCK {
                bytes.resize(bytes.len().next_multiple_of(BLOCK), 0);
            }
            bytes.extend(record);
        }
        bytes.resize(bytes.len().next_multiple_of(BLOCK), 0);
        (self.put(&bytes), bytes.len())
    }

    /// A volume descriptor: primary or, with names in UCS-2, Joliet's.
    fn descriptor(&mut self, kind: u8, root: (usize, usize)) {
        let mut bytes = vec![0; BLOCK];
        bytes[0] = kind;
        bytes[1..7].copy_from_slice(b"CD001\x01");
        bytes[128..130].copy_from_slice(&2048_u16.to_le_bytes());
        if kind == 2 {
            bytes[88..91].copy_from_slice(b"%/E");
        }
        bytes[156..190].copy_from_slice(&record(&[0], root.0, root.1, 2));
        self.descriptors.push(bytes);
    }

    fn finish(mut self) -> Vec<u8> {
        let mut end = vec![0; BLOCK];
        end[..7].copy_from_slice(b"\xffCD001\x01");
        self.descriptors.push(end);
        let mut bytes = vec![0; 16 * BLOCK];
        bytes.extend(self.descriptors.concat());
        bytes.resize(FIRST * BLOCK, 0);
        bytes.extend(self.blocks);
        bytes
    }
}

/// All entries of an image: name to number of bytes, or what is wrong.
fn entries(bytes: &[u8]) -> Option<BTreeMap<String, Result<u64, &'static str>>> {
    let mut file = tempfile::tempfile().unwrap();
    file.write_all(bytes).unwrap();
    let mut image = Image::open(&file).unwrap()?;
    image.walk();
    let size = |entry: &Entry| {
        let bytes = entry.extents.iter().map(|extent| extent.length).sum();
        entry.fault.map_or(Ok(bytes), Err)
    };
    Some(image.files.iter().map(|entry| (entry.name.clone(), size(entry))).collect())
}

#[track_caller]
fn check(image: Writer, expected: &[(&str, Result<u64, &'static str>)]) {
    let expected = expected.iter().map(|(name, size)| ((*name).to_owned(), *size)).collect();
    assert_eq!(entries(&image.finish()), Some(expected));
}

/// An image whose root has these records.
fn image(records: impl Fn(&mut Writer) -> Vec<Vec<u8>>) -> Writer {
    let mut writer = Writer::default();
    let records = records(&mut writer);
    let root = writer.directory(&records);
    writer.descriptor(1, root);
    writer
}

#[test]
fn trees_are_walked() {
    check(image(|_| vec![]), &[]);
    let tree = |writer: &mut Writer| {
        let file = writer.put(b"12345");
        let inner = writer.directory(&[record(b"IM1.;1", file, 5, 0), record(b"IM2", file, 3, 0)]);
        vec![record(b"README.TXT;1", file, 4, 0), record(b"DICOM", inner.0, inner.1, 2)]
    };
    check(image(tree), &[("README.TXT", Ok(4)), ("DICOM/IM1", Ok(5)), ("DICOM/IM2", Ok(3))]);
    // More records than a sector holds.
    let many = |writer: &mut Writer| {
        let file = writer.put(b"1");
        (0..200).map(|i| record(format!("FILE{i}").as_bytes(), file, 1, 0)).collect()
    };
    assert_eq!(entries(&image(many).finish()).unwrap().len(), 200);
}

#[test]
fn joliet_names_are_preferred() {
    let mut writer = Writer::default();
    let file = writer.put(b"12345");
    let plain = writer.directory(&[record(b"LONGNAM.DCM;1", file, 5, 0)]);
    let name: Vec<u8> = "længer.dcm;1".encode_utf16().flat_map(u16::to_be_bytes).collect();
    let joliet = writer.directory(&[record(&name, file, 5, 0)]);
    writer.descriptor(1, plain);
    writer.descriptor(2, joliet);
    check(writer, &[("længer.dcm", Ok(5))]);
}

#[test]
fn files_in_several_extents_are_joined() {
    let pieces = |writer: &mut Writer| {
        let (a, b) = (writer.put(&[1; BLOCK]), writer.put(b"23"));
        vec![record(b"A", a, BLOCK, 0x80), record(b"A", b, 2, 0), record(b"B", b, 2, 0x80)]
    };
    check(image(pieces), &[("A", Ok(2050)), ("B", Err("its last piece is missing"))]);
}

#[test]
fn lies_are_named() {
    let outside = "it lies outside the image, which is cut off or broken";
    let records = |writer: &mut Writer| {
        let file = writer.put(b"x");
        let mut interleaved = record(b"I", file, 1, 0);
        interleaved[26] = 1;
        vec![
            record(b"FAR", 1 << 30, 10, 0),
            record(b"LONG", file, 1 << 30, 0),
            record(b"DIR", 1 << 30, 10, 2),
            interleaved,
        ]
    };
    check(
        image(records),
        &[
            ("FAR", Err(outside)),
            ("LONG", Err(outside)),
            ("DIR", Err(outside)),
            ("I", Err("it is interleaved, which no medium with images is")),
        ],
    );
    // A folder in itself, and one in another's place.
    let looped = |writer: &mut Writer| {
        let next = FIRST + writer.blocks.len() / BLOCK;
        vec![record(b"LOOP", next, BLOCK, 2)]
    };
    check(image(looped), &[("LOOP", Err("it is the same folder as one before"))]);
    // Forty folders, one in the other.
    let deep = |writer: &mut Writer| {
        (0..40).fold(vec![], |inner, _| {
            let (block, length) = writer.directory(&inner);
            vec![record(b"D", block, length, 2)]
        })
    };
    let found = entries(&image(deep).finish()).unwrap();
    assert_eq!(found.into_values().collect::<Vec<_>>(), [Err("it lies too deep in folders")]);
}

#[test]
fn images_without_a_directory_are_refused() {
    let mut writer = Writer::default();
    writer.descriptor(1, (1 << 30, 10));
    assert_eq!(entries(&writer.finish()), None);
    let bed = Bed::new();
    let path = bed.put("cd.iso", &Writer::default().finish());
    let error = run(&path, &bed.archive, |_| {}).unwrap_err();
    assert_eq!(
        error.to_string(),
        format!("{}: the image has no ISO 9660 directory", path.display())
    );
}

#[test]
fn overlapping_directories_end_at_the_budget() {
    // Every block of the second megabyte is a directory of a megabyte.
    let mut writer = Writer::default();
    let large = writer.put(&vec![0; 2 << 20]);
    let folders: Vec<_> =
        (0..500).map(|i| record(format!("D{i}").as_bytes(), large + i, 1 << 20, 2)).collect();
    let root = writer.directory(&folders);
    writer.descriptor(1, root);
    let found = entries(&writer.finish()).unwrap();
    let refused = Err("the folder lies outside the image or is too large");
    // 64 MiB, less the root's own.
    assert_eq!(found.values().filter(|found| **found == refused).count(), 500 - 63);
}

#[test]
fn images_on_a_cd_are_imported() {
    let bed = Bed::new();
    let writer = image(|writer| {
        let image = dicom("1.2.3");
        let one = writer.put(&image);
        let split = data_set("1.2.4", 6000);
        let (front, back) = (writer.put(&split[..4096]), writer.put(&split[4096..]));
        let inner = writer.directory(&[
            record(b"IM1", one, image.len(), 0),
            record(b"IM2", front, 4096, 0x80),
            record(b"IM2", back, split.len() - 4096, 0),
            record(b"IM3", 1 << 30, 1, 0),
        ]);
        vec![record(b"DICOM", inner.0, inner.1, 2)]
    });
    let report = run(&bed.put("cd.iso", &writer.finish()), &bed.archive, |_| {}).unwrap();
    assert_eq!((report.stored, report.skipped.len()), (2, 1));
    assert_eq!(report.skipped[0].0, "DICOM/IM3");
    let known = bed.archive.store().instance("1.2.4").unwrap().unwrap();
    let file = std::fs::read(bed.archive.root().join(known.path)).unwrap();
    assert!(file.ends_with(&data_set("1.2.4", 6000)));
}

#[test]
fn no_damage_makes_it_panic() {
    let mut whole = image(|writer| {
        let file = writer.put(b"12345");
        let inner = writer.directory(&[record(b"IM1", file, 5, 0), record(b"IM2", file, 5, 0x80)]);
        vec![record(b"DICOM", inner.0, inner.1, 2), record(b"X", file, 3, 0)]
    })
    .finish();
    // Some cuts lose only this.
    whole.resize(whole.len() + BLOCK, 0);
    let mut seed = 3_u64;
    let mut random = |limit: usize| {
        seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        usize::try_from(seed >> 33).unwrap() % limit
    };
    let (mut found, mut lost) = (0, 0);
    for _ in 0..3000 {
        let mut broken = whole.clone();
        for _ in 0..=random(8) {
            // Only the descriptors, the directories and their first bytes matter.
            let block = [16, 17, FIRST, FIRST + 1, FIRST + 2][random(5)];
            let at = block * BLOCK + random(200);
            broken[at] = u8::try_from(random(256)).unwrap();
        }
        broken.truncate(broken.len() - random(BLOCK * 2));
        match entries(&broken) {
            Some(entries) => found += entries.len(),
            None => lost += 1,
        }
    }
    assert!(found > 1000 && lost > 10, "{found} {lost}");
}
