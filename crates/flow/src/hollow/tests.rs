//! The laws of hollow fields.

use burn::tensor::{DType, Device, Tensor};

use crate::field::laws::*;
use crate::laws::{POINTS, apart, cloud, context, points, space};
use crate::random::{Purpose, stream};
use crate::separation::{differences, others, squares};
use crate::testing::{assert_equivariant, assert_gradient_is_slope, assert_lawful, largest};
use crate::*;

fn config(layers: usize, pair_features: usize) -> HollowConfig {
    HollowConfig {
        width: 8,
        layers,
        node_features: 2,
        pair_features,
        global_features: 0,
        schedule: Schedule { rate: 1.5 },
    }
}

fn made(config: HollowConfig, noise: f32) -> Hollow {
    shaken(noise, |make| Hollow::new(&config, make).unwrap())
}

fn field(layers: usize) -> Hollow {
    made(config(layers, 1), 0.3)
}

#[test]
fn its_divergence_is_the_trace_of_the_jacobian() {
    for (layers, dims) in (0..=3).flat_map(|layers| [(layers, 2), (layers, 3)]) {
        for with_features in [true, false] {
            let field = made(config(layers, usize::from(with_features)), 0.3);
            let (x, context) = (points(3, dims), context(with_features, 3));
            let found = field.structured_divergence(time(3), x.clone(), &context);
            let (v, exact) = found.unwrap();
            let (w, trace) = by_coordinates(&field, time(3), &x, &context);
            assert!(apart(v, w) < 1e-12);
            let off = largest(exact - trace.clone()) / largest(trace).max(1.0);
            assert!(
                off < 1e-12,
                "{layers} layers, {dims} dimensions, features {with_features}: {off:e}"
            );
        }
    }
}

#[test]
fn nothing_that_a_point_is_told_depends_on_it() {
    const TOLD: usize = 2;
    for layers in [1, 2, 4] {
        let (field, x, context) = (field(layers), points(1, 3), context(true, 1));
        // What the pairs of a point see, but for their distance, which is held.
        let told = |x: &Points| {
            let square = squares(&differences(Dual::constant(x.clone())));
            let held = Dual::constant(square.value.zeros_like());
            let first = field.first(time(1), x, [square, held], &context);
            (first.value * others(POINTS, x)).slice([0..1, TOLD..TOLD + 1])
        };
        let before = told(&x);
        let change = |moved: usize| {
            let mut values = host(x.clone());
            values[3 * moved] += 0.7;
            largest(told(&cloud(values, POINTS, 3)) - before.clone())
        };
        assert!(change(TOLD) < 1e-14, "{layers} layers");
        assert!(change(TOLD + 1) > 1e-3, "{layers} layers tell of others");
    }
}

#[test]
fn tangents_are_slopes() {
    assert_tangents_are_slopes(&field(3));
}

#[test]
fn a_flow_of_it_is_lawful_and_equivariant() {
    for dims in [2, 3] {
        let field = Field::Hollow(made(config(2, 1), 0.05));
        let (x, context) = (points(2, dims), context(true, 2));
        let flow = flow(field, space(dims), 40);
        assert_lawful(&flow, x.clone(), &context, 2e-6).unwrap();
        assert_equivariant(&flow, x, &context, 1e-10).unwrap();
    }
}

#[test]
fn rotations_and_reflections_commute_with_it() {
    for layers in 0..=3 {
        for determinant in [1, -1] {
            assert!(twist(&field(layers), determinant) < 1e-12);
        }
    }
}

#[test]
fn translations_leave_it_unchanged_and_mean_free() {
    assert_free_of_translations(&field(3));
}

#[test]
fn like_points_may_change_places() {
    assert_like_points_may_change_places(&made(config(3, 0), 0.3));
}

#[test]
fn its_divergence_has_the_gradient_of_its_slope() {
    let (field, x, context) = (field(2), points(2, 3), context(true, 2));
    let divergence = |x: Points| {
        let found = field.structured_divergence(time(2), x, &context);
        found.unwrap().1
    };
    assert_gradient_is_slope(divergence, x, 1e-7);
}

#[test]
fn gradients_are_differences_also_where_points_coincide_or_are_in_line() {
    let (x, context) = (degenerate(), context(true, 2));
    assert_gradient_in_parameters(&field(2), |field| {
        let found = field.structured_divergence(time(2), x.clone(), &context);
        let (v, divergence) = found.unwrap();
        v.square().sum() + divergence.sum()
    });
}

#[test]
fn gradients_by_position_are_finite_where_points_coincide() {
    let (field, context) = (field(2), context(true, 1));
    let x = Tensor::zeros([1, POINTS, 3], (&Device::flex(), DType::F64));
    let leaf = x.autodiff().require_grad();
    let found = field.structured_divergence(time(1), leaf.clone(), &context);
    let (v, divergence) = found.unwrap();
    let found = leaf.grad(&(v.square().sum() + divergence.sum()).backward());
    assert!(largest(found.unwrap()).is_finite());
}

#[test]
fn a_density_integrates_to_one() {
    let features = HollowConfig {
        node_features: 1,
        ..config(2, 0)
    };
    let total = mass(Field::Hollow(made(features, 0.15)));
    assert!(
        (total - 1.0).abs() < 1e-5,
        "the density integrates to {total}"
    );
}

#[test]
fn samples_do_not_depend_on_their_batch() {
    assert_samples_are_alone(Field::Hollow(field(2)));
}

#[test]
fn a_width_of_zero_is_refused() {
    let mut make = Initializer {
        random: &mut stream(1, Purpose::Parameters, 0),
        device: &Device::flex(),
        dtype: DType::F64,
    };
    let none = HollowConfig {
        width: 0,
        ..config(1, 0)
    };
    let found = Hollow::new(&none, &mut make).unwrap_err();
    assert_eq!(
        found.to_string(),
        "a hollow field needs a width of at least 1"
    );
}
