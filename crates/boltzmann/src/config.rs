//! A complete experiment in one TOML file.

use std::path::{Path, PathBuf};

use boltzflow_flow::ode::{Steps, Tolerance};
use boltzflow_flow::{Divergence, Edges, Schedule, Solver};
use serde::{Deserialize, Serialize};

/// Everything that training a flow is told. Every field is written out: the file alone determines the result.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// The network.
    pub model: ModelConfig,
    /// How its ODE is solved when samples are drawn and densities evaluated.
    pub solver: Solver,
    /// How it is trained.
    pub training: TrainingConfig,
}

/// The field's network.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ModelConfig {
    /// Width of its hidden layers.
    pub width: usize,
    /// Layers of message passing.
    pub layers: usize,
    /// Displacements that each layer before the last makes, every one spread over the molecule in a way of its own, so that what pushes an
    /// atom takes along what hangs on it. 1, for one that is not spread, where the file does not say.
    #[serde(default = "one")]
    pub channels: usize,
    /// Which node features the edges of its layers see: those that the layer before has updated, or the initial ones, for which exact
    /// divergences of deep networks are far cheaper.
    pub edges: Edges,
    /// How fast noise turns into data: 0 for straight lines at constant speed; the stiffer the bonds, the more slowly it should end.
    pub schedule: Schedule,
    /// Which atoms of a molecule it cannot tell apart; the points of a toy are all alike.
    pub alike: Alike,
}

/// The channels of files that do not say how many.
fn one() -> usize {
    1
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

/// Conditional flow matching (Lipman et al. 2023) with minibatch optimal transport (Tong et al. 2024; Klein, Krämer, Noé 2023).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TrainingConfig {
    /// Seed of the initial parameters and of every draw.
    pub seed: u64,
    /// Optimiser steps.
    pub steps: u64,
    /// Pairs of noise and data in each step.
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
    /// How noise and data are paired.
    pub pairing: Pairing,
    /// Fraction of the data held out for validation.
    pub validation: f64,
    /// Steps between validations.
    pub validate_every: u64,
    /// Validations without improvement after which training ends; 0 for never.
    pub patience: u64,
    /// Steps between checkpoints.
    pub checkpoint_every: u64,
}

/// How noise and data of a minibatch are paired.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Pairing {
    /// As drawn.
    Independent,
    /// Each datum is turned, and its like points relabelled, to lie nearest to its noise.
    Aligned,
    /// The batch is assigned as a whole, after alignment.
    OptimalTransport,
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
    /// Adaptive steps with a method that does not estimate its error.
    #[error(
        "solver.method is {method:?}, which does not estimate the error that adaptive steps need; use \"bosh3\", \"dopri5\" or \"tsit5\", or fixed steps"
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
        let whole = [
            ("model.width", self.model.width as f64, 4096.0),
            ("model.layers", self.model.layers as f64, 64.0),
            ("model.channels", self.model.channels as f64, 64.0),
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
        ];
        for (name, found, most) in whole {
            within(name, found, 1.0, most, WHOLE)?;
        }
        check_solver(&self.solver)?;
        within(
            "model.schedule",
            self.model.schedule.rate,
            0.0,
            20.0,
            "between 0 and 20",
        )?;
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

const WHOLE: &str = "a whole number of at least 1, and not absurdly large";

/// Checks what a solver is told.
pub(crate) fn check_solver(solver: &Solver) -> Result<(), ConfigError> {
    const MOST: f64 = 1e6;
    match solver.steps {
        Steps::Fixed { count } => {
            within("solver.steps.fixed.count", count as f64, 1.0, MOST, WHOLE)?;
        }
        Steps::Adaptive {
            tolerance: Tolerance { absolute, relative },
            limit,
        } => {
            let (tiny, large) = (f64::MIN_POSITIVE, f64::MAX);
            within(
                "solver.steps.adaptive.tolerance.absolute",
                absolute,
                tiny,
                large,
                "above 0 and finite, such as 1e-5",
            )?;
            within(
                "solver.steps.adaptive.tolerance.relative",
                relative,
                0.0,
                large,
                "at least 0 and finite, such as 1e-5",
            )?;
            within(
                "solver.steps.adaptive.limit",
                limit as f64,
                1.0,
                MOST,
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
    match solver.divergence {
        Divergence::Exact => Ok(()),
        Divergence::Hutchinson { probes, .. } => within(
            "solver.divergence.hutchinson.probes",
            probes as f64,
            1.0,
            4096.0,
            WHOLE,
        ),
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

#[cfg(test)]
mod tests {
    use super::*;

    const SOUND: &str = r#"
[model]
width = 8
layers = 2
schedule = 1.0
edges = "initial"
alike = "attached"

[solver]
method = "rk4"
divergence = "exact"
steps = { fixed = { count = 4 } }

[training]
seed = 1
steps = 10
batch = 16
learning_rate = 1e-3
warm_up = 2
weight_decay = 1e-4
clip = 1.0
average = 0.9
pairing = "aligned"
validation = 0.1
validate_every = 5
patience = 3
checkpoint_every = 5
"#;

    const FIXED: &str = "{ fixed = { count = 4 } }";

    fn checked(text: &str) -> Result<(), ConfigError> {
        toml::from_str::<Config>(text).unwrap().check()
    }

    fn refusal(from: &str, to: &str) -> String {
        assert_eq!(SOUND.matches(from).count(), 1, "{from}");
        checked(&SOUND.replace(from, to)).unwrap_err().to_string()
    }

    fn adaptive(absolute: &str, relative: &str, limit: usize) -> String {
        format!(
            "{{ adaptive = {{ tolerance = {{ absolute = {absolute}, relative = {relative} }}, limit = {limit} }} }}"
        )
    }

    #[test]
    fn a_solver_that_cannot_solve_is_refused() {
        let found = refusal("count = 4", "count = 0");
        assert!(found.starts_with("solver.steps.fixed.count is 0, but must be a whole number"));
        for (absolute, relative, name, value) in [
            ("nan", "1e-5", "absolute", "NaN"),
            ("0.0", "1e-5", "absolute", "0"),
            ("-1e-3", "1e-5", "absolute", "-0.001"),
            ("inf", "1e-5", "absolute", "inf"),
            ("1e-5", "nan", "relative", "NaN"),
            ("1e-5", "-1.0", "relative", "-1"),
        ] {
            let found = refusal(FIXED, &adaptive(absolute, relative, 100));
            let expected =
                format!("solver.steps.adaptive.tolerance.{name} is {value}, but must be");
            assert!(found.starts_with(&expected), "{found}");
        }
        let found = refusal(FIXED, &adaptive("1e-5", "1e-5", 0));
        assert!(found.starts_with("solver.steps.adaptive.limit is 0"));
        let hutchinson = r#"{ hutchinson = { probes = 0, noise = "rademacher" } }"#;
        let found = refusal(r#""exact""#, hutchinson);
        assert!(found.starts_with("solver.divergence.hutchinson.probes is 0"));
    }

    #[test]
    fn adaptive_steps_need_a_method_that_estimates_its_error() {
        let text = SOUND.replace(FIXED, &adaptive("1e-5", "0.0", 100));
        for method in ["euler", "midpoint", "rk4"] {
            let found = checked(&text.replace("rk4", method)).unwrap_err();
            let expected = format!("solver.method is {method:?}, which does not estimate");
            assert!(found.to_string().starts_with(&expected), "{found}");
        }
        for method in ["bosh3", "dopri5", "tsit5"] {
            checked(&text.replace("rk4", method)).unwrap();
        }
    }

    #[test]
    fn no_number_of_a_config_may_be_nan() {
        checked(SOUND).unwrap();
        for (from, name) in [
            ("schedule = 1.0", "model.schedule"),
            ("learning_rate = 1e-3", "training.learning_rate"),
            ("weight_decay = 1e-4", "training.weight_decay"),
            ("clip = 1.0", "training.clip"),
            ("average = 0.9", "training.average"),
            ("validation = 0.1", "training.validation"),
        ] {
            let key = from.split_once(' ').unwrap().0;
            let found = refusal(from, &format!("{key} = nan"));
            assert!(found.starts_with(&format!("{name} is NaN")), "{found}");
        }
    }

    #[test]
    fn patience_needs_data_held_out() {
        let found = refusal("validation = 0.1", "validation = 0.0");
        assert!(found.starts_with("training.patience is 3, but must be 0 where"));
        let idle = SOUND.replace("patience = 3", "patience = 0");
        checked(&idle.replace("validation = 0.1", "validation = 0.0")).unwrap();
    }
}
