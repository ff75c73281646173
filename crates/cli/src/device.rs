//! Where networks are evaluated.

use std::sync::OnceLock;

use anyhow::{Result, bail};
use burn::tensor::Device;
use clap::ValueEnum;
use serde::{Deserialize, Serialize};

/// A device by name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// The processor.
    Cpu,
    /// A GPU through wgpu.
    Wgpu,
}

impl std::fmt::Display for Kind {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Cpu => "cpu",
            Self::Wgpu => "wgpu",
        })
    }
}

static CHOSEN: OnceLock<(Kind, Device)> = OnceLock::new();

/// Takes the device for the whole process, if it is there.
pub fn choose(kind: Kind) -> Result<()> {
    let device = match kind {
        Kind::Cpu => Device::flex(),
        Kind::Wgpu => gpu()?,
    };
    if CHOSEN.set((kind, device)).is_err() {
        bail!("the device is chosen once");
    }
    Ok(())
}

/// The device in use.
pub fn current() -> Device {
    CHOSEN
        .get()
        .map_or_else(Device::flex, |(_, device)| device.clone())
}

/// Its name: a GPU computes other bits than a processor.
pub fn kind() -> Kind {
    CHOSEN.get().map_or(Kind::Cpu, |(kind, _)| *kind)
}

#[cfg(not(feature = "wgpu"))]
fn gpu() -> Result<Device> {
    bail!("this program is built without the device wgpu; build it with `make gpu`")
}

/// The default adapter, once it has added two numbers: the runtime panics where there is none.
#[cfg(feature = "wgpu")]
fn gpu() -> Result<Device> {
    use burn::tensor::{DeviceKind, Tensor};

    let hook = std::panic::take_hook();
    std::panic::set_hook(Box::new(|_| {}));
    let found = std::panic::catch_unwind(|| {
        let device = Device::wgpu(DeviceKind::DefaultDevice);
        let one = Tensor::<1>::ones([1], &device);
        let sum = (one.clone() + one).into_data();
        (sum.iter::<f64>().next() == Some(2.0)).then_some(device)
    });
    std::panic::set_hook(hook);
    match found {
        Ok(Some(device)) => Ok(device),
        _ => bail!(
            "no usable adapter for the device wgpu (it needs a Vulkan, Metal or DX12 driver); use --device cpu"
        ),
    }
}
