use std::fs;
use std::path::PathBuf;

use super::*;
use crate::command::{Answer, Command};
use crate::row::{Key, Kind};
use crate::wire::Outcome;

/// A box, a hub, and a folder between them.
struct Road {
    folder: PathBuf,
    box_key: (String, String),
    hub: Secret,
}

impl Road {
    fn new(name: &str) -> Self {
        let folder =
            std::env::temp_dir().join(format!("prima-stick-{}-{name}", std::process::id()));
        fs::create_dir_all(&folder).unwrap();
        Self { folder, box_key: keys(), hub: Secret::generate() }
    }

    fn path(&self) -> PathBuf {
        self.folder.join("outbox.age")
    }

    /// Two rows, the second with a blob before it; `broken` gets at the frames before they are
    /// packed.
    fn write(&self, broken: impl FnOnce(&mut Writer<File>)) -> String {
        let out = File::create(self.path()).unwrap();
        let mut writer = Writer::new(out, &self.hub.recipient(), &header()).unwrap();
        writer.row(&row(1)).unwrap();
        writer.blob(&digest(), 5, &mut &b"image"[..]).unwrap();
        writer.row(&row(2)).unwrap();
        broken(&mut writer);
        writer.finish().unwrap();
        self.sign()
    }

    fn sign(&self) -> String {
        sign(File::open(self.path()).unwrap(), "kilosa", &self.box_key.0).unwrap()
    }

    fn open(&self, signature: &str) -> Result<Reader, StickError> {
        open(&self.path(), signature, &self.box_key.1, &self.hub)
    }

    /// What is wrong with the file, at the latest at its end.
    fn fault(&self, signature: &str) -> StickError {
        let mut reader = match self.open(signature) {
            Ok(reader) => reader,
            Err(error) => return error,
        };
        loop {
            match reader.frame() {
                Ok(Some(_)) => {}
                Ok(None) => panic!("the file was read to its end"),
                Err(error) => return error,
            }
        }
    }
}

impl Drop for Road {
    fn drop(&mut self) {
        drop(fs::remove_dir_all(&self.folder));
    }
}

fn keys() -> (String, String) {
    let pair = minisign::KeyPair::generate_unencrypted_keypair().unwrap();
    (pair.sk.to_box(None).unwrap().into_string(), pair.pk.to_base64())
}

fn header() -> Header {
    Header {
        format: 1,
        site: "kilosa".into(),
        epoch: "e".into(),
        created_ms: 5,
        cursor: 3,
        receipt_to: "age1".into(),
    }
}

fn row(seq: i64) -> Row {
    let key = Key { epoch: "e".into(), seq };
    Row::seal(key, Kind::Flag, "1.2".into(), 5, "{\"a\":\"b\"}".into())
}

fn digest() -> String {
    "ab".repeat(32)
}

/// Everything that a file holds.
fn content(reader: &mut Reader) -> Vec<String> {
    let mut found = Vec::new();
    while let Some(frame) = reader.frame().unwrap() {
        found.push(match frame {
            Frame::Row(row) => format!("row {} {}", row.key.seq, row.is_intact()),
            Frame::Blob(mut blob) => {
                let mut text = String::new();
                blob.read_to_string(&mut text).unwrap();
                format!("blob {} {text}", blob.bytes)
            }
        });
    }
    found
}

#[test]
fn a_file_survives_the_road_as_often_as_it_is_read() {
    let road = Road::new("round");
    let signature = road.write(|_| {});
    assert_eq!(signer(&signature).as_deref(), Some("kilosa"));
    for _ in 0..2 {
        let mut reader = road.open(&signature).unwrap();
        assert_eq!(reader.header(), &header());
        assert_eq!(content(&mut reader), ["row 1 true", "blob 5 image", "row 2 true"]);
    }
    // A blob that nobody wants is passed over.
    let mut reader = road.open(&signature).unwrap();
    let mut frames = 0;
    while reader.frame().unwrap().is_some() {
        frames += 1;
    }
    assert_eq!(frames, 3);
    let bytes = fs::read(road.path()).unwrap();
    assert!(!bytes.windows(5).any(|window| window == b"image"));
}

#[test]
fn any_changed_byte_is_seen_before_anything_is_read() {
    let road = Road::new("tampered");
    let signature = road.write(|_| {});
    let good = fs::read(road.path()).unwrap();
    for place in [0, good.len() / 2, good.len() - 1] {
        let mut bad = good.clone();
        bad[place] ^= 1;
        fs::write(road.path(), bad).unwrap();
        assert!(matches!(road.open(&signature), Err(StickError::Signature { .. })), "{place}");
    }
    fs::write(road.path(), &good[..good.len() - 1]).unwrap();
    assert!(matches!(road.open(&signature), Err(StickError::Signature { .. })));
}

#[test]
fn only_its_box_signs_and_only_its_hub_reads() {
    let road = Road::new("keys");
    let signature = road.write(|_| {});
    let (other, public) = keys();
    let opened = open(&road.path(), &signature, &public, &road.hub);
    assert!(matches!(opened, Err(StickError::Signature { .. })));
    let opened = open(&road.path(), &signature, &road.box_key.1, &Secret::generate());
    assert!(matches!(opened, Err(StickError::Encrypted { .. })));
    // A box that calls itself by another's name.
    let stolen = sign(File::open(road.path()).unwrap(), "ifakara", &other).unwrap();
    let opened = open(&road.path(), &stolen, &public, &road.hub);
    assert!(matches!(opened, Err(StickError::Site { .. })));
}

#[test]
fn a_file_that_ends_too_early_is_not_read_to_its_end() {
    let road = Road::new("cut");
    // Long enough for several chunks of encryption.
    let noise: Vec<u8> =
        (0..300_000_u32).flat_map(|n| n.wrapping_mul(2_654_435_761).to_be_bytes()).collect();
    road.write(|writer| writer.blob(&digest(), noise.len() as u64, &mut &noise[..]).unwrap());
    let good = fs::read(road.path()).unwrap();
    for length in [good.len() - 1, good.len() / 2, 300, 10] {
        fs::write(road.path(), &good[..length]).unwrap();
        // Signed as it is: the box itself may have been cut off.
        let fault = road.fault(&road.sign());
        assert!(
            matches!(fault, StickError::Io(_) | StickError::Encrypted { .. }),
            "{length}: {fault}"
        );
    }
}

#[test]
fn frames_that_are_not_what_they_say_are_refused() {
    let road = Road::new("frames");
    let check = |bytes: &[u8], said: &str| {
        let signature = road.write(|writer| writer.out.write_all(bytes).unwrap());
        let fault = road.fault(&signature).to_string();
        assert!(fault.contains(said), "{fault}");
    };
    // Lengths of gigabytes are not believed.
    check(&[255, 255, 255, 255, ROW], "a row of 4294967294 bytes");
    check(&[255, 255, 255, 255, TRAILER], "the trailer of 4294967294 bytes");
    check(&[0, 0, 0, 0], "an empty frame");
    check(&[0, 0, 0, 2, b'x', 0], "'x'");
    check(&[0, 0, 0, 2, ROW, b'{'], "a row of the outbox file cannot be read");
    check(&[&[0, 0, 0, 66, BLOB][..], &[b'!'; 65]].concat(), "a blob with its name");
    let signature = road.write(|writer| writer.written.rows += 1);
    assert!(road.fault(&signature).to_string().contains("2 rows and 1 blobs"));
}

#[test]
fn a_bomb_costs_nobody_memory() {
    let road = Road::new("bomb");
    let zeros = 1_u64 << 28;
    let signature = road.write(|writer| {
        writer.blob(&digest(), zeros, &mut io::repeat(0)).unwrap_err();
        // One byte too many was written before that was seen: the frame is not whole.
    });
    assert!(fs::metadata(road.path()).unwrap().len() < 100_000);
    assert!(matches!(road.fault(&signature), StickError::Frame { .. }));
}

#[test]
fn a_blob_must_be_as_long_as_promised() {
    let road = Road::new("length");
    road.write(|writer| {
        let short = writer.blob(&digest(), 6, &mut &b"image"[..]).unwrap_err();
        assert!(short.to_string().ends_with("has 5 bytes, expected 6"), "{short}");
        let name = writer.blob("../x", 5, &mut &b"image"[..]).unwrap_err();
        assert!(matches!(name, StickError::Frame { .. }));
    });
}

#[test]
fn a_receipt_is_believed_from_its_hub_only_and_read_by_its_box_only() {
    let (secret, public) = keys();
    let own = Secret::generate();
    let receipt = Receipt {
        format: FORMAT,
        site: "kilosa".into(),
        wall_ms: 7,
        answers: vec![Answered { key: row(1).key, outcome: Outcome::Stored }],
        commands: vec![Numbered { number: 1, command: Command::Referral(Answer::default()) }],
    };
    let bytes = receipt.write(&own.recipient()).unwrap();
    let signature = sign(bytes.as_slice(), "kilosa", &secret).unwrap();
    assert_eq!(Receipt::read(&bytes, &signature, &public, &own).unwrap(), receipt);
    assert!(matches!(
        Receipt::read(&bytes, &signature, &public, &Secret::generate()),
        Err(StickError::Encrypted { .. })
    ));
    let changed = [&bytes[..], b" "].concat();
    assert!(matches!(
        Receipt::read(&changed, &signature, &public, &own),
        Err(StickError::Signature { .. })
    ));
    assert!(Receipt::read(&bytes, &signature, &keys().1, &own).is_err());
    let newer = Receipt { format: 2, ..receipt }.write(&own.recipient()).unwrap();
    let signature = sign(newer.as_slice(), "kilosa", &secret).unwrap();
    assert!(matches!(
        Receipt::read(&newer, &signature, &public, &own),
        Err(StickError::Format { found: 2 })
    ));
}

#[test]
fn names_and_keys() {
    assert_eq!(file_name("0a1b2c3d-4e5f", 7, 12), "outbox-0a1b2c3d-7-12.age");
    assert_eq!(file_name("e", 7, 12), "outbox-e-7-12.age");
    let secret = Secret::generate();
    assert_eq!(Secret::parse(&secret.to_text()).unwrap().recipient(), secret.recipient());
    check_recipient(&secret.recipient()).unwrap();
    assert!(check_recipient("age1").is_err() && Secret::parse("").is_err());
    assert!(check_public_key("x").is_err());
}
