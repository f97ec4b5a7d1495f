//! What a row costs a hub that has a thousand of them, and one that has ten million; and what the
//! pages cost that coordinators open. Prints tables; asserts only that nothing was lost. Times are
//! those of the fastest tenth, requests a second those of the best of five tries.
//!
//!     ops/bench --bench depth [-- 7] [-- whole]
//!
//! The number is the power of ten of the most rows (6 without it). `whole` keeps them in one table
//! of PostgreSQL instead of partitions, for comparison. `PRIMA_POSTGRES` is the address of a
//! PostgreSQL database; SQLite is measured without one. Ten million rows need 20 GB of disk.

#![allow(clippy::unwrap_used, reason = "a bench fails by panicking")]
#![allow(clippy::print_stdout, reason = "tables are what it is for")]
#![allow(clippy::disallowed_methods, reason = "its database comes from the environment")]

mod handshake;
mod place;
mod seed;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use exchange::row::Row;
use exchange::wire::{Hello, Outcome, Reply, Request};
use hub::blobs::Folder;
use hub::clock::SystemClock;
use hub::db::Database;
use hub::receive::{self, Hub, Limits};
use hub::store::Store;
use hub::store::inbox::{Filter, Place, State};
use hub::store::sites::Admission;

use place::Place as Where;
use seed::{SITES, Seed, row, site};

/// Rows of a full batch, and of what a study or a decision makes.
const FULL: u64 = 500;
const FEW: u64 = 4;
/// Batches before those that are measured, which warm every cache.
const WARM: u64 = 2;
/// Referrals on a page of the inbox.
const PAGE: usize = 100;
/// Clients that ask at the same time; for how long, and how often that is tried.
const CLIENTS: [u64; 3] = [1, 8, 16];
const TOGETHER: Duration = Duration::from_secs(2);
const TRIES: usize = 5;

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let is_test = arguments.iter().any(|argument| argument == "--test");
    let power = arguments.iter().find_map(|argument| argument.parse().ok());
    let whole = arguments.iter().any(|argument| argument == "whole");
    let only =
        arguments.iter().find(|argument| ["sqlite", "postgres"].contains(&argument.as_str()));
    let wanted = |name: &str| only.is_none_or(|only| only == name);
    // `cargo test` runs benches to see that they run.
    let power = power.unwrap_or(if is_test { 3 } else { 6 });
    let handshake = quick(handshake::server_times(200).into_iter());
    println!("a new connection costs the hub {:.0} µs of TLS", micros(handshake));
    if wanted("sqlite") {
        measure(&Where::sqlite(), power);
    }
    if wanted("postgres")
        && let Ok(url) = std::env::var("PRIMA_POSTGRES")
    {
        measure(&Where::postgres(&url, whole), power);
    }
}

/// What a box sends.
struct Sent {
    site: String,
    serial: String,
    batch: Vec<u8>,
}

impl Sent {
    fn new(number: u64, rows: Vec<Row>) -> Self {
        let batch = Request { hello: hello(), rows }.encode().unwrap();
        Self { site: site(number), serial: seed::serial(number), batch }
    }
}

/// What a request costs: time of the fastest tenth, and work of the hub's thread and of the
/// database's process for it on average, which does not depend on what else the machine does.
struct Cost {
    time: Duration,
    cpu: Duration,
}

/// A hub, and what was put into it.
struct Bench<'a> {
    place: &'a Where,
    hub: Hub,
    database: Arc<dyn Database>,
    seed: Seed,
    /// Whose turn it is.
    turn: AtomicU64,
}

fn measure(place: &Where, power: u32) {
    let database = place.open();
    let store = Store::open(Arc::clone(&database), Arc::new(SystemClock)).unwrap();
    place.prepare();
    let blobs = Arc::new(Folder::new(place.folder()));
    let limits = Limits {
        row_bytes: u64::MAX,
        blob_bytes: u64::MAX,
        one_blob_bytes: u64::MAX,
        requests_per_minute: u32::MAX,
        requests_in_a_row: 1_000_000,
    };
    let seed = Seed::new(&store);
    let hub = Hub::new(store, blobs, limits);
    let mut bench = Bench { place, hub, database, seed, turn: 0.into() };
    println!("\n{}: {SITES} sites, {}", place.name(), seed::SHAPE);
    println!(
        "| rows | bytes a row | CPU µs a row, {FULL} together | times 10^3 | {FEW} together \
         | times 10^3 | rows/s, {FULL} together | ms for {FEW} | CPU µs a look \
         | log, bytes a row |"
    );
    println!("|---:|---:|---:|---:|---:|---:|---:|---:|---:|---:|");
    let mut first = None;
    let mut pages = Vec::new();
    for power in 3..=power {
        let rows = 10_u64.pow(power);
        bench.seed.fill(&*bench.database, rows);
        place.settle(&*bench.database);
        let bytes = place.bytes(&*bench.database) / bench.seed.all();
        pages.push((power, bench.pages()));
        let logged = place.logged(&*bench.database);
        let batches = if rows < 100_000 { 8 } else { 40 };
        let full = bench.batches(FULL, batches);
        let log = place
            .logged(&*bench.database)
            .zip(logged)
            .map(|(now, then)| ((now - then) / ((batches + WARM) * FULL)).to_string());
        let few = bench.batches(FEW, 30 * batches);
        let look = bench.looks(1000);
        let (full_0, few_0) = *first.get_or_insert((full.cpu, few.cpu));
        println!(
            "| 10^{power} | {bytes} | {:.0} | {:.2} | {:.0} | {:.2} | {:.0} | {:.2} | {:.0} | {} |",
            micros(full.cpu) / FULL as f64,
            micros(full.cpu) / micros(full_0),
            micros(few.cpu) / FEW as f64,
            micros(few.cpu) / micros(few_0),
            FULL as f64 / full.time.as_secs_f64(),
            micros(few.time) / 1000.0,
            micros(look.cpu),
            log.unwrap_or_else(|| "-".to_owned()),
        );
    }
    print_pages(&pages);
    bench.together();
    bench.check();
}

fn print_pages(all: &[(u32, Vec<(&str, Duration)>)]) {
    let names: Vec<&str> = all[0].1.iter().map(|(name, _)| *name).collect();
    println!("\nms for what a page asks the database\n| rows | {} |", names.join(" | "));
    println!("|---:{}|", "|---:".repeat(names.len()));
    for (power, pages) in all {
        let cells: Vec<String> =
            pages.iter().map(|(_, time)| format!("{:.2}", micros(*time) / 1000.0)).collect();
        println!("| 10^{power} | {} |", cells.join(" | "));
    }
}

impl Bench<'_> {
    /// The next batch of some site, far away from the one before.
    fn next(&self, rows: u64) -> Sent {
        let number = (self.turn.fetch_add(1, Ordering::Relaxed) * 389) % SITES;
        let first = self.seed.take(number, rows);
        let rows = (first..first + rows).map(|n| row(number, n)).collect();
        Sent::new(number, rows)
    }

    /// As the door for boxes does.
    fn send(&self, Sent { site, serial, batch }: &Sent) {
        let admission = self.hub.store().admission(site, serial).unwrap();
        assert_eq!(admission, Admission::Admitted);
        let reply = Reply::decode(&receive::exchange(&self.hub, site, batch).unwrap()).unwrap();
        assert!(reply.answers.iter().all(|a| a.outcome == Outcome::Stored), "{reply:?}");
    }

    /// What a batch costs.
    fn batches(&self, rows: u64, count: u64) -> Cost {
        for _ in 0..WARM {
            self.send(&self.next(rows));
        }
        let batches: Vec<_> = (0..count).map(|_| self.next(rows)).collect();
        self.cost(&batches)
    }

    /// What a look for commands costs by a box of which nothing is new.
    fn looks(&self, count: u64) -> Cost {
        let look = |n| Sent::new(n % SITES, Vec::new());
        (0..count).for_each(|n| self.send(&look(n)));
        self.cost(&(0..count).map(look).collect::<Vec<_>>())
    }

    fn cost(&self, all: &[Sent]) -> Cost {
        let worker = self.place.worker(&*self.database);
        let before = place::cpu(worker);
        let time = quick(all.iter().map(|one| timed(|| self.send(one))));
        Cost { time, cpu: (place::cpu(worker) - before) / u32::try_from(all.len()).unwrap() }
    }

    /// What the pages ask for, with how long it takes.
    fn pages(&self) -> Vec<(&'static str, Duration)> {
        let store = self.hub.store();
        let of = |state| Filter { state, ..Filter::default() };
        let inbox = |filter: &Filter, after: Option<&Place>| {
            let found = store.inbox(filter, PAGE + 1, after).unwrap();
            store.inbox_count(filter, 1000).unwrap();
            store.waiting().unwrap();
            store.services().unwrap();
            store.site_names().unwrap();
            found.last().map(Place::from)
        };
        let completed = of(State::Completed);
        let mut deep = None;
        for _ in 0..9 {
            deep = inbox(&completed, deep.as_ref()).or(deep);
        }
        let of_site = Filter { site: site(7), ..of(State::All) };
        let of_service = Filter { service: "neurosurgery".into(), ..completed.clone() };
        let nine = |work: &dyn Fn()| quick((0..9).map(|_| timed(work)));
        let page = |filter: &Filter, after| nine(&|| drop(inbox(filter, after)));
        vec![
            ("inbox", page(&of(State::Open), None)),
            ("all", page(&of(State::All), None)),
            ("tenth page of completed", page(&completed, deep.as_ref())),
            ("one site", page(&of_site, None)),
            ("one service", page(&of_service, None)),
            (
                "fleet",
                nine(&|| {
                    store.sites().unwrap();
                    store.health().unwrap();
                    store.offers().unwrap();
                }),
            ),
            (
                "metrics",
                nine(&|| {
                    store.open_counts().unwrap();
                    store.escalation_counts().unwrap();
                    store.outbound_queues().unwrap();
                }),
            ),
        ]
    }

    /// Requests a second of clients that ask at the same time.
    fn together(&self) {
        println!("\nrequests/s of clients that ask at the same time");
        println!("| clients | of {FEW} rows | looks |\n|---:|---:|---:|");
        for clients in CLIENTS {
            let best = |rows| (0..TRIES).map(|_| self.rate(clients, rows)).fold(0.0, f64::max);
            let (few, looks) = (best(FEW), best(0));
            println!("| {clients} | {few:.0} | {looks:.0} |");
        }
    }

    fn rate(&self, clients: u64, rows: u64) -> f64 {
        let (begun, done) = (Instant::now(), AtomicU64::new(0));
        thread::scope(|scope| {
            for _ in 0..clients {
                scope.spawn(|| {
                    while begun.elapsed() < TOGETHER {
                        self.send(&self.next(rows));
                        done.fetch_add(1, Ordering::Relaxed);
                    }
                });
            }
        });
        done.into_inner() as f64 / begun.elapsed().as_secs_f64()
    }

    /// Some site has every row that was written for it.
    fn check(&self) {
        for number in [0, 389, SITES - 1] {
            let rows = self.hub.store().stored_rows(&site(number)).unwrap();
            assert_eq!(rows.len() as u64, self.seed.rows(number), "rows are missing");
        }
    }
}

fn hello() -> Hello {
    // By the clock of this machine, as the hub's.
    let wall_ms = hub::clock::Clock::now_ms(&SystemClock);
    Hello { wall_ms, software: "0.1.0".into(), model: "edge".into(), ..Hello::default() }
}

fn timed(work: impl FnOnce()) -> Duration {
    let begun = Instant::now();
    work();
    begun.elapsed()
}

/// What a tenth of the times is not longer than: whatever else a machine does only adds.
fn quick(times: impl Iterator<Item = Duration>) -> Duration {
    let mut times: Vec<Duration> = times.collect();
    times.sort();
    times[times.len() / 10]
}

fn micros(time: Duration) -> f64 {
    time.as_secs_f64() * 1e6
}
