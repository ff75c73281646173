use std::f64::consts::TAU;

use boltzflow_flow::{Prior, Space};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

use super::*;
use crate::config::Rotors;
use crate::testing::normal;

const COUNT: usize = 20_000;

fn prior(bounds: &[[f64; 2]], circles: usize) -> ProductPrior {
    ProductPrior {
        space: Space::Product {
            lines: 0,
            intervals: bounds.len(),
            circles,
        },
        bounds: bounds.to_vec(),
    }
}

fn fitted(dependence: Dependence, prior: &ProductPrior, points: &[f64]) -> Distribution {
    let model = FittedConfig {
        dependence,
        bins: 48,
        rotors: Rotors::Labelled,
        margin: 0.25,
    };
    let size = prior.space.points();
    let count = points.len() / size;
    let data = Located {
        size,
        points: points.to_vec(),
        log_det: vec![0.0; count],
    };
    let mut distribution = Distribution::new(&model, prior.clone());
    distribution.fit(&data, &vec![1.0; count], 1.0).unwrap();
    distribution
}

/// `−log q` of each point.
fn losses(distribution: &Distribution, points: &[f64]) -> Vec<f64> {
    let size = distribution.prior.space.points();
    let device = Device::flex();
    let chain = distribution.chain((&device, DType::F64)).unwrap();
    let context = context(size, &device, DType::F64);
    let (z, log_det) = chain.inverse(double(points, [size, 1]), &context).unwrap();
    let log_prior = distribution.start().log_density(&host(z));
    let log_q = log_prior.into_iter().zip(host(log_det));
    log_q.map(|(prior, det)| -prior - det).collect()
}

fn mean(values: &[f64]) -> f64 {
    values.iter().sum::<f64>() / values.len() as f64
}

/// Coordinates of an uneven normal, a bimodal and a threefold circular distribution, with their log-densities.
fn independent(seed: u64, [first, second]: [[f64; 2]; 2]) -> (Vec<f64>, Vec<f64>) {
    let mut random = ChaCha8Rng::seed_from_u64(seed);
    let noise = normal(2 * COUNT, seed);
    let gauss = |z: f64, mean: f64, deviation: f64| {
        let z = (z - mean) / deviation;
        (-0.5 * z * z).exp() / (deviation * TAU.sqrt())
    };
    let (mut points, mut log_p) = (Vec::new(), Vec::new());
    for noise in noise.chunks(2) {
        let z = 0.5 + 0.7 * noise[0];
        let w = if random.random::<f64>() < 0.3 {
            -1.0 + 0.5 * noise[1]
        } else {
            2.0 + 0.8 * noise[1]
        };
        let circular = |u: f64| 1.0 + 0.9 * (3.0 * TAU * u).cos();
        let u = loop {
            let u: f64 = random.random();
            if random.random::<f64>() * 1.9 < circular(u) {
                break u;
            }
        };
        let widths = [first, second].map(|[a, b]| b - a);
        points.extend([(z - first[0]) / widths[0], (w - second[0]) / widths[1], u]);
        let bimodal = 0.3 * gauss(w, -1.0, 0.5) + 0.7 * gauss(w, 2.0, 0.8);
        let density = gauss(z, 0.5, 0.7) * bimodal * circular(u);
        log_p.push((density * widths[0] * widths[1]).ln());
    }
    (points, log_p)
}

#[test]
fn independent_coordinates_cost_their_entropy() {
    let bounds = [[-5.0, 5.0], [-4.5, 6.5]];
    let prior = prior(&bounds, 1);
    let (learnt, _) = independent(1, bounds);
    let (other, log_p) = independent(2, bounds);
    for dependence in [Dependence::Independent, Dependence::Copula] {
        let found = losses(&fitted(dependence, &prior, &learnt), &other);
        // Above the entropy by no more than half a nat for each number found, and what a histogram lacks.
        let excess: Vec<f64> = found.iter().zip(&log_p).map(|(a, b)| a + b).collect();
        let excess = mean(&excess);
        assert!((-0.003..0.02).contains(&excess), "{dependence:?}: {excess}");
    }
}

#[test]
fn a_copula_recovers_a_correlated_normal_distribution() {
    let prior = prior(&[[-6.0, 6.0]; 3], 0);
    // x = A z, each of unit variance.
    let rows = [[1.0, 0.0, 0.0], [0.8, 0.6, 0.0], [-0.48, 0.36, 0.8]];
    let draw = |seed| {
        let noise = normal(3 * COUNT, seed);
        let mut points = Vec::new();
        let mut log_p = Vec::new();
        for z in noise.chunks(3) {
            points.extend(rows.iter().map(|row| {
                let x: f64 = row.iter().zip(z).map(|(a, z)| a * z).sum();
                (x + 6.0) / 12.0
            }));
            let squares: f64 = z.iter().map(|z| z * z).sum();
            // In units of the intervals.
            let determinant = 0.6_f64 * 0.8;
            log_p.push(-0.5 * squares - 1.5 * TAU.ln() - determinant.ln() + 3.0 * 12.0_f64.ln());
        }
        (points, log_p)
    };
    let ((learnt, _), (other, log_p)) = (draw(1), draw(2));
    let [copula, independent] = [Dependence::Copula, Dependence::Independent]
        .map(|dependence| fitted(dependence, &prior, &learnt));
    let entropy = -mean(&log_p);
    let excess = mean(&losses(&copula, &other)) - entropy;
    assert!((-0.003..0.02).contains(&excess), "{excess}");
    // What coordinates have in common, −½ ln det R.
    let common = mean(&losses(&independent, &other)) - mean(&losses(&copula, &other));
    let expected = -(0.6_f64 * 0.8).ln();
    assert!((common - expected).abs() < 0.03, "{common}");
    let factor = DMatrix::from_row_slice(3, 3, &copula.factor);
    let correlation = &factor * factor.transpose();
    for (i, a) in rows.iter().enumerate() {
        for (j, b) in rows.iter().enumerate() {
            let expected: f64 = a.iter().zip(b).map(|(a, b)| a * b).sum();
            assert!((correlation[(i, j)] - expected).abs() < 0.02, "{i} {j}");
        }
    }
}

#[test]
fn a_density_integrates_to_one_and_is_nowhere_zero_also_where_there_are_no_data() {
    let prior = prior(&[[-3.0, 4.0]], 1);
    // All within a tenth of the whole.
    let noise = normal(400, 6);
    let points: Vec<f64> = noise
        .iter()
        .map(|z| 0.5 + 0.02 * z.clamp(-2.5, 2.5))
        .collect();
    let cells = 400;
    let middle = |k: usize| (k as f64 + 0.5) / f64::from(cells);
    let grid: Vec<f64> = (0..cells as usize)
        .flat_map(|i| (0..cells as usize).flat_map(move |j| [i, j]))
        .map(middle)
        .collect();
    for dependence in [Dependence::Independent, Dependence::Copula] {
        let found = losses(&fitted(dependence, &prior, &points), &grid);
        assert!(found.iter().all(|loss| loss.is_finite()));
        let mass = found.iter().map(|loss| (-loss).exp()).sum::<f64>();
        let mass = mass / f64::from(cells * cells);
        assert!((mass - 1.0).abs() < 0.01, "{dependence:?}: {mass}");
    }
}

#[test]
fn without_data_it_is_the_prior() {
    let prior = prior(&[[-3.0, 4.0], [-5.0, 5.0]], 2);
    let samples = boltzflow_flow::Samples::consecutive(3, 0..100);
    let points = prior.sample(&samples);
    let log_p = prior.log_density(&points);
    for dependence in [Dependence::Independent, Dependence::Copula] {
        let found = losses(&fitted(dependence, &prior, &[]), &points);
        for (loss, log_p) in found.iter().zip(&log_p) {
            assert!(
                (loss + log_p).abs() < 0.1,
                "{dependence:?}: {loss}, {log_p}"
            );
        }
    }
}
