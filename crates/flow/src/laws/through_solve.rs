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
    flow.log_density_gradient(y, context, |x| log_density(x, context))
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
    for divergence in [Divergence::Exact, HUTCHINSON] {
        let flow = continuous(Method::Midpoint, Steps::Fixed { count: 4 }, divergence);
        let found = by_steps(&flow, &y, &context);
        let sum = |flow: &Continuous, y: Points| {
            let (x, log_det) = flow.inverse(y, &context).unwrap();
            let log_q = host(log_density(x, &context).unwrap() + log_det);
            log_q.into_iter().sum::<f64>()
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
            flow.log_density_gradient(&points(2, 3), &context, |x| log_density(x, &context));
        let found = refused.unwrap_err().to_string();
        assert!(found.contains(message), "{found}");
    }
}
