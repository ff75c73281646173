//! Samples on disk: NPZ files, bit for bit.

use std::path::{Path, PathBuf};

use boltzflow_chemio::{Array, Npz};
use boltzflow_flow::simd::Level;
use boltzflow_molecule::Conformers;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::checkpoint::hex;
use crate::features::Features;
use crate::model::{Density, Drawn, Mirror};

/// The array of the temperature of all samples of a file.
const TEMPERATURE: &str = "temperature";
/// The array of the temperature of each configuration.
const TEMPERATURES: &str = "temperatures";

/// What a file of samples was made from: two files with the same fingerprint belong to one run.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Fingerprint {
    /// Hash of the model and its solver.
    pub model: String,
    /// Hash of the points that the samples are of: see [`identity`].
    pub molecule: String,
    /// Which mirror images of a chiral molecule the flow makes.
    pub mirror: Mirror,
    /// What `log_q` is of; of a flow with auxiliary points it is that of both together, less `log π(a | x)`, and does for weights.
    #[serde(default, skip_serializing_if = "Density::is_of_positions")]
    pub density: Density,
    /// Seed of the samples.
    pub seed: u64,
    /// Samples of the whole run, all shards together.
    pub count: u64,
    /// Samples of a chunk.
    pub chunk: usize,
    /// Vector instructions of our own loops.
    pub simd: Level,
    /// The best vector instructions of the processor: matrix products use them, whatever our own loops are held to.
    pub processor: Level,
    /// The program's version.
    pub version: String,
}

/// Some of a run's samples.
#[derive(Clone, Debug, PartialEq)]
pub struct SampleFile {
    /// Which run.
    pub fingerprint: Fingerprint,
    /// Points and dimensions of a configuration.
    pub shape: [usize; 2],
    /// Those of a latent.
    pub latent_shape: [usize; 2],
    /// Global numbers of the samples here.
    pub numbers: Vec<u64>,
    /// The temperature that they were drawn for, in K, where the flow knows it.
    pub temperature: Option<f64>,
    /// The samples.
    pub drawn: Drawn,
}

/// Why a file of samples or configurations cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The file.
    #[error(transparent)]
    File(#[from] boltzflow_chemio::Error),
    /// It lacks an array, or one is of another kind or size.
    #[error("{path:?} has no usable array {array:?} ({expected}); was it written by this program?")]
    Array {
        /// Which file.
        path: PathBuf,
        /// Which array.
        array: &'static str,
        /// What it should be.
        expected: &'static str,
    },
    /// Its numbers are not finite.
    #[error("number {index} of {array:?} in {path:?} is {value}")]
    NotFinite {
        /// Which file.
        path: PathBuf,
        /// Which array.
        array: &'static str,
        /// Which number.
        index: usize,
        /// What was found.
        value: f64,
    },
    /// A temperature that is none.
    #[error("number {index} of {array:?} in {path:?} is {value}, but must be above 0")]
    NotPositive {
        /// Which file.
        path: PathBuf,
        /// Which array.
        array: &'static str,
        /// Which number.
        index: usize,
        /// What was found.
        value: f64,
    },
    /// Of another molecule.
    #[error(
        "{path:?} is of another molecule or toy, or of the same molecule with its atoms in another order"
    )]
    OtherMolecule {
        /// Which file.
        path: PathBuf,
    },
    /// Files of different runs.
    #[error(
        "{path:?} belongs to another run than the first file (other {what}); merge files of one run only"
    )]
    Foreign {
        /// Which file.
        path: PathBuf,
        /// What differs.
        what: &'static str,
    },
    /// Samples more than once.
    #[error("sample {number} is in more than one file, again in {path:?}; give each shard once")]
    Duplicate {
        /// Which sample.
        number: u64,
        /// Where again.
        path: PathBuf,
    },
    /// Samples not there.
    #[error(
        "{missing} of {count} samples are missing, the first is {first}; run the missing shards"
    )]
    Missing {
        /// How many.
        missing: u64,
        /// Of how many.
        count: u64,
        /// The first.
        first: u64,
    },
}

impl SampleFile {
    /// Writes the file whole or not at all.
    pub fn write(&self, path: &Path) -> Result<(), StoreError> {
        let [points, dims] = self.shape;
        let n = self.numbers.len();
        let cloud = [n, points, dims];
        let latent = [n, self.latent_shape[0], self.latent_shape[1]];
        let meta = serde_json::to_string(&self.fingerprint).expect("a fingerprint is valid JSON");
        let mut arrays = vec![
            (
                "positions",
                Array::new(&cloud, self.drawn.positions.clone()),
            ),
            ("latents", Array::new(&latent, self.drawn.latents.clone())),
            ("log_prior", Array::new(&[n], self.drawn.log_prior.clone())),
            ("log_det", Array::new(&[n], self.drawn.log_det.clone())),
            ("log_q", Array::new(&[n], self.drawn.log_q())),
            ("sample", Array::new(&[n], self.numbers.clone())),
            ("fingerprint", Array::text(&meta)),
        ];
        if let Some(temperature) = self.temperature {
            arrays.push((TEMPERATURE, Array::new(&[1], vec![temperature])));
        }
        let arrays: Vec<_> = arrays.iter().map(|(name, array)| (*name, array)).collect();
        Ok(Npz::write(path, &arrays)?)
    }

    /// Reads and checks a file.
    pub fn read(path: &Path) -> Result<Self, StoreError> {
        let npz = Npz::read(path)?;
        let missing = |array, expected| StoreError::Array {
            path: path.into(),
            array,
            expected,
        };
        let text = npz.array("fingerprint").and_then(Array::as_text);
        let fingerprint = text
            .and_then(|text| serde_json::from_str(text).ok())
            .ok_or_else(|| missing("fingerprint", "text of a run's fingerprint"))?;
        let shape_of = |name: &'static str| {
            let array = npz.array(name).filter(|array| array.shape.len() == 3);
            let array = array.ok_or_else(|| missing(name, "samples × points × dims"))?;
            Ok::<_, StoreError>([array.shape[0], array.shape[1], array.shape[2]])
        };
        let (shape, latent) = (shape_of("positions")?, shape_of("latents")?);
        let numbers = npz
            .array("sample")
            .and_then(Array::as_u64)
            .filter(|numbers| numbers.len() == shape[0])
            .ok_or_else(|| missing("sample", "one number a sample"))?
            .to_vec();
        let reals = |name: &'static str, count: usize| -> Result<Vec<f64>, StoreError> {
            let values = npz
                .array(name)
                .and_then(Array::as_f64)
                .filter(|values| values.len() == count)
                .ok_or_else(|| missing(name, "real numbers, as many as the samples need"))?;
            // A solve may end in no number; the sample keeps its place, and reweighting counts it.
            Ok(values.to_vec())
        };
        let temperature = match npz.array(TEMPERATURE) {
            None => None,
            Some(_) => Some(reals(TEMPERATURE, 1)?[0]),
        };
        if let Some(temperature) = temperature {
            positive(path, TEMPERATURE, &[temperature])?;
        }
        let drawn = Drawn {
            positions: reals("positions", shape[0] * shape[1] * shape[2])?,
            latents: reals("latents", shape[0] * latent[1] * latent[2])?,
            log_prior: reals("log_prior", shape[0])?,
            log_det: reals("log_det", shape[0])?,
        };
        Ok(Self {
            fingerprint,
            shape: [shape[1], shape[2]],
            latent_shape: [latent[1], latent[2]],
            numbers,
            temperature,
            drawn,
        })
    }

    /// Joins the shards of one run, in the order of the samples.
    pub fn merge(paths: &[PathBuf]) -> Result<Self, StoreError> {
        let files = paths
            .iter()
            .map(|path| Self::read(path))
            .collect::<Result<Vec<_>, _>>()?;
        let first = &files[0];
        let mut places = Vec::new();
        for (file, (part, path)) in files.iter().zip(paths).enumerate() {
            if let Some(what) = first.difference(part) {
                return Err(StoreError::Foreign {
                    path: path.clone(),
                    what,
                });
            }
            places.extend(
                part.numbers
                    .iter()
                    .enumerate()
                    .map(|(row, &number)| (number, file, row)),
            );
        }
        places.sort_unstable();
        if let Some(pair) = places.windows(2).find(|pair| pair[0].0 == pair[1].0) {
            return Err(StoreError::Duplicate {
                number: pair[1].0,
                path: paths[pair[1].1].clone(),
            });
        }
        let count = first.fingerprint.count;
        let missing = count.saturating_sub(places.len() as u64);
        if missing > 0 {
            let gap = places
                .iter()
                .enumerate()
                .find(|(index, (number, ..))| *index as u64 != *number);
            let first = gap.map_or(places.len() as u64, |(index, _)| index as u64);
            return Err(StoreError::Missing {
                missing,
                count,
                first,
            });
        }
        let size = first.shape[0] * first.shape[1];
        let latent = first.latent_shape[0] * first.latent_shape[1];
        let mut drawn = Drawn::default();
        for &(_, file, row) in &places {
            let part = &files[file].drawn;
            drawn
                .positions
                .extend(&part.positions[row * size..(row + 1) * size]);
            drawn
                .latents
                .extend(&part.latents[row * latent..(row + 1) * latent]);
            drawn.log_prior.push(part.log_prior[row]);
            drawn.log_det.push(part.log_det[row]);
        }
        let numbers = places.into_iter().map(|(number, ..)| number).collect();
        Ok(Self {
            fingerprint: first.fingerprint.clone(),
            shape: first.shape,
            latent_shape: first.latent_shape,
            numbers,
            temperature: first.temperature,
            drawn,
        })
    }

    fn difference(&self, other: &Self) -> Option<&'static str> {
        let (a, b) = (&self.fingerprint, &other.fingerprint);
        let differs = [
            (
                "shape",
                self.shape != other.shape || self.latent_shape != other.latent_shape,
            ),
            ("temperature", self.temperature != other.temperature),
            ("mirror images", a.mirror != b.mirror),
            ("kind of density", a.density != b.density),
            ("model", a.model != b.model),
            ("molecule or atom order", a.molecule != b.molecule),
            ("seed", a.seed != b.seed),
            ("number of samples", a.count != b.count),
            ("chunk size", a.chunk != b.chunk),
            ("SIMD level", a.simd != b.simd),
            ("kind of processor", a.processor != b.processor),
            ("version", a.version != b.version),
        ];
        differs
            .into_iter()
            .find_map(|(what, differs)| differs.then_some(what))
    }
}

/// A hash of which points a configuration is of: their number and dimensions, and of a molecule its elements and bonds in the order of its
/// atoms.
pub fn identity(features: &Features) -> String {
    let Features {
        points,
        dims,
        elements,
        bonds,
        classes: _,
    } = features;
    let mut bonds: Vec<[usize; 2]> = bonds.iter().map(|&[i, j]| [i.min(j), i.max(j)]).collect();
    bonds.sort_unstable();
    let text =
        serde_json::to_vec(&(points, dims, elements, bonds)).expect("numbers are valid JSON");
    hex(&Sha256::digest(text))
}

/// Configurations of an NPZ file, such as a simulation writes, that has been read from this path: the array `positions`, samples × points ×
/// dims. A file that says what its points are, in the text `molecule`, is refused where they are others than `expected`.
pub fn positions_of(npz: &Npz, path: &Path, expected: &Features) -> Result<Conformers, StoreError> {
    let said = npz.array("molecule").and_then(Array::as_text);
    if said.is_some_and(|said| said != identity(expected)) {
        return Err(StoreError::OtherMolecule { path: path.into() });
    }
    let missing = StoreError::Array {
        path: path.into(),
        array: "positions",
        expected: "samples × points × dims",
    };
    let Some(array) = npz
        .array("positions")
        .filter(|array| array.shape.len() == 3 && array.shape[1] * array.shape[2] > 0)
    else {
        return Err(missing);
    };
    let Some(values) = array.as_f64() else {
        return Err(missing);
    };
    finite(path, "positions", values)?;
    Ok(Conformers::new(
        array.shape[1],
        array.shape[2],
        values.to_vec(),
    ))
}

/// The temperature of each of `count` configurations, in K (of a toy `kT`), from the array `temperatures`; none where the file has no such array,
/// as of frames that all are at their system's.
pub fn temperatures_of(
    npz: &Npz,
    path: &Path,
    count: usize,
) -> Result<Option<Vec<f64>>, StoreError> {
    let found = one_each(npz, path, TEMPERATURES, count)?;
    if let Some(values) = &found {
        positive(path, TEMPERATURES, values)?;
    }
    Ok(found)
}

/// What each of `count` configurations counts in an ensemble, from the array `weights`; none where the file has no such array: all count the same.
pub fn weights_of(npz: &Npz, path: &Path, count: usize) -> Result<Option<Vec<f64>>, StoreError> {
    one_each(npz, path, "weights", count)
}

/// An array of one number for each configuration, if it is there.
fn one_each(
    npz: &Npz,
    path: &Path,
    array: &'static str,
    count: usize,
) -> Result<Option<Vec<f64>>, StoreError> {
    let Some(found) = npz.array(array) else {
        return Ok(None);
    };
    match found.as_f64().filter(|values| values.len() == count) {
        Some(values) => Ok(Some(values.to_vec())),
        None => Err(StoreError::Array {
            path: path.into(),
            array,
            expected: "one number a configuration",
        }),
    }
}

fn positive(path: &Path, array: &'static str, values: &[f64]) -> Result<(), StoreError> {
    finite(path, array, values)?;
    match values.iter().position(|value| *value <= 0.0) {
        None => Ok(()),
        Some(index) => Err(StoreError::NotPositive {
            path: path.into(),
            array,
            index,
            value: values[index],
        }),
    }
}

fn finite(path: &Path, array: &'static str, values: &[f64]) -> Result<(), StoreError> {
    match values.iter().position(|value| !value.is_finite()) {
        None => Ok(()),
        Some(index) => Err(StoreError::NotFinite {
            path: path.into(),
            array,
            index,
            value: values[index],
        }),
    }
}
