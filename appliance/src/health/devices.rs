//! What the machine's sensors say: memory, load, temperatures, NVIDIA devices.
//!
//! Reading and deciding are apart: [`Sensors`] reads into plain data, [`thermal`] decides on it.

use nvml_wrapper::bitmasks::device::ThrottleReasons;
use nvml_wrapper::enum_wrappers::device::TemperatureSensor;
use nvml_wrapper::error::NvmlError;
use nvml_wrapper::{Device, Nvml};
use serde::Serialize;
use sysinfo::{Components, System};

/// Temperatures in °C at which the work on a graphics device is held back.
#[derive(Clone, Debug, PartialEq)]
pub struct Config {
    /// From here on the device gets pauses between studies.
    pub slow_c: f64,
    /// From here on the device rests and the processor works.
    pub pause_c: f64,
    /// A mark is left behind only this far below it.
    pub hysteresis_c: f64,
}

impl Default for Config {
    fn default() -> Self {
        Self { slow_c: 83.0, pause_c: 90.0, hysteresis_c: 5.0 }
    }
}

/// How hot the graphics device is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Thermal {
    /// Full speed.
    #[default]
    Normal,
    /// Pauses between studies.
    Slow,
    /// The device rests.
    Pause,
}

/// Main memory in bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Memory {
    /// Built in.
    pub total: u64,
    /// Available to programs without swapping.
    pub available: u64,
}

/// One temperature sensor of the machine.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Sensor {
    /// As the kernel names it.
    pub name: String,
    /// Now.
    pub celsius: f64,
    /// Where the maker says the part is in danger.
    pub critical: Option<f64>,
}

/// One NVIDIA device. What it does not tell is `None`.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Gpu {
    /// As sold.
    pub name: String,
    /// Now.
    pub celsius: Option<f64>,
    /// Bytes of its memory: free and built in.
    pub memory: Option<(u64, u64)>,
    /// Why it does not run at full speed, in words; being idle is no reason.
    pub throttled: Vec<&'static str>,
    /// It is slowed down because it is hot.
    pub too_hot: bool,
}

/// The NVIDIA side.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Nvidia {
    /// Of the driver.
    pub version: Option<String>,
    /// In the driver's order.
    pub gpus: Vec<Gpu>,
    /// Why nothing is known, as a sentence.
    pub absent: Option<String>,
}

/// All readings of one moment.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Devices {
    /// `None` when the kernel does not say.
    pub memory: Option<Memory>,
    /// Mean number of runnable programs over 1, 5 and 15 minutes.
    pub load: Option<[f64; 3]>,
    /// Temperatures.
    pub sensors: Vec<Sensor>,
    /// NVIDIA devices.
    pub nvidia: Nvidia,
}

impl Devices {
    /// The hottest graphics device. AMD's report among the machine's sensors.
    pub(crate) fn hottest_gpu(&self) -> Option<f64> {
        let amd = self.sensors.iter().filter(|s| s.name.starts_with("amdgpu")).map(|s| s.celsius);
        self.nvidia.gpus.iter().filter_map(|gpu| gpu.celsius).chain(amd).reduce(f64::max)
    }
}

/// The level that follows from the readings and the level before. A device that says itself that
/// it is too hot is slowed down whatever its thermometer shows.
#[must_use]
pub fn thermal(devices: &Devices, previous: Thermal, config: &Config) -> Thermal {
    let celsius = devices.hottest_gpu().unwrap_or(f64::NEG_INFINITY);
    let reached = |level: Thermal, mark: f64| {
        celsius >= mark || previous >= level && celsius > mark - config.hysteresis_c
    };
    if reached(Thermal::Pause, config.pause_c) {
        Thermal::Pause
    } else if reached(Thermal::Slow, config.slow_c)
        || devices.nvidia.gpus.iter().any(|gpu| gpu.too_hot)
    {
        Thermal::Slow
    } else {
        Thermal::Normal
    }
}

/// Handles that are dear to open, kept between readings.
#[derive(Debug, Default)]
pub struct Sensors {
    system: Option<System>,
    components: Option<Components>,
    nvml: Option<Nvml>,
}

impl Sensors {
    /// Reads everything. What cannot be read is left out; it is asked for again the next time,
    /// so a driver that appears later is found.
    pub fn read(&mut self) -> Devices {
        Devices {
            memory: self.memory(),
            load: System::load_average().ok().map(|load| [load.one, load.five, load.fifteen]),
            sensors: self.sensors(),
            nvidia: self.nvidia(),
        }
    }

    fn memory(&mut self) -> Option<Memory> {
        if self.system.is_none() {
            self.system = System::new().ok();
        }
        let system = self.system.as_mut()?;
        system.refresh_memory();
        Some(Memory { total: system.total_memory(), available: system.available_memory() })
    }

    fn sensors(&mut self) -> Vec<Sensor> {
        if let Some(components) = &mut self.components {
            components.refresh(true);
        } else {
            self.components = Components::new_with_refreshed_list().ok();
        }
        let components = self.components.iter().flat_map(|components| components.iter());
        // The kernel gives NaN for a sensor that does not answer.
        let finite = |value: Option<f32>| value.map(f64::from).filter(|value| value.is_finite());
        components
            .filter_map(|component| {
                Some(Sensor {
                    name: component.label().to_owned(),
                    celsius: finite(component.temperature())?,
                    critical: finite(component.critical()).filter(|&critical| critical > 0.0),
                })
            })
            .collect()
    }

    fn nvidia(&mut self) -> Nvidia {
        let mut read = || -> Result<(Nvml, Nvidia), NvmlError> {
            let nvml = match self.nvml.take() {
                Some(nvml) => nvml,
                None => Nvml::init()?,
            };
            let gpus = (0..nvml.device_count()?)
                .map(|index| Ok(gpu(&nvml.device_by_index(index)?)))
                .collect::<Result<_, NvmlError>>()?;
            let version = nvml.sys_driver_version().ok();
            Ok((nvml, Nvidia { version, gpus, absent: None }))
        };
        match read() {
            Ok((nvml, nvidia)) => {
                self.nvml = Some(nvml);
                nvidia
            }
            // The handle is dropped, because a lost device needs a new one.
            Err(error) => Nvidia { absent: Some(absent(&error)), ..Nvidia::default() },
        }
    }
}

fn gpu(device: &Device<'_>) -> Gpu {
    let reasons = device.current_throttle_reasons().unwrap_or(ThrottleReasons::NONE);
    let hot = ThrottleReasons::SW_THERMAL_SLOWDOWN | ThrottleReasons::HW_THERMAL_SLOWDOWN;
    Gpu {
        name: device.name().unwrap_or_else(|_| "NVIDIA device".to_owned()),
        celsius: device.temperature(TemperatureSensor::Gpu).ok().map(f64::from),
        memory: device.memory_info().ok().map(|memory| (memory.free, memory.total)),
        throttled: throttled(reasons),
        too_hot: reasons.intersects(hot),
    }
}

fn throttled(reasons: ThrottleReasons) -> Vec<&'static str> {
    let named = [
        (ThrottleReasons::HW_THERMAL_SLOWDOWN, "too hot, slowed by the hardware"),
        (ThrottleReasons::SW_THERMAL_SLOWDOWN, "too hot, slowed by the driver"),
        (ThrottleReasons::HW_POWER_BRAKE_SLOWDOWN, "the power supply calls for less"),
        (ThrottleReasons::HW_SLOWDOWN, "slowed by the hardware"),
        (ThrottleReasons::SW_POWER_CAP, "at its power limit"),
    ];
    named
        .into_iter()
        .filter(|(reason, _)| reasons.contains(*reason))
        .map(|(_, word)| word)
        .collect()
}

fn absent(error: &NvmlError) -> String {
    match error {
        NvmlError::LibloadingError(_) | NvmlError::LibraryNotFound => {
            "no NVIDIA driver is installed (libnvidia-ml.so.1 is not found)".to_owned()
        }
        NvmlError::DriverNotLoaded => {
            "the NVIDIA driver is installed but its kernel module is not loaded".to_owned()
        }
        NvmlError::LibRmVersionMismatch => {
            "the NVIDIA driver's library and kernel module differ in version; restart the box"
                .to_owned()
        }
        NvmlError::GpuLost => {
            "the NVIDIA device no longer answers; switch the box off and on".to_owned()
        }
        NvmlError::NoPermission => "the NVIDIA driver refuses this user".to_owned(),
        error => format!("the NVIDIA driver cannot be asked ({error})"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with_gpu(celsius: f64, too_hot: bool) -> Devices {
        let gpu = Gpu { celsius: Some(celsius), too_hot, ..Gpu::default() };
        let nvidia = Nvidia { gpus: vec![Gpu::default(), gpu], ..Nvidia::default() };
        Devices { nvidia, ..Devices::default() }
    }

    #[test]
    fn a_hot_device_is_held_back_and_released_later() {
        use Thermal::{Normal, Pause, Slow};
        let check = |celsius, previous, expected| {
            let devices = with_gpu(celsius, false);
            let got = thermal(&devices, previous, &Config::default());
            assert_eq!(got, expected, "{celsius} {previous:?}");
        };
        check(20.0, Normal, Normal);
        check(82.9, Normal, Normal);
        check(83.0, Normal, Slow);
        check(89.9, Normal, Slow);
        check(90.0, Normal, Pause);
        check(120.0, Slow, Pause);
        // On the way down.
        check(85.1, Pause, Pause);
        check(85.0, Pause, Slow);
        check(78.1, Pause, Slow);
        check(78.1, Slow, Slow);
        check(78.0, Slow, Normal);
        check(20.0, Pause, Normal);
    }

    #[test]
    fn other_signs_of_heat() {
        let check = |devices: Devices, expected| {
            assert_eq!(thermal(&devices, Thermal::Normal, &Config::default()), expected);
        };
        let sensor = |name: &str| Sensor { name: name.to_owned(), celsius: 91.0, critical: None };
        let sensors = |name| Devices { sensors: vec![sensor(name)], ..Devices::default() };
        check(Devices::default(), Thermal::Normal);
        check(with_gpu(60.0, true), Thermal::Slow);
        check(with_gpu(95.0, true), Thermal::Pause);
        check(sensors("amdgpu edge"), Thermal::Pause);
        check(sensors("coretemp Package id 0"), Thermal::Normal);
    }

    #[test]
    fn throttle_reasons_in_words() {
        let check = |reasons, expected: &[&str]| assert_eq!(throttled(reasons), expected);
        check(ThrottleReasons::NONE, &[]);
        check(ThrottleReasons::GPU_IDLE, &[]);
        check(
            ThrottleReasons::HW_SLOWDOWN | ThrottleReasons::HW_THERMAL_SLOWDOWN,
            &["too hot, slowed by the hardware", "slowed by the hardware"],
        );
        check(ThrottleReasons::SW_POWER_CAP, &["at its power limit"]);
    }

    #[test]
    fn an_absent_driver_is_a_sentence() {
        let check = |error: NvmlError, expected: &str| assert_eq!(absent(&error), expected);
        check(
            NvmlError::LibraryNotFound,
            "no NVIDIA driver is installed (libnvidia-ml.so.1 is not found)",
        );
        check(
            NvmlError::DriverNotLoaded,
            "the NVIDIA driver is installed but its kernel module is not loaded",
        );
        check(
            NvmlError::Timeout,
            "the NVIDIA driver cannot be asked (the provided timeout was reached)",
        );
    }

    #[test]
    fn this_machine_can_be_read_twice() {
        let mut sensors = Sensors::default();
        for _ in 0..2 {
            let devices = sensors.read();
            assert!(devices.memory.is_some_and(|memory| memory.total > memory.available));
            assert!(devices.load.is_some());
            assert_eq!(devices.nvidia.absent.is_none(), devices.nvidia.version.is_some());
        }
    }
}
