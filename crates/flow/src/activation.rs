//! [`Function`]s of tensors: vectorised on the CPU, composed of the back end's own operations elsewhere, differentiable on all.

use burn::backend::{
    Autodiff, Backend, DType, Dispatch, Flex,
    autodiff::{
        checkpoint::{base::Checkpointer, strategy::CheckpointStrategy},
        grads::Gradients,
        ops::{Backward, Ops, OpsKind, unary},
    },
    backend_extension,
    ops::{ActivationOps, FloatTensorOps},
    tensor::FloatTensor,
};
use burn::tensor::{Bytes, Tensor};
use burn_flex::{FlexTensor, Layout};

use crate::simd::{self, Function};

/// `f(x)`, elementwise.
pub fn apply<const D: usize>(function: Function, x: Tensor<D>) -> Tensor<D> {
    Tensor::from_dispatch(<Dispatch as FunctionOps>::function(
        x.into_dispatch(),
        function,
    ))
}

/// `x σ(x)`, elementwise.
pub fn silu<const D: usize>(x: Tensor<D>) -> Tensor<D> {
    apply(Function::Silu, x)
}

/// What a back end does for [`apply`]. The bodies given are the portable composition.
#[backend_extension(Flex, Cube: cfg(feature = "gpu"), Autodiff)]
pub trait FunctionOps: Backend {
    /// `f(x)`.
    fn function(x: FloatTensor<Self>, function: Function) -> FloatTensor<Self> {
        compose::<Self>(x, function)
    }
    /// `gradient · f'(x)`.
    fn function_backward(
        x: FloatTensor<Self>,
        gradient: FloatTensor<Self>,
        function: Function,
    ) -> FloatTensor<Self> {
        let derivative = function
            .derivative()
            .expect("only functions with a derivative are tracked");
        Self::float_mul(gradient, Self::function(x, derivative))
    }
}

fn one_minus<B: Backend>(x: FloatTensor<B>) -> FloatTensor<B> {
    B::float_add_scalar(B::float_neg(x), 1f32.into())
}

/// `f(x)` from the back end's own sigmoid, tanh and exp.
fn compose<B: Backend>(x: FloatTensor<B>, function: Function) -> FloatTensor<B> {
    let scaled = |x, factor: f32| B::float_mul_scalar(x, factor.into());
    match function {
        Function::Silu => B::float_mul(x.clone(), <B as ActivationOps<B>>::sigmoid(x)),
        Function::SiluSlope => {
            let s = <B as ActivationOps<B>>::sigmoid(x.clone());
            let inner =
                B::float_add_scalar(B::float_mul(x, one_minus::<B>(s.clone())), 1f32.into());
            B::float_mul(s, inner)
        }
        Function::SiluCurvature => {
            let s = <B as ActivationOps<B>>::sigmoid(x.clone());
            let inner = B::float_mul(x, one_minus::<B>(scaled(s.clone(), 2.0)));
            let inner = B::float_add_scalar(inner, 2f32.into());
            B::float_mul(B::float_mul(s.clone(), one_minus::<B>(s)), inner)
        }
        Function::Tanh => B::float_tanh(x),
        Function::TanhSlope => {
            let y = B::float_tanh(x);
            one_minus::<B>(B::float_mul(y.clone(), y))
        }
        Function::TanhCurvature => {
            let y = B::float_tanh(x);
            let slope = one_minus::<B>(B::float_mul(y.clone(), y.clone()));
            scaled(B::float_mul(y, slope), -2.0)
        }
        Function::Exp => B::float_exp(x),
    }
}

impl FunctionOps for Flex {
    fn function(mut x: FlexTensor, function: Function) -> FlexTensor {
        let whole = x.is_contiguous() && x.layout().start_offset() == 0;
        match x.dtype() {
            DType::F32 => {
                if whole && let Some(values) = x.try_storage_mut::<f32>() {
                    simd::map_in_place(function, values);
                    return x;
                }
                let x = x.to_contiguous();
                let source: &[f32] = x.as_slice().expect("contiguous single precision");
                let mut values = vec![0.0; source.len()];
                simd::map(function, source, &mut values);
                FlexTensor::new(
                    Bytes::from_elems(values),
                    Layout::contiguous(x.layout().shape().clone()),
                    DType::F32,
                )
            }
            DType::F64 => {
                let x = x.to_contiguous();
                let source: &[f64] = x.as_slice().expect("contiguous double precision");
                let values: Vec<f64> = source.iter().map(|&x| function.evaluate(x)).collect();
                FlexTensor::new(
                    Bytes::from_elems(values),
                    Layout::contiguous(x.layout().shape().clone()),
                    DType::F64,
                )
            }
            _ => compose::<Self>(x, function),
        }
    }

    fn function_backward(x: FlexTensor, gradient: FlexTensor, function: Function) -> FlexTensor {
        let derivative = function
            .derivative()
            .expect("only functions with a derivative are tracked");
        if x.dtype() != DType::F32 || gradient.dtype() != DType::F32 {
            return Self::float_mul(gradient, Self::function(x, derivative));
        }
        let x = x.to_contiguous();
        let source: &[f32] = x.as_slice().expect("contiguous single precision");
        let mut gradient = gradient.to_contiguous();
        let length = source.len();
        simd::scale(
            derivative,
            source,
            &mut gradient.storage_mut::<f32>()[..length],
        );
        gradient
    }
}

#[cfg(feature = "gpu")]
impl FunctionOps for burn_cubecl::CubeBackend {}

impl<B: FunctionOps, C: CheckpointStrategy> FunctionOps for Autodiff<B, C> {
    fn function(x: FloatTensor<Self>, function: Function) -> FloatTensor<Self> {
        #[derive(Debug)]
        struct FunctionBackward;
        impl<B: FunctionOps> Backward<B, 1> for FunctionBackward {
            type State = (FloatTensor<B>, Function);
            fn backward(
                self,
                ops: Ops<Self::State, 1>,
                grads: &mut Gradients,
                _: &mut Checkpointer,
            ) {
                let (x, function) = ops.state;
                unary::<B, _>(ops.parents, ops.node, grads, |gradient| {
                    B::function_backward(x, gradient, function)
                });
            }
        }
        match FunctionBackward
            .prepare::<C>([x.node()])
            .compute_bound()
            .stateful()
        {
            OpsKind::Tracked(prepared) => {
                let x = x.into_primitive();
                prepared.finish((x.clone(), function), B::function(x, function))
            }
            OpsKind::UnTracked(prepared) => {
                prepared.finish(B::function(x.into_primitive(), function))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use burn::tensor::{Device, TensorData};

    #[test]
    fn gradients_through_a_strided_view_are_slopes() {
        let x0: Vec<f64> = (0..12).map(|i| (f64::from(i) - 6.0) * 0.7).collect();
        for function in [
            Function::Silu,
            Function::SiluSlope,
            Function::Tanh,
            Function::TanhSlope,
            Function::Exp,
        ] {
            for dtype in [DType::F32, DType::F64] {
                let x = Tensor::<2>::from_data(
                    TensorData::new(x0.clone(), [3, 4]),
                    (&Device::flex(), dtype),
                )
                .autodiff()
                .require_grad();
                let gradients = apply(function, x.clone().transpose()).sum().backward();
                let gradient = x
                    .grad(&gradients)
                    .expect("x is tracked")
                    .into_data()
                    .iter::<f64>()
                    .collect::<Vec<_>>();
                for (&x, g) in x0.iter().zip(gradient) {
                    let exact = function.derivative().expect("tracked").evaluate(x);
                    assert!(
                        (exact - g).abs() < 2e-6 * exact.abs().max(1.0),
                        "{function:?} at {x}"
                    );
                }
            }
        }
    }
}
