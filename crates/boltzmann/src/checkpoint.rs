//! Checkpoints: one safetensors file with the averaged parameters and, until the training is finished, the parameters and the optimiser's
//! moments; the resolved config and all else that an identical resumption needs stand in its metadata as TOML.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use boltzflow_chemio::AtomicFile;
use boltzflow_flow::FlowError;
use boltzflow_flow::simd::Level;
use burn::tensor::Device;
use safetensors::tensor::{Dtype, TensorView};
use safetensors::{SafeTensors, serialize};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::config::{Config, ConfigError};
use crate::model::{Architecture, Model};
use crate::optimizer::AdamW;
use crate::training::{Pool, Progress, energy_calls};

/// Everything about a training but its numbers.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Description {
    /// Format of the file.
    pub format: u32,
    /// The program's version.
    pub version: String,
    /// Vector instructions of our own loops.
    pub simd: Level,
    /// The best vector instructions of the processor, which matrix products use.
    pub processor: Level,
    /// Where the network was trained.
    pub device: String,
    /// What was learnt from: SHA-256 of the configurations.
    pub data: String,
    /// The fingerprint of the flow whose parameters and architecture the training started from, if it was not its own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from: Option<String>,
    /// Energy and temperature that the data were drawn for, in words.
    pub target: String,
    /// Atom names in order, or empty.
    pub atoms: Vec<String>,
    /// The resolved config.
    pub config: Config,
    /// What the model is made from.
    pub architecture: Architecture,
}

/// A training as it stands on disk.
#[derive(Clone, Debug, PartialEq)]
pub struct Checkpoint {
    /// All but the numbers.
    pub description: Description,
    /// The numbers.
    pub optimizer: AdamW,
    /// What early stopping remembers.
    pub progress: Progress,
    /// Samples of the flow that a training learns from; none once it is finished.
    pub pool: Pool,
}

/// The format that this program writes.
pub const FORMAT: u32 = 5;

/// Why a checkpoint cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum CheckpointError {
    /// It cannot be written.
    #[error(transparent)]
    Write(#[from] boltzflow_chemio::Error),
    /// It cannot be read.
    #[error("cannot read the checkpoint {path:?}: {source}")]
    Read {
        /// Which file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// It is damaged or no checkpoint.
    #[error("{path:?} is no checkpoint of this program, or is damaged: {detail}")]
    Damaged {
        /// Which file.
        path: PathBuf,
        /// What is wrong.
        detail: String,
    },
    /// Its config is out of range.
    #[error("the config inside {path:?} is refused: {source}")]
    Config {
        /// Which file.
        path: PathBuf,
        /// Why.
        source: ConfigError,
    },
    /// Its model cannot be made.
    #[error(transparent)]
    Flow(#[from] FlowError),
}

/// Where the text stands in the metadata.
const ENTRY: &str = "boltzflow";
/// The averaged parameters, which samples are drawn with.
const AVERAGE: &str = "average";
/// The samples that a training learns from, where there are some.
const POOL: &str = "pool";
/// Steps by which they are moved, where they are annealed.
const STEP_SIZES: &str = "step_sizes";
/// What else a training needs that is to go on.
const OTHERS: [&str; 3] = ["parameters", "adam_first", "adam_second"];

/// All text of the file, in one entry of its metadata: the order of several would not be fixed.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Header {
    progress: Counters,
    description: Description,
}

/// The part of that by which its format is told.
#[derive(Deserialize)]
struct Formatted {
    description: Format,
}

#[derive(Deserialize)]
struct Format {
    format: u32,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Counters {
    step: u64,
    /// Bits, because TOML has no exact form for every number.
    best_bits: u64,
    waited: u64,
    #[serde(default)]
    prepared: u64,
}

impl Checkpoint {
    /// Reads and checks a file; nothing of a damaged one is used.
    pub fn read(path: &Path) -> Result<Self, CheckpointError> {
        let bytes = std::fs::read(path).map_err(|source| CheckpointError::Read {
            path: path.into(),
            source,
        })?;
        let damaged = |detail: String| CheckpointError::Damaged {
            path: path.into(),
            detail,
        };
        let tensors =
            SafeTensors::deserialize(&bytes).map_err(|error| damaged(error.to_string()))?;
        let (_, layout) =
            SafeTensors::read_metadata(&bytes).map_err(|error| damaged(error.to_string()))?;
        let metadata = layout.metadata().clone().unwrap_or_default();
        let text = metadata
            .get(ENTRY)
            .ok_or_else(|| damaged(format!("its metadata have no entry {ENTRY:?}")))?;
        let unread = |error: toml::de::Error| damaged(error.to_string());
        // What else another format has is not known.
        let Formatted { description } = toml::from_str(text).map_err(unread)?;
        if description.format != FORMAT {
            return Err(damaged(format!(
                "it has format {}, this program reads {FORMAT}",
                description.format
            )));
        }
        let header: Header = toml::from_str(text).map_err(unread)?;
        let (description, counters) = (header.description, header.progress);
        description
            .config
            .check()
            .map_err(|source| CheckpointError::Config {
                path: path.into(),
                source,
            })?;
        if description.architecture.model() != description.config.model {
            return Err(damaged("its network is not that of its config".to_owned()));
        }
        if let Some(flaw) = description.architecture.flaw() {
            return Err(damaged(flaw.to_owned()));
        }
        let progress = Progress {
            best: f64::from_bits(counters.best_bits),
            waited: counters.waited,
            prepared: counters.prepared,
        };
        let average = vector(&tensors, AVERAGE).map_err(&damaged)?;
        let optimizer = if progress.is_finished(counters.step, &description.config.training) {
            AdamW {
                step: counters.step,
                ..AdamW::new(average)
            }
        } else {
            let [parameters, first, second] = OTHERS.map(|name| vector(&tensors, name));
            AdamW {
                step: counters.step,
                parameters: parameters.map_err(&damaged)?,
                average,
                first: first.map_err(&damaged)?,
                second: second.map_err(&damaged)?,
            }
        };
        let model = Model::new(description.architecture.clone(), 0, &Device::flex())?;
        let pool = if tensors.tensor(POOL).is_ok() {
            let [points, dims] = model.latent_shape();
            let rows = vector(&tensors, POOL).map_err(&damaged)?;
            let step_sizes = match tensors.tensor(STEP_SIZES) {
                Ok(_) => vector(&tensors, STEP_SIZES).map_err(&damaged)?,
                Err(_) => Vec::new(),
            };
            let objective = description.config.training.objective;
            Pool::of_parts([rows, step_sizes], objective, points * dims)
                .ok_or_else(|| damaged("its pool holds no samples of its flow".to_owned()))?
        } else {
            Pool::default()
        };
        let expected = model.parameters().len();
        for values in [
            &optimizer.parameters,
            &optimizer.average,
            &optimizer.first,
            &optimizer.second,
        ] {
            if values.len() != expected {
                return Err(damaged(format!(
                    "it holds {} parameters, its model has {expected}",
                    values.len()
                )));
            }
            if let Some(index) = values.iter().position(|value| !value.is_finite()) {
                return Err(damaged(format!(
                    "number {index} is {}; the training had diverged",
                    values[index]
                )));
            }
        }
        Ok(Self {
            description,
            optimizer,
            progress,
            pool,
        })
    }

    /// Writes the file whole or not at all.
    pub fn write(&self, path: &Path) -> Result<(), CheckpointError> {
        Ok(AtomicFile::write_all_to(path, &self.to_bytes())?)
    }

    fn to_bytes(&self) -> Vec<u8> {
        let AdamW {
            step,
            parameters,
            average,
            first,
            second,
        } = &self.optimizer;
        let mut vectors: Vec<(&str, &[f32])> = vec![(AVERAGE, average)];
        if !self
            .progress
            .is_finished(*step, &self.description.config.training)
        {
            let others = [parameters, first, second].map(Vec::as_slice);
            vectors.extend(OTHERS.into_iter().zip(others));
            if !self.pool.rows().is_empty() {
                vectors.push((POOL, self.pool.rows()));
            }
            if !self.pool.step_sizes().is_empty() {
                vectors.push((STEP_SIZES, self.pool.step_sizes()));
            }
        }
        let bytes = |values: &[f32]| -> Vec<u8> {
            let bytes = values.iter().flat_map(|value| value.to_le_bytes());
            bytes.collect()
        };
        let raw: Vec<(&str, Vec<u8>)> = vectors
            .into_iter()
            .map(|(name, values)| (name, bytes(values)))
            .collect();
        let views = raw.iter().map(|(name, bytes)| {
            let view = TensorView::new(Dtype::F32, vec![bytes.len() / 4], bytes)
                .expect("four bytes a number");
            (*name, view)
        });
        let counters = Counters {
            step: self.optimizer.step,
            best_bits: self.progress.best.to_bits(),
            waited: self.progress.waited,
            prepared: self.progress.prepared,
        };
        let header = Header {
            progress: counters,
            description: self.description.clone(),
        };
        let text = toml::to_string(&header).expect("a header is valid TOML");
        let metadata = HashMap::from([(ENTRY.to_owned(), text)]);
        serialize(views, Some(metadata)).expect("views of this memory serialise")
    }

    /// What of another training differs from this one, in words; none if it is the same training.
    pub fn difference(&self, other: &Description) -> Option<&'static str> {
        let mine = &self.description;
        let differs = [
            ("program version", mine.version != other.version),
            ("vector instructions (--simd)", mine.simd != other.simd),
            ("kind of processor", mine.processor != other.processor),
            ("device", mine.device != other.device),
            ("data", mine.data != other.data),
            ("flow to start from (--from)", mine.from != other.from),
            ("target", mine.target != other.target),
            ("config", mine.config != other.config),
        ];
        let named = differs
            .into_iter()
            .find_map(|(what, differs)| differs.then_some(what));
        named.or_else(|| (mine != other).then_some("molecule"))
    }

    /// Energies with their gradients that it took on so many configurations.
    pub fn energy_calls(&self, configurations: usize) -> u64 {
        let training = &self.description.config.training;
        self.progress.prepared + energy_calls(training, self.optimizer.step, configurations)
    }

    /// The model with the averaged parameters.
    pub fn model(&self, device: &Device) -> Result<Model, CheckpointError> {
        let model = Model::new(self.description.architecture.clone(), 0, device)?;
        Ok(model.with_parameters(&self.optimizer.average))
    }

    /// SHA-256 of what samples depend on: architecture and averaged parameters.
    pub fn fingerprint(&self) -> String {
        let mut hash = Sha256::new();
        hash.update(
            toml::to_string(&self.description.architecture).expect("an architecture is valid TOML"),
        );
        self.optimizer
            .average
            .iter()
            .for_each(|value| hash.update(value.to_le_bytes()));
        hex(&hash.finalize())
    }
}

fn vector(tensors: &SafeTensors, name: &str) -> Result<Vec<f32>, String> {
    let view = tensors.tensor(name).map_err(|error| error.to_string())?;
    if view.dtype() != Dtype::F32 {
        return Err(format!("{name} is of type {:?}, not F32", view.dtype()));
    }
    let numbers = view.data().chunks_exact(4);
    Ok(numbers
        .map(|bytes| f32::from_le_bytes([bytes[0], bytes[1], bytes[2], bytes[3]]))
        .collect())
}

/// SHA-256 of numbers, bit for bit.
pub fn digest(numbers: &[f64]) -> String {
    let mut hash = Sha256::new();
    numbers
        .iter()
        .for_each(|number| hash.update(number.to_le_bytes()));
    hex(&hash.finalize())
}

pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
