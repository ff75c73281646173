//! `train`.

use std::fmt;
use std::fs::{File, OpenOptions};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use boltzflow_boltzmann::{
    Architecture, Checkpoint, Config, Description, FORMAT, Model, Objective, Step, System,
    Training, TrainingData,
};
use boltzflow_chemio::AtomicFile;
use boltzflow_flow::simd::Level;
use boltzflow_molecule::Conformers;
use serde::Serialize;

use super::{Existing, flow_of, prepare, to_learn_from};
use crate::arguments::Train;
use crate::memory::Need;
use crate::progress::Progress;
use crate::{device, interrupt, report};

/// Steps between log lines.
const LOG_EVERY: u64 = 100;
/// Time between checkpoints, if that comes before the config's number of steps.
const SAVE_AFTER: Duration = Duration::from_mins(1);

/// What is to be trained, and where to.
#[derive(Clone, Copy)]
pub struct Job<'a> {
    /// What the data belong to.
    pub system: &'a System,
    /// The experiment.
    pub config: &'a Config,
    /// What to learn from.
    pub data: &'a TrainingData,
    /// The flow to start from, if not a new one.
    pub from: Option<&'a Checkpoint>,
    /// The checkpoint.
    pub path: &'a Path,
    /// If there is one of another run.
    pub existing: Existing,
}

pub fn train(arguments: &Train, json: bool) -> Result<()> {
    interrupt::stop_within(arguments.limit.get());
    let system = arguments.system.system(None)?;
    let config = Config::read(&arguments.config)?;
    prepare(&arguments.output)?;
    let data = match (&arguments.data, config.training.objective.needs_data()) {
        (Some(path), true) => to_learn_from(path, &system, &config)?,
        (None, false) => {
            let nothing = Conformers::empty(system.energy.points(), system.energy.dims());
            TrainingData::at(nothing, system.temperature)
        }
        (None, true) => bail!("the experiment learns from configurations; give --data FILE.npz"),
        (Some(_), false) if config.training.objective.needs_flow() => bail!(
            "the experiment learns from what the flow of --from makes, and nothing from --data; leave it out"
        ),
        (Some(_), false) if matches!(config.training.objective, Objective::Fab(_)) => bail!(
            "the experiment learns from annealed samples of the flow's own, and nothing from --data; leave it out"
        ),
        (Some(_), false) => bail!(
            "training.objective.energy.likelihood is 0, so nothing is learnt from --data; leave it out"
        ),
    };
    let from = arguments
        .from
        .as_ref()
        .map(|path| start_of(path, &system, &config))
        .transpose()?;
    let checkpoint = Job {
        system: &system,
        config: &config,
        data: &data,
        from: from.as_ref(),
        path: &arguments.output,
        existing: Existing::from_flag(arguments.overwrite),
    }
    .run()?;
    report::print(
        &Trained {
            output: arguments.output.clone(),
            steps: (!is_fit(&config)).then_some(checkpoint.optimizer.step),
            energy_calls: checkpoint.energy_calls(data.len()),
            best_validation_loss: Some(checkpoint.progress.best).filter(|loss| loss.is_finite()),
        },
        json,
    )
}

/// A flow to start from, if it is one of this molecule and config.
fn start_of(path: &Path, system: &System, config: &Config) -> Result<Checkpoint> {
    if is_fit(config) {
        bail!("a fit starts from no other flow; leave out --from");
    }
    let from = flow_of(path, system)?;
    if from.description.config.model != config.model {
        bail!(
            "the [model] of {} is not that of the config, so its parameters do not fit",
            path.display()
        );
    }
    Ok(from)
}

/// Whether a step has a line in the log: one in a hundred, what is validated, every round of samples, and the first that were annealed in a
/// hundred steps.
fn is_logged(step: &Step, objective: Objective) -> bool {
    let place = (step.step - 1) % LOG_EVERY;
    let is_first = match objective {
        Objective::Fab(told) => step.annealed.is_some() && place < told.updates,
        _ => false,
    };
    let is_due = step.step.is_multiple_of(LOG_EVERY) || step.validation.is_some();
    is_due || is_first || step.round.is_some()
}

/// Whether it is done in one step.
fn is_fit(config: &Config) -> bool {
    matches!(config.training.objective, Objective::Fit { .. })
}

/// A training that is done.
#[derive(Serialize)]
struct Trained {
    output: PathBuf,
    /// None of a fit.
    #[serde(skip_serializing_if = "Option::is_none")]
    steps: Option<u64>,
    /// Energies with their gradients.
    energy_calls: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    best_validation_loss: Option<f64>,
}

impl fmt::Display for Trained {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.steps {
            Some(steps) => write!(f, "{steps} steps done")?,
            None => write!(f, "fitted")?,
        }
        if let Some(loss) = self.best_validation_loss {
            write!(f, ", best validation loss {loss:.5}")?;
        }
        if self.energy_calls > 0 {
            write!(f, ", {} energy calls", self.energy_calls)?;
        }
        writeln!(f, "; checkpoint {}", self.output.display())
    }
}

impl Job<'_> {
    /// Trains, from a checkpoint of the same run where there is one.
    pub fn run(&self) -> Result<Checkpoint> {
        let (config, data) = (self.config, self.data);
        if data.len() < 2 && config.training.objective.needs_data() {
            bail!("{} configurations are too few to learn from", data.len());
        }
        if self.from.is_none() && config.training.objective.needs_flow() {
            bail!(
                "the experiment learns from what a trained flow makes; give --from FLOW.safetensors"
            );
        }
        let features = self.system.features(config.model.alike());
        Need::training(config, &features, data.len() as u64).check()?;
        let description = self.description()?;
        let model = |seed| Model::new(description.architecture.clone(), seed, &device::current());
        let model = match self.from {
            Some(from) => model(0)?.with_parameters(&from.optimizer.average),
            None => model(config.training.seed)?,
        };
        let parameters = model.parameters().len();
        let mut training = Training::new(model, &config.training, data, self.system)?;
        if data.is_empty() && self.from.is_none() {
            training.count_architecture();
        }
        if let Some(old) = self.earlier(&description)? {
            training.optimizer = old.optimizer;
            training.progress = old.progress;
            training.pool = old.pool;
            if training.is_finished() {
                eprintln!("{} is complete already", self.path.display());
            }
        }
        let checkpoint = |training: &Training| Checkpoint {
            description: description.clone(),
            optimizer: training.optimizer.clone(),
            progress: training.progress,
            pool: training.pool.clone(),
        };
        let mut log = self.log(training.optimizer.step)?;
        let progress = Progress::new(
            config.training.steps,
            training.optimizer.step,
            &format!("training {parameters} parameters, steps"),
        );
        let mut saved = (training.optimizer.step, Instant::now());
        while !training.is_finished() {
            let stop = interrupt::check();
            let step = training.optimizer.step;
            let due = step.is_multiple_of(config.training.checkpoint_every)
                || saved.1.elapsed() >= SAVE_AFTER
                || stop.is_err();
            if due && step > saved.0 {
                checkpoint(&training).write(self.path)?;
                saved = (step, Instant::now());
            }
            stop?;
            let step = interrupt::timed(|| training.advance());
            progress.inc(1);
            let weightless = step.round.is_some_and(|round| round.effective == 0.0);
            if step.loss.is_nan() && weightless {
                bail!(
                    "none of the flow's own samples before step {} has any weight, and there is nothing else to learn from; start --from a better flow, or give --data and a share below 1",
                    step.step
                );
            }
            let unannealed = step.annealed.is_some_and(|found| found.effective == 0.0);
            if step.loss.is_nan() && unannealed {
                bail!(
                    "none of the samples that were annealed before step {} has any weight, so that there is nothing to learn from; start --from another flow",
                    step.step
                );
            }
            if !step.loss.is_finite() {
                bail!(
                    "the loss at step {} is {}; use a smaller learning rate",
                    step.step,
                    step.loss
                );
            }
            if is_logged(&step, config.training.objective) {
                writeln!(log, "{}", serde_json::to_string(&step)?)?;
                if let Some(validation) = step.validation {
                    progress.note(format_args!(
                        "step {} loss {:.5} validation {validation:.5}",
                        step.step, step.loss
                    ));
                }
            }
        }
        progress.finish_and_clear();
        let checkpoint = checkpoint(&training);
        if training.optimizer.step > saved.0 {
            checkpoint.write(self.path)?;
        }
        Ok(checkpoint)
    }

    /// Everything about this training but its numbers.
    fn description(&self) -> Result<Description> {
        let names = self.system.molecule.as_ref().map(|reference| {
            let atoms = reference.molecule.atoms.iter();
            atoms.map(|atom| atom.name.clone()).collect()
        });
        Ok(Description {
            format: FORMAT,
            version: env!("CARGO_PKG_VERSION").to_owned(),
            simd: Level::current(),
            processor: Level::detected(),
            device: device::kind().to_string(),
            data: self.data.digest(self.system.temperature),
            target: self.system.name.clone(),
            atoms: names.unwrap_or_default(),
            config: self.config.clone(),
            from: self.from.map(Checkpoint::fingerprint),
            architecture: match self.from {
                Some(from) => {
                    let architecture = from.description.architecture.clone();
                    architecture.for_temperature(self.system.temperature)
                }
                None => Architecture::new(self.config, self.system, &self.data.conformers)?,
            },
        })
    }

    /// The checkpoint of an earlier part of this run.
    fn earlier(&self, description: &Description) -> Result<Option<Checkpoint>> {
        if !self.path.exists() {
            return Ok(None);
        }
        match (Checkpoint::read(self.path), self.existing) {
            (Ok(old), _) if old.description == *description => Ok(Some(old)),
            (_, Existing::Replace) => Ok(None),
            (Ok(old), Existing::Refuse) => bail!(
                "{} is a checkpoint of another run (other {}); give --overwrite to replace it",
                self.path.display(),
                old.difference(description).unwrap_or("numbers")
            ),
            (Err(error), Existing::Refuse) => Err(error.into()),
        }
    }

    /// The log, without the lines of steps that will be done again.
    fn log(&self, step: u64) -> Result<File> {
        let path = self.path.with_extension("log.jsonl");
        prepare(&path)?;
        let text = std::fs::read_to_string(&path).unwrap_or_default();
        let is_done = |line: &&str| {
            let line: Option<serde_json::Value> = serde_json::from_str(line).ok();
            line.and_then(|line| line["step"].as_u64())
                .is_some_and(|number| number <= step)
        };
        let kept: String = text
            .lines()
            .filter(is_done)
            .flat_map(|line| [line, "\n"])
            .collect();
        if kept != text {
            AtomicFile::write_all_to(&path, kept.as_bytes())?;
        }
        OpenOptions::new()
            .create(true)
            .append(true)
            .open(&path)
            .with_context(|| format!("cannot write the log {}", path.display()))
    }
}
