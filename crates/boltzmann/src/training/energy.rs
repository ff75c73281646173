//! Reverse Kullback–Leibler divergence: `min E_q[ln q + U/kT]` over a flow's own samples; of a flow of a range of temperatures, its mean over
//! `ln T`. Samples that are drawn together are at one temperature, so that weights among them mean something.

use boltzflow_energy::{EnergyError, Minimisation, minimise};
use boltzflow_flow::parameters::gradients;
use boltzflow_flow::random::{Purpose, stream};
use boltzflow_flow::{FlowError, Samples};
use rand::RngExt;
use rand_chacha::ChaCha8Rng;
use rayon::prelude::*;

use super::pool::{self, Joining};
use super::{Effort, Losses};
use crate::model::{AugmentedFlow, InternalFlow, Paths, Potential, Reverse, Terms};
use crate::system::System;
use crate::temperatures::Temperatures;

/// Samples that one thread differentiates at a time.
const PIECE: usize = 64;

/// A flow that is trained along the energy.
pub trait Sampler: Paths + Clone + Sync {
    /// The temperatures that it is for, if the system's is this.
    fn range(&self, system: f64) -> Temperatures;

    /// The same flow at one of them.
    fn moved_to(self, temperature: f64) -> Self;

    /// Which of some samples it learns from as data.
    fn joining(
        &self,
        system: &System,
        found: &Reverse,
        cooling: f64,
        random: &mut ChaCha8Rng,
    ) -> Joining;
}

impl Sampler for InternalFlow {
    fn range(&self, _: f64) -> Temperatures {
        self.temperatures()
    }

    fn moved_to(self, temperature: f64) -> Self {
        self.at(temperature)
    }

    fn joining(
        &self,
        system: &System,
        found: &Reverse,
        cooling: f64,
        random: &mut ChaCha8Rng,
    ) -> Joining {
        Joining::new((system, self), found, cooling, random)
    }
}

/// At the system's temperature, and without a pool.
impl Sampler for AugmentedFlow {
    fn range(&self, system: f64) -> Temperatures {
        Temperatures::new(system, 1.0)
    }

    fn moved_to(self, _: f64) -> Self {
        self
    }

    fn joining(&self, _: &System, _: &Reverse, _: f64, _: &mut ChaCha8Rng) -> Joining {
        Joining::default()
    }
}

/// The Boltzmann distribution that is learnt from.
pub struct Boltzmann<'a> {
    system: &'a System,
    /// What likelihoods of its own samples count.
    pub own: Own,
    /// The energy of the minimum next to the start.
    minimum: f64,
    /// Energies that finding it took.
    pub evaluations: usize,
    limits: Limits,
    cooling: Cooling,
}

/// What negative log-likelihoods of a flow's own samples are multiplied with; 0 for none.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Own {
    /// Of a step's, weighted among themselves.
    pub fresh: f64,
    /// Of those that were chosen from the last steps', and moved.
    pub pool: f64,
}

/// What keeps bad geometries from drowning all else.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Limits {
    /// Reduced energies more than this above the minimum count by their logarithm.
    pub threshold: f64,
    /// The longest slope of one sample's divergence in standard coordinates.
    pub steepest: f64,
}

/// How the temperature falls.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Cooling {
    /// At the start, as a multiple of the last.
    pub hottest: f64,
    /// Steps until then.
    pub steps: u64,
}

impl Cooling {
    /// The multiple of the last temperature at a step.
    fn factor(self, step: u64) -> f64 {
        if step >= self.steps {
            return 1.0;
        }
        self.hottest.powf(1.0 - step as f64 / self.steps as f64)
    }
}

impl<'a> Boltzmann<'a> {
    /// `own` is what the likelihood of the flow's own samples counts; the threshold is above the minimum next to the system's start.
    pub fn new(
        system: &'a System,
        own: Own,
        limits: Limits,
        cooling: Cooling,
    ) -> Result<Self, EnergyError> {
        let mut x = system.start.get(0).to_vec();
        let mut evaluator = system.energy.evaluator()?;
        let minimum = minimise(&mut *evaluator, &mut x, &Minimisation::default())?;
        Ok(Self {
            system,
            own,
            minimum: minimum.energy,
            evaluations: minimum.evaluations,
            limits,
            cooling,
        })
    }

    /// The loss of new samples, so many steps after the energy has begun to count, at temperatures drawn evenly from the flow's range of `ln T`, with
    /// its gradient; what it took; and which of them are to be learnt from as data.
    pub fn losses(
        &self,
        (flow, step): (&impl Sampler, u64),
        count: usize,
        random: &mut ChaCha8Rng,
    ) -> (Losses, Effort, Vec<Joining>) {
        let cooling = self.cooling.factor(step);
        let pieces = pieces(count, self.range(flow), random).into_par_iter();
        let pieces = pieces.map(|piece| {
            let (flow, maps) = (flow.clone().moved_to(piece.temperature), flow.trainable());
            let kt = self.system.units().kt(piece.temperature) * cooling;
            let (found, softened) = self.reverse(&flow, &maps, &piece.samples, kt);
            let joining = if self.own.pool > 0.0 {
                let number = piece.samples.numbers[0];
                let mut random = stream(piece.samples.seed, Purpose::Moves, number);
                flow.joining(self.system, &found, cooling, &mut random)
            } else {
                Joining::default()
            };
            let gradients = gradients(&maps, &found.surrogate.backward());
            let effort = Effort {
                energy_calls: piece.samples.numbers.len() + joining.energy_calls,
                softened,
                cut: found.cut,
                lost: found.lost,
            };
            ((found.value, gradients), (effort, joining))
        });
        let (pieces, others): (Vec<_>, Vec<_>) = pieces.unzip();
        let (efforts, joining): (Vec<Effort>, Vec<Joining>) = others.into_iter().unzip();
        let effort = efforts.into_iter().fold(Effort::default(), Effort::with);
        // Lost samples have neither a value nor a gradient.
        let known = count - effort.lost;
        let losses = Losses {
            pieces,
            count: known.max(1) as f64,
        };
        (losses, effort, joining)
    }

    /// The mean loss of some samples at the last temperature of the cooling, or over the flow's range.
    pub fn mean(&self, flow: &impl Sampler, count: usize, random: &mut ChaCha8Rng) -> f64 {
        let pieces = pieces(count, self.range(flow), random).into_par_iter();
        let values: Vec<(f64, usize)> = pieces
            .map(|piece| {
                let flow = flow.clone().moved_to(piece.temperature);
                let kt = self.system.units().kt(piece.temperature);
                let (found, _) = self.reverse(&flow, flow.maps(), &piece.samples, kt);
                (found.value, piece.samples.numbers.len() - found.lost)
            })
            .collect();
        let total: f64 = values.iter().map(|(value, _)| value).sum();
        let known: usize = values.iter().map(|(_, known)| known).sum();
        total / known.max(1) as f64
    }

    fn range(&self, flow: &impl Sampler) -> Temperatures {
        flow.range(self.system.temperature)
    }

    /// The divergence of some samples, and how many energies count by their logarithm.
    fn reverse(
        &self,
        flow: &impl Sampler,
        maps: &super::Maps,
        samples: &Samples,
        kt: f64,
    ) -> (Reverse, usize) {
        let mut softened = 0;
        let latents = flow.latents(samples);
        let terms = Terms {
            steepest: self.limits.steepest,
            own: self.own.fresh,
        };
        let found: Result<Reverse, FlowError> = flow.reverse(maps, &latents, terms, |positions| {
            let (potential, above) = self.potential(positions, kt);
            softened = above;
            potential
        });
        (found.expect("latents are of the flow's space"), softened)
    }

    /// What energies are divided by at the system's temperature.
    pub fn kt(&self) -> f64 {
        self.system.kt()
    }

    /// Reduced energies and forces, logarithmic above the ceiling; how many are.
    pub fn potential(&self, positions: &[f64], kt: f64) -> (Potential, usize) {
        let energy = &self.system.energy;
        let size = energy.points() * energy.dims();
        let ceiling = self.minimum / kt + self.limits.threshold;
        let mut forces = vec![0.0; positions.len()];
        let outcomes = match energy.evaluator() {
            Ok(mut evaluator) => evaluator.evaluate_batch(positions, &mut forces, size),
            Err(error) => vec![Err(error); positions.len() / size],
        };
        let mut softened = 0;
        let rows = forces.chunks_mut(size).zip(outcomes);
        let energies = rows.map(|(forces, outcome)| {
            let Ok(energy) = outcome else {
                forces.fill(0.0);
                return f64::NAN;
            };
            let u = energy / kt;
            let excess = u - ceiling;
            let (u, slope) = if excess > 0.0 {
                softened += 1;
                (ceiling + excess.ln_1p(), 1.0 / (1.0 + excess))
            } else {
                (u, 1.0)
            };
            forces.iter_mut().for_each(|force| *force *= -slope / kt);
            u
        });
        let energies = energies.collect();
        (Potential { energies, forces }, softened)
    }
}

/// Energies with gradients of the moves of a step of so many samples.
pub fn of_moves(count: usize) -> usize {
    let starts = (0..count).step_by(PIECE);
    starts
        .map(|start| pool::energy_calls(PIECE.min(count - start)))
        .sum()
}

/// Samples that are drawn and weighted together.
struct Piece {
    samples: Samples,
    /// In K.
    temperature: f64,
}

/// New samples, by pieces. Each piece has its own part of the range of `ln T`, as large as its part of the samples, and draws one temperature
/// from it: every sample's is even over the whole, and those of a minibatch are spread.
fn pieces(count: usize, range: Temperatures, random: &mut ChaCha8Rng) -> Vec<Piece> {
    let seed: u64 = random.random();
    let starts = (0..count).step_by(PIECE);
    starts
        .map(|start| {
            let end = (start + PIECE).min(count);
            let temperature = if range.are_many() {
                let place = start as f64 + random.random::<f64>() * (end - start) as f64;
                range.at(place / count as f64)
            } else {
                range.coldest
            };
            Piece {
                samples: Samples::consecutive(seed, start as u64..end as u64),
                temperature,
            }
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use boltzflow_energy::Variant;
    use boltzflow_molecule::{Molecule, embed};

    #[test]
    fn pieces_are_spread_evenly_over_the_range_of_ln_t() {
        let range = Temperatures::new(300.0, 3.0);
        let draw = |step, count, range| {
            let mut random = stream(1, Purpose::Training, step);
            pieces(count, range, &mut random)
        };
        // A last piece of eight samples has an eighth of the range of the others.
        let ends = [0.0, 64.0 / 136.0, 128.0 / 136.0, 1.0];
        let (mut sum, steps) = (0.0, 2000);
        for step in 0..steps {
            let found = draw(step, 136, range);
            for (piece, ends) in found.iter().zip(ends.windows(2)) {
                let part = 0.5 * (range.feature(piece.temperature) + 1.0);
                assert!((ends[0]..=ends[1]).contains(&part), "{part}");
                sum += part * piece.samples.numbers.len() as f64 / 136.0;
            }
        }
        assert!((sum / steps as f64 - 0.5).abs() < 0.01);
        let again = |k: usize| draw(7, 136, range)[k].temperature;
        assert_eq!(again(1), again(1));
        // One temperature takes no random number, so that what follows is as it was.
        let one = Temperatures::new(300.0, 1.0);
        assert!(draw(0, 136, one).iter().all(|p| p.temperature == 300.0));
        let mut random = stream(1, Purpose::Training, 0);
        pieces(136, one, &mut random);
        let mut expected = stream(1, Purpose::Training, 0);
        let _: u64 = expected.random();
        assert_eq!(random.random::<u64>(), expected.random::<u64>());
    }

    #[test]
    fn energies_above_the_ceiling_count_by_their_logarithm_and_so_do_their_forces() {
        let molecule = Molecule::from_smiles("CO").unwrap();
        let start = embed(&molecule, 1, 1).unwrap();
        let system = System::mmff(molecule, start, Variant::Mmff94s, 300.0).unwrap();
        let cooling = Cooling {
            hottest: 4.0,
            steps: 100,
        };
        assert_eq!(
            [0, 50, 100, 200].map(|step| cooling.factor(step)),
            [4.0, 2.0, 1.0, 1.0]
        );
        let own = Own {
            fresh: 0.0,
            pool: 0.0,
        };
        let limits = Limits {
            threshold: 5.0,
            steepest: 100.0,
        };
        let boltzmann = Boltzmann::new(&system, own, limits, cooling).unwrap();
        let kt = system.kt();
        // Stretched as a whole: first below, then far above.
        for (factor, above) in [(1.0, 0), (1.2, 1)] {
            let x: Vec<f64> = system.start.get(0).iter().map(|x| x * factor).collect();
            let (found, softened) = boltzmann.potential(&x, kt);
            let mut gradient = vec![0.0; x.len()];
            let mut evaluator = system.energy.evaluator().unwrap();
            let u = evaluator.evaluate(&x, &mut gradient).unwrap() / kt;
            assert_eq!(softened, above);
            assert_eq!(softened, usize::from(u > boltzmann.minimum / kt + 5.0));
            let step = 1e-5;
            for k in 0..x.len() {
                let [above, below] = [step, -step].map(|step| {
                    let mut x = x.clone();
                    x[k] += step;
                    boltzmann.potential(&x, kt).0.energies[0]
                });
                let slope = (above - below) / (2.0 * step);
                let error = (slope + found.forces[k]).abs();
                assert!(error < 1e-4 * slope.abs().max(1.0), "{slope}");
            }
        }
    }
}
