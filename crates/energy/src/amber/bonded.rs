//! Terms of atoms that are bonded.

use super::elementary::angle;
use super::point::{Point, accumulate, cross, dot, minus, scaled_sum};
use super::tables::{Angle, Bond, Torsion};
use super::vector::Vector;

/// `Σ k (r − r₀)²`.
#[inline(always)]
pub(super) fn bonds<V: Vector>(bonds: &[Bond], x: &[Point<V>], gradient: &mut [Point<V>]) -> V {
    let mut total = V::splat(0.0);
    for bond in bonds {
        let [i, j] = bond.atoms;
        let d = minus(x[i], x[j]);
        let r = dot(d, d).sqrt();
        let pull = V::splat(bond.stiffness) * (r - V::splat(bond.length));
        total = pull.fma(r - V::splat(bond.length), total);
        let slope = (pull + pull) / r;
        accumulate(&mut gradient[i], d, slope);
        accumulate(&mut gradient[j], d, V::splat(0.0) - slope);
    }
    total
}

/// `Σ k (θ − θ₀)²`.
///
/// The strain is found as the angle between the two angles, by the addition theorems, which stays exact at 0 and π.
#[inline(always)]
pub(super) fn angles<V: Vector>(angles: &[Angle], x: &[Point<V>], gradient: &mut [Point<V>]) -> V {
    let mut total = V::splat(0.0);
    for term in angles {
        let [i, j, k] = term.atoms;
        let (u, v) = (minus(x[i], x[j]), minus(x[k], x[j]));
        let (uu, vv) = (dot(u, u), dot(v, v));
        let inverse = V::splat(1.0) / (uu * vv).sqrt();
        let normal = cross(u, v);
        let cosine = dot(u, v) * inverse;
        let sine = dot(normal, normal).sqrt() * inverse;
        let (sine0, cosine0) = (V::splat(term.sine), V::splat(term.cosine));
        let strain = angle(
            sine * cosine0 - cosine * sine0,
            cosine.fma(cosine0, sine * sine0),
        );
        let pull = V::splat(term.stiffness) * strain;
        total = pull.fma(strain, total);
        let slope = (pull + pull) / sine.max(V::splat(1e-9));
        let across = V::splat(0.0) - slope * inverse;
        let at_i = scaled_sum(u, slope * cosine / uu, v, across);
        let at_k = scaled_sum(v, slope * cosine / vv, u, across);
        accumulate(&mut gradient[i], at_i, V::splat(1.0));
        accumulate(&mut gradient[k], at_k, V::splat(1.0));
        accumulate(&mut gradient[j], at_i, V::splat(-1.0));
        accumulate(&mut gradient[j], at_k, V::splat(-1.0));
    }
    total
}

/// `Σ c + Σ_n (a_n cos nφ + b_n sin nφ)`, proper and improper; multiples of the angle by rotation, no angle is ever taken.
/// Derivatives of φ after Blondel and Karplus (1996).
#[inline(always)]
pub(super) fn torsions<V: Vector>(
    torsions: &[Torsion],
    x: &[Point<V>],
    gradient: &mut [Point<V>],
) -> V {
    let mut total = V::splat(0.0);
    for term in torsions {
        let [i, j, k, l] = term.atoms;
        let (b1, b2, b3) = (minus(x[j], x[i]), minus(x[k], x[j]), minus(x[l], x[k]));
        let (m, n) = (cross(b1, b2), cross(b2, b3));
        let (mm, nn, bb) = (dot(m, m), dot(n, n), dot(b2, b2));
        let inverse = V::splat(1.0) / (mm * nn).sqrt();
        let length = bb.sqrt();
        let cosine = dot(m, n) * inverse;
        let sine = length * dot(b1, n) * inverse;
        let (mut c, mut s) = (cosine, sine);
        let mut energy = V::splat(term.constant);
        let mut slope = V::splat(0.0);
        for (index, [a, b]) in term.harmonics.iter().enumerate() {
            if index > 0 {
                (c, s) = (c * cosine - s * sine, s.fma(cosine, c * sine));
            }
            let (a, b) = (V::splat(*a), V::splat(*b));
            energy = a.fma(c, b.fma(s, energy));
            slope = V::splat((index + 1) as f64).fma(b * c - a * s, slope);
        }
        total = total + energy;
        let (over_mm, over_nn) = (slope / mm, slope / nn);
        let over_length = V::splat(1.0) / length;
        let at_i = V::splat(0.0) - length * over_mm;
        let at_l = length * over_nn;
        // (F·G)/(A²|G|) and (H·G)/(B²|G|) of that paper.
        let first = dot(b1, b2) * over_mm * over_length;
        let second = V::splat(0.0) - dot(b3, b2) * over_nn * over_length;
        accumulate(&mut gradient[i], m, at_i);
        accumulate(&mut gradient[l], n, at_l);
        let inner = scaled_sum(m, first, n, V::splat(0.0) - second);
        accumulate(&mut gradient[j], inner, V::splat(1.0));
        accumulate(&mut gradient[j], m, V::splat(0.0) - at_i);
        accumulate(&mut gradient[k], inner, V::splat(-1.0));
        accumulate(&mut gradient[k], n, V::splat(0.0) - at_l);
    }
    total
}
