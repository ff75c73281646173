//! What goes from layer to layer of a block.

use super::Block;
use crate::egnn::edge::{add_scaled, silu_and_slope};
use crate::egnn::maps::UpdateMaps;
use crate::simd::{Real, at_level};

/// Points and features before the next layer.
pub(super) struct State<T> {
    pub block: Block,
    /// `x`, `[nodes, dims]`.
    pub x: Vec<T>,
    /// `∂x/∂x⁽⁰⁾`, `[nodes, dims, directions]`.
    pub moved: Vec<T>,
    /// `h`, `[nodes, width]`.
    pub h: Vec<T>,
    /// What has been received since the last node update, `[nodes, width]`.
    pub messages: Vec<T>,
    /// `φ'` of the last node update, `[nodes, width]`.
    pub slopes: Vec<T>,
}

impl<T: Real> State<T> {
    /// Before the first layer.
    pub fn new(block: Block, x: Vec<T>, h: Vec<T>) -> Self {
        let none = vec![T::of(0.0); h.len()];
        Self {
            block,
            x,
            moved: identity(block),
            h,
            messages: none.clone(),
            slopes: none,
        }
    }

    /// `h ← h + W φ(W_h h + W_m M/N)`.
    pub fn update(&mut self, maps: &UpdateMaps<T>) {
        let width = self.block.width;
        let mut hidden = maps.node.forward(&self.h, width);
        let mean = T::of(1.0 / self.block.points as f64);
        maps.message.add(mean, &self.messages, &mut hidden, width);
        activate(&mut hidden, &mut self.slopes);
        maps.out.add(T::of(1.0), &hidden, &mut self.h, width);
        self.messages.fill(T::of(0.0));
    }

    /// `ṡ_e = 2 u·(ẋ_i − ẋ_j)` of an edge along all directions.
    #[inline(always)]
    pub fn stretch(block: &Block, moved: &[T], [i, j]: [usize; 2], u: &[T], stretch: &mut [T]) {
        let directions = block.directions();
        let of = |node: usize| &moved[node * block.dims * directions..];
        stretch.fill(T::of(0.0));
        let ends = of(i)
            .chunks_exact(directions)
            .zip(of(j).chunks_exact(directions));
        for ((receiver, sender), u) in ends.zip(u) {
            let twice = *u + *u;
            for ((stretch, receiver), sender) in stretch.iter_mut().zip(receiver).zip(sender) {
                *stretch += twice * (*receiver - *sender);
            }
        }
    }

    /// Adds what an edge pulls its receiver by along all directions, `ω̇ u + ω (ẋ_i − ẋ_j)` with `ω̇ = ω' ṡ`.
    #[inline(always)]
    pub fn pull(
        &self,
        [i, j]: [usize; 2],
        (u, stretch): (&[T], &[T]),
        [weight, slope]: [T; 2],
        target: &mut [T],
    ) {
        let directions = self.block.directions();
        let of = |node: usize| &self.moved[node * self.block.dims * directions..];
        let ends = of(i)
            .chunks_exact(directions)
            .zip(of(j).chunks_exact(directions));
        let axes = target.chunks_exact_mut(directions).zip(u);
        for ((target, u), (receiver, sender)) in axes.zip(ends) {
            add_scaled(target, slope * *u, stretch);
            for ((target, receiver), sender) in target.iter_mut().zip(receiver).zip(sender) {
                *target += weight * (*receiver - *sender);
            }
        }
    }
}

/// `∂x/∂x`, `[nodes, dims, directions]`.
pub(super) fn identity<T: Real>(block: Block) -> Vec<T> {
    let (dims, directions) = (block.dims, block.directions());
    let mut moved = vec![T::of(0.0); block.nodes() * dims * directions];
    for (node, axes) in moved.chunks_exact_mut(dims * directions).enumerate() {
        for (axis, row) in axes.chunks_exact_mut(directions).enumerate() {
            row[block.direction(axis, node % block.points)] = T::of(1.0);
        }
    }
    moved
}

at_level!(
    /// `φ` (SiLU) in place, and `φ'`.
    fn activate(values: &mut [T], slopes: &mut [T]),
    activate_body
);

#[inline(always)]
fn activate_body<T: Real, const FMA: bool>(values: &mut [T], slopes: &mut [T]) {
    for (y, slope) in values.iter_mut().zip(slopes) {
        (*y, *slope) = silu_and_slope::<T, FMA>(*y);
    }
}
