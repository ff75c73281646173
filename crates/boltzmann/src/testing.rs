//! What several tests draw.

use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use rand_distr::{Distribution, StandardNormal};

use crate::config::{Objective, TrainingConfig};
use crate::optimizer::AdamW;
use crate::training::{Pool, Training};
use crate::weights::Weights;

/// Standard normal numbers, a function of the seed.
pub fn normal(count: usize, seed: u64) -> Vec<f64> {
    let mut random = ChaCha8Rng::seed_from_u64(seed);
    (0..count)
        .map(|_| StandardNormal.sample(&mut random))
        .collect()
}

/// A few small steps.
pub fn training(objective: Objective) -> TrainingConfig {
    TrainingConfig {
        objective,
        seed: 1,
        steps: 10,
        batch: 16,
        learning_rate: 1e-3,
        warm_up: 1,
        weight_decay: 0.0,
        clip: 10.0,
        average: 0.9,
        dequantize: false,
        rarest: 0.0,
        hotter: 0.0,
        validation: 0.0,
        validate_every: 10,
        patience: 0,
        checkpoint_every: 10,
    }
}

/// What a checkpoint keeps of a training.
pub fn state(training: Training) -> (AdamW, Pool) {
    (training.optimizer, training.pool)
}

/// Asserts that a training of so many steps comes to the same on one thread, on two, and where it goes on, after some of them, from what is kept of it.
pub fn assert_same_bits<'a>(
    start: impl Fn() -> Training<'a> + Sync,
    steps: usize,
    after: &[usize],
    kept: impl Fn(Training<'a>) -> (AdamW, Pool),
) {
    let advanced = |mut training: Training<'a>, steps: usize| {
        (0..steps).for_each(|_| {
            training.advance();
        });
        training
    };
    let on = |threads: usize| {
        let threads = rayon::ThreadPoolBuilder::new().num_threads(threads);
        let threads = threads.build().unwrap();
        threads.install(|| state(advanced(start(), steps)))
    };
    let whole = on(1);
    assert!(whole == on(2));
    for &first in after {
        let mut resumed = start();
        (resumed.optimizer, resumed.pool) = kept(advanced(start(), first));
        assert!(whole == state(advanced(resumed, steps - first)), "{first}");
    }
}

/// The energy with some likelihood, after so many steps of the likelihood alone.
pub fn energy_after(start: u64) -> Objective {
    Objective::Energy {
        likelihood: 0.3,
        own: 0.0,
        pool: 0.0,
        threshold: 100.0,
        steepest: 100.0,
        hottest: 1.0,
        cooling: 0,
        start,
    }
}

/// Chains over the states `0..K` that are written in turn, one step of each after the other.
pub struct Markov<'a> {
    /// The populations of the states.
    pub p: &'a [f64],
    /// The probability of staying; with the rest the state is drawn anew, so that the correlation time is `(1 + stay)/(1 − stay)` steps.
    pub stay: f64,
    /// How many chains there are.
    pub chains: usize,
}

impl Markov<'_> {
    /// So many frames of all chains together, a function of the seed.
    pub fn run(&self, count: usize, seed: u64) -> Vec<usize> {
        let mut random = ChaCha8Rng::seed_from_u64(seed);
        let start = (0..self.chains).map(|_| drawn(self.p, random.random()));
        let mut now: Vec<usize> = start.collect();
        let frame = |k: usize| {
            let state = &mut now[k % self.chains];
            if random.random::<f64>() >= self.stay {
                *state = drawn(self.p, random.random());
            }
            *state
        };
        (0..count).map(frame).collect()
    }
}

/// Samples of another distribution with the weights that make them samples of `p`, times a factor of the sample's own: the states of an imperfect flow.
pub fn weighted_states(p: &[f64], count: usize, seed: u64) -> (Weights, Vec<usize>) {
    let mut random = ChaCha8Rng::seed_from_u64(seed);
    let equal = 1.0 / p.len() as f64;
    let q: Vec<f64> = p.iter().map(|p| f64::midpoint(*p, equal)).collect();
    let states: Vec<usize> = (0..count).map(|_| drawn(&q, random.random())).collect();
    let noise = normal(count, seed ^ 1 << 40).into_iter();
    let log_weight = |(state, noise): (&usize, f64)| (p[*state] / q[*state]).ln() + 0.5 * noise;
    let log_weights = states.iter().zip(noise).map(log_weight).collect();
    (
        Weights::from_log(log_weights).expect("finite weights"),
        states,
    )
}

/// The state in which a uniform number falls.
fn drawn(p: &[f64], uniform: f64) -> usize {
    let mut below = 0.0;
    let mut ends = p.iter().map(|p| {
        below += p;
        below
    });
    ends.position(|end| uniform < end).unwrap_or(p.len() - 1)
}
