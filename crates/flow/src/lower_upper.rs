//! Learnt invertible linear maps.

use burn::module::{Module, Param};
use burn::tensor::{DType, Tensor};

use crate::bijection::{Bijection, FlowError, host};
use crate::context::Context;
use crate::divergence::{indices, tensor};
use crate::linear::Initializer;
use crate::product::product;
use crate::space::Space;
use crate::{PerSample, Points};

/// The largest entry of a new map beside its order.
const NOISE: f64 = 1e-3;

/// `y = P L U x` on lines, with a fixed permutation `P`, `L` unit lower triangular and `U` upper triangular with the diagonal `± eˢ`, so that
/// it is never singular: Glow's mixing of channels (Kingma & Dhariwal 2018), with `log |det| = Σ s`. Intervals and circles stay as they are.
///
/// Its inverse takes a solution `x₀ = (P L U)⁻¹ y` that carries no gradient, and refines it by `x = x₀ + (P L U)⁻¹ (y − P L U x₀)`, where the
/// map in brackets carries one: `dx = W⁻¹ (dy − dW x)` is the derivative of the solution of `W x = y`.
#[derive(Module, Debug)]
pub struct LowerUpper {
    /// `L` below the diagonal, `U` above it, `s` on it.
    triangles: Param<Tensor<2>>,
    /// Signs of the diagonal of `U`, on the diagonal of a matrix.
    signs: Tensor<2>,
    /// `y_i = (L U x)_{order[i]}`.
    #[module(skip)]
    order: Vec<usize>,
    #[module(skip)]
    space: Space,
}

/// `W = P L U`, as it is applied to rows: `y = x Wᵀ`.
struct Factors {
    /// `Lᵀ`.
    lower: Tensor<2>,
    /// `Uᵀ`.
    upper: Tensor<2>,
    log_det: Tensor<1>,
}

impl LowerUpper {
    /// A map that puts lines in this order, `y_i = x_{order[i]}`, and mixes them by noise of a thousandth.
    ///
    /// # Errors
    /// [`FlowError::Unsupported`] where there are no lines, or the order is none of them.
    pub fn new(space: Space, order: Vec<usize>, make: &mut Initializer) -> Result<Self, FlowError> {
        let lines = lines(space)?;
        let mut sorted = order.clone();
        sorted.sort_unstable();
        if !sorted.into_iter().eq(0..lines) {
            return Err(FlowError::Unsupported {
                what: format!("{order:?} is no order of the {lines} lines of the {space}"),
            });
        }
        let signs = diagonal(&vec![1.0; lines], make);
        Ok(Self {
            triangles: make.uniform([lines, lines], NOISE),
            signs,
            order,
            space,
        })
    }

    /// The map of this matrix, given row by row: Gaussian elimination with partial pivoting.
    ///
    /// # Errors
    /// [`FlowError::Unsupported`] where there are no lines, the matrix is not of their size, or it is singular.
    pub fn from_matrix(
        space: Space,
        matrix: &[f64],
        make: &Initializer,
    ) -> Result<Self, FlowError> {
        let lines = lines(space)?;
        let refused = |what: String| Err(FlowError::Unsupported { what });
        if matrix.len() != lines * lines {
            let found = matrix.len();
            return refused(format!(
                "{found} entries were given for a matrix of the {lines} lines of the {space}"
            ));
        }
        let mut rows: Vec<(usize, Vec<f64>)> = matrix
            .chunks(lines)
            .map(<[f64]>::to_vec)
            .enumerate()
            .collect();
        for k in 0..lines {
            let size = |i: &usize| rows[*i].1[k].abs();
            let pivot = (k..lines).max_by(|i, j| size(i).total_cmp(&size(j)));
            let pivot = pivot.expect("there is a row left");
            rows.swap(k, pivot);
            let (above, below) = rows.split_at_mut(k + 1);
            let top = &above[k].1;
            if !(top[k].is_finite() && top[k] != 0.0) {
                let pivot = top[k];
                return refused(format!(
                    "a matrix whose pivot {k} is {pivot} has no inverse; give one of full rank"
                ));
            }
            for (_, row) in below {
                row[k] /= top[k];
                let factor = row[k];
                for (value, top) in row[k + 1..].iter_mut().zip(&top[k + 1..]) {
                    *value -= factor * top;
                }
            }
        }
        // Row k of L U is row `rows[k].0` of the matrix.
        let mut order = vec![0; lines];
        let mut signs = Vec::new();
        for (k, (from, row)) in rows.iter_mut().enumerate() {
            order[*from] = k;
            signs.push(row[k].signum());
            row[k] = row[k].abs().ln();
        }
        let triangles = rows.into_iter().flat_map(|(_, row)| row).collect();
        let triangles = tensor(triangles, [lines, lines], make.device, make.dtype);
        Ok(Self {
            triangles: Param::from_tensor(triangles),
            signs: diagonal(&signs, make),
            order,
            space,
        })
    }

    /// In the digits of what is mapped.
    fn factors(&self, dtype: DType) -> Factors {
        let triangles = self.triangles.val().cast(dtype);
        let signs = self.signs.clone().cast(dtype);
        let identity = signs.clone().square();
        let log_scale = (triangles.clone() * identity.clone()).sum_dim(0);
        let upper = triangles.clone().triu(1) + signs * log_scale.clone().exp();
        Factors {
            lower: (triangles.tril(-1) + identity).transpose(),
            upper: upper.transpose(),
            log_det: log_scale.sum(),
        }
    }

    /// `W x` of rows.
    fn forward_lines(&self, factors: &Factors, x: Tensor<2>) -> Tensor<2> {
        let mixed = product(product(x, factors.upper.clone()), factors.lower.clone());
        mixed
            .clone()
            .select(1, indices(&self.order, &mixed.device()))
    }

    /// `W⁻¹ y` of rows.
    fn inverse_lines(&self, factors: &Factors, y: Tensor<2>) -> Tensor<2> {
        let lines = self.order.len();
        let [lower, upper] = [&factors.lower, &factors.upper].map(|factor| {
            let (device, dtype) = (factor.device(), factor.dtype());
            let inverse = triangular_inverse(&host(factor.clone().detach()), lines);
            tensor(inverse, [lines, lines], &device, dtype)
        });
        let mut place = vec![0; lines];
        for (i, &k) in self.order.iter().enumerate() {
            place[k] = i;
        }
        let solve = |y: Tensor<2>| {
            let back = y.clone().select(1, indices(&place, &y.device()));
            product(product(back, lower.clone()), upper.clone())
        };
        let near = solve(y.clone().detach());
        let residual = y - self.forward_lines(factors, near.clone());
        near + solve(residual)
    }

    fn apply(
        &self,
        x: &Points,
        map: impl Fn(&Factors, Tensor<2>) -> (Tensor<2>, Tensor<1>),
    ) -> Result<(Points, PerSample), FlowError> {
        self.space.check(x)?;
        let ([batch, count, _], lines) = (x.dims(), self.order.len());
        let x = x.clone().reshape([batch, count]);
        let (y, log_det) = map(&self.factors(x.dtype()), x.clone().narrow(1, 0, lines));
        let y = if lines < count {
            Tensor::cat(vec![y, x.narrow(1, lines, count - lines)], 1)
        } else {
            y
        };
        Ok((y.reshape([batch, count, 1]), log_det.expand([batch])))
    }
}

/// The inverse of a triangular matrix, given row by row, by substitution.
fn triangular_inverse(matrix: &[f64], size: usize) -> Vec<f64> {
    let is_upper = (0..size).any(|i| (i + 1..size).any(|j| matrix[i * size + j] != 0.0));
    let mut inverse = vec![0.0; size * size];
    // Row i needs the rows that it has entries for: those before it in a lower triangle, those after it in an upper one.
    for step in 0..size {
        let i = if is_upper { size - 1 - step } else { step };
        let others = if is_upper { i + 1..size } else { 0..i };
        let mut row = vec![0.0; size];
        row[i] = 1.0;
        for j in others {
            let factor = matrix[i * size + j];
            for (value, known) in row.iter_mut().zip(&inverse[j * size..][..size]) {
                *value -= factor * known;
            }
        }
        for (out, value) in inverse[i * size..][..size].iter_mut().zip(row) {
            *out = value / matrix[i * size + i];
        }
    }
    inverse
}

/// A diagonal matrix.
fn diagonal(values: &[f64], make: &Initializer) -> Tensor<2> {
    let size = values.len();
    let mut matrix = vec![0.0; size * size];
    for (k, value) in values.iter().enumerate() {
        matrix[k * (size + 1)] = *value;
    }
    tensor(matrix, [size, size], make.device, make.dtype)
}

/// How many there are to mix.
fn lines(space: Space) -> Result<usize, FlowError> {
    match space {
        Space::Product { lines, .. } if lines > 0 => Ok(lines),
        _ => Err(FlowError::Unsupported {
            what: format!("there are no lines to mix in the {space}"),
        }),
    }
}

impl Bijection for LowerUpper {
    fn input(&self) -> Space {
        self.space
    }

    fn output(&self) -> Space {
        self.space
    }

    fn forward(&self, x: Points, _context: &Context) -> Result<(Points, PerSample), FlowError> {
        self.apply(&x, |factors, x| {
            (self.forward_lines(factors, x), factors.log_det.clone())
        })
    }

    fn inverse(&self, y: Points, _context: &Context) -> Result<(Points, PerSample), FlowError> {
        self.apply(&y, |factors, y| {
            let x = self.inverse_lines(factors, y);
            (x, factors.log_det.clone().neg())
        })
    }
}

#[cfg(test)]
mod tests {
    use burn::tensor::{DType, Device};
    use rand::RngExt;
    use rand_distr::StandardNormal;

    use super::*;
    use crate::random::{Purpose, stream};
    use crate::testing::{alike, assert_lawful, largest, log_abs_det, points};

    fn space(lines: usize) -> Space {
        Space::Product {
            lines,
            intervals: 1,
            circles: 1,
        }
    }

    fn made<T>(make: impl FnOnce(&mut Initializer) -> T) -> T {
        make(&mut Initializer {
            random: &mut stream(1, Purpose::Parameters, 0),
            device: &Device::flex(),
            dtype: DType::F64,
        })
    }

    fn normal(count: usize) -> Vec<f64> {
        let random = stream(2, Purpose::Training, 0).sample_iter(StandardNormal);
        random.take(count).collect()
    }

    #[test]
    fn a_new_map_puts_lines_in_their_order() {
        let (space, order) = (space(4), [2, 0, 3, 1]);
        let map = made(|make| LowerUpper::new(space, order.to_vec(), make)).unwrap();
        let x = points(space, 5, 1);
        let (y, log_det) = map.forward(x.clone(), &alike(space, 5)).unwrap();
        let all: Vec<usize> = order.into_iter().chain([4, 5]).collect();
        let expected = x.clone().select(1, indices(&all, &x.device()));
        assert!(largest(y - expected) < 0.02);
        assert!(largest(log_det) < 0.02);
    }

    #[test]
    fn a_map_of_a_matrix_multiplies_by_it() {
        let (size, space) = (7, space(7));
        let matrix = normal(size * size);
        let map = made(|make| LowerUpper::from_matrix(space, &matrix, make)).unwrap();
        let x = points(space, 3, 1);
        let (y, log_det) = map.forward(x.clone(), &alike(space, 3)).unwrap();
        for (x, y) in host(x.clone()).chunks(9).zip(host(y).chunks(9)) {
            for (row, y) in matrix.chunks(size).zip(y) {
                let expected: f64 = row.iter().zip(x).map(|(a, x)| a * x).sum();
                assert!((y - expected).abs() < 1e-12);
            }
            assert_eq!(x[size..], y[size..]);
        }
        let expected = log_abs_det(matrix.chunks(size).map(<[f64]>::to_vec).collect());
        assert!(largest(log_det - expected) < 1e-12);
        assert_lawful(&map, x, &alike(space, 3), 1e-9).unwrap();
    }

    #[test]
    fn what_is_no_map_of_lines_is_refused() {
        let of = |lines, matrix: &[f64]| {
            let found = made(|make| LowerUpper::from_matrix(space(lines), matrix, make));
            found.unwrap_err().to_string()
        };
        assert!(of(2, &[1.0, 2.0, 2.0, 4.0]).contains("pivot 1 is 0"));
        assert!(of(2, &[1.0; 3]).contains("3 entries were given for a matrix of the 2 lines"));
        assert!(of(0, &[]).contains("there are no lines to mix"));
        let order = made(|make| LowerUpper::new(space(2), vec![0, 0], make));
        let message = order.unwrap_err().to_string();
        assert!(message.starts_with("[0, 0] is no order of the 2 lines"));
    }
}
