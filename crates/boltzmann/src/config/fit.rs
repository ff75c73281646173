//! What fitting a distribution in closed form is told.

use serde::{Deserialize, Serialize};

use super::{Config, ConfigError, ModelConfig, Objective, Rotors, TrainingConfig, WHOLE, within};

/// Distributions of single internal coordinates, and how these depend on one another: what flows that are trained have to beat.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FittedConfig {
    /// How coordinates depend on one another.
    pub dependence: Dependence,
    /// Bins of each coordinate's histogram, which are evenly wide; the density is continuous between them. With 32 a bin of a torsion is 11° wide,
    /// one of a stiff coordinate about a third of a standard deviation: of 16, 32, 64 and 128 this is best for frames held out of 8000 of butane.
    pub bins: usize,
    /// See [`crate::InternalConfig::rotors`].
    pub rotors: Rotors,
    /// Stiff coordinates lie between bounds: the least and greatest value in the data, moved apart by this part of their distance on each side.
    pub margin: f64,
}

/// How internal coordinates depend on one another.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Dependence {
    /// Not at all.
    Independent,
    /// As the coordinates of a normal distribution do: a Gaussian copula (Sklar 1959), whose correlations are those of normal scores. Torsions
    /// are cut where few configurations are.
    Copula,
}

/// How a distribution is fitted.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FitConfig {
    /// So many configurations of independent coordinates, normal for stiff ones and even for torsions, are added to the data: no bin is empty,
    /// and no correlation one. (Splines have bins no narrower than a five-hundredth of an even one, whatever is in them.)
    pub pseudo_count: f64,
    /// See [`TrainingConfig::rarest`].
    pub rarest: f64,
    /// See [`TrainingConfig::validation`].
    pub validation: f64,
    /// See [`TrainingConfig::dequantize`].
    pub dequantize: bool,
    /// Seed of that noise.
    pub seed: u64,
}

/// A config as it stands in a file: either section has no field that is not used.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Sections {
    model: ModelConfig,
    #[serde(skip_serializing_if = "Option::is_none")]
    training: Option<TrainingConfig>,
    #[serde(skip_serializing_if = "Option::is_none")]
    fit: Option<FitConfig>,
}

impl TryFrom<Sections> for Config {
    type Error = ConfigError;

    fn try_from(read: Sections) -> Result<Self, ConfigError> {
        let is_fitted = matches!(read.model, ModelConfig::Fitted(_));
        let training = match (read.training, read.fit) {
            (Some(training), None) if !is_fitted => training,
            (None, Some(fit)) if is_fitted => fit.into(),
            _ => return Err(ConfigError::Sections),
        };
        Ok(Self {
            model: read.model,
            training,
        })
    }
}

impl From<Config> for Sections {
    fn from(config: Config) -> Self {
        let Config { model, training } = config;
        let (training, fit) = match training.objective {
            Objective::Fit { pseudo_count } => (None, Some(fit_of(&training, pseudo_count))),
            _ => (Some(training), None),
        };
        Self {
            model,
            training,
            fit,
        }
    }
}

/// One step, to which batches, learning rates and averages are nothing.
impl From<FitConfig> for TrainingConfig {
    fn from(fit: FitConfig) -> Self {
        Self {
            objective: Objective::Fit {
                pseudo_count: fit.pseudo_count,
            },
            seed: fit.seed,
            steps: 1,
            batch: 1,
            learning_rate: 1.0,
            warm_up: 0,
            weight_decay: 0.0,
            clip: 1.0,
            average: 0.0,
            dequantize: fit.dequantize,
            rarest: fit.rarest,
            hotter: 0.0,
            validation: fit.validation,
            validate_every: 1,
            patience: 0,
            checkpoint_every: 1,
        }
    }
}

fn fit_of(training: &TrainingConfig, pseudo_count: f64) -> FitConfig {
    FitConfig {
        pseudo_count,
        rarest: training.rarest,
        validation: training.validation,
        dequantize: training.dequantize,
        seed: training.seed,
    }
}

impl FittedConfig {
    pub(super) fn check(&self) -> Result<(), ConfigError> {
        within("model.fitted.bins", self.bins as f64, 1.0, 256.0, WHOLE)?;
        within(
            "model.fitted.margin",
            self.margin,
            0.0,
            10.0,
            "between 0 and 10; half a range on each side is .5",
        )
    }
}

/// Checks what a fit is told.
pub(super) fn check(training: &TrainingConfig, pseudo_count: f64) -> Result<(), ConfigError> {
    within(
        "fit.pseudo_count",
        pseudo_count,
        1e-3,
        1e6,
        "between a thousandth and a million; 10 is usual",
    )?;
    let part = "between 0 and 0.5";
    within("fit.rarest", training.rarest, 0.0, 0.5, part)?;
    within("fit.validation", training.validation, 0.0, 0.5, part)
}
