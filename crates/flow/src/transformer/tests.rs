//! The laws of equivariant transformers.

use burn::tensor::{DType, Device, Tensor};

use crate::divergence::Probes;
use crate::field::laws::*;
use crate::laws::{POINTS, apart, context, points, space};
use crate::random::{Purpose, stream};
use crate::testing::{assert_equivariant, assert_gradient_is_slope, assert_lawful, largest};
use crate::*;

const BOTH: [Symmetry; 2] = [Symmetry::Full, Symmetry::Rotations];

fn config(layers: usize, pair_features: usize, symmetry: Symmetry) -> TransformerConfig {
    TransformerConfig {
        width: 8,
        heads: 2,
        layers,
        radial: 6,
        symmetry,
        node_features: 2,
        pair_features,
        global_features: 0,
        schedule: Schedule { rate: 1.5 },
    }
}

fn made(config: TransformerConfig, dims: usize, noise: f32) -> Transformer {
    shaken(noise, |make| Transformer::new(&config, dims, make).unwrap())
}

fn field(layers: usize, symmetry: Symmetry) -> Transformer {
    made(config(layers, 1, symmetry), 3, 0.15)
}

#[test]
fn tangents_are_slopes() {
    for (layers, symmetry) in (1..=3).flat_map(|layers| BOTH.map(|symmetry| (layers, symmetry))) {
        assert_tangents_are_slopes(&field(layers, symmetry));
    }
}

#[test]
fn a_tangent_does_not_depend_on_the_others() {
    let (field, x, context) = (
        field(3, Symmetry::Rotations),
        points(2, 3),
        context(true, 2),
    );
    let direction = |k: usize| (points(2, 3) * (k as f64 + 1.0)).cos();
    let along = |directions: Tensor<3>| {
        let dual = Dual::new(x.clone(), directions);
        field.velocity(time(2), dual, &context).tangents.unwrap()
    };
    let all = along(Tensor::cat((0..3).map(direction).collect(), 0));
    for k in 0..3 {
        let own = all.clone().slice(2 * k..2 * k + 2);
        assert!(apart(own, along(direction(k))) < 1e-13);
    }
}

#[test]
fn its_exact_divergence_is_the_trace_of_differences() {
    for dims in [2, 3] {
        let field = made(config(2, 1, Symmetry::Full), dims, 0.15);
        let (x, context) = (points(1, dims), context(true, 1));
        let (_, found) = Probes::Coordinates.evaluate(&field, 0.4, &x, &context);
        let trace = (0..POINTS * dims).map(|coordinate| {
            let at = |h: f64| {
                let mut values = host(x.clone());
                values[coordinate] += h;
                let x = crate::laws::cloud(values, POINTS, dims);
                host(velocity(&field, x, &context))[coordinate]
            };
            (at(1e-5) - at(-1e-5)) / 2e-5
        });
        let (found, trace) = (host(found)[0], trace.sum::<f64>());
        assert!(
            (found - trace).abs() < 1e-8 * trace.abs().max(1.0),
            "{found} and {trace}"
        );
    }
}

#[test]
fn a_flow_of_it_is_lawful_and_equivariant() {
    for dims in [2, 3] {
        let field = Field::Transformer(made(config(2, 1, Symmetry::Full), dims, 0.05));
        let (x, context) = (points(2, dims), context(true, 2));
        let flow = flow(field, space(dims), 20);
        assert_lawful(&flow, x.clone(), &context, 2e-6).unwrap();
        assert_equivariant(&flow, x, &context, 1e-10).unwrap();
    }
}

#[test]
fn a_flow_that_tells_mirror_images_apart_is_lawful() {
    let field = Field::Transformer(made(config(2, 1, Symmetry::Rotations), 3, 0.05));
    let flow = flow(field, space(3), 20);
    assert_lawful(&flow, points(1, 3), &context(true, 1), 2e-6).unwrap();
}

#[test]
fn rotations_commute_with_it_and_reflections_where_mirror_images_are_alike() {
    for layers in 1..=3 {
        for symmetry in BOTH {
            assert!(twist(&field(layers, symmetry), 1) < 1e-12);
        }
        assert!(twist(&field(layers, Symmetry::Full), -1) < 1e-12);
        assert!(twist(&field(layers, Symmetry::Rotations), -1) > 1e-2);
    }
}

#[test]
fn translations_leave_it_unchanged_and_mean_free() {
    for symmetry in BOTH {
        assert_free_of_translations(&field(3, symmetry));
    }
}

#[test]
fn like_points_may_change_places() {
    for symmetry in BOTH {
        assert_like_points_may_change_places(&made(config(3, 0, symmetry), 3, 0.3));
    }
}

#[test]
fn its_divergence_has_the_gradient_of_its_slope() {
    let (field, x, context) = (
        field(2, Symmetry::Rotations),
        points(2, 3),
        context(true, 2),
    );
    let divergence = |x: Points| Probes::Coordinates.evaluate(&field, 0.4, &x, &context).1;
    assert_gradient_is_slope(divergence, x, 1e-7);
}

#[test]
fn gradients_are_differences_also_where_points_coincide_or_are_in_line() {
    let (x, context) = (degenerate(), context(true, 2));
    let directions = (points(2, 3) * 3.0).cos();
    assert_gradient_in_parameters(&field(2, Symmetry::Rotations), |field| {
        let dual = Dual::new(x.clone(), directions.clone());
        let v = field.velocity(time(2), dual, &context);
        v.value.square().sum() + (v.tangents.unwrap() * directions.clone()).sum()
    });
}

#[test]
fn gradients_by_position_are_finite_where_points_coincide() {
    let (field, context) = (field(2, Symmetry::Rotations), context(true, 1));
    let x = Tensor::zeros([1, POINTS, 3], (&Device::flex(), DType::F64));
    let leaf = x.autodiff().require_grad();
    let (v, divergence) = Probes::Coordinates.evaluate(&field, 0.4, &leaf, &context);
    let found = leaf.grad(&(v.square().sum() + divergence.sum()).backward());
    assert!(largest(found.unwrap()).is_finite());
}

#[test]
fn a_density_integrates_to_one() {
    let features = TransformerConfig {
        node_features: 1,
        ..config(2, 0, Symmetry::Full)
    };
    let total = mass(Field::Transformer(made(features, 1, 0.08)));
    assert!(
        (total - 1.0).abs() < 1e-5,
        "the density integrates to {total}"
    );
}

#[test]
fn samples_do_not_depend_on_their_batch() {
    assert_samples_are_alone(Field::Transformer(field(2, Symmetry::Full)));
}

#[test]
fn what_cannot_be_is_refused() {
    let refused = |config: TransformerConfig, dims: usize| {
        let mut make = Initializer {
            random: &mut stream(1, Purpose::Parameters, 0),
            device: &Device::flex(),
            dtype: DType::F64,
        };
        let found = Transformer::new(&config, dims, &mut make);
        found.unwrap_err().to_string()
    };
    let flat = refused(config(2, 1, Symmetry::Rotations), 2);
    assert_eq!(
        flat,
        "cross products, which tell mirror images apart, need 3 dimensions, but points have 2; use the full symmetry"
    );
    let plain = config(2, 1, Symmetry::Full);
    for uneven in [
        TransformerConfig { heads: 3, ..plain },
        TransformerConfig { heads: 0, ..plain },
        TransformerConfig { layers: 0, ..plain },
        TransformerConfig { width: 0, ..plain },
        TransformerConfig { radial: 0, ..plain },
    ] {
        assert!(refused(uneven, 3).starts_with("a transformer of"));
    }
}
