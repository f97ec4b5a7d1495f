//! Who asked for what, and who got it, in the audit log. What cannot be put on record is not
//! handed out.

use std::collections::BTreeMap;
use std::net::IpAddr;

use serde_json::{Value, json};
use tokio::task::block_in_place;

use super::find::failed;
use super::identifier::Identifier;
use super::status::Refusal;
use crate::store::Store;
use crate::store::audit::{Entry, noted_keys};

/// The requester, as the log names it.
#[derive(Clone, Copy)]
pub(super) struct Trail<'a> {
    pub(super) store: &'a Store,
    pub(super) calling: &'a str,
    pub(super) ip: IpAddr,
}

impl Trail<'_> {
    /// A query, with its keys.
    pub(super) fn query(&self, asked: &Identifier) -> Result<(), Refusal> {
        let keys = noted_keys(asked.said.iter().map(|(tag, value)| (tag.as_str(), value.as_str())));
        let detail = json!({"level": asked.level.word(), "keys": keys, "address": self.address()});
        self.append("query", "archive", &detail)
    }

    /// Instances are about to go to `destination`: how many of each study, by its row.
    pub(super) fn begins(
        &self,
        destination: &str,
        studies: &BTreeMap<i64, u16>,
    ) -> Result<(), Refusal> {
        self.each("retrieve.begin", destination, studies)
    }

    /// They are there. A row that cannot be written leaves that of the beginning.
    pub(super) fn sent(&self, destination: &str, studies: &BTreeMap<i64, u16>) {
        self.each("retrieve.sent", destination, studies).unwrap_or_default();
    }

    fn each(
        &self,
        action: &str,
        destination: &str,
        studies: &BTreeMap<i64, u16>,
    ) -> Result<(), Refusal> {
        studies.iter().try_for_each(|(study_id, count)| {
            let address = self.address();
            let detail = json!({"to": destination, "instances": count, "address": address});
            self.append(action, &format!("study {study_id}"), &detail)
        })
    }

    fn address(&self) -> String {
        self.ip.to_string()
    }

    fn append(&self, action: &str, object: &str, detail: &Value) -> Result<(), Refusal> {
        let entry = Entry { actor: self.calling, action, object, detail };
        block_in_place(|| self.store.audit(&entry)).map_err(|error| failed(&error))
    }
}
