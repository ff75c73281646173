//! `generate`: from one file to weighted conformers.

use std::path::{Path, PathBuf};
use std::time::Instant;

use anyhow::{Context, Result, bail};
use boltzflow_boltzmann::{
    Checkpoint, Config, Cost, Model, Part, Spent, System, Unreached, sampling::CHUNK,
};
use boltzflow_energy::{Settings, geometric_ladder};
use boltzflow_flow::Divergence;
use boltzflow_flow::simd::Level;

use super::estimate::Rates;
use super::held_out::HeldOut;
use super::plan::{Found, Learning, Plan, Request};
use super::{
    Existing, Weighted, built_in, check_structures, flow_of, prepare, remove, sampling, simulation,
    training,
};
use crate::arguments::{Generate, Shard};
use crate::memory::Need;
use crate::{device, interrupt, report};

/// Frames to learn from, unless asked otherwise.
const FRAMES: u64 = 16_000;
/// The hottest temperature that is simulated for a flow of one, as a multiple of that.
const HOTTEST: f64 = 3.0;
/// Steps of the ladder up to there.
const RUNGS: f64 = 3.0;

/// The files of a run. The state of the simulation is removed at the end, all others stay.
struct Files {
    output: PathBuf,
    plan: PathBuf,
    state: PathBuf,
    checkpoint: PathBuf,
    held_out: PathBuf,
    samples: PathBuf,
}

impl Files {
    fn beside(output: &Path) -> Self {
        Self {
            output: output.to_owned(),
            plan: output.with_extension("plan.toml"),
            state: output.with_extension("state.json"),
            checkpoint: output.with_extension("safetensors"),
            held_out: output.with_extension("held-out.npz"),
            samples: output.with_extension("samples.npz"),
        }
    }

    /// All but the samples, which are prepared where they are drawn.
    fn all(&self) -> [&PathBuf; 5] {
        [
            &self.output,
            &self.plan,
            &self.state,
            &self.checkpoint,
            &self.held_out,
        ]
    }

    /// Without a plan no file that is there is of this run.
    fn refuse_others(&self, learns: bool) -> Result<()> {
        let chunks = self.samples.with_extension("chunks");
        let mut files = vec![
            &self.output,
            &self.samples,
            &self.state,
            &self.held_out,
            &chunks,
        ];
        if learns {
            files.push(&self.checkpoint);
        }
        files
            .into_iter()
            .try_for_each(|path| Existing::Refuse.check(path))
    }
}

pub fn generate(arguments: &Generate, json: bool) -> Result<()> {
    interrupt::stop_within(arguments.limit.get());
    if arguments.count == Some(0) {
        bail!("-n 0 asks for no samples; give at least 1");
    }
    let shard = Shard::parse(arguments.shard.as_deref())?;
    let files = Files::beside(&arguments.output);
    let existing = Existing::from_flag(arguments.overwrite);
    for path in files.all() {
        prepare(path)?;
    }
    let system = arguments.system.system(arguments.input.as_ref())?;
    let given = arguments
        .checkpoint
        .as_ref()
        .map(|path| flow_of(path, &system))
        .transpose()?;
    if system.molecule.is_some() {
        check_structures(&files.output, &system)?;
    }
    // What an earlier part of this run has taken is not known.
    let is_fresh = !files.plan.exists();
    let plan = settle(arguments, &system, given.as_ref(), shard, &files)?;
    if is_fresh {
        eprintln!("{}", plan.seconds);
    } else {
        eprintln!("going on with a run of {}", plan.seconds);
    }

    let mut cost = Cost {
        threads: rayon::current_num_threads(),
        parts: Vec::new(),
    };
    let mut spent = |part, energy_calls, started: Instant| {
        cost.parts.push(Spent {
            part,
            energy_calls,
            seconds: is_fresh.then(|| started.elapsed().as_secs_f64()),
        });
    };
    let (checkpoint, held_out) = match (&plan.learning, given) {
        (Some(learning), _) => {
            let (checkpoint, held_out) = learn(learning, &system, &files, existing, &mut spent)?;
            (checkpoint, Some(held_out))
        }
        (None, Some(checkpoint)) => (checkpoint, None),
        (None, None) => bail!(
            "{} plans no training, and no --checkpoint was given",
            files.plan.display()
        ),
    };
    let started = Instant::now();
    let (file, _) = sampling::Job {
        model: &model_for(&checkpoint, &system)?,
        flow: &checkpoint.fingerprint(),
        seed: arguments.seed,
        count: plan.samples,
        shard,
        output: &files.samples,
        existing,
    }
    .run()?;
    spent(Part::Sampling, 0, started);
    if file.numbers.is_empty() {
        eprintln!(
            "shard {}/{} of {} samples has none, so there is nothing to weight",
            shard.index, shard.count, plan.samples
        );
        return remove(&files.state).map_err(Into::into);
    }
    let mut weighted = Weighted::new(&system, &file, arguments.seed, cost)?;
    let labels = checkpoint.description.architecture.labels(&system);
    weighted.summary = weighted.summary.with_labels(labels);
    if let Some(held_out) = held_out.filter(|held_out| held_out.len() > 0) {
        let unreached = Unreached::new(&held_out.log_weights(&system)?, &weighted.ensemble.weights);
        weighted.summary = weighted.summary.with_unreached(unreached);
    }
    // It is written last and under a plan of its own, so one that is there is this run's.
    if files.output.exists() {
        eprintln!("{} is complete already", files.output.display());
    } else if system.molecule.is_some() {
        weighted.write(&files.output)?;
    }
    remove(&files.state)?;
    report::print(&weighted.summary, json)
}

/// The plan of an earlier part of this run, or a new one, written down.
fn settle(
    arguments: &Generate,
    system: &System,
    given: Option<&Checkpoint>,
    shard: Shard,
    files: &Files,
) -> Result<Plan> {
    let config = arguments.config.as_deref().map(Config::read).transpose()?;
    let model = config.as_ref().map(|config| config.model);
    let model = model.or(given.map(|flow| flow.description.config.model));
    let solver = model.and_then(|model| model.solver());
    if solver.is_some_and(|solver| solver.divergence != Divergence::Exact) {
        bail!(
            "an estimated divergence would bias the weights; generate needs model.cartesian.solver.divergence = \"exact\""
        );
    }
    let family = arguments.family(system);
    let request = Request {
        version: env!("CARGO_PKG_VERSION").to_owned(),
        system: simulation::identity(system)?,
        seed: arguments.seed,
        simd: Level::current(),
        device: device::kind(),
        chunk: CHUNK,
        shard: [shard.index, shard.count],
        samples: arguments.count,
        frames: arguments.frames,
        budget: arguments.budget.map(|budget| budget.as_secs_f64()),
        checkpoint: given.map(Checkpoint::fingerprint),
        config: config.clone(),
        flow: (given.is_none() && config.is_none()).then_some(family),
    };
    match request.find(&files.plan)? {
        Found::Same(plan) => return Ok(*plan),
        Found::Other(what) if !arguments.overwrite => bail!(
            "{} is of another run ({what}); give --overwrite to replace its outputs",
            files.plan.display()
        ),
        Found::Nothing if !arguments.overwrite => files.refuse_others(given.is_none())?,
        Found::Nothing | Found::Other(_) => {}
    }
    let points = system.energy.points();
    let experiment = config.unwrap_or_else(|| built_in::config(family, points, arguments.seed));
    let learning = given.is_none().then(|| Learning {
        frames: arguments.frames.unwrap_or(FRAMES),
        simulation: ladders(system, hottest(&experiment), arguments.seed),
        experiment,
    });
    let (rates, model) = match (&learning, given) {
        (None, Some(checkpoint)) => {
            let model = model_for(checkpoint, system)?;
            (Rates::of_model(system, &model)?, model)
        }
        (Some(learning), _) => {
            let (frames, experiment) = (learning.all_frames(), &learning.experiment);
            Need::simulation(frames, system.start.size(), learning.simulation.replicas())
                .check()?;
            let features = system.features(experiment.model.alike());
            Need::training(experiment, &features, frames).check()?;
            Rates::of_run(system, &learning.simulation, experiment)?
        }
        (None, None) => unreachable!("there is learning where no flow was given"),
    };
    let plan = Plan::new(request, learning, &rates)?;
    Need::sampling(&model, shard.share(plan.samples)).check()?;
    // What another run has left would be taken for this one's.
    for path in [&files.output, &files.samples, &files.state, &files.held_out] {
        remove(path)?;
    }
    plan.write(&files.plan)?;
    Ok(plan)
}

/// Simulates, trains and finds the densities of what was held out, or goes on where an earlier part of this run stopped; `spent` is told
/// what each took.
fn learn(
    learning: &Learning,
    system: &System,
    files: &Files,
    existing: Existing,
    spent: &mut impl FnMut(Part, u64, Instant),
) -> Result<(Checkpoint, HeldOut)> {
    let started = Instant::now();
    let training_calls =
        |checkpoint: &Checkpoint| checkpoint.energy_calls(learning.all_frames() as usize);
    // It is written when all is learnt, and the state of the simulation may be gone by then.
    if files.held_out.exists() && files.checkpoint.exists() {
        let checkpoint = Checkpoint::read(&files.checkpoint)?;
        let flow = checkpoint.fingerprint();
        if let Some(held_out) = HeldOut::read(&files.held_out, system, &flow)? {
            spent(Part::Simulation, learning.energy_calls()?, started);
            spent(Part::Training, training_calls(&checkpoint), started);
            spent(Part::Checking, held_out.len() as u64, started);
            return Ok((checkpoint, held_out));
        }
    }
    let save = simulation::Save {
        path: &files.state,
        existing,
    };
    let (settings, wanted) = (learning.simulation.clone(), learning.wanted());
    let frames = simulation::run(system, settings, wanted, save)?.into_data();
    spent(Part::Simulation, learning.energy_calls()?, started);
    let started = Instant::now();
    let share = learning.experiment.training.hotter;
    let mixed = if share > 0.0 {
        let mixed = frames.clone().mixed(system.temperature, share);
        Some(mixed.context("training.hotter asks for hotter frames, and the simulation has none")?)
    } else {
        None
    };
    let checkpoint = training::Job {
        system,
        config: &learning.experiment,
        data: mixed.as_ref().unwrap_or(&frames),
        from: None,
        path: &files.checkpoint,
        existing,
    }
    .run()?;
    spent(Part::Training, training_calls(&checkpoint), started);
    let started = Instant::now();
    let held_out = HeldOut::new(system, &checkpoint, &frames)?;
    let held_out = held_out.write(&files.held_out, system, &checkpoint.fingerprint())?;
    spent(Part::Checking, held_out.len() as u64, started);
    Ok((checkpoint, held_out))
}

/// A flow as a proposal for the system.
fn model_for(checkpoint: &Checkpoint, system: &System) -> Result<Model> {
    let model = checkpoint.model(&device::current())?;
    Ok(model.proposing_at(system.temperature)?)
}

/// The hottest temperature that is simulated, as a multiple of the system's: what torsions need, or the flow is for.
fn hottest(experiment: &Config) -> f64 {
    experiment.model.temperatures(1.0).hottest.max(HOTTEST)
}

/// The replica exchange that `generate` learns from, up to `hottest` times the system's temperature.
pub(super) fn ladders(system: &System, hottest: f64, seed: u64) -> Settings {
    let rungs = (RUNGS * hottest.ln() / HOTTEST.ln()).ceil() as usize + 1;
    Settings {
        temperatures: geometric_ladder(system.temperature, hottest * system.temperature, rungs),
        ladders: 4,
        propagator: simulation::propagator(system),
        burn_in: 400,
        stride: 2,
        seed,
    }
}
