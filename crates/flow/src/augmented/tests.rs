//! The laws of augmented couplings, in double precision, for each kind of them.

use burn::module::Module;
use burn::tensor::{DType, Device, Tensor};
use rand::RngExt;
use rand_distr::StandardNormal;

use super::*;
use crate::chain::Chain;
use crate::context::Samples;
use crate::divergence::tensor;
use crate::layer::Layer;
use crate::parameters::{flatten, gradients, unflatten};
use crate::random::{Purpose, stream};
use crate::testing::{
    assert_gradient_is_slope, assert_lawful, largest, permuted, permuted_context, points, turned_by,
};
use crate::transformer::Symmetry;
use crate::{MeanFreeGaussian, Prior, host};

mod densities;

const ATOMS: usize = 4;
const SPLINE: Elementwise = Elementwise::Spline { bins: 3 };
const BUMP: Elementwise = Elementwise::Bump { ramps: 3 };

/// A kind of coupling, and whether it takes mirror images to mirror images.
#[derive(Clone, Copy, Debug)]
struct Kind {
    dims: usize,
    reference: Reference,
    map: Elementwise,
    reflects: bool,
}

fn kinds() -> Vec<Kind> {
    use Reference::{Projected, Spherical, Vector};
    let kind = |dims, reference, map| Kind {
        dims,
        reference,
        map,
        reflects: reference.symmetry(dims) == Symmetry::Full,
    };
    let vector = [1, 2, 3]
        .into_iter()
        .flat_map(|dims| [Elementwise::Affine, SPLINE, BUMP].map(|map| kind(dims, Vector, map)));
    let spherical = [2, 3]
        .into_iter()
        .flat_map(|dims| [SPLINE, BUMP].map(|map| kind(dims, Spherical, map)));
    let projected = [1, 2, 3].into_iter().flat_map(|dims| {
        [Elementwise::Additive, Elementwise::Affine, SPLINE, BUMP]
            .map(|map| kind(dims, Projected, map))
    });
    vector.chain(spherical).chain(projected).collect()
}

fn config(reference: Reference, map: Elementwise) -> AugmentedConfig {
    AugmentedConfig {
        width: 8,
        rounds: 2,
        channels: 3,
        node_features: 2,
        pair_features: 1,
        global_features: 1,
        reference,
        map,
    }
}

fn space(dims: usize) -> Space {
    Space::MeanFree {
        points: 2 * ATOMS,
        dims,
    }
}

fn waves(count: usize) -> Vec<f64> {
    (0..count).map(|k| (k as f64 * 0.7).sin()).collect()
}

/// Of atoms that all differ.
fn context(atoms: usize, batch: usize) -> Context {
    let device = Device::flex();
    let pairs = (0..atoms * atoms).map(|pair| ((pair % atoms + pair / atoms) as f64).cos());
    let of = |values, shape| tensor(values, shape, &device, DType::F64);
    Context {
        nodes: of(waves(2 * atoms), [1, atoms, 2]),
        pairs: Some(tensor(
            pairs.collect(),
            [1, atoms, atoms, 1],
            &device,
            DType::F64,
        )),
        kinds: None,
        distances: None,
        global: Some(tensor(vec![0.3], [1, 1], &device, DType::F64)),
        samples: Samples::consecutive(3, 0..batch as u64),
    }
}

/// As made, in turn for the two halves.
fn made(
    count: usize,
    space: Space,
    config: &AugmentedConfig,
    dtype: DType,
) -> Result<Chain<Layer>, FlowError> {
    let mut make = Initializer {
        random: &mut stream(11, Purpose::Parameters, 0),
        device: &Device::flex(),
        dtype,
    };
    let couplings = AugmentedCoupling::alternating(count, space, config, &mut make)?;
    Chain::new(couplings.into_iter().map(Layer::Augmented).collect())
}

/// Parameters moved by normal noise, so that every path through the network counts.
fn shaken<M: Module>(map: M, noise: f32) -> M {
    let normal = stream(12, Purpose::Parameters, 1).sample_iter(StandardNormal);
    let values: Vec<f32> = flatten(&map)
        .into_iter()
        .zip(normal)
        .map(|(w, normal): (f32, f32)| w + noise * normal)
        .collect();
    unflatten(map, &values)
}

fn flow(kind: Kind, count: usize) -> Chain<Layer> {
    let config = config(kind.reference, kind.map);
    shaken(
        made(count, space(kind.dims), &config, DType::F64).unwrap(),
        0.25,
    )
}

/// Places of both halves when atoms change theirs.
fn both(order: &[usize]) -> Vec<usize> {
    let auxiliaries = order.iter().map(|i| i + order.len());
    order.iter().copied().chain(auxiliaries).collect()
}

/// The clouds with `edit` done to the numbers of each.
fn edited(cloud: &Points, edit: impl Fn(&mut [f64])) -> Points {
    let [batch, points, dims] = cloud.dims();
    let mut values = host(cloud.clone());
    values.chunks_mut(points * dims).for_each(edit);
    let cloud: Points = tensor(
        values,
        [batch, points, dims],
        &cloud.device(),
        cloud.dtype(),
    );
    cloud.clone() - cloud.mean_dim(1)
}

/// All atoms' points of both halves at one place; on a line; and an atom's point of one half at that of the other.
fn degenerate(dims: usize) -> Vec<(&'static str, Points)> {
    let cloud = points(space(dims), 2, 5);
    vec![
        ("coincident", cloud.zeros_like()),
        (
            "two coincident",
            edited(&cloud, |x| {
                x.copy_within(0..dims, dims);
                x.copy_within(ATOMS * dims..(ATOMS + 1) * dims, (ATOMS + 1) * dims);
            }),
        ),
        (
            "collinear",
            edited(&cloud, |x| {
                let points = x.chunks_mut(dims);
                points.for_each(|point| point[1..].iter_mut().for_each(|x| *x = 0.0));
            }),
        ),
        (
            "one above the other",
            edited(&cloud, |x| x.copy_within(0..dims, ATOMS * dims)),
        ),
    ]
}

/// A value of each sample that depends on all that a map gives.
fn value(map: &dyn Bijection, way: Way, x: Points, context: &Context) -> Tensor<1> {
    let [batch, points, dims] = x.dims();
    let weights = waves(points * dims).into_iter().map(|w| w + 0.2).collect();
    let weights: Points = tensor(weights, [1, points, dims], &x.device(), x.dtype());
    let (y, log_det) = match way {
        Way::Forward => map.forward(x, context),
        Way::Inverse => map.inverse(x, context),
    }
    .unwrap();
    let total: Tensor<2> = (y * weights).reshape([batch, points * dims]).sum_dim(1);
    total.reshape([batch]) + log_det * 0.3
}

const WAYS: [Way; 2] = [Way::Forward, Way::Inverse];

#[test]
fn all_are_lawful() {
    for kind in kinds() {
        let x = points(space(kind.dims), 3, 4);
        assert_lawful(&flow(kind, 2), x, &context(ATOMS, 3), 2e-6).unwrap();
    }
}

#[test]
fn they_start_near_the_identity() {
    for kind in kinds() {
        let config = config(kind.reference, kind.map);
        let flow = made(2, space(kind.dims), &config, DType::F64).unwrap();
        let x = points(space(kind.dims), 8, 4);
        let (y, log_det) = flow.forward(x.clone(), &context(ATOMS, 8)).unwrap();
        let off = [largest(y - x), largest(log_det)];
        assert!(off.iter().all(|off| *off < 0.5), "{kind:?}: {off:?}");
    }
}

#[test]
fn rotations_commute_with_all_and_reflections_with_those_that_say_so() {
    for kind in kinds() {
        let (flow, context) = (flow(kind, 3), context(ATOMS, 3));
        let x = points(space(kind.dims), 3, 4);
        let (y, log_det) = flow.forward(x.clone(), &context).unwrap();
        for determinant in [1, -1] {
            let turned = turned_by(&x, determinant);
            let (found, found_log_det) = flow.forward(turned, &context).unwrap();
            let off = largest(found - turned_by(&y, determinant));
            let off = off.max(largest(found_log_det - log_det.clone()));
            if determinant > 0 || kind.reflects {
                assert!(off < 1e-10, "{kind:?}, {determinant}: {off:e}");
            } else {
                assert!(off > 1e-3, "{kind:?} takes mirror images to mirror images");
            }
        }
    }
}

#[test]
fn atoms_may_change_places_with_their_features() {
    let order = [2, 0, 3, 1];
    for kind in kinds() {
        let (flow, context) = (flow(kind, 3), context(ATOMS, 3));
        let x = points(space(kind.dims), 3, 4);
        let (y, log_det) = flow.forward(x.clone(), &context).unwrap();
        let moved = permuted_context(&context, &order);
        let (found, found_log_det) = flow.forward(permuted(&x, &both(&order)), &moved).unwrap();
        assert!(largest(found - permuted(&y, &both(&order))) < 1e-11);
        assert!(largest(found_log_det - log_det) < 1e-11);
    }
}

#[test]
fn where_the_cloud_is_does_not_matter() {
    for kind in kinds() {
        let (flow, context) = (flow(kind, 3), context(ATOMS, 3));
        let x = points(space(kind.dims), 3, 4);
        for shifted in [x.clone() + 2.5, x.clone() - 0.3] {
            let (y, log_det) = flow.forward(x.clone(), &context).unwrap();
            let (found, found_log_det) = flow.forward(shifted, &context).unwrap();
            assert!(largest(found - y) < 1e-11);
            assert!(largest(found_log_det - log_det) < 1e-11);
        }
    }
}

#[test]
fn gradients_are_slopes_in_both_ways() {
    for kind in kinds() {
        let (flow, context) = (flow(kind, 2), context(ATOMS, 2));
        let x = points(space(kind.dims), 2, 4);
        for way in WAYS {
            assert_gradient_is_slope(|x| value(&flow, way, x, &context), x.clone(), 1e-5);
        }
    }
}

#[test]
fn gradients_of_parameters_are_differences() {
    for kind in kinds() {
        let (flow, context) = (flow(kind, 2), context(ATOMS, 2));
        let flat = flatten(&flow);
        let x = points(space(kind.dims), 2, 4);
        for way in WAYS {
            let model = flow.clone().train();
            let loss = |flow: &Chain<Layer>| value(flow, way, x.clone(), &context).sum();
            let found = gradients(&model, &loss(&model).backward());
            assert!(found.iter().any(|g| *g != 0.0));
            for index in (0..flat.len()).step_by(flat.len() / 24) {
                let at = |by: f32| {
                    let mut moved = flat.clone();
                    moved[index] += by;
                    let value = host(loss(&unflatten(flow.clone(), &moved)))[0];
                    (value, f64::from(moved[index]))
                };
                let ((up, a), (down, b)) = (at(3e-5), at(-3e-5));
                let slope = (up - down) / (a - b);
                let off = (slope - f64::from(found[index])).abs() / slope.abs().max(1.0);
                assert!(
                    off < 1e-4,
                    "{kind:?}, parameter {index}: {slope}, {}",
                    found[index]
                );
            }
        }
    }
}

#[test]
fn gradients_are_finite_where_points_coincide_or_are_collinear() {
    for kind in kinds() {
        let (flow, context) = (flow(kind, 2), context(ATOMS, 2));
        for (name, cloud) in degenerate(kind.dims) {
            for way in WAYS {
                let leaf = cloud.clone().autodiff().require_grad();
                let of_points = value(&flow, way, leaf.clone(), &context).sum().backward();
                let model = flow.clone().train();
                let of_parameters = value(&model, way, cloud.clone(), &context).sum().backward();
                let largest = largest(leaf.grad(&of_points).unwrap());
                assert!(largest < 1e4, "{kind:?}, {name}, {way:?}: {largest:e}");
                let found = gradients(&model, &of_parameters);
                assert!(found.iter().all(|g| g.is_finite()), "{kind:?}, {name}");
            }
        }
    }
}

#[test]
fn inverses_hold_where_points_coincide_or_are_collinear() {
    for kind in kinds() {
        let (flow, context) = (flow(kind, 3), context(ATOMS, 2));
        for (name, x) in degenerate(kind.dims) {
            let (y, log_det) = flow.forward(x.clone(), &context).unwrap();
            let (back, inverse) = flow.inverse(y, &context).unwrap();
            let off = [largest(back - x), largest(log_det + inverse)];
            assert!(
                off.iter().all(|off| *off < 1e-7),
                "{kind:?}, {name}: {off:?}"
            );
        }
    }
}

#[test]
fn in_single_precision_inverses_hold_to_its_digits() {
    for kind in kinds() {
        let config = config(kind.reference, kind.map);
        let flow = shaken(made(4, space(kind.dims), &config, DType::F32).unwrap(), 0.1);
        // Parameters of single precision serve points of either.
        for (digits, tolerance) in [(DType::F32, 5e-3), (DType::F64, 1e-4)] {
            let x = points(space(kind.dims), 64, 4).cast(digits);
            let context = context(ATOMS, 64);
            let (y, log_det) = flow.forward(x.clone(), &context).unwrap();
            let (back, inverse) = flow.inverse(y, &context).unwrap();
            let off = [largest(back - x), largest(log_det + inverse)];
            assert!(
                off.iter().all(|off| *off < tolerance),
                "{kind:?}, {digits:?}: {off:?}"
            );
        }
    }
}

#[test]
fn samples_do_not_depend_on_their_batch() {
    for kind in kinds() {
        let flow = flow(kind, 2);
        let x = points(space(kind.dims), 4, 4);
        let (all, log_det) = flow.forward(x.clone(), &context(ATOMS, 4)).unwrap();
        let own = context(ATOMS, 4).rows(2..3);
        let (one, own) = flow.forward(x.slice(2..3), &own).unwrap();
        assert_eq!(host(all.slice(2..3)), host(one));
        assert_eq!(host(log_det)[2].to_bits(), host(own)[0].to_bits());
    }
}

#[test]
fn what_is_no_coupling_is_refused() {
    let vector = config(Reference::Vector, Elementwise::Affine);
    let found = |space, config: AugmentedConfig| {
        made(1, space, &config, DType::F64).unwrap_err().to_string()
    };
    let odd = Space::MeanFree { points: 7, dims: 3 };
    assert_eq!(
        found(odd, vector),
        "augmented couplings need two points for each atom, which the mean-free space of 7 points in 3 dimensions has not"
    );
    let free = Space::Free { points: 8, dims: 3 };
    assert_eq!(
        found(free, vector),
        "augmented couplings are for mean-free clouds, not for the free space of 8 points in 3 dimensions"
    );
    let none = AugmentedConfig {
        rounds: 0,
        ..vector
    };
    assert!(found(space(3), none).contains("but 8, 0, 3 and 2 were given"));
    let spherical = config(Reference::Spherical, Elementwise::Affine);
    assert_eq!(
        found(space(3), spherical),
        "an affine map cannot act on the product of 0 lines, 2 intervals and 1 circles"
    );
    let spherical = config(Reference::Spherical, SPLINE);
    assert_eq!(
        found(space(1), spherical),
        "there are no spherical couplings in 1 dimensions; give the vector one"
    );
    let shift = config(Reference::Vector, Elementwise::Additive);
    assert!(found(space(3), shift).starts_with("a vector coupling shifts points without a map"));
    let no_bins = config(Reference::Projected, Elementwise::Spline { bins: 0 });
    assert_eq!(
        found(space(3), no_bins),
        "a spline map cannot act on the product of 0 lines, 3 intervals and 0 circles"
    );
}

#[test]
fn a_context_of_other_features_is_refused() {
    let flow = flow(kinds()[6], 1);
    let context = Context {
        global: None,
        ..context(ATOMS, 2)
    };
    let found = flow.forward(points(space(3), 2, 4), &context).unwrap_err();
    assert_eq!(
        found.to_string(),
        "an augmented coupling of 4 atoms with 2 features each, 1 of each pair and 1 of the whole was given 4 atoms with 2 features each, \
         1 of each pair and 0 of the whole"
    );
}

#[test]
fn a_config_is_read_back_as_written_and_nothing_else_is() {
    let config = config(Reference::Projected, SPLINE);
    let text = serde_json::to_string(&config).unwrap();
    assert!(text.ends_with(r#""reference":"projected","map":{"spline":{"bins":3}}}"#));
    assert_eq!(
        serde_json::from_str::<AugmentedConfig>(&text).unwrap(),
        config
    );
    let more = text.replace(r#""width""#, r#""depth":1,"width""#);
    assert!(serde_json::from_str::<AugmentedConfig>(&more).is_err());
}
