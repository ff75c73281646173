//! How much arithmetic the exact divergence of an [`Egnn`] takes.

use super::{Edges, Egnn};

/// Floating-point operations of the products in the way that the CPU takes: [`super::trace`] where it knows the network, else
/// [`super::divergence`].
pub(super) fn of_divergence(field: &Egnn, points: usize, dims: usize) -> f64 {
    if super::trace::is_known(field) {
        of_trace(field, points, dims)
    } else {
        of_composition(field, points, dims)
    }
}

/// Those of [`super::trace::exact`] for one sample, two a multiply-add.
///
/// For `N` points in `D` dimensions, hidden layers `W` wide, `C` displacements a layer, `R = N + D` rows that stand for a point's tangents and
/// `e = 2 N² W²` for a map of all edges, the sum is over
///
/// - the time features: `2 T W`; every node update: `6 N W²`;
/// - every layer: `4 N W²` for the ends and `2 e + 2 C N² W` for messages and heads; where displacements are spread `2 C D N²` more;
/// - every layer whose edges see features that do not depend on positions: as much again for messages and heads along `d²`, `2 R N² W` where its
///   messages meet their cotangents, and where displacements are spread `2 C D² N³`;
/// - a layer between: `2 C e` for the slopes of its heads, `4 C R N² W` where these meet tangents, `8 R N W²` for the tangents that come in,
///   `2 R N² W²` for the cotangents of its messages, `2 R N W²` for those of features, and where displacements are spread `2 C D² N³`;
/// - the last layer: `3 e + 2 D N W²`, and `4 R N W²` through the node update before it.
fn of_trace(field: &Egnn, points: usize, dims: usize) -> f64 {
    let times = field.embedding.global_features() as f64;
    let width = field.embedding.width() as f64;
    let (n, d) = (points as f64, dims as f64);
    let (rows, square) = (n + d, width * width);
    let (edges, nodes) = (2.0 * n * n * square, 2.0 * n * square);
    let still = super::trace::still_layers(field);
    let last = field.layers.len() - 1;
    let mut total = 2.0 * times * width;
    for (index, layer) in field.layers.iter().enumerate() {
        let channels = layer.weight.weight.dims()[1] as f64;
        let is_spread = f64::from(u8::from(layer.spread.is_some()));
        let heads = 2.0 * edges + 2.0 * channels * n * n * width;
        let spread_tangents = is_spread * 2.0 * channels * d * d * n.powi(3);
        total += 2.0 * nodes + heads + is_spread * 2.0 * channels * d * n * n;
        if layer.update.is_some() {
            total += 3.0 * nodes;
        }
        total += if index == last {
            let through_update = if last > 0 { 2.0 * rows * nodes } else { 0.0 };
            3.0 * edges + d * nodes + through_update
        } else if index < still {
            // Where a layer between takes them, the first layer's messages are met as the tangents of features.
            let met = if still < last {
                0.0
            } else {
                2.0 * rows * n * n * width
            };
            heads + met + spread_tangents
        } else {
            2.0 * channels * edges
                + 4.0 * channels * rows * n * n * width
                + 5.0 * rows * nodes
                + rows * edges
                + spread_tangents
        };
    }
    total
}

/// Those of [`super::divergence::exact`] for one sample.
///
/// For `N` points in `D` dimensions, hidden layers `W` wide, `C` displacements a layer and `K = D N` directions, a map of node features with
/// `k` tangents takes `n(k) = 2 (1 + k) N W²`, and the edge networks of a layer with `k` tangents take `e(k) = (1 + k) N² (4 W² + 2 C W)`.
/// The sum is over
///
/// - the time features: `2 T W`;
/// - every layer whose edges see features that do not depend on positions: `2 n(0) + e(1) + 2 D N³ (W + (2 + C) D)`, and where its
///   displacements are spread `2 C N³ (1 + D²) + 4 C D N²` more;
/// - every other layer but the last: `2 n(K) + e(K)`, and where its displacements are spread `2 C D N² (2 + 3 K)` more;
/// - every node update: `n(k) + 2 n(K)`, with `k = 0` in the first and `K` in others;
/// - the last layer: `2 n(0) + e(D)`, and `2 D (N + N²) W²` where a node update came before it.
///
/// The maps of node and pair features before the first message are the same for all samples of a molecule, and not counted.
fn of_composition(field: &Egnn, points: usize, dims: usize) -> f64 {
    let times = field.embedding.global_features() as f64;
    let width = field.embedding.width() as f64;
    let (n, d) = (points as f64, dims as f64);
    let directions = n * d;
    let nodes = |tangents: f64| 2.0 * (1.0 + tangents) * n * width * width;
    let edges = |tangents: f64, channels: f64| {
        (1.0 + tangents) * n * n * (4.0 * width * width + 2.0 * channels * width)
    };
    let (_, before) = field.layers.split_last().expect("a network has layers");
    let mut total = 2.0 * times * width;
    // Tangents of node features.
    let mut carried = 0.0;
    for (index, layer) in before.iter().enumerate() {
        let channels = layer.weight.weight.dims()[1] as f64;
        let is_spread = f64::from(u8::from(layer.spread.is_some()));
        let pull = is_spread * 2.0 * channels * d * n * n;
        total += if index == 0 || field.edges == Edges::Initial {
            2.0 * nodes(0.0)
                + edges(1.0, channels)
                + 2.0 * d * n.powi(3) * (width + (2.0 + channels) * d)
                + is_spread * 2.0 * channels * n.powi(3) * (1.0 + d * d)
                + 2.0 * pull
        } else {
            2.0 * nodes(carried) + edges(directions, channels) + pull * (2.0 + 3.0 * directions)
        };
        if layer.update.is_some() {
            total += nodes(carried) + 2.0 * nodes(directions);
            carried = directions;
        }
    }
    if carried > 0.0 {
        total += 2.0 * d * (n + n * n) * width * width;
    }
    total + 2.0 * nodes(0.0) + edges(d, 1.0)
}

#[cfg(test)]
mod tests {
    use burn::tensor::{DType, Device};

    use super::super::EgnnConfig;
    use super::*;
    use crate::random::{Purpose, stream};
    use crate::testing::operations;
    use crate::{Initializer, Schedule};

    /// Of width 2.
    fn network(layers: usize, channels: usize, edges: Edges) -> Egnn {
        let mut make = Initializer {
            random: &mut stream(1, Purpose::Parameters, 0),
            device: &Device::flex(),
            dtype: DType::F64,
        };
        let config = EgnnConfig {
            width: 2,
            layers,
            node_features: 3,
            pair_features: 4,
            global_features: 0,
            pair_kinds: 3,
            channels,
            edges,
            schedule: Schedule { rate: 1.0 },
        };
        Egnn::new(&config, &mut make)
    }

    /// For two points on a line: two directions, four edges.
    fn counted(layers: usize, channels: usize, edges: Edges) -> f64 {
        of_composition(&network(layers, channels, edges), 2, 1)
    }

    #[test]
    fn the_count_of_the_way_through_slices_is_that_of_every_product_by_hand() {
        let time = [[1, 5, 2]];
        // Receiver and sender; message, coordinate head and weight of four edges; three maps of a node update.
        let forward = [[2, 2, 2], [2, 2, 2], [4, 2, 2], [4, 2, 2], [4, 2, 1]];
        let update = [[2, 2, 2]; 3];
        // Messages and heads along the square, which three rows of cotangents of each point meet.
        let slopes = [[4, 2, 2], [4, 2, 2], [4, 2, 1]];
        let met = [[2, 2, 3], [2, 2, 3]];
        // The head's slope through both maps, then senders and the receivers' own axis.
        let last = [[4, 2, 2], [4, 2, 2], [4, 2, 2], [2, 2, 2]];
        // Three rows of each of two points, through two maps.
        let through_update = [[6, 2, 2]; 2];
        let one = [&time[..], &forward, &last].concat();
        let still = [&forward[..], &slopes].concat();
        let ending = [&update[..], &forward, &last, &through_update].concat();
        let two = [&time[..], &still, &met, &ending].concat();
        let initial = [&time[..], &still, &met, &still, &met, &ending].concat();
        // Tangents of features by four maps, cotangents of them by one; the head's slopes, which meet ends of both kinds; messages.
        let tangents = [[6, 2, 2]; 5];
        let heads = [
            [4, 2, 2],
            [4, 2, 2],
            [2, 2, 3],
            [2, 2, 3],
            [2, 2, 3],
            [2, 2, 3],
        ];
        let between = [&tangents[..], &heads, &[[12, 2, 2]]].concat();
        let updated = [&time[..], &still, &update, &forward, &between, &ending].concat();
        let count = |layers, edges| of_divergence(&network(layers, 1, edges), 2, 1);
        for edges in [Edges::Initial, Edges::Updated] {
            assert_eq!(count(1, edges), operations(&one));
            assert_eq!(count(2, edges), operations(&two));
        }
        assert_eq!(count(3, Edges::Initial), operations(&initial));
        assert_eq!(count(3, Edges::Updated), operations(&updated));

        // Two displacements: two weights of each edge, and slopes of both; points and their tangents along two directions are spread.
        let forward = [[2, 2, 2], [2, 2, 2], [4, 2, 2], [4, 2, 2], [4, 2, 2]];
        let slopes = [[4, 2, 2], [4, 2, 2], [4, 2, 2]];
        let spread = [[2, 4, 1], [2, 4, 2]];
        let still = [&forward[..], &slopes, &spread].concat();
        let between = [&tangents[..], &heads, &heads, &[[12, 2, 2]], &spread].concat();
        let updated = [&time[..], &still, &update, &forward, &between, &ending].concat();
        let found = of_divergence(&network(3, 2, Edges::Updated), 2, 1);
        assert_eq!(found, operations(&updated));
    }

    #[test]
    fn deep_networks_whose_edges_see_updates_are_counted_as_they_are_computed() {
        let field = network(4, 1, Edges::Updated);
        assert_eq!(of_divergence(&field, 2, 1), of_composition(&field, 2, 1));
    }

    #[test]
    fn the_count_is_that_of_every_product_by_hand() {
        let time = [[1, 5, 2]];
        // Receiver and sender; message, coordinate head and weight of four edges with one tangent.
        let ends = [[2, 2, 2], [2, 2, 2]];
        let heads = [[8, 2, 2], [8, 2, 2], [8, 2, 1]];
        // For each of two receivers: stretches, messages and pulls; then the weighted sum of the other points.
        let slopes = [[2, 1, 2], [2, 2, 2], [1, 2, 2]];
        let jacobian = [&slopes[..], &slopes, &[[2, 2, 2]]].concat();
        let still = [&ends[..], &heads, &jacobian].concat();
        // Own features and messages of two points, these with two tangents; the result's as well.
        let first_update = [[2, 2, 2], [6, 2, 2], [6, 2, 2]];
        let later_update = [[6, 2, 2], [6, 2, 2], [6, 2, 2]];
        let moving = [[6, 2, 2], [6, 2, 2], [12, 2, 2], [12, 2, 2], [12, 2, 1]];
        // Tangents of the ends: of each point itself, and of all four edges.
        let tangents = [[2, 2, 2], [4, 2, 2]];
        let alone = [&ends[..], &heads].concat();
        let last = [&alone[..], &tangents].concat();

        let one = operations(&[&time[..], &alone].concat());
        let two = operations(&[&time[..], &still, &first_update, &last].concat());
        let initial = operations(&[&time[..], &still, &still, &first_update, &last].concat());
        let three = |still: &[[usize; 3]], moving: &[[usize; 3]]| {
            let parts = [
                &time[..],
                still,
                &first_update,
                moving,
                &later_update,
                &last,
            ];
            operations(&parts.concat())
        };
        let updated = three(&still, &moving);
        for edges in [Edges::Initial, Edges::Updated] {
            assert_eq!(counted(1, 1, edges), one);
            assert_eq!(counted(2, 1, edges), two);
        }
        assert_eq!(counted(3, 1, Edges::Initial), initial);
        assert_eq!(counted(3, 1, Edges::Updated), updated);
        assert_eq!([one, two, initial, updated], [212.0, 644.0, 916.0, 1124.0]);

        // Two displacements: two weights of each edge; pulls of each point and what moves of both, spread as values and along two
        // directions.
        let heads = [[8, 2, 2], [8, 2, 2], [8, 2, 2]];
        let slopes = [[2, 1, 2], [2, 2, 2], [2, 2, 2]];
        let spread = [[2, 4, 2], [2, 2, 2], [2, 4, 2], [2, 4, 1]];
        let pulls = [[2, 2, 1], [2, 2, 1]];
        let still = [&ends[..], &heads, &slopes, &slopes, &pulls, &spread].concat();
        // With features that have moved: pulls of each value, and for each direction of the weights and of the differences; both are
        // spread as one.
        let heads = [[12, 2, 2], [12, 2, 2], [12, 2, 2]];
        let pulls = [pulls.repeat(5), [[2, 4, 1]].repeat(3)].concat();
        let moving = [&[[6, 2, 2], [6, 2, 2]], &heads[..], &pulls].concat();
        let two = operations(&[&time[..], &still, &first_update, &last].concat());
        for edges in [Edges::Initial, Edges::Updated] {
            assert_eq!(counted(2, 2, edges), two);
        }
        assert_eq!(counted(3, 2, Edges::Updated), three(&still, &moving));
    }
}
