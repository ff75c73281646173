//! Products of matrices that lie anywhere in the host's memory.

use crate::simd::Real;

/// A matrix somewhere in a slice.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Matrix<'a, T> {
    /// What it lies in, from its first number on.
    pub(crate) numbers: &'a [T],
    /// Rows and columns.
    pub(crate) size: [usize; 2],
    /// Numbers from one row to the next, and from one column to the next.
    pub(crate) strides: [usize; 2],
}

impl<'a, T> Matrix<'a, T> {
    /// A matrix whose rows are `stride` numbers apart.
    pub(crate) fn new(numbers: &'a [T], size: [usize; 2], stride: usize) -> Self {
        Self {
            numbers,
            size,
            strides: [stride, 1],
        }
    }

    /// A map of `width` features to as many.
    pub(crate) fn square(numbers: &'a [T], width: usize) -> Self {
        Self::new(numbers, [width, width], width)
    }

    /// The same with rows for columns.
    pub(crate) fn transposed(self) -> Self {
        let ([rows, columns], [down, along]) = (self.size, self.strides);
        Self {
            size: [columns, rows],
            strides: [along, down],
            ..self
        }
    }
}

/// Where a product goes: rows `stride` numbers apart.
#[derive(Debug)]
pub(crate) struct Target<'a, T> {
    pub(crate) numbers: &'a mut [T],
    pub(crate) stride: usize,
}

impl<'a, T> Target<'a, T> {
    pub(crate) fn new(numbers: &'a mut [T], stride: usize) -> Self {
        Self { numbers, stride }
    }
}

/// What becomes of the numbers in a [`Target`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Old {
    /// The product takes their place.
    Replaced,
    /// The product is added to them.
    Kept,
}

/// Writes `factor · a b`, on one thread.
///
/// # Panics
/// If the matrices do not fit together, or any of them does not lie in its slice.
pub(crate) fn multiply<T: Real>(
    target: Target<T>,
    old: Old,
    factor: T,
    a: Matrix<T>,
    b: Matrix<T>,
) {
    let Target { numbers, stride } = target;
    let [[m, k], [inner, n]] = [a.size, b.size];
    assert_eq!(k, inner, "matrices that can be multiplied");
    let reach = |[rows, columns]: [usize; 2], [down, along]: [usize; 2]| match (rows, columns) {
        (0, _) | (_, 0) => 0,
        _ => (rows - 1) * down + (columns - 1) * along + 1,
    };
    assert!(
        reach([m, n], [stride, 1]) <= numbers.len()
            && reach(a.size, a.strides) <= a.numbers.len()
            && reach(b.size, b.strides) <= b.numbers.len(),
        "matrices inside their slices"
    );
    assert!(n <= stride || m <= 1, "rows that do not overlap");
    let one = T::of(1.0);
    // SAFETY: all three matrices lie inside their slices, as has just been checked, and the target is borrowed for this call alone.
    unsafe {
        gemm::gemm(
            m,
            n,
            k,
            numbers.as_mut_ptr(),
            1,
            stride as isize,
            old == Old::Kept,
            a.numbers.as_ptr(),
            a.strides[1] as isize,
            a.strides[0] as isize,
            b.numbers.as_ptr(),
            b.strides[1] as isize,
            b.strides[0] as isize,
            one,
            factor,
            false,
            false,
            false,
            gemm::Parallelism::None,
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn numbers(count: usize, phase: f64) -> Vec<f64> {
        (0..count).map(|k| (phase + 0.7 * k as f64).sin()).collect()
    }

    #[test]
    fn products_are_those_of_the_definition_also_of_views_and_added() {
        let (m, n, k) = (5, 3, 4);
        let (a, b) = (numbers(60, 1.0), numbers(60, 2.0));
        let old = numbers(m * 8, 3.0);
        for keep in [Old::Replaced, Old::Kept] {
            let left = Matrix::new(&a[2..], [m, k], 9);
            // A view by columns.
            let right = Matrix::new(&b[1..], [n, k], 7).transposed();
            let mut found = old.clone();
            let target = Target::new(&mut found[1..], 8);
            multiply(target, keep, 0.5, left, right);
            for row in 0..m {
                for column in 0..8 {
                    let place = row * 8 + column;
                    let inside = (1..=n).contains(&column);
                    let product = |j: usize| a[2 + row * 9 + j] * b[1 + (column - 1) * 7 + j];
                    let expected = match keep {
                        _ if !inside => old[place],
                        Old::Replaced => 0.5 * (0..k).map(product).sum::<f64>(),
                        Old::Kept => old[place] + 0.5 * (0..k).map(product).sum::<f64>(),
                    };
                    assert!((found[place] - expected).abs() < 1e-14);
                }
            }
        }
    }

    #[test]
    #[should_panic(expected = "matrices inside their slices")]
    fn what_reaches_beyond_its_slice_is_refused() {
        let a = numbers(11, 1.0);
        let matrix = Matrix::new(&a, [3, 4], 4);
        let mut target = vec![0.0; 9];
        let target = Target::new(&mut target, 3);
        multiply(target, Old::Replaced, 1.0, matrix, matrix.transposed());
    }
}
