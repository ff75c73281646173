//! What a reader hands over: frames, and records of frames that share a molecule.

use std::path::Path;

use boltzflow_molecule::{Conformers, Molecule};

use crate::{Error, Tags};

/// One structure of a file.
#[derive(Clone, Debug, PartialEq)]
pub struct Frame {
    /// What it is; `name` is the title of this frame.
    pub molecule: Molecule,
    /// Where its atoms are, `3 · atoms` numbers in Å.
    pub positions: Vec<f64>,
    /// What the file says about it.
    pub tags: Tags,
}

/// One molecule of a file with its conformers.
#[derive(Clone, Debug, PartialEq)]
pub struct Record {
    /// The molecule, named as its first conformer is.
    pub molecule: Molecule,
    /// Its conformers, Å.
    pub conformers: Conformers,
    /// The title of each conformer.
    pub titles: Vec<String>,
    /// What the file says about each conformer.
    pub tags: Vec<Tags>,
}

impl Record {
    /// Takes one frame as a record of one conformer.
    pub fn from_frame(frame: Frame) -> Self {
        Self {
            conformers: Conformers::new(frame.molecule.atoms.len(), 3, frame.positions),
            titles: vec![frame.molecule.name.clone()],
            tags: vec![frame.tags],
            molecule: frame.molecule,
        }
    }

    /// Appends a frame of the same molecule.
    fn push(&mut self, frame: Frame) {
        self.conformers.push(&frame.positions);
        self.titles.push(frame.molecule.name);
        self.tags.push(frame.tags);
    }
}

/// Says how two molecules differ; `None` if they are the same but for their names.
pub(crate) fn difference(first: &Molecule, other: &Molecule) -> Option<String> {
    if first.atoms.len() != other.atoms.len() {
        return Some(format!(
            "it has {} atoms instead of {}",
            other.atoms.len(),
            first.atoms.len()
        ));
    }
    for (index, (ours, theirs)) in first.atoms.iter().zip(&other.atoms).enumerate() {
        if ours.element != theirs.element {
            let (ours, theirs) = (ours.element.number(), theirs.element.number());
            return Some(format!(
                "atom {} has atomic number {theirs} instead of {ours}",
                index + 1
            ));
        }
        if ours.formal_charge != theirs.formal_charge {
            let (ours, theirs) = (ours.formal_charge, theirs.formal_charge);
            return Some(format!(
                "atom {} has the charge {theirs} instead of {ours}",
                index + 1
            ));
        }
        if ours.name != theirs.name {
            return Some(format!(
                "atom {} is called {:?} instead of {:?}",
                index + 1,
                theirs.name,
                ours.name
            ));
        }
    }
    (first.bonds != other.bonds).then(|| "its bonds differ".to_owned())
}

/// Gathers frames that follow each other and share a molecule into records.
pub(crate) fn gather(
    frames: impl Iterator<Item = Result<Frame, Error>>,
) -> Result<Vec<Record>, Error> {
    let mut records: Vec<Record> = Vec::new();
    for frame in frames {
        let frame = frame?;
        match records.last_mut() {
            Some(last) if difference(&last.molecule, &frame.molecule).is_none() => last.push(frame),
            _ => records.push(Record::from_frame(frame)),
        }
    }
    Ok(records)
}

/// Gathers frames that must all be of one molecule.
pub(crate) fn gather_one(
    path: &Path,
    frames: impl Iterator<Item = Result<Frame, Error>>,
) -> Result<Record, Error> {
    let mut record: Option<Record> = None;
    for (index, frame) in frames.enumerate() {
        let frame = frame?;
        match &mut record {
            None => record = Some(Record::from_frame(frame)),
            Some(record) => {
                if let Some(difference) = difference(&record.molecule, &frame.molecule) {
                    return Err(Error::SeveralMolecules {
                        path: path.to_owned(),
                        frame: index + 1,
                        difference,
                    });
                }
                record.push(frame);
            }
        }
    }
    record.ok_or_else(|| Error::Empty {
        path: path.to_owned(),
    })
}
