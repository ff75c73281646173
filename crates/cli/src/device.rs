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
    use burn::tensor::{DeviceKind, DeviceType, Tensor};

    if Device::enumerate(DeviceType::Wgpu).into_vec().is_empty() {
        bail!("the device wgpu is not there: {}", missing());
    }
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
        Ok(None) => bail!("the device wgpu adds numbers wrongly; use --device cpu"),
        Err(cause) => {
            let cause = cause.downcast_ref::<String>();
            let cause = cause.map_or("its driver has failed", String::as_str);
            bail!("the device wgpu does not start ({cause}); use --device cpu")
        }
    }
}

/// What has to be installed for an adapter.
#[cfg(all(feature = "wgpu", target_os = "linux"))]
fn missing() -> &'static str {
    // SAFETY: the name is a string that ends in zero, and the loader has no code that runs when it is opened.
    let loader = unsafe { libc::dlopen(c"libvulkan.so.1".as_ptr(), libc::RTLD_LAZY) };
    if loader.is_null() {
        "the Vulkan loader, libvulkan.so.1, is missing (on Debian the package libvulkan1); it needs a GPU's driver as well, or mesa-vulkan-drivers, which \
         has one in software"
    } else {
        "the Vulkan loader finds no driver that works: install that of the GPU, or on Debian the package mesa-vulkan-drivers, which has one in software \
         (VK_DRIVER_FILES and VK_ICD_FILENAMES, where they are set, name the drivers)"
    }
}

/// What has to be installed for an adapter.
#[cfg(all(feature = "wgpu", not(target_os = "linux")))]
fn missing() -> &'static str {
    "no driver for Vulkan, Metal or DX12 works; install that of the GPU"
}
