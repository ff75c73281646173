//! Pairing of noise and data, and the diagnostics of weights.

mod settings;

use boltzflow_boltzmann::Weights;
use boltzflow_boltzmann::pairing::{Copies, Symmetry};
use boltzflow_flow::{MeanFreeGaussian, Prior, Samples};
use boltzflow_molecule::Reflections;
use criterion::{Criterion, Throughput, criterion_group, criterion_main};

fn pairing(criterion: &mut Criterion) {
    const BATCH: u64 = 64;
    let prior = MeanFreeGaussian {
        points: 13,
        dims: 3,
    };
    let noise = prior.sample(&Samples::consecutive(1, 0..BATCH));
    let data = prior.sample(&Samples::consecutive(2, 0..BATCH));
    let copies = Copies {
        points: 13,
        dims: 3,
        symmetry: &Symmetry::Any,
        reflections: Reflections::Allowed,
    };
    let mut group = criterion.benchmark_group("pairing of 64 clusters of 13");
    group.throughput(Throughput::Elements(BATCH));
    group.bench_function("aligned", |bench| {
        bench.iter(|| copies.aligned(&noise, &data));
    });
    group.bench_function("optimal transport", |bench| {
        bench.iter(|| copies.transported(&noise, &data));
    });
    group.finish();
}

fn weights(criterion: &mut Criterion) {
    const COUNT: u64 = 100_000;
    // One coordinate of a standard normal each: log-normal weights.
    let prior = MeanFreeGaussian { points: 2, dims: 1 };
    let log_weights: Vec<f64> = prior
        .sample(&Samples::consecutive(1, 0..COUNT))
        .chunks(2)
        .map(|pair| pair[0])
        .collect();
    let weights = Weights::from_log(log_weights.clone()).expect("finite weights");
    let mut group = criterion.benchmark_group("1e5 weights");
    group.bench_function("normalised", |bench| {
        bench.iter(|| Weights::from_log(log_weights.clone()));
    });
    group.bench_function("tail (PSIS)", |bench| bench.iter(|| weights.tail()));
    group.finish();
}

criterion_group! { name = benches; config = settings::short(); targets = pairing, weights }
criterion_main!(benches);
