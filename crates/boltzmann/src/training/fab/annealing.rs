//! Annealed importance sampling from a flow towards `p²/q` (Neal 2001; Midgley et al. 2023).
//!
//! Between `q` and `g = p²/q` lie `ln π_β = (1 − β) ln q + β ln g = (1 − 2β) ln q + 2β ln p`, halfway the target itself. A sample of `q` is moved along
//! `β_k = k/(M + 1)` by Hamiltonian Monte Carlo (Neal 2011), one trajectory each, and weighted by
//! `ln w = Σ_k 2 (β_{k+1} − β_k) (ln p − ln q)(x_k)`: then `E w = ∫ p²/q`, wherever the trajectories led.

use boltzflow_flow::random::{Purpose, stream};
use boltzflow_flow::{Samples, Space};
use rand::RngExt;
use rand_chacha::ChaCha8Rng;
use rand_distr::{Distribution, StandardNormal};

/// What part of proposals is to be accepted (Beskos et al. 2013; Midgley et al. 2023).
const ACCEPTED: f64 = 0.65;
/// How fast a step follows the acceptance, a pass: `ln` of its factor for each part accepted too much.
const RATE: f64 = 0.5;
/// The shortest and the longest step.
const STEPS: [f64; 2] = [1e-5, 10.0];

/// Logarithms of a density of some points, and their slopes.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Densities {
    /// Of each point; not a number, or `−∞`, where there is none.
    pub logs: Vec<f64>,
    /// Of each number of each point.
    pub slopes: Vec<f64>,
}

/// A flow and its target, both of which have densities with slopes that cost little: what is annealed. Points are where the maps of a flow end.
pub trait Member: Sync {
    /// Where points are.
    fn space(&self) -> Space;

    /// By how much a standard coordinate moves where a number of a point moves by one; the same for all on the mean-free space.
    fn widths(&self) -> Vec<f64>;

    /// Points of these samples.
    fn draw(&self, samples: &Samples) -> Vec<f64>;

    /// `ln q`.
    fn flow(&self, points: &[f64]) -> Densities;

    /// `ln p`, but for a constant; an energy for each point.
    fn target(&self, points: &[f64]) -> Densities;
}

/// How samples are annealed.
#[derive(Clone, Copy, Debug)]
pub struct Annealing<'a> {
    /// Steps of trajectories, of one distribution after another, in standard coordinates.
    pub step_sizes: &'a [f64],
    /// Steps of each.
    pub leapfrog: usize,
}

/// Annealed samples.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Annealed {
    /// Where they are, one after another.
    pub points: Vec<f64>,
    /// `ln q` there.
    pub log_q: Vec<f64>,
    /// What each weighs for `p²/q`, as a logarithm; `−∞` of one that began where a density is none.
    pub log_weights: Vec<f64>,
    /// For each distribution the acceptance, summed over samples.
    pub accepted: Vec<f64>,
    /// How many samples that is of.
    pub moved: usize,
}

/// Energies with their gradients that so many samples take.
pub fn energy_calls(samples: usize, between: usize, leapfrog: usize) -> usize {
    samples * (1 + between * leapfrog)
}

/// Steps that follow what was accepted of some samples.
pub fn adapted(step_sizes: &[f64], found: &[Annealed]) -> Vec<f64> {
    let moved: usize = found.iter().map(|found| found.moved).sum();
    if moved == 0 {
        return step_sizes.to_vec();
    }
    let adapt = |(k, step): (usize, &f64)| {
        let accepted: f64 = found.iter().map(|found| found.accepted[k]).sum();
        let excess = accepted / moved as f64 - ACCEPTED;
        (step * (RATE * excess).exp()).clamp(STEPS[0], STEPS[1])
    };
    step_sizes.iter().enumerate().map(adapt).collect()
}

impl Annealing<'_> {
    /// These samples, annealed.
    pub fn run(&self, member: &impl Member, samples: &Samples) -> Annealed {
        let between = self.step_sizes.len();
        // 2 (β_{k+1} − β_k).
        let part = 2.0 / (between + 1) as f64;
        let mut at = Places::of(member, member.draw(samples));
        let numbers = samples.numbers.iter();
        let random = numbers.map(|&number| stream(samples.seed, Purpose::Moves, number));
        let mut random: Vec<ChaCha8Rng> = random.collect();
        let mut log_weights: Vec<f64> = at.ratios().map(|ratio| part * ratio).collect();
        let moved = at.sound.iter().filter(|sound| **sound).count();
        let mut accepted = Vec::with_capacity(between);
        for (k, &step) in self.step_sizes.iter().enumerate() {
            let trajectory = Trajectory {
                member,
                beta: (k + 1) as f64 / (between + 1) as f64,
                step,
                leapfrog: self.leapfrog,
            };
            accepted.push(trajectory.advance(&mut at, &mut random));
            let logs = log_weights.iter_mut().zip(at.ratios());
            logs.for_each(|(log, ratio)| *log += part * ratio);
        }
        Annealed {
            points: at.points,
            log_q: at.flow.logs,
            log_weights,
            accepted,
            moved,
        }
    }
}

/// Points with their densities.
#[derive(Clone)]
struct Places {
    points: Vec<f64>,
    flow: Densities,
    target: Densities,
    /// Whether both densities of each are numbers.
    sound: Vec<bool>,
}

impl Places {
    fn of(member: &impl Member, mut points: Vec<f64>) -> Self {
        let size = member.space().coordinates();
        let mut sound: Vec<bool> = points
            .chunks_mut(size)
            .map(|point| settle(member.space(), point))
            .collect();
        let (flow, target) = (member.flow(&points), member.target(&points));
        for (k, sound) in sound.iter_mut().enumerate() {
            let row = k * size..(k + 1) * size;
            let slopes = flow.slopes[row.clone()].iter().chain(&target.slopes[row]);
            let numbers = [flow.logs[k], target.logs[k]];
            *sound &= numbers.iter().chain(slopes).all(|value| value.is_finite());
        }
        Self {
            points,
            flow,
            target,
            sound,
        }
    }

    /// `ln p − ln q` of each; `−∞` where one of them is none.
    fn ratios(&self) -> impl Iterator<Item = f64> {
        let logs = self.target.logs.iter().zip(&self.flow.logs);
        logs.zip(&self.sound).map(
            |((p, q), sound)| {
                if *sound { p - q } else { f64::NEG_INFINITY }
            },
        )
    }

    /// `ln π_β` of a point.
    fn log(&self, k: usize, beta: f64) -> f64 {
        if self.sound[k] {
            (1.0 - 2.0 * beta) * self.flow.logs[k] + 2.0 * beta * self.target.logs[k]
        } else {
            f64::NEG_INFINITY
        }
    }

    /// Moves momenta along the slope of `ln π_β` for so long; nothing pushes where it is none.
    fn kick(&self, momenta: &mut [f64], widths: &[f64], beta: f64, time: f64) {
        let size = widths.len();
        for (k, momenta) in momenta.chunks_mut(size).enumerate() {
            if !self.sound[k] {
                continue;
            }
            let row = k * size..(k + 1) * size;
            let slopes = self.flow.slopes[row.clone()]
                .iter()
                .zip(&self.target.slopes[row]);
            for ((momentum, (q, p)), width) in momenta.iter_mut().zip(slopes).zip(widths) {
                let slope = (1.0 - 2.0 * beta) * q + 2.0 * beta * p;
                *momentum += time * slope / width;
            }
        }
    }

    /// Puts one of these in the place of one of others.
    fn put(&self, k: usize, size: usize, into: &mut Self) {
        let row = k * size..(k + 1) * size;
        into.points[row.clone()].copy_from_slice(&self.points[row.clone()]);
        for (from, into) in [
            (&self.flow, &mut into.flow),
            (&self.target, &mut into.target),
        ] {
            into.logs[k] = from.logs[k];
            into.slopes[row.clone()].copy_from_slice(&from.slopes[row.clone()]);
        }
        into.sound[k] = self.sound[k];
    }
}

/// A trajectory of every point, along one distribution.
struct Trajectory<'a, M> {
    member: &'a M,
    beta: f64,
    step: f64,
    leapfrog: usize,
}

impl<M: Member> Trajectory<'_, M> {
    /// Moves what is accepted; answers the sum of all acceptances. Where a density is none the energy is infinite: a point that ends there stays
    /// where it was, and one that begins there stays for good.
    fn advance(&self, at: &mut Places, random: &mut [ChaCha8Rng]) -> f64 {
        let (space, widths) = (self.member.space(), self.member.widths());
        let size = widths.len();
        let drawn = random.iter_mut().flat_map(|random| {
            let normal = (0..space.dimension()).map(|_| StandardNormal.sample(random));
            space.embed(&normal.collect::<Vec<f64>>())
        });
        let mut momenta: Vec<f64> = drawn.collect();
        let energy = |places: &Places, momenta: &[f64]| -> Vec<f64> {
            let kinetic = momenta
                .chunks(size)
                .map(|p| 0.5 * p.iter().map(|p| p * p).sum::<f64>());
            let energies = kinetic.enumerate();
            energies
                .map(|(k, kinetic)| kinetic - places.log(k, self.beta))
                .collect()
        };
        let before = energy(at, &momenta);
        let mut there = at.clone();
        for leap in 0..self.leapfrog {
            let time = if leap == 0 {
                0.5 * self.step
            } else {
                self.step
            };
            there.kick(&mut momenta, &widths, self.beta, time);
            let drift = momenta.iter().zip(widths.iter().cycle());
            let mut points = there.points;
            for (x, (momentum, width)) in points.iter_mut().zip(drift) {
                *x += self.step * momentum / width;
            }
            there = Places::of(self.member, points);
        }
        there.kick(&mut momenta, &widths, self.beta, 0.5 * self.step);
        let after = energy(&there, &momenta);
        let mut sum = 0.0;
        for (k, random) in random.iter_mut().enumerate() {
            let uniform: f64 = random.random();
            let likely = (before[k] - after[k]).exp().min(1.0);
            if at.sound[k] && there.sound[k] && likely.is_finite() {
                sum += likely;
                if uniform < likely {
                    there.put(k, size, at);
                }
            }
        }
        sum
    }
}

/// Brings the circles of a point back to 0…1, and the point into its space where it is outside: then it answers false.
fn settle(space: Space, point: &mut [f64]) -> bool {
    let Space::Product {
        lines, intervals, ..
    } = space
    else {
        return true;
    };
    let (bounded, circles) = point[lines..].split_at_mut(intervals);
    for x in circles {
        *x = x.rem_euclid(1.0);
    }
    let mut inside = true;
    for x in bounded {
        // A number that is none is in no interval.
        if !(0.0..=1.0).contains(x) {
            *x = 0.5;
            inside = false;
        }
    }
    inside
}

#[cfg(test)]
mod tests;
