//! `train`.

use std::fs::OpenOptions;
use std::io::Write;
use std::path::Path;

use anyhow::{Context, Result, bail};
use boltzflow_boltzmann::{
    Architecture, Checkpoint, Config, Description, FORMAT, Model, System, Training, digest,
    read_positions,
};
use boltzflow_molecule::Conformers;
use burn::tensor::Device;

use crate::arguments::Train;
use crate::{interrupt, report};

/// Steps between log lines.
const LOG_EVERY: u64 = 100;

pub fn train(arguments: &Train) -> Result<()> {
    let system = arguments.system.system(None)?;
    let config = Config::read(&arguments.config)?;
    let data = read_positions(&arguments.data)?;
    if data.points() != system.energy.points() || data.dims() != system.energy.dims() {
        bail!(
            "{} holds configurations of {} points in {} dimensions, but {} has {} in {}",
            arguments.data.display(),
            data.points(),
            data.dims(),
            system.name,
            system.energy.points(),
            system.energy.dims()
        );
    }
    let checkpoint = run(
        &system,
        &config,
        &data,
        &arguments.output,
        arguments.overwrite,
    )?;
    report::say(format_args!(
        "{} steps done, best validation loss {:.5}; checkpoint {}",
        checkpoint.optimizer.step,
        checkpoint.progress.best,
        arguments.output.display()
    ))
}

/// Trains, from a checkpoint of the same run where there is one.
pub fn run(
    system: &System,
    config: &Config,
    data: &Conformers,
    path: &Path,
    overwrite: bool,
) -> Result<Checkpoint> {
    if data.len() < 2 {
        bail!("{} configurations are too few to learn from", data.len());
    }
    let architecture = Architecture::new(config, system, data);
    let description = Description {
        format: FORMAT,
        version: env!("CARGO_PKG_VERSION").to_owned(),
        data: digest(data.positions()),
        target: system.name.clone(),
        atoms: system.molecule.as_ref().map_or_else(Vec::new, |reference| {
            reference
                .molecule
                .atoms
                .iter()
                .map(|atom| atom.name.clone())
                .collect()
        }),
        config: config.clone(),
        architecture: architecture.clone(),
    };
    let model = Model::new(architecture, config.training.seed, &Device::flex())?;
    let parameters = model.parameters().len();
    let mut training = Training::new(
        model,
        &config.training,
        data,
        system.symmetry(config.model.alike),
        system.reflections(),
    );
    if path.exists() {
        match Checkpoint::read(path) {
            Ok(old) if old.description == description => {
                training.optimizer = old.optimizer;
                training.progress = old.progress;
            }
            Ok(_) if !overwrite => bail!(
                "{} is a checkpoint of another run; give --overwrite to replace it",
                path.display()
            ),
            Err(error) if !overwrite => return Err(error.into()),
            _ => {}
        }
    }
    let log_path = path.with_extension("log.jsonl");
    let mut log = OpenOptions::new()
        .create(true)
        .append(true)
        .open(&log_path)
        .with_context(|| format!("cannot write the log {}", log_path.display()))?;
    let bar = report::progress(
        config.training.steps,
        &format!("training {parameters} parameters, steps"),
    );
    bar.set_position(training.optimizer.step);
    let save = |training: &Training| {
        let checkpoint = Checkpoint {
            description: description.clone(),
            optimizer: training.optimizer.clone(),
            progress: training.progress,
        };
        checkpoint.write(path).map(|()| checkpoint)
    };
    let started = std::time::Instant::now();
    while !training.is_finished() {
        let step = training.advance();
        bar.inc(1);
        if !step.loss.is_finite() {
            bail!(
                "the loss at step {} is {}; use a smaller learning rate",
                step.step,
                step.loss
            );
        }
        if step.step.is_multiple_of(LOG_EVERY) || step.validation.is_some() {
            writeln!(log, "{}", serde_json::to_string(&step)?)?;
            if let (true, Some(validation)) = (bar.is_hidden(), step.validation) {
                let seconds = started.elapsed().as_secs();
                eprintln!(
                    "step {} loss {:.5} validation {validation:.5} ({seconds} s)",
                    step.step, step.loss
                );
            }
        }
        if step.step.is_multiple_of(config.training.checkpoint_every) {
            save(&training)?;
        }
        if interrupt::asked() {
            save(&training)?;
            interrupt::check()?;
        }
    }
    bar.finish_and_clear();
    Ok(save(&training)?)
}
