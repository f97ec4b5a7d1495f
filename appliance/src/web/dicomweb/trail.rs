//! Who asked for what, who got it and who stored it, in the audit log. What cannot be put on record
//! is not handed out.

use std::collections::BTreeMap;

use serde_json::json;

use super::{Error, Place, Web};
use crate::store::audit::{Entry, noted_keys};
use crate::store::{Store, StoreError};
use crate::web::who::Who;

/// A search, with its keys: those of the address and those behind it.
pub(super) fn query(
    store: &Store,
    actor: &str,
    level: &str,
    (place, pairs): (&Place, &[(String, String)]),
) -> Result<(), StoreError> {
    let named = [("StudyInstanceUID", &place.study), ("SeriesInstanceUID", &place.series)];
    let named = named.into_iter().filter_map(|(name, uid)| Some((name, uid.as_deref()?)));
    let pairs = pairs.iter().map(|(name, value)| (name.as_str(), value.as_str()));
    let detail = json!({"level": level, "keys": noted_keys(named.chain(pairs))});
    store.audit(&Entry { actor, action: "query", object: "archive", detail: &detail })
}

/// What goes out: instances, their metadata, their frames or a volume of them, of how many instances
/// of each study, by its row.
pub(in crate::web) async fn sent(
    web: &Web,
    who: &Who,
    what: &'static str,
    studies: BTreeMap<i64, usize>,
) -> Result<(), Error> {
    let actor = who.actor();
    web.store(move |web| Ok(each(&web.store, &actor, "retrieve.sent", what, &studies)?)).await
}

/// Instances came: how many of each study, by its row.
pub(super) fn stored(
    store: &Store,
    actor: &str,
    studies: &BTreeMap<i64, usize>,
) -> Result<(), StoreError> {
    each(store, actor, "store", "instances", studies)
}

fn each(
    store: &Store,
    actor: &str,
    action: &str,
    what: &str,
    studies: &BTreeMap<i64, usize>,
) -> Result<(), StoreError> {
    studies.iter().try_for_each(|(study_id, count)| {
        let detail = json!({"what": what, "instances": count});
        let object = format!("study {study_id}");
        store.audit(&Entry { actor, action, object: &object, detail: &detail })
    })
}
