//! Attention head by head, each in memory that stays in the cache.

use crate::matrix::{Matrix, Old, Target, multiply};
use crate::simd::{Kernel, Real, run};

/// Numbers at once: as many as fit a register of single precision.
const LANES: usize = 16;

/// How many of what there are.
#[derive(Clone, Copy, Debug)]
pub(super) struct Sizes {
    pub(super) batch: usize,
    pub(super) queries: usize,
    pub(super) keys: usize,
    pub(super) heads: usize,
    /// Of all heads together.
    pub(super) width: usize,
}

impl Sizes {
    /// Numbers of a head.
    fn depth(self) -> usize {
        self.width / self.heads
    }

    /// `1/√d`.
    fn scale<T: Real>(self) -> T {
        T::of(1.0 / (self.depth() as f64).sqrt())
    }

    fn scores(self) -> usize {
        self.queries * self.keys
    }
}

/// What attention is made of, see [`super::attend`].
#[derive(Clone, Copy)]
pub(super) struct Inputs<'a, T> {
    pub(super) sizes: Sizes,
    /// `[batch, queries, width]`.
    pub(super) queries: &'a [T],
    /// `[batch, keys, 2 width]`.
    pub(super) keys_values: &'a [T],
    /// `[heads, queries, keys]`.
    pub(super) bias: &'a [T],
}

/// One head of one sample.
#[derive(Clone, Copy)]
struct Head<'a, T> {
    queries: Matrix<'a, T>,
    keys: Matrix<'a, T>,
    values: Matrix<'a, T>,
    bias: &'a [T],
}

impl<'a, T: Real> Inputs<'a, T> {
    /// Where the numbers of a head of a sample begin among queries, and among keys.
    fn starts(&self, sample: usize, head: usize) -> [usize; 2] {
        let Sizes {
            queries,
            keys,
            width,
            ..
        } = self.sizes;
        let column = head * self.sizes.depth();
        [
            sample * queries * width + column,
            sample * keys * 2 * width + column,
        ]
    }

    fn head(&self, sample: usize, head: usize) -> Head<'a, T> {
        let sizes = self.sizes;
        let (depth, width) = (sizes.depth(), sizes.width);
        let [query, key] = self.starts(sample, head);
        let keys = |from| Matrix::new(&self.keys_values[from..], [sizes.keys, depth], 2 * width);
        Head {
            queries: Matrix::new(&self.queries[query..], [sizes.queries, depth], width),
            keys: keys(key),
            values: keys(key + width),
            bias: &self.bias[head * sizes.scores()..(head + 1) * sizes.scores()],
        }
    }

    /// What each query gives to each key, adding up to one, `[queries, keys]`.
    fn shares(&self, head: &Head<T>, scores: &mut [T]) {
        scores.copy_from_slice(head.bias);
        let stride = self.sizes.keys;
        let target = Target::new(&mut *scores, stride);
        let keys = head.keys.transposed();
        multiply(target, Old::Kept, self.sizes.scale(), head.queries, keys);
        run(Softmax {
            scores,
            keys: stride,
        });
    }
}

/// Each head's mean of the values, `[batch, queries, width]`.
pub(super) fn forward<T: Real>(inputs: Inputs<T>) -> Vec<T> {
    let sizes = inputs.sizes;
    let mut mixed = vec![T::default(); sizes.batch * sizes.queries * sizes.width];
    let mut scores = vec![T::default(); sizes.scores()];
    for sample in 0..sizes.batch {
        for index in 0..sizes.heads {
            let head = inputs.head(sample, index);
            inputs.shares(&head, &mut scores);
            let shares = Matrix::new(&scores, [sizes.queries, sizes.keys], sizes.keys);
            let [start, _] = inputs.starts(sample, index);
            let target = Target::new(&mut mixed[start..], sizes.width);
            multiply(target, Old::Replaced, T::of(1.0), shares, head.values);
        }
    }
    mixed
}

/// Gradients, each of the shape of what it is of.
pub(super) struct Gradients<T> {
    pub(super) queries: Vec<T>,
    pub(super) keys_values: Vec<T>,
    pub(super) bias: Vec<T>,
}

/// The gradients of all that [`forward`] is made of, from that of its result.
pub(super) fn backward<T: Real>(inputs: Inputs<T>, gradient: &[T]) -> Gradients<T> {
    let sizes = inputs.sizes;
    let (depth, width) = (sizes.depth(), sizes.width);
    let (one, scale) = (T::of(1.0), sizes.scale());
    let mut found = Gradients {
        queries: vec![T::default(); inputs.queries.len()],
        keys_values: vec![T::default(); inputs.keys_values.len()],
        bias: vec![T::default(); inputs.bias.len()],
    };
    let mut shares = vec![T::default(); sizes.scores()];
    let mut slopes = shares.clone();
    let of_scores = [sizes.queries, sizes.keys];
    for sample in 0..sizes.batch {
        for index in 0..sizes.heads {
            let head = inputs.head(sample, index);
            inputs.shares(&head, &mut shares);
            let [query, key] = inputs.starts(sample, index);
            let pull = Matrix::new(&gradient[query..], [sizes.queries, depth], width);
            let share = Matrix::new(&shares, of_scores, sizes.keys).transposed();
            let values = Target::new(&mut found.keys_values[key + width..], 2 * width);
            multiply(values, Old::Replaced, one, share, pull);
            let slope = Target::new(&mut slopes[..], sizes.keys);
            multiply(slope, Old::Replaced, one, pull, head.values.transposed());
            run(Pull {
                shares: &shares,
                slopes: &mut slopes,
                total: &mut found.bias[index * sizes.scores()..(index + 1) * sizes.scores()],
                keys: sizes.keys,
            });
            let slope = Matrix::new(&slopes, of_scores, sizes.keys);
            let queries = Target::new(&mut found.queries[query..], width);
            multiply(queries, Old::Replaced, scale, slope, head.keys);
            let keys = Target::new(&mut found.keys_values[key..], 2 * width);
            let slope = slope.transposed();
            multiply(keys, Old::Replaced, scale, slope, head.queries);
        }
    }
    found
}

/// Replaces scores by `e^s / Σ e^s`, row by row.
struct Softmax<'a, T> {
    scores: &'a mut [T],
    keys: usize,
}

impl<T: Real> Kernel for Softmax<'_, T> {
    #[inline(always)]
    fn run<const FMA: bool>(self) {
        for row in self.scores.chunks_exact_mut(self.keys) {
            let larger = |a: T, b: T| if b > a { b } else { a };
            let largest = folded(row, row[0], larger);
            row.iter_mut()
                .for_each(|score| *score = (*score - largest).exp::<FMA>());
            let total = folded(row, T::default(), |a, b| a + b);
            let share = T::of(1.0) / total;
            row.iter_mut().for_each(|score| *score = *score * share);
        }
    }
}

/// Replaces the gradient of shares by that of scores, `p (g − Σ p g)`, row by row, and adds it to a total.
struct Pull<'a, T> {
    shares: &'a [T],
    slopes: &'a mut [T],
    total: &'a mut [T],
    keys: usize,
}

impl<T: Real> Kernel for Pull<'_, T> {
    #[inline(always)]
    fn run<const FMA: bool>(self) {
        let keys = self.keys;
        let rows = self.slopes.chunks_exact_mut(keys);
        let rows = rows.zip(self.shares.chunks_exact(keys));
        for ((slopes, shares), total) in rows.zip(self.total.chunks_exact_mut(keys)) {
            let products = slopes.iter_mut().zip(shares);
            products.for_each(|(slope, &share)| *slope = *slope * share);
            let sum = folded(slopes, T::default(), |a, b| a + b);
            let rest = slopes.iter_mut().zip(shares).zip(total);
            rest.for_each(|((slope, &share), total)| {
                *slope = *slope - share * sum;
                *total += *slope;
            });
        }
    }
}

/// All numbers of a row taken together, by an operation of which the order does not matter.
#[inline(always)]
fn folded<T: Real>(row: &[T], start: T, operation: impl Fn(T, T) -> T) -> T {
    let mut lanes = [start; LANES];
    let chunks = row.chunks_exact(LANES);
    let rest = chunks.remainder();
    for chunk in chunks {
        for lane in 0..LANES {
            lanes[lane] = operation(lanes[lane], chunk[lane]);
        }
    }
    for (lane, &value) in rest.iter().enumerate() {
        lanes[lane] = operation(lanes[lane], value);
    }
    let mut all = start;
    for lane in lanes {
        all = operation(all, lane);
    }
    all
}
