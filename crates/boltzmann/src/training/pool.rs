//! Samples of a flow that it learns from: chosen in proportion to their weights, then moved by Monte Carlo.

use boltzflow_energy::{DynamicsError, Propagator, ReplicaExchange, Settings};
use boltzflow_molecule::Conformers;
use rand::RngExt;
use rand_chacha::ChaCha8Rng;

use super::fab::BESIDE;
use super::{Losses, likelihood};
use crate::config::Objective;
use crate::model::{InternalFlow, Reverse};
use crate::system::System;
use crate::weights::Weights;

/// The most that are kept: some hundred steps' worth, in which a flow does not change much.
const MOST: usize = 4096;
/// One in so many samples of a step joins the others.
const ONE_IN: usize = 16;
/// How each is moved: one trajectory, of a step at which nearly all are accepted.
const MOVE: Propagator = Propagator::Hmc {
    time_step: 0.7,
    leapfrog: LEAPFROG,
    trajectories: 1,
};
const LEAPFROG: usize = 10;

/// How many of so many samples that are weighted together join the others.
fn joining(samples: usize) -> usize {
    samples.div_ceil(ONE_IN)
}

/// Energies with gradients that moving these takes: one where each is, and one for each step.
pub fn energy_calls(samples: usize) -> usize {
    joining(samples) * (1 + LEAPFROG)
}

/// Samples of a flow that it learns from. Along the energy: points where its maps end, with their temperatures, those of the last steps that
/// counted most; of flow matching: positions, with what each counts, see [`crate::Improvement`]; annealed samples, see [`crate::FabConfig`].
///
/// Along the energy a sample joins in proportion to its weight `e^{−u}/q` among those that were drawn with it, as often as that says, and each copy is moved for
/// itself by Hamiltonian Monte Carlo, which leaves the Boltzmann distribution as it is. So what a flow proposes too rarely it learns from what is
/// around the few samples that it has there. Numbers are kept in single precision, as a checkpoint keeps them.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Pool {
    /// Coordinates of each, and the numbers that go with them, the oldest first.
    rows: Vec<f32>,
    /// Steps of the trajectories by which annealed samples are moved; none of others.
    pub(super) step_sizes: Vec<f32>,
}

/// Some of the samples that were drawn at one temperature.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Joining {
    rows: Vec<f32>,
    /// Energies with gradients.
    pub energy_calls: usize,
}

impl Joining {
    /// Chooses some samples, and moves them at this temperature, which is the flow's temperature times `cooling`.
    pub fn new(
        (system, flow): (&System, &InternalFlow),
        found: &Reverse,
        cooling: f64,
        random: &mut ChaCha8Rng,
    ) -> Self {
        let chosen = resampled(&found.log_weights, random);
        if chosen.is_empty() {
            return Self::default();
        }
        let size = 3 * flow.points();
        let positions = chosen
            .iter()
            .flat_map(|&k| &found.positions[k * size..(k + 1) * size]);
        let start = Conformers::new(flow.points(), 3, positions.copied().collect());
        let temperature = flow.temperature();
        // What cannot be moved stays where it is, and is a sample all the same.
        let moved = moved(system, &start, temperature * cooling, random.random());
        let located = flow
            .locate(&moved.unwrap_or(start))
            .expect("they are of the flow's atoms");
        let points = located.points.chunks(located.size).zip(&located.log_det);
        let inside = points.filter(|(_, log_det)| log_det.is_finite());
        let row = |(point, _): (&[f64], _)| {
            let point = point.iter().map(|x| *x as f32);
            point.chain([temperature as f32]).collect::<Vec<f32>>()
        };
        Self {
            rows: inside.flat_map(row).collect(),
            energy_calls: chosen.len() * (1 + LEAPFROG),
        }
    }
}

/// Which of some samples join, each as often as its weight says; none where none has any.
fn resampled(log_weights: &[f64], random: &mut ChaCha8Rng) -> Vec<usize> {
    let seed = random.random();
    let weights = Weights::from_log(log_weights.to_vec());
    weights.map_or_else(
        |_| Vec::new(),
        |weights| weights.resample(joining(log_weights.len()), seed),
    )
}

/// Where each is after a trajectory; those that would become another stereoisomer stay.
fn moved(
    system: &System,
    start: &Conformers,
    temperature: f64,
    seed: u64,
) -> Result<Conformers, DynamicsError> {
    let settings = Settings {
        temperatures: vec![temperature],
        ladders: start.len(),
        propagator: MOVE,
        burn_in: 0,
        stride: 1,
        seed,
    };
    let guard = |x: &[f64]| system.has_right_stereo(x);
    let chains = ReplicaExchange::starting_at(&*system.energy, system.masses(), settings, start)?;
    let mut found = Conformers::empty(start.points(), start.dims());
    chains
        .guarded(&guard)?
        .advance(1, |frame| found.push(frame.positions))?;
    Ok(found)
}

impl Pool {
    /// From the numbers of an earlier part of a training; none if these are no samples of an objective and a flow of so many coordinates.
    pub fn of_parts(
        [rows, step_sizes]: [Vec<f32>; 2],
        objective: Objective,
        coordinates: usize,
    ) -> Option<Self> {
        let (beside, steps) = match objective {
            Objective::Fab(told) => (BESIDE, told.between),
            _ => (1, 0),
        };
        let is_whole = rows.len().is_multiple_of(coordinates + beside);
        let are_sound = rows.iter().all(|x| x.is_finite());
        let are_steps = step_sizes
            .iter()
            .all(|step| step.is_finite() && *step > 0.0);
        let has_steps = step_sizes.len() == steps && are_steps;
        (is_whole && are_sound && has_steps).then_some(Self { rows, step_sizes })
    }

    /// All numbers: coordinates of each, and the numbers that go with them, the oldest first. Along the energy that is the temperature; of flow
    /// matching what it counts; of annealed samples the logarithms of weight and density.
    pub fn rows(&self) -> &[f32] {
        &self.rows
    }

    /// Steps of the trajectories by which annealed samples are moved; none of others.
    pub fn step_sizes(&self) -> &[f32] {
        &self.step_sizes
    }

    /// The numbers that go with one annealed sample, of rows of so many numbers.
    pub(super) fn beside(&mut self, k: usize, width: usize) -> [&mut f32; BESIDE] {
        let [.., a, b] = &mut self.rows[k * width..(k + 1) * width] else {
            unreachable!("a row is of a point and what goes with it");
        };
        [a, b]
    }

    /// Samples join; the oldest leave.
    pub fn add(&mut self, coordinates: usize, joining: &[Joining]) {
        for Joining { rows, .. } in joining {
            self.append(rows, coordinates + 1, MOST);
        }
    }

    /// Rows of so many numbers join; the oldest leave if there are more than `most`.
    pub fn append(&mut self, rows: &[f32], width: usize, most: usize) {
        self.rows.extend_from_slice(rows);
        let over = (self.rows.len() / width).saturating_sub(most);
        self.rows.drain(..over * width);
    }

    /// The negative log-likelihood of some, with its gradient; none as long as there are none.
    pub(super) fn losses(
        &self,
        flow: &InternalFlow,
        count: usize,
        random: &mut ChaCha8Rng,
    ) -> Option<Losses> {
        let size = flow.coordinates();
        let rows: Vec<&[f32]> = self.rows.chunks_exact(size + 1).collect();
        if rows.is_empty() {
            return None;
        }
        let (mut points, mut temperatures) = (Vec::with_capacity(count * size), Vec::new());
        for _ in 0..count {
            let row = rows[random.random_range(0..rows.len())];
            points.extend(row[..size].iter().map(|x| f64::from(*x)));
            temperatures.push(f64::from(row[size]));
        }
        Some(likelihood::losses(flow, &points, &temperatures))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use boltzflow_energy::{Minimisation, Variant, minimise};
    use boltzflow_flow::random::{Purpose, stream};
    use boltzflow_molecule::{Molecule, embed};

    #[test]
    fn they_are_moved_kept_in_order_and_the_oldest_leave() {
        let molecule = Molecule::from_smiles("CCO").unwrap();
        let start = embed(&molecule, 1, 1).unwrap();
        let system = System::mmff(molecule, start, Variant::Mmff94s, 300.0).unwrap();
        let mut x = system.start.get(0).to_vec();
        let mut evaluator = system.energy.evaluator().unwrap();
        minimise(&mut *evaluator, &mut x, &Minimisation::default()).unwrap();
        let start = Conformers::new(9, 3, x.repeat(200));
        let there = moved(&system, &start, 300.0, 5).unwrap();
        assert_eq!(there, moved(&system, &start, 300.0, 5).unwrap());
        // Nearly all are accepted, and no two go the same way.
        let away: Vec<f64> = there
            .iter()
            .map(|y| y.iter().zip(&x).map(|(a, b)| (a - b).powi(2)).sum())
            .collect();
        assert!(away.iter().filter(|away| **away > 1e-3).count() > 150);
        assert!(
            away.windows(2)
                .all(|pair| pair[0] != pair[1] || pair[0] == 0.0)
        );
        let mut pool = Pool::default();
        let row = |value: usize| Joining {
            rows: vec![value as f32; 4],
            energy_calls: 0,
        };
        for value in 0..MOST + 3 {
            pool.add(3, &[row(value)]);
        }
        assert_eq!(pool.rows().len(), 4 * MOST);
        assert_eq!(
            (pool.rows()[0], pool.rows()[4 * MOST - 1]),
            (3.0, (MOST + 2) as f32)
        );
        let of = |rows: &[f32], steps: &[f32]| {
            Pool::of_parts([rows.to_vec(), steps.to_vec()], Objective::Likelihood, 3)
        };
        assert_eq!(of(pool.rows(), &[]), Some(pool));
        assert_eq!(of(&[0.0; 9], &[]), None);
        assert_eq!(of(&[f32::NAN; 8], &[]), None);
        assert_eq!(of(&[0.0; 8], &[0.1]), None);
    }

    #[test]
    fn samples_join_as_often_as_their_weights_say() {
        let weights = [0.5, 0.0, 0.25, 1.25];
        let log_weights: Vec<f64> = (0..64).map(|k| f64::ln(weights[k % 4])).collect();
        let mut counts = [0; 4];
        let times = 2000;
        for step in 0..times {
            let mut random = stream(1, Purpose::Training, step);
            let chosen = resampled(&log_weights, &mut random);
            assert_eq!(chosen.len(), 4);
            chosen.iter().for_each(|k| counts[k % 4] += 1);
        }
        for (count, weight) in counts.into_iter().zip(weights) {
            let expected = weight / 2.0 * 4.0 * times as f64;
            assert!(
                (f64::from(count) - expected).abs() < 0.03 * 4.0 * times as f64,
                "{counts:?}"
            );
        }
        let mut random = stream(1, Purpose::Training, 0);
        assert!(resampled(&[f64::NEG_INFINITY; 8], &mut random).is_empty());
        assert_eq!(resampled(&[f64::NEG_INFINITY, 3.0], &mut random), [1]);
    }
}
