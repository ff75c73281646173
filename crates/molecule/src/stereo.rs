//! Stereochemistry: which centres and double bonds can differ, and how coordinates arrange them.

mod perception;

use serde::{Deserialize, Serialize};

pub(crate) use self::perception::{distinct, ring_size};
pub use self::perception::{measure, signed_chirality, stereo_of, stereogenic};

/// The handedness of a centre, relative to its neighbours in the order of [`StereoCenter::neighbours`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Chirality {
    /// Positive triple product.
    Positive,
    /// Negative triple product.
    Negative,
    /// Exactly planar, or not a number.
    Flat,
}

impl Chirality {
    /// The handedness that a triple product shows.
    pub fn of(volume: f64) -> Self {
        if volume > 0.0 {
            Self::Positive
        } else if volume < 0.0 {
            Self::Negative
        } else {
            Self::Flat
        }
    }

    /// What a mirror shows.
    pub fn mirrored(self) -> Self {
        match self {
            Self::Positive => Self::Negative,
            Self::Negative => Self::Positive,
            Self::Flat => Self::Flat,
        }
    }
}

/// A tetrahedral centre.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StereoCenter {
    /// The atom in the middle.
    pub atom: usize,
    /// Its neighbours, four, or three beside a lone pair; in ascending order of their [`classes`] where these differ.
    pub neighbours: Vec<usize>,
    /// The sign of `(a − d) · ((b − d) × (c − d))` for the neighbours a, b, c, d; with a lone pair, d is the centre.
    pub chirality: Chirality,
}

impl StereoCenter {
    /// The handedness for its neighbours in another order; `None` if these are not its neighbours.
    pub fn chirality_for(&self, neighbours: &[usize]) -> Option<Chirality> {
        if neighbours.len() != self.neighbours.len() {
            return None;
        }
        let place = |atom: &usize| self.neighbours.iter().position(|other| other == atom);
        let places = neighbours.iter().map(place).collect::<Option<Vec<_>>>()?;
        let mut odd = false;
        for (i, place) in places.iter().enumerate() {
            for later in &places[i + 1..] {
                if place == later {
                    return None;
                }
                odd ^= place > later;
            }
        }
        Some(if odd {
            self.chirality.mirrored()
        } else {
            self.chirality
        })
    }
}

/// How the reference substituents of a double bond lie.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Arrangement {
    /// On the same side.
    Cis,
    /// On opposite sides.
    Trans,
    /// Exactly perpendicular, or not a number.
    Undecided,
}

impl Arrangement {
    /// How they lie when the substituents of one end are exchanged.
    pub fn exchanged(self) -> Self {
        match self {
            Self::Cis => Self::Trans,
            Self::Trans => Self::Cis,
            Self::Undecided => Self::Undecided,
        }
    }
}

/// A double bond that does not turn, outside rings of fewer than eight atoms.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StereoBond {
    /// The two ends, ascending.
    pub atoms: [usize; 2],
    /// One substituent on each end; the one of the highest class where classes differ.
    pub substituents: [usize; 2],
    /// How these two lie.
    pub arrangement: Arrangement,
}

/// The stereo centres and double bonds of a molecule, in order of their atoms.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stereo {
    /// Tetrahedral centres.
    pub centers: Vec<StereoCenter>,
    /// Double bonds.
    pub double_bonds: Vec<StereoBond>,
}

/// What [`compare`] finds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum StereoMatch {
    /// The same stereoisomer.
    Same,
    /// Every tetrahedral centre is the other way round, and every double bond is the same: a reflection makes them equal.
    Mirror,
    /// Another stereoisomer, which no reflection makes right.
    Other,
}

impl Stereo {
    /// Whether there is nothing to tell apart.
    pub fn is_empty(&self) -> bool {
        self.centers.is_empty() && self.double_bonds.is_empty()
    }

    /// The stereochemistry of the mirror image: centres flip, double bonds stay.
    pub fn mirrored(mut self) -> Self {
        for center in &mut self.centers {
            center.chirality = center.chirality.mirrored();
        }
        self
    }

    /// Whether exchanging atoms (`k` becomes `permutation[k]`) leaves every centre and double bond as it is.
    ///
    /// An automorphism of the bond graph need not: it may exchange the two halves of a *meso* compound.
    pub fn is_kept_by(&self, permutation: &[usize]) -> bool {
        let moved = self.relabelled(|atom| permutation[atom]);
        compare(self, &moved) == StereoMatch::Same
    }

    /// Without flat centres and undecided double bonds: what a drawing in the plane leaves open states nothing.
    pub fn decided(mut self) -> Self {
        self.centers
            .retain(|center| center.chirality != Chirality::Flat);
        self.double_bonds
            .retain(|bond| bond.arrangement != Arrangement::Undecided);
        self
    }

    /// The same stereochemistry with atom `k` called `place(k)`.
    pub(crate) fn relabelled(&self, place: impl Fn(usize) -> usize) -> Self {
        let mut stereo = self.clone();
        for center in &mut stereo.centers {
            center.atom = place(center.atom);
            for atom in &mut center.neighbours {
                *atom = place(*atom);
            }
        }
        for bond in &mut stereo.double_bonds {
            bond.atoms = bond.atoms.map(&place);
            bond.substituents = bond.substituents.map(&place);
            if bond.atoms[0] > bond.atoms[1] {
                bond.atoms.reverse();
                bond.substituents.reverse();
            }
        }
        stereo.centers.sort_unstable_by_key(|center| center.atom);
        stereo.double_bonds.sort_unstable_by_key(|bond| bond.atoms);
        stereo
    }
}

/// Compares every centre and double bond of `reference` with the same one of `sample`; what only `sample` has does not count.
///
/// Atoms are compared by number: a *meso* compound with its two halves exchanged is its [`StereoMatch::Mirror`] image.
pub fn compare(reference: &Stereo, sample: &Stereo) -> StereoMatch {
    let same_bonds = reference.double_bonds.iter().all(|bond| {
        let shown = sample
            .double_bonds
            .iter()
            .find(|other| other.atoms == bond.atoms);
        bond.arrangement != Arrangement::Undecided
            && shown.is_some_and(|shown| {
                let other = |end: usize| shown.substituents[end] != bond.substituents[end];
                let exchanged = other(0) != other(1);
                let arrangement = if exchanged {
                    shown.arrangement.exchanged()
                } else {
                    shown.arrangement
                };
                arrangement == bond.arrangement
            })
    });
    let found = reference.centers.iter().map(|center| {
        let shown = sample
            .centers
            .iter()
            .find(|other| other.atom == center.atom);
        let shown = shown.and_then(|shown| shown.chirality_for(&center.neighbours));
        (center.chirality, shown.unwrap_or(Chirality::Flat))
    });
    let found = found.collect::<Vec<_>>();
    let decided = found.iter().all(|(wanted, _)| *wanted != Chirality::Flat);
    let same = decided && found.iter().all(|(wanted, shown)| wanted == shown);
    let mirror = decided
        && found
            .iter()
            .all(|(wanted, shown)| wanted.mirrored() == *shown);
    if !same_bonds {
        StereoMatch::Other
    } else if same {
        StereoMatch::Same
    } else if mirror {
        StereoMatch::Mirror
    } else {
        StereoMatch::Other
    }
}
