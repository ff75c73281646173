//! An activation of a tile's rows, with the derivatives that directions and reverse mode need.

use crate::dense::{Activation, Dense};
use crate::simd::Real;

/// How many derivatives of the activation are kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(in crate::egnn) enum Order {
    Value,
    Slope,
    Curvature,
}

/// `y = φ(p + b)` for each row, and `ẏ = φ'(p + b) ṗ` for each direction.
///
/// # Shapes
/// Rows of a tile come first, then those of each direction.
pub(in crate::egnn) struct Stage<T> {
    width: usize,
    directions: usize,
    /// Before [`Stage::activate`] `p` and `ṗ`, after it `y` and `ẏ`.
    pub values: Vec<T>,
    /// `φ'`, `[rows, width]`.
    pub slope: Vec<T>,
    /// `φ''`, `[rows, width]`.
    curvature: Vec<T>,
    /// `ṗ`, `[directions · rows, width]`.
    before: Vec<T>,
}

/// `φ(x)` and `φ'(x)`.
#[inline(always)]
pub(in crate::egnn) fn silu_and_slope<T: Real, const FMA: bool>(x: T) -> (T, T) {
    let s = sigmoid::<T, FMA>(x);
    let value = x * s;
    (value, s + value * (T::of(1.0) - s))
}

/// `1/(1 + e^{−x})`.
#[inline(always)]
fn sigmoid<T: Real, const FMA: bool>(x: T) -> T {
    T::of(1.0) / x.one_plus_exp_neg::<FMA>()
}

impl<T: Real> Stage<T> {
    /// For as many rows.
    pub fn new(width: usize, rows: usize, directions: usize, order: Order) -> Self {
        let size = rows * width;
        let none = |is_kept: bool, count: usize| vec![T::of(0.0); if is_kept { count } else { 0 }];
        Self {
            width,
            directions,
            values: none(true, (1 + directions) * size),
            slope: none(order >= Order::Slope, size),
            curvature: none(order >= Order::Curvature, size),
            before: none(order >= Order::Curvature, directions * size),
        }
    }

    /// `φ(x W + b)` of the rows `x` of the stage before, and what comes with it.
    #[inline(always)]
    pub fn follow<const FMA: bool>(
        &mut self,
        before: &Self,
        rows: usize,
        [weight, bias]: [&[T]; 2],
        order: Order,
    ) {
        let size = rows * self.width;
        let used = (1 + self.directions) * size;
        let (x, tangents) = before.values[..used].split_at(size);
        let (y, moved) = self.values[..used].split_at_mut(size);
        let activation = match order {
            Order::Value => Activation::Silu,
            Order::Slope | Order::Curvature => Activation::None,
        };
        Dense {
            weight,
            bias,
            width: self.width,
            activation,
        }
        .through(x, y);
        Dense::linear(weight, self.width).through(tangents, moved);
        self.activate::<FMA>(rows, order);
    }

    /// Activates in place, with derivatives; values alone have been when they were computed.
    #[inline(always)]
    pub fn activate<const FMA: bool>(&mut self, rows: usize, order: Order) {
        let size = rows * self.width;
        let (values, tangents) = self.values.split_at_mut(size);
        match order {
            Order::Value => return,
            Order::Slope => {
                for (y, slope) in values.iter_mut().zip(&mut self.slope) {
                    (*y, *slope) = silu_and_slope::<T, FMA>(*y);
                }
            }
            Order::Curvature => {
                let derivatives = self.slope.iter_mut().zip(&mut self.curvature);
                for (y, (slope, curvature)) in values.iter_mut().zip(derivatives) {
                    let s = sigmoid::<T, FMA>(*y);
                    let (value, rest) = (*y * s, T::of(1.0) - s);
                    *slope = s + value * rest;
                    *curvature = s * rest * (T::of(2.0) + *y * (rest - s));
                    *y = value;
                }
                let used = tangents.len().min(self.before.len());
                self.before[..used].copy_from_slice(&tangents[..used]);
            }
        }
        for direction in tangents.chunks_exact_mut(size) {
            for (tangent, slope) in direction.iter_mut().zip(&self.slope) {
                *tangent = *tangent * *slope;
            }
        }
    }

    /// Turns the gradient of `y` and `ẏ` into that of `p` and `ṗ`: `p̄ = ȳ φ' + Σ ẏ̄ ṗ φ''`, `ṗ̄ = ẏ̄ φ'`.
    #[inline(always)]
    pub fn pull(&self, gradient: &mut [T], rows: usize) {
        let size = rows * self.width;
        let (values, tangents) = gradient.split_at_mut(size);
        for (value, slope) in values.iter_mut().zip(&self.slope) {
            *value = *value * *slope;
        }
        let before = self.before.chunks_exact(size);
        for (direction, before) in tangents.chunks_exact_mut(size).zip(before) {
            let known = self.slope.iter().zip(&self.curvature).zip(before);
            let both = values.iter_mut().zip(direction).zip(known);
            for ((value, tangent), ((slope, curvature), before)) in both {
                *value += *tangent * *before * *curvature;
                *tangent = *tangent * *slope;
            }
        }
    }
}
