//! How the box itself is: disk, memory, temperatures, clock.
//!
//! [`sample`] reads everything into plain data; [`decide`] turns readings and the decision before
//! into what the rest of the appliance must do. [`said`] puts both into words for people.

pub mod clock_quality;
pub mod devices;
pub mod disk;
pub mod words;

use std::path::Path;

use serde::Serialize;

use crate::clock::Clock;
use clock_quality::ClockQuality;
use devices::{Devices, Sensors, Thermal};
use disk::{DiskLevel, Space};

/// All marks.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Config {
    /// How full the disk may be.
    pub disk: disk::Config,
    /// How hot a graphics device may be.
    pub devices: devices::Config,
}

/// What was measured.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Readings {
    /// Room on the data disk; `None` when the data folder does not answer.
    pub disk: Option<Space>,
    /// Machine and graphics devices.
    pub devices: Devices,
    /// Wall clock in milliseconds.
    pub wall: i64,
    /// Box time in milliseconds.
    pub own: i64,
}

/// What follows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Decision {
    /// Tell people, delete, refuse.
    pub disk: DiskLevel,
    /// Hold the graphics device back.
    pub thermal: Thermal,
    /// Believe the wall clock or not.
    pub clock: ClockQuality,
}

/// One look at the box.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Health {
    /// What was measured.
    pub readings: Readings,
    /// What follows.
    pub decision: Decision,
    /// What people should know, a sentence each; empty when all is well.
    pub said: Vec<String>,
}

/// Looks at the box once. Blocks for milliseconds, the first time longer.
pub fn sample(
    config: &Config,
    data: &Path,
    clock: &dyn Clock,
    sensors: &mut Sensors,
    previous: Decision,
) -> Health {
    let readings = Readings {
        disk: disk::space(data).ok(),
        devices: sensors.read(),
        wall: clock.wall(),
        own: clock.now(),
    };
    let decision = decide(&readings, previous, config);
    let said = said(&readings, decision);
    Health { readings, decision, said }
}

/// What follows from the readings and the decision before. A disk whose room cannot be told keeps
/// its level: whether it takes files shows when one is written.
#[must_use]
pub fn decide(readings: &Readings, previous: Decision, config: &Config) -> Decision {
    Decision {
        disk: match &readings.disk {
            Some(space) => disk::level(space, previous.disk, &config.disk),
            None => previous.disk,
        },
        thermal: devices::thermal(&readings.devices, previous.thermal, &config.devices),
        clock: clock_quality::quality(readings.wall, readings.own),
    }
}

/// What people should know, a sentence each; empty when all is well.
#[must_use]
pub fn said(readings: &Readings, decision: Decision) -> Vec<String> {
    let mut said = Vec::new();
    match (&readings.disk, decision.disk) {
        (None, _) => said.push("the data folder does not answer".to_owned()),
        (Some(_), DiskLevel::Normal) => {}
        (Some(space), DiskLevel::Tight) => said.push(format!("the data disk is {space}")),
        (Some(space), DiskLevel::Evicting) => said.push(format!(
            "the data disk is {space}: images of studies that were read are being deleted"
        )),
        (Some(space), DiskLevel::Full) => said.push(format!(
            "the data disk is {space}: new images are refused, the scanner keeps them"
        )),
    }
    match decision.thermal {
        Thermal::Normal => {}
        Thermal::Slow => said.push("the graphics device is hot and works more slowly".to_owned()),
        Thermal::Pause => said.push(
            "the graphics device is too hot and rests; studies are analysed without it".to_owned(),
        ),
    }
    for gpu in &readings.devices.nvidia.gpus {
        if !gpu.throttled.is_empty() {
            said.push(format!("{} is slowed down: {}", gpu.name, gpu.throttled.join(", ")));
        }
    }
    for sensor in &readings.devices.sensors {
        if sensor.critical.is_some_and(|critical| sensor.celsius >= critical) {
            said.push(format!("{} is at {:.0} °C, its limit", sensor.name, sensor.celsius));
        }
    }
    if let Some(memory) = readings.devices.memory
        && memory.available < memory.total / 20
    {
        said.push(format!("only {} of memory are free", words::size(memory.available)));
    }
    if decision.clock != ClockQuality::Good {
        said.push(decision.clock.to_string());
    }
    said
}

#[cfg(test)]
mod tests;
