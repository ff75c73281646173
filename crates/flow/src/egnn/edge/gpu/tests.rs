//! The kernels on whatever GPU there is, held to the composition on the CPU.

use burn::tensor::DType;

use super::super::tests::{
    Case, PLAIN, Shape, Way, assert_alone_as_in_a_batch, assert_as_composed,
};
use crate::host;
use crate::on_gpu::gpu;

/// The largest of all: odd features, in several tiles.
const TILES: Shape = Shape {
    points: 30,
    dims: 2,
    width: 33,
    directions: 2,
    is_rich: true,
    ..PLAIN
};

/// Of one edge, of one tile and of several, of narrow and wide features; a driver in software takes seconds to compile each.
fn shapes() -> [Shape; 6] {
    let of = |points, width, dims, channels, directions, is_rich| Shape {
        points,
        dims,
        width,
        channels,
        directions,
        is_rich,
        ..PLAIN
    };
    [
        of(1, 8, 3, 1, 1, true),
        of(2, 20, 2, 3, 0, true),
        of(5, 8, 2, 2, 2, false),
        of(5, 128, 3, 1, 2, true),
        of(30, 64, 3, 1, 0, false),
        TILES,
    ]
}

#[test]
fn the_step_of_a_gpu_is_the_composition_of_the_cpu() {
    let Some(gpu) = gpu() else { return };
    for shape in shapes() {
        let case = Case::new(shape, DType::F32);
        assert_as_composed(&case.on(&gpu), &case, 1e-5, &format!("{shape:?}"));
    }
}

#[test]
fn points_nearly_on_top_of_each_other_are_no_exception_on_a_gpu() {
    let Some(gpu) = gpu() else { return };
    for shape in shapes().into_iter().filter(|shape| shape.points > 2) {
        let case = Case::new(shape, DType::F32).with_near_points();
        assert_as_composed(&case.on(&gpu), &case, 1e-5, &format!("{shape:?}"));
    }
}

#[test]
fn a_gpu_gives_the_same_bits_again() {
    let Some(gpu) = gpu() else { return };
    let shape = Shape { batch: 5, ..TILES };
    let case = Case::new(shape, DType::F32).on(&gpu);
    let values = || -> Vec<Vec<f64>> {
        let results = case.results(Way::Fused).into_iter().map(host);
        results.collect()
    };
    assert_eq!(values(), values());
    assert_eq!(case.gradients(Way::Fused), case.gradients(Way::Fused));
}

#[test]
fn a_sample_has_the_same_bits_in_any_batch_of_a_gpu() {
    let Some(gpu) = gpu() else { return };
    let shape = Shape { batch: 3, ..TILES };
    assert_alone_as_in_a_batch(&Case::new(shape, DType::F32).on(&gpu));
}
