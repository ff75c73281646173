//! Some edges at a time, up to the weights of their displacements.

use super::stage::{Order, Stage};
use super::walk::Edge;
use super::{Inputs, Sizes, tile_rows, zero};
use crate::egnn::layer::SOFTENING;
use crate::simd::{Real, at_level, silu};

/// Numbers side by side: those of a register of single precision at most.
const LANES: usize = 16;

/// `Σ a b`, in as many sums as fit a register, which are added in a fixed order.
#[inline(always)]
pub(in crate::egnn) fn dot<T: Real>(a: &[T], b: &[T]) -> T {
    sum(&products(a, b))
}

/// What [`sum`] makes `Σ a b` of.
#[inline(always)]
fn products<T: Real>(a: &[T], b: &[T]) -> [T; LANES] {
    let mut sums = [zero::<T>(); LANES];
    let ((a, a_rest), (b, b_rest)) = (a.as_chunks::<LANES>(), b.as_chunks::<LANES>());
    for (a, b) in a.iter().zip(b) {
        for lane in 0..LANES {
            sums[lane] += a[lane] * b[lane];
        }
    }
    for (sum, (a, b)) in sums.iter_mut().zip(a_rest.iter().zip(b_rest)) {
        *sum += *a * *b;
    }
    sums
}

/// `Σ s`, halves first.
#[inline(always)]
fn sum<T: Real>(sums: &[T; LANES]) -> T {
    let mut sums = *sums;
    let mut width = LANES / 2;
    while width > 0 {
        for lane in 0..width {
            sums[lane] += sums[lane + width];
        }
        width /= 2;
    }
    sums[0]
}

/// `y += a x`.
#[inline(always)]
pub(in crate::egnn) fn add_scaled<T: Real>(y: &mut [T], a: T, x: &[T]) {
    for (y, x) in y.iter_mut().zip(x) {
        *y += a * *x;
    }
}

/// `y += x`.
#[inline(always)]
pub(in crate::egnn) fn add<T: Real>(y: &mut [T], x: &[T]) {
    for (y, x) in y.iter_mut().zip(x) {
        *y += *x;
    }
}

/// Functions of the distance of each edge of a tile: `u`, and of `s = |u|²` the standardised `z` and `1/(√(s + ε) + 1)`, with two
/// derivatives each.
pub(in crate::egnn) struct Geometry<T> {
    pub difference: Vec<T>,
    pub standard: [Vec<T>; 3],
    pub inverse: [Vec<T>; 3],
    /// Shift and scale of each square.
    expected: [Vec<T>; 2],
}

impl<T: Real> Geometry<T> {
    pub fn new(rows: usize, dims: usize) -> Self {
        let numbers = || vec![zero(); rows];
        let three = || [numbers(), numbers(), numbers()];
        Self {
            difference: vec![zero(); rows * dims],
            standard: three(),
            inverse: three(),
            expected: [numbers(), numbers()],
        }
    }

    /// Of these edges.
    #[inline(always)]
    fn fill<const FMA: bool>(&mut self, inputs: &Inputs<T>, edges: &[Edge]) {
        let (dims, rows) = (inputs.sizes.dims, edges.len());
        let squares = &mut self.inverse[0];
        for (row, edge) in edges.iter().enumerate() {
            let mut square = zero::<T>();
            for axis in 0..dims {
                let u = inputs.x[edge.receiver * dims + axis] - inputs.x[edge.sender * dims + axis];
                self.difference[row * dims + axis] = u;
                square += u * u;
            }
            squares[row] = square;
        }
        let [z, z1, z2] = &mut self.standard;
        let [shift, scale] = inputs.standard;
        if scale.is_empty() {
            z[..rows].copy_from_slice(&squares[..rows]);
            z1.fill(T::of(1.0));
            z2.fill(zero());
        } else {
            let [shifts, scales] = &mut self.expected;
            for (edge, (own, slope)) in edges.iter().zip(shifts.iter_mut().zip(&mut *scales)) {
                (*own, *slope) = (shift[edge.place], scale[edge.place]);
            }
            for row in 0..rows {
                let r = scales[row];
                let v = (squares[row] - shifts[row]) * r;
                let inner = v * v + T::of(1.0);
                let root = inner.sqrt();
                let (size, sign) = if v < zero() {
                    (-v, T::of(-1.0))
                } else {
                    (v, T::of(1.0))
                };
                // Of the magnitude, because v + √(v² + 1) cancels for negative v.
                z[row] = (size + root).ln::<FMA>() * sign;
                z1[row] = r / root;
                z2[row] = -(r * r * v) / (inner * root);
            }
        }
        let [inverse, first, second] = &mut self.inverse;
        for row in 0..rows {
            let root = (inverse[row] + T::of(SOFTENING)).sqrt();
            let value = T::of(1.0) / (root + T::of(1.0));
            let over = T::of(0.5) / root;
            let square = value * value;
            inverse[row] = value;
            first[row] = -(square * over);
            second[row] = T::of(2.0) * over * over * (square * value + square * over);
        }
    }
}

at_level!(
    /// Computes the edges of a tile.
    pub(in crate::egnn) fn evaluate(tile: &mut Tile<T>, inputs: &Inputs<T>),
    evaluate_body
);

#[inline(always)]
fn evaluate_body<T: Real, const FMA: bool>(tile: &mut Tile<T>, inputs: &Inputs<T>) {
    tile.evaluate::<FMA>(inputs);
}

/// A tile and its buffers.
pub(in crate::egnn) struct Tile<T> {
    /// What is in it, a row each.
    pub edges: Vec<Edge>,
    /// Rows that there is space for.
    pub most: usize,
    pub geometry: Geometry<T>,
    /// `u̇`, `[directions, rows, dims]`.
    pub moved: Vec<T>,
    /// `ṡ`, `[directions, rows]`.
    pub stretch: Vec<T>,
    /// `φ(f)`, `m` and `φ(W_c m + b_c)`.
    pub stages: [Stage<T>; 3],
    /// `c` and `ċ`, `[1 + directions, rows, channels]`.
    pub heads: Vec<T>,
    /// What each of these is the sum of.
    products: Vec<[T; LANES]>,
    /// `W_xᵀ`, `[channels, width]`.
    pub weight: Vec<T>,
    order: Order,
}

impl<T: Real> Tile<T> {
    /// An empty one.
    pub fn new(inputs: &Inputs<T>, order: Order) -> Self {
        let rows = tile_rows(&inputs.sizes, 1 + inputs.sizes.directions);
        let Sizes {
            width,
            channels,
            directions,
            dims,
            ..
        } = inputs.sizes;
        let stage = || Stage::new(width, rows, directions, order);
        let transposed = (0..channels * width).map(|k| {
            let (channel, column) = (k / width, k % width);
            inputs.weights.weight[column * channels + channel]
        });
        Self {
            edges: Vec::with_capacity(rows),
            most: rows,
            geometry: Geometry::new(rows, dims),
            moved: vec![zero(); directions * rows * dims],
            stretch: vec![zero(); directions * rows],
            stages: [stage(), stage(), stage()],
            heads: vec![zero(); (1 + directions) * rows * channels],
            products: vec![[zero(); LANES]; (1 + directions) * rows * channels],
            weight: transposed.collect(),
            order,
        }
    }

    /// Takes as many of the next edges as there is space for; answers whether there are any.
    pub fn fill(&mut self, edges: &mut impl Iterator<Item = Edge>) -> bool {
        self.edges.clear();
        self.edges.extend(edges.take(self.most));
        !self.edges.is_empty()
    }

    #[inline(always)]
    fn evaluate<const FMA: bool>(&mut self, inputs: &Inputs<T>) {
        let Sizes {
            width,
            directions,
            channels,
            ..
        } = inputs.sizes;
        let (weights, rows) = (&inputs.weights, self.edges.len());
        self.geometry.fill::<FMA>(inputs, &self.edges);
        self.stretches(inputs);
        self.first_layer::<FMA>(inputs);
        let order = self.order;
        let [one, two, three] = &mut self.stages;
        one.activate::<FMA>(rows, order);
        two.follow::<FMA>(one, rows, [weights.message, weights.message_bias], order);
        three.follow::<FMA>(
            two,
            rows,
            [weights.coordinate, weights.coordinate_bias],
            order,
        );
        // All products first: where sums follow at once, they are not vectorised.
        let hidden = three
            .values
            .chunks_exact(width)
            .take((1 + directions) * rows);
        for (place, hidden) in hidden.enumerate() {
            for channel in 0..channels {
                let weight = &self.weight[channel * width..(channel + 1) * width];
                self.products[place * channels + channel] = products(hidden, weight);
            }
        }
        for (head, products) in self.heads.iter_mut().zip(&self.products) {
            *head = sum(products);
        }
    }

    /// `u̇` and `ṡ = 2 u·u̇` along every direction.
    #[inline(always)]
    fn stretches(&mut self, inputs: &Inputs<T>) {
        let sizes = &inputs.sizes;
        let (dims, rows) = (sizes.dims, self.edges.len());
        for direction in 0..sizes.directions {
            let moved = &inputs.moved[direction * sizes.nodes() * dims..];
            for (row, edge) in self.edges.iter().enumerate() {
                let place = direction * rows + row;
                let mut along = zero::<T>();
                for axis in 0..dims {
                    let u = moved[edge.receiver * dims + axis] - moved[edge.sender * dims + axis];
                    self.moved[place * dims + axis] = u;
                    along += u * self.geometry.difference[row * dims + axis];
                }
                self.stretch[place] = along + along;
            }
        }
    }

    /// `f`, and `ḟ = Ṙ_i + Ṡ_j + w z' ṡ`, into the first stage; of values alone `φ(f)`, in the same pass.
    #[inline(always)]
    fn first_layer<const FMA: bool>(&mut self, inputs: &Inputs<T>) {
        let sizes = &inputs.sizes;
        let (width, rows) = (sizes.width, self.edges.len());
        let [z, slope, _] = &self.geometry.standard;
        let distance = inputs.weights.distance;
        let (values, tangents) = self.stages[0].values.split_at_mut(rows * width);
        let row_of = |index: usize| index * width..(index + 1) * width;
        let [receivers, senders] = inputs.ends;
        let rows_of_values = values.chunks_exact_mut(width);
        for ((edge, z), f) in self.edges.iter().zip(z).zip(rows_of_values) {
            let receiver = &receivers[row_of(edge.receiver)];
            let sender = &senders[row_of(edge.sender)];
            let ends = receiver.iter().zip(sender).zip(distance);
            for (f, ((receiver, sender), w)) in f.iter_mut().zip(ends) {
                *f = *receiver + *sender + *z * *w;
            }
            if !inputs.pairs.is_empty() {
                add(f, &inputs.pairs[row_of(edge.pair)]);
            }
            if self.order == Order::Value {
                for f in f {
                    *f = silu::<T, FMA>(*f);
                }
            }
        }
        let [receivers, senders] = inputs.moved_ends;
        for (place, f) in tangents
            .chunks_exact_mut(width)
            .enumerate()
            .take(sizes.directions * rows)
        {
            let (direction, row) = (place / rows, place % rows);
            let along = slope[row] * self.stretch[place];
            for (f, w) in f.iter_mut().zip(distance) {
                *f = along * *w;
            }
            if !receivers.is_empty() {
                let edge = &self.edges[row];
                let nodes = direction * sizes.nodes();
                add(f, &receivers[row_of(nodes + edge.receiver)]);
                add(f, &senders[row_of(nodes + edge.sender)]);
            }
        }
    }
}
