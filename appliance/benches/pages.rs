//! How long pages take with 20,000 studies in the store, as a table; 50 ms a page are asked for.
//!
//! Pages come from the router, in process; `pages.sql` makes the studies.
//!
//! `cargo bench --workspace --profile dev --bench pages`

#![expect(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a bench stops at the first problem and prints its table"
)]

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use appliance::accounts;
use appliance::archive::{self, Archive};
use appliance::clock::SystemClock;
use appliance::quality;
use appliance::store::Store;
use appliance::store::catalogue::{Keys, Window};
use appliance::web::{Gate, Live, Status, Web, router};
use appliance::worklist::AgeCaps;
use axum::Router;
use axum::body::{Body, to_bytes};
use axum::http::Request;
use firmware_config::trial::Place;
use models::dicom::decoder::{Decoder, DecoderLimits};
use tokio::runtime::Runtime;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tower::ServiceExt as _;

const LIMIT_MS: f64 = 50.0;
/// Of each page; the median is told.
const TIMES: usize = 15;
const TOKEN: &str = "token of the bench";

const PAGES: [(&str, &str); 10] = [
    ("worklist", "/"),
    ("worklist, search by name", "/?search=family12"),
    ("worklist, done", "/?queue=done"),
    ("worklist, done, far down", "/?queue=done&offset=15000"),
    ("worklist as JSON, 500 rows", "/api/v1/worklist?limit=500"),
    ("study", "/study/19991"),
    ("study as JSON", "/api/v1/studies/19991"),
    ("system", "/system"),
    ("quality", "/quality"),
    ("metrics", "/metrics"),
];

fn main() {
    let folder = tempfile::tempdir().unwrap();
    let store = Arc::new(filled(&folder.path().join("appliance.sqlite")));
    let runtime = Runtime::new().unwrap();
    let (_status, status) = watch::channel(Status::default());
    let shutdown = CancellationToken::new();
    let pages = {
        let _context = runtime.enter();
        router(Web {
            archive: Arc::new(opened(&folder.path().join("archive"), &store)),
            decoder: Arc::new(Decoder::new("none".into(), Vec::new(), DecoderLimits::default())),
            slices: Arc::default(),
            status,
            poke: Arc::default(),
            caps: AgeCaps::default(),
            hosts: Arc::from([]),
            settings: Arc::from(""),
            gate: Gate::new(None),
            live: Live::start(Arc::clone(&store), &TaskTracker::new(), &shutdown),
            niivue: None,
            encrypted: false,
            place: Place { root: folder.path().to_owned() },
            store: Arc::clone(&store),
        })
    };
    println!("\nPages with 20,000 studies in the store\n\n| page | median, ms | slowest, ms |");
    println!("|---|---|---|");
    for (name, path) in PAGES {
        tell(name, || runtime.block_on(load(&pages, path)));
    }
    for (name, keys) in queries() {
        tell(name, || {
            store.find_studies(&keys, Window { offset: 0, limit: 100 }).unwrap();
        });
    }
    let looks = rusqlite::Connection::open(store.path()).unwrap();
    tell("look at two scanners", || {
        looks.execute_batch("DELETE FROM quality_look").unwrap();
        assert_eq!(quality::look(&store, &quality::Config::default()).unwrap(), 2);
    });
    shutdown.cancel();
}

fn filled(path: &Path) -> Store {
    let store = Store::open(path, Arc::new(SystemClock::new())).unwrap();
    let studies = rusqlite::Connection::open(path).unwrap();
    studies.execute_batch(include_str!("pages.sql")).unwrap();
    store.add_first_user("Bench", "no hash").unwrap();
    store.add_token("Bench", "bench", &accounts::digest(TOKEN), "bench").unwrap();
    store
}

fn opened(path: &Path, store: &Arc<Store>) -> Archive {
    Archive::open(path, Arc::clone(store), archive::Config::default()).unwrap()
}

async fn load(pages: &Router, path: &str) {
    let request = Request::get(path)
        .header("host", "127.0.0.1")
        .header("authorization", format!("Bearer {TOKEN}"));
    let request = request.body(Body::empty()).unwrap();
    let answer = pages.clone().oneshot(request).await.unwrap();
    assert!(answer.status().is_success(), "{path}: {}", answer.status());
    to_bytes(answer.into_body(), usize::MAX).await.unwrap();
}

/// What workstations ask for, from what an index finds to what every study is looked at for.
fn queries() -> [(&'static str, Keys); 4] {
    let text = str::to_owned;
    [
        ("find_studies by Patient ID", Keys { patient_id: text("MRN500"), ..Keys::default() }),
        (
            "find_studies by date",
            Keys { study_date: Some([text("20260301"), text("20260331")]), ..Keys::default() },
        ),
        ("find_studies by name", Keys { patient_name: text("FAMILY12^*"), ..Keys::default() }),
        (
            "find_studies by a modality that none has",
            Keys { modalities: vec![text("CT")], ..Keys::default() },
        ),
    ]
}

fn tell(name: &str, mut work: impl FnMut()) {
    work();
    let mut times: Vec<Duration> = (0..TIMES)
        .map(|_| {
            let begun = Instant::now();
            work();
            begun.elapsed()
        })
        .collect();
    times.sort();
    let [median, slowest] = [TIMES / 2, TIMES - 1].map(|place| times[place].as_secs_f64() * 1e3);
    let over = if median > LIMIT_MS { ", over the limit" } else { "" };
    println!("| {name} | {median:.1}{over} | {slowest:.1} |");
}
