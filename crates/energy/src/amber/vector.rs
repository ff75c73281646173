//! Numbers of several conformers side by side, one in each lane of a register.
//!
//! Each type stands for one instruction set. The fused ones contract `a·b + c` wherever [`Vector::fma`] says so and nowhere else, so the
//! arithmetic of a conformer is the same in one lane as in eight, whoever its neighbours are.

use std::ops::{Add, Div, Mul, Sub};

/// A number in each of [`Self::LANES`] lanes.
///
/// Everything is `#[inline(always)]`, because only inside a function that enables the instruction set do the operations become instructions.
pub(super) trait Vector:
    Copy
    + Send
    + Sync
    + Add<Output = Self>
    + Sub<Output = Self>
    + Mul<Output = Self>
    + Div<Output = Self>
{
    /// How many conformers.
    const LANES: usize;
    /// `value` in all lanes.
    fn splat(value: f64) -> Self;
    /// One value a lane, made by lane, starting with `first`.
    fn from_lanes(first: usize, value: impl Fn(usize) -> f64) -> Self;
    /// The value of one lane.
    fn lane(self, lane: usize) -> f64;
    /// `self · b + c`.
    fn fma(self, b: Self, c: Self) -> Self;
    /// `√self`.
    fn sqrt(self) -> Self;
    /// The larger one; `other` where one is no number.
    fn max(self, other: Self) -> Self;
    /// `|self|`.
    fn abs(self) -> Self;
    /// `then` where `self < other`, `otherwise` elsewhere.
    fn select_less(self, other: Self, then: Self, otherwise: Self) -> Self;
    /// `(m, e)` with `self = m · 2^e` and `m` in [√½, √2), for positive normal numbers.
    fn split(self) -> (Self, Self);
    /// `2^self` for whole numbers from −1022 to 1023.
    fn power_of_two(self) -> Self;
}

/// Bits of `√½`, rounded down to the high word: the lower end of mantissas.
const LOWER: u64 = 0x3fe6_a09e_0000_0000;
const ONE: u64 = 0x3ff0_0000_0000_0000;
/// Moves the exponent field of `[√½, √2)` to the bias.
const SHIFT: u64 = ONE - LOWER;
const EXPONENT: u64 = 0xfff0_0000_0000_0000;
/// Bits of 2⁵², whose low bits count ones.
const COUNTER: u64 = 0x4330_0000_0000_0000;
/// 2⁵² plus the bias of an exponent.
const COUNTER_BIAS: f64 = 4_503_599_627_370_496.0 + 1023.0;
/// 1.5 · 2⁵²: a sum with it holds a whole number in its low bits.
const MAGIC: f64 = 6_755_399_441_055_744.0;

/// One conformer; `FUSED` where the machine has a fused multiply-add.
#[derive(Clone, Copy)]
pub(super) struct Scalar<const FUSED: bool>(f64);

/// Two vectors as one of twice the lanes.
#[derive(Clone, Copy)]
pub(super) struct Two<V>(V, V);

macro_rules! operators {
    ([$($generics:tt)*] $type:ty, $a:ident, $b:ident, $add:expr, $sub:expr, $mul:expr, $div:expr) => {
        operators!(@one [$($generics)*] $type, Add, add, $a, $b, $add);
        operators!(@one [$($generics)*] $type, Sub, sub, $a, $b, $sub);
        operators!(@one [$($generics)*] $type, Mul, mul, $a, $b, $mul);
        operators!(@one [$($generics)*] $type, Div, div, $a, $b, $div);
    };
    (@one [$($generics:tt)*] $type:ty, $trait:ident, $name:ident, $a:ident, $b:ident, $value:expr) => {
        impl $($generics)* $trait for $type {
            type Output = Self;
            #[inline(always)]
            fn $name(self, other: Self) -> Self {
                let ($a, $b) = (self, other);
                $value
            }
        }
    };
}

operators!([<const FUSED: bool>] Scalar<FUSED>, a, b, Self(a.0 + b.0), Self(a.0 - b.0), Self(a.0 * b.0), Self(a.0 / b.0));
operators!(
    [<V: Vector>] Two<V>, a, b,
    Self(a.0 + b.0, a.1 + b.1), Self(a.0 - b.0, a.1 - b.1), Self(a.0 * b.0, a.1 * b.1), Self(a.0 / b.0, a.1 / b.1)
);

impl<const FUSED: bool> Vector for Scalar<FUSED> {
    const LANES: usize = 1;
    #[inline(always)]
    fn splat(value: f64) -> Self {
        Self(value)
    }
    #[inline(always)]
    fn from_lanes(first: usize, value: impl Fn(usize) -> f64) -> Self {
        Self(value(first))
    }
    #[inline(always)]
    fn lane(self, _: usize) -> f64 {
        self.0
    }
    #[inline(always)]
    fn fma(self, b: Self, c: Self) -> Self {
        Self(if FUSED {
            self.0.mul_add(b.0, c.0)
        } else {
            self.0 * b.0 + c.0
        })
    }
    #[inline(always)]
    fn sqrt(self) -> Self {
        Self(self.0.sqrt())
    }
    #[inline(always)]
    fn max(self, other: Self) -> Self {
        if self.0 > other.0 { self } else { other }
    }
    #[inline(always)]
    fn abs(self) -> Self {
        Self(self.0.abs())
    }
    #[inline(always)]
    fn select_less(self, other: Self, then: Self, otherwise: Self) -> Self {
        if self.0 < other.0 { then } else { otherwise }
    }
    #[inline(always)]
    fn split(self) -> (Self, Self) {
        let shifted = self.0.to_bits().wrapping_add(SHIFT);
        let exponent = f64::from_bits((shifted >> 52) | COUNTER) - COUNTER_BIAS;
        let mantissa = self
            .0
            .to_bits()
            .wrapping_sub((shifted & EXPONENT).wrapping_sub(ONE));
        (Self(f64::from_bits(mantissa)), Self(exponent))
    }
    #[inline(always)]
    fn power_of_two(self) -> Self {
        Self(f64::from_bits(
            (self.0 + MAGIC).to_bits().wrapping_add(1023) << 52,
        ))
    }
}

impl<V: Vector> Vector for Two<V> {
    const LANES: usize = 2 * V::LANES;
    #[inline(always)]
    fn splat(value: f64) -> Self {
        Self(V::splat(value), V::splat(value))
    }
    #[inline(always)]
    fn from_lanes(first: usize, value: impl Fn(usize) -> f64) -> Self {
        Self(
            V::from_lanes(first, &value),
            V::from_lanes(first + V::LANES, &value),
        )
    }
    #[inline(always)]
    fn lane(self, lane: usize) -> f64 {
        if lane < V::LANES {
            self.0.lane(lane)
        } else {
            self.1.lane(lane - V::LANES)
        }
    }
    #[inline(always)]
    fn fma(self, b: Self, c: Self) -> Self {
        Self(self.0.fma(b.0, c.0), self.1.fma(b.1, c.1))
    }
    #[inline(always)]
    fn sqrt(self) -> Self {
        Self(self.0.sqrt(), self.1.sqrt())
    }
    #[inline(always)]
    fn max(self, other: Self) -> Self {
        Self(self.0.max(other.0), self.1.max(other.1))
    }
    #[inline(always)]
    fn abs(self) -> Self {
        Self(self.0.abs(), self.1.abs())
    }
    #[inline(always)]
    fn select_less(self, other: Self, then: Self, otherwise: Self) -> Self {
        Self(
            self.0.select_less(other.0, then.0, otherwise.0),
            self.1.select_less(other.1, then.1, otherwise.1),
        )
    }
    #[inline(always)]
    fn split(self) -> (Self, Self) {
        let (first, second) = (self.0.split(), self.1.split());
        (Self(first.0, second.0), Self(first.1, second.1))
    }
    #[inline(always)]
    fn power_of_two(self) -> Self {
        Self(self.0.power_of_two(), self.1.power_of_two())
    }
}

#[cfg(target_arch = "x86_64")]
pub(super) use x86::{Avx2, Avx512};

/// SAFETY of all `unsafe` here: the kernels of these types run only inside the functions of `levels`, which enable the instruction set and
/// are entered after the machine was asked for it; nothing else names these types.
#[cfg(target_arch = "x86_64")]
mod x86 {
    use std::arch::x86_64::{
        __m256d, __m512d, _CMP_LT_OQ, _mm256_add_epi64, _mm256_add_pd, _mm256_and_pd,
        _mm256_and_si256, _mm256_blendv_pd, _mm256_castpd_si256, _mm256_castsi256_pd,
        _mm256_cmp_pd, _mm256_div_pd, _mm256_fmadd_pd, _mm256_max_pd, _mm256_mul_pd,
        _mm256_or_si256, _mm256_set1_epi64x, _mm256_set1_pd, _mm256_setr_pd, _mm256_slli_epi64,
        _mm256_sqrt_pd, _mm256_srli_epi64, _mm256_sub_epi64, _mm256_sub_pd, _mm512_abs_pd,
        _mm512_add_epi64, _mm512_add_pd, _mm512_and_si512, _mm512_castpd_si512,
        _mm512_castsi512_pd, _mm512_cmp_pd_mask, _mm512_div_pd, _mm512_fmadd_pd,
        _mm512_mask_blend_pd, _mm512_max_pd, _mm512_mul_pd, _mm512_or_si512, _mm512_set1_epi64,
        _mm512_set1_pd, _mm512_setr_pd, _mm512_slli_epi64, _mm512_sqrt_pd, _mm512_srli_epi64,
        _mm512_sub_epi64, _mm512_sub_pd,
    };
    use std::ops::{Add, Div, Mul, Sub};

    use super::{COUNTER, COUNTER_BIAS, EXPONENT, MAGIC, ONE, SHIFT, Vector};

    /// Four conformers in a register of AVX2 with FMA.
    #[derive(Clone, Copy)]
    pub(in super::super) struct Avx2(__m256d);

    /// Eight conformers in a register of AVX-512F.
    #[derive(Clone, Copy)]
    pub(in super::super) struct Avx512(__m512d);

    macro_rules! vector {
        (
            $type:ident($register:ident), lanes $lanes:literal [$($lane:literal)*], setr $setr:ident, set $set:ident, set_bits $set_bits:ident,
            $add:ident $sub:ident $mul:ident $div:ident $fma:ident $sqrt:ident $max:ident, $to_bits:ident $from_bits:ident,
            $add_bits:ident $sub_bits:ident $and_bits:ident $or_bits:ident $left:ident<$left_count:literal> $right:ident<$right_count:literal>,
            abs $abs:expr, select_less $select_less:expr
        ) => {
            operators!(
                [] $type, a, b,
                Self(unsafe { $add(a.0, b.0) }), Self(unsafe { $sub(a.0, b.0) }),
                Self(unsafe { $mul(a.0, b.0) }), Self(unsafe { $div(a.0, b.0) })
            );

            impl Vector for $type {
                const LANES: usize = $lanes;
                #[inline(always)]
                fn splat(value: f64) -> Self {
                    Self(unsafe { $set(value) })
                }
                #[inline(always)]
                fn from_lanes(first: usize, value: impl Fn(usize) -> f64) -> Self {
                    Self(unsafe { $setr($(value(first + $lane)),*) })
                }
                #[inline(always)]
                fn lane(self, lane: usize) -> f64 {
                    // SAFETY: a register is that many numbers, of the same alignment or a stricter one.
                    let lanes: [f64; $lanes] = unsafe { std::mem::transmute(self.0) };
                    lanes[lane]
                }
                #[inline(always)]
                fn fma(self, b: Self, c: Self) -> Self {
                    Self(unsafe { $fma(self.0, b.0, c.0) })
                }
                #[inline(always)]
                fn sqrt(self) -> Self {
                    Self(unsafe { $sqrt(self.0) })
                }
                #[inline(always)]
                fn max(self, other: Self) -> Self {
                    Self(unsafe { $max(self.0, other.0) })
                }
                #[inline(always)]
                fn abs(self) -> Self {
                    let abs: fn($register) -> $register = $abs;
                    Self(abs(self.0))
                }
                #[inline(always)]
                fn select_less(self, other: Self, then: Self, otherwise: Self) -> Self {
                    let select: fn($register, $register, $register, $register) -> $register = $select_less;
                    Self(select(self.0, other.0, then.0, otherwise.0))
                }
                #[inline(always)]
                fn split(self) -> (Self, Self) {
                    unsafe {
                        let bits = $to_bits(self.0);
                        let shifted = $add_bits(bits, $set_bits(SHIFT as i64));
                        let exponent = $from_bits($or_bits($right::<$right_count>(shifted), $set_bits(COUNTER as i64)));
                        let scale = $sub_bits($and_bits(shifted, $set_bits(EXPONENT as i64)), $set_bits(ONE as i64));
                        (Self($from_bits($sub_bits(bits, scale))), Self($sub(exponent, $set(COUNTER_BIAS))))
                    }
                }
                #[inline(always)]
                fn power_of_two(self) -> Self {
                    unsafe {
                        let bits = $to_bits($add(self.0, $set(MAGIC)));
                        Self($from_bits($left::<$left_count>($add_bits(bits, $set_bits(1023)))))
                    }
                }
            }
        };
    }

    vector!(
        Avx2(__m256d), lanes 4 [0 1 2 3], setr _mm256_setr_pd, set _mm256_set1_pd, set_bits _mm256_set1_epi64x,
        _mm256_add_pd _mm256_sub_pd _mm256_mul_pd _mm256_div_pd _mm256_fmadd_pd _mm256_sqrt_pd _mm256_max_pd,
        _mm256_castpd_si256 _mm256_castsi256_pd,
        _mm256_add_epi64 _mm256_sub_epi64 _mm256_and_si256 _mm256_or_si256 _mm256_slli_epi64<52> _mm256_srli_epi64<52>,
        abs |a| unsafe { _mm256_and_pd(a, _mm256_castsi256_pd(_mm256_set1_epi64x(i64::MAX))) },
        select_less |a, b, then, otherwise| unsafe { _mm256_blendv_pd(otherwise, then, _mm256_cmp_pd::<_CMP_LT_OQ>(a, b)) }
    );

    vector!(
        Avx512(__m512d), lanes 8 [0 1 2 3 4 5 6 7], setr _mm512_setr_pd, set _mm512_set1_pd, set_bits _mm512_set1_epi64,
        _mm512_add_pd _mm512_sub_pd _mm512_mul_pd _mm512_div_pd _mm512_fmadd_pd _mm512_sqrt_pd _mm512_max_pd,
        _mm512_castpd_si512 _mm512_castsi512_pd,
        _mm512_add_epi64 _mm512_sub_epi64 _mm512_and_si512 _mm512_or_si512 _mm512_slli_epi64<52> _mm512_srli_epi64<52>,
        abs |a| unsafe { _mm512_abs_pd(a) },
        select_less |a, b, then, otherwise| unsafe {
            _mm512_mask_blend_pd(_mm512_cmp_pd_mask::<_CMP_LT_OQ>(a, b), otherwise, then)
        }
    );
}
