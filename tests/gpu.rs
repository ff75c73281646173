//! The program with `--device wgpu`, on whatever adapter there is.

use std::path::Path;

use boltzflow_boltzmann::SampleFile;
use boltzflow_chemio::Npz;
use libtest_mimic::{Failed, Trial};
use tempfile::TempDir;

use crate::cli::{CONFIG, TRAIN, folder, output, program, succeed};
use crate::support::root;

/// The tests of this file; without an adapter one says so, and the others are skipped.
pub fn trials() -> Vec<Trial> {
    type Test = fn() -> Result<(), Failed>;
    let tests: [(&str, Test); 4] = [
        (
            "a_gpu_trains_samples_and_evaluates",
            a_gpu_trains_samples_and_evaluates,
        ),
        (
            "log_densities_of_a_thousand_samples_on_a_gpu_are_those_of_the_cpu",
            log_densities_of_a_thousand_samples_on_a_gpu_are_those_of_the_cpu,
        ),
        ("a_gpu_generates_a_molecule", a_gpu_generates_a_molecule),
        (
            "likelihood_through_the_solve_is_learnt_on_a_gpu",
            likelihood_through_the_solve_is_learnt_on_a_gpu,
        ),
    ];
    let has_gpu = has_gpu();
    let tests = tests.map(|(name, test)| Trial::test(name, test).with_ignored_flag(!has_gpu));
    let driver = Trial::test(
        "a_gpu_without_a_driver_is_an_error_that_names_it",
        a_gpu_without_a_driver_is_an_error_that_names_it,
    );
    tests.into_iter().chain([driver]).collect()
}

fn has_gpu() -> bool {
    use burn::tensor::{Device, DeviceType};
    !Device::enumerate(DeviceType::Wgpu).into_vec().is_empty()
}

/// The settings of the program's tests with few steps along a flow: a driver in software takes its time for each.
fn quick() -> String {
    CONFIG.replace("count = 6", "count = 2")
}

/// Data for it, and these settings.
fn quick_folder() -> TempDir {
    let folder = folder(false);
    std::fs::write(folder.path().join("config.toml"), quick()).unwrap();
    folder
}

fn log_q(at: &Path, name: &str) -> Vec<f64> {
    let npz = Npz::read(&at.join(name)).unwrap();
    npz.array("log_q").unwrap().as_f64().unwrap().to_vec()
}

fn a_gpu_without_a_driver_is_an_error_that_names_it() -> Result<(), Failed> {
    let folder = tempfile::tempdir()?;
    let at = folder.path();
    let flow = root().join("data/models/dw4.safetensors");
    std::fs::copy(flow, at.join("flow.safetensors"))?;
    let mut command = program(at, "sample flow.safetensors -n 4 --device wgpu -o x.npz");
    // Of Vulkan, and of OpenGL, which is taken where there is nothing else.
    for name in [
        "VK_DRIVER_FILES",
        "VK_ICD_FILENAMES",
        "__EGL_VENDOR_LIBRARY_FILENAMES",
    ] {
        command.env(name, "/nonexistent.json");
    }
    let output = command.output()?;
    let message = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{message}");
    assert!(
        message.contains("the device wgpu is not there"),
        "{message}"
    );
    if cfg!(target_os = "linux") {
        assert!(message.contains("mesa-vulkan-drivers"), "{message}");
    }
    assert!(!message.contains("panicked"), "{message}");
    Ok(())
}

fn a_gpu_trains_samples_and_evaluates() -> Result<(), Failed> {
    let folder = quick_folder();
    let at = folder.path();
    for device in ["cpu", "wgpu"] {
        for words in [
            format!(
                "train --target dw4 --data data.npz --config config.toml -o {device}.safetensors --device {device}"
            ),
            format!("sample {device}.safetensors -n 200 -o {device}.npz --device {device}"),
            format!(
                "evaluate {device}.safetensors --target dw4 --reference data.npz --samples {device}.npz --device {device}"
            ),
        ] {
            succeed(at, &words);
        }
    }
    // Sixty steps of training differ by rounding alone.
    let (cpu, gpu) = (log_q(at, "cpu.npz"), log_q(at, "wgpu.npz"));
    let off = root_mean_square(&cpu, &gpu);
    assert!(
        off < 2e-2,
        "log q of the flows of two devices differs by {off} RMS"
    );
    // The density of a sample is the one that it was drawn with.
    succeed(
        at,
        "density wgpu.safetensors wgpu.npz -o density.npz --device wgpu",
    );
    let off = root_mean_square(&log_q(at, "density.npz"), &gpu);
    assert!(off < 2e-2, "{off}");
    // What is drawn on a GPU comes again, and does not mix with what is not.
    succeed(
        at,
        "sample wgpu.safetensors -n 200 --shard 0/2 -o first.npz --device wgpu",
    );
    succeed(
        at,
        "sample wgpu.safetensors -n 200 --shard 1/2 -o second.npz --device wgpu",
    );
    succeed(at, "merge first.npz second.npz -o merged.npz");
    assert_eq!(
        std::fs::read(at.join("merged.npz"))?,
        std::fs::read(at.join("wgpu.npz"))?
    );
    succeed(
        at,
        "sample wgpu.safetensors -n 200 --shard 1/2 -o other.npz",
    );
    assert!(
        !output(at, "merge first.npz other.npz -o mixed.npz")
            .status
            .success()
    );
    Ok(())
}

fn root_mean_square(a: &[f64], b: &[f64]) -> f64 {
    assert_eq!(a.len(), b.len());
    let squares = a.iter().zip(b).map(|(a, b)| (a - b).powi(2));
    (squares.sum::<f64>() / a.len() as f64).sqrt()
}

fn log_densities_of_a_thousand_samples_on_a_gpu_are_those_of_the_cpu() -> Result<(), Failed> {
    let folder = quick_folder();
    let at = folder.path();
    succeed(at, TRAIN);
    succeed(
        at,
        "sample flow.safetensors -n 1000 --seed 7 -o samples.npz",
    );
    for device in ["cpu", "wgpu"] {
        let words =
            format!("density flow.safetensors samples.npz -o {device}.npz --device {device}");
        succeed(at, &words);
    }
    let off = root_mean_square(&log_q(at, "cpu.npz"), &log_q(at, "wgpu.npz"));
    assert!(off < 1e-4, "log q differs by {off} RMS");
    Ok(())
}

fn a_gpu_generates_a_molecule() -> Result<(), Failed> {
    let folder = tempfile::tempdir()?;
    let at = folder.path();
    let config = quick().replace("steps = 60", "steps = 10");
    std::fs::write(at.join("config.toml"), config)?;
    std::fs::copy(root().join("data/butane.xyz"), at.join("butane.xyz"))?;
    let words = "generate butane.xyz --smiles CCCC --config config.toml --frames 300 -n 20 --seed 4 --json -o out.sdf --device wgpu";
    let summary: serde_json::Value = serde_json::from_str(&succeed(at, words))?;
    assert_eq!(summary["samples"], 20);
    let samples = SampleFile::read(&at.join("out.samples.npz")).unwrap();
    assert!(samples.drawn.log_q().iter().all(|log_q| log_q.is_finite()));
    Ok(())
}

fn likelihood_through_the_solve_is_learnt_on_a_gpu() -> Result<(), Failed> {
    let folder = quick_folder();
    let at = folder.path();
    let through = "objective = { likelihood_through_solve = { steps = 3, divergence = { hutchinson = { probes = 1, noise = \"rademacher\" } } } }";
    let matching = "objective = { flow_matching = { pairing = \"aligned\" } }";
    // One layer: a driver in software takes half a minute to compile the gradients of another.
    let config = quick()
        .replace(matching, through)
        .replace("layers = 2", "layers = 1")
        .replace("steps = 60", "steps = 4");
    std::fs::write(at.join("config.toml"), config)?;
    for device in ["cpu", "wgpu"] {
        let words = format!(
            "train --target dw4 --data data.npz --config config.toml -o {device}.safetensors --device {device}"
        );
        succeed(at, &words);
        succeed(
            at,
            &format!("sample {device}.safetensors -n 100 -o {device}.npz"),
        );
    }
    let off = root_mean_square(&log_q(at, "cpu.npz"), &log_q(at, "wgpu.npz"));
    assert!(
        off < 1e-2,
        "log q of the flows of two devices differs by {off} RMS"
    );
    Ok(())
}
