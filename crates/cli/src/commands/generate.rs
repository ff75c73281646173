//! `generate`: from one file to weighted conformers.

use std::time::Instant;

use anyhow::{Result, bail};
use boltzflow_boltzmann::{
    Alike, Checkpoint, Config, Cost, ModelConfig, Pairing, Part, Spent, System, TrainingConfig,
};
use boltzflow_energy::{Settings, geometric_ladder};
use boltzflow_flow::ode::Steps;
use boltzflow_flow::{Divergence, Edges, Method, Schedule, Solver};
use burn::tensor::Device;

use super::{Weighted, sampling, simulation, training};
use crate::arguments::{Generate, Shard};
use crate::report;

/// Frames to learn from.
const FRAMES: u64 = 8000;

pub fn generate(arguments: &Generate, json: bool) -> Result<()> {
    if arguments.count == 0 {
        bail!("-n 0 asks for no samples; give at least 1");
    }
    let output = &arguments.output;
    if output.exists() && !arguments.overwrite {
        bail!(
            "{} exists; give --overwrite to replace it",
            output.display()
        );
    }
    let system = arguments.system.system(arguments.input.as_ref())?;
    let checkpoint = match &arguments.checkpoint {
        Some(path) => {
            let checkpoint = Checkpoint::read(path)?;
            if !checkpoint.description.architecture.is_of(&system) {
                bail!(
                    "{} is a flow of another molecule or atom order ({})",
                    path.display(),
                    checkpoint.description.target
                );
            }
            checkpoint
        }
        None => learn(arguments, &system)?,
    };
    let model = checkpoint.model(&Device::flex())?;
    let samples = output.with_extension("samples.npz");
    let whole = Shard { index: 0, count: 1 };
    let is_fresh = !samples.exists() && !samples.with_extension("chunks").exists();
    let started = Instant::now();
    let file = sampling::run(
        &model,
        &checkpoint,
        arguments.seed,
        arguments.count,
        whole,
        &samples,
        arguments.overwrite,
    )?;
    let sampling = Spent {
        part: Part::Sampling,
        energy_calls: 0,
        seconds: is_fresh.then(|| started.elapsed().as_secs_f64()),
    };
    let cost = Cost {
        threads: rayon::current_num_threads(),
        parts: vec![sampling],
    };
    let weighted = Weighted::new(&system, &file, arguments.seed, cost)?;
    if system.molecule.is_some() {
        weighted.write(output)?;
    }
    report::print(&weighted.summary, json)
}

/// Simulates and trains, or goes on where an earlier run of the same command stopped.
fn learn(arguments: &Generate, system: &System) -> Result<Checkpoint> {
    let config = match &arguments.config {
        Some(path) => Config::read(path)?,
        None => built_in(arguments.seed),
    };
    let settings = Settings {
        temperatures: geometric_ladder(system.temperature, 3.0 * system.temperature, 4),
        ladders: 4,
        propagator: simulation::propagator(system),
        burn_in: 400,
        stride: 2,
        seed: arguments.seed,
    };
    let replicas = settings.replicas() as u64;
    let calls =
        simulation::rounds(&settings, FRAMES) * replicas * settings.evaluations_per_round() as u64;
    eprintln!(
        "plan: {calls} energy calls of replica exchange, {} training steps of {} pairs, {} samples with exact log-density",
        config.training.steps, config.training.batch, arguments.count
    );
    let state = arguments.output.with_extension("state.json");
    let frames = simulation::run(system, settings, FRAMES, Some(&state))?;
    let path = arguments.output.with_extension("safetensors");
    training::run(
        system,
        &config,
        &frames.conformers,
        &path,
        arguments.overwrite,
    )
}

/// What `generate` trains where no config is given: small enough for ten minutes on two cores.
fn built_in(seed: u64) -> Config {
    Config {
        model: ModelConfig {
            width: 32,
            layers: 4,
            edges: Edges::Initial,
            schedule: Schedule { rate: 3.0 },
            alike: Alike::Attached,
        },
        solver: Solver {
            method: Method::Rk4,
            steps: Steps::Fixed { count: 15 },
            divergence: Divergence::Exact,
        },
        training: TrainingConfig {
            seed,
            steps: 8000,
            batch: 128,
            learning_rate: 3e-3,
            warm_up: 200,
            weight_decay: 1e-4,
            clip: 1.0,
            average: 0.999,
            pairing: Pairing::Aligned,
            validation: 0.1,
            validate_every: 500,
            patience: 0,
            checkpoint_every: 500,
        },
    }
}
