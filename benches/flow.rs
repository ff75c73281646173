//! The EGNN as the program runs it: a batch in pieces of 16 samples, each on one thread of the pool.

mod settings;

use std::hint::black_box;

use boltzflow_flow::parameters::gradients;
use boltzflow_flow::random::{Purpose, stream};
use boltzflow_flow::{
    Context, Divergence, Dual, Edges, Egnn, EgnnConfig, Initializer, MeanFreeGaussian, Noise,
    Points, Prior, Probes, Samples, Schedule, VectorField, by_coordinates,
};
use burn::module::Module;
use burn::tensor::{DType, Device, Tensor, TensorData};
use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use rayon::prelude::*;

/// Batches and points, as in `benches/peers`.
const SIZES: [(usize, usize); 3] = [(256, 4), (256, 13), (64, 22)];
const PIECE: usize = 16;
const DIMS: usize = 3;
const TIME: f64 = 0.5;

/// A field, and where it is evaluated.
struct Case {
    field: Egnn,
    pieces: Vec<Piece>,
}

/// Some samples of the batch.
struct Piece {
    x: Points,
    t: Tensor<1>,
    context: Context,
    probe: Probes,
}

impl Case {
    fn new((batch, points): (usize, usize), edges: Edges) -> Self {
        let device = Device::flex();
        let config = EgnnConfig {
            width: 64,
            layers: 3,
            node_features: 1,
            pair_features: 0,
            pair_kinds: 1,
            global_features: 0,
            channels: 1,
            edges,
            schedule: Schedule::default(),
        };
        let mut random = stream(1, Purpose::Parameters, 0);
        let mut make = Initializer {
            random: &mut random,
            device: &device,
            dtype: DType::F32,
        };
        let field = Egnn::new(&config, &mut make);
        let pieces = (0..batch).step_by(PIECE).map(|first| {
            let samples = Samples::consecutive(1, first as u64..(first + PIECE) as u64);
            let prior = MeanFreeGaussian { points, dims: DIMS };
            let positions = TensorData::new(prior.sample(&samples), [PIECE, points, DIMS]);
            let x = Tensor::from_data(positions, (&device, DType::F32));
            let one = Divergence::Hutchinson {
                probes: 1,
                noise: Noise::Rademacher,
            };
            Piece {
                t: Tensor::full([PIECE], TIME, (&device, DType::F32)),
                probe: one.probes(&x, &samples),
                context: Context::alike(points, samples, &device, DType::F32),
                x,
            }
        });
        Self {
            pieces: pieces.collect(),
            field,
        }
    }

    /// Does something with every piece.
    fn each<T: Send>(&self, work: impl Fn(&Piece) -> T + Sync + Send) -> Vec<T> {
        self.pieces.par_iter().map(work).collect()
    }

    fn divergence(&self, probes: fn(&Piece) -> &Probes) {
        black_box(
            self.each(|piece| probes(piece).evaluate(&self.field, TIME, &piece.x, &piece.context)),
        );
    }
}

impl Piece {
    fn velocity(&self, field: &Egnn) -> Points {
        let x = Dual::constant(self.x.clone());
        field.velocity(self.t.clone(), x, &self.context).value
    }

    /// The squared error against some target: its gradient in all weights.
    fn gradient(&self, field: &Egnn) -> Vec<f32> {
        let field = field.clone().train();
        let error = (self.velocity(&field) - self.x.clone()).square().sum();
        gradients(&field, &error.backward())
    }
}

fn egnn(criterion: &mut Criterion) {
    for (size, edges) in SIZES
        .into_iter()
        .flat_map(|size| [(size, Edges::Updated), (size, Edges::Initial)])
    {
        let case = Case::new(size, edges);
        let (batch, points) = size;
        let name = format!("egnn, {batch} of {points} points, {edges:?} edges");
        let mut group = criterion.benchmark_group(name);
        group.throughput(Throughput::Elements(batch as u64));
        group.bench_function("velocity", |bench| {
            bench.iter(|| case.each(|piece| piece.velocity(&case.field)));
        });
        group.bench_function("training gradients", |bench| {
            bench.iter(|| case.each(|piece| piece.gradient(&case.field)));
        });
        group.bench_function("hutchinson", |bench| {
            bench.iter(|| case.divergence(|piece| &piece.probe));
        });
        group.bench_function("exact divergence", |bench| {
            bench.iter(|| case.divergence(|_| &Probes::Coordinates));
        });
        if points == 4 {
            group.bench_function("exact divergence, a tangent for each coordinate", |bench| {
                bench.iter(|| {
                    case.each(|piece| {
                        by_coordinates(&case.field, piece.t.clone(), &piece.x, &piece.context)
                    })
                });
            });
        }
        group.finish();
    }
}

criterion_group! { name = benches; config = settings::short(); targets = egnn }
criterion_main!(benches);
