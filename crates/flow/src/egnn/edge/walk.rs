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
    pub reach: Reach,
}

/// What else an edge stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::egnn) enum Reach {
    /// Nothing.
    Own,
    /// The pair in the other order.
    Both,
    /// Of the first point of a sample with itself: those of all points with themselves.
    Every,
}

/// Whether one edge may stand for both orders of a pair.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::egnn) enum Halves {
    /// Where points bring the same to all of their edges, and nothing tells two orders apart, `m_ij = m_ji`, `c_ij = c_ji` and `m_ii = m_jj`.
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
                let is_of_one = i == j;
                if is_of_one && (are_distinct || self.is_half && i > 0) {
                    continue;
                }
                let pair = i * points + j;
                return Some(Edge {
                    receiver: self.sample * points + i,
                    sender: self.sample * points + j,
                    pair,
                    place: self.sample * points * points + pair,
                    reach: match (self.is_half, is_of_one) {
                        (false, _) => Reach::Own,
                        (true, false) => Reach::Both,
                        (true, true) => Reach::Every,
                    },
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
            (0..points).all(|i| {
                own[i * points + i] == own[0]
                    && (0..i).all(|j| own[i * points + j] == own[j * points + i])
            })
        })
    };
    inputs.sizes.directions == 0
        && inputs.pairs.is_empty()
        && inputs.ends.into_iter().all(are_same)
        && inputs.standard.into_iter().all(is_symmetric)
}

#[cfg(test)]
mod tests {
    use super::super::{Sizes, Weights};
    use super::*;

    const SIZES: Sizes = Sizes {
        batch: 2,
        points: 3,
        dims: 2,
        width: 2,
        channels: 1,
        directions: 0,
        messages: Messages::Wanted,
    };

    /// `(receiver, sender, reach)` of every edge.
    fn edges(
        sizes: Sizes,
        [receivers, standard]: [&[f64]; 2],
        halves: Halves,
    ) -> Vec<(usize, usize, Reach)> {
        let nothing: &[f64] = &[];
        let inputs = Inputs {
            sizes,
            x: nothing,
            ends: [receivers, &[0.5; 12]],
            pairs: nothing,
            standard: [standard; 2],
            moved: nothing,
            moved_ends: [nothing; 2],
            weights: Weights {
                distance: nothing,
                message: nothing,
                message_bias: nothing,
                coordinate: nothing,
                coordinate_bias: nothing,
                weight: nothing,
            },
        };
        let walk = Walk::new(&inputs, halves);
        walk.map(|edge| {
            let [i, j] = [edge.receiver, edge.sender].map(|node| node % 3);
            assert_eq!(
                (edge.pair, edge.place),
                (i * 3 + j, edge.receiver / 3 * 9 + i * 3 + j)
            );
            (edge.receiver, edge.sender, edge.reach)
        })
        .collect()
    }

    /// All of a sample, or one of two orders.
    fn all(first: usize, is_half: bool, has_own: bool) -> Vec<(usize, usize, Reach)> {
        let pairs = (0..9).map(|pair| (pair / 3, pair % 3));
        let some = pairs.filter(|(i, j)| match (i == j, is_half) {
            (false, _) => !is_half || i < j,
            (true, true) => has_own && *i == 0,
            (true, false) => has_own,
        });
        let reach = |i, j| match (is_half, i == j) {
            (false, _) => Reach::Own,
            (true, false) => Reach::Both,
            (true, true) => Reach::Every,
        };
        some.map(|(i, j)| (first + i, first + j, reach(i, j)))
            .collect()
    }

    #[test]
    fn each_sample_whose_points_are_alike_has_half_of_its_edges() {
        // The second point of the second sample brings something else.
        let mut receivers = [1.0; 12];
        receivers[9] = 2.0;
        let expected = [all(0, true, true), all(3, false, true)].concat();
        assert_eq!(edges(SIZES, [&receivers, &[]], Halves::Taken), expected);
        let expected = [all(0, false, true), all(3, false, true)].concat();
        assert_eq!(edges(SIZES, [&receivers, &[]], Halves::Left), expected);
    }

    #[test]
    fn a_distance_that_is_expected_of_one_order_only_tells_both_apart() {
        let mut standard = [1.0; 18];
        standard[3] = 2.0;
        let expected = [all(0, false, true), all(3, true, true)].concat();
        assert_eq!(
            edges(SIZES, [&[1.0; 12], &standard], Halves::Taken),
            expected
        );
    }

    #[test]
    fn points_have_no_edge_with_themselves_where_no_message_is_asked_for() {
        let sizes = Sizes {
            messages: Messages::Unwanted,
            ..SIZES
        };
        let expected = [all(0, true, false), all(3, true, false)].concat();
        assert_eq!(edges(sizes, [&[1.0; 12], &[]], Halves::Taken), expected);
        let expected = [all(0, false, false), all(3, false, false)].concat();
        assert_eq!(edges(sizes, [&[1.0; 12], &[]], Halves::Left), expected);
        let along = Sizes {
            directions: 1,
            ..SIZES
        };
        let expected = [all(0, false, true), all(3, false, true)].concat();
        assert_eq!(edges(along, [&[1.0; 12], &[]], Halves::Taken), expected);
    }
}
