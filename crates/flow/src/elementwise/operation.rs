//! Elementwise maps on the CPU as one operation, with its gradient.

use burn::backend::{
    Autodiff, Backend, DType, Dispatch, Flex,
    autodiff::{
        checkpoint::{base::Checkpointer, strategy::CheckpointStrategy},
        grads::Gradients,
        ops::{Backward, Ops, OpsKind},
    },
    backend_extension,
    tensor::FloatTensor,
};
use burn::tensor::{Shape, Tensor};
use burn_flex::FlexTensor;

use super::Way;
use crate::bump::Bumps;
use crate::flex::{is_ours, slice, tensor};
use crate::simd::{Kernel, Real, run};
use crate::spline::Splines;

/// Maps that have a loop of their own.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Maps {
    Splines(Splines),
    Bumps(Bumps),
}

/// Some maps of one kind, each with a coordinate of its own.
#[derive(Clone, Copy)]
pub(crate) struct Batch<'a, M, N, T> {
    pub(crate) maps: M,
    /// Coordinates of a sample.
    pub(crate) coordinates: usize,
    /// `[batch, coordinates, parameters]`.
    pub(crate) numbers: &'a [N],
    /// `[batch, coordinates]`: what is mapped; in the inverse's gradient what it is mapped to.
    pub(crate) x: &'a [T],
    pub(crate) way: Way,
}

/// Maps `x`.
pub(crate) struct Map<'a, M, N, T> {
    pub(crate) batch: Batch<'a, M, N, T>,
    /// Result, `[batch, coordinates]`.
    pub(crate) y: &'a mut [T],
    /// Result, `[batch, coordinates]`.
    pub(crate) log_slope: &'a mut [T],
}

/// Takes gradients back through [`Map`].
pub(crate) struct Pull<'a, M, N, T> {
    /// With `x` on the side of the forward map's argument, whichever way.
    pub(crate) batch: Batch<'a, M, N, T>,
    /// Of `y`, `[batch, coordinates]`.
    pub(crate) y: &'a [T],
    /// Of the log-slope, `[batch, coordinates]`.
    pub(crate) log_slope: &'a [T],
    /// Result: of the numbers; zeros before.
    pub(crate) numbers: &'a mut [N],
    /// Result: of what was mapped.
    pub(crate) x: &'a mut [T],
}

/// What coordinates in 0…1 are mapped to, and the logarithm of the slope; `None` where there is no loop for the device or the types. Numbers may be of fewer
/// digits than coordinates.
pub(crate) fn map(
    maps: Maps,
    way: Way,
    x: &Tensor<2>,
    numbers: &Tensor<3>,
) -> Option<(Tensor<2>, Tensor<2>)> {
    if !is_ours(x) || !is_ours(numbers) {
        return None;
    }
    let shape = x.dims();
    let both: Tensor<3> = Tensor::from_dispatch(<Dispatch as ElementwiseOps>::elementwise(
        numbers.clone().into_dispatch(),
        x.clone().into_dispatch(),
        maps,
        way,
    ));
    let part = |which| both.clone().narrow(0, which, 1).reshape(shape);
    Some((part(0), part(1)))
}

/// What a back end does for [`map`].
#[backend_extension(Flex, Autodiff)]
pub(crate) trait ElementwiseOps: Backend {
    /// What `x` is mapped to and the logarithm of the slope, `[2, batch, coordinates]`.
    fn elementwise(
        numbers: FloatTensor<Self>,
        x: FloatTensor<Self>,
        maps: Maps,
        way: Way,
    ) -> FloatTensor<Self>;

    /// The gradients of the numbers and of `x`, from that of the result.
    fn elementwise_backward(
        numbers: FloatTensor<Self>,
        x: FloatTensor<Self>,
        result: FloatTensor<Self>,
        gradient: FloatTensor<Self>,
        maps: Maps,
        way: Way,
    ) -> (FloatTensor<Self>, FloatTensor<Self>);
}

impl ElementwiseOps for Flex {
    fn elementwise(numbers: FlexTensor, x: FlexTensor, maps: Maps, way: Way) -> FlexTensor {
        match (numbers.dtype(), x.dtype()) {
            (DType::F32, DType::F32) => forward::<f32, f32>(&numbers, &x, maps, way),
            (DType::F32, _) => forward::<f32, f64>(&numbers, &x, maps, way),
            _ => forward::<f64, f64>(&numbers, &x, maps, way),
        }
    }

    fn elementwise_backward(
        numbers: FlexTensor,
        x: FlexTensor,
        result: FlexTensor,
        gradient: FlexTensor,
        maps: Maps,
        way: Way,
    ) -> (FlexTensor, FlexTensor) {
        let tensors = [&numbers, &x, &result, &gradient];
        match (tensors[0].dtype(), tensors[1].dtype()) {
            (DType::F32, DType::F32) => backward::<f32, f32>(tensors, maps, way),
            (DType::F32, _) => backward::<f32, f64>(tensors, maps, way),
            _ => backward::<f64, f64>(tensors, maps, way),
        }
    }
}

fn forward<N: Real, T: Real>(
    numbers: &FlexTensor,
    x: &FlexTensor,
    maps: Maps,
    way: Way,
) -> FlexTensor {
    match maps {
        Maps::Splines(maps) => mapped::<_, N, T>(numbers, x, maps, way),
        Maps::Bumps(maps) => mapped::<_, N, T>(numbers, x, maps, way),
    }
}

fn mapped<M, N: Real, T: Real>(
    numbers: &FlexTensor,
    x: &FlexTensor,
    maps: M,
    way: Way,
) -> FlexTensor
where
    for<'a> Map<'a, M, N, T>: Kernel,
{
    let [numbers, x] = [numbers, x].map(FlexTensor::to_contiguous);
    let shape = x.layout().shape();
    let mut values = vec![T::default(); 2 * shape.num_elements()];
    let (y, log_slope) = values.split_at_mut(shape.num_elements());
    run(Map {
        batch: Batch {
            maps,
            coordinates: shape[1],
            numbers: slice::<N>(&numbers),
            x: slice(&x),
            way,
        },
        y,
        log_slope,
    });
    tensor(values, Shape::from([2, shape[0], shape[1]]))
}

fn backward<N: Real, T: Real>(
    tensors: [&FlexTensor; 4],
    maps: Maps,
    way: Way,
) -> (FlexTensor, FlexTensor) {
    match maps {
        Maps::Splines(maps) => pulled::<_, N, T>(tensors, maps, way),
        Maps::Bumps(maps) => pulled::<_, N, T>(tensors, maps, way),
    }
}

fn pulled<M, N: Real, T: Real>(
    tensors: [&FlexTensor; 4],
    maps: M,
    way: Way,
) -> (FlexTensor, FlexTensor)
where
    for<'a> Pull<'a, M, N, T>: Kernel,
{
    let [numbers, x, result, gradient] = tensors.map(FlexTensor::to_contiguous);
    let shape = x.layout().shape().clone();
    let count = shape.num_elements();
    let batch = Batch {
        maps,
        coordinates: shape[1],
        numbers: slice::<N>(&numbers),
        x: match way {
            Way::Forward => slice::<T>(&x),
            Way::Inverse => &slice(&result)[..count],
        },
        way,
    };
    let mut of_numbers = vec![N::default(); batch.numbers.len()];
    let mut of_x = vec![T::default(); count];
    let (y, log_slope) = slice(&gradient).split_at(count);
    run(Pull {
        batch,
        y,
        log_slope,
        numbers: &mut of_numbers,
        x: &mut of_x,
    });
    (
        tensor(of_numbers, numbers.layout().shape().clone()),
        tensor(of_x, shape),
    )
}

impl<B: ElementwiseOps, C: CheckpointStrategy> ElementwiseOps for Autodiff<B, C> {
    fn elementwise(
        numbers: FloatTensor<Self>,
        x: FloatTensor<Self>,
        maps: Maps,
        way: Way,
    ) -> FloatTensor<Self> {
        #[derive(Debug)]
        struct ElementwiseBackward;
        impl<B: ElementwiseOps> Backward<B, 2> for ElementwiseBackward {
            type State = ([FloatTensor<B>; 3], Maps, Way);
            fn backward(
                self,
                ops: Ops<Self::State, 2>,
                grads: &mut Gradients,
                _: &mut Checkpointer,
            ) {
                let ([numbers, x, result], maps, way) = ops.state;
                let gradient = grads.consume::<B>(&ops.node);
                let (of_numbers, of_x) =
                    B::elementwise_backward(numbers, x, result, gradient, maps, way);
                for (parent, gradient) in ops.parents.into_iter().zip([of_numbers, of_x]) {
                    if let Some(node) = parent {
                        grads.register::<B>(node.id, gradient);
                    }
                }
            }
        }
        match ElementwiseBackward
            .prepare::<C>([numbers.node(), x.node()])
            .compute_bound()
            .stateful()
        {
            OpsKind::Tracked(prepared) => {
                let (numbers, x) = (numbers.into_primitive(), x.into_primitive());
                let result = B::elementwise(numbers.clone(), x.clone(), maps, way);
                prepared.finish(([numbers, x, result.clone()], maps, way), result)
            }
            OpsKind::UnTracked(prepared) => prepared.finish(B::elementwise(
                numbers.into_primitive(),
                x.into_primitive(),
                maps,
                way,
            )),
        }
    }

    fn elementwise_backward(
        _: FloatTensor<Self>,
        _: FloatTensor<Self>,
        _: FloatTensor<Self>,
        _: FloatTensor<Self>,
        _: Maps,
        _: Way,
    ) -> (FloatTensor<Self>, FloatTensor<Self>) {
        unreachable!("nothing differentiates the gradient of a map")
    }
}
