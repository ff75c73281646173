//! Distances, angles and shapes. Positions are flat: atom by atom, x, y, z, in Å.

use nalgebra::Vector3;

/// The position of atom `atom`.
pub(crate) fn point(positions: &[f64], atom: usize) -> Vector3<f64> {
    Vector3::new(
        positions[3 * atom],
        positions[3 * atom + 1],
        positions[3 * atom + 2],
    )
}

/// `a · (b × c)`.
pub(crate) fn triple_product(a: Vector3<f64>, b: Vector3<f64>, c: Vector3<f64>) -> f64 {
    a.dot(&b.cross(&c))
}

/// The distance between two atoms in Å.
pub fn distance(positions: &[f64], [i, j]: [usize; 2]) -> f64 {
    (point(positions, i) - point(positions, j)).norm()
}

/// The angle i–j–k at atom j, in 0…π.
pub fn angle(positions: &[f64], [i, j, k]: [usize; 3]) -> f64 {
    let a = point(positions, i) - point(positions, j);
    let b = point(positions, k) - point(positions, j);
    a.cross(&b).norm().atan2(a.dot(&b))
}

/// The dihedral angle i–j–k–l in −π…π, positive when l is turned clockwise against i looking from j to k (IUPAC).
pub fn dihedral(positions: &[f64], [i, j, k, l]: [usize; 4]) -> f64 {
    let first = point(positions, j) - point(positions, i);
    let axis = point(positions, k) - point(positions, j);
    let last = point(positions, l) - point(positions, k);
    let normal = first.cross(&axis);
    let other = axis.cross(&last);
    (axis.norm() * first.dot(&other)).atan2(normal.dot(&other))
}

/// The mean position; the origin for no atoms.
pub fn centroid(positions: &[f64]) -> [f64; 3] {
    let count = (positions.len() / 3).max(1) as f64;
    let mut mean = [0.0; 3];
    for atom in positions.chunks_exact(3) {
        for axis in 0..3 {
            mean[axis] += atom[axis] / count;
        }
    }
    mean
}

/// `√(Σ mᵢ |xᵢ − x̄|² / Σ mᵢ)` about the centre of mass, in Å; `masses` in any unit, 0 for no atoms.
///
/// # Panics
/// If there are not as many masses as atoms: that is a bug of the caller.
pub fn radius_of_gyration(positions: &[f64], masses: &[f64]) -> f64 {
    assert_eq!(positions.len(), 3 * masses.len(), "one mass for each atom");
    let total = masses.iter().sum::<f64>();
    if masses.is_empty() {
        return 0.0;
    }
    let weighted = |(atom, mass): (usize, &f64)| point(positions, atom) * *mass;
    let center = masses
        .iter()
        .enumerate()
        .map(weighted)
        .sum::<Vector3<f64>>()
        / total;
    let spread = masses.iter().enumerate();
    let spread = spread.map(|(atom, mass)| mass * (point(positions, atom) - center).norm_squared());
    (spread.sum::<f64>() / total).sqrt()
}

/// Reflects positions through the origin: the mirror image, up to a rotation.
pub fn mirror(positions: &mut [f64]) {
    for coordinate in positions {
        *coordinate = -*coordinate;
    }
}

#[cfg(test)]
mod tests {
    use std::f64::consts::{FRAC_PI_2, PI};

    use approx::assert_relative_eq;

    use super::*;

    /// Four atoms around the z axis: the last is turned by `turn` against the first.
    fn twist(turn: f64) -> Vec<f64> {
        // Looking along +z, clockwise is from x towards y.
        vec![
            1.0,
            0.0,
            0.0,
            0.0,
            0.0,
            0.0,
            0.0,
            0.0,
            1.5,
            turn.cos(),
            turn.sin(),
            1.5,
        ]
    }

    #[test]
    fn a_dihedral_is_the_turn_of_its_last_atom() {
        for turn in [-3.0, -1.0, 0.0, 0.5, FRAC_PI_2, 3.0] {
            assert_relative_eq!(dihedral(&twist(turn), [0, 1, 2, 3]), turn, epsilon = 1e-12);
            assert_relative_eq!(dihedral(&twist(turn), [3, 2, 1, 0]), turn, epsilon = 1e-12);
        }
        assert_relative_eq!(
            dihedral(&twist(PI), [0, 1, 2, 3]).abs(),
            PI,
            epsilon = 1e-12
        );
    }

    #[test]
    fn a_mirror_turns_dihedrals_round_and_keeps_angles() {
        let mut x = twist(1.0);
        mirror(&mut x);
        assert_relative_eq!(dihedral(&x, [0, 1, 2, 3]), -1.0, epsilon = 1e-12);
        assert_relative_eq!(angle(&x, [0, 1, 2]), FRAC_PI_2, epsilon = 1e-12);
        assert_relative_eq!(distance(&x, [1, 2]), 1.5, epsilon = 1e-12);
    }

    #[test]
    fn the_radius_of_gyration_of_a_dumbbell_is_half_its_length() {
        let x = [0.0, 0.0, 0.0, 0.0, 0.0, 3.0];
        assert_relative_eq!(radius_of_gyration(&x, &[2.0, 2.0]), 1.5, epsilon = 1e-12);
        // m₁m₂/(m₁+m₂)² · d² for unequal masses
        assert_relative_eq!(
            radius_of_gyration(&x, &[1.0, 3.0]),
            (3.0_f64 / 16.0 * 9.0).sqrt(),
            epsilon = 1e-12
        );
        assert_eq!(radius_of_gyration(&[], &[]).to_bits(), 0.0_f64.to_bits());
    }
}
