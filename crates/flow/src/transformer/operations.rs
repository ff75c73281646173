//! How much arithmetic the exact divergence of a [`Transformer`] takes.

use super::Transformer;

/// Floating-point operations of the matrix products of one evaluation with a tangent for each of the `K = D N` coordinates for one sample, two a
/// multiply-add.
///
/// For `N` points in `D` dimensions, width `W`, `R` radial functions and `T` features of time and of the whole, a map of scalars with `k` tangents takes
/// `n(k) = 2 (1 + k) N W²`, one of vectors `D n(K)`, a filter with its slope `f = 4 N² R W`, and a sum over pairs of one number for each
/// channel along all directions `p = 2 K N² W`. The sum is over
///
/// - the time features, `2 T W`, and what pairs see of their ends, `4 N W R`;
/// - the first layer's attention: four maps and three filters, `4 n(0) + 3 f`; distances' part of scalars and directions, `(1 + D) p`, differences' part of
///   these, `D p`, and the directions themselves, `D p/K`;
/// - every other layer's: five maps and four filters, `5 n(K) + 4 f`; ends' part of weights, `2 p`; of scalars, values', weights' and distances' parts, `3 p`;
///   of directions, values', differences' and distances' parts, and these themselves, `3 D p + D p/K`; of vectors, their own and distances' parts,
///   and these themselves, `2 D p + D p/K`;
/// - every update: own scalars, `n(0)` in the first and `n(K)` in others; four maps of scalars and two of vectors, `(4 + 2 D) n(K)`, and where mirror images
///   are told apart `(1 + D) n(K)` more;
/// - the read-out's gate: `n(K)`.
pub(super) fn of_divergence(field: &Transformer, points: usize, dims: usize) -> f64 {
    let width = field.gate.weight.dims()[0] as f64;
    let radial = field.radial.outputs() as f64;
    let times = field.embedding.global_features() as f64;
    let (n, d) = (points as f64, dims as f64);
    let directions = n * d;
    let nodes = |tangents: f64| 2.0 * (1.0 + tangents) * n * width * width;
    let filter = 4.0 * n * n * radial * width;
    let value = 2.0 * n * n * width;
    let sum = directions * value;
    let mut total = 2.0 * times * width + 4.0 * n * width * radial;
    for (index, update) in field.updates.iter().enumerate() {
        let carried = if index == 0 { 0.0 } else { directions };
        total += if index == 0 {
            4.0 * nodes(0.0) + 3.0 * filter + (1.0 + 2.0 * d) * sum + d * value
        } else {
            5.0 * nodes(carried) + 4.0 * filter + (5.0 + 5.0 * d) * sum + 2.0 * d * value
        };
        total += nodes(carried) + (4.0 + 2.0 * d) * nodes(directions);
        if update.tells_mirror_images_apart() {
            total += (1.0 + d) * nodes(directions);
        }
    }
    total + nodes(directions)
}

#[cfg(test)]
mod tests {
    use burn::tensor::{DType, Device};

    use super::super::{Symmetry, TransformerConfig};
    use super::*;
    use crate::random::{Purpose, stream};
    use crate::testing::operations;
    use crate::{Initializer, Schedule, VectorField};

    /// Width 2, one head, three functions of distance, for two points in space: six directions, four pairs.
    fn counted(layers: usize, symmetry: Symmetry) -> f64 {
        let mut make = Initializer {
            random: &mut stream(1, Purpose::Parameters, 0),
            device: &Device::flex(),
            dtype: DType::F64,
        };
        let config = TransformerConfig {
            width: 2,
            heads: 1,
            layers,
            radial: 3,
            symmetry,
            node_features: 3,
            pair_features: 4,
            global_features: 0,
            schedule: Schedule { rate: 1.0 },
        };
        let field = Transformer::new(&config, 3, &mut make).expect("one head shares any width");
        field.divergence_operations(2, 3)
    }

    #[test]
    fn the_count_is_that_of_every_product_by_hand() {
        let entry = [[1, 5, 2], [2, 2, 3], [2, 2, 3]];
        // Query, key, what is sent for scalars and for directions, of two points; filters of four pairs with their slopes.
        let static_maps = [[2, 2, 2]; 4];
        let filters = [[8, 3, 2]; 3];
        // Of each of two points along six directions: what distances do to two channels, and to two of each axis.
        let distances = [[6, 2, 2], [6, 2, 6]].repeat(2);
        // What the points' own motion along three axes does to two channels of two points; their directions.
        let differences = [[4, 2, 18]];
        let directions = [[3, 2, 2]].repeat(2);
        let first = [
            &static_maps[..],
            &filters,
            &distances,
            &differences,
            &directions,
        ]
        .concat();
        // The same with six tangents, and vectors sent.
        let maps = [[14, 2, 2]; 5];
        let more_filters = [[8, 3, 2]; 4];
        // Of each point: queries' and keys' parts, and weights' of scalars; of each of two channels, values' of scalars, and of directions.
        let ends = [[6, 2, 2], [6, 2, 2], [6, 2, 2], [2, 2, 6], [6, 2, 6]].repeat(2);
        // Vectors sent with their tangents channel by channel, and what distances do to them at each point.
        let vectors = [[2, 2, 3], [2, 2, 18], [6, 2, 6]].repeat(2);
        let later = [
            &maps[..],
            &more_filters,
            &distances,
            &differences,
            &directions,
            &ends,
            &vectors,
        ]
        .concat();
        // Own scalars; received, norms and two results; two maps of vectors along three axes.
        let update = [&[[14, 2, 2]; 4][..], &[[42, 2, 2]; 2]].concat();
        let start = [&[[2, 2, 2]][..], &update].concat();
        let carried = [&[[14, 2, 2]][..], &update].concat();
        let end = [[14, 2, 2]];
        let cross = [[14, 2, 2], [42, 2, 2]];

        let one = [&entry[..], &first, &start, &end].concat();
        assert_eq!(counted(1, Symmetry::Full), operations(&one));
        let two = [&one[..], &later, &carried].concat();
        assert_eq!(counted(2, Symmetry::Full), operations(&two));
        let rotations = [&two[..], &cross, &cross].concat();
        assert_eq!(counted(2, Symmetry::Rotations), operations(&rotations));
    }
}
