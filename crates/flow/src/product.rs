//! Products of matrices into fresh memory: the CPU back end fills what it is about to overwrite with zeros and copies it to other memory,
//! which takes as long as the product itself where matrices are narrow.

use burn::backend::{
    Autodiff, Backend, DType, Dispatch, Flex,
    autodiff::{
        checkpoint::{base::Checkpointer, strategy::CheckpointStrategy},
        grads::Gradients,
        ops::{Backward, Ops, OpsKind, binary},
    },
    backend_extension,
    tensor::FloatTensor,
};
use burn::tensor::{Bytes, Tensor};
use burn_flex::{FlexTensor, Layout};

/// `a b`, matrix by matrix.
///
/// # Shapes
/// `a` `[…, m, k]`, `b` `[…, k, n]` with the same axes before, of which there is at most one.
pub fn product<const D: usize>(a: Tensor<D>, b: Tensor<D>) -> Tensor<D> {
    Tensor::from_dispatch(<Dispatch as ProductOps>::product(
        a.into_dispatch(),
        b.into_dispatch(),
    ))
}

/// What a back end does for [`product`]. The body given is its own product.
#[backend_extension(Flex, Cube: cfg(feature = "gpu"), Autodiff)]
pub trait ProductOps: Backend {
    /// `a b`.
    fn product(a: FloatTensor<Self>, b: FloatTensor<Self>) -> FloatTensor<Self> {
        Self::float_matmul(a, b)
    }
}

impl ProductOps for Flex {
    fn product(a: FlexTensor, b: FlexTensor) -> FlexTensor {
        match (a.dtype(), b.dtype()) {
            (DType::F32, DType::F32) => multiply::<f32>(&a, &b, [0.0, 1.0]),
            (DType::F64, DType::F64) => multiply::<f64>(&a, &b, [0.0, 1.0]),
            _ => <Self as burn::backend::ops::FloatTensorOps<Self>>::float_matmul(a, b),
        }
    }
}

/// `a b`; `zero` and `one` of the numbers' type.
fn multiply<T>(a: &FlexTensor, b: &FlexTensor, [zero, one]: [T; 2]) -> FlexTensor
where
    T: burn::tensor::Element + bytemuck::Pod,
{
    let (left, right) = (Matrices::of(a), Matrices::of(b));
    let (m, k, n) = (left.rows, left.columns, right.columns);
    assert_eq!(
        (left.count, k),
        (right.count, right.rows),
        "matrices that can be multiplied"
    );
    let mut shape = a.layout().shape().clone();
    let last = shape.num_dims() - 1;
    shape[last] = n;
    let size = m * n;
    let mut values: Vec<T> = Vec::with_capacity(left.count * size);
    let (a, b): (&[T], &[T]) = (a.storage(), b.storage());
    for index in 0..left.count {
        // SAFETY: the views lie inside the storages of their tensors, which `Layout` vouches for; the result has room for `size` numbers
        // at `index · size`, and every one of them is written, because the product of the old value is not read.
        unsafe {
            gemm::gemm(
                m,
                n,
                k,
                values.as_mut_ptr().add(index * size),
                1,
                n as isize,
                false,
                a.as_ptr().offset(left.start(index)),
                left.column_stride,
                left.row_stride,
                b.as_ptr().offset(right.start(index)),
                right.column_stride,
                right.row_stride,
                zero,
                one,
                false,
                false,
                false,
                gemm::Parallelism::None,
            );
        }
    }
    // SAFETY: all of them have been written above.
    unsafe { values.set_len(left.count * size) };
    FlexTensor::new(
        Bytes::from_elems(values),
        Layout::contiguous(shape),
        T::dtype(),
    )
}

/// How the matrices of a tensor lie in its storage.
struct Matrices {
    count: usize,
    rows: usize,
    columns: usize,
    first: isize,
    stride: isize,
    row_stride: isize,
    column_stride: isize,
}

impl Matrices {
    fn of(tensor: &FlexTensor) -> Self {
        let layout = tensor.layout();
        let (shape, strides) = (layout.shape(), layout.strides());
        let rank = shape.num_dims();
        assert!(rank == 2 || rank == 3, "one matrix, or one axis of them");
        let is_many = rank == 3;
        Self {
            count: if is_many { shape[0] } else { 1 },
            rows: shape[rank - 2],
            columns: shape[rank - 1],
            first: layout.start_offset() as isize,
            stride: if is_many { strides[0] } else { 0 },
            row_stride: strides[rank - 2],
            column_stride: strides[rank - 1],
        }
    }

    fn start(&self, index: usize) -> isize {
        self.first + index as isize * self.stride
    }
}

#[cfg(feature = "gpu")]
impl ProductOps for burn_cubecl::CubeBackend {}

impl<B: ProductOps, C: CheckpointStrategy> ProductOps for Autodiff<B, C> {
    fn product(a: FloatTensor<Self>, b: FloatTensor<Self>) -> FloatTensor<Self> {
        #[derive(Debug)]
        struct ProductBackward;
        impl<B: ProductOps> Backward<B, 2> for ProductBackward {
            /// Each factor where the other is tracked.
            type State = [Option<FloatTensor<B>>; 2];
            fn backward(
                self,
                ops: Ops<Self::State, 2>,
                grads: &mut Gradients,
                _: &mut Checkpointer,
            ) {
                let [a, b] = ops.state;
                let kept = "a factor is kept where the other is tracked";
                binary::<B, _, _>(
                    ops.parents,
                    ops.node,
                    grads,
                    |gradient| B::product(gradient, B::float_transpose(b.expect(kept))),
                    |gradient| B::product(B::float_transpose(a.expect(kept)), gradient),
                );
            }
        }
        let (a_tracked, b_tracked) = (a.is_tracked(), b.is_tracked());
        match ProductBackward
            .prepare::<C>([a.node(), b.node()])
            .compute_bound()
            .stateful()
        {
            OpsKind::Tracked(prepared) => {
                let (a, b) = (a.into_primitive(), b.into_primitive());
                let state = [b_tracked.then(|| a.clone()), a_tracked.then(|| b.clone())];
                prepared.finish(state, B::product(a, b))
            }
            OpsKind::UnTracked(prepared) => {
                prepared.finish(B::product(a.into_primitive(), b.into_primitive()))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use burn::tensor::{Device, TensorData};

    fn tensor<const D: usize>(shape: [usize; D], dtype: DType) -> Tensor<D> {
        let count: usize = shape.iter().product();
        let values: Vec<f64> = (0..count).map(|i| (1.0 + 0.7 * i as f64).sin()).collect();
        Tensor::from_data(TensorData::new(values, shape), (&Device::flex(), dtype))
    }

    fn far<const D: usize>(a: Tensor<D>, b: Tensor<D>) -> f64 {
        let largest = (a - b).abs().max().into_data();
        largest.iter::<f64>().next().expect("one number")
    }

    #[test]
    fn it_is_the_product_of_the_back_end_also_of_views() {
        for (dtype, tolerance) in [(DType::F32, 1e-5), (DType::F64, 1e-13)] {
            let (a, b) = (tensor([7, 5], dtype), tensor([5, 3], dtype));
            assert!(far(product(a.clone(), b.clone()), a.clone().matmul(b.clone())) < tolerance);
            let turned = product(b.clone().transpose(), a.clone().transpose());
            assert!(far(turned.transpose(), a.matmul(b)) < tolerance);
            let (a, b) = (tensor([4, 2, 6], dtype), tensor([4, 6, 3], dtype));
            let (a, b) = (a.slice([1..4, 0..2, 1..5]), b.slice([1..4, 1..5]));
            assert!(far(product(a.clone(), b.clone()), a.matmul(b)) < tolerance);
        }
    }

    #[test]
    fn its_gradients_are_those_of_the_back_end() {
        let (a0, b0) = (tensor([3, 7, 5], DType::F64), tensor([3, 5, 2], DType::F64));
        let gradients = |f: fn(Tensor<3>, Tensor<3>) -> Tensor<3>| {
            let a = a0.clone().autodiff().require_grad();
            let b = b0.clone().autodiff().require_grad();
            let found = f(a.clone(), b.clone()).square().sum().backward();
            (a.grad(&found), b.grad(&found))
        };
        let (found, expected) = (gradients(product), gradients(Tensor::matmul));
        let tracked = "both factors are tracked";
        assert!(far(found.0.expect(tracked), expected.0.expect(tracked)) < 1e-12);
        assert!(far(found.1.expect(tracked), expected.1.expect(tracked)) < 1e-12);
        // Constants have none.
        let a = a0.clone().autodiff().require_grad();
        let b = b0.clone().autodiff();
        let found = product(a.clone(), b).sum().backward();
        assert!(a.grad(&found).is_some());
    }
}
