//! How fast a reader scrolls: a series of 200 slices, each rendered by the running appliance.
//!
//!     ops/bench --bench slices
//!
//! One client on the same machine asks for each once, one after the other and as the page fetches
//! them. The slices are noise, of which JPEG makes most bytes.

#![allow(clippy::unwrap_used, reason = "a bench fails by panicking")]
#![allow(clippy::print_stdout, reason = "tables are what it is for")]

use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use tempfile::TempDir;
use tests::api::Api;
use tests::daemon::Launch;
use tests::sender::{Association, Peer, slice};
use ureq::Agent;

const SLICES: usize = 200;
/// Pixels along an edge.
const SIDE: u16 = 256;
/// Requests of a page at once.
const AT_ONCE: usize = 6;

fn main() {
    let folder = TempDir::new().unwrap();
    let mut launch = Launch::new(folder.path());
    launch.settings = "assembly.quiet_s = 2\nassembly.quiet_after_release_s = 1\n".into();
    let daemon = launch.start().unwrap();
    let mut association = Association::open(&Peer::new(daemon.dicom)).unwrap();
    for number in 1..=SLICES {
        let slice = slice(1, 1, 1, number.try_into().unwrap(), SIDE);
        assert_eq!(association.store(&slice).unwrap().status, 0);
    }
    association.release().unwrap();
    let api = Api::new(&launch, daemon.web).unwrap();
    while api.get("worklist")["rows"][0]["state"] != "settled" {
        thread::sleep(Duration::from_millis(200));
    }
    let study = api.get("worklist")["rows"][0]["id"].clone();
    let series = api.get(&format!("studies/{study}"))["study"]["series"][0]["id"].clone();
    assert!(series.is_i64(), "{}", api.get(&format!("studies/{study}")));
    let place = format!("study/{study}/series/{series}/slice");
    let pages = Pages { root: format!("http://{}/{place}", daemon.web), token: api.token.clone() };
    let agent = Agent::new_with_defaults();
    let fetched: Vec<_> = (1..=SLICES).map(|number| pages.fetch(&agent, number)).collect();
    let mut times: Vec<Duration> = fetched.iter().map(|(time, _)| *time).collect();
    times.sort();
    let bytes = fetched.iter().map(|(_, bytes)| bytes).sum::<usize>() / SLICES;

    // Another process: nothing of the first round is kept.
    drop(daemon);
    let daemon = launch.start().unwrap();
    let pages = Pages { root: format!("http://{}/{place}", daemon.web), token: api.token };
    let next = AtomicUsize::new(1);
    let begun = Instant::now();
    thread::scope(|scope| {
        for _ in 0..AT_ONCE {
            scope.spawn(|| {
                let agent = Agent::new_with_defaults();
                let mut number = next.fetch_add(1, Ordering::Relaxed);
                while number <= SLICES {
                    pages.fetch(&agent, number);
                    number = next.fetch_add(1, Ordering::Relaxed);
                }
            });
        }
    });
    let took = begun.elapsed().as_secs_f64();
    let ms = |time: Duration| time.as_secs_f64() * 1e3;
    println!("\n{SLICES} slices of {SIDE} x {SIDE}, {bytes} bytes each");
    println!("| one by one, median | 95th percentile | slowest | {AT_ONCE} at a time |");
    println!("|---:|---:|---:|---:|");
    println!(
        "| {:.1} ms | {:.1} ms | {:.1} ms | {:.0} slices/s |",
        ms(times[SLICES / 2]),
        ms(times[SLICES * 95 / 100]),
        ms(times[SLICES - 1]),
        f64::from(u16::try_from(SLICES).unwrap()) / took
    );
}

/// The slices of one series.
struct Pages {
    root: String,
    token: String,
}

impl Pages {
    /// Time and bytes of a slice.
    fn fetch(&self, agent: &Agent, number: usize) -> (Duration, usize) {
        let begun = Instant::now();
        let asked = agent.get(format!("{}/{number}.jpg", self.root));
        let answer = asked.header("Authorization", format!("Bearer {}", self.token)).call();
        let bytes = answer.unwrap().body_mut().read_to_vec().unwrap().len();
        (begun.elapsed(), bytes)
    }
}
