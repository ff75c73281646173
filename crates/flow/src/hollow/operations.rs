//! How much arithmetic a [`Hollow`] field takes.

use super::Hollow;

/// Floating-point operations of the matrix products of one evaluation with its exact divergence for one sample, two a multiply-add.
///
/// For `N` points in `D` dimensions, hidden layers `W` wide and `T` features of time and of the whole, a map of what a point is takes
/// `n = 2 N W²`, one of what a pair or a state is `e = 2 N² W²`. The sum is over
///
/// - the time features: `2 T W`;
/// - every layer's filters, `2 n + e`, and its update, `3 n`, of which `e` stands for every `n` whose states know of other points: one in the first
///   layer, `W_m`, and `W`; all four maps in others, and there sums along the line graph, `2 N³ W`;
/// - the read-out: ends, `n + e` (`2 n` without layers); messages and heads with their slopes, `4 e + 4 N² W`; sums, `(1 + D) n`; and what goes
///   through them, `4 D N² W`.
pub(super) fn of_divergence(field: &Hollow, points: usize, dims: usize) -> f64 {
    let (n, d) = (points as f64, dims as f64);
    let width = field.readout.width() as f64;
    let times = field.embedding.global_features() as f64;
    let node = 2.0 * n * width * width;
    let pair = node * n;
    let later = field.layers.len().saturating_sub(1) as f64;
    let mut total = 2.0 * times * width;
    if !field.layers.is_empty() {
        total += 2.0 * node + pair + 2.0 * node + 2.0 * pair;
    }
    total += later * (2.0 * node + pair + 4.0 * pair + 2.0 * n.powi(3) * width);
    total += if field.layers.is_empty() {
        2.0 * node
    } else {
        node + pair
    };
    let axis = 2.0 * n * n * width;
    total + 4.0 * pair + 2.0 * axis + (1.0 + d) * node + 2.0 * d * axis
}

#[cfg(test)]
mod tests {
    use burn::tensor::{DType, Device};

    use super::super::HollowConfig;
    use super::*;
    use crate::random::{Purpose, stream};
    use crate::testing::operations;
    use crate::{Initializer, Schedule, VectorField};

    /// Width 2, for three points on a line: nine pairs.
    fn counted(layers: usize) -> f64 {
        let mut make = Initializer {
            random: &mut stream(1, Purpose::Parameters, 0),
            device: &Device::flex(),
            dtype: DType::F64,
        };
        let config = HollowConfig {
            width: 2,
            layers,
            node_features: 3,
            pair_features: 4,
            global_features: 0,
            schedule: Schedule { rate: 1.0 },
        };
        let field = Hollow::new(&config, &mut make).expect("a width of 2 is one");
        field.divergence_operations(3, 1)
    }

    #[test]
    fn the_count_is_that_of_every_product_by_hand() {
        let time = [[1, 5, 2]];
        // Ends and filters; value and node of three points; message and result of nine states.
        let filters = [[3, 2, 2], [3, 2, 2], [9, 2, 2]];
        let first = [[3, 2, 2], [3, 2, 2], [9, 2, 2], [9, 2, 2]];
        // All four of nine states, and for each channel the sum over senders.
        let later = [[9, 2, 2]; 4];
        let sums = [[3, 3, 3]; 2];
        // Ends; message, coordinate head and weight with their slopes; sums and theirs along the axis; for each point the latter, and what they pull.
        let alone = [[3, 2, 2], [3, 2, 2]];
        let ends = [[3, 2, 2], [9, 2, 2]];
        let heads = [[18, 2, 2], [18, 2, 2], [18, 2, 1]];
        let through = [[3, 2, 2], [3, 2, 2]];
        let along = [[1, 3, 2]; 6];
        let read = [&heads[..], &through, &along].concat();

        let none = operations(&[&time[..], &alone, &read].concat());
        assert_eq!(counted(0), none);
        let one = [&time[..], &filters, &first, &ends, &read].concat();
        assert_eq!(counted(1), operations(&one));
        let two = [&one[..], &filters, &later, &sums].concat();
        assert_eq!(counted(2), operations(&two));
        assert_eq!(
            [none, operations(&one), operations(&two)],
            [548.0, 908.0, 1424.0]
        );
    }
}
