//! Gradients of log-densities through a solve.

use burn::module::Module;

use super::*;

const HUTCHINSON: Divergence = Divergence::Hutchinson {
    probes: 2,
    noise: Noise::Rademacher,
};

const PRIOR: MeanFreeGaussian = MeanFreeGaussian {
    points: POINTS,
    dims: 3,
};

fn continuous(method: Method, steps: Steps, divergence: Divergence) -> Continuous {
    Continuous {
        field: Field::Egnn(shaken(3, 1, Edges::Initial, 0.05)),
        space: space(3),
        solver: Solver {
            method,
            steps,
            divergence,
        },
    }
}

/// The density of what goes into the map: a map before it, so that its slope is not that of the prior alone.
fn log_density(x: Points, context: &Context) -> Result<PerSample, FlowError> {
    let (z, log_det) = Affine::new(space(3), 0.7)?.inverse(x, context)?;
    Ok(PRIOR.log_density_tensor(z) + log_det)
}

fn by_steps(flow: &Continuous, y: &Points, context: &Context) -> DensityGradient {
    regularized(flow, y, context, Regularization::default())
}

fn regularized(
    flow: &Continuous,
    y: &Points,
    context: &Context,
    regularization: Regularization,
) -> DensityGradient {
    flow.log_density_gradient(y, context, regularization, |x| log_density(x, context))
        .unwrap()
}

/// The same by one tape through the whole solve.
fn by_one_tape(flow: &Continuous, y: &Points, context: &Context) -> DensityGradient {
    let flow = flow.clone().train();
    let leaf = y.clone().autodiff().require_grad();
    let (x, log_det) = flow.inverse(leaf.clone(), context).unwrap();
    let log_q = log_density(x, context).unwrap() + log_det;
    let found = log_q.clone().sum().backward();
    DensityGradient {
        regularization: vec![0.0; y.dims()[0]],
        log_density: host(log_q),
        points: leaf.grad(&found).unwrap(),
        parameters: gradients(&flow, &found),
    }
}

/// The largest difference, relative to the largest value.
fn off(a: impl IntoIterator<Item = f64>, b: &[f64]) -> f64 {
    let differences = a.into_iter().zip(b).map(|(a, b)| (a - b).abs());
    let largest = b.iter().fold(1e-3_f64, |largest, b| largest.max(b.abs()));
    differences.fold(0.0, f64::max) / largest
}

#[test]
fn step_by_step_and_by_one_tape_a_gradient_is_the_same() {
    // 40 steps are more than are held.
    let cases = [
        (Method::Euler, 3, Divergence::Exact),
        (Method::Midpoint, 3, Divergence::Exact),
        (Method::Rk4, 3, Divergence::Exact),
        (Method::Euler, 3, HUTCHINSON),
        (Method::Midpoint, 3, HUTCHINSON),
        (Method::Rk4, 3, HUTCHINSON),
        (Method::Tsit5, 2, HUTCHINSON),
        (Method::Euler, 40, HUTCHINSON),
    ];
    let (y, context) = (points(2, 3), context(true, 2));
    for (method, count, divergence) in cases {
        let flow = continuous(method, Steps::Fixed { count }, divergence);
        let (found, expected) = (
            by_steps(&flow, &y, &context),
            by_one_tape(&flow, &y, &context),
        );
        let name = format!("{method:?}, {count} steps, {divergence:?}");
        let apart = off(found.log_density, &expected.log_density);
        assert!(apart < 1e-13, "{name}: log q is {apart:e} off");
        let apart = off(host(found.points), &host(expected.points));
        assert!(apart < 1e-12, "{name}: ∂/∂y is {apart:e} off");
        // Gradients of parameters come in single precision, a step at a time.
        let single = |values: Vec<f32>| values.into_iter().map(f64::from).collect::<Vec<_>>();
        let expected = single(expected.parameters);
        assert!(expected.iter().any(|slope| slope.abs() > 1e-2));
        let apart = off(single(found.parameters), &expected);
        assert!(apart < 1e-6, "{name}: ∂/∂θ is {apart:e} off");
    }
}

#[test]
fn its_value_is_the_log_density_along_the_inverse() {
    let (y, context) = (points(2, 3), context(true, 2));
    for divergence in [Divergence::Exact, HUTCHINSON] {
        let flow = continuous(Method::Rk4, Steps::Fixed { count: 20 }, divergence);
        let (x, log_det) = flow.inverse(y.clone(), &context).unwrap();
        let expected = host(log_density(x, &context).unwrap() + log_det);
        let apart = off(by_steps(&flow, &y, &context).log_density, &expected);
        assert!(apart < 1e-13, "{divergence:?}: {apart:e}");
    }
}

#[test]
fn it_is_the_slope_in_positions_and_parameters() {
    let (y, context) = (points(2, 3), context(true, 2));
    let both = Regularization {
        kinetic: 0.3,
        jacobian: 0.2,
    };
    for (divergence, regularization) in [
        (Divergence::Exact, Regularization::default()),
        (HUTCHINSON, Regularization::default()),
        (Divergence::Exact, both),
        (HUTCHINSON, both),
    ] {
        let flow = continuous(Method::Midpoint, Steps::Fixed { count: 4 }, divergence);
        let found = regularized(&flow, &y, &context, regularization);
        let sum = |flow: &Continuous, y: Points| {
            let (x, log_det) = flow.inverse(y.clone(), &context).unwrap();
            let log_q = host(log_density(x, &context).unwrap() + log_det);
            let taken_off = match regularization.kinetic {
                0.0 => 0.0,
                _ => regularized(flow, &y, &context, regularization)
                    .regularization
                    .into_iter()
                    .sum::<f64>(),
            };
            log_q.into_iter().sum::<f64>() - taken_off
        };
        let values = host(y.clone());
        for (place, slope) in host(found.points).into_iter().enumerate() {
            let at = |by: f64| {
                let mut moved = values.clone();
                moved[place] += by;
                sum(&flow, cloud(moved, POINTS, 3))
            };
            let difference =
                (8.0 * (at(1e-3) - at(-1e-3)) - (at(2e-3) - at(-2e-3))) / (12.0 * 1e-3);
            let error = (difference - slope).abs() / slope.abs().max(1.0);
            assert!(
                error < 1e-8,
                "coordinate {place}: {difference}, not {slope}"
            );
        }
        let flat = flatten(&flow);
        for index in (0..flat.len()).step_by(flat.len() / 40) {
            let at = |by: f32| {
                let mut moved = flat.clone();
                moved[index] += by;
                let parameter = f64::from(moved[index]);
                (sum(&unflatten(flow.clone(), &moved), y.clone()), parameter)
            };
            let ((up, a), (down, b)) = (at(1e-3), at(-1e-3));
            let (difference, slope) = ((up - down) / (a - b), f64::from(found.parameters[index]));
            let error = (difference - slope).abs() / slope.abs().max(1.0);
            assert!(error < 1e-4, "parameter {index}: {difference}, not {slope}");
        }
    }
}

#[test]
fn a_regularization_is_the_integral_of_squares_along_the_path_and_leaves_log_densities_as_they_are()
{
    let (y, context) = (points(2, 3), context(true, 2));
    let flow = continuous(Method::Euler, Steps::Fixed { count: 3 }, Divergence::Exact);
    let [kinetic, jacobian] = [(1.0, 0.0), (0.0, 1.0)].map(|(kinetic, jacobian)| {
        let found = regularized(&flow, &y, &context, Regularization { kinetic, jacobian });
        let plain = by_steps(&flow, &y, &context);
        assert!(off(found.log_density, &plain.log_density) < 1e-13);
        found.regularization
    });
    // Three steps of Euler's method from data to noise, and the Jacobian by differences.
    let velocity = |t: f64, x: Points| {
        let t = Tensor::full([x.dims()[0]], t, (&x.device(), x.dtype()));
        flow.field.velocity(t, Dual::constant(x), &context).value
    };
    let mut x = y;
    let (mut squares, mut norms) = ([0.0; 2], [0.0; 2]);
    let size = POINTS * 3;
    for t in [1.0, 2.0 / 3.0, 1.0 / 3.0] {
        let v = velocity(t, x.clone());
        for (sample, v) in host(v.clone()).chunks(size).enumerate() {
            squares[sample] += v.iter().map(|v| v * v / 3.0).sum::<f64>();
        }
        let values = host(x.clone());
        for place in 0..size {
            let at = |by: f64| {
                let mut moved = values.clone();
                (0..2).for_each(|sample| moved[sample * size + place] += by);
                host(velocity(t, cloud(moved, POINTS, 3)))
            };
            let (up, down) = (at(1e-4), at(-1e-4));
            for (index, (up, down)) in up.iter().zip(down).enumerate() {
                norms[index / size] += ((up - down) / 2e-4).powi(2) / 3.0;
            }
        }
        x = x - v / 3.0;
    }
    assert!(off(kinetic, &squares) < 1e-12);
    assert!(off(jacobian, &norms) < 1e-6);
}

#[test]
fn random_probes_estimate_the_norm_of_the_jacobian() {
    let flow = continuous(Method::Euler, Steps::Fixed { count: 3 }, Divergence::Exact);
    let (x, context) = (points(1, 3), context(true, 1));
    let norm = |divergence: Divergence, seed: u64| {
        let probes = divergence.probes(&x, &Samples::consecutive(seed, 0..1));
        let (v, trace, norm) = probes.evaluate_with_norm(&flow.field, 0.4, &x, &context);
        let plain = probes.evaluate(&flow.field, 0.4, &x, &context);
        assert!(off(host(v), &host(plain.0)) < 1e-12);
        assert!(off(host(trace), &host(plain.1)) < 1e-12);
        host(norm)[0]
    };
    let exact = norm(Divergence::Exact, 0);
    let found: Vec<f64> = (0..400).map(|seed| norm(HUTCHINSON, seed)).collect();
    let mean = found.iter().sum::<f64>() / 400.0;
    let variance = found.iter().map(|norm| (norm - mean).powi(2)).sum::<f64>() / 399.0;
    let error = (variance / 400.0).sqrt();
    assert!(error < 0.2 * exact);
    assert!(
        (mean - exact).abs() < 4.0 * error,
        "{mean} ± {error}, not {exact}"
    );
}

#[test]
fn steps_that_cannot_be_taken_one_by_one_are_refused() {
    let tolerance = ode::Tolerance {
        absolute: 1e-6,
        relative: 1e-6,
    };
    let adaptive = Steps::Adaptive {
        tolerance,
        limit: 10,
    };
    let context = context(true, 2);
    for (steps, message) in [
        (adaptive, "fixed steps only"),
        (Steps::Fixed { count: 0 }, "0 steps cannot cross"),
    ] {
        let flow = continuous(Method::Tsit5, steps, HUTCHINSON);
        let refused =
            flow.log_density_gradient(&points(2, 3), &context, Regularization::default(), |x| {
                log_density(x, &context)
            });
        let found = refused.unwrap_err().to_string();
        assert!(found.contains(message), "{found}");
    }
}
