//! Conditional flow matching.
//!
//! Latents `x₀` and data `x₁` are joined by straight lines, `x_t = (1 − α) x₀ + α x₁` with the schedule `α(t)`, and the field learns
//! their direction: `min E |S⁻¹ (v(t, x_t)/α' − (x₁ − x₀))|²` (Lipman et al. 2023; Tong et al. 2024). `S` gives noise the covariance of the
//! data; any such metric has the same minimum, and with this one every degree of freedom of the noise counts alike. In plain coordinates the
//! narrow ones (a carbon among its hydrogens) hardly count, but the density needs them as well as any other.

use boltzflow_flow::parameters::gradients;
use boltzflow_flow::{Dual, Samples, VectorField, host};
use boltzflow_molecule::{Conformers, Reflections};
use burn::tensor::{DType, Tensor, TensorData};
use rand::RngExt;
use rand_chacha::ChaCha8Rng;
use rayon::prelude::*;

use super::draws::Draws;
use super::pool::Pool;
use super::reflow::Pairs;
use super::rounds::{Round, Rounds};
use super::{Losses, Split, piece};
use crate::config::Pairing;
use crate::model::{CartesianFlow, Model};
use crate::pairing::{Copies, Symmetry};
use crate::temperatures::TrainingData;

/// What pairs are drawn from.
pub struct Matching<'a> {
    data: Split<Ends>,
    pairing: Pairing,
    symmetry: Symmetry,
    reflections: Reflections,
    /// Data units in one latent unit.
    scale: f64,
    /// What is learnt from samples of its own, if anything.
    rounds: Option<Rounds<'a>>,
}

/// Where lines end.
struct Ends {
    /// In latent units.
    conformers: Conformers,
    /// Where each begins, where that is known.
    noise: Option<Conformers>,
    /// How they are drawn, where not one as often as another.
    draws: Option<Draws>,
}

/// Lines, without what is not known of their beginnings.
struct Lines {
    ends: Vec<f64>,
    noise: Option<Vec<f64>>,
}

impl Ends {
    fn draw(&self, count: usize, random: &mut ChaCha8Rng) -> Lines {
        let all = self.conformers.len();
        let one = |_| match &self.draws {
            Some(draws) => draws.one(random),
            None => random.random_range(0..all),
        };
        let chosen: Vec<usize> = (0..count).map(one).collect();
        let of = |conformers: &Conformers| conformers.select(&chosen).into_positions();
        Lines {
            ends: of(&self.conformers),
            noise: self.noise.as_ref().map(of),
        }
    }
}

impl<'a> Matching<'a> {
    /// `data` in the model's data units, any centroid; one unit of a latent is `scale` of them.
    pub fn new(
        data: &TrainingData,
        scale: f64,
        held_out: usize,
        pairing: Pairing,
        (symmetry, reflections): (Symmetry, Reflections),
    ) -> Self {
        let mut data = data.clone();
        data.conformers.center();
        let positions = data.conformers.positions_mut();
        positions.iter_mut().for_each(|x| *x /= scale);
        let ends = |rows: &[usize]| {
            let part = data.select(rows);
            Ends {
                draws: Draws::unless_even(&part.weights),
                conformers: part.conformers,
                noise: None,
            }
        };
        Self {
            data: Split::new(data.len(), held_out, ends),
            pairing,
            symmetry,
            reflections,
            scale,
            rounds: None,
        }
    }

    /// Of ends of a flow's own paths, of configurations of the model's shape.
    pub fn reflow(pairs: Pairs, model: &Model, held_out: impl Fn(usize) -> usize) -> Self {
        let (points, dims) = (model.points(), model.dims());
        let [noise, ends] = [pairs.noise, pairs.ends].map(|all| Conformers::new(points, dims, all));
        let part = |rows: &[usize]| Ends {
            conformers: ends.select(rows),
            noise: Some(noise.select(rows)),
            draws: None,
        };
        Self {
            data: Split::new(ends.len(), held_out(ends.len()), part),
            pairing: Pairing::Independent,
            symmetry: Symmetry::Any,
            reflections: Reflections::Excluded,
            scale: 1.0,
            rounds: None,
        }
    }

    /// The same with samples of the flow's own.
    pub fn with_rounds(self, rounds: Option<Rounds<'a>>) -> Self {
        Self { rounds, ..self }
    }

    /// Whether there are no configurations but the flow's own.
    fn is_alone(&self) -> bool {
        self.data.train.conformers.is_empty()
    }

    /// The round before a step, if there is one.
    pub fn round(
        &self,
        step: u64,
        averaged: impl FnOnce() -> Model,
        pool: &mut Pool,
    ) -> Option<Round> {
        let rounds = self.rounds.as_ref()?;
        rounds.before(step, averaged, self.is_alone(), pool)
    }

    /// Ends of lines to learn from.
    fn drawn(&self, count: usize, pool: &Pool, random: &mut ChaCha8Rng) -> Option<Lines> {
        let Some(rounds) = &self.rounds else {
            return Some(self.data.train.draw(count, random));
        };
        let own = rounds.count(count, self.is_alone(), pool);
        if self.is_alone() && own == 0 {
            return None;
        }
        let chosen = rounds.chosen(own, pool, random);
        let mut ends: Vec<f64> = chosen.into_iter().map(|x| x / self.scale).collect();
        ends.extend(self.data.train.draw(count - own, random).ends);
        Some(Lines { ends, noise: None })
    }

    /// Configurations for training and held out.
    pub fn counts(&self) -> [usize; 2] {
        let Split { train, held_out } = &self.data;
        [train.conformers.len(), held_out.conformers.len()]
    }

    /// The loss of new pairs, with its gradient.
    pub fn losses(
        &self,
        (model, flow): (&Model, &CartesianFlow),
        count: usize,
        random: &mut ChaCha8Rng,
        pool: &Pool,
    ) -> Losses {
        let size = model.points() * model.dims();
        let Some(lines) = self.drawn(count, pool, random) else {
            return Losses::nothing();
        };
        let batch = self.pairs((model, flow), lines, count, random);
        let pieces = batch.pieces(model).into_par_iter().map(|piece| {
            let field = flow.trainable_field();
            let loss = piece.error(&field, (model, flow));
            let gradients = gradients(&field, &loss.backward());
            (host(loss)[0], gradients)
        });
        Losses {
            pieces: pieces.collect(),
            count: (count * size) as f64,
        }
    }

    /// The loss of held-out pairs: the sum, and of how many coordinates.
    pub fn held_out(
        &self,
        (model, flow): (&Model, &CartesianFlow),
        count: usize,
        random: &mut ChaCha8Rng,
    ) -> (f64, f64) {
        let size = model.points() * model.dims();
        let lines = self.data.held_out.draw(count, random);
        let batch = self.pairs((model, flow), lines, count, random);
        let errors: Vec<f64> = batch
            .pieces(model)
            .into_par_iter()
            .map(|piece| host(piece.error(&flow.continuous().field, (model, flow)))[0])
            .collect();
        (errors.iter().sum::<f64>(), (count * size) as f64)
    }

    /// Pairs of noise and where lines end, and times stratified over (0, 1).
    fn pairs(
        &self,
        (model, flow): (&Model, &CartesianFlow),
        Lines { ends, noise }: Lines,
        count: usize,
        random: &mut ChaCha8Rng,
    ) -> Batch {
        let noise_seed: u64 = random.random();
        let offset: f64 = random.random();
        let times = times(count, piece(model.points()), offset);
        if let Some(noise) = noise {
            return Batch {
                noise,
                data: ends,
                times,
            };
        }
        let noise = flow
            .noise(&Samples::consecutive(noise_seed, 0..count as u64))
            .expect("noise has the model's shape");
        let copies = Copies {
            points: model.points(),
            dims: model.dims(),
            symmetry: &self.symmetry,
            reflections: self.reflections,
        };
        let data = match self.pairing {
            Pairing::Independent | Pairing::Reflow { .. } => ends,
            Pairing::Aligned => copies.aligned(&noise, &ends),
            Pairing::OptimalTransport => copies.transported(&noise, &ends),
        };
        Batch { noise, data, times }
    }
}

/// The times `(k + offset)/count`, dealt so that every piece of `size` pairs sees all of (0, 1) as evenly as the batch does.
fn times(count: usize, size: usize, offset: f64) -> Vec<f64> {
    let pieces = count.div_ceil(size);
    // Where a pair would stand in its piece alone, pieces shifted against one another. The last piece may be short.
    let place = |index: &usize| {
        let (piece, row) = (index / size, index % size);
        let length = size.min(count - piece * size);
        (row as f64 + (piece as f64 + 0.5) / pieces as f64) / length as f64
    };
    let mut order: Vec<usize> = (0..count).collect();
    order.sort_by(|a, b| place(a).total_cmp(&place(b)));
    let mut times = vec![0.0; count];
    for (rank, index) in order.into_iter().enumerate() {
        times[index] = ((rank as f64 + offset) / count as f64).min(1.0);
    }
    times
}

/// Pairs of noise and data, with a time each.
struct Batch {
    noise: Vec<f64>,
    data: Vec<f64>,
    times: Vec<f64>,
}

/// Some pairs of a batch.
struct Piece<'a> {
    noise: &'a [f64],
    data: &'a [f64],
    times: &'a [f64],
}

impl Batch {
    fn pieces(&self, model: &Model) -> Vec<Piece<'_>> {
        let count = piece(model.points());
        let size = count * model.points() * model.dims();
        let pairs = self.noise.chunks(size).zip(self.data.chunks(size));
        let pairs = pairs.zip(self.times.chunks(count));
        pairs
            .map(|((noise, data), times)| Piece { noise, data, times })
            .collect()
    }
}

impl Piece<'_> {
    /// `Σ |S⁻¹ (v(t, x_t)/α'(t) − (x₁ − x₀))|²`.
    fn error(&self, field: &dyn VectorField, (model, flow): (&Model, &CartesianFlow)) -> Tensor<1> {
        let size = model.points() * model.dims();
        let along = |f: &dyn Fn(f64, f64, f64) -> f64| -> Vec<f64> {
            let pairs = self
                .noise
                .chunks(size)
                .zip(self.data.chunks(size))
                .zip(self.times);
            pairs
                .flat_map(|((a, b), &t)| a.iter().zip(b).map(move |(&a, &b)| f(a, b, t)))
                .collect()
        };
        let schedule = flow.schedule();
        let x = model.batch(&along(&|a, b, t| {
            let fraction = schedule.fraction(t);
            (1.0 - fraction) * a + fraction * b
        }));
        let target = model.batch(&along(&|a, b, _| b - a));
        let times: Vec<f32> = self.times.iter().map(|t| *t as f32).collect();
        let count = times.len();
        let t = Tensor::from_data(TensorData::new(times, [count]), (&x.device(), DType::F32));
        let velocity = field.velocity(t.clone(), Dual::constant(x), flow.context());
        let speed = schedule.speeds(t).reshape([-1, 1, 1]);
        let error = flow.in_noise_units(velocity.value / speed - target);
        error
            .expect("an error has the shape of the model")
            .square()
            .sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_cover_their_interval_evenly_at_any_batch_size() {
        for count in (1..200).chain([511, 1000]) {
            let mut found = times(count, 16, 0.25);
            found.sort_by(f64::total_cmp);
            for (rank, t) in found.into_iter().enumerate() {
                assert_eq!(t, (rank as f64 + 0.25) / count as f64);
            }
        }
    }

    #[test]
    fn every_piece_sees_all_of_time() {
        for (count, size) in (1..200)
            .chain([511, 1000])
            .flat_map(|count| [1, 8, 16, 32].map(|size| (count, size)))
        {
            let found = times(count, size, 0.5);
            // As even as pieces can be that take turns.
            let slack = count.div_ceil(size) as f64 / count as f64;
            for piece in found.chunks(size) {
                let length = piece.len() as f64;
                for (row, t) in piece.iter().enumerate() {
                    let even = (row as f64 + 0.5) / length;
                    assert!(
                        (t - even).abs() < 0.5 / length + slack,
                        "time {t} of {count} pairs stands where {even} should"
                    );
                }
            }
        }
    }

    #[test]
    fn pieces_are_smaller_the_more_points_there_are() {
        let sizes = [1, 4, 13, 22, 55, 1000].map(piece);
        assert_eq!(sizes, [32, 32, 16, 8, 1, 1]);
    }
}
