//! Attention on the CPU as one operation, with its gradient.

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
use burn::tensor::Tensor;
use burn_flex::FlexTensor;

use super::kernel::{self, Inputs, Sizes};
use crate::flex::{slice, tensor};
use crate::simd::Real;

/// See [`super::attend`]; in `F32` or `F64`, on the CPU.
pub(super) fn attend(queries: Tensor<3>, keys_values: Tensor<3>, bias: Tensor<3>) -> Tensor<3> {
    Tensor::from_dispatch(<Dispatch as AttentionOps>::attend(
        queries.into_dispatch(),
        keys_values.into_dispatch(),
        bias.into_dispatch(),
    ))
}

/// What a back end does for [`attend`].
#[backend_extension(Flex, Autodiff)]
pub(crate) trait AttentionOps: Backend {
    /// Each head's mean of the values.
    fn attend(
        queries: FloatTensor<Self>,
        keys_values: FloatTensor<Self>,
        bias: FloatTensor<Self>,
    ) -> FloatTensor<Self>;

    /// The gradients of all three, from that of the result.
    fn attend_backward(
        queries: FloatTensor<Self>,
        keys_values: FloatTensor<Self>,
        bias: FloatTensor<Self>,
        gradient: FloatTensor<Self>,
    ) -> (FloatTensor<Self>, FloatTensor<Self>, FloatTensor<Self>);
}

impl AttentionOps for Flex {
    fn attend(queries: FlexTensor, keys_values: FlexTensor, bias: FlexTensor) -> FlexTensor {
        let tensors = [&queries, &keys_values, &bias];
        match queries.dtype() {
            DType::F32 => forward::<f32>(tensors),
            _ => forward::<f64>(tensors),
        }
    }

    fn attend_backward(
        queries: FlexTensor,
        keys_values: FlexTensor,
        bias: FlexTensor,
        gradient: FlexTensor,
    ) -> (FlexTensor, FlexTensor, FlexTensor) {
        let tensors = [&queries, &keys_values, &bias];
        match queries.dtype() {
            DType::F32 => backward::<f32>(tensors, &gradient),
            _ => backward::<f64>(tensors, &gradient),
        }
    }
}

fn forward<T: Real>(tensors: [&FlexTensor; 3]) -> FlexTensor {
    let tensors = tensors.map(FlexTensor::to_contiguous);
    let shape = tensors[0].layout().shape().clone();
    tensor(kernel::forward(inputs::<T>(&tensors)), shape)
}

fn backward<T: Real>(
    tensors: [&FlexTensor; 3],
    gradient: &FlexTensor,
) -> (FlexTensor, FlexTensor, FlexTensor) {
    let tensors = tensors.map(FlexTensor::to_contiguous);
    let gradient = gradient.to_contiguous();
    let found = kernel::backward(inputs::<T>(&tensors), slice(&gradient));
    let [queries, keys_values, bias] = tensors.map(|of| of.layout().shape().clone());
    (
        tensor(found.queries, queries),
        tensor(found.keys_values, keys_values),
        tensor(found.bias, bias),
    )
}

fn inputs<T: Real>(tensors: &[FlexTensor; 3]) -> Inputs<'_, T> {
    let [queries, keys_values, bias] = tensors;
    let shape = queries.layout().shape();
    Inputs {
        sizes: Sizes {
            batch: shape[0],
            queries: shape[1],
            keys: keys_values.layout().shape()[1],
            heads: bias.layout().shape()[0],
            width: shape[2],
        },
        queries: slice(queries),
        keys_values: slice(keys_values),
        bias: slice(bias),
    }
}

impl<B: AttentionOps, C: CheckpointStrategy> AttentionOps for Autodiff<B, C> {
    fn attend(
        queries: FloatTensor<Self>,
        keys_values: FloatTensor<Self>,
        bias: FloatTensor<Self>,
    ) -> FloatTensor<Self> {
        #[derive(Debug)]
        struct AttendBackward;
        impl<B: AttentionOps> Backward<B, 3> for AttendBackward {
            type State = [FloatTensor<B>; 3];
            fn backward(
                self,
                ops: Ops<Self::State, 3>,
                grads: &mut Gradients,
                _: &mut Checkpointer,
            ) {
                let [queries, keys_values, bias] = ops.state;
                let gradient = grads.consume::<B>(&ops.node);
                let (of_queries, of_keys_values, of_bias) =
                    B::attend_backward(queries, keys_values, bias, gradient);
                let found = [of_queries, of_keys_values, of_bias];
                for (parent, gradient) in ops.parents.into_iter().zip(found) {
                    if let Some(node) = parent {
                        grads.register::<B>(node.id, gradient);
                    }
                }
            }
        }
        let parents = [queries.node(), keys_values.node(), bias.node()];
        let prepared = AttendBackward.prepare::<C>(parents);
        let (queries, bias) = (queries.into_primitive(), bias.into_primitive());
        let keys_values = keys_values.into_primitive();
        match prepared.compute_bound().stateful() {
            OpsKind::Tracked(prepared) => {
                let state = [queries.clone(), keys_values.clone(), bias.clone()];
                prepared.finish(state, B::attend(queries, keys_values, bias))
            }
            OpsKind::UnTracked(prepared) => prepared.finish(B::attend(queries, keys_values, bias)),
        }
    }

    fn attend_backward(
        _: FloatTensor<Self>,
        _: FloatTensor<Self>,
        _: FloatTensor<Self>,
        _: FloatTensor<Self>,
    ) -> (FloatTensor<Self>, FloatTensor<Self>, FloatTensor<Self>) {
        unreachable!("nothing differentiates the gradient of attention")
    }
}
