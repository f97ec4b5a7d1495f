//! One suite for both stores. The object store takes part where `PRIMA_S3` is the address of one
//! with a bucket `prima-hub` and the credentials of s3rver, as `ops/test` has it.

use std::time::Duration;

use exchange::row::hex;
use sha2::{Digest as _, Sha256};

use super::*;

fn on_each(test: impl Fn(&dyn Fn() -> Box<dyn BlobStore>)) {
    let folder = tempfile::tempdir().unwrap();
    test(&|| Box::new(Folder::new(folder.path())));
    if let Some(endpoint) = s3_address() {
        let folder = tempfile::tempdir().unwrap();
        let place = Place {
            endpoint,
            bucket: "prima-hub".into(),
            region: "us-east-1".into(),
            path_style: true,
            key: "S3RVER".into(),
            secret: "S3RVER".into(),
        };
        test(&|| Box::new(S3::new(folder.path(), place.clone()).unwrap()));
    }
}

#[expect(clippy::disallowed_methods, reason = "ops/test says by it that an object store is there")]
fn s3_address() -> Option<String> {
    std::env::var("PRIMA_S3").ok()
}

fn name(site: &str, content: &[u8]) -> Name {
    Name::new(site, &hex(&Sha256::digest(content))).unwrap()
}

fn read(store: &dyn BlobStore, name: &Name) -> Vec<u8> {
    let mut bytes = Vec::new();
    store.open(name).unwrap().read_to_end(&mut bytes).unwrap();
    bytes
}

/// Content that no other run of the tests has put into the bucket.
fn fresh(length: usize) -> Vec<u8> {
    let mut bytes = vec![0; length];
    getrandom::fill(&mut bytes).unwrap();
    bytes
}

#[test]
fn names_cannot_leave_their_folder() {
    let digest = "0".repeat(64);
    assert!(Name::new("a-b", &digest).is_some());
    let (digest, upper) = (digest.as_str(), "A".repeat(64));
    for (site, sha256) in [("..", digest), ("a", ".."), ("a", upper.as_str()), ("", digest)] {
        assert_eq!(Name::new(site, sha256), None, "{site} {sha256}");
        assert!(Name::offered(sha256).is_none_or(|name| sha256 == digest && !is_id(name.site())));
    }
}

#[test]
fn what_arrived_is_there_after_a_restart() {
    on_each(|open| {
        let content = fresh(300_000);
        let name = name("a", &content);
        assert_eq!(open().length(&name).unwrap(), 0);
        assert_eq!(open().append(&name, 0, &content[..100_000]).unwrap(), 100_000);
        // Acknowledged or not: where it ends is what the disk says.
        let store = open();
        assert_eq!(store.length(&name).unwrap(), 100_000);
        let again = store.append(&name, 0, &content[..100_000]).unwrap_err();
        assert!(matches!(again, BlobError::Offset { found: 100_000 }), "{again}");
        let ahead = store.append(&name, 200_000, b"x").unwrap_err();
        assert!(matches!(ahead, BlobError::Offset { found: 100_000 }), "{ahead}");
        assert!(matches!(store.open(&name), Err(BlobError::Missing(_))), "not yet in its place");
        store.append(&name, 100_000, &content[100_000..]).unwrap();
        assert!(!store.is_whole(&name, 300_000).unwrap());
        open().finish(&name, 300_000).unwrap();
        open().finish(&name, 300_000).unwrap();
        assert!(store.is_whole(&name, 300_000).unwrap());
        assert!(!store.is_whole(&name, 299_999).unwrap());
        assert_eq!(store.length(&name).unwrap(), 0, "nothing is left of the staging");
        assert!(read(&*store, &name) == content);
        let piece = |offset, length| store.read(&name, offset, length).unwrap();
        assert!(piece(250_000, 10) == content[250_000..250_010]);
        assert!(piece(299_990, 100) == content[299_990..], "as much as there is");
    });
}

#[test]
fn what_is_something_else_begins_anew() {
    on_each(|open| {
        let content = fresh(1000);
        let (store, name) = (open(), name("a", &content));
        store.append(&name, 0, &[7; 1000]).unwrap();
        assert!(matches!(store.finish(&name, 1000), Err(BlobError::Digest)));
        assert_eq!(store.length(&name).unwrap(), 0);
        assert!(!store.is_whole(&name, 1000).unwrap());
        store.append(&name, 0, &content).unwrap();
        store.finish(&name, 1000).unwrap();
        assert!(read(&*store, &name) == content);
    });
}

#[test]
fn sites_do_not_meet() {
    on_each(|open| {
        let content = fresh(10);
        let (store, ours, theirs) = (open(), name("a", &content), name("b", &content));
        store.append(&ours, 0, &content).unwrap();
        store.finish(&ours, 10).unwrap();
        assert_eq!(store.length(&theirs).unwrap(), 0);
        assert!(!store.is_whole(&theirs, 10).unwrap());
        assert!(matches!(store.open(&theirs), Err(BlobError::Missing(_))));
        assert!(matches!(store.finish(&theirs, 10), Err(BlobError::Missing(_))));
        assert!(matches!(store.read(&theirs, 0, 10), Err(BlobError::Missing(_))));
    });
}

#[test]
fn what_is_thrown_away_is_gone() {
    on_each(|open| {
        let content = fresh(10);
        let (store, name) = (open(), name("a", &content));
        store.discard(&name).unwrap();
        store.append(&name, 0, &content[..5]).unwrap();
        store.discard(&name).unwrap();
        assert_eq!(store.length(&name).unwrap(), 0);
    });
}

#[test]
fn what_nobody_goes_on_with_is_swept_away() {
    on_each(|open| {
        let content = fresh(10);
        let (store, name) = (open(), name("a", &content));
        store.append(&name, 0, &content[..5]).unwrap();
        store.sweep(SystemTime::UNIX_EPOCH).unwrap();
        assert_eq!(store.length(&name).unwrap(), 5);
        store.sweep(SystemTime::UNIX_EPOCH + Duration::from_secs(10_000_000_000)).unwrap();
        assert_eq!(store.length(&name).unwrap(), 0);
    });
}
