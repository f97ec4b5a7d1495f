//! Bad days in simulated time: a box in memory, a hub in memory, and weather between them.

#![expect(clippy::cast_possible_truncation, reason = "small numbers")]

mod memory;
mod weather;

use std::cell::{Cell, RefCell};
use std::collections::BTreeSet;
use std::rc::Rc;

use memory::{Kept, Memory, PowerCut, Shared, Stage};
use weather::{Hub, Weather};

use super::*;
use crate::command::Numbered;
use crate::row::{Key, Kind};
use crate::wire::{Answered, Hello, Outcome};

const POLL: Duration = Duration::from_secs(15);
/// Forty days.
const LONGEST: i64 = 40 * 24 * 3_600_000;

/// Random numbers of a day.
#[derive(Clone)]
struct Dice(u64);

impl Dice {
    fn below(&mut self, bound: u64) -> u64 {
        // SplitMix64.
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        (z ^ (z >> 31)) % bound
    }

    fn percent(&mut self, percent: u64) -> bool {
        self.below(100) < percent
    }
}

/// What a day came to.
struct Day {
    memory: Memory,
    hub: Hub,
    /// Flags that waited behind something else, and rows that waited behind a model.
    overtaken: usize,
    power_cuts: u64,
}

fn rows_of_a_day(dice: &mut Dice) -> Vec<(i64, Kept)> {
    let mut at = 0;
    (1..=dice.below(30) as i64 + 5)
        .map(|seq| {
            at += dice.below(120_000) as i64;
            let kinds = [Kind::Flag, Kind::Objects, Kind::Series, Kind::Outcome];
            let kind = kinds[dice.below(4) as usize];
            let study = match kind {
                Kind::Outcome => String::new(),
                _ => format!("study {}", dice.below(4)),
            };
            let blobs = match kind {
                Kind::Objects => dice.below(3),
                Kind::Series => dice.below(5),
                _ => 0,
            };
            let blobs = (0..blobs)
                .map(|i| (format!("{seq}-{i}"), dice.below(300_000), None, false))
                .collect();
            let body = "x".repeat(dice.below(7000) as usize);
            let key = Key { epoch: "e".into(), seq };
            let row = Row::seal(key, kind, study, at, body);
            (at, Kept { row, state: Stage::Pending, blobs })
        })
        .collect()
}

/// A box, a hub, and good weather until somebody says otherwise.
struct World {
    now: Rc<Cell<i64>>,
    dice: RefCell<Dice>,
    hub: RefCell<Hub>,
    memory: Shared,
}

impl World {
    fn new(seed: u64) -> Self {
        let now = Rc::new(Cell::new(0));
        let memory =
            Memory { now: Rc::clone(&now), calls_until_power_cut: u64::MAX, ..Memory::default() };
        Self {
            now,
            dice: RefCell::new(Dice(seed)),
            hub: RefCell::default(),
            memory: Shared(Rc::new(RefCell::new(memory))),
        }
    }

    fn weather(&self) -> Weather<'_> {
        Weather {
            now: &self.now,
            dice: &self.dice,
            hub: &self.hub,
            rate: 100_000,
            latency_ms: 50,
            loss: 0,
            clears_at: 0,
            stale: None,
            memory: self.memory.clone(),
            began: 0,
            overtaken: 0,
        }
    }

    fn add(&self, seq: i64, kind: Kind, study: &str, blobs: &[u64]) {
        let key = Key { epoch: "e".into(), seq };
        let row = Row::seal(key, kind, study.into(), self.now.get(), "x".repeat(2000));
        let blobs = blobs.iter().enumerate();
        let blobs = blobs.map(|(i, bytes)| (format!("{seq}-{i}"), *bytes, None, false)).collect();
        self.memory.0.borrow_mut().rows.push(Kept { row, state: Stage::Pending, blobs });
    }

    /// One step, and the pause after it.
    fn step(&self, courier: &mut Courier, link: &mut impl Link) -> State {
        let mut outbox = self.memory.clone();
        let now = || self.now.get();
        let step = courier.step(&mut outbox, link, now, Priority::Telemetry).unwrap();
        self.now.set(self.now.get() + millis(step.pause));
        step.state
    }

    fn stage(&self, seq: i64) -> Stage {
        self.memory.0.borrow_mut().of(seq).state.clone()
    }

    fn arrived(&self) -> Vec<i64> {
        self.hub.borrow().effects.iter().map(|row| row.key.seq).collect()
    }
}

/// Lives through the day that a seed stands for.
fn day(seed: u64) -> Day {
    let world = World::new(seed);
    let World { now, dice, hub, memory } = &world;
    let coming = rows_of_a_day(&mut dice.borrow_mut());
    let last = coming.last().map_or(0, |(at, _)| *at);
    let below = |bound| dice.borrow_mut().below(bound);
    let mut weather = Weather {
        rate: 2000 + below(200_000),
        latency_ms: below(3000) as i64,
        loss: below(60),
        clears_at: last + below(3_600_000) as i64,
        ..world.weather()
    };
    let mut courier = Courier::new(seed, POLL);
    let mut coming = coming.into_iter().peekable();
    let mut power_cuts = 0;
    while coming.peek().is_some() || !settled(memory, hub) {
        assert!(now.get() < LONGEST, "seed {seed}: not all acknowledged after 40 days");
        while let Some((_, kept)) = coming.next_if(|(at, _)| *at <= now.get()) {
            memory.0.borrow_mut().rows.push(kept);
            match below(10) {
                0 | 1 => hub.borrow_mut().offer(below(300_000)),
                2 => hub.borrow_mut().withdraw(),
                _ => hub.borrow_mut().command(),
            }
        }
        if dice.borrow_mut().percent(3) {
            memory.0.borrow_mut().calls_until_power_cut = below(8) + 2;
        }
        let mut outbox = memory.clone();
        weather.began = now.get();
        match courier.step(&mut outbox, &mut weather, || now.get(), Priority::Telemetry) {
            Ok(step) => {
                // A new row wakes an idle courier.
                let next = coming.peek().map_or(i64::MAX, |(at, _)| *at);
                let wake = if step.state == State::Idle { next } else { i64::MAX };
                now.set((now.get() + millis(step.pause)).min(wake.max(now.get())));
            }
            Err(PowerCut) => {
                power_cuts += 1;
                memory.0.borrow_mut().calls_until_power_cut = u64::MAX;
                outbox.interrupted().unwrap();
                courier = Courier::new(seed + power_cuts, POLL);
                now.set(now.get() + 30_000);
            }
        }
    }
    let overtaken = weather.overtaken;
    drop(weather);
    Day { memory: memory.0.take(), hub: hub.take(), overtaken, power_cuts }
}

fn settled(memory: &Shared, hub: &RefCell<Hub>) -> bool {
    let memory = memory.0.borrow();
    memory.rows.iter().all(|kept| kept.state == Stage::Acknowledged)
        && memory.cursor == hub.borrow().commands.len() as i64
        && memory.offer.as_ref().is_none_or(|offer| offer.here == offer.bytes)
}

/// What must hold, whatever the weather was.
fn check(seed: u64, day: &Day) {
    let Day { memory, hub, overtaken, .. } = day;
    let keys: BTreeSet<i64> = hub.effects.iter().map(|row| row.key.seq).collect();
    assert_eq!(keys.len(), hub.effects.len(), "seed {seed}: a row had its effect twice");
    assert_eq!(keys.len(), memory.rows.len(), "seed {seed}: rows are missing");
    assert_eq!(*overtaken, 0, "seed {seed}: flags waited, or something behind a model");
    let here = memory.offer.as_ref().map(|offer| (offer.sha256.clone(), offer.here));
    assert_eq!(here, hub.offer, "seed {seed}: the model is not there, or another one is");
    for (i, later) in hub.effects.iter().enumerate() {
        let overtaken = hub.effects[i..].iter().find(|row| {
            row.study == later.study
                && !row.study.is_empty()
                && row.key.seq < later.key.seq
                && row.priority() <= later.priority()
        });
        assert_eq!(overtaken, None, "seed {seed}: row {} came before it", later.key.seq);
    }
    for (sha256, bytes, ..) in memory.rows.iter().flat_map(|kept| &kept.blobs) {
        assert_eq!(hub.blobs.get(sha256), Some(bytes), "seed {seed}: blob {sha256}");
    }
    let numbers: Vec<i64> = hub.commands.iter().map(|command| command.number).collect();
    assert_eq!(memory.obeyed, numbers, "seed {seed}: commands");
}

/// `PRIMA_LINK_SEEDS=10000` for all of them, `PRIMA_LINK_SEED=n` for one.
#[test]
fn every_row_arrives_once_in_order_whatever_the_weather() {
    #[expect(clippy::disallowed_methods, reason = "a test may be told how many seeds")]
    let number = |name| std::env::var(name).ok().and_then(|text| text.parse::<u64>().ok());
    let seeds = match number("PRIMA_LINK_SEED") {
        Some(seed) => seed..seed + 1,
        None => 0..number("PRIMA_LINK_SEEDS").unwrap_or(500),
    };
    let mut power_cuts = 0;
    for seed in seeds {
        let day = day(seed);
        check(seed, &day);
        power_cuts += day.power_cuts;
    }
    println!("{power_cuts} power cuts");
}

#[test]
fn a_day_depends_on_its_seed_only() {
    let keys = |day: Day| day.hub.effects.into_iter().map(|row| row.key).collect::<Vec<_>>();
    assert_eq!(keys(day(7)), keys(day(7)));
    assert_ne!(keys(day(7)), keys(day(8)));
}

#[test]
fn a_row_that_crashes_the_hub_holds_up_its_study_alone() {
    let world = World::new(1);
    for (seq, study) in [(1, "a"), (2, "b"), (3, "a"), (4, "c")] {
        world.add(seq, Kind::Objects, study, &[]);
    }
    world.hub.borrow_mut().poison = Some((1, Fault::Failed(500)));
    let (mut courier, mut link) = (Courier::new(1, POLL), world.weather());
    for _ in 0..40 {
        world.step(&mut courier, &mut link);
    }
    assert_eq!(world.arrived(), [2, 4]);
    assert!(matches!(world.stage(1), Stage::Retry(_)));
    // Mended, it arrives, and what waited for it.
    world.hub.borrow_mut().poison = None;
    world.now.set(world.now.get() + 3_600_000);
    for _ in 0..10 {
        world.step(&mut courier, &mut link);
    }
    assert_eq!(world.arrived(), [2, 4, 1, 3]);
}

#[test]
fn a_row_that_the_hub_refuses_is_dead_and_a_later_flag_passes_it() {
    let world = World::new(1);
    world.add(1, Kind::Flag, "a", &[]);
    world.add(2, Kind::Objects, "a", &[]);
    world.add(3, Kind::Flag, "b", &[]);
    world.add(4, Kind::Flag, "a", &[]);
    let refused = Fault::Refused { status: 422, said: "no".into() };
    world.hub.borrow_mut().poison = Some((1, refused));
    let (mut courier, mut link) = (Courier::new(1, POLL), world.weather());
    for _ in 0..20 {
        world.step(&mut courier, &mut link);
    }
    assert_eq!(world.stage(1), Stage::Dead);
    assert_eq!(world.arrived(), [3, 4], "objects wait for the person who looks at the dead flag");
}

#[test]
fn a_wrong_address_costs_no_row() {
    struct Elsewhere;
    impl Link for Elsewhere {
        fn exchange(&mut self, _: &[u8], _: Duration) -> Result<Vec<u8>, Fault> {
            Err(Fault::Refused { status: 404, said: "nginx".into() })
        }
        fn create(&mut self, _: &str, _: u64) -> Result<String, Fault> {
            unreachable!()
        }
        fn offset(&mut self, _: &str) -> Result<Option<u64>, Fault> {
            unreachable!()
        }
        fn append(&mut self, _: &str, _: u64, _: &[u8], _: Duration) -> Result<u64, Fault> {
            unreachable!()
        }
        fn fetch(&mut self, _: &Wanted, _: usize, _: Duration) -> Result<Vec<u8>, Fault> {
            unreachable!()
        }
    }
    let world = World::new(1);
    world.add(1, Kind::Flag, "a", &[]);
    let mut courier = Courier::new(1, POLL);
    let State::Barred { why } = world.step(&mut courier, &mut Elsewhere) else { panic!() };
    assert!(why.contains("is this the address of the hub?"), "{why}");
    assert_eq!(world.stage(1), Stage::Pending);
    world.step(&mut courier, &mut world.weather());
    assert_eq!(world.arrived(), [1]);
}

/// Bytes a second of a slow link.
const RATE: u64 = 8000;

/// Forty flags, each at any moment of something large; the longest time that one took.
fn longest_wait(world: &World) -> i64 {
    let mut courier = Courier::new(1, POLL);
    let mut link = Weather { rate: RATE, latency_ms: 300, ..world.weather() };
    // The first answer says what there is to fetch.
    world.step(&mut courier, &mut link);
    let mut longest = 0;
    for seq in 2..42 {
        let until = world.now.get() + world.dice.borrow_mut().below(60_000) as i64;
        let mut written = None;
        while !world.arrived().contains(&seq) {
            if written.is_none() && world.now.get() >= until {
                world.add(seq, Kind::Flag, &format!("{seq}"), &[]);
                // As if it had been written at any moment of the piece before.
                written = Some(until);
            }
            world.step(&mut courier, &mut link);
        }
        longest = longest.max(world.now.get() - written.unwrap());
    }
    longest
}

#[test]
fn on_a_slow_link_a_flag_waits_for_one_piece_and_images_have_the_rest() {
    let world = World::new(1);
    world.add(1, Kind::Series, "a", &[20_000_000]);
    let longest = longest_wait(&world);
    assert!(longest < 10_000, "a flag took {longest} ms");
    let sent = world.hub.borrow().blobs["1-0"] as f64;
    let share = sent / (RATE as f64 * world.now.get() as f64 / 1000.0);
    assert!(share > 0.85, "images had {share:.2} of the link");
}

#[test]
fn a_flag_waits_for_one_piece_of_a_model_and_the_model_for_all_images() {
    let world = World::new(1);
    world.hub.borrow_mut().offer(20_000_000);
    let longest = longest_wait(&world);
    assert!(longest < 10_000, "a flag took {longest} ms");
    let here = || world.memory.0.borrow().offer.as_ref().unwrap().here;
    let share = here() as f64 / (RATE as f64 * world.now.get() as f64 / 1000.0);
    assert!(share > 0.8, "the model had {share:.2} of the link");
    world.add(50, Kind::Series, "b", &[1_000_000]);
    let (before, mut courier) = (here(), Courier::new(1, POLL));
    while !world.arrived().contains(&50) {
        world.step(&mut courier, &mut world.weather());
    }
    assert_eq!(here(), before, "a model went before images");
}

#[test]
fn a_model_that_does_not_come_holds_up_nothing() {
    for fault in [
        Fault::Failed(500),
        Fault::Refused { status: 404, said: String::new() },
        Fault::Silent("cut".into()),
    ] {
        let world = World::new(1);
        world.hub.borrow_mut().offer(1_000_000);
        let mut courier = Courier::new(1, POLL);
        let mut link = Withholds { link: world.weather(), fault, asked: 0 };
        while link.asked == 0 {
            world.step(&mut courier, &mut link);
        }
        let now = world.now.get();
        world.add(1, Kind::Flag, "a", &[]);
        world.step(&mut courier, &mut link);
        assert_eq!(world.arrived(), [1], "{}", link.fault);
        assert!(world.now.get() - now < 1000 + millis(POLL), "{}", link.fault);
        // Not at once, and again.
        while link.asked == 1 {
            world.step(&mut courier, &mut link);
        }
    }
}

/// A link over which everything comes but files.
struct Withholds<'a> {
    link: Weather<'a>,
    fault: Fault,
    asked: u32,
}

impl Link for Withholds<'_> {
    fn exchange(&mut self, batch: &[u8], patience: Duration) -> Result<Vec<u8>, Fault> {
        self.link.exchange(batch, patience)
    }
    fn create(&mut self, sha256: &str, bytes: u64) -> Result<String, Fault> {
        self.link.create(sha256, bytes)
    }
    fn offset(&mut self, place: &str) -> Result<Option<u64>, Fault> {
        self.link.offset(place)
    }
    fn append(&mut self, p: &str, at: u64, piece: &[u8], wait: Duration) -> Result<u64, Fault> {
        self.link.append(p, at, piece, wait)
    }
    fn fetch(&mut self, _: &Wanted, _: usize, _: Duration) -> Result<Vec<u8>, Fault> {
        self.asked += 1;
        Err(self.fault.clone())
    }
}
