//! Internal coordinates of a molecule, with rotors that are folded or not, and its positions.

use boltzflow_flow::{Chart, Direction, FlowError, Fold, Frame, PerSample, Placed, Points, Rotor};
use boltzflow_flow::{Samples, host};
use boltzflow_molecule::{self as molecule, Conformers, Molecule, ZMatrix};
use burn::tensor::{DType, Device, Tensor, TensorData};
use rayon::prelude::*;

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
    /// The coordinates that are dihedrals which go round freely.
    pub turning: Vec<usize>,
    /// Those that are dihedrals of two sides, which are changed seldom: those of amides and their like.
    pub sided: Vec<usize>,
    /// Groups of places whose atoms are alike and turn together.
    groups: Vec<[usize; 3]>,
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
        let is_free = |place: usize| match zmatrix.places()[place].references[..] {
            [near, far, ..] => molecule::turns_freely(molecule, [near, far]),
            _ => false,
        };
        let (turning, sided): (Vec<usize>, Vec<usize>) = zmatrix
            .turning(molecule)
            .into_iter()
            .partition(|&place| is_free(place));
        let frame = Frame::new(zmatrix.places().iter().map(placed).collect())?;
        let [distances, angles, _] = frame.counts();
        // The first three places have no dihedral.
        let [turning, sided] = [turning, sided].map(|places| {
            let dihedrals = places.into_iter().map(|place| place - 3);
            dihedrals.map(|k| distances + angles + k).collect()
        });
        Ok(Self {
            molecule,
            turning,
            sided,
            groups: match rotors {
                Rotors::Folded => zmatrix.rotors(molecule, system.start.get(0))?,
                Rotors::Labelled => Vec::new(),
            },
            frame,
        })
    }

    /// With rotors folded whose atoms have one order in all of these configurations, as they have in a simulation; and the coordinates of these,
    /// configuration by configuration.
    pub(super) fn as_in(&self, data: &Conformers) -> Result<(Geometry, Vec<f64>), FlowError> {
        let unfolded = Geometry::new(self.frame.clone(), Vec::new())?;
        let (mut internal, _) = unfolded.inverse(data)?;
        let mut rotors = Vec::new();
        for &places in &self.groups {
            match Fold::order(&self.frame, places, &internal)? {
                Some(order) => rotors.push(Rotor { places, order }),
                None => log::warn!(
                    "the atoms {:?} are told apart: some configurations have them in one order, some in the other",
                    places.map(|place| self.frame.places()[place].point)
                ),
            }
        }
        let geometry = Geometry::new(self.frame.clone(), rotors)?;
        let count = self.frame.counts().iter().sum();
        geometry.fold.inverse(&mut internal, count);
        Ok((geometry, internal))
    }
}

impl Geometry {
    pub(super) fn new(frame: Frame, rotors: Vec<Rotor>) -> Result<Self, FlowError> {
        let fold = Fold::new(&frame, rotors)?;
        Ok(Self { frame, fold })
    }

    /// Positions, of one labelling of every rotor, and `log_det`, with their gradients.
    pub(super) fn forward(&self, coordinates: &Points) -> Result<(Points, PerSample), FlowError> {
        let (internal, fold) = self.fold.forward(coordinates);
        let (positions, frame) = self.frame.forward(&internal)?;
        Ok((positions, fold + frame))
    }

    /// The same of any labelling.
    pub(super) fn draw(
        &self,
        coordinates: &Points,
        samples: &Samples,
    ) -> Result<(Points, PerSample), FlowError> {
        let [_, count, _] = coordinates.dims();
        let (internal, fold) = self.fold.forward(coordinates);
        let mut internal = host(internal);
        self.fold.shuffle(&mut internal, count, samples);
        let (positions, frame) = self.frame.forward(&double(&internal, [count, 1]))?;
        Ok((positions, fold + frame))
    }

    /// Coordinates, configuration by configuration, and `−log_det`.
    pub(super) fn inverse(&self, data: &Conformers) -> Result<(Vec<f64>, Vec<f64>), FlowError> {
        let count = self.frame.counts().iter().sum();
        let chunks = data.positions().par_chunks(CHUNK * data.size());
        let parts = chunks.map(|positions| {
            let x = double(positions, [data.points(), data.dims()]);
            let (internal, frame) = self.frame.inverse(&x)?;
            let mut internal = host(internal);
            let fold = self.fold.inverse(&mut internal, count).into_iter();
            let log_det: Vec<f64> = fold.zip(host(frame)).map(|(a, b)| a + b).collect();
            Ok((internal, log_det))
        });
        let parts = parts.collect::<Result<Vec<_>, FlowError>>()?;
        let (mut internal, mut log_det) = (Vec::new(), Vec::new());
        for (coordinates, change) in parts {
            internal.extend(coordinates);
            log_det.extend(change);
        }
        Ok((internal, log_det))
    }

    /// Whether a coordinate is a dihedral, to which `2π` is nothing.
    pub(super) fn is_dihedral(&self, coordinate: usize) -> bool {
        let [distances, angles, _] = self.frame.counts();
        let index = coordinate.checked_sub(distances + angles);
        let place = index.map(|index| &self.frame.places()[index + 3]);
        place.is_some_and(|place| place.direction == Direction::Polar)
            && !self.fold.is_amplitude_of_dihedrals(coordinate)
    }

    /// The angles where the coordinates of a chart are zero, none of those that are no dihedrals.
    pub(super) fn zeros(&self, chart: &Chart) -> Vec<Option<f64>> {
        let stiff = chart.stiff.iter().map(|s| (s.coordinate, s.center));
        let torsions = chart.torsions.iter().map(|t| (t.coordinate, t.cut));
        stiff
            .chain(torsions)
            .map(|(coordinate, zero)| self.is_dihedral(coordinate).then_some(zero))
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
pub(in crate::model) fn double(values: &[f64], [points, dims]: [usize; 2]) -> Points {
    let shape = [values.len() / (points * dims), points, dims];
    let data = TensorData::new(values.to_vec(), shape);
    Tensor::from_data(data, (&Device::flex(), DType::F64))
}
