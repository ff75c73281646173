//! Splines on the CPU as one operation, with its gradient.

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

use super::kernel::{Batch, Map, Pull};
use super::{Splines, Way};
use crate::flex::{slice, tensor};
use crate::simd::{Real, run};

/// See [`super::map`]; in `F32` or `F64`, or with numbers in the former for coordinates in the latter, on the CPU.
pub(super) fn map(
    splines: Splines,
    way: Way,
    x: Tensor<2>,
    numbers: Tensor<3>,
) -> (Tensor<2>, Tensor<2>) {
    let shape = x.dims();
    let both: Tensor<3> = Tensor::from_dispatch(<Dispatch as SplineOps>::spline(
        numbers.into_dispatch(),
        x.into_dispatch(),
        splines,
        way,
    ));
    let part = |which| both.clone().narrow(0, which, 1).reshape(shape);
    (part(0), part(1))
}

/// What a back end does for [`map`].
#[backend_extension(Flex, Autodiff)]
pub(crate) trait SplineOps: Backend {
    /// What `x` is mapped to and the logarithm of the slope, `[2, batch, coordinates]`.
    fn spline(
        numbers: FloatTensor<Self>,
        x: FloatTensor<Self>,
        splines: Splines,
        way: Way,
    ) -> FloatTensor<Self>;

    /// The gradients of the numbers and of `x`, from that of the result.
    fn spline_backward(
        numbers: FloatTensor<Self>,
        x: FloatTensor<Self>,
        result: FloatTensor<Self>,
        gradient: FloatTensor<Self>,
        splines: Splines,
        way: Way,
    ) -> (FloatTensor<Self>, FloatTensor<Self>);
}

impl SplineOps for Flex {
    fn spline(numbers: FlexTensor, x: FlexTensor, splines: Splines, way: Way) -> FlexTensor {
        match (numbers.dtype(), x.dtype()) {
            (DType::F32, DType::F32) => forward::<f32, f32>(&numbers, &x, splines, way),
            (DType::F32, _) => forward::<f32, f64>(&numbers, &x, splines, way),
            _ => forward::<f64, f64>(&numbers, &x, splines, way),
        }
    }

    fn spline_backward(
        numbers: FlexTensor,
        x: FlexTensor,
        result: FlexTensor,
        gradient: FlexTensor,
        splines: Splines,
        way: Way,
    ) -> (FlexTensor, FlexTensor) {
        let tensors = [&numbers, &x, &result, &gradient];
        match (tensors[0].dtype(), tensors[1].dtype()) {
            (DType::F32, DType::F32) => backward::<f32, f32>(tensors, splines, way),
            (DType::F32, _) => backward::<f32, f64>(tensors, splines, way),
            _ => backward::<f64, f64>(tensors, splines, way),
        }
    }
}

fn forward<N: Real, T: Real>(
    numbers: &FlexTensor,
    x: &FlexTensor,
    splines: Splines,
    way: Way,
) -> FlexTensor {
    let [numbers, x] = [numbers, x].map(FlexTensor::to_contiguous);
    let shape = x.layout().shape();
    let mut values = vec![T::default(); 2 * shape.num_elements()];
    let (y, log_slope) = values.split_at_mut(shape.num_elements());
    run(Map {
        batch: Batch {
            splines,
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
    splines: Splines,
    way: Way,
) -> (FlexTensor, FlexTensor) {
    let [numbers, x, result, gradient] = tensors.map(FlexTensor::to_contiguous);
    let shape = x.layout().shape().clone();
    let count = shape.num_elements();
    let batch = Batch {
        splines,
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

impl<B: SplineOps, C: CheckpointStrategy> SplineOps for Autodiff<B, C> {
    fn spline(
        numbers: FloatTensor<Self>,
        x: FloatTensor<Self>,
        splines: Splines,
        way: Way,
    ) -> FloatTensor<Self> {
        #[derive(Debug)]
        struct SplineBackward;
        impl<B: SplineOps> Backward<B, 2> for SplineBackward {
            type State = ([FloatTensor<B>; 3], Splines, Way);
            fn backward(
                self,
                ops: Ops<Self::State, 2>,
                grads: &mut Gradients,
                _: &mut Checkpointer,
            ) {
                let ([numbers, x, result], splines, way) = ops.state;
                let gradient = grads.consume::<B>(&ops.node);
                let (of_numbers, of_x) =
                    B::spline_backward(numbers, x, result, gradient, splines, way);
                for (parent, gradient) in ops.parents.into_iter().zip([of_numbers, of_x]) {
                    if let Some(node) = parent {
                        grads.register::<B>(node.id, gradient);
                    }
                }
            }
        }
        match SplineBackward
            .prepare::<C>([numbers.node(), x.node()])
            .compute_bound()
            .stateful()
        {
            OpsKind::Tracked(prepared) => {
                let (numbers, x) = (numbers.into_primitive(), x.into_primitive());
                let result = B::spline(numbers.clone(), x.clone(), splines, way);
                prepared.finish(([numbers, x, result.clone()], splines, way), result)
            }
            OpsKind::UnTracked(prepared) => prepared.finish(B::spline(
                numbers.into_primitive(),
                x.into_primitive(),
                splines,
                way,
            )),
        }
    }

    fn spline_backward(
        _: FloatTensor<Self>,
        _: FloatTensor<Self>,
        _: FloatTensor<Self>,
        _: FloatTensor<Self>,
        _: Splines,
        _: Way,
    ) -> (FloatTensor<Self>, FloatTensor<Self>) {
        unreachable!("nothing differentiates the gradient of a spline")
    }
}
