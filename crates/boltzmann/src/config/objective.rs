//! What training makes small.

use boltzflow_flow::{Divergence, Regularization};
use serde::{Deserialize, Serialize};

use super::{ConfigError, FabConfig, Improvement, MOST_STEPS, WHOLE, check_divergence, within};

/// What training makes small.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Objective {
    /// The error of a Cartesian flow's field: conditional flow matching (Lipman et al. 2023) with minibatch optimal transport (Tong et al. 2024;
    /// Klein, Krämer, Noé 2023).
    FlowMatching {
        /// How noise and data are paired.
        pairing: Pairing,
        /// What it learns from samples of its own, if anything.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        improvement: Option<Improvement>,
    },
    /// The negative log-likelihood of the data under a Cartesian flow, differentiated through the solve of its ODE (Grathwohl et al. 2019;
    /// of an equivariant flow Satorras et al. 2021), with the method of the model's solver: what is learnt are the paths themselves, at the price
    /// of a solve a step.
    LikelihoodThroughSolve {
        /// Equal steps of each path in training; the model's solver has its own.
        steps: usize,
        /// How divergences are evaluated in training and validation: estimated, with new random directions in each step, they cost little more
        /// than velocities.
        divergence: Divergence,
        /// What keeps paths within reach of these steps; nothing if not given.
        #[serde(default, skip_serializing_if = "is_default")]
        regularization: Regularization,
    },
    /// The negative log-likelihood of the data under a flow of internal coordinates, or with auxiliary points, which are drawn anew in each step.
    Likelihood,
    /// The reverse Kullback–Leibler divergence of such a flow from the Boltzmann distribution, `E_q[ln q + U/kT]`, by path gradients (Roeder, Wu
    /// and Duvenaud 2017), and the likelihood with it.
    Energy {
        /// What the negative log-likelihood of the data is multiplied with; 0 for the energy alone.
        likelihood: f64,
        /// What the negative log-likelihood of the flow's own samples is multiplied with, each weighted by `e^{−u}/q` among the 64 that are drawn
        /// together, at one temperature: what a flow proposes too rarely has few samples, but these count. 0 for none.
        own: f64,
        /// What the negative log-likelihood of samples of the last steps is multiplied with, one in 16 of which were chosen in proportion to
        /// `e^{−u}/q` and moved by Hamiltonian Monte Carlo: what is around the few samples of a rare well. 0 for none.
        pool: f64,
        /// Reduced energies `u` more than this above that of the minimum next to the start count as `t + ln (1 + u − t)`: in training only, so
        /// that clashes do not drown all else. They are counted.
        threshold: f64,
        /// The slope of one sample's divergence in its standard coordinates is cut to this length, so that one bad geometry does not lead a step;
        /// those cut are counted.
        steepest: f64,
        /// The temperature at the start as a multiple of the system's, to which it falls by the same factor in each step; 1 for a flow of a
        /// range of temperatures, every one of which counts from the start.
        hottest: f64,
        /// Steps of this cooling.
        cooling: u64,
        /// The first steps, in which the likelihood of the data counts alone, as it is: a flow knows its wells, and their tails, before the energy
        /// draws it together. The cooling starts after them, and so does another warm-up, of an optimiser that has forgotten its moments.
        #[serde(default, skip_serializing_if = "is_default")]
        start: u64,
    },
    /// The divergence of α = 2 of a flow of internal coordinates, or with auxiliary points, from the Boltzmann distribution, by samples of its own that are annealed to where
    /// it lacks most: from the energy alone, and no well that a sample has found is lost again.
    Fab(FabConfig),
    /// The same as the likelihood, of a flow for which it has a closed form; in a file the section `[fit]`, see [`FitConfig`].
    #[serde(skip)]
    Fit {
        /// See [`FitConfig::pseudo_count`].
        pseudo_count: f64,
    },
}

impl Objective {
    /// Steps before the energy counts.
    pub fn start(self) -> u64 {
        match self {
            Self::Energy { start, .. } => start,
            _ => 0,
        }
    }

    /// The same with another number of steps before the energy counts, if it ever does.
    pub fn starting_with(mut self, steps: u64) -> Self {
        if let Self::Energy { start, .. } = &mut self {
            *start = steps;
        }
        self
    }

    /// What a flow learns from samples of its own by flow matching, if anything.
    pub fn improvement(self) -> Option<Improvement> {
        match self {
            Self::FlowMatching { improvement, .. } => improvement,
            _ => None,
        }
    }

    /// The same without that: what a step of it takes where no round comes before it.
    pub fn without_improvement(mut self) -> Self {
        if let Self::FlowMatching { improvement, .. } = &mut self {
            *improvement = None;
        }
        self
    }

    /// Whether all that is learnt from is made by the flow that training starts from, which then has to be a trained one.
    pub fn needs_flow(self) -> bool {
        matches!(self, Self::FlowMatching { .. }) && !self.needs_data()
    }

    /// Whether configurations are learnt from.
    pub fn needs_data(self) -> bool {
        match self {
            Self::FlowMatching {
                pairing: Pairing::Reflow { .. },
                ..
            }
            | Self::Fab(_) => false,
            Self::FlowMatching { improvement, .. } => improvement.is_none_or(|own| own.share < 1.0),
            Self::LikelihoodThroughSolve { .. } | Self::Likelihood | Self::Fit { .. } => true,
            Self::Energy { likelihood, .. } => likelihood > 0.0,
        }
    }

    /// Checks every range.
    pub(super) fn check(self) -> Result<(), ConfigError> {
        if let Self::FlowMatching {
            pairing,
            improvement,
        } = self
        {
            return check_matching(pairing, improvement);
        }
        if let Self::Fab(fab) = self {
            return fab.check();
        }
        if let Self::LikelihoodThroughSolve {
            steps,
            divergence,
            regularization: Regularization { kinetic, jacobian },
        } = self
        {
            let range = "at least 0 and at most 1000; .01 is usual";
            for (name, found) in [
                (
                    "training.objective.likelihood_through_solve.regularization.kinetic",
                    kinetic,
                ),
                (
                    "training.objective.likelihood_through_solve.regularization.jacobian",
                    jacobian,
                ),
            ] {
                within(name, found, 0.0, 1e3, range)?;
            }
            within(
                "training.objective.likelihood_through_solve.steps",
                steps as f64,
                1.0,
                MOST_STEPS,
                WHOLE,
            )?;
            return check_divergence(
                "training.objective.likelihood_through_solve.divergence.hutchinson.probes",
                divergence,
            );
        }
        let Self::Energy {
            likelihood,
            own,
            pool,
            threshold,
            steepest,
            hottest,
            cooling: _,
            start,
        } = self
        else {
            return Ok(());
        };
        if start > 0 && likelihood == 0.0 {
            return Err(ConfigError::Start { found: start });
        }
        let weight = "at least 0 and finite";
        for (name, found, least, most, range) in [
            (
                "training.objective.energy.likelihood",
                likelihood,
                0.0,
                1e6,
                weight,
            ),
            ("training.objective.energy.own", own, 0.0, 1e6, weight),
            ("training.objective.energy.pool", pool, 0.0, 1e6, weight),
            (
                "training.objective.energy.threshold",
                threshold,
                1.0,
                1e6,
                "at least 1 kT; a hundred is usual",
            ),
            (
                "training.objective.energy.steepest",
                steepest,
                1e-3,
                1e12,
                "above 0; a hundred is usual",
            ),
            (
                "training.objective.energy.hottest",
                hottest,
                1.0,
                1000.0,
                "between 1 and 1000",
            ),
        ] {
            within(name, found, least, most, range)?;
        }
        Ok(())
    }
}

fn check_matching(pairing: Pairing, improvement: Option<Improvement>) -> Result<(), ConfigError> {
    if let Pairing::Reflow { pairs } = pairing {
        if improvement.is_some() {
            return Err(ConfigError::ReflowOfOthers);
        }
        return within(
            "training.objective.flow_matching.pairing.reflow.pairs",
            pairs as f64,
            2.0,
            1e8,
            "at least 2 and at most a hundred million; some ten thousand are usual",
        );
    }
    improvement.map_or(Ok(()), Improvement::check)
}

/// Whether it is what a file without it says.
pub(super) fn is_default<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
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
    /// Each noise with where the flow that training starts from carries it, along its own paths: learnt as straight lines, they become
    /// straighter, so that fewer steps lead along them (rectified flow, Liu, Gong, Liu 2023). What is learnt is that flow's distribution, and no
    /// data. It is positions that need fewer steps, not densities: where a straight flow narrows by a factor `λ`, its divergence is
    /// `(λ − 1)/(1 + t (λ − 1))`, the steeper at one end the straighter the path.
    Reflow {
        /// How many pairs are made, with the model's solver, before the first step.
        pairs: usize,
    },
}
