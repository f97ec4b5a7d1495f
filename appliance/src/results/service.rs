//! The way to services over HTTP, where a hospital has no hub: a FHIR service for what a result
//! says and whom it asks for, an archive with STOW-RS for the objects.

use std::io::Cursor;

use exchange::push::{Http, Parcel, Server, Verdict};
use exchange::row::hex;
use exchange::{fhir, stow};
use sha2::{Digest as _, Sha256};
use tokio::task::block_in_place;

use super::delivery::{Answer, Refusal, Way};
use super::{ObjectError, Objects};
use crate::store::deliveries::Delivery;
use crate::store::{Store, StoreError};

/// By transactions, to a FHIR service.
pub struct ByFhir {
    /// Name of the site.
    pub site: String,
    /// The service.
    pub server: Server,
}

impl Way for ByFhir {
    type Parcel = String;
    type Line = Http;

    fn parcel(
        &self,
        objects: &Objects,
        store: &Store,
        delivery: &Delivery,
    ) -> Result<String, ObjectError> {
        objects.transaction(store, delivery.inference_id, &self.site)
    }

    async fn open(&self) -> Result<Http, String> {
        Http::new(&self.server, "")
    }

    async fn send(&self, line: Http, body: String) -> Answer<Http> {
        post(line, Parcel::transaction(body), fhir::verdict)
    }

    async fn close(&self, _line: Http, _store: &Store) -> Result<(), StoreError> {
        Ok(())
    }
}

/// By STOW-RS, to an archive.
pub struct ByStow {
    /// The archive.
    pub server: Server,
}

impl Way for ByStow {
    /// A DICOM file.
    type Parcel = Vec<u8>;
    type Line = Http;

    fn parcel(
        &self,
        objects: &Objects,
        store: &Store,
        delivery: &Delivery,
    ) -> Result<Vec<u8>, ObjectError> {
        objects.file(store, delivery.inference_id, delivery.kind).map(|file| file.bytes)
    }

    async fn open(&self) -> Result<Http, String> {
        Http::new(&self.server, stow::PATH)
    }

    async fn send(&self, line: Http, file: Vec<u8>) -> Answer<Http> {
        let sha256 = hex(&Sha256::digest(&file));
        let bytes = file.len() as u64;
        post(line, Parcel::object(&sha256, Box::new(Cursor::new(file)), bytes), stow::verdict)
    }

    async fn close(&self, _line: Http, _store: &Store) -> Result<(), StoreError> {
        Ok(())
    }
}

fn post(line: Http, parcel: Parcel, judge: fn(u16, &str) -> Verdict) -> Answer<Http> {
    match Verdict::of(block_in_place(|| line.post(parcel)), judge) {
        Verdict::Taken => Answer::Taken(Some(line)),
        Verdict::Refused { why, said } => Answer::Refused(Some(line), Refusal { why, said }),
        Verdict::Silent(why) => Answer::Silent(why),
    }
}
