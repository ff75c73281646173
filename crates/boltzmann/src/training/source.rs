//! What a training learns from, by objective.

use boltzflow_flow::Solver;
use boltzflow_flow::ode::Steps;
use rand_chacha::ChaCha8Rng;

use super::energy::{Boltzmann, Cooling, Limits, Own};
use super::fab::Fab;
use super::fit::Fit;
use super::learnt::Learnt;
use super::likelihood::{self, Likelihood, Rows};
use super::matching::Matching;
use super::pool::Pool;
use super::reflow::Pairs;
use super::rounds::Rounds;
use super::through_solve::{Paths, ThroughSolve};
use super::{Effort, Losses, TrainingError, VALIDATION_SAMPLES, held_out};
use crate::config::{Objective, Pairing, TrainingConfig};
use crate::model::{Flow, FlowArchitecture, InternalFlow, Model};
use crate::system::System;
use crate::temperatures::TrainingData;

/// Pairs of each validation of flow matching.
const VALIDATION_PAIRS: usize = 512;
/// One sample of the pool is drawn for so many of a step: four times as many as join, or a flow would learn a few by heart.
const POOL_PART: usize = 4;

/// What is learnt from, by objective.
pub enum Source<'a> {
    Matching(Matching<'a>),
    ThroughSolve(ThroughSolve),
    Likelihood(Learnt),
    Fit(Fit),
    Energy {
        boltzmann: Boltzmann<'a>,
        /// Steps before it counts.
        start: u64,
        /// Configurations, and what their negative log-likelihood is multiplied with.
        data: Option<(Learnt, f64)>,
    },
    Fab(Fab<'a>),
}

impl<'a> Source<'a> {
    /// Of a model that is at the system's temperature, where it knows it.
    ///
    /// # Panics
    /// If the objective is none of the model's: [`crate::Config::check`] refuses that.
    pub fn new(
        model: &Model,
        config: &TrainingConfig,
        data: &TrainingData,
        system: &'a System,
    ) -> Result<Self, TrainingError> {
        let first_held_out = held_out(data.len(), config).start;
        let often = || likelihood::how_often(data, &system.torsions(), config.rarest);
        let parts = (model.flow(), &model.architecture().flow, config.objective);
        Ok(match parts {
            (
                Flow::Cartesian(flow),
                _,
                Objective::FlowMatching {
                    pairing: Pairing::Reflow { pairs },
                    ..
                },
            ) => {
                let size = model.points() * model.dims();
                let made = Pairs::new(flow, size, pairs, config.seed)?;
                let first_held_out = |count| held_out(count, config).start;
                let matching = Matching::reflow(made, model, first_held_out);
                if matching.counts()[0] == 0 {
                    return Err(TrainingError::NoPairs { count: pairs });
                }
                Self::Matching(matching)
            }
            (
                Flow::Cartesian(_),
                FlowArchitecture::Cartesian(parts),
                Objective::FlowMatching {
                    pairing,
                    improvement,
                },
            ) => {
                let rounds = improvement.map(|told| Rounds {
                    system,
                    told,
                    seed: config.seed,
                });
                let reflections = system.reflections(model.architecture().mirror());
                let alike = (system.symmetry(parts.model.alike), reflections);
                let scale = parts.scale;
                let matching = Matching::new(data, scale, first_held_out, pairing, alike);
                Self::Matching(matching.with_rounds(rounds))
            }
            (
                Flow::Cartesian(_),
                FlowArchitecture::Cartesian(parts),
                Objective::LikelihoodThroughSolve {
                    steps,
                    divergence,
                    regularization,
                },
            ) => {
                let validated = Solver {
                    divergence,
                    ..parts.model.solver
                };
                let paths = Paths {
                    learnt: Solver {
                        steps: Steps::Fixed { count: steps },
                        ..validated
                    },
                    validated,
                    regularization,
                };
                let often = often();
                Self::ThroughSolve(ThroughSolve::new(data, &often, first_held_out, paths))
            }
            (Flow::Internal(_) | Flow::Augmented(_), _, Objective::Likelihood) => {
                Self::Likelihood(Learnt::new(model, data, &often(), first_held_out)?)
            }
            (
                Flow::Internal(flow),
                FlowArchitecture::Fitted(parts),
                Objective::Fit { pseudo_count },
            ) => {
                let (parts, rows) = ((parts, pseudo_count), Rows::new(flow, data)?);
                Self::Fit(Fit::new(parts, &rows, &often(), first_held_out)?)
            }
            (
                Flow::Internal(_) | Flow::Augmented(_),
                _,
                Objective::Energy {
                    likelihood,
                    own,
                    pool,
                    threshold,
                    steepest,
                    hottest,
                    cooling,
                    start,
                },
            ) => {
                let limits = Limits {
                    threshold,
                    steepest,
                };
                let cooling = Cooling {
                    hottest,
                    steps: cooling,
                };
                let data = if likelihood > 0.0 {
                    let data = Learnt::new(model, data, &often(), first_held_out)?;
                    Some((data, likelihood))
                } else {
                    None
                };
                let own = Own { fresh: own, pool };
                let boltzmann = Boltzmann::new(system, own, limits, cooling)?;
                Self::Energy {
                    boltzmann,
                    start,
                    data,
                }
            }
            (Flow::Internal(_) | Flow::Augmented(_), _, Objective::Fab(told)) => {
                let none = Own {
                    fresh: 0.0,
                    pool: 0.0,
                };
                let limits = Limits {
                    threshold: told.threshold,
                    steepest: f64::MAX,
                };
                let cooling = Cooling {
                    hottest: 1.0,
                    steps: 0,
                };
                let boltzmann = Boltzmann::new(system, none, limits, cooling)?;
                let seed = config.seed;
                Self::Fab(Fab {
                    told,
                    boltzmann,
                    seed,
                })
            }
            _ => panic!("a checked config has the objective of its model"),
        })
    }

    /// The target of what is learnt along the energy.
    pub fn boltzmann(&self) -> Option<&Boltzmann<'a>> {
        match self {
            Self::Energy { boltzmann, .. } | Self::Fab(Fab { boltzmann, .. }) => Some(boltzmann),
            _ => None,
        }
    }

    /// Energies with their gradients that were evaluated to make it.
    pub fn prepared(&self) -> u64 {
        self.boltzmann()
            .map_or(0, |boltzmann| boltzmann.evaluations as u64)
    }

    /// Configurations for training and held out.
    pub fn counts(&self) -> [usize; 2] {
        match self {
            Self::Matching(matching) => matching.counts(),
            Self::ThroughSolve(through_solve) => through_solve.counts(),
            Self::Fit(Fit { data, .. }) => data.counts(),
            Self::Likelihood(data)
            | Self::Energy {
                data: Some((data, _)),
                ..
            } => data.counts(),
            Self::Energy { data: None, .. } | Self::Fab(_) => [0; 2],
        }
    }

    /// The data whose likelihood counts, where a flow has bounds.
    pub fn located(&self) -> Option<&Likelihood> {
        match self {
            Self::Fit(Fit { data, .. })
            | Self::Likelihood(Learnt::Located(data))
            | Self::Energy {
                data: Some((Learnt::Located(data), _)),
                ..
            } => Some(data),
            Self::Matching(_)
            | Self::ThroughSolve(_)
            | Self::Likelihood(Learnt::Joint(_))
            | Self::Energy { .. }
            | Self::Fab(_) => None,
        }
    }

    /// Whether there is something to validate with that is not learnt from: an energy has no end of new samples.
    pub fn can_be_validated(&self) -> bool {
        self.counts()[1] > 0 || matches!(self, Self::Energy { data: None, .. } | Self::Fab(_))
    }

    /// Losses with what each is multiplied with, and what they took along the energy.
    pub fn losses(
        &self,
        (model, step): (&Model, u64),
        count: usize,
        random: &mut ChaCha8Rng,
        pool: &mut Pool,
    ) -> (Vec<(Losses, f64)>, Option<Effort>) {
        match (self, model.flow()) {
            (Self::Matching(matching), Flow::Cartesian(flow)) => {
                let losses = matching.losses((model, flow), count, random, pool);
                (vec![(losses, 1.0)], None)
            }
            (Self::ThroughSolve(through_solve), _) => {
                let losses = through_solve.losses(model, count, random);
                (vec![(losses, 1.0)], None)
            }
            (Self::Likelihood(data), _) => (vec![(data.losses(model, count, random), 1.0)], None),
            (
                Self::Energy {
                    start,
                    data: Some((data, _)),
                    ..
                },
                _,
            ) if step < *start => {
                let losses = data.losses(model, count, random);
                (vec![(losses, 1.0)], Some(Effort::default()))
            }
            (
                Self::Energy {
                    boltzmann,
                    start,
                    data,
                },
                flow,
            ) => {
                let step = step - start;
                let (mut all, effort) = match flow {
                    Flow::Internal(flow) => {
                        along_energy_with_pool(boltzmann, (flow, step), count, random, pool)
                    }
                    Flow::Augmented(flow) => {
                        let (losses, effort, _) = boltzmann.losses((flow, step), count, random);
                        (vec![(losses, 1.0)], effort)
                    }
                    Flow::Cartesian(_) => unreachable!("made for this model"),
                };
                if let Some((data, factor)) = data {
                    all.push((data.losses(model, count, random), *factor));
                }
                (all, Some(effort))
            }
            (Self::Fab(fab), _) => {
                let losses = fab.losses_of(model, count, random, pool);
                (vec![(losses, 1.0)], None)
            }
            _ => unreachable!("made for this model"),
        }
    }

    /// The mean loss on the data of a fit.
    pub fn fitted(&self, model: &Model) -> f64 {
        match (self, model.flow()) {
            (Self::Fit(fit), Flow::Internal(flow)) => {
                let (total, count) = fit.data.learnt(flow);
                total / count
            }
            _ => unreachable!("made for this model"),
        }
    }

    /// The mean loss on held-out data.
    pub fn held_out(&self, model: &Model, batch: usize, random: &mut ChaCha8Rng) -> f64 {
        let mean = |(total, count): (f64, f64)| total / count;
        match (self, model.flow()) {
            (Self::Matching(matching), Flow::Cartesian(flow)) => {
                let batches = VALIDATION_PAIRS.div_ceil(batch);
                let each = (0..batches).map(|_| matching.held_out((model, flow), batch, random));
                mean(each.fold((0.0, 0.0), |total, one| (total.0 + one.0, total.1 + one.1)))
            }
            (Self::ThroughSolve(through_solve), _) => mean(through_solve.held_out(model, random)),
            (Self::Fit(Fit { data, .. }), Flow::Internal(flow)) => mean(data.held_out(flow)),
            (Self::Likelihood(data), _) => mean(data.held_out(model, random)),
            (
                Self::Energy {
                    boltzmann, data, ..
                },
                flow,
            ) => {
                let reverse = along_energy(boltzmann, flow, random);
                data.as_ref().map_or(reverse, |(data, factor)| {
                    reverse + factor * mean(data.held_out(model, random))
                })
            }
            (Self::Fab(fab), flow) => along_energy(&fab.boltzmann, flow, random),
            _ => unreachable!("made for this model"),
        }
    }
}

/// The mean loss of new samples along the energy.
fn along_energy(boltzmann: &Boltzmann, flow: &Flow, random: &mut ChaCha8Rng) -> f64 {
    match flow {
        Flow::Internal(flow) => boltzmann.mean(flow, VALIDATION_SAMPLES, random),
        Flow::Augmented(flow) => boltzmann.mean(flow, VALIDATION_SAMPLES, random),
        Flow::Cartesian(_) => unreachable!("made for this model"),
    }
}

/// Losses along the energy with what each is multiplied with, of new samples and of those in the pool, which the former join.
fn along_energy_with_pool(
    boltzmann: &Boltzmann,
    (flow, step): (&InternalFlow, u64),
    count: usize,
    random: &mut ChaCha8Rng,
    pool: &mut Pool,
) -> (Vec<(Losses, f64)>, Effort) {
    let (losses, effort, joining) = boltzmann.losses((flow, step), count, random);
    let mut all = vec![(losses, 1.0)];
    pool.add(flow.coordinates(), &joining);
    if let Some(mut losses) = pool.losses(flow, count.div_ceil(POOL_PART), random) {
        // They have the gradient that counts, but what is reported is how far the flow is from its target.
        losses.pieces.iter_mut().for_each(|(loss, _)| *loss = 0.0);
        all.push((losses, boltzmann.own.pool));
    }
    (all, effort)
}
