//! Vector fields and augmented couplings as the program runs them: a batch in pieces of 16 samples, each on one thread of the pool; and the
//! triangular families, a batch at once on one thread.

mod settings;

use std::hint::black_box;

use boltzflow_flow::parameters::gradients;
use boltzflow_flow::random::{Purpose, stream};
use boltzflow_flow::{
    AttentionConfig, AttentionSize, AugmentedConfig, AugmentedCoupling, Autoregressive, Bijection,
    Chain, Context, Coupling, Divergence, Dual, Edges, Egnn, EgnnConfig, Elementwise, FlowError,
    Given, Hollow, HollowConfig, Initializer, Kernel, KernelConfig, Layer, MeanFreeGaussian,
    NetworkConfig, Noise, Points, Prior, Probes, Profile, Reference, Samples, Schedule, Size,
    Space, Symmetry, Transformer, TransformerConfig, VectorField, by_coordinates,
};
use burn::module::Module;
use burn::tensor::{DType, Device, Tensor, TensorData};
use criterion::measurement::WallTime;
use criterion::{
    BenchmarkGroup, BenchmarkId, Criterion, Throughput, criterion_group, criterion_main,
};
use rand::RngExt;
use rayon::prelude::*;

/// Batches and points, as in `benches/peers`.
const SIZES: [(usize, usize); 3] = [(256, 4), (256, 13), (64, 22)];
const PIECE: usize = 16;
const DIMS: usize = 3;
const TIME: f64 = 0.5;

/// A field, and where it is evaluated.
struct Case<F> {
    field: F,
    pieces: Vec<Piece>,
}

/// Some samples of the batch.
struct Piece {
    x: Points,
    t: Tensor<1>,
    context: Context,
    probe: Probes,
}

fn network(edges: Edges, make: &mut Initializer) -> Egnn {
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
    Egnn::new(&config, make)
}

impl<F: VectorField + Sync> Case<F> {
    fn new((batch, points): (usize, usize), field: impl FnOnce(&mut Initializer) -> F) -> Self {
        let device = Device::flex();
        let mut random = stream(1, Purpose::Parameters, 0);
        let mut make = Initializer {
            random: &mut random,
            device: &device,
            dtype: DType::F32,
        };
        let field = field(&mut make);
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
    fn velocity(&self, field: &dyn VectorField) -> Points {
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
        let case = Case::new(size, |make| network(edges, make));
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

/// Every kind of field, 64 wide, on the same samples.
fn fields(criterion: &mut Criterion) {
    const SIZE: (usize, usize) = (64, 13);
    for edges in [Edges::Updated, Edges::Initial] {
        let case = Case::new(SIZE, |make| network(edges, make));
        timed(criterion, &format!("egnn, {edges:?} edges"), &case);
    }
    let perceptron = Profile::Perceptron {
        width: 64,
        layers: 2,
    };
    for (name, profile) in [("mixture", Profile::Mixture), ("perceptron", perceptron)] {
        let case = Case::new(SIZE, |make| kernel(profile, make));
        timed(criterion, &format!("kernel, {name}"), &case);
    }
    for layers in 1..=3 {
        let case = Case::new(SIZE, |make| hollow(layers, make));
        timed(criterion, &format!("hollow, {layers} layers"), &case);
    }
    for (layers, symmetry) in [
        (2, Symmetry::Full),
        (3, Symmetry::Full),
        (3, Symmetry::Rotations),
    ] {
        let case = Case::new(SIZE, |make| transformer(layers, symmetry, make));
        let name = format!("transformer, {layers} layers, {symmetry:?}");
        timed(criterion, &name, &case);
    }
}

fn kernel(profile: Profile, make: &mut Initializer) -> Kernel {
    let config = KernelConfig {
        profile,
        functions: 32,
        span: [0.0, 6.0],
        times: 8,
        pair_kinds: 1,
        global_features: 0,
        schedule: Schedule::default(),
    };
    Kernel::new(&config, make).expect("a size that is some")
}

fn hollow(layers: usize, make: &mut Initializer) -> Hollow {
    let config = HollowConfig {
        width: 64,
        layers,
        node_features: 1,
        pair_features: 0,
        global_features: 0,
        schedule: Schedule::default(),
    };
    Hollow::new(&config, make).expect("the width is positive")
}

fn transformer(layers: usize, symmetry: Symmetry, make: &mut Initializer) -> Transformer {
    let config = TransformerConfig {
        width: 64,
        heads: 8,
        layers,
        radial: 64,
        symmetry,
        node_features: 1,
        pair_features: 0,
        global_features: 0,
        schedule: Schedule::default(),
    };
    Transformer::new(&config, DIMS, make).expect("the heads share the width")
}

fn timed<F: VectorField + Sync>(criterion: &mut Criterion, name: &str, case: &Case<F>) {
    let mut group = criterion.benchmark_group(format!("fields, 64 of 13 points, {name}"));
    group.bench_function("velocity", |bench| {
        bench.iter(|| case.each(|piece| piece.velocity(&case.field)));
    });
    group.bench_function("exact divergence", |bench| {
        bench.iter(|| case.divergence(|_| &Probes::Coordinates));
    });
    group.finish();
}

/// Samples that a triangular family maps at once.
const BATCH: usize = 256;
const SPLINE: Elementwise = Elementwise::Spline { bins: 8 };
const BUMP: Elementwise = Elementwise::Bump { ramps: 8 };
const SIZE: Size = Size {
    width: 128,
    layers: 2,
};

/// Numbers that label a coordinate and a pair of coordinates, as of molecules.
const LABELS: [usize; 2] = [128, 20];

/// Labels without meaning, which perceptrons do not see.
fn labelled(points: usize, samples: Samples, device: &Device) -> Context {
    let waves = |count: usize| (0..count).map(|k| (k as f32).sin()).collect::<Vec<f32>>();
    let [node, pair] = LABELS;
    let nodes = TensorData::new(waves(points * node), [1, points, node]);
    let pairs = TensorData::new(waves(points * points * pair), [1, points, points, pair]);
    Context {
        nodes: Tensor::from_data(nodes, (device, DType::F32)),
        pairs: Some(Tensor::from_data(pairs, (device, DType::F32))),
        ..Context::alike(points, samples, device, DType::F32)
    }
}

/// A family with networks in single precision, and numbers in 0…1 to map in double, as flows of internal coordinates have them on the CPU.
struct Family<M> {
    map: M,
    x: Points,
    context: Context,
}

impl<M: Bijection + Module> Family<M> {
    fn new(
        space: Space,
        make: impl FnOnce(&mut Initializer) -> Result<M, FlowError>,
    ) -> Result<Self, FlowError> {
        Self::of(BATCH, space, make)
    }

    fn of(
        batch: usize,
        space: Space,
        make: impl FnOnce(&mut Initializer) -> Result<M, FlowError>,
    ) -> Result<Self, FlowError> {
        let device = Device::flex();
        let points = space.points();
        let mut random = stream(2, Purpose::Parameters, 0);
        let map = make(&mut Initializer {
            random: &mut random,
            device: &device,
            dtype: DType::F32,
        })?;
        let numbers: Vec<f64> = random.random_iter().take(batch * points).collect();
        let samples = Samples::consecutive(1, 0..batch as u64);
        Ok(Self {
            map,
            x: Tensor::from_data(
                TensorData::new(numbers, [batch, points, 1]),
                (&device, DType::F64),
            ),
            context: labelled(points, samples, &device),
        })
    }

    fn forward(&self) -> (Points, Tensor<1>) {
        let found = self.map.forward(self.x.clone(), &self.context);
        found.expect("the space is the map's")
    }

    fn inverse(&self, map: &M) -> (Points, Tensor<1>) {
        let found = map.inverse(self.x.clone(), &self.context);
        found.expect("the space is the map's")
    }

    /// A likelihood's gradient in all parameters.
    fn gradients(&self) -> Vec<f32> {
        let map = self.map.clone().train();
        let (x, log_det) = self.inverse(&map);
        gradients(&map, &(x.square().sum() - log_det.sum()).backward())
    }
}

fn couplings(criterion: &mut Criterion) {
    let space = Space::Product {
        lines: 0,
        intervals: 40,
        circles: 20,
    };
    for (name, map) in [("spline", SPLINE), ("bump", BUMP)] {
        let active = (0..space.points()).step_by(2).collect();
        let family = Family::new(space, |make| {
            Coupling::new(space, active, map, 0, SIZE, make)
        });
        let family = family.expect("the map is for intervals and circles");
        let name = format!("{name} coupling, 256 of 60 coordinates");
        let mut group = criterion.benchmark_group(name);
        group.bench_function("forward", |bench| {
            bench.iter(|| family.forward());
        });
        group.bench_function("inverse", |bench| {
            bench.iter(|| family.inverse(&family.map));
        });
        group.bench_function("inverse with gradients", |bench| {
            bench.iter(|| family.gradients());
        });
        group.finish();
    }
}

/// What attention costs beside a perceptron, for a chunk of samples on one thread.
fn networks(criterion: &mut Criterion) {
    let space = Space::Product {
        lines: 0,
        intervals: 40,
        circles: 20,
    };
    let attention = AttentionConfig {
        size: AttentionSize {
            width: 64,
            heads: 4,
            layers: 2,
        },
        node_features: LABELS[0],
        pair_features: LABELS[1],
    };
    let mut group = criterion.benchmark_group("networks of a spline coupling, 64 of 60");
    for (name, network) in [
        ("perceptron", NetworkConfig::Perceptron(SIZE)),
        ("attention", NetworkConfig::Attention(attention)),
    ] {
        let active = (0..space.points()).step_by(2).collect();
        let family = Family::of(64, space, |make| {
            Coupling::new(space, active, SPLINE, 0, network, make)
        });
        let family = family.expect("splines are for intervals and circles");
        group.bench_function(BenchmarkId::new(name, "inverse"), |bench| {
            bench.iter(|| family.inverse(&family.map));
        });
        group.bench_function(BenchmarkId::new(name, "with gradients"), |bench| {
            bench.iter(|| family.gradients());
        });
    }
    group.finish();
}

/// A log-density costs no more for each coordinate the more of them there are: the log-determinant is a sum.
fn growth(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("log-density by the number of coordinates");
    for count in [16, 32, 64, 128] {
        group.throughput(Throughput::Elements(count as u64));
        growing_couplings(&mut group, count);
        growing_autoregressive_maps(&mut group, count);
    }
    group.finish();
}

fn growing_couplings(group: &mut BenchmarkGroup<WallTime>, count: usize) {
    let (lines, intervals) = (product(count, 0), product(0, count));
    for (name, space, map) in [
        ("affine coupling", lines, Elementwise::Affine),
        ("coupling", intervals, SPLINE),
        ("bump coupling", intervals, BUMP),
    ] {
        let active = (0..count).step_by(2).collect();
        let family = Family::new(space, |make| {
            Coupling::new(space, active, map, 0, SIZE, make)
        });
        let family = family.expect("the map is for these coordinates");
        group.bench_function(BenchmarkId::new(name, count), |bench| {
            bench.iter(|| family.inverse(&family.map));
        });
    }
}

/// The cheap direction of a MAF is that of data, that of an IAF the one that makes samples.
fn growing_autoregressive_maps(group: &mut BenchmarkGroup<WallTime>, count: usize) {
    let space = product(0, count);
    let family = |given| {
        let order = (0..count).collect();
        let family = Family::new(space, |make| {
            Autoregressive::new(space, order, SPLINE, given, 0, SIZE, make)
        });
        family.expect("splines are for intervals")
    };
    let (maf, iaf) = (family(Given::Data), family(Given::Latent));
    group.bench_function(BenchmarkId::new("MAF", count), |bench| {
        bench.iter(|| maf.inverse(&maf.map));
    });
    group.bench_function(BenchmarkId::new("samples of an IAF", count), |bench| {
        bench.iter(|| iaf.forward());
    });
    if count == 32 {
        group.bench_function("samples of a MAF of 32", |bench| {
            bench.iter(|| maf.forward());
        });
    }
}

fn product(lines: usize, intervals: usize) -> Space {
    Space::Product {
        lines,
        intervals,
        circles: 0,
    }
}

/// A flow of couplings, and clouds of thirteen atoms in space with as many auxiliary points.
struct Augmented {
    flow: Chain<Layer>,
    pieces: Vec<(Points, Context)>,
}

impl Augmented {
    fn new(reference: Reference, map: Elementwise) -> Self {
        let (batch, atoms) = SIZES[1];
        let device = Device::flex();
        let space = Space::MeanFree {
            points: 2 * atoms,
            dims: DIMS,
        };
        let config = AugmentedConfig {
            width: 64,
            rounds: 2,
            channels: 8,
            node_features: 1,
            pair_features: 0,
            global_features: 0,
            reference,
            map,
        };
        let mut make = Initializer {
            random: &mut stream(1, Purpose::Parameters, 0),
            device: &device,
            dtype: DType::F32,
        };
        let couplings = AugmentedCoupling::alternating(12, space, &config, &mut make);
        let couplings = couplings.expect("the map is for the reference");
        let prior = MeanFreeGaussian {
            points: 2 * atoms,
            dims: DIMS,
        };
        let piece = |start: usize| {
            let samples = Samples::consecutive(1, start as u64..(start + PIECE) as u64);
            let data = TensorData::new(prior.sample(&samples), [PIECE, 2 * atoms, DIMS]);
            let x = Tensor::from_data(data, (&device, DType::F32));
            (x, Context::alike(atoms, samples, &device, DType::F32))
        };
        Self {
            flow: Chain::new(couplings.into_iter().map(Layer::Augmented).collect())
                .expect("couplings of one space"),
            pieces: (0..batch).step_by(PIECE).map(piece).collect(),
        }
    }

    fn forward(&self) {
        self.pieces.par_iter().for_each(|(x, context)| {
            black_box(self.flow.forward(x.clone(), context)).expect("clouds of the space");
        });
    }

    /// As maximum likelihood takes them: through the inverse.
    fn gradients(&self) {
        self.pieces.par_iter().for_each(|(x, context)| {
            let flow = self.flow.clone().train();
            let (latent, log_det) = flow
                .inverse(x.clone(), context)
                .expect("clouds of the space");
            let loss = latent.square().sum() * 0.5 - log_det.sum();
            black_box(gradients(&flow, &loss.backward()));
        });
    }
}

fn augmented(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("twelve augmented couplings");
    for (name, reference, map) in [
        ("vector, affine", Reference::Vector, Elementwise::Affine),
        ("vector, spline", Reference::Vector, SPLINE),
        ("spherical", Reference::Spherical, SPLINE),
        (
            "projected, affine",
            Reference::Projected,
            Elementwise::Affine,
        ),
        ("projected, spline", Reference::Projected, SPLINE),
    ] {
        let case = Augmented::new(reference, map);
        group.bench_function(BenchmarkId::new(name, "forward"), |bench| {
            bench.iter(|| case.forward());
        });
        group.bench_function(BenchmarkId::new(name, "gradients"), |bench| {
            bench.iter(|| case.gradients());
        });
    }
    group.finish();
}

criterion_group! { name = benches; config = settings::short(); targets = egnn, fields, augmented, couplings, networks, growth }
criterion_main!(benches);
