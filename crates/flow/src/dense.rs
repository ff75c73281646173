//! `φ(x W + b)` of many rows. A general product copies both factors first, and leaves bias and activation to another pass; here sums begin at the bias, stay in
//! registers, and the activation follows while its rows are in the first cache.

use crate::simd::{Level, Real};

/// What follows an affine map.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Activation {
    None,
    /// `x σ(x)`.
    Silu,
}

/// A layer of a network.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Dense<'a, T> {
    /// `W`, `[inputs, outputs]`.
    pub weight: &'a [T],
    /// `b`, `[outputs]`, or nothing.
    pub bias: &'a [T],
    pub outputs: usize,
    pub activation: Activation,
}

impl<'a, T: Real> Dense<'a, T> {
    /// `x W`.
    pub fn linear(weight: &'a [T], outputs: usize) -> Self {
        Self {
            weight,
            bias: &[],
            outputs,
            activation: Activation::None,
        }
    }

    fn inputs(&self) -> usize {
        self.weight.len() / self.outputs
    }

    /// Writes `φ(x W + b)` for each row, on one thread. The bits of a row depend on no other.
    ///
    /// # Shapes
    /// `x` `[rows, inputs]`, `y` `[rows, outputs]`.
    ///
    /// # Panics
    /// If these do not fit together.
    pub fn through(self, x: &[T], y: &mut [T]) {
        let (inputs, outputs) = (self.inputs(), self.outputs);
        let rows = y.len() / outputs;
        assert_eq!(
            [inputs * outputs, rows * inputs, rows * outputs],
            [self.weight.len(), x.len(), y.len()],
            "rows as wide as their map"
        );
        assert!(
            self.bias.is_empty() || self.bias.len() == outputs,
            "a bias as wide as its map"
        );
        at_best_level(self, x, y);
    }

    /// In blocks of `ROWS` rows and of as many columns as numbers in single or double precision make the sums fit the registers.
    #[inline(always)]
    fn in_blocks<const FMA: bool, const ROWS: usize, const SINGLES: usize, const DOUBLES: usize>(
        self,
        x: &[T],
        y: &mut [T],
    ) {
        if size_of::<T>() == size_of::<f32>() {
            self.in_blocks_of::<FMA, ROWS, SINGLES>(x, y);
        } else {
            self.in_blocks_of::<FMA, ROWS, DOUBLES>(x, y);
        }
    }

    #[inline(always)]
    fn in_blocks_of<const FMA: bool, const ROWS: usize, const COLUMNS: usize>(
        self,
        x: &[T],
        y: &mut [T],
    ) {
        let (inputs, outputs) = (self.inputs(), self.outputs);
        let rows = y.len() / outputs;
        let of = |first: usize, width: usize| first * width..(first + ROWS) * width;
        let mut first = 0;
        while first < rows && rows >= ROWS {
            // The last blocks overlap: what is computed twice is the same.
            first = first.min(rows - ROWS);
            let (x, y) = (&x[of(first, inputs)], &mut y[of(first, outputs)]);
            self.block::<FMA, ROWS, COLUMNS>(x, y);
            first += ROWS;
        }
        if rows < ROWS {
            let rows = x.chunks_exact(inputs).zip(y.chunks_exact_mut(outputs));
            for (x, y) in rows {
                self.block::<FMA, 1, COLUMNS>(x, y);
            }
        }
    }

    #[inline(always)]
    fn block<const FMA: bool, const ROWS: usize, const COLUMNS: usize>(self, x: &[T], y: &mut [T]) {
        let outputs = self.outputs;
        if outputs < COLUMNS {
            self.narrow::<FMA>(x, y);
        } else {
            for start in (0..outputs).step_by(COLUMNS) {
                self.columns::<FMA, ROWS, COLUMNS>(start.min(outputs - COLUMNS), x, y);
            }
        }
        match self.activation {
            Activation::None => {}
            Activation::Silu => {
                for y in y {
                    *y = *y / y.one_plus_exp_neg::<FMA>();
                }
            }
        }
    }

    /// Columns from `start` on, whose sums stay in registers.
    #[inline(always)]
    fn columns<const FMA: bool, const ROWS: usize, const COLUMNS: usize>(
        self,
        start: usize,
        x: &[T],
        y: &mut [T],
    ) {
        let (inputs, outputs) = (x.len() / ROWS, y.len() / ROWS);
        let mut sums = [[T::of(0.0); COLUMNS]; ROWS];
        if !self.bias.is_empty() {
            sums = [*part(self.bias, start); ROWS];
        }
        let x: [&[T]; ROWS] = std::array::from_fn(|row| &x[row * inputs..][..inputs]);
        for k in 0..inputs {
            let weight: &[T; COLUMNS] = part(self.weight, k * outputs + start);
            for row in 0..ROWS {
                let factor = x[row][k];
                for column in 0..COLUMNS {
                    let sum = &mut sums[row][column];
                    *sum = factor.multiply_add::<FMA>(weight[column], *sum);
                }
            }
        }
        for (y, sums) in y.chunks_exact_mut(outputs).zip(sums) {
            y[start..start + COLUMNS].copy_from_slice(&sums);
        }
    }

    /// Fewer columns than a block has.
    #[inline(always)]
    fn narrow<const FMA: bool>(self, x: &[T], y: &mut [T]) {
        let (inputs, outputs) = (self.inputs(), self.outputs);
        for (x, y) in x.chunks_exact(inputs).zip(y.chunks_exact_mut(outputs)) {
            y.fill(T::of(0.0));
            y[..self.bias.len()].copy_from_slice(self.bias);
            for (factor, weight) in x.iter().zip(self.weight.chunks_exact(outputs)) {
                for (sum, weight) in y.iter_mut().zip(weight) {
                    *sum = factor.multiply_add::<FMA>(*weight, *sum);
                }
            }
        }
    }
}

/// As many numbers as are asked for, from `start` on.
#[inline(always)]
fn part<T, const COUNT: usize>(numbers: &[T], start: usize) -> &[T; COUNT] {
    let (part, _) = numbers[start..]
        .split_first_chunk()
        .expect("as many numbers from there on");
    part
}

/// Blocks are as large as the registers of a level hold: of the 32 of AVX-512 and of NEON 24 are sums, of the 16 of AVX2 and SSE 12.
fn at_best_level<T: Real>(layer: Dense<T>, x: &[T], y: &mut [T]) {
    #[cfg(target_arch = "x86_64")]
    {
        #[target_feature(enable = "avx512f,avx512vl,avx512dq,avx2,fma")]
        fn avx512<T: Real>(layer: Dense<T>, x: &[T], y: &mut [T]) {
            layer.in_blocks::<true, 12, 32, 16>(x, y);
        }
        #[target_feature(enable = "avx2,fma")]
        fn avx2<T: Real>(layer: Dense<T>, x: &[T], y: &mut [T]) {
            layer.in_blocks::<true, 6, 16, 8>(x, y);
        }
        match Level::current() {
            // SAFETY: the level in use never exceeds the detected one, so the processor has these instructions.
            Level::Avx512 => return unsafe { avx512(layer, x, y) },
            // SAFETY: as above.
            Level::Avx2 => return unsafe { avx2(layer, x, y) },
            Level::Baseline => {}
        }
        layer.in_blocks::<{ cfg!(target_feature = "fma") }, 6, 8, 4>(x, y);
    }
    #[cfg(not(target_arch = "x86_64"))]
    layer.in_blocks::<{ cfg!(target_arch = "aarch64") }, 6, 16, 8>(x, y);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn numbers<T: Real>(count: usize, phase: f64) -> Vec<T> {
        let number = |k: usize| T::of((phase + 0.7 * k as f64).sin());
        (0..count).map(number).collect()
    }

    /// Sizes with blocks, overlapping ones and none.
    const SIZES: [[usize; 3]; 7] = [
        [24, 64, 64],
        [31, 5, 40],
        [1, 64, 64],
        [7, 3, 33],
        [13, 8, 1],
        [5, 20, 20],
        [0, 4, 4],
    ];

    fn off<T: Real>([rows, inputs, outputs]: [usize; 3], activation: Activation) -> f64 {
        let (x, weight) = (
            numbers::<T>(rows * inputs, 1.0),
            numbers(inputs * outputs, 2.0),
        );
        let bias = numbers(outputs, 3.0);
        let mut y = numbers(rows * outputs, 4.0);
        let layer = Dense {
            weight: &weight,
            bias: &bias,
            outputs,
            activation,
        };
        layer.through(&x, &mut y);
        let places = (0..rows).flat_map(|row| (0..outputs).map(move |column| (row, column)));
        let off = places.zip(&y).map(|((row, column), y)| {
            let products = (0..inputs)
                .map(|k| x[row * inputs + k].wide() * weight[k * outputs + column].wide());
            let sum = bias[column].wide() + products.sum::<f64>();
            let expected = match activation {
                Activation::None => sum,
                Activation::Silu => sum / (1.0 + (-sum).exp()),
            };
            (y.wide() - expected).abs()
        });
        off.fold(0.0, f64::max)
    }

    #[test]
    fn rows_are_those_of_the_definition() {
        for size in SIZES {
            for activation in [Activation::None, Activation::Silu] {
                let found = [off::<f32>(size, activation), off::<f64>(size, activation)];
                assert!(
                    found[0] < 1e-5 && found[1] < 2e-14,
                    "{size:?}, {activation:?}: {found:?}"
                );
            }
        }
    }

    #[test]
    fn the_bits_of_a_row_depend_on_no_other() {
        let (weight, bias) = (numbers::<f32>(64 * 64, 1.0), numbers(64, 2.0));
        let layer = Dense {
            weight: &weight,
            bias: &bias,
            outputs: 64,
            activation: Activation::Silu,
        };
        let x = numbers(31 * 64, 3.0);
        let mut all = numbers(31 * 64, 4.0);
        layer.through(&x, &mut all);
        for (x, y) in x.chunks_exact(64).zip(all.chunks_exact(64)) {
            let mut alone = [0.0; 64];
            layer.through(x, &mut alone);
            assert_eq!(alone, y);
        }
    }

    #[test]
    #[should_panic(expected = "rows as wide as their map")]
    fn rows_that_do_not_fit_their_map_are_refused() {
        Dense::linear(&[1.0; 6], 3).through(&[1.0; 3], &mut [0.0; 3]);
    }
}
