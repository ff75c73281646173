//! `φ(x W + b)` of many rows. A general product copies both factors first, and leaves bias and activation to another pass; for the widths of common networks in single
//! precision, sums here begin at the bias, stay in registers, and the activation follows while its rows are in the first cache.

use burn::tensor::DType;

use crate::matrix::{Matrix, Old, Target, multiply};
#[cfg(target_arch = "x86_64")]
use crate::simd::Level;
use crate::simd::{Real, activated};

/// What follows an affine map.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Activation {
    None,
    /// `x σ(x)`.
    Silu,
}

/// A layer of a network, as wide after it as before.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Dense<'a, T> {
    /// `W`, `[width, width]`.
    pub weight: &'a [T],
    /// `b`, `[width]`, or nothing.
    pub bias: &'a [T],
    pub width: usize,
    pub activation: Activation,
}

impl<'a, T: Real> Dense<'a, T> {
    /// `x W`.
    pub fn linear(weight: &'a [T], width: usize) -> Self {
        Self {
            weight,
            bias: &[],
            width,
            activation: Activation::None,
        }
    }

    /// Writes `φ(x W + b)` for each row, on one thread.
    ///
    /// # Shapes
    /// `x` and `y` `[rows, width]`.
    ///
    /// # Panics
    /// If these do not fit together.
    pub fn through(self, x: &[T], y: &mut [T]) {
        let width = self.width;
        assert!(
            x.len() == y.len()
                && x.len().is_multiple_of(width)
                && self.weight.len() == width * width
                && (self.bias.is_empty() || self.bias.len() == width),
            "rows as wide as their map"
        );
        if T::dtype() == DType::F32 && in_registers(self.single(), single(x), single_mut(y)) {
            return;
        }
        for row in y.chunks_exact_mut(width) {
            match self.bias {
                [] => row.fill(T::of(0.0)),
                bias => row.copy_from_slice(bias),
            }
        }
        multiply(
            Target::new(y, width),
            Old::Kept,
            T::of(1.0),
            Matrix::new(x, [x.len() / width, width], width),
            Matrix::square(self.weight, width),
        );
        if self.activation == Activation::Silu {
            activated(y);
        }
    }

    /// The same, whose numbers are of single precision already.
    fn single(self) -> Dense<'a, f32> {
        Dense {
            weight: single(self.weight),
            bias: single(self.bias),
            width: self.width,
            activation: self.activation,
        }
    }
}

fn single<T: Real>(numbers: &[T]) -> &[f32] {
    bytemuck::cast_slice(numbers)
}

fn single_mut<T: Real>(numbers: &mut [T]) -> &mut [f32] {
    bytemuck::cast_slice_mut(numbers)
}

/// Goes through the layer where there is a way for its width and this processor; answers whether there is.
#[cfg(target_arch = "x86_64")]
fn in_registers(layer: Dense<f32>, x: &[f32], y: &mut [f32]) -> bool {
    match (Level::current(), layer.width) {
        // SAFETY: the level in use never exceeds the detected one, so the processor has these instructions.
        (Level::Avx512, 32) => unsafe { avx512::through::<32>(layer, x, y) },
        // SAFETY: as above.
        (Level::Avx512, 64) => unsafe { avx512::through::<64>(layer, x, y) },
        // SAFETY: as above.
        (Level::Avx2, 32) => unsafe { avx2::through::<32>(layer, x, y) },
        // SAFETY: as above.
        (Level::Avx2, 64) => unsafe { avx2::through::<64>(layer, x, y) },
        _ => return false,
    }
    true
}

#[cfg(not(target_arch = "x86_64"))]
fn in_registers(_: Dense<f32>, _: &[f32], _: &mut [f32]) -> bool {
    false
}

/// Makes a module of the way with one kind of vectors: blocks of some rows by two vectors, so that sums take up three quarters of the registers. Vectors
/// are the processor's own: arrays in their place are vectorised in some sizes only.
#[cfg(target_arch = "x86_64")]
macro_rules! way {
    ($name:ident, $features:literal, $vector:ident, $lanes:literal, $rows:literal, $load:ident, $store:ident, $splat:ident, $fused:ident) => {
        mod $name {
            use std::arch::x86_64::{$fused, $load, $splat, $store, $vector};

            use super::{Activation, Dense};
            use crate::simd::silu;

            const LANES: usize = $lanes;
            const COLUMNS: usize = 2 * LANES;
            const ROWS: usize = $rows;

            /// `W` and `b`.
            type Map<'a, const WIDTH: usize> = (&'a [[f32; WIDTH]], &'a [f32; WIDTH]);

            #[target_feature(enable = $features)]
            pub fn through<const WIDTH: usize>(layer: Dense<f32>, x: &[f32], y: &mut [f32]) {
                let (x, y) = (x.as_chunks().0, y.as_chunks_mut().0);
                let bias = layer.bias.first_chunk().unwrap_or(&[0.0; WIDTH]);
                let map = (layer.weight.as_chunks().0, bias);
                let activation = layer.activation;
                let mut first = 0;
                while y.len() >= ROWS && first < y.len() {
                    // The last blocks overlap: what is computed twice is the same.
                    first = first.min(y.len() - ROWS);
                    block::<WIDTH, ROWS>(map, activation, &x[first..], &mut y[first..]);
                    first += ROWS;
                }
                while first < y.len() {
                    block::<WIDTH, 1>(map, activation, &x[first..], &mut y[first..]);
                    first += 1;
                }
            }

            /// The first rows.
            #[target_feature(enable = $features)]
            fn block<const WIDTH: usize, const ROWS: usize>(
                map: Map<WIDTH>,
                activation: Activation,
                x: &[[f32; WIDTH]],
                y: &mut [[f32; WIDTH]],
            ) {
                let whole = "a block has all of its rows";
                let x: &[_; ROWS] = x.first_chunk().expect(whole);
                let y = y.first_chunk_mut().expect(whole);
                for start in (0..WIDTH).step_by(COLUMNS) {
                    columns(map, start, x, y);
                }
                if activation == Activation::Silu {
                    for y in y.as_flattened_mut() {
                        *y = silu::<f32, true>(*y);
                    }
                }
            }

            /// `x W + b` in the columns from `start` on.
            #[target_feature(enable = $features)]
            fn columns<const WIDTH: usize, const ROWS: usize>(
                (weight, bias): Map<WIDTH>,
                start: usize,
                x: &[[f32; WIDTH]; ROWS],
                y: &mut [[f32; WIDTH]; ROWS],
            ) {
                let mut sums = [vectors(bias, start); ROWS];
                for (k, weights) in weight.iter().enumerate().take(WIDTH) {
                    let weights = vectors(weights, start);
                    for row in 0..ROWS {
                        let factor = $splat(x[row][k]);
                        for half in 0..2 {
                            sums[row][half] = $fused(factor, weights[half], sums[row][half]);
                        }
                    }
                }
                for row in 0..ROWS {
                    let y = &mut y[row][start..start + COLUMNS];
                    // SAFETY: there are as many numbers as are written.
                    unsafe {
                        $store(y.as_mut_ptr(), sums[row][0]);
                        $store(y[LANES..].as_mut_ptr(), sums[row][1]);
                    }
                }
            }

            #[target_feature(enable = $features)]
            fn vectors<const WIDTH: usize>(numbers: &[f32; WIDTH], start: usize) -> [$vector; 2] {
                let numbers = &numbers[start..start + COLUMNS];
                // SAFETY: there are as many numbers as are read.
                unsafe { [$load(numbers.as_ptr()), $load(numbers[LANES..].as_ptr())] }
            }
        }
    };
}

#[cfg(target_arch = "x86_64")]
way!(
    avx512,
    "avx512f,avx512vl,avx512dq,avx2,fma",
    __m512,
    16,
    12,
    _mm512_loadu_ps,
    _mm512_storeu_ps,
    _mm512_set1_ps,
    _mm512_fmadd_ps
);
#[cfg(target_arch = "x86_64")]
way!(
    avx2,
    "avx2,fma",
    __m256,
    8,
    6,
    _mm256_loadu_ps,
    _mm256_storeu_ps,
    _mm256_set1_ps,
    _mm256_fmadd_ps
);

#[cfg(test)]
mod tests {
    use super::*;

    fn numbers<T: Real>(count: usize, phase: f64) -> Vec<T> {
        let number = |k: usize| T::of((phase + 0.7 * k as f64).sin());
        (0..count).map(number).collect()
    }

    fn off<T: Real>(rows: usize, width: usize, activation: Activation, has_bias: bool) -> f64 {
        let (x, weight) = (numbers::<T>(rows * width, 1.0), numbers(width * width, 2.0));
        let bias = numbers(if has_bias { width } else { 0 }, 3.0);
        let mut y = numbers(rows * width, 4.0);
        let layer = Dense {
            weight: &weight,
            bias: &bias,
            width,
            activation,
        };
        layer.through(&x, &mut y);
        let places = (0..rows).flat_map(|row| (0..width).map(move |column| (row, column)));
        let off = places.zip(&y).map(|((row, column), y)| {
            let product = |k: usize| x[row * width + k].wide() * weight[k * width + column].wide();
            let start = bias.get(column).map_or(0.0, |bias| bias.wide());
            let sum = start + (0..width).map(product).sum::<f64>();
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
        // Blocks, the last of which overlap, single rows and none, of widths with and without a way of their own.
        for (rows, width) in [(24, 64), (31, 32), (5, 64), (13, 20), (7, 1), (0, 64)] {
            for activation in [Activation::None, Activation::Silu] {
                for has_bias in [true, false] {
                    let single = off::<f32>(rows, width, activation, has_bias);
                    let double = off::<f64>(rows, width, activation, has_bias);
                    assert!(
                        single < 1e-5 && double < 2e-14,
                        "{rows} by {width}, {activation:?}: {single:e}, {double:e}"
                    );
                }
            }
        }
    }

    #[test]
    fn the_bits_of_a_row_depend_on_no_other() {
        for width in [32, 64] {
            let (weight, bias) = (numbers::<f32>(width * width, 1.0), numbers(width, 2.0));
            let layer = Dense {
                weight: &weight,
                bias: &bias,
                width,
                activation: Activation::Silu,
            };
            let x = numbers(31 * width, 3.0);
            let mut all = numbers(31 * width, 4.0);
            layer.through(&x, &mut all);
            for (x, y) in x.chunks_exact(width).zip(all.chunks_exact(width)) {
                let mut alone = vec![0.0; width];
                layer.through(x, &mut alone);
                assert_eq!(alone, y);
            }
        }
    }

    #[cfg(target_arch = "x86_64")]
    #[test]
    fn the_way_of_an_older_processor_leads_to_the_same() {
        if Level::detected() < Level::Avx2 {
            return;
        }
        let (weight, bias) = (numbers::<f32>(64 * 64, 1.0), numbers(64, 2.0));
        let layer = Dense {
            weight: &weight,
            bias: &bias,
            width: 64,
            activation: Activation::Silu,
        };
        let x = numbers(31 * 64, 3.0);
        let (mut here, mut there) = (vec![0.0; x.len()], vec![0.0; x.len()]);
        layer.through(&x, &mut here);
        // SAFETY: the processor has just been asked.
        unsafe { avx2::through::<64>(layer, &x, &mut there) };
        for (here, there) in here.iter().zip(&there) {
            assert!((here - there).abs() < 1e-5, "{here}, {there}");
        }
    }

    #[test]
    #[should_panic(expected = "rows as wide as their map")]
    fn rows_that_do_not_fit_their_map_are_refused() {
        Dense::linear(&[1.0; 9], 3).through(&[1.0; 4], &mut [0.0; 4]);
    }
}
