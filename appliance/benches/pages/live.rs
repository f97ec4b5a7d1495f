//! How soon the last of many browsers hears of a change, and has asked for its page again.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use appliance::store::Store;
use appliance::store::instances::{Arrival, SeriesFacts, StudyFacts};
use appliance::web::serve;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::Runtime;
use tokio::task::{JoinSet, spawn_blocking};
use tokio::time::sleep;

use super::median_and_slowest;
use super::site::{Site, TOKEN};

const ROUNDS: u32 = 20;
/// Between two changes, so that they fall into every moment of the second in which the database is
/// asked once.
const BETWEEN: Duration = Duration::from_millis(1370);

pub(crate) fn tell(runtime: &Runtime, site: &Site, open: usize, browsers: usize) {
    let (mut told, mut loaded) = runtime.block_on(listen(site, browsers));
    println!("\n{browsers} browsers that listen, {open} studies not read, {ROUNDS} new images\n");
    println!("| from the COMMIT until the last of them | median, ms | slowest, ms |");
    println!("|---|---:|---:|");
    for (name, times) in [("is told", &mut told), ("has the page again", &mut loaded)] {
        let [median, slowest] = median_and_slowest(times);
        println!("| {name} | {median:.0} | {slowest:.0} |");
    }
}

/// Of each round, the time until the last browser was told, and until the last had its page.
async fn listen(site: &Site, browsers: usize) -> (Vec<Duration>, Vec<Duration>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let until = site.shutdown.clone().cancelled_owned();
    let server = tokio::spawn(serve(listener, None, site.pages.clone(), until));
    let mut open = Vec::new();
    for _ in 0..browsers {
        open.push(Browser::open(address).await);
    }
    let (mut told, mut loaded) = (Vec::new(), Vec::new());
    for round in 0..ROUNDS {
        sleep(BETWEEN).await;
        let store = Arc::clone(&site.store);
        let change = spawn_blocking(move || arrive(&store, round)).await.unwrap();
        let begun = Instant::now();
        let mut listening = JoinSet::new();
        for browser in open.drain(..) {
            listening.spawn(browser.hear(change, begun));
        }
        let (mut last_told, mut last_loaded) = (Duration::ZERO, Duration::ZERO);
        while let Some(heard) = listening.join_next().await {
            let (browser, times) = heard.unwrap();
            open.push(browser);
            last_told = last_told.max(times[0]);
            last_loaded = last_loaded.max(times[1]);
        }
        told.push(last_told);
        loaded.push(last_loaded);
    }
    drop(open);
    server.abort();
    (told, loaded)
}

/// Another image of a study; the number of the change.
fn arrive(store: &Store, number: u32) -> i64 {
    let uid = "1.3.12.2.1107.5.2.19.45152.7".to_owned();
    let series = SeriesFacts { uid: format!("{uid}.1"), ..SeriesFacts::default() };
    let sop_uid = format!("{uid}.1.{number}");
    let study = StudyFacts { uid, ..StudyFacts::default() };
    store.index(Arrival { study, series, sop_uid, ..Arrival::default() }).unwrap();
    store.latest_change().unwrap()
}

/// A stream that is open.
struct Browser {
    address: SocketAddr,
    stream: TcpStream,
    text: String,
}

impl Browser {
    async fn open(address: SocketAddr) -> Self {
        let stream = ask(address, "/events", "keep-alive").await;
        let mut browser = Self { address, stream, text: String::new() };
        while !browser.text.contains("\n:\n\n") {
            browser.read().await;
        }
        browser.text.clear();
        browser
    }

    /// Waits for a change and asks for the page again; when it was told, and when it had the page.
    async fn hear(mut self, change: i64, begun: Instant) -> (Self, [Duration; 2]) {
        while !self.text.lines().any(|line| number_of(line) >= Some(change)) {
            self.read().await;
        }
        let told = begun.elapsed();
        self.text.clear();
        let mut page = String::new();
        let mut connection = ask(self.address, "/", "close").await;
        connection.read_to_string(&mut page).await.unwrap();
        assert!(page.starts_with("HTTP/1.1 200 OK\r\n"), "{}", page.lines().next().unwrap());
        (self, [told, begun.elapsed()])
    }

    async fn read(&mut self) {
        let mut bytes = [0; 4096];
        let read = self.stream.read(&mut bytes).await.unwrap();
        assert!(read > 0, "the stream ended with {:?}", self.text);
        self.text.push_str(std::str::from_utf8(&bytes[..read]).unwrap());
    }
}

/// The number that an event `worklist` ends with.
fn number_of(line: &str) -> Option<i64> {
    line.strip_prefix("id: ")?.parse().ok()
}

async fn ask(address: SocketAddr, path: &str, connection: &str) -> TcpStream {
    let mut stream = TcpStream::connect(address).await.unwrap();
    let request = format!(
        "GET {path} HTTP/1.1\r\nHost: {address}\r\nAuthorization: Bearer {TOKEN}\r\n\
         Connection: {connection}\r\n\r\n"
    );
    stream.write_all(request.as_bytes()).await.unwrap();
    stream
}
