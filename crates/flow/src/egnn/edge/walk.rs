//! Which pairs of points have an edge that is computed, and in which order.

use super::{Inputs, Messages};
use crate::simd::Real;

/// An ordered pair of points of one sample.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::egnn) struct Edge {
    /// `i` and `j` among all points of the batch.
    pub receiver: usize,
    pub sender: usize,
    /// The pair among those of one sample, and of the batch.
    pub pair: usize,
    pub place: usize,
    /// Whether it stands for the pair in the other order as well.
    pub is_mutual: bool,
}

/// Whether one edge may stand for both orders of a pair.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::egnn) enum Halves {
    /// Where points bring the same to all of their edges, and nothing tells two orders apart, `m_ij = m_ji` and `c_ij = c_ji`.
    Taken,
    /// Never: what flows back to the ends of the two differs.
    Left,
}

/// The edges of a batch, sample by sample and receiver by receiver. Where no messages are asked for, points have none with themselves: `u = 0`.
pub(in crate::egnn) struct Walk<'a, T> {
    inputs: Inputs<'a, T>,
    halves: Halves,
    sample: usize,
    /// What comes next, within the sample.
    next: [usize; 2],
    /// Whether edges of the sample are mutual.
    is_half: bool,
}

impl<'a, T: Real> Walk<'a, T> {
    pub fn new(inputs: &Inputs<'a, T>, halves: Halves) -> Self {
        let mut walk = Self {
            inputs: *inputs,
            halves,
            sample: 0,
            next: [0; 2],
            is_half: false,
        };
        walk.begin();
        walk
    }

    /// The first edge of a sample comes next.
    fn begin(&mut self) {
        self.next = [0; 2];
        self.is_half = self.halves == Halves::Taken
            && self.sample < self.inputs.sizes.batch
            && are_alike(&self.inputs, self.sample);
    }
}

impl<T: Real> Iterator for Walk<'_, T> {
    type Item = Edge;

    #[inline]
    fn next(&mut self) -> Option<Edge> {
        let sizes = &self.inputs.sizes;
        let (batch, points) = (sizes.batch, sizes.points);
        let are_distinct = sizes.messages == Messages::Unwanted;
        while self.sample < batch {
            let [i, j] = self.next;
            if i == points {
                self.sample += 1;
                self.begin();
            } else if j == points {
                self.next = [i + 1, if self.is_half { i + 1 } else { 0 }];
            } else {
                self.next[1] += 1;
                if i == j && are_distinct {
                    continue;
                }
                let pair = i * points + j;
                return Some(Edge {
                    receiver: self.sample * points + i,
                    sender: self.sample * points + j,
                    pair,
                    place: self.sample * points * points + pair,
                    is_mutual: self.is_half && i != j,
                });
            }
        }
        None
    }
}

/// Whether an edge of this sample knows of its ends how far apart they are, and nothing else.
fn are_alike<T: Real>(inputs: &Inputs<T>, sample: usize) -> bool {
    let points = inputs.sizes.points;
    let are_same = |rows: &[T]| {
        let size = inputs.sizes.width;
        let mut rows =
            rows[sample * points * size..(sample + 1) * points * size].chunks_exact(size);
        let first = rows.next();
        rows.all(|row| Some(row) == first)
    };
    let is_symmetric = |numbers: &[T]| {
        let own = numbers.get(sample * points * points..(sample + 1) * points * points);
        own.is_none_or(|own| {
            (0..points).all(|i| (0..i).all(|j| own[i * points + j] == own[j * points + i]))
        })
    };
    inputs.sizes.directions == 0
        && inputs.pairs.is_empty()
        && inputs.ends.into_iter().all(are_same)
        && inputs.standard.into_iter().all(is_symmetric)
}
