//! What a hub takes: rows a second, a whole fleet that comes back at once, and a flag behind images
//! on a satellite link. Prints tables; asserts only that nothing was lost.
//!
//!     ops/bench --bench hub [-- rows | fleet | link]
//!
//! `PRIMA_POSTGRES` is the address of a PostgreSQL database; SQLite is measured without one.
//! `PRIMA_BENCH_SITES` (5000), `PRIMA_BENCH_FLAGS` (20) and `PRIMA_BENCH_MIB` (300) are sizes.

#![allow(clippy::unwrap_used, reason = "a bench fails by panicking")]
#![allow(clippy::print_stdout, reason = "tables are what it is for")]
#![allow(clippy::disallowed_methods, reason = "its sizes come from the environment")]

mod clinic;

use std::path::Path;
use std::process::Command;
use std::thread::sleep;
use std::time::{Duration, Instant, UNIX_EPOCH};

use hub::setup::Home;
use serde_json::json;
use tempfile::TempDir;
use tests::api::Api;
use tests::chaos::Weather;
use tests::hub::Hub;
use tests::site::Site;
use tokio::runtime::Runtime;
use tokio::task::JoinSet;

use clinic::Clinic;

/// Sites that send without a pause, as after a week without a link.
const BUSY_SITES: usize = 32;
/// For so long.
const SUSTAINED: Duration = Duration::from_secs(20);
/// Rows of each site that comes back: two studies, what was decided and what came of them.
const ROWS_OF_A_SITE: usize = 8;
/// 64 kbit/s, bytes a second.
const NARROW: u64 = 8000;
/// One way: of a line, and of a hop by a satellite 36,000 km away.
const LATENCIES_MS: [u64; 2] = [20, 300];
/// Between two flags: a prime number of milliseconds, so that they fall into every moment of a
/// piece on its way.
const BETWEEN_FLAGS: Duration = Duration::from_millis(11_003);
/// The last of them is at the hub after so long.
const LAST_FLAG: Duration = Duration::from_secs(30);
/// MR images of 512 by 512 pixels.
const IMAGES_PER_MIB: usize = 2;

fn main() {
    let wanted: Vec<String> =
        std::env::args().skip(1).filter(|argument| !argument.starts_with('-')).collect();
    let wants = |name: &str| wanted.is_empty() || wanted.iter().any(|one| one == name);
    let databases = [Some("SQLite"), std::env::var_os("PRIMA_POSTGRES").map(|_| "PostgreSQL")];
    for database in databases.into_iter().flatten() {
        if wants("rows") {
            rows(database);
        }
        if wants("fleet") {
            fleet(database);
        }
    }
    if wants("link") {
        LATENCIES_MS.into_iter().for_each(link);
    }
}

/// A size from the environment.
fn size(name: &str, otherwise: usize) -> usize {
    std::env::var(name).ok().and_then(|text| text.parse().ok()).unwrap_or(otherwise)
}

/// A hub on one of the databases, and clinics that it let in.
fn opened(folder: &Path, database: &str, clinics: usize) -> (Hub, Home, Vec<Clinic>) {
    let settings = match database {
        "PostgreSQL" => {
            let file = folder.join("postgres");
            std::fs::write(&file, fresh_database()).unwrap();
            format!("database.url_file = {file:?}\n")
        }
        _ => String::new(),
    };
    let hub = Hub::new(folder, &settings).unwrap();
    let home = Home::open(hub.folder()).unwrap();
    let clinics = Clinic::enrolled(&home, hub.sites, clinics);
    (hub, home, clinics)
}

/// Makes a database beside the one of `PRIMA_POSTGRES`; the server is thrown away with it.
fn fresh_database() -> String {
    let url = std::env::var("PRIMA_POSTGRES").unwrap();
    let name = format!("bench{}", UNIX_EPOCH.elapsed().unwrap().as_nanos());
    let made = Command::new("psql")
        .args([&url, "--quiet", "--command", &format!("CREATE DATABASE {name}")])
        .status();
    assert!(made.unwrap().success(), "psql makes no database");
    let (server, _) = url.rsplit_once('/').unwrap();
    format!("{server}/{name}")
}

/// Rows of all clinics that the hub has.
fn stored(home: &Home, clinics: &[Clinic]) -> usize {
    let store = home.store().unwrap();
    clinics.iter().map(|clinic| store.stored_rows(&clinic.site).unwrap().len()).sum()
}

/// Lets all clinics work at the same time; returns them with what each has measured.
fn together<T: Send + 'static, W>(
    clinics: Vec<Clinic>,
    work: impl Fn(Clinic) -> W,
) -> (Vec<Clinic>, Vec<T>)
where
    W: Future<Output = (Clinic, T)> + Send + 'static,
{
    Runtime::new().unwrap().block_on(async {
        let tasks: JoinSet<_> = clinics.into_iter().map(work).collect();
        tasks.join_all().await.into_iter().unzip()
    })
}

/// Rows a second while some sites empty full outboxes.
fn rows(database: &str) {
    let folder = TempDir::new().unwrap();
    let (_hub, home, clinics) = opened(folder.path(), database, BUSY_SITES);
    let started = Instant::now();
    let (clinics, waits) = together(clinics, |mut clinic| async move {
        let mut waits = Vec::new();
        while started.elapsed() < SUSTAINED {
            let batch = clinic.write(exchange::wire::ROWS);
            let sent = Instant::now();
            clinic.deliver(&batch).await;
            waits.push(sent.elapsed());
        }
        (clinic, waits)
    });
    let mut waits = waits.concat();
    let took = started.elapsed().as_secs_f64();
    let sent: usize = clinics.iter().map(Clinic::written).sum();
    assert_eq!(stored(&home, &clinics), sent, "rows were lost or came twice");
    waits.sort();
    println!("\n{database}: {BUSY_SITES} sites send batches of {} rows", exchange::wire::ROWS);
    println!("| rows | seconds | rows/s | batch, median | slowest |\n|---:|---:|---:|---:|---:|");
    println!(
        "| {sent} | {took:.1} | {:.0} | {:.2} s | {:.2} s |",
        rate(sent, took),
        waits[waits.len() / 2].as_secs_f64(),
        waits.last().unwrap().as_secs_f64()
    );
}

#[expect(clippy::cast_precision_loss, reason = "counts of a bench")]
fn rate(count: usize, seconds: f64) -> f64 {
    count as f64 / seconds
}

/// All sites of a fleet connect in the same moment, as after an outage of the hub.
fn fleet(database: &str) {
    let sites = size("PRIMA_BENCH_SITES", 5000);
    let folder = TempDir::new().unwrap();
    let (_hub, home, clinics) = opened(folder.path(), database, sites);
    let started = Instant::now();
    let (clinics, mut waits) = together(clinics, |mut clinic| async move {
        let batch = clinic.write(ROWS_OF_A_SITE);
        clinic.deliver(&batch).await;
        (clinic, started.elapsed())
    });
    let took = started.elapsed().as_secs_f64();
    let tries: usize = clinics.iter().map(|clinic| clinic.failures).sum();
    assert_eq!(stored(&home, &clinics), sites * ROWS_OF_A_SITE, "rows were lost or came twice");
    waits.sort();
    println!("\n{database}: {sites} sites connect at once, {ROWS_OF_A_SITE} rows each");
    println!("| seconds until all are served | median | sites/s | tries that failed |");
    println!("|---:|---:|---:|---:|");
    let median = waits[waits.len() / 2].as_secs_f64();
    println!("| {took:.1} | {median:.1} | {:.0} | {tries} |", rate(sites, took));
}

/// New flags while images wait behind a narrow link.
#[expect(clippy::cast_precision_loss, reason = "megabytes and minutes")]
fn link(latency_ms: u64) {
    let (flags, mib) = (size("PRIMA_BENCH_FLAGS", 20), size("PRIMA_BENCH_MIB", 300));
    let folder = TempDir::new().unwrap();
    let hub = Hub::new(folder.path(), "").unwrap();
    let mut site = Site::new(&hub, "mbeya", 1);
    // As shipped: 15 s between two looks for commands.
    site.launch.settings = site.launch.settings.replace("hub.poll_s = 1\n", "");
    site.restart();
    let latency = Duration::from_millis(latency_ms);
    site.link.set(Weather { rate: NARROW, latency, ..Weather::default() });
    site.scan(1, u64::try_from(mib * IMAGES_PER_MIB).unwrap(), 512);
    let id = site.result()["id"].clone();
    let waits = |api: &Api, priority: usize| api.get("system")["outbox"]["waiting"][priority] != 0;
    site.sees("images that wait", |api| waits(api, 2).then_some(()));
    // The result's own objects go first.
    while waits(&site.api(), 1) {
        sleep(Duration::from_secs(1));
    }
    let now = || (Instant::now(), received(hub.folder()), site.link.passed()[0]);
    let (started, images, all) = now();
    for flag in 0..flags {
        let acuity = ["high", "medium", "low"][flag % 3];
        let decision = json!({"kind": "reprioritise", "acuity": acuity, "reason": "bench"});
        site.api().post(&format!("studies/{id}/decisions"), &decision);
        sleep(BETWEEN_FLAGS);
    }
    let (ended, images_then, all_then) = now();
    let carried = (ended - started).as_secs_f64() * NARROW as f64;
    sleep(LAST_FLAG);
    let store = Home::open(hub.folder()).unwrap().store().unwrap();
    let rows = store.stored_rows(site.name).unwrap();
    let mut waits: Vec<f64> = rows
        .iter()
        .filter(|row| row.kind == "flag")
        .map(|row| (row.received_ms - row.created_ms) as f64 / 1000.0)
        // The first came with the result, before the images.
        .skip(1)
        .collect();
    assert_eq!(waits.len(), flags, "flags are missing");
    waits.sort_by(f64::total_cmp);
    let share = |bytes: u64| 100.0 * bytes as f64 / carried;
    println!(
        "\n{mib} MiB of images wait behind 64 kbit/s, {latency_ms} ms each way; a flag every {} s",
        BETWEEN_FLAGS.as_secs()
    );
    println!("| flags | at the hub, median | slowest | images, of the link | all bytes |");
    println!("|---:|---:|---:|---:|---:|");
    println!(
        "| {flags} | {:.1} s | {:.1} s | {:.0} % | {:.0} % |",
        waits[waits.len() / 2],
        waits.last().unwrap(),
        share(images_then - images),
        share(all_then - all)
    );
}

/// Bytes of all files below the hub's folder of blobs.
fn received(folder: &Path) -> u64 {
    fn below(folder: &Path) -> u64 {
        let Ok(entries) = std::fs::read_dir(folder) else { return 0 };
        let size = |entry: std::fs::DirEntry| match entry.metadata() {
            Ok(file) if file.is_dir() => below(&entry.path()),
            Ok(file) => file.len(),
            Err(_) => 0,
        };
        entries.map_while(Result::ok).map(size).sum()
    }
    below(&folder.join("blobs"))
}
