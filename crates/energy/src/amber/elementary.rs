//! Elementary functions of [`Vector`]s, to a few units in the last place, without branches.

use super::vector::Vector;

/// `c_0 + c_1 x + c_2 x² + …`
#[inline(always)]
fn polynomial<V: Vector>(x: V, coefficients: &[f64]) -> V {
    let Some((last, rest)) = coefficients.split_last() else {
        return V::splat(0.0);
    };
    rest.iter()
        .rev()
        .fold(V::splat(*last), |sum, &c| sum.fma(x, V::splat(c)))
}

/// `1 / k!`
const EXP: [f64; 14] = {
    let mut coefficients = [1.0; 14];
    let mut k = 1;
    while k < 14 {
        coefficients[k] = coefficients[k - 1] / k as f64;
        k += 1;
    }
    coefficients
};

/// `exp(x)`; arguments outside ±700 are taken as ±700.
#[inline(always)]
pub(super) fn exp<V: Vector>(x: V) -> V {
    // ln 2 in two pieces, the first with zeros at its end, so that n · LN2_HIGH is exact.
    const LN2_HIGH: f64 = f64::from_bits(std::f64::consts::LN_2.to_bits() & !0xffff_ffff);
    const LN2_LOW: f64 = 2.319_046_813_846_3e-17 + (std::f64::consts::LN_2 - LN2_HIGH);
    const MAGIC: f64 = 6_755_399_441_055_744.0;
    let x = V::splat(-700.0).max(x);
    let x = V::splat(700.0).select_less(x, V::splat(700.0), x);
    let n = x.fma(V::splat(std::f64::consts::LOG2_E), V::splat(MAGIC)) - V::splat(MAGIC);
    let r = n.fma(V::splat(-LN2_HIGH), x);
    let r = n.fma(V::splat(-LN2_LOW), r);
    polynomial(r, &EXP) * n.power_of_two()
}

/// `2 / (2k + 1)`, of `ln((1 + y) / (1 − y)) = Σ 2 y^(2k+1) / (2k + 1)`.
const LN: [f64; 11] = {
    let mut coefficients = [2.0; 11];
    let mut k = 0;
    while k < 11 {
        coefficients[k] = 2.0 / (2 * k + 1) as f64;
        k += 1;
    }
    coefficients
};

/// `ln x` of positive normal numbers.
#[inline(always)]
pub(super) fn ln<V: Vector>(x: V) -> V {
    let (m, e) = x.split();
    let y = (m - V::splat(1.0)) / (m + V::splat(1.0));
    let series = y * polynomial(y * y, &LN);
    e.fma(V::splat(std::f64::consts::LN_2), series)
}

/// `tanh x`.
#[inline(always)]
pub(super) fn tanh<V: Vector>(x: V) -> V {
    V::splat(1.0) - V::splat(2.0) / (exp(x + x) + V::splat(1.0))
}

/// `(−1)^k / (2k + 1)`, of `arctan t = Σ (−1)^k t^(2k+1) / (2k + 1)`.
const ARCTAN: [f64; 12] = {
    let mut coefficients = [1.0; 12];
    let mut k = 0;
    while k < 12 {
        let sign = if k % 2 == 0 { 1.0 } else { -1.0 };
        coefficients[k] = sign / (2 * k + 1) as f64;
        k += 1;
    }
    coefficients
};

/// The angle in (−π, π) of the direction `(cosine, sine)`, which must be of unit length.
///
/// `tan(a/2) = sin a / (1 + cos a)`, halved three times more, where the series of the arctangent converges quickly.
#[inline(always)]
pub(super) fn angle<V: Vector>(sine: V, cosine: V) -> V {
    let one = V::splat(1.0);
    let tiny = V::splat(1e-16);
    let mut t = sine / (one + cosine).max(tiny);
    for _ in 0..3 {
        t = t / (one + t.fma(t, one).sqrt());
    }
    t * V::splat(16.0) * polynomial(t * t, &ARCTAN)
}

#[cfg(test)]
mod tests {
    use super::super::vector::Scalar;
    use super::*;

    type Number = Scalar<false>;

    fn off(found: Number, expected: f64) -> f64 {
        (found.lane(0) - expected).abs() / expected.abs().max(1.0)
    }

    #[test]
    fn elementary_functions_are_those_of_the_standard_library() {
        for k in -2000..2000 {
            let x = f64::from(k) * 0.0173;
            let v = Number::splat(x);
            assert!(off(exp(v), x.exp()) < 1e-15, "exp {x}");
            assert!(off(tanh(v), x.tanh()) < 1e-15, "tanh {x}");
            assert!(off(ln(exp(v)), x) < 1e-14, "ln exp {x}");
            let y = 1e-3 * f64::from(k + 2001);
            assert!(off(ln(Number::splat(y)), y.ln()) < 5e-16, "ln {y}");
            let a = f64::from(k) * 0.00157;
            let found = angle(Number::splat(a.sin()), Number::splat(a.cos()));
            assert!(off(found, a) < 1e-13, "angle {a}: {}", found.lane(0) - a);
        }
    }

    #[test]
    fn the_exponential_of_a_large_argument_is_finite() {
        assert!(exp(Number::splat(-1e9)).lane(0) < 1e-300);
        assert!(exp(Number::splat(1e9)).lane(0).is_finite());
    }
}
