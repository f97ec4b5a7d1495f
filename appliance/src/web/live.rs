//! `GET /events`: tells pages that are open that they are old (server-sent events).
//!
//! An event says that something changed and nothing of what; the page then asks for itself again,
//! as whoever is logged in. What changed is read from the database, once a second for all streams.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::extract::rejection::QueryRejection;
use axum::extract::{Query, State};
use axum::http::HeaderMap;
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse as _, Response};
use serde::Deserialize;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, DuplexStream, duplex};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use tokio::task::spawn_blocking;
use tokio::time::sleep;
use tokio_util::io::ReaderStream;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::who::{Presented, presented};
use super::{Error, Web};
use crate::accounts::Right;
use crate::fault::chain;
use crate::store::Store;
use crate::store::changes::{Changed, Changes};

/// Streams at a time: a page that gets none asks for itself now and then, which works as well.
pub(super) const STREAMS: usize = 64;
/// How often the database is asked.
const PERIOD: Duration = Duration::from_secs(1);
/// Longest silence on a stream. It must be shorter than the patience of [`super::listen`], of
/// proxies and of routers that forget connections.
const KEEP_ALIVE: Duration = Duration::from_secs(15);
/// Bytes that a client may leave untaken.
const BUFFER: usize = 4096;
/// A line that clients take no notice of.
const NOTHING: &str = ":\n\n";

/// What streams are made from.
#[derive(Clone, Debug)]
pub struct Live {
    changes: watch::Receiver<Changes>,
    free: Arc<Semaphore>,
}

impl Live {
    /// Begins to read changes, until told to stop; that ends all streams.
    #[must_use]
    pub fn start(store: Arc<Store>, tasks: &TaskTracker, shutdown: &CancellationToken) -> Self {
        let (sender, changes) = watch::channel(Changes::default());
        tasks.spawn(publish(store, sender, shutdown.clone()));
        Self::new(changes)
    }

    pub(super) fn new(changes: watch::Receiver<Changes>) -> Self {
        Self { changes, free: Arc::new(Semaphore::new(STREAMS)) }
    }
}

/// A failing database is reported once and asked again.
async fn publish(store: Arc<Store>, changes: watch::Sender<Changes>, shutdown: CancellationToken) {
    let mut failing = false;
    while !shutdown.is_cancelled() {
        let store = Arc::clone(&store);
        let read = spawn_blocking(move || store.changes()).await.map_err(Error::Panic);
        match read.and_then(|read| read.map_err(Error::Store)) {
            Ok(latest) => {
                failing = false;
                changes.send_if_modified(|known| {
                    let modified = *known != latest;
                    *known = latest;
                    modified
                });
            }
            Err(error) if !failing => {
                failing = true;
                tracing::error!(error = chain(&error), "open pages are not told of changes");
            }
            Err(_) => {}
        }
        tokio::select! {
            () = shutdown.cancelled() => {}
            () = sleep(PERIOD) => {}
        }
    }
}

/// Parameters of the address.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Known {
    /// The change that the page knows; without it only what comes is told.
    after: Option<i64>,
}

/// A stream of two kinds of events: `study` with the row of a study that changed, or `any` when
/// too many did, and after those `worklist`, whose id is the number to go on from.
pub(super) async fn events(
    State(web): State<Web>,
    headers: HeaderMap,
    known: Result<Query<Known>, QueryRejection>,
) -> Result<Response, Error> {
    let Query(Known { after }) = known?;
    let permit = Arc::clone(&web.live.free).try_acquire_owned().map_err(|_| Error::Streams)?;
    // A browser whose connection broke says how far it got.
    let told = headers.get("last-event-id").and_then(|id| id.to_str().ok()?.parse().ok());
    let changes = web.live.changes.clone();
    let seen = told.or(after).unwrap_or_else(|| changes.borrow().latest);
    let stream = Stream { secret: presented(&headers), web, changes, seen, _permit: permit };
    let (ours, theirs) = duplex(BUFFER);
    // An error is a client that is gone.
    drop(tokio::spawn(stream.run(ours)));
    let body = Body::from_stream(ReaderStream::new(theirs));
    Ok(([(CONTENT_TYPE, "text/event-stream")], body).into_response())
}

struct Stream {
    web: Web,
    secret: Option<Presented>,
    changes: watch::Receiver<Changes>,
    /// Number of the latest change that was told.
    seen: i64,
    _permit: OwnedSemaphorePermit,
}

impl Stream {
    /// Writes until the client is gone, the session is over or the daemon stops.
    async fn run(mut self, mut client: DuplexStream) -> io::Result<()> {
        client.write_all(NOTHING.as_bytes()).await?;
        loop {
            let goes_on = tokio::select! {
                // A client sends nothing on a stream: this is its end.
                _ = client.read_u8() => false,
                changed = self.changes.changed() => changed.is_ok(),
                () = sleep(KEEP_ALIVE) => true,
            };
            if !goes_on || !self.may_go_on().await {
                return Ok(());
            }
            client.write_all(self.events().as_bytes()).await?;
        }
    }

    async fn may_go_on(&self) -> bool {
        match &self.secret {
            None => false,
            Some(secret) => secret.holder_still(&self.web).await.must(Right::Patients).is_ok(),
        }
    }

    /// What is new.
    fn events(&mut self) -> String {
        let changes = self.changes.borrow_and_update();
        let studies: Vec<String> = match changes.after(self.seen) {
            Changed::Nothing => return NOTHING.to_owned(),
            Changed::Studies(studies) => studies.iter().map(i64::to_string).collect(),
            Changed::Any => vec!["any".to_owned()],
        };
        self.seen = changes.latest;
        let mut events: String =
            studies.iter().map(|study| format!("event: study\ndata: {study}\n\n")).collect();
        events.push_str(&format!("id: {0}\nevent: worklist\ndata: {0}\n\n", changes.latest));
        events
    }
}
