//! What densities of clouds say of positions.

use approx::assert_relative_eq;

use super::*;
use crate::testing::{cloud, integral};

const KINDS: [(Reference, Elementwise); 4] = [
    (Reference::Vector, SPLINE),
    (Reference::Vector, Elementwise::Affine),
    (Reference::Spherical, SPLINE),
    (Reference::Projected, SPLINE),
];

/// A flow of few atoms, from normal positions and auxiliary points around them.
struct Small {
    flow: Chain<Layer>,
    prior: AugmentedPrior<MeanFreeGaussian>,
    atoms: usize,
    dims: usize,
}

impl Small {
    fn new(atoms: usize, dims: usize, reference: Reference, map: Elementwise) -> Self {
        let auxiliary = Auxiliary::new(atoms, dims, 0.8).unwrap();
        let gaussian = MeanFreeGaussian {
            points: atoms,
            dims,
        };
        let flow = made(3, auxiliary.space(), &config(reference, map), DType::F64).unwrap();
        Self {
            flow: shaken(flow, 0.06),
            prior: AugmentedPrior::new(gaussian, auxiliary).unwrap(),
            atoms,
            dims,
        }
    }

    /// `log q` of clouds.
    fn log_density(&self, clouds: Points) -> Vec<f64> {
        let context = context(self.atoms, clouds.dims()[0]);
        let (latent, log_det) = self.flow.inverse(clouds, &context).unwrap();
        let log_prior = self.prior.log_density(&host(latent));
        let pairs = log_prior.iter().zip(host(log_det));
        pairs.map(|(p, log_det)| p + log_det).collect()
    }

    fn of_slice(&self, clouds: &[f64]) -> Vec<f64> {
        self.log_density(cloud(clouds.to_vec(), 2 * self.atoms, self.dims))
    }
}

#[test]
fn densities_integrate_to_one() {
    // An atom in the plane or in space, and two on a line: all that a grid can hold.
    for (reference, map) in KINDS {
        let mut sizes = vec![(1, 2, 8.0, 160), (1, 3, 5.0, 48)];
        if reference != Reference::Spherical {
            sizes.extend([(1, 1, 8.0, 400), (2, 1, 6.0, 40)]);
        }
        for (atoms, dims, half_width, cells) in sizes {
            let small = Small::new(atoms, dims, reference, map);
            let mass = integral(small.flow.output(), half_width, cells, |x| {
                small.log_density(x)
            });
            assert_relative_eq!(mass, 1.0, epsilon = 2e-3);
        }
    }
}

#[test]
fn a_mean_of_density_ratios_is_one_where_bases_count() {
    // Three atoms in space: E_p[q/p] = 1 over a wider p.
    let draws = 4000;
    for (reference, map) in KINDS {
        let small = Small::new(3, 3, reference, map);
        let scale = 1.3;
        let wide = &small.prior;
        let latents = wide.sample(&Samples::consecutive(9, 0..draws));
        let log_scale = wide.space().dimension() as f64 * f64::ln(scale);
        let log_p = wide
            .log_density(&latents)
            .into_iter()
            .map(|p| p - log_scale);
        let clouds: Vec<f64> = latents.iter().map(|x| x * scale).collect();
        let ratios = small.of_slice(&clouds).into_iter().zip(log_p);
        let ratios: Vec<f64> = ratios.map(|(q, p)| (q - p).exp()).collect();
        let mean = ratios.iter().sum::<f64>() / draws as f64;
        let variance = ratios.iter().map(|r| (r - mean).powi(2)).sum::<f64>() / draws as f64;
        let error = (variance / draws as f64).sqrt();
        assert!(error < 0.1, "{reference:?}: {error}");
        assert!(
            (mean - 1.0).abs() < 4.0 * error,
            "{reference:?}: {mean} ± {error}"
        );
    }
}

#[test]
fn the_prior_has_the_density_that_it_draws_from() {
    let small = Small::new(3, 2, Reference::Vector, SPLINE);
    let prior = &small.prior;
    // E|x|² = D (N − 1), E|a − x|² = η² D N.
    let draws = 20_000;
    let [mut positions, mut offsets] = [0.0; 2];
    for number in 0..draws {
        let cloud = prior.draw(4, number);
        assert_relative_eq!(cloud.iter().step_by(2).sum::<f64>(), 0.0, epsilon = 1e-13);
        let x = prior.auxiliary().part(&cloud);
        positions += x.iter().map(|x| x * x).sum::<f64>() / draws as f64;
        let pairs = cloud[..6].iter().zip(&cloud[6..]);
        offsets += pairs.map(|(x, a)| (a - x).powi(2)).sum::<f64>() / draws as f64;
    }
    for (found, mean, freedom) in [(positions, 4.0, 4.0), (offsets, 0.64 * 6.0, 6.0)] {
        let error = mean * f64::sqrt(2.0 / freedom / draws as f64);
        assert_relative_eq!(found, mean, epsilon = 5.0 * error);
    }
    let small = AugmentedPrior::new(
        MeanFreeGaussian { points: 2, dims: 1 },
        Auxiliary::new(2, 1, 0.8).unwrap(),
    )
    .unwrap();
    let mass = integral(small.space(), 8.0, 64, |x| small.log_density(&host(x)));
    assert_relative_eq!(mass, 1.0, epsilon = 1e-10);
}

#[test]
fn tensors_and_slices_have_the_same_density_and_its_gradient_is_its_slope() {
    let small = Small::new(3, 2, Reference::Vector, SPLINE);
    let x = points(small.prior.space(), 3, 5);
    let by_tensor = host(small.prior.log_density_tensor(x.clone()));
    for (by_slice, by_tensor) in small
        .prior
        .log_density(&host(x.clone()))
        .iter()
        .zip(by_tensor)
    {
        assert_relative_eq!(*by_slice, by_tensor, epsilon = 1e-13);
    }
    assert_gradient_is_slope(|x| small.prior.log_density_tensor(x), x, 1e-9);
}

#[test]
fn an_exact_flow_gives_equal_weights() {
    // The target is what the flow makes of its prior's positions, and the flow is the identity on clouds scaled by s: u(x) = −log p(x/s) + d ln s.
    let (atoms, dims, s) = (5, 3, 1.7);
    let latent = Auxiliary::new(atoms, dims, 0.6).unwrap();
    let target = Auxiliary::new(atoms, dims, 0.6 * s).unwrap();
    let gaussian = MeanFreeGaussian {
        points: atoms,
        dims,
    };
    let prior = AugmentedPrior::new(gaussian, latent).unwrap();
    let latents = prior.sample(&Samples::consecutive(1, 0..20));
    let scale = crate::Affine::new(prior.space(), s).unwrap();
    let log_q: Vec<f64> = prior
        .log_density(&latents)
        .iter()
        .map(|p| p - scale.log_det())
        .collect();
    let clouds: Vec<f64> = latents.iter().map(|x| x * s).collect();
    let energies: Vec<f64> = latents
        .chunks(2 * atoms * dims)
        .map(|cloud| -gaussian.log_density_of(&latent.part(cloud)))
        .collect();
    let log_z = gaussian.space().dimension() as f64 * f64::ln(s);
    for log_weight in target.log_weights(&clouds, &log_q, &energies) {
        assert_relative_eq!(log_weight, log_z, epsilon = 1e-11);
    }
}

#[test]
fn marginals_converge_to_the_integral_over_auxiliary_points() {
    for (reference, map) in [(Reference::Vector, SPLINE), (Reference::Projected, SPLINE)] {
        // Two atoms on a line at ±r/√2, whose auxiliary points fill a plane.
        let small = Small::new(2, 1, reference, map);
        let auxiliary = small.prior.auxiliary();
        let x = [0.6, -0.6];
        let plane = Space::Free { points: 2, dims: 1 };
        let exact = integral(plane, 8.0, 400, |offsets| {
            let clouds = host(offsets)
                .chunks(2)
                .flat_map(|offset| {
                    let cloud = [x[0], x[1], x[0] + offset[0], x[1] + offset[1]];
                    let mean = cloud.iter().sum::<f64>() / 4.0;
                    cloud.map(|x| x - mean)
                })
                .collect::<Vec<f64>>();
            let log_q = small.of_slice(&clouds);
            log_q
                .into_iter()
                .map(|q| q - auxiliary.log_volume())
                .collect()
        });
        let samples = Samples {
            seed: 5,
            numbers: vec![7],
        };
        let estimate = |count| {
            let log_q = |clouds: &[f64]| Ok::<_, FlowError>(small.of_slice(clouds));
            auxiliary.log_marginal(&x, &samples, count, log_q).unwrap()[0]
        };
        for count in [100, 1000, 10_000] {
            let Marginal {
                log_density,
                standard_error,
            } = estimate(count);
            let off = (log_density - exact.ln()).abs();
            assert!(
                off < 4.0 * standard_error,
                "{count} draws: {log_density} ± {standard_error} instead of {}",
                exact.ln()
            );
        }
        let errors = [estimate(100), estimate(10_000)].map(|found| found.standard_error);
        assert_relative_eq!(errors[0] / errors[1], 10.0, epsilon = 5.0);
        assert!(estimate(1).standard_error.is_infinite());
    }
}

#[test]
fn the_marginal_of_the_prior_has_no_error() {
    let small = Small::new(4, 3, Reference::Vector, SPLINE);
    let gaussian = MeanFreeGaussian { points: 4, dims: 3 };
    let x = gaussian.sample(&Samples::consecutive(2, 0..3));
    let samples = Samples::consecutive(8, 0..3);
    let prior = &small.prior;
    let found = prior.auxiliary().log_marginal(&x, &samples, 5, |clouds| {
        Ok::<_, FlowError>(prior.log_density(clouds))
    });
    for (found, exact) in found.unwrap().iter().zip(gaussian.log_density(&x)) {
        assert_relative_eq!(found.log_density, exact, epsilon = 1e-12);
        assert!(found.standard_error < 1e-12);
    }
}

#[test]
fn draws_of_a_sample_do_not_depend_on_the_others_nor_on_how_many_there_are() {
    let auxiliary = Auxiliary::new(2, 2, 0.5).unwrap();
    let x: Vec<f64> = vec![1.0, 0.0, -1.0, 0.0, 0.0, 2.0, 0.0, -2.0];
    let drawn = |x: &[f64], numbers: Vec<u64>, count| {
        let mut clouds = Vec::new();
        let samples = Samples { seed: 1, numbers };
        let log_q = |found: &[f64]| {
            clouds.push(found.to_vec());
            Ok::<_, FlowError>(vec![0.0; count])
        };
        auxiliary.log_marginal(x, &samples, count, log_q).unwrap();
        clouds
    };
    let (all, one) = (drawn(&x, vec![3, 9], 5), drawn(&x[4..], vec![9], 2));
    assert_eq!(all[1][..16], one[0]);
    assert_ne!(all[0], all[1]);
}

#[test]
fn an_auxiliary_distribution_is_read_back_as_written_and_checked_again() {
    let auxiliary = Auxiliary::new(4, 3, 0.5).unwrap();
    let text = serde_json::to_string(&auxiliary).unwrap();
    assert_eq!(text, r#"{"points":4,"dims":3,"scale":0.5}"#);
    assert_eq!(serde_json::from_str::<Auxiliary>(&text).unwrap(), auxiliary);
    let refused = serde_json::from_str::<Auxiliary>(&text.replace("0.5", "0.0")).unwrap_err();
    assert_eq!(
        refused.to_string(),
        "a scale must be positive and finite, but 0 was given"
    );
    let other = MeanFreeGaussian { points: 5, dims: 3 };
    assert_eq!(
        AugmentedPrior::new(other, auxiliary)
            .unwrap_err()
            .to_string(),
        "auxiliary points of the mean-free space of 4 points in 3 dimensions were given for positions of the mean-free space of 5 points \
         in 3 dimensions"
    );
}
