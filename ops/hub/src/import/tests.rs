use std::sync::Arc;

use exchange::manifest::{Manifest, Object};
use exchange::row::{Key, Kind, hex};
use exchange::stick::{Header, Writer};
use exchange::telemetry::Outcome as Case;
use exchange::wire::Rejection;
use minisign::KeyPair;
use sha2::{Digest as _, Sha256};
use tempfile::TempDir;

use super::*;
use crate::blobs::Folder;
use crate::receive::Limits;
use crate::store::testing::store;

const CONTENT: &[u8] = b"an image of the brain";

struct Bench {
    hub: Hub,
    keys: Keys,
    hub_key: String,
    box_key: String,
    /// Of the box at `a`, for receipts.
    receipt_key: stick::Secret,
    folder: TempDir,
}

fn signing_key(pair: &KeyPair) -> String {
    pair.sk.to_box(None).unwrap().into_string()
}

fn bench(blob_bytes: u64) -> Bench {
    let (store, _) = store();
    let own = KeyPair::generate_unencrypted_keypair().unwrap();
    let of_box = KeyPair::generate_unencrypted_keypair().unwrap();
    for (site, key) in [("a", of_box.pk.to_base64()), ("b", own.pk.to_base64())] {
        let code = store.add_site(site, site).unwrap();
        store.enrol(&code, "r", site, site, &key).unwrap();
    }
    let folder = tempfile::tempdir().unwrap();
    let limits = Limits {
        row_bytes: 1 << 20,
        blob_bytes,
        one_blob_bytes: 1 << 20,
        requests_per_minute: 1,
        requests_in_a_row: 1,
    };
    let hub = Hub::new(store, Arc::new(Folder::new(&folder.path().join("blobs"))), limits);
    let keys = Keys { secret: stick::Secret::generate(), signing: signing_key(&own) };
    Bench {
        hub,
        keys,
        hub_key: own.pk.to_base64(),
        box_key: signing_key(&of_box),
        receipt_key: stick::Secret::generate(),
        folder,
    }
}

impl Bench {
    /// A file of the box at `a` with a blob, its manifest, and 1,200 rows.
    fn export(&self, site: &str) -> PathBuf {
        let header = self.header(site);
        let mut writer = Writer::new(Vec::new(), &self.keys.secret.recipient(), &header).unwrap();
        let sha256 = hex(&Sha256::digest(CONTENT));
        writer.blob(&sha256, CONTENT.len() as u64, &mut &*CONTENT).unwrap();
        let object = Object { sha256, bytes: CONTENT.len() as u64, ..Object::default() };
        let manifest =
            Manifest { study: "1.2".into(), objects: vec![object], ..Manifest::default() };
        let body = serde_json::to_string(&manifest).unwrap();
        let key = |seq| Key { epoch: "e".into(), seq };
        writer.row(&Row::seal(key(1), Kind::Objects, "1.2".into(), 1, body)).unwrap();
        for seq in 2..=1200 {
            let case = Case { case: seq.to_string(), ..Case::default() };
            let body = serde_json::to_string(&case).unwrap();
            writer.row(&Row::seal(key(seq), Kind::Outcome, String::new(), 1, body)).unwrap();
        }
        let path = self.folder.path().join("outbox.age");
        fs::write(&path, writer.finish().unwrap()).unwrap();
        self.sign(&path, site);
        path
    }

    fn header(&self, site: &str) -> Header {
        Header {
            format: FORMAT,
            site: site.into(),
            epoch: "e".into(),
            created_ms: 1,
            cursor: 0,
            receipt_to: self.receipt_key.recipient(),
        }
    }

    fn sign(&self, path: &Path, site: &str) {
        let signature = stick::sign(File::open(path).unwrap(), site, &self.box_key).unwrap();
        fs::write(beside(path, SIGNATURE), signature).unwrap();
    }

    fn import(&self, path: &Path) -> Result<Imported, ImportError> {
        import(&self.hub, path, &self.keys, self.folder.path())
    }

    fn receipt(&self, imported: &Imported) -> Receipt {
        let signature = fs::read_to_string(beside(&imported.receipt, SIGNATURE)).unwrap();
        let bytes = fs::read(&imported.receipt).unwrap();
        Receipt::read(&bytes, &signature, &self.hub_key, &self.receipt_key).unwrap()
    }
}

#[test]
fn a_stick_is_a_link() {
    let bench = bench(1000);
    let path = bench.export("a");
    let first = bench.import(&path).unwrap();
    assert_eq!((first.stored, first.duplicates, first.refused), (1200, 0, 0));
    let receipt = bench.receipt(&first);
    assert_eq!((receipt.site.as_str(), receipt.answers.len()), ("a", 1200));
    assert_eq!(receipt.answers[1199].key.seq, 1200);
    let again = bench.import(&path).unwrap();
    assert_eq!((again.stored, again.duplicates, again.refused), (0, 1200, 0));
    let stored = bench.hub.store().stored_rows("a").unwrap();
    assert!(stored.iter().zip(1..).all(|(row, seq)| row.key.seq == seq), "in their order");
    let contact = bench.hub.store().sites().unwrap()[0].contact_ms;
    assert_eq!(contact, None, "a stick says nothing of the link");
}

#[test]
fn files_of_others_and_changed_ones_are_refused() {
    let bench = bench(1000);
    let path = bench.export("a");
    let mut bytes = fs::read(&path).unwrap();
    let last = bytes.len() - 1;
    bytes[last] ^= 1;
    fs::write(&path, bytes).unwrap();
    let changed = bench.import(&path);
    assert!(matches!(changed, Err(ImportError::Stick { .. })), "{changed:?}");
    // The box at a says that it is b, or one that nobody knows.
    let path = bench.export("b");
    let posing = bench.import(&path);
    assert!(matches!(posing, Err(ImportError::Stick { .. })), "{posing:?}");
    let path = bench.export("c");
    let unknown = bench.import(&path);
    assert!(matches!(unknown, Err(ImportError::Site { .. })), "{unknown:?}");
    let path = bench.export("a");
    bench.hub.store().revoke_site("a").unwrap();
    assert!(matches!(bench.import(&path), Err(ImportError::Site { .. })));
    fs::write(beside(&path, SIGNATURE), "no signature").unwrap();
    assert!(matches!(bench.import(&path), Err(ImportError::Unsigned { .. })));
    fs::remove_file(beside(&path, SIGNATURE)).unwrap();
    assert!(matches!(bench.import(&path), Err(ImportError::File { .. })));
    assert!(bench.hub.store().stored_rows("a").unwrap().is_empty());
}

#[test]
fn a_full_hub_rejects_no_row_for_want_of_its_blob() {
    let bench = bench(10);
    let path = bench.export("a");
    let full = bench.import(&path);
    let Err(ImportError::Blob { source, .. }) = full else { panic!("{full:?}") };
    assert_eq!(source.status, 413);
    assert!(bench.hub.store().stored_rows("a").unwrap().is_empty());
    let audit = bench.hub.store().audit_rows(0, 100).unwrap();
    assert!(audit.iter().all(|entry| entry.action != "stick.import"));
}

#[test]
fn a_rejected_row_is_in_the_receipt() {
    let bench = bench(1000);
    let path = bench.export("a");
    bench.import(&path).unwrap();
    let header = bench.header("a");
    let mut writer = Writer::new(Vec::new(), &bench.keys.secret.recipient(), &header).unwrap();
    let body = serde_json::to_string(&Case { case: "other".into(), ..Case::default() }).unwrap();
    let key = Key { epoch: "e".into(), seq: 2 };
    writer.row(&Row::seal(key, Kind::Outcome, String::new(), 1, body)).unwrap();
    fs::write(&path, writer.finish().unwrap()).unwrap();
    bench.sign(&path, "a");
    let imported = bench.import(&path).unwrap();
    assert_eq!(imported.refused, 1);
    let receipt = bench.receipt(&imported);
    let outcome = &receipt.answers[0].outcome;
    assert!(matches!(outcome, Outcome::Rejected { code: Rejection::Fork, .. }), "{outcome:?}");
}
