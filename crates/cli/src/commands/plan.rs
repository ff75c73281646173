//! What a run of `generate` will do: decided once, written beside the output before work starts, and used again by a resumed run.
//! Time enters here and nowhere else, as whole numbers of frames, steps and samples.

use std::path::Path;

use anyhow::{Context, Result, bail};
use boltzflow_boltzmann::{Config, Objective, sampling};
use boltzflow_chemio::AtomicFile;
use boltzflow_energy::Settings;
use boltzflow_flow::simd::Level;
use serde::{Deserialize, Serialize};

use super::estimate::{Counts, Rates, Seconds, full_load};
use super::simulation::{Recorded, Starts, Wanted};
use super::{held_out, simulation};
use crate::arguments::{Family, Shard};
use crate::device;

/// Part of a budget that is kept for starting, validating, statistics and writing.
const RESERVE: f64 = 0.1;
/// Part that samples and their energies get where their number is not given.
const SAMPLING: f64 = 0.4;
/// Largest part that they may take where it is.
const MOST_SAMPLING: f64 = 0.75;
/// Part of what is left that the simulation gets.
const SIMULATION: f64 = 0.4;
/// The same where the flow is fitted in one step.
const SIMULATION_TO_FIT: f64 = 0.8;
/// Frames that a budget is turned into: no fewer teach a flow anything, more add little.
const FRAMES: (u64, u64) = (400, 40_000);
/// Steps that a budget is turned into at least.
const LEAST_STEPS: u64 = 50;

/// What was asked for: the fingerprint of a run, without its counts.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Request {
    /// The program's version.
    pub version: String,
    /// Energy, temperature and geometry.
    pub system: String,
    /// Seed of everything.
    pub seed: u64,
    /// Vector instructions in use.
    pub simd: Level,
    /// Where networks are evaluated.
    pub device: device::Kind,
    /// Samples of a chunk.
    pub chunk: usize,
    /// Which chunks, `[i, n]`.
    pub shard: [u64; 2],
    /// Samples asked for.
    pub samples: Option<u64>,
    /// Frames asked for.
    pub frames: Option<u64>,
    /// Seconds asked for.
    pub budget: Option<f64>,
    /// Hash of the trained flow that was given.
    pub checkpoint: Option<String>,
    /// The config that was given.
    pub config: Option<Config>,
    /// The family of flows, where nothing else says what is trained.
    pub flow: Option<Family>,
}

/// What will be done.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Plan {
    /// What was asked for.
    pub request: Request,
    /// How long it was estimated to take, from its beginning.
    pub seconds: Seconds,
    /// Samples of all shards.
    pub samples: u64,
    /// What is simulated and trained; none where a trained flow was given.
    pub learning: Option<Learning>,
}

/// Simulation and training.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Learning {
    /// Frames of each temperature that is learnt from: the lowest, or of a flow of a range all of the simulation.
    pub frames: u64,
    /// The replica exchange that gives them.
    pub simulation: Settings,
    /// The experiment.
    pub experiment: Config,
}

/// A run as it stands on disk.
#[derive(Clone, Debug, PartialEq)]
pub enum Found {
    /// There is no plan.
    Nothing,
    /// One of the same request.
    Same(Box<Plan>),
    /// One of another, or no plan at all; what differs.
    Other(String),
}

impl Request {
    /// Looks for a plan of this request.
    pub fn find(&self, path: &Path) -> Result<Found> {
        let text = match std::fs::read_to_string(path) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                return Ok(Found::Nothing);
            }
            outcome => outcome.with_context(|| format!("cannot read {}", path.display()))?,
        };
        Ok(match toml::from_str::<Plan>(&text) {
            Ok(plan) if plan.request == *self => Found::Same(Box::new(plan)),
            Ok(plan) => Found::Other(format!("other {}", self.differences(&plan.request))),
            Err(error) => Found::Other(error.message().to_owned()),
        })
    }

    /// The names of what differs.
    fn differences(&self, other: &Self) -> String {
        let differs = [
            ("version", self.version != other.version),
            (
                "molecule, force field or temperature",
                self.system != other.system,
            ),
            ("--seed", self.seed != other.seed),
            ("--simd", self.simd != other.simd),
            ("--device", self.device != other.device),
            ("chunk size", self.chunk != other.chunk),
            ("--shard", self.shard != other.shard),
            ("-n", self.samples != other.samples),
            ("--frames", self.frames != other.frames),
            ("--budget", self.budget != other.budget),
            ("--checkpoint", self.checkpoint != other.checkpoint),
            ("--config", self.config != other.config),
            ("--flow", self.flow != other.flow),
        ];
        let names: Vec<&str> = differs
            .into_iter()
            .filter_map(|(name, differs)| differs.then_some(name))
            .collect();
        names.join(", ")
    }
}

impl Learning {
    /// Rounds of its simulation.
    pub fn rounds(&self) -> Result<u64> {
        Ok(self.simulation.rounds(self.frames)?)
    }

    /// What its simulation records, and where it starts.
    pub fn wanted(&self) -> Wanted {
        let Config {
            model, training, ..
        } = &self.experiment;
        Wanted {
            count: self.frames,
            recorded: if model.temperatures(1.0).are_many() || training.hotter > 0.0 {
                Recorded::All
            } else {
                Recorded::Lowest
            },
            starts: Starts::EmbeddedIfFound,
        }
    }

    /// Frames of all temperatures that are learnt from.
    pub fn all_frames(&self) -> u64 {
        let temperatures = self.wanted().recorded.temperatures(&self.simulation);
        self.frames.saturating_mul(temperatures.len() as u64)
    }

    /// Evaluations of the energy in its simulation.
    pub fn energy_calls(&self) -> Result<u64> {
        simulation::energy_calls(&self.simulation, self.frames)
    }

    /// Frames held out whose density is found when all is learnt.
    pub fn checks(&self) -> u64 {
        held_out::count(self.frames, &self.experiment.training)
    }

    /// The same with as many frames and steps as a budget allows.
    fn within(&self, seconds: f64, rates: &Rates) -> Result<Self> {
        let (settings, mut experiment) = (&self.simulation, self.experiment.clone());
        let is_fit = matches!(experiment.training.objective, Objective::Fit { .. });
        let (part, least_steps) = if is_fit {
            (SIMULATION_TO_FIT, 1)
        } else {
            (SIMULATION, LEAST_STEPS)
        };
        let rounds = (part * seconds / rates.round) as u64;
        let records = rounds.saturating_sub(settings.burn_in) / settings.stride;
        let frames = (records * settings.ladders as u64).clamp(FRAMES.0, FRAMES.1);
        let simulating = rates.round * settings.rounds(frames)? as f64;
        let checking = rates.sample * held_out::count(frames, &experiment.training) as f64;
        let left = seconds - simulating - checking;
        // As many first steps as without a budget, but no more than half of all.
        let wanted = experiment.training.objective.start();
        let first = wanted.min((left / (rates.first + rates.step)) as u64);
        let steps = first + ((left - rates.first * first as f64) / rates.step) as u64;
        if steps < least_steps {
            bail!(
                "the budget leaves {seconds:.1} s for learning, but {frames} frames take {simulating:.1} s, their densities {checking:.1} s and {least_steps} training steps {:.1} s; give a larger --budget",
                rates.step * least_steps as f64
            );
        }
        if !is_fit {
            let training = &mut experiment.training;
            training.objective = training.objective.starting_with(first);
            training.steps = steps;
            training.warm_up = training.warm_up.min(steps / 5);
        }
        Ok(Self {
            frames,
            simulation: settings.clone(),
            experiment,
        })
    }
}

impl Plan {
    /// Decides. `learning` is what is done without a budget.
    pub fn new(request: Request, learning: Option<Learning>, rates: &Rates) -> Result<Self> {
        let each = rates.sample + rates.energy;
        let (samples, learning) = match request.budget {
            None => (request.samples.unwrap_or_default(), learning),
            Some(budget) => {
                let seconds = budget * (1.0 - RESERVE);
                let part = if learning.is_some() { SAMPLING } else { 1.0 };
                let samples = request
                    .samples
                    .unwrap_or_else(|| whole_chunks(part * seconds / each));
                let sampling = each * full_load(samples) as f64;
                if request.samples.is_some() && sampling > MOST_SAMPLING * seconds {
                    bail!(
                        "{samples} samples take about {sampling:.0} s, too much of a budget of {budget:.0} s; give --budget {:.0}s or more, or fewer samples",
                        (sampling / MOST_SAMPLING / (1.0 - RESERVE)).ceil()
                    );
                }
                let learning = learning
                    .map(|learning| learning.within(seconds - sampling, rates))
                    .transpose()?;
                (samples, learning)
            }
        };
        let [index, count] = request.shard;
        let shard = Shard { index, count };
        let (first, steps) = learning.as_ref().map_or((0, 0), |learning| {
            let training = &learning.experiment.training;
            let first = training.objective.start().min(training.steps);
            (first, training.steps - first)
        });
        let counts = Counts {
            rounds: learning.as_ref().map_or(Ok(0), Learning::rounds)?,
            first,
            steps,
            checks: learning.as_ref().map_or(0, Learning::checks),
            samples: full_load(shard.share(samples)),
        };
        Ok(Self {
            seconds: rates.seconds(counts),
            request,
            samples,
            learning,
        })
    }

    /// Writes the file whole or not at all.
    pub fn write(&self, path: &Path) -> Result<()> {
        let text = toml::to_string(self).context("a plan is valid TOML")?;
        let text = format!(
            "# What `boltzflow generate` does for the output beside this file. The same command uses it again.\n\n{text}"
        );
        AtomicFile::write_all_to(path, text.as_bytes())?;
        Ok(())
    }
}

/// At least one chunk of samples.
fn whole_chunks(samples: f64) -> u64 {
    let chunk = sampling::CHUNK as u64;
    (samples as u64 / chunk).max(1) * chunk
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test that meets an error has failed")]
    use super::*;
    use crate::commands::built_in;
    use crate::commands::generate::ladders;

    const RATES: Rates = Rates {
        round: 1e-3,
        first: 1e-3,
        step: 2e-3,
        sample: 1e-3,
        energy: 1e-5,
    };

    fn request(samples: Option<u64>, budget: Option<f64>) -> Request {
        Request {
            version: "0".into(),
            system: "dw4".into(),
            seed: 1,
            simd: Level::Baseline,
            device: device::Kind::Cpu,
            chunk: 64,
            shard: [0, 1],
            samples,
            frames: None,
            budget,
            checkpoint: None,
            config: None,
            flow: Some(Family::Egnn),
        }
    }

    fn learning() -> Learning {
        let target = "dw4".parse().unwrap();
        let system = boltzflow_boltzmann::System::toy(target, 1.0).unwrap();
        Learning {
            frames: 8000,
            simulation: ladders(&system, 3.0, 1),
            experiment: built_in::config(Family::Egnn, 4, 1),
        }
    }

    #[test]
    fn a_budget_becomes_counts_that_take_about_as_long() {
        for samples in [None, Some(1000)] {
            let plan = Plan::new(request(samples, Some(60.0)), Some(learning()), &RATES).unwrap();
            let total = plan.seconds.total();
            assert!((45.0..=60.0).contains(&total), "{total} s: {plan:?}");
            assert!(samples.is_none_or(|count| plan.samples == count));
        }
    }

    #[test]
    fn a_budget_leaves_the_first_steps_as_they_are_or_half_of_all() {
        let splines = Learning {
            experiment: built_in::config(Family::Spline, 4, 1),
            ..learning()
        };
        for (budget, is_long) in [(20.0, true), (1.2, false)] {
            let asked = request(Some(64), Some(budget));
            let plan = Plan::new(asked, Some(splines.clone()), &RATES).unwrap();
            let experiment = plan.learning.unwrap().experiment;
            let [first, wanted] = [&experiment, &splines.experiment]
                .map(|experiment| experiment.training.objective.start());
            let steps = experiment.training.steps;
            assert_eq!(first == wanted, is_long, "{first} of {steps}");
            assert!(
                is_long || (first > 0 && steps.abs_diff(2 * first) <= 1),
                "{first} of {steps}"
            );
            let total = plan.seconds.total();
            assert!((0.7 * budget..=budget).contains(&total), "{total} s");
        }
    }

    #[test]
    fn a_fit_is_one_step_and_leaves_a_budget_to_the_simulation() {
        let fit = Learning {
            experiment: built_in::config(Family::Copula, 4, 1),
            ..learning()
        };
        let frames = |learning: &Learning| {
            let asked = request(Some(1000), Some(20.0));
            let plan = Plan::new(asked, Some(learning.clone()), &RATES).unwrap();
            let learning = plan.learning.unwrap();
            (learning.frames, learning.experiment)
        };
        let (more, experiment) = frames(&fit);
        assert_eq!(experiment, fit.experiment);
        assert!(more > 2 * frames(&learning()).0);
    }

    #[test]
    fn without_a_budget_no_rate_changes_a_count() {
        let slow = Rates {
            step: 100.0,
            ..RATES
        };
        let plan = |rates| Plan::new(request(Some(1000), None), Some(learning()), rates).unwrap();
        let (a, b) = (plan(&RATES), plan(&slow));
        assert_eq!((a.samples, &a.learning), (b.samples, &b.learning));
        assert_eq!(a.learning, Some(learning()));
    }

    #[test]
    fn a_budget_that_is_too_small_is_refused_with_what_it_would_take() {
        let refused = |request| {
            let plan = Plan::new(request, Some(learning()), &RATES);
            plan.unwrap_err().to_string()
        };
        let samples = refused(request(Some(100_000), Some(60.0)));
        assert!(
            samples.contains("100000 samples take about 101 s"),
            "{samples}"
        );
        let learning = refused(request(Some(64), Some(0.5)));
        assert!(learning.contains("50 training steps 0.1 s"), "{learning}");
    }

    #[test]
    fn a_plan_is_found_again_by_its_request_only() {
        let path = std::env::temp_dir().join(format!("boltzflow-plan-{}", std::process::id()));
        let asked = request(None, Some(60.0));
        assert_eq!(asked.find(&path).unwrap(), Found::Nothing);
        let plan = Plan::new(asked.clone(), Some(learning()), &RATES).unwrap();
        plan.write(&path).unwrap();
        assert_eq!(asked.find(&path).unwrap(), Found::Same(Box::new(plan)));
        let other = Request { seed: 2, ..asked };
        assert_eq!(
            other.find(&path).unwrap(),
            Found::Other("other --seed".into())
        );
        std::fs::remove_file(path).unwrap();
    }
}
