//! Our side of `run.py`: the field EGNN as the program runs it, timed on request.
//!
//! `{"op": "velocity", "b": 256, "n": 13}` is answered by `{"ms": 12.3}`, the time of one call on all cores of rayon's pool; `parameters` by their
//! number. `hutchinson` takes one probe a sample, or `"probes"` of them. A training step is [`Training::advance`]: it draws noise, times and data, differentiates the loss, and updates parameters and average.

mod lines;

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::error::Error;
use std::path::PathBuf;
use std::time::Instant;

use boltzflow_boltzmann::pairing::Symmetry;
use boltzflow_boltzmann::{
    Architecture, Cartesian, CartesianConfig, CartesianFlow, Config, Features, FieldConfig,
    FlowArchitecture, Model, ModelConfig, Objective, PairStatistics, Pairing, System, Training,
    TrainingConfig, TrainingData, keep_pages, piece,
};
use boltzflow_flow::random::{Purpose, stream};
use boltzflow_flow::{
    Context, Divergence, Dual, Edges, MeanFreeGaussian, Noise, Points, Prior, Probes, Samples,
    VectorField,
};
use boltzflow_molecule::Conformers;
use burn::tensor::{DType, Device, Tensor, TensorData};
use rand::RngExt;
use rayon::prelude::*;
use serde_json::{Value, json};

const DIMS: usize = 3;
const WIDTH: usize = 64;
const LAYERS: usize = 3;

#[derive(serde::Deserialize)]
struct Request {
    op: String,
    b: usize,
    n: usize,
    #[serde(default = "one")]
    probes: usize,
}

fn one() -> usize {
    1
}

/// Inputs of one size.
struct Peer {
    model: Model,
    chunks: Vec<Chunk>,
    training: Training<'static>,
}

/// Some samples of the batch, with their times and probes.
struct Chunk {
    context: Context,
    x: Points,
    t: Tensor<1>,
    probe: Probes,
}

impl Peer {
    fn new(batch: usize, points: usize, probes: usize) -> Result<Self, Box<dyn Error>> {
        let file = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../configs/dw4.toml");
        let mut config = Config::read(&file)?;
        let ModelConfig::Cartesian(model) = &mut config.model else {
            return Err("configs/dw4.toml is of a flow of positions".into());
        };
        *model = CartesianConfig {
            field: FieldConfig::Egnn {
                width: WIDTH,
                layers: LAYERS,
                channels: 1,
                edges: Edges::Updated,
            },
            ..*model
        };
        let model = *model;
        let samples = Samples::consecutive(1, 0..batch as u64);
        let positions = MeanFreeGaussian { points, dims: DIMS }.sample(&samples);
        let data = Conformers::new(points, DIMS, positions.clone());
        let architecture = Architecture {
            features: Features::cluster(points, DIMS),
            flow: FlowArchitecture::Cartesian(Cartesian {
                model,
                scale: 1.0,
                distances: PairStatistics::of(&data, 1.0, &Symmetry::Any),
            }),
        };
        let model = Model::new(architecture, 1, &Device::flex())?;
        let chunks = positions
            .chunks(piece(points) * points * DIMS)
            .enumerate()
            .map(|(index, positions)| {
                Chunk::new(&model, positions, (index * piece(points)) as u64, probes)
            })
            .collect();
        // One a size, for as long as the process lives.
        let settings: &'static TrainingConfig = Box::leak(Box::new(TrainingConfig {
            batch,
            objective: Objective::FlowMatching {
                pairing: Pairing::Independent,
                improvement: None,
            },
            validation: 0.0,
            ..config.training
        }));
        let target = format!("lj:{points},1,1").parse()?;
        let system: &'static System = Box::leak(Box::new(System::toy(target, 1.0)?));
        let data = TrainingData::at(data, system.temperature);
        let training = Training::new(model.clone(), settings, &data, system)?;
        Ok(Self {
            model,
            chunks,
            training,
        })
    }

    /// Does what is asked, once.
    fn run(&mut self, op: &str) -> Result<(), Box<dyn Error>> {
        let field = &flow(&self.model).continuous().field;
        let divergence = |probes: fn(&Chunk) -> &Probes| {
            let parts = self
                .chunks
                .par_iter()
                .map(|chunk| probes(chunk).evaluate(field, 0.5, &chunk.x, &chunk.context));
            std::hint::black_box(parts.collect::<Vec<_>>());
        };
        match op {
            "velocity" => {
                let parts = self.chunks.par_iter().map(|chunk| {
                    let x = Dual::constant(chunk.x.clone());
                    field.velocity(chunk.t.clone(), x, &chunk.context)
                });
                std::hint::black_box(parts.collect::<Vec<_>>());
            }
            "divergence" => divergence(|_| &Probes::Coordinates),
            "hutchinson" => divergence(|chunk| &chunk.probe),
            "train" => {
                std::hint::black_box(self.training.advance());
            }
            _ => return Err(format!("{op:?} is no operation").into()),
        }
        Ok(())
    }
}

impl Chunk {
    /// From the positions of consecutive samples, with so many probes for each.
    fn new(model: &Model, positions: &[f64], first: u64, probes: usize) -> Self {
        let x = model.batch(positions);
        let count = x.dims()[0];
        let samples = Samples::consecutive(1, first..first + count as u64);
        let mut random = stream(1, Purpose::Training, first);
        let times: Vec<f32> = (0..count).map(|_| random.random()).collect();
        let estimate = Divergence::Hutchinson {
            probes,
            noise: Noise::Rademacher,
        };
        Self {
            t: Tensor::from_data(TensorData::new(times, [count]), (&x.device(), DType::F32)),
            probe: estimate.probes(&x, &samples),
            context: flow(model).context().with_samples(samples),
            x,
        }
    }
}

/// The flow that was made above.
fn flow(model: &Model) -> &CartesianFlow {
    model
        .flow()
        .cartesian()
        .expect("a flow of positions was made")
}

fn answer(
    peers: &mut HashMap<[usize; 3], Peer>,
    request: &Request,
) -> Result<Value, Box<dyn Error>> {
    let size = [request.b, request.n, request.probes];
    let peer = match peers.entry(size) {
        Entry::Occupied(made) => made.into_mut(),
        Entry::Vacant(place) => place.insert(Peer::new(request.b, request.n, request.probes)?),
    };
    if request.op == "parameters" {
        let parameters = boltzflow_flow::parameters::flatten(&flow(&peer.model).continuous().field);
        return Ok(json!({ "parameters": parameters.len() }));
    }
    let start = Instant::now();
    peer.run(&request.op)?;
    Ok(json!({ "ms": 1e3 * start.elapsed().as_secs_f64() }))
}

fn main() -> Result<(), Box<dyn Error>> {
    keep_pages();
    let mut peers = HashMap::new();
    lines::serve(|request: Request| answer(&mut peers, &request))
}
