//! Queues for the tests of those who send.

use exchange::flag::{Flag, Study};
use exchange::manifest::{Manifest, Object};
use exchange::row::Kind;

use super::{queue_flag, queue_objects};
use crate::store::Store;
use crate::store::referrals::{apply_flag, apply_manifest};
use crate::store::testing::NOW_MS;

/// A flag of this number arrives.
pub(crate) fn flag(store: &Store, study: &str, seq: i64, asked: bool) {
    let study = Study { uid: study.into(), ..Study::default() };
    let flag = Flag { asked, study, ..Flag::default() };
    store
        .write(|tx| {
            apply_flag(tx, "a", &flag, ("e", seq), NOW_MS)?;
            queue_flag(tx, "a", &flag.study.uid)
        })
        .unwrap();
}

/// A study is queued that nobody knows.
pub(crate) fn unknown(store: &Store, study: &str) {
    store.write(|tx| queue_flag(tx, "a", study)).unwrap();
}

/// A report of four bytes arrives.
pub(crate) fn object(store: &Store, sha256: &str) {
    let object = Object {
        sop_instance: sha256.into(),
        sha256: sha256.into(),
        bytes: 4,
        ..Object::default()
    };
    let manifest = Manifest { study: "1.2".into(), objects: vec![object], ..Manifest::default() };
    store
        .write(|tx| {
            apply_manifest(tx, "a", Kind::Objects, &manifest, NOW_MS)?;
            queue_objects(tx, "a", "1.2")
        })
        .unwrap();
}

/// Everything that waits was perhaps sent as this.
pub(crate) fn perhaps_sent(store: &Store, transaction: &str) {
    let set = "UPDATE outbound SET sent = $1";
    store.write(|tx| tx.execute(set, &[transaction.into()])).unwrap();
}
