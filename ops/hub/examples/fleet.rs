//! Fifty thousand sites before hubs that share them out: a simulation of a morning with an hour in
//! which nobody reaches anybody. Deterministic; prints a table, one row for each number of shards.
//!
//!     cargo run -p hub --example fleet [-- NAME=NUMBER ...]
//!
//! Boxes wait, fail and come back by the code that they ship ([`Backoff`]); what a request costs a
//! shard was measured by the bench `depth` (`ops/docs/scale.md`).

#![expect(clippy::print_stdout, reason = "a table is what it is for")]

use std::cmp::Reverse;
use std::collections::{BinaryHeap, VecDeque};
use std::time::Duration;

use exchange::courier::Backoff;

/// Microseconds of simulated time.
type Micros = i64;
const SECOND: Micros = 1_000_000;
const MINUTE: Micros = 60 * SECOND;
const HOUR: Micros = 60 * MINUTE;

/// A box that reaches nobody notices so late.
const CONNECT: Micros = 30 * SECOND;
/// A request waits so long for a connection to the database, and is then told to come back.
const PATIENCE: Micros = 10 * SECOND;
/// When it is told to.
const BUSY: Duration = Duration::from_secs(10);
/// A connection that was idle for longer is made anew.
const IDLE: Micros = 100 * SECOND;
/// A look with nothing new in it is written down once in so long.
const FRESH: Micros = MINUTE;
/// Rows that a study makes, and the most in one request.
const ROWS: u32 = 4;
const MOST_ROWS: u32 = 500;
/// Of the studies of a day, how many fall into each hour of the clinic's day, in thousandths.
const DAY: [u32; 24] =
    [8, 6, 5, 5, 6, 10, 22, 48, 86, 98, 98, 88, 66, 74, 86, 80, 66, 46, 30, 22, 18, 14, 10, 8];
/// Hours before or behind UTC, and how many of sixteen sites are there.
const ZONES: [(i64, u64); 6] = [(-5, 2), (0, 3), (2, 3), (3, 4), (5, 3), (8, 1)];
/// The simulated morning, and its outage, UTC.
const BEGIN: Micros = 5 * HOUR;
const OUTAGE: (Micros, Micros) = (7 * HOUR, 8 * HOUR);
const END: Micros = 10 * HOUR;

/// What is simulated.
#[derive(Clone, Debug)]
struct Setup {
    sites: usize,
    shards: Vec<usize>,
    /// Of each site.
    studies_a_day: f64,
    /// Of a hundred studies, how many are flagged.
    flagged: f64,
    poll_s: f64,
    /// Requests that a shard works at, at the same time.
    workers: usize,
    /// Requests of four rows that a shard answers a second, and looks.
    few: f64,
    looks: f64,
    /// Of each row behind the fourth.
    row_us: f64,
    /// Of a new connection.
    tls_us: f64,
}

impl Setup {
    /// As measured, but for what the arguments say.
    fn read(arguments: impl Iterator<Item = String>) -> Result<Self, String> {
        let mut setup = Self {
            sites: 50_000,
            shards: vec![1, 2, 4, 8],
            studies_a_day: 20.0,
            flagged: 25.0,
            poll_s: 15.0,
            workers: 16,
            few: 300.0,
            looks: 3000.0,
            row_us: 300.0,
            tls_us: 2000.0,
        };
        for argument in arguments {
            let wrong = || format!("{argument:?} is no NAME=NUMBER of this simulation");
            let (name, text) = argument.split_once('=').ok_or_else(wrong)?;
            let number: f64 = text.parse().map_err(|_| wrong())?;
            #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "counts")]
            let count = number as usize;
            match name {
                "sites" => setup.sites = count,
                "shards" => setup.shards = vec![count],
                "studies_a_day" => setup.studies_a_day = number,
                "flagged" => setup.flagged = number,
                "poll_s" => setup.poll_s = number,
                "workers" => setup.workers = count,
                "few" => setup.few = number,
                "looks" => setup.looks = number,
                "row_us" => setup.row_us = number,
                "tls_us" => setup.tls_us = number,
                _ => return Err(wrong()),
            }
        }
        Ok(setup)
    }

    /// What a request costs a worker.
    fn cost(&self, rows: u32, written: bool, connects: bool) -> Micros {
        let a_second = if written { self.few } else { self.looks };
        let more = f64::from(rows.saturating_sub(ROWS)) * self.row_us;
        let connect = if connects { self.tls_us } else { 0.0 };
        whole(1e6 * self.workers as f64 / a_second + more + connect)
    }
}

#[expect(clippy::cast_possible_truncation, reason = "times of a simulation")]
fn whole(micros: f64) -> Micros {
    micros.round() as Micros
}

fn micros(duration: Duration) -> Micros {
    Micros::try_from(duration.as_micros()).unwrap_or(Micros::MAX)
}

fn main() -> Result<(), String> {
    let setup = Setup::read(std::env::args().skip(1))?;
    println!("{setup:?}\n");
    println!(
        "| shards | requests/s | load | flag at the hub, median | 99 % | longest queue \
         | after the outage: all are back | flags of it, 99 % | longest queue | told to come back |"
    );
    println!("|---:|---:|---:|---:|---:|---:|---:|---:|---:|---:|");
    for shards in &setup.shards {
        Fleet::new(&setup, *shards).live().print();
    }
    Ok(())
}

/// A box.
struct Site {
    shard: usize,
    zone_h: i64,
    backoff: Backoff,
    /// Chance of studies, apart from that of pauses.
    chance: Backoff,
    /// Rows that wait here, and when the flags among them were made.
    rows: u32,
    flags: Vec<Micros>,
    /// Rows and flags of these that are on their way.
    sent: (u32, usize),
    /// It may ask at once: it is neither asking nor waiting after a failure.
    idle: bool,
    /// Asks that were planned before this one are void.
    plan: u32,
    /// When the hub wrote down last that it lives, and when it last answered.
    written: Micros,
    answered: Micros,
}

/// A hub with its database: first come, first served.
struct Shard {
    /// When each worker is free.
    free: BinaryHeap<Reverse<Micros>>,
    /// When those begin that wait.
    starts: VecDeque<Micros>,
    worked: Micros,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum What {
    /// A study is analysed.
    Study,
    /// The site asks the hub, by this plan.
    Ask(u32),
    /// The hub has answered.
    Answer,
}

struct Fleet<'a> {
    setup: &'a Setup,
    sites: Vec<Site>,
    shards: Vec<Shard>,
    events: BinaryHeap<Reverse<(Micros, usize, What)>>,
    seen: Seen,
}

/// What is reported.
#[derive(Default)]
struct Seen {
    shards: usize,
    requests: u64,
    load: f64,
    /// How long flags took before the outage, and those that were made in it after its end.
    usual: Vec<Micros>,
    held_up: Vec<Micros>,
    queues: [usize; 2],
    back: Micros,
    busy: u64,
}

impl<'a> Fleet<'a> {
    fn new(setup: &'a Setup, shards: usize) -> Self {
        let zones: Vec<i64> = ZONES.iter().flat_map(|(zone, of)| (0..*of).map(|_| *zone)).collect();
        let site = |number: usize| {
            // Neighbouring numbers have nothing in common (SplitMix64).
            let mut seed = (number as u64 + 1).wrapping_mul(0x9E37_79B9_7F4A_7C15);
            seed = (seed ^ (seed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
            seed = (seed ^ (seed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
            Site {
                shard: usize::try_from(seed >> 33).unwrap_or(0) % shards,
                zone_h: zones[number % zones.len()],
                backoff: Backoff::new(seed),
                chance: Backoff::new(!seed),
                rows: 0,
                flags: Vec::new(),
                sent: (0, 0),
                idle: true,
                plan: 0,
                written: BEGIN - FRESH,
                answered: BEGIN - IDLE,
            }
        };
        let shard = || Shard {
            free: (0..setup.workers).map(|_| Reverse(BEGIN)).collect(),
            starts: VecDeque::new(),
            worked: 0,
        };
        let mut fleet = Self {
            setup,
            sites: (0..setup.sites).map(site).collect(),
            shards: (0..shards).map(|_| shard()).collect(),
            events: BinaryHeap::new(),
            seen: Seen { shards, ..Seen::default() },
        };
        for number in 0..setup.sites {
            let first = fleet.sites[number].chance.share() * setup.poll_s * 1e6;
            fleet.plan(number, BEGIN + whole(first));
            fleet.next_study(number, BEGIN);
        }
        fleet
    }

    fn live(mut self) -> Seen {
        while let Some(Reverse((now, number, what))) = self.events.pop() {
            if now >= END {
                break;
            }
            match what {
                What::Study => self.study(number, now),
                What::Ask(plan) if plan == self.sites[number].plan => self.ask(number, now),
                What::Ask(_) => {}
                What::Answer => self.answered(number, now),
            }
        }
        self.seen
    }

    /// In place of what was planned before.
    fn plan(&mut self, number: usize, at: Micros) {
        let site = &mut self.sites[number];
        site.plan += 1;
        self.events.push(Reverse((at, number, What::Ask(site.plan))));
    }

    /// The next study of a site: a Poisson process by the hour, by thinning (Lewis, Shedler 1979).
    fn next_study(&mut self, number: usize, mut at: Micros) {
        let most = f64::from(DAY.into_iter().max().unwrap_or(1)) / 1000.0;
        let site = &mut self.sites[number];
        loop {
            let uniform = site.chance.share().max(1e-9);
            at += whole(-uniform.ln() * HOUR as f64 / (most * self.setup.studies_a_day));
            let hour = (at / HOUR + site.zone_h).rem_euclid(24);
            let share =
                DAY.iter().zip(0..).find(|(_, h)| *h == hour).map_or(0, |(share, _)| *share);
            if site.chance.share() * most < f64::from(share) / 1000.0 {
                break;
            }
        }
        self.events.push(Reverse((at, number, What::Study)));
    }

    fn study(&mut self, number: usize, now: Micros) {
        let site = &mut self.sites[number];
        site.rows += ROWS;
        let flagged = site.chance.share() * 100.0 < self.setup.flagged;
        if flagged {
            site.flags.push(now);
        }
        if site.idle {
            self.plan(number, now);
        }
        self.next_study(number, now);
    }

    fn ask(&mut self, number: usize, now: Micros) {
        let is_out = (OUTAGE.0..OUTAGE.1).contains(&now);
        let site = &mut self.sites[number];
        site.idle = false;
        if is_out {
            let again = now + CONNECT + micros(site.backoff.failed());
            self.plan(number, again);
            return;
        }
        let shard = &mut self.shards[site.shard];
        while shard.starts.front().is_some_and(|start| *start <= now) {
            shard.starts.pop_front();
        }
        let free = shard.free.peek().map_or(now, |free| free.0);
        let start = free.max(now);
        if start - now > PATIENCE {
            self.seen.busy += 1;
            let again = now + PATIENCE + micros(site.backoff.busy(BUSY));
            self.plan(number, again);
            return;
        }
        let rows = site.rows.min(MOST_ROWS);
        // Flags go first.
        site.sent = (rows, site.flags.len());
        let written = rows > 0 || now - site.written >= FRESH;
        let cost = self.setup.cost(rows, written, now - site.answered > IDLE);
        if written {
            site.written = start;
        }
        shard.free.pop();
        shard.free.push(Reverse(start + cost));
        shard.starts.push_back(start);
        let queue = &mut self.seen.queues[usize::from(now >= OUTAGE.1)];
        *queue = (*queue).max(shard.starts.len());
        if now < OUTAGE.0 {
            self.seen.requests += 1;
            shard.worked += cost;
            let all: Micros = (OUTAGE.0 - BEGIN) * self.shards.len() as Micros;
            self.seen.load += cost as f64 / (all as f64 * self.setup.workers as f64);
        }
        self.events.push(Reverse((start + cost, number, What::Answer)));
    }

    /// The rows that waited when it asked are there; what came meanwhile goes next.
    fn answered(&mut self, number: usize, now: Micros) {
        let site = &mut self.sites[number];
        site.backoff.answered();
        if now >= OUTAGE.1 && site.answered < OUTAGE.1 {
            self.seen.back = self.seen.back.max(now - OUTAGE.1);
        }
        site.answered = now;
        site.rows -= site.sent.0;
        for made in site.flags.drain(..site.sent.1) {
            if now < OUTAGE.0 {
                self.seen.usual.push(now - made);
            } else if (OUTAGE.0..OUTAGE.1).contains(&made) {
                self.seen.held_up.push(now - OUTAGE.1);
            }
        }
        site.idle = true;
        let wait = if site.rows > 0 { 0 } else { whole(self.setup.poll_s * 1e6) };
        self.plan(number, now + wait);
    }
}

impl Seen {
    fn print(mut self) {
        self.usual.sort_unstable();
        self.held_up.sort_unstable();
        let share = |times: &[Micros], percent: usize| {
            let rank = (times.len() * percent).div_ceil(100).max(1) - 1;
            times.get(rank).map_or(f64::NAN, |time| *time as f64 / SECOND as f64)
        };
        let seconds = (OUTAGE.0 - BEGIN) as f64 / SECOND as f64;
        println!(
            "| {} | {:.0} | {:.0} % | {:.2} s | {:.2} s | {} | {:.1} min | {:.1} min | {} | {} |",
            self.shards,
            self.requests as f64 / seconds,
            100.0 * self.load,
            share(&self.usual, 50),
            share(&self.usual, 99),
            self.queues[0],
            self.back as f64 / MINUTE as f64,
            share(&self.held_up, 99) / 60.0,
            self.queues[1],
            self.busy,
        );
    }
}
