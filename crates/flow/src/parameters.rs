//! A module's parameters as one flat vector, and back: what optimisers, averages and checkpoints work on.

use burn::module::{Module, ModuleMapper, ModuleVisitor, Param};
use burn::tensor::{Gradients, Tensor, TensorData};

/// All float parameters, in the module's own order.
pub fn flatten(module: &impl Module) -> Vec<f32> {
    struct Collect(Vec<f32>);
    impl ModuleVisitor for Collect {
        fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
            extend(&mut self.0, &param.val().into_data());
        }
    }
    let mut collect = Collect(Vec::new());
    module.visit(&mut collect);
    collect.0
}

/// Adds numbers of any type at the end; those of single precision at once, because the iterator over data takes longer than a map's gradient.
fn extend(values: &mut Vec<f32>, data: &TensorData) {
    match data.as_slice::<f32>() {
        Ok(own) => values.extend_from_slice(own),
        Err(_) => values.extend(data.iter::<f32>()),
    }
}

/// The module with its parameters taken from `values`.
///
/// # Panics
/// If `values` are not exactly as many as the module has parameters.
pub fn unflatten<M: Module>(module: M, values: &[f32]) -> M {
    struct Fill<'a>(&'a [f32]);
    impl ModuleMapper for Fill<'_> {
        fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
            let old = param.val();
            let shape = old.dims();
            let (mine, rest) = self.0.split_at(shape.iter().product());
            self.0 = rest;
            let data = TensorData::new(mine.to_vec(), shape);
            Param::from_tensor(Tensor::from_data(data, (&old.device(), old.dtype())))
        }
    }
    let mut fill = Fill(values);
    let module = module.map(&mut fill);
    assert!(fill.0.is_empty(), "{} parameters too many", fill.0.len());
    module
}

/// The gradient of every parameter, zero where the loss does not depend on it, in the order of [`flatten`].
pub fn gradients(module: &impl Module, gradients: &Gradients) -> Vec<f32> {
    struct Collect<'a>(Vec<f32>, &'a Gradients);
    impl ModuleVisitor for Collect<'_> {
        fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
            let value = param.val();
            match value.grad(self.1) {
                Some(gradient) => extend(&mut self.0, &gradient.into_data()),
                None => self
                    .0
                    .resize(self.0.len() + value.shape().num_elements(), 0.0),
            }
        }
    }
    let mut collect = Collect(Vec::new(), gradients);
    module.visit(&mut collect);
    collect.0
}
