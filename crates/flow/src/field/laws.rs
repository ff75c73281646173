//! What every vector field is held to, in double precision.

use burn::module::Module;
use burn::tensor::{DType, Device, Int, Tensor};
use rand::RngExt;
use rand_distr::StandardNormal;

use crate::laws::{POINTS, apart, cloud, context, points, space};
use crate::ode::Steps;
use crate::parameters::{flatten, gradients, unflatten};
use crate::random::{Purpose, stream};
use crate::testing::{integral, largest, turned_by};
use crate::*;

/// A field whose initial weights are moved by normal noise: away from the start near zero, so that every path through it counts.
pub fn shaken<F: Module>(noise: f32, new: impl FnOnce(&mut Initializer) -> F) -> F {
    shaken_on((&Device::flex(), DType::F64), noise, new)
}

/// The same on this device, in this type: its parameters are the same numbers.
pub fn shaken_on<F: Module>(
    (device, dtype): (&Device, DType),
    noise: f32,
    new: impl FnOnce(&mut Initializer) -> F,
) -> F {
    let mut random = stream(12, Purpose::Parameters, 0);
    let mut make = Initializer {
        random: &mut random,
        device,
        dtype,
    };
    let field = new(&mut make);
    let values: Vec<f32> = flatten(&field)
        .iter()
        .map(|w| w + noise * random.sample::<f32, _>(StandardNormal))
        .collect();
    unflatten(field, &values)
}

/// The same time for every sample.
pub fn time(batch: usize) -> Tensor<1> {
    Tensor::full([batch], 0.4, (&Device::flex(), DType::F64))
}

/// `v` of some samples.
pub fn velocity(field: &dyn VectorField, x: Points, context: &Context) -> Points {
    let t = time(x.dims()[0]);
    field.velocity(t, Dual::constant(x), context).value
}

/// The flow of a field, in equal steps.
pub fn flow(field: Field, space: Space, count: usize) -> Continuous {
    let solver = Solver {
        method: Method::Rk4,
        steps: Steps::Fixed { count },
        divergence: Divergence::Exact,
    };
    Continuous {
        field,
        space,
        solver,
    }
}

/// Two samples, of which one has two points in the same place, and the other all of them in line.
pub fn degenerate() -> Points {
    let mut values = host(points(2, 3));
    values.copy_within(0..3, 3);
    let line = [0.0, 1.0, 2.0, 3.5, -6.5];
    for (point, place) in values[3 * POINTS..].chunks_mut(3).zip(line) {
        point.copy_from_slice(&[place, 0.0, 0.0]);
    }
    cloud(values, POINTS, 3)
}

/// How far the field of a cloud turned at random, or turned and reflected where the determinant is −1, is from its field turned alike.
pub fn twist(field: &dyn VectorField, determinant: i32) -> f64 {
    let (x, context) = (points(2, 3), context(true, 2));
    let v = velocity(field, x.clone(), &context);
    let turned = velocity(field, turned_by(&x, determinant), &context);
    apart(turned, turned_by(&v, determinant))
}

/// Asserts that tangents are differences of `v`.
pub fn assert_tangents_are_slopes(field: &dyn VectorField) {
    let (x, context) = (points(1, 3), context(true, 1));
    let direction = cloud((0..15).map(|i| f64::from(i).cos()).collect(), POINTS, 3);
    let dual = Dual::new(x.clone(), direction.clone());
    let found = field.velocity(time(1), dual, &context).tangents.unwrap();
    let at = |h: f64| velocity(field, x.clone() + direction.clone() * h, &context);
    let slope = (at(1e-5) - at(-1e-5)) / 2e-5;
    let off = apart(found, slope);
    assert!(off < 1e-8, "{off:e}");
}

/// Asserts that translations leave the field unchanged, and that it has no net translation.
pub fn assert_free_of_translations(field: &dyn VectorField) {
    let (x, context) = (points(2, 3), context(true, 2));
    let v = velocity(field, x.clone(), &context);
    let shifted = velocity(field, x + 3.0, &context);
    assert!(apart(shifted, v.clone()) < 1e-11);
    assert!(largest(v.clone().sum_dim(1)) < 1e-13 * largest(v).max(1.0));
}

/// Asserts that points alike may change places, of a field without pair features.
pub fn assert_like_points_may_change_places(field: &dyn VectorField) {
    let (x, mut context) = (points(2, 3), context(false, 2));
    context.nodes = context.nodes.ones_like();
    let order = Tensor::<1, Int>::from_data([3_i64, 0, 4, 1, 2], &Device::flex());
    let v = velocity(field, x.clone(), &context);
    let permuted = velocity(field, x.select(1, order.clone()), &context);
    assert!(apart(permuted, v.select(1, order)) < 1e-12);
}

/// Asserts that the gradient of a loss in all parameters is its slope, at some of them.
pub fn assert_gradient_in_parameters<F: Module>(plain: &F, loss: impl Fn(&F) -> Tensor<1>) {
    let flat = flatten(plain);
    let model = plain.clone().train();
    let found = gradients(&model, &loss(&model).backward());
    assert!(found.iter().all(|g| g.is_finite()) && found.iter().any(|g| *g != 0.0));
    for index in (0..flat.len()).step_by(flat.len() / 40) {
        let at = |by: f32| {
            let mut moved = flat.clone();
            moved[index] += by;
            let value = host(loss(&unflatten(plain.clone(), &moved)))[0];
            (value, f64::from(moved[index]))
        };
        let ((up, a), (down, b)) = (at(2e-3), at(-2e-3));
        let slope = (up - down) / (a - b);
        let error = (slope - f64::from(found[index])).abs();
        assert!(
            error < 1e-3 * slope.abs().max(1.0),
            "parameter {index}: {slope} against {}",
            found[index]
        );
    }
}

/// What the density of a flow of three points on a line, a plane of mean-free coordinates, integrates to.
pub fn mass(field: Field) -> f64 {
    let space = Space::MeanFree { points: 3, dims: 1 };
    let flow = flow(field, space, 24);
    integral(space, 9.0, 48, |y| {
        let samples = Samples::consecutive(0, 0..y.dims()[0] as u64);
        let context = Context::alike(3, samples, &Device::flex(), DType::F64);
        let (x, log_det) = flow.inverse(y, &context).unwrap();
        let prior = MeanFreeGaussian { points: 3, dims: 1 }.log_density(&host(x));
        let log_q = prior.iter().zip(host(log_det)).map(|(p, l)| p + l);
        log_q.collect()
    })
}

/// Asserts that a sample's path does not depend on which others go with it.
pub fn assert_samples_are_alone(field: Field) {
    let flow = flow(field, space(3), 2);
    let (all, log_det) = flow.forward(points(4, 3), &context(true, 4)).unwrap();
    let part = context(true, 4).rows(2..3);
    let (one, own) = flow.forward(points(4, 3).slice(2..3), &part).unwrap();
    assert_eq!(host(all.slice(2..3)), host(one));
    assert_eq!(host(log_det)[2].to_bits(), host(own)[0].to_bits());
}
