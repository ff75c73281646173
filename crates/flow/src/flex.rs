//! Tensors of the CPU back end as the host's memory, for operations of our own.

use burn::tensor::{Bytes, Shape};
use burn_flex::{FlexTensor, Layout};

use crate::simd::Real;

/// The numbers of a contiguous tensor.
pub(crate) fn slice<T: Real>(tensor: &FlexTensor) -> &[T] {
    tensor.as_slice().expect("contiguous, of one float type")
}

/// A tensor of these numbers.
pub(crate) fn tensor<T: Real>(values: Vec<T>, shape: Shape) -> FlexTensor {
    FlexTensor::new(
        Bytes::from_elems(values),
        Layout::contiguous(shape),
        T::dtype(),
    )
}
