use std::time::Duration;

use super::devices::{Gpu, Memory, Nvidia, Sensor};
use super::*;
use crate::clock::ManualClock;

const NOW: i64 = 1_800_000_000_000;

fn readings() -> Readings {
    let space = Space { used: 10, free: 90, inodes_used: 1, inodes_free: 99 };
    Readings { disk: Some(space), devices: Devices::default(), wall: NOW, own: NOW }
}

/// One change to healthy readings, and what is said.
fn check(change: impl Fn(&mut Readings), expected: &[&str]) {
    let mut readings = readings();
    change(&mut readings);
    let decision = decide(&readings, Decision::default(), &Config::default());
    assert_eq!(said(&readings, decision), expected);
}

fn gpu(celsius: f64, throttled: &[&'static str]) -> Nvidia {
    let gpu = Gpu {
        name: "GTX 1".to_owned(),
        celsius: Some(celsius),
        throttled: throttled.to_vec(),
        ..Gpu::default()
    };
    Nvidia { gpus: vec![gpu], ..Nvidia::default() }
}

#[test]
fn what_people_are_told() {
    let disk = |used| {
        move |r: &mut Readings| {
            r.disk = Some(Space { used, free: 100 - used, inodes_used: 0, inodes_free: 0 });
        }
    };
    check(|_| {}, &[]);
    check(disk(80), &["the data disk is 80 % full, 20 bytes free"]);
    check(
        disk(90),
        &["the data disk is 90 % full, 10 bytes free: images of studies that were read are being \
           deleted"],
    );
    check(
        disk(95),
        &["the data disk is 95 % full, 5 bytes free: new images are refused, the scanner keeps \
           them"],
    );
    check(|r| r.disk = None, &["the data folder does not answer"]);
    check(
        |r| r.devices.nvidia = gpu(84.0, &["at its power limit"]),
        &[
            "the graphics device is hot and works more slowly",
            "GTX 1 is slowed down: at its power limit",
        ],
    );
    check(
        |r| r.devices.nvidia = gpu(90.0, &[]),
        &["the graphics device is too hot and rests; studies are analysed without it"],
    );
    check(
        |r| {
            let name = "coretemp".to_owned();
            r.devices.sensors = vec![Sensor { name, celsius: 100.4, critical: Some(100.0) }];
        },
        &["coretemp is at 100 °C, its limit"],
    );
    check(
        |r| r.devices.memory = Some(Memory { total: 16_000_000_000, available: 799_000_000 }),
        &["only 799 MB of memory are free"],
    );
    check(|r| r.wall = 0, &["the clock is not set: it shows a time before 2026"]);
}

#[test]
fn a_disk_that_does_not_answer_keeps_its_level() {
    let previous = Decision { disk: DiskLevel::Full, ..Decision::default() };
    let silent = Readings { disk: None, ..readings() };
    assert_eq!(decide(&silent, previous, &Config::default()).disk, DiskLevel::Full);
    assert_eq!(decide(&readings(), previous, &Config::default()).disk, DiskLevel::Normal);
}

#[test]
fn a_real_look() {
    let folder = tempfile::tempdir().unwrap();
    let clock = ManualClock::new(NOW);
    let look = |path: &Path| {
        let mut sensors = Sensors::default();
        sample(&Config::default(), path, &clock, &mut sensors, Decision::default())
    };
    assert!(look(folder.path()).readings.disk.is_some());
    let missing = look(&folder.path().join("none"));
    assert_eq!(missing.said.first().map(String::as_str), Some("the data folder does not answer"));
}

#[test]
fn numbers_in_words() {
    let size = |bytes, expected: &str| assert_eq!(words::size(bytes), expected);
    size(0, "0 bytes");
    size(1, "1 byte");
    size(999, "999 bytes");
    size(1_000, "1 kB");
    size(1_250, "1.3 kB");
    size(9_949_999, "9.9 MB");
    size(9_950_000, "10 MB");
    size(40_400_000_000, "40 GB");
    size(1_200_000_000_000, "1.2 TB");
    size(u64::MAX, "18446744 TB");
    let span =
        |seconds, expected: &str| assert_eq!(words::span(Duration::from_secs(seconds)), expected);
    span(0, "0 seconds");
    span(1, "1 second");
    span(119, "119 seconds");
    span(120, "2 minutes");
    span(7_199, "119 minutes");
    span(7_200, "2 hours");
    span(172_800, "2 days");
}
