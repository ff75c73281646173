//! The step of all edges as kernels of a GPU, with its gradient, in single precision.
//!
//! A cube goes through the edges of one receiver some at a time, as the CPU does through a tile: what is between the maps stays in the memory that
//! its units share. Nothing is added up atomically, so the same inputs give the same bits.

mod forward;
mod reverse;
#[cfg(all(test, feature = "wgpu"))]
mod tests;
mod tile;
mod tiling;

use burn::backend::TensorMetadata;
use burn::backend::ops::FloatTensorOps;
use burn::tensor::{DType, Device, Shape, Slice};
use burn_cubecl::CubeBackend;
use burn_cubecl::kernel::into_contiguous;
use burn_cubecl::ops::numeric::{empty_device_contiguous_dtype, zeros_client};
use burn_cubecl::tensor::CubeTensor;
use cubecl::prelude::*;

use super::Sizes;
use super::operation::{EdgeOps, EdgeTensors};
use crate::Points;
use crate::egnn::layer::Layer;
use reverse::{BackLaunch, BarsLaunch};
use tile::InputsLaunch;
use tiling::{Pass, Split, Tiling};

/// Whether the kernels take a layer's step: in single precision, of features and channels that fit the memory of a cube. The rest is composed.
pub(super) fn takes(layer: &Layer, x: &Points) -> bool {
    let [batch, points, dims] = x.dims();
    let [width, channels] = layer.weight.weight.dims();
    x.device() != Device::flex()
        && x.dtype() == DType::F32
        && (4..=MOST_FEATURES).contains(&width)
        && dims <= width
        && dims + channels <= MOST_FEATURES
        && batch.max(points) <= MOST_CUBES
}

/// Every device's cubes hold one edge of so many features, and of so many axes and channels (8 KiB).
const MOST_FEATURES: usize = 128;

/// Cubes along one axis that every device takes.
const MOST_CUBES: usize = 65535;

impl EdgeOps for CubeBackend {
    fn edge_step(inputs: EdgeTensors<Self>, sizes: Sizes) -> CubeTensor {
        let inputs = contiguous(inputs);
        let tiling = Tiling::of(&inputs, &sizes, Pass::Forward);
        let like = &inputs.x;
        let found = empty_device_contiguous_dtype(
            like.client.clone(),
            like.device.clone(),
            Shape::new([sizes.received() + sizes.pulled()]),
            DType::F32,
        );
        // SAFETY: `Tiling` and `Sizes` are those of the tensors, so that no index lies outside; loops end where the sizes do.
        unsafe {
            forward::forward::launch_unchecked(
                &like.client,
                CubeCount::new_2d(sizes.points as u32, sizes.batch as u32),
                tiling.cube(),
                launched(&inputs, &sizes),
                found.clone().into_buffer_arg(),
                tiling,
            );
        }
        found
    }

    fn edge_step_backward(
        inputs: EdgeTensors<Self>,
        gradient: CubeTensor,
        sizes: Sizes,
    ) -> EdgeTensors<Self> {
        let inputs = contiguous(inputs);
        let tiling = Tiling::of(&inputs, &sizes, Pass::Reverse);
        let split = Split::of(&sizes, tiling);
        let turned = |map: &CubeTensor| into_contiguous(Self::float_transpose(map.clone()));
        let like = &inputs.x;
        let zeros = |parts: usize, size: usize| {
            let shape = Shape::new([parts, size.max(1)]);
            zeros_client(like.client.clone(), like.device.clone(), shape, DType::F32)
        };
        let ends = [
            &inputs.x,
            &inputs.receiver,
            &inputs.moved,
            &inputs.moved_receiver,
        ];
        let of_ends = ends.map(count).iter().sum();
        let receivers = zeros(1, of_ends);
        let senders = zeros(split.parts, of_ends);
        let pairs = zeros(split.stripes, count(&inputs.pairs));
        let weights = zeros(split.parts * split.stripes, tiling.maps().count);
        // SAFETY: as in `edge_step`, and the gradients are of the sizes that `Bars` says, zero at the start.
        unsafe {
            reverse::reverse::launch_unchecked(
                &like.client,
                split.cubes(),
                tiling.cube(),
                launched(&inputs, &sizes),
                BackLaunch::new(
                    turned(&inputs.message).into_buffer_arg(),
                    turned(&inputs.coordinate).into_buffer_arg(),
                    into_contiguous(gradient).into_buffer_arg(),
                ),
                BarsLaunch::new(
                    receivers.clone().into_buffer_arg(),
                    senders.clone().into_buffer_arg(),
                    pairs.clone().into_buffer_arg(),
                    weights.clone().into_buffer_arg(),
                ),
                tiling,
            );
        }
        gathered(inputs, [receivers, senders, pairs, weights])
    }
}

/// The gradients of the inputs from those that the cubes have added up; those of shift and scale, which nothing learns, are no numbers of use.
fn gathered(inputs: EdgeTensors<CubeBackend>, parts: [CubeTensor; 4]) -> EdgeTensors<CubeBackend> {
    let [mut receivers, mut senders, mut pairs, mut weights] = parts.map(|parts| Cut {
        flat: CubeBackend::float_sum_dim(parts, 0),
        next: 0,
    });
    let mut both = |of: &CubeTensor| (receivers.take(of), senders.take(of));
    let (x, ends) = (both(&inputs.x), both(&inputs.receiver));
    let (moved, moved_ends) = (both(&inputs.moved), both(&inputs.moved_receiver));
    let sum = |(a, b)| CubeBackend::float_add(a, b);
    EdgeTensors {
        x: sum(x),
        receiver: ends.0,
        sender: ends.1,
        pairs: pairs.take(&inputs.pairs),
        moved: if is_there(&inputs.moved) {
            sum(moved)
        } else {
            moved.0
        },
        moved_receiver: moved_ends.0,
        moved_sender: moved_ends.1,
        distance: weights.take(&inputs.distance),
        message: weights.take(&inputs.message),
        message_bias: weights.take(&inputs.message_bias),
        coordinate: weights.take(&inputs.coordinate),
        coordinate_bias: weights.take(&inputs.coordinate_bias),
        weight: weights.take(&inputs.weight),
        shift: inputs.shift,
        scale: inputs.scale,
    }
}

/// Numbers that are cut into tensors one after another.
struct Cut {
    flat: CubeTensor,
    next: usize,
}

impl Cut {
    /// As many as this has, in its shape.
    fn take(&mut self, like: &CubeTensor) -> CubeTensor {
        if !is_there(like) {
            return like.clone();
        }
        let start = self.next;
        self.next += count(like);
        let places = [Slice::from(0..1), Slice::from(start..self.next)];
        let numbers = CubeBackend::float_slice(self.flat.clone(), &places);
        CubeBackend::float_reshape(numbers, like.shape())
    }
}

fn count(tensor: &CubeTensor) -> usize {
    tensor.shape().num_elements()
}

/// Whether there is such an input.
fn is_there(tensor: &CubeTensor) -> bool {
    count(tensor) > 0
}

fn contiguous(inputs: EdgeTensors<CubeBackend>) -> EdgeTensors<CubeBackend> {
    EdgeTensors::from_array(inputs.into_array().map(into_contiguous))
}

/// The inputs as the kernels take them: what there is not is `x`, because nothing can be bound to no memory.
fn launched(inputs: &EdgeTensors<CubeBackend>, sizes: &Sizes) -> InputsLaunch {
    let some = |tensor: &CubeTensor| {
        let tensor = if is_there(tensor) { tensor } else { &inputs.x };
        tensor.clone().into_buffer_arg()
    };
    InputsLaunch::new(
        some(&inputs.x),
        some(&inputs.receiver),
        some(&inputs.sender),
        some(&inputs.pairs),
        some(&inputs.shift),
        some(&inputs.scale),
        some(&inputs.moved),
        some(&inputs.moved_receiver),
        some(&inputs.moved_sender),
        some(&inputs.distance),
        some(&inputs.message),
        some(&inputs.message_bias),
        some(&inputs.coordinate),
        some(&inputs.coordinate_bias),
        some(&inputs.weight),
        sizes.batch,
        sizes.points,
        sizes.directions,
    )
}
