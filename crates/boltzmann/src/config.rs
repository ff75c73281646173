//! A complete experiment in one TOML file.

mod augmented;
mod fab;
mod field;
mod fit;
mod improvement;
mod internal;
mod network;
mod objective;
#[cfg(test)]
mod tests;

use std::path::{Path, PathBuf};

use boltzflow_flow::ode::{Steps, Tolerance};
use boltzflow_flow::{Divergence, Schedule, Solver};
use serde::{Deserialize, Serialize};

use crate::temperatures::Temperatures;
pub use augmented::AugmentedConfig;
pub use fab::FabConfig;
pub use field::FieldConfig;
pub use fit::{Dependence, FitConfig, FittedConfig};
pub use improvement::Improvement;
pub use internal::{Between, InternalConfig, Rotors, Scheme, Stiffness};
pub use network::Network;
use objective::is_default;
pub use objective::{Objective, Pairing};

/// Everything that training a flow is told. Every field is written out: the file alone determines the result.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "fit::Sections", into = "fit::Sections")]
pub struct Config {
    /// The flow.
    pub model: ModelConfig,
    /// How it is trained; where it is fitted, in a file the section `[fit]`.
    pub training: TrainingConfig,
}

/// The flow, by what it moves.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum ModelConfig {
    /// Positions.
    Cartesian(CartesianConfig),
    /// Positions, and an auxiliary point for each.
    Augmented(AugmentedConfig),
    /// Bond lengths, angles and dihedrals.
    Internal(InternalConfig),
    /// The same, with distributions that are fitted in closed form.
    Fitted(FittedConfig),
}

impl ModelConfig {
    /// Which atoms are alike to the flow: internal coordinates are of labelled atoms.
    pub fn alike(&self) -> Alike {
        match self {
            Self::Cartesian(cartesian) => cartesian.alike,
            Self::Augmented(augmented) => augmented.alike,
            Self::Internal(_) | Self::Fitted(_) => Alike::None,
        }
    }

    /// How its ODE is solved, where it has one.
    pub fn solver(&self) -> Option<Solver> {
        match self {
            Self::Cartesian(cartesian) => Some(cartesian.solver),
            Self::Augmented(_) | Self::Internal(_) | Self::Fitted(_) => None,
        }
    }

    /// The temperatures that it is for if the system's is this.
    pub fn temperatures(&self, system: f64) -> Temperatures {
        match self {
            Self::Cartesian(_) | Self::Augmented(_) | Self::Fitted(_) => {
                Temperatures::new(system, 1.0)
            }
            Self::Internal(internal) => Temperatures::new(system, internal.hottest),
        }
    }
}

/// A continuous flow of positions along an equivariant field.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CartesianConfig {
    /// The field.
    pub field: FieldConfig,
    /// What noise is like.
    pub noise: Covariance,
    /// How fast noise turns into data: 0 for straight lines at constant speed; the stiffer the bonds, the more slowly it should end.
    pub schedule: Schedule,
    /// Which atoms of a molecule it cannot tell apart; the points of a toy are all alike.
    pub alike: Alike,
    /// How its ODE is solved when samples are drawn and densities evaluated.
    pub solver: Solver,
}

/// How the noise of different points is correlated.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Covariance {
    /// As the data, so that squared distances have the same means.
    Data,
    /// As if springs along the bonds held it together, all as stiff as makes the data likeliest, see [`crate::harmonic_mixing`].
    Harmonic,
}

/// Which atoms of a molecule are alike to the network. Relabellings that exchange only these are symmetries of the flow.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Alike {
    /// Those that an automorphism of the bond graph exchanges.
    Symmetric,
    /// Hydrogens of one atom.
    Attached,
    /// None.
    None,
}

/// How a flow is trained.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TrainingConfig {
    /// What is made small.
    pub objective: Objective,
    /// Seed of the initial parameters and of every draw.
    pub seed: u64,
    /// Optimiser steps.
    pub steps: u64,
    /// Configurations in each step.
    pub batch: usize,
    /// Largest learning rate.
    pub learning_rate: f64,
    /// Steps of linear warm-up; after it the rate falls as a cosine to a hundredth.
    pub warm_up: u64,
    /// Decoupled weight decay (Loshchilov and Hutter 2019).
    pub weight_decay: f64,
    /// The gradient's norm is clipped to this.
    pub clip: f64,
    /// Decay of the exponential moving average of the parameters, which is what samples are drawn from.
    pub average: f64,
    /// Whether even noise of one quantum is added to coordinates from files of few decimals (PDB, GRO, XTC).
    pub dequantize: bool,
    /// A torsion's well that holds less than this part of the data is drawn as if it held as much, up to ten times as often as it is there, if it
    /// has a hundred configurations: for likelihoods, so that a flow proposes rare rotamers rather more than less often than they are. 0 for the
    /// data as they are.
    pub rarest: f64,
    /// The share of frames of hotter replicas in what a flow of one temperature learns from: a defensive mixture (Hesterberg 1995). Where the target is rare
    /// and the hotter ensemble is not, samples come more often than the target has them, with small weights in place of large ones. 0, or nothing, for the target's own frames alone.
    #[serde(default, skip_serializing_if = "is_default")]
    pub hotter: f64,
    /// Fraction of the data held out for validation.
    pub validation: f64,
    /// Steps between validations.
    pub validate_every: u64,
    /// Validations without improvement after which training ends; 0 for never.
    pub patience: u64,
    /// Steps between checkpoints.
    pub checkpoint_every: u64,
}

/// Why a config is refused.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// It cannot be read.
    #[error("cannot read the config {path:?}: {source}")]
    Read {
        /// Which file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// It is no config.
    #[error("the config {path:?} is not valid: {source}")]
    Parse {
        /// Which file.
        path: PathBuf,
        /// What and where.
        source: Box<toml::de::Error>,
    },
    /// A value is out of its range.
    #[error("{name} is {found}, but must be {range}")]
    Range {
        /// Which value.
        name: &'static str,
        /// What was found.
        found: f64,
        /// What may be.
        range: &'static str,
    },
    /// Linear maps where they cannot be.
    #[error(
        "model.internal.between = \"linear\" mixes lines between couplings: it goes with map = \"affine\" or \"additive\" and scheme = \"coupling\""
    )]
    Linear,
    /// Likelihood alone, without likelihood.
    #[error(
        "training.objective.energy.start is {found} steps of the likelihood alone, but training.objective.energy.likelihood is 0; give one of them another value"
    )]
    Start {
        /// How many steps.
        found: u64,
    },
    /// Pairs of a flow's own and weighted samples of another.
    #[error(
        "training.objective.flow_matching.improvement goes with another pairing than reflow, which learns from pairs of the flow that training starts from; leave out one of them"
    )]
    ReflowOfOthers,
    /// Weights of estimated densities.
    #[error(
        "training.objective.flow_matching.improvement weighs samples by their densities, which noise of an estimate biases; set model.cartesian.solver.divergence = \"exact\""
    )]
    EstimatedDensities,
    /// Hotter frames where they mean nothing, or something else.
    #[error("training.hotter is {share}, but {why}; leave it out")]
    Hotter {
        /// The share.
        share: f64,
        /// What is learnt.
        why: &'static str,
    },
    /// Cooling of what is learnt at all temperatures.
    #[error(
        "training.objective.energy.hottest is {found}, but a flow of a range of temperatures (model.internal.hottest = {range}) learns all of them from the start; set training.objective.energy.hottest = 1.0"
    )]
    Cooling {
        /// That of the objective.
        found: f64,
        /// That of the flow.
        range: f64,
    },
    /// Annealing at one temperature of what is for many.
    #[error(
        "training.objective.fab anneals samples at one temperature, but model.internal.hottest is {found}; set model.internal.hottest = 1.0"
    )]
    AnnealingOfMany {
        /// That of the flow.
        found: f64,
    },
    /// A network of labelled coordinates where these are mixed or put in order.
    #[error("model.internal.network.attention goes with model.internal.{name} = {value}: {reason}")]
    Attention {
        /// Of which value.
        name: &'static str,
        /// What it has to be.
        value: &'static str,
        /// Why.
        reason: &'static str,
    },
    /// Heads that do not share a width evenly.
    #[error("{name}.width is {width}, but must be a multiple of its {heads} heads")]
    Heads {
        /// Of which network.
        name: &'static str,
        /// The width.
        width: usize,
        /// How many heads.
        heads: usize,
    },
    /// A map that a coupling of displacements has not.
    #[error("model.augmented.coupling = \"{coupling}\" goes with model.augmented.map = {maps}")]
    Coupling {
        /// Which coupling.
        coupling: &'static str,
        /// What its map may be.
        maps: &'static str,
    },
    /// A pool of samples of a flow that has none.
    #[error(
        "training.objective.energy.pool is {found}, but a flow of model.augmented keeps no samples of its last steps; set training.objective.energy.pool = 0.0"
    )]
    Pool {
        /// What was found.
        found: f64,
    },
    /// An objective that this flow is not trained by.
    #[error("a flow of model.{model} is trained by training.objective = {objective}")]
    Objective {
        /// The flow.
        model: &'static str,
        /// What it is trained by.
        objective: &'static str,
    },
    /// A flow that is trained in other ways than the config says.
    #[error(
        "a config has either the sections [model.fitted] and [fit], or another [model] and [training]"
    )]
    Sections,
    /// Adaptive steps with a method that does not estimate its error.
    #[error(
        "model.cartesian.solver.method is {method:?}, which does not estimate the error that adaptive steps need; use \"bosh3\", \"dopri5\" or \"tsit5\", or fixed steps"
    )]
    NoEstimate {
        /// The method.
        method: &'static str,
    },
}

impl Config {
    /// Reads and checks a file.
    pub fn read(path: &Path) -> Result<Self, ConfigError> {
        let text = std::fs::read_to_string(path).map_err(|source| ConfigError::Read {
            path: path.into(),
            source,
        })?;
        let config: Self = toml::from_str(&text).map_err(|source| ConfigError::Parse {
            path: path.into(),
            source: Box::new(source),
        })?;
        config.check()?;
        Ok(config)
    }

    /// Checks every range.
    pub fn check(&self) -> Result<(), ConfigError> {
        let training = &self.training;
        let share = training.hotter;
        if share > 0.0 && self.model.temperatures(1.0).are_many() {
            let why = "a flow of a range of temperatures learns frames as of their own";
            return Err(ConfigError::Hotter { share, why });
        }
        if share > 0.0 && !training.objective.needs_data() {
            let why = "the objective learns nothing from frames";
            return Err(ConfigError::Hotter { share, why });
        }
        match &self.model {
            ModelConfig::Cartesian(cartesian) => cartesian.check()?,
            ModelConfig::Augmented(augmented) => augmented.check()?,
            ModelConfig::Internal(internal) => internal.check()?,
            ModelConfig::Fitted(fitted) => fitted.check()?,
        }
        match (&self.model, training.objective) {
            (ModelConfig::Internal(_) | ModelConfig::Augmented(_), Objective::Likelihood) => {}
            (ModelConfig::Cartesian(cartesian), Objective::FlowMatching { improvement, .. }) => {
                training.objective.check()?;
                if improvement.is_some() && cartesian.solver.divergence != Divergence::Exact {
                    return Err(ConfigError::EstimatedDensities);
                }
            }
            (ModelConfig::Cartesian(_), Objective::LikelihoodThroughSolve { .. }) => {
                training.objective.check()?;
            }
            (ModelConfig::Internal(internal), Objective::Energy { hottest, .. }) => {
                training.objective.check()?;
                if internal.hottest > 1.0 && hottest > 1.0 {
                    return Err(ConfigError::Cooling {
                        found: hottest,
                        range: internal.hottest,
                    });
                }
            }
            (ModelConfig::Internal(internal), Objective::Fab(_)) => {
                training.objective.check()?;
                if internal.hottest > 1.0 {
                    return Err(ConfigError::AnnealingOfMany {
                        found: internal.hottest,
                    });
                }
            }
            (ModelConfig::Augmented(_), Objective::Fab(_)) => training.objective.check()?,
            (ModelConfig::Augmented(_), Objective::Energy { pool, .. }) => {
                training.objective.check()?;
                if pool > 0.0 {
                    return Err(ConfigError::Pool { found: pool });
                }
            }
            (ModelConfig::Fitted(_), Objective::Fit { pseudo_count }) => {
                return fit::check(training, pseudo_count);
            }
            (ModelConfig::Fitted(_), _) | (_, Objective::Fit { .. }) => {
                return Err(ConfigError::Sections);
            }
            (
                ModelConfig::Cartesian(_),
                Objective::Likelihood | Objective::Energy { .. } | Objective::Fab(_),
            ) => {
                return Err(ConfigError::Objective {
                    model: "cartesian",
                    objective: "{ flow_matching = { pairing = \"aligned\" } } or { likelihood_through_solve = { steps = 8, divergence = { hutchinson = { probes = 1, noise = \"rademacher\" } } } }",
                });
            }
            (
                model @ (ModelConfig::Internal(_) | ModelConfig::Augmented(_)),
                Objective::FlowMatching { .. } | Objective::LikelihoodThroughSolve { .. },
            ) => {
                return Err(ConfigError::Objective {
                    model: match model {
                        ModelConfig::Augmented(_) => "augmented",
                        _ => "internal",
                    },
                    objective: "\"likelihood\" or { energy = { likelihood = 0.1, own = 0.0, pool = 0.0, threshold = 100.0, steepest = 100.0, hottest = 1.0, cooling = 0 } } or { fab = { between = 8, leapfrog = 4, least = 4096, most = 32768, updates = 8, correction = 10.0, threshold = 100.0 } }",
                });
            }
        }
        for (name, found, most) in [
            ("training.batch", training.batch as f64, 65_536.0),
            ("training.steps", training.steps as f64, 1e12),
            (
                "training.validate_every",
                training.validate_every as f64,
                1e12,
            ),
            (
                "training.checkpoint_every",
                training.checkpoint_every as f64,
                1e12,
            ),
        ] {
            within(name, found, 1.0, most, WHOLE)?;
        }
        let tiny = f64::MIN_POSITIVE;
        within(
            "training.learning_rate",
            training.learning_rate,
            tiny,
            1.0,
            "above 0 and at most 1",
        )?;
        within(
            "training.weight_decay",
            training.weight_decay,
            0.0,
            1.0,
            "between 0 and 1",
        )?;
        within(
            "training.clip",
            training.clip,
            tiny,
            f64::MAX,
            "above 0 and finite",
        )?;
        within(
            "training.average",
            training.average,
            0.0,
            1.0 - 1e-12,
            "at least 0 and below 1",
        )?;
        within(
            "training.rarest",
            training.rarest,
            0.0,
            0.5,
            "between 0 and 0.5",
        )?;
        within(
            "training.hotter",
            training.hotter,
            0.0,
            0.5,
            "between 0 and 0.5",
        )?;
        within(
            "training.validation",
            training.validation,
            0.0,
            0.5,
            "between 0 and 0.5",
        )?;
        if training.validation > 0.0 {
            return Ok(());
        }
        within(
            "training.patience",
            training.patience as f64,
            0.0,
            0.0,
            "0 where training.validation is 0: without data held out no loss can stop improving",
        )
    }
}

impl CartesianConfig {
    fn check(&self) -> Result<(), ConfigError> {
        self.field.check()?;
        within(
            "model.cartesian.schedule",
            self.schedule.rate,
            0.0,
            20.0,
            "between 0 and 20",
        )?;
        check_solver(&self.solver)
    }
}

/// Steps of a path.
const MOST_STEPS: f64 = 1e6;
const WHOLE: &str = "a whole number of at least 1, and not absurdly large";

/// Checks what a solver is told.
pub(crate) fn check_solver(solver: &Solver) -> Result<(), ConfigError> {
    match solver.steps {
        Steps::Fixed { count } => {
            within(
                "model.cartesian.solver.steps.fixed.count",
                count as f64,
                1.0,
                MOST_STEPS,
                WHOLE,
            )?;
        }
        Steps::Adaptive {
            tolerance: Tolerance { absolute, relative },
            limit,
        } => {
            let (tiny, large) = (f64::MIN_POSITIVE, f64::MAX);
            within(
                "model.cartesian.solver.steps.adaptive.tolerance.absolute",
                absolute,
                tiny,
                large,
                "above 0 and finite, such as 1e-5",
            )?;
            within(
                "model.cartesian.solver.steps.adaptive.tolerance.relative",
                relative,
                0.0,
                large,
                "at least 0 and finite, such as 1e-5",
            )?;
            within(
                "model.cartesian.solver.steps.adaptive.limit",
                limit as f64,
                1.0,
                MOST_STEPS,
                WHOLE,
            )?;
            let tableau = solver.method.tableau();
            if tableau.error.is_none() {
                return Err(ConfigError::NoEstimate {
                    method: tableau.name,
                });
            }
        }
    }
    check_divergence(
        "model.cartesian.solver.divergence.hutchinson.probes",
        solver.divergence,
    )
}

/// Checks how divergences are evaluated; `name` is that of the number of probes.
fn check_divergence(name: &'static str, divergence: Divergence) -> Result<(), ConfigError> {
    match divergence {
        Divergence::Exact => Ok(()),
        Divergence::Hutchinson { probes, .. } => within(name, probes as f64, 1.0, 4096.0, WHOLE),
    }
}

fn within(
    name: &'static str,
    found: f64,
    least: f64,
    most: f64,
    range: &'static str,
) -> Result<(), ConfigError> {
    // A NaN is in no range.
    if found >= least && found <= most {
        Ok(())
    } else {
        Err(ConfigError::Range { name, found, range })
    }
}
