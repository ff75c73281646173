//! Terms of pairs of atoms, and the generalised Born model.

use super::elementary::{exp, ln, tanh};
use super::kernel::{BORN, COULOMB, LENNARD_JONES, SURFACE, Scratch, TERMS};
use super::point::{accumulate, dot, minus};
use super::tables::{Pair, Rescaling, Sphere, Tables};
use super::vector::Vector;

/// What is known of a pair at distance `r`.
struct Distance<V> {
    squared: V,
    inverse: V,
}

/// Lennard-Jones and Coulomb energy, and the derivative of their sum by `r`, over `r`.
#[inline(always)]
fn direct<V: Vector>(pair: &Pair, distance: &Distance<V>, terms: &mut [V; TERMS]) -> V {
    let inverse2 = distance.inverse * distance.inverse;
    let inverse6 = inverse2 * inverse2 * inverse2;
    let repulsion = V::splat(pair.repulsion) * inverse6;
    let dispersion = V::splat(pair.dispersion);
    let coulomb = V::splat(pair.coulomb) * distance.inverse;
    terms[LENNARD_JONES] = inverse6.fma(repulsion - dispersion, terms[LENNARD_JONES]);
    terms[COULOMB] = terms[COULOMB] + coulomb;
    let strength = inverse6 * (V::splat(6.0) * dispersion - V::splat(12.0) * repulsion);
    (strength - coulomb) * inverse2
}

/// Lennard-Jones and Coulomb energy of all pairs, without a cutoff.
#[inline(always)]
pub(super) fn vacuum<V: Vector>(tables: &Tables, scratch: &mut Scratch<V>, terms: &mut [V; TERMS]) {
    let (x, gradient) = (&scratch.x[..], &mut scratch.gradient[..]);
    for i in 0..tables.atoms {
        let here = x[i];
        let mut pull = [V::splat(0.0); 3];
        for pair in &tables.pairs[tables.rows[i]..tables.rows[i + 1]] {
            let d = minus(here, x[pair.other]);
            let squared = dot(d, d);
            let distance = Distance {
                squared,
                inverse: V::splat(1.0) / squared.sqrt(),
            };
            let slope = direct(pair, &distance, terms);
            accumulate(&mut pull, d, slope);
            accumulate(&mut gradient[pair.other], d, V::splat(0.0) - slope);
        }
        accumulate(&mut gradient[i], pull, V::splat(1.0));
    }
}

/// All pairs in implicit water: generalised Born energy (Hawkins, Cramer and Truhlar, 1996; Onufriev, Bashford and Case, 2004) and the
/// surface term of the analytical continuum electrostatics model (Schaefer, Bartels and Karplus, 1998).
#[inline(always)]
pub(super) fn solvent<V: Vector>(
    tables: &Tables,
    scratch: &mut Scratch<V>,
    terms: &mut [V; TERMS],
) {
    descreen(tables, scratch, terms);
    born_radii(tables, scratch, terms);
    born_energy(tables, scratch, terms);
    chain(tables, scratch);
}

/// Direct terms of all pairs, and the descreening integral of every atom with its derivatives.
#[inline(always)]
fn descreen<V: Vector>(tables: &Tables, scratch: &mut Scratch<V>, terms: &mut [V; TERMS]) {
    let x = &scratch.x[..];
    scratch.integral.fill(V::splat(0.0));
    for i in 0..tables.atoms {
        let here = x[i];
        let row = tables.rows[i]..tables.rows[i + 1];
        let mut integral = V::splat(0.0);
        for (pair, work) in tables.pairs[row.clone()]
            .iter()
            .zip(&mut scratch.pairs[row])
        {
            let d = minus(here, x[pair.other]);
            let squared = dot(d, d);
            let distance = Distance {
                squared,
                inverse: V::splat(1.0) / squared.sqrt(),
            };
            work.squared = squared;
            work.slope = direct(pair, &distance, terms);
            let (here, other) = (&tables.spheres[i], &tables.spheres[pair.other]);
            let (own, slope) = integral_of(here, other, &distance);
            integral = integral + own;
            work.integral_slopes[0] = slope;
            let (others, slope) = integral_of(other, here, &distance);
            scratch.integral[pair.other] = scratch.integral[pair.other] + others;
            work.integral_slopes[1] = slope;
        }
        scratch.integral[i] = scratch.integral[i] + integral;
    }
}

/// How much `other` takes from `1/ρ` of `here`, and the derivative of that by `r`, over `r`.
///
/// With `U = r + s` and `L = max(ρ, |r − s|)`: `½ [1/L − 1/U + ¼ (r − s²/r)(1/U² − 1/L²) + ½ ln(L/U)/r]`, plus `1/ρ − 1/L` where ρ lies
/// inside; nothing where `U ≤ ρ`. The derivatives through `L` and `U` vanish.
#[inline(always)]
fn integral_of<V: Vector>(here: &Sphere, other: &Sphere, distance: &Distance<V>) -> (V, V) {
    let (rho, s) = (V::splat(here.reduced), V::splat(other.scaled));
    let inverse = distance.inverse;
    let r = distance.squared * inverse;
    let upper = r + s;
    let lower = (r - s).abs().max(rho);
    let product = V::splat(1.0) / (upper * lower);
    let (l, u) = (product * upper, product * lower);
    let squares = V::splat(0.25) * (u * u - l * l);
    let logarithm = V::splat(0.5) * ln(lower * u) * inverse;
    let ratio = s * inverse;
    let value = squares.fma(r - s * ratio, logarithm) + (l - u);
    let inside = V::splat(2.0) * (V::splat(1.0 / here.reduced) - l);
    let value = value + rho.select_less(s - r, inside, V::splat(0.0));
    let slope = squares.fma(
        ratio.fma(ratio, V::splat(1.0)),
        V::splat(0.0) - logarithm * inverse,
    ) * inverse;
    let (half, zero) = (V::splat(0.5), V::splat(0.0));
    (
        rho.select_less(upper, half * value, zero),
        rho.select_less(upper, half * slope, zero),
    )
}

/// Born radii, their derivatives by the integrals, and what depends on one radius only.
#[inline(always)]
fn born_radii<V: Vector>(tables: &Tables, scratch: &mut Scratch<V>, terms: &mut [V; TERMS]) {
    let one = V::splat(1.0);
    for (i, sphere) in tables.spheres.iter().enumerate() {
        let integral = scratch.integral[i];
        let rho = V::splat(sphere.reduced);
        let (inverse, slope) = match tables.rescaling {
            Rescaling::None => (V::splat(1.0 / sphere.reduced) - integral, one),
            Rescaling::Tanh { alpha, beta, gamma } => {
                let (alpha, beta, gamma) = (V::splat(alpha), V::splat(-beta), V::splat(gamma));
                let psi = rho * integral;
                let t = tanh(psi * psi.fma(psi.fma(gamma, beta), alpha));
                let stretch = psi.fma(psi.fma(V::splat(3.0) * gamma, beta + beta), alpha);
                let over = V::splat(1.0 / sphere.radius);
                (
                    V::splat(1.0 / sphere.reduced) - t * over,
                    (one - t * t) * stretch * rho * over,
                )
            }
        };
        let born = one / inverse;
        scratch.born[i] = born;
        scratch.inverse_born[i] = inverse;
        scratch.integral[i] = born * born * slope;
        let own = V::splat(sphere.own) * inverse;
        let cube = inverse * inverse * inverse;
        let surface = V::splat(sphere.surface) * cube * cube;
        terms[BORN] = terms[BORN] + own;
        terms[SURFACE] = terms[SURFACE] + surface;
        scratch.born_slope[i] = (V::splat(-6.0) * surface - own) * inverse;
    }
}

/// `Σ P q_i q_j / f`, `f² = r² + B_i B_j exp(−r² / 4 B_i B_j)`, and its derivatives by distances and Born radii.
#[inline(always)]
fn born_energy<V: Vector>(tables: &Tables, scratch: &mut Scratch<V>, terms: &mut [V; TERMS]) {
    let one = V::splat(1.0);
    for i in 0..tables.atoms {
        let (born, inverse_born) = (scratch.born[i], scratch.inverse_born[i]);
        let row = tables.rows[i]..tables.rows[i + 1];
        let mut born_slope = V::splat(0.0);
        for (pair, work) in tables.pairs[row.clone()]
            .iter()
            .zip(&mut scratch.pairs[row])
        {
            let other = scratch.born[pair.other];
            let d = V::splat(0.25) * work.squared * inverse_born * scratch.inverse_born[pair.other];
            let decay = exp(V::splat(0.0) - d);
            let inverse = one / (born * other).fma(decay, work.squared).sqrt();
            let energy = V::splat(pair.born) * inverse;
            terms[BORN] = terms[BORN] + energy;
            // dE/d(f²), twice.
            let slope = V::splat(0.0) - energy * inverse * inverse;
            work.slope = slope.fma(decay.fma(V::splat(-0.25), one), work.slope);
            let radii = V::splat(0.5) * slope * decay * (one + d);
            born_slope = radii.fma(other, born_slope);
            scratch.born_slope[pair.other] = radii.fma(born, scratch.born_slope[pair.other]);
        }
        scratch.born_slope[i] = scratch.born_slope[i] + born_slope;
    }
}

/// The gradient: what pulls along each distance, including through the Born radii.
#[inline(always)]
fn chain<V: Vector>(tables: &Tables, scratch: &mut Scratch<V>) {
    let (x, gradient) = (&scratch.x[..], &mut scratch.gradient[..]);
    for (slope, factor) in scratch.born_slope.iter_mut().zip(&scratch.integral) {
        *slope = *slope * *factor;
    }
    for i in 0..tables.atoms {
        let (here, own) = (x[i], scratch.born_slope[i]);
        let row = tables.rows[i]..tables.rows[i + 1];
        let mut pull = [V::splat(0.0); 3];
        for (pair, work) in tables.pairs[row.clone()].iter().zip(&scratch.pairs[row]) {
            let [first, second] = work.integral_slopes;
            let slope = own.fma(
                first,
                scratch.born_slope[pair.other].fma(second, work.slope),
            );
            let d = minus(here, x[pair.other]);
            accumulate(&mut pull, d, slope);
            accumulate(&mut gradient[pair.other], d, V::splat(0.0) - slope);
        }
        accumulate(&mut gradient[i], pull, V::splat(1.0));
    }
}
