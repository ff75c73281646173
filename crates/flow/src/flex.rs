//! Tensors of the CPU back end as the host's memory, for operations of our own.

use burn::tensor::{Bytes, DType, Device, Shape, Tensor};
use burn_flex::{FlexTensor, Layout};

use crate::simd::Real;

/// Whether our own operations take a tensor: in single or double precision on the CPU.
pub(crate) fn is_ours<const D: usize>(tensor: &Tensor<D>) -> bool {
    tensor.device() == Device::flex() && matches!(tensor.dtype(), DType::F32 | DType::F64)
}

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
