//! Streams of events, over the network as browsers have them.

use std::net::SocketAddr;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::task::JoinHandle;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::*;
use crate::store::users::Role;

const PATIENCE: Duration = Duration::from_secs(60);
const READER: &str = "Live reader";

impl Site {
    /// A cookie of a reader.
    fn reader(&self) -> String {
        let store = &self.web.store;
        store.add_user(READER, Role::Reader, "no hash", "test").unwrap();
        let user = store.set_password(READER, "no hash", false, "test").unwrap();
        let secret = accounts::secret().unwrap();
        store.open_session(&user, &accounts::digest(&secret), 36_000_000, "test").unwrap();
        format!("session={secret}")
    }

    /// Streams are told by hand of what [`Store::changes`] says.
    fn by_hand(&mut self) -> watch::Sender<Changes> {
        let (sender, receiver) = watch::channel(self.web.store.changes().unwrap());
        self.web.live = Live::new(receiver);
        sender
    }

    async fn serve(&self, until: CancellationToken) -> (SocketAddr, JoinHandle<io::Result<()>>) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let router = router(self.web.clone());
        (address, tokio::spawn(serve(listener, None, router, until.cancelled_owned())))
    }

    async fn events(&self, cookie: &str, path: &str) -> Response {
        let request = Request::get(path).header("host", "127.0.0.1").header("cookie", cookie);
        let request = request.body(Body::empty()).unwrap();
        router(self.web.clone()).oneshot(request).await.unwrap()
    }
}

/// A browser's end of a stream.
struct Reading {
    connection: TcpStream,
    text: String,
}

impl Reading {
    async fn open(address: SocketAddr, cookie: &str, after: i64) -> Self {
        let mut connection = TcpStream::connect(address).await.unwrap();
        let request = format!(
            "GET /events?after={after} HTTP/1.1\r\nHost: {address}\r\nCookie: {cookie}\r\n\r\n"
        );
        connection.write_all(request.as_bytes()).await.unwrap();
        let mut reading = Self { connection, text: String::new() };
        reading.until("\n:\n\n").await;
        assert!(reading.text.starts_with("HTTP/1.1 200 OK\r\n"), "{}", reading.text);
        assert!(reading.text.contains("content-type: text/event-stream\r\n"), "{}", reading.text);
        let begun = reading.text.find("\n:\n\n").unwrap();
        reading.text.drain(..begun + 4);
        reading
    }

    /// Reads until something has come; all that came by then.
    async fn until(&mut self, expected: &str) -> &str {
        while !self.text.contains(expected) {
            let mut bytes = [0; 1024];
            let read = timeout(PATIENCE, self.connection.read(&mut bytes)).await;
            let read = read.unwrap_or_else(|_| panic!("{expected:?} is not in {:?}", self.text));
            let read = read.unwrap();
            assert!(read > 0, "the stream ended with {:?}", self.text);
            self.text.push_str(std::str::from_utf8(&bytes[..read]).unwrap());
        }
        &self.text
    }

    /// The last chunk, which says that this was all.
    async fn end(mut self) {
        self.until("\n0\r\n\r\n").await;
    }
}

#[tokio::test]
async fn an_event_comes_with_a_change_and_with_nothing_else() {
    let mut appliance = Site::new();
    let cookie = appliance.reader();
    appliance.study("A", true);
    let changes = appliance.by_hand();
    let (address, _server) = appliance.serve(CancellationToken::new()).await;
    let mut reading = Reading::open(address, &cookie, 1).await;
    changes.send_replace(appliance.web.store.changes().unwrap());
    assert!(!reading.until("\n:\n\n").await.contains("event"), "{}", reading.text);
    appliance.study("B", true);
    changes.send_replace(appliance.web.store.changes().unwrap());
    let told = "event: study\ndata: 2\n\nid: 2\nevent: worklist\ndata: 2\n\n";
    assert_eq!(reading.until(told).await.matches("event:").count(), 2);
    // Whoever was away hears of what it missed.
    let mut late = Reading::open(address, &cookie, 0).await;
    let told = "event: study\ndata: 1\n\nevent: study\ndata: 2\n\nid: 2\nevent: worklist";
    late.until(told).await;
    let mut before_a_restore = Reading::open(address, &cookie, 7).await;
    before_a_restore.until("event: study\ndata: any\n\nid: 2\nevent: worklist").await;
}

#[tokio::test]
async fn nobody_is_told_without_a_login() {
    let appliance = Site::new();
    let cookie = appliance.reader();
    let refused = appliance.events("", "/events").await;
    assert_eq!(
        (refused.status().as_u16(), refused.headers().contains_key("location")),
        (401, false)
    );
    assert_eq!(appliance.events(&cookie, "/events?after=x").await.status().as_u16(), 400);
    assert_eq!(appliance.events(&cookie, "/events").await.status().as_u16(), 200);
}

#[tokio::test]
async fn there_are_so_many_streams_and_no_more() {
    let mut appliance = Site::new();
    let cookie = appliance.reader();
    let _changes = appliance.by_hand();
    let mut open = Vec::new();
    for _ in 0..super::super::live::STREAMS {
        open.push(appliance.events(&cookie, "/events").await);
    }
    assert!(open.iter().all(|answer| answer.status().as_u16() == 200));
    let refused = appliance.events(&cookie, "/events").await;
    assert_eq!(refused.status().as_u16(), 503);
    let said = to_bytes(refused.into_body(), 4096).await.unwrap();
    let said = serde_json::from_slice::<Value>(&said).unwrap();
    assert_eq!(said["error"]["code"], "busy");
    // The place of one that is closed is free.
    open.pop();
    let again = async {
        while appliance.events(&cookie, "/events").await.status().as_u16() != 200 {
            tokio::task::yield_now().await;
        }
    };
    timeout(PATIENCE, again).await.unwrap();
}

#[tokio::test]
async fn a_stream_ends_with_the_session() {
    let mut appliance = Site::new();
    let cookie = appliance.reader();
    let changes = appliance.by_hand();
    let (address, _server) = appliance.serve(CancellationToken::new()).await;
    let reading = Reading::open(address, &cookie, 0).await;
    appliance.web.store.set_disabled(READER, true, "test").unwrap();
    appliance.study("A", true);
    changes.send_replace(appliance.web.store.changes().unwrap());
    reading.end().await;
}

#[tokio::test]
async fn streams_end_with_the_daemon() {
    let mut appliance = Site::new();
    let cookie = appliance.reader();
    let (tasks, shutdown) = (TaskTracker::new(), CancellationToken::new());
    appliance.web.live = Live::start(Arc::clone(&appliance.web.store), &tasks, &shutdown);
    let (address, server) = appliance.serve(shutdown.clone()).await;
    let mut reading = Reading::open(address, &cookie, 0).await;
    appliance.study("A", true);
    reading.until("event: worklist").await;
    shutdown.cancel();
    tasks.close();
    timeout(PATIENCE, tasks.wait()).await.unwrap();
    reading.end().await;
    timeout(PATIENCE, server).await.unwrap().unwrap().unwrap();
}
