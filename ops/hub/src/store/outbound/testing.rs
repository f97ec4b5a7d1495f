//! Queues for the tests of those who send.

use exchange::flag::{Flag, Study};

use super::{queue_flag, queue_objects};
use crate::store::Store;
use crate::store::referrals::apply_flag;
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

/// An object arrives.
pub(crate) fn object(store: &Store, sha256: &str) {
    store.write(|tx| queue_objects(tx, "a", "1.2", sha256)).unwrap();
}

/// Everything that waits was perhaps sent as this.
pub(crate) fn perhaps_sent(store: &Store, transaction: &str) {
    let set = "UPDATE outbound SET sent = $1";
    store.write(|tx| tx.execute(set, &[transaction.into()])).unwrap();
}
