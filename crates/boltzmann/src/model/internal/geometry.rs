//! Internal coordinates of a molecule, with rotors that are folded or not, and its positions.

use boltzflow_flow::{Chart, Direction, FlowError, Fold, Frame, PerSample, Placed, Points, Rotor};
use boltzflow_flow::{Samples, host};
use boltzflow_molecule::{self as molecule, Conformers, Molecule, ZMatrix};
use burn::tensor::{DType, Device, Tensor, TensorData};
use rayon::prelude::*;

use super::learning;
use crate::config::Rotors;
use crate::model::ArchitectureError;
use crate::system::{Reference, System};

/// Configurations that are turned into internal coordinates at a time.
pub(super) const CHUNK: usize = 256;

/// The two maps between the coordinates that a chart is of and positions.
#[derive(Clone, Debug)]
pub(super) struct Geometry {
    /// Which distances, angles and dihedrals place each atom.
    pub frame: Frame,
    /// Those of them that are folded.
    pub fold: Fold,
}

/// The internal coordinates of a molecule before it is known what they are like.
pub(super) struct Coordinates<'a> {
    /// The molecule.
    pub molecule: &'a Molecule,
    /// Places whose dihedrals go round.
    pub turning: Vec<usize>,
    /// Groups of places whose atoms are alike and turn together.
    groups: Vec<Vec<usize>>,
    /// Which distances, angles and dihedrals place each atom.
    frame: Frame,
}

impl<'a> Coordinates<'a> {
    pub(super) fn new(system: &'a System, rotors: Rotors) -> Result<Self, ArchitectureError> {
        let Some(Reference { molecule, .. }) = &system.molecule else {
            return Err(ArchitectureError::Toy {
                name: system.name.clone(),
            });
        };
        let zmatrix = ZMatrix::new(molecule, system.start.get(0))?;
        Ok(Self {
            molecule,
            turning: zmatrix.turning(molecule),
            groups: match rotors {
                Rotors::Folded => zmatrix.rotors(molecule),
                Rotors::Labelled => Vec::new(),
            },
            frame: Frame::new(zmatrix.places().iter().map(placed).collect())?,
        })
    }

    /// Rotors are folded about the middle of where they are in these configurations.
    pub(super) fn about(&self, data: &Conformers) -> Result<Geometry, FlowError> {
        let unfolded = Geometry::new(self.frame.clone(), Vec::new())?;
        let (internal, _) = unfolded.inverse(data)?;
        let rotors = self.groups.iter().map(|places| {
            let directions = Fold::directions(&self.frame, places, &internal)?;
            Ok(Rotor {
                places: places.clone(),
                middle: learning::middle(&directions) / places.len() as f64,
            })
        });
        let rotors = rotors.collect::<Result<_, FlowError>>()?;
        Geometry::new(self.frame.clone(), rotors)
    }
}

impl Geometry {
    pub(super) fn new(frame: Frame, rotors: Vec<Rotor>) -> Result<Self, FlowError> {
        let fold = Fold::new(&frame, rotors)?;
        Ok(Self { frame, fold })
    }

    /// Positions, of one labelling of every rotor, and `log_det`, with their gradients.
    pub(super) fn forward(&self, coordinates: &Points) -> Result<(Points, PerSample), FlowError> {
        self.frame.forward(&self.fold.forward(coordinates))
    }

    /// The same of any labelling.
    pub(super) fn draw(
        &self,
        coordinates: &Points,
        samples: &Samples,
    ) -> Result<(Points, PerSample), FlowError> {
        let [_, count, _] = coordinates.dims();
        let mut internal = host(self.fold.forward(coordinates));
        self.fold.shuffle(&mut internal, count, samples);
        self.frame.forward(&double(&internal, [count, 1]))
    }

    /// Coordinates, configuration by configuration, and `−log_det`.
    pub(super) fn inverse(&self, data: &Conformers) -> Result<(Vec<f64>, Vec<f64>), FlowError> {
        let count = self.frame.counts().iter().sum();
        let chunks = data.positions().par_chunks(CHUNK * data.size());
        let parts = chunks.map(|positions| {
            let x = double(positions, [data.points(), data.dims()]);
            let (internal, log_det) = self.frame.inverse(&x)?;
            let mut internal = host(internal);
            self.fold.inverse(&mut internal, count);
            Ok((internal, host(log_det)))
        });
        let parts = parts.collect::<Result<Vec<_>, FlowError>>()?;
        let (mut internal, mut log_det) = (Vec::new(), Vec::new());
        for (coordinates, change) in parts {
            internal.extend(coordinates);
            log_det.extend(change);
        }
        Ok((internal, log_det))
    }

    /// The angles where the coordinates of a chart are zero, none of those that are no dihedrals.
    pub(super) fn zeros(&self, chart: &Chart) -> Vec<Option<f64>> {
        let [distances, angles, _] = self.frame.counts();
        let is_dihedral = |coordinate: usize| {
            let index = coordinate.checked_sub(distances + angles);
            index.is_some_and(|index| self.frame.places()[index + 3].direction == Direction::Polar)
        };
        let stiff = chart.stiff.iter().map(|s| (s.coordinate, s.center));
        let torsions = chart.torsions.iter().map(|t| (t.coordinate, t.cut));
        stiff
            .chain(torsions)
            .map(|(coordinate, zero)| {
                is_dihedral(coordinate).then(|| zero + self.fold.phase(coordinate))
            })
            .collect()
    }
}

fn placed(place: &molecule::Place) -> Placed {
    Placed {
        point: place.atom,
        references: place.references.clone(),
        direction: match place.direction {
            molecule::Direction::Polar => Direction::Polar,
            molecule::Direction::Straight => Direction::Straight,
        },
    }
}

/// Host numbers in double precision, on the CPU: geometry is not left to single precision, nor to a GPU.
pub(super) fn double(values: &[f64], [points, dims]: [usize; 2]) -> Points {
    let shape = [values.len() / (points * dims), points, dims];
    let data = TensorData::new(values.to_vec(), shape);
    Tensor::from_data(data, (&Device::flex(), DType::F64))
}
