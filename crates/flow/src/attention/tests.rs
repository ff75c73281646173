use burn::tensor::{DType, Device};
use rand::RngExt;
use rand_distr::StandardNormal;

use super::*;
use crate::bijection::host;
use crate::context::Samples;
use crate::parameters::{flatten, unflatten};
use crate::random::{Purpose, stream};
use crate::testing::{largest, permuted_context};

const CONFIG: AttentionConfig = AttentionConfig {
    size: AttentionSize {
        width: 12,
        heads: 3,
        layers: 2,
    },
    node_features: 4,
    pair_features: 3,
};
const NUMBERS: usize = 5;
const SPACE: Space = Space::Product {
    lines: 0,
    intervals: 4,
    circles: 3,
};
const ACTIVE: [usize; 3] = [1, 4, 6];

fn random<const D: usize>(shape: [usize; D], seed: u64) -> Tensor<D> {
    let numbers = stream(seed, Purpose::Training, 0).sample_iter(StandardNormal);
    let values = numbers.take(shape.iter().product()).collect();
    tensor(values, shape, &Device::flex(), DType::F64)
}

fn context(count: usize) -> Context {
    let samples = Samples::consecutive(1, 0..1);
    Context {
        nodes: random([1, count, CONFIG.node_features], 3),
        pairs: Some(random([1, count, count, CONFIG.pair_features], 4)),
        ..Context::alike(count, samples, &Device::flex(), DType::F64)
    }
}

/// A network whose parameters are large enough to matter, the same for any space.
fn network(space: Space, active: &[usize]) -> Attention {
    let mut make = Initializer {
        random: &mut stream(5, Purpose::Parameters, 0),
        device: &Device::flex(),
        dtype: DType::F64,
    };
    let network = Attention::new(space, active, [0, NUMBERS], CONFIG, &mut make).unwrap();
    let noise = stream(6, Purpose::Parameters, 1).sample_iter(StandardNormal);
    let moved = flatten(&network).into_iter().zip(noise);
    let moved: Vec<f32> = moved
        .map(|(p, noise): (f32, f32)| p + 0.2 * noise)
        .collect();
    unflatten(network, &moved)
}

/// Numbers of each active coordinate of each sample, from all coordinates.
fn numbers(network: &Attention, x: &Tensor<2>, context: &Context) -> Vec<Vec<f64>> {
    let order = &network.coordinates.order;
    let passive = &order[..order.len() - network.coordinates.active];
    let x = x.clone().select(1, indices(passive, &x.device()));
    let found = host(network.forward(&x, context).unwrap());
    found.chunks(NUMBERS).map(<[f64]>::to_vec).collect()
}

/// Values in 0…1 of two samples.
fn values(count: usize) -> Tensor<2> {
    let mut random = stream(7, Purpose::Training, 1);
    let values = (0..2 * count).map(|_| random.random::<f64>()).collect();
    tensor(values, [2, count], &Device::flex(), DType::F64)
}

#[test]
fn the_operation_is_its_composition_with_the_same_gradients() {
    // Numbers of keys below, at and beyond multiples of the lanes of registers; fewer queries; one sample.
    for (batch, queries, keys, heads) in
        [(3, 37, 37, 2), (2, 5, 16, 4), (1, 1, 1, 1), (2, 3, 21, 1)]
    {
        let width = 8;
        let parts = [
            random([batch, queries, width], 11),
            random([batch, keys, 2 * width], 12),
            random([heads, queries, keys], 13) * 4.0,
        ];
        let weights = random([batch, queries, width], 14);
        let found = |attend: fn(Tensor<3>, Tensor<3>, Tensor<3>) -> Tensor<3>| {
            let leaves = parts.clone().map(|part| part.autodiff().require_grad());
            let [q, kv, b] = leaves.clone();
            let mixed = attend(q, kv, b);
            let gradients = (mixed.clone() * weights.clone()).sum().backward();
            let of = leaves.map(|leaf| host(leaf.grad(&gradients).unwrap()));
            (host(mixed), of)
        };
        let (ours, theirs) = (found(operation::attend), found(composed));
        let far = |a: &[f64], b: &[f64]| {
            assert_eq!(a.len(), b.len());
            let off = a.iter().zip(b).map(|(a, b)| (a - b).abs());
            off.fold(0.0, f64::max)
        };
        assert!(far(&ours.0, &theirs.0) < 1e-13);
        for (ours, theirs) in ours.1.iter().zip(&theirs.1) {
            let off = far(ours, theirs);
            assert!(off < 1e-12, "{batch} {queries} {keys} {heads}: {off:e}");
        }
        // In single precision too.
        let [q, kv, b] = parts.clone().map(|part| part.cast(DType::F32));
        let single = host(operation::attend(q, kv, b));
        assert!(far(&single, &theirs.0) < 1e-5);
    }
}

#[test]
fn relabelled_coordinates_get_their_numbers_under_their_new_labels() {
    let count = SPACE.points();
    let (x, context) = (values(count), context(count));
    let here = network(SPACE, &ACTIVE);
    let before = numbers(&here, &x, &context);
    // Coordinate i is what order[i] was: intervals and circles among themselves.
    let order = [3, 0, 1, 2, 6, 4, 5];
    let active: Vec<usize> = (0..count).filter(|&k| ACTIVE.contains(&order[k])).collect();
    let there = network(SPACE, &active);
    let moved = x.select(1, indices(&order, &Device::flex()));
    let after = numbers(&there, &moved, &permuted_context(&context, &order));
    for sample in 0..2 {
        for (row, &coordinate) in active.iter().enumerate() {
            let old = ACTIVE.iter().position(|&k| k == order[coordinate]).unwrap();
            let (a, b) = (&before[sample * 3 + old], &after[sample * 3 + row]);
            for (a, b) in a.iter().zip(b) {
                assert!((a - b).abs() < 1e-12, "{a} and {b}");
            }
        }
    }
}

#[test]
fn coordinates_alike_in_label_and_value_have_the_same_numbers_and_others_have_not() {
    let count = SPACE.points();
    let network = network(SPACE, &ACTIVE);
    let x = values(count);
    // All intervals are labelled alike, all circles alike, and pairs by what they are of.
    let label = |k: usize| {
        if k < 4 {
            [1.0, 0.0, 0.5, 0.0]
        } else {
            [0.0, 1.0, 0.0, 0.2]
        }
    };
    let pair = |a: usize, b: usize| [f64::from(u8::from(a == b)), label(a)[0], label(b)[1]];
    let all = || 0..count;
    let nodes = all().flat_map(label).collect();
    let pairs = all()
        .flat_map(|a| all().flat_map(move |b| pair(a, b)))
        .collect();
    let alike = Context {
        nodes: tensor(nodes, [1, count, 4], &Device::flex(), DType::F64),
        pairs: Some(tensor(
            pairs,
            [1, count, count, 3],
            &Device::flex(),
            DType::F64,
        )),
        ..context(count)
    };
    let far = |a: &[f64], b: &[f64]| {
        a.iter()
            .zip(b)
            .map(|(a, b)| (a - b).abs())
            .fold(0.0, f64::max)
    };
    let found = numbers(&network, &x, &alike);
    // Both circles, 4 and 6, but not the interval.
    assert!(far(&found[1], &found[2]) < 1e-12);
    assert!(far(&found[0], &found[1]) > 1e-2);
    // Other values, other numbers; and where labels differ, circles do.
    assert!(far(&found[1], &found[4]) > 1e-3);
    let found = numbers(&network, &x, &context(count));
    assert!(far(&found[1], &found[2]) > 1e-2);
}

#[test]
fn every_passive_value_counts_and_no_active_one() {
    let count = SPACE.points();
    let (network, context) = (network(SPACE, &ACTIVE), context(count));
    let x = values(count);
    let before = numbers(&network, &x, &context);
    for moved in 0..count {
        let mut step = vec![0.0; count];
        step[moved] = 0.1;
        let step: Tensor<2> = tensor(step, [1, count], &Device::flex(), DType::F64);
        let after = numbers(&network, &(x.clone() + step), &context);
        for (before, after) in before.iter().zip(after) {
            let off = before.iter().zip(after).map(|(a, b)| (a - b).abs());
            let off = off.fold(0.0, f64::max);
            assert_eq!(off > 1e-6, !ACTIVE.contains(&moved), "{moved}: {off}");
        }
    }
}

#[test]
fn there_are_as_many_parameters_for_any_number_of_coordinates() {
    let few = Space::Product {
        lines: 2,
        intervals: 0,
        circles: 0,
    };
    let [few, many] = [(few, &[0][..]), (SPACE, &ACTIVE)]
        .map(|(space, active)| flatten(&network(space, active)).len());
    assert_eq!(few, many);
}

#[test]
fn without_passive_coordinates_all_samples_get_the_same_numbers() {
    let count = SPACE.points();
    let all: Vec<usize> = (0..count).collect();
    let network = network(SPACE, &all);
    let nothing = values(count).select(1, indices(&[], &Device::flex()));
    let found = network.forward(&nothing, &context(count)).unwrap();
    assert_eq!(found.dims(), [2, count, NUMBERS]);
    let [first, second] = [0, 1].map(|sample| found.clone().narrow(0, sample, 1));
    assert_eq!(largest(first.clone() - second), 0.0);
    assert!(largest(first) > 1e-3);
}

#[test]
fn sizes_and_contexts_that_do_not_fit_are_refused() {
    let count = SPACE.points();
    let network = network(SPACE, &ACTIVE);
    let x = values(count).narrow(1, 0, 4);
    let samples = Samples::consecutive(1, 0..2);
    let alike = Context::alike(count, samples, &Device::flex(), DType::F64);
    let found = network.forward(&x, &alike).unwrap_err().to_string();
    assert!(
        found.contains("made for 7 coordinates with 4 features of each, 3 of each pair"),
        "{found}"
    );
    let mut make = Initializer {
        random: &mut stream(5, Purpose::Parameters, 0),
        device: &Device::flex(),
        dtype: DType::F64,
    };
    let size = AttentionSize {
        heads: 5,
        ..CONFIG.size
    };
    let config = AttentionConfig { size, ..CONFIG };
    let found = Attention::new(SPACE, &ACTIVE, [0, NUMBERS], config, &mut make);
    let found = found.unwrap_err().to_string();
    assert!(found.contains("5 heads cannot be 12 wide"), "{found}");
}
