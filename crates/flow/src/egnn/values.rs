//! The velocity of an [`Egnn`] on the CPU where nothing asks for derivatives, from slices: no operation of the back end allocates and fills memory
//! for a bias or a sum, and of points that are alike before the first layer one goes through the maps of nodes.

use burn::tensor::{DType, Tensor, TensorData};

use super::edge::{Inputs, Messages, Sizes, values};
use super::maps::{Given, Map, Maps, Ways};
use super::{Edges, Egnn};
use crate::bijection::Points;
use crate::context::Context;
use crate::flex::is_ours;
use crate::simd::{Real, activated};

/// Whether these points lie where slices do, and nothing asks for gradients.
pub(super) fn is_taken(field: &Egnn, x: &Points) -> bool {
    let parameter = field.layers[0].distance.val();
    is_ours(x) && !x.is_tracked() && !parameter.is_tracked()
}

/// The sums of all layers' displacements, `x⁽ᴸ⁾ − x⁽⁰⁾`.
pub(super) fn shift(field: &Egnn, t: Tensor<1>, x: Points, context: &Context) -> Points {
    match x.dtype() {
        DType::F32 => of_type::<f32>(field, t, x, context),
        _ => of_type::<f64>(field, t, x, context),
    }
}

fn of_type<T: Real>(field: &Egnn, t: Tensor<1>, x: Points, context: &Context) -> Points {
    let [batch, points, dims] = x.dims();
    let like = (&x.device(), x.dtype());
    let Given {
        x: start,
        h,
        width,
        standard,
    } = Given::<T>::of(field, t, x, context);
    let standard = standard.unwrap_or_default();
    let mut state = State {
        batch,
        points,
        width,
        x: start.clone(),
        features: Features::of(h, points, width),
        messages: Vec::new(),
    };
    let (last, before) = field.layers.split_last().expect("a network has layers");
    for layer in before {
        let maps = Maps::of(layer, context, Ways::Forward);
        let received = state.step(&maps, &standard, dims, Messages::Wanted);
        state.gather(received, field.edges);
        state.update(&maps);
    }
    let maps = Maps::of(last, context, Ways::Forward);
    state.step(&maps, &standard, dims, Messages::Unwanted);
    let moved = state.x.iter().zip(&start).map(|(end, start)| *end - *start);
    let moved: Vec<T> = moved.collect();
    Tensor::from_data(TensorData::new(moved, [batch, points, dims]), like)
}

/// Hidden features of points, `[nodes, width]`, or those of any point of each sample, `[batch, width]`, where all of them are alike.
enum Features<T> {
    OfPoints(Vec<T>),
    OfSamples(Vec<T>),
}

impl<T: Real> Features<T> {
    fn of(h: Vec<T>, points: usize, width: usize) -> Self {
        let mut samples = h.chunks_exact(points * width);
        // A single row may go another way through a map, and a sample's bits would depend on its batch.
        let are_some = samples.len() > 1;
        if are_some && samples.all(|rows| rows.chunks_exact(width).all(|row| row == &rows[..width]))
        {
            let samples = h.chunks_exact(points * width);
            let rows: Vec<&[T]> = samples.map(|rows| &rows[..width]).collect();
            return Self::OfSamples(rows.concat());
        }
        Self::OfPoints(h)
    }

    /// `h W + b` of every point.
    fn through(&self, map: &Map<T>, points: usize, width: usize) -> Vec<T> {
        match self {
            Self::OfPoints(h) => map.forward(h, width),
            Self::OfSamples(h) => of_points(&map.forward(h, width), points, width),
        }
    }
}

/// The row of each sample for every point of it.
fn of_points<T: Real>(rows: &[T], points: usize, width: usize) -> Vec<T> {
    let mut all = Vec::with_capacity(rows.len() * points);
    for row in rows.chunks_exact(width) {
        for _ in 0..points {
            all.extend_from_slice(row);
        }
    }
    all
}

/// What goes from layer to layer.
struct State<T> {
    batch: usize,
    points: usize,
    width: usize,
    /// `[batch, N, dims]`.
    x: Vec<T>,
    features: Features<T>,
    /// What has been received since the last node update, `[batch, N, width]`.
    messages: Vec<T>,
}

impl<T: Real> State<T> {
    /// Moves points, and answers what they have received.
    fn step(
        &mut self,
        maps: &Maps<T>,
        standard: &[Vec<T>; 2],
        dims: usize,
        messages: Messages,
    ) -> Vec<T> {
        let through = |map| self.features.through(map, self.points, self.width);
        let ends = [through(&maps.receiver), through(&maps.sender)];
        let inputs = Inputs {
            sizes: Sizes {
                batch: self.batch,
                points: self.points,
                dims,
                width: self.width,
                channels: maps.channels,
                directions: 0,
                messages,
            },
            x: &self.x,
            ends: ends.each_ref().map(Vec::as_slice),
            pairs: &maps.pairs,
            standard: standard.each_ref().map(Vec::as_slice),
            moved: &[],
            moved_ends: [&[]; 2],
            weights: maps.edges(),
        };
        let mut found = values(&inputs);
        let pulled = found.split_off(inputs.sizes.received());
        maps.spread(self.points, &pulled, &mut self.x, dims);
        found
    }

    /// Those that the next node update is given; see [`super::gathered`].
    fn gather(&mut self, received: Vec<T>, edges: Edges) {
        if edges == Edges::Updated || self.messages.is_empty() {
            self.messages = received;
        } else {
            super::edge::add(&mut self.messages, &received);
        }
    }

    /// `h ← h + W φ(W_h h + W_m M/N)`, where the layer has such an update.
    fn update(&mut self, maps: &Maps<T>) {
        let Some(update) = &maps.update else { return };
        let (points, width) = (self.points, self.width);
        let mut hidden = self.features.through(&update.node, points, width);
        let mean = T::of(1.0 / points as f64);
        update.message.add(mean, &self.messages, &mut hidden, width);
        activated(&mut hidden);
        let mut h = match &mut self.features {
            Features::OfPoints(h) => std::mem::take(h),
            Features::OfSamples(h) => of_points(h, points, width),
        };
        update.out.add(T::of(1.0), &hidden, &mut h, width);
        self.features = Features::OfPoints(h);
    }
}

#[cfg(test)]
mod tests {
    use burn::tensor::Device;

    use super::super::trace::tests::{Case, PLAIN, assert_same_bits_alone, cases};
    use super::*;
    use crate::dual::Dual;
    use crate::testing::largest;
    use crate::{Samples, VectorField};

    /// How far velocities are from those of the composition, relative to the largest.
    fn off(case: Case, context: impl Fn(Context) -> Context, dtype: DType) -> f64 {
        let field = case.field(dtype);
        let (x, given) = case.given(dtype);
        let context = context(given);
        assert!(is_taken(&field, &x), "{case:?}");
        let t = || Tensor::full([case.batch], 0.4, (&Device::flex(), dtype));
        let found = field.velocity(t(), Dual::constant(x.clone()), &context);
        let expected = field.composed(t(), Dual::constant(x), &context).value;
        largest(found.value - expected.clone()) / largest(expected).max(1e-3)
    }

    #[test]
    fn velocities_are_those_of_the_composition() {
        let deep = [Edges::Updated, Edges::Initial].map(|edges| Case {
            layers: 5,
            edges,
            ..PLAIN
        });
        let many = [(1, 8), (2, 20), (40, 8)].map(|(points, width)| Case {
            points,
            width,
            is_rich: points > 2,
            ..PLAIN
        });
        for case in cases().chain(deep).chain(many) {
            for (dtype, tolerance) in [(DType::F64, 1e-12), (DType::F32, 1e-5)] {
                let found = off(case, |context| context, dtype);
                assert!(found < tolerance, "{case:?}, {dtype:?}: {found:e}");
                // Points that nothing tells apart, at times of their own.
                let alike = |context: Context| {
                    let nodes = context.nodes.clone().narrow(1, 0, 1);
                    Context {
                        nodes: nodes.repeat_dim(1, case.points),
                        ..context
                    }
                };
                let found = off(case, alike, dtype);
                assert!(found < tolerance, "{case:?}, {dtype:?}, alike: {found:e}");
            }
        }
    }

    #[test]
    fn a_sample_has_the_same_bits_in_any_batch() {
        for (points, width) in [(2, 64), (4, 64), (13, 64), (22, 20)] {
            let case = Case {
                points,
                batch: 16,
                width,
                ..PLAIN
            };
            let field = case.field(DType::F32);
            let (x, given) = case.given(DType::F32);
            let like = (&Device::flex(), DType::F32);
            let alike = Context::alike(points, Samples::consecutive(0, 0..16), like.0, like.1);
            let alike = Context {
                nodes: Tensor::cat(vec![alike.nodes.clone(), alike.nodes], 2),
                kinds: given.kinds.clone(),
                samples: given.samples.clone(),
                ..alike
            };
            for context in [given, alike] {
                let velocity = |x: Points| {
                    let t = Tensor::full([x.dims()[0]], 0.4, like);
                    let found = field.velocity(t, Dual::constant(x), &context);
                    found.value.flatten(1, 2)
                };
                assert_same_bits_alone(&x, velocity);
            }
        }
    }
}
