//! Elementwise loops that LLVM vectorises, at the best level that the processor has.
//!
//! The level is chosen at run time, so one binary serves every x86-64 machine; [`Level::pin`] fixes it, because results are
//! bit-identical only within one level.

use std::ops::{Add, AddAssign, Div, Mul, Neg, Sub};
use std::sync::OnceLock;

use burn::tensor::Element;
use serde::{Deserialize, Serialize};

/// Which vector instructions our loops use.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Level {
    /// What the build's target guarantees.
    Baseline,
    /// AVX2 with fused multiply-add.
    Avx2,
    /// AVX-512 F, VL and DQ.
    Avx512,
}

static LEVEL: OnceLock<Level> = OnceLock::new();

impl Level {
    /// The best level of this processor.
    pub fn detected() -> Self {
        #[cfg(target_arch = "x86_64")]
        {
            let fma = is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma");
            if fma
                && is_x86_feature_detected!("avx512f")
                && is_x86_feature_detected!("avx512vl")
                && is_x86_feature_detected!("avx512dq")
            {
                return Self::Avx512;
            }
            if fma {
                return Self::Avx2;
            }
        }
        Self::Baseline
    }

    /// The level in use: the pinned one, else the best.
    pub fn current() -> Self {
        *LEVEL.get_or_init(Self::detected)
    }

    /// Uses `self` from now on, once per process; answers whether it is in use now. A level that the processor lacks is not taken.
    pub fn pin(self) -> bool {
        self <= Self::detected() && *LEVEL.get_or_init(|| self) == self
    }
}

/// A function of one variable that networks apply elementwise, with its derivatives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Function {
    /// `x σ(x)` (Elfwing, Uchibe, Doya 2018).
    Silu,
    /// The first derivative of [`Function::Silu`].
    SiluSlope,
    /// The second derivative of [`Function::Silu`].
    SiluCurvature,
    /// The hyperbolic tangent.
    Tanh,
    /// The first derivative of [`Function::Tanh`].
    TanhSlope,
    /// The second derivative of [`Function::Tanh`].
    TanhCurvature,
    /// The exponential.
    Exp,
}

impl Function {
    /// The function's derivative; `None` where no use of it is known.
    pub fn derivative(self) -> Option<Self> {
        match self {
            Self::Silu => Some(Self::SiluSlope),
            Self::SiluSlope => Some(Self::SiluCurvature),
            Self::Tanh => Some(Self::TanhSlope),
            Self::TanhSlope => Some(Self::TanhCurvature),
            Self::Exp => Some(Self::Exp),
            Self::SiluCurvature | Self::TanhCurvature => None,
        }
    }

    /// The value at `x`, with the precision of the standard library.
    pub fn evaluate(self, x: f64) -> f64 {
        let sigmoid = || 1.0 / (1.0 + (-x).exp());
        match self {
            Self::Silu => x * sigmoid(),
            Self::SiluSlope => {
                let s = sigmoid();
                s * (1.0 + x * (1.0 - s))
            }
            Self::SiluCurvature => {
                let s = sigmoid();
                s * (1.0 - s) * (2.0 + x * (1.0 - 2.0 * s))
            }
            Self::Tanh => x.tanh(),
            Self::TanhSlope => 1.0 - x.tanh() * x.tanh(),
            Self::TanhCurvature => {
                let y = x.tanh();
                -2.0 * y * (1.0 - y * y)
            }
            Self::Exp => x.exp(),
        }
    }
}

#[inline(always)]
fn multiply_add<const FMA: bool>(a: f32, b: f32, c: f32) -> f32 {
    if FMA { a.mul_add(b, c) } else { a * b + c }
}

/// `eˣ` within 2 ulp on [−87, 88], clamped outside: `2ⁿ eʳ` with `n` the nearest integer to `x log₂ e` and a polynomial in `r`
/// (minimax coefficients after Cephes' `expf`, Moshier 1992). Without branches, so that it vectorises.
#[inline(always)]
fn exp<const FMA: bool>(x: f32) -> f32 {
    /// `1.5 · 2²³`: adding it rounds to the nearest integer, which then stands in the low bits.
    const ROUND: f32 = 12_582_912.0;
    let x = x.clamp(-87.0, 88.0);
    let shifted = multiply_add::<FMA>(x, core::f32::consts::LOG2_E, ROUND);
    let n = shifted - ROUND;
    let r = multiply_add::<FMA>(n, -0.693_359_4, x);
    let r = multiply_add::<FMA>(n, 2.121_944_4e-4, r);
    let p = multiply_add::<FMA>(1.987_569_1e-4, r, 1.398_199_9e-3);
    let p = multiply_add::<FMA>(p, r, 8.333_452e-3);
    let p = multiply_add::<FMA>(p, r, 4.166_579_6e-2);
    let p = multiply_add::<FMA>(p, r, 1.666_666_5e-1);
    let p = multiply_add::<FMA>(p, r, 0.5);
    let p = multiply_add::<FMA>(p, r * r, r + 1.0);
    p * f32::from_bits(
        (shifted
            .to_bits()
            .wrapping_sub(ROUND.to_bits())
            .wrapping_add(127))
            << 23,
    )
}

/// `1 + e⁻ˣ`, the exponential within `6e-7` of itself, `x` clamped to [−87, 87]: `2ⁿ 2ʳ` with `n` the nearest integer to `−x log₂ e` and in `r` a
/// polynomial of least relative error, `1.1e-7`, with the value and slope of `2ʳ` at 0. Two thirds of the operations of [`exp`], most of whose last digits the 1 takes away.
#[inline(always)]
fn one_plus_exp_neg<const FMA: bool>(x: f32) -> f32 {
    /// `1.5 · 2²³`, which rounds to the nearest integer, and the bias of exponents, which then stands in the low bits with it.
    const ROUND: f32 = 12_582_912.0 + 127.0;
    let x = x.clamp(-87.0, 87.0);
    let shifted = multiply_add::<FMA>(x, -core::f32::consts::LOG2_E, ROUND);
    let r = multiply_add::<FMA>(x, -core::f32::consts::LOG2_E, ROUND - shifted);
    let p = multiply_add::<FMA>(1.330_057_5e-3, r, 9.669_684e-3);
    let p = multiply_add::<FMA>(p, r, 5.550_558_5e-2);
    let p = multiply_add::<FMA>(p, r, 2.402_228_3e-1);
    let p = multiply_add::<FMA>(p, r, core::f32::consts::LN_2);
    let p = multiply_add::<FMA>(p, r, 1.0);
    multiply_add::<FMA>(p, f32::from_bits(shifted.to_bits() << 23), 1.0)
}

#[inline(always)]
fn multiply_add_doubles<const FMA: bool>(a: f64, b: f64, c: f64) -> f64 {
    if FMA { a.mul_add(b, c) } else { a * b + c }
}

/// `eˣ` within 2 ulp on [−708, 709], clamped outside: as in single precision, with Taylor's series to `r¹³` on `|r| ≤ ½ ln 2`, what is left out being less than
/// `4e-18`.
#[inline(always)]
fn exp_of_double<const FMA: bool>(x: f64) -> f64 {
    /// `1.5 · 2⁵²`: adding it rounds to the nearest integer, which then stands in the low bits.
    const ROUND: f64 = 6_755_399_441_055_744.0;
    /// `ln 2` in two parts, the first of 33 bits, so that its multiples are exact.
    const LN_2: [f64; 2] = [0.693_147_180_369_123_8, 1.908_214_929_270_587_7e-10];
    let x = x.clamp(-708.0, 709.0);
    let shifted = multiply_add_doubles::<FMA>(x, core::f64::consts::LOG2_E, ROUND);
    let n = shifted - ROUND;
    let r = multiply_add_doubles::<FMA>(n, -LN_2[1], multiply_add_doubles::<FMA>(n, -LN_2[0], x));
    let mut p = 1.0 / 6_227_020_800.0;
    p = multiply_add_doubles::<FMA>(p, r, 1.0 / 479_001_600.0);
    p = multiply_add_doubles::<FMA>(p, r, 1.0 / 39_916_800.0);
    p = multiply_add_doubles::<FMA>(p, r, 1.0 / 3_628_800.0);
    p = multiply_add_doubles::<FMA>(p, r, 1.0 / 362_880.0);
    p = multiply_add_doubles::<FMA>(p, r, 1.0 / 40_320.0);
    p = multiply_add_doubles::<FMA>(p, r, 1.0 / 5_040.0);
    p = multiply_add_doubles::<FMA>(p, r, 1.0 / 720.0);
    p = multiply_add_doubles::<FMA>(p, r, 1.0 / 120.0);
    p = multiply_add_doubles::<FMA>(p, r, 1.0 / 24.0);
    p = multiply_add_doubles::<FMA>(p, r, 1.0 / 6.0);
    p = multiply_add_doubles::<FMA>(p, r, 0.5);
    p = multiply_add_doubles::<FMA>(p, r * r, r) + 1.0;
    p * f64::from_bits(
        (shifted
            .to_bits()
            .wrapping_sub(ROUND.to_bits())
            .wrapping_add(1023))
            << 52,
    )
}

/// `ln x` of positive normal numbers within 2 ulp: `n ln 2 + ln m` with `m` in `√½…√2` and a polynomial in `m − 1` (minimax coefficients after
/// Cephes' `logf`, Moshier 1992). Without branches, so that it vectorises.
#[inline(always)]
fn ln<const FMA: bool>(x: f32) -> f32 {
    /// The bits of `√½`.
    const LEAST: u32 = 0x3f35_04f3;
    let bits = x.to_bits();
    let power = (bits.wrapping_sub(LEAST) as i32) >> 23;
    let n = power as f32;
    let r = f32::from_bits(bits.wrapping_sub((power as u32) << 23)) - 1.0;
    let p = multiply_add::<FMA>(7.037_683_6e-2, r, -1.151_461e-1);
    let p = multiply_add::<FMA>(p, r, 1.167_699_9e-1);
    let p = multiply_add::<FMA>(p, r, -1.242_014_1e-1);
    let p = multiply_add::<FMA>(p, r, 1.424_932_3e-1);
    let p = multiply_add::<FMA>(p, r, -1.666_805_8e-1);
    let p = multiply_add::<FMA>(p, r, 2.000_071_5e-1);
    let p = multiply_add::<FMA>(p, r, -2.499_999_4e-1);
    let p = multiply_add::<FMA>(p, r, 3.333_333e-1);
    let small = multiply_add::<FMA>(n, -2.121_944_4e-4, p * r * r * r);
    let small = multiply_add::<FMA>(-0.5 * r, r, small);
    multiply_add::<FMA>(n, 0.693_359_4, r + small)
}

/// What loops over single or double precision compute with; in single precision without branches, so that they vectorise.
pub(crate) trait Real:
    Element
    + bytemuck::Pod
    + PartialOrd
    + Add<Output = Self>
    + AddAssign
    + Sub<Output = Self>
    + Mul<Output = Self>
    + Div<Output = Self>
    + Neg<Output = Self>
{
    /// The nearest number of this type.
    fn of(x: f64) -> Self;
    /// The same number in double precision.
    fn wide(self) -> f64;
    /// `eˣ`.
    fn exp<const FMA: bool>(self) -> Self;
    /// `1 + e⁻ˣ`, which sigmoids divide by.
    fn one_plus_exp_neg<const FMA: bool>(self) -> Self;
    /// `ln x` of a positive number.
    fn ln<const FMA: bool>(self) -> Self;
    /// The hyperbolic tangent.
    fn tanh<const FMA: bool>(self) -> Self;
    /// `√x`.
    fn sqrt(self) -> Self;
    /// The largest integer that is no larger.
    fn floor(self) -> Self;
}

/// Writes the methods that both types bring along.
macro_rules! inherent {
    ($type:ty) => {
        #[inline(always)]
        fn of(x: f64) -> Self {
            x as $type
        }
        #[inline(always)]
        fn wide(self) -> f64 {
            self.into()
        }
        #[inline(always)]
        fn sqrt(self) -> Self {
            <$type>::sqrt(self)
        }
        #[inline(always)]
        fn floor(self) -> Self {
            <$type>::floor(self)
        }
    };
}

impl Real for f32 {
    inherent!(f32);
    #[inline(always)]
    fn exp<const FMA: bool>(self) -> Self {
        exp::<FMA>(self)
    }
    #[inline(always)]
    fn one_plus_exp_neg<const FMA: bool>(self) -> Self {
        one_plus_exp_neg::<FMA>(self)
    }
    #[inline(always)]
    fn ln<const FMA: bool>(self) -> Self {
        ln::<FMA>(self)
    }
    #[inline(always)]
    fn tanh<const FMA: bool>(self) -> Self {
        tanh::<FMA>(self)
    }
}

impl Real for f64 {
    inherent!(f64);
    #[inline(always)]
    fn exp<const FMA: bool>(self) -> Self {
        exp_of_double::<FMA>(self)
    }
    #[inline(always)]
    fn one_plus_exp_neg<const FMA: bool>(self) -> Self {
        1.0 + exp_of_double::<FMA>(-self)
    }
    #[inline(always)]
    fn ln<const FMA: bool>(self) -> Self {
        f64::ln(self)
    }
    #[inline(always)]
    fn tanh<const FMA: bool>(self) -> Self {
        f64::tanh(self)
    }
}

#[inline(always)]
fn sigmoid<const FMA: bool>(x: f32) -> f32 {
    1.0 / one_plus_exp_neg::<FMA>(x)
}

/// `tanh x = 1 − 2/(e²ˣ + 1)`, for small `x` its odd series, which keeps the relative error.
#[inline(always)]
fn tanh<const FMA: bool>(x: f32) -> f32 {
    let far = 1.0 - 2.0 / (exp::<FMA>(2.0 * x) + 1.0);
    let x2 = x * x;
    let near = x
        * (1.0
            + x2 * (-1.0 / 3.0 + x2 * (2.0 / 15.0 + x2 * (-17.0 / 315.0 + x2 * (62.0 / 2835.0)))));
    if x2 < 0.0625 { near } else { far }
}

/// Calls `$body` with one of our functions as a constant, so that each has a loop of its own.
macro_rules! for_function {
    ($function:expr, $fma:ident, $apply:ident) => {
        match $function {
            Function::Silu => $apply!(|x| silu::<_, $fma>(x)),
            Function::SiluSlope => $apply!(|x| {
                let s = sigmoid::<$fma>(x);
                s * (1.0 + x * (1.0 - s))
            }),
            Function::SiluCurvature => $apply!(|x| {
                let s = sigmoid::<$fma>(x);
                s * (1.0 - s) * (2.0 + x * (1.0 - 2.0 * s))
            }),
            Function::Tanh => $apply!(|x| tanh::<$fma>(x)),
            Function::TanhSlope => $apply!(|x| {
                let y = tanh::<$fma>(x);
                1.0 - y * y
            }),
            Function::TanhCurvature => $apply!(|x| {
                let y = tanh::<$fma>(x);
                -2.0 * y * (1.0 - y * y)
            }),
            Function::Exp => $apply!(|x| exp::<$fma>(x)),
        }
    };
}

#[inline(always)]
fn map_body<const FMA: bool>(function: Function, x: &[f32], y: &mut [f32]) {
    macro_rules! apply {
        (|$x:ident| $value:expr) => {
            for (y, &$x) in y.iter_mut().zip(x) {
                *y = $value;
            }
        };
    }
    for_function!(function, FMA, apply);
}

#[inline(always)]
fn map_in_place_body<const FMA: bool>(function: Function, y: &mut [f32]) {
    macro_rules! apply {
        (|$x:ident| $value:expr) => {
            for y in y.iter_mut() {
                let $x = *y;
                *y = $value;
            }
        };
    }
    for_function!(function, FMA, apply);
}

#[inline(always)]
fn scale_body<const FMA: bool>(function: Function, x: &[f32], y: &mut [f32]) {
    macro_rules! apply {
        (|$x:ident| $value:expr) => {
            for (y, &$x) in y.iter_mut().zip(x) {
                *y *= $value;
            }
        };
    }
    for_function!(function, FMA, apply);
}

/// Makes a function that runs `$body` compiled for the level in use.
macro_rules! dispatch {
    ($(#[$doc:meta])* $name:ident, ($($argument:ident : $type:ty),*), $body:ident) => {
        $(#[$doc])*
        pub fn $name($($argument: $type),*) {
            #[cfg(target_arch = "x86_64")]
            {
                #[target_feature(enable = "avx512f,avx512vl,avx512dq,avx2,fma")]
                fn avx512($($argument: $type),*) { $body::<true>($($argument),*) }
                #[target_feature(enable = "avx2,fma")]
                fn avx2($($argument: $type),*) { $body::<true>($($argument),*) }
                match Level::current() {
                    // SAFETY: the level in use never exceeds the detected one, so the processor has these instructions.
                    Level::Avx512 => return unsafe { avx512($($argument),*) },
                    // SAFETY: as above.
                    Level::Avx2 => return unsafe { avx2($($argument),*) },
                    Level::Baseline => {}
                }
            }
            $body::<{ cfg!(target_feature = "fma") || cfg!(target_arch = "aarch64") }>($($argument),*)
        }
    };
}

/// Makes a function of numbers of either type that runs `$body` compiled for the level in use.
macro_rules! at_level {
    ($(#[$doc:meta])* $visible:vis fn $name:ident($($argument:ident: $type:ty),*) $(-> $answer:ty)?, $body:ident) => {
        $(#[$doc])*
        $visible fn $name<T: crate::simd::Real>($($argument: $type),*) $(-> $answer)? {
            #[cfg(target_arch = "x86_64")]
            {
                #[target_feature(enable = "avx512f,avx512vl,avx512dq,avx2,fma")]
                fn avx512<T: crate::simd::Real>($($argument: $type),*) $(-> $answer)? {
                    $body::<T, true>($($argument),*)
                }
                #[target_feature(enable = "avx2,fma")]
                fn avx2<T: crate::simd::Real>($($argument: $type),*) $(-> $answer)? {
                    $body::<T, true>($($argument),*)
                }
                match crate::simd::Level::current() {
                    // SAFETY: the level in use never exceeds the detected one, so the processor has these instructions.
                    crate::simd::Level::Avx512 => return unsafe { avx512($($argument),*) },
                    // SAFETY: as above.
                    crate::simd::Level::Avx2 => return unsafe { avx2($($argument),*) },
                    crate::simd::Level::Baseline => {}
                }
            }
            $body::<T, { cfg!(target_feature = "fma") || cfg!(target_arch = "aarch64") }>($($argument),*)
        }
    };
}
pub(crate) use at_level;

/// `x σ(x)`.
#[inline(always)]
pub(crate) fn silu<T: Real, const FMA: bool>(x: T) -> T {
    x / x.one_plus_exp_neg::<FMA>()
}

at_level!(
    /// [`silu`] in place.
    pub(crate) fn activated(values: &mut [T]),
    activated_body
);

#[inline(always)]
fn activated_body<T: Real, const FMA: bool>(values: &mut [T]) {
    for y in values {
        *y = silu::<T, FMA>(*y);
    }
}

/// Numbers side by side, each of its own lane.
#[inline(always)]
pub(crate) fn lanes<T: Copy + Default, const LANES: usize>(
    value: impl Fn(usize) -> T,
) -> [T; LANES] {
    let mut all = [T::default(); LANES];
    for lane in 0..LANES {
        all[lane] = value(lane);
    }
    all
}

/// A loop to be compiled for each level.
pub(crate) trait Kernel {
    /// Runs it; `#[inline(always)]`, as all that it calls, or it is compiled for the baseline.
    fn run<const FMA: bool>(self);
}

/// Runs a loop at the level in use.
pub(crate) fn run(kernel: impl Kernel) {
    #[cfg(target_arch = "x86_64")]
    {
        #[target_feature(enable = "avx512f,avx512vl,avx512dq,avx2,fma")]
        fn avx512(kernel: impl Kernel) {
            kernel.run::<true>();
        }
        #[target_feature(enable = "avx2,fma")]
        fn avx2(kernel: impl Kernel) {
            kernel.run::<true>();
        }
        match Level::current() {
            // SAFETY: the level in use never exceeds the detected one, so the processor has these instructions.
            Level::Avx512 => return unsafe { avx512(kernel) },
            // SAFETY: as above.
            Level::Avx2 => return unsafe { avx2(kernel) },
            Level::Baseline => {}
        }
    }
    kernel.run::<{ cfg!(target_feature = "fma") || cfg!(target_arch = "aarch64") }>();
}

dispatch!(
    /// Writes `f(x)` into `y`.
    map, (function: Function, x: &[f32], y: &mut [f32]), map_body
);
dispatch!(
    /// Replaces `y` by `f(y)`.
    map_in_place, (function: Function, y: &mut [f32]), map_in_place_body
);
dispatch!(
    /// Multiplies `y` by `f(x)`.
    scale, (function: Function, x: &[f32], y: &mut [f32]), scale_body
);

#[cfg(test)]
mod tests {
    use super::*;

    const ALL: [Function; 7] = [
        Function::Silu,
        Function::SiluSlope,
        Function::SiluCurvature,
        Function::Tanh,
        Function::TanhSlope,
        Function::TanhCurvature,
        Function::Exp,
    ];

    #[test]
    fn single_precision_agrees_with_double() {
        let x: Vec<f32> = (-20_000_i16..20_000).map(|i| f32::from(i) * 1e-3).collect();
        for function in ALL {
            let mut y = vec![0.0; x.len()];
            map(function, &x, &mut y);
            for (&x, &y) in x.iter().zip(&y) {
                let exact = function.evaluate(f64::from(x));
                let error = (f64::from(y) - exact).abs() / exact.abs().max(1.0);
                assert!(error < 1e-6, "{function:?}({x}) is {y}, not {exact}");
            }
        }
    }

    #[test]
    fn exponentials_in_double_precision_are_those_of_the_standard_library() {
        for k in -35_380_i32..35_430 {
            let x = f64::from(k) * 0.02 + 1e-3 * f64::from(k % 17);
            let exact = x.exp();
            for y in [exp_of_double::<false>(x), exp_of_double::<true>(x)] {
                assert!(
                    (y / exact - 1.0).abs() < 5e-16,
                    "exp({x}) is {y}, not {exact}"
                );
            }
        }
        assert_eq!(exp_of_double::<true>(0.0), 1.0);
    }

    #[test]
    fn logarithms_agree_with_those_of_double_precision() {
        for k in -20_000_i16..20_000 {
            let x = (f32::from(k) * 4e-3).exp2();
            for y in [ln::<false>(x), ln::<true>(x)] {
                let exact = f64::from(x).ln();
                let error = (f64::from(y) - exact).abs() / exact.abs().max(1.0);
                assert!(error < 2e-7, "ln({x}) is {y}, not {exact}");
            }
        }
    }

    #[test]
    fn derivatives_are_slopes() {
        for function in ALL {
            let Some(derivative) = function.derivative() else {
                continue;
            };
            for x in [-7.3, -1.0, -0.1, 0.0, 0.2, 2.5] {
                let slope = (function.evaluate(x + 1e-6) - function.evaluate(x - 1e-6)) / 2e-6;
                assert!((slope - derivative.evaluate(x)).abs() < 1e-8 * slope.abs().max(1.0));
            }
        }
    }

    #[test]
    fn a_level_that_the_processor_lacks_is_not_taken() {
        assert!(Level::current().pin());
        assert!(Level::Avx512.pin() == (Level::current() == Level::Avx512));
    }
}
