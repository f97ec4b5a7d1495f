//! The only place that names a backend.

use std::fmt;
use std::panic::{self, AssertUnwindSafe};
use std::str::FromStr;

use burn::DispatchDevice;
use burn::tensor::{DType, Tensor, TensorData};
use serde::{Deserialize, Serialize};

use crate::nn::Compute;

/// What computes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DeviceChoice {
    /// All cores of this machine.
    Cpu,
    /// Any GPU with a Vulkan, Metal or DirectX driver.
    Wgpu,
    /// An NVIDIA GPU with its CUDA driver.
    Cuda,
}

/// All devices a build knows, preferred first.
const ALL: [DeviceChoice; 3] = [DeviceChoice::Cuda, DeviceChoice::Wgpu, DeviceChoice::Cpu];

/// Number type of the tokenizer and the transformers; heads always sum in f32.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Precision {
    /// f32.
    Full,
    /// f16.
    Half,
}

impl Precision {
    pub(super) fn dtype(self) -> DType {
        match self {
            Self::Full => DType::F32,
            Self::Half => DType::F16,
        }
    }
}

impl fmt::Display for DeviceChoice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Cpu => "cpu",
            Self::Wgpu => "wgpu",
            Self::Cuda => "cuda",
        })
    }
}

impl FromStr for DeviceChoice {
    type Err = DeviceError;

    fn from_str(text: &str) -> Result<Self, DeviceError> {
        ALL.into_iter()
            .find(|choice| choice.to_string() == text)
            .ok_or_else(|| DeviceError::Unknown { name: text.to_owned() })
    }
}

/// A device that cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum DeviceError {
    /// No such name.
    #[error("{name:?} is no device; use cpu, wgpu or cuda")]
    Unknown {
        /// What was asked for.
        name: String,
    },
    /// Not on this machine.
    #[error("device {choice} does not work on this machine ({reason}); devices found: {found}")]
    Missing {
        /// What was asked for.
        choice: DeviceChoice,
        /// The driver's words.
        reason: String,
        /// What works.
        found: String,
    },
}

/// Whether a device works here.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeviceReport {
    /// Which.
    pub device: DeviceChoice,
    /// Why not, when it does not.
    pub problem: Option<String>,
}

/// Tries every device with one addition.
#[must_use]
pub fn probe() -> Vec<DeviceReport> {
    ALL.into_iter().map(|device| DeviceReport { device, problem: attempt(device).err() }).collect()
}

/// The burn device of a choice, after one addition on it came back right.
///
/// # Errors
///
/// When the device does not work; names those that do.
pub fn device(choice: DeviceChoice) -> Result<DispatchDevice, DeviceError> {
    match attempt(choice) {
        Ok(device) => Ok(device),
        Err(reason) => {
            let works = probe().into_iter().filter(|report| report.problem.is_none());
            let found = works.map(|r| r.device.to_string()).collect::<Vec<_>>().join(", ");
            Err(DeviceError::Missing { choice, reason, found })
        }
    }
}

/// A missing driver surfaces as a panic in burn's device thread and again in the caller, so the
/// trial runs behind `catch_unwind` with the panic message kept off the terminal.
fn attempt(choice: DeviceChoice) -> Result<DispatchDevice, String> {
    let device = match choice {
        DeviceChoice::Cpu => DispatchDevice::Flex(Default::default()),
        DeviceChoice::Wgpu => DispatchDevice::Wgpu(Default::default()),
        DeviceChoice::Cuda => DispatchDevice::Cuda(Default::default()),
    };
    if choice == DeviceChoice::Cpu {
        return Ok(device);
    }
    let hook = panic::take_hook();
    panic::set_hook(Box::new(|_| {}));
    let outcome = panic::catch_unwind(AssertUnwindSafe(|| {
        let data = TensorData::new(vec![1.0f32, 2.0], [2]);
        let one = Tensor::<Compute, 1>::from_data(data, &device);
        (one.clone() + one).into_data().iter::<f32>().collect::<Vec<_>>()
    }));
    panic::set_hook(hook);
    match outcome {
        Ok(sum) if sum == [2.0, 4.0] => Ok(device),
        Ok(sum) => Err(format!("1 + 1 and 2 + 2 came back as {sum:?}")),
        // The message is about burn's channels, not about the machine.
        Err(_) => Err(match choice {
            DeviceChoice::Cuda => "no NVIDIA driver answered",
            _ => "no graphics driver answered",
        }
        .to_owned()),
    }
}
