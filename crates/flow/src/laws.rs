//! The laws of the flows of this crate, in double precision.

mod through_solve;

use burn::tensor::{DType, Device, Int, Tensor};
use rand::RngExt;
use rand_distr::StandardNormal;

use crate::field::laws::{assert_gradient_in_parameters, assert_like_points_may_change_places};
use crate::ode::Steps;
use crate::parameters::{flatten, gradients, unflatten};
use crate::random::{Purpose, stream};
use crate::testing::{assert_equivariant, assert_lawful, largest, points as draw};
use crate::*;

pub(crate) const POINTS: usize = 5;

pub(crate) fn context(pair_features: bool, batch: usize) -> Context {
    let device = Device::flex();
    let ramp = |count: usize| {
        (0..count)
            .map(|i| (i as f64 * 0.7).sin())
            .collect::<Vec<_>>()
    };
    let pairs = pair_features.then(|| {
        let mut values = vec![0.0; POINTS * POINTS];
        for i in 0..POINTS {
            for j in 0..POINTS {
                values[i * POINTS + j] = ((i + j) as f64).cos() + (i * j) as f64 * 0.1;
            }
        }
        divergence::tensor(values, [1, POINTS, POINTS, 1], &device, DType::F64)
    });
    Context {
        nodes: divergence::tensor(ramp(POINTS * 2), [1, POINTS, 2], &device, DType::F64),
        pairs,
        kinds: Some(kinds()),
        distances: pair_features.then(distances),
        global: None,
        samples: Samples::consecutive(3, 0..batch as u64),
    }
}

/// The number of kinds that [`kinds`] tells apart.
pub(crate) const KINDS: usize = 4;

/// Not symmetric in the two points of a pair, as kinds are not.
fn kinds() -> Tensor<1, Int> {
    let kinds = (0..POINTS * POINTS).map(|pair| ((pair * pair) % KINDS) as i64);
    Tensor::from_data(kinds.collect::<Vec<_>>().as_slice(), &Device::flex())
}

/// Symmetric in the two points of a pair, as distances are.
fn distances() -> Distances {
    let values = |least: f64| -> Vec<f64> {
        (0..POINTS * POINTS)
            .map(|pair| (pair % POINTS, pair / POINTS))
            .map(|(i, j)| {
                if i == j {
                    0.0
                } else {
                    least + ((i + j) as f64 * 0.6).sin().powi(2)
                }
            })
            .collect()
    };
    let of = |least| {
        let shape = [1, POINTS, POINTS, 1];
        divergence::tensor(values(least), shape, &Device::flex(), DType::F64)
    };
    Distances {
        mean: of(1.0),
        variance: of(0.1),
    }
}

fn network(layers: usize, pair_features: usize, edges: Edges) -> Egnn {
    shaken(layers, pair_features, edges, 0.3)
}

/// A network whose initial weights are moved by normal noise: away from the start near zero, so that every path through it counts.
fn shaken(layers: usize, pair_features: usize, edges: Edges, noise: f32) -> Egnn {
    let mut random = stream(11, Purpose::Parameters, layers as u64);
    let device = Device::flex();
    let mut make = Initializer {
        random: &mut random,
        device: &device,
        dtype: DType::F64,
    };
    let config = EgnnConfig {
        width: 8,
        layers,
        node_features: 2,
        pair_features,
        pair_kinds: KINDS,
        global_features: 0,
        channels: if pair_features > 0 { 3 } else { 1 },
        edges,
        schedule: Schedule { rate: 1.5 },
    };
    let egnn = Egnn::new(&config, &mut make);
    let values: Vec<f32> = flatten(&egnn)
        .iter()
        .map(|w| w + noise * random.sample::<f32, _>(StandardNormal))
        .collect();
    unflatten(egnn, &values)
}

pub(crate) fn space(dims: usize) -> Space {
    Space::MeanFree {
        points: POINTS,
        dims,
    }
}

pub(crate) fn points(batch: usize, dims: usize) -> Points {
    draw(space(dims), batch, 5)
}

pub(crate) fn cloud(values: Vec<f64>, points: usize, dims: usize) -> Points {
    let batch = values.len() / (points * dims);
    divergence::tensor(values, [batch, points, dims], &Device::flex(), DType::F64)
}

fn flow(dims: usize, divergence: Divergence, count: usize) -> Chain<Layer> {
    let solver = Solver {
        method: Method::Rk4,
        steps: Steps::Fixed { count },
        divergence,
    };
    let field = Field::Egnn(shaken(3, 1, Edges::Initial, 0.05));
    let continuous = Continuous {
        field,
        space: space(dims),
        solver,
    };
    let scale = Affine::new(space(dims), 1.7).unwrap();
    Chain::new(vec![Layer::Continuous(continuous), Layer::Affine(scale)]).unwrap()
}

/// The largest difference, relative to the largest value.
pub(crate) fn apart(a: Points, b: Points) -> f64 {
    largest(a - b.clone()) / largest(b).max(1.0)
}

#[test]
fn the_structured_divergence_is_the_trace_of_the_jacobian() {
    let sizes = (1..=4).flat_map(|layers| [(layers, 2), (layers, 3)]);
    for (layers, dims) in sizes {
        for edges in [Edges::Updated, Edges::Initial] {
            let (egnn, x) = (network(layers, 1, edges), points(3, dims));
            let context = context(true, 3);
            let t = Tensor::full([3], 0.4, (&Device::flex(), DType::F64));
            let (v, exact) = egnn
                .structured_divergence(t.clone(), x.clone(), &context)
                .unwrap();
            let (w, trace) = by_coordinates(&egnn, t, &x, &context);
            assert!(apart(v, w) < 1e-12);
            let off = largest(exact - trace.clone()) / largest(trace).max(1.0);
            assert!(
                off < 1e-12,
                "{layers} layers, {dims} dimensions, {edges:?}: {off:e}"
            );
        }
    }
}

#[test]
fn a_continuous_flow_is_lawful_and_equivariant() {
    for dims in [2, 3] {
        let (flow, x, context) = (
            flow(dims, Divergence::Exact, 80),
            points(2, dims),
            context(true, 2),
        );
        assert_lawful(&flow, x.clone(), &context, 2e-6).unwrap();
        assert_equivariant(&flow, x, &context, 1e-10).unwrap();
    }
}

#[test]
fn rotations_and_reflections_commute_with_the_field() {
    let (egnn, x, context) = (
        network(3, 1, Edges::Initial),
        points(2, 3),
        context(true, 2),
    );
    let t = || Tensor::full([2], 0.7, (&Device::flex(), DType::F64));
    let (s, c) = 0.8_f64.sin_cos();
    let rotation = [c, -s, 0.0, s, c, 0.0, 0.0, 0.0, 1.0];
    let reflection = [1.0, 0.0, 0.0, 0.0, -1.0, 0.0, 0.0, 0.0, 1.0];
    for matrix in [rotation, reflection] {
        let matrix = divergence::tensor(matrix.to_vec(), [1, 3, 3], &Device::flex(), DType::F64);
        let turned = egnn
            .velocity(
                t(),
                Dual::constant(x.clone().matmul(matrix.clone())),
                &context,
            )
            .value;
        let v = egnn
            .velocity(t(), Dual::constant(x.clone()), &context)
            .value;
        assert!(apart(turned, v.matmul(matrix)) < 1e-12);
    }
}

#[test]
fn translations_leave_the_field_unchanged_and_mean_free() {
    let (egnn, x, context) = (
        network(3, 1, Edges::Initial),
        points(2, 3),
        context(true, 2),
    );
    let t = || Tensor::full([2], 0.7, (&Device::flex(), DType::F64));
    let v = egnn
        .velocity(t(), Dual::constant(x.clone()), &context)
        .value;
    let shifted = egnn.velocity(t(), Dual::constant(x + 3.0), &context).value;
    assert!(apart(shifted, v.clone()) < 1e-11);
    assert!(largest(v.clone().sum_dim(1)) < 1e-13 * largest(v));
}

#[test]
fn like_points_may_change_places() {
    assert_like_points_may_change_places(&network(3, 0, Edges::Updated));
}

#[test]
fn displacements_are_spread_by_kind() {
    // Kinds tell the first two points from the others, and a point's pair with itself from others.
    let pairs = (0..POINTS * POINTS).map(|pair| (pair / POINTS, pair % POINTS));
    let kinds: Vec<i64> = pairs
        .map(|(i, j)| 2 * i64::from(j > 1) + i64::from(i == j))
        .collect();
    let (egnn, x) = (network(3, 1, Edges::Initial), points(2, 3));
    let mut context = context(true, 2);
    context.kinds = Some(Tensor::from_data(kinds.as_slice(), &Device::flex()));
    context.nodes = context.nodes.ones_like();
    context.pairs = context.pairs.map(|pairs| pairs.ones_like());
    context.distances = None;
    let t = || Tensor::full([2], 0.7, (&Device::flex(), DType::F64));
    let exchanged = |order: [i64; POINTS]| {
        let order = Tensor::<1, Int>::from_data(order, &Device::flex());
        let v = egnn.velocity(t(), Dual::constant(x.clone()), &context);
        let permuted = Dual::constant(x.clone().select(1, order.clone()));
        let w = egnn.velocity(t(), permuted, &context);
        apart(w.value, v.value.select(1, order))
    };
    assert!(exchanged([1, 0, 2, 3, 4]) < 1e-12);
    assert!(exchanged([2, 1, 0, 3, 4]) > 1e-6);
}

#[test]
fn hutchinson_is_unbiased_and_fixed_by_sample_number() {
    let (egnn, x, context) = (
        network(2, 1, Edges::Updated),
        points(1, 3),
        context(true, 1),
    );
    let exact = host(Probes::Coordinates.evaluate(&egnn, 0.3, &x, &context).1)[0];
    for noise in [Noise::Rademacher, Noise::Gaussian] {
        let estimate = |number: u64, probes| {
            let samples = Samples {
                seed: 9,
                numbers: vec![number],
            };
            let probes = Divergence::Hutchinson { probes, noise }.probes(&x, &samples);
            host(probes.evaluate(&egnn, 0.3, &x, &context).1)[0]
        };
        assert_eq!(estimate(4, 3).to_bits(), estimate(4, 3).to_bits());
        let values: Vec<f64> = (0..400).map(|number| estimate(number, 4)).collect();
        let mean = values.iter().sum::<f64>() / 400.0;
        let variance = values.iter().map(|v| (v - mean).powi(2)).sum::<f64>() / 399.0;
        assert!(
            (mean - exact).abs() < 4.0 * (variance / 400.0).sqrt(),
            "{mean} against {exact}"
        );
    }
}

#[test]
fn gradients_are_differences_also_where_points_coincide() {
    let context = context(true, 2);
    let mut values = host(points(2, 3));
    values.copy_within(0..3, 3);
    let x = cloud(values, POINTS, 3);
    let directions = cloud((0..30).map(|i| f64::from(i).cos()).collect(), POINTS, 3);
    // A loss that holds a divergence: its gradient passes through values and tangents.
    let loss = |egnn: &Egnn| {
        let t = Tensor::full([2], 0.7, (&Device::flex(), DType::F64));
        let v = egnn.velocity(t, Dual::new(x.clone(), directions.clone()), &context);
        v.value.square().sum() + (v.tangents.unwrap() * directions.clone()).sum()
    };
    assert_gradient_in_parameters(&network(2, 1, Edges::Updated), loss);
}

#[test]
fn a_density_integrates_to_one() {
    // Two points in the plane; only their distance matters: q(d) 2πd integrates to one over the relative coordinate.
    let mut random = stream(2, Purpose::Parameters, 0);
    let device = Device::flex();
    let mut make = Initializer {
        random: &mut random,
        device: &device,
        dtype: DType::F64,
    };
    let config = EgnnConfig {
        width: 8,
        layers: 2,
        node_features: 1,
        pair_features: 0,
        pair_kinds: 0,
        global_features: 0,
        channels: 1,
        edges: Edges::Initial,
        schedule: Schedule::default(),
    };
    let egnn = Egnn::new(&config, &mut make);
    let values: Vec<f32> = flatten(&egnn).iter().map(|w| w * 1.2).collect();
    let solver = Solver {
        method: Method::Rk4,
        steps: Steps::Fixed { count: 20 },
        divergence: Divergence::Exact,
    };
    let flow = Continuous {
        field: Field::Egnn(unflatten(egnn, &values)),
        space: Space::MeanFree { points: 2, dims: 2 },
        solver,
    };
    let grid: Vec<f64> = (0..2000).map(|i| (f64::from(i) + 0.5) * 5e-3).collect();
    let context = Context {
        nodes: Tensor::ones([1, 2, 1], (&device, DType::F64)),
        pairs: None,
        kinds: None,
        distances: None,
        global: None,
        samples: Samples::consecutive(0, 0..2000),
    };
    // Mean-free coordinate u = (d/√2, 0), |u| = r.
    let y: Vec<f64> = grid
        .iter()
        .flat_map(|r| [r / 2_f64.sqrt(), 0.0, -r / 2_f64.sqrt(), 0.0])
        .collect();
    let (x, log_det) = flow.inverse(cloud(y, 2, 2), &context).unwrap();
    let log_prior = MeanFreeGaussian { points: 2, dims: 2 }.log_density(&host(x));
    let total: f64 = grid
        .iter()
        .zip(log_prior.iter().zip(host(log_det)))
        .map(|(r, (p, l))| (p + l).exp() * std::f64::consts::TAU * r * 5e-3)
        .sum();
    assert!(
        (total - 1.0).abs() < 1e-5,
        "the density integrates to {total}"
    );
}

#[test]
fn samples_do_not_depend_on_their_batch() {
    let flow = flow(3, Divergence::Exact, 2);
    let (all, log_det) = flow.forward(points(4, 3), &context(true, 4)).unwrap();
    let (one, own) = flow
        .forward(points(4, 3).slice(2..3), &context(true, 4).rows(2..3))
        .unwrap();
    assert_eq!(host(all.slice(2..3)), host(one));
    assert_eq!(host(log_det)[2].to_bits(), host(own)[0].to_bits());
}

#[test]
fn a_sample_that_runs_off_leaves_the_others_as_they_are() {
    let (flow, context) = (flow(3, Divergence::Exact, 2), context(true, 3));
    let sound = points(3, 3);
    let (all, log_det) = flow.forward(sound.clone(), &context).unwrap();
    let mut values = host(sound);
    values[3 * POINTS] = f64::NAN;
    let (found, found_log_det) = flow.forward(cloud(values, POINTS, 3), &context).unwrap();
    let (all, found) = (host(all), host(found));
    let (log_det, found_log_det) = (host(log_det), host(found_log_det));
    for sample in [0, 2] {
        let own = sample * 3 * POINTS..(sample + 1) * 3 * POINTS;
        assert_eq!(all[own.clone()], found[own]);
        assert_eq!(log_det[sample].to_bits(), found_log_det[sample].to_bits());
    }
    assert!(found[3 * POINTS].is_nan() && found_log_det[1].is_nan());
}

#[test]
fn adaptive_steps_end_where_a_sample_runs_off() {
    let flow = flow(3, Divergence::Exact, 2);
    let Layer::Continuous(continuous) = &flow.layers()[0] else {
        panic!("the first map is continuous")
    };
    let tolerance = ode::Tolerance {
        absolute: 1e-6,
        relative: 1e-6,
    };
    let solver = Solver {
        method: Method::Tsit5,
        steps: Steps::Adaptive {
            tolerance,
            limit: 1000,
        },
        divergence: Divergence::Exact,
    };
    let adaptive = Continuous {
        solver,
        ..continuous.clone()
    };
    let mut values = host(points(2, 3));
    values[0] = f64::NAN;
    let found = adaptive.forward(cloud(values, POINTS, 3), &context(true, 2));
    assert_eq!(
        found.unwrap_err(),
        FlowError::Solve(ode::SolveError::NotFinite { t: 0.0 })
    );
}

#[test]
fn transport_is_the_forward_map() {
    let flow = flow(3, Divergence::Exact, 4);
    let Layer::Continuous(continuous) = &flow.layers()[0] else {
        panic!("the first map is continuous")
    };
    let (y, _) = continuous.forward(points(2, 3), &context(true, 2)).unwrap();
    assert!(
        apart(
            continuous
                .transport(points(2, 3), &context(true, 2))
                .unwrap(),
            y
        ) < 1e-12
    );
}
