//! A box with 100,000 studies, and after a year: how long pages take, how soon browsers hear of a
//! change, what an image costs in the index, and how much memory is used. Prints tables.
//!
//!     ops/bench --bench pages [-- pages | live | year | index] [studies=100000] [browsers=50]
//!                             [a-day=20] [images=1000000]
//!
//! Pages come from the router, in process; `studies.sql` makes the studies.

#![expect(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a bench stops at the first problem and prints its tables"
)]

mod image;
mod index;
mod live;
mod site;
mod year;

use std::time::{Duration, Instant};

use appliance::quality;
use appliance::store::catalogue::{Keys, Window};
use tokio::runtime::Runtime;

use site::Site;

/// What is asked for, in ms.
const PAGE_LIMIT: f64 = 50.0;
const SEARCH_LIMIT: f64 = 100.0;
/// Of each page; the median is told.
const TIMES: usize = 15;

fn main() {
    let runtime = Runtime::new().unwrap();
    // First, while nothing else has used memory.
    if wants("year") {
        year::tell(&runtime, size("a-day", 20));
    }
    if wants("index") {
        index::tell(size("images", 1_000_000));
    }
    if !wants("pages") && !wants("live") {
        return;
    }
    let studies = size("studies", 100_000);
    // Nearly all read, and none: many clinics have nobody who reads.
    for open in [studies * 3 / 200, studies] {
        let site = Site::filled(&runtime, studies, open);
        if wants("pages") {
            pages(&runtime, &site, studies, open);
        }
        if wants("live") {
            live::tell(&runtime, &site, open, size("browsers", 50));
        }
        site.close(&runtime);
    }
}

/// True for a part that is named, or when none is.
fn wants(part: &str) -> bool {
    let parts: Vec<String> = std::env::args()
        .skip(1)
        .filter(|argument| !argument.starts_with('-') && !argument.contains('='))
        .collect();
    parts.is_empty() || parts.iter().any(|one| one == part)
}

/// A size from the arguments, `name=value`.
fn size(name: &str, otherwise: usize) -> usize {
    std::env::args()
        .find_map(|argument| argument.strip_prefix(name)?.strip_prefix('=')?.parse().ok())
        .unwrap_or(otherwise)
}

fn pages(runtime: &Runtime, site: &Site, studies: usize, open: usize) {
    println!("\nPages with {studies} studies in the store, {open} of them not read\n");
    println!("| page | median, ms | slowest, ms | asked for, ms |");
    println!("|---|---:|---:|---:|");
    for (name, path) in addresses(studies, open) {
        let limit = if path.contains("search=") { SEARCH_LIMIT } else { PAGE_LIMIT };
        tell(name, limit, || {
            runtime.block_on(site.load(&path));
        });
    }
    for (name, keys) in queries() {
        tell(name, SEARCH_LIMIT, || {
            site.store.find_studies(&keys, Window { offset: 0, limit: 100 }).unwrap();
        });
    }
    let looks = rusqlite::Connection::open(site.store.path()).unwrap();
    tell("look at two scanners", PAGE_LIMIT, || {
        looks.execute_batch("DELETE FROM quality_look").unwrap();
        assert_eq!(quality::look(&site.store, &quality::Config::default()).unwrap(), 2);
    });
}

fn addresses(studies: usize, open: usize) -> Vec<(&'static str, String)> {
    let text = str::to_owned;
    let mut addresses = vec![
        ("worklist, first page", text("/")),
        ("worklist, next page", text("/?offset=50")),
        ("worklist, in the middle", format!("/?offset={}", open / 2)),
        ("worklist, last page", format!("/?offset={}", open.saturating_sub(50))),
        ("one queue", text("/?queue=review")),
        ("search by name", text("/?search=family12")),
        ("search by name, next page", text("/?search=family12&offset=50")),
        ("search by name, one queue", text("/?queue=review&search=family12")),
        ("search by two words", text("/?search=family12+given5")),
        ("search by Patient ID", text("/?search=mrn500")),
        ("search by accession number", text("/?search=acc12345")),
        ("search that nothing fits", text("/?search=nobody")),
        ("search that all fit", text("/?search=family")),
        ("worklist as JSON, 500 rows", text("/api/v1/worklist?limit=500")),
        ("study", format!("/study/{}", studies - 9)),
        ("study as JSON", format!("/api/v1/studies/{}", studies - 9)),
        ("system", text("/system")),
        ("quality", text("/quality")),
        ("metrics", text("/metrics")),
    ];
    if open < studies {
        addresses.push(("done", text("/?queue=done")));
        addresses.push(("done, far down", format!("/?queue=done&offset={}", studies * 3 / 4)));
    }
    addresses
}

/// What workstations ask for, from what an index finds to what every study is looked at for.
fn queries() -> [(&'static str, Keys); 5] {
    let text = str::to_owned;
    let march = Some([text("20260301"), text("20260331")]);
    [
        ("find_studies by Patient ID", Keys { patient_id: text("MRN500"), ..Keys::default() }),
        ("find_studies by date", Keys { study_date: march, ..Keys::default() }),
        ("find_studies by name", Keys { patient_name: text("FAMILY12^*"), ..Keys::default() }),
        (
            "find_studies by a name that none has",
            Keys { patient_name: text("*NOBODY*"), ..Keys::default() },
        ),
        (
            "find_studies by a modality that none has",
            Keys { modalities: vec![text("CT")], ..Keys::default() },
        ),
    ]
}

fn tell(name: &str, limit: f64, mut work: impl FnMut()) {
    work();
    let mut times: Vec<Duration> = (0..TIMES)
        .map(|_| {
            let begun = Instant::now();
            work();
            begun.elapsed()
        })
        .collect();
    let [median, slowest] = median_and_slowest(&mut times);
    let over = if median > limit { ", over the limit" } else { "" };
    println!("| {name} | {median:.1}{over} | {slowest:.1} | {limit:.0} |");
}

/// In ms.
fn median_and_slowest(times: &mut [Duration]) -> [f64; 2] {
    times.sort();
    [times.len() / 2, times.len() - 1].map(|place| times[place].as_secs_f64() * 1e3)
}
