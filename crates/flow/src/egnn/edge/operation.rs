//! A step of all edges as one operation of a back end, with its gradient, and what the CPU does for it.

use burn::backend::{
    Autodiff, Backend, DType, Dispatch, ExtensionType, Flex,
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

use super::{Inputs, Sizes, Weights, forward::forward, reverse::reverse};
use crate::distances::Standard;
use crate::dual::Dual;
use crate::egnn::layer::{Layer, PairTerms};
use crate::flex::{slice, tensor};
use crate::simd::Real;

/// A struct of tensors by these names, and its way to an array and back.
macro_rules! tensors {
    ($(#[$doc:meta])* $struct:ident, $($name:ident),+) => {
        $(#[$doc])*
        #[derive(ExtensionType, Clone, Debug)]
        pub(crate) struct $struct<B: Backend> {
            $(pub(super) $name: FloatTensor<B>),+
        }

        /// How many these are.
        const TENSORS: usize = [$(stringify!($name)),+].len();

        impl<B: Backend> $struct<B> {
            pub(super) fn into_array(self) -> [FloatTensor<B>; TENSORS] {
                [$(self.$name),+]
            }

            pub(super) fn from_array([$($name),+]: [FloatTensor<B>; TENSORS]) -> Self {
                Self { $($name),+ }
            }
        }
    };
}

tensors!(
    /// What a step is made of, see [`Inputs`], or the gradients of these; what there is not is empty.
    EdgeTensors,
    x,
    receiver,
    sender,
    pairs,
    shift,
    scale,
    moved,
    moved_receiver,
    moved_sender,
    distance,
    message,
    message_bias,
    coordinate,
    coordinate_bias,
    weight
);

/// `M` and its derivatives along each direction, `[1 + directions, batch, N, width]`, where messages are wanted, then `Y` and its own,
/// `[1 + directions, batch, N, channels, dims]`, all in one axis.
pub(super) fn apply(
    sizes: Sizes,
    layer: &Layer,
    x: &Dual<3>,
    [receiver, sender]: [Dual<3>; 2],
    standard: Option<&Standard>,
    pairs: &PairTerms,
) -> Tensor<1> {
    let like = (&x.value.device(), x.value.dtype());
    let none = || Tensor::<1>::empty([0], like).into_dispatch();
    let some = |tensor: Option<Tensor<3>>| tensor.map_or_else(none, Tensor::into_dispatch);
    let square =
        |tensor: Option<&Tensor<4>>| tensor.map_or_else(none, |t| t.clone().into_dispatch());
    // Features of the points that all samples share come once.
    let of_each = |h: Tensor<3>| match h.dims()[0] {
        1 => h.repeat_dim(0, sizes.batch).into_dispatch(),
        _ => h.into_dispatch(),
    };
    let bias = "the maps of edges have one";
    let inputs = EdgeTensors {
        x: x.value.clone().into_dispatch(),
        receiver: of_each(receiver.value),
        sender: of_each(sender.value),
        pairs: square(pairs.first.as_ref()),
        shift: square(standard.map(|standard| &standard.shift)),
        scale: square(standard.map(|standard| &standard.scale)),
        moved: some(x.tangents.clone()),
        moved_receiver: some(receiver.tangents),
        moved_sender: some(sender.tangents),
        distance: layer.distance.val().into_dispatch(),
        message: layer.message.weight.val().into_dispatch(),
        message_bias: layer
            .message
            .bias
            .as_ref()
            .expect(bias)
            .val()
            .into_dispatch(),
        coordinate: layer.coordinate.weight.val().into_dispatch(),
        coordinate_bias: layer
            .coordinate
            .bias
            .as_ref()
            .expect(bias)
            .val()
            .into_dispatch(),
        weight: layer.weight.weight.val().into_dispatch(),
    };
    Tensor::from_dispatch(<Dispatch as EdgeOps>::edge_step(inputs, sizes))
}

/// What a back end does for [`apply`].
#[backend_extension(Flex, Cube: cfg(feature = "gpu"), Autodiff)]
pub(crate) trait EdgeOps: Backend {
    /// What every point receives.
    fn edge_step(#[extension_type] inputs: EdgeTensors<Self>, sizes: Sizes) -> FloatTensor<Self>;

    /// The gradients of the inputs; those of shift and scale, which nothing learns, are left out.
    fn edge_step_backward(
        #[extension_type] inputs: EdgeTensors<Self>,
        gradient: FloatTensor<Self>,
        sizes: Sizes,
    ) -> EdgeTensors<Self>;
}

impl EdgeOps for Flex {
    fn edge_step(inputs: EdgeTensors<Self>, sizes: Sizes) -> FlexTensor {
        match inputs.x.dtype() {
            DType::F32 => value::<f32>(inputs, sizes),
            _ => value::<f64>(inputs, sizes),
        }
    }

    fn edge_step_backward(
        inputs: EdgeTensors<Self>,
        gradient: FlexTensor,
        sizes: Sizes,
    ) -> EdgeTensors<Self> {
        match inputs.x.dtype() {
            DType::F32 => gradients::<f32>(inputs, &gradient, sizes),
            _ => gradients::<f64>(inputs, &gradient, sizes),
        }
    }
}

fn value<T: Real>(inputs: EdgeTensors<Flex>, sizes: Sizes) -> FlexTensor {
    let found = forward(&on_host::<T>(&contiguous(inputs), sizes));
    let shape = Shape::new([found.len()]);
    tensor(found, shape)
}

fn gradients<T: Real>(
    inputs: EdgeTensors<Flex>,
    gradient: &FlexTensor,
    sizes: Sizes,
) -> EdgeTensors<Flex> {
    let inputs = contiguous(inputs);
    let gradient = gradient.to_contiguous();
    let found = reverse(&on_host::<T>(&inputs, sizes), slice(&gradient));
    let like = |values: Vec<T>, of: &FlexTensor| tensor(values, of.layout().shape().clone());
    let none = || tensor(Vec::<T>::new(), Shape::new([0]));
    let [receiver, sender] = found.ends;
    let [moved_receiver, moved_sender] = found.moved_ends;
    EdgeTensors {
        x: like(found.x, &inputs.x),
        receiver: like(receiver, &inputs.receiver),
        sender: like(sender, &inputs.sender),
        pairs: like(found.pairs, &inputs.pairs),
        shift: none(),
        scale: none(),
        moved: like(found.moved, &inputs.moved),
        moved_receiver: like(moved_receiver, &inputs.moved_receiver),
        moved_sender: like(moved_sender, &inputs.moved_sender),
        distance: like(found.distance, &inputs.distance),
        message: like(found.message, &inputs.message),
        message_bias: like(found.message_bias, &inputs.message_bias),
        coordinate: like(found.coordinate, &inputs.coordinate),
        coordinate_bias: like(found.coordinate_bias, &inputs.coordinate_bias),
        weight: like(found.weight, &inputs.weight),
    }
}

fn contiguous(inputs: EdgeTensors<Flex>) -> EdgeTensors<Flex> {
    EdgeTensors::from_array(inputs.into_array().map(|input| input.to_contiguous()))
}

fn on_host<T: Real>(inputs: &EdgeTensors<Flex>, sizes: Sizes) -> Inputs<'_, T> {
    Inputs {
        sizes,
        x: slice(&inputs.x),
        ends: [slice(&inputs.receiver), slice(&inputs.sender)],
        pairs: slice(&inputs.pairs),
        standard: [slice(&inputs.shift), slice(&inputs.scale)],
        moved: slice(&inputs.moved),
        moved_ends: [slice(&inputs.moved_receiver), slice(&inputs.moved_sender)],
        weights: Weights {
            distance: slice(&inputs.distance),
            message: slice(&inputs.message),
            message_bias: slice(&inputs.message_bias),
            coordinate: slice(&inputs.coordinate),
            coordinate_bias: slice(&inputs.coordinate_bias),
            weight: slice(&inputs.weight),
        },
    }
}

impl<B: EdgeOps, C: CheckpointStrategy> EdgeOps for Autodiff<B, C> {
    fn edge_step(inputs: EdgeTensors<Self>, sizes: Sizes) -> FloatTensor<Self> {
        #[derive(Debug)]
        struct EdgeBackward;
        impl<B: EdgeOps> Backward<B, TENSORS> for EdgeBackward {
            type State = (EdgeTensors<B>, Sizes);
            fn backward(
                self,
                ops: Ops<Self::State, TENSORS>,
                grads: &mut Gradients,
                _: &mut Checkpointer,
            ) {
                let (inputs, sizes) = ops.state;
                let gradient = grads.consume::<B>(&ops.node);
                let found = B::edge_step_backward(inputs, gradient, sizes).into_array();
                for (parent, gradient) in ops.parents.into_iter().zip(found) {
                    if let Some(node) = parent {
                        grads.register::<B>(node.id, gradient);
                    }
                }
            }
        }
        let inputs = inputs.into_array();
        let prepared = EdgeBackward.prepare::<C>(inputs.each_ref().map(<FloatTensor<Self>>::node));
        let inputs = EdgeTensors::from_array(inputs.map(<FloatTensor<Self>>::into_primitive));
        match prepared.compute_bound().stateful() {
            OpsKind::Tracked(prepared) => {
                let result = B::edge_step(inputs.clone(), sizes);
                prepared.finish((inputs, sizes), result)
            }
            OpsKind::UnTracked(prepared) => prepared.finish(B::edge_step(inputs, sizes)),
        }
    }

    fn edge_step_backward(
        _: EdgeTensors<Self>,
        _: FloatTensor<Self>,
        _: Sizes,
    ) -> EdgeTensors<Self> {
        unreachable!("nothing differentiates the gradient of a step of edges")
    }
}
