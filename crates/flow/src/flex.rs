//! Tensors of the CPU back end as the host's memory, for operations of our own.

use std::ops::Deref;

use burn::backend::{BackendTensor, DispatchTensorKind};
use burn::tensor::{Bytes, DType, Device, Shape, Tensor, TensorData};
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

/// The numbers of a tensor: its own memory where they lie one after another on the CPU, else a copy.
pub(crate) enum Numbers<T> {
    Shared(FlexTensor),
    Own(Vec<T>),
}

impl<T: Real> Numbers<T> {
    /// Those of this tensor, whose type is `T`.
    pub(crate) fn of<const D: usize>(tensor: Tensor<D>) -> Self {
        let tensor = tensor.into_dispatch();
        match tensor.kind {
            DispatchTensorKind::Flex(BackendTensor::Float(found)) => {
                Self::Shared(found.to_contiguous())
            }
            _ => Self::Own(numbers(Tensor::<D>::from_dispatch(tensor).into_data())),
        }
    }
}

impl<T: Real> Deref for Numbers<T> {
    type Target = [T];

    fn deref(&self) -> &[T] {
        match self {
            Self::Shared(tensor) => slice(tensor),
            Self::Own(numbers) => numbers,
        }
    }
}

/// A copy of a tensor's numbers, whose type is `T`.
pub(crate) fn numbers<T: Real>(data: TensorData) -> Vec<T> {
    data.try_into_vec().expect("the float type of the tensor")
}

/// A tensor of these numbers.
pub(crate) fn tensor<T: Real>(values: Vec<T>, shape: Shape) -> FlexTensor {
    FlexTensor::new(
        Bytes::from_elems(values),
        Layout::contiguous(shape),
        T::dtype(),
    )
}
