//! Evaluation of many conformers, as many at a time as there are lanes.

use super::kernel::{Kernel, NAMES, Scratch, TERMS};
use super::tables::Tables;
use super::vector::{Scalar, Vector};
use crate::{EnergyError, Evaluator};

/// `W` for batches, `S` for what is left.
pub(super) struct Lanes<'a, W, S> {
    tables: &'a Tables,
    wide: Scratch<W>,
    single: Scratch<S>,
}

impl<'a, W: Kernel, S: Kernel> Lanes<'a, W, S> {
    pub fn new(tables: &'a Tables) -> Self {
        Self {
            tables,
            wide: Scratch::new(tables),
            single: Scratch::new(tables),
        }
    }
}

/// The sum of the terms, if it is a number.
fn total<V: Kernel>(terms: &[V; TERMS], lane: usize) -> Result<f64, EnergyError> {
    let value: f64 = terms.iter().map(|term| term.lane(lane)).sum();
    if value.is_finite() {
        Ok(value)
    } else {
        Err(EnergyError::NotFinite { value })
    }
}

impl<W: Kernel, S: Kernel> Evaluator for Lanes<'_, W, S> {
    fn evaluate(&mut self, x: &[f64], gradient: &mut [f64]) -> Result<f64, EnergyError> {
        let expected = 3 * self.tables.atoms;
        for found in [x.len(), gradient.len()] {
            if found != expected {
                return Err(EnergyError::Size { expected, found });
            }
        }
        total(&S::run(self.tables, &mut self.single, x, gradient), 0)
    }

    fn evaluate_batch(
        &mut self,
        x: &[f64],
        gradients: &mut [f64],
        size: usize,
    ) -> Vec<Result<f64, EnergyError>> {
        let expected = 3 * self.tables.atoms;
        if size != expected {
            return EnergyError::size_of_each(expected, size, x.len());
        }
        let mut outcomes = Vec::with_capacity(x.len() / size);
        for (x, gradients) in x
            .chunks(size * W::LANES)
            .zip(gradients.chunks_mut(size * W::LANES))
        {
            let count = x.len().min(gradients.len()) / size;
            // One or two alone are quicker than a register of copies.
            if count <= W::LANES / 4 {
                let each = x.chunks_exact(size).zip(gradients.chunks_exact_mut(size));
                outcomes.extend(each.map(|(x, gradient)| self.evaluate(x, gradient)));
                continue;
            }
            let terms = W::run(
                self.tables,
                &mut self.wide,
                &x[..count * size],
                &mut gradients[..count * size],
            );
            outcomes.extend((0..count).map(|lane| total(&terms, lane)));
        }
        outcomes
    }
}

/// The terms of one conformer with their names, in plain arithmetic.
pub(super) fn terms(tables: &Tables, x: &[f64]) -> [(&'static str, f64); TERMS] {
    let mut gradient = vec![0.0; x.len()];
    let values = Scalar::<false>::run(tables, &mut Scratch::new(tables), x, &mut gradient);
    std::array::from_fn(|term| (NAMES[term], values[term].lane(0)))
}
