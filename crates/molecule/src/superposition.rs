//! Laying one conformer over another.

use nalgebra::{Matrix3, SVD, Vector3};

use crate::geometry::point;
use crate::{Automorphisms, Molecule, MoleculeError};

/// Whether a superposition may turn a conformer into its mirror image.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Reflections {
    /// Rotations only: what molecules need.
    Excluded,
    /// Reflections too: for clusters, and densities that are symmetric under O(3) on purpose.
    Allowed,
}

/// The rigid motion `x ↦ R (x − from) + to` that lays one conformer over another.
#[derive(Clone, Debug, PartialEq)]
pub struct Superposition {
    /// Orthogonal matrix `R`, row by row; its determinant is −1 only where reflections are allowed.
    pub rotation: [[f64; 3]; 3],
    /// Centroid of the conformer that moves.
    pub from: [f64; 3],
    /// Centroid of the conformer that stays.
    pub to: [f64; 3],
    /// `√(Σ wᵢ |R (xᵢ − from) + to − yᵢ|² / Σ wᵢ)` in Å.
    pub rmsd: f64,
}

impl Superposition {
    /// Moves positions by this motion.
    pub fn apply(&self, positions: &mut [f64]) {
        for atom in positions.chunks_exact_mut(3) {
            let x = [
                atom[0] - self.from[0],
                atom[1] - self.from[1],
                atom[2] - self.from[2],
            ];
            for (axis, row) in self.rotation.iter().enumerate() {
                atom[axis] = row[0] * x[0] + row[1] * x[1] + row[2] * x[2] + self.to[axis];
            }
        }
    }
}

/// The motion that brings `mobile` closest to `target` in the least-squares sense (Kabsch, 1976), positions flat, in Å.
///
/// `weights` (masses, say) default to one. Coordinates that are not finite give no rotation and an RMSD that is NaN.
///
/// # Panics
/// If the conformers, or the weights, are of different numbers of atoms: that is a bug of the caller.
pub fn superpose(
    mobile: &[f64],
    target: &[f64],
    weights: Option<&[f64]>,
    reflections: Reflections,
) -> Superposition {
    let atoms = mobile.len() / 3;
    assert_eq!(
        mobile.len(),
        target.len(),
        "conformers of different numbers of atoms"
    );
    assert!(
        weights.is_none_or(|weights| weights.len() == atoms),
        "one weight for each atom"
    );
    let weight = |atom: usize| weights.map_or(1.0, |weights| weights[atom]);
    let total = (0..atoms).map(weight).sum::<f64>();
    let center = |x: &[f64]| {
        let sum = (0..atoms)
            .map(|atom| point(x, atom) * weight(atom))
            .sum::<Vector3<f64>>();
        if atoms == 0 { sum } else { sum / total }
    };
    let (from, to) = (center(mobile), center(target));
    let mut covariance = Matrix3::zeros();
    let mut spread = 0.0;
    for atom in 0..atoms {
        let (x, y) = (point(mobile, atom) - from, point(target, atom) - to);
        covariance += y * x.transpose() * weight(atom);
        spread += weight(atom) * (x.norm_squared() + y.norm_squared());
    }
    let (rotation, _) = best_rotation(&covariance, reflections);
    // From the residuals rather than from the singular values: exact to rounding where conformers agree.
    let residual = (0..atoms).map(|atom| {
        let moved = rotation * (point(mobile, atom) - from);
        weight(atom) * (moved - (point(target, atom) - to)).norm_squared()
    });
    let rmsd = match atoms {
        0 => 0.0,
        _ if spread.is_finite() => (residual.sum::<f64>() / total).sqrt(),
        _ => f64::NAN,
    };
    let row = |i: usize| [rotation[(i, 0)], rotation[(i, 1)], rotation[(i, 2)]];
    Superposition {
        rotation: [row(0), row(1), row(2)],
        from: from.into(),
        to: to.into(),
        rmsd,
    }
}

/// The orthogonal `R` that maximises `tr(R Cᵀ)` for the covariance `C = Σ y xᵀ`, and that maximum.
fn best_rotation(covariance: &Matrix3<f64>, reflections: Reflections) -> (Matrix3<f64>, f64) {
    let nothing = (Matrix3::identity(), covariance.trace());
    if !covariance.iter().all(|entry| entry.is_finite()) {
        return nothing;
    }
    let Some(svd) = SVD::try_new(*covariance, true, true, f64::EPSILON, 1000) else {
        return nothing;
    };
    let (Some(u), Some(v_t)) = (svd.u, svd.v_t) else {
        return nothing;
    };
    let mut signs = Vector3::repeat(1.0);
    if reflections == Reflections::Excluded && (u * v_t).determinant() < 0.0 {
        signs[svd.singular_values.imin()] = -1.0;
    }
    let rotation = u * Matrix3::from_diagonal(&signs) * v_t;
    (rotation, svd.singular_values.dot(&signs))
}

/// The RMSD of two conformers after superposition without reflection, in Å.
///
/// # Panics
/// As [`superpose`].
pub fn rmsd(a: &[f64], b: &[f64]) -> f64 {
    superpose(a, b, None, Reflections::Excluded).rmsd
}

/// Heavy-atom RMSD of conformers of one molecule, with equivalent atoms exchanged as fits best.
///
/// `min over π of √(Σ |R x_π(i) + t − y_i|² / n)`, π the automorphisms of the heavy-atom graph with its hydrogen counts, R a rotation.
#[derive(Clone, Debug)]
pub struct SymmetricRmsd {
    atoms: usize,
    heavy: Vec<usize>,
    automorphisms: Automorphisms,
}

impl SymmetricRmsd {
    /// For conformers of `molecule`, considering at most `limit` automorphisms.
    pub fn new(molecule: &Molecule, limit: usize) -> Self {
        Self {
            atoms: molecule.len(),
            heavy: molecule.heavy_atoms(),
            automorphisms: crate::heavy_automorphisms(molecule, limit),
        }
    }

    /// Whether all automorphisms are considered; if not, what [`Self::between`] gives is an upper bound.
    pub fn is_exact(&self) -> bool {
        self.automorphisms.complete
    }

    /// The RMSD between two conformers in Å; 0 without heavy atoms.
    ///
    /// # Errors
    /// Positions of another number of atoms.
    pub fn between(&self, a: &[f64], b: &[f64]) -> Result<f64, MoleculeError> {
        for x in [a, b] {
            if x.len() != 3 * self.atoms {
                return Err(MoleculeError::Coordinates {
                    found: x.len(),
                    atoms: self.atoms,
                });
            }
        }
        let count = self.heavy.len();
        if count == 0 {
            return Ok(0.0);
        }
        let centred = |x: &[f64]| {
            let points = self
                .heavy
                .iter()
                .map(|&atom| point(x, atom))
                .collect::<Vec<_>>();
            let center = points.iter().sum::<Vector3<f64>>() / count as f64;
            points
                .into_iter()
                .map(|point| point - center)
                .collect::<Vec<_>>()
        };
        let (a, b) = (centred(a), centred(b));
        let spread = a.iter().chain(&b).map(Vector3::norm_squared).sum::<f64>();
        if !spread.is_finite() {
            return Ok(f64::NAN);
        }
        let mut best = None::<(f64, Matrix3<f64>, &[usize])>;
        for permutation in &self.automorphisms.permutations {
            let mut covariance = Matrix3::zeros();
            for (k, &image) in permutation.iter().enumerate() {
                covariance += b[k] * a[image].transpose();
            }
            let (rotation, overlap) = best_rotation(&covariance, Reflections::Excluded);
            if best.as_ref().is_none_or(|(found, ..)| overlap > *found) {
                best = Some((overlap, rotation, permutation));
            }
        }
        let Some((_, rotation, permutation)) = best else {
            return Ok(f64::NAN);
        };
        let residual = permutation.iter().enumerate();
        let residual = residual.map(|(k, &image)| (rotation * a[image] - b[k]).norm_squared());
        Ok((residual.sum::<f64>() / count as f64).sqrt())
    }
}

#[cfg(test)]
mod tests {
    use approx::assert_relative_eq;
    use nalgebra::{Rotation3, Unit};

    use super::*;
    use crate::embed;
    use crate::geometry::{dihedral, mirror};

    fn turned(x: &[f64], axis: [f64; 3], angle: f64) -> Vec<f64> {
        let rotation = Rotation3::from_axis_angle(&Unit::new_normalize(Vector3::from(axis)), angle);
        (0..x.len() / 3)
            .flat_map(|atom| {
                let moved = rotation * point(x, atom) + Vector3::new(3.0, -1.0, 0.5);
                [moved.x, moved.y, moved.z]
            })
            .collect()
    }

    fn conformer(smiles: &str) -> (Molecule, Vec<f64>) {
        let molecule = Molecule::from_smiles(smiles).unwrap();
        let x = embed(&molecule, 11, 1).unwrap().into_positions();
        (molecule, x)
    }

    #[test]
    fn superposition_undoes_any_rotation_and_shift() {
        let (_, x) = conformer("CC(=O)N[C@@H](C)C(=O)NC");
        for angle in [0.0, 1e-6, 0.3, 1.7, std::f64::consts::PI] {
            for axis in [[1.0, 0.0, 0.0], [1.0, -2.0, 0.5], [0.1, 1.0, 1.0]] {
                let y = turned(&x, axis, angle);
                for reflections in [Reflections::Excluded, Reflections::Allowed] {
                    let found = superpose(&x, &y, None, reflections);
                    assert!(found.rmsd < 1e-12, "{}", found.rmsd);
                    let mut moved = x.clone();
                    found.apply(&mut moved);
                    assert_relative_eq!(moved[..], y[..], epsilon = 1e-11);
                }
            }
        }
    }

    #[test]
    fn a_mirror_image_is_reached_only_where_reflections_are_allowed() {
        let (_, x) = conformer("CC(=O)N[C@@H](C)C(=O)NC");
        let mut image = turned(&x, [1.0, 2.0, 3.0], 2.0);
        mirror(&mut image);
        assert!(superpose(&x, &image, None, Reflections::Allowed).rmsd < 1e-12);
        let rotation = superpose(&x, &image, None, Reflections::Excluded);
        assert!(rotation.rmsd > 0.1);
        let matrix = Matrix3::from_fn(|i, j| rotation.rotation[i][j]);
        assert_relative_eq!(matrix.determinant(), 1.0, epsilon = 1e-12);
    }

    #[test]
    fn planar_and_linear_conformers_are_superposed_by_rotations() {
        for x in [
            vec![0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 2.0, 0.0, 1.0, 3.0, 0.0],
            vec![0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 5.0, 0.0, 0.0],
            vec![1.0, 2.0, 3.0],
            vec![],
        ] {
            let y = turned(&x, [1.0, 2.0, -1.0], 2.5);
            assert!(rmsd(&x, &y) < 1e-12);
        }
    }

    #[test]
    fn a_tiny_weight_takes_an_atom_out() {
        let (molecule, x) = conformer("CCCC");
        let mut y = turned(&x, [0.0, 1.0, 1.0], 1.0);
        y[0] += 2.0;
        let mut weights = vec![1.0; molecule.len()];
        assert!(superpose(&x, &y, Some(&weights), Reflections::Excluded).rmsd > 0.1);
        weights[0] = 0.0;
        assert!(superpose(&x, &y, Some(&weights), Reflections::Excluded).rmsd < 1e-12);
    }

    #[test]
    fn coordinates_that_are_no_numbers_give_no_number() {
        let (molecule, x) = conformer("CCCC");
        let mut y = x.clone();
        y[4] = f64::NAN;
        assert!(rmsd(&x, &y).is_nan());
        let symmetric = SymmetricRmsd::new(&molecule, 100);
        assert!(symmetric.between(&x, &y).unwrap().is_nan());
        assert!(symmetric.between(&x, &y[3..]).is_err());
    }

    #[test]
    fn exchanging_equivalent_atoms_does_not_change_the_symmetric_rmsd() {
        let (molecule, x) = conformer("CC(C)(C)c1ccc(C(F)(F)F)cc1");
        let symmetric = SymmetricRmsd::new(&molecule, 100_000);
        assert!(symmetric.is_exact());
        let y = embed(&molecule, 12, 1).unwrap().into_positions();
        let plain = symmetric.between(&x, &y).unwrap();
        assert_relative_eq!(symmetric.between(&y, &x).unwrap(), plain, epsilon = 1e-9);
        for permutation in crate::automorphisms(&molecule, 500)
            .permutations
            .iter()
            .step_by(37)
        {
            let relabelled = permutation
                .iter()
                .flat_map(|&atom| [x[3 * atom], x[3 * atom + 1], x[3 * atom + 2]]);
            let relabelled = relabelled.collect::<Vec<_>>();
            assert!(symmetric.between(&x, &relabelled).unwrap() < 1e-9);
            assert_relative_eq!(
                symmetric.between(&relabelled, &y).unwrap(),
                plain,
                epsilon = 1e-9
            );
        }
    }

    #[test]
    fn the_symmetric_rmsd_ignores_hydrogens_and_is_never_above_the_plain_one() {
        let molecule = Molecule::from_smiles("CCCC").unwrap();
        let conformers = embed(&molecule, 5, 6).unwrap();
        let symmetric = SymmetricRmsd::new(&molecule, 100);
        let heavy = |x: &[f64]| x[..12].to_vec();
        for x in &conformers {
            for y in &conformers {
                let found = symmetric.between(x, y).unwrap();
                assert!(found <= rmsd(&heavy(x), &heavy(y)) + 1e-12);
                let [a, b] = [x, y].map(|x| dihedral(x, [0, 1, 2, 3]));
                assert_eq!(found > 0.2, (a - b).cos() < 0.9, "{found} for {a} and {b}");
            }
        }
    }
}
