//! Resident memory over a simulated year: studies arrive by the archive, are complete, are not
//! analysed because there is no model, are looked at and done.

use std::sync::Arc;
use std::time::Duration;

use appliance::clock::ManualClock;
use appliance::store::assembly::Periods;
use appliance::store::decisions::Decision;
use appliance::store::jobs::Finished;
use tokio::runtime::Runtime;

use super::image;
use super::site::Site;

const DAYS: usize = 365;
/// Rows of the table are at the start and at the end of each quarter. The first day fills what is
/// kept for ever.
const TOLD: [usize; 5] = [1, 91, 182, 274, 365];
const SERIES: usize = 2;
const IMAGES: usize = 2;
const AT_ONCE: Periods = Periods { quiet: 0, after_release: 0, all_announced: 0, partial: 0 };

pub(crate) fn tell(runtime: &Runtime, a_day: usize) {
    let clock = Arc::new(ManualClock::new(1_790_000_000_000));
    let site = Site::new(runtime, clock.clone());
    println!("\nA year of {a_day} studies a day, each of {} images\n", SERIES * IMAGES);
    println!("| after day | studies | database, MB | resident, MB |\n|---:|---:|---:|---:|");
    for day in 1..=DAYS {
        for number in 0..a_day {
            study(&site, day * a_day + number);
            clock.advance(Duration::from_secs(86_400) / u32::try_from(a_day).unwrap());
        }
        for path in ["/", "/?queue=done", "/?search=family1", "/study/1", "/system"] {
            runtime.block_on(site.load(path));
        }
        if TOLD.contains(&day) {
            let bytes = std::fs::metadata(site.store.path()).unwrap().len();
            let [database, resident] = [bytes, resident_kib() << 10].map(|b| b / 1_000_000);
            println!("| {day} | {} | {database} | {resident} |", day * a_day);
        }
    }
    site.close(runtime);
}

/// From the scanner to the reader.
fn study(site: &Site, study: usize) {
    let mut id = 0;
    for series in 1..=SERIES {
        for number in 1..=IMAGES {
            id = image::receive(&site.archive, study, series, number);
        }
        site.store.note_release(&[id]).unwrap();
    }
    assert_eq!(site.store.complete_due(AT_ONCE).unwrap().len(), 1);
    let job = site.store.next_job(None, None).unwrap().unwrap();
    site.store.start_job(&job).unwrap();
    let not_analysed = Some("no model is switched on".to_owned());
    let finished = Finished { not_analysed, ..Finished::default() };
    site.store.finish_job(&job, None, &finished).unwrap();
    site.store.decide(id, &Decision::Done, "bench").unwrap();
}

/// Resident memory of this process.
fn resident_kib() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
    line.trim().trim_end_matches(" kB").parse().unwrap()
}
