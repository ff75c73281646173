//! A step of all edges as one operation of the CPU back end, with its gradient.

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

/// What a step is made of, see [`Inputs`], or the gradients of these; what there is not is empty.
#[derive(ExtensionType, Clone, Debug)]
pub(crate) struct EdgeTensors<B: Backend> {
    x: FloatTensor<B>,
    receiver: FloatTensor<B>,
    sender: FloatTensor<B>,
    pairs: FloatTensor<B>,
    shift: FloatTensor<B>,
    scale: FloatTensor<B>,
    moved: FloatTensor<B>,
    moved_receiver: FloatTensor<B>,
    moved_sender: FloatTensor<B>,
    distance: FloatTensor<B>,
    message: FloatTensor<B>,
    message_bias: FloatTensor<B>,
    coordinate: FloatTensor<B>,
    coordinate_bias: FloatTensor<B>,
    weight: FloatTensor<B>,
}

/// How many these are.
const TENSORS: usize = 15;

impl<B: Backend> EdgeTensors<B> {
    /// In the order in which they stand above.
    fn into_array(self) -> [FloatTensor<B>; TENSORS] {
        [
            self.x,
            self.receiver,
            self.sender,
            self.pairs,
            self.shift,
            self.scale,
            self.moved,
            self.moved_receiver,
            self.moved_sender,
            self.distance,
            self.message,
            self.message_bias,
            self.coordinate,
            self.coordinate_bias,
            self.weight,
        ]
    }

    fn from_array(tensors: [FloatTensor<B>; TENSORS]) -> Self {
        let [
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
            weight,
        ] = tensors;
        Self {
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
            weight,
        }
    }
}

/// `[(1 + directions) · batch, N, columns]`: what every point receives, then its derivatives along each direction.
pub(super) fn apply(
    sizes: Sizes,
    layer: &Layer,
    x: &Dual<3>,
    [receiver, sender]: [Dual<3>; 2],
    standard: Option<&Standard>,
    pairs: &PairTerms,
) -> Tensor<3> {
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
#[backend_extension(Flex, Autodiff)]
pub(crate) trait EdgeOps: Backend {
    /// What every point receives.
    fn edge_step(#[extension_type] inputs: EdgeTensors<Self>, sizes: Sizes) -> FloatTensor<Self>;

    /// The gradients of the inputs; those of shift and scale, which nothing learns, are zero.
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
    let inputs = inputs.into_array().map(|input| input.to_contiguous());
    let rows = (1 + sizes.directions) * sizes.batch;
    let shape = Shape::new([rows, sizes.points, sizes.columns()]);
    tensor(forward(&on_host::<T>(&inputs, sizes)), shape)
}

fn gradients<T: Real>(
    inputs: EdgeTensors<Flex>,
    gradient: &FlexTensor,
    sizes: Sizes,
) -> EdgeTensors<Flex> {
    let inputs = inputs.into_array().map(|input| input.to_contiguous());
    let gradient = gradient.to_contiguous();
    let found = reverse(&on_host::<T>(&inputs, sizes), slice(&gradient));
    let [receiver, sender] = found.ends;
    let [moved_receiver, moved_sender] = found.moved_ends;
    let none = |of: &FlexTensor| vec![T::of(0.0); of.layout().shape().num_elements()];
    let values = [
        found.x,
        receiver,
        sender,
        found.pairs,
        none(&inputs[4]),
        none(&inputs[5]),
        found.moved,
        moved_receiver,
        moved_sender,
        found.distance,
        found.message,
        found.message_bias,
        found.coordinate,
        found.coordinate_bias,
        found.weight,
    ];
    let mut of = inputs.iter();
    EdgeTensors::from_array(values.map(|values| {
        let shape = of.next().expect("as many as there are").layout().shape();
        tensor(values, shape.clone())
    }))
}

fn on_host<T: Real>(inputs: &[FlexTensor; TENSORS], sizes: Sizes) -> Inputs<'_, T> {
    let [
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
        weight,
    ] = inputs.each_ref().map(slice::<T>);
    Inputs {
        sizes,
        x,
        ends: [receiver, sender],
        pairs,
        standard: [shift, scale],
        moved,
        moved_ends: [moved_receiver, moved_sender],
        weights: Weights {
            distance,
            message,
            message_bias,
            coordinate,
            coordinate_bias,
            weight,
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
