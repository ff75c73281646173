//! The EGNN on one thread: what one worker does with one chunk of 16 samples of 13 points.

mod settings;

use boltzflow_flow::parameters::gradients;
use boltzflow_flow::random::{Purpose, stream};
use boltzflow_flow::{
    Context, Divergence, Dual, Edges, Egnn, EgnnConfig, Initializer, MeanFreeGaussian, Noise,
    Points, Prior, Probes, Samples, Schedule, VectorField, by_coordinates,
};
use burn::module::Module;
use burn::tensor::{DType, Device, Tensor, TensorData};
use criterion::{Criterion, Throughput, criterion_group, criterion_main};

const BATCH: usize = 16;
const POINTS: usize = 13;
const DIMS: usize = 3;
const TIME: f64 = 0.5;

/// A field, and where it is evaluated.
struct Case {
    field: Egnn,
    x: Points,
    t: Tensor<1>,
    context: Context,
}

impl Case {
    fn new(layers: usize, edges: Edges) -> Self {
        let device = Device::flex();
        let config = EgnnConfig {
            width: 64,
            layers,
            node_features: 1,
            pair_features: 0,
            global_features: 0,
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
        let samples = Samples::consecutive(1, 0..BATCH as u64);
        let prior = MeanFreeGaussian {
            points: POINTS,
            dims: DIMS,
        };
        let positions = TensorData::new(prior.sample(&samples), [BATCH, POINTS, DIMS]);
        let x = Tensor::from_data(positions, (&device, DType::F32));
        Self {
            field,
            t: Tensor::full([BATCH], TIME, (&device, DType::F32)),
            x,
            context: Context::alike(POINTS, samples, &device, DType::F32),
        }
    }

    fn velocity(&self, field: &Egnn) -> Points {
        let x = Dual::constant(self.x.clone());
        field.velocity(self.t.clone(), x, &self.context).value
    }

    /// One piece of a training step: the squared error against some target, and its gradient in all weights.
    fn piece(&self) -> Vec<f32> {
        let field = self.field.clone().train();
        let error = (self.velocity(&field) - self.x.clone()).square().sum();
        gradients(&field, &error.backward())
    }
}

fn egnn(criterion: &mut Criterion) {
    for (layers, edges) in [
        (2, Edges::Updated),
        (3, Edges::Updated),
        (3, Edges::Initial),
    ] {
        let case = Case::new(layers, edges);
        let name = format!("egnn, {layers} layers, {edges:?} edges");
        let mut group = criterion.benchmark_group(name);
        group.throughput(Throughput::Elements(BATCH as u64));
        group.bench_function("velocity", |bench| {
            bench.iter(|| case.velocity(&case.field));
        });
        group.bench_function("training piece", |bench| bench.iter(|| case.piece()));
        let one = Divergence::Hutchinson {
            probes: 1,
            noise: Noise::Rademacher,
        };
        let probe = one.probes(&case.x, &case.context.samples);
        for (name, probes) in [
            ("hutchinson", &probe),
            ("exact divergence", &Probes::Coordinates),
        ] {
            group.bench_function(name, |bench| {
                bench.iter(|| probes.evaluate(&case.field, TIME, &case.x, &case.context));
            });
        }
        group.bench_function("exact divergence, a tangent for each coordinate", |bench| {
            bench.iter(|| by_coordinates(&case.field, case.t.clone(), &case.x, &case.context));
        });
        group.finish();
    }
}

criterion_group! { name = benches; config = settings::short(); targets = egnn }
criterion_main!(benches);
