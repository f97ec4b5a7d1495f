//! Blobs in an S3-compatible object store: staged on this machine's disk, put there when whole.
//!
//! Several hubs that share a store each stage for themselves: an upload that goes on at another hub
//! begins anew there. A load balancer therefore sends a site to the same hub while that is up.

use std::fmt;
use std::fs::File;
use std::io::Read;
use std::path::Path;
use std::time::{Duration, SystemTime};

use rusty_s3::{Bucket, Credentials, S3Action as _, UrlStyle};
use ureq::{Agent, Body};

use super::staging::Staging;
use super::{BlobError, BlobStore, Name};

/// How long a signed address is good for.
const SIGNED: Duration = Duration::from_secs(15 * 60);
/// Longest wait for a connection, and for an answer once all was sent.
const CONNECT: Duration = Duration::from_secs(10);
const ANSWER: Duration = Duration::from_secs(60);

/// Where the store is, and who we are there.
#[derive(Clone)]
pub struct Place {
    /// Such as `https://s3.example.org`.
    pub endpoint: String,
    /// Name of the bucket, which is there already.
    pub bucket: String,
    /// Region, or what the store takes for one.
    pub region: String,
    /// The bucket stands in the path of addresses, not in the name of the host.
    pub path_style: bool,
    /// Access key.
    pub key: String,
    /// Its secret.
    pub secret: String,
}

/// A bucket, whose objects are called `<site>/<sha256>`.
pub struct S3 {
    staging: Staging,
    bucket: Bucket,
    credentials: Credentials,
    agent: Agent,
}

impl fmt::Debug for S3 {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("S3").field("bucket", &self.bucket).finish_non_exhaustive()
    }
}

impl S3 {
    /// Connects to nobody yet; stages below this folder.
    ///
    /// # Errors
    ///
    /// When the address makes no sense.
    pub fn new(folder: &Path, place: Place) -> Result<Self, BlobError> {
        let style = if place.path_style { UrlStyle::Path } else { UrlStyle::VirtualHost };
        let endpoint =
            place.endpoint.parse().map_err(|error| BlobError::Address(Box::new(error)))?;
        let bucket = Bucket::new(endpoint, style, place.bucket, place.region)
            .map_err(|error| BlobError::Address(Box::new(error)))?;
        let agent = Agent::config_builder()
            .timeout_connect(Some(CONNECT))
            .timeout_recv_response(Some(ANSWER))
            .max_redirects(0)
            .build()
            .new_agent();
        Ok(Self {
            staging: Staging::new(folder.join("staging")),
            bucket,
            credentials: Credentials::new(place.key, place.secret),
            agent,
        })
    }

    fn put(&self, name: &Name, file: &File) -> Result<(), BlobError> {
        let object = object(name);
        let url = self.bucket.put_object(Some(&self.credentials), &object).sign(SIGNED);
        self.agent.put(url.as_str()).send(file).map_err(remote("keep", name)).map(drop)
    }

    /// Its content, or a range of it (RFC 9110 14.2).
    fn get(&self, name: &Name, range: Option<String>) -> Result<Body, BlobError> {
        let object = object(name);
        let url = self.bucket.get_object(Some(&self.credentials), &object).sign(SIGNED);
        let mut request = self.agent.get(url.as_str());
        if let Some(range) = range {
            request = request.header("Range", range);
        }
        match request.call() {
            Ok(response) => Ok(response.into_body()),
            Err(ureq::Error::StatusCode(404)) => Err(BlobError::Missing(name.sha256.clone())),
            Err(error) => Err(remote("hand out", name)(error)),
        }
    }

    /// Its length in the store; `None` when it is not there.
    fn head(&self, name: &Name) -> Result<Option<Option<u64>>, BlobError> {
        let object = object(name);
        let url = self.bucket.head_object(Some(&self.credentials), &object).sign(SIGNED);
        match self.agent.head(url.as_str()).call() {
            Ok(response) => {
                let length = response.headers().get("content-length");
                Ok(Some(length.and_then(|text| text.to_str().ok()?.parse().ok())))
            }
            Err(ureq::Error::StatusCode(404)) => Ok(None),
            Err(error) => Err(remote("show", name)(error)),
        }
    }
}

impl BlobStore for S3 {
    fn length(&self, name: &Name) -> Result<u64, BlobError> {
        self.staging.length(name)
    }

    fn append(&self, name: &Name, offset: u64, piece: &[u8]) -> Result<u64, BlobError> {
        self.staging.append(name, offset, piece)
    }

    fn finish(&self, name: &Name, bytes: u64) -> Result<(), BlobError> {
        let Some(file) = self.staging.verified(name)? else {
            let whole = self.is_whole(name, bytes)?;
            return if whole { Ok(()) } else { Err(BlobError::Missing(name.sha256.clone())) };
        };
        self.put(name, &file)?;
        let found = self.head(name)?.flatten();
        if found != Some(bytes) {
            let sha256 = name.sha256.clone();
            return Err(BlobError::Length { sha256, found, expected: bytes });
        }
        self.staging.remove(name)
    }

    fn is_whole(&self, name: &Name, bytes: u64) -> Result<bool, BlobError> {
        Ok(self.head(name)?.flatten() == Some(bytes))
    }

    fn open(&self, name: &Name) -> Result<Box<dyn Read + Send>, BlobError> {
        Ok(Box::new(self.get(name, None)?.into_reader()))
    }

    fn read(&self, name: &Name, offset: u64, length: u64) -> Result<Vec<u8>, BlobError> {
        let last = offset.saturating_add(length).saturating_sub(1);
        let mut body = self.get(name, Some(format!("bytes={offset}-{last}")))?;
        body.with_config().limit(length).read_to_vec().map_err(remote("hand out", name))
    }

    fn discard(&self, name: &Name) -> Result<(), BlobError> {
        self.staging.discard(name)
    }

    fn sweep(&self, before: SystemTime) -> Result<(), BlobError> {
        self.staging.sweep(before)
    }
}

fn object(name: &Name) -> String {
    format!("{}/{}", name.site, name.sha256)
}

fn remote(doing: &'static str, name: &Name) -> impl FnOnce(ureq::Error) -> BlobError {
    let sha256 = name.sha256.clone();
    move |source| BlobError::Remote { doing, sha256, source: Box::new(source) }
}
