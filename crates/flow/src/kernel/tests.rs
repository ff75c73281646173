//! The laws of the kernel field, in double precision.

use burn::module::Module;
use burn::tensor::{DType, Device, Int, Tensor};
use rand::RngExt;
use rand_distr::StandardNormal;

use super::*;
use crate::bijection::host;
use crate::divergence::tensor;
use crate::laws::{KINDS, POINTS, apart, cloud, context, points, space};
use crate::ode::Steps;
use crate::parameters::{flatten, gradients, unflatten};
use crate::random::{Purpose, stream};
use crate::testing::{
    alike, assert_equivariant, assert_lawful, integral, largest, permuted, turned_by,
};
use crate::{
    Bijection, Continuous, Divergence, Field, MeanFreeGaussian, Method, Prior, Samples, Solver,
    Space, by_coordinates,
};

const PERCEPTRON: Profile = Profile::Perceptron {
    width: 6,
    layers: 2,
};

/// Few functions; `kinds` above 1 are for [`context`] with distances, 1 for points that are all alike.
fn config(profile: Profile, kinds: usize) -> KernelConfig {
    KernelConfig {
        profile,
        functions: 5,
        span: if kinds > 1 { [-2.0, 2.0] } else { [0.0, 4.0] },
        times: 3,
        pair_kinds: kinds,
        global_features: 0,
        schedule: Schedule { rate: 1.5 },
    }
}

/// A field whose initial weights are moved by normal noise: away from the start near zero, so that every path through it counts.
fn shaken(config: &KernelConfig, noise: f32) -> Kernel {
    let mut random = stream(11, Purpose::Parameters, 0);
    let device = Device::flex();
    let mut make = Initializer {
        random: &mut random,
        device: &device,
        dtype: DType::F64,
    };
    let kernel = Kernel::new(config, &mut make).unwrap();
    let values: Vec<f32> = flatten(&kernel)
        .iter()
        .map(|w| w + noise * random.sample::<f32, _>(StandardNormal))
        .collect();
    unflatten(kernel, &values)
}

/// Every field that the laws are held against, and what it is conditioned on.
fn cases(batch: usize) -> Vec<(String, Kernel, Context)> {
    let families = [Profile::Mixture, PERCEPTRON]
        .into_iter()
        .flat_map(|profile| [1, KINDS].map(|kinds| (profile, kinds)));
    families
        .map(|(profile, kinds)| {
            let kernel = shaken(&config(profile, kinds), 0.3);
            let name = format!("{profile:?} for {kinds} kinds");
            (name, kernel, context(kinds > 1, batch))
        })
        .collect()
}

fn time(batch: usize) -> Tensor<1> {
    Tensor::full([batch], 0.4, (&Device::flex(), DType::F64))
}

fn velocity(kernel: &Kernel, x: Points, context: &Context) -> Points {
    let t = time(x.dims()[0]);
    kernel.velocity(t, Dual::constant(x), context).value
}

fn flow(kernel: Kernel, space: Space, count: usize) -> Continuous {
    Continuous {
        field: Field::Kernel(kernel),
        space,
        solver: Solver {
            method: Method::Rk4,
            steps: Steps::Fixed { count },
            divergence: Divergence::Exact,
        },
    }
}

/// The basis functions of one number, from their parameters.
fn basis(parameters: &[f32], z: f64) -> Vec<f64> {
    let (centres, log_widths) = parameters.split_at(parameters.len() / 2);
    let bumps = centres.iter().zip(log_widths).map(|(centre, log_width)| {
        let offset = (z - f64::from(*centre)) / f64::from(*log_width).exp();
        (-offset * offset).exp()
    });
    let bumps: Vec<f64> = bumps.collect();
    let total: f64 = bumps.iter().sum();
    bumps.iter().map(|bump| bump / total).collect()
}

#[test]
fn a_mixture_is_the_published_formula() {
    let config = config(Profile::Mixture, 1);
    let (kernel, x) = (shaken(&config, 0.3), points(1, 3));
    let parameters = flatten(&kernel);
    let (functions, rest) = parameters.split_at(2 * config.functions);
    let (times, weights) = rest.split_at(2 * config.times);
    let times = basis(times, 0.4);
    let push = |d: f64| -> f64 {
        let functions = basis(functions, d);
        let of_time = |b: usize| {
            let weights = &weights[b * config.functions..][..config.functions];
            let sum = weights.iter().zip(&functions);
            sum.map(|(w, k)| f64::from(*w) * k).sum::<f64>()
        };
        (0..config.times).map(|b| times[b] * of_time(b)).sum()
    };
    let speed = config.schedule.speed(0.4);
    let positions = host(x.clone());
    let mut expected = vec![0.0; 3 * POINTS];
    let mut trace = 0.0;
    for i in 0..POINTS {
        for j in (0..POINTS).filter(|&j| j != i) {
            let u: Vec<f64> = (0..3)
                .map(|axis| positions[3 * i + axis] - positions[3 * j + axis])
                .collect();
            let d = u.iter().map(|u| u * u).sum::<f64>().sqrt();
            let slope = (push(d + 1e-5) - push(d - 1e-5)) / 2e-5;
            trace += speed * (3.0 * push(d) + d * slope);
            for axis in 0..3 {
                expected[3 * i + axis] += speed * push(d) * u[axis];
            }
        }
    }
    let context = context(false, 1);
    let (v, exact) = kernel.structured_divergence(time(1), x, &context).unwrap();
    assert!(apart(v, cloud(expected, POINTS, 3)) < 1e-7);
    assert!((host(exact)[0] - trace).abs() < 1e-6 * trace.abs().max(1.0));
}

#[test]
fn the_closed_divergence_is_the_trace_of_the_jacobian() {
    for dims in 1..=3 {
        for (name, kernel, context) in cases(3) {
            let x = points(3, dims);
            let (v, exact) = kernel
                .structured_divergence(time(3), x.clone(), &context)
                .unwrap();
            let (w, trace) = by_coordinates(&kernel, time(3), &x, &context);
            assert!(apart(v, w) < 1e-12);
            let off = largest(exact - trace.clone()) / largest(trace).max(1.0);
            assert!(off < 1e-12, "{name}, {dims} dimensions: {off:e}");
        }
    }
}

#[test]
fn features_of_the_whole_change_the_field() {
    for profile in [Profile::Mixture, PERCEPTRON] {
        let config = KernelConfig {
            global_features: 1,
            ..config(profile, KINDS)
        };
        let (kernel, x) = (shaken(&config, 0.3), points(2, 3));
        let with = |values: &[f64]| Context {
            global: Some(tensor(
                values.to_vec(),
                [values.len(), 1],
                &Device::flex(),
                DType::F64,
            )),
            ..context(true, 2)
        };
        let warm = velocity(&kernel, x.clone(), &with(&[0.7]));
        let each = velocity(&kernel, x, &with(&[0.7, -0.2]));
        assert!(apart(warm.clone().slice(0..1), each.clone().slice(0..1)) < 1e-14);
        assert!(apart(warm.slice(1..2), each.slice(1..2)) > 1e-6);
    }
}

#[test]
fn a_continuous_flow_is_lawful_and_equivariant() {
    for dims in [2, 3] {
        for profile in [Profile::Mixture, PERCEPTRON] {
            let kernel = shaken(&config(profile, KINDS), 0.05);
            let (flow, x) = (flow(kernel, space(dims), 40), points(2, dims));
            let context = context(true, 2);
            assert_lawful(&flow, x.clone(), &context, 1e-6).unwrap();
            assert_equivariant(&flow, x, &context, 1e-11).unwrap();
        }
    }
}

#[test]
fn rotations_and_reflections_commute_with_the_field() {
    for (name, kernel, context) in cases(2) {
        let x = points(2, 3);
        let v = velocity(&kernel, x.clone(), &context);
        for determinant in [1, -1] {
            let turned = velocity(&kernel, turned_by(&x, determinant), &context);
            let off = apart(turned, turned_by(&v, determinant));
            assert!(off < 1e-12, "{name}, {determinant}: {off:e}");
        }
    }
}

#[test]
fn translations_leave_the_field_unchanged_and_mean_free() {
    for (name, kernel, context) in cases(2) {
        let x = points(2, 3);
        let v = velocity(&kernel, x.clone(), &context);
        let shifted = velocity(&kernel, x + 3.0, &context);
        assert!(apart(shifted, v.clone()) < 1e-12, "{name}");
        assert!(largest(v.clone().sum_dim(1)) < 1e-13 * largest(v), "{name}");
    }
}

#[test]
fn points_that_are_alike_may_change_places_and_others_may_not() {
    // Kinds tell the first two points from the others.
    let pairs = (0..POINTS * POINTS).map(|pair| (pair / POINTS, pair % POINTS));
    let kinds: Vec<i64> = pairs
        .map(|(i, j)| 2 * i64::from(i > 1) + i64::from(j > 1))
        .collect();
    for (name, kernel, _) in cases(2) {
        let context = Context {
            kinds: Some(Tensor::<1, Int>::from_data(
                kinds.as_slice(),
                &Device::flex(),
            )),
            ..context(false, 2)
        };
        let x = points(2, 3);
        let v = velocity(&kernel, x.clone(), &context);
        let exchanged = |order: [usize; POINTS]| {
            let found = velocity(&kernel, permuted(&x, &order), &context);
            apart(found, permuted(&v, &order))
        };
        assert!(exchanged([1, 0, 4, 2, 3]) < 1e-12, "{name}");
        if kernel.config.pair_kinds > 1 {
            assert!(exchanged([2, 1, 0, 3, 4]) > 1e-6, "{name}");
        } else {
            assert!(exchanged([2, 1, 0, 3, 4]) < 1e-12, "{name}");
        }
    }
}

#[test]
fn a_new_field_is_near_zero() {
    for profile in [Profile::Mixture, PERCEPTRON] {
        let kernel = shaken(&config(profile, KINDS), 0.0);
        let v = velocity(&kernel, points(3, 3), &context(true, 3));
        assert!((1e-6..0.2).contains(&largest(v)));
    }
}

/// Clouds two of whose points coincide, and clouds on a line.
fn degenerate() -> [Points; 2] {
    let mut coincident = host(points(2, 3));
    coincident.copy_within(0..3, 3);
    let line = (0..2 * POINTS).flat_map(|k| [(k as f64).sin(), 0.0, 0.0]);
    [
        cloud(coincident, POINTS, 3),
        cloud(line.collect(), POINTS, 3),
    ]
}

#[test]
fn gradients_are_differences_also_where_points_coincide() {
    for (name, plain, context) in cases(2) {
        for x in degenerate() {
            // A loss that holds the closed divergence: its gradient passes through values and slopes.
            let loss = |kernel: &Kernel, x: Points| {
                let (v, trace) = kernel
                    .structured_divergence(time(2), x.clone(), &context)
                    .unwrap();
                (v * (x + 0.3)).sum() + trace.square().sum() * 1e-2
            };
            let flat = flatten(&plain);
            let leaf = x.clone().autodiff().require_grad();
            let model = plain.clone().train();
            let found = loss(&model, leaf.clone()).backward();
            let by_position = host(leaf.grad(&found).unwrap());
            let found = gradients(&model, &found);
            assert!(found.iter().all(|g| g.is_finite()) && found.iter().any(|g| *g != 0.0));
            for index in 0..flat.len() {
                let at = |by: f32| {
                    let mut moved = flat.clone();
                    moved[index] += by;
                    let value = host(loss(&unflatten(plain.clone(), &moved), x.clone()))[0];
                    (value, f64::from(moved[index]))
                };
                let ((up, a), (down, b)) = (at(1e-3), at(-1e-3));
                let slope = (up - down) / (a - b);
                let error = (slope - f64::from(found[index])).abs();
                assert!(
                    error < 1e-3 * slope.abs().max(1.0),
                    "{name}, parameter {index}: {slope} against {}",
                    found[index]
                );
            }
            for (index, claimed) in by_position.into_iter().enumerate() {
                let at = |by: f64| {
                    let mut moved = host(x.clone());
                    moved[index] += by;
                    host(loss(&plain, cloud(moved, POINTS, 3)))[0]
                };
                let slope = (at(1e-6) - at(-1e-6)) / 2e-6;
                let error = (slope - claimed).abs();
                assert!(
                    error < 1e-4 * slope.abs().max(1.0),
                    "{name}, coordinate {index}: {slope} against {claimed}"
                );
            }
        }
    }
}

/// `log q` of clouds that a flow makes of standard normal noise.
fn log_density(flow: &Continuous, y: Points) -> Vec<f64> {
    let space = flow.space;
    let prior = MeanFreeGaussian {
        points: space.points(),
        dims: space.dims(),
    };
    let context = alike(space, y.dims()[0]);
    let (x, log_det) = flow.inverse(y, &context).unwrap();
    let log_prior = prior.log_density(&host(x));
    let both = log_prior.iter().zip(host(log_det));
    both.map(|(p, l)| p + l).collect()
}

#[test]
fn a_density_of_two_points_in_the_plane_integrates_to_one() {
    for profile in [Profile::Mixture, PERCEPTRON] {
        let space = Space::MeanFree { points: 2, dims: 2 };
        let flow = flow(shaken(&config(profile, 1), 0.2), space, 20);
        // Only the length r of the mean-free coordinate matters: q(r) 2πr integrates to one.
        let step = 5e-3;
        let lengths: Vec<f64> = (0..2000).map(|k| (f64::from(k) + 0.5) * step).collect();
        let clouds = lengths.iter().flat_map(|r| space.embed(&[*r, 0.0]));
        let densities = log_density(&flow, cloud(clouds.collect(), 2, 2));
        let shells = lengths.iter().zip(densities);
        let mass: f64 = shells
            .map(|(r, log_q)| log_q.exp() * std::f64::consts::TAU * r * step)
            .sum();
        assert!((mass - 1.0).abs() < 1e-5, "{profile:?}: {mass}");
    }
}

#[test]
fn a_density_of_three_points_on_a_line_integrates_to_one() {
    for profile in [Profile::Mixture, PERCEPTRON] {
        let space = Space::MeanFree { points: 3, dims: 1 };
        let flow = flow(shaken(&config(profile, 1), 0.1), space, 10);
        // Kinks where points pass each other cost the rule its accuracy: a fourth of the error is left with half the step, which
        // the second sum takes out.
        let mass = |cells| integral(space, 9.0, cells, |y| log_density(&flow, y));
        let (coarse, fine) = (mass(50), mass(100));
        let mass = fine + (fine - coarse) / 3.0;
        assert!((mass - 1.0).abs() < 5e-4, "{profile:?}: {mass}");
    }
}

#[test]
fn far_from_all_centres_the_last_function_stays() {
    let kernel = shaken(&config(Profile::Mixture, 1), 0.0);
    let at = |z: f64| {
        host(
            kernel
                .functions
                .of(Dual::constant(cloud(vec![z], 1, 1)))
                .value,
        )
    };
    assert_eq!(at(1e4)[4], 1.0);
    assert_eq!(at(-1e4)[0], 1.0);
    assert!((at(1.3).iter().sum::<f64>() - 1.0).abs() < 1e-15);
}

#[test]
fn samples_do_not_depend_on_their_batch() {
    for (_, kernel, context) in cases(4) {
        let flow = flow(kernel, space(3), 2);
        let (all, log_det) = flow.forward(points(4, 3), &context).unwrap();
        let some = context.rows(2..3);
        let (one, own) = flow.forward(points(4, 3).slice(2..3), &some).unwrap();
        assert_eq!(host(all.slice(2..3)), host(one));
        assert_eq!(host(log_det)[2].to_bits(), host(own)[0].to_bits());
    }
}

#[test]
fn single_precision_agrees_with_double() {
    for profile in [Profile::Mixture, PERCEPTRON] {
        let config = config(profile, 1);
        let double = shaken(&config, 0.3);
        let mut make = Initializer {
            random: &mut stream(11, Purpose::Parameters, 0),
            device: &Device::flex(),
            dtype: DType::F32,
        };
        let single = unflatten(Kernel::new(&config, &mut make).unwrap(), &flatten(&double));
        let x = points(3, 3);
        let (v, trace) = double
            .structured_divergence(time(3), x.clone(), &context(false, 3))
            .unwrap();
        let alike = Context::alike(
            POINTS,
            Samples::consecutive(1, 0..3),
            &Device::flex(),
            DType::F32,
        );
        let (w, near) = single
            .structured_divergence(time(3).cast(DType::F32), x.cast(DType::F32), &alike)
            .unwrap();
        assert!(apart(w.cast(DType::F64), v) < 1e-5);
        let off = largest(near.cast(DType::F64) - trace.clone());
        assert!(off < 1e-5 * largest(trace).max(1.0));
    }
}

#[test]
fn a_single_point_stays_where_it_is() {
    let kernel = shaken(&config(PERCEPTRON, 1), 0.3);
    let space = Space::Free { points: 1, dims: 3 };
    let x = crate::testing::points(space, 2, 1);
    let (v, trace) = kernel
        .structured_divergence(time(2), x.clone(), &alike(space, 2))
        .unwrap();
    assert_eq!(host(v), [0.0; 6]);
    assert_eq!(host(trace), [0.0; 2]);
    assert_eq!(host(velocity(&kernel, x, &alike(space, 2))), [0.0; 6]);
}

#[test]
fn sizes_that_are_none_are_refused() {
    let refused = |config: KernelConfig| {
        let mut make = Initializer {
            random: &mut stream(11, Purpose::Parameters, 0),
            device: &Device::flex(),
            dtype: DType::F64,
        };
        let error = Kernel::new(&config, &mut make).unwrap_err();
        error.to_string()
    };
    let good = config(PERCEPTRON, 2);
    for config in [
        KernelConfig {
            functions: 0,
            ..good
        },
        KernelConfig { times: 0, ..good },
        KernelConfig {
            pair_kinds: 0,
            ..good
        },
        KernelConfig {
            profile: Profile::Perceptron {
                width: 0,
                layers: 1,
            },
            ..good
        },
        KernelConfig {
            profile: Profile::Perceptron {
                width: 1,
                layers: 0,
            },
            ..good
        },
    ] {
        assert!(refused(config).contains("must be at least 1"));
    }
    for span in [[1.0, 1.0], [0.0, f64::INFINITY], [f64::NAN, 1.0]] {
        assert!(refused(KernelConfig { span, ..good }).contains("below the last"));
    }
}

#[test]
fn a_config_is_read_back_and_refuses_what_it_does_not_know() {
    let config = config(PERCEPTRON, 2);
    let text = serde_json::to_string(&config).unwrap();
    assert_eq!(serde_json::from_str::<KernelConfig>(&text).unwrap(), config);
    let more = text.replace("\"width\"", "\"depth\":1,\"width\"");
    assert!(serde_json::from_str::<KernelConfig>(&more).is_err());
    let more = text.replace("\"times\"", "\"time\":1,\"times\"");
    assert!(serde_json::from_str::<KernelConfig>(&more).is_err());
}

#[test]
fn its_operations_are_counted_as_by_hand() {
    // Three points make three pairs. Of time and the whole 3 + 1 features.
    let size = |profile| KernelConfig {
        global_features: 1,
        ..config(profile, 2)
    };
    let counted = |config: &KernelConfig| shaken(config, 0.0).divergence_operations(3, 2);
    // [1, 4] × [4, 2 · 5].
    assert_eq!(counted(&size(Profile::Mixture)), 2.0 * 4.0 * 10.0);
    // [1, 4] × [4, 6], then values and slopes of three pairs: [3, 5] × [5, 6] and [3, 6] × [6, 6].
    let (first, second) = (3.0 * 5.0 * 6.0, 3.0 * 6.0 * 6.0);
    let expected = 2.0 * (4.0 * 6.0 + 2.0 * (first + second));
    assert_eq!(counted(&size(PERCEPTRON)), expected);
}
