use boltzflow_flow::parameters::gradients;
use boltzflow_flow::{Elementwise, Reference};

use super::*;
use crate::config::{Alike, Objective, TrainingConfig};
use crate::model::{Architecture, Density, FlowArchitecture, Mirror, Model, Terms};
use crate::temperatures::TrainingData;
use crate::testing::{assert_same_bits, energy_after, normal, state, training};
use crate::training::Training;

const SPLINE: Elementwise = Elementwise::Spline { bins: 4 };
const KINDS: [(Reference, Elementwise); 4] = [
    (Reference::Vector, Elementwise::Affine),
    (Reference::Vector, SPLINE),
    (Reference::Spherical, SPLINE),
    (Reference::Projected, SPLINE),
];
/// Of the data.
const SCALE: f64 = 1.5;

fn config((coupling, map): (Reference, Elementwise)) -> AugmentedConfig {
    AugmentedConfig {
        coupling,
        map,
        layers: 3,
        width: 8,
        rounds: 2,
        channels: 3,
        spread: 0.7,
        alike: Alike::Symmetric,
    }
}

/// A flow of this many points in the plane or in space, whose parameters are moved by noise of this width from where they start.
fn model(kind: (Reference, Elementwise), [points, dims]: [usize; 2], width: f64) -> Model {
    let architecture = Architecture {
        features: Features::cluster(points, dims),
        flow: FlowArchitecture::Augmented(Augmented {
            model: config(kind),
            scale: SCALE,
        }),
    };
    let model = Model::new(architecture, 1, &Device::flex()).unwrap();
    let parameters = model.parameters();
    let moved = parameters.iter().zip(normal(parameters.len(), 3));
    let moved: Vec<f32> = moved.map(|(p, noise)| p + (width * noise) as f32).collect();
    model.with_parameters(&moved)
}

fn flow(model: &Model) -> &AugmentedFlow {
    model.flow().augmented().unwrap()
}

/// The clouds of some samples.
fn clouds(model: &Model, samples: &Samples) -> Vec<f64> {
    let flow = flow(model);
    let z = flow.batch(&flow.latents(samples));
    host(flow.chain.forward(z, &flow.context).unwrap().0)
}

fn log_ratios(model: &Model, clouds: &[f64]) -> Vec<f64> {
    let flow = flow(model);
    host(flow.log_ratios(&flow.chain, clouds).unwrap())
}

#[test]
fn samples_have_the_joint_density_that_they_are_given() {
    for kind in KINDS {
        for shape in [[4, 2], [3, 3]] {
            let model = model(kind, shape, 0.1);
            assert_eq!(model.architecture().density(), Density::Joint);
            let samples = Samples::consecutive(3, 0..6);
            let drawn = model.sample(&samples).unwrap();
            let found = log_ratios(&model, &clouds(&model, &samples));
            for (drawn, found) in drawn.log_q().into_iter().zip(found) {
                let off = (drawn - found).abs();
                assert!(off < 1e-4, "{kind:?}: {drawn} and {found}");
            }
        }
    }
}

#[test]
fn samples_do_not_depend_on_their_batch() {
    let model = model(KINDS[2], [4, 2], 0.1);
    let all = model.sample(&Samples::consecutive(3, 0..5)).unwrap();
    let one = model.sample(&Samples::consecutive(3, 3..4)).unwrap();
    assert_eq!(all.select(&[3]), one);
    let positions = &all.positions;
    let all = model.density(positions, &Samples::consecutive(7, 0..5));
    let one = model.density(&positions[24..32], &Samples::consecutive(7, 3..4));
    assert_eq!(all.unwrap().select(&[3]), one.unwrap());
}

#[test]
fn like_points_may_change_places_and_mirror_images_are_alike_where_that_is_said() {
    for kind in KINDS {
        let model = model(kind, [4, 2], 0.1);
        let clouds = clouds(&model, &Samples::consecutive(5, 0..4));
        let expected = log_ratios(&model, &clouds);
        let apart = |edit: &dyn Fn(&[f64]) -> Vec<f64>| {
            let edited: Vec<f64> = clouds.chunks(16).flat_map(edit).collect();
            let found = log_ratios(&model, &edited).into_iter();
            let pairs = found.zip(&expected);
            pairs.map(|(a, b)| (a - b).abs()).fold(0.0, f64::max)
        };
        // Atoms with their auxiliary points.
        let off = apart(&|cloud| {
            let order = [2, 0, 3, 1, 6, 4, 7, 5];
            let points = order.iter().flat_map(|&k| &cloud[2 * k..2 * k + 2]);
            points.copied().collect()
        });
        assert!(off < 1e-4, "{kind:?}: {off}");
        let off = apart(&|cloud| {
            let points = cloud.chunks(2).flat_map(|point| [-point[0], point[1]]);
            points.collect()
        });
        let mirror = model.architecture().mirror();
        assert_eq!(off < 1e-4, mirror == Mirror::Both, "{kind:?}: {off}");
    }
    let of_a_line = model((Reference::Projected, SPLINE), [4, 1], 0.1);
    assert_eq!(of_a_line.architecture().mirror(), Mirror::Both);
}

/// `½ |x|²/s²` with `s` the data's scale, and `ln Z` of that.
fn harmonic(x: &[f64], freedom: f64) -> [f64; 2] {
    let square: f64 = x.iter().map(|x| x * x).sum();
    let log_z = 0.5 * freedom * (std::f64::consts::TAU * SCALE * SCALE).ln();
    [0.5 * square / (SCALE * SCALE), log_z]
}

/// That the mean of numbers is 1, within four standard errors, which are small.
fn assert_average_is_one(values: &[f64], what: &str) {
    let n = values.len() as f64;
    let mean = values.iter().sum::<f64>() / n;
    let squares: f64 = values.iter().map(|value| (value - mean).powi(2)).sum();
    let error = (squares / n / (n - 1.0)).sqrt();
    assert!(error < 0.05, "{what}: ± {error}");
    assert!((mean - 1.0).abs() < 4.0 * error, "{what}: {mean} ± {error}");
}

#[test]
fn weights_on_the_joint_space_are_unbiased() {
    for kind in KINDS {
        for (shape, freedom) in [([3, 2], 4.0), ([2, 3], 3.0)] {
            let model = model(kind, shape, 0.03);
            let drawn = model.sample(&Samples::consecutive(1, 0..2000)).unwrap();
            let each = drawn.positions.chunks(6).zip(drawn.log_q());
            let weights = each.map(|(x, log_q)| {
                let [u, log_z] = harmonic(x, freedom);
                (-u - log_q - log_z).exp()
            });
            assert_average_is_one(&weights.collect::<Vec<_>>(), &format!("{kind:?}"));
        }
    }
}

#[test]
fn averages_over_auxiliary_points_are_a_density_of_positions() {
    for kind in KINDS {
        let model = model(kind, [3, 2], 0.03);
        // Normal positions of the data's scale, of which the density is known.
        let wide = MeanFreeGaussian { points: 3, dims: 2 };
        let samples = Samples::consecutive(8, 0..1500);
        let x: Vec<f64> = wide.sample(&samples).iter().map(|x| SCALE * x).collect();
        for draws in [1, 3] {
            let marginals = model.log_marginal(&x, &samples, draws).unwrap().unwrap();
            let each = x.chunks(6).zip(&marginals);
            let ratios = each.map(|(x, found)| {
                let [u, log_z] = harmonic(x, 4.0);
                (found.log_density + u + log_z).exp()
            });
            let what = format!("{kind:?} by {draws} draws");
            assert_average_is_one(&ratios.collect::<Vec<_>>(), &what);
        }
    }
}

#[test]
fn a_density_is_that_of_the_first_auxiliary_points() {
    let model = model(KINDS[3], [4, 2], 0.1);
    let samples = Samples::consecutive(6, 0..5);
    let positions = model.sample(&samples).unwrap().positions;
    let joint = model.density(&positions, &samples).unwrap();
    assert_eq!(joint.positions, positions);
    let marginals = model.log_marginal(&positions, &samples, 1).unwrap();
    for (joint, marginal) in joint.log_q().iter().zip(marginals.unwrap()) {
        assert!((joint - marginal.log_density).abs() < 1e-9);
        assert_eq!(marginal.standard_error, f64::INFINITY);
    }
    // Each draw more makes the mean likelihood larger, up to that of the positions.
    let mean = |draws| {
        let found = model.log_marginal(&positions, &samples, draws).unwrap();
        let found = found.unwrap().into_iter();
        found.map(|marginal| marginal.log_density).sum::<f64>() / 5.0
    };
    assert!(mean(100) > mean(1));
}

/// A hundredth of the harmonic energy.
fn potential(positions: &[f64]) -> Potential {
    let each = positions.chunks(8);
    Potential {
        energies: each.map(|x| 0.01 * harmonic(x, 6.0)[0]).collect(),
        forces: positions
            .iter()
            .map(|x| -0.01 * x / (SCALE * SCALE))
            .collect(),
    }
}

#[test]
fn the_gradient_along_paths_is_the_slope_of_the_divergence_without_the_part_that_has_no_mean() {
    const ALL: Terms = Terms {
        steepest: 1e9,
        own: 0.0,
    };
    for kind in KINDS {
        let model = model(kind, [4, 2], 0.03);
        let samples = Samples::consecutive(5, 0..8);
        let latents = flow(&model).latents(&samples);
        let here = clouds(&model, &samples);
        let maps = flow(&model).trainable();
        let found = flow(&model).reverse(&maps, &latents, ALL, potential);
        let found = found.unwrap();
        assert_eq!((found.cut, found.lost), (0, 0));
        // What is to be weighed is what samples are weighed by.
        let drawn = model.sample(&samples).unwrap();
        let pairs = drawn.positions.chunks(8).zip(drawn.log_q());
        for ((x, log_q), log_weight) in pairs.zip(&found.log_weights) {
            let expected = -potential(x).energies[0] - log_q;
            assert!((expected - log_weight).abs() < 1e-4, "{kind:?}");
        }
        let gradient = gradients(&maps, &found.surrogate.backward());
        let direction = normal(gradient.len(), 8);
        let slopes = gradient.iter().zip(&direction);
        let slope: f64 = slopes.map(|(g, v)| f64::from(*g) * v).sum();
        let step = 1e-4;
        let [above, below] = [step, -step].map(|step| {
            let pairs = model.parameters().into_iter().zip(&direction);
            let moved: Vec<f32> = pairs.map(|(p, v)| p + (step * v) as f32).collect();
            let moved = model.clone().with_parameters(&moved);
            let flow = flow(&moved);
            let reverse = flow.reverse(&flow.chain, &latents, ALL, potential);
            let fixed: f64 = log_ratios(&moved, &here).iter().sum();
            reverse.unwrap().value - fixed
        });
        let difference = (above - below) / (2.0 * step);
        let off = (difference - slope).abs();
        assert!(
            off < 0.03 * slope.abs().max(1.0),
            "{kind:?}: {difference} and {slope}"
        );
    }
}

/// A four-point system, and configurations of it.
fn dw4() -> (System, TrainingData) {
    let system = System::toy("dw4".parse().unwrap(), 1.0).unwrap();
    let noise = normal(60 * 8, 5);
    let start = system.start.positions();
    let positions = noise.chunks(8).flat_map(|noise| {
        let points = start.iter().zip(noise);
        points.map(|(x, noise)| x + 0.3 * noise)
    });
    let data = Conformers::new(4, 2, positions.collect());
    (system, TrainingData::at(data, 1.0))
}

fn few_steps(objective: Objective) -> TrainingConfig {
    TrainingConfig {
        steps: 30,
        // Pieces of 128 and 12 of the data, of 64, 64 and 12 samples.
        batch: 140,
        learning_rate: 5e-3,
        warm_up: 2,
        average: 0.5,
        validation: 0.25,
        validate_every: 15,
        ..training(objective)
    }
}

#[test]
fn every_coupling_learns_from_data_and_along_the_energy() {
    let (system, data) = dw4();
    for kind in KINDS {
        for objective in [Objective::Likelihood, energy_after(0)] {
            let config = few_steps(objective);
            let model = model(kind, [4, 2], 0.01);
            let mut training = Training::new(model, &config, &data, &system).unwrap();
            let losses = (0..30).filter_map(|_| training.advance().validation);
            let losses: Vec<f64> = losses.collect();
            let (first, last) = (losses[0], losses[1]);
            assert!(
                last < first,
                "{kind:?}, {objective:?}: {first}, then {last}"
            );
        }
    }
}

#[test]
fn a_training_gives_the_same_bits_on_any_number_of_threads_and_when_it_is_resumed() {
    let (system, data) = dw4();
    for objective in [Objective::Likelihood, energy_after(2)] {
        let config = few_steps(objective);
        let start =
            || Training::new(model(KINDS[2], [4, 2], 0.0), &config, &data, &system).unwrap();
        assert_same_bits(start, 6, &[3], state);
    }
}

#[test]
fn the_loss_of_data_is_that_of_their_joint_density() {
    let (_, data) = dw4();
    let model = model(KINDS[2], [4, 2], 0.05);
    let flow = flow(&model);
    let mut conformers = data.conformers.clone();
    conformers.center();
    let mut random = stream(1, Purpose::Training, 0);
    let clouds = flow.join(conformers.positions(), &mut random);
    let found = log_ratios(&model, &clouds);
    let auxiliary = flow.auxiliary();
    let z = flow.chain.inverse(flow.batch(&clouds), &flow.context);
    let (z, log_det) = z.unwrap();
    let latents = flow.prior.log_density(&host(z));
    let each = clouds.chunks(16).zip(latents).zip(host(log_det));
    for (((cloud, log_prior), log_det), found) in each.zip(found) {
        let zero = auxiliary.log_weights(cloud, &[log_prior + log_det], &[0.0]);
        assert!((zero[0] + found).abs() < 1e-8, "{zero:?} and {found}");
    }
}

#[test]
fn without_data_its_unit_is_that_of_the_start() {
    let (system, data) = dw4();
    let config = config(KINDS[0]);
    let none = Conformers::empty(4, 2);
    let found = Augmented::new(config, &system, &none);
    assert_eq!(found.scale, natural_scale(&system.start));
    let found = Augmented::new(config, &system, &data.conformers);
    assert_eq!(found.scale, natural_scale(&data.conformers));
}
