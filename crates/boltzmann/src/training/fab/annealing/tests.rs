use super::*;
use rayon::prelude::*;

/// A factor of a toy's densities in one number: `ln q` with its slope, and `ln p`.
#[derive(Clone, Copy)]
enum Factor {
    /// A standard normal number, and `exp(−½ (x − m)²/s²)`.
    Normal { m: f64, s: f64 },
    /// An even number in 0…1, and `exp(a x)`.
    Interval { a: f64 },
    /// An even turn, and `exp(κ cos 2πx)`.
    Circle { kappa: f64 },
}

impl Factor {
    /// `ln q` and `ln p` with their slopes.
    fn at(self, x: f64) -> [(f64, f64); 2] {
        let (sine, cosine) = (std::f64::consts::TAU * x).sin_cos();
        match self {
            Self::Normal { m, s } => {
                let constant = 0.5 * std::f64::consts::TAU.ln();
                let z = (x - m) / s;
                [(-0.5 * x * x - constant, -x), (-0.5 * z * z, -z / s)]
            }
            Self::Interval { a } => [(0.0, 0.0), (a * x, a)],
            Self::Circle { kappa } => {
                let slope = -std::f64::consts::TAU * kappa * sine;
                [(0.0, 0.0), (kappa * cosine, slope)]
            }
        }
    }

    /// `∫ p²/q`.
    fn integral(self) -> f64 {
        match self {
            Self::Normal { m, s } => {
                let (pi, width) = (std::f64::consts::PI, s.powi(-2) - 0.5);
                let exponent = m * m * (s.powi(-4) / width - s.powi(-2));
                (2.0 * pi).sqrt() * (pi / width).sqrt() * exponent.exp()
            }
            Self::Interval { a } => ((2.0 * a).exp() - 1.0) / (2.0 * a),
            Self::Circle { kappa } => {
                // I₀(2κ) = Σ κ^{2j}/j!².
                let terms = (0..40).scan(1.0, |term, j| {
                    let now = *term;
                    *term *= (kappa / f64::from(j + 1)).powi(2);
                    Some(now)
                });
                terms.sum()
            }
        }
    }
}

/// Densities that are products, on a space of which samples are of the prior.
struct Toy {
    space: Space,
    factors: Vec<Factor>,
    /// Below this its first number has no density.
    least: f64,
}

impl Toy {
    fn densities(&self, points: &[f64], which: usize) -> Densities {
        let mut found = Densities::default();
        for point in points.chunks(self.factors.len()) {
            let each = point.iter().zip(&self.factors);
            let each: Vec<(f64, f64)> = each.map(|(x, factor)| factor.at(*x)[which]).collect();
            let log: f64 = each.iter().map(|(log, _)| log).sum();
            let log = if point[0] < self.least { f64::NAN } else { log };
            found.logs.push(log);
            found.slopes.extend(each.iter().map(|(_, slope)| slope));
        }
        found
    }
}

impl Member for Toy {
    fn space(&self) -> Space {
        self.space
    }

    fn widths(&self) -> Vec<f64> {
        vec![1.0; self.factors.len()]
    }

    fn draw(&self, samples: &Samples) -> Vec<f64> {
        let numbers = samples.numbers.iter();
        let points = numbers.map(|&number| {
            let mut random = stream(samples.seed, Purpose::Latents, number);
            let drawn = (0..self.space.dimension()).map(|k| match self.factors[k] {
                Factor::Normal { .. } => StandardNormal.sample(&mut random),
                _ => random.random(),
            });
            self.space.embed(&drawn.collect::<Vec<f64>>())
        });
        points.collect::<Vec<_>>().concat()
    }

    fn flow(&self, points: &[f64]) -> Densities {
        self.densities(points, 0)
    }

    fn target(&self, points: &[f64]) -> Densities {
        self.densities(points, 1)
    }
}

fn product() -> Toy {
    Toy {
        space: Space::Product {
            lines: 1,
            intervals: 1,
            circles: 1,
        },
        factors: vec![
            Factor::Normal { m: 0.8, s: 0.7 },
            Factor::Interval { a: 1.0 },
            Factor::Circle { kappa: 1.0 },
        ],
        least: f64::NEG_INFINITY,
    }
}

fn run(toy: &Toy, step_sizes: &[f64], count: u64, seed: u64) -> Vec<Annealed> {
    let annealing = Annealing {
        step_sizes,
        leapfrog: 3,
    };
    let starts: Vec<u64> = (0..count).step_by(64).collect();
    let pieces = starts
        .into_par_iter()
        .map(|start| annealing.run(toy, &Samples::consecutive(seed, start..start + 64)));
    pieces.collect()
}

/// Checks the mean weight against an integral, within four standard errors, of which each is at most a part of it.
fn assert_unbiased(found: &[Annealed], expected: f64, part: f64) {
    let weights = found.iter().flat_map(|found| &found.log_weights);
    let weights: Vec<f64> = weights.map(|log| log.exp()).collect();
    let count = weights.len() as f64;
    let mean = weights.iter().sum::<f64>() / count;
    let variance = weights.iter().map(|w| (w - mean).powi(2)).sum::<f64>() / count;
    let error = (variance / count).sqrt();
    assert!(error < part * expected, "{mean} ± {error}");
    assert!(
        (mean - expected).abs() < 4.0 * error,
        "{mean} ± {error}, not {expected}"
    );
}

#[test]
fn the_mean_weight_is_the_integral_of_the_squared_target_over_the_flow() {
    let toy = product();
    let expected: f64 = toy.factors.iter().map(|factor| factor.integral()).product();
    // Steps of which nearly all, and few, are accepted; and none but the flow itself.
    for (steps, part) in [
        (vec![0.1; 6], 0.02),
        (vec![0.9; 4], 0.04),
        (Vec::new(), 0.1),
    ] {
        assert_unbiased(&run(&toy, &steps, 12_800, 5), expected, part);
    }
}

#[test]
fn weighted_samples_are_those_of_the_squared_target_over_the_flow() {
    let toy = product();
    let found = run(&toy, &[0.15; 6], 12_800, 6);
    let (mut sum, mut total) = ([0.0; 3], 0.0);
    for found in &found {
        for (point, log) in found.points.chunks(3).zip(&found.log_weights) {
            let weight = log.exp();
            let what = [point[0], point[1], (std::f64::consts::TAU * point[2]).cos()];
            sum.iter_mut()
                .zip(what)
                .for_each(|(sum, what)| *sum += weight * what);
            total += weight;
            assert!((0.0..=1.0).contains(&point[1]) && (0.0..=1.0).contains(&point[2]));
        }
    }
    // Of a normal number with precision 2/s² − 1; of exp(2x) on 0…1; I₁(2)/I₀(2).
    let s2 = 0.49_f64;
    let e2 = 2.0_f64.exp();
    let expected = [
        2.0 * 0.8 / s2 / (2.0 / s2 - 1.0),
        (0.5 * e2 - 0.25 * (e2 - 1.0)) / (0.5 * (e2 - 1.0)),
        0.697_774_657_964_008,
    ];
    for (sum, expected) in sum.iter().zip(expected) {
        assert!(
            (sum / total - expected).abs() < 0.015,
            "{} not {expected}",
            sum / total
        );
    }
}

#[test]
fn clouds_without_a_centroid_stay_without_one() {
    let space = Space::MeanFree { points: 3, dims: 2 };
    // Six factors, of which the subspace has four: two constants of q are too many, so that each weight is (√2π)⁴ times as large.
    let factor = Factor::Normal { m: 0.0, s: 0.6 };
    let toy = Toy {
        space,
        factors: vec![factor; 6],
        least: f64::NEG_INFINITY,
    };
    let found = run(&toy, &[0.2; 5], 6400, 7);
    for cloud in found.iter().flat_map(|found| found.points.chunks(6)) {
        let centroid = [0, 1].map(|axis| cloud.iter().skip(axis).step_by(2).sum::<f64>());
        assert!(centroid.iter().all(|x| x.abs() < 1e-12), "{centroid:?}");
    }
    let constants = std::f64::consts::TAU.powi(2);
    assert_unbiased(&found, factor.integral().powi(4) * constants, 0.03);
}

#[test]
fn steps_become_so_long_that_about_two_thirds_are_accepted() {
    let toy = product();
    let mut steps = vec![0.01, 3.0];
    for pass in 0..80 {
        let found = run(&toy, &steps, 256, pass);
        steps = adapted(&steps, &found);
    }
    let found = run(&toy, &steps, 6400, 100);
    let moved: usize = found.iter().map(|found| found.moved).sum();
    for k in 0..2 {
        let accepted: f64 = found.iter().map(|found| found.accepted[k]).sum();
        let part = accepted / moved as f64;
        assert!((part - ACCEPTED).abs() < 0.06, "{part} with {steps:?}");
    }
    assert_eq!(adapted(&steps, &[]), steps);
}

#[test]
fn what_begins_without_a_density_has_no_weight_and_stays_and_nothing_ends_there() {
    let toy = Toy {
        least: 0.0,
        ..product()
    };
    let found = run(&toy, &[0.3; 3], 640, 8);
    for (piece, found) in found.iter().enumerate() {
        let start = 64 * piece as u64;
        let drawn = toy.draw(&Samples::consecutive(8, start..start + 64));
        let rows = drawn
            .chunks(3)
            .zip(found.points.chunks(3))
            .zip(&found.log_weights);
        for ((before, after), log) in rows {
            if before[0] < 0.0 {
                assert!(before == after && *log == f64::NEG_INFINITY);
            } else {
                assert!(after[0] >= 0.0 && log.is_finite());
            }
        }
        let lost = drawn.chunks(3).filter(|point| point[0] < 0.0).count();
        assert_eq!(found.moved, 64 - lost);
    }
}
